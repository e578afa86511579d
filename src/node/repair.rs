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

use serde::{Deserialize, Serialize};

use super::sync::PassReport;
use super::{Asker, Cx, Node, Outcome, RepairRequest, Reply, Task, Then, Wake};
use crate::key::Partition;
use crate::planted::{self, Bug};
use crate::protocol::Scope;
use crate::ring::{NodeId, Step};
use crate::store::Op;

/// What a repair or cleanup of one node did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairReport {
    /// Records taken from others.
    pub pulled: u64,
    /// Records given to others.
    pub pushed: u64,
    /// Partitions still filling here, or holding a bad key.
    pub filling: Vec<Partition>,
    /// Owners with whom no pass was completed.
    pub missed: Vec<NodeId>,
    /// Partitions dropped by a cleanup.
    pub dropped: usize,
}

/// Passes under way.
pub(super) struct Repair {
    asker: Asker,
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
    stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its own copies are read; what is wrong with them is struck before anything is compared.
    Auditing,
    Passing,
    /// Everything is staged.
    Ending,
}

impl Node {
    /// Syncs with every member that shares a partition.
    pub(super) fn repair(&mut self, cx: &mut Cx<'_>, asker: Asker, request: RepairRequest) {
        // A member that shares nothing is not synced with, but may know of a newer ring.
        let members = self.doc.present().map(|m| m.id).filter(|id| *id != self.id);
        let met = members.filter(|id| self.is_up(*id)).collect();
        self.greet(cx, met);
        let scope = match &request.partitions {
            None => Scope::Shared,
            Some(partitions) => Scope::Only(partitions.clone()),
        };
        let shares = |id: &NodeId| !self.shared(*id, &request).is_empty();
        let others = self.doc.present().map(|m| m.id).filter(|id| *id != self.id);
        let (up, down): (Vec<_>, Vec<_>) = others.filter(shares).partition(|id| self.is_up(*id));
        let scoped = |id: NodeId| match &scope {
            Scope::Shared => (id, Scope::Shared),
            Scope::Only(_) => (id, Scope::Only(self.shared(id, &request))),
        };
        let passes = up.into_iter().map(scoped).collect();
        let missed = down.into_iter().collect();
        self.start_repair(cx, asker, passes, missed, request.accept_missing, Vec::new());
    }

    /// The partitions wanted that both this node and the peer own.
    fn shared(&self, peer: NodeId, request: &RepairRequest) -> Vec<Partition> {
        let mut shared = self.scope(peer, &Scope::Shared);
        if let Some(wanted) = &request.partitions {
            shared.retain(|p| wanted.contains(p));
        }
        shared
    }

    /// Hands over and drops what this node holds and no longer owns; only when the ring is settled.
    pub(super) fn cleanup(&mut self, cx: &mut Cx<'_>, asker: Asker) {
        let sums = cx.store.sums().unwrap_or_default();
        let held = sums.into_iter().filter(|s| s.1.count > 0).map(|s| s.0);
        let held: BTreeSet<_> = held.chain(self.bad_partitions()).collect();
        let mut leftovers: Vec<_> =
            held.into_iter().filter(|p| !self.doc.owns(self.id, *p)).collect();
        if self.doc.step != Step::Settled {
            leftovers.clear();
        }
        let mut by_owner: BTreeMap<NodeId, Vec<Partition>> = BTreeMap::new();
        for p in &leftovers {
            for owner in self.doc.writers(*p) {
                by_owner.entry(owner).or_default().push(*p);
            }
        }
        let (up, down): (Vec<_>, Vec<_>) = by_owner.into_iter().partition(|o| self.is_up(o.0));
        let passes = up.into_iter().map(|(id, ps)| (id, Scope::Only(ps))).collect();
        let missed = down.into_iter().map(|o| o.0).collect();
        self.start_repair(cx, asker, passes, missed, false, leftovers);
    }

    fn start_repair(
        &mut self,
        cx: &mut Cx<'_>,
        asker: Asker,
        passes: VecDeque<(NodeId, Scope)>,
        missed: BTreeSet<NodeId>,
        accept_missing: bool,
        leftovers: Vec<Partition>,
    ) {
        let task = Repair {
            asker,
            all: passes.clone(),
            passes,
            began: Some(self.audits.now()),
            again: BTreeSet::new(),
            met: BTreeMap::new(),
            missed,
            accept_missing,
            leftovers,
            report: RepairReport::default(),
            stage: Stage::Auditing,
        };
        let op = self.new_op();
        self.repair_audit(cx, op, task);
    }

    fn repair_audit(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Repair) {
        // Those that nobody shares too, and those that are handed over.
        let mut own = self.doc.owned(self.id);
        own.extend(&task.leftovers);
        if !self.audit_some(cx, &own) {
            self.tasks.insert(op, Task::Repair(task));
            return;
        }
        task.stage = Stage::Passing;
        task.began = task.began.map(|_| self.audits.now());
        if self.audits.are_striking() && !self.stage.is_empty() {
            self.stage.then(self.stage.last(), Then::Wake(op));
            self.tasks.insert(op, Task::Repair(task));
            return;
        }
        self.repair_next(cx, op, task);
    }

    fn repair_next(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Repair) {
        let Some((peer, scope)) = task.passes.pop_front() else {
            if task.began.take().is_some_and(|began| began != self.audits.now()) {
                // What was lost on the way is healed in the same run.
                task.passes = task.all.clone();
                task.stage = Stage::Auditing;
                return self.repair_audit(cx, op, task);
            }
            return self.repair_end(cx, op, task);
        };
        self.tasks.insert(op, Task::Repair(task));
        self.pass(cx, Asker::Task(op), peer, scope);
    }

    pub(super) fn on_repair(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Repair, wake: Wake) {
        match wake {
            Wake::Child(Outcome::Pass(pass)) => {
                task.note(pass);
                self.repair_next(cx, op, task);
            }
            Wake::Tick if task.stage == Stage::Auditing => self.repair_audit(cx, op, task),
            Wake::Committed(_) if task.stage == Stage::Passing => {
                task.began = task.began.map(|_| self.audits.now());
                self.repair_next(cx, op, task);
            }
            Wake::Committed(_) if task.stage == Stage::Ending => self.repair_done(cx, task),
            _ => drop(self.tasks.insert(op, Task::Repair(task))),
        }
    }

    /// Ends fillings and drops leftovers, and waits until that is durable.
    fn repair_end(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Repair) {
        let reached: BTreeSet<NodeId> = task.met.keys().copied().collect();
        self.settle_filling(cx, task.accept_missing.then_some(&reached));
        for p in std::mem::take(&mut task.leftovers) {
            let owners = self.doc.writers(p);
            let met = |o: &NodeId| task.met.get(o).is_some_and(|ps| ps.contains(&p));
            let one = planted::is(Bug::CleanupAfterOne) && owners.iter().any(met);
            let met = owners.iter().all(met) || one;
            if !owners.is_empty() && met && !self.doc.owns(self.id, p) {
                task.report.dropped += 1;
                self.stage.push(Op::Drop(p));
                self.note_dropped(p);
            }
        }
        if self.read_only || !self.stage.is_due() && self.stage.is_empty() {
            return self.repair_done(cx, task);
        }
        task.stage = Stage::Ending;
        let seq = self.stage.next();
        self.stage.then(seq, Then::Wake(op));
        self.tasks.insert(op, Task::Repair(task));
    }

    fn repair_done(&mut self, cx: &mut Cx<'_>, task: Repair) {
        let mut report = task.report;
        report.filling = self.unsettled().into_iter().collect();
        report.missed = task.missed.into_iter().collect();
        self.conclude(cx, task.asker, Outcome::Reply(Reply::Repair(report)));
    }
}

impl Repair {
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
