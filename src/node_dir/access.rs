//! What this user may do in a node's directory, and what to type when it is too little.
//!
//! ```text
//! may this user write?   data.mdb kvs.id kvs.lock lock.mdb, or make those that are missing
//! is there room?         more than a commit needs
//! ```
//!
//! Caveat: it says what this user may do; a node that runs as another may do other things.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Access;
use rustix::process::geteuid;

use crate::config::name_of;
use crate::error::{Error, Result, option, word};
use crate::store::lmdb::{FILE, FULL_BYTES, LOCK_FILE};
use crate::store::{lock, sidecar};

/// Refuses a directory in which this user may not write what a node writes.
///
/// # Errors
/// [`Error::Io`], with the way out.
pub fn refuse_unwritable(dir: &Path) -> Result<()> {
    for name in [FILE, sidecar::FILE, lock::FILE, LOCK_FILE] {
        let path = dir.join(name);
        // What is missing is made, but for the data.
        let path = match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound && name == FILE => continue,
            Err(error) if error.kind() == ErrorKind::NotFound => dir.to_path_buf(),
            _ => path,
        };
        rustix::fs::access(&path, Access::WRITE_OK)
            .map_err(|e| barred(Error::io("write to", &path)(e.into()), dir))?;
    }
    Ok(())
}

/// Whether writes into a directory fail for want of room; they need a little more than none.
#[must_use]
pub fn is_full(dir: &Path) -> bool {
    let room = rustix::fs::statvfs(dir).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    room.is_ok_and(|bytes| bytes < FULL_BYTES)
}

/// Whether it is a matter of permission: nothing is said of what is in the files.
#[must_use]
pub fn is_closed(error: &Error) -> bool {
    use ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.root(), Error::Io { source, .. }
        if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem))
}

/// What a directory fails for, with the way out when it is a matter of permission.
#[must_use]
pub fn barred(error: Error, dir: &Path) -> Error {
    let Error::Io { path, source, .. } = error.root() else { return error };
    if !is_closed(&error) {
        return error;
    }
    let (all, user) = (word(dir), geteuid().as_raw());
    let without = option("--down", name_of(dir));
    let hint = match path.metadata().or_else(|_| dir.metadata()).map(|about| about.uid()) {
        _ if source.kind() == ErrorKind::ReadOnlyFilesystem => {
            "its file system is mounted read-only: remount it, or copy the directory".into()
        }
        Ok(owner) if owner == user => format!("chmod -R u+rwX {all}"),
        Ok(owner) => format!(
            "it belongs to another user: run this as that one (sudo -u '#{owner}' kvs …), or make it \
             this user's: sudo chown -R {user} {all}, or leave it out: {without}"
        ),
        Err(_) => format!("see who may use it: ls -ld {all}; or leave it out: {without}"),
    };
    error.hint(hint)
}
