//! Rings on other hosts: brought there, upgraded and looked at over SSH.
//!
//! ```text
//!  fleet.yaml ──> Fleet          what should be                                  fleet
//!  each host  ──> Facts          what is: one connection, one script             ssh, far
//!                   |
//!                 Plan           the difference, one line a host, "would …"      plan
//!                   |
//!  lock ─ stage ─ found or join ─ batch: stop, switch, start, in sync, gate ─ …  apply, roll
//!                   |                                        |
//!                 Audit          a file per run          failed: this host goes back,
//!                                                        the rest stays, exit 7
//! ```
//!
//! A host needs sshd, a POSIX shell and coreutils, nothing else: the binary brings all it needs. Every
//! script goes in by standard input, so that no argument of a process ever shows a key. What a ring
//! is, who is a member and whether copies are equal is asked of the ring itself ([`crate::target`]);
//! SSH carries files and starts processes. It never prints: a [`Watch`] hears of every step.
//!
//! Caveats: the nodes' ports must be reachable from here, and from each other; names are resolved
//! here, nodes get numeric addresses.

mod far;
mod fleet;
pub mod scale;
mod shell;
mod ssh;

pub use self::far::{Facts, Far, Init, Release, Service};
pub use self::fleet::{
    Become, Fleet, Host, HostKeys, Rollout, ScaleRules, ServiceKind, SshRules, draft,
};
pub use self::shell::{Output, Script, Shell};
pub use self::ssh::{Access, Ssh};

/// Hears what is done, on which host.
pub trait Watch: Sync {
    /// A step has begun, ended, or something is to be known.
    fn note(&self, host: &str, event: &Event);
    /// Whether to stop after what has been begun: the first ctrl-C.
    fn stops(&self) -> bool {
        false
    }
}

/// What is heard of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step begins: "uploading".
    Begins(String),
    /// So many of so many bytes of it are done.
    Bytes(u64, u64),
    /// It has ended: "uploaded 12 MiB".
    Done(String),
    /// Something to be known that stops nothing.
    Warning(String),
    /// The host is given up, and why.
    Failed(String),
}
