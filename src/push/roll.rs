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

use super::crew::Crew;
use super::home::Home;
use super::plan::short;
use super::{Facts, Rollout, Service};
use crate::config;
use crate::error::{Error, Result};

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

/// How turns are taken.
pub(super) struct Roll<'r, 'a> {
    /// The hosts.
    pub crew: &'r Crew<'a>,
    /// The ring.
    pub home: &'r Home<'a>,
    /// The rules.
    pub rules: &'r Rollout,
    /// Go on although the ring cannot answer meanwhile.
    pub accept_downtime: bool,
}

impl<'a> Roll<'_, 'a> {
    /// Has every host take its turn.
    ///
    /// # Errors
    /// [`Error::Denied`] when stopping the next would leave too few copies: it was not touched. The
    /// first fault of a host ends the roll: that host is back as it was, and given up.
    pub(super) fn all(&self, turns: Vec<Turn<'a>>) -> Result<()> {
        let answer = self.home.up();
        let is_up = |t: &Turn<'_>| {
            matches!(t.before.service, Service::Running(_)) || answer.iter().any(|n| n == t.name)
        };
        let (up, down): (Vec<_>, Vec<_>) = turns.into_iter().partition(is_up);
        // Those that are down may need each other to be of any use.
        if !down.is_empty() {
            self.batch(&down, false)?;
        }
        for (i, batch) in up.chunks(self.rules.batch).enumerate() {
            if self.crew.stops() {
                return Err(stopped());
            }
            if i > 0 {
                thread::sleep(self.rules.pause);
            }
            self.batch(batch, true)?;
        }
        Ok(())
    }

    fn batch(&self, batch: &[Turn<'a>], up: bool) -> Result<()> {
        let names: Vec<&str> = batch.iter().map(|t| t.name).collect();
        if up && !self.accept_downtime {
            self.home.await_safe(&names, self.rules.ready_timeout)?;
        }
        // With the whole ring down there is nothing to compare with.
        let before = self.home.sums().unwrap_or_default();
        let turns: BTreeMap<&str, &Turn<'a>> = batch.iter().map(|t| (t.name, t)).collect();
        let done = self.crew.each(&names, names.len(), |far| {
            let turn = turns[far.host.name.as_str()];
            self.turn(far, turn)
        });
        for (name, ()) in done {
            if let Err(error) = self.prove(name, &before) {
                self.unproven(turns[name], error, up);
            }
        }
        let given_up = names.iter().find(|name| !self.crew.is_at_work(name));
        match given_up {
            None => Ok(()),
            Some(name) => {
                Err(Error::Partial(format!("{name} failed; the hosts after it were not touched.")))
            }
        }
    }

    /// Changes a host and starts it; it goes back when that fails.
    fn turn(&self, far: &mut super::Far<'a>, turn: &Turn<'a>) -> Result<()> {
        let name = turn.name;
        let changed = self.change(far, turn);
        if let Err(error) = changed {
            self.crew.begins(name, "going back");
            return Err(match far.restore(&turn.before, self.rules.ready_timeout) {
                Ok(()) => error,
                Err(worse) => Error::Partial(format!("{error} It could not go back: {worse}")),
            });
        }
        let runs = matches!(turn.before.service, Service::Running(_));
        let (id, verb) = (short(&turn.release), if runs { "restarted" } else { "started" });
        let from = turn.before.current.as_deref().filter(|from| *from != turn.release);
        self.crew.did(
            name,
            match from {
                Some(from) => format!("{verb}, {} -> {id}", short(from)),
                None => format!("{verb} with {id}"),
            },
        );
        Ok(())
    }

    fn change(&self, far: &mut super::Far<'a>, turn: &Turn<'a>) -> Result<()> {
        let (name, before, patience) = (turn.name, &turn.before, self.rules.ready_timeout);
        self.crew.begins(name, "stopping");
        far.stop(patience).map_err(|error| {
            Error::Partial(format!("{error} It was told to end: once it has, start it again."))
                .hint(format!("kvs push start FLEET --only {name}"))
        })?;
        far.configure(before, &config::text(&super::plan::wanted(far.host))?)?;
        if before.current.as_ref() != Some(&turn.release) {
            far.switch(&turn.release)?;
        }
        self.crew.begins(name, "starting");
        far.start(patience)
    }

    /// The ring sees it, it has synced, and holds what it should.
    fn prove(&self, name: &str, before: &super::home::Sums) -> Result<()> {
        let (ready, sync) = (self.rules.ready_timeout, self.rules.sync_timeout);
        self.home.await_up(&[name], ready)?;
        self.crew.begins(name, "syncing");
        self.home.await_in_sync(name, sync)?;
        self.home.await_equal(name, before, ready)?;
        self.crew.did(name, "is up, in sync, equal");
        Ok(())
    }

    /// A node that runs and is not what it should be goes back, unless the ring cannot do without it,
    /// or nothing was better before.
    fn unproven(&self, turn: &Turn<'a>, error: Error, was_up: bool) {
        let (name, patience) = (turn.name, self.rules.ready_timeout);
        let same = turn.before.current.as_ref() == Some(&turn.release);
        if !was_up || same || self.crew.stops() {
            return self.crew.give_up(name, error);
        }
        let safe = self.accept_downtime || self.home.await_safe(&[name], Duration::ZERO).is_ok();
        if !safe {
            let text = format!("{error} It stays with the new release: the ring needs it now.");
            return self.crew.give_up(name, Error::Partial(text));
        }
        self.crew.begins(name, "going back");
        let back = self.crew.one(name, |far| far.restore(&turn.before, patience));
        let error = match back {
            Ok(()) => error,
            Err(worse) => Error::Partial(format!("{error} It could not go back: {worse}")),
        };
        self.crew.give_up(name, error);
    }
}

/// It was told to stop, between two hosts.
pub(super) fn stopped() -> Error {
    Error::Partial("It was stopped between two hosts; what is done stays done.".into())
}
