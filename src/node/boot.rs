//! How a node comes to be and is opened: the rows of a new one, and what a driver says at each opening.
//!
//! Values only; what they lead to is decided in `identity` and `witness`.

use crate::clock::Actor;
use crate::ring::{NodeId, RingDoc};
use crate::store::{Batch, Op};

/// How a driver opens a node.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// 128 random bits, fresh at every opening: actors and operation numbers are drawn from them.
    pub seed: u128,
    /// Why the file may be older than what the node has done, if it may.
    pub suspect: Option<String>,
    /// Never ask for a commit; what is found out holds for this run only.
    pub read_only: bool,
    /// How many other members must have been heard before the node acts.
    pub witnesses: usize,
    /// How many records it audits before others have their turn; no bound when `None`.
    pub audit_slice: Option<u64>,
}

/// The rows that make an empty store the node `id` of the ring `doc`.
#[must_use]
pub fn genesis(id: NodeId, actor: Actor, doc: &RingDoc, born_full: bool) -> Batch {
    let q = doc.q.count();
    let filling = vec![if born_full { 0 } else { 0xff }; q as usize / 8];
    let meta = |name: &str, value: Vec<u8>| Op::Meta(name.into(), Some(value));
    Batch {
        ops: vec![
            meta("q", q.to_le_bytes().to_vec()),
            meta("node", id.0.to_le_bytes().to_vec()),
            meta("actor", actor.0.to_le_bytes().to_vec()),
            meta("counter", 0_u64.to_le_bytes().to_vec()),
            meta("filling", filling),
            Op::Ring("doc".into(), Some(doc.encode())),
        ],
    }
}
