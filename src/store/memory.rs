//! A store in memory: the simulator's disk, and the model the file is tested against.
//!
//! It tells what is written from what is durable. Reads see durable rows only, as a node's do:
//!
//! ```text
//! stage(batch) --> unsynced --sync()------> durable <-- every reading
//!                     |                        ^
//!                     +---- crash(true) -------+     the disk had it after all
//!                     +---- crash(false)             gone
//! ```
//!
//! Faults are injected here: [`Memory::rot`], [`Memory::lose`] and [`Memory::damage`] damage rows
//! behind the digest's back, [`Memory::set_full`] fills the disk, and a clone is a snapshot to roll
//! back to. What it does not do: it knows no sidecar, no lock and no torn write; a batch is durable
//! whole or not at all.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::apply;
use super::rows::{Keep, PutNew, RowsMut};
use super::tables::{self, Name, RowKey, Rows};
use super::{BadHints, Batch, Failure, Hint, HintPlace, HintStats, Store, Stored, Table, Visit};
use crate::digest::{Leaves, Sum};
use crate::error::Result;
use crate::key::{Key, Partition};
use crate::record::stored_hash;
use crate::ring::NodeId;

/// A node's durable state in memory; a clone is a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    durable: Image,
    staged: Vec<Batch>,
    hints: HintStats,
    commit: u64,
    full: bool,
}

/// What becomes of a row behind the store's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// This bit of its value flips.
    Value(usize),
    /// This bit of its key flips.
    Key(usize),
    /// It vanishes.
    Lost,
}

impl Memory {
    /// Writes a batch without making it durable: no reading sees it yet.
    pub fn stage(&mut self, batch: &Batch) {
        self.staged.push(batch.clone());
    }

    /// Makes everything staged durable, in order.
    ///
    /// # Errors
    /// As [`Store::apply`]; the batch that failed and those staged after it are gone.
    pub fn sync(&mut self) -> std::result::Result<(), Failure> {
        for batch in std::mem::take(&mut self.staged) {
            if self.full {
                return Err(Failure::Full("The disk is full; the batch is not applied.".into()));
            }
            let applied = self.durable.transact(&batch)?;
            self.commit = applied.commit;
            self.hints.add(applied.hints);
        }
        Ok(())
    }

    /// The machine stops: what was staged is lost, or `keep`: had reached the disk after all.
    pub fn crash(&mut self, keep: bool) {
        let kept = if keep { self.sync() } else { Ok(()) };
        // A batch that could not be applied is a batch that was lost.
        drop(kept);
        self.staged.clear();
    }

    /// Whether something is staged and not yet durable.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// From now on the disk is full, or has room again.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Flips a bit in the last byte of a record, behind the digest's back; false when there is none.
    pub fn rot(&mut self, partition: Partition, key: &Key) -> bool {
        let row = self.durable.record_mut(partition, key);
        let last = row.and_then(|bytes| Arc::make_mut(bytes).last_mut());
        last.is_some_and(|byte| {
            *byte ^= 1;
            true
        })
    }

    /// Makes a record vanish, behind the digest's back; false when there is none.
    pub fn lose(&mut self, partition: Partition, key: &Key) -> bool {
        let row = RowKey::of(partition, key.as_bytes()).expect("a key fits its row");
        self.durable.tables[Name::Records as usize].remove(&*row).is_some()
    }

    /// How many rows a table has, by its name in the file; none for a name that is no table's.
    #[must_use]
    pub fn rows_in(&self, table: &str) -> usize {
        self.table(table).map_or(0, |t| self.durable.tables[t].len())
    }

    /// Damages the `nth` row of a table behind the store's back; the row's key as it was, or nothing
    /// when there is no such row or bit.
    pub fn damage(&mut self, table: &str, nth: usize, how: Damage) -> Option<Vec<u8>> {
        let table = self.table(table)?;
        let rows = &mut self.durable.tables[table];
        let key = rows.keys().nth(nth)?.clone();
        match how {
            Damage::Value(bit) => flip(Arc::make_mut(rows.get_mut(&key)?), bit)?,
            Damage::Lost => drop(rows.remove(&key)),
            Damage::Key(bit) => {
                let mut other = key.clone();
                flip(&mut other, bit)?;
                let value = rows.remove(&key)?;
                rows.insert(other, value);
            }
        }
        // As whoever opens the file counts them.
        self.hints = tables::hint_stats(&self.durable).unwrap_or(self.hints);
        Some(key)
    }

    fn table(&self, name: &str) -> Option<usize> {
        Name::ALL.iter().position(|table| table.as_str() == name)
    }

    /// What [`Memory::restore`] goes back to.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        self.clone()
    }

    /// Goes back to a snapshot, as a restored backup does.
    pub fn restore(&mut self, snapshot: &Self) {
        *self = snapshot.clone();
    }
}

/// Flips a bit, if there are so many.
fn flip(bytes: &mut [u8], bit: usize) -> Option<()> {
    *bytes.get_mut(bit / 8)? ^= 1 << (bit % 8);
    Some(())
}

impl Store for Memory {
    fn get(&self, partition: Partition, key: &Key) -> Result<Option<Stored>> {
        tables::record(&self.durable, partition, key)
    }

    fn visit(&self, p: Partition, after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        tables::visit(&self.durable, p, after, visit)
    }

    fn sums(&self) -> Result<Vec<(Partition, Sum)>> {
        tables::sums(&self.durable)
    }

    fn sum(&self, partition: Partition) -> Result<Sum> {
        tables::sum(&self.durable, partition)
    }

    fn leaves(&self, partition: Partition) -> Result<Box<Leaves>> {
        tables::leaves(&self.durable, partition)
    }

    fn hints(&self, after: Option<&(NodeId, Partition, Key)>, limit: usize) -> Result<Vec<Hint>> {
        tables::hints(&self.durable, after, limit)
    }

    fn hint_places(
        &self,
        after: Option<&HintPlace>,
        limit: usize,
    ) -> Result<Vec<(HintPlace, usize)>> {
        tables::hint_places(&self.durable, after, limit)
    }

    fn hint_stats(&self) -> Result<HintStats> {
        Ok(self.hints)
    }

    fn hints_of(&self, partition: Partition, key: &Key) -> Result<Vec<Hint>> {
        tables::hints_of(&self.durable, partition, key)
    }

    fn bad_hints(&self) -> Result<BadHints> {
        tables::bad_hints(&self.durable)
    }

    fn bad(&self) -> Result<Vec<(Partition, Vec<u8>)>> {
        tables::bad(&self.durable)
    }

    fn row(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>> {
        tables::row(&self.durable, table, name)
    }

    fn rows(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        tables::named(&self.durable, table, prefix)
    }

    fn commit_number(&self) -> u64 {
        self.commit
    }

    fn apply(&mut self, batch: &Batch) -> std::result::Result<(), Failure> {
        self.stage(batch);
        self.sync()
    }
}

/// The rows of all tables.
#[derive(Clone, Debug, Default)]
struct Image {
    tables: [BTreeMap<Vec<u8>, Arc<[u8]>>; Name::ALL.len()],
}

impl Image {
    /// All of a batch or nothing of it.
    fn transact(&mut self, batch: &Batch) -> std::result::Result<apply::Applied, Failure> {
        let mut edit = MemoryEdit { image: self, undo: Vec::new() };
        let outcome = apply::apply(&mut edit, batch);
        if outcome.is_err() {
            edit.roll_back();
        }
        outcome
    }

    fn record_mut(&mut self, p: Partition, key: &Key) -> Option<&mut Arc<[u8]>> {
        let row = RowKey::of(p, key.as_bytes()).ok()?;
        self.tables[Name::Records as usize].get_mut(&*row)
    }
}

impl Rows for Image {
    fn get(&self, table: Name, key: &[u8]) -> Result<Option<&[u8]>> {
        Ok(self.tables[table as usize].get(key).map(|bytes| &**bytes))
    }

    fn walk(&self, table: Name, from: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        let rows = self.tables[table as usize].range::<[u8], _>((from, Bound::Unbounded));
        for (key, bytes) in rows {
            if visit(key, bytes).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// A map has every row where a search finds it.
    fn is_found(&self, _table: Name, _key: &[u8], _at: usize) -> Result<bool> {
        Ok(true)
    }
}

/// One row as it was before: table, key, value.
type Undo = (Name, Vec<u8>, Option<Arc<[u8]>>);

/// A change under way, which can be taken back.
struct MemoryEdit<'i> {
    image: &'i mut Image,
    undo: Vec<Undo>,
}

impl MemoryEdit<'_> {
    fn roll_back(self) {
        for (table, key, old) in self.undo.into_iter().rev() {
            let rows = &mut self.image.tables[table as usize];
            match old {
                Some(bytes) => rows.insert(key, bytes),
                None => rows.remove(&key),
            };
        }
    }
}

impl Rows for MemoryEdit<'_> {
    fn get(&self, table: Name, key: &[u8]) -> Result<Option<&[u8]>> {
        self.image.get(table, key)
    }

    fn walk(&self, table: Name, from: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        self.image.walk(table, from, visit)
    }

    fn is_found(&self, table: Name, key: &[u8], at: usize) -> Result<bool> {
        self.image.is_found(table, key, at)
    }
}

impl RowsMut for MemoryEdit<'_> {
    fn put(&mut self, table: Name, key: &[u8], value: &[u8]) -> std::result::Result<(), Failure> {
        let old = self.image.tables[table as usize].insert(key.to_vec(), value.into());
        self.undo.push((table, key.to_vec(), old));
        Ok(())
    }

    fn put_new(
        &mut self,
        table: Name,
        key: &[u8],
        value: &[u8],
    ) -> std::result::Result<PutNew, Failure> {
        match self.image.get(table, key)? {
            Some(there) => Ok(PutNew::There(stored_hash(there))),
            None => self.put(table, key, value).map(|()| PutNew::Done),
        }
    }

    fn delete(&mut self, table: Name, key: &[u8]) -> std::result::Result<(), Failure> {
        if let Some((key, old)) = self.image.tables[table as usize].remove_entry(key) {
            self.undo.push((table, key, Some(old)));
        }
        Ok(())
    }

    fn delete_prefix(&mut self, table: Name, prefix: &[u8]) -> std::result::Result<(), Failure> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let rows = self.image.tables[table as usize].range::<[u8], _>(from);
        let keys = rows.map(|(key, _)| key).take_while(|key| key.starts_with(prefix));
        for key in keys.cloned().collect::<Vec<_>>() {
            self.delete(table, &key)?;
        }
        Ok(())
    }

    /// A map has none that could be damaged.
    fn structure(&self) -> Result<()> {
        Ok(())
    }

    fn retain(&mut self, table: Name, keep: &mut Keep<'_>) -> std::result::Result<(), Failure> {
        let rows = self.image.tables[table as usize].iter();
        let gone = rows.filter(|(key, value)| !keep(key, value)).map(|(key, _)| key.clone());
        for key in gone.collect::<Vec<_>>() {
            self.delete(table, &key)?;
        }
        Ok(())
    }
}
