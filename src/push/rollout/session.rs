//! One run: its connections, the ring as seen from here, the newest facts and the plan they lead to.
//!
//! ```text
//! connect ── look ──> FleetFacts ──> Plan          the plan is worked out, never changed
//!              ^                      |
//!              └──── look again ──────┘             a new value of both
//! ```
//!
//! `check`, `plan`, `status` and `apply` begin with it. A look changes nothing anywhere but, with
//! `accept-new`, the file of known hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::host_pool::{Connect, HostPool};
use super::report::RolloutReport;
use super::ring_client::RingClient;
use crate::config::{self, NodeConfig};
use crate::error::{Error, Result};
use crate::push::inventory::{Fleet, Host};
use crate::push::plan::{ApplyOptions, FleetFacts, HostFacts, HostUpgrade, Plan, foreign, prints};
use crate::push::remote::{Facts, Release, RemoteHost};
use crate::push::watch::Watch;
use crate::ring::ChangeStep as RingStep;

/// See the module.
pub struct PushSession<'a> {
    /// What should be.
    pub fleet: &'a Fleet,
    /// What is asked for.
    pub options: ApplyOptions,
    /// The connections.
    pub pool: HostPool<'a>,
    /// The ring, as it is seen from here.
    pub ring_client: RingClient<'a>,
    /// What each host should run.
    pub releases: BTreeMap<&'a str, Release>,
    /// What the newest look has found.
    pub facts: FleetFacts<'a>,
    /// What it leads to.
    pub plan: Plan<'a>,
}

impl<'a> PushSession<'a> {
    /// Connects to the hosts, looks at them and the ring, and works out what there is to do.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown host or a binary that is none; as
    /// [`crate::cluster::Cluster::open`]. What is wrong with a single host is that host's fault, in the
    /// pool.
    pub fn begin(
        fleet: &'a Fleet,
        options: ApplyOptions,
        connect: &Connect<'a>,
        watch: &'a dyn Watch,
    ) -> Result<Self> {
        let releases = releases(fleet, &options.program)?;
        known(fleet, options.only.iter().chain(&options.join).chain(&options.replace))?;
        let hosts: Vec<&Host> = fleet.all().filter(|h| options.names(h)).collect();
        let locks = fleet.lock_hosts().iter().filter(|h| !hosts.iter().any(|a| a.name == h.name));
        let all: Vec<&Host> = hosts.iter().copied().chain(locks).collect();
        let pool = HostPool::connect_all(&all, connect, watch);
        let found: BTreeMap<_, _> =
            pool.each(&pool.names(fleet), usize::MAX, RemoteHost::facts).into_iter().collect();
        let (reachable, heard) = (pool.names(fleet), found.values().filter_map(listens).collect());
        let ring_client =
            RingClient::new(fleet, &reachable, options.timeout).knowing(heard).heeding(watch);
        let facts = look_at_ring(&ring_client, found)?.without_strangers(fleet, &options);
        let plan = Plan::of(fleet, &options, &releases, &facts);
        Ok(Self { fleet, options, pool, ring_client, releases, facts, plan })
    }

    /// Looks again at hosts that somebody may have changed meanwhile, and at the ring; plans anew.
    ///
    /// # Errors
    /// As [`crate::cluster::Cluster::open`]; facts and plan are as before then.
    pub fn look_again(&mut self, names: &[&'a str]) -> Result<()> {
        let mut hosts = self.facts.hosts.clone();
        hosts.extend(self.pool.each(names, usize::MAX, RemoteHost::facts));
        self.facts = look_at_ring(&self.ring_client, hosts)?;
        self.plan = Plan::of(self.fleet, &self.options, &self.releases, &self.facts);
        Ok(())
    }

    /// All that is known of a host in question.
    fn host_facts<T>(&self, host: &Host, then: impl FnOnce(HostFacts<'_>) -> T) -> Option<T> {
        let facts = self.facts.hosts.get(host.name.as_str())?;
        let membership = self.facts.membership(host, &self.options);
        let up = self.facts.up.contains(&host.name);
        Some(then(HostFacts { host, facts, membership: &membership, up }))
    }

    /// What it takes to stop a host's node and start it with this release.
    pub(super) fn upgrade(&self, host: &Host, release: &str) -> Option<HostUpgrade> {
        self.host_facts(host, |seen| HostUpgrade::of(&seen, release).stopping())
    }

    /// Takes spares that are no members in, as far as what is there is ours: all of it is to go.
    pub(super) fn take_in_spares(&mut self) {
        let prints = prints(&self.facts.keys);
        for host in &self.fleet.spares {
            let foreign = self.host_facts(host, |seen| foreign(&seen, &prints));
            if foreign == Some(None) && self.host(&host.name).is_none() {
                self.plan.hosts.push(host);
            }
        }
    }

    /// Connected hosts that have something to do and are not refused.
    #[must_use]
    pub fn busy(&self) -> Vec<&'a str> {
        let busy = self.plan.busy();
        busy.into_iter().filter(|name| self.pool.is_at_work(name)).collect()
    }

    /// Gives up the hosts that are refused.
    pub(super) fn give_up_refused(&self) {
        for (name, verdict) in &self.plan.verdicts {
            if let Some(why) = &verdict.refused {
                self.pool.give_up(name, refused(name, why));
            }
        }
    }

    /// Gives up hosts whose directory is another's: nothing there is ours to touch.
    pub(super) fn give_up_foreign(&self) {
        for (name, verdict) in &self.plan.verdicts {
            if let Some(why) = &verdict.foreign {
                self.pool.give_up(name, refused(name, why));
            }
        }
    }

    /// Whether the ring of nodes that run answers.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when it does not.
    pub fn answers(&self) -> Result<()> {
        let running = self.facts.running().join(", ");
        if self.facts.doc.is_some() || running.is_empty() || self.facts.keys.is_empty() {
            return Ok(());
        }
        let port = self.ring_client.port();
        Err(Error::Unreachable(format!(
            "{running} run, and no node answers from here at port {port}; nothing was changed."
        ))
        .hint("open that port for this machine, or push from one that reaches it"))
    }

    /// Whether there is nothing to do anywhere.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let settled = self.facts.doc.as_ref().is_some_and(|doc| doc.step == RingStep::Settled);
        settled && self.plan.hosts.iter().all(|host| self.plan.is_done(&host.name))
    }

    /// Members that no host of the inventory is for.
    #[must_use]
    pub fn strangers(&self) -> Vec<String> {
        self.facts.strangers(self.fleet)
    }

    /// Ends the connections; what came of it.
    #[must_use]
    pub fn ended(self, fault: Option<Error>) -> RolloutReport {
        RolloutReport::new(&self.plan.hosts, self.pool.ended(), fault)
    }

    /// A host in question.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&'a Host> {
        self.plan.hosts.iter().find(|h| h.name == name).copied()
    }
}

/// Asks the ring for its document and its members, beside what was found of the hosts.
fn look_at_ring<'a>(
    ring_client: &RingClient<'_>,
    hosts: BTreeMap<&'a str, Facts>,
) -> Result<FleetFacts<'a>> {
    let keys = ring_client.keys()?;
    let (doc, views) = match ring_client.open()? {
        Some(mut target) => (Some((*target.doc()).clone()), target.views()?),
        None => (None, Vec::new()),
    };
    let is_up = |view: &&crate::cluster::View| view.status.as_ref().is_some_and(|s| !s.waiting);
    let up = views.iter().filter(is_up).map(|view| view.member.name.clone()).collect();
    Ok(FleetFacts { hosts, keys, doc, views, up })
}

/// Where the node of a host listens, or is reached, before anything is changed there.
fn listens(facts: &Facts) -> Option<String> {
    let config = config::parse::<NodeConfig>(facts.node_yaml.as_deref()?, "node.yaml").ok()?;
    config.advertise.or(config.listen)
}

/// Refuses names that are not in the inventory.
fn known<'n>(fleet: &Fleet, names: impl Iterator<Item = &'n String>) -> Result<()> {
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
fn refused(name: &str, why: &str) -> Error {
    let why = why.trim_end_matches('.');
    let whom = if why.starts_with(name) { String::new() } else { format!("{name}: ") };
    Error::Denied(format!("{whom}{why}. Nothing was changed there."))
}
