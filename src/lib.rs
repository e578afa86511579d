//! `kvs`: a Dynamo-style, leaderless, replicated key-value store whose nodes are directories.
//!
//! The heart is a pure state machine, [`node::Node`]: events and the present time in, actions out.
//! Three drivers run it: [`embed`] over directories that are opened in this process, [`serve`] as a
//! process of its own, and the simulator under `tests/` in virtual time. Commands see none of them:
//! they ask a [`cluster::Cluster`]. Read the rooms in the order below; `tests/tidy` holds the table
//! of which room may use which.
//!
//! What is absent, and held by that test: from `key` to `node`, `store` apart, nothing opens a file or a
//! socket, reads a clock, draws a random number or starts a thread; the library never prints; `serve`
//! alone is async; `config` alone names the YAML crate; `store::lmdb` alone is unsafe. `os` alone reads a
//! clock or draws random bits.

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

// Drivers, and what is done through them.
pub mod embed;
pub mod client;
pub mod serve;
pub mod cluster;
pub mod repair;
pub mod transfer;
pub mod push;

// The runner of the scripts under `testdata`, which the tests of rooms share with those of the binary.
#[cfg(test)]
#[path = "../tests/support/golden.rs"]
mod golden;
