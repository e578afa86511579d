//! What every file of a node directory needs: its owner, and its name on the disk.
//!
//! ```text
//! sudo kvs put … in /srv/n1 (owner kvs)   -> data.mdb, kvs.lock, kvs.id belong to kvs, not root
//! a file made, then synced                -> its bytes are safe, its name not before sync_dir
//! ```
//!
//! It knows nothing of what is in the files.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, chown, fchown};
use std::path::Path;

use crate::error::{Error, Result};
pub(super) use crate::os::sync_dir;

/// Gives a file that root made in a directory to the directory's owner.
pub(super) fn give_to_owner(path: &Path, file: &File) -> Result<()> {
    let made = file.metadata().map_err(Error::io("inspect", path))?;
    let Some((user, group)) = other_owner(path, &made)? else { return Ok(()) };
    fchown(file, Some(user), Some(group)).map_err(Error::io("change the owner of", path))
}

/// The same for a file that must not be opened: closing LMDB's lock file would drop its locks.
pub(super) fn give_path_to_owner(path: &Path) -> Result<()> {
    let made = path.metadata().map_err(Error::io("inspect", path))?;
    let Some((user, group)) = other_owner(path, &made)? else { return Ok(()) };
    chown(path, Some(user), Some(group)).map_err(Error::io("change the owner of", path))
}

/// User and group a file of root's should have, if not root's.
fn other_owner(path: &Path, made: &Metadata) -> Result<Option<(u32, u32)>> {
    if made.uid() != 0 {
        return Ok(None);
    }
    let dir = parent(path);
    let owner = dir.metadata().map_err(Error::io("inspect", dir))?;
    Ok((owner.uid() != 0).then(|| (owner.uid(), owner.gid())))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
