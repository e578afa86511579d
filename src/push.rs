//! Rings on other hosts: brought there, upgraded and looked at over SSH.
//!
//! ```text
//! fleet.yaml ──> Fleet          what should be                                inventory
//! each host  ──> Facts          what is: one connection, one script           ssh, remote
//!                  |
//!                Plan           phases of steps: bootstrap, start, prove,     plan
//!                  |            join, rolling restart, weights, prune
//!                executor       walks them: what `plan` prints is done        rollout
//!                  |
//!                Audit          a file per run                                audit
//! ```
//!
//! A host that fails at a step goes back to what it had, the others stay as they are, and the command
//! exits with 7. Run again, it looks at the hosts, plans anew and goes on.
//!
//! A host needs sshd, a POSIX shell and coreutils, nothing else: the binary brings all it needs. Every
//! script goes in by standard input, so that no argument of a process ever shows a key. What a ring
//! is, who is a member and whether copies are equal is asked of the ring itself ([`crate::cluster`]);
//! SSH carries files and starts processes. It never prints: a [`Watch`] hears of every step.
//!
//! Caveats: the nodes' ports must be reachable from here, and from each other; names are resolved
//! here, nodes get numeric addresses.

mod audit;
mod inventory;
mod plan;
mod remote;
mod rollout;
pub mod scale;
mod shell;
mod ssh;
mod watch;

pub use self::audit::Audit;
pub use self::inventory::{
    Become, Fleet, Host, HostKeys, Me, Rollout, ScaleRules, ServiceKind, SshRules, draft,
};
pub use self::plan::{
    ApplyOptions, FleetFacts, HostFacts, HostPlan, HostSteps, HostUpgrade, HostVerdict, Membership,
    Phase, PhaseKind, Plan, Role, Step, short, size,
};
pub use self::remote::{FINAL_CODES, Facts, Init, Release, RemoteHost, Service};
pub use self::rollout::{
    Connect, HostPool, PushSession, ReportRow, RingClient, RolloutReport, Verb, address, apply,
    destroy, logs, operate, shrink,
};
pub use self::shell::{Output, Script, Shell};
pub use self::ssh::{Ssh, SshAccess};
pub use self::watch::{PushEvent, Watch};
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
    let access = SshAccess {
        host: &host.name,
        address: &host.address,
        rules: &host.ssh,
        become_root: host.become_root,
    };
    let shell = Box::new(Ssh::connect(&access, watch)?);
    Ok(RemoteHost::new(shell, host, &fleet.ring))
}
