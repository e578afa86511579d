//! The names of the files in a node's directory that no other room names.
//!
//! `node.yaml` and `peers.yaml` are named by `config`, the data and its sidecar by `store`.

use crate::config::Secret;

/// The ring's key, beside the nodes and in each of them.
pub const RING_KEY: &str = "ring.key";
/// A node's static key.
pub const NODE_KEY: &str = "node.key";
/// What becomes of the node.yaml of a directory that is moved aside.
pub const OLD_NODE_FILE: &str = "node.yaml.old";

/// The public half of a node's key.
pub(super) fn public(key: &Secret) -> [u8; 32] {
    x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*key)).to_bytes()
}
