//! Digests that prove copies equal: sums of record terms, added up along the ring.
//!
//! Every partition has 256 leaves, by the position bits after the partition's. A leaf is the sum of
//! the 128-bit terms of its records, and their count; a node of the tree is the sum of its children.
//! Sums can be kept up to date in the transaction that changes a record, need no order, and may be
//! restricted to any set of partitions: two nodes compare exactly what both own.
//!
//! ```text
//! position bits  | 2 |  4   |  4   |  4   |  4   |   q = 10 bits of partition, 8 of leaf
//!  level 0: total 1     2      3      4      5      one child in 4, then one in 16 per level
//!                        partition ^            ^ leaf
//! ```
//!
//! A walk descends only where sums differ. What it does not do: it does not read records, so it is
//! true of what the file was *told* to hold; only `verify` proves the bytes. Sums prove copies equal
//! against accident (2^-128), not against someone who can choose records and wants a collision.

use serde::{Deserialize, Serialize};

use crate::key::{LEAVES, Partition, Q};
use crate::record::RecordHash;

/// The sum of some records' terms, and how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The terms added, modulo 2^128.
    pub terms: u128,
    /// How many records; tombstones count.
    pub count: u64,
}

/// Bytes of a stored sum: terms (16, little endian), count (8, little endian).
pub const SUM_BYTES: usize = 24;

impl Sum {
    /// Adds a record.
    pub fn insert(&mut self, term: RecordHash) {
        self.terms = self.terms.wrapping_add(term.0);
        self.count = self.count.wrapping_add(1);
    }

    /// Takes a record out.
    pub fn remove(&mut self, term: RecordHash) {
        self.terms = self.terms.wrapping_sub(term.0);
        self.count = self.count.wrapping_sub(1);
    }

    /// Adds all records of another sum.
    pub fn add(&mut self, other: Self) {
        self.terms = self.terms.wrapping_add(other.terms);
        self.count = self.count.wrapping_add(other.count);
    }

    /// Takes all records of another sum out.
    pub fn subtract(&mut self, other: Self) {
        self.terms = self.terms.wrapping_sub(other.terms);
        self.count = self.count.wrapping_sub(other.count);
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SUM_BYTES] {
        let mut bytes = [0; SUM_BYTES];
        bytes[..16].copy_from_slice(&self.terms.to_le_bytes());
        bytes[16..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// Reads the stored form; `None` unless it has its exact length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (terms, count) = bytes.split_first_chunk::<16>()?;
        let count = count.try_into().ok()?;
        Some(Self { terms: u128::from_le_bytes(*terms), count: u64::from_le_bytes(count) })
    }
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), |mut total, sum| {
            total.add(sum);
            total
        })
    }
}

/// The 256 leaves of one partition.
pub type Leaves = [Sum; LEAVES];

/// A node of the tree over the whole circle: all positions that begin with `bits` bits of `prefix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HashRange {
    /// How many bits of the position are fixed.
    pub bits: u8,
    /// Their value.
    pub prefix: u32,
}

impl HashRange {
    /// The whole circle.
    pub const ALL: Self = Self { bits: 0, prefix: 0 };

    /// The arc of a partition.
    #[must_use]
    pub fn partition(q: Q, p: Partition) -> Self {
        Self { bits: q.bits() as u8, prefix: u32::from(p.0) }
    }

    /// Whether there is such an arc in a tree over `q` partitions.
    #[must_use]
    pub fn is_of(self, q: Q) -> bool {
        u32::from(self.bits) <= q.bits() + 8 && u64::from(self.prefix) < 1 << self.bits
    }

    /// Whether it is one leaf of one partition.
    #[must_use]
    pub fn is_leaf(self, q: Q) -> bool {
        u32::from(self.bits) >= q.bits() + 8
    }

    /// The children, at most 16, in order; none of a leaf.
    pub fn children(self, q: Q) -> impl Iterator<Item = Self> {
        // The odd bits go first, so that partitions and leaves both end on a level.
        let step = match u32::from(self.bits) {
            bits if bits >= q.bits() + 8 => 0,
            0 if !q.bits().is_multiple_of(4) => q.bits() % 4,
            _ => 4,
        };
        let count = if step == 0 { 0 } else { 1_u32 << step };
        let (bits, base) = (self.bits + step as u8, self.prefix << step);
        (0..count).map(move |i| Self { bits, prefix: base | i })
    }

    /// The partitions it touches, first and last, and the leaves it spans within them.
    #[must_use]
    pub fn span(self, q: Q) -> Span {
        let bits = u32::from(self.bits);
        if bits <= q.bits() {
            let width = q.bits() - bits;
            let first = self.prefix << width;
            Span { first, last: first + (1 << width) - 1, leaf_first: 0, leaf_last: 255 }
        } else {
            let inner = bits - q.bits();
            let p = self.prefix >> inner;
            let leaf = (self.prefix & ((1 << inner) - 1)) << (8 - inner);
            let last = leaf + (1 << (8 - inner)) - 1;
            Span { first: p, last: p, leaf_first: leaf as u8, leaf_last: last as u8 }
        }
    }

    /// The partition and leaf of a leaf arc.
    #[must_use]
    pub fn leaf(self, q: Q) -> Option<(Partition, u8)> {
        let span = self.span(q);
        self.is_leaf(q).then_some((Partition(span.first as u16), span.leaf_first))
    }
}

/// What an arc covers: partitions first to last, and of each the leaves first to last, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First partition.
    pub first: u32,
    /// Last partition.
    pub last: u32,
    /// First leaf in each.
    pub leaf_first: u8,
    /// Last leaf in each.
    pub leaf_last: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_tile_their_parent_down_to_the_leaves() {
        for q in [8, 16, 32, 64, 1024, 65_536] {
            let q = Q::new(q).unwrap();
            let mut level = vec![HashRange::ALL];
            while !level[0].is_leaf(q) && level.len() < 70_000 {
                let next: Vec<HashRange> = level.iter().flat_map(|a| a.children(q)).collect();
                assert!(next.len() <= level.len() * 16);
                assert!(next.windows(2).all(|w| w[0].prefix + 1 == w[1].prefix));
                assert_eq!(next[0].span(q).first, 0);
                assert_eq!(next[next.len() - 1].span(q).last, q.count() - 1);
                level = next;
            }
            assert!(level[0].is_leaf(q) || q.count() == 65_536);
        }
    }

    #[test]
    fn sums_forget_what_is_taken_out() {
        let (a, b) = (RecordHash(u128::MAX - 3), RecordHash(77));
        let mut sum = Sum::default();
        sum.insert(a);
        sum.insert(b);
        sum.remove(a);
        let mut only_b = Sum::default();
        only_b.insert(b);
        assert_eq!(sum, only_b);
        assert_eq!(Sum::from_bytes(&sum.to_bytes()), Some(sum));
    }
}
