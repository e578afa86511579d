//! Two copies compared key by key, with the causal verdict of each difference.
//!
//! ```text
//! partition sums -> leaf sums -> keys and terms of differing leaves -> the records themselves
//! ```
//!
//! Only what differs is read. Verdicts come from clocks, never from times; *corrupt* is said only of
//! a failed checksum, or of one dot with two values. Caveat: sums that differ though no key does are
//! no equality; whoever asks audits both.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::clock::Causality;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::key::{Key, LEAVES, Partition, Position, Q};
use crate::record::{Record, RecordHash, stored_hash};
use crate::ring::{NodeId, RingDoc};
use crate::store::Store;

/// How two copies of a key stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Only the first has it.
    OnlyA,
    /// Only the second has it.
    OnlyB,
    /// The first has seen all the second has, and more.
    ANewer,
    /// The second has seen all the first has, and more.
    BNewer,
    /// Each has seen what the other has not: merging gives siblings, or settles it.
    Concurrent,
    /// One is a delete that the other has not seen.
    Deleted,
    /// A checksum fails, or one dot carries two values.
    Corrupt,
}

impl Relation {
    /// The word of the tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OnlyA => "only-a",
            Self::OnlyB => "only-b",
            Self::ANewer => "a-newer",
            Self::BNewer => "b-newer",
            Self::Concurrent => "concurrent",
            Self::Deleted => "deleted-in-one",
            Self::Corrupt => "corrupt",
        }
    }
}

/// One side of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// It has none.
    Absent,
    /// Its checksum fails.
    Unreadable,
    /// Its copy.
    Copy(Record),
}

/// A key that two copies differ in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its partition.
    pub partition: Partition,
    /// The key.
    pub key: Key,
    /// How they stand to each other.
    pub relation: Relation,
    /// The first copy.
    pub a: Side,
    /// The second.
    pub b: Side,
}

/// Called with each difference; an error ends the comparison.
pub type OnDifference<'a> = dyn FnMut(Difference) -> Result<()> + 'a;

/// The partitions that both own in the layout that is read.
#[must_use]
pub fn shared(doc: &RingDoc, a: NodeId, b: NodeId) -> Vec<Partition> {
    let owners = |p: &Partition| doc.owners_in(doc.read_layout(), *p);
    doc.q.all().filter(|p| owners(p).contains(&a) && owners(p).contains(&b)).collect()
}

/// How many keys two open nodes differ in, over the partitions both own.
///
/// # Errors
/// As [`diff`].
pub fn count(cluster: &Cluster, a: NodeId, b: NodeId) -> Result<u64> {
    let (Some(one), Some(two)) = (cluster.store(a), cluster.store(b)) else {
        return Err(Error::Unreachable("A node that is to be compared is not open.".into()));
    };
    let doc = cluster.doc();
    let mut keys = 0;
    diff(doc.q, one, two, &shared(&doc, a, b), &mut |_| {
        keys += 1;
        Ok(())
    })?;
    Ok(keys)
}

/// Compares two stores over some partitions, in order. The partitions whose sums differ though no key
/// does come back: one of the two does not hold what it was told to.
///
/// # Errors
/// When a table cannot be read, and whatever `found` returns.
pub fn diff(
    q: Q,
    a: &dyn Store,
    b: &dyn Store,
    partitions: &[Partition],
    found: &mut OnDifference<'_>,
) -> Result<Vec<Partition>> {
    let mut unexplained = Vec::new();
    let sums_a: BTreeMap<_, _> = a.sums()?.into_iter().collect();
    let sums_b: BTreeMap<_, _> = b.sums()?.into_iter().collect();
    let (bad_a, bad_b) = (a.bad()?, b.bad()?);
    for p in partitions {
        let listed: Vec<_> = bad_a.iter().chain(&bad_b).filter(|l| l.0 == *p).collect();
        let (one, two) = (sums_a.get(p), sums_b.get(p));
        if one.copied().unwrap_or_default() == two.copied().unwrap_or_default() && listed.is_empty()
        {
            continue;
        }
        let mut keys = differing(q, a, b, *p)?;
        keys.extend(listed.iter().filter_map(|l| Key::new(l.1.clone()).ok()));
        let mut differs = false;
        for key in keys {
            if let Some(difference) = judge(a, b, *p, key)? {
                differs = true;
                found(difference)?;
            }
        }
        if !differs {
            unexplained.push(*p);
        }
    }
    Ok(unexplained)
}

/// The keys whose terms differ, from the leaves that differ.
fn differing(q: Q, a: &dyn Store, b: &dyn Store, p: Partition) -> Result<BTreeSet<Key>> {
    let (leaves_a, leaves_b) = (a.leaves(p)?, b.leaves(p)?);
    let mut mask = [false; LEAVES];
    for (i, wanted) in mask.iter_mut().enumerate() {
        *wanted = leaves_a[i] != leaves_b[i];
    }
    let terms_a = terms(q, a, p, &mask)?;
    let terms_b = terms(q, b, p, &mask)?;
    let keys = terms_a.keys().chain(terms_b.keys());
    Ok(keys.filter(|k| terms_a.get(*k) != terms_b.get(*k)).cloned().collect())
}

fn terms(
    q: Q,
    store: &dyn Store,
    p: Partition,
    mask: &[bool; LEAVES],
) -> Result<BTreeMap<Key, Option<RecordHash>>> {
    let mut found = BTreeMap::new();
    store.visit(p, None, &mut |key, stored| {
        if mask[usize::from(Position::of(key).leaf(q))]
            && let Ok(key) = Key::new(key)
        {
            found.insert(key, stored_hash(stored));
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn judge(a: &dyn Store, b: &dyn Store, p: Partition, key: Key) -> Result<Option<Difference>> {
    let (a, b) = (side(a, p, &key)?, side(b, p, &key)?);
    let relation = match (&a, &b) {
        (Side::Absent, Side::Absent) => return Ok(None),
        (Side::Unreadable, _) | (_, Side::Unreadable) => Relation::Corrupt,
        (Side::Copy(_), Side::Absent) => Relation::OnlyA,
        (Side::Absent, Side::Copy(_)) => Relation::OnlyB,
        (Side::Copy(one), Side::Copy(two)) => match relate(one, two) {
            Some(relation) => relation,
            None => return Ok(None),
        },
    };
    Ok(Some(Difference { partition: p, key, relation, a, b }))
}

/// `None` when they are equal.
fn relate(one: &Record, two: &Record) -> Option<Relation> {
    if one == two {
        return None;
    }
    if !one.merge(two).1.is_empty() {
        return Some(Relation::Corrupt);
    }
    let deleted = one.is_tombstone() != two.is_tombstone();
    Some(match one.clock.compare(&two.clock) {
        Causality::After | Causality::Before if deleted => Relation::Deleted,
        Causality::After => Relation::ANewer,
        Causality::Before => Relation::BNewer,
        Causality::Concurrent => Relation::Concurrent,
        // The same events and other bytes: a value is missing on one side.
        Causality::Equal => Relation::Corrupt,
    })
}

fn side(store: &dyn Store, p: Partition, key: &Key) -> Result<Side> {
    match store.get(p, key) {
        Ok(None) if store.bad()?.iter().any(|b| b.1 == key.as_bytes()) => Ok(Side::Unreadable),
        Ok(None) => Ok(Side::Absent),
        Ok(Some(stored)) => Ok(Side::Copy(stored.record(key)?)),
        Err(Error::Corrupt(_)) => Ok(Side::Unreadable),
        Err(error) => Err(error),
    }
}
