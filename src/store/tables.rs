//! The six tables as rows of bytes, and every reading of them: shared by all stores.
//!
//! A store brings [`Rows`], ordered rows of bytes; what the bytes mean is written here once, so that
//! memory and file cannot differ in it. Writing is in [`super::apply`].
//!
//! ```text
//! records  [p p][key…]                      the stored bytes          p: partition, big endian
//! digests  ['p'][p p]                       sum of the partition      all sums stand together
//!          ['q'][p p][leaf]                 sum of one leaf           a sum of nothing has no row
//! hints    [t t t t t t t t][p p][key…]     the stored bytes, or nothing    t: target, big endian
//! bad      [p p][key…]                      the bytes as found
//! ring     name                             bytes
//! meta     name                             bytes; q (u32), commit, node, actor (u64), little endian
//! ```
//!
//! Caveat: nothing here proves a checksum but [`record`]; everything else hands out what it finds.

use std::ops::{Bound, ControlFlow, Deref};

use super::{Hint, HintPlace, HintStats, Stored, Table, Visit};
use crate::digest::{Leaves, Sum};
use crate::error::{Error, Result};
use crate::key::{Key, LEAVES, Partition, Q, escape};
use crate::ring::NodeId;

/// The longest key of a row: LMDB's limit. Target, partition and a key of 500 bytes take 510.
pub(super) const ROW_KEY_MAX: usize = 511;
/// First byte of the keys of partition sums.
pub(super) const SUM_TAG: u8 = b'p';
/// First byte of the keys of leaves.
pub(super) const LEAF_TAG: u8 = b'q';

/// The tables, by their names in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Records,
    Digests,
    Hints,
    Bad,
    Ring,
    Meta,
}

impl Name {
    pub(super) const ALL: [Self; 6] =
        [Self::Records, Self::Digests, Self::Hints, Self::Bad, Self::Ring, Self::Meta];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Digests => "digests",
            Self::Hints => "hints",
            Self::Bad => "bad",
            Self::Ring => "ring",
            Self::Meta => "meta",
        }
    }
}

impl From<Table> for Name {
    fn from(table: Table) -> Self {
        match table {
            Table::Ring => Self::Ring,
            Table::Meta => Self::Meta,
        }
    }
}

/// Ordered rows of bytes, at one moment.
pub(super) trait Rows {
    /// The value of a row.
    fn get(&self, table: Name, key: &[u8]) -> Result<Option<&[u8]>>;

    /// Visits rows in order from a bound until told to stop.
    fn scan(&self, table: Name, from: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()>;
}

/// A row's key, built without the heap.
pub(super) struct RowKey {
    bytes: [u8; ROW_KEY_MAX],
    len: usize,
}

impl RowKey {
    /// Joins parts. A key that came from a table fits; anything longer was never stored.
    pub(super) fn new(parts: &[&[u8]]) -> Result<Self> {
        let mut key = Self { bytes: [0; ROW_KEY_MAX], len: 0 };
        for part in parts {
            let end = key.len + part.len();
            let room = key.bytes.get_mut(key.len..end);
            let room =
                room.ok_or_else(|| Error::Usage("A key is too long to be stored.".into()))?;
            room.copy_from_slice(part);
            key.len = end;
        }
        Ok(key)
    }

    pub(super) fn of(partition: Partition, key: &[u8]) -> Result<Self> {
        Self::new(&[&partition.0.to_be_bytes(), key])
    }

    pub(super) fn hint(target: NodeId, partition: Partition, key: &[u8]) -> Result<Self> {
        Self::new(&[&target.0.to_be_bytes(), &partition.0.to_be_bytes(), key])
    }
}

impl Deref for RowKey {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

pub(super) fn sum_key(partition: Partition) -> [u8; 3] {
    let [hi, lo] = partition.0.to_be_bytes();
    [SUM_TAG, hi, lo]
}

pub(super) fn leaf_key(partition: Partition, leaf: u8) -> [u8; 4] {
    let [hi, lo] = partition.0.to_be_bytes();
    [LEAF_TAG, hi, lo, leaf]
}

/// The number of partitions, from its row in `meta`.
pub(super) fn q(rows: &impl Rows) -> Result<Q> {
    let bytes = rows.get(Name::Meta, b"q")?.ok_or_else(|| {
        Error::Corrupt("The number of partitions is missing from the table meta.".into())
    })?;
    parse_q(bytes)
}

pub(super) fn parse_q(bytes: &[u8]) -> Result<Q> {
    let bytes = bytes.try_into().map_err(|_| malformed(Name::Meta))?;
    Q::new(u32::from_le_bytes(bytes)).map_err(|_| malformed(Name::Meta))
}

/// A number of `meta`.
pub(super) fn number(rows: &impl Rows, name: &str) -> Result<Option<u64>> {
    let Some(bytes) = rows.get(Name::Meta, name.as_bytes())? else { return Ok(None) };
    Ok(Some(u64::from_le_bytes(bytes.try_into().map_err(|_| malformed(Name::Meta))?)))
}

pub(super) fn record(rows: &impl Rows, p: Partition, key: &Key) -> Result<Option<Stored>> {
    let row = RowKey::of(p, key.as_bytes())?;
    let Some(bytes) = rows.get(Name::Records, &row)? else { return Ok(None) };
    Stored::proven(key.as_bytes(), bytes).map(Some).map_err(|error| match error {
        Error::Corrupt(why) => Error::Corrupt(format!("Key {key}, partition {p}: {why}")),
        other => other,
    })
}

pub(super) fn visit(
    rows: &impl Rows,
    p: Partition,
    after: Option<&[u8]>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let start = RowKey::of(p, after.unwrap_or_default())?;
    let from = if after.is_some() { Bound::Excluded(&*start) } else { Bound::Included(&*start) };
    let prefix = p.0.to_be_bytes();
    rows.scan(Name::Records, from, &mut |row, bytes| match row.strip_prefix(&prefix) {
        Some(key) => visit(key, bytes),
        None => ControlFlow::Break(()),
    })
}

pub(super) fn sums(rows: &impl Rows) -> Result<Vec<(Partition, Sum)>> {
    let mut sums = Vec::new();
    prefixed(rows, Name::Digests, &[SUM_TAG], |p, sum| {
        let p = p.try_into().map_err(|_| malformed(Name::Digests))?;
        sums.push((Partition(u16::from_be_bytes(p)), parse_sum(sum)?));
        Ok(())
    })?;
    Ok(sums)
}

pub(super) fn sum(rows: &impl Rows, p: Partition) -> Result<Sum> {
    let stored = rows.get(Name::Digests, &sum_key(p))?;
    stored.map_or_else(|| Ok(Sum::default()), parse_sum)
}

pub(super) fn leaves(rows: &impl Rows, p: Partition) -> Result<Box<Leaves>> {
    let mut leaves = Box::new([Sum::default(); LEAVES]);
    prefixed(rows, Name::Digests, &leaf_key(p, 0)[..3], |leaf, sum| {
        let [leaf] = leaf else { return Err(malformed(Name::Digests)) };
        leaves[usize::from(*leaf)] = parse_sum(sum)?;
        Ok(())
    })?;
    Ok(leaves)
}

pub(super) fn hints(
    rows: &impl Rows,
    after: Option<&(NodeId, Partition, Key)>,
    limit: usize,
) -> Result<Vec<Hint>> {
    let start = match after {
        Some((target, p, key)) => RowKey::hint(*target, *p, key.as_bytes())?,
        None => RowKey::new(&[])?,
    };
    let from = if after.is_some() { Bound::Excluded(&*start) } else { Bound::Unbounded };
    let mut hints = Vec::new();
    if limit == 0 {
        return Ok(hints);
    }
    fallible(rows, Name::Hints, from, |row, bytes| {
        hints.push(parse_hint(row, bytes)?);
        Ok(if hints.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(hints)
}

/// The places of hints and how many bytes each keeps; their values are not touched.
pub(super) fn hint_places(
    rows: &impl Rows,
    after: Option<&HintPlace>,
    limit: usize,
) -> Result<Vec<(HintPlace, usize)>> {
    let start = match after {
        Some((target, p, key)) => RowKey::hint(*target, *p, key.as_bytes())?,
        None => RowKey::new(&[])?,
    };
    let from = if after.is_some() { Bound::Excluded(&*start) } else { Bound::Unbounded };
    let mut places = Vec::new();
    if limit == 0 {
        return Ok(places);
    }
    fallible(rows, Name::Hints, from, |row, bytes| {
        places.push((parse_hint(row, &[])?.place(), bytes.len()));
        Ok(if places.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(places)
}

/// Hops from target to target: hints are in order of target first, and targets are few.
pub(super) fn hints_of(rows: &impl Rows, p: Partition, key: &Key) -> Result<Vec<Hint>> {
    let mut hints = Vec::new();
    let mut next = Some(NodeId(0));
    while let Some(target) = next.take() {
        let row = RowKey::hint(target, p, key.as_bytes())?;
        fallible(rows, Name::Hints, Bound::Included(&*row), |found, bytes| {
            let (id, rest) =
                found.split_first_chunk::<8>().ok_or_else(|| malformed(Name::Hints))?;
            let id = NodeId(u64::from_be_bytes(*id));
            // Another target's first row may stand before the key; it is looked for there next.
            next = Some(id).filter(|id| *id > target && *rest < row[8..]);
            next = next.or_else(|| id.max(target).0.checked_add(1).map(NodeId));
            if *rest == row[8..] {
                hints.push(parse_hint(found, bytes)?);
            }
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok(hints)
}

pub(super) fn hint_stats(rows: &impl Rows) -> Result<HintStats> {
    let mut stats = HintStats::default();
    rows.scan(Name::Hints, Bound::Unbounded, &mut |_, bytes| {
        stats.count += 1;
        stats.acknowledged += u64::from(!bytes.is_empty());
        stats.bytes += bytes.len() as u64;
        ControlFlow::Continue(())
    })?;
    Ok(stats)
}

pub(super) fn bad(rows: &impl Rows) -> Result<Vec<(Partition, Vec<u8>)>> {
    let mut bad = Vec::new();
    prefixed(rows, Name::Bad, &[], |row, _| {
        let (p, key) = row.split_first_chunk::<2>().ok_or_else(|| malformed(Name::Bad))?;
        bad.push((Partition(u16::from_be_bytes(*p)), key.to_vec()));
        Ok(())
    })?;
    Ok(bad)
}

pub(super) fn row(rows: &impl Rows, table: Table, name: &str) -> Result<Option<Vec<u8>>> {
    if name.is_empty() || name.len() > ROW_KEY_MAX {
        return Ok(None);
    }
    Ok(rows.get(table.into(), name.as_bytes())?.map(<[u8]>::to_vec))
}

pub(super) fn named(
    rows: &impl Rows,
    table: Table,
    prefix: &str,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    prefixed(rows, table.into(), prefix.as_bytes(), |rest, bytes| {
        let rest = std::str::from_utf8(rest).map_err(|_| malformed(table.into()))?;
        found.push((format!("{prefix}{rest}"), bytes.to_vec()));
        Ok(())
    })?;
    Ok(found)
}

/// Visits the rows whose keys begin with `prefix`, by the rest of their keys.
fn prefixed(
    rows: &impl Rows,
    table: Name,
    prefix: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    fallible(rows, table, Bound::Included(prefix), |row, bytes| {
        let Some(rest) = row.strip_prefix(prefix) else { return Ok(ControlFlow::Break(())) };
        visit(rest, bytes)?;
        Ok(ControlFlow::Continue(()))
    })
}

/// A scan whose visitor may fail.
fn fallible(
    rows: &impl Rows,
    table: Name,
    from: Bound<&[u8]>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut outcome = Ok(());
    rows.scan(table, from, &mut |row, bytes| {
        visit(row, bytes).unwrap_or_else(|error| {
            outcome = Err(error);
            ControlFlow::Break(())
        })
    })?;
    outcome
}

pub(super) fn parse_sum(bytes: &[u8]) -> Result<Sum> {
    Sum::from_bytes(bytes).ok_or_else(|| malformed(Name::Digests))
}

fn parse_hint(row: &[u8], bytes: &[u8]) -> Result<Hint> {
    let (target, rest) = row.split_first_chunk::<8>().ok_or_else(|| malformed(Name::Hints))?;
    let (p, key) = rest.split_first_chunk::<2>().ok_or_else(|| malformed(Name::Hints))?;
    Ok(Hint {
        target: NodeId(u64::from_be_bytes(*target)),
        partition: Partition(u16::from_be_bytes(*p)),
        key: Key::new(key).map_err(|_| malformed(Name::Hints))?,
        stored: (!bytes.is_empty()).then(|| Stored::unproven(bytes)),
    })
}

pub(super) fn malformed(table: Name) -> Error {
    Error::Corrupt(format!("A row of the table {} is malformed.", table.as_str()))
}

/// A key that does not belong into the partition it is given for: a caller's mistake.
pub(super) fn misplaced(p: Partition, key: &[u8]) -> Error {
    Error::Corrupt(format!("Key {} does not belong to partition {p}.", escape(key)))
}
