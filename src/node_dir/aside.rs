//! A directory is moved aside, for another to take its place, and put back.
//!
//! ```text
//! r/n2/node.yaml -> node.yaml.old      it is no node of the ring any more
//! r/n2           -> r/n2.old-1764…     its place is free
//! ```
//!
//! Nothing is ever deleted here: what is moved aside keeps all its files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::barred;
use super::files::OLD_NODE_FILE;
use crate::config::NODE_FILE;
use crate::error::Result;
use crate::os::{self, wall_ms};
use crate::store::lock::{Holder, Lock, Want};

/// Moves a directory aside to `NAME.old-…` beside it, once nobody uses it. `None` when there is none.
///
/// # Errors
/// [`Busy`](crate::error::Error::Busy) when it is in use, [`Io`](crate::error::Error::Io), with the way
/// out when this user may not use what is in it. Nothing is changed.
pub fn set_aside(dir: &Path, purpose: &str, timeout: Duration) -> Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    let holder = Holder { kind: purpose.into(), pid: std::process::id(), address: None };
    let _lock = Lock::wait(dir, &Want::Exclusive(holder), timeout).map_err(|e| barred(e, dir))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let aside = dir.with_file_name(format!("{name}.old-{}", wall_ms()));
    // Without its node.yaml it is no node of the ring any more: that comes first, so that after a
    // power cut nobody starts both this one and the one in its place.
    let (yaml, old) = (dir.join(NODE_FILE), dir.join(OLD_NODE_FILE));
    if yaml.exists() {
        os::rename(&yaml, &old).map_err(|error| barred(error, dir))?;
    }
    os::rename(dir, &aside).inspect_err(|_| {
        // It stays where it is and what it was; the refusal is the error to report.
        drop(os::rename(&old, &yaml));
    })?;
    Ok(Some(aside))
}

/// Undoes [`set_aside`].
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io).
pub fn put_back(aside: &Path, dir: &Path) -> Result<()> {
    os::rename(aside, dir)?;
    let old = dir.join(OLD_NODE_FILE);
    if old.exists() {
        os::rename(&old, &dir.join(NODE_FILE))?;
    }
    Ok(())
}
