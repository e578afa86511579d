//! The ring as it is seen from here, by its nodes' own ports.
//!
//! ```text
//! safe      would every partition keep max(R, W) full copies that answer, without n1?
//! await     n1 answers, the others take it to be up
//! in sync   a pass of n1 with all others, begun after its start, completed
//! equal     partitions without a write since: n1's sums are those of the others
//! ```
//!
//! It changes nothing but membership. Caveat: each look opens the ring anew, for nodes come and go.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::health_checks::{Sums, differing, not_up, short_without};
use crate::cluster::{Access, Cluster, Opening};
use crate::config::{Secret, create_key, fresh_key, read_keys};
use crate::error::{Error, Result};
use crate::key::Q;
use crate::os::{now, random};
use crate::push::inventory::{Fleet, Host};
use crate::push::watch::Watch;
use crate::repair::{SyncPeers, sync_pass};
use crate::ring::{Change, ChangeStep, NodeId, RingDoc, RingId};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// How long something is still waited for after it was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// See the module.
pub struct RingClient<'a> {
    fleet: &'a Fleet,
    /// Hosts that could be reached by SSH: their nodes are asked first.
    reachable_first: Vec<&'a Host>,
    others: Vec<&'a Host>,
    /// Where nodes are that may be told to listen elsewhere soon.
    heard: Vec<String>,
    timeout: Duration,
    watch: Option<&'a dyn Watch>,
}

impl<'a> RingClient<'a> {
    /// The ring of a fleet; `reachable` are hosts that are known to be up.
    #[must_use]
    pub fn new(fleet: &'a Fleet, reachable: &[&str], timeout: Duration) -> Self {
        let is_reachable = |host: &&Host| reachable.contains(&host.name.as_str());
        let (reachable_first, others) = fleet.all().partition(is_reachable);
        Self { fleet, reachable_first, others, heard: Vec::new(), timeout, watch: None }
    }

    /// The same, for a ring some of whose nodes are elsewhere than the inventory says.
    #[must_use]
    pub fn knowing(self, heard: Vec<String>) -> Self {
        Self { heard, ..self }
    }

    /// The same, for one who may want to stop while something is waited for.
    #[must_use]
    pub fn heeding(self, watch: &'a dyn Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// The keys of the ring, none when there is no key file.
    ///
    /// # Errors
    /// As [`read_keys`].
    pub fn keys(&self) -> Result<Vec<Secret>> {
        if self.fleet.key.exists() { read_keys(&self.fleet.key) } else { Ok(Vec::new()) }
    }

    /// Makes the key file of a ring that begins.
    ///
    /// # Errors
    /// As [`create_key`].
    pub fn make_key(&self) -> Result<Vec<Secret>> {
        let key = fresh_key()?;
        create_key(&self.fleet.key, &[key])?;
        Ok(vec![key])
    }

    /// The file they are in.
    #[must_use]
    pub fn key_file(&self) -> &Path {
        &self.fleet.key
    }

    /// The running ring; `None` when there is no key yet, or no node answers.
    ///
    /// # Errors
    /// [`Error::Denied`] when the key is not the ring's.
    pub fn open(&self) -> Result<Option<Cluster>> {
        if !self.fleet.key.exists() {
            return Ok(None);
        }
        match self.must_open() {
            Ok(cluster) => Ok(Some(cluster)),
            Err(error) if matches!(error.root(), Error::Unreachable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The running ring.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when no node answers, and as [`Cluster::open`].
    pub fn must_open(&self) -> Result<Cluster> {
        match self.open_by(&self.reachable_first) {
            Err(error) if matches!(error.root(), Error::Unreachable(_)) => {
                self.open_by(&self.others).map_err(|_| error)
            }
            opened => opened,
        }
    }

    fn open_by(&self, hosts: &[&Host]) -> Result<Cluster> {
        if hosts.is_empty() {
            return Err(Error::Unreachable("No host can be asked for the ring.".into()));
        }
        let mut addresses: Vec<String> = hosts.iter().map(|host| address(host)).collect();
        let elsewhere = self.heard.iter().filter(|at| !addresses.contains(at));
        addresses.extend(elsewhere.cloned().collect::<Vec<_>>());
        Cluster::open(&Opening {
            specs: vec![addresses.join(",")],
            access: Access::Write,
            timeout: self.timeout,
            down: Vec::new(),
            lost: None,
            key_file: Some(self.fleet.key.clone()),
            mixed: false,
            zone: None,
            purpose: "kvs-push".into(),
        })
    }

    /// The first document of a ring of these members.
    ///
    /// # Errors
    /// As [`RingDoc::first`].
    pub fn first(&self, members: Vec<crate::ring::Member>) -> Result<RingDoc> {
        let q = Q::new(self.fleet.partitions)?;
        RingDoc::first(RingId(random()?), q, self.fleet.replicas, members)
    }

    /// Waits until the ring answers; its document.
    ///
    /// # Errors
    /// [`Error::Partial`] when it does not.
    pub fn await_open(&self, patience: Duration) -> Result<RingDoc> {
        let mut doc = None;
        self.until(patience, || {
            doc = Some((*self.must_open()?.doc()).clone());
            Ok(None)
        })?;
        doc.ok_or_else(|| Error::Unreachable("The ring does not answer.".into()))
    }

    /// Waits until a node that is no member yet answers at its address.
    ///
    /// # Errors
    /// [`Error::Partial`] when it does not.
    pub fn await_node(&self, address: &str, id: NodeId, patience: Duration) -> Result<()> {
        self.must_open()?.await_node(address, id, patience)
    }

    /// Where members are, as they say.
    ///
    /// # Errors
    /// As [`RingClient::must_open`].
    pub fn addresses(&self) -> Result<BTreeMap<NodeId, String>> {
        Ok(self.must_open()?.addresses())
    }

    /// Waits until all of these are up, in each other's eyes too.
    ///
    /// # Errors
    /// [`Error::Partial`] naming what is missing when the time is over.
    pub fn await_up(&self, names: &[&str], patience: Duration) -> Result<()> {
        self.until(patience, || {
            let mut cluster = self.must_open()?;
            Ok(names.iter().find_map(|name| not_up(&mut cluster, name)))
        })
    }

    /// The port at which nodes are asked.
    #[must_use]
    pub fn port(&self) -> u16 {
        let first = self.reachable_first.iter().chain(&self.others).next();
        first.map_or(0, |host| host.advertise.unwrap_or(host.listen).port())
    }

    /// Waits until stopping these would leave every partition enough full copies that answer.
    ///
    /// # Errors
    /// [`Error::Denied`] when it does not come to that: how many partitions, and what they would keep.
    pub fn await_safe(&self, names: &[&str], patience: Duration) -> Result<()> {
        let safe = self.until(patience, || short_without(&mut self.must_open()?, names));
        safe.map_err(|error| match error {
            Error::Partial(why) => Error::Denied(format!("{why} {} not stopped.", are(names)))
                .hint("bring back what is down; or accept it: --accept-downtime"),
            error => error,
        })
    }

    /// Waits until a node has completed a pass with all others that are up, begun now.
    ///
    /// # Errors
    /// [`Error::Partial`] with what is missing when the time is over.
    pub fn await_in_sync(&self, name: &str, patience: Duration) -> Result<()> {
        self.until(patience, || {
            let mut cluster = self.must_open()?;
            let id = cluster.doc().named(name)?.id;
            if !cluster.nodes().contains(&id) {
                return Ok(Some(format!("{name} is not up")));
            }
            sync_pass(&mut cluster, id, SyncPeers::Up)
        })
    }

    /// The sums of all nodes, to compare with later.
    ///
    /// # Errors
    /// As [`RingClient::must_open`].
    pub fn sums(&self) -> Result<Sums> {
        let cluster = self.must_open()?;
        let of = |id: NodeId| {
            let sums = cluster.store(id)?.sums().ok()?;
            Some((id, sums.into_iter().collect()))
        };
        Ok(cluster.nodes().into_iter().filter_map(of).collect())
    }

    /// Waits until a node holds what the others do of all that has not been written to since `before`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming how many partitions differ when the time is over.
    pub fn await_equal(&self, name: &str, before: &Sums, patience: Duration) -> Result<()> {
        let equal = self.until(patience, || {
            let cluster = self.must_open()?;
            let doc = cluster.doc();
            let (id, after) = (doc.named(name)?.id, self.sums()?);
            let Some(own) = after.get(&id) else {
                return Ok(Some(format!("{name} does not tell what it holds")));
            };
            let differ = differing(&doc, id, own, before, &after);
            Ok((differ > 0).then(|| {
                format!("{name} differs from the others in {differ} partitions nobody writes to")
            }))
        });
        equal.map_err(|error| match error {
            Error::Partial(why) => Error::Corrupt(why),
            error => error,
        })
    }

    /// Whether these wishes can be granted.
    ///
    /// # Errors
    /// As [`Cluster::admit`].
    pub fn admit(&self, changes: &[Change]) -> Result<()> {
        self.must_open()?.admit(changes, false)
    }

    /// Goes on with a change that is under way, and has these wishes granted.
    ///
    /// # Errors
    /// As [`Cluster::propose`] and [`Cluster::advance`].
    pub fn change(&self, changes: Vec<Change>) -> Result<RingDoc> {
        let mut cluster = self.must_open()?;
        if cluster.doc().step != ChangeStep::Settled {
            cluster.advance()?;
        }
        if !changes.is_empty() {
            cluster.admit(&changes, false)?;
            let plan = cluster.doc().plan_of(changes);
            cluster.propose(&plan)?;
            cluster.advance()?;
        }
        Ok((*cluster.doc()).clone())
    }

    /// Looks until there is nothing missing.
    fn until(
        &self,
        patience: Duration,
        mut look: impl FnMut() -> Result<Option<String>>,
    ) -> Result<()> {
        let (until, mut told): (_, Option<Instant>) = (now() + patience, None);
        loop {
            let missing = match look() {
                Ok(None) => return Ok(()),
                Ok(Some(missing)) => missing,
                Err(error) if is_passing(&error) => error.to_string(),
                Err(error) => return Err(error),
            };
            // What was begun is brought to its end, unless that takes long.
            let stops = self.watch.is_some_and(|watch| watch.stops());
            if stops && now() >= *told.get_or_insert_with(|| now() + GRACE) {
                return Err(Error::Partial(format!(
                    "It was stopped while this was so: {missing}."
                )));
            }
            if now() >= until {
                let s = patience.as_secs();
                return Err(Error::Partial(format!("{missing}, after {s} s.")));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Where a host's node is reached.
#[must_use]
pub fn address(host: &Host) -> String {
    host.advertise.unwrap_or(host.listen).to_string()
}

fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(" and "))
}

/// Whether an error may be gone at the next look: nodes start, stop and are busy.
fn is_passing(error: &Error) -> bool {
    use Error::{Busy, Partial, Refused, Unknown, Unreachable};
    matches!(error.root(), Busy(_) | Partial(_) | Refused(_) | Unknown(_) | Unreachable(_))
}
