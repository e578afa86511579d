//! The member that a directory would join a ring as.
//!
//! It reads what an earlier attempt, or a plan that is not applied yet, has made. It does not decide
//! who may join; the ring document does.

use std::path::Path;
use std::time::Duration;

use super::create::MemberSpec;
use super::files::{NODE_KEY, public};
use crate::config::{NODE_FILE, NodeConfig, read, read_key};
use crate::error::{Error, Result};
use crate::ring::{Member, MemberState, NodeId, RingDoc, RingId};
use crate::store::lmdb::{Access, Lmdb, Map};
use crate::store::lock::{Lock, Want};
use crate::store::{Store, Table};

/// The member that an existing directory would join as: one made for this ring by an earlier
/// attempt, or by a plan that is not applied yet.
///
/// # Errors
/// [`Error::Denied`] when it belongs to another ring, is a member already or was one, and when it has
/// another name. Nothing is changed.
pub fn found_member(
    dir: &Path,
    spec: &MemberSpec,
    doc: &RingDoc,
    timeout: Duration,
) -> Result<Member> {
    let _lock = Lock::wait(dir, &Want::Shared, timeout)?;
    let store = Lmdb::open(dir, Access::Read, Map::default())?.store;
    let bytes = store.row(Table::Ring, "doc")?.unwrap_or_default();
    would_join(dir, spec, doc, RingDoc::decode(&bytes)?.id, store.identity().node)
}

/// The same, of a directory whose ring and identity are known, for its node runs.
///
/// # Errors
/// As [`found_member`].
pub fn would_join(
    dir: &Path,
    spec: &MemberSpec,
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
        Some(MemberState::Removed) => return deny("was removed from this ring for good".into()),
        Some(_) => return deny(format!("already is the member {}", doc.name(id))),
        None if config.name != spec.name => {
            return deny(format!("was made for a member called {}", config.name));
        }
        None => {}
    }
    Ok(Member {
        id,
        name: spec.name.clone(),
        zone: spec.zone.clone(),
        weight: spec.weight.max(1),
        state: MemberState::Joining,
        public_key: public(&read_key(&dir.join(NODE_KEY))?),
    })
}
