//! Whether copies are equal: by their totals when nothing moves, by a pass when something does.
//!
//! ```text
//! directories    sums of every partition that two nodes share: equal, or these two are apart
//! running nodes  a pass of each node with all others, begun after the question and completed
//! ```
//!
//! Under load totals are never equal for long; a completed pass is what can be asked for. It says
//! that every write of before the question is on every owner. Caveat: neither reads the records; a
//! `verify` does.

use std::collections::BTreeMap;

use super::diff::shared;
use super::digest::digest;
use super::reach::ask;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::key::Partition;
use crate::node::{RepairRequest, Reply, Request};
use crate::ring::NodeId;

/// Pairs of nodes whose copies differ by their sums, and in how many partitions.
///
/// # Errors
/// When a node's file cannot be read.
pub fn apart(cluster: &Cluster) -> Result<Vec<(NodeId, NodeId, usize)>> {
    let mut sums: BTreeMap<NodeId, BTreeMap<Partition, _>> = BTreeMap::new();
    for id in cluster.nodes() {
        let rows = digest(cluster, id, None, 1)?;
        let of_partitions = rows.into_iter().filter_map(|row| Some((row.partition?, row.sum)));
        sums.insert(id, of_partitions.collect());
    }
    let (doc, nodes) = (cluster.doc(), cluster.nodes());
    let mut pairs = Vec::new();
    for (i, a) in nodes.iter().enumerate() {
        for b in &nodes[i + 1..] {
            let differs = |p: &Partition| sums[a].get(p) != sums[b].get(p);
            let differing = shared(&doc, *a, *b).into_iter().filter(differs).count();
            if differing > 0 {
                pairs.push((*a, *b, differing));
            }
        }
    }
    Ok(pairs)
}

/// With whom a pass has to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPeers {
    /// With every member.
    All,
    /// With those that are up.
    Up,
}

/// Has a node sync once with others; what kept this from being complete, or `None`.
///
/// # Errors
/// When the node cannot be asked. What was synced stays so.
pub fn sync_pass(cluster: &mut Cluster, id: NodeId, with: SyncPeers) -> Result<Option<String>> {
    let (doc, request) = (cluster.doc(), Request::Repair(RepairRequest::default()));
    let name = doc.name(id);
    let Some(Reply::Repair(report)) = ask(cluster, id, request)? else {
        return Ok(Some(format!("{name} has failed")));
    };
    let up = cluster.nodes();
    let counts = |peer: &&NodeId| with == SyncPeers::All || up.contains(peer);
    let missed: Vec<_> = report.missed.iter().filter(counts).map(|peer| doc.name(*peer)).collect();
    if !missed.is_empty() {
        return Ok(Some(format!("{name} has not synced with {}", missed.join(", "))));
    }
    let filling = report.filling.len();
    Ok((filling > 0).then(|| format!("{name} is still filling partitions ({filling})")))
}
