//! Making and opening the file under a node.
//!
//! ```text
//! open   statfs -> preflight, structure (plain reads) -> map -> guard -> tables -> sidecar -> trust
//! create statfs -> map -> one commit: tables, rows -> sync -> kvs.id, kvs.lock -> sync directory
//! ```
//!
//! Opening never makes a file that holds data, and opening for reading makes and writes nothing at
//! all. Caveat: whoever opens holds `kvs.lock` (see [`crate::store::lock`]); nothing here takes it.

use std::cell::OnceCell;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, WithoutTls};

use super::held::Held;
use super::rows::{Edit, Tables, failure, read_error};
use super::signal::Guard;
use super::structure::{self, Extent};
use super::{Access, FILE, LOCK_FILE, Lmdb, Map, Opened, identity, preflight};
use crate::error::{Error, Result};
use crate::store::lock::Lock;
use crate::store::sidecar::{self, Sidecar, Trust};
use crate::store::tables::{self, Name};
use crate::store::{Batch, Failure, apply, files};

/// The files are their owner's alone.
const MODE: u32 = 0o600;
/// Slots for read transactions; LMDB's default of 126 is soon used up, and a slot costs 64 bytes.
const READERS_MAX: u32 = 1024;
/// Maps are whole pages of any machine.
const MAP_UNIT: u64 = 65_536;

pub(super) fn create(dir: &Path, batch: &Batch) -> Result<()> {
    refuse_remote(dir)?;
    let path = dir.join(FILE);
    if files::is_there(&path) {
        let path = path.display();
        return Err(Error::Denied(format!("{path} is there already. Nothing was changed.")));
    }
    // The directory is nobody else's yet, so LMDB needs no file of locks.
    let env = map(dir, &path, Map::default(), EnvFlags::NO_LOCK)?;
    let id = fill(&env, &path, batch)?;
    drop(env);
    let file = files::write(&path, MODE)?;
    file.sync_all().map_err(Error::io("sync", &path))?;
    let sidecar = Sidecar::open(dir)?;
    sidecar.write(&id)?;
    sidecar.sync()?;
    Lock::create(dir)?;
    files::sync_dir(dir)
}

/// Creates the tables and applies the first batch, in one commit.
fn fill(env: &Env<WithoutTls>, path: &Path, batch: &Batch) -> Result<sidecar::Identity> {
    let txn = env.write_txn().map_err(|e| read_error(path, e))?;
    let mut id = None;
    let made = env.create_databases_and_commit(txn, |opener, txn| {
        let made = Name::ALL.map(|table| opener.create_database(txn, Some(table.as_str())));
        let databases = all(made)?;
        let file = File::open(path).map_err(Error::io("open", path));
        let file = file.map_err(|e| Unmade::Failed(e.into()))?;
        let (path, held) = (path.to_owned(), Held::default());
        let guard = guard(env, &path);
        let tables = Tables { path, file, held, guard, databases };
        apply::apply(&mut Edit { txn, tables: &tables }, batch).map_err(Unmade::Failed)?;
        let found = identity(&tables.view(txn)).map_err(|e| Unmade::Failed(e.into()))?;
        id = Some(found);
        Ok(CommitOrAbort::<_, ()>::Commit(()))
    });
    match (made, id) {
        (Ok(_), Some(id)) => Ok(id),
        (Ok(_), None) => Err(Error::Corrupt("A new file has no identity.".into())),
        (Err(Unmade::Failed(failure)), _) => Err(failure.into()),
        (Err(Unmade::Lmdb(error)), _) => Err(failure(path, error).into()),
    }
}

/// Why a file was not made.
enum Unmade {
    Lmdb(heed::Error),
    Failed(Failure),
}

impl From<heed::Error> for Unmade {
    fn from(error: heed::Error) -> Self {
        Self::Lmdb(error)
    }
}

pub(super) fn open(dir: &Path, access: Access, size: Map) -> Result<Opened> {
    let path = dir.join(FILE);
    let file = check(dir, &path, access)?;
    let flags = match access {
        Access::Read | Access::Salvage => EnvFlags::READ_ONLY | EnvFlags::NO_LOCK,
        Access::Write => EnvFlags::empty(),
    };
    let lock = dir.join(LOCK_FILE);
    if access == Access::Write {
        files::prepare(&path, MODE)?;
        files::prepare(&lock, MODE)?;
    }
    let env = map(dir, &path, size, flags)?;
    let mut tables = open_tables(&env, &path, file)?;
    if access == Access::Write {
        files::prepare(&lock, MODE)?;
        tables.held = Held::of(dir);
        // A slot of a process that was killed would keep pages from being used again.
        env.clear_stale_readers().map_err(|e| read_error(&path, e))?;
    }
    let reader = env.clone().static_read_txn().map_err(|e| read_error(&path, e))?;
    let view = tables.view(&reader);
    let identity = identity(&view)?;
    let q = tables::q(&view)?;
    let trust = sidecar::judge(&identity, sidecar::read(dir)?);
    // An untrusted file's sidecar stays as it is until the node has a new actor.
    let follows = access == Access::Write && trust == Trust::Proven;
    let sidecar = if follows { Some(Sidecar::open(dir)?) } else { None };
    let store = Lmdb {
        reader: OnceCell::from(reader),
        env,
        tables: Arc::new(tables),
        dir: dir.to_owned(),
        access,
        sidecar,
        trust,
        identity,
        q,
        hints: OnceCell::new(),
        quota: None,
        broken: None,
    };
    Ok(Opened { store, trust })
}

fn check(dir: &Path, path: &Path, access: Access) -> Result<File> {
    let Some(file) = files::read(path)? else {
        let dir = dir.display();
        return Err(Error::Usage(format!(
            "{dir} is not a node directory: it has no {FILE}. Nothing was changed."
        )));
    };
    refuse_remote(dir)?;
    preflight::check(&file, path)?;
    if access != Access::Salvage {
        structure::check(&file, path, None, Extent::Frame)?;
    }
    Ok(file)
}

/// Maps the file. Always LMDB's default sync mode: any other can lose acknowledged writes.
#[expect(unsafe_code, reason = "a mapped file must not change under us: kvs.lock sees to that")]
fn map(dir: &Path, path: &Path, size: Map, flags: EnvFlags) -> Result<Env<WithoutTls>> {
    let bytes = usize::try_from(size.bytes.next_multiple_of(MAP_UNIT)).unwrap_or(usize::MAX);
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(bytes).max_readers(READERS_MAX).max_dbs(Name::ALL.len() as u32);
    // SAFETY: the flags are READ_ONLY and NO_LOCK only, and callers keep writers and readers of
    // other processes apart by kvs.lock; within the process heed refuses a second opening.
    let opened = unsafe { options.flags(flags).open(dir) };
    opened.map_err(|e| read_error(path, e))
}

fn open_tables(env: &Env<WithoutTls>, path: &Path, file: File) -> Result<Tables<'static>> {
    let guard = guard(env, path);
    let fail = |e| read_error(path, e);
    let txn = env.read_txn().map_err(fail)?;
    let opened = guard.inside(|| {
        env.open_databases_and_commit(txn, |opener, txn| {
            let found = Name::ALL.map(|table| opener.open_database(txn, Some(table.as_str())));
            let [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)] = all(found)? else {
                return Ok(CommitOrAbort::Abort(()));
            };
            Ok::<_, heed::Error>(CommitOrAbort::Commit([a, b, c, d, e, f]))
        })
    });
    match opened.map_err(fail)? {
        CommitOrAbort::Commit(databases) => {
            Ok(Tables { path: path.to_owned(), file, held: Held::default(), guard, databases })
        }
        CommitOrAbort::Abort(()) => Err(Error::Corrupt(format!(
            "The file {} lacks one of the tables of a node. Nothing was changed.",
            path.display()
        ))),
    }
}

/// All or the first error.
fn all<T, const N: usize>(results: [heed::Result<T>; N]) -> heed::Result<[T; N]> {
    let mut good = Vec::with_capacity(N);
    for result in results {
        good.push(result?);
    }
    Ok(good.try_into().unwrap_or_else(|_| unreachable!("as many came out as went in")))
}

fn guard(env: &Env<WithoutTls>, path: &Path) -> Guard {
    Guard::new(path, env.info().map_size)
}

/// Refuses file systems on which a map and locks of two machines do not agree.
#[cfg(target_os = "linux")]
fn refuse_remote(dir: &Path) -> Result<()> {
    let kinds = [
        ("NFS", 0x6969),
        ("CIFS", 0xFF53_4D42),
        ("SMB", 0x517B),
        ("SMB", 0xFE53_4D42),
        ("FUSE", 0x6573_5546),
    ];
    let kind = file_system(dir)?.f_type as u32;
    match kinds.iter().find(|(_, magic)| *magic == kind) {
        Some((name, _)) => Err(Error::Denied(format!(
            "{} is on {name}, where a file cannot be mapped safely. Nothing was changed.",
            dir.display()
        ))
        .hint("keep node directories on a local disk")),
        None => Ok(()),
    }
}

/// Elsewhere nothing is known of file systems.
#[cfg(not(target_os = "linux"))]
fn refuse_remote(_dir: &Path) -> Result<()> {
    Ok(())
}

/// What the system says of the file system a directory lies on.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "statfs has no safe form; it fills a plain struct")]
pub(super) fn file_system(dir: &Path) -> Result<libc::statfs> {
    use std::os::unix::ffi::OsStrExt;

    let Ok(text) = std::ffi::CString::new(dir.as_os_str().as_bytes()) else {
        return Err(Error::Usage(format!("{} cannot be a directory.", dir.display())));
    };
    // SAFETY: the path is terminated and the struct is plain numbers.
    unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        match libc::statfs(text.as_ptr(), &raw mut stat) {
            0 => Ok(stat),
            _ => Err(Error::io("inspect", dir)(std::io::Error::last_os_error())),
        }
    }
}
