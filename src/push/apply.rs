//! A fleet made to be what its inventory says.
//!
//! ```text
//! survey ─ lock ─────────┬─ no ring:   identities, document, births, all start
//!                        └─ silent:    what has a directory starts
//! members that are down start, those that were not proven are
//! outside: birth, start, join ─ the first member takes its turn, then the rest   newcomers, roll
//! weights ─ prune
//! ```
//!
//! Every step may be repeated: what is done already is seen and left alone, so that a push that was
//! cut off is simply run again. A host that fails stops nobody before the turns begin; in its turn it
//! stops the roll.

use std::time::Duration;

use super::gate::Sums;
use super::plan::{Standing, Step};
use super::report::Report;
use super::roll::{PROVEN, Roll, Turn, is_up, prove, stopped};
use super::survey::{Survey, refused};
use super::{Far, Watch, plan};
use crate::config;
use crate::error::{Error, Result};
use crate::ring::{RingDoc, Step as RingStep};

/// Releases that are kept on a host.
const KEPT: usize = 3;

/// Makes the fleet what it should be. What a single host fails at is in the report.
#[must_use]
pub fn apply(mut survey: Survey<'_>, watch: &dyn Watch) -> Report {
    refuse(&survey);
    let fault = work(&mut survey, watch).err();
    survey.ended(fault)
}

/// Gives up the hosts that are refused.
fn refuse(survey: &Survey<'_>) {
    for (name, todo) in &survey.todos {
        if let Some(why) = &todo.refused {
            survey.crew.give_up(name, refused(name, why));
        }
    }
}

fn work(survey: &mut Survey<'_>, watch: &dyn Watch) -> Result<()> {
    let busy = survey.busy();
    if busy.is_empty() {
        return survey.answers();
    }
    survey.crew.each(&busy, usize::MAX, |far| far.lock(&survey.wish.owner));
    // Whoever had the lock before us may have changed things.
    survey.again(&busy)?;
    refuse(survey);
    let unborn = survey.unborn();
    if !unborn.is_empty() {
        survey.crew.each(&unborn, usize::MAX, Far::unmake);
        survey.again(&busy)?;
        refuse(survey);
    }
    if survey.busy().is_empty() {
        return Ok(()); // why is told with the hosts
    }
    let job = Job { survey, watch };
    job.survey.crew.alive(|| job.go_on())
}

/// One run, its hosts locked.
pub(super) struct Job<'j, 'a> {
    pub(super) survey: &'j Survey<'a>,
    watch: &'j dyn Watch,
}

impl<'a> Job<'_, 'a> {
    /// The hosts that have something to do, as far as they are still at work.
    pub(super) fn busy(&self) -> Vec<&'a str> {
        self.survey.busy()
    }

    /// Hosts whose node runs as it should, of a release that is gone from its place.
    fn lacking(&self) -> Vec<&'a str> {
        let brings = |s: &Step| matches!(s, Step::Bring(..) | Step::Weigh(..));
        let only = |name: &&str| self.survey.todos[name].steps.iter().all(brings);
        self.busy().into_iter().filter(only).collect()
    }

    /// Has members weigh what they should.
    fn weigh(&self) -> Result<()> {
        let survey = self.survey;
        let weights = survey.weights();
        if weights.is_empty() {
            return Ok(());
        }
        survey.home.change(weights.iter().map(|(_, change)| change.clone()).collect())?;
        weights.iter().for_each(|(name, _)| survey.crew.did(name, "has its weight"));
        Ok(())
    }

    /// Brings each host its release. Nothing that runs is touched.
    pub(super) fn stage(&self, names: &[&'a str]) -> Result<()> {
        let survey = self.survey;
        let staged = survey.crew.each(names, survey.fleet.rollout.uploads, |far| {
            let release = &survey.releases[far.host.name.as_str()];
            survey.crew.begins(&far.host.name, "staging");
            far.stage(release, self.watch)
        });
        for (name, version) in staged {
            if survey.todos[name].has(|s| matches!(s, Step::Bring(..))) {
                survey.crew.did(name, format!("uploaded {version}"));
            }
        }
        self.go_ahead()
    }

    /// Stops between two hosts when it is told to.
    pub(super) fn go_ahead(&self) -> Result<()> {
        if self.survey.crew.stops() { Err(stopped()) } else { Ok(()) }
    }

    fn go_on(&self) -> Result<()> {
        let survey = self.survey;
        let doc = match &survey.doc {
            Some(doc) => doc.clone(),
            None => {
                self.may_begin()?;
                let is_made = survey.facts.values().any(|f| f.node_yaml.is_some());
                let doc = if is_made { self.wake()? } else { self.found()? };
                self.go_ahead()?;
                doc
            }
        };
        // A change of the ring needs all its members.
        let (up, down) = self.movers();
        self.raise(&down, &doc)?;
        self.prove_all(&self.unproven())?;
        self.go_ahead()?;
        if doc.step != RingStep::Settled {
            survey.home.change(Vec::new())?;
        }
        self.join(&doc)?;
        self.go_ahead()?;
        self.turns(up)?;
        self.stage(&self.lacking())?;
        self.weigh()?;
        survey.crew.each(&self.busy(), usize::MAX, |far| far.prune(KEPT));
        Ok(())
    }

    /// Whether no ring answers because there is none of ours, and not because its key is not here.
    fn may_begin(&self) -> Result<()> {
        let survey = self.survey;
        let made = |name: &&&str| survey.facts[**name].node_yaml.is_some();
        let (busy, others) = (self.busy(), survey.facts.keys().filter(made).copied());
        let others: Vec<_> = others.collect();
        if others.is_empty() || others.iter().any(|name| busy.contains(name)) {
            return Ok(());
        }
        let text = format!(
            "{} has a node that is not ours, so there may be a ring already; no ring was made.",
            others.join(" and ")
        );
        let only = busy.join(",");
        Err(Error::Denied(text)
            .hint(format!("if it is another ring: kvs push apply --only {only}")))
    }

    /// Starts every node that has a directory, of a ring that does not run; its document.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when some run and do not answer: they are not touched.
    fn wake(&self) -> Result<RingDoc> {
        let survey = self.survey;
        self.stage(&self.busy())?;
        survey.answers()?;
        let has_dir = |name: &&str| survey.facts[name].node_yaml.is_some();
        let names: Vec<_> = self.busy().into_iter().filter(has_dir).collect();
        let started = self.start_all(&names);
        started.iter().for_each(|name| survey.crew.did(name, "started"));
        let doc = self.awaited()?;
        self.prove_all(&started)?;
        Ok(doc)
    }

    /// The document of a ring that is about to answer.
    pub(super) fn awaited(&self) -> Result<RingDoc> {
        let patience = self.survey.fleet.rollout.ready_timeout;
        self.survey.home.await_open(patience)
    }

    /// Members whose node is to be started anew, or at all: those that run, and those that are down.
    fn movers(&self) -> (Vec<&'a str>, Vec<&'a str>) {
        let survey = self.survey;
        let moves =
            |name: &&str| survey.todos[name].has(|s| matches!(s, Step::Restart | Step::Start));
        let names = self.busy().into_iter().filter(|name| self.is_member(name)).filter(moves);
        names.partition(|name| is_up(survey, name, survey.facts[name].service))
    }

    /// Members that run and were not seen to be well since they were started.
    fn unproven(&self) -> Vec<&'a str> {
        let lacks = |name: &&str| self.survey.todos[name].has(|s| matches!(s, Step::Prove));
        self.busy().into_iter().filter(|name| self.is_member(name)).filter(lacks).collect()
    }

    fn is_member(&self, name: &str) -> bool {
        let survey = self.survey;
        survey.doc.is_some()
            && matches!(self.standing(name), Some(Standing::Member(_)))
            && survey.facts[name].node_yaml.is_some()
    }

    /// Has members that are down run, all at once: they may need each other, and the others them.
    fn raise(&self, down: &[&'a str], doc: &RingDoc) -> Result<()> {
        // One that never ran may have been made for a place that nobody gave it.
        let unborn = |name: &&&str| self.survey.facts[**name].unborn;
        let unborn: Vec<_> = down.iter().filter(unborn).copied().collect();
        self.stage(&unborn)?;
        for (name, key) in self.identities(&unborn)? {
            self.may_join(name, &key, doc);
        }
        self.turns_of(down)?;
        self.willing(down)
    }

    /// Sees that each of these is well. What is not ends the run: the next could be no better.
    pub(super) fn prove_all(&self, names: &[&'a str]) -> Result<()> {
        let survey = self.survey;
        let before = if names.is_empty() { Sums::new() } else { survey.home.sums()? };
        for name in names {
            if let Err(error) = prove(survey, name, &before) {
                let hint = format!("see why: kvs push logs FLEET {name}");
                survey.crew.give_up(name, error.hint(hint));
                return Err(Error::Partial(format!(
                    "{name} runs and is not as it should be; the hosts after it were not touched."
                )));
            }
            survey.crew.did(name, PROVEN);
        }
        Ok(())
    }

    /// Has members that run take their turns.
    fn turns(&self, names: Vec<&'a str>) -> Result<()> {
        let survey = self.survey;
        // A release that is no good shows itself on the first host, and no other ever has it. A host
        // that fails before its turn, for reasons of its own, proves nothing: the next is the first.
        let mut names = names.into_iter();
        for first in names.by_ref() {
            self.turns_of(&[first])?;
            if survey.crew.is_at_work(first) {
                break;
            }
            self.willing(&[first])?;
        }
        self.turns_of(&names.collect::<Vec<_>>())
    }

    /// Stops where a host has refused the release: it is no good for the others either.
    fn willing(&self, names: &[&str]) -> Result<()> {
        match names.iter().find(|name| self.survey.crew.refused(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Partial(format!(
                "{name} refused the release; the hosts after it were not touched."
            ))),
        }
    }

    fn turns_of(&self, names: &[&'a str]) -> Result<()> {
        let survey = self.survey;
        self.stage(names)?;
        let turn = |name: &&'a str| Turn {
            name,
            before: survey.facts[name].clone(),
            release: survey.releases[name].id.clone(),
        };
        let staged = names.iter().filter(|name| survey.crew.is_at_work(name));
        Roll::of(survey).all(staged.map(turn).collect())
    }

    fn standing(&self, name: &str) -> Option<Standing> {
        Some(self.survey.standing(self.survey.host(name)?))
    }

    /// Sets up and starts the service on each host that is still at work; those that run.
    pub(super) fn start_all(&self, names: &[&'a str]) -> Vec<&'a str> {
        let survey = self.survey;
        let patience = survey.fleet.rollout.ready_timeout;
        let started = survey.crew.each(names, usize::MAX, |far| {
            let name = far.host.name.as_str();
            let before = &survey.facts[name];
            survey.crew.begins(name, "starting");
            let started = start(far, before, &survey.releases[name].id, patience);
            started.inspect_err(|_| {
                // The fault that stopped us is the one to report.
                drop(far.restore(before, patience));
            })
        });
        started.into_iter().map(|(name, ())| name).collect()
    }
}

fn start(
    far: &mut Far<'_>,
    before: &super::Facts,
    release: &str,
    patience: Duration,
) -> Result<()> {
    far.configure(before, &config::text(&plan::wanted(far.host))?)?;
    if before.current.as_deref() != Some(release) {
        // One that never became a member may run all the same.
        far.stop(patience)?;
        far.switch(release)?;
    }
    far.start(patience)
}
