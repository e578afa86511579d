//! The state of one read, and what follows from it: who answered what, and whether that is enough.
//!
//! ```text
//! Wait -> Answer { repair }                       R votes; strict: and N-R+1 owners hold it
//!      -> WriteBack { to } -> Wait -> Answer      strict, held by fewer
//!      -> Refuse                                  no reply is outstanding, or its time is over
//! ```
//!
//! One value serves the three readings there are: of a key for a client ([`ReadTally::next`]), of what a
//! write replaces ([`ReadTally::next_prior`]), and of what became of it ([`ReadTally::next_confirm`]).
//!
//! Caveat: an answer is taken as it comes. Whether its bytes are sound is proven before
//! ([`Answer::proven`]).

use std::collections::{BTreeMap, BTreeSet};

use super::options::Group;
use super::{Answer, GetReply, Level, Options, Progress, TimeLeft, Verdict};
use crate::clock::Dot;
use crate::key::{Key, Partition};
use crate::planted::{self, Bug};
use crate::record::{Record, RecordHash, Stored};
use crate::ring::{NodeId, RingDoc};

/// What a read of one key does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadNext {
    /// Too little is known, and more may come.
    Wait,
    /// Answer with the merge of all copies ([`ReadTally::reply`]).
    Answer {
        /// Owners that lack it: they are sent it, and not waited for.
        repair: Vec<NodeId>,
    },
    /// Store the merge at these owners, and wait for their acknowledgements ([`ReadTally::stored`]).
    WriteBack {
        /// Owners that answered and do not hold it. From now on these are awaited, and no others.
        to: Vec<NodeId>,
    },
    /// It can wait no longer.
    Refuse(Verdict),
}

/// The state of one read of several keys of one partition.
#[derive(Clone, Debug)]
pub struct ReadTally {
    voters: Vec<NodeId>,
    groups: Vec<Group>,
    layouts: Vec<Vec<NodeId>>,
    /// Owners of each layout, as the ring has it: not as many as were asked.
    n: usize,
    r: usize,
    answers: BTreeMap<NodeId, Vec<Answer>>,
    /// What each node has acknowledged of what was written back to it.
    written_back: BTreeMap<NodeId, BTreeSet<RecordHash>>,
    /// The record that is being written back, once that was decided.
    writing_back: Option<RecordHash>,
    /// The earliest wall clock of those that told theirs.
    wall_ms: Option<u64>,
}

impl ReadTally {
    /// A read of partition `p` under `doc` that wants `r` votes.
    fn new(doc: &RingDoc, p: Partition, r: usize) -> Self {
        let mut layouts: Vec<_> =
            doc.write_layouts().iter().map(|layout| doc.owners_in(layout, p)).collect();
        if planted::is(Bug::SkipOlderLayout) {
            layouts = vec![doc.owners_in(doc.read_layout(), p)];
        }
        let voters = doc.owners_in(doc.read_layout(), p);
        Self {
            voters,
            groups: Vec::new(),
            layouts,
            n: doc.n(),
            r,
            answers: BTreeMap::new(),
            written_back: BTreeMap::new(),
            writing_back: None,
            wall_ms: None,
        }
    }

    /// The reading of partition `p` before a write replaces what is there: of so many owners that it
    /// meets every write that a majority acknowledged, whatever quorum its own request asks for.
    #[must_use]
    pub fn prior(doc: &RingDoc, p: Partition) -> Self {
        Self::new(doc, p, doc.n() + 1 - doc.majority())
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

    /// Takes one node's answers, one per key. An answer of a node that is no voter is no vote; one that
    /// comes when the merge is being written back is too late, for the acknowledgements that are awaited
    /// speak of that merge and no other.
    pub fn answer(&mut self, node: NodeId, answers: Vec<Answer>) {
        if self.writing_back.is_none() {
            self.answers.insert(node, answers);
        }
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
    fn wrote_back(&mut self, node: NodeId, term: RecordHash) {
        self.written_back.entry(node).or_default().insert(term);
    }

    /// Votes for the `i`-th key.
    fn votes(&self, i: usize) -> usize {
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
        let rest: Vec<_> = copies.filter(|c| c.hash() != first.hash()).collect();
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
    fn stale(&self, i: usize, merged: Option<&Stored>) -> Vec<NodeId> {
        let Some(term) = merged.map(Stored::hash) else { return Vec::new() };
        let owners: BTreeSet<_> = self.layouts.iter().flatten().collect();
        let lacks = |(node, answers): &(&NodeId, &Vec<Answer>)| {
            owners.contains(node) && answers.get(i).is_some() && !self.holds(**node, i, term)
        };
        self.answers.iter().filter(lacks).map(|(node, _)| *node).collect()
    }

    /// Whether `merged` is known to be on enough owners of each layout that no later read of R
    /// votes can miss it: N - R + 1. An owner that is still filling holds a record as durably as a
    /// full one does, though it has no vote. Nothing is always held: no later read shows less.
    fn is_held(&self, i: usize, merged: Option<RecordHash>, n: usize) -> bool {
        let Some(term) = merged else { return true };
        let needed = (n + 1).saturating_sub(self.r);
        self.layouts
            .iter()
            .all(|owners| owners.iter().filter(|o| self.holds(**o, i, term)).count() >= needed)
    }

    /// Whether a node is known to hold exactly this record of the `i`-th key.
    fn holds(&self, node: NodeId, i: usize, term: RecordHash) -> bool {
        let answered = self.answers.get(&node).and_then(|a| a.get(i)).and_then(Answer::stored);
        answered.map(Stored::hash) == Some(term)
            || self.written_back.get(&node).is_some_and(|terms| terms.contains(&term))
    }

    /// Everything the nodes said about the `i`-th key.
    fn said(&self, i: usize) -> Vec<(NodeId, Answer)> {
        self.answers.iter().filter_map(|(n, a)| Some((*n, a.get(i)?.clone()))).collect()
    }

    /// What to do next for a read of one key. Asked after every event, in any order of answers.
    ///
    /// A read of owners that all agree is answered at R votes. A strict one is answered only once N-R+1
    /// owners of each layout hold exactly what it shows; until then it waits for owners that may hold
    /// it, and then, unless it may not write, stores it where it is missing. That is decided at most once
    /// for a tally: from then on [`Self::stored`] counts for that record, and answers to the reading are too
    /// late.
    pub fn next(&mut self, key: &Key, options: &Options, progress: Progress) -> ReadNext {
        let (merged, _) = self.merged(0, key);
        let term = merged.as_ref().map(Stored::hash);
        let must_hold = options.strict && !planted::is(Bug::StrictIsLoose);
        let held = !must_hold || self.is_held(0, term, self.n);
        let enough = self.is_enough(1);
        if enough && held && (progress.is_over() || !options.patient) {
            let repairs = options.write_back && !options.strict;
            let repair = if repairs { self.stale(0, merged.as_ref()) } else { Vec::new() };
            return ReadNext::Answer { repair };
        }
        let may = enough && options.strict && options.write_back && self.writing_back.is_none();
        // Owners that answer late may hold it already: only when they have had their time is it
        // cheaper to write. At the deadline nobody would wait for the acknowledgements.
        let due = progress.outstanding == 0 || progress.time == TimeLeft::PatienceOver;
        if may && due && progress.time != TimeLeft::Over {
            let to = self.stale(0, merged.as_ref());
            if !to.is_empty() {
                self.writing_back = term;
                return ReadNext::WriteBack { to };
            }
        }
        if progress.is_over() { ReadNext::Refuse(self.refusal()) } else { ReadNext::Wait }
    }

    /// Why a read that can wait no longer is not answered.
    fn refusal(&self) -> Verdict {
        if self.answers.is_empty() {
            return Verdict::Unreachable("no owner of the key answered".into());
        }
        if self.is_enough(1) {
            let needed = (self.n + 1).saturating_sub(self.r);
            let why = format!("fewer than {needed} owners (N-R+1) hold the newest version");
            return Verdict::Refused(why);
        }
        let (votes, r, n) = (self.votes(0), self.r, self.n);
        Verdict::Refused(format!("{votes} of R={r} votes were given (N={n})"))
    }

    /// The node has durably stored what was written back; it counts as held there. Of no effect before
    /// [`ReadNext::WriteBack`] was decided.
    pub fn stored(&mut self, node: NodeId) {
        if let Some(term) = self.writing_back {
            self.wrote_back(node, term);
        }
    }

    /// The reply to a read of one key that ended so.
    #[must_use]
    pub fn reply(&self, key: &Key, verdict: Verdict) -> GetReply {
        let (stored, clashes) = self.merged(0, key);
        GetReply { verdict, stored, answers: self.said(0), r: self.r, clashes }
    }
}
