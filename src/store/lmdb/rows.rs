//! LMDB's tables as rows of bytes, and its errors as ours.
//!
//! ```text
//! RowsView a read transaction      get walk
//! Edit    a write transaction     get walk put delete      dropped without commit: as if never
//! ```
//!
//! Values are handed out as they lie in the map, without a copy. It knows nothing of what they
//! mean; that is [`crate::store::tables`].

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{MdbError, RoTxn, RwTxn};

use super::held::Held;
use super::preflight::replace;
use super::signal::Guard;
use super::structure::{self, Extent};
use crate::error::{Error, Result};
use crate::record::stored_hash;
use crate::store::rows::{Keep, PutNew, RowsMut};
use crate::store::tables::{Name, Rows};
use crate::store::{Failure, Visit};

pub(super) type Database<'e> = heed::Database<'e, Bytes, Bytes>;
/// A key and its value, as they lie in the map.
type Row<'t> = (&'t [u8], &'t [u8]);

/// What reading and writing rows needs besides a transaction.
pub(super) struct Tables<'e> {
    pub(super) path: PathBuf,
    /// For walks of its pages. It stays open: a process that has no descriptor left must not take that
    /// for damage.
    pub(super) file: File,
    /// Of a writer.
    pub(super) held: Held,
    pub(super) guard: Guard,
    pub(super) databases: [Database<'e>; Name::ALL.len()],
}

impl<'e> Tables<'e> {
    pub(super) fn view<'t>(&'t self, txn: &'t RoTxn<'t>) -> RowsView<'t, 'e> {
        RowsView { txn, tables: self }
    }

    /// The pages of all tables, in bytes; free pages do not count.
    pub(super) fn used_bytes(&self, txn: &RoTxn<'_>) -> Result<u64> {
        let mut bytes = 0;
        for database in &self.databases {
            let stat = self.guard.inside(|| database.stat(txn));
            let stat = stat.map_err(|e| read_error(&self.path, e))?;
            let pages = stat.branch_pages.saturating_add(stat.leaf_pages);
            let pages = pages.saturating_add(stat.overflow_pages);
            // In a damaged file they may be any numbers.
            let size = (pages as u64).saturating_mul(u64::from(stat.page_size));
            bytes = size.saturating_add(bytes);
        }
        Ok(bytes)
    }

    fn database(&self, table: Name) -> &Database<'e> {
        &self.databases[table as usize]
    }

    fn get<'t>(&self, txn: &'t RoTxn<'_>, table: Name, key: &[u8]) -> Result<Option<&'t [u8]>> {
        let value = self.guard.inside(|| self.database(table).get(txn, key));
        value.map_err(|e| read_error(&self.path, e))
    }

    fn walk(
        &self,
        txn: &RoTxn<'_>,
        table: Name,
        from: Bound<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        // LMDB has no empty key to start from.
        let from = if from == Bound::Included(&[][..]) { Bound::Unbounded } else { from };
        let range = (from, Bound::Unbounded);
        let fail = |e| read_error(&self.path, e);
        let mut rows =
            self.guard.inside(|| self.database(table).range(txn, &range)).map_err(fail)?;
        // The visitor runs outside: what it does wrong is not blamed on the file.
        while let Some(row) = self.guard.inside(|| rows.next()) {
            let (key, value) = row.map_err(fail)?;
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The rows before and after a key that has none.
    fn beside<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        table: Name,
        key: &[u8],
    ) -> Result<[Option<Row<'t>>; 2]> {
        let database = self.database(table);
        let rows = self.guard.inside(|| {
            let before = database.get_lower_than(txn, key)?;
            Ok([before, database.get_greater_than(txn, key)?])
        });
        rows.map_err(|e| read_error(&self.path, e))
    }

    fn is_found(&self, txn: &RoTxn<'_>, table: Name, key: &[u8], at: usize) -> Result<bool> {
        if key.is_empty() {
            return Ok(false);
        }
        let found = self.get(txn, table, key)?;
        Ok(found.is_some_and(|value| value.as_ptr() as usize == at))
    }
}

/// Rows at one moment.
pub(super) struct RowsView<'t, 'e> {
    txn: &'t RoTxn<'t>,
    tables: &'t Tables<'e>,
}

impl Rows for RowsView<'_, '_> {
    fn get(&self, table: Name, key: &[u8]) -> Result<Option<&[u8]>> {
        self.tables.get(self.txn, table, key)
    }

    fn walk(&self, table: Name, from: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        self.tables.walk(self.txn, table, from, visit)
    }

    fn is_found(&self, table: Name, key: &[u8], at: usize) -> Result<bool> {
        self.tables.is_found(self.txn, table, key, at)
    }
}

impl RowsView<'_, '_> {
    /// The rows of a table before and after a key that has none.
    pub(super) fn beside(&self, table: Name, key: &[u8]) -> Result<[Option<Row<'_>>; 2]> {
        self.tables.beside(self.txn, table, key)
    }
}

/// Rows inside a write transaction.
pub(super) struct Edit<'t, 'e, 'x> {
    pub(super) txn: &'t mut RwTxn<'x>,
    pub(super) tables: &'t Tables<'e>,
}

impl Rows for Edit<'_, '_, '_> {
    fn get(&self, table: Name, key: &[u8]) -> Result<Option<&[u8]>> {
        self.tables.get(self.txn, table, key)
    }

    fn walk(&self, table: Name, from: Bound<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        self.tables.walk(self.txn, table, from, visit)
    }

    fn is_found(&self, table: Name, key: &[u8], at: usize) -> Result<bool> {
        self.tables.is_found(self.txn, table, key, at)
    }
}

impl RowsMut for Edit<'_, '_, '_> {
    fn put(&mut self, table: Name, key: &[u8], value: &[u8]) -> std::result::Result<(), Failure> {
        let put = self.tables.database(table).put(self.txn, key, value);
        put.map_err(|e| failure(&self.tables.path, e))
    }

    fn put_new(
        &mut self,
        table: Name,
        key: &[u8],
        value: &[u8],
    ) -> std::result::Result<PutNew, Failure> {
        let put = self.tables.database(table).get_or_put(self.txn, key, value);
        let there = put.map_err(|e| failure(&self.tables.path, e))?;
        Ok(there.map_or(PutNew::Done, |there| PutNew::There(stored_hash(there))))
    }

    fn delete(&mut self, table: Name, key: &[u8]) -> std::result::Result<(), Failure> {
        let deleted = self.tables.database(table).delete(self.txn, key);
        deleted.map(drop).map_err(|e| failure(&self.tables.path, e))
    }

    fn delete_prefix(&mut self, table: Name, prefix: &[u8]) -> std::result::Result<(), Failure> {
        let end = after_prefix(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(prefix), end);
        let deleted = self.tables.database(table).delete_range(self.txn, &range);
        deleted.map(drop).map_err(|e| failure(&self.tables.path, e))
    }

    fn structure(&self) -> Result<()> {
        structure::check(&self.tables.file, &self.tables.path, None, Extent::Whole)
    }

    #[expect(
        unsafe_code,
        reason = "the cursor deletes where it stands: no search would find the row"
    )]
    fn retain(&mut self, table: Name, keep: &mut Keep<'_>) -> std::result::Result<(), Failure> {
        let (guard, path) = (&self.tables.guard, &self.tables.path);
        let fail = |e| failure(path, e);
        let database = self.tables.database(table);
        let mut rows = guard.inside(|| database.iter_mut(self.txn)).map_err(fail)?;
        while let Some(row) = guard.inside(|| rows.next()) {
            let (key, value) = row.map_err(fail)?;
            if !keep(key, value) {
                // SAFETY: key and value are not used again.
                guard.inside(|| unsafe { rows.del_current() }).map_err(fail)?;
            }
        }
        Ok(())
    }
}

/// The first key after all that begin with `prefix`; none after a prefix of 0xff only.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// An error of reading or opening.
pub(super) fn read_error(path: &Path, error: heed::Error) -> Error {
    let path_text = path.display();
    match error {
        heed::Error::Io(e) if e.raw_os_error() == Some(libc::ENOMEM) => Error::Denied(format!(
            "There is not enough address space to map {path_text}: a limit on virtual memory is \
             set. Nothing was changed."
        ))
        .hint("raise the limit: ulimit -v unlimited"),
        heed::Error::Io(e) => Error::io("use", path)(e),
        heed::Error::Mdb(MdbError::ReadersFull) => {
            Error::Busy(format!("The file {path_text} has too many readers. Nothing was changed."))
        }
        heed::Error::Mdb(MdbError::BadValSize) => {
            Error::Usage(format!("A key or value does not fit into {path_text}."))
        }
        heed::Error::Mdb(MdbError::VersionMismatch) => Error::Usage(format!(
            "The file {path_text} has another version of LMDB's format. Nothing was changed."
        )),
        heed::Error::EnvAlreadyOpened => Error::Busy(format!(
            "The file {path_text} is already open in this process. Nothing was changed."
        )),
        other => {
            Error::Corrupt(format!("The file {path_text} is damaged: {other}.")).hint(replace(path))
        }
    }
}

/// An error of writing.
pub(super) fn failure(path: &Path, error: heed::Error) -> Failure {
    let path_text = path.display();
    let full = |what: &str| Failure::Full(format!("{what}; nothing was written to {path_text}."));
    match error {
        heed::Error::Mdb(MdbError::MapFull) => full("The map of the file is full"),
        heed::Error::Mdb(MdbError::TxnFull) => full("The batch is too large for one transaction"),
        heed::Error::Io(e) if is_full(&e) => full("The disk is full"),
        other => Failure::Fatal(read_error(path, other)),
    }
}

fn is_full(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [libc::ENOSPC, libc::EDQUOT, libc::EFBIG].iter().any(|full| code == Some(*full))
}
