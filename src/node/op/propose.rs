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

use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, OpId, Wake};
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::{Ballot, Body};
use crate::ring::{NodeId, RingDoc};

/// How long a proposal may take, in ms.
const PROPOSE_MS: u64 = 10_000;
/// How long a round waits for answers before the next is tried, in ms.
const ROUND_MS: u64 = 1_500;

/// A proposal under way.
pub(in crate::node) struct Propose {
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

impl Propose {
    /// Has a document chosen as the next one.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        doc: RingDoc,
    ) -> Flow<Box<Self>> {
        if doc.version != node.doc.version + 1 || doc.id != node.doc.id || node.read_only {
            let why = format!("the ring is now at version {}", node.doc.version);
            return end(node, Some(why));
        }
        let propose = Box::new(Self {
            value: doc.clone(),
            wanted: doc,
            best: Ballot::default(),
            ballot: Ballot(0, node.id.0),
            met: Ballot::default(),
            voters: node.doc.voters().collect(),
            promised: BTreeSet::new(),
            accepted: BTreeSet::new(),
            accepting: false,
            announced: false,
            round_ms: cx.now.mono_ms,
            deadline_ms: cx.now.mono_ms + PROPOSE_MS,
        });
        propose.round(node, cx)
    }

    /// Begins a round under a ballot above all that were met, and under a new number: what was promised
    /// or accepted in the last round counts for nothing.
    fn round(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        node.renumber(cx);
        let above = self.ballot.max(self.met).max(node.acceptor.promised);
        self.ballot = Ballot(above.0 + 1, node.id.0);
        self.promised.clear();
        self.accepted.clear();
        self.accepting = false;
        self.best = Ballot::default();
        self.value = self.wanted.clone();
        self.round_ms = cx.now.mono_ms;
        let up: Vec<_> = self.voters.iter().filter(|v| node.is_up(**v)).copied().collect();
        for voter in up {
            node.ask(cx, voter, Body::Prepare(self.ballot));
        }
        Flow::Wait(self)
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        if self.announced && !matches!(wake, Wake::Committed | Wake::CommitFailed) {
            return Flow::Wait(self);
        }
        if node.doc.version >= self.wanted.version {
            return self.chosen(node);
        }
        match wake {
            Wake::Said(from, Body::Promise(accepted))
                if !self.accepting && self.voters.contains(&from) =>
            {
                let accepted = accepted.map(|(ballot, doc)| (ballot, *doc));
                self.promise(node, cx, from, accepted);
            }
            Wake::Said(from, Body::Accepted) if self.accepting && self.voters.contains(&from) => {
                self.accepted.insert(from);
                if self.accepted.len() >= self.majority() {
                    return self.announce(node, cx);
                }
            }
            Wake::Said(_, Body::Rejected(ballot)) => {
                self.met = self.ballot.max(self.met).climbed(ballot);
                if planted::is(Bug::ClimbInRound) {
                    self.ballot.0 = self.met.0;
                }
            }
            Wake::Tick if cx.now.mono_ms >= self.deadline_ms => {
                let why = "no majority of the members agreed in time; try again".to_string();
                return end(node, Some(why));
            }
            Wake::Tick if cx.now.mono_ms >= self.round_ms + ROUND_MS + node.id.0 % ROUND_MS => {
                return self.round(node, cx);
            }
            _ => {}
        }
        Flow::Wait(self)
    }

    fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// A voter has promised; with a majority the value of the highest ballot is put to them.
    fn promise(
        &mut self,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        from: NodeId,
        accepted: Option<(Ballot, RingDoc)>,
    ) {
        self.promised.insert(from);
        if let Some((ballot, doc)) = accepted
            && ballot > self.best
            && !planted::is(Bug::OwnValueFirst)
        {
            (self.best, self.value) = (ballot, doc);
        }
        if self.promised.len() < self.majority() {
            return;
        }
        self.accepting = true;
        for voter in self.promised.clone() {
            let doc = Box::new(self.value.clone());
            node.ask(cx, voter, Body::Accept(self.ballot, doc));
        }
    }

    /// A majority accepted: everyone is told.
    fn announce(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let members: BTreeSet<NodeId> =
            node.doc.present().chain(self.value.present()).map(|m| m.id).collect();
        for member in members {
            let doc = Box::new(self.value.clone());
            node.send(cx, member, OpId::NONE, Body::Chosen(doc));
        }
        node.adopt(&self.value);
        // Whoever asked may switch off a member that has left: the answer speaks of durable state.
        if node.queue.is_empty() {
            return self.chosen(node);
        }
        self.announced = true;
        node.wake_when_durable(cx);
        Flow::Wait(self)
    }

    fn chosen(&self, node: &Replica) -> Flow<Box<Self>> {
        let ours = *node.doc == self.wanted;
        let other = || "another ring change was chosen first; see it: kvs ring show".to_string();
        end(node, (!ours).then(other))
    }
}

fn end(node: &Replica, why: Option<String>) -> Flow<Box<Propose>> {
    Flow::reply(Reply::Ring(node.doc.clone(), why))
}
