//! Reads a partition to its end and holds what was read against what the file promised.
//!
//! A digest is true of what the store was *told* to hold; only reading proves what it holds:
//!
//! ```text
//!            reads                     finds
//! verify     every byte                rot in keys and values, lost and foreign records
//! audit      keys and stored terms     lost and foreign records, a wrong leaf
//! ```
//!
//! `audit` is what a node does before a partition's first vote and first mint; `verify` is the scrub.
//! Neither changes anything: who mends is told. Caveat: which key it was that vanished, no single copy
//! can know. A table that is out of order is an error of the reading, not a verdict.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::tally::{Loss, Tally};
use super::{Store, Table, tables};
use crate::error::{Error, Result};
use crate::key::{Key, LEAVES, Partition, Position, Q};
use crate::record::{self, RecordHash, stored_hash};

/// A record that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bad {
    /// The key's bytes as found: they may be damaged too.
    pub key: Vec<u8>,
    /// What is wrong, a sentence.
    pub why: String,
}

/// What was found in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionVerdict {
    /// Records read, good and bad; tombstones count.
    pub records: u64,
    /// Bytes of their keys and their stored form.
    pub bytes: u64,
    /// The bad ones, in order of keys.
    pub bad: Vec<Bad>,
    /// How many leaves do not match the records.
    pub wrong_leaves: usize,
    /// Whether the partition's sum is not that of its leaves.
    pub wrong_sum: bool,
    /// What is missing beside the bad ones. It does not travel: a running node keeps it in its file.
    #[serde(skip)]
    pub lost: Option<Loss>,
}

impl PartitionVerdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad.is_empty() && self.digest_matches()
    }

    /// Whether the digest is that of the records, good or bad, as they carry their terms.
    #[must_use]
    pub fn digest_matches(&self) -> bool {
        self.wrong_leaves == 0 && !self.wrong_sum
    }
}

/// Reads everything: proves each record's checksum and recomputes the leaves.
///
/// # Errors
/// As [`Store::visit`]: the tables themselves cannot be read.
pub fn verify(store: &dyn Store, partition: Partition) -> Result<PartitionVerdict> {
    read(store, partition, |key, bytes| record::check(key, bytes).err().map(|e| e.to_string()))
}

/// Reads keys and stored terms only, and recomputes the leaves from them.
///
/// # Errors
/// As [`Store::visit`]: the tables themselves cannot be read.
pub fn audit(store: &dyn Store, partition: Partition) -> Result<PartitionVerdict> {
    read(store, partition, |_, _| None)
}

fn read(
    store: &dyn Store,
    partition: Partition,
    fault: impl Fn(&[u8], &[u8]) -> Option<String>,
) -> Result<PartitionVerdict> {
    let q = q(store)?;
    let (mut verdict, mut tally) = (PartitionVerdict::default(), Tally::default());
    store.visit(partition, None, &mut |key, bytes| {
        verdict.records += 1;
        verdict.bytes += (key.len() + bytes.len()) as u64;
        let placed = Position::of(key).partition(q) == partition;
        let term = stored_hash(bytes);
        let why = match term {
            _ if !placed => Some("The key does not belong to this partition.".to_owned()),
            None => Some("The record is cut short.".to_owned()),
            Some(_) => fault(key, bytes),
        };
        match (&why, term) {
            (None, Some(term)) => tally.add(q, key, term),
            _ if placed => tally.add_bad(q, key),
            _ => {}
        }
        verdict.bad.extend(why.map(|why| Bad { key: key.to_vec(), why }));
        ControlFlow::Continue(())
    })?;
    let (leaves, sum) = (store.leaves(partition)?, store.sum(partition)?);
    let differs = |i: &usize| leaves[*i] != tally.leaves[*i];
    verdict.wrong_leaves = (0..leaves.len()).filter(differs).count();
    verdict.wrong_sum = sum != leaves.iter().copied().sum();
    verdict.lost = tally.loss(&leaves, sum);
    Ok(verdict)
}

/// The keys and terms of some leaves of a partition, in order, as many and those that the leaves
/// promise.
///
/// # Errors
/// [`Error::Corrupt`] when what is read is not what was promised; otherwise as [`Store::visit`].
pub fn leaves(
    store: &dyn Store,
    q: Q,
    partition: Partition,
    wanted: &[u8],
) -> Result<Vec<(Key, RecordHash)>> {
    let mut mask = [false; LEAVES];
    wanted.iter().for_each(|leaf| mask[usize::from(*leaf)] = true);
    let (mut found, mut tally) = (Vec::new(), Tally::default());
    store.visit(partition, None, &mut |key, stored| {
        if mask[usize::from(Position::of(key).leaf(q))]
            && let (Ok(name), Some(term)) = (Key::new(key), stored_hash(stored))
        {
            tally.add(q, key, term);
            found.push((name, term));
        }
        ControlFlow::Continue(())
    })?;
    let promised = store.leaves(partition)?;
    if (0..LEAVES).any(|i| mask[i] && promised[i] != tally.leaves[i]) {
        let text = format!("Partition {partition} does not match its digest.");
        return Err(Error::Corrupt(text));
    }
    Ok(found)
}

fn q(store: &dyn Store) -> Result<Q> {
    let row = store.row(Table::Meta, "q")?.ok_or_else(|| {
        Error::Corrupt("The number of partitions is missing from the table meta.".into())
    })?;
    tables::parse_q(&row)
}
