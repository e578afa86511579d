//! An acceptor that may have forgotten promises asks for its vote back.
//!
//! It prepares a higher ballot with every other voter, so nothing it may have promised can still count
//! (see `op::propose`), and abstains until they have promised it. Asked once its witnesses are heard,
//! and whenever it finds later that it may have forgotten.

use std::collections::BTreeSet;

use crate::node::flow::{Ctx, Flow, Wake};
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::{Ballot, Body};
use crate::ring::{NodeId, RingDoc};

/// Voters that do not answer are asked again after so long, in ms.
const AGAIN_MS: u64 = 10_000;
/// How far a ballot goes above every one that was met: what was promised and forgotten is below.
const ABOVE: u64 = 1_000;

/// An abstaining acceptor on its way back.
pub(in crate::node) struct Regain {
    ballot: Ballot,
    /// The highest that was met elsewhere, for the next time.
    met: Ballot,
    version: u64,
    waiting: BTreeSet<NodeId>,
    /// Who has promised and is abstaining too.
    abstaining: BTreeSet<NodeId>,
    accepted: Option<(Ballot, RingDoc)>,
    asked_ms: u64,
}

impl Regain {
    /// Asks every other voter to promise a ballot above all it may have met.
    pub(in crate::node) fn begin(node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let regain = Box::new(Self {
            ballot: Ballot(0, node.id.0),
            met: Ballot::default(),
            version: 0,
            waiting: BTreeSet::new(),
            abstaining: BTreeSet::new(),
            accepted: None,
            asked_ms: 0,
        });
        regain.ask(node, cx)
    }

    /// Asks all again, under a new number: a late promise was for a lower ballot.
    fn ask(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        node.renumber(cx);
        self.version = node.doc.version;
        self.ballot.0 = self.ballot.max(self.met).max(node.acceptor.promised).0 + ABOVE;
        self.waiting = node.doc.voters().filter(|v| *v != node.id).collect();
        self.abstaining.clear();
        self.accepted = None;
        self.asked_ms = cx.now.mono_ms;
        for voter in self.waiting.clone() {
            node.ask(cx, voter, Body::Prepare(self.ballot));
        }
        self.decide(node)
    }

    /// Votes again when all others have promised, and too few of them abstain to have decided without
    /// one of themselves.
    fn decide(self: Box<Self>, node: &mut Replica) -> Flow<Box<Self>> {
        let majority = node.doc.voters().count() / 2 + 1;
        if !self.waiting.is_empty() || self.abstaining.len() + 1 >= majority.max(2) {
            return Flow::Wait(self);
        }
        let state = node.acceptor.at(self.version);
        state.promised = state.promised.max(self.ballot);
        state.accepted = self.accepted.filter(|_| !planted::is(Bug::UnmuteForgets));
        let row = node.acceptor.row();
        node.queue.push(row);
        node.identity.abstaining = false;
        node.identity.restage();
        Flow::Over
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        match wake {
            Wake::Said(from, Body::Promise(accepted)) => {
                self.waiting.remove(&from);
                if let Some((ballot, doc)) = accepted
                    && self.accepted.as_ref().is_none_or(|a| ballot > a.0)
                {
                    self.accepted = Some((ballot, *doc));
                }
            }
            Wake::Said(from, Body::Muted) => {
                self.waiting.remove(&from);
                self.abstaining.insert(from);
            }
            Wake::Said(_, Body::Rejected(ballot)) => {
                self.met = self.ballot.max(self.met).climbed(ballot);
            }
            Wake::Tick if cx.now.mono_ms >= self.asked_ms + AGAIN_MS => {
                return self.ask(node, cx);
            }
            _ => {}
        }
        if self.version == node.doc.version {
            return self.decide(node);
        }
        self.ask(node, cx)
    }
}
