//! Ordered rows of bytes in six tables: what a store brings, and the order that every scan proves.
//!
//! ```text
//! walk   rows as they stand, in whatever order that is
//! scan   the same, each above the one before and found by a search for its key, or the file is damaged
//! ```
//!
//! What the bytes mean is written in [`super::tables`].

use std::ops::{Bound, ControlFlow, Deref};

use super::{Failure, Table, Visit};
use crate::error::{Error, Result};
use crate::key::Partition;
use crate::record::RecordHash;
use crate::ring::NodeId;

/// A change of rows, or why the transaction cannot go on.
type Changed<T> = std::result::Result<T, Failure>;

/// The longest key of a row: LMDB's limit. Target, partition and a key of 500 bytes take 510.
pub(super) const ROW_KEY_MAX: usize = 511;
/// The way out of a file that is damaged as a whole. Whoever knows whose file it is adds the command.
pub(super) const REPLACE: &str = "rebuild the node from the others";
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

    /// Visits rows as they stand from a bound on, in whatever order that is, until told to stop.
    fn walk(&self, table: Name, from: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()>;

    /// Whether a search for a key finds the row that a walk has met, whose value begins at `at`.
    fn is_found(&self, table: Name, key: &[u8], at: usize) -> Result<bool>;

    /// Visits rows in order from a bound until told to stop.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a row is not above the one before, or cannot be found by its key: the
    /// file itself is damaged. What was visited before may be a part only.
    fn scan(&self, table: Name, from: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        let mut before = Before::new(from);
        let mut damage = Ok(());
        self.walk(table, from, &mut |key, value| {
            damage = before.check(self, table, key, value);
            if damage.is_err() { ControlFlow::Break(()) } else { visit(key, value) }
        })?;
        damage.and_then(|()| before.check_last(self, table))
    }
}

/// Rows that can be changed inside one transaction.
pub(super) trait RowsMut: Rows {
    /// Puts a row, replacing.
    fn put(&mut self, table: Name, key: &[u8], value: &[u8]) -> Changed<()>;

    /// Puts a row that is not there, in one search; of one that is there, nothing is changed.
    fn put_new(&mut self, table: Name, key: &[u8], value: &[u8]) -> Changed<PutNew>;

    /// Removes a row if it is there.
    fn delete(&mut self, table: Name, key: &[u8]) -> Changed<()>;

    /// Removes all rows whose keys begin with `prefix`.
    fn delete_prefix(&mut self, table: Name, prefix: &[u8]) -> Changed<()>;

    /// Whether the file under the tables is whole, so that it can be mended by writing.
    fn structure(&self) -> Result<()>;

    /// Walks a table in whatever order it is and removes the rows that are not to be kept.
    fn retain(&mut self, table: Name, keep: &mut Keep<'_>) -> Changed<()>;
}

/// Says of a row whether it is kept.
pub(super) type Keep<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// What came of putting a new row.
pub(super) enum PutNew {
    /// It was not there and now is.
    Done,
    /// It is there, and its value begins with this term if it is a record's.
    There(Option<RecordHash>),
}

/// Rows of one page stand together, so a search that finds the first and the last of a page finds all.
const PAGE_BYTES: usize = 4096;

/// The row before the one a scan is at.
struct Before {
    key: Vec<u8>,
    inclusive: bool,
    /// The page its key lies in, and where its value begins; `None` before the first row.
    place: Option<(usize, usize)>,
}

impl Before {
    fn new(from: Bound<&[u8]>) -> Self {
        let (key, inclusive) = match from {
            Bound::Included(key) => (key, true),
            Bound::Excluded(key) => (key, false),
            Bound::Unbounded => (&[][..], true),
        };
        Self { key: key.to_vec(), inclusive, place: None }
    }

    fn check<R: Rows + ?Sized>(
        &mut self,
        rows: &R,
        table: Name,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        let first = self.place.is_none();
        if *key < *self.key || *key == *self.key && !(first && self.inclusive) {
            return Err(disordered(table));
        }
        let (page, at) = (key.as_ptr() as usize / PAGE_BYTES, value.as_ptr() as usize);
        if self.place.is_none_or(|(before, _)| before != page) {
            self.check_last(rows, table)?;
            if !rows.is_found(table, key, at)? {
                return Err(disordered(table));
            }
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.place = Some((page, at));
        Ok(())
    }

    fn check_last<R: Rows + ?Sized>(&self, rows: &R, table: Name) -> Result<()> {
        match self.place {
            Some((_, at)) if !rows.is_found(table, &self.key, at)? => Err(disordered(table)),
            _ => Ok(()),
        }
    }
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

/// Visits every row as it stands.
pub(super) fn every(
    rows: &impl Rows,
    table: Name,
    visit: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<()> {
    rows.walk(table, Bound::Unbounded, &mut |key, value| {
        visit(key, value);
        ControlFlow::Continue(())
    })
}

/// A row that stands where it cannot stand, or where no search finds it.
fn disordered(table: Name) -> Error {
    let table = table.as_str();
    Error::Corrupt(format!("The table {table} is out of order: the file itself is damaged."))
        .hint(REPLACE)
}

pub(super) fn malformed(table: Name) -> Error {
    Error::Corrupt(format!("A row of the table {} is malformed.", table.as_str()))
}
