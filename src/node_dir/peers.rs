//! Where the other nodes of the ring listen: as `peers.yaml` says, and as the directories beside say.
//!
//! It reads and computes; the file is written by whoever makes a directory or serves it. Caveat: an
//! address that is written down is where a node listened once.

use std::path::{Path, PathBuf};

use crate::config::{NODE_FILE, NodeConfig, Peer, Peers, read};
use crate::ring::{Member, NodeId, RingDoc};
use crate::store::lock::{Holder, Lock};
use crate::store::sidecar::{self, Found};

/// What is written of the members of a ring, each with its address as far as one is known.
#[must_use]
pub fn peers(doc: &RingDoc, address: &dyn Fn(&Member) -> Option<String>) -> Peers {
    let peer =
        |m: &Member| Peer { id: m.id.to_string(), name: m.name.clone(), address: address(m) };
    Peers { peers: doc.present().map(peer).collect() }
}

/// The addresses that are written down, each with its member.
pub fn addresses(peers: Peers) -> impl Iterator<Item = (NodeId, String)> {
    let row = |p: Peer| Some((NodeId(u64::from_str_radix(&p.id, 16).ok()?), p.address?));
    peers.peers.into_iter().filter_map(row)
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
