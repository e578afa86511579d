//! A node's directory made where the node will live, its secret never leaving that place.
//!
//! ```text
//! there    identity(DIR)            DIR.key made beside DIR; only the public half is told
//! here     Provision::new(…)        the ring's keys, its document that names the public half, addresses
//! there    create_node_dir(DIR, …)  DIR appears whole, DIR.key within it as node.key; DIR.key goes
//! ```
//!
//! Both halves may be repeated after a crash at any point: what is made stays made, and what was left
//! half made is cleared away. One at a time: DIR.key is locked meanwhile. It starts nothing and knows
//! nothing of how the text of a provision travels. Caveat: a provision holds the ring's keys; it is shown
//! nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::create::{fill, leftovers, whole};
use super::files::{NODE_KEY, RING_KEY, public};
use super::open::configured;
use super::peers::peers;
use crate::config::{
    self, NODE_FILE, NodeConfig, Peers, Secret, create_key, fresh_key, key_text, keys_in, read_key,
    read_keys,
};
use crate::error::{Error, Result, operand};
use crate::os::open_small;
use crate::ring::{MemberState, NodeId, RingDoc, RingId, check_new_name};
use crate::store::lmdb::{Access, Lmdb, Map};
use crate::store::lock::{Holder, Lock, Want};
use crate::store::sidecar::{self, Found};
use crate::store::{Store, Table};

/// What a node needs to come to be: a YAML text, for its host alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// Its `node.yaml`.
    pub node: NodeConfig,
    /// The ring's keys, 64 hexadecimal digits each, the one used to dial first.
    pub ring_keys: Vec<String>,
    /// The ring document, base64 of its bytes.
    pub doc: String,
    /// Its `peers.yaml`.
    pub peers: Peers,
    /// Whether it is a member of a new ring: then its share is full, for there is nothing to fetch. One
    /// of its members that comes later is born as one that joins.
    pub founder: bool,
}

/// What became of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was made.
    New,
    /// It was this node's already; nothing was changed.
    Already,
}

impl Provision {
    /// What a node of the ring of `doc` needs: a founder named in it, or one that is to join.
    #[must_use]
    pub fn new(
        node: NodeConfig,
        keys: &[Secret],
        doc: &RingDoc,
        addresses: &BTreeMap<NodeId, String>,
        founder: bool,
    ) -> Self {
        let ring_keys = key_text(keys).lines().map(str::to_owned).collect();
        let peers = peers(doc, &|m| addresses.get(&m.id).cloned());
        Self { node, ring_keys, doc: STANDARD.encode(doc.encode()), peers, founder }
    }

    /// The text that [`Provision::parse`] reads.
    ///
    /// # Errors
    /// As [`config::text`].
    pub fn text(&self) -> Result<String> {
        config::text(self)
    }

    /// Reads the text of a provision.
    ///
    /// # Errors
    /// [`Error::Usage`], which never quotes a value: it may be a key.
    pub fn parse(text: &str) -> Result<Self> {
        config::parse(text, "The node's description").map_err(|error| match error {
            Error::Usage(why)
                if !["unknown field", "missing field"].iter().any(|w| why.contains(w)) =>
            {
                Error::Usage("The node's description is invalid; nothing was made.".into())
            }
            error => error,
        })
    }

    fn keys(&self) -> Result<Vec<Secret>> {
        keys_in(self.ring_keys.join("\n").as_bytes()).ok_or_else(|| {
            Error::Usage("The node's description has no valid ring key; nothing was made.".into())
        })
    }

    fn doc(&self) -> Result<RingDoc> {
        let bytes = STANDARD.decode(&self.doc).map_err(|e| {
            Error::Usage(format!(
                "The ring document in the node's description is not base64: {e}; nothing was made."
            ))
        })?;
        RingDoc::decode(&bytes)
    }

    /// Whether the ring knows a node with this key as the provision says.
    fn admit(&self, dir: &Path, doc: &RingDoc, public: &[u8; 32]) -> Result<NodeId> {
        let (id, shown) = (NodeId::of_key(public), dir.display());
        let deny = |why: String| {
            Err(Error::Denied(format!("{shown} cannot be made: its node {why}. Nothing was made.")))
        };
        match (doc.member(id), self.founder) {
            (Some(m), _) if m.state == MemberState::Removed => {
                deny("was removed from the ring for good".into())
            }
            (None, true) => deny("is not a founding member of the ring".into()),
            // A founder that was never made may come late, filling: its key still waits beside the
            // directory, so it has never run and nothing of it is lost.
            (Some(m), _)
                if m.state != MemberState::Normal
                    || m.name != self.node.name
                    || m.public_key != *public =>
            {
                deny(format!("is known to the ring as another: {}, {}", m.name, m.state))
            }
            // The name of one that is replaced stays as it is.
            (None, _) if doc.members.iter().all(|m| m.name != self.node.name) => {
                check_new_name(&self.node.name).map(|()| id)
            }
            _ => Ok(id),
        }
    }
}

/// Shows whose provision it is and none of its keys.
impl fmt::Debug for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, peers, founder, .. } = self;
        let mut shown = f.debug_struct("Provision");
        shown.field("node", node).field("peers", peers).field("founder", founder);
        shown.finish_non_exhaustive()
    }
}

/// The public key of the node that is in a directory, or is to be. Its secret is made here, beside the
/// directory, unless it is there already.
///
/// # Errors
/// [`Error::Denied`] when the directory holds something else, or its key file is open to others;
/// [`Error::Corrupt`] for a key file of another form, [`Error::Io`]. Nothing is changed then.
pub fn identity(dir: &Path) -> Result<[u8; 32]> {
    if dir.join(NODE_FILE).exists() {
        return Ok(public(&read_key(&dir.join(NODE_KEY))?));
    }
    refuse_stranger(dir)?;
    let file = key_file(dir)?;
    if !file.exists() {
        make_parents(&file)?;
        match create_key(&file, &[fresh_key()?]) {
            // Somebody else was faster: then that key is the node's.
            Err(error) if matches!(error.root(), Error::Denied(_)) && file.exists() => {}
            made => made?,
        }
    }
    Ok(public(&read_key(&file)?))
}

/// Makes a node's directory, with the key that [`identity`] told of.
///
/// # Errors
/// [`Error::Denied`] when the directory is another's, or the ring and the provision do not fit;
/// [`Error::Busy`] while another process makes it; [`Error::Usage`] for a provision that says nothing of
/// use, [`Error::Corrupt`] for a damaged one, [`Error::Io`]. Nothing is made then.
pub fn create_node_dir(dir: &Path, provision: &Provision) -> Result<Made> {
    let (keys, doc) = (provision.keys()?, provision.doc()?);
    let file = key_file(dir)?;
    let lock = match open_small(&file) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        opened => Some(opened?),
    };
    if let Some(lock) = &lock {
        hold(lock, dir, &file)?;
    }
    if dir.join(NODE_FILE).exists() {
        refuse_other(dir, provision, &keys, &doc)?;
        drop_key(dir, &file)?;
        return Ok(Made::Already);
    }
    refuse_stranger(dir)?;
    if lock.is_none() {
        let shown = dir.display();
        return Err(Error::Denied(format!("{shown} has no key yet; nothing was made."))
            .hint(format!("kvs node make --identity {}", operand(dir))));
    }
    let key = read_key(&file)?;
    let id = provision.admit(dir, &doc, &public(&key))?;
    for left in leftovers(dir)? {
        fs::remove_dir_all(&left).map_err(Error::io("remove", &left))?;
    }
    whole(dir, |tmp| {
        fill(tmp, &provision.node, id, &key, &keys, &doc, &provision.peers, provision.founder)
    })
    .map_err(mounted)?;
    drop_key(dir, &file)?;
    Ok(Made::New)
}

/// One process at a time makes a directory.
fn hold(lock: &File, dir: &Path, file: &Path) -> Result<()> {
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Error::Busy(format!(
            "{} is being made by another process; nothing was changed.",
            dir.display()
        )),
        TryLockError::Error(source) => Error::io("lock", file)(source),
    })
}

/// The key that is in the directory now is no longer needed beside it.
fn drop_key(dir: &Path, file: &Path) -> Result<()> {
    if file.exists() && read_key(file)? == read_key(&dir.join(NODE_KEY))? {
        fs::remove_file(file).map_err(Error::io("remove", file))?;
    }
    Ok(())
}

/// Where a node's key is before its directory is.
fn key_file(dir: &Path) -> Result<PathBuf> {
    let name = dir.file_name().ok_or_else(|| {
        Error::Usage(format!("{} cannot be made: it has no name of its own.", dir.display()))
    })?;
    let mut name = name.to_owned();
    name.push(".key");
    Ok(dir.with_file_name(name))
}

fn make_parents(file: &Path) -> Result<()> {
    let Some(parent) = file.parent().filter(|p| !p.as_os_str().is_empty()) else { return Ok(()) };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.map_err(Error::io("make", parent))
}

/// Only nothing, or an empty directory, becomes a node's.
fn refuse_stranger(dir: &Path) -> Result<()> {
    let empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(Error::io("read", dir)(error)),
    };
    if empty {
        return Ok(());
    }
    let shown = dir.display();
    Err(Error::Denied(format!(
        "{shown} is not empty and not a node directory; nothing was changed."
    ))
    .hint("choose another directory, or check what is in this one"))
}

/// Whether a node's directory is the one this provision is for.
fn refuse_other(dir: &Path, provision: &Provision, keys: &[Secret], doc: &RingDoc) -> Result<()> {
    let shown = dir.display();
    let deny = |why: String| Err(Error::Denied(format!("{shown} {why}; nothing was changed.")));
    let name = configured(dir)?.name;
    let (ring, id, gone) = known(dir, keys, doc)?;
    if ring != Some(doc.id) {
        return deny("is a node of another ring".into());
    }
    if gone || doc.member(id).is_some_and(|m| m.state == MemberState::Removed) {
        return deny(format!("is the node {name}, which was removed from the ring for good"));
    }
    if name != provision.node.name {
        return deny(format!("is the node {name} of this ring, not {}", provision.node.name));
    }
    let key = public(&read_key(&dir.join(NODE_KEY))?);
    match doc.member(id) {
        Some(member) if member.public_key != key => {
            deny("does not have the key of its member".into())
        }
        None if provision.founder => {
            deny(format!("is the node {name}, which is not a founding member"))
        }
        _ => Ok(()),
    }
}

/// Ring and identity of a node's directory, and whether it knows that it was removed.
fn known(dir: &Path, keys: &[Secret], doc: &RingDoc) -> Result<(Option<RingId>, NodeId, bool)> {
    let lock = match Lock::wait_unless(dir, &Want::Shared, Duration::ZERO, &Holder::serves) {
        // It runs, so its file is not for us: a ring is also known by its key.
        Err(error) if matches!(error.root(), Error::Busy(_)) => {
            let Found::Valid(identity) = sidecar::read(dir)? else { return Err(error) };
            let same = read_keys(&dir.join(RING_KEY))?.iter().any(|key| keys.contains(key));
            return Ok((same.then_some(doc.id), identity.node, false));
        }
        lock => lock?,
    };
    let store = Lmdb::open(dir, Access::Read, Map::default())?.store;
    let own = RingDoc::decode(&store.row(Table::Ring, "doc")?.unwrap_or_default())?;
    let id = store.identity().node;
    drop(lock);
    Ok((Some(own.id), id, own.member(id).is_some_and(|m| m.state == MemberState::Removed)))
}

/// A directory that is a mount point cannot appear whole.
fn mounted(error: Error) -> Error {
    match &error {
        Error::Io { source, .. }
            if matches!(source.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices) =>
        {
            error.hint("a node directory cannot be a mount point: name a directory inside it")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests;
