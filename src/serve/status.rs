//! What a node says of itself when it is asked: figures read from its file and disk, and fixed answers.
//!
//! Values only; `core` sends them.

use super::meter;
use crate::channel::{ClientResponse, Fault, Load};
use crate::error::{Error, Result};
use crate::node::{Node, scrubbed_ms};
use crate::store::Store;
use crate::store::lmdb::{FILE, Lmdb};

/// The figures that were counted, with those of the file and its disk.
///
/// # Errors
/// [`Error::Io`] when the disk cannot be looked at. Nothing was changed.
pub(super) fn load(file: &Lmdb, counted: Load) -> Result<Load> {
    let used = file.used_bytes()?;
    let length = file.dir().join(FILE).metadata().map_or(0, |m| m.len());
    let disk =
        rustix::fs::statvfs(file.dir()).map_err(|e| Error::io("inspect", file.dir())(e.into()))?;
    let usable = disk.f_blocks.saturating_sub(disk.f_bfree).saturating_add(disk.f_bavail);
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(Load {
        bytes: used,
        commits: file.commit_number(),
        // Pages that are free within the file are room too: it never shrinks, and a node that has
        // handed records over must not look as full as before.
        disk_free: bytes(disk.f_bavail).saturating_add(length.saturating_sub(used)),
        disk_total: bytes(usable),
        ..counted
    })
}

/// Sets the gauges of the figures.
pub(super) fn set_gauges(node: &Node, file: &Lmdb, open: meter::Open) {
    meter::scrubbed(scrubbed_ms(file));
    meter::stand(&node.status(file), file.used_bytes().unwrap_or(0), open);
}

/// What those hear who wait for a node to be drained, with this many hints left.
pub(super) fn drained(left: u64) -> ClientResponse {
    if left == 0 {
        return ClientResponse::Done;
    }
    let text = format!(
        "The node accepts no more requests; hints waiting for members that are down: {left}."
    );
    let error = Error::Partial(text).hint("bring them back: kvs status shows who is down");
    ClientResponse::Fault(Fault::from(&error))
}

/// Why a request could not be kept any longer for a node that is starting.
pub(super) fn has_not_heard_witnesses() -> Error {
    let text = "The node has just started and is waiting to hear from another member, to make \
                sure that its file is not outdated; nothing was tried.";
    Error::Refused(text.into()).hint(
        "start another node of the ring; if all are running, their addresses may have changed: \
         write the new ones into the peers.yaml of one node and restart it (kvs-concepts(7), \
         RUNNING NODES)",
    )
}
