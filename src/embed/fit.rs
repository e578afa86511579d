//! Whether the node of a directory could run, and what to type when it could not.
//!
//! ```text
//! may this user write?   data.mdb kvs.id kvs.lock lock.mdb, or make those that are missing
//! has it its keys?       node.key, and that of this member; ring.key
//! ```
//!
//! Data are read and written without the keys; a node that is to run needs them. `node run` and
//! whoever says that a ring is healthy ask the same functions. Caveat: it says what this user may do;
//! a node that runs as another may do other things.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Access;
use rustix::process::geteuid;

use super::create::{NODE_KEY, RING_KEY, public};
use crate::config::{Secret, name_of, read_key, read_keys};
use crate::error::{Error, Result, operand, option, word};
use crate::os::parent;
use crate::ring::Member;
use crate::store::lmdb::{FILE, FULL_BYTES, LOCK_FILE};
use crate::store::{lock, sidecar};

/// The keys of a node's directory.
pub struct Keys {
    /// The node's own.
    pub own: Secret,
    /// The ring's: the first dials, all are accepted.
    pub ring: Vec<Secret>,
}

/// Reads the keys that the node of a directory needs to run; `member` is it, as far as its document
/// knows it.
///
/// # Errors
/// As [`read_keys`], [`Error::Denied`] for the key of another node; with the way back to a good file.
pub fn keys(dir: &Path, name: &str, member: Option<&Member>) -> Result<Keys> {
    keys_or(dir, member, &format!("kvs replace {}", operand(name)))
}

/// The same, with the commands that rebuild the node.
fn keys_or(dir: &Path, member: Option<&Member>, rebuild: &str) -> Result<Keys> {
    let (own_file, ring_file) = (dir.join(NODE_KEY), dir.join(RING_KEY));
    let back = format!("put its own key back, or rebuild the node: {rebuild}");
    let own = read_key(&own_file).map_err(|error| lost(error, dir, &own_file, &back))?;
    if member.is_some_and(|member| member.public_key != public(&own)) {
        let shown = own_file.display();
        return Err(Error::Denied(format!("{shown} is not the key of this member.")).hint(back));
    }
    let ring = read_keys(&ring_file)
        .map_err(|error| lost(error, dir, &ring_file, &other_copy(dir, &ring_file)))?;
    Ok(Keys { own, ring })
}

/// An error about a key file with the way back to a good one. What others may read says itself what to
/// do, and so does what fails for another reason.
fn lost(error: Error, dir: &Path, file: &Path, back: &str) -> Error {
    let is_gone = |kind| kind == ErrorKind::NotFound;
    match error.root() {
        Error::Usage(_) => {
            let (from, to) = (word(file), word(file.with_extension("key.odd")));
            error.hint(format!("move that away: mv {from} {to}; {back}"))
        }
        Error::Corrupt(_) => error.hint(back),
        Error::Io { source, .. } if is_gone(source.kind()) => error.hint(back),
        _ => barred(error, dir),
    }
}

/// Where a node's copy of the ring's key comes from: its ring directory, or any other member.
fn other_copy(dir: &Path, own: &Path) -> String {
    let (beside, own) = (parent(dir).join(RING_KEY), word(own));
    match read_keys(&beside) {
        Ok(_) => {
            format!("all nodes of a ring have the same ring.key: cp -p {} {own}", word(beside))
        }
        Err(_) => {
            format!("all nodes of a ring have the same ring.key: copy it from another to {own}")
        }
    }
}

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
pub(super) fn is_closed(error: &Error) -> bool {
    use ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.root(), Error::Io { source, .. }
        if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem))
}

/// What a directory fails for, with the way out when it is a matter of permission.
pub(super) fn barred(error: Error, dir: &Path) -> Error {
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

/// Why the node of a directory could not be run, if it could not; its keys, if it could.
///
/// # Errors
/// As [`refuse_unwritable`] and [`keys`].
pub fn fit_to_run(dir: &Path, member: &Member) -> Result<Keys> {
    refuse_unwritable(dir)?;
    keys(dir, &member.name, Some(member))
}

/// Why the node of a directory could not be run, or not again, by whoever runs it: a node that is up has
/// its keys in memory, and its files may be gone since. What this user may not read may be read by that
/// one: then `None`.
///
/// # Errors
/// As [`keys`].
pub fn fit_to_run_again(dir: &Path, member: &Member, up: bool) -> Result<Option<Keys>> {
    let name = operand(&member.name);
    let stop = if up { format!("kvs node stop {name}; ") } else { String::new() };
    match keys_or(dir, Some(member), &format!("{stop}kvs replace {name}")) {
        Err(error) if is_closed(&error) => Ok(None),
        keys => keys.map(Some),
    }
}
