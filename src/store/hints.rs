//! The table of hints as rows of bytes: every reading of it.
//!
//! ```text
//! [target][partition][key] -> record, seal      read whole, proven          hints, hints_of
//!                                               keys and lengths alone      hint_places
//!                                               what is wrong with them     bad_hints
//! ```
//!
//! One hint that is not what was kept does not hide the others: it is passed over, as is one that
//! stands below another or where no hint of its key can. Acknowledged hints are data, and a sum of
//! their seals, kept in the same transaction, tells when one is gone. Caveat: places are not proven;
//! the hint that is read there is.

use std::ops::{Bound, ControlFlow};

use super::seal::{SEAL_BYTES, Seals};
use super::tables::{Name, RowKey, Rows, parse_sum, q, sealed};
use super::{BadHint, BadHints, Hint, HintPlace, HintStats, Stored};
use crate::digest::Sum;
use crate::error::Result;
use crate::key::{Key, Partition};
use crate::record::stored_hash;
use crate::ring::NodeId;

/// The row of `meta` with the sum of all acknowledged hints, by their seals.
pub(super) const KEPT: &[u8] = b"kept";

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
    let (seals, mut last) = (Seals::of(rows)?, start.to_vec());
    rows.walk(Name::Hints, from, &mut |row, stored| {
        // One that stands below another is passed over too: nobody could go on after it.
        if *row > *last {
            let hint = parse_hint(seals, row, stored);
            if hint.is_some() {
                last = row.to_vec();
            }
            hints.extend(hint);
        }
        if hints.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
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
    let (seals, q, mut last) = (Seals::of(rows)?, q(rows)?, start.to_vec());
    rows.walk(Name::Hints, from, &mut |row, stored| {
        // What stands where no hint can is passed over, as it is by [`hints`].
        let placed = |place: &HintPlace| q.partition(&place.2) == place.1;
        if let Some(place) = hint_place(row).filter(placed)
            && *row > *last
        {
            last = row.to_vec();
            places.push((place, seals.len_of(stored) as usize));
        }
        if places.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(places)
}

fn hint_place(row: &[u8]) -> Option<HintPlace> {
    let (target, rest) = row.split_first_chunk()?;
    let (p, key) = rest.split_first_chunk()?;
    let place = (NodeId(u64::from_be_bytes(*target)), Partition(u16::from_be_bytes(*p)));
    Some((place.0, place.1, Key::new(key).ok()?))
}

/// Hops from target to target: hints are in order of target first, and targets are few.
pub(super) fn hints_of(rows: &impl Rows, p: Partition, key: &Key) -> Result<Vec<Hint>> {
    let seals = Seals::of(rows)?;
    let mut hints = Vec::new();
    let mut next = Some(NodeId(0));
    while let Some(target) = next.take() {
        let row = RowKey::hint(target, p, key.as_bytes())?;
        rows.walk(Name::Hints, Bound::Included(&*row), &mut |found, stored| {
            let Some((id, rest)) = found.split_first_chunk::<8>() else {
                return ControlFlow::Continue(());
            };
            let id = NodeId(u64::from_be_bytes(*id));
            // Another target's first row may stand before the key; it is looked for there next.
            next = Some(id).filter(|id| *id > target && *rest < row[8..]);
            next = next.or_else(|| id.max(target).0.checked_add(1).map(NodeId));
            if *rest == row[8..] {
                hints.extend(parse_hint(seals, found, stored));
            }
            ControlFlow::Break(())
        })?;
    }
    Ok(hints)
}

pub(super) fn hint_stats(rows: &impl Rows) -> Result<HintStats> {
    let seals = Seals::of(rows)?;
    let mut stats = HintStats::default();
    rows.walk(Name::Hints, Bound::Unbounded, &mut |_, stored| {
        stats.add(one_hint(seals.len_of(stored)));
        ControlFlow::Continue(())
    })?;
    Ok(stats)
}

/// What one hint with a value of so many bytes adds to the statistics.
pub(super) fn one_hint(bytes: u64) -> HintStats {
    HintStats { count: 1, acknowledged: u64::from(bytes > 0), bytes }
}

/// What a hint's row adds to the sum of the acknowledged ones.
pub(super) fn kept(stored: &[u8]) -> Sum {
    let seal = stored.split_last_chunk::<SEAL_BYTES>().filter(|(value, _)| !value.is_empty());
    seal.map_or_else(Sum::default, |(_, seal)| Sum { terms: u128::from_le_bytes(*seal), count: 1 })
}

/// What a reference adds to that sum when its record is lost: one that will not be found.
pub(super) fn owed(stored: &[u8]) -> Sum {
    let seal = stored.last_chunk().map_or(1, |seal| u128::from_le_bytes(*seal));
    Sum { terms: seal, count: 1 }
}

/// Hints that are not what was kept, and how many acknowledged ones are gone without a trace.
pub(super) fn bad_hints(rows: &impl Rows) -> Result<BadHints> {
    let seals = Seals::of(rows)?;
    let (mut found, mut bad, mut last) = (Sum::default(), Vec::new(), Vec::new());
    rows.walk(Name::Hints, Bound::Unbounded, &mut |row, stored| {
        found.add(kept(stored));
        if *row > *last && parse_hint(seals, row, stored).is_some() {
            last = row.to_vec();
        } else {
            let term = stored_hash(stored).filter(|_| seals.len_of(stored) > 0);
            bad.push(BadHint { row: row.to_vec(), term });
        }
        ControlFlow::Continue(())
    })?;
    let promised = match sealed(rows, Name::Meta, KEPT)? {
        Some(bytes) => parse_sum(bytes)?,
        None if seals.are_there() => Sum::default(),
        None => found,
    };
    let gone = promised.count.saturating_sub(found.count);
    let changed = u64::from(bad.is_empty() && promised != found);
    Ok(BadHints { bad, lost: gone.max(changed) })
}

/// A hint whose row is what was kept: its seal is right and so is its record's checksum.
fn parse_hint(seals: Seals, row: &[u8], stored: &[u8]) -> Option<Hint> {
    let (target, rest) = row.split_first_chunk::<8>()?;
    let (p, key) = rest.split_first_chunk::<2>()?;
    let value = seals.value(Name::Hints, row, stored).ok()?;
    let key = Key::new(key).ok()?;
    let stored = match value {
        [] => None,
        value => Some(Stored::proven(key.as_bytes(), value).ok()?),
    };
    let partition = Partition(u16::from_be_bytes(*p));
    Some(Hint { target: NodeId(u64::from_be_bytes(*target)), partition, key, stored })
}

/// Whether a hint of a file without seals is not what was kept.
pub(super) fn is_rotten_hint(row: &[u8], value: &[u8]) -> bool {
    parse_hint(Seals::default(), row, value).is_none()
}
