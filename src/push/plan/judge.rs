//! What is to be made of one host: refused, left alone, or changed, and in which steps.
//!
//! ```text
//! nothing there, no ring          upload, found the ring, start
//! nothing there, a ring           upload, join the ring, start
//! another release, runs           upload, switch to it, restart
//! all as it should be             nothing
//! a node of another ring          refused: its key is not ours
//! ```
//!
//! Pure: facts in, steps out. It knows nothing of other hosts, and so of no order among them.

use super::facts::{HostFacts, Membership, foreign};
use super::step::{HostUpgrade, Role, Step};
use super::{short, size};
use crate::push::inventory::{Host, ServiceKind};
use crate::push::remote::{Facts, Init, Release};

/// Clocks further apart than this, in ms, are worth a warning: expiry is by the clock.
const SKEW_MAX_MS: i64 = 60_000;
/// Further apart than this, in ms, a host is refused.
const SKEW_REFUSED_MS: i64 = 12 * 3_600_000;
/// Space that is left free beside two copies of a release, in bytes.
const ROOM: u64 = 64 << 20;
/// With fewer free bytes than this a new node is not made.
const DATA_ROOM: u64 = 64 << 20;

/// What is to be made of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPlan {
    /// In this order. Empty when all is as it should be.
    pub steps: Vec<Step>,
    /// Whether something may be done there, and what a person should know.
    pub verdict: HostVerdict,
}

#[cfg(test)]
impl HostPlan {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.verdict.refused.is_none()
    }

    /// One line: what would be done, or why nothing is.
    pub(super) fn words(&self) -> String {
        line(&self.verdict, &changes(self.steps.iter()))
    }
}

/// Whether something may be done on a host, and what a person should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostVerdict {
    /// Why nothing may be done there.
    pub refused: Option<String>,
    /// Why its directory is not ours, if so: a reason to be refused, too.
    pub foreign: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// The words of these steps, as a list of changes: without upkeep, and without the proof that every
/// node is put to that was started.
pub(super) fn changes<'s>(steps: impl Iterator<Item = &'s Step> + Clone) -> Vec<String> {
    let starts = steps.clone().any(|step| matches!(step, Step::Upgrade(_)));
    let is_told = |step: &&Step| !(step.is_upkeep() || starts && **step == Step::Prove);
    steps.filter(is_told).flat_map(Step::would).collect()
}

/// One line: what would be done on a host, or why nothing is.
pub(super) fn line(verdict: &HostVerdict, changes: &[String]) -> String {
    match (&verdict.refused, changes) {
        (Some(why), _) => format!("refused: {why}"),
        (None, []) => "nothing".into(),
        (None, changes) => changes.join(", "),
    }
}

/// Works out the steps of one host. `keys` are the prints of the lines of our key file, if there is one.
#[must_use]
pub(super) fn host_plan(seen: &HostFacts<'_>, release: &Release, keys: &[String]) -> HostPlan {
    let HostFacts { host, facts, membership, .. } = *seen;
    let foreign = foreign(seen, keys);
    let refused = refusal(host, facts, release).or_else(|| foreign.clone());
    let mut warnings = warnings(facts, release);
    warnings.extend(moved(host, membership));
    let verdict = HostVerdict { refused, foreign, warnings };
    if verdict.refused.is_some() {
        return HostPlan { steps: Vec::new(), verdict };
    }
    HostPlan { steps: steps(seen, release), verdict }
}

fn steps(seen: &HostFacts<'_>, release: &Release) -> Vec<Step> {
    let missing = |step: Step| (!step.is_done(seen)).then_some(step);
    let upload = missing(Step::Upload(release.clone()));
    let make_dir = role(seen).map(Step::MakeDir).and_then(missing);
    let upgrade = missing(Step::Upgrade(Box::new(HostUpgrade::of(seen, &release.id))));
    let is_used = make_dir.is_some() || upgrade.is_some();
    let bring = upload.or_else(|| is_used.then(|| Step::TryRelease(release.clone())));
    // A proof is worth nothing once the node was started anew.
    let prove = if is_used { Some(Step::Prove) } else { missing(Step::Prove) };
    let weigh = match seen.membership {
        Membership::Member(member) if seen.is_made() => {
            missing(Step::Weigh { from: member.weight, to: seen.host.weight })
        }
        _ => None,
    };
    let mut steps: Vec<Step> =
        [bring, make_dir, upgrade, prove, weigh].into_iter().flatten().collect();
    if !steps.is_empty() {
        steps.push(Step::Prune);
    }
    steps
}

/// As what its directory is to be made, if it is.
fn role(seen: &HostFacts<'_>) -> Option<Role> {
    match seen.membership {
        Membership::NoRing => Some(Role::Founder),
        Membership::Outside => Some(Role::Joiner),
        Membership::Lost(_) => Some(Role::Replacement),
        // A founder that was cut short; its place waits for it.
        Membership::Member(_) | Membership::Silent if !seen.is_made() => Some(Role::Joiner),
        Membership::Member(_) | Membership::Silent => None,
    }
}

fn warnings(facts: &Facts, release: &Release) -> Vec<String> {
    let mut warnings = Vec::new();
    if facts.skew_ms.abs() > SKEW_MAX_MS {
        let (s, way) =
            (facts.skew_ms.abs() / 1_000, if facts.skew_ms > 0 { "ahead" } else { "behind" });
        warnings.push(format!("its clock is {s} s {way} of ours: set it"));
    }
    if release.dynamic {
        let id = short(&release.id);
        warnings.push(format!("{id} needs the C library of the host: push a static binary"));
    }
    warnings
}

fn refusal(host: &Host, facts: &Facts, release: &Release) -> Option<String> {
    let has = |id: &str| facts.releases.iter().any(|(have, _)| have == id);
    if facts.os != "Linux" {
        return Some(format!("it runs {}, not Linux", facts.os));
    }
    if !facts.lacks.is_empty() {
        return Some(format!("it has no {}", facts.lacks.join(", no ")));
    }
    if facts.machine != release.machine {
        let (theirs, ours) = (&facts.machine, &release.machine);
        return Some(format!("it is {theirs} and the binary is for {ours}: name one with binary:"));
    }
    if facts.skew_ms.abs() > SKEW_REFUSED_MS {
        let hours = facts.skew_ms.abs() / 3_600_000;
        return Some(format!("its clock is {hours} hours off: set it (timedatectl)"));
    }
    if let Some(path) = &facts.read_only {
        let user = &facts.user;
        return Some(format!(
            "{user} may not write to {path}: choose root: and data:, or become: sudo"
        ));
    }
    if host.service == ServiceKind::Systemd && !(facts.init == Init::Systemd && facts.is_root) {
        return Some("there is no systemd for us: it takes one, and root (become: sudo)".into());
    }
    if facts.noexec {
        return Some(format!(
            "{} is on a file system mounted noexec: choose another root:",
            facts.root
        ));
    }
    let need = 2 * release.bytes + ROOM;
    if !has(&release.id) && facts.root_free < need {
        let (free, need) = (size(facts.root_free), size(need));
        return Some(format!("{} has {free} free, {need} are needed", facts.root));
    }
    if facts.node_yaml.is_none() && facts.data_free < DATA_ROOM {
        return Some(format!("{} has {} free", facts.data, size(facts.data_free)));
    }
    if facts.port_taken {
        return Some(format!("something else listens at {}", host.listen));
    }
    None
}

/// A zone that cannot be changed in place.
fn moved(host: &Host, membership: &Membership) -> Option<String> {
    let Membership::Member(member) = membership else { return None };
    let (is, should) = (&member.zone, &host.zone);
    (is != should).then(|| {
        format!(
            "it is in the zone {is}, not {should}: a member changes its zone by leaving and joining"
        )
    })
}
