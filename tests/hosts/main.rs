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

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod cuts;
mod oracle_can_fail;
mod ring;
mod small;
mod soak;

/// What the processes beside a test run.
#[test]
#[ignore = "no test: a process beside one"]
fn process_beside_a_test() {
    support::task::run();
}
