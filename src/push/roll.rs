//! Hosts in turns: what runs is stopped, changed, started and proven, a few at a time.
//!
//! ```text
//! safe? ── stop ── configure ── switch ── start ── up ── in sync ── equal ── next
//!   no: refused              \______ fails: back to what it had, started; the rest stays ______/
//! ```
//!
//! Nodes that do not run go first, all at once: they may need each other. It does not bring releases;
//! they are there. Caveat: a node that goes back is not proven again, only ready.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use super::gate::Sums;
use super::guard::Guard;
use super::plan::short;
use super::{Facts, Far, Service, Survey};
use crate::config;
use crate::error::{Error, Result};

/// What is said of a node that was proven.
pub(super) const PROVEN: &str = "is up, in sync, equal";

/// What is to become of one host.
#[derive(Clone, Debug)]
pub(super) struct Turn<'a> {
    /// The host.
    pub name: &'a str,
    /// What it is like now.
    pub before: Facts,
    /// The release that is to run.
    pub release: String,
}

/// Turns on the hosts of a survey.
pub(super) struct Roll<'r, 'a> {
    survey: &'r Survey<'a>,
}

/// Whether a node is to be taken for one that does something.
pub(super) fn is_up(survey: &Survey<'_>, name: &str, service: Service) -> bool {
    matches!(service, Service::Running(_)) || survey.is_up(name)
}

/// Sees that the ring sees a node that was started, that it has synced, and holds what it should.
///
/// # Errors
/// What is missing when the time is over.
pub(super) fn prove(survey: &Survey<'_>, name: &str, before: &Sums) -> Result<()> {
    let (crew, home, rules) = (&survey.crew, &survey.home, &survey.fleet.rollout);
    home.await_up(&[name], rules.ready_timeout)?;
    crew.begins(name, "syncing");
    home.await_in_sync(name, rules.sync_timeout)?;
    home.await_equal(name, before, rules.ready_timeout)?;
    crew.one(name, Far::proven)
}

impl<'r, 'a> Roll<'r, 'a> {
    pub(super) fn of(survey: &'r Survey<'a>) -> Self {
        Self { survey }
    }

    /// Has every host take its turn.
    ///
    /// # Errors
    /// [`Error::Denied`] when stopping the next would leave too few copies: it was not touched. The
    /// first fault of a host ends the roll: that host is back as it was, and given up.
    pub(super) fn all(&self, turns: Vec<Turn<'a>>) -> Result<()> {
        let survey = self.survey;
        let is_up = |t: &Turn<'_>| is_up(survey, t.name, t.before.service);
        let (up, down): (Vec<_>, Vec<_>) = turns.into_iter().partition(is_up);
        // Those that are down may need each other to be of any use.
        if !down.is_empty() {
            self.batch(&down, None)?;
        }
        if up.is_empty() {
            return Ok(());
        }
        let guard = Guard::take(survey)?;
        let (crew, rules) = (&survey.crew, &survey.fleet.rollout);
        for (i, batch) in up.chunks(rules.batch).enumerate() {
            if crew.stops() {
                return Err(stopped());
            }
            if i > 0 {
                thread::sleep(rules.pause);
                guard.holds()?;
            }
            self.batch(batch, Some(&guard))?;
        }
        Ok(())
    }

    /// One batch, of nodes that run when there is a guard.
    fn batch(&self, batch: &[Turn<'a>], guard: Option<&Guard<'_, 'a>>) -> Result<()> {
        let Survey { crew, home, .. } = self.survey;
        let names: Vec<&str> = batch.iter().map(|t| t.name).collect();
        if guard.is_some() && !self.survey.wish.accept_downtime {
            home.await_safe(&names, self.patience())?;
        }
        // With the whole ring down there is nothing to compare with.
        let before = home.sums().unwrap_or_default();
        let turns: BTreeMap<&str, &Turn<'a>> = batch.iter().map(|t| (t.name, t)).collect();
        let done = crew.each(&names, names.len(), |far| {
            let turn = turns[far.host.name.as_str()];
            self.turn(far, turn)
        });
        for (name, ()) in done {
            match prove(self.survey, name, &before) {
                Ok(()) => crew.did(name, PROVEN),
                Err(error) => self.unproven(turns[name], error, guard.is_some()),
            }
        }
        match names.iter().find(|name| !crew.is_at_work(name)) {
            None => Ok(()),
            Some(name) => {
                Err(Error::Partial(format!("{name} failed; the hosts after it were not touched.")))
            }
        }
    }

    fn patience(&self) -> Duration {
        self.survey.fleet.rollout.ready_timeout
    }

    /// Changes a host and starts it; it goes back when that fails.
    fn turn(&self, far: &mut Far<'a>, turn: &Turn<'a>) -> Result<()> {
        let name = turn.name;
        let crew = &self.survey.crew;
        if let Err(error) = self.change(far, turn) {
            crew.begins(name, "going back");
            return Err(match far.restore(&turn.before, self.patience()) {
                Ok(()) => error,
                Err(worse) => Error::Partial(format!("{error} It could not go back: {worse}")),
            });
        }
        let runs = matches!(turn.before.service, Service::Running(_));
        let (id, verb) = (short(&turn.release), if runs { "restarted" } else { "started" });
        let from = turn.before.current.as_deref().filter(|from| *from != turn.release);
        crew.did(
            name,
            match from {
                Some(from) => format!("{verb}, {} -> {id}", short(from)),
                None => format!("{verb} with {id}"),
            },
        );
        Ok(())
    }

    fn change(&self, far: &mut Far<'a>, turn: &Turn<'a>) -> Result<()> {
        let (name, before, patience) = (turn.name, &turn.before, self.patience());
        let crew = &self.survey.crew;
        crew.begins(name, "stopping");
        far.stop(patience).map_err(|error| {
            Error::Partial(format!("{error} It was told to end: once it has, start it again."))
                .hint(format!("kvs push start FLEET --only {name}"))
        })?;
        far.configure(before, &config::text(&super::plan::wanted(far.host))?)?;
        if before.current.as_ref() != Some(&turn.release) {
            far.switch(&turn.release)?;
        }
        crew.begins(name, "starting");
        far.start(patience)
    }

    /// A node that runs and is not what it should be goes back, unless the ring cannot do without it,
    /// or nothing was better before.
    fn unproven(&self, turn: &Turn<'a>, error: Error, was_up: bool) {
        let Survey { crew, home, wish, .. } = self.survey;
        let name = turn.name;
        let same = turn.before.current.as_ref() == Some(&turn.release);
        if !was_up || same || crew.stops() {
            return crew.give_up(name, error);
        }
        let safe = wish.accept_downtime || home.await_safe(&[name], Duration::ZERO).is_ok();
        if !safe {
            let text = format!("{error} It stays with the new release: the ring needs it now.");
            return crew.give_up(name, Error::Partial(text));
        }
        crew.begins(name, "going back");
        let back = crew.one(name, |far| far.restore(&turn.before, self.patience()));
        let error = match back {
            Ok(()) => error,
            Err(worse) => Error::Partial(format!("{error} It could not go back: {worse}")),
        };
        crew.give_up(name, error);
    }
}

/// It was told to stop, between two hosts.
pub(super) fn stopped() -> Error {
    Error::Partial("It was stopped between two hosts; what is done stays done.".into())
}
