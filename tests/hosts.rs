//! Rings across hosts: real nodes in network namespaces, real clients, and what breaks between them.
//!
//! ```text
//! net     hosts on a bridge, links that are cut and healed         (takes root, ip and nft)
//! cuts    that they are
//! ring    nodes: started, killed, paused, stopped; commands by the real binary
//! task    processes beside the test: this binary again, with a task
//! load    clients that write and read and log every answer         log: what is in it
//! oracle  judges log and final state                               it can fail: see its tests
//! soak    everything at once for KVS_SOAK_SECONDS (60 unless set), with a report
//! small   one fault at a time
//! crowd   strangers at the port of the nodes
//! ```
//!
//! Read a report with `cargo test --test hosts -- --nocapture soak`. Caveat: what a machine does in
//! between is not seeded; a run that fails is repeated, not replayed. Nodes' own words are printed
//! when a test fails.
#![allow(
    clippy::disallowed_methods,
    reason = "these tests are about the world: its clocks, its threads, its environment"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "they end in a report")]

#[path = "hosts/clients.rs"]
mod clients;
#[path = "hosts/crowd.rs"]
mod crowd;
#[path = "hosts/cuts.rs"]
mod cuts;
#[path = "hosts/load.rs"]
mod load;
#[path = "hosts/log.rs"]
mod log;
#[path = "hosts/net.rs"]
mod net;
#[path = "hosts/oracle.rs"]
mod oracle;
#[path = "hosts/ring.rs"]
mod ring;
#[allow(dead_code, unreachable_pub, reason = "shared: each test uses a part of it")]
#[path = "support/rng.rs"]
mod rng;
#[path = "faults/shell.rs"]
mod shell;
#[path = "hosts/small.rs"]
mod small;
#[path = "hosts/soak.rs"]
mod soak;
#[path = "hosts/stranger.rs"]
mod stranger;
#[path = "hosts/task.rs"]
mod task;

/// Not a test by itself: what the processes beside a test run.
#[test]
fn client_process() {
    task::run();
}
