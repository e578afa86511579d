//! What is wrong with copies, as far as their files tell: losses, bad keys, hints, sums that differ.
//!
//! ```text
//! doubts   one node: what its file has in mind, and of a file that nobody serves what an audit finds
//! apart    two owners whose sums of a partition differ and stay as they are: nobody writes there
//! ```
//!
//! A repair ends here, and only what is found here decides whether it is complete. Caveat: an audit
//! reads keys and terms; rot in values shows when they are read (`verify`).

use std::collections::{BTreeMap, BTreeSet};

use super::diff::shared;
use super::reach::opened;
use crate::cluster::Cluster;
use crate::digest::Sum;
use crate::error::{Error, Result};
use crate::key::Partition;
use crate::ring::{NodeId, RingDoc};
use crate::store::verify::audit;
use crate::store::{BadHints, Loss, Store, Table};

/// How often what differs is looked at again.
const LOOKS: usize = 3;

/// Something wrong with a node's copy of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The partition.
    pub partition: Partition,
    /// What it is, the end of a sentence that begins with the partition.
    pub why: String,
}

/// What is wrong with a node's copies of some partitions, or of all it owns.
///
/// # Errors
/// When the node is not open or cannot be asked. A table that cannot be read is a doubt.
pub fn doubts(cluster: &Cluster, id: NodeId, only: Option<&[Partition]>) -> Result<Vec<Doubt>> {
    let store = opened(cluster, id)?;
    let partitions = only.map_or_else(|| cluster.doc().owned(id), <[_]>::to_vec);
    let mut found = Vec::new();
    for (partition, loss) in losses(store)? {
        if partitions.contains(&partition) {
            found.push(Doubt { partition, why: describe(loss) });
        }
    }
    let mut bad: BTreeMap<Partition, usize> = BTreeMap::new();
    for (p, _) in store.bad()?.iter().filter(|b| partitions.contains(&b.0)) {
        *bad.entry(*p).or_default() += 1;
    }
    let listed = |(partition, n): (Partition, usize)| Doubt {
        partition,
        why: format!("holds damaged records ({n})"),
    };
    found.extend(bad.into_iter().map(listed));
    if !cluster.runs(id) {
        found.extend(partitions.into_iter().filter_map(|p| audited(store, p)));
    }
    Ok(found)
}

/// Why the file of an open node must not be written to, if so. A file that nobody serves is read as a
/// whole; a running node looks at what all else hangs on, and at the rest by and by.
#[must_use]
pub fn unsound(cluster: &Cluster, id: NodeId) -> Option<Error> {
    let store = cluster.store(id)?;
    let runs = cluster.runs(id);
    let whole = |()| if runs { Ok(()) } else { store.structure() };
    // One that has gone meanwhile is told of elsewhere.
    store.base().and_then(whole).err().filter(|error| !runs || is_damage(error))
}

/// Whether it is the file that is wrong, and not the way to it.
pub(super) fn is_damage(error: &Error) -> bool {
    matches!(error.root(), Error::Corrupt(_))
}

/// Whether the file of a node that nobody serves can be read, and is what its digests say.
pub(super) fn is_sound(cluster: &Cluster, id: NodeId) -> Result<bool> {
    let store = opened(cluster, id)?;
    let owned = cluster.doc().owned(id);
    Ok(cluster.runs(id) || owned.into_iter().all(|p| audited(store, p).is_none()))
}

/// What an audit finds wrong with a partition.
fn audited(store: &dyn Store, partition: Partition) -> Option<Doubt> {
    let why = match audit(store, partition) {
        Ok(verdict) if verdict.is_good() => return None,
        Ok(_) => "does not match its digest: records are lost or damaged".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    Some(Doubt { partition, why })
}

/// A loss, the end of a sentence that begins with the partition.
#[must_use]
pub fn describe(loss: Loss) -> String {
    match loss.records() {
        0 => "may have lost records".to_owned(),
        1 => "has lost 1 record".to_owned(),
        n => format!("has lost {n} records"),
    }
}

/// The losses that a node's file has in mind.
///
/// # Errors
/// When they cannot be read.
pub fn losses(store: &dyn Store) -> Result<Vec<(Partition, Loss)>> {
    let rows = store.rows(Table::Meta, Loss::PREFIX)?.into_iter();
    let read = |(name, bytes): (String, Vec<u8>)| {
        Some((Loss::partition(&name)?, Loss::from_bytes(&bytes).unwrap_or_default()))
    };
    Ok(rows.filter_map(read).collect())
}

/// Two owners of a partition, and their sums of it.
pub(super) type Apart = BTreeMap<(NodeId, NodeId, Partition), (Sum, Sum)>;

/// The owners whose sums differ now, in the partitions wanted.
pub(super) fn differing(cluster: &Cluster, only: Option<&[Partition]>) -> Result<Apart> {
    let mut sums: BTreeMap<NodeId, BTreeMap<Partition, Sum>> = BTreeMap::new();
    for (id, read) in cluster.gather(|store| store.sums()) {
        sums.insert(id, read?.into_iter().collect());
    }
    let (doc, nodes) = (cluster.doc(), cluster.nodes());
    let mut apart = Apart::new();
    for (i, a) in nodes.iter().enumerate() {
        for b in &nodes[i + 1..] {
            let (Some(of_a), Some(of_b)) = (sums.get(a), sums.get(b)) else { continue };
            for p in shared(&doc, *a, *b) {
                let pair = [of_a, of_b].map(|of| of.get(&p).copied().unwrap_or_default());
                if pair[0] != pair[1] && only.is_none_or(|only| only.contains(&p)) {
                    apart.insert((*a, *b, p), (pair[0], pair[1]));
                }
            }
        }
    }
    Ok(apart)
}

/// Two nodes whose sums differ and stay as they are while `pause` lets time pass, and in how many
/// partitions. What is being written to differs for a moment, and is left out.
///
/// # Errors
/// When a node's sums cannot be read.
pub fn apart_still(
    cluster: &Cluster,
    pause: &mut dyn FnMut(),
) -> Result<Vec<(NodeId, NodeId, usize)>> {
    let mut apart = differing(cluster, None)?;
    for _ in 0..LOOKS {
        if apart.is_empty() {
            break;
        }
        pause();
        apart = unmoved(&apart, &differing(cluster, None)?);
    }
    Ok(pairs(&cluster.doc(), &apart))
}

/// How many partitions each two owners differ in, in the order of the ring document.
pub(super) fn pairs(doc: &RingDoc, apart: &Apart) -> Vec<(NodeId, NodeId, usize)> {
    let place = |id: NodeId| doc.members.iter().position(|m| m.id == id);
    let mut pairs: BTreeMap<_, (NodeId, NodeId, usize)> = BTreeMap::new();
    for (a, b, _) in apart.keys() {
        let (a, b) = if place(*a) <= place(*b) { (*a, *b) } else { (*b, *a) };
        pairs.entry((place(a), place(b))).or_insert((a, b, 0)).2 += 1;
    }
    pairs.into_values().collect()
}

/// Those that differ exactly as they did before: nobody writes there.
pub(super) fn unmoved(before: &Apart, now: &Apart) -> Apart {
    let same = now.iter().filter(|(at, sums)| before.get(*at) == Some(*sums));
    same.map(|(at, sums)| (*at, *sums)).collect()
}

/// The partitions that two owners differ in.
pub(super) fn partitions(apart: &Apart) -> Vec<Partition> {
    apart.keys().map(|at| at.2).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The damaged and lost hints of every open node that has any.
///
/// # Errors
/// When a node's hints cannot be read.
pub fn bad_hints(cluster: &Cluster) -> Result<Vec<(NodeId, BadHints)>> {
    let mut found = Vec::new();
    for (id, read) in cluster.gather(|store| store.bad_hints()) {
        found.push((id, read?));
    }
    found.retain(|(_, hints)| !hints.is_empty());
    Ok(found)
}

/// The open nodes whose hints cannot all be read, and why: nobody knows how many are left there.
#[must_use]
pub fn unread_hints(cluster: &Cluster) -> Vec<(NodeId, Error)> {
    let counted = cluster.gather(|store| store.hint_stats()).into_iter();
    counted.filter_map(|(id, stats)| Some((id, stats.err()?))).collect()
}
