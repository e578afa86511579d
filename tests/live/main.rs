//! Running nodes, as processes on this machine: started, asked, cut down, stopped.
//!
//! ```text
//! Served::up(&place)       kvs up r, once all nodes are ready      dropped: everything is killed
//! Served::node(&place, …)  kvs node run r/n2
//! ```
//!
//! Every wait has a deadline. Ports are looked for below those that the system gives out by itself,
//! so that a test that connects takes none of them.

#[path = "../support/mod.rs"]
mod support;

mod born;
mod builds;
mod crowds;
mod data;
mod faults;
mod guests;
mod links;
mod nodes;
mod scale;
mod strangers;
