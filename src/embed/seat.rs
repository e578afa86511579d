//! Directories that change hands: one found where a member is to join, one moved aside for another.
//!
//! Nothing is ever deleted here; what is moved aside keeps all its files. It does not decide who may
//! join; the ring document does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::create::{NODE_KEY, Seat, public};
use super::wall_ms;
use crate::config::{NODE_FILE, NodeConfig, read, read_key};
use crate::error::{Error, Result};
use crate::ring::{Member, NodeId, RingDoc, RingId, State};
use crate::store::lmdb::{Access, Lmdb, Map};
use crate::store::lock::{Holder, Lock, Want};
use crate::store::{Store, Table};

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
        Some(_) => return deny(format!("is the member {} already", doc.name(id))),
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

/// Moves a directory aside to `NAME.old-…` beside it, once nobody uses it. `None` when there is none.
///
/// # Errors
/// [`Error::Busy`] when it is in use, [`Error::Io`]. Nothing is changed.
pub fn set_aside(dir: &Path, purpose: &str, timeout: Duration) -> Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    let holder = Holder { kind: purpose.into(), pid: std::process::id(), address: None };
    let _lock = Lock::wait(dir, &Want::Exclusive(holder), timeout)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let aside = dir.with_file_name(format!("{name}.old-{}", wall_ms()));
    // Without its node.yaml in the ring's directory it is no node of it any more.
    fs::rename(dir, &aside).map_err(Error::io("move aside", dir))?;
    let yaml = aside.join(NODE_FILE);
    if yaml.exists() {
        let old = aside.join(format!("{NODE_FILE}.old"));
        fs::rename(&yaml, old).map_err(Error::io("move aside", &yaml))?;
    }
    Ok(Some(aside))
}

/// Undoes [`set_aside`].
///
/// # Errors
/// [`Error::Io`].
pub fn put_back(aside: &Path, dir: &Path) -> Result<()> {
    let old = aside.join(format!("{NODE_FILE}.old"));
    if old.exists() {
        fs::rename(&old, aside.join(NODE_FILE)).map_err(Error::io("put back", &old))?;
    }
    fs::rename(aside, dir).map_err(Error::io("put back", aside))
}
