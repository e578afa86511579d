//! A store in an LMDB file: `data.mdb` of a node directory.
//!
//! LMDB keeps sorted tables in one file, replaces pages instead of overwriting them and switches to
//! the new state by one small write, so a crash leaves the state before or after a commit, nothing
//! between. It is always used in its default, synced mode.
//!
//! ```text
//! n1/ data.mdb   tables records digests hints bad ring meta
//!     kvs.id     follows every commit; see `sidecar`
//!     kvs.lock   taken by whoever opens; see `lock`
//!     lock.mdb   LMDB's own, made by writers
//!
//! apply: ops -> rows, digests, commit number -> commit (synced) -> kvs.id (not synced)
//! ```
//!
//! This room alone is unsafe: a mapped file can be cut short behind our back. `preflight` looks
//! before it is mapped, `signal` names the file when it happens anyway. What it does not do: take
//! locks, merge, or prove bytes other than in [`Store::get`].
//!
//! Caveats: reading keeps one transaction open from the first reading to the next `apply`, and all
//! of it is one thread's. Pages freed by a drop are used again, but the file does not shrink.

mod held;
mod open;
mod preflight;
mod rows;
mod signal;
mod structure;
mod reader;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heed::{Env, RoTxn, WithoutTls};

pub use self::held::{FILE, LOCK_FILE};
use self::preflight::named;
pub use self::reader::Head;
use self::rows::{Edit, RowsView, Tables, failure, read_error};
pub use self::signal::{FAULT_CODE, UNKNOWN_CODE};
use self::structure::Extent;
use super::apply::{self, Applied};
use super::sidecar::{self, Identity, Reason, Sidecar, Trust};
use super::tables::{self, Name, Rows};
use super::{
    BadHints, Batch, Failure, Hint, HintPlace, HintStats, Store, Stored, Table, Visit, files,
};
use crate::clock::Actor;
use crate::digest::{Leaves, Sum};
use crate::error::{Error, Result};
use crate::key::{Key, Partition, Q};
use crate::ring::NodeId;

/// A disk with less room than this is full.
pub const FULL_BYTES: u64 = 1 << 20;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is made or written, not even a lock.
    Read,
    /// As [`Access::Read`], of a file with damaged pages: what can be read is better than nothing.
    /// LMDB may end the process with [`FAULT_CODE`].
    Salvage,
    /// Batches may be applied.
    Write,
}

/// How much address space a file gets: the most it can ever hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// Bytes, rounded up to whole pages.
    pub bytes: u64,
}

impl Map {
    /// The map of one file among several in one process: 47 bits hold only 127 maps of 1 TiB.
    #[must_use]
    pub fn among_many(file_bytes: u64) -> Self {
        Self { bytes: (64 << 30).max(file_bytes.saturating_mul(4)) }
    }
}

impl Default for Map {
    fn default() -> Self {
        Self { bytes: 1 << 40 }
    }
}

/// An opened file, and whether it can be the latest of its node.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub store: Lmdb,
    /// What its sidecar says.
    pub trust: Trust,
}

/// A node's durable state in a file.
pub struct Lmdb {
    /// One read transaction for all readings until the next batch; in reading mode, for ever.
    reader: OnceCell<RoTxn<'static, WithoutTls>>,
    env: Env<WithoutTls>,
    tables: Arc<Tables<'static>>,
    dir: PathBuf,
    access: Access,
    /// None when reading, and while the file is suspect.
    sidecar: Option<Sidecar>,
    trust: Trust,
    identity: Identity,
    q: Q,
    hints: OnceCell<HintStats>,
    quota: Option<u64>,
    /// Why no further batch is applied: the sidecar could not follow the last one.
    broken: Option<Error>,
}

impl Lmdb {
    /// Makes the file in a directory that nobody uses yet: its tables and a first batch, which must
    /// set the rows `q`, `node` and `actor` of `meta`. Makes `kvs.id` and `kvs.lock` too, and syncs
    /// everything; the caller renames the directory and syncs its parent.
    ///
    /// # Errors
    /// [`Error::Denied`] when there is a file already or the file system is remote,
    /// [`Error::Corrupt`] when the batch lacks a row, [`Error::Refused`] when the disk is full,
    /// [`Error::Io`]. The directory then is of no use.
    pub fn create(dir: &Path, batch: &Batch) -> Result<()> {
        open::create(dir, batch)
    }

    /// Opens the file of a directory whose `kvs.lock` the caller holds. Its pages are walked first, but
    /// for leaves of records and digests: a writer would trust a free list that names a page in use.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is no node directory or of a newer format, [`Error::Corrupt`] when
    /// the file is damaged or cut short, [`Error::Denied`] on a remote file system or under a limit
    /// on memory, [`Error::Busy`] when this process has it open, [`Error::Io`]. Nothing is changed.
    pub fn open(dir: &Path, access: Access, map: Map) -> Result<Opened> {
        open::open(dir, access, map).map_err(|error| named(&dir.join(FILE), error))
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whose file it is, and its last commit.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it can be the latest of its node; a new actor settles the matter.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// The number of partitions.
    #[must_use]
    pub fn q(&self) -> Q {
        self.q
    }

    /// From now on batches that would make the tables grow beyond so many bytes are refused; those
    /// that free room never are.
    pub fn set_quota(&mut self, bytes: Option<u64>) {
        self.quota = bytes;
    }

    /// The bytes of all tables, in whole pages. The file may be larger: it keeps free pages.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Io`] when the file cannot be read.
    pub fn used_bytes(&self) -> Result<u64> {
        self.tables.used_bytes(self.reader()?)
    }

    fn reader(&self) -> Result<&RoTxn<'static, WithoutTls>> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        let reader = self.env.clone().static_read_txn();
        let reader = reader.map_err(|e| read_error(&self.tables.path, e))?;
        Ok(self.reader.get_or_init(|| reader))
    }

    /// Whether the free list and the branches of all trees are whole, which a writer trusts; opening
    /// has asked too. It reads about a hundredth of the file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they are not: the file must not be written to. [`Error::Io`].
    pub fn frame(&self) -> Result<()> {
        self.pages(Extent::Frame)
    }

    /// Whether pages are whole, as of the present reading.
    fn pages(&self, extent: Extent<'_>) -> Result<()> {
        let Tables { file, path, .. } = &*self.tables;
        structure::check(file, path, Some(self.reader()?.id() as u64), extent)
    }

    /// Reads rows; what is wrong with the file is told with the name of its node.
    fn read<T>(&self, read: impl FnOnce(&RowsView<'_, 'static>) -> Result<T>) -> Result<T> {
        read(&self.tables.view(self.reader()?)).map_err(|error| named(&self.tables.path, error))
    }

    fn transact(&self, batch: &Batch) -> std::result::Result<(Applied, Identity), Failure> {
        let fail = |e| failure(&self.tables.path, e);
        let mut txn = self.env.write_txn().map_err(fail)?;
        let used = self.quota.map(|_| self.tables.used_bytes(&txn)).transpose()?;
        let applied = apply::apply(&mut Edit { txn: &mut txn, tables: &self.tables }, batch)?;
        let identity = identity(&self.tables.view(&txn))?;
        if let (Some(quota), Some(before)) = (self.quota, used) {
            let after = self.tables.used_bytes(&txn)?;
            if after > quota && after > before {
                let dir = self.dir.display();
                return Err(Failure::Full(format!(
                    "The quota of {quota} bytes of {dir} is used up; nothing was written."
                )));
            }
        }
        txn.commit().map_err(|e| self.commit_failure(e))?;
        Ok((applied, identity))
    }

    /// A full disk is harmless unless it struck LMDB's switch to the new state.
    fn commit_failure(&self, error: heed::Error) -> Failure {
        let why = failure(&self.tables.path, error);
        match self.env.write_txn() {
            Err(error) => Failure::Fatal(read_error(&self.tables.path, error)),
            Ok(txn) => {
                txn.abort();
                // LMDB says EIO when the last blocks run out in the middle of a write.
                match why {
                    Failure::Fatal(_) if self.is_disk_full() => {
                        let path = self.tables.path.display();
                        let text = format!("The disk is full; nothing was written to {path}.");
                        Failure::Full(text)
                    }
                    why => why,
                }
            }
        }
    }

    fn is_disk_full(&self) -> bool {
        let free = |s: libc::statfs| s.f_bavail.saturating_mul(s.f_bsize as u64);
        open::file_system(&self.dir).is_ok_and(|s| free(s) < FULL_BYTES)
    }

    /// Before a rolled back file is written to, its sidecar goes: the file would catch up with it,
    /// and then nothing would tell that it was rolled back.
    fn void_sidecar(&mut self) -> Result<()> {
        if matches!(self.trust, Trust::Suspect(Reason::RolledBack { .. })) {
            sidecar::remove(&self.dir)?;
            self.trust = Trust::Suspect(Reason::Missing);
        }
        Ok(())
    }

    /// Lets the sidecar follow a commit, unless the file is suspect and still has its old actor.
    fn follow(&mut self, now: Identity) -> Result<()> {
        let before = std::mem::replace(&mut self.identity, now);
        let renewed = (before.node, before.actor) != (now.node, now.actor);
        if renewed {
            self.trust = Trust::Proven;
        }
        if self.trust != Trust::Proven {
            return Ok(());
        }
        let lost = self.sidecar.as_ref().is_some_and(|sidecar| !sidecar.is_in_place());
        if self.sidecar.is_none() || lost {
            self.sidecar = Some(Sidecar::open(&self.dir)?);
        }
        let sidecar = self.sidecar.as_ref().expect("opened above");
        sidecar.write(&now)?;
        if renewed || lost {
            // With the old actor on the disk the next opening would take this file for a copy.
            sidecar.sync()?;
            files::sync_dir(&self.dir)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Lmdb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lmdb").field("dir", &self.dir).field("identity", &self.identity).finish()
    }
}

impl Store for Lmdb {
    fn get(&self, partition: Partition, key: &Key) -> Result<Option<Stored>> {
        self.read(|rows| tables::record(rows, partition, key))
    }

    fn prove_absent(&self, p: Partition, key: &Key) -> Result<()> {
        let row = tables::RowKey::of(p, key.as_bytes())?;
        self.pages(Extent::Row(&row))?;
        // A key that was altered, and is still in order, stands where it stood: beside this place.
        self.read(|rows| {
            let mut beside = rows.beside(Name::Records, &row)?.into_iter().flatten();
            beside.try_for_each(|(row, stored)| tables::prove(self.q, row, stored))
        })
    }

    fn visit(&self, p: Partition, after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        if after.is_none() {
            self.pages(Extent::Partition(p))?;
        }
        self.read(|rows| tables::visit(rows, p, after, visit))
    }

    fn sums(&self) -> Result<Vec<(Partition, Sum)>> {
        self.read(|rows| tables::sums(rows))
    }

    fn sum(&self, partition: Partition) -> Result<Sum> {
        self.read(|rows| tables::sum(rows, partition))
    }

    fn leaves(&self, partition: Partition) -> Result<Box<Leaves>> {
        self.read(|rows| tables::leaves(rows, partition))
    }

    fn hints(&self, after: Option<&(NodeId, Partition, Key)>, limit: usize) -> Result<Vec<Hint>> {
        self.read(|rows| tables::hints(rows, after, limit))
    }

    fn hint_places(
        &self,
        after: Option<&HintPlace>,
        limit: usize,
    ) -> Result<Vec<(HintPlace, usize)>> {
        self.read(|rows| tables::hint_places(rows, after, limit))
    }

    fn hint_stats(&self) -> Result<HintStats> {
        if let Some(stats) = self.hints.get() {
            return Ok(*stats);
        }
        let stats = self.read(|rows| tables::hint_stats(rows))?;
        Ok(*self.hints.get_or_init(|| stats))
    }

    fn hints_of(&self, partition: Partition, key: &Key) -> Result<Vec<Hint>> {
        self.read(|rows| tables::hints_of(rows, partition, key))
    }

    fn bad_hints(&self) -> Result<BadHints> {
        self.read(|rows| tables::bad_hints(rows))
    }

    fn bad(&self) -> Result<Vec<(Partition, Vec<u8>)>> {
        self.read(|rows| tables::bad(rows))
    }

    fn row(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>> {
        self.read(|rows| tables::row(rows, table, name))
    }

    fn rows(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.read(|rows| tables::named(rows, table, prefix))
    }

    fn base(&self) -> Result<()> {
        if let Some(lost) = self.tables.held.lost() {
            let now = "save what it still has (kvs dump), then stop and start it";
            return Err(Error::Corrupt(format!("{lost} It accepts no writes.")).hint(now));
        }
        self.frame()?;
        self.read(|rows| {
            tables::bad(rows)?;
            for table in [Table::Ring, Table::Meta] {
                tables::named(rows, table, "")?;
            }
            Ok(())
        })
    }

    fn structure(&self) -> Result<()> {
        self.pages(Extent::Whole)
    }

    fn commit_number(&self) -> u64 {
        self.identity.commit
    }

    fn apply(&mut self, batch: &Batch) -> std::result::Result<(), Failure> {
        if self.access != Access::Write {
            let dir = self.dir.display();
            let why = format!("{dir} is open for reading. Nothing was changed.");
            return Err(Failure::Fatal(Error::Denied(why)));
        }
        if let Some(error) = self.broken.take() {
            return Err(Failure::Fatal(error));
        }
        if let Some(lost) = self.tables.held.lost() {
            return Err(Failure::Full(format!("{lost} Nothing was written.")));
        }
        self.void_sidecar()?;
        // An open read transaction would keep the pages that this batch frees from being used again.
        drop(self.reader.take());
        let done = self.tables.guard.writing(|| self.transact(batch));
        let (applied, identity) = done.map_err(|why| match why {
            Failure::Damaged(error) => Failure::Damaged(named(&self.tables.path, error)),
            Failure::Fatal(error) => Failure::Fatal(named(&self.tables.path, error)),
            full @ Failure::Full(_) => full,
        })?;
        if let Some(stats) = self.hints.get_mut() {
            stats.add(applied.hints);
        }
        // The commit stands, so a sidecar that cannot follow stops the node at the next one.
        self.broken = self.follow(identity).err();
        Ok(())
    }
}

/// Whose rows these are.
fn identity(rows: &impl Rows) -> Result<Identity> {
    let word = |name| {
        tables::number(rows, name)?.ok_or_else(|| {
            Error::Corrupt(format!("The row {name} is missing from the table meta."))
        })
    };
    Ok(Identity {
        node: NodeId(word("node")?),
        actor: Actor(word("actor")?),
        commit: word("commit")?,
    })
}
