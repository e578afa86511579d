//! Choosing the next ring document: single-decree Paxos among the voters of the present one.
//!
//! ```text
//! proposer                       voters of version v
//!   Prepare(ballot)      ->        Promise(what I accepted)      durable before it is said
//!   Accept(ballot, doc)  ->        Accepted                      durable before it is said
//!   majority: chosen     ->        Chosen(doc) to every member
//! ```
//!
//! A document is accepted under the ballot that a majority promised, and under no other: what a round
//! hears of higher ballots is for the next one.
//! A chosen document never changes and only chosen ones are adopted, so there are no ties to break.
//! An acceptor whose file may be older than its promises is *muted*: it first prepares a higher
//! ballot with every other voter, so nothing it may have promised can still count. Other muted voters
//! may be among them as long as those that are not could have decided nothing without one of
//! themselves: fewer than a majority is muted. Are there more, a decision may be lost for good, and
//! they stay muted (`ring recover`).
//! Caveat: two proposers may outbid each other until one gives up at its deadline.
//! Source: Lamport, "Paxos Made Simple" (2001).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Asker, Cx, Node, Outcome, Reply, Task, Then, Wake};
use crate::error::{Error, Result};
use crate::planted::{self, Bug};
use crate::protocol::{BALLOT_JUMP, BALLOT_MAX, Ballot, Body};
use crate::ring::{NodeId, RingDoc};
use crate::store::{Op, Store, Table};

/// How long a proposal may take, in ms.
const PROPOSE_MS: u64 = 10_000;
/// How long a round waits for answers before the next is tried, in ms.
const ROUND_MS: u64 = 1_500;

/// What this node has promised and accepted for the document after `version`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Acceptor {
    version: u64,
    promised: Ballot,
    accepted: Option<(Ballot, RingDoc)>,
}

impl Acceptor {
    /// What the file says; `None` when that cannot be read, and it may have promised anything.
    pub(super) fn load(store: &dyn Store) -> Result<Option<Self>> {
        match store.row(Table::Ring, "acceptor") {
            Ok(None) => Ok(Some(Self::default())),
            Ok(Some(bytes)) => Ok(postcard::from_bytes(&bytes).ok()),
            Err(error) if matches!(error.root(), Error::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The state for the document after `version`; what was promised for an older one is void.
    fn at(&mut self, version: u64) -> &mut Self {
        if self.version < version {
            *self = Self { version, ..Self::default() };
        }
        self
    }

    /// What is promised, when that is not below the ballot; or when the ballot is too far above it,
    /// then raised as far as one ballot may raise it: no single one is beyond all others.
    fn outbids(&mut self, ballot: Ballot) -> Option<Ballot> {
        let reach = self.promised.0.saturating_add(BALLOT_JUMP);
        if ballot.0 > reach {
            self.promised = Ballot(reach.min(BALLOT_MAX), self.promised.1);
        }
        (ballot.0 > reach || ballot < self.promised).then_some(self.promised)
    }

    fn row(&self) -> Op {
        let bytes =
            postcard::to_stdvec(self).expect("a promise has nothing that cannot be encoded");
        Op::Ring("acceptor".into(), Some(bytes))
    }
}

/// A proposal under way.
pub(super) struct Propose {
    asker: Asker,
    wanted: RingDoc,
    value: RingDoc,
    best: Ballot,
    /// Of this round: nothing but what was asked under it counts for it.
    ballot: Ballot,
    /// The highest that was met elsewhere, for the next round.
    met: Ballot,
    voters: BTreeSet<NodeId>,
    promised: BTreeSet<NodeId>,
    accepted: BTreeSet<NodeId>,
    accepting: bool,
    /// It is chosen; waiting for this node's own commit.
    announced: bool,
    round_ms: u64,
    deadline_ms: u64,
}

/// A muted acceptor on its way back.
pub(super) struct Unmute {
    ballot: Ballot,
    /// The highest that was met elsewhere, for the next time.
    met: Ballot,
    version: u64,
    waiting: BTreeSet<NodeId>,
    /// Who has promised and is muted too.
    muted: BTreeSet<NodeId>,
    accepted: Option<(Ballot, RingDoc)>,
    asked_ms: u64,
}

impl Node {
    /// Has a document chosen as the next one.
    pub(super) fn propose(&mut self, cx: &mut Cx<'_>, asker: Asker, doc: RingDoc) {
        if doc.version != self.doc.version + 1 || doc.id != self.doc.id || self.read_only {
            let why = format!("the ring is now at version {}", self.doc.version);
            return self.conclude_ring(cx, asker, Some(why));
        }
        let task = Propose {
            asker,
            value: doc.clone(),
            wanted: doc,
            best: Ballot::default(),
            ballot: Ballot(0, self.id.0),
            met: Ballot::default(),
            voters: self.doc.voters().collect(),
            promised: BTreeSet::new(),
            accepted: BTreeSet::new(),
            accepting: false,
            announced: false,
            round_ms: cx.now.mono_ms,
            deadline_ms: cx.now.mono_ms + PROPOSE_MS,
        };
        self.round(cx, task);
    }

    pub(super) fn conclude_ring(&mut self, cx: &mut Cx<'_>, asker: Asker, why: Option<String>) {
        let doc = self.doc.clone();
        self.conclude(cx, asker, Outcome::Reply(Reply::Ring(doc, why)));
    }

    /// Begins a round under a ballot above all that were met, and under an operation of its own: what
    /// was promised or accepted in the last round counts for nothing.
    fn round(&mut self, cx: &mut Cx<'_>, mut task: Propose) {
        let op = self.new_op();
        let above = task.ballot.max(task.met).max(self.acceptor.promised);
        task.ballot = Ballot(above.0 + 1, self.id.0);
        task.promised.clear();
        task.accepted.clear();
        task.accepting = false;
        task.best = Ballot::default();
        task.value = task.wanted.clone();
        task.round_ms = cx.now.mono_ms;
        let voters: Vec<_> = task.voters.iter().filter(|v| self.is_up(**v)).copied().collect();
        for voter in voters {
            self.send(cx, voter, op, Body::Prepare(task.ballot));
        }
        self.tasks.insert(op, Task::Propose(task));
    }

    pub(super) fn on_propose(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Propose, wake: Wake) {
        if task.announced && !matches!(wake, Wake::Committed(_)) {
            self.tasks.insert(op, Task::Propose(task));
            return;
        }
        if self.doc.version >= task.wanted.version {
            return self.chosen(cx, task);
        }
        let majority = task.voters.len() / 2 + 1;
        match wake {
            Wake::Said(from, Body::Promise(accepted))
                if !task.accepting && task.voters.contains(&from) =>
            {
                task.promised.insert(from);
                if let Some((ballot, doc)) = accepted
                    && ballot > task.best
                    && !planted::is(Bug::OwnValueFirst)
                {
                    (task.best, task.value) = (ballot, *doc);
                }
                if task.promised.len() >= majority {
                    task.accepting = true;
                    for voter in task.promised.clone() {
                        let doc = Box::new(task.value.clone());
                        self.send(cx, voter, op, Body::Accept(task.ballot, doc));
                    }
                }
            }
            Wake::Said(from, Body::Accepted) if task.accepting && task.voters.contains(&from) => {
                task.accepted.insert(from);
                if task.accepted.len() >= majority {
                    return self.announce(cx, op, task);
                }
            }
            Wake::Said(_, Body::Rejected(ballot)) => {
                task.met = task.ballot.max(task.met).climbed(ballot);
                if planted::is(Bug::ClimbInRound) {
                    task.ballot.0 = task.met.0;
                }
            }
            Wake::Tick if cx.now.mono_ms >= task.deadline_ms => {
                let why = "no majority of the members agreed in time; try again".to_string();
                return self.conclude_ring(cx, task.asker, Some(why));
            }
            Wake::Tick if cx.now.mono_ms >= task.round_ms + ROUND_MS + self.id.0 % ROUND_MS => {
                return self.round(cx, task);
            }
            _ => {}
        }
        self.tasks.insert(op, Task::Propose(task));
    }

    /// A majority accepted: everyone is told.
    fn announce(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Propose) {
        let members: BTreeSet<NodeId> =
            self.doc.present().chain(task.value.present()).map(|m| m.id).collect();
        let value = task.value.clone();
        for member in members {
            self.send(cx, member, 0, Body::Chosen(Box::new(value.clone())));
        }
        self.adopt(&value);
        // Whoever asked may switch off a member that has left: the answer speaks of durable state.
        if self.stage.is_empty() {
            return self.chosen(cx, task);
        }
        task.announced = true;
        self.stage.then(self.stage.last(), Then::Wake(op));
        self.tasks.insert(op, Task::Propose(task));
    }

    fn chosen(&mut self, cx: &mut Cx<'_>, task: Propose) {
        let ours = *self.doc == task.wanted;
        let other = || "another ring change was chosen first; see it: kvs ring show".to_string();
        self.conclude_ring(cx, task.asker, (!ours).then(other));
    }

    /// Takes a chosen document for its own, if it is newer.
    pub(super) fn adopt(&mut self, doc: &RingDoc) {
        if doc.id != self.doc.id || doc.version <= self.doc.version || doc.check().is_err() {
            return;
        }
        let before = std::mem::replace(&mut self.doc, Arc::new(doc.clone()));
        self.gain(&before);
        self.acceptor.at(doc.version);
        self.stage.push(self.doc_op());
    }

    pub(super) fn doc_op(&self) -> Op {
        Op::Ring("doc".into(), Some(self.doc.encode()))
    }

    /// Whether this node would still act under its present document after a crash.
    pub(super) fn is_doc_durable(&self, cx: &Cx<'_>) -> bool {
        let row = cx.store.row(Table::Ring, "doc").ok().flatten();
        row.is_some_and(|row| row == self.doc.encode())
    }

    pub(super) fn on_prepare(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        version: u64,
        op: u64,
        ballot: Ballot,
    ) {
        if version < self.doc.version {
            return self.send_ring(cx, from, op);
        }
        let voter = self.doc.voters().any(|v| v == self.id);
        if version > self.doc.version || !voter {
            return self.send(cx, from, op, Body::Rejected(Ballot::default()));
        }
        let state = self.acceptor.at(version);
        let promised = state.promised;
        if let Some(promised) = state.outbids(ballot).or((ballot == promised).then_some(promised)) {
            return self.send(cx, from, op, Body::Rejected(promised));
        }
        state.promised = ballot;
        let accepted = state.accepted.clone().map(|(b, doc)| (b, Box::new(doc)));
        let muted = self.identity.muted;
        let body = if muted { Body::Muted } else { Body::Promise(accepted) };
        if planted::is(Bug::PromiseEarly) {
            return self.send(cx, from, op, body);
        }
        self.reply_durably(from, op, body);
    }

    pub(super) fn on_accept(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        version: u64,
        op: u64,
        ballot: Ballot,
        doc: RingDoc,
    ) {
        let votes = self.doc.voters().any(|v| v == self.id) && !self.identity.muted;
        let fits = version == self.doc.version && doc.version == version + 1;
        if !fits || !votes {
            return self.send(cx, from, op, Body::Rejected(Ballot::default()));
        }
        let state = self.acceptor.at(version);
        if let Some(promised) = state.outbids(ballot)
            && !planted::is(Bug::AnyBallot)
        {
            return self.send(cx, from, op, Body::Rejected(promised));
        }
        state.promised = ballot;
        state.accepted = Some((ballot, doc));
        self.reply_durably(from, op, Body::Accepted);
    }

    fn reply_durably(&mut self, to: NodeId, op: u64, body: Body) {
        let row = self.acceptor.row();
        let seq = self.stage.push(row);
        let refusal = Box::new(Body::Rejected(Ballot::default()));
        self.stage.then(seq, Then::Send(to, op, Box::new(body), refusal));
    }

    /// What it has promised cannot be read: it is muted until the others have promised it more.
    pub(super) fn abstain(&mut self) {
        self.identity.muted = true;
        self.identity.dirty = true;
    }

    /// A muted acceptor asks every other voter to promise a ballot above all it may have met: once it
    /// has been heard by its witnesses, and whenever it finds later that it may have forgotten.
    pub(super) fn unmute(&mut self, cx: &mut Cx<'_>) {
        let asks = self.tasks.values().any(|task| matches!(task, Task::Unmute(_)));
        if !self.identity.muted || self.read_only || asks {
            return;
        }
        let task = Unmute {
            ballot: Ballot(0, self.id.0),
            met: Ballot::default(),
            version: 0,
            waiting: BTreeSet::new(),
            muted: BTreeSet::new(),
            accepted: None,
            asked_ms: 0,
        };
        self.ask_unmute(cx, task);
    }

    /// Asks all again, under an operation of its own: a late promise was for a lower ballot.
    fn ask_unmute(&mut self, cx: &mut Cx<'_>, mut task: Unmute) {
        let op = self.new_op();
        task.version = self.doc.version;
        task.ballot.0 = task.ballot.max(task.met).max(self.acceptor.promised).0 + 1_000;
        task.waiting = self.doc.voters().filter(|v| *v != self.id).collect();
        task.muted.clear();
        task.accepted = None;
        task.asked_ms = cx.now.mono_ms;
        for voter in task.waiting.clone() {
            self.send(cx, voter, op, Body::Prepare(task.ballot));
        }
        self.unmute_step(op, task);
    }

    fn unmute_step(&mut self, op: u64, task: Unmute) {
        let majority = self.doc.voters().count() / 2 + 1;
        if !task.waiting.is_empty() || task.muted.len() + 1 >= majority.max(2) {
            self.tasks.insert(op, Task::Unmute(task));
            return;
        }
        let state = self.acceptor.at(task.version);
        state.promised = state.promised.max(task.ballot);
        state.accepted = task.accepted.filter(|_| !planted::is(Bug::UnmuteForgets));
        let row = self.acceptor.row();
        self.stage.push(row);
        self.identity.muted = false;
        self.identity.restage();
    }

    pub(super) fn on_unmute(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Unmute, wake: Wake) {
        match wake {
            Wake::Said(from, Body::Promise(accepted)) => {
                task.waiting.remove(&from);
                if let Some((ballot, doc)) = accepted
                    && task.accepted.as_ref().is_none_or(|a| ballot > a.0)
                {
                    task.accepted = Some((ballot, *doc));
                }
            }
            Wake::Said(from, Body::Muted) => {
                task.waiting.remove(&from);
                task.muted.insert(from);
            }
            Wake::Said(_, Body::Rejected(ballot)) => {
                task.met = task.ballot.max(task.met).climbed(ballot);
            }
            Wake::Tick if cx.now.mono_ms >= task.asked_ms + PROPOSE_MS => {
                return self.ask_unmute(cx, task);
            }
            _ => {}
        }
        if task.version == self.doc.version {
            return self.unmute_step(op, task);
        }
        self.ask_unmute(cx, task);
    }
}
