//! The driver of a running node: sockets, timers, one event loop, one commit thread.
//!
//! A served node is the same [`Node`](crate::node::Node) that the embedded driver runs; here its
//! messages travel over encrypted links, its time is the clock's, and its commits are made by a
//! thread of their own: whatever waits while one commit runs goes into the next.
//!
//! ```text
//! accept, dial --handshake--> link tasks --frames--> [ core: one loop ] --batch--> commit thread
//!                                ^                      | node, gossip,  <--done---
//!                                +------ outboxes ------+ desk, chores
//! ```
//!
//! | file | what |
//! |---|---|
//! | `event`, `core` | the loop: events in, the node's actions carried out |
//! | `door`, `crowd` | listening, dialling, handshakes; who has not shown the key yet |
//! | `bounds`, `quiet` | how many connections of each kind; how many lines they may cause |
//! | `link` | one open connection: packets in and out |
//! | `lobby` | who may stay, and as what |
//! | `guests` | what all clients together may cost |
//! | `peers` | who is linked, who is alive, when to dial again |
//! | `desk`, `tickets` | what clients ask |
//! | `chores`, `due` | hints, anti-entropy, filling, shepherding, `peers.yaml` |
//! | `meter`, `scrape` | figures for Prometheus, and where they are read |
//!
//! Everything has a bound. What a node spends on others, at the most (descriptors: see `bounds`):
//!
//! | who | connections | bytes | time |
//! |---|---|---|---|
//! | figures | 64, one question each | 8 KiB a question | 5 s to ask, 10 s to take the answer |
//! | no key shown | 1,024, half of one source | 1 KiB each | 5 s |
//! | key shown, handshake | 512, half of one source | 2 KiB each | 5 s |
//! | clients | 1,024; the longest idle makes room | 4 KiB each unasked for | 300 s of silence |
//! | operators | 16 beside them | the same | the same |
//! | long questions being read | | 24 MiB, and 8 MiB of one that always ends | 60 s each |
//! | questions open | 1,024 of a client | 16 MiB, by size and guessed answer | the request's own |
//! | answers unread | | 64 MiB of all, 1 MiB for who is modest | 10 s without a byte taken |
//! | peers | one each | 64 MiB queued, 64 MiB a frame | 4 s of silence |
//! | log | | ten lines of a kind, then one every 10 s | |
//!
//! Whoever has no key takes no place from one who has; a peer takes none from a client, nor a client
//! from a peer; status, drain and stop are answered when every other place is taken. This room alone is
//! async. What it does not do: it decides nothing about data, and never prints; it logs through
//! `tracing`. Caveat: the loop reads its file itself, so a slow disk slows everything it does.

mod address_book;
mod admission;
mod commit;
mod connection_limits;
mod core;
mod dialer;
mod event;
mod handshake;
mod id;
mod limits;
mod link;
mod links;
mod listener;
mod liveness;
mod log_limiter;
mod maintenance;
mod meter;
mod notes;
mod requests;
mod schedule;
mod scrape;
mod shutdown;
mod slots;
mod start;
mod status;
mod store_query;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

pub use self::start::serve;

/// What to serve, and how.
#[derive(Debug)]
pub struct ServeOptions {
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
pub enum StopReason {
    /// It was told to: a signal, or `kvs node stop`.
    Stopped,
    /// It is no member of the ring any more.
    Removed,
}
