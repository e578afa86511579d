//! What the tests share. Every target has it as `crate::support`, declared as its first module:
//!
//! ```text
//! #[path = "../support/mod.rs"]
//! mod support;
//! ```
//!
//! ```text
//! wait        the two verbs of waiting: for something to come, and that something lasts
//! shell       a directory of its own, and commands in it, each under a deadline
//! served      a ring of three there, and the processes that serve it
//! golden run  transcripts below testdata: the format, and the commands in it
//! executable  a program that a test writes and runs
//! world       a virtual cluster: many nodes, one clock, faults to order       rng  its numbers
//! found_by    which planted bugs a script finds
//! net         hosts in network namespaces                                     sshd an sshd in them
//! task        processes beside a test: clients (load clients log) and strangers (stranger)
//! oracle      judges the log of the clients
//! ```
//!
//! A folder with a `main.rs` is a target that Cargo finds by itself; this one has none. Tests of these
//! modules stand in a target, so that they run once.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each target uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests are about the world: its clocks, threads, environment; they print what they find"
)]

pub(crate) mod clients;
pub(crate) mod executable;
#[cfg(feature = "planted")]
pub(crate) mod found_by;
pub(crate) mod golden;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod net;
pub(crate) mod oracle;
pub(crate) mod rng;
pub(crate) mod run;
pub(crate) mod served;
pub(crate) mod shell;
pub(crate) mod sshd;
pub(crate) mod stranger;
pub(crate) mod task;
pub(crate) mod wait;
pub(crate) mod world;
