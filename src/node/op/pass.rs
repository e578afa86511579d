//! One sync pass between two nodes: the one mechanism behind anti-entropy, repair, filling after a
//! join, re-replication and offline repair.
//!
//! The initiator descends the tree of sums depth first, so memory stays small; the peer keeps no
//! state. At the leaves keys and terms are listed, then only records that differ travel, both ways.
//!
//! ```text
//! initiator                          peer
//!   Fullness(scope)          ->        Filling [..]           which copies prove something
//!   Sums [(arc, sum)…]       ->        Differ [(arc, sum)…]   down in steps of 16
//!   List [leaves]            ->        Listing [(key, term)…]
//!   Read [keys]              ->        Answers [..]           merged here, committed
//!   Write [(key, record)…]   ->        Stored                 what the peer lacks
//!   … next arcs …
//!   Fullness(scope)          ->        Filling [..]           still?
//! ```
//!
//! Keys that are bad here are read from the peer first of all: its vote on them is what heals them. A
//! leaf that does not match its sum ends the pass, and is a loss of whoever listed it.
//!
//! A pass is *completed*, not *equal*: under load roots never are. What the peer held durably when
//! the pass began is here, or was superseded by what is.
//! Caveat: a leaf is listed whole; listing one leaf reads its partition's keys.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::digest::{HashRange, Sum};
use crate::error::Result;
use crate::key::{Key, Partition, Q};
use crate::node::audits::CorruptKey;
use crate::node::commit_queue::OnCommit;
use crate::node::event::{Transfer, TransferKind};
use crate::node::flow::{ARCS_MAX, Ctx, Flow, Outcome, PAGE_BYTES, PassReport, Wake};
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::{Body, Scope};
use crate::quorum::Answer;
use crate::record::RecordHash;
use crate::ring::NodeId;

/// Keys listed in one message, counted before they are read; one leaf may exceed it.
const LIST_MAX: u64 = 4_096;
/// Records fetched in one message.
const FETCH_MAX: usize = 2_048;
/// A message that is not answered for so long ends the pass, in ms.
const WAIT_MS: u64 = 10_000;

/// A pass under way.
pub(in crate::node) struct Pass {
    peer: NodeId,
    scope: Scope,
    partitions: Vec<Partition>,
    filling: BTreeSet<Partition>,
    /// Arcs known to differ, the next one last; their children are compared next.
    open: Vec<HashRange>,
    /// The total of the whole scope has been compared.
    rooted: bool,
    /// The arcs now being compared, with our sums.
    sent: Vec<(HashRange, Sum)>,
    /// Differing leaves with the larger count of the two sides.
    leaves: VecDeque<(Partition, u8, u64)>,
    /// The leaves under way.
    listed: Vec<(Partition, Vec<u8>)>,
    /// Keys of listed leaves that differ.
    fetch: VecDeque<Differing>,
    /// Those under way.
    asked: Vec<Differing>,
    phase: PassPhase,
    started_ms: u64,
    asked_ms: u64,
    /// See [`Replica::refill`]: a pass begun before it proves nothing after it.
    refilled: u64,
    /// The same of what was lost or struck: see `audit`.
    began: u64,
    /// Bad keys that the peer has voted on.
    voted: Vec<CorruptKey>,
    /// Records under way: they count once they are durable where they go.
    moving: u64,
    report: PassReport,
}

impl Pass {
    /// How far it is.
    pub(in crate::node) fn transfer(&self, mono_ms: u64) -> Transfer {
        let age_ms = mono_ms.saturating_sub(self.started_ms);
        let PassReport { pulled, pushed, .. } = self.report;
        let (kind, partitions) = (TransferKind::Sync, self.partitions.len());
        Transfer { kind, peer: self.peer, pulled, pushed, partitions, age_ms }
    }
}

/// A key that differs.
struct Differing {
    key: Key,
    /// The peer's term, if it has one.
    theirs: Option<RecordHash>,
    /// Whether this node has one.
    ours: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassPhase {
    Opening,
    Comparing,
    Listing,
    Fetching,
    Committing,
    Pushing,
    Closing,
}

impl Pass {
    /// Syncs with one peer over the scope.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        peer: NodeId,
        scope: Scope,
    ) -> Flow<Box<Self>> {
        let partitions = node.scope(peer, &scope);
        let report = PassReport::with(peer);
        if partitions.is_empty() {
            return Flow::Done(Outcome::Pass(PassReport { completed: true, ..report }));
        }
        if !node.is_up(peer) {
            // It was lost since this pass was planned, and that is not said a second time.
            return Flow::Done(Outcome::Pass(report));
        }
        node.ask(cx, peer, Body::Fullness(scope.clone()));
        Flow::Wait(Box::new(Self {
            peer,
            scope,
            fetch: corrupt_of(node, &partitions),
            partitions,
            filling: BTreeSet::new(),
            open: Vec::new(),
            rooted: false,
            sent: Vec::new(),
            leaves: VecDeque::new(),
            listed: Vec::new(),
            asked: Vec::new(),
            phase: PassPhase::Opening,
            started_ms: cx.now.mono_ms,
            asked_ms: cx.now.mono_ms,
            refilled: node.identity.refilled,
            began: node.audits.now(),
            voted: Vec::new(),
            moving: 0,
            report,
        }))
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        let said = match wake {
            Wake::Said(from, body) if from == self.peer => Some(body),
            Wake::Committed if self.phase == PassPhase::Committing => None,
            Wake::CommitFailed => return self.broken(),
            Wake::Lost(lost) | Wake::Unsent(lost) if lost == self.peer => return self.broken(),
            Wake::Tick if cx.now.mono_ms >= self.asked_ms + WAIT_MS => return self.broken(),
            _ => return Flow::Wait(self),
        };
        self.asked_ms = cx.now.mono_ms;
        // Each question has a number of its own: a late answer to another is no answer.
        node.renumber(cx);
        match (self.phase, said) {
            (PassPhase::Opening, Some(Body::Filling(filling))) => {
                self.filling = filling.into_iter().collect();
                self.next(node, cx)
            }
            (PassPhase::Comparing, Some(Body::Differ(arcs))) => {
                self.descend(node.q(), &arcs);
                self.next(node, cx)
            }
            (PassPhase::Listing, Some(Body::Listing(theirs))) => {
                match self.compare(node, cx, theirs) {
                    Ok(()) => self.next(node, cx),
                    Err(_) => self.broken_leaf(),
                }
            }
            (PassPhase::Comparing | PassPhase::Listing, Some(Body::NotStored(_))) => {
                self.broken_leaf()
            }
            (PassPhase::Fetching, Some(Body::Answers(answers) | Body::Copies { answers, .. })) => {
                self.take(node, cx, answers)
            }
            (PassPhase::Committing, None) => {
                self.report.pulled += self.moving;
                self.push(node, cx)
            }
            (PassPhase::Pushing, Some(Body::Stored { .. })) => {
                self.report.pushed += self.moving;
                self.next(node, cx)
            }
            (PassPhase::Closing, Some(Body::Filling(filling))) => {
                self.filling.extend(filling);
                self.complete(node)
            }
            _ => self.broken(),
        }
    }

    /// Asks the next question: fetch before list, list before compare, so that little is held.
    fn next(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let body = if !self.fetch.is_empty() {
            return self.fetch(node, cx);
        } else if let Some(leaves) = next_leaves(&mut self.leaves) {
            self.phase = PassPhase::Listing;
            self.listed.clone_from(&leaves);
            Body::List(leaves)
        } else if !self.open.is_empty() || !self.rooted {
            self.phase = PassPhase::Comparing;
            match self.next_sums(node, cx) {
                Ok(arcs) => Body::Sums { scope: self.scope.clone(), arcs },
                Err(_) => return self.broken_leaf(),
            }
        } else {
            self.phase = PassPhase::Closing;
            Body::Fullness(self.scope.clone())
        };
        node.ask(cx, self.peer, body);
        Flow::Wait(self)
    }

    /// The sums of the next arcs' children, or of the root first of all.
    fn next_sums(&mut self, node: &mut Replica, cx: &mut Ctx<'_>) -> Result<Vec<(HashRange, Sum)>> {
        let mut arcs = Vec::new();
        if !std::mem::replace(&mut self.rooted, true) {
            arcs.push(HashRange::ALL);
        }
        while arcs.len() + 16 <= ARCS_MAX {
            let Some(arc) = self.open.pop() else { break };
            arcs.extend(arc.children(node.q()));
        }
        let sums = node.sums_of(cx, &self.partitions, &arcs)?;
        debug_assert_eq!(sums.len(), arcs.len(), "one sum per arc");
        self.sent = arcs.into_iter().zip(sums).collect();
        Ok(self.sent.clone())
    }

    /// Sorts differing arcs into leaves to list and arcs to open.
    fn descend(&mut self, q: Q, arcs: &[(HashRange, Sum)]) {
        for (arc, theirs) in arcs.iter().rev() {
            match arc.leaf(q) {
                None => self.open.push(*arc),
                Some((p, leaf)) => {
                    let own = self.sent.iter().find(|(sent, _)| sent == arc);
                    let count = own.map_or(0, |(_, sum)| sum.count).max(theirs.count);
                    self.leaves.push_front((p, leaf, count));
                }
            }
        }
    }

    /// Finds the keys whose terms differ.
    fn compare(
        &mut self,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        theirs: Vec<(Key, RecordHash)>,
    ) -> Result<()> {
        let leaves = std::mem::take(&mut self.listed);
        let mut own: BTreeMap<Key, RecordHash> = node.list(cx, &leaves)?.into_iter().collect();
        for (key, term) in theirs {
            let mine = own.remove(&key);
            if mine != Some(term) {
                self.fetch.push_back(Differing { key, theirs: Some(term), ours: mine.is_some() });
            }
        }
        // What is left only we have.
        self.fetch.extend(own.into_keys().map(|key| Differing { key, theirs: None, ours: true }));
        Ok(())
    }

    /// Fetches the peer's copies of the next keys; keys it lacks need no fetch.
    fn fetch(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let mut keys = Vec::new();
        self.asked.clear();
        while self.asked.len() < FETCH_MAX {
            let Some(asked) = self.fetch.pop_front() else { break };
            if asked.theirs.is_some() {
                keys.push(asked.key.clone());
            }
            self.asked.push(asked);
        }
        if keys.is_empty() {
            return self.push(node, cx);
        }
        self.phase = PassPhase::Fetching;
        node.ask(cx, self.peer, Body::Read(keys));
        Flow::Wait(self)
    }

    /// Merges what came, and waits until it is durable.
    fn take(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        answers: Vec<Answer>,
    ) -> Flow<Box<Self>> {
        let mut answers = answers.into_iter();
        let (mut came, mut met, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for asked in std::mem::take(&mut self.asked) {
            if asked.theirs.is_some() {
                // A peer bounds its answer by bytes; what is left is asked again first.
                let Some(answer) = answers.next() else {
                    rest.push(asked);
                    continue;
                };
                let answer = answer.proven(&asked.key);
                if matches!(answer, Answer::Vote(_)) {
                    let place = (node.q().partition(&asked.key), asked.key.clone().into());
                    self.voted.extend(node.identity.corrupt.get(&place).cloned());
                }
                came.extend(answer.stored().map(|s| (asked.key.clone(), s.clone())));
            }
            met.push(asked);
        }
        if met.is_empty() {
            return self.broken();
        }
        self.asked = met;
        rest.into_iter().rev().for_each(|asked| self.fetch.push_front(asked));
        self.moving = came.len() as u64;
        match node.absorb(cx, &came).map(|absorbed| absorbed.seq) {
            Err(_) => self.broken(),
            Ok(None) => self.push(node, cx),
            Ok(Some(seq)) => {
                self.phase = PassPhase::Committing;
                node.queue.then(seq, OnCommit::Wake(cx.op));
                Flow::Wait(self)
            }
        }
    }

    /// Gives the peer what it lacks of the keys under way.
    fn push(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        // What the peer had and we had not is equal now; only the rest can be news to it.
        let mut asked = std::mem::take(&mut self.asked).into_iter().filter(|a| a.ours);
        for Differing { key, theirs, .. } in asked.by_ref() {
            let p = node.q().partition(&key);
            if let Ok(Some(own)) = node.durable(cx, p, &key)
                && Some(own.hash()) != theirs
            {
                bytes += own.bytes().len();
                records.push((key, own));
                if bytes > PAGE_BYTES {
                    break;
                }
            }
        }
        // What did not fit goes round again, ahead of the rest.
        asked.rev().for_each(|asked| self.fetch.push_front(asked));
        if records.is_empty() {
            return self.next(node, cx);
        }
        self.moving = records.len() as u64;
        self.phase = PassPhase::Pushing;
        node.ask(cx, self.peer, Body::Write { records, hint_for: None });
        Flow::Wait(self)
    }

    /// It went through all of the scope.
    fn complete(mut self: Box<Self>, node: &mut Replica) -> Flow<Box<Self>> {
        if self.refilled == node.identity.refilled {
            let any = planted::is(Bug::FillingProves);
            let proven = |p: &&Partition| any || !self.filling.contains(p);
            self.report.proven = self.partitions.iter().filter(proven).copied().collect();
            let voted = std::mem::take(&mut self.voted);
            node.passed(self.peer, self.began, &self.report.proven, voted);
        }
        self.report.completed = true;
        Flow::Done(Outcome::Pass(self.report))
    }

    /// It ends before it went through all.
    fn broken(self: Box<Self>) -> Flow<Box<Self>> {
        Flow::Done(Outcome::Pass(self.report))
    }

    /// One of the two found that it does not hold what it promised.
    fn broken_leaf(mut self: Box<Self>) -> Flow<Box<Self>> {
        self.report.again = true;
        self.broken()
    }
}

/// The corrupt keys of some partitions, to be read from a peer.
fn corrupt_of(node: &Replica, partitions: &[Partition]) -> VecDeque<Differing> {
    let wanted =
        |bad: &&CorruptKey| partitions.binary_search(&bad.0).is_ok() && !node.is_stray(bad);
    let corrupt = node.identity.corrupt.iter().filter(wanted);
    let keys = corrupt.filter_map(|bad| Key::new(bad.1.clone()).ok());
    keys.map(|key| Differing { key, theirs: Some(RecordHash(0)), ours: false }).collect()
}

/// The next leaves to list: as many of neighbouring partitions as stay within the bound.
fn next_leaves(leaves: &mut VecDeque<(Partition, u8, u64)>) -> Option<Vec<(Partition, Vec<u8>)>> {
    let mut chosen: Vec<(Partition, Vec<u8>)> = Vec::new();
    let mut keys = 0;
    while let Some((p, leaf, count)) = leaves.front().copied() {
        if !chosen.is_empty() && keys + count > LIST_MAX {
            break;
        }
        keys += count;
        leaves.pop_front();
        match chosen.last_mut() {
            Some(last) if last.0 == p => last.1.push(leaf),
            _ => chosen.push((p, vec![leaf])),
        }
    }
    (!chosen.is_empty()).then_some(chosen)
}
