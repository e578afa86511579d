//! What there is to do on a host: the difference between what should be there and what is.
//!
//! ```text
//! nothing there, no ring          bring 3f2a9c…, found the ring, start
//! nothing there, a ring           bring 3f2a9c…, join the ring, start
//! another release, runs           bring 3f2a9c…, switch to it, restart
//! all as it should be             nothing
//! a node of another ring          refused: …
//! ```
//!
//! Pure: facts in, words out, so that `plan` and `apply` cannot differ. It does not order hosts and
//! knows nothing of batches. Caveat: facts are some seconds old when they are acted on.

use std::fmt;

use super::{Facts, Host, Init, Release, Service, ServiceKind};
use crate::config::{self, NodeConfig};
use crate::ring::{Member, State};

/// Clocks further apart than this, in ms, are told of: expiry is by the clock.
const SKEW_MAX_MS: i64 = 60_000;
/// Further apart than this, in ms, a host is refused.
const SKEW_REFUSED_MS: i64 = 12 * 3_600_000;
/// Room that is left free beside two copies of a release, in bytes.
const ROOM: u64 = 64 << 20;
/// Below so many free bytes a new node is not made.
const DATA_ROOM: u64 = 64 << 20;

/// How a host stands to the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no ring yet.
    NoRing,
    /// There is one, and it is not running: whose members they are is not known.
    Silent,
    /// There is one, and nobody of this name is in it.
    Outside,
    /// A member of this name.
    Member(Member),
    /// A member of this name that is lost: a new node is to have its place.
    Lost(Member),
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A release is brought: its name and bytes.
    Bring(String, u64),
    /// The node's directory is made, of a ring that begins.
    Found,
    /// The node's directory is made, and it joins the ring.
    Join,
    /// The node's directory is made, and it takes the place of the member of its name.
    Replace,
    /// `node.yaml` is written; which fields.
    Configure(Vec<&'static str>),
    /// The service is set up.
    SetUp(ServiceKind),
    /// Another release becomes the current one.
    Switch(Option<String>, String),
    /// The node is started.
    Start,
    /// The node is stopped and started, in its turn.
    Restart,
    /// The node runs, and it is not known whether it is as it should be.
    Prove,
    /// Its weight changes.
    Weigh(u32, u32),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bring(id, bytes) => write!(f, "upload {} ({})", short(id), size(*bytes)),
            Self::Found => f.write_str("found the ring"),
            Self::Join => f.write_str("join the ring"),
            Self::Replace => f.write_str("take the lost member's place"),
            Self::Configure(fields) => write!(f, "configure {}", fields.join(" and ")),
            Self::SetUp(ServiceKind::Systemd) => f.write_str("set up a systemd unit"),
            Self::SetUp(_) => f.write_str("set up a background process"),
            Self::Switch(None, to) => write!(f, "use {}", short(to)),
            Self::Switch(Some(from), to) => write!(f, "switch {} -> {}", short(from), short(to)),
            Self::Start => f.write_str("start"),
            Self::Restart => f.write_str("restart"),
            Self::Prove => f.write_str("see it up, in sync and equal"),
            Self::Weigh(from, to) => write!(f, "weight {from} -> {to}"),
        }
    }
}

/// What there is to do on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Todo {
    /// In this order. Empty when all is as it should be.
    pub steps: Vec<Step>,
    /// Why nothing may be done there.
    pub refused: Option<String>,
    /// Why its directory is not ours, if so: a reason to be refused, too.
    pub foreign: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Todo {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refused.is_none()
    }

    /// Whether a step of this kind is in it.
    #[must_use]
    pub fn has(&self, is: fn(&Step) -> bool) -> bool {
        self.steps.iter().any(is)
    }

    /// One line: what would be done.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.refused, &self.steps[..]) {
            (Some(why), _) => format!("refused: {why}"),
            (None, []) => "nothing".into(),
            (None, steps) => steps.iter().map(Step::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

/// What `node.yaml` should be.
#[must_use]
pub(super) fn wanted(host: &Host) -> NodeConfig {
    NodeConfig {
        name: host.name.clone(),
        listen: Some(host.listen.to_string()),
        advertise: host.advertise.map(|at| at.to_string()),
        metrics: host.metrics.clone(),
        quota_bytes: host.quota_bytes,
    }
}

/// Works out what is to be done. `keys` are the SHA-256 of the lines of our key file, if there is one;
/// `up` is whether a member of this name answers.
#[must_use]
pub(super) fn todo(
    host: &Host,
    facts: &Facts,
    release: &Release,
    keys: &[String],
    standing: &Standing,
    up: bool,
) -> Todo {
    let mut todo = Todo { warnings: warnings(facts, release), ..Todo::default() };
    todo.foreign = foreign(host, facts, keys, standing, up);
    todo.refused = refusal(host, facts, release).or_else(|| todo.foreign.clone());
    todo.warnings.extend(moved(host, standing));
    if todo.refused.is_some() {
        return todo;
    }
    let steps = &mut todo.steps;
    if !facts.releases.iter().any(|(id, _)| *id == release.id) {
        steps.push(Step::Bring(release.id.clone(), release.bytes));
    }
    let made = facts.node_yaml.is_some();
    match standing {
        Standing::NoRing if !made => steps.push(Step::Found),
        Standing::Outside => steps.push(Step::Join),
        // A founder that was cut short; its place waits for it.
        Standing::Member(_) if !made => steps.push(Step::Join),
        Standing::Silent if !made => steps.push(Step::Join),
        Standing::Lost(_) => steps.push(Step::Replace),
        Standing::Member(member) if member.weight != host.weight => {
            steps.push(Step::Weigh(member.weight, host.weight));
        }
        _ => {}
    }
    let fields = if made { changed(host, facts) } else { Vec::new() };
    let configures = !fields.is_empty();
    if configures {
        steps.push(Step::Configure(fields));
    }
    let sets_up = !facts.service_as_wanted || facts.service == Service::None;
    if sets_up {
        steps.push(Step::SetUp(facts.kind.unwrap_or(ServiceKind::Background)));
    }
    let switches = facts.current.as_deref() != Some(&release.id);
    if switches {
        steps.push(Step::Switch(facts.current.clone(), release.id.clone()));
    }
    match facts.service {
        Service::Running(_) if switches || configures || sets_up => steps.push(Step::Restart),
        Service::Running(_) if facts.proving || matches!(standing, Standing::Member(_)) && !up => {
            steps.push(Step::Prove);
        }
        Service::Running(_) => {}
        _ => steps.push(Step::Start),
    }
    todo
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
fn moved(host: &Host, standing: &Standing) -> Option<String> {
    let Standing::Member(member) = standing else { return None };
    let (is, should) = (&member.zone, &host.zone);
    (is != should).then(|| {
        format!(
            "it is in the zone {is}, not {should}: a member changes its zone by leaving and joining"
        )
    })
}

/// Why the directory over there is not for us.
pub(super) fn foreign(
    host: &Host,
    facts: &Facts,
    keys: &[String],
    standing: &Standing,
    up: bool,
) -> Option<String> {
    let data = &facts.data;
    if matches!(standing, Standing::Lost(_)) && up {
        return Some(format!("{} is not lost: it answers", host.name));
    }
    if facts.data_foreign {
        return Some(format!("{data} is not empty and no node's directory"));
    }
    let Some(text) = &facts.node_yaml else {
        return match standing {
            Standing::Member(member) if member.state == State::Leaving => {
                Some(format!("{} is leaving the ring", host.name))
            }
            Standing::Member(_) if up => Some(format!(
                "{} runs, and {data} is not its directory: root: or data: is not as it was",
                host.name
            )),
            Standing::Member(_) if !facts.seeded => Some(format!(
                "{} is a member and {data} is gone: bring it back, or give its place to a new node: \
                 kvs push apply --replace {0}",
                host.name
            )),
            _ => None,
        };
    };
    match config::parse::<NodeConfig>(text, &format!("{data}/node.yaml")) {
        Ok(config) if config.name != host.name => {
            return Some(format!("{data} is the node {}", config.name));
        }
        Ok(_) => {}
        Err(error) => return Some(error.to_string()),
    }
    if facts.ring_keys.is_empty() {
        return Some(format!("{data}/ring.key is gone or cannot be read"));
    }
    if keys.is_empty() {
        return Some(format!("{data} is a node already, and the ring's key file is not here"));
    }
    if !facts.ring_keys.iter().any(|key| keys.contains(key)) {
        return Some(format!("{data} belongs to another ring: its key is not ours"));
    }
    None
}

/// Fields of `node.yaml` that are not as they should be.
fn changed(host: &Host, facts: &Facts) -> Vec<&'static str> {
    let text = facts.node_yaml.as_deref().unwrap_or_default();
    let Ok(is) = config::parse::<NodeConfig>(text, "node.yaml") else { return vec!["all"] };
    let should = wanted(host);
    let fields = [
        ("listen", is.listen != should.listen),
        ("advertise", is.advertise != should.advertise),
        ("metrics", is.metrics != should.metrics),
        ("quota_bytes", is.quota_bytes != should.quota_bytes),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
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
