//! What must hold before a node is stopped, and after it was started.
//!
//! ```text
//! up          it answers and has heard the others, and they it
//! safe        without it every partition keeps max(R, W) full copies that answer
//! equal       n1  5 7 3      partitions without a write since, whose other owners
//!             n2  5 9 3      agree: n1 holds the same as they do
//!             n3  5 8 3
//! ```
//!
//! It waits for nothing ([`super::ring_client`] does). Caveat: a partition that is written to all the
//! time is never compared; that a pass was completed has to be enough.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::digest::Sum;
use crate::error::{Error, Result};
use crate::key::Partition;
use crate::ring::{ChangeStep, NodeId, RingDoc};

/// Sums of every partition of every node that answers.
pub(super) type Sums = BTreeMap<NodeId, BTreeMap<Partition, Sum>>;

/// Why a member is not up, if so.
pub(super) fn not_up(cluster: &mut Cluster, name: &str) -> Option<String> {
    let doc = cluster.doc();
    let Some(id) = doc.present().find(|m| m.name == name).map(|m| m.id) else {
        return Some(format!("{name} is no member"));
    };
    match cluster.info(id) {
        Ok(info) if info.waiting => return Some(format!("{name} has not heard the others yet")),
        Ok(_) => {}
        Err(error) => return Some(error.to_string()),
    }
    for other in cluster.nodes() {
        let Ok(news) = cluster.news(other) else { continue };
        if !news.iter().any(|n| n.row.id == id && n.up) && other != id {
            return Some(format!("{} does not take {name} to be up", doc.name(other)));
        }
    }
    None
}

/// What stopping these would cost, if it is too much.
pub(super) fn short_without(cluster: &mut Cluster, names: &[&str]) -> Result<Option<String>> {
    let doc = cluster.doc();
    if doc.step != ChangeStep::Settled {
        return Ok(Some(format!("A change of the ring is under way, at step {}", doc.step)));
    }
    let mut gone = Vec::new();
    for name in names {
        gone.push(doc.named(name)?.id);
    }
    let need = doc.majority(); // the ring's own R and W
    let copies = cluster.full_copies(&gone);
    let short: Vec<_> = copies.values().filter(|copies| **copies < need).collect();
    let Some(least) = short.iter().min() else { return Ok(None) };
    let (count, least, names) = (short.len(), **least, names.join(" and "));
    let why = format!(
        "Without {names} {count} partitions would keep fewer than the {need} full copies that reads \
         and writes need, some only {least}"
    );
    // With everything well it will never be otherwise.
    let whole = cluster.full_copies(&[]).values().all(|copies| *copies == doc.n());
    if whole {
        return Err(Error::Denied(format!("{why}. Nothing was stopped."))
            .hint("accept it: --accept-downtime"));
    }
    Ok(Some(why))
}

/// Partitions of a node without a recent write whose content differs from the other copies.
pub(super) fn differing(
    doc: &RingDoc,
    id: NodeId,
    own: &BTreeMap<Partition, Sum>,
    before: &Sums,
    after: &Sums,
) -> usize {
    let differs = |p: &Partition| {
        let owners = doc.owners_in(doc.read_layout(), *p);
        let others: Vec<_> = owners.iter().filter(|o| **o != id).collect();
        let quiet = others.iter().all(|o| match (before.get(o), after.get(o)) {
            (Some(was), Some(is)) => was.get(p) == is.get(p),
            _ => false,
        });
        let Some(first) = others.first().filter(|_| quiet) else { return false };
        let theirs = after[*first].get(p);
        let agreed = others.iter().all(|o| after[*o].get(p) == theirs);
        agreed && own.get(p) != theirs
    };
    doc.owned(id).iter().filter(|p| differs(p)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Q;
    use crate::ring::{Member, MemberState, RingId};

    fn doc() -> RingDoc {
        let member = |n: u64| Member {
            id: NodeId(n),
            name: format!("n{n}"),
            zone: "a".into(),
            weight: 1,
            state: MemberState::Normal,
            public_key: [0; 32],
        };
        RingDoc::first(RingId(1), Q::new(8).unwrap(), 3, (1..=3).map(member).collect()).unwrap()
    }

    /// Every node holds so many records in every partition.
    fn sums(counts: [u64; 3]) -> Sums {
        let of = |count| {
            let sum = Sum { count, ..Sum::default() };
            (0..8).map(|p| (Partition(p), sum)).collect()
        };
        (1..).map(NodeId).zip(counts.map(of)).collect()
    }

    /// Only what is not written to is compared, and only with what the others agree on.
    #[test]
    fn a_node_is_compared_where_nothing_moves() {
        for (before, after, differ) in [
            ([5, 5, 5], [5, 5, 5], 0),
            ([5, 5, 5], [4, 5, 5], 8),
            // What it was before it stopped does not count: others may have gone on meanwhile.
            ([4, 5, 5], [5, 5, 5], 0),
            // Written to since.
            ([5, 5, 5], [5, 6, 6], 0),
            // The others differ themselves.
            ([5, 5, 6], [5, 5, 6], 0),
        ] {
            let after = sums(after);
            let found = differing(&doc(), NodeId(1), &after[&NodeId(1)], &sums(before), &after);
            assert_eq!(found, differ, "{before:?}");
        }
        let mut alone = sums([4, 5, 5]);
        alone.remove(&NodeId(3));
        let found = differing(&doc(), NodeId(1), &alone[&NodeId(1)], &alone, &alone);
        assert_eq!(found, 0, "one of the others is not there");
    }
}
