//! Nodes pushed over SSH to hosts that are network namespaces with a real sshd each.
//!
//! ```text
//! sshd    hosts: sshd's of our own, here or in namespaces
//! ssh     the connection: who is let in, scripts, files, cut links
//! fleet   hosts in namespaces, as a fleet has them
//! ```
#![allow(
    clippy::disallowed_methods,
    reason = "these tests are about the world: its clocks, its threads, its environment"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "they end in a report")]

#[path = "push/fleet.rs"]
mod fleet;
#[allow(dead_code, reason = "shared with the hosts of other tests")]
#[path = "hosts/net.rs"]
mod net;
#[path = "faults/shell.rs"]
mod shell;
#[path = "push/ssh.rs"]
mod ssh;
#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "push/sshd.rs"]
mod sshd;
