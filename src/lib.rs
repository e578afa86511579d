//! `kvs`: a Dynamo-style, leaderless, replicated key-value store whose nodes are directories.
//!
//! The heart is a pure state machine, [`node::Node`]: events and the present time in, actions out.
//! Small drivers run it: [`embed`] opens node directories in this process, the simulator under
//! `tests/` runs it in virtual time. Read the rooms in this order; a room uses only rooms above it.
//!
//! Invariants of absence: from `key` to `node` nothing opens a file or socket, reads a clock, draws
//! a random number or spawns a thread; the library never prints; nothing here is async; only
//! `config` names the YAML crate; only `store::lmdb` is unsafe. `tests/tidy.rs` holds all of it.

// The ground: values and rules, no input or output.
pub mod error;
#[doc(hidden)]
pub mod planted;
pub mod os;
pub mod bounded;
pub mod config;
pub mod key;
pub mod clock;
pub mod record;
pub mod digest;
pub mod ring;
pub mod quorum;
pub mod gossip;
pub mod protocol;

// One node: its files, its mind.
pub mod store;
pub mod node;
pub mod node_dir;
pub mod channel;

// Drivers and jobs.
pub mod embed;
pub mod client;
pub mod serve;
pub mod cluster;
pub mod repair;
pub mod transfer;
pub mod push;
