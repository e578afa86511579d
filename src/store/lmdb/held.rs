//! Whether the files that a writer opened are still those of its directory.
//!
//! ```text
//! opened: data.mdb 8:1/42, lock.mdb 8:1/43, kvs.lock 8:1/44
//! before each commit: the same names lead to the same files -> it writes
//!                     one is gone, or is another              -> it writes nothing any more
//! ```
//!
//! What is written to a file that no name leads to is gone with its process; without its lock somebody
//! else takes the directory for free and writes too. Caveat: between a look and the commit after it a
//! file may go.

use std::path::{Path, PathBuf};

use crate::store::files::number;
use crate::store::lock;

/// The name of the file.
pub const FILE: &str = "data.mdb";

/// LMDB's own file of locks, made by writers only.
pub const LOCK_FILE: &str = "lock.mdb";

/// A file by its place and by its number.
#[derive(Debug)]
struct One {
    path: PathBuf,
    number: (u64, u64),
}

/// The files of a directory that a writer holds.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<One>);

impl Held {
    /// Those that are there now.
    pub(super) fn of(dir: &Path) -> Self {
        let one = |name: &str| {
            let path = dir.join(name);
            Some(One { number: number(&path)?, path })
        };
        Self([FILE, LOCK_FILE, lock::FILE].into_iter().filter_map(one).collect())
    }

    /// One that is no longer what it was: a sentence about it.
    pub(super) fn lost(&self) -> Option<String> {
        let (path, now) = self.0.iter().find_map(|one| {
            let now = number(&one.path);
            (now != Some(one.number)).then_some((&one.path, now))
        })?;
        let what = if now.is_some() { "was replaced by another file" } else { "was removed" };
        Some(format!("{} {what} while it was in use.", path.display()))
    }
}
