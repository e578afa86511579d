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

use super::put::Put;
use super::{Asker, Cx, Node, Outcome, Reply, Task, Wake};
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::ring::{NodeId, RingDoc, State, Step};

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
pub(super) struct Advance {
    asker: Asker,
    stage: Stage,
    version: u64,
    waiting: BTreeSet<NodeId>,
    unfilled: usize,
    started_ms: u64,
    asked_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Barrier,
    Handing,
    Filling,
    Proposing,
}

impl Node {
    /// Takes the change under way as far as it goes.
    pub(super) fn advance(&mut self, cx: &mut Cx<'_>, asker: Asker) {
        if self.doc.step == Step::Settled || self.read_only {
            return self.conclude_ring(cx, asker, None);
        }
        let task = Advance {
            asker,
            stage: Stage::Barrier,
            version: self.doc.version,
            waiting: BTreeSet::new(),
            unfilled: 0,
            started_ms: cx.now.mono_ms,
            asked_ms: 0,
        };
        self.enter(cx, task, Stage::Barrier);
    }

    /// Begins a stage under an operation of its own: a late answer to the last one counts for nothing.
    fn enter(&mut self, cx: &mut Cx<'_>, mut task: Advance, stage: Stage) {
        if self.doc.step == Step::Settled {
            return self.conclude_ring(cx, task.asker, None);
        }
        let op = self.new_op();
        task.stage = stage;
        task.version = self.doc.version;
        task.started_ms = cx.now.mono_ms;
        task.unfilled = 0;
        let all = self.doc.present();
        let leaving = |m: &&crate::ring::Member| m.state == State::Leaving;
        task.waiting = match stage {
            Stage::Handing => all.filter(leaving).map(|m| m.id).collect(),
            _ => all.map(|m| m.id).collect(),
        };
        if stage == Stage::Handing && planted::is(Bug::LeaveWithHints) {
            task.waiting.clear();
        }
        self.ask_stage(cx, op, task);
    }

    fn ask_stage(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Advance) {
        task.asked_ms = cx.now.mono_ms;
        let unreachable: Vec<_> =
            task.waiting.iter().filter(|m| !self.is_up(**m)).map(|m| self.doc.name(*m)).collect();
        if !unreachable.is_empty() {
            let why = format!("{} cannot be reached", unreachable.join(", "));
            return self.conclude_ring(cx, task.asker, Some(why));
        }
        if task.waiting.is_empty() {
            return self.stage_done(cx, op, task);
        }
        for member in task.waiting.clone() {
            let body = match task.stage {
                Stage::Barrier | Stage::Proposing => Body::Barrier,
                Stage::Handing => Body::Deliver,
                Stage::Filling => Body::Fill,
            };
            self.send(cx, member, op, body);
        }
        self.tasks.insert(op, Task::Advance(task));
    }

    pub(super) fn on_advance(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Advance, wake: Wake) {
        let moved = self.doc.version != task.version && !planted::is(Bug::MixedDriver);
        if task.stage != Stage::Proposing && moved {
            // Another driver took the ring on: what was heard is of a step that is over.
            return self.enter(cx, task, Stage::Barrier);
        }
        match (task.stage, wake) {
            (Stage::Barrier, Wake::Said(from, Body::Cleared { clear: true, .. })) => {
                task.waiting.remove(&from);
            }
            (Stage::Handing, Wake::Said(from, Body::Cleared { hints: 0, .. })) => {
                task.waiting.remove(&from);
            }
            (Stage::Filling, Wake::Said(from, Body::Filling(left)))
                if task.waiting.remove(&from) =>
            {
                task.unfilled += left.len();
            }
            (Stage::Proposing, Wake::Child(Outcome::Reply(Reply::Ring(_, why)))) => {
                // One that lost against another driver of the same change goes on from there.
                if why.is_some() && self.doc.version == task.version {
                    return self.conclude_ring(cx, task.asker, why);
                }
                return self.enter(cx, task, Stage::Barrier);
            }
            (_, Wake::Tick) => return self.advance_tick(cx, op, task),
            _ => {}
        }
        if task.stage != Stage::Proposing && task.waiting.is_empty() {
            return self.stage_done(cx, op, task);
        }
        self.tasks.insert(op, Task::Advance(task));
    }

    fn advance_tick(&mut self, cx: &mut Cx<'_>, op: u64, task: Advance) {
        let waited = cx.now.mono_ms - task.started_ms;
        let limit = if task.stage == Stage::Filling { FILL_MS } else { BARRIER_MS };
        if task.stage != Stage::Proposing && waited >= limit {
            let names: Vec<_> = task.waiting.iter().map(|m| self.doc.name(*m)).collect();
            let why = format!("{} did not reach this step in time", names.join(", "));
            return self.conclude_ring(cx, task.asker, Some(why));
        }
        let again = if task.stage == Stage::Filling { FILL_AGAIN_MS } else { AGAIN_MS };
        if task.stage != Stage::Proposing && cx.now.mono_ms >= task.asked_ms + again {
            return self.ask_stage(cx, op, task);
        }
        self.tasks.insert(op, Task::Advance(task));
    }

    fn stage_done(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Advance) {
        match (task.stage, self.doc.step) {
            (Stage::Barrier, Step::WriteBoth) => self.enter(cx, task, Stage::Filling),
            (Stage::Barrier, Step::ReadNew) => self.enter(cx, task, Stage::Handing),
            (Stage::Filling, _) if task.unfilled > 0 => {
                let why =
                    format!("too few full owners to move some partitions ({})", task.unfilled);
                self.conclude_ring(cx, task.asker, Some(why));
            }
            (Stage::Filling | Stage::Handing, _) => {
                task.stage = Stage::Proposing;
                // Still the document that was asked about: any other ended the stage above.
                let Some(next) = self.doc.advance() else {
                    return self.conclude_ring(cx, task.asker, None);
                };
                self.tasks.insert(op, Task::Advance(task));
                self.propose(cx, Asker::Task(op), next);
            }
            _ => self.conclude_ring(cx, task.asker, None),
        }
    }

    /// Whether everything this node began under an older document has ended, told durably.
    pub(super) fn on_barrier(&mut self, cx: &mut Cx<'_>, from: NodeId, version: u64, op: u64) {
        let old = |task: &Task| match task {
            Task::Put(put) => put.version() < version,
            Task::Get(get) => get.is_older(version) && !planted::is(Bug::BarrierSkipsReads),
            _ => false,
        };
        let open = planted::is(Bug::BarrierIsOpen);
        let clear = self.doc.version >= version && (open || !self.tasks.values().any(old));
        let hints = cx.store.hint_stats().map_or(0, |s| s.count);
        let body = Body::Cleared { clear, hints };
        if self.stage.is_empty() {
            if self.is_doc_durable(cx) {
                return self.send(cx, from, op, body);
            }
            // The commit that held the document failed.
            self.stage.push(self.doc_op());
        }
        let refusal = Box::new(Body::Cleared { clear: false, hints });
        let seq = self.stage.last();
        self.stage.then(seq, super::Then::Send(from, op, Box::new(body), refusal));
    }
}

/// A write that is under way while the last step of a change is taken. Before that step is chosen every
/// member reads by the newer layout, and the owners of the one before may be gone.
pub(super) fn follow(put: &mut Put, now: &RingDoc) {
    let last = (put.doc.step, now.step) == (Step::ReadNew, Step::Settled);
    if last && now.version == put.doc.version + 1 {
        put.tally.forget_old(&put.doc, &put.request.options);
    }
}
