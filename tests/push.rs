//! Nodes pushed over SSH to hosts that are network namespaces with a real sshd each.
#![allow(
    clippy::disallowed_methods,
    reason = "these tests are about the world: its clocks, its threads, its environment"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "they end in a report")]
