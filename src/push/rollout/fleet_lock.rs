//! Keeps two pushes from stopping nodes at the same time, whichever hosts each was asked for.
//!
//! ```text
//! asked    n1 n2 n3 n4 n5     the first five hosts of the inventory, whoever's turn it is
//! ours     n1 n2    n4        a majority of them locked: no other push can have one
//! ```
//!
//! It is taken before the first node is stopped and looked at before each batch. Locks live on the
//! hosts and go with the connection, so that a push that died blocks no other. Caveat: with fewer
//! than three hosts one that cannot be reached is a majority that cannot be had; and inventories that do
//! not agree on their first five hosts have locks of their own.

use super::session::PushSession;
use crate::error::{Error, Result};

/// The locks of a majority of these hosts.
pub(super) struct FleetLock<'g, 'a> {
    session: &'g PushSession<'a>,
}

impl<'g, 'a> FleetLock<'g, 'a> {
    /// Locks hosts that are not ours yet.
    ///
    /// # Errors
    /// [`Error::Busy`] naming who has them; [`Error::Denied`] when too few can be reached, unless
    /// downtime is accepted.
    pub(super) fn take(session: &'g PushSession<'a>) -> Result<Self> {
        let lock = Self { session };
        lock.holds()?;
        Ok(lock)
    }

    /// Whether a majority is ours still.
    ///
    /// # Errors
    /// As [`FleetLock::take`].
    pub(super) fn holds(&self) -> Result<()> {
        let (session, hosts) = (self.session, self.session.fleet.lock_hosts());
        let (mut ours, mut busy, mut lost) = (0, None, Vec::new());
        for host in hosts {
            match session.pool.one(&host.name, |remote| remote.hold(&session.options.owner)) {
                Ok(()) => ours += 1,
                Err(error) if matches!(error.root(), Error::Busy(_)) => busy = Some(error),
                Err(_) => lost.push(host.name.as_str()),
            }
        }
        if ours > hosts.len() / 2 {
            return Ok(());
        }
        match busy {
            Some(error) => Err(error),
            None if session.options.accept_downtime => Ok(()),
            None => Err(Error::Denied(format!(
                "Of the hosts that keep two pushes apart ({}) most have to be reached, and {} cannot \
                 be: no further node was stopped.",
                hosts.iter().map(|h| h.name.as_str()).collect::<Vec<_>>().join(", "),
                lost.join(" and ")
            ))
            .hint("go on once they can; or say that nobody else pushes: --accept-downtime")),
        }
    }
}
