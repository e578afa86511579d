//! One step on one host: its line in a plan, whether it is done, how it is done, how it is undone.
//!
//! ```text
//!            would                              is_done             run              undo
//! Upload     upload 3f2a9c11 (9.4 MiB)          it is there, whole  brings it        -
//! MakeDir    join the ring                      it is a member      node make        -
//! Upgrade    switch 77ab01ff -> …, restart      runs as it should   stop … start     restores all
//! Prove      see it up, in sync and equal       seen since start    notes it         -
//! ```
//!
//! Every `run` may be repeated, wherever the one before was cut off. A step knows nothing of the other
//! hosts: order, batches and what the ring has to say in between are the executor's
//! (`push::apply`). Caveat: what a step changes in the ring's document is proposed for all hosts
//! of a phase at once, so that it is not part of `run`.

use std::time::Duration;

use super::facts::{HostFacts, Membership};
use super::node_config::{changed, wanted};
use super::{short, size};
use crate::config;
use crate::error::{Error, Result};
use crate::push::inventory::ServiceKind;
use crate::push::remote::{Facts, Release, RemoteHost, Service};
use crate::push::watch::{PushEvent, Watch};

/// Releases that are kept on a host.
const KEPT: usize = 3;

/// How a node's directory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of a ring that begins: its share is full from the start.
    Founder,
    /// Of a ring that stands: its share fills.
    Joiner,
    /// As a joiner, in the place of the lost member of its name.
    Replacement,
}

/// A host whose node is to run in another way than it does: stopped, configured, switched to a release
/// and started, as one step, for only the whole of it can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostUpgrade {
    /// What the host was like before: what `undo` goes back to.
    pub before: Facts,
    /// The release that is to run.
    pub release: String,
    /// Fields of `node.yaml` that change.
    fields: Vec<&'static str>,
    /// What is set up to keep the node running, when that is not as it should be.
    set_up: Option<ServiceKind>,
    /// Whether the node is stopped first, also when it does not seem to run.
    stops: bool,
}

/// One thing to do on one host. See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A node's directory in which no node ever ran is removed: its founding was cut off.
    RemoveDir,
    /// A release is brought.
    Upload(Release),
    /// A release that is there is started to say its version: it may be one that cannot run there.
    TryRelease(Release),
    /// The node's directory is made.
    MakeDir(Role),
    /// The node is made to run as it should.
    Upgrade(Box<HostUpgrade>),
    /// The node is waited for, until the ring sees it up, in sync and equal to the other copies.
    Prove,
    /// The weight of its member changes.
    Weigh {
        /// What it is.
        from: u32,
        /// What it should be.
        to: u32,
    },
    /// Releases that are too old are removed.
    Prune,
}

/// What a step needs besides the host.
pub(in crate::push) struct StepContext<'c> {
    /// Hears of what is done.
    pub watch: &'c dyn Watch,
    /// How long a process may take to start, or to end.
    pub patience: Duration,
    /// The text of the host's birth, once it is known: who the ring's members are, and its keys.
    pub birth: &'c str,
    /// The release that the host should run.
    pub release: &'c Release,
}

impl Step {
    /// What would be done, in words; several for a step of several parts, none when no part of it
    /// differs from what is there.
    #[must_use]
    pub fn would(&self) -> Vec<String> {
        let line = match self {
            Self::RemoveDir => "remove the directory of a founding that was cut off".into(),
            Self::Upload(release) => {
                format!("upload {} ({})", short(&release.id), size(release.bytes))
            }
            Self::TryRelease(release) => format!("try {}", short(&release.id)),
            Self::MakeDir(Role::Founder) => "found the ring".into(),
            Self::MakeDir(Role::Joiner) => "join the ring".into(),
            Self::MakeDir(Role::Replacement) => "take the lost member's place".into(),
            Self::Upgrade(upgrade) => return upgrade.would(),
            Self::Prove => "see it up, in sync and equal".into(),
            Self::Weigh { from, to } => format!("weight {from} -> {to}"),
            Self::Prune => "remove old releases".into(),
        };
        vec![line]
    }

    /// Whether a look finds it done.
    #[must_use]
    pub fn is_done(&self, seen: &HostFacts<'_>) -> bool {
        let is_member = matches!(seen.membership, Membership::Member(_));
        match self {
            Self::RemoveDir => !seen.is_made(),
            Self::Upload(release) => seen.facts.releases.iter().any(|(id, _)| *id == release.id),
            Self::MakeDir(Role::Founder) => seen.is_made(),
            Self::MakeDir(Role::Joiner) => seen.is_made() && is_member,
            Self::MakeDir(Role::Replacement) => seen.up,
            Self::Upgrade(upgrade) => {
                seen.runs() && HostUpgrade::of(seen, &upgrade.release).is_nothing()
            }
            Self::Prove => seen.runs() && !seen.facts.proving && (seen.up || !is_member),
            Self::Weigh { to, .. } => match seen.membership {
                Membership::Member(member) => member.weight == *to,
                _ => true,
            },
            // Neither leaves a trace that a look could find.
            Self::TryRelease(_) | Self::Prune => false,
        }
    }

    /// Does it; what was changed, in words, when that is to be reported of this step alone.
    ///
    /// # Errors
    /// Those of the scripts, see [`RemoteHost`]: each says what is unchanged.
    pub(in crate::push) fn run(
        &self,
        remote: &mut RemoteHost<'_>,
        context: &StepContext<'_>,
    ) -> Result<Option<String>> {
        match self {
            Self::RemoveDir => remote.unmake()?,
            Self::Upload(release) => {
                let version = stage(remote, release, context)?;
                return Ok(Some(format!("uploaded {version}")));
            }
            Self::TryRelease(release) => drop(stage(remote, release, context)?),
            Self::MakeDir(_) => remote.make(&context.release.id, context.birth)?,
            Self::Upgrade(upgrade) => return upgrade.run(remote, context).map(Some),
            Self::Prove => remote.proven()?,
            Self::Weigh { .. } => {} // the ring's document alone says it
            Self::Prune => remote.prune(KEPT)?,
        }
        Ok(None)
    }

    /// Goes back to what was there before; `None` when nothing has to: what the step left does no harm,
    /// and the next run goes on with it.
    pub(in crate::push) fn undo(
        &self,
        remote: &mut RemoteHost<'_>,
        context: &StepContext<'_>,
    ) -> Option<Result<()>> {
        let Self::Upgrade(upgrade) = self else { return None };
        context.watch.note(&remote.host.name, &PushEvent::Begins("going back".into()));
        Some(remote.restore(&upgrade.before, context.patience))
    }

    /// Whether it is done beside others that are a reason to act, and is none itself.
    #[must_use]
    pub fn is_upkeep(&self) -> bool {
        matches!(self, Self::TryRelease(_) | Self::Prune)
    }
}

impl HostUpgrade {
    /// What has to change for a host to run this release as the inventory says.
    pub(in crate::push) fn of(seen: &HostFacts<'_>, release: &str) -> Self {
        let facts = seen.facts;
        let sets_up = !facts.service_as_wanted || facts.service == Service::None;
        let is_member = matches!(seen.membership, Membership::Member(_)) && seen.is_made();
        Self {
            before: facts.clone(),
            release: release.to_owned(),
            fields: if seen.is_made() { changed(seen.host, facts) } else { Vec::new() },
            set_up: sets_up.then_some(facts.kind.unwrap_or(ServiceKind::Background)),
            stops: is_member || facts.current.as_deref() != Some(release),
        }
    }

    /// The same, of a node that is stopped whatever it does now.
    pub(in crate::push) fn stopping(self) -> Self {
        Self { stops: true, ..self }
    }

    /// Whether the release that is to run is the one that ran before.
    pub(in crate::push) fn is_same_release(&self) -> bool {
        self.from() == Some(&*self.release)
    }

    /// Whether nothing but a start is missing.
    fn is_nothing(&self) -> bool {
        self.is_same_release() && self.fields.is_empty() && self.set_up.is_none()
    }

    fn runs(&self) -> bool {
        matches!(self.before.service, Service::Running(_))
    }

    fn from(&self) -> Option<&str> {
        self.before.current.as_deref()
    }

    fn would(&self) -> Vec<String> {
        let mut words = Vec::new();
        if !self.fields.is_empty() {
            words.push(format!("configure {}", self.fields.join(" and ")));
        }
        match self.set_up {
            None => {}
            Some(ServiceKind::Systemd) => words.push("set up a systemd unit".into()),
            Some(_) => words.push("set up a background process".into()),
        }
        let to = short(&self.release);
        match self.from() {
            None => words.push(format!("use {to}")),
            Some(from) if from == self.release => {}
            Some(from) => words.push(format!("switch {} -> {to}", short(from))),
        }
        words.push(if self.runs() { "restart" } else { "start" }.into());
        words
    }

    /// Stops, configures, switches, starts; what was changed, in words.
    fn run(&self, remote: &mut RemoteHost<'_>, context: &StepContext<'_>) -> Result<String> {
        let (name, patience) = (remote.host.name.clone(), context.patience);
        let begins = |what: &str| context.watch.note(&name, &PushEvent::Begins(what.to_owned()));
        // First, so that a run that is cut off leaves a node that does not run: the next one sees that.
        if self.stops {
            begins("stopping");
            remote.stop(patience).map_err(|error| {
                Error::Partial(format!("{error} It was told to end: once it has, start it again."))
                    .hint(format!("kvs push start FLEET --only {name}"))
            })?;
        }
        remote.configure(&self.before, &config::text(&wanted(remote.host))?)?;
        if !self.is_same_release() {
            remote.switch(&self.release)?;
        }
        begins("starting");
        remote.start(patience)?;
        let (to, verb) = (short(&self.release), if self.runs() { "restarted" } else { "started" });
        Ok(match self.from().filter(|from| *from != self.release) {
            Some(from) => format!("{verb}, {} -> {to}", short(from)),
            None => format!("{verb} with {to}"),
        })
    }
}

/// Brings a release unless it is there, and has it say its version.
fn stage(
    remote: &mut RemoteHost<'_>,
    release: &Release,
    context: &StepContext<'_>,
) -> Result<String> {
    context.watch.note(&remote.host.name, &PushEvent::Begins("staging".into()));
    remote.stage(release, context.watch)
}
