//! What every file of a node directory needs: how it is opened, its owner, its name on the disk.
//!
//! ```text
//! sudo kvs put … in /srv/n1 (owner kvs)   -> what root makes there belongs to kvs, not root
//! /srv/n1/kvs.id -> /etc/passwd           -> refused: no link is followed, nothing is changed
//! a file made, then synced                -> its bytes are safe, its name not before sync_dir
//! ```
//!
//! The law: whoever owns the directory may put anything there, so a file is opened without following
//! a link, looked at *through its descriptor*, and only then written or given away. What is no regular
//! file is refused, and to root in another user's directory what has a second name.
//!
//! It knows nothing of what is in the files. Caveat: LMDB opens its two files by name; they are looked
//! at before and after, so whoever swaps them in between can have LMDB open another file, once.

use std::fs::{File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::error::{Error, Result, word};
pub(super) use crate::os::sync_dir;

/// Opens a file for reading; `None` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<File>> {
    let opened = open(path, OpenOptions::new().read(true));
    let file = match opened {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(refused(path, error)),
    };
    let found = file.metadata().map_err(Error::io("inspect", path))?;
    if found.is_file() { Ok(Some(file)) } else { Err(irregular(path, &found)) }
}

/// Opens a file for reading and writing, or makes it; what root makes is its directory's owner's.
pub(super) fn write(path: &Path, mode: u32) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(mode);
    let file = open(path, &mut options).map_err(|e| refused(path, e))?;
    let found = file.metadata().map_err(Error::io("inspect", path))?;
    if let Some((user, group)) = other_owner(path, &found)? {
        fchown(&file, Some(user), Some(group)).map_err(Error::io("change the owner of", path))?;
    }
    Ok(file)
}

/// Sees to a file that LMDB is about to open by its name: it is there afterwards, and no link. One
/// that is there is not opened: closing it would drop LMDB's locks.
pub(super) fn prepare(path: &Path, mode: u32) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) => other_owner(path, &found).map(drop),
        Err(error) if error.kind() == ErrorKind::NotFound => write(path, mode).map(drop),
        Err(error) => Err(Error::io("inspect", path)(error)),
    }
}

/// The number of the file that a name leads to; of a link that of the link.
pub(super) fn number(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|about| (about.dev(), about.ino()))
}

/// Whether a name still leads to an open file.
pub(super) fn is_same_file(path: &Path, file: &File) -> bool {
    let own = file.metadata().ok().map(|about| (about.dev(), about.ino()));
    own.is_some() && number(path) == own
}

/// Whether anything has this name, be it a link that leads nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Follows no link, and waits for nobody at the other end of a pipe.
fn open(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed()).open(path)
}

/// User and group a file should have that root has opened for writing, if not its present ones.
fn other_owner(path: &Path, found: &Metadata) -> Result<Option<(u32, u32)>> {
    if !found.is_file() {
        return Err(irregular(path, found));
    }
    if !geteuid().is_root() {
        return Ok(None);
    }
    let dir = parent(path);
    let owner = dir.metadata().map_err(Error::io("inspect", dir))?;
    if owner.uid() == 0 {
        return Ok(None);
    }
    if found.nlink() != 1 {
        return Err(Error::Denied(format!(
            "{} has a second name elsewhere, and its directory is not root's. Nothing was changed.",
            path.display()
        ))
        .hint("put a copy of it in its place, or act as the owner of the directory"));
    }
    Ok((found.uid() == 0).then(|| (owner.uid(), owner.gid())))
}

fn refused(path: &Path, error: std::io::Error) -> Error {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => irregular(path, &found),
        _ => Error::io("open", path)(error),
    }
}

fn irregular(path: &Path, found: &Metadata) -> Error {
    let what = if found.is_symlink() { "a symbolic link" } else { "no regular file" };
    let shown = path.display();
    Error::Denied(format!(
        "{shown} is {what}; a node's files are never links. Nothing was changed."
    ))
    .hint(format!("see where it leads: ls -l {}; put the file itself in its place", word(path)))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
