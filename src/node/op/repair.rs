//! Repair and cleanup: passes with every owner that can be reached, one after the other.
//!
//! ```text
//! repair of n1:   pass n2, pass n3, … -> what was filling and has met enough full owners is full
//!                 before the first of them n1 reads its own keys: what does not match is struck;
//!                 what is found on the way makes it go round once more
//! cleanup of n1:  for each partition it holds and no longer owns: pass with every owner, then drop
//! ```
//!
//! After every node of a ring has repaired once, with nothing written meanwhile, all are equal.
//! `accept_missing` ends the filling though some owners could not be reached: an operator's word.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::key::Partition;
use crate::node::commit_queue::OnCommit;
use crate::node::event::{RepairReport, RepairRequest, Reply};
use crate::node::flow::{Ctx, Flow, Outcome, PassReport, Start, Wake};
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Scope;
use crate::ring::{ChangeStep, NodeId};
use crate::store::Op;

/// Passes under way.
pub(in crate::node) struct Repair {
    /// Peers to come, with the scope of the pass; none left: waiting for the last commit.
    passes: VecDeque<(NodeId, Scope)>,
    /// All of them, should they be needed once more.
    all: VecDeque<(NodeId, Scope)>,
    /// Where the passes began, see `audit`; `None` when they have gone round twice.
    began: Option<u64>,
    /// Peers that were asked once more.
    again: BTreeSet<NodeId>,
    /// With whom a pass was completed, and over which partitions.
    met: BTreeMap<NodeId, Vec<Partition>>,
    missed: BTreeSet<NodeId>,
    accept_missing: bool,
    /// Leftovers to drop once every owner has met them.
    leftovers: Vec<Partition>,
    report: RepairReport,
    stage: RepairStage,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RepairStage {
    /// Its own copies are read; what is wrong with them is struck before anything is compared.
    Auditing,
    Passing,
    /// Everything is staged.
    Ending,
}

impl Repair {
    /// Syncs with every member that shares a partition.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        request: &RepairRequest,
    ) -> Flow<Box<Self>> {
        // A member that shares nothing is not synced with, but may know of a newer ring.
        let met = node.others().filter(|id| node.is_up(*id)).collect();
        node.greet(cx, met);
        let others: Vec<_> = node.others().collect();
        let (mut passes, mut missed) = (VecDeque::new(), BTreeSet::new());
        for id in others {
            let mut shared = node.scope(id, &Scope::Shared);
            if let Some(wanted) = &request.partitions {
                shared.retain(|p| wanted.contains(p));
            }
            match (shared.is_empty(), node.is_up(id)) {
                (true, _) => {}
                (false, false) => drop(missed.insert(id)),
                (false, true) if request.partitions.is_none() => {
                    passes.push_back((id, Scope::Shared));
                }
                (false, true) => passes.push_back((id, Scope::Only(shared))),
            }
        }
        let mut repair = Box::new(Self::of(node, passes, missed));
        repair.accept_missing = request.accept_missing;
        repair.audit(node, cx)
    }

    /// Hands over and drops what this node holds and no longer owns; only when the ring is settled.
    pub(in crate::node) fn begin_cleanup(node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let leftovers = leftovers(node, cx);
        let mut by_owner: BTreeMap<NodeId, Vec<Partition>> = BTreeMap::new();
        for p in &leftovers {
            for owner in node.doc.writers(*p) {
                by_owner.entry(owner).or_default().push(*p);
            }
        }
        let (up, down): (Vec<_>, Vec<_>) = by_owner.into_iter().partition(|o| node.is_up(o.0));
        let passes = up.into_iter().map(|(id, ps)| (id, Scope::Only(ps))).collect();
        let missed = down.into_iter().map(|o| o.0).collect();
        let mut repair = Box::new(Self::of(node, passes, missed));
        repair.leftovers = leftovers;
        repair.audit(node, cx)
    }

    fn of(node: &Replica, passes: VecDeque<(NodeId, Scope)>, missed: BTreeSet<NodeId>) -> Self {
        Self {
            all: passes.clone(),
            passes,
            began: Some(node.audits.now()),
            again: BTreeSet::new(),
            met: BTreeMap::new(),
            missed,
            accept_missing: false,
            leftovers: Vec::new(),
            report: RepairReport::default(),
            stage: RepairStage::Auditing,
        }
    }

    fn audit(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        // Those that are shared with no other node too, and those that are handed over.
        let mut own = node.doc.owned(node.id);
        own.extend(&self.leftovers);
        if !node.audit_some(cx, &own) {
            return Flow::Wait(self);
        }
        self.stage = RepairStage::Passing;
        self.began = self.began.map(|_| node.audits.now());
        if node.audits.are_striking() && !node.queue.is_empty() {
            node.wake_when_durable(cx);
            return Flow::Wait(self);
        }
        self.next(node, cx)
    }

    fn next(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        if let Some((peer, scope)) = self.passes.pop_front() {
            cx.start_child(Start::Pass(peer, scope));
            return Flow::Wait(self);
        }
        if self.began.take().is_some_and(|began| began != node.audits.now()) {
            // What was lost on the way is healed in the same run.
            self.passes = self.all.clone();
            self.stage = RepairStage::Auditing;
            return self.audit(node, cx);
        }
        self.end(node, cx)
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        match (self.stage, wake) {
            (_, Wake::Child(Outcome::Pass(pass))) => {
                self.note(pass);
                self.next(node, cx)
            }
            (RepairStage::Auditing, Wake::Tick) => self.audit(node, cx),
            (RepairStage::Passing, Wake::Committed | Wake::CommitFailed) => {
                self.began = self.began.map(|_| node.audits.now());
                self.next(node, cx)
            }
            (RepairStage::Ending, Wake::Committed | Wake::CommitFailed) => self.done(node),
            _ => Flow::Wait(self),
        }
    }

    /// Ends fillings and drops leftovers, and waits until that is durable.
    fn end(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let reached: BTreeSet<NodeId> = self.met.keys().copied().collect();
        node.settle_filling(cx, self.accept_missing.then_some(&reached));
        for p in std::mem::take(&mut self.leftovers) {
            let owners = node.doc.writers(p);
            let met = |o: &NodeId| self.met.get(o).is_some_and(|ps| ps.contains(&p));
            let one = planted::is(Bug::CleanupAfterOne) && owners.iter().any(met);
            let met = owners.iter().all(met) || one;
            if !owners.is_empty() && met && !node.doc.owns(node.id, p) {
                self.report.dropped += 1;
                node.queue.push(Op::Drop(p));
                node.note_dropped(p);
            }
        }
        if node.read_only || !node.queue.is_due() && node.queue.is_empty() {
            return self.done(node);
        }
        self.stage = RepairStage::Ending;
        node.queue.then(node.queue.next(), OnCommit::Wake(cx.op));
        Flow::Wait(self)
    }

    fn done(self: Box<Self>, node: &Replica) -> Flow<Box<Self>> {
        let mut report = self.report;
        report.filling = node.unsettled().into_iter().collect();
        report.missed = self.missed.into_iter().collect();
        Flow::reply(Reply::Repair(report))
    }

    fn note(&mut self, pass: PassReport) {
        self.report.pulled += pass.pulled;
        self.report.pushed += pass.pushed;
        let Some(peer) = pass.peer else { return };
        if pass.again && self.again.insert(peer) {
            self.passes.extend(self.all.iter().find(|p| p.0 == peer).cloned());
            return;
        }
        if pass.completed {
            self.missed.remove(&peer);
            self.met.entry(peer).or_default().extend(pass.proven);
        } else {
            self.missed.insert(peer);
        }
    }
}

/// Partitions that this node holds and does not own; none while the ring changes.
fn leftovers(node: &Replica, cx: &Ctx<'_>) -> Vec<Partition> {
    if node.doc.step != ChangeStep::Settled {
        return Vec::new();
    }
    let sums = cx.store.sums().unwrap_or_default();
    let held = sums.into_iter().filter(|s| s.1.count > 0).map(|s| s.0);
    let held: BTreeSet<_> = held.chain(node.corrupt_partitions()).collect();
    held.into_iter().filter(|p| !node.doc.owns(node.id, *p)).collect()
}
