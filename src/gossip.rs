//! Who is there: a membership list that spreads by itself, and how suspect each silence is.
//!
//! Every node raises its own heartbeat once a second and exchanges lists with some random members:
//! it pushes what it knows and pulls what the other knows better. A row is newer when its generation
//! (one per start of a process), then its beat, is higher. From the intervals at which a member's
//! beat is seen to rise phi tells how unlikely its present silence is:
//!
//! ```text
//! n1 beat 41 42 43 44 . . . .      phi 0.3 … 1 … 4 … 8: taken to be down
//! ```
//!
//! Phi is that of Hayashibara et al., *The phi accrual failure detector* (2004): normally distributed
//! intervals, the last 1,000 of them, their deviation at least 0.5 s. It steers requests and never
//! changes who owns what: down is not left.
//!
//! What it does not do: it sends nothing, keeps no file and knows no clock but the one it is given.
//! Caveat: addresses are believed as told; the channel proves who answers there.

use serde::{Deserialize, Serialize};

use crate::clock::Actor;
use crate::ring::NodeId;

/// What a node says of itself, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Who.
    pub id: NodeId,
    /// Which run of its process: its wall clock at the start, ms since 1970, or one more than any
    /// generation of it met since. 0: an address from a file, nothing heard yet.
    pub generation: u64,
    /// Raised every second.
    pub beat: u64,
    /// Where it can be reached, `host:port`.
    pub address: String,
    /// Its present actor.
    pub actor: Actor,
    /// Its version of the ring document.
    pub version: u64,
    /// How it is.
    pub mood: Mood,
}

/// How a node says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mood {
    /// In service.
    #[default]
    Well,
    /// In service for its peers; it takes no clients and keeps nothing for others.
    Draining,
    /// Its disk is full: it answers reads only.
    Full,
    /// It is about to stop: taken to be down at once.
    Stopping,
}

/// The list of one node. See the module.
pub struct Gossip {}

impl Gossip {
    /// A list that holds only its own row. `seed` draws whom to exchange with.
    #[must_use]
    pub fn new(_own: Row, _seed: u64, _now_ms: u64) -> Self {
        unimplemented!()
    }

    /// Its own row.
    #[must_use]
    pub fn own(&self) -> &Row {
        unimplemented!()
    }

    /// Changes what it says of itself: address, actor, version, mood. The change spreads at once,
    /// with a raised beat.
    pub fn set(&mut self, _change: impl FnOnce(&mut Row)) {
        unimplemented!()
    }

    /// An address read from a file, for a member of which nothing was heard yet.
    pub fn hint(&mut self, _id: NodeId, _address: String) {
        unimplemented!()
    }

    /// Forgets those that are no members any more.
    pub fn retain(&mut self, _member: impl Fn(NodeId) -> bool) {
        unimplemented!()
    }

    /// Time has passed: once a second the own beat rises and up to three random ones of `linked` are
    /// named to exchange lists with. A pause of this process itself is nobody else's silence.
    pub fn tick(&mut self, _now_ms: u64, _linked: &[NodeId]) -> Vec<NodeId> {
        unimplemented!()
    }

    /// Every row, to be pushed.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        unimplemented!()
    }

    /// Takes rows that were pushed or pulled; gives those that the sender knows less well.
    pub fn merge(&mut self, _rows: Vec<Row>, _now_ms: u64) -> Vec<Row> {
        unimplemented!()
    }

    /// What is known of a member.
    #[must_use]
    pub fn row(&self, _id: NodeId) -> Option<&Row> {
        unimplemented!()
    }

    /// How suspect its present silence is; infinite when it was never heard or is stopping.
    #[must_use]
    pub fn phi(&self, _id: NodeId, _now_ms: u64) -> f64 {
        unimplemented!()
    }

    /// For how long nothing new was heard of it, in ms.
    #[must_use]
    pub fn silent_ms(&self, _id: NodeId, _now_ms: u64) -> u64 {
        unimplemented!()
    }

    /// Whether it is taken to be up: phi below 8, and not stopping.
    #[must_use]
    pub fn is_up(&self, _id: NodeId, _now_ms: u64) -> bool {
        unimplemented!()
    }

    /// How often a row of this very node came back newer than it said itself: another process has
    /// its identity when this goes on.
    #[must_use]
    pub fn echoes(&self) -> u32 {
        unimplemented!()
    }
}
