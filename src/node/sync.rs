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

use super::answer::PAGE_BYTES;
use super::audit::BadKey;
use super::{Asker, Cx, Node, Outcome, Task, Then, Transfer, TransferKind, Wake};
use crate::digest::{Arc, Sum};
use crate::error::Result;
use crate::key::{Key, Partition};
use crate::planted::{self, Bug};
use crate::protocol::{Body, Scope};
use crate::quorum::Answer;
use crate::record::Term;
use crate::ring::NodeId;
use crate::store::verify;

/// Arcs compared in one message.
pub(super) const ARCS_MAX: usize = 256;
/// Keys listed in one message, counted before they are read; one leaf may exceed it.
const LIST_MAX: u64 = 4_096;
/// Records fetched in one message.
const FETCH_MAX: usize = 2_048;
/// A message that is not answered for so long ends the pass, in ms.
const PASS_WAIT_MS: u64 = 10_000;

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PassReport {
    pub(super) peer: Option<NodeId>,
    /// Records taken from the peer, and given to it.
    pub(super) pulled: u64,
    pub(super) pushed: u64,
    /// It went through all of the scope.
    pub(super) completed: bool,
    /// Partitions of the scope in which the peer was full all the time.
    pub(super) proven: Vec<Partition>,
    /// One of the two found that it does not hold what it was told to: once more, when that is mended.
    pub(super) again: bool,
}

/// A pass under way.
pub(super) struct Pass {
    asker: Asker,
    peer: NodeId,
    scope: Scope,
    partitions: Vec<Partition>,
    filling: BTreeSet<Partition>,
    /// Arcs known to differ, the next one last; their children are compared next.
    open: Vec<Arc>,
    /// The total of the whole scope has been compared.
    rooted: bool,
    /// The arcs now being compared, with our sums.
    sent: Vec<(Arc, Sum)>,
    /// Differing leaves with the larger count of the two sides.
    leaves: VecDeque<(Partition, u8, u64)>,
    /// The leaves under way.
    listed: Vec<(Partition, Vec<u8>)>,
    /// Keys of listed leaves that differ.
    fetch: VecDeque<Asked>,
    /// Those under way.
    asked: Vec<Asked>,
    state: State,
    pub(super) started_ms: u64,
    asked_ms: u64,
    /// See [`Node::refill`]: a pass begun before it proves nothing after it.
    refilled: u64,
    /// The same of what was lost or struck: see `audit`.
    began: u64,
    /// Bad keys that the peer has voted on.
    voted: Vec<BadKey>,
    /// Records under way: they count once they are durable where they go.
    moving: u64,
    report: PassReport,
}

impl Pass {
    /// How far it is.
    pub(super) fn transfer(&self, age_ms: u64) -> Transfer {
        let PassReport { pulled, pushed, .. } = self.report;
        let (kind, partitions) = (TransferKind::Sync, self.partitions.len());
        Transfer { kind, peer: self.peer, pulled, pushed, partitions, age_ms }
    }
}

/// A key that differs.
struct Asked {
    key: Key,
    /// The peer's term, if it has one.
    theirs: Option<Term>,
    /// Whether this node has one.
    ours: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Comparing,
    Listing,
    Fetching,
    Committing,
    Pushing,
    Closing,
}

impl Node {
    /// Syncs with one peer over the scope.
    pub(super) fn pass(&mut self, cx: &mut Cx<'_>, asker: Asker, peer: NodeId, scope: Scope) {
        let partitions = self.scope(peer, &scope);
        let report = PassReport { peer: Some(peer), ..PassReport::default() };
        if partitions.is_empty() {
            let report = PassReport { completed: true, ..report };
            return self.conclude(cx, asker, Outcome::Pass(report));
        }
        let op = self.new_op();
        self.send(cx, peer, op, Body::Fullness(scope.clone()));
        let fetch = self.bad_of(&partitions);
        let pass = Pass {
            asker,
            peer,
            scope,
            partitions,
            filling: BTreeSet::new(),
            open: Vec::new(),
            rooted: false,
            sent: Vec::new(),
            leaves: VecDeque::new(),
            listed: Vec::new(),
            fetch,
            asked: Vec::new(),
            state: State::Opening,
            started_ms: cx.now.mono_ms,
            asked_ms: cx.now.mono_ms,
            refilled: self.identity.refilled,
            began: self.audits.now(),
            voted: Vec::new(),
            moving: 0,
            report,
        };
        self.tasks.insert(op, Task::Pass(Box::new(pass)));
    }

    /// The bad keys of some partitions, to be read from a peer.
    fn bad_of(&self, partitions: &[Partition]) -> VecDeque<Asked> {
        let wanted =
            |bad: &&BadKey| partitions.binary_search(&bad.0).is_ok() && !self.is_stray(bad);
        let bad = self.identity.bad.iter().filter(wanted);
        let keys = bad.filter_map(|bad| Key::new(bad.1.clone()).ok());
        keys.map(|key| Asked { key, theirs: Some(Term(0)), ours: false }).collect()
    }

    /// The partitions a scope means between this node and a peer, in order.
    pub(super) fn scope(&self, peer: NodeId, scope: &Scope) -> Vec<Partition> {
        match scope {
            Scope::Only(partitions) => partitions.clone(),
            Scope::Shared => {
                let theirs: BTreeSet<_> = self.doc.owned(peer).into_iter().collect();
                let mut shared = self.doc.owned(self.id);
                shared.retain(|p| theirs.contains(p));
                shared
            }
        }
    }

    pub(super) fn on_pass(&mut self, cx: &mut Cx<'_>, op: u64, mut pass: Box<Pass>, wake: Wake) {
        let said = match wake {
            Wake::Said(from, body) if from == pass.peer => Some(body),
            Wake::Committed(true) if pass.state == State::Committing => None,
            Wake::Committed(false) => return self.end_pass(cx, pass, false),
            Wake::Lost { node, .. } if node == pass.peer => {
                return self.end_pass(cx, pass, false);
            }
            Wake::Tick if cx.now.mono_ms >= pass.asked_ms + PASS_WAIT_MS => {
                return self.end_pass(cx, pass, false);
            }
            _ => return drop(self.tasks.insert(op, Task::Pass(pass))),
        };
        pass.asked_ms = cx.now.mono_ms;
        // Each question is an operation of its own: a late answer to another is no answer.
        let op = self.new_op();
        match (pass.state, said) {
            (State::Opening, Some(Body::Filling(filling))) => {
                pass.filling = filling.into_iter().collect();
                self.pass_next(cx, op, pass);
            }
            (State::Comparing, Some(Body::Differ(arcs))) => {
                self.descend(&mut pass, &arcs);
                self.pass_next(cx, op, pass);
            }
            (State::Listing, Some(Body::Listing(theirs))) => {
                pass.report.again = self.compare(cx, &mut pass, theirs).is_err();
                match pass.report.again {
                    false => self.pass_next(cx, op, pass),
                    true => self.end_pass(cx, pass, false),
                }
            }
            (State::Comparing | State::Listing, Some(Body::NotStored(_))) => {
                pass.report.again = true;
                self.end_pass(cx, pass, false);
            }
            (State::Fetching, Some(Body::Answers(answers) | Body::Copies { answers, .. })) => {
                self.take(cx, op, pass, answers);
            }
            (State::Committing, None) => {
                pass.report.pulled += pass.moving;
                self.push(cx, op, pass);
            }
            (State::Pushing, Some(Body::Stored { .. })) => {
                pass.report.pushed += pass.moving;
                self.pass_next(cx, op, pass);
            }
            (State::Closing, Some(Body::Filling(filling))) => {
                pass.filling.extend(filling);
                self.end_pass(cx, pass, true);
            }
            _ => self.end_pass(cx, pass, false),
        }
    }

    /// Asks the next question: fetch before list, list before compare, so that little is held.
    fn pass_next(&mut self, cx: &mut Cx<'_>, op: u64, mut pass: Box<Pass>) {
        let body = if !pass.fetch.is_empty() {
            return self.fetch(cx, op, pass);
        } else if let Some(leaves) = next_leaves(&mut pass.leaves) {
            pass.state = State::Listing;
            pass.listed.clone_from(&leaves);
            Body::List(leaves)
        } else if !pass.open.is_empty() || !pass.rooted {
            pass.state = State::Comparing;
            match self.next_sums(cx, &mut pass) {
                Ok(arcs) => Body::Sums { scope: pass.scope.clone(), arcs },
                Err(_) => {
                    pass.report.again = true;
                    return self.end_pass(cx, pass, false);
                }
            }
        } else {
            pass.state = State::Closing;
            Body::Fullness(pass.scope.clone())
        };
        self.send(cx, pass.peer, op, body);
        self.tasks.insert(op, Task::Pass(pass));
    }

    /// The sums of the next arcs' children, or of the root first of all.
    fn next_sums(&mut self, cx: &mut Cx<'_>, pass: &mut Pass) -> Result<Vec<(Arc, Sum)>> {
        let mut arcs = Vec::new();
        if !std::mem::replace(&mut pass.rooted, true) {
            arcs.push(Arc::ALL);
        }
        while arcs.len() + 16 <= ARCS_MAX {
            let Some(arc) = pass.open.pop() else { break };
            arcs.extend(arc.children(self.q()));
        }
        let sums = self.sums_of(cx, &pass.partitions, &arcs)?;
        pass.sent = arcs.into_iter().zip(sums).collect();
        Ok(pass.sent.clone())
    }

    /// Sorts differing arcs into leaves to list and arcs to open.
    fn descend(&self, pass: &mut Pass, arcs: &[(Arc, Sum)]) {
        for (arc, theirs) in arcs.iter().rev() {
            match arc.leaf(self.q()) {
                None => pass.open.push(*arc),
                Some((p, leaf)) => {
                    let own = pass.sent.iter().find(|(sent, _)| sent == arc);
                    let count = own.map_or(0, |(_, sum)| sum.count).max(theirs.count);
                    pass.leaves.push_front((p, leaf, count));
                }
            }
        }
    }

    /// The keys and terms of some leaves, from durable state, in order.
    ///
    /// # Errors
    /// When a partition cannot be read, or a leaf is not what its sum promises: it is audited anew.
    pub(super) fn list(
        &mut self,
        cx: &mut Cx<'_>,
        leaves: &[(Partition, Vec<u8>)],
    ) -> Result<Vec<(Key, Term)>> {
        let mut found = Vec::new();
        for (p, wanted) in leaves {
            let listed = verify::leaves(cx.store, self.q(), *p, wanted);
            found.extend(listed.inspect_err(|_| self.audit_anew(cx, *p))?);
        }
        Ok(found)
    }

    /// Finds the keys whose terms differ.
    fn compare(
        &mut self,
        cx: &mut Cx<'_>,
        pass: &mut Pass,
        theirs: Vec<(Key, Term)>,
    ) -> Result<()> {
        let leaves = std::mem::take(&mut pass.listed);
        let mut own: BTreeMap<Key, Term> = self.list(cx, &leaves)?.into_iter().collect();
        for (key, term) in theirs {
            let mine = own.remove(&key);
            if mine != Some(term) {
                pass.fetch.push_back(Asked { key, theirs: Some(term), ours: mine.is_some() });
            }
        }
        // What is left only we have.
        pass.fetch.extend(own.into_keys().map(|key| Asked { key, theirs: None, ours: true }));
        Ok(())
    }

    /// Fetches the peer's copies of the next keys; keys it lacks need no fetch.
    fn fetch(&mut self, cx: &mut Cx<'_>, op: u64, mut pass: Box<Pass>) {
        let mut keys = Vec::new();
        pass.asked.clear();
        while pass.asked.len() < FETCH_MAX {
            let Some(asked) = pass.fetch.pop_front() else { break };
            if asked.theirs.is_some() {
                keys.push(asked.key.clone());
            }
            pass.asked.push(asked);
        }
        if keys.is_empty() {
            return self.push(cx, op, pass);
        }
        pass.state = State::Fetching;
        self.send(cx, pass.peer, op, Body::Read(keys));
        self.tasks.insert(op, Task::Pass(pass));
    }

    /// Merges what came, and waits until it is durable.
    fn take(&mut self, cx: &mut Cx<'_>, op: u64, mut pass: Box<Pass>, answers: Vec<Answer>) {
        let mut answers = answers.into_iter();
        let (mut came, mut met, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for asked in std::mem::take(&mut pass.asked) {
            if asked.theirs.is_some() {
                match answers.next() {
                    // A peer bounds its answer by bytes; what is left is asked again first.
                    None => {
                        rest.push(asked);
                        continue;
                    }
                    Some(answer) => {
                        let answer = answer.proven(&asked.key);
                        if matches!(answer, Answer::Vote(_)) {
                            let place = (self.q().partition(&asked.key), asked.key.clone().into());
                            pass.voted.extend(self.identity.bad.get(&place).cloned());
                        }
                        came.extend(answer.stored().map(|s| (asked.key.clone(), s.clone())));
                    }
                }
            }
            met.push(asked);
        }
        if met.is_empty() {
            return self.end_pass(cx, pass, false);
        }
        pass.asked = met;
        rest.into_iter().rev().for_each(|asked| pass.fetch.push_front(asked));
        pass.moving = came.len() as u64;
        match self.absorb(cx, &came) {
            Err(_) => self.end_pass(cx, pass, false),
            Ok(absorbed) => match absorbed.seq {
                None => self.push(cx, op, pass),
                Some(seq) => {
                    pass.state = State::Committing;
                    self.stage.then(seq, Then::Wake(op));
                    self.tasks.insert(op, Task::Pass(pass));
                }
            },
        }
    }

    /// Gives the peer what it lacks of the keys under way.
    fn push(&mut self, cx: &mut Cx<'_>, op: u64, mut pass: Box<Pass>) {
        let mut records = Vec::new();
        let mut bytes = 0;
        // What the peer had and we had not is equal now; only the rest can be news to it.
        let mut asked = std::mem::take(&mut pass.asked).into_iter().filter(|a| a.ours);
        for Asked { key, theirs, .. } in asked.by_ref() {
            let p = self.q().partition(&key);
            if let Ok(Some(own)) = self.durable(cx, p, &key)
                && Some(own.term()) != theirs
            {
                bytes += own.bytes().len();
                records.push((key, own));
                if bytes > PAGE_BYTES {
                    break;
                }
            }
        }
        // What did not fit goes round again, ahead of the rest.
        asked.rev().for_each(|asked| pass.fetch.push_front(asked));
        if records.is_empty() {
            return self.pass_next(cx, op, pass);
        }
        pass.moving = records.len() as u64;
        pass.state = State::Pushing;
        self.send(cx, pass.peer, op, Body::Write { records, hint_for: None });
        self.tasks.insert(op, Task::Pass(pass));
    }

    fn end_pass(&mut self, cx: &mut Cx<'_>, mut pass: Box<Pass>, completed: bool) {
        if completed && pass.refilled == self.identity.refilled {
            let any = planted::is(Bug::FillingProves);
            let proven = |p: &&Partition| any || !pass.filling.contains(p);
            pass.report.proven = pass.partitions.iter().filter(proven).copied().collect();
            let (proven, voted) = (pass.report.proven.clone(), std::mem::take(&mut pass.voted));
            self.passed(pass.peer, pass.began, &proven, voted);
        }
        pass.report.completed = completed;
        self.conclude(cx, pass.asker, Outcome::Pass(pass.report));
    }
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
