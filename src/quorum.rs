//! One read and one write, as values: who was asked, who answered, and whether that is enough.
//!
//! N copies of a record exist; a write wants W acknowledgements, a read R votes. With R + W > N and
//! strict quorums every read meets an owner that has the last write. Only *owners whose copy is
//! full* vote on reads; filling owners and fallbacks add what they hold and no vote. A sloppy write
//! may count a hint at a fallback, one per node; a strict one counts owners alone.
//!
//! ```text
//! write, N=3 W=2, owners n1 n2 n3, n3 down:  ack n1, ack n2          -> 2/3
//!        n2 and n3 down, sloppy:             ack n1, n4 hints for n2 -> 1/3 + 1 hinted = enough
//! during a change of the ring each layout must reach its own W.
//! ```
//!
//! What it does not do: it sends nothing and knows no time; `node` feeds it and asks it.
//! Caveat: a write that misses W is not undone.

mod options;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::options::Group;
pub use self::options::{Level, Options};
use crate::bounded::{at_most, text};
use crate::clock::{Dot, VersionVector};
use crate::key::{Key, Partition};
use crate::planted::{self, Bug};
use crate::record::{Record, Stored, Term, Value};
use crate::ring::{NodeId, RingDoc};

/// The most keys of one write.
pub const ITEMS_MAX: usize = 4_096;

/// What a write assumes about the value it replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Supersede exactly what this clock covers.
    Context(VersionVector),
    /// Supersede what enough owners hold; refuse more than one value unless `force`.
    Overwrite {
        /// Supersede siblings too.
        force: bool,
    },
    /// Add a value, supersede nothing.
    Blind,
    /// A further value beside the item before it, written only if that one was.
    Beside,
    /// Only when there is no value; strict.
    Absent,
    /// Supersede what this clock covers, and only when nothing else is there: a value derived from
    /// exactly what its writer read.
    Exact(VersionVector),
}

impl Basis {
    /// Whether the owners are asked what they hold before the write is minted.
    #[must_use]
    pub fn reads_before(&self) -> bool {
        matches!(self, Self::Overwrite { .. } | Self::Absent | Self::Exact(_))
    }

    /// Whether the owners are read again after the acks: only a writer that finds itself alone won.
    #[must_use]
    pub fn reads_after(&self) -> bool {
        matches!(self, Self::Absent | Self::Exact(_))
    }

    /// Whether the new value was made from what its writer had read.
    #[must_use]
    pub fn derives(&self) -> bool {
        matches!(self, Self::Context(_) | Self::Exact(_))
    }
}

/// One key of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The key.
    pub key: Key,
    /// Bytes and expiry (ms since 1970) of the new value; `None` deletes.
    pub value: Option<(Vec<u8>, Option<u64>)>,
    /// What it assumes.
    pub basis: Basis,
}

/// A write of keys of one partition. They commit together and are acknowledged together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRequest {
    /// The partition of every key.
    pub partition: Partition,
    /// The keys.
    #[serde(deserialize_with = "at_most::<_, _, ITEMS_MAX>")]
    pub items: Vec<Item>,
    /// The quorum.
    pub options: Options,
}

/// What became of one key of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemReply {
    /// Written under this dot.
    Written {
        /// The write's own dot.
        dot: Dot,
        /// The clock to go on from, when the new value (or delete) is all that is left.
        context: Option<VersionVector>,
        /// Values the record now has.
        values: usize,
    },
    /// Not written: it would supersede so many values, or the key was not absent.
    Conflict {
        /// Values there are.
        values: usize,
    },
    /// Written, but another value was found beside its own.
    NotAlone,
    /// Not written: nothing there to delete.
    Absent,
    /// Not written: the record would pass a limit, named here.
    TooLarge(#[serde(deserialize_with = "text")] String),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Enough took part.
    Done,
    /// Too few could take part; nothing was applied.
    Refused(#[serde(deserialize_with = "text")] String),
    /// Too few acknowledged in time; it may or may not have taken effect.
    Unknown(#[serde(deserialize_with = "text")] String),
    /// Nobody could be asked; nothing was applied.
    Unreachable(#[serde(deserialize_with = "text")] String),
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutReply {
    /// How it ended.
    pub verdict: Verdict,
    /// One per item, in order; empty when nothing was applied.
    #[serde(deserialize_with = "at_most::<_, _, ITEMS_MAX>")]
    pub items: Vec<ItemReply>,
    /// Owners that have it durably.
    pub acks: usize,
    /// Fallbacks that keep it for an owner.
    pub hinted: usize,
    /// Owners there are.
    pub n: usize,
    /// Fewer owners than N-W+1 told what they hold before the overwrite.
    pub guessed: bool,
}

impl PutReply {
    /// A write of which nothing was applied.
    #[must_use]
    pub fn none(verdict: Verdict) -> Self {
        Self { verdict, items: Vec::new(), acks: 0, hinted: 0, n: 0, guessed: false }
    }
}

/// What one node said about one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A full owner's copy: a vote.
    Vote(Option<Stored>),
    /// A filling owner's copy, or a fallback's hint: merged, no vote.
    Extra(Option<Stored>),
    /// Its copy fails the checksum: no vote.
    Unreadable,
}

impl Answer {
    /// The answer, or `Unreadable` if what came does not match its checksum or is no record.
    #[must_use]
    pub fn proven(self, key: &Key) -> Self {
        let is_sound = |s: &Stored| s.prove(key).is_ok() && s.record(key).is_ok();
        let damaged = self.stored().is_some_and(|s| !is_sound(s));
        if damaged { Self::Unreadable } else { self }
    }

    /// The copy, if there is one.
    #[must_use]
    pub fn stored(&self) -> Option<&Stored> {
        match self {
            Self::Vote(stored) | Self::Extra(stored) => stored.as_ref(),
            Self::Unreadable => None,
        }
    }
}

/// The answer to a read of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetReply {
    /// How it ended.
    pub verdict: Verdict,
    /// The merge of every copy that was seen.
    pub stored: Option<Stored>,
    /// What each node said.
    pub answers: Vec<(NodeId, Answer)>,
    /// Votes wanted.
    pub r: usize,
    /// Dots found with two different values: corruption.
    pub clashes: Vec<Dot>,
}

/// The state of one write: which layouts, who acknowledged.
#[derive(Clone, Debug)]
pub struct WriteTally {
    layouts: Vec<Vec<NodeId>>,
    groups: Vec<Group>,
    /// Only owners count.
    strict: bool,
    acks: BTreeSet<NodeId>,
    hints: BTreeMap<NodeId, NodeId>,
}

impl WriteTally {
    /// A write of partition `p` under `doc` that wants its W acknowledgements in each layout.
    #[must_use]
    pub fn new(doc: &RingDoc, p: Partition, options: &Options, strict: bool) -> Self {
        let mut layouts: Vec<_> =
            doc.write_layouts().iter().map(|layout| doc.owners_in(layout, p)).collect();
        if planted::is(Bug::SkipOlderLayout) && layouts.len() > 1 {
            layouts.remove(0);
        }
        let groups = groups(&layouts, doc, options);
        // A stand-in is not of the zone that a level by zones asks for.
        let zones = matches!(options.level, Some(Level::LocalQuorum | Level::EachQuorum));
        let strict = strict || zones;
        Self { layouts, groups, strict, acks: BTreeSet::new(), hints: BTreeMap::new() }
    }

    /// Nobody reads by the layout before any more: its owners are wanted no longer.
    pub fn forget_old(&mut self, doc: &RingDoc, options: &Options) {
        self.layouts.drain(..self.layouts.len().saturating_sub(1));
        self.groups = groups(&self.layouts, doc, options);
    }

    /// An owner has it durably.
    pub fn ack(&mut self, node: NodeId) {
        self.acks.insert(node);
    }

    /// A fallback keeps it durably for `target`. One hint per fallback counts.
    pub fn hint(&mut self, fallback: NodeId, target: NodeId) {
        self.hints.entry(fallback).or_insert(target);
    }

    /// Whether this node has acknowledged as an owner.
    #[must_use]
    pub fn has(&self, node: NodeId) -> bool {
        self.acks.contains(&node)
    }

    /// Whether every layout has its W.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.groups.iter().all(|Group { owners, number }| {
            let acks = owners.iter().filter(|o| self.acks.contains(o)).count();
            let twice = planted::is(Bug::HintBesideAck);
            let stands_in = |t: &&NodeId| owners.contains(t) && (twice || !self.acks.contains(t));
            let targets: BTreeSet<_> = self.hints.values().filter(stands_in).collect();
            acks + if self.strict { 0 } else { targets.len() } >= *number
        })
    }

    /// Owners that have it, and fallbacks that keep it for one that has not; during a change of the
    /// ring, in the layout that has the fewest.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |owners: &Vec<NodeId>| {
            let acks = owners.iter().filter(|o| self.acks.contains(o)).count();
            let kept = |t: &&NodeId| owners.contains(t) && !self.acks.contains(t);
            (acks, self.hints.values().filter(kept).count())
        };
        self.layouts.iter().map(count).min().unwrap_or_default()
    }
}

/// Who has to acknowledge in each layout, and how many of them.
fn groups(layouts: &[Vec<NodeId>], doc: &RingDoc, options: &Options) -> Vec<Group> {
    let of = |owners: &Vec<NodeId>| options.groups(doc, owners.clone(), options.w(doc));
    layouts.iter().flat_map(of).collect()
}

/// The state of one read of several keys of one partition.
#[derive(Clone, Debug)]
pub struct ReadTally {
    voters: Vec<NodeId>,
    groups: Vec<Group>,
    layouts: Vec<Vec<NodeId>>,
    r: usize,
    answers: BTreeMap<NodeId, Vec<Answer>>,
    /// What each node has acknowledged of what was written back to it.
    written_back: BTreeMap<NodeId, BTreeSet<Term>>,
    /// The earliest wall clock of those that told theirs.
    wall_ms: Option<u64>,
}

impl ReadTally {
    /// A read of partition `p` under `doc` that wants `r` votes.
    #[must_use]
    pub fn new(doc: &RingDoc, p: Partition, r: usize) -> Self {
        let mut layouts: Vec<_> =
            doc.write_layouts().iter().map(|layout| doc.owners_in(layout, p)).collect();
        if planted::is(Bug::SkipOlderLayout) {
            layouts = vec![doc.owners_in(doc.read_layout(), p)];
        }
        let voters = doc.owners_in(doc.read_layout(), p);
        let (answers, written_back) = (BTreeMap::new(), BTreeMap::new());
        Self { voters, groups: Vec::new(), layouts, r, answers, written_back, wall_ms: None }
    }

    /// A read of partition `p` under `doc` that wants the votes its options ask for.
    #[must_use]
    pub fn asked(doc: &RingDoc, p: Partition, options: &Options) -> Self {
        let mut tally = Self::new(doc, p, options.r(doc));
        if matches!(options.level, Some(Level::LocalQuorum | Level::EachQuorum)) {
            tally.groups = options.groups(doc, tally.voters.clone(), tally.r);
        }
        tally
    }

    /// Takes one node's answers, one per key. An answer of a node that is no voter is no vote.
    pub fn answer(&mut self, node: NodeId, answers: Vec<Answer>) {
        self.answers.insert(node, answers);
    }

    /// For how many keys a node has answered.
    #[must_use]
    pub fn answered_for(&self, node: NodeId) -> usize {
        self.answers.get(&node).map_or(0, Vec::len)
    }

    /// Takes more of a node's answers, for the keys after those it has answered for.
    pub fn answer_more(&mut self, node: NodeId, more: Vec<Answer>) {
        self.answers.entry(node).or_default().extend(more);
    }

    /// A node that answered has this wall clock, in ms since 1970.
    pub fn note_clock(&mut self, wall_ms: u64) {
        self.wall_ms = Some(self.wall_ms.map_or(wall_ms, |earliest| earliest.min(wall_ms)));
    }

    /// By when a value must have expired to count as expired for everyone: the earliest wall clock of
    /// this node and of those that answered; `None` while no other node has told its clock, for then
    /// one wrong clock would decide alone.
    #[must_use]
    pub fn agreed_ms(&self, own_ms: u64) -> Option<u64> {
        self.wall_ms.map(|others| others.min(own_ms))
    }

    /// The node has durably stored what was written back to it: exactly this record counts as held
    /// there, not a later merge.
    pub fn wrote_back(&mut self, node: NodeId, term: Term) {
        self.written_back.entry(node).or_default().insert(term);
    }

    /// Who has answered.
    pub fn answered(&self) -> impl Iterator<Item = NodeId> {
        self.answers.keys().copied()
    }

    /// Votes for the `i`-th key.
    #[must_use]
    pub fn votes(&self, i: usize) -> usize {
        let counts = |(node, answers): &(&NodeId, &Vec<Answer>)| match answers.get(i) {
            Some(Answer::Vote(_)) => self.voters.contains(node),
            Some(Answer::Extra(_)) => planted::is(Bug::CountFallback),
            _ => false,
        };
        self.answers.iter().filter(counts).count()
    }

    /// Whether the first `keys` keys all have their R votes.
    #[must_use]
    pub fn is_enough(&self, keys: usize) -> bool {
        (0..keys).all(|i| match self.groups.as_slice() {
            [] => self.votes(i) >= self.r,
            groups => groups.iter().all(|group| {
                let vote = |o: &&NodeId| {
                    let answer = self.answers.get(o).and_then(|a| a.get(i));
                    matches!(answer, Some(Answer::Vote(_)))
                };
                group.owners.iter().filter(vote).count() >= group.number
            }),
        })
    }

    /// The merge of all copies of the `i`-th key, and dots with two values.
    #[must_use]
    pub fn merged(&self, i: usize, key: &Key) -> (Option<Stored>, Vec<Dot>) {
        let mut copies = self.answers.values().filter_map(|a| a.get(i)?.stored());
        let Some(first) = copies.next() else { return (None, Vec::new()) };
        let rest: Vec<_> = copies.filter(|c| c.term() != first.term()).collect();
        if rest.is_empty() {
            return (Some(first.clone()), Vec::new());
        }
        let mut clashes = Vec::new();
        let merged = rest.iter().chain([&first]).filter_map(|s| s.record(key).ok()).fold(
            Record::default(),
            |merged, copy| {
                let (next, found) = merged.merge(&copy);
                clashes.extend(found);
                next
            },
        );
        (Some(Stored::new(key, &merged)), clashes)
    }

    /// Owners of any layout that answered for the `i`-th key and do not hold `merged`.
    #[must_use]
    pub fn stale(&self, i: usize, merged: Option<&Stored>) -> Vec<NodeId> {
        let Some(term) = merged.map(Stored::term) else { return Vec::new() };
        let owners: BTreeSet<_> = self.layouts.iter().flatten().collect();
        let lacks = |(node, answers): &(&NodeId, &Vec<Answer>)| {
            owners.contains(node) && answers.get(i).is_some() && !self.holds(**node, i, term)
        };
        self.answers.iter().filter(lacks).map(|(node, _)| *node).collect()
    }

    /// Whether `merged` is known to be on enough owners of each layout that no later read of R
    /// votes can miss it: N - R + 1. An owner that is still filling holds a record as durably as a
    /// full one does, though it has no vote. Nothing is always held: no later read shows less.
    #[must_use]
    pub fn is_held(&self, i: usize, merged: Option<Term>, n: usize) -> bool {
        let Some(term) = merged else { return true };
        let needed = (n + 1).saturating_sub(self.r);
        self.layouts
            .iter()
            .all(|owners| owners.iter().filter(|o| self.holds(**o, i, term)).count() >= needed)
    }

    /// Whether a node is known to hold exactly this record of the `i`-th key.
    fn holds(&self, node: NodeId, i: usize, term: Term) -> bool {
        let answered = self.answers.get(&node).and_then(|a| a.get(i)).and_then(Answer::stored);
        answered.map(Stored::term) == Some(term)
            || self.written_back.get(&node).is_some_and(|terms| terms.contains(&term))
    }

    /// Everything the nodes said about the `i`-th key.
    #[must_use]
    pub fn said(&self, i: usize) -> Vec<(NodeId, Answer)> {
        self.answers.iter().filter_map(|(n, a)| Some((*n, a.get(i)?.clone()))).collect()
    }
}

/// Builds the record of one item on top of the local copy.
#[must_use]
pub fn apply(
    local: &Record,
    item: &Item,
    seen: Option<&VersionVector>,
    dot: Dot,
    now_ms: u64,
) -> Record {
    let value = item.value.as_ref().map(|(bytes, expires_ms)| Value {
        bytes: bytes.clone(),
        written_ms: now_ms,
        expires_ms: *expires_ms,
        derived: item.basis.derives(),
    });
    local.write(dot, crate::record::Write { context: seen, value })
}
