//! Reads a partition and says whether it is what its digest claims.
//!
//! A digest is true of what the store was *told* to hold; only reading proves what it holds:
//!
//! ```text
//!            reads                     finds
//! verify     every byte                rot in keys and values, lost and foreign records
//! audit      keys and stored terms     lost and foreign records, a wrong leaf
//! ```
//!
//! `audit` is what a node does before its first mint in a partition; `verify` is the scrub. Neither
//! changes anything: who mends is told. Caveat: a record that vanished shows as a wrong leaf only;
//! which key it was, no single copy can know.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{Hint, Store, Table, tables};
use crate::digest::{Leaves, Sum};
use crate::error::{Error, Result};
use crate::key::{LEAVES, Partition, Position, Q};
use crate::record::{self, stored_term};

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
pub struct Verdict {
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
}

impl Verdict {
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
pub fn verify(store: &dyn Store, partition: Partition) -> Result<Verdict> {
    read(store, partition, |key, bytes| record::check(key, bytes).err().map(|e| e.to_string()))
}

/// Reads keys and stored terms only, and recomputes the leaves from them.
///
/// # Errors
/// As [`Store::visit`]: the tables themselves cannot be read.
pub fn audit(store: &dyn Store, partition: Partition) -> Result<Verdict> {
    read(store, partition, |_, _| None)
}

/// Reads all hints and gives those whose records are bad.
///
/// # Errors
/// As [`Store::hints`]: the table itself cannot be read.
pub fn bad_hints(store: &dyn Store) -> Result<Vec<(Hint, String)>> {
    const SLICE: usize = 256;
    let mut bad = Vec::new();
    let mut after = None;
    loop {
        let hints = store.hints(after.as_ref(), SLICE)?;
        let is_last = hints.is_empty();
        after = hints.last().map(Hint::place);
        for hint in hints {
            let stored = hint.stored.as_ref();
            let why = stored.and_then(|s| record::check(hint.key.as_bytes(), s.bytes()).err());
            bad.extend(why.map(|why| (hint, why.to_string())));
        }
        if is_last {
            return Ok(bad);
        }
    }
}

fn read(
    store: &dyn Store,
    partition: Partition,
    fault: impl Fn(&[u8], &[u8]) -> Option<String>,
) -> Result<Verdict> {
    let q = q(store)?;
    let mut verdict = Verdict::default();
    let mut leaves: Box<Leaves> = Box::new([Sum::default(); LEAVES]);
    let mut last = Vec::new();
    store.visit(partition, None, &mut |key, bytes| {
        verdict.records += 1;
        verdict.bytes += (key.len() + bytes.len()) as u64;
        let position = Position::of(key);
        let term = stored_term(bytes);
        if let Some(term) = term {
            leaves[usize::from(position.leaf(q))].insert(term);
        }
        let why = if position.partition(q) != partition {
            Some("The key does not belong to this partition.".to_owned())
        } else if verdict.records > 1 && *key <= *last {
            Some("The key is out of order, so it cannot be found.".to_owned())
        } else if term.is_none() {
            Some("The record is cut short.".to_owned())
        } else {
            fault(key, bytes)
        };
        verdict.bad.extend(why.map(|why| Bad { key: key.to_vec(), why }));
        last.clear();
        last.extend_from_slice(key);
        ControlFlow::Continue(())
    })?;
    let stored = store.leaves(partition)?;
    verdict.wrong_leaves = stored.iter().zip(leaves.iter()).filter(|(a, b)| a != b).count();
    verdict.wrong_sum = store.sum(partition)? != stored.iter().copied().sum();
    Ok(verdict)
}

fn q(store: &dyn Store) -> Result<Q> {
    let row = store.row(Table::Meta, "q")?.ok_or_else(|| {
        Error::Corrupt("The number of partitions is missing from the table meta.".into())
    })?;
    tables::parse_q(&row)
}
