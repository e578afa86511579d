//! Everything there is to know before anything is changed: hosts, ring, and what there is to do.
//!
//! ```text
//! connect ── facts ──┐
//! key file ── ring ──┴── todo of each host
//! ```
//!
//! `check`, `plan`, `status` and `apply` begin with it. It changes nothing anywhere but, with
//! `accept-new`, the file of known hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::crew::{Connect, Crew};
use super::guard::guards;
use super::home::Home;
use super::plan::{Standing, Step, Todo, foreign, todo};
use super::report::Report;
use super::{Facts, Fleet, Host, Release, Service, Watch};
use crate::cluster::View;
use crate::config::{self, NodeConfig, Secret, key_text};
use crate::error::{Error, Result};
use crate::ring::{Change, RingDoc, Step as RingStep};

/// What is to be pushed, and how far.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Only these hosts; all when empty.
    pub only: Vec<String>,
    /// Spares that are to be members.
    pub join: Vec<String>,
    /// Members whose node is lost for good: their place goes to a new one on the same host.
    pub replace: Vec<String>,
    /// Go on although the ring cannot answer meanwhile.
    pub accept_downtime: bool,
    /// The binary of hosts for which the inventory names none.
    pub program: PathBuf,
    /// Who works on the hosts, for others who want to.
    pub owner: String,
    /// How long the ring may take to answer.
    pub timeout: Duration,
}

/// See the module.
pub struct Survey<'a> {
    /// What should be.
    pub fleet: &'a Fleet,
    /// What is asked for.
    pub wish: Wish,
    /// The connections.
    pub crew: Crew<'a>,
    /// The ring, as it is seen from here.
    pub home: Home<'a>,
    /// The hosts in question, in the order of the inventory.
    pub hosts: Vec<&'a Host>,
    /// What each connected host is like.
    pub facts: BTreeMap<&'a str, Facts>,
    /// What each host should run.
    pub releases: BTreeMap<&'a str, Release>,
    /// The keys of the ring.
    pub keys: Vec<Secret>,
    /// The ring's document, when the ring answers.
    pub doc: Option<RingDoc>,
    /// Its members, when it answers.
    pub views: Vec<View>,
    /// What there is to do, of each connected host.
    pub todos: BTreeMap<&'a str, Todo>,
}

impl<'a> Survey<'a> {
    /// Looks at hosts and ring.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown host or a binary that is none; as
    /// [`crate::cluster::Cluster::open`]. What is wrong with a single host is that host's fault, in the
    /// crew.
    pub fn of(
        fleet: &'a Fleet,
        wish: Wish,
        connect: &Connect<'a>,
        watch: &'a dyn Watch,
    ) -> Result<Self> {
        let releases = releases(fleet, &wish.program)?;
        named(fleet, wish.only.iter().chain(&wish.join).chain(&wish.replace))?;
        let hosts: Vec<&Host> = fleet.all().filter(|h| is_wished(&wish, h)).collect();
        let guards = guards(fleet).iter().filter(|g| !hosts.iter().any(|h| h.name == g.name));
        let all: Vec<&Host> = hosts.iter().copied().chain(guards).collect();
        let crew = Crew::muster(&all, connect, watch);
        let facts = crew.each(&crew.names(fleet), usize::MAX, super::Far::facts);
        let facts: BTreeMap<&str, Facts> = facts.into_iter().collect();
        let (near, heard) = (crew.names(fleet), facts.values().filter_map(listens).collect());
        let home = Home::new(fleet, &near, wish.timeout).knowing(heard).heeding(watch);
        let keys = home.keys()?;
        let (todos, views) = (BTreeMap::new(), Vec::new());
        let mut survey =
            Self { fleet, wish, crew, home, hosts, facts, releases, keys, doc: None, views, todos };
        survey.look_at_ring()?;
        survey.leave_out_strangers();
        survey.leave_out_spares();
        survey.judge();
        Ok(survey)
    }

    /// What belongs to others on hosts that nobody asked for says nothing of our ring.
    fn leave_out_strangers(&mut self) {
        let (prints, doc) = (prints(&self.keys), self.doc.as_ref());
        let is_named =
            |h: &Host| [&self.wish.only, &self.wish.join].iter().any(|n| n.contains(&h.name));
        let is_member = |h: &Host| doc.is_some_and(|d| d.present().any(|m| m.name == h.name));
        let hosts = self.fleet.hosts.iter().filter(|h| self.host(&h.name).is_none());
        let spares = self.fleet.spares.iter().filter(|h| !is_named(h) && !is_member(h));
        for host in hosts.chain(spares).collect::<Vec<_>>() {
            let is_foreign =
                |f: &Facts| foreign(host, f, &prints, &Standing::Silent, false).is_some();
            if self.facts.get(host.name.as_str()).is_some_and(is_foreign) {
                self.facts.remove(host.name.as_str());
            }
        }
    }

    /// Asks the ring for its document and its members.
    ///
    /// # Errors
    /// As [`crate::cluster::Cluster::open`].
    pub fn look_at_ring(&mut self) -> Result<()> {
        (self.doc, self.views) = match self.home.open()? {
            Some(mut target) => (Some((*target.doc()).clone()), target.views()?),
            None => (None, Vec::new()),
        };
        Ok(())
    }

    /// Spares that are no members are none of our business, unless they are to be.
    fn leave_out_spares(&mut self) {
        let doc = self.doc.as_ref();
        let is_member = |h: &Host| match doc {
            Some(doc) => doc.present().any(|m| m.name == h.name),
            None => self.facts.get(h.name.as_str()).is_some_and(|f| f.node_yaml.is_some()),
        };
        let spares: Vec<&str> = self.fleet.spares.iter().map(|h| h.name.as_str()).collect();
        self.hosts.retain(|h| {
            !spares.contains(&h.name.as_str()) || is_member(h) || self.wish.join.contains(&h.name)
        });
    }

    /// Works out what there is to do.
    pub fn judge(&mut self) {
        let prints = prints(&self.keys);
        let judged = |host: &&'a Host| {
            let name = host.name.as_str();
            let facts = self.facts.get(name)?;
            let (standing, up) = (self.standing(host), self.is_up(name));
            Some((name, todo(host, facts, &self.releases[name], &prints, &standing, up)))
        };
        self.todos = self.hosts.iter().filter_map(judged).collect();
    }

    /// Whether a member of this name answers and has heard the others.
    #[must_use]
    pub fn is_up(&self, name: &str) -> bool {
        let view = self.views.iter().find(|v| v.member.name == name);
        view.and_then(|v| v.status.as_ref()).is_some_and(|status| !status.waiting)
    }

    /// Takes spares that are no members in, as far as what is there is ours: all of it is to go.
    pub(super) fn take_in_spares(&mut self) {
        let prints = prints(&self.keys);
        for host in &self.fleet.spares {
            let Some(facts) = self.facts.get(host.name.as_str()) else { continue };
            let standing = self.standing(host);
            let is_ours = foreign(host, facts, &prints, &standing, false).is_none();
            if is_ours && self.host(&host.name).is_none() {
                self.hosts.push(host);
            }
        }
    }

    /// How a host stands to the ring.
    #[must_use]
    pub fn standing(&self, host: &Host) -> Standing {
        match &self.doc {
            Some(doc) => match doc.present().find(|m| m.name == host.name) {
                Some(member) if self.wish.replace.contains(&host.name) => {
                    Standing::Lost(member.clone())
                }
                Some(member) => Standing::Member(member.clone()),
                None => Standing::Outside,
            },
            None if self.facts.values().any(|f| f.node_yaml.is_some()) => Standing::Silent,
            None => Standing::NoRing,
        }
    }

    /// Looks again at hosts that somebody may have changed meanwhile.
    ///
    /// # Errors
    /// As [`crate::cluster::Cluster::open`].
    pub fn again(&mut self, names: &[&'a str]) -> Result<()> {
        let facts = self.crew.each(names, usize::MAX, super::Far::facts);
        self.facts.extend(facts);
        self.keys = self.home.keys()?;
        self.look_at_ring()?;
        self.leave_out_spares();
        self.judge();
        Ok(())
    }

    /// Hosts of the inventory that were not looked at.
    #[must_use]
    pub fn unseen(&self) -> Vec<&'a str> {
        let names = self.fleet.hosts.iter().map(|h| h.name.as_str());
        names.filter(|name| !self.facts.contains_key(name)).collect()
    }

    /// Hosts whose nodes were made for a ring that not all founders were made for, and that no node ever
    /// ran of: nothing is in them. Empty unless all hosts were seen, so that this is sure.
    #[must_use]
    pub fn unborn(&self) -> Vec<&'a str> {
        let made: Vec<_> = self.facts.iter().filter(|(_, f)| f.node_yaml.is_some()).collect();
        let is_fresh = |(name, facts): &(&&str, &Facts)| {
            facts.unborn && self.todos.get(**name).is_some_and(|todo| todo.refused.is_none())
        };
        let some_lack = self.facts.values().any(|f| f.node_yaml.is_none() && f.seeded);
        let sure = self.doc.is_none() && self.unseen().is_empty() && made.iter().all(is_fresh);
        if sure && some_lack {
            made.into_iter().map(|(name, _)| *name).collect()
        } else {
            Vec::new()
        }
    }

    /// Connected hosts that have something to do and are not refused.
    #[must_use]
    pub fn busy(&self) -> Vec<&'a str> {
        let works = |name: &&str| {
            self.todos.get(name).is_some_and(|t| t.refused.is_none() && !t.steps.is_empty())
        };
        self.crew.names(self.fleet).into_iter().filter(works).collect()
    }

    /// Gives up hosts whose directory is another's: nothing there is ours to touch.
    pub fn give_up_foreign(&self) {
        for (name, todo) in &self.todos {
            if let Some(why) = &todo.foreign {
                self.crew.give_up(name, refused(name, why));
            }
        }
    }

    /// Hosts whose node runs.
    #[must_use]
    pub fn running(&self) -> Vec<&'a str> {
        let runs = |f: &Facts| matches!(f.service, Service::Running(_));
        self.facts.iter().filter(|(_, facts)| runs(facts)).map(|(name, _)| *name).collect()
    }

    /// Whether the ring of nodes that run answers.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not.
    pub fn answers(&self) -> Result<()> {
        let running = self.running().join(", ");
        if self.doc.is_some() || running.is_empty() || self.keys.is_empty() {
            return Ok(());
        }
        let port = self.home.port();
        Err(Error::Unreachable(format!(
            "{running} run, and no node answers from here at port {port}; nothing was changed."
        ))
        .hint("open that port for this machine, or push from one that reaches it"))
    }

    /// Whether there is nothing to do anywhere.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let settled = self.doc.as_ref().is_some_and(|doc| doc.step == RingStep::Settled);
        settled
            && self
                .hosts
                .iter()
                .all(|h| self.todos.get(h.name.as_str()).is_some_and(Todo::is_empty))
    }

    /// Members that no host of the inventory is for.
    #[must_use]
    pub fn strangers(&self) -> Vec<String> {
        let known = |name: &String| self.fleet.all().any(|h| h.name == *name);
        let members = self.doc.iter().flat_map(RingDoc::present).map(|m| m.name.clone());
        members.filter(|name| !known(name)).collect()
    }

    /// Members whose weight should be another.
    #[must_use]
    pub fn weights(&self) -> Vec<(&'a str, Change)> {
        let weight = |(name, todo): (&&'a str, &Todo)| {
            todo.steps.iter().find_map(|step| match step {
                Step::Weigh(_, to) => Some((*name, Change::Weight((*name).to_owned(), *to))),
                _ => None,
            })
        };
        let weights = self.todos.iter().filter_map(weight);
        weights.filter(|(name, _)| self.crew.is_at_work(name)).collect()
    }

    /// Ends the connections; what came of it.
    #[must_use]
    pub fn ended(self, fault: Option<Error>) -> Report {
        Report::new(&self.hosts, self.crew.ended(), fault)
    }

    /// A host in question.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&'a Host> {
        self.hosts.iter().find(|h| h.name == name).copied()
    }
}

fn is_wished(wish: &Wish, host: &Host) -> bool {
    let named = [&wish.only, &wish.join, &wish.replace];
    wish.only.is_empty() || named.iter().any(|names| names.contains(&host.name))
}

/// Where the node of a host listens, or is reached, before anything is changed there.
fn listens(facts: &Facts) -> Option<String> {
    let config = config::parse::<NodeConfig>(facts.node_yaml.as_deref()?, "node.yaml").ok()?;
    config.advertise.or(config.listen)
}

/// Refuses names that are not in the inventory.
fn named<'n>(fleet: &Fleet, names: impl Iterator<Item = &'n String>) -> Result<()> {
    for name in names {
        if !fleet.all().any(|h| h.name == *name) {
            let known: Vec<_> = fleet.all().map(|h| h.name.as_str()).collect();
            let known = known.join(", ");
            return Err(Error::Usage(format!(
                "There is no host {name} in the inventory; there are {known}. Nothing was done."
            )));
        }
    }
    Ok(())
}

/// The binary of each host, every file read once.
fn releases<'a>(fleet: &'a Fleet, program: &Path) -> Result<BTreeMap<&'a str, Release>> {
    let mut read: BTreeMap<PathBuf, Release> = BTreeMap::new();
    let mut releases = BTreeMap::new();
    for host in fleet.all() {
        let file = match &host.binary {
            Some(file) => file.clone(),
            None => program.to_path_buf(),
        };
        if !read.contains_key(&file) {
            read.insert(file.clone(), Release::read(&file)?);
        }
        releases.insert(host.name.as_str(), read[&file].clone());
    }
    Ok(releases)
}

/// That a host is refused, and why.
pub(super) fn refused(name: &str, why: &str) -> Error {
    let why = why.trim_end_matches('.');
    let whom = if why.starts_with(name) { String::new() } else { format!("{name}: ") };
    Error::Denied(format!("{whom}{why}. Nothing was changed there."))
}

/// What a host can repeat of keys it has, and nobody can turn round.
fn prints(keys: &[Secret]) -> Vec<String> {
    let print = |key: &Secret| {
        let line = key_text(&[*key]);
        let hash = Sha256::digest(line.trim_end().as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    keys.iter().map(print).collect()
}
