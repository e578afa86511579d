//! Looks at a running ring twice, a window apart.
//!
//! ```text
//! loads of all members   …30 s…   loads, states, filling       -> one Sample a member
//! ```
//!
//! It changes nothing. Caveat: the window begins and ends with an answer of each node, so that the
//! windows of two nodes differ by as much as their answers.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::{Condition, Sample, Sight, TooSlow};
use crate::channel::Load;
use crate::cluster::{Cluster, View};
use crate::error::Result;
use crate::os::now;
use crate::push::inventory::{Fleet, Host};
use crate::push::rollout::RingClient;
use crate::ring::{ChangeStep, NodeId, RingDoc};

/// What was seen of a ring.
#[derive(Clone, Debug)]
pub struct Look {
    /// A sample of each member that is not removed, in the order of the ring document.
    pub members: Vec<Sample>,
    /// Why a member told no figures, a sentence each.
    pub silent: Vec<String>,
    hosts: Vec<String>,
    spares: Vec<String>,
    replicas: usize,
    changing: bool,
}

impl Look {
    /// Looks at the ring of a fleet for as long as the window says.
    ///
    /// # Errors
    /// [`crate::error::Error::Unreachable`] when no node answers, and as [`Cluster::open`].
    pub fn at(fleet: &Fleet, window: Duration, timeout: Duration) -> Result<Self> {
        let ring_client = RingClient::new(fleet, &[], timeout);
        let before = ring_client.must_open()?;
        let start = now();
        let (first, mut silent) = loads(&before);
        drop(before);
        thread::sleep(window.saturating_sub(now() - start));
        // Nodes may have come and gone meanwhile.
        let mut target = ring_client.must_open()?;
        let (second, late) = loads(&target);
        silent.extend(late.into_iter().filter(|why| !silent.contains(why)).collect::<Vec<_>>());
        let doc = target.doc();
        let members = samples(&doc, &target.views()?, &first, &second);
        let names = |hosts: &[Host]| hosts.iter().map(|h| h.name.clone()).collect();
        Ok(Self {
            members,
            silent,
            hosts: names(&fleet.hosts),
            spares: names(&fleet.spares),
            replicas: doc.n(),
            changing: doc.step != ChangeStep::Settled,
        })
    }

    /// What a decision is made from.
    #[must_use]
    pub fn sight<'a>(
        &'a self,
        age: Option<Duration>,
        too_slow: &'a [TooSlow],
        failed: &'a [String],
    ) -> Sight<'a> {
        let (replicas, changing) = (self.replicas, self.changing);
        let Self { members, hosts, spares, .. } = self;
        Sight { members, hosts, spares, replicas, changing, age, too_slow, failed }
    }
}

type Loads = BTreeMap<NodeId, Load>;

/// What each node tells, and why some do not.
fn loads(cluster: &Cluster) -> (Loads, Vec<String>) {
    let (mut told, mut silent) = (Loads::new(), Vec::new());
    for (id, load) in cluster.loads(cluster.nodes()) {
        match load {
            Ok(load) => drop(told.insert(id, load)),
            Err(error) => silent.push(error.to_string()),
        }
    }
    (told, silent)
}

fn samples(doc: &RingDoc, views: &[View], first: &Loads, second: &Loads) -> Vec<Sample> {
    let sample = |member: &crate::ring::Member| {
        let view = views.iter().find(|v| v.member.id == member.id);
        let condition = match view.and_then(|v| v.status.as_ref()) {
            None => Condition::Down,
            Some(status) if status.waiting || status.filling > 0 => Condition::Filling,
            Some(_) => Condition::Well,
        };
        let loads = first.get(&member.id).zip(second.get(&member.id));
        let loads = loads.map(|(before, after)| (before.clone(), after.clone()));
        Sample { name: member.name.clone(), condition, loads }
    };
    doc.present().map(sample).collect()
}
