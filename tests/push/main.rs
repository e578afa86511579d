//! Nodes pushed over SSH to hosts that are network namespaces with a real sshd each.
//!
//! ```text
//! ssh     the connection: who is let in, scripts, files, cut links
//! fleet   hosts in namespaces, as a fleet has them
//! fleet_fixture   the same with an inventory, and clients whose answers are judged
//! whole   pushes from nothing, in turns, killed, broken
//! faults  hosts that cannot be used, beside others that can
//! booted  hosts with a real systemd
//! broken  what breaks in the middle: killed, stopped, cut, full
//! existing_rings  rings that stand: crashed nodes, lost directories, changed inventories
//! safe    what a push must never do
//! scale   spares that join and leave as the load asks
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "these tests are about the world: its clocks, its threads, its environment"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "they end in a report")]

#[path = "../support/mod.rs"]
mod support;

mod booted;
mod broken;
mod existing_rings;
mod faults;
mod fleet;
mod fleet_fixture;
mod safe;
mod scale;
mod ssh;
mod whole;

/// What the processes beside a test run.
#[test]
#[ignore = "no test: a process beside one"]
fn process_beside_a_test() {
    support::task::run();
}
