//! Whom an operation asks: owners that can be reached, and fallbacks for those that cannot.
//!
//! ```text
//! candidates   of a write: who may coordinate it     refuses   why this node does not
//! targets      whom the coordinator sends it to      readers   whom a read asks
//! ```

use std::collections::VecDeque;

use crate::key::Partition;
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::quorum::{Options, PutRequest};
use crate::ring::{NodeId, RingDoc};

/// Live owners in the order they are asked to coordinate; of a local quorum those of its zone.
pub(in crate::node) fn candidates(node: &Replica, request: &PutRequest) -> VecDeque<NodeId> {
    let options = &request.options;
    let fits = |id: &NodeId| {
        let zone = node.doc.member(*id).map(|m| &m.zone);
        node.is_up(*id) && (!options.is_local() || zone == options.zone.as_ref())
    };
    node.doc.writers(request.partition).into_iter().filter(fits).collect()
}

/// Why a write is not coordinated here, if it is not; nothing was applied.
pub(in crate::node) fn refuses(node: &Replica, request: &PutRequest) -> Option<&'static str> {
    let p = request.partition;
    if node.resting {
        return Some("it accepts no more requests");
    }
    if node.identity.is_waiting() || !node.is_full(p) {
        let owns = node.doc.owns(node.id, p);
        return Some(if owns { "its copy is still filling" } else { "not an owner" });
    }
    (request.options.timeout_ms == 0).then_some("it came too late")
}

/// Live owners other than this node, the first M with `-n M`, and live fallbacks in order.
pub(in crate::node) fn targets(
    node: &Replica,
    doc: &RingDoc,
    request: &PutRequest,
) -> (Vec<NodeId>, VecDeque<NodeId>) {
    let writers = doc.writers(request.partition);
    let mut targets: Vec<_> =
        writers.iter().filter(|o| **o != node.id && node.is_up(**o)).copied().collect();
    if planted::is(Bug::SkipOlderLayout) {
        let newer = doc.owners_in(&doc.layout, request.partition);
        targets.retain(|o| newer.contains(o));
    }
    if let Some(m) = request.options.n {
        targets.truncate(usize::from(m).saturating_sub(1));
    }
    let spare =
        |id: &NodeId| !writers.contains(id) && node.alive.contains(id) && !node.is_going(*id);
    let preference = doc.preference(request.partition);
    let fallbacks = preference.into_iter().filter(spare).collect();
    (targets, if request.is_strict() { VecDeque::new() } else { fallbacks })
}

/// Whom a read of a partition asks: owners, the first M with `-n M`, and fallbacks when some are down.
pub(in crate::node) fn readers(node: &Replica, p: Partition, options: &Options) -> Vec<NodeId> {
    let writers = node.doc.writers(p);
    let mut asked = writers.clone();
    if !options.strict || planted::is(Bug::SkipOlderLayout) {
        let readers = node.doc.owners_in(node.doc.read_layout(), p);
        asked.retain(|o| readers.contains(o));
    }
    let wanted = asked.len();
    asked.retain(|o| node.is_up(*o));
    let down = wanted - asked.len();
    match options.n {
        Some(m) => asked.truncate(usize::from(m)),
        None if down > 0 => {
            let spare = |id: &NodeId| !writers.contains(id) && node.is_up(*id);
            asked.extend(node.doc.preference(p).into_iter().filter(spare).take(node.doc.n()));
        }
        None => {}
    }
    asked
}
