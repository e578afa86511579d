//! What a batch does to the tables: shared by all stores.
//!
//! The digests follow the records in the same transaction. What a batch adds to each leaf is summed
//! up in memory and written once at its end, so that a leaf met a thousand times costs one row:
//!
//! ```text
//! Record k1 (p7, leaf 3): - old term + new term --+
//! Record k2 (p7, leaf 9): + new term              +--> leaf 3, leaf 9, sum of p7: 3 rows
//! Record k3 (p7, leaf 3): + new term -------------+
//! ```
//!
//! It does not judge: it neither merges nor proves, and takes the old term as the old bytes carry
//! it. Caveat: putting over a record whose *term* has rotted leaves a wrong leaf behind, which only
//! `Op::Rebuild` mends; a node reads, and so proves, what it replaces.

use std::ops::ControlFlow;

use super::tables::{self, Name, RowKey, Rows};
use super::{Batch, Failure, Hint, HintStats, Op, Stored};
use crate::digest::{Leaves, Sum};
use crate::error::Error;
use crate::key::{Key, LEAVES, Partition, Position, Q};
use crate::planted::{self, Bug};
use crate::record::{Term, stored_term};

/// Rows that can be changed inside one transaction.
pub(super) trait RowsMut: Rows {
    /// Puts a row, replacing.
    fn put(&mut self, table: Name, key: &[u8], value: &[u8]) -> Result<(), Failure>;

    /// Puts a row that is not there, in one search; of one that is there, nothing is changed.
    fn put_new(&mut self, table: Name, key: &[u8], value: &[u8]) -> Result<Put, Failure>;

    /// Removes a row if it is there.
    fn delete(&mut self, table: Name, key: &[u8]) -> Result<(), Failure>;

    /// Removes all rows whose keys begin with `prefix`.
    fn delete_prefix(&mut self, table: Name, prefix: &[u8]) -> Result<(), Failure>;
}

/// What came of putting a new row.
pub(super) enum Put {
    /// It was not there and now is.
    Done,
    /// It is there, and its value begins with this term if it is a record's.
    There(Option<Term>),
}

/// What a store remembers of an applied batch.
pub(super) struct Applied {
    /// The number of this commit.
    pub(super) commit: u64,
    /// Added to the hint statistics, modulo 2^64.
    pub(super) hints: HintStats,
}

/// Applies a batch; on failure the caller throws the transaction away.
pub(super) fn apply<R: RowsMut>(rows: &mut R, batch: &Batch) -> Result<Applied, Failure> {
    // The batch that creates a file brings its own Q, wherever in the batch it stands.
    let q = batch.ops.iter().find_map(|op| match op {
        Op::Meta(name, Some(bytes)) if name == "q" => Some(tables::parse_q(bytes)),
        _ => None,
    });
    let q = q.unwrap_or_else(|| tables::q(rows))?;
    let mut work = Work { rows, q, deltas: Deltas::default(), hints: HintStats::default() };
    for op in &batch.ops {
        work.op(op)?;
    }
    work.write_digests()?;
    let hints = work.hints;
    let commit = tables::number(rows, "commit")?.unwrap_or(0).wrapping_add(1);
    rows.put(Name::Meta, b"commit", &commit.to_le_bytes())?;
    Ok(Applied { commit, hints })
}

struct Work<'r, R> {
    rows: &'r mut R,
    q: Q,
    deltas: Deltas,
    hints: HintStats,
}

impl<R: RowsMut> Work<'_, R> {
    fn op(&mut self, op: &Op) -> Result<(), Failure> {
        match op {
            Op::Record { partition, key, stored } => self.record(*partition, key, stored),
            Op::Bad { partition, key } => self.bad(*partition, key),
            Op::Healed { partition, key } => {
                self.rows.delete(Name::Bad, &RowKey::of(*partition, key)?)
            }
            Op::Rebuild(partition) => self.rebuild(*partition),
            Op::Drop(partition) => self.drop(*partition),
            Op::Hint(hint) => self.hint(hint),
            Op::Unhint { target, partition, key } => {
                let row = RowKey::hint(*target, *partition, key.as_bytes())?;
                self.forget_hint(&row)?;
                self.rows.delete(Name::Hints, &row)
            }
            Op::Meta(name, bytes) => self.named(Name::Meta, name, bytes.as_deref()),
            Op::Ring(name, bytes) => self.named(Name::Ring, name, bytes.as_deref()),
        }
    }

    fn record(&mut self, p: Partition, key: &Key, stored: &Stored) -> Result<(), Failure> {
        let (position, key) = (key.position(), key.as_bytes());
        if position.partition(self.q) != p {
            return Err(tables::misplaced(p, key).into());
        }
        let mut delta = Sum::default();
        delta.insert(stored.term());
        let row = RowKey::of(p, key)?;
        // One search of the tree for a new key, two for one that is replaced.
        if let Put::There(old) = self.rows.put_new(Name::Records, &row, stored.bytes())? {
            old.into_iter().for_each(|term| delta.remove(term));
            self.rows.put(Name::Records, &row, stored.bytes())?;
        }
        self.deltas.add(p, position.leaf(self.q), delta);
        Ok(())
    }

    fn bad(&mut self, p: Partition, key: &[u8]) -> Result<(), Failure> {
        let row = RowKey::of(p, key)?;
        // Listed even when nothing is left to move: it is the list that keeps the key from voting.
        let bytes = self.rows.get(Name::Records, &row)?.map(<[u8]>::to_vec);
        match bytes {
            Some(bytes) => self.rows.put(Name::Bad, &row, &bytes)?,
            None => self.rows.put_new(Name::Bad, &row, &[]).map(|_| ())?,
        }
        self.rows.delete(Name::Records, &row)?;
        self.rebuild(p)
    }

    fn rebuild(&mut self, p: Partition) -> Result<(), Failure> {
        let q = self.q;
        let mut leaves: Box<Leaves> = Box::new([Sum::default(); LEAVES]);
        tables::visit(self.rows, p, None, &mut |key, bytes| {
            if let Some(term) = stored_term(bytes) {
                leaves[usize::from(Position::of(key).leaf(q))].insert(term);
            }
            ControlFlow::Continue(())
        })?;
        if !planted::is(Bug::RebuildKeepsDeltas) {
            self.deltas.forget(p);
        }
        for (leaf, sum) in (0..=u8::MAX).zip(leaves.iter()) {
            self.put_sum(&tables::leaf_key(p, leaf), *sum)?;
        }
        self.put_sum(&tables::sum_key(p), leaves.iter().copied().sum())
    }

    fn drop(&mut self, p: Partition) -> Result<(), Failure> {
        self.deltas.forget(p);
        let prefix = p.0.to_be_bytes();
        self.rows.delete_prefix(Name::Records, &prefix)?;
        self.rows.delete_prefix(Name::Bad, &prefix)?;
        self.rows.delete_prefix(Name::Digests, &tables::leaf_key(p, 0)[..3])?;
        self.rows.delete(Name::Digests, &tables::sum_key(p))
    }

    fn hint(&mut self, hint: &Hint) -> Result<(), Failure> {
        let row = RowKey::hint(hint.target, hint.partition, hint.key.as_bytes())?;
        let bytes = hint.stored.as_ref().map_or(&[][..], Stored::bytes);
        self.forget_hint(&row)?;
        let stats = &mut self.hints;
        stats.count = stats.count.wrapping_add(1);
        stats.acknowledged = stats.acknowledged.wrapping_add(u64::from(!bytes.is_empty()));
        stats.bytes = stats.bytes.wrapping_add(bytes.len() as u64);
        self.rows.put(Name::Hints, &row, bytes)
    }

    /// Takes a hint that is there out of the statistics.
    fn forget_hint(&mut self, row: &[u8]) -> Result<(), Failure> {
        if let Some(old) = self.rows.get(Name::Hints, row)? {
            let stats = &mut self.hints;
            stats.count = stats.count.wrapping_sub(1);
            stats.acknowledged = stats.acknowledged.wrapping_sub(u64::from(!old.is_empty()));
            stats.bytes = stats.bytes.wrapping_sub(old.len() as u64);
        }
        Ok(())
    }

    fn named(&mut self, table: Name, name: &str, bytes: Option<&[u8]>) -> Result<(), Failure> {
        if name.is_empty() {
            return Err(Error::Usage("A row without a name cannot be stored.".into()).into());
        }
        let row = RowKey::new(&[name.as_bytes()])?;
        match bytes {
            Some(bytes) => self.rows.put(table, &row, bytes),
            None => self.rows.delete(table, &row),
        }
    }

    fn write_digests(&mut self) -> Result<(), Failure> {
        let mut deltas = std::mem::take(&mut self.deltas);
        for leaves in deltas.fold().chunk_by(|a, b| a.partition == b.partition) {
            let partition = leaves[0].partition;
            for delta in leaves {
                self.add_to_sum(&tables::leaf_key(partition, delta.leaf), delta.sum)?;
            }
            let total = leaves.iter().map(|d| d.sum).sum();
            self.add_to_sum(&tables::sum_key(partition), total)?;
        }
        Ok(())
    }

    fn add_to_sum(&mut self, row: &[u8], delta: Sum) -> Result<(), Failure> {
        let stored = self.rows.get(Name::Digests, row)?;
        let mut sum = stored.map(tables::parse_sum).transpose()?.unwrap_or_default();
        sum.add(delta);
        self.put_sum(row, sum)
    }

    /// A sum of nothing has no row, so that equal records make equal tables.
    fn put_sum(&mut self, row: &[u8], sum: Sum) -> Result<(), Failure> {
        if sum == Sum::default() {
            return self.rows.delete(Name::Digests, row);
        }
        self.rows.put(Name::Digests, row, &sum.to_bytes())
    }
}

/// What a batch adds to one leaf.
#[derive(Clone, Copy)]
struct Delta {
    partition: Partition,
    leaf: u8,
    sum: Sum,
}

/// What a batch adds to the leaves, in the order met; folded now and then to bound the memory.
#[derive(Default)]
struct Deltas {
    list: Vec<Delta>,
    folded: usize,
}

impl Deltas {
    fn add(&mut self, partition: Partition, leaf: u8, sum: Sum) {
        self.list.push(Delta { partition, leaf, sum });
        if self.list.len() > 2 * self.folded + (1 << 16) {
            self.fold();
        }
    }

    fn forget(&mut self, partition: Partition) {
        self.list.retain(|delta| delta.partition != partition);
    }

    /// Leaves one delta for each leaf, in order.
    fn fold(&mut self) -> &[Delta] {
        self.list.sort_unstable_by_key(|d| (d.partition, d.leaf));
        self.list.dedup_by(|next, kept| {
            let same = (next.partition, next.leaf) == (kept.partition, kept.leaf);
            if same {
                kept.sum.add(next.sum);
            }
            same
        });
        self.folded = self.list.len();
        &self.list
    }
}
