//! The driver of a running node: sockets, timers, one event loop, one commit thread.
//!
//! A served node is the same [`Node`](crate::node::Node) that the embedded driver runs; here its
//! messages travel over encrypted links, its time is the clock's, and its commits are made by a
//! thread of their own: whatever waits while one commit runs goes into the next.
//!
//! ```text
//! accept, dial --handshake--> link tasks --parcels--> [ core: one loop ] --batch--> commit thread
//!                                ^                      | node, gossip,  <--done---
//!                                +------ outboxes ------+ desk, chores
//! ```
//!
//! | file | what |
//! |---|---|
//! | `event`, `core` | the loop: events in, the node's actions carried out |
//! | `door` | listening, dialling, handshakes, their bounds |
//! | `link` | one open connection: frames in and out |
//! | `lobby` | who may stay, and as what |
//! | `guests` | what all clients together may cost |
//! | `peers` | who is linked, who is alive, when to dial again |
//! | `desk`, `tickets` | what clients ask |
//! | `chores`, `due` | hints, anti-entropy, filling, shepherding, `peers.yaml` |
//! | `meter` | figures for Prometheus |
//!
//! Everything has a bound: handshakes under way, links, queues, parcels, silence. This room alone is
//! async. What it does not do: it decides nothing about data, and never prints; it logs through
//! `tracing`. Caveat: the loop reads its file itself, so a slow disk slows everything it does.

mod chores;
mod commit;
mod core;
mod desk;
mod door;
mod due;
mod event;
mod guests;
mod link;
mod lobby;
mod meter;
mod peers;
mod start;
mod tickets;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

pub use self::start::serve;

/// What to serve, and how.
#[derive(Debug)]
pub struct Serving {
    /// The node's directory.
    pub dir: PathBuf,
    /// Its lock file, locked by whoever started this process and handed down.
    pub lock: Option<File>,
    /// How long to wait for the lock otherwise; for ever when `None`.
    pub timeout: Option<Duration>,
    /// Where to listen, in place of what `node.yaml` says.
    pub listen: Option<String>,
    /// Where figures can be read; `None` switches them off.
    pub metrics: Option<String>,
    /// How often to compare all totals with every peer; `None` switches anti-entropy off.
    pub sync_every: Option<Duration>,
    /// Whether hints are delivered.
    pub hints: bool,
}

/// A node that serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Where its figures can be read.
    pub metrics: Option<String>,
}

/// Why a node ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to: a signal, or `kvs node stop`.
    Stopped,
    /// It is no member of the ring any more.
    Removed,
}
