//! A fleet made to be what its inventory says.
//!
//! ```text
//! survey ─ lock ─────────┬─ no ring:   identities, document, births, all start
//!                        ├─ silent:    what has a directory starts
//!                        ├─ outside:   birth, start, join
//!                        └─ members:   the first takes its turn, then the rest  roll
//!                        weights ─ prune
//! ```
//!
//! Every step may be repeated: what is done already is seen and left alone, so that a push that was
//! cut off is simply run again. A host that fails stops nobody before the turns begin; in its turn it
//! stops the roll. Caveat: a founder that is late is born filling, for the ring may have been written
//! to meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use super::crew::Ended;
use super::home::address;
use super::plan::{Standing, Step};
use super::roll::{Roll, Turn, stopped};
use super::survey::Survey;
use super::{Far, Host, Watch, plan};
use crate::config::{self, Secret};
use crate::embed::Birth;
use crate::error::{Error, Result};
use crate::ring::{Change, Member, NodeId, RingDoc, State};

/// Releases that are kept on a host.
const KEPT: usize = 3;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Each host in question, what was changed there, how long it took, and why it failed.
    pub hosts: Vec<Row>,
    /// What stopped the whole, if anything did.
    pub fault: Option<Error>,
    /// Something was changed somewhere.
    pub changed: bool,
}

/// One host.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What was changed.
    pub did: Vec<String>,
    /// Why it was given up.
    pub fault: Option<Error>,
    /// How long the work on it took.
    pub took: Duration,
}

impl Report {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.fault.is_none() && self.hosts.iter().all(|h| h.fault.is_none())
    }

    pub(super) fn new(hosts: &[&Host], ended: Ended, fault: Option<Error>) -> Self {
        let Ended { mut faults, mut did, spent } = ended;
        let changed = !did.is_empty();
        let row = |host: &&Host| Row {
            name: host.name.clone(),
            did: did.remove(&host.name).unwrap_or_default(),
            fault: faults.remove(&host.name),
            took: spent.get(&host.name).copied().unwrap_or_default(),
        };
        Self { hosts: hosts.iter().map(row).collect(), fault, changed }
    }
}

/// Makes the fleet what it should be. What a single host fails at is in the report.
#[must_use]
pub fn apply(mut survey: Survey<'_>, watch: &dyn Watch) -> Report {
    refuse(&survey);
    let fault = work(&mut survey, watch).err();
    survey.ended(fault)
}

/// Gives up the hosts that are refused.
fn refuse(survey: &Survey<'_>) {
    for (name, todo) in &survey.todos {
        if let Some(why) = &todo.refused {
            let text = format!("{name}: {why}. Nothing was changed there.");
            survey.crew.give_up(name, Error::Denied(text));
        }
    }
}

fn work(survey: &mut Survey<'_>, watch: &dyn Watch) -> Result<()> {
    let busy = survey.busy();
    if busy.is_empty() {
        return Ok(());
    }
    survey.crew.each(&busy, usize::MAX, |far| far.lock(&owner()));
    // Whoever had the lock before us may have changed things.
    survey.again(&busy)?;
    refuse(survey);
    let job = Job { survey, watch };
    job.survey.crew.alive(|| job.go_on())
}

/// Who we are, for whoever meets our lock.
pub(super) fn owner() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{} (process {})", host.trim(), std::process::id())
}

/// Hosts are staged; what is left is to make them what they should be.
struct Job<'j, 'a> {
    survey: &'j Survey<'a>,
    watch: &'j dyn Watch,
}

impl<'a> Job<'_, 'a> {
    /// The hosts that have something to do, as far as they are still at work.
    fn busy(&self) -> Vec<&'a str> {
        self.survey.busy()
    }

    /// Brings each host its release. Nothing that runs is touched.
    fn stage(&self, names: &[&'a str]) -> Result<()> {
        let survey = self.survey;
        let staged = survey.crew.each(names, survey.fleet.rollout.uploads, |far| {
            let release = &survey.releases[far.host.name.as_str()];
            survey.crew.begins(&far.host.name, "staging");
            far.stage(release, self.watch)
        });
        for (name, version) in staged {
            if survey.todos[name].has(|s| matches!(s, Step::Bring(..))) {
                survey.crew.did(name, format!("uploaded {version}"));
            }
        }
        self.go_ahead()
    }

    /// Stops between two hosts when it is told to.
    fn go_ahead(&self) -> Result<()> {
        if self.survey.crew.stops() { Err(stopped()) } else { Ok(()) }
    }

    fn go_on(&self) -> Result<()> {
        let survey = self.survey;
        let doc = match &survey.doc {
            Some(doc) => doc.clone(),
            None => {
                self.stage(&self.busy())?;
                if survey.facts.values().any(|f| f.node_yaml.is_some()) {
                    self.wake()?;
                } else {
                    self.found()?;
                }
                self.go_ahead()?;
                self.awaited()?
            }
        };
        self.join(&doc)?;
        self.go_ahead()?;
        self.turns()?;
        let weights = survey.weights();
        if !weights.is_empty() {
            survey.home.change(weights)?;
        }
        survey.crew.each(&self.busy(), usize::MAX, |far| far.prune(KEPT));
        Ok(())
    }

    /// Makes a ring of all hosts that are staged.
    fn found(&self) -> Result<()> {
        let survey = self.survey;
        let names = self.busy();
        let replicas = usize::from(survey.fleet.replicas);
        if names.len() < replicas {
            return Err(Error::Denied(format!(
                "A ring of {replicas} replicas needs as many hosts, and {} can be used; no ring was \
                 made.",
                names.len()
            ))
            .hint("mend the hosts that failed, then run it again"));
        }
        let unseen = survey.unseen().join(", ");
        if !survey.keys.is_empty() && !unseen.is_empty() {
            let key = survey.home.key_file().display();
            return Err(Error::Denied(format!(
                "{key} is there, so there may be a ring, and it may be on {unseen}, not looked at; no \
                 second one was made."
            ))
            .hint(format!("bring them back; if there never was a ring, move {key} away")));
        }
        let keys = match &survey.keys[..] {
            [] => survey.home.make_key()?,
            keys => keys.to_vec(),
        };
        let ids = self.identities(&names)?;
        let members = ids.iter().filter_map(|(name, key)| self.member(name, *key, State::Normal));
        let doc = survey.home.first(members.collect())?;
        let names: Vec<_> = ids.keys().copied().collect();
        let addresses = self.addresses_of(&doc);
        self.born(&names, &keys, &doc, &addresses, true);
        let started = self.start_all(&names);
        survey.home.await_up(&started, survey.fleet.rollout.ready_timeout)?;
        started.iter().for_each(|name| survey.crew.did(name, "founded the ring"));
        Ok(())
    }

    /// Starts every node that has a directory, of a ring that does not run.
    fn wake(&self) -> Result<()> {
        let survey = self.survey;
        let has_dir = |name: &&str| survey.facts[name].node_yaml.is_some();
        let names: Vec<_> = self.busy().into_iter().filter(has_dir).collect();
        for name in self.start_all(&names) {
            survey.crew.did(name, "started");
        }
        Ok(())
    }

    /// The document of a ring that is about to answer.
    fn awaited(&self) -> Result<RingDoc> {
        let patience = self.survey.fleet.rollout.ready_timeout;
        self.survey.home.await_open(patience)
    }

    /// Takes in hosts that are no members yet, and founders that were never made.
    fn join(&self, doc: &RingDoc) -> Result<()> {
        let survey = self.survey;
        let lacks = |name: &&str| {
            survey.facts[name].node_yaml.is_none() || !doc.present().any(|m| m.name == **name)
        };
        let founded = survey.doc.is_none() && survey.facts.values().all(|f| f.node_yaml.is_none());
        let names: Vec<_> = self.busy().into_iter().filter(lacks).collect();
        if names.is_empty() || founded {
            return Ok(());
        }
        self.stage(&names)?;
        let ids = self.identities_for(&names, doc)?;
        let names: Vec<_> = ids.keys().copied().collect();
        let addresses = survey.home.addresses()?;
        self.born(&names, &survey.keys, doc, &addresses, false);
        let started = self.start_all(&names);
        let mut changes = Vec::new();
        for name in &started {
            let member = self.member(name, ids[name], State::Joining);
            let Some(member) = member else { continue };
            survey.crew.begins(name, "joining");
            let host = survey.host(name).map(address).unwrap_or_default();
            survey.home.await_node(&host, member.id, survey.fleet.rollout.ready_timeout)?;
            if doc.member(member.id).is_none() {
                let replaces = survey.wish.replace.iter().any(|lost| lost == name);
                changes.push(if replaces { Change::Replace(member) } else { Change::Join(member) });
            }
        }
        survey.home.change(changes)?;
        for name in started {
            survey.home.await_up(&[name], survey.fleet.rollout.ready_timeout)?;
            survey.home.await_in_sync(name, survey.fleet.rollout.sync_timeout)?;
            survey.crew.did(name, "joined the ring");
        }
        Ok(())
    }

    /// Members whose node is to be started anew, or at all.
    fn turns(&self) -> Result<()> {
        let survey = self.survey;
        let is_member = |name: &&str| {
            survey.doc.is_some()
                && matches!(self.standing(name), Some(Standing::Member(_)))
                && survey.facts[name].node_yaml.is_some()
        };
        let moves =
            |name: &&str| survey.todos[name].has(|s| matches!(s, Step::Restart | Step::Start));
        let names: Vec<_> = self.busy().into_iter().filter(is_member).filter(moves).collect();
        let (first, rest) = names.split_at(names.len().min(1));
        // A release that is no good shows itself on the first host, and no other ever has it.
        self.turns_of(first)?;
        self.turns_of(rest)
    }

    fn turns_of(&self, names: &[&'a str]) -> Result<()> {
        let survey = self.survey;
        self.stage(names)?;
        let turn = |name: &&'a str| Turn {
            name,
            before: survey.facts[name].clone(),
            release: survey.releases[name].id.clone(),
        };
        let staged = names.iter().filter(|name| survey.crew.is_at_work(name));
        self.roll().all(staged.map(turn).collect())
    }

    fn roll(&self) -> Roll<'_, 'a> {
        Roll {
            crew: &self.survey.crew,
            home: &self.survey.home,
            rules: &self.survey.fleet.rollout,
            accept_downtime: self.survey.wish.accept_downtime,
        }
    }

    fn standing(&self, name: &str) -> Option<Standing> {
        Some(self.survey.standing(self.survey.host(name)?))
    }

    fn member(&self, name: &str, key: [u8; 32], state: State) -> Option<Member> {
        let host = self.survey.host(name)?;
        Some(Member {
            id: NodeId::of_key(&key),
            name: host.name.clone(),
            zone: host.zone.clone(),
            weight: host.weight,
            state,
            public_key: key,
        })
    }

    fn addresses_of(&self, doc: &RingDoc) -> BTreeMap<NodeId, String> {
        let of = |m: &Member| Some((m.id, address(self.survey.host(&m.name)?)));
        doc.present().filter_map(of).collect()
    }

    /// The public key of each node that is to be.
    fn identities(&self, names: &[&'a str]) -> Result<BTreeMap<&'a str, [u8; 32]>> {
        let survey = self.survey;
        let read = survey.crew.each(names, usize::MAX, |far| {
            let release = &survey.releases[far.host.name.as_str()].id;
            let text = far.identity(release)?;
            let bytes = blake3::Hash::from_hex(text.trim());
            bytes.map(|hash| *hash.as_bytes()).map_err(|_| {
                Error::Denied(format!("{} told no public key; no node was made.", far.host.name))
            })
        });
        self.go_ahead()?;
        Ok(read.into_iter().collect())
    }

    /// The same, where a directory of a member that was removed makes way for a new one.
    fn identities_for(
        &self,
        names: &[&'a str],
        doc: &RingDoc,
    ) -> Result<BTreeMap<&'a str, [u8; 32]>> {
        let ids = self.identities(names)?;
        let removed = |key: &[u8; 32]| {
            doc.member(NodeId::of_key(key)).is_some_and(|m| m.state == State::Removed)
        };
        let gone: Vec<_> = ids.iter().filter(|(_, k)| removed(k)).map(|(n, _)| *n).collect();
        if gone.is_empty() {
            return Ok(ids);
        }
        let survey = self.survey;
        survey
            .crew
            .each(&gone, usize::MAX, |far| far.forget(&survey.facts[far.host.name.as_str()]));
        self.identities(names)
    }

    /// Has each host make its node's directory.
    fn born(
        &self,
        names: &[&'a str],
        keys: &[Secret],
        doc: &RingDoc,
        addresses: &BTreeMap<NodeId, String>,
        founder: bool,
    ) {
        let survey = self.survey;
        survey.crew.each(names, usize::MAX, |far| {
            let birth = Birth::new(plan::wanted(far.host), keys, doc, addresses, founder);
            far.make(&survey.releases[far.host.name.as_str()].id, &birth.text()?)
        });
    }

    /// Sets up and starts the service on each host that is still at work; those that run.
    fn start_all(&self, names: &[&'a str]) -> Vec<&'a str> {
        let survey = self.survey;
        let patience = survey.fleet.rollout.ready_timeout;
        let started = survey.crew.each(names, usize::MAX, |far| {
            let name = far.host.name.as_str();
            let before = &survey.facts[name];
            survey.crew.begins(name, "starting");
            let started = start(far, before, &survey.releases[name].id, patience);
            started.inspect_err(|_| {
                // The fault that stopped us is the one to report.
                drop(far.restore(before, patience));
            })
        });
        started.into_iter().map(|(name, ())| name).collect()
    }
}

fn start(
    far: &mut Far<'_>,
    before: &super::Facts,
    release: &str,
    patience: Duration,
) -> Result<()> {
    far.configure(before, &config::text(&plan::wanted(far.host))?)?;
    if before.current.as_deref() != Some(release) {
        far.switch(release)?;
    }
    far.start(before, patience)
}
