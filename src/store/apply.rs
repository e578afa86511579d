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
//! A rebuild is the one way to a digest that does not follow from the one before, so it never hides
//! anything: what the records do not explain becomes the partition's [`Loss`] in the same transaction.
//! A table whose rows stand where no search finds them is weeded first, by walking it, and then every
//! partition is rebuilt: nobody can say whose the rows were.
//!
//! It does not judge otherwise: it neither merges nor proves, and takes the old term as the old bytes
//! carry it. Caveat: putting over a record whose *term* has rotted leaves a wrong leaf behind, which
//! only `Op::Rebuild` mends; a node reads, and so proves, what it replaces.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::rows::{PutNew, RowsMut};
use super::seal::{self, Seals};
use super::tables::{self, Name, RowKey};
use super::tally::{Loss, Tally};
use super::upgrade::upgrade;
use super::{Batch, Failure, Hint, HintStats, Op, Stored};
use crate::digest::{Leaves, Sum};
use crate::error::{Error, Result as Read};
use crate::key::{Key, Partition, Q};
use crate::planted::{self, Bug};
use crate::record::stored_hash;

/// What a store remembers of an applied batch.
pub(super) struct Applied {
    /// The number of this commit.
    pub(super) commit: u64,
    /// Added to the hint statistics, modulo 2^64.
    pub(super) hints: HintStats,
}

/// Applies a batch; on failure the caller throws the transaction away.
pub(super) fn apply<R: RowsMut>(rows: &mut R, batch: &Batch) -> Result<Applied, Failure> {
    upgrade(Seals::of(rows)?, rows)?;
    // The batch that creates a file brings its own Q, wherever in the batch it stands.
    let q = batch.ops.iter().find_map(|op| match op {
        Op::Meta(name, Some(bytes)) if name == "q" => Some(tables::parse_q(bytes)),
        _ => None,
    });
    let q = q.unwrap_or_else(|| tables::q(rows))?;
    let mut work = Work {
        rows,
        q,
        deltas: Deltas::default(),
        rebuilt: BTreeMap::new(),
        hints: HintStats::default(),
        kept: Sum::default(),
    };
    for op in &batch.ops {
        work.op(op)?;
    }
    work.rebuild_all()?;
    work.write_digests()?;
    work.write_kept()?;
    let hints = work.hints;
    let commit = tables::number(rows, "commit")?.unwrap_or(0).wrapping_add(1);
    put_sealed(rows, Name::Meta, b"commit", &commit.to_le_bytes())?;
    Ok(Applied { commit, hints })
}

fn put_sealed<R: RowsMut>(
    rows: &mut R,
    table: Name,
    key: &[u8],
    value: &[u8],
) -> Result<(), Failure> {
    rows.put(table, key, &seal::seal(table, key, value))
}

struct Work<'r, R> {
    rows: &'r mut R,
    q: Q,
    deltas: Deltas,
    /// Partitions to rebuild at the end, and the keys that were struck from each.
    rebuilt: BTreeMap<Partition, Vec<Vec<u8>>>,
    hints: HintStats,
    /// Added to the sum of the acknowledged hints.
    kept: Sum,
}

impl<R: RowsMut> Work<'_, R> {
    fn op(&mut self, op: &Op) -> Result<(), Failure> {
        match op {
            Op::Record { partition, key, stored } => self.record(*partition, key, stored),
            Op::Bad { partition, key } => self.bad(*partition, key),
            Op::Healed { partition, key } => self.healed(*partition, key),
            Op::Rebuild(partition) => {
                self.rebuilt.entry(*partition).or_default();
                Ok(())
            }
            Op::Drop(partition) => self.drop(*partition),
            Op::Hint(hint) => self.hint(hint),
            Op::Unhint { target, partition, key } => {
                let row = RowKey::hint(*target, *partition, key.as_bytes())?;
                self.forget_hint(&row)?;
                self.rows.delete(Name::Hints, &row)
            }
            Op::DropBadHints(key) => self.drop_bad_hints(key.as_ref()),
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
        delta.insert(stored.hash());
        let row = RowKey::of(p, key)?;
        // One search of the tree for a new key, two for one that is replaced.
        if let PutNew::There(old) = self.rows.put_new(Name::Records, &row, stored.bytes())? {
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
        if bytes.is_some() || self.rows.get(Name::Bad, &row)?.is_none() {
            put_sealed(self.rows, Name::Bad, &row, bytes.as_deref().unwrap_or_default())?;
        }
        self.rows.delete(Name::Records, &row)?;
        let struck = self.rebuilt.entry(p).or_default();
        if bytes.is_some() {
            struck.push(key.to_vec());
        }
        Ok(())
    }

    /// A damaged record counts no more. Who was still owed it may be all that should have had it besides:
    /// when what stands there now is another one, it stays told as a hint that is gone.
    fn healed(&mut self, p: Partition, key: &[u8]) -> Result<(), Failure> {
        let row = RowKey::of(p, key)?;
        let was = tables::sealed(self.rows, Name::Bad, &row).ok().flatten().and_then(stored_hash);
        let now = self.rows.get(Name::Records, &row)?.and_then(stored_hash);
        if was.is_some()
            && was != now
            && let Ok(key) = Key::new(key)
        {
            for owed in tables::hints_of(self.rows, p, &key)? {
                if owed.stored.is_none() {
                    let row = RowKey::hint(owed.target, p, key.as_bytes())?;
                    let seal = self.rows.get(Name::Hints, &row)?.map(tables::owed);
                    self.kept.add(seal.unwrap_or_default());
                    self.forget_hint(&row)?;
                    self.rows.delete(Name::Hints, &row)?;
                }
            }
        }
        self.rows.delete(Name::Bad, &row)
    }

    /// Rebuilds what has to be; when a table is out of order, that is weeded and all is rebuilt.
    fn rebuild_all(&mut self) -> Result<(), Failure> {
        if self.rebuilt.is_empty() {
            return Ok(());
        }
        let scanned = self.rebuilt.keys().try_for_each(|p| self.scan(*p).map(drop));
        // A row may stand where no partition looks for it, and who reads all sums fails.
        let ordered = scanned.and_then(|()| tables::sums(self.rows).map(drop));
        if matches!(&ordered, Err(error) if matches!(error.root(), Error::Corrupt(_))) {
            let whole = self.rows.structure().map_err(Failure::from);
            whole.and_then(|()| self.weed()).map_err(damaged)?;
            for p in self.q.all() {
                self.rebuilt.entry(p).or_default();
            }
        }
        for (p, struck) in std::mem::take(&mut self.rebuilt) {
            self.rebuild(p, &struck).map_err(damaged)?;
        }
        Ok(())
    }

    /// What a partition holds, and what it was told to, this batch included.
    fn scan(&self, p: Partition) -> Read<(Tally, Box<Leaves>, Sum)> {
        let mut tally = Tally::default();
        tables::visit(self.rows, p, None, &mut |key, bytes| {
            if let Some(term) = stored_hash(bytes) {
                tally.add(self.q, key, term);
            }
            ControlFlow::Continue(())
        })?;
        let mut leaves = tables::leaves(self.rows, p)?;
        let mut sum = tables::sum(self.rows, p)?;
        for delta in self.deltas.list.iter().filter(|delta| delta.partition == p) {
            leaves[usize::from(delta.leaf)].add(delta.sum);
            sum.add(delta.sum);
        }
        Ok((tally, leaves, sum))
    }

    fn rebuild(&mut self, p: Partition, struck: &[Vec<u8>]) -> Result<(), Failure> {
        let (mut tally, leaves, sum) = self.scan(p)?;
        struck.iter().for_each(|key| tally.add_bad(self.q, key));
        if let Some(loss) = tally.loss(&leaves, sum) {
            self.lose(p, loss)?;
        }
        if !planted::is(Bug::RebuildKeepsDeltas) {
            self.deltas.forget(p);
        }
        for (leaf, sum) in (0..=u8::MAX).zip(tally.leaves.iter()) {
            self.put_sum(&tables::leaf_key(p, leaf), *sum)?;
        }
        self.put_sum(&tables::sum_key(p), tally.total())
    }

    /// Keeps in mind what a partition has lost, beside what it had lost before.
    fn lose(&mut self, p: Partition, loss: Loss) -> Result<(), Failure> {
        let row = Loss::row(p);
        let before = tables::sealed(self.rows, Name::Meta, row.as_bytes())?;
        let before = before.and_then(Loss::from_bytes).unwrap_or_default();
        put_sealed(self.rows, Name::Meta, row.as_bytes(), &before.and(loss).to_bytes())
    }

    /// Throws away the rows that stand where they cannot: of records those that do not prove
    /// themselves in their place, and of both tables those below the one before.
    fn weed(&mut self) -> Result<(), Failure> {
        let q = self.q;
        let mut last = Vec::new();
        self.rows.retain(Name::Records, &mut |row, bytes| {
            let placed = row.split_first_chunk::<2>().is_some_and(|(p, key)| {
                Key::new(key).is_ok_and(|key| q.partition(&key).0.to_be_bytes() == *p)
                    && crate::record::check(key, bytes).is_ok()
            });
            rises(&mut last, row, placed)
        })?;
        last.clear();
        self.rows.retain(Name::Digests, &mut |row, bytes| {
            let known = tables::is_digest(row) && tables::parse_sum(bytes).is_ok();
            rises(&mut last, row, known)
        })
    }

    fn drop(&mut self, p: Partition) -> Result<(), Failure> {
        self.deltas.forget(p);
        self.rebuilt.remove(&p);
        let prefix = p.0.to_be_bytes();
        self.rows.delete_prefix(Name::Records, &prefix)?;
        self.rows.delete_prefix(Name::Bad, &prefix)?;
        self.rows.delete_prefix(Name::Digests, &tables::leaf_key(p, 0)[..3])?;
        self.rows.delete(Name::Meta, Loss::row(p).as_bytes())?;
        self.rows.delete(Name::Digests, &tables::sum_key(p))
    }

    fn hint(&mut self, hint: &Hint) -> Result<(), Failure> {
        let row = RowKey::hint(hint.target, hint.partition, hint.key.as_bytes())?;
        let bytes = hint.stored.as_ref().map_or(&[][..], Stored::bytes);
        self.forget_hint(&row)?;
        self.hints.add(tables::one_hint(bytes.len() as u64));
        let stored = seal::seal(Name::Hints, &row, bytes);
        self.kept.add(tables::kept(&stored));
        self.rows.put(Name::Hints, &row, &stored)
    }

    /// Takes a hint that is there out of the statistics. One that is not what was kept stays in the
    /// sum: it is told as lost until that is accepted.
    fn forget_hint(&mut self, row: &[u8]) -> Result<(), Failure> {
        if let Some(old) = self.rows.get(Name::Hints, row)? {
            self.hints.subtract(tables::one_hint(seal::value_bytes(old)));
            if seal::open(Name::Hints, row, old).is_some() {
                self.kept.subtract(tables::kept(old));
            }
        }
        Ok(())
    }

    fn drop_bad_hints(&mut self, key: Option<&Key>) -> Result<(), Failure> {
        let found = tables::bad_hints(self.rows)?;
        let named = |h: &super::BadHint| key.is_none_or(|k| h.key().as_ref() == Some(k));
        let rows: Vec<_> = found.bad.into_iter().filter(named).map(|h| h.row).collect();
        for row in &rows {
            self.forget_hint(row)?;
            let old = self.rows.get(Name::Hints, row)?.map(tables::kept);
            old.into_iter().for_each(|old| self.kept.subtract(old));
        }
        // By walking: a row that is damaged may not be found by its key.
        self.rows.retain(Name::Hints, &mut |row, _| !rows.iter().any(|bad| bad == row))?;
        if key.is_some() {
            return Ok(());
        }
        // What is gone is forgotten too: from here on the sum is that of what is there.
        let mut kept = Sum::default();
        tables::every(self.rows, Name::Hints, &mut |_, stored| kept.add(tables::kept(stored)))?;
        self.kept = Sum::default();
        self.put_kept(kept)
    }

    fn write_kept(&mut self) -> Result<(), Failure> {
        if self.kept == Sum::default() {
            return Ok(());
        }
        let before = tables::sealed(self.rows, Name::Meta, tables::KEPT)?;
        let mut kept = before.map(tables::parse_sum).transpose()?.unwrap_or_default();
        kept.add(self.kept);
        self.put_kept(kept)
    }

    fn put_kept(&mut self, kept: Sum) -> Result<(), Failure> {
        if kept == Sum::default() {
            return self.rows.delete(Name::Meta, tables::KEPT);
        }
        put_sealed(self.rows, Name::Meta, tables::KEPT, &kept.to_bytes())
    }

    fn named(&mut self, table: Name, name: &str, bytes: Option<&[u8]>) -> Result<(), Failure> {
        if name.is_empty() {
            return Err(Error::Usage("A row without a name cannot be stored.".into()).into());
        }
        let row = RowKey::new(&[name.as_bytes()])?;
        match bytes {
            Some(bytes) => put_sealed(self.rows, table, &row, bytes),
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

/// Whether a row that may stay is above the last that stays, which it then is itself.
fn rises(last: &mut Vec<u8>, row: &[u8], may_stay: bool) -> bool {
    let stays = may_stay && (last.is_empty() || *row > **last);
    if stays {
        last.clear();
        last.extend_from_slice(row);
    }
    stays
}

/// A rebuild that meets damage it cannot mend.
fn damaged(failure: Failure) -> Failure {
    match failure {
        Failure::Fatal(error) if matches!(error.root(), Error::Corrupt(_)) => {
            Failure::Damaged(error.hint(tables::REPLACE))
        }
        other => other,
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
