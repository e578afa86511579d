//! Nodes pushed over SSH to hosts that are network namespaces with a real sshd each.
//!
//! ```text
//! sshd            hosts: sshd's of our own, here or in namespaces
//! ssh             the connection: who is let in, scripts, files, cut links
//! fleet           hosts in namespaces, as a fleet has them
//! fleet_fixture   the same with an inventory, and clients whose answers are judged
//! whole           pushes from nothing, in turns, killed, broken
//! faults          hosts that cannot be used, beside others that can
//! booted          hosts with a real systemd
//! broken          what breaks in the middle: killed, stopped, cut, full
//! existing_rings  rings that exist: crashed nodes, lost directories, changed inventories
//! safe            what a push must never do
//! scale           spares that join and leave as the load asks
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "these tests are about the world: its clocks, its threads, its environment"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "they end in a report")]
#![allow(dead_code, reason = "shared with the tests across hosts: each uses a part of it")]

#[path = "push/booted.rs"]
mod booted;
#[path = "push/broken.rs"]
mod broken;
#[path = "support/executable.rs"]
mod executable;
#[path = "push/faults.rs"]
mod faults;
#[path = "hosts/clients.rs"]
mod clients;
#[path = "push/fleet.rs"]
mod fleet;
#[path = "hosts/load.rs"]
mod load;
#[path = "hosts/log.rs"]
mod log;
#[path = "hosts/net.rs"]
mod net;
#[path = "hosts/oracle.rs"]
mod oracle;
#[allow(unreachable_pub, reason = "shared")]
#[path = "support/rng.rs"]
mod rng;
#[path = "push/safe.rs"]
mod safe;
#[path = "push/scale.rs"]
mod scale;
#[path = "faults/shell.rs"]
mod shell;
#[path = "push/ssh.rs"]
mod ssh;
#[path = "push/sshd.rs"]
mod sshd;
#[path = "push/existing_rings.rs"]
mod existing_rings;
#[path = "hosts/stranger.rs"]
mod stranger;
#[path = "hosts/task.rs"]
mod task;
#[path = "push/whole.rs"]
mod whole;
#[path = "push/fleet_fixture.rs"]
mod fleet_fixture;

/// Not a test by itself: what the processes beside a test run.
#[test]
fn client_process() {
    task::run();
}
