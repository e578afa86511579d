//! New rings and members: directories that appear whole or not at all.
//!
//! ```text
//! r.tmp-…/ring.key, n1/{node.yaml node.key peers.yaml ring.key data.mdb kvs.id kvs.lock}, …
//! all synced, then renamed to r
//! ```
//!
//! Keys are files of mode 0600. It does not choose names; its caller does.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::files::{NODE_KEY, RING_KEY, public};
use super::peers::peers;
use crate::clock::Actor;
use crate::config::{NODE_FILE, NodeConfig, PEERS_FILE, Peers, Secret, fresh_key, key_text, text};
use crate::error::{Error, Result};
use crate::key::Q;
use crate::node::genesis;
use crate::os::{self, random};
use crate::ring::{Member, MemberState, NodeId, RingDoc, RingId};
use crate::store::lmdb::Lmdb;

/// A member that is to be made.
#[derive(Clone, Debug)]
pub struct MemberSpec {
    /// Its name and the name of its directory.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Its weight.
    pub weight: u32,
    /// Where it will listen.
    pub listen: Option<String>,
}

/// A ring that is to be made.
#[derive(Clone, Debug)]
pub struct RingSpec {
    /// Its partitions.
    pub q: Q,
    /// Its replicas.
    pub replicas: u8,
    /// Its members.
    pub members: Vec<MemberSpec>,
}

/// Makes a ring directory with one node directory per member.
///
/// # Errors
/// [`Error::Denied`] when the directory exists and is not empty, [`Error::Usage`] for a bad shape,
/// [`Error::Io`]. Nothing is left behind.
pub fn create_ring(dir: &Path, ring: &RingSpec) -> Result<RingDoc> {
    let mut keys = Vec::new();
    let mut members = Vec::new();
    for spec in &ring.members {
        let (member, key) = draw(spec, MemberState::Normal)?;
        keys.push(key);
        members.push(member);
    }
    let doc = RingDoc::first(RingId(random()?), ring.q, ring.replicas, members)?;
    let ring_key = [fresh_key()?];
    let listens =
        |m: &Member| ring.members.iter().find(|s| s.name == m.name).and_then(|s| s.listen.clone());
    let peers = peers(&doc, &listens);
    whole(dir, |tmp| {
        write_secrets(&tmp.join(RING_KEY), &ring_key)?;
        for ((spec, member), key) in ring.members.iter().zip(&doc.members).zip(&keys) {
            let path = tmp.join(&spec.name);
            make_dir(&path)?;
            let config = config(spec);
            fill(&path, &config, member.id, key, &ring_key, &doc, &peers, true)?;
        }
        Ok(())
    })?;
    Ok(doc)
}

/// Makes the directory of a member that is to join the ring of `doc`, with all keys the ring has now
/// and the addresses of its members.
///
/// # Errors
/// As [`create_ring`].
pub fn create_member(
    dir: &Path,
    spec: &MemberSpec,
    doc: &RingDoc,
    ring_keys: &[Secret],
    addresses: &BTreeMap<NodeId, String>,
) -> Result<Member> {
    let (member, key) = draw(spec, MemberState::Joining)?;
    let peers = peers(doc, &|m| addresses.get(&m.id).cloned());
    let config = config(spec);
    whole(dir, |tmp| fill(tmp, &config, member.id, &key, ring_keys, doc, &peers, false))?;
    Ok(member)
}

fn draw(spec: &MemberSpec, state: MemberState) -> Result<(Member, Secret)> {
    let key = fresh_key()?;
    let member = Member {
        id: NodeId(random()? as u64),
        name: spec.name.clone(),
        zone: spec.zone.clone(),
        weight: spec.weight.max(1),
        state,
        public_key: public(&key),
    };
    Ok((member, key))
}

fn config(spec: &MemberSpec) -> NodeConfig {
    let (name, listen) = (spec.name.clone(), spec.listen.clone());
    NodeConfig { name, listen, advertise: None, metrics: None, quota_bytes: None }
}

#[expect(clippy::too_many_arguments, reason = "one call per file of a node directory")]
pub(super) fn fill(
    dir: &Path,
    config: &NodeConfig,
    id: NodeId,
    key: &Secret,
    ring_keys: &[Secret],
    doc: &RingDoc,
    peers: &Peers,
    born_full: bool,
) -> Result<()> {
    write(&dir.join(NODE_FILE), 0o644, text(config)?.as_bytes())?;
    write(&dir.join(PEERS_FILE), 0o644, text(peers)?.as_bytes())?;
    write_secrets(&dir.join(NODE_KEY), &[*key])?;
    write_secrets(&dir.join(RING_KEY), ring_keys)?;
    Lmdb::create(dir, &genesis(id, Actor(random()? as u64), doc, born_full))
}

/// Builds a directory under a temporary name beside its place, syncs it and renames it. Made by root
/// in the directory of another user, it is that user's, as everything else there.
pub(super) fn whole(dir: &Path, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let empty = fs::read_dir(dir).map_or(true, |mut d| d.next().is_none());
    if !empty {
        return Err(Error::Denied(format!(
            "{} exists and is not empty; nothing was made.",
            dir.display()
        )));
    }
    let (parent, name) = place(dir)?;
    let tmp: PathBuf = parent.join(format!(".{name}.{:08x}.tmp", random()? as u32));
    let built = make_dir(&tmp).and_then(|()| build(&tmp)).and_then(|()| {
        os::give_tree(&tmp, parent)?;
        os::sync_dir(&tmp)?;
        os::rename(&tmp, dir)
    });
    if built.is_err() {
        // What is half made is of no use; the error that stopped us is the one to report.
        drop(fs::remove_dir_all(&tmp));
    }
    built
}

/// What [`whole`] has left beside a directory when its process was killed.
pub(super) fn leftovers(dir: &Path) -> Result<Vec<PathBuf>> {
    let (parent, name) = place(dir)?;
    let is_left = |entry: &str| {
        let middle = entry.strip_prefix(&format!(".{name}.")).and_then(|e| e.strip_suffix(".tmp"));
        middle.is_some_and(|m| m.len() == 8 && m.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let entries = fs::read_dir(parent).map_err(Error::io("read", parent))?;
    let left = entries.filter_map(std::result::Result::ok);
    let left = left.filter(|e| e.file_name().to_str().is_some_and(is_left));
    Ok(left.map(|e| e.path()).filter(|p| p.is_dir()).collect())
}

/// Where a directory is to be, and its name.
fn place(dir: &Path) -> Result<(&Path, String)> {
    let parent =
        dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = dir.file_name().ok_or_else(|| {
        Error::Usage(format!("{} cannot be made: it has no name of its own.", dir.display()))
    })?;
    Ok((parent, name.to_string_lossy().into_owned()))
}

fn make_dir(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(path).map_err(Error::io("make", path))
}

fn write_secrets(path: &Path, keys: &[Secret]) -> Result<()> {
    write(path, 0o600, key_text(keys).as_bytes())
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = open.map_err(Error::io("make", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", path))
}
