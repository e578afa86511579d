//! Rings on other hosts: brought there, upgraded and looked at over SSH.
//!
//! ```text
//!  fleet.yaml ──> Fleet          what should be                                  fleet
//!  each host  ──> Facts          what is: one connection, one script             ssh, remote
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

mod apply;
mod audit;
mod bootstrap;
mod host_pool;
mod remote;
mod fleet;
mod health_checks;
mod fleet_lock;
mod ring_client;
mod ops;
mod plan;
mod report;
mod rolling_restart;
pub mod scale;
mod session;
mod shell;
mod ssh;

pub use self::apply::apply;
pub use self::audit::Audit;
pub use self::fleet::{
    Become, Fleet, Host, HostKeys, Me, Rollout, ScaleRules, ServiceKind, SshRules, draft,
};
pub use self::host_pool::{Connect, HostPool};
pub use self::ops::{Verb, destroy, logs, operate, shrink};
pub use self::plan::{
    FleetFacts, HostFacts, HostPlan, HostSteps, HostUpgrade, Phase, PhaseKind, Plan, Role,
    Standing, Step, Verdict, short, size,
};
pub use self::remote::{FINAL_CODES, Facts, Init, Release, RemoteHost, Service};
pub use self::report::{Report, Row};
pub use self::ring_client::address;
pub use self::session::{ApplyOptions, Session};
pub use self::shell::{Output, Script, Shell};
pub use self::ssh::{Access, Ssh};
use crate::error::Result;

/// Connects to a host of the fleet by SSH.
///
/// # Errors
/// As [`Ssh::connect`].
pub fn connect<'a>(
    fleet: &'a Fleet,
    host: &'a Host,
    watch: &'a dyn Watch,
) -> Result<RemoteHost<'a>> {
    let access = Access {
        host: &host.name,
        address: &host.address,
        rules: &host.ssh,
        become_root: host.become_root,
    };
    let shell = Box::new(Ssh::connect(&access, watch)?);
    Ok(RemoteHost::new(shell, host, &fleet.ring))
}

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
