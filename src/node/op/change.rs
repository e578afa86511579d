//! Shepherding a change of the ring from step to step, with a barrier before each.
//!
//! ```text
//! at (1):  Barrier to all: adopted (1), nothing of (0) in flight?  all clear
//!          Fill to all: one pass with enough full owners?          nothing filling -> propose (2)
//! at (2):  Barrier to all; leaving members have handed on their hints       -> propose (3)
//! ```
//!
//! Any node can drive a change, several at once. Law: a driver acts on the version it asked about,
//! never on "the document now". Whenever the ring moves on under it, what it has heard counts for
//! nothing and it begins again with the barrier of the new step. A member answers for the version it
//! was asked about; of a version that is not its own it says nothing. A barrier counts only passes
//! begun after it, and waits for writes and strict reads of older documents alike. Caveat: a member
//! that cannot be reached holds a change up; mark it as removed, or bring it back.

use std::collections::BTreeSet;

use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, Outcome, Start, Wake};
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::ring::{ChangeStep, Member, MemberState, NodeId};

/// How long a stage may wait for its last member, in ms; a fill moves data and has no limit of its
/// own as long as passes answer.
const BARRIER_MS: u64 = 10_000;
/// How long a fill may take, in ms.
const FILL_MS: u64 = 24 * 3_600_000;
/// Who has not answered is asked again after so long, in ms: requests are lost, and a node that has
/// just been started answers none. A fill is long at work and is asked for less often.
const AGAIN_MS: u64 = 1_000;
const FILL_AGAIN_MS: u64 = 30_000;

/// A change being shepherded.
pub(in crate::node) struct Advance {
    stage: ChangeStage,
    version: u64,
    waiting: BTreeSet<NodeId>,
    unfilled: usize,
    started_ms: u64,
    asked_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChangeStage {
    Barrier,
    Handing,
    Filling,
    Proposing,
}

impl Advance {
    /// Takes the change under way as far as it goes.
    pub(in crate::node) fn begin(node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        if node.doc.step == ChangeStep::Settled || node.read_only {
            return end(node, None);
        }
        let advance = Box::new(Self {
            stage: ChangeStage::Barrier,
            version: node.doc.version,
            waiting: BTreeSet::new(),
            unfilled: 0,
            started_ms: cx.now.mono_ms,
            asked_ms: 0,
        });
        advance.enter(node, cx, ChangeStage::Barrier)
    }

    /// Begins a stage under a new number: a late answer to the last one counts for nothing.
    fn enter(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        stage: ChangeStage,
    ) -> Flow<Box<Self>> {
        if node.doc.step == ChangeStep::Settled {
            return end(node, None);
        }
        node.renumber(cx);
        self.stage = stage;
        self.version = node.doc.version;
        self.started_ms = cx.now.mono_ms;
        self.unfilled = 0;
        let leaving = |m: &&Member| m.state == MemberState::Leaving;
        let doc = node.doc.clone();
        let all = doc.present();
        self.waiting = match stage {
            ChangeStage::Handing if planted::is(Bug::LeaveWithHints) => BTreeSet::new(),
            ChangeStage::Handing => all.filter(leaving).map(|m| m.id).collect(),
            _ => all.map(|m| m.id).collect(),
        };
        self.ask(node, cx)
    }

    fn ask(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        self.asked_ms = cx.now.mono_ms;
        let unreachable: Vec<_> =
            self.waiting.iter().filter(|m| !node.is_up(**m)).map(|m| node.doc.name(*m)).collect();
        if !unreachable.is_empty() {
            return end(node, Some(format!("{} cannot be reached", unreachable.join(", "))));
        }
        if self.waiting.is_empty() {
            return self.stage_done(node, cx);
        }
        for member in self.waiting.clone() {
            let body = match self.stage {
                ChangeStage::Barrier | ChangeStage::Proposing => Body::Barrier,
                ChangeStage::Handing => Body::Deliver,
                ChangeStage::Filling => Body::Fill,
            };
            node.ask(cx, member, body);
        }
        Flow::Wait(self)
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        let moved = node.doc.version != self.version && !planted::is(Bug::MixedDriver);
        if self.stage != ChangeStage::Proposing && moved {
            // Another driver took the ring on: what was heard is of a step that is over.
            return self.enter(node, cx, ChangeStage::Barrier);
        }
        match (self.stage, wake) {
            (ChangeStage::Barrier, Wake::Said(from, Body::Cleared { clear: true, .. }))
            | (ChangeStage::Handing, Wake::Said(from, Body::Cleared { hints: 0, .. })) => {
                self.waiting.remove(&from);
            }
            (ChangeStage::Filling, Wake::Said(from, Body::Filling(left)))
                if self.waiting.remove(&from) =>
            {
                self.unfilled += left.len();
            }
            (ChangeStage::Proposing, Wake::Child(Outcome::Reply(Reply::Ring(_, why)))) => {
                // One that lost against another driver of the same change goes on from there.
                if why.is_some() && node.doc.version == self.version {
                    return end(node, why);
                }
                return self.enter(node, cx, ChangeStage::Barrier);
            }
            (_, Wake::Tick) => return self.tick(node, cx),
            _ => {}
        }
        if self.stage != ChangeStage::Proposing && self.waiting.is_empty() {
            return self.stage_done(node, cx);
        }
        Flow::Wait(self)
    }

    fn tick(self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let (limit, again) = match self.stage {
            // The proposal has its own deadline, and its end wakes this one.
            ChangeStage::Proposing => return Flow::Wait(self),
            ChangeStage::Filling => (FILL_MS, FILL_AGAIN_MS),
            ChangeStage::Barrier | ChangeStage::Handing => (BARRIER_MS, AGAIN_MS),
        };
        if cx.now.mono_ms - self.started_ms >= limit {
            let names: Vec<_> = self.waiting.iter().map(|m| node.doc.name(*m)).collect();
            return end(
                node,
                Some(format!("{} did not reach this step in time", names.join(", "))),
            );
        }
        if cx.now.mono_ms >= self.asked_ms + again {
            return self.ask(node, cx);
        }
        Flow::Wait(self)
    }

    fn stage_done(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        match (self.stage, node.doc.step) {
            (ChangeStage::Barrier, ChangeStep::WriteBoth) => {
                self.enter(node, cx, ChangeStage::Filling)
            }
            (ChangeStage::Barrier, ChangeStep::ReadNew) => {
                self.enter(node, cx, ChangeStage::Handing)
            }
            (ChangeStage::Filling, _) if self.unfilled > 0 => {
                let why =
                    format!("too few full owners to move some partitions ({})", self.unfilled);
                end(node, Some(why))
            }
            (ChangeStage::Filling | ChangeStage::Handing, _) => {
                self.stage = ChangeStage::Proposing;
                // Still the document that was asked about: any other ended the stage above.
                let Some(next) = node.doc.advance() else { return end(node, None) };
                cx.start_child(Start::Propose(Box::new(next)));
                Flow::Wait(self)
            }
            _ => end(node, None),
        }
    }
}

fn end(node: &Replica, why: Option<String>) -> Flow<Box<Advance>> {
    Flow::reply(Reply::Ring(node.doc.clone(), why))
}
