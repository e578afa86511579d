//! The driver of a running node: sockets, timers, one event loop, one commit thread.
//!
//! A served node is the same [`Node`](crate::node::Node) that the embedded driver runs; here its messages
//! travel over encrypted links, its time is the clock's, and its commits are made by a thread of their own:
//! whatever waits while one commit runs goes into the next.
//!
//! ```text
//! listener, dialer --handshake--> link tasks --frames--> [ core: one loop ] --batch--> commit thread
//!                                     ^                         |           <--done---
//!                                     +------- send queues -----+
//! ```
//!
//! | file | what it owns or decides |
//! |---|---|
//! | `core`, `core/*` | the loop: an event in, one part woken, actions out |
//! | `event`, `id` | what happens to a node; the numbers of links, tickets and batches |
//! | `listener`, `dialer`, `handshake` | accepting, dialling, and the handshakes of both |
//! | `slots`, `connection_limits` | connections that have not shown the key yet; how many of each kind |
//! | `admission` | who may stay, and as what |
//! | `link`, `links` | one open connection; all of them, and when to dial again |
//! | `limits` | what all clients together may cost |
//! | `requests`, `store_query`, `status` | what clients ask, and the answers from file and counters |
//! | `liveness` | who is up; what this node says of itself |
//! | `maintenance`, `schedule` | hints, anti-entropy, filling, scrub, ring changes; when each is due |
//! | `address_book`, `shutdown` | `peers.yaml`; how a node comes to its end |
//! | `commit` | the file: written by the thread, read by the loop |
//! | `meter`, `scrape`, `notes`, `log_limiter` | figures for Prometheus and where they are read; the log |
//!
//! Everything has a bound. What a node spends on others, at the most (descriptors: see `connection_limits`):
//!
//! | who | connections | bytes | time |
//! |---|---|---|---|
//! | figures | 64, one request each | 8 KiB a request | 5 s to ask, 10 s to take the answer |
//! | no key shown | 1,024, half of one source | 1 KiB each | 5 s |
//! | key shown, handshake | 512, half of one source | 2 KiB each | 5 s |
//! | clients | 1,024; the longest idle makes room | 4 KiB each unasked for | 300 s of silence |
//! | operators | 16 beside them | the same | the same |
//! | long requests being read | | 24 MiB, and 8 MiB of one that always ends | 60 s each |
//! | requests open | 1,024 of a client | 16 MiB, by size and estimated answer | the request's own |
//! | responses unread | | 64 MiB of all, 1 MiB for a client that takes no more | 10 s without a byte taken |
//! | peers | one each | 64 MiB queued, 64 MiB a frame | 4 s of silence |
//! | log | | ten lines of a kind, then one every 10 s | |
//!
//! A connection without the key never takes the place of one that has it, a peer never that of a client, nor a
//! client that of a peer; status, drain and stop are answered when every other place is taken. This room alone
//! is async. What it does not do: it decides nothing about data, and never prints; it logs through `tracing`.
//! Caveat: the loop reads its file itself, so a slow disk slows everything it does.

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
    /// Its lock file, locked by the process that started this one and handed down.
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
