//! Whether a ring should grow, shrink or stay, and why: values in, a sentence out.
//!
//! ```text
//! requests/s and node 7,200 > 5,000             -> n4 joins     the first spare that is free
//! fewer members than `min`                      -> n4 joins     whatever the figures
//! without n5 every figure stays below 60 %      -> n5 leaves    the last spare that is a member
//! a change under way, a member down or filling, a host that is no member, cool-down -> stay
//! ```
//!
//! Growth wins over all that speaks for shrinking. Taking a member back needs every figure, as it
//! would be without that member, well below its target, so that the figures just after a change
//! never ask for its reverse. Latency does not fall in proportion: so the rate at which so many
//! members were too slow is remembered, and they are that few again only well below it. It asks
//! no one and changes nothing. Caveat: what it is told of a window of seconds is all it knows.

mod look;
mod memory;
pub mod words;

use std::time::Duration;

pub use self::look::Look;
pub use self::memory::{ScaleMemory, TooSlow};
use self::words::{all_of, seconds};
use crate::channel::{Load, p99};
use crate::push::inventory::ScaleRules;

/// Fewer timed requests than this have no 99th of a hundred.
const TIMED_MIN: u64 = 100;

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It answers, and its copies are full.
    Well,
    /// It does not answer.
    Down,
    /// It answers, and some of its copies are not full yet.
    Filling,
}

/// A member, and its figures at the beginning and the end of the window.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// How it is.
    pub condition: Condition,
    /// What it told, twice.
    pub loads: Option<(Load, Load)>,
}

/// What a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The members that are not removed.
    pub members: &'a [Sample],
    /// Hosts of the inventory that should be members, in its order.
    pub hosts: &'a [String],
    /// Its spares, in its order.
    pub spares: &'a [String],
    /// Copies of each record.
    pub replicas: usize,
    /// The ring is in the middle of a change.
    pub changing: bool,
    /// For how long the last change of `scale` is over; `None` when there was none.
    pub age: Option<Duration>,
    /// Rates that so many members were too slow at.
    pub too_slow: &'a [TooSlow],
    /// Spares that could not join lately.
    pub failed: &'a [String],
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaleVerb {
    /// This spare joins.
    Grow(String),
    /// This spare leaves.
    Shrink(String),
    /// Nothing.
    Stay,
}

/// Something measured that has a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub kind: Kind,
    /// As measured; `None` when there was too little to measure.
    pub value: Option<f64>,
    /// More than this is too much.
    pub target: f64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests a second, the mean of all members.
    Requests,
    /// The 99th of a hundred latencies of all members' requests, in seconds.
    Latency,
    /// Bytes of the largest member's tables.
    Bytes,
    /// The used share of the fullest disk.
    Disk,
}

/// A verdict with what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub verb: ScaleVerb,
    /// Why, in one sentence with figures.
    pub reason: String,
    /// Every figure that has a target.
    pub figures: Vec<Figure>,
    /// What is to be remembered when it is carried out.
    pub too_slow: Option<TooSlow>,
}

/// Decides. See the module.
#[must_use]
pub fn decide(rules: &ScaleRules, sight: &Sight<'_>) -> Decision {
    let measured = Measured::of(sight.members);
    let figures = measured.as_ref().map_or_else(|_| Vec::new(), |m| m.figures(rules));
    let (verb, reason) = judge(rules, sight, measured.as_ref(), &figures);
    let is_slow = figures.iter().any(|f| f.kind == Kind::Latency && f.is_over());
    let too_slow = match (&verb, &measured) {
        (ScaleVerb::Grow(_), Ok(m)) if is_slow => {
            Some(TooSlow { members: m.members, rate: m.rate })
        }
        _ => None,
    };
    Decision { verb, reason, figures, too_slow }
}

fn judge(
    rules: &ScaleRules,
    sight: &Sight<'_>,
    measured: Result<&Measured, &String>,
    figures: &[Figure],
) -> (ScaleVerb, String) {
    if let Some(why) = unsettled(sight) {
        return (ScaleVerb::Stay, why);
    }
    let (n, cooling) = (sight.members.len(), cooling(rules, sight));
    if n < rules.min && cooling.is_none() {
        return grow(rules, sight, format!("there are {n} members of at least {}", rules.min));
    }
    let measured = match measured {
        Ok(measured) => measured,
        Err(name) => return (ScaleVerb::Stay, format!("there are no figures of {name}")),
    };
    if figures.is_empty() {
        return (ScaleVerb::Stay, "no figure has a target in the inventory".into());
    }
    if let Some(why) = cooling {
        return (ScaleVerb::Stay, why);
    }
    let over: Vec<_> = figures.iter().filter(|f| f.is_over()).map(Figure::against).collect();
    if over.is_empty() {
        return shrink(rules, sight, measured, figures);
    }
    grow(rules, sight, over.join(" and "))
}

/// Why it is too early for a change.
fn cooling(rules: &ScaleRules, sight: &Sight<'_>) -> Option<String> {
    let age = sight.age.filter(|age| *age < rules.cool_down)?;
    let (age, all) = (seconds(age), seconds(rules.cool_down));
    Some(format!("the last change is {age} ago and {all} are to pass"))
}

/// More members are wanted: the first spare that is free joins.
fn grow(rules: &ScaleRules, sight: &Sight<'_>, why: String) -> (ScaleVerb, String) {
    let is_member = |name: &&String| sight.members.iter().any(|m| m.name == **name);
    let is_free = |name: &&String| !is_member(name) && !sight.failed.contains(name);
    let (n, max) = (sight.members.len(), rules.max);
    match sight.spares.iter().find(is_free) {
        _ if n >= max => {
            (ScaleVerb::Stay, format!("{why}, but there are {n} members of at most {max}"))
        }
        None if sight.spares.iter().all(|name| is_member(&name)) => {
            (ScaleVerb::Stay, format!("{why}, but no spare is left to join"))
        }
        None => {
            let failed = sight.failed.join(", ");
            (
                ScaleVerb::Stay,
                format!("{why}, but no spare is left to join; lately failed: {failed}"),
            )
        }
        Some(name) => (ScaleVerb::Grow(name.clone()), format!("{why}: {name} joins")),
    }
}

/// Why nothing may be changed now.
fn unsettled(sight: &Sight<'_>) -> Option<String> {
    if sight.changing {
        return Some("a change of the ring is under way".into());
    }
    let named = |condition: Condition| {
        let of: Vec<_> = sight.members.iter().filter(|m| m.condition == condition).collect();
        (!of.is_empty()).then(|| all_of(of.iter().map(|m| m.name.as_str())))
    };
    if let Some(names) = named(Condition::Down) {
        return Some(format!("{names} down"));
    }
    if let Some(names) = named(Condition::Filling) {
        return Some(format!("{names} still filling"));
    }
    let absent = |name: &&String| sight.members.iter().all(|m| m.name != **name);
    let absent: Vec<_> = sight.hosts.iter().filter(absent).map(String::as_str).collect();
    (!absent.is_empty()).then(|| format!("{} no member: kvs push apply", all_of(absent)))
}

/// Nothing is too much: whether one member could go.
fn shrink(
    rules: &ScaleRules,
    sight: &Sight<'_>,
    measured: &Measured,
    figures: &[Figure],
) -> (ScaleVerb, String) {
    let stay = |why: String| (ScaleVerb::Stay, format!("every figure is within its target, {why}"));
    let (members, floor) = (sight.members.len(), rules.min.max(sight.replicas).max(1));
    if members <= floor {
        return stay(format!("and {members} members are the fewest allowed"));
    }
    let is_member = |name: &&String| sight.members.iter().any(|m| m.name == **name);
    let Some(name) = sight.spares.iter().rev().find(is_member) else {
        return stay("and no spare is a member".into());
    };
    let (share, without) = (rules.shrink_below.clamp(0.0, 1.0), members - 1);
    let scale = members as f64 / without as f64;
    let holds = figures.iter().find(|f| !f.is_below(share, scale));
    if let Some(figure) = holds {
        return stay(format!("and without {name} {}", figure.would_be(share, scale)));
    }
    let is_near = |slow: &&TooSlow| slow.members == without && measured.rate >= share * slow.rate;
    if let Some(slow) = sight.too_slow.iter().find(is_near) {
        let (rate, limit) = (words::number(measured.rate), words::number(slow.rate));
        return stay(format!(
            "and {without} members were too slow at {limit} requests/s; there are {rate} now"
        ));
    }
    let each: Vec<_> = figures.iter().filter_map(|f| f.scaled(scale)).collect();
    let percent = words::percent(share);
    let which = if each.is_empty() { "there is no load".into() } else { each.join(", ") };
    let reason = format!("without {name} all stays below {percent} of its target ({which})");
    (ScaleVerb::Shrink(name.clone()), format!("{reason}: {name} leaves"))
}

/// What the members' figures come to together.
struct Measured {
    members: usize,
    /// Requests a second of all members together.
    rate: f64,
    p99: Option<Duration>,
    bytes: u64,
    /// `None` when some disk could not be told.
    disk: Option<f64>,
}

impl Measured {
    /// The figures, or the name of a member that has none.
    fn of(samples: &[Sample]) -> Result<Self, String> {
        let mut since = Vec::new();
        let mut rate = 0.0;
        for sample in samples {
            let load = sample.loads.as_ref().map(|(before, after)| after.since(before));
            let told = load.and_then(|load| Some((load.rate()?, load)));
            let (of_one, load) = told.ok_or_else(|| sample.name.clone())?;
            rate += of_one;
            since.push(load);
        }
        let (p99, timed) = p99(&since);
        let disks: Option<Vec<_>> = since.iter().map(Load::disk_used).collect();
        Ok(Self {
            members: samples.len(),
            rate,
            p99: p99.filter(|_| timed >= TIMED_MIN),
            bytes: since.iter().map(|load| load.bytes).max().unwrap_or(0),
            disk: disks.map(|all| all.into_iter().fold(0.0, f64::max)),
        })
    }

    fn figures(&self, rules: &ScaleRules) -> Vec<Figure> {
        let figure = |kind, value: Option<f64>, target: Option<f64>| {
            target.map(|target| Figure { kind, value, target })
        };
        let mean = (self.members > 0).then(|| self.rate / self.members as f64);
        let latency = rules.latency.map(|d| d.as_secs_f64());
        let all = [
            figure(Kind::Requests, mean, rules.requests),
            figure(Kind::Latency, self.p99.map(|d| d.as_secs_f64()), latency),
            figure(Kind::Bytes, Some(self.bytes as f64), rules.bytes.map(|b| b as f64)),
            figure(Kind::Disk, self.disk, rules.disk),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Figure {
    /// Whether it asks for more members.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.value.is_some_and(|value| value > self.target)
    }

    /// Whether it would stay below a share of its target if it grew by a factor.
    fn is_below(&self, share: f64, factor: f64) -> bool {
        match self.value {
            Some(value) => value * factor < share * self.target,
            // Too few requests to time are few; a disk that cannot be told may be full.
            None => self.kind == Kind::Latency,
        }
    }
}

#[cfg(test)]
mod tests;
