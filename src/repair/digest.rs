//! Sums as the files keep them: what a node was told to hold.
//!
//! Caveat: no record is read; a `verify` reads them.

use std::collections::BTreeSet;

use super::reach::opened;
use crate::cluster::Cluster;
use crate::digest::Sum;
use crate::error::Result;
use crate::key::Partition;
use crate::ring::NodeId;

/// One row of a node's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestRow {
    /// The partition; `None` for the whole node.
    pub partition: Option<Partition>,
    /// The leaf; `None` for the whole partition.
    pub leaf: Option<u8>,
    /// Its sum.
    pub sum: Sum,
}

/// A node's digest: of all it owns (depth 0), of each partition (1), of each leaf (2).
///
/// # Errors
/// When the node's file cannot be read, or is not open.
pub fn digest(
    cluster: &Cluster,
    id: NodeId,
    only: Option<Partition>,
    depth: u8,
) -> Result<Vec<DigestRow>> {
    let store = opened(cluster, id)?;
    let doc = cluster.doc();
    let owned: BTreeSet<Partition> = doc.owned(id).into_iter().collect();
    let wanted = |p: &Partition| owned.contains(p) && only.is_none_or(|o| o == *p);
    let sums: std::collections::BTreeMap<_, _> = store.sums()?.into_iter().collect();
    let of = |p: &Partition| sums.get(p).copied().unwrap_or_default();
    let partitions: Vec<Partition> = owned.iter().copied().filter(wanted).collect();
    if depth == 0 {
        let sum = partitions.iter().map(of).sum();
        return Ok(vec![DigestRow { partition: only, leaf: None, sum }]);
    }
    let mut rows = Vec::new();
    for p in partitions {
        if depth == 1 {
            rows.push(DigestRow { partition: Some(p), leaf: None, sum: of(&p) });
            continue;
        }
        let leaves = store.leaves(p)?;
        let filled = leaves.iter().enumerate().filter(|(_, sum)| **sum != Sum::default());
        rows.extend(filled.map(|(leaf, sum)| DigestRow {
            partition: Some(p),
            leaf: Some(leaf as u8),
            sum: *sum,
        }));
    }
    Ok(rows)
}
