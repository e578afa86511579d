//! What a scan of a partition found, held against what the file promised.
//!
//! Two promises stand beside the records, each kept in the record's own transaction: 256 leaves, and
//! the sum of the whole partition. A scan is believed only by comparison:
//!
//! ```text
//! leaves as promised                                             nothing is missing
//! leaves not, the sum is, and leaves and sum contradict          the leaves are damaged, no record
//! short of exactly the records that are known to be bad          those keys are bad, no other
//! anything else                                                  a loss: how many, of which terms
//! ```
//!
//! It reads nothing; `verify` and `apply` do. Caveat: a record whose key and position rotted into
//! another key of the same leaf counts as that key's; what it hides is found when peers compare.

use serde::{Deserialize, Serialize};

use crate::digest::{Leaves, SUM_BYTES, Sum};
use crate::key::{LEAVES, Partition, Position, Q};
use crate::record::RecordHash;

/// Records that a partition was told to hold and does not: promised less found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    missing: Sum,
}

impl Loss {
    /// What a row of the table `meta` keeps of losses begins so.
    pub const PREFIX: &str = "lost:";

    /// A loss that adds up to `missing`.
    #[must_use]
    pub fn new(missing: Sum) -> Self {
        Self { missing }
    }

    /// The name of a partition's row.
    #[must_use]
    pub fn row(partition: Partition) -> String {
        format!("{}{:04x}", Self::PREFIX, partition.0)
    }

    /// The partition of a row's name.
    #[must_use]
    pub fn partition(row: &str) -> Option<Partition> {
        u16::from_str_radix(row.strip_prefix(Self::PREFIX)?, 16).ok().map(Partition)
    }

    /// How many records are missing at least; 0 when some were changed for others.
    #[must_use]
    pub fn records(self) -> u64 {
        u64::try_from(self.missing.count.cast_signed()).unwrap_or(0)
    }

    /// Both losses as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.missing.add(other.missing);
        self
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SUM_BYTES] {
        self.missing.to_bytes()
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Sum::from_bytes(bytes).map(Self::new)
    }
}

/// The records of a partition added up as they are read.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) leaves: Box<Leaves>,
    /// Well placed records that are bad, by leaf; they are not in the leaves.
    bad: Box<[u64; LEAVES]>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { leaves: Box::new([Sum::default(); LEAVES]), bad: Box::new([0; LEAVES]) }
    }
}

impl Tally {
    /// Adds a record that is not known to be bad.
    pub(super) fn add(&mut self, q: Q, key: &[u8], term: RecordHash) {
        self.leaves[usize::from(Position::of(key).leaf(q))].insert(term);
    }

    /// Adds a bad record: it is missing, and it is known which.
    pub(super) fn add_bad(&mut self, q: Q, key: &[u8]) {
        self.bad[usize::from(Position::of(key).leaf(q))] += 1;
    }

    pub(super) fn total(&self) -> Sum {
        self.leaves.iter().copied().sum()
    }

    /// What is missing beside the bad records; `None` when nothing is.
    pub(super) fn loss(&self, promised: &Leaves, sum: Sum) -> Option<Loss> {
        let short = |i: usize| promised[i].count.wrapping_sub(self.leaves[i].count);
        let explained =
            |i: usize| promised[i] == self.leaves[i] || self.bad[i] > 0 && short(i) == self.bad[i];
        if (0..LEAVES).all(explained) {
            return None;
        }
        let of_leaves: Sum = promised.iter().copied().sum();
        if of_leaves != sum && self.total() == sum {
            return None;
        }
        let mut missing = if of_leaves.count > sum.count { of_leaves } else { sum };
        missing.subtract(self.total());
        Some(Loss::new(missing))
    }
}
