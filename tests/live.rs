//! Running nodes, as processes on this machine: started, asked, cut down, stopped.
//!
//! ```text
//! Served::up(&place)       kvs up r, once all nodes are ready      dropped: everything is killed
//! Served::node(&place, …)  kvs node run r/n2
//! ```
//!
//! Every wait has a deadline. Ports are looked for below those that the system gives out by itself,
//! so that a test that connects takes none of them.

#[path = "live/born.rs"]
mod born;
#[path = "live/builds.rs"]
mod builds;
#[path = "live/crowds.rs"]
mod crowds;
#[path = "live/data.rs"]
mod data;
#[path = "live/faults.rs"]
mod faults;
#[path = "live/guests.rs"]
mod guests;
#[path = "live/links.rs"]
mod links;
#[path = "live/nodes.rs"]
mod nodes;
#[path = "live/scale.rs"]
mod scale;
#[path = "live/served.rs"]
mod served;
#[path = "live/strangers.rs"]
mod strangers;
#[path = "faults/shell.rs"]
mod shell;
