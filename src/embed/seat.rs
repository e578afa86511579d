//! Directories that change hands: one found where a member is to join, one moved aside for another.
//!
//! Nothing is ever deleted here; what is moved aside keeps all its files. It does not decide who may
//! join; the ring document does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::create::{NODE_KEY, Seat, public};
use super::fit::barred;
use super::wall_ms;
use crate::config::{NODE_FILE, NodeConfig, read, read_key};
use crate::error::{Error, Result};
use crate::os;
use crate::ring::{Member, NodeId, RingDoc, RingId, State};
use crate::store::lmdb::{Access, Lmdb, Map};
use crate::store::lock::{Holder, Lock, Want};
use crate::store::sidecar::{self, Found};
use crate::store::{Store, Table};

/// What becomes of the node.yaml of a directory that is moved aside.
pub const OLD_NODE_FILE: &str = "node.yaml.old";

/// The member that an existing directory would join as: one made for this ring by an earlier
/// attempt, or by a plan that is not applied yet.
///
/// # Errors
/// [`Error::Denied`] when it belongs to another ring, is a member already or was one, and when it has
/// another name. Nothing is changed.
pub fn found_member(dir: &Path, seat: &Seat, doc: &RingDoc, timeout: Duration) -> Result<Member> {
    let _lock = Lock::wait(dir, &Want::Shared, timeout)?;
    let store = Lmdb::open(dir, Access::Read, Map::default())?.store;
    let bytes = store.row(Table::Ring, "doc")?.unwrap_or_default();
    would_join(dir, seat, doc, RingDoc::decode(&bytes)?.id, store.identity().node)
}

/// The same, of a directory whose ring and identity are known, for its node runs.
///
/// # Errors
/// As [`found_member`].
pub fn would_join(
    dir: &Path,
    seat: &Seat,
    doc: &RingDoc,
    ring: RingId,
    id: NodeId,
) -> Result<Member> {
    let config: NodeConfig = read(&dir.join(NODE_FILE))?;
    let shown = dir.display();
    let deny = |text: String| Err(Error::Denied(format!("{shown} {text}; nothing was changed.")));
    if ring != doc.id {
        return deny("is a node of another ring".into());
    }
    match doc.member(id).map(|m| m.state) {
        Some(State::Removed) => return deny("was removed from this ring for good".into()),
        Some(_) => return deny(format!("already is the member {}", doc.name(id))),
        None if config.name != seat.name => {
            return deny(format!("was made for a member called {}", config.name));
        }
        None => {}
    }
    Ok(Member {
        id,
        name: seat.name.clone(),
        zone: seat.zone.clone(),
        weight: seat.weight.max(1),
        state: State::Joining,
        public_key: public(&read_key(&dir.join(NODE_KEY))?),
    })
}

/// The nodes that are being served from directories beside this one, each with its address: what a
/// node of the same machine needs no address book for. What cannot be read is passed over.
#[must_use]
pub fn neighbours(dir: &Path) -> Vec<(NodeId, String)> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let beside = dir.parent().and_then(|home| home.read_dir().ok()).into_iter().flatten();
    let beside = beside.filter_map(std::result::Result::ok).map(|entry| entry.path());
    let address = |path: &Path| {
        let config: NodeConfig = read(&path.join(NODE_FILE)).ok()?;
        let holder = Lock::holder(path).ok()?.filter(Holder::serves)?;
        holder.address.or(config.advertise).or(config.listen)
    };
    let node = |path: PathBuf| match sidecar::read(&path) {
        Ok(Found::Valid(identity)) => Some((identity.node, address(&path)?)),
        _ => None,
    };
    beside.filter(|path| *path != dir).filter_map(node).collect()
}

/// Moves a directory aside to `NAME.old-…` beside it, once nobody uses it. `None` when there is none.
///
/// # Errors
/// [`Error::Busy`] when it is in use, [`Error::Io`], with the way out when this user may not use what is
/// in it. Nothing is changed.
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
/// [`Error::Io`].
pub fn put_back(aside: &Path, dir: &Path) -> Result<()> {
    os::rename(aside, dir)?;
    let old = dir.join(OLD_NODE_FILE);
    if old.exists() {
        os::rename(&old, &dir.join(NODE_FILE))?;
    }
    Ok(())
}
