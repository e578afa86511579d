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
//! Every reading holds two laws. A scan meets keys in rising order, each of them where a search finds
//! it, or the file itself is damaged. Rows that carry no proof of their own are sealed (see
//! [`super::seal`]), and what fails its seal is an error, but for hints: those are passed over, so
//! that one does not hide the others, and listed by [`bad_hints`].
//!
//! Caveat: records are handed out unproven by [`visit`]; [`record`] proves.

use std::ops::{Bound, ControlFlow};

pub(super) use super::hints::{
    KEPT, bad_hints, hint_places, hint_stats, hints, hints_of, is_rotten_hint, kept, one_hint, owed,
};
use super::rows::ROW_KEY_MAX;
pub(super) use super::rows::{Name, REPLACE, RowKey, Rows, every, malformed};
use super::seal::Seals;
use super::{Stored, Table, Visit};
use crate::digest::{Leaves, Sum};
use crate::error::{Error, Result};
use crate::key::{KEY_BYTES_MAX, Key, LEAVES, Partition, Q, escape};

/// First byte of the keys of partition sums.
pub(super) const SUM_TAG: u8 = b'p';
/// First byte of the keys of leaves.
pub(super) const LEAF_TAG: u8 = b'q';

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
    let bytes = sealed(rows, Name::Meta, b"q")?.ok_or_else(|| {
        let text = "The number of partitions is missing from the table meta.";
        Error::Corrupt(text.into()).hint(REPLACE)
    })?;
    parse_q(bytes)
}

pub(super) fn parse_q(bytes: &[u8]) -> Result<Q> {
    let bytes = bytes.try_into().map_err(|_| malformed(Name::Meta))?;
    Q::new(u32::from_le_bytes(bytes)).map_err(|_| malformed(Name::Meta))
}

/// The proven value of a row.
pub(super) fn sealed<'r>(rows: &'r impl Rows, table: Name, key: &[u8]) -> Result<Option<&'r [u8]>> {
    let Some(stored) = rows.get(table, key)? else { return Ok(None) };
    Seals::of(rows)?.value(table, key, stored).map(Some)
}

/// A number of `meta`.
pub(super) fn number(rows: &impl Rows, name: &str) -> Result<Option<u64>> {
    let Some(bytes) = sealed(rows, Name::Meta, name.as_bytes())? else { return Ok(None) };
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

/// Whether a row of records is one that was written: its key belongs there, and its record to the key.
pub(super) fn prove(q: Q, row: &[u8], stored: &[u8]) -> Result<()> {
    let (of, key) = row.split_first_chunk::<2>().ok_or_else(|| malformed(Name::Records))?;
    let key = Key::new(key).map_err(|_| malformed(Name::Records))?;
    if q.partition(&key).0.to_be_bytes() != *of {
        return Err(malformed(Name::Records));
    }
    crate::record::check(key.as_bytes(), stored).map(drop)
}

pub(super) fn visit(
    rows: &impl Rows,
    p: Partition,
    after: Option<&[u8]>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let start = RowKey::of(p, after.unwrap_or_default())?;
    // What stands before the first partition stands where nobody looks otherwise.
    let from = match after {
        Some(_) => Bound::Excluded(&*start),
        None if p == Partition(0) => Bound::Unbounded,
        None => Bound::Included(&*start),
    };
    let (prefix, last) = (p.0.to_be_bytes(), q(rows)?.count() - 1);
    let mut ended = false;
    fallible(rows, Name::Records, from, |row, bytes| {
        let (of, key) = row.split_first_chunk::<2>().ok_or_else(|| malformed(Name::Records))?;
        let wrong = u32::from(u16::from_be_bytes(*of)) > last || !is_key(key);
        if wrong {
            return Err(malformed(Name::Records).hint(REPLACE));
        }
        // One row more is read than belongs here: it shows whether the one before was in its place.
        Ok(match *of == prefix {
            _ if ended => ControlFlow::Break(()),
            true => visit(key, bytes),
            false => {
                ended = true;
                ControlFlow::Continue(())
            }
        })
    })
}

/// Whether bytes can be a key.
pub(super) fn is_key(bytes: &[u8]) -> bool {
    (1..=KEY_BYTES_MAX).contains(&bytes.len())
}

pub(super) fn sums(rows: &impl Rows) -> Result<Vec<(Partition, Sum)>> {
    let (mut sums, q) = (Vec::new(), q(rows)?.count());
    prefixed(rows, Name::Digests, &[SUM_TAG], |p, sum| {
        let p = p.try_into().map_err(|_| malformed(Name::Digests).hint(REPLACE))?;
        let p = u16::from_be_bytes(p);
        // A number that is no partition's is nobody's promise; what it was missing shows elsewhere.
        if u32::from(p) < q {
            sums.push((Partition(p), parse_sum(sum).map_err(|error| error.hint(REPLACE))?));
        }
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

pub(super) fn bad(rows: &impl Rows) -> Result<Vec<(Partition, Vec<u8>)>> {
    let (seals, mut bad) = (Seals::of(rows)?, Vec::new());
    prefixed(rows, Name::Bad, &[], |row, stored| {
        seals.value(Name::Bad, row, stored)?;
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
    Ok(sealed(rows, table.into(), name.as_bytes())?.map(<[u8]>::to_vec))
}

pub(super) fn named(
    rows: &impl Rows,
    table: Table,
    prefix: &str,
) -> Result<Vec<(String, Vec<u8>)>> {
    let (seals, mut found) = (Seals::of(rows)?, Vec::new());
    prefixed(rows, table.into(), prefix.as_bytes(), |rest, stored| {
        let row = [prefix.as_bytes(), rest].concat();
        let bytes = seals.value(table.into(), &row, stored)?;
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

/// Whether a key of the table `digests` is that of a sum or a leaf.
pub(super) fn is_digest(row: &[u8]) -> bool {
    matches!(row, [SUM_TAG, _, _] | [LEAF_TAG, _, _, _])
}

pub(super) fn parse_sum(bytes: &[u8]) -> Result<Sum> {
    Sum::from_bytes(bytes).ok_or_else(|| malformed(Name::Digests))
}

/// A key that does not belong into the partition it is given for: a caller's mistake.
pub(super) fn misplaced(p: Partition, key: &[u8]) -> Error {
    Error::Corrupt(format!("Key {} does not belong to partition {p}.", escape(key)))
}
