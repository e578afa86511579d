//! What there is to do with a fleet: phases in order, each with its hosts and their steps.
//!
//! ```text
//! facts (one look) ──> HostPlan of each host ──> phases ──> printed by `plan`, walked by `apply`
//!
//! bootstrap          n1 n2 n3: upload, found the ring, set up a service, use 3f2a9c11, start
//! start what is down n2: start, see it up, in sync and equal
//! join               n4: upload, join the ring, start
//! rolling restart    n1: upload, switch 77ab01ff -> 3f2a9c11, restart      the first one alone
//! weights            n3: weight 1 -> 2
//! prune              n1 n2 n3 n4: remove old releases
//! ```
//!
//! Pure: the same facts give the same plan. The executor (`rollout::apply`) has no other list of what to
//! do, so that what is printed is what is done. A push that was cut off is resumed by planning again:
//! a step that a look finds done is not in the new plan.
//!
//! Caveats: the plan after [`PhaseKind::Reset`] or [`PhaseKind::WakeRing`] is what these are expected to
//! lead to; once they are over the executor looks and plans again. A host that fails drops out of all
//! that follows.

mod facts;
mod founding;
mod judge;
mod node_config;
mod options;
mod step;

use std::collections::BTreeMap;
use std::fmt;

pub(in crate::push) use self::facts::foreign;
pub(in crate::push) use self::facts::prints;
pub use self::facts::{FleetFacts, HostFacts, Membership};
pub(in crate::push) use self::founding::{may_begin, may_found};
pub use self::judge::{HostPlan, HostVerdict};
pub(in crate::push) use self::node_config::wanted;
pub use self::options::ApplyOptions;
pub(in crate::push) use self::step::StepContext;
pub use self::step::{HostUpgrade, Role, Step};
use crate::push::inventory::{Fleet, Host};
use crate::push::remote::Release;

/// What a phase is for. Phases come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PhaseKind {
    /// Directories of a founding that was cut off before any node ran are removed, so that it begins
    /// anew. The executor plans again after it.
    Reset,
    /// A ring is made of all hosts at once.
    Bootstrap,
    /// Nodes of a ring that does not answer are started, all at once. The executor plans again after
    /// it, for only now the ring's members are known.
    WakeRing,
    /// Members that are down are started, all at once: they may need each other, and a change of the
    /// ring needs all of them.
    StartDown,
    /// Members that run and were not seen to be well since they were started.
    Prove,
    /// A change of the ring that is under way is brought to its end.
    FinishChange,
    /// Hosts that are not members yet become members, in one change.
    Join,
    /// Members that run are restarted: the first alone, then in batches, each only while all
    /// partitions keep enough copies without it.
    RollingRestart,
    /// Releases are brought to hosts that run as they should and lack the file.
    Upload,
    /// Members change their weights, in one change.
    Weights,
    /// Old releases are removed.
    Prune,
}

impl PhaseKind {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Bootstrap => "bootstrap",
            Self::WakeRing => "start the ring",
            Self::StartDown => "start what is down",
            Self::Prove => "prove",
            Self::FinishChange => "finish the ring's change",
            Self::Join => "join",
            Self::RollingRestart => "rolling restart",
            Self::Upload => "upload",
            Self::Weights => "weights",
            Self::Prune => "prune",
        }
    }

    /// Whether what follows can only be known by another look, and is planned anew.
    #[must_use]
    pub fn plans_again(self) -> bool {
        matches!(self, Self::Reset | Self::WakeRing)
    }
}

/// What one host does in a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSteps<'a> {
    /// The host.
    pub name: &'a str,
    /// In this order.
    pub steps: Vec<Step>,
}

/// A part of a plan that is over before the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase<'a> {
    /// What it is for.
    pub kind: PhaseKind,
    /// The hosts, in the order of the inventory. Empty when it is about the ring alone.
    pub hosts: Vec<HostSteps<'a>>,
}

impl<'a> Phase<'a> {
    fn push(&mut self, name: &'a str, step: Step) {
        match self.hosts.iter_mut().find(|host| host.name == name) {
            Some(host) => host.steps.push(step),
            None => self.hosts.push(HostSteps { name, steps: vec![step] }),
        }
    }
}

/// What there is to do. See the module.
#[derive(Clone, Debug, Default)]
pub struct Plan<'a> {
    /// The hosts in question, in the order of the inventory.
    pub hosts: Vec<&'a Host>,
    /// Whether something may be done on each of them that could be looked at.
    pub verdicts: BTreeMap<&'a str, HostVerdict>,
    /// In the order in which they are walked. Empty when no host has anything to do.
    pub phases: Vec<Phase<'a>>,
}

impl<'a> Plan<'a> {
    /// Works out what there is to do, from one look at the hosts.
    #[must_use]
    pub fn of(
        fleet: &'a Fleet,
        options: &ApplyOptions,
        releases: &BTreeMap<&'a str, Release>,
        facts: &FleetFacts<'a>,
    ) -> Self {
        let plan = Self::at_once(fleet, options, releases, facts);
        let unborn = founding::unborn(fleet, facts, &plan.verdicts);
        if unborn.is_empty() {
            return plan;
        }
        let mut plan = Self::at_once(fleet, options, releases, &facts.without_dirs(&unborn));
        let steps = |name| HostSteps { name, steps: vec![Step::RemoveDir] };
        let hosts = unborn.into_iter().map(steps).collect();
        plan.phases.insert(0, Phase { kind: PhaseKind::Reset, hosts });
        plan
    }

    /// The plan without a reset before it.
    fn at_once(
        fleet: &'a Fleet,
        options: &ApplyOptions,
        releases: &BTreeMap<&'a str, Release>,
        facts: &FleetFacts<'a>,
    ) -> Self {
        let keys = prints(&facts.keys);
        let mut plan = Self { hosts: facts.in_question(fleet, options), ..Self::default() };
        let mut phases: BTreeMap<PhaseKind, Phase<'a>> = BTreeMap::new();
        for host in &plan.hosts {
            let name = host.name.as_str();
            let Some(of_host) = facts.hosts.get(name) else { continue };
            let (membership, up) = (facts.membership(host, options), facts.up.contains(name));
            let seen = HostFacts { host, facts: of_host, membership: &membership, up };
            let HostPlan { steps, verdict } = judge::host_plan(&seen, &releases[name], &keys);
            let upgrades = steps.iter().any(|step| matches!(step, Step::Upgrade(_)));
            for step in steps {
                let kind = kind_of(&step, &seen, upgrades);
                let new = || Phase { kind, hosts: Vec::new() };
                phases.entry(kind).or_insert_with(new).push(name, step);
            }
            plan.verdicts.insert(name, verdict);
        }
        if facts.is_changing() && !phases.is_empty() {
            let kind = PhaseKind::FinishChange;
            phases.insert(kind, Phase { kind, hosts: Vec::new() });
        }
        plan.phases = phases.into_values().collect();
        debug_assert!(
            plan.busy().iter().all(|name| plan.verdicts[name].refused.is_none()),
            "nothing is done on a host that is refused"
        );
        plan
    }

    /// What would be done on a host, a line a change, in the order of the phases.
    #[must_use]
    pub fn would(&self, name: &str) -> Vec<String> {
        judge::changes(self.steps(name))
    }

    /// The same on one line, or why nothing may be done; `None` when it could not be looked at.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<String> {
        Some(judge::line(self.verdicts.get(name)?, &self.would(name)))
    }

    /// Whether a host was looked at and is as it should be.
    #[must_use]
    pub fn is_done(&self, name: &str) -> bool {
        let verdict = self.verdicts.get(name);
        verdict.is_some_and(|v| v.refused.is_none()) && self.steps(name).next().is_none()
    }

    /// Hosts that have something to do, in the order of the inventory.
    #[must_use]
    pub fn busy(&self) -> Vec<&'a str> {
        let names = self.hosts.iter().map(|host| host.name.as_str());
        names.filter(|name| self.steps(name).next().is_some()).collect()
    }

    /// Has what another plan would tidy up be tidied up at the end of this one, which goes on with it.
    pub(in crate::push) fn tidy_as(&mut self, earlier: &Self) {
        let kind = PhaseKind::Prune;
        let Some(old) = earlier.phases.iter().find(|phase| phase.kind == kind) else { return };
        match self.phases.iter_mut().find(|phase| phase.kind == kind) {
            None => self.phases.push(old.clone()),
            Some(phase) => {
                let is_new =
                    |host: &&HostSteps<'_>| !phase.hosts.iter().any(|h| h.name == host.name);
                let more: Vec<_> = old.hosts.iter().filter(is_new).cloned().collect();
                phase.hosts.extend(more);
            }
        }
    }

    fn steps(&self, name: &str) -> impl Iterator<Item = &Step> + Clone {
        let hosts = self.phases.iter().flat_map(|phase| &phase.hosts);
        hosts.filter(move |host| host.name == name).flat_map(|host| &host.steps)
    }
}

/// In which phase a step of a host comes.
fn kind_of(step: &Step, seen: &HostFacts<'_>, upgrades: bool) -> PhaseKind {
    let by_membership = match seen.membership {
        Membership::NoRing => PhaseKind::Bootstrap,
        Membership::Silent if seen.is_made() => PhaseKind::WakeRing,
        Membership::Silent | Membership::Outside | Membership::Lost(_) => PhaseKind::Join,
        Membership::Member(_) if !seen.is_made() => PhaseKind::Join,
        Membership::Member(_) if upgrades && (seen.runs() || seen.up) => PhaseKind::RollingRestart,
        Membership::Member(_) if upgrades => PhaseKind::StartDown,
        Membership::Member(_) if *step == Step::Prove => PhaseKind::Prove,
        Membership::Member(_) => PhaseKind::Upload,
    };
    match step {
        Step::RemoveDir => PhaseKind::Reset,
        Step::Weigh { .. } => PhaseKind::Weights,
        Step::Prune => PhaseKind::Prune,
        Step::Upload(_)
        | Step::TryRelease(_)
        | Step::MakeDir(_)
        | Step::Upgrade(_)
        | Step::Prove => by_membership,
    }
}

impl fmt::Display for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in &self.phases {
            writeln!(f, "{}", phase.kind.name())?;
            for host in &phase.hosts {
                let would: Vec<_> = host.steps.iter().flat_map(Step::would).collect();
                writeln!(f, "  {}: {}", host.name, would.join(", "))?;
            }
        }
        Ok(())
    }
}

/// The first digits of a release's name: enough for people.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Bytes as people read them.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if bytes < 1024 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests;
