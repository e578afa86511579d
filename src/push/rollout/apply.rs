//! The executor: it walks the phases of a plan, and does nothing that is not in it.
//!
//! ```text
//! lock ── look ── plan ──┬─> phase ── phase ── … ── end
//!            ^           │     └ its steps: all its hosts at once, or in batches
//!            └───────────┘   after a reset, or a start of the whole ring
//! ```
//!
//! A host that fails at a step is given up: it goes back to what it had where the step can be undone,
//! and drops out of what follows. Before the rolling restart it does not stop the others; in it, it ends the
//! run. Between two phases, and between two steps of a phase where that is safe, the run may be told to
//! stop. A push that was cut off is simply run again: planning finds what is done.
//!
//! Caveat: the ring's own part of a phase (a document of founders, one change for all that join) is in
//! `bootstrap` and `join`, for it concerns all hosts of the phase at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::health_checks::Sums;
use super::report::RolloutReport;
use super::session::PushSession;
use crate::error::{Error, Result};
use crate::push::plan::{self, HostSteps, Phase, PhaseKind, Step, StepContext};
use crate::ring::Change;

/// What is reported of a node that was proven.
pub(super) const PROVEN: &str = "is up, in sync, equal";

/// Plans that one run makes at the most: after a lock, after a reset, after a start of the whole ring.
const PLANS_MAX: usize = 3;

/// Hosts of a phase with their steps.
pub(super) type Hosts<'p, 'a> = [&'p HostSteps<'a>];

/// Makes the fleet what it should be. What a single host fails at is in the report.
#[must_use]
pub fn apply(mut session: PushSession<'_>) -> RolloutReport {
    session.give_up_refused();
    let fault = work(&mut session).err();
    session.ended(fault)
}

fn work(session: &mut PushSession<'_>) -> Result<()> {
    let locked = session.busy();
    if locked.is_empty() {
        return session.answers();
    }
    session.pool.each(&locked, usize::MAX, |remote| remote.lock(&session.options.owner));
    // Whoever had the lock before us may have changed things.
    session.look_again(&locked)?;
    for _ in 0..PLANS_MAX {
        session.give_up_refused();
        if session.busy().is_empty() {
            return Ok(()); // why is told with the hosts
        }
        let executor = Executor { session };
        match session.pool.alive(|| executor.walk())? {
            Walked::ToTheEnd => return Ok(()),
            Walked::ToANewPlan => {}
        }
        let earlier = session.plan.clone();
        session.look_again(&locked)?;
        session.plan.tidy_as(&earlier);
    }
    Err(Error::Partial("The hosts do not stay as they are left; run it again.".into()))
}

/// How far a plan was walked.
enum Walked {
    /// There is nothing left of it.
    ToTheEnd,
    /// What comes next can only be planned now.
    ToANewPlan,
}

/// Walks plans. See the module.
pub(super) struct Executor<'j, 'a> {
    pub(super) session: &'j PushSession<'a>,
}

impl<'a> Executor<'_, 'a> {
    fn walk(&self) -> Result<Walked> {
        let session = self.session;
        if session.facts.doc.is_none() {
            plan::may_begin(&session.facts, &session.busy())?;
        }
        for phase in &session.plan.phases {
            self.go_ahead()?;
            let hosts = self.at_work(&phase.hosts.iter().collect::<Vec<_>>());
            if hosts.is_empty() && !phase.hosts.is_empty() {
                continue; // all of its hosts were given up before
            }
            self.carry_out(phase, &hosts)?;
            if phase.kind.plans_again() {
                return Ok(Walked::ToANewPlan);
            }
        }
        Ok(Walked::ToTheEnd)
    }

    fn carry_out(&self, phase: &Phase<'a>, hosts: &Hosts<'_, 'a>) -> Result<()> {
        match phase.kind {
            PhaseKind::Reset => self.reset(hosts),
            PhaseKind::Bootstrap => self.bootstrap(hosts),
            PhaseKind::WakeRing => self.wake_ring(hosts),
            PhaseKind::StartDown => self.start_down(hosts),
            PhaseKind::Prove => self.prove_all(&names(hosts)),
            PhaseKind::FinishChange => self.session.ring_client.change(Vec::new()).map(drop),
            PhaseKind::Join => self.join(hosts),
            PhaseKind::RollingRestart => self.rolling_restart(hosts),
            PhaseKind::Upload => self.upload(hosts),
            PhaseKind::Weights => self.weigh(hosts),
            PhaseKind::Prune => {
                self.on_each(hosts, |step| *step == Step::Prune, &Births::new());
                Ok(())
            }
        }
    }

    /// Removes directories in which no node ever ran.
    fn reset(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        self.on_each(hosts, |step| *step == Step::RemoveDir, &Births::new());
        match hosts.iter().find(|host| !self.session.pool.is_at_work(host.name)) {
            None => Ok(()),
            Some(host) => Err(Error::Partial(format!(
                "{} keeps the directory of a founding that was cut off; no ring was made.",
                host.name
            ))),
        }
    }

    /// Starts every node that has a directory, of a ring that does not run.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when some run and do not answer: they are not touched.
    fn wake_ring(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        let session = self.session;
        self.upload(hosts)?;
        session.answers()?;
        let started: Vec<_> = self.upgrade(hosts).into_iter().map(|(name, _)| name).collect();
        started.iter().for_each(|name| session.pool.did(name, "started"));
        session.ring_client.await_open(self.patience())?;
        self.prove_all(&started)
    }

    /// Has members weigh what they should, in one change.
    fn weigh(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        let session = self.session;
        let weight = |host: &&HostSteps<'a>| {
            host.steps.iter().find_map(|step| match step {
                Step::Weigh { to, .. } => Some(Change::Weight(host.name.to_owned(), *to)),
                _ => None,
            })
        };
        session.ring_client.change(hosts.iter().filter_map(weight).collect())?;
        hosts.iter().for_each(|host| session.pool.did(host.name, "has its weight"));
        Ok(())
    }

    /// Brings each host its release, or tries the one that is there. Nothing that runs is touched.
    pub(super) fn upload(&self, hosts: &Hosts<'_, 'a>) -> Result<()> {
        let is_upload = |step: &Step| matches!(step, Step::Upload(_) | Step::TryRelease(_));
        self.report(self.on_each(hosts, is_upload, &Births::new()));
        self.go_ahead()
    }

    /// Has the node of each host run as it should; those where that was done, and what it was.
    pub(super) fn upgrade(&self, hosts: &Hosts<'_, 'a>) -> Vec<(&'a str, Option<String>)> {
        self.on_each(hosts, |step| matches!(step, Step::Upgrade(_)), &Births::new())
    }

    /// Has each host do its step of one kind, all at once; of those where it was done, what is to be
    /// reported. A host that fails goes back where that can be, and is given up.
    pub(super) fn on_each(
        &self,
        hosts: &Hosts<'_, 'a>,
        kind: impl Fn(&Step) -> bool,
        births: &Births<'a>,
    ) -> Vec<(&'a str, Option<String>)> {
        let of_host = |host: &&'_ HostSteps<'a>| {
            Some((host.name, host.steps.iter().find(|step| kind(step))?.clone()))
        };
        let steps: BTreeMap<&'a str, Step> = hosts.iter().filter_map(of_host).collect();
        let is_upload = steps.values().any(|step| matches!(step, Step::Upload(_)));
        let at_once = if is_upload { self.session.fleet.rollout.uploads } else { usize::MAX };
        let names: Vec<_> = names(hosts).into_iter().filter(|n| steps.contains_key(n)).collect();
        self.session.pool.each(&names, at_once, |remote| {
            let name = remote.host.name.as_str();
            let (step, birth) = (&steps[name], births.get(name).map_or("", String::as_str));
            let context = self.context(name, birth);
            step.run(remote, &context).map_err(|error| match step.undo(remote, &context) {
                Some(undone) => after_undo(error, undone),
                None => error,
            })
        })
    }

    /// What a step on a host needs.
    pub(super) fn context<'c>(&'c self, name: &str, birth: &'c str) -> StepContext<'c> {
        let session = self.session;
        let (watch, patience) = (session.pool.watch(), self.patience());
        StepContext { watch, patience, birth, release: &session.releases[name] }
    }

    /// Reports what was changed on hosts.
    pub(super) fn report(&self, done: Vec<(&'a str, Option<String>)>) {
        for (name, what) in done {
            if let Some(what) = what {
                self.session.pool.did(name, what);
            }
        }
    }

    /// Sees that the ring sees a node that was started, that it has synced, and holds what it should.
    ///
    /// # Errors
    /// What is missing when the time is over.
    pub(super) fn prove(&self, name: &str, before: &Sums) -> Result<()> {
        let PushSession { pool, ring_client, fleet, .. } = self.session;
        let rules = &fleet.rollout;
        ring_client.await_up(&[name], rules.ready_timeout)?;
        pool.begins(name, "syncing");
        ring_client.await_in_sync(name, rules.sync_timeout)?;
        ring_client.await_equal(name, before, rules.ready_timeout)?;
        // Not before: what waits for the ring must not hold the host's connection.
        pool.one(name, |remote| Step::Prove.run(remote, &self.context(name, "")))?;
        pool.did(name, PROVEN);
        Ok(())
    }

    /// Sees that each of these is well. One that is not ends the run: the next could be no better.
    pub(super) fn prove_all(&self, names: &[&'a str]) -> Result<()> {
        let session = self.session;
        let before = if names.is_empty() { Sums::new() } else { session.ring_client.sums()? };
        for name in names {
            if let Err(error) = self.prove(name, &before) {
                let hint = format!("see why: kvs push logs FLEET {name}");
                session.pool.give_up(name, error.hint(hint));
                return Err(Error::Partial(format!(
                    "{name} is running but failed its health check; the hosts after it were not touched."
                )));
            }
        }
        Ok(())
    }

    /// Stops between two hosts when it is told to.
    pub(super) fn go_ahead(&self) -> Result<()> {
        if self.session.pool.stops() { Err(stopped()) } else { Ok(()) }
    }

    /// Those that were not given up.
    pub(super) fn at_work<'p>(&self, hosts: &Hosts<'p, 'a>) -> Vec<&'p HostSteps<'a>> {
        hosts.iter().copied().filter(|host| self.session.pool.is_at_work(host.name)).collect()
    }

    /// How long a process may take to start, or to end.
    pub(super) fn patience(&self) -> Duration {
        self.session.fleet.rollout.ready_timeout
    }
}

/// The text of the birth of each host's node.
pub(super) type Births<'a> = BTreeMap<&'a str, String>;

/// The names of hosts, in their order.
pub(super) fn names<'a>(hosts: &Hosts<'_, 'a>) -> Vec<&'a str> {
    hosts.iter().map(|host| host.name).collect()
}

/// What a host failed at, and whether it could go back.
pub(super) fn after_undo(error: Error, undone: Result<()>) -> Error {
    match undone {
        Ok(()) => error,
        Err(worse) => Error::Partial(format!("{error} It could not go back: {worse}")),
    }
}

/// It was told to stop, between two hosts.
pub(super) fn stopped() -> Error {
    Error::Partial("It was stopped between two hosts; what is done stays done.".into())
}
