//! Hosts in turns: what runs is stopped, changed, started and proven, a few at a time.
//!
//! ```text
//! first alone ── then batches
//! safe? ── upgrade ── up ── in sync ── equal ── next
//!   no: refused    \____ fails: back to what it had, started; the rest stays ____/
//! ```
//!
//! It does not decide who takes a turn: the plan does. Caveat: a node that goes back is not proven
//! again, only ready.

use std::thread;
use std::time::Duration;

use super::apply::{Executor, Hosts, after_undo, names, stopped};
use super::fleet_lock::FleetLock;
use super::session::PushSession;
use crate::error::{Error, Result};
use crate::push::plan::{HostSteps, Role, Step};

/// Whether the nodes of a batch answer requests now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartBatch {
    /// They do: the ring has to do without them for a while.
    Serving,
    /// They do not: nothing is lost when they are stopped, and nothing is better when they go back.
    Down,
}

impl<'a> Executor<'_, 'a> {
    /// Has members that are down run, all at once: they may need each other, and the others them.
    pub(super) fn start_down(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        let session = self.session;
        self.upload(hosts)?;
        // A node that never ran may have been made for a place in the ring that it never got.
        let unborn = |host: &&&HostSteps<'a>| upgrade_of(host).is_some_and(|u| u.before.unborn);
        let unborn: Vec<_> = hosts.iter().filter(unborn).map(|host| host.name).collect();
        if let Some(doc) = &session.facts.doc {
            for (name, key) in self.identities(&unborn)? {
                self.may_join(name, Role::Joiner, &key, doc);
            }
        }
        let staged = self.at_work(hosts);
        if !staged.is_empty() {
            self.batch(&staged, RestartBatch::Down)?;
        }
        self.willing(&names(hosts))
    }

    /// Has members that run take their turns.
    pub(super) fn rolling_restart(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        // A release that is no good shows itself on the first host, and no other ever has it. A host
        // that fails before its turn, for reasons of its own, proves nothing: the next is the first.
        let mut rest = hosts;
        while let Some((first, others)) = rest.split_first() {
            rest = others;
            self.turns(&[*first])?;
            if self.session.pool.is_at_work(first.name) {
                break;
            }
            self.willing(&[first.name])?;
        }
        self.turns(rest)
    }

    fn turns(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        self.upload(hosts)?;
        self.in_batches(&self.at_work(hosts))
    }

    /// Has hosts whose release is there take their turns, in batches.
    ///
    /// # Errors
    /// [`Error::Denied`] when stopping the next would leave too few copies: it was not touched. The
    /// first fault of a host ends the turns: that host is back as it was, and given up.
    pub(super) fn in_batches(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        if hosts.is_empty() {
            return Ok(());
        }
        let (pool, rules) = (&self.session.pool, &self.session.fleet.rollout);
        let lock = FleetLock::take(self.session)?;
        for (i, batch) in hosts.chunks(rules.batch).enumerate() {
            if pool.stops() {
                return Err(stopped());
            }
            if i > 0 {
                thread::sleep(rules.pause);
                lock.holds()?;
            }
            self.batch(batch, RestartBatch::Serving)?;
        }
        Ok(())
    }

    /// One batch, all its hosts at once.
    pub(super) fn batch(&self, hosts: &Hosts<'_, 'a>, state: RestartBatch) -> Result<()> {
        let PushSession { pool, ring_client, options, .. } = self.session;
        let names = names(hosts);
        if state == RestartBatch::Serving && !options.accept_downtime {
            ring_client.await_safe(&names, self.patience())?;
        }
        // With the whole ring down there is nothing to compare with.
        let before = ring_client.sums().unwrap_or_default();
        self.report(self.upgrade(hosts));
        for host in self.at_work(hosts) {
            if let Err(error) = self.prove(host.name, &before) {
                self.unproven(host, error, state);
            }
        }
        match names.iter().find(|name| !pool.is_at_work(name)) {
            None => Ok(()),
            Some(name) => {
                Err(Error::Partial(format!("{name} failed; the hosts after it were not touched.")))
            }
        }
    }

    /// A node that runs and is not what it should be goes back, unless the ring cannot do without it,
    /// or nothing was better before.
    fn unproven(&self, host: &HostSteps<'a>, error: Error, state: RestartBatch) {
        let PushSession { pool, ring_client, options, .. } = self.session;
        let name = host.name;
        let Some(step) = host.steps.iter().find(|step| matches!(step, Step::Upgrade(_))) else {
            return pool.give_up(name, error);
        };
        let same = upgrade_of(host).is_some_and(|upgrade| upgrade.is_same_release());
        if state == RestartBatch::Down || same || pool.stops() {
            return pool.give_up(name, error);
        }
        let safe =
            options.accept_downtime || ring_client.await_safe(&[name], Duration::ZERO).is_ok();
        if !safe {
            let text = format!("{error} It stays with the new release: the ring needs it now.");
            return pool.give_up(name, Error::Partial(text));
        }
        let context = self.context(name, "");
        let undone = pool.one(name, |remote| step.undo(remote, &context).unwrap_or(Ok(())));
        pool.give_up(name, after_undo(error, undone));
    }

    /// Stops where a host has refused the release: it is no good for the others either.
    fn willing(&self, names: &[&str]) -> Result<()> {
        match names.iter().find(|name| self.session.pool.refused(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Partial(format!(
                "{name} refused the release; the hosts after it were not touched."
            ))),
        }
    }
}

/// How a host's node is to run, when its steps change that.
fn upgrade_of<'h>(host: &'h HostSteps<'_>) -> Option<&'h crate::push::plan::HostUpgrade> {
    host.steps.iter().find_map(|step| match step {
        Step::Upgrade(upgrade) => Some(&**upgrade),
        _ => None,
    })
}
