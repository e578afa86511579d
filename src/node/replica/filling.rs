//! How a copy becomes full again, and how a corrupt key is healed.
//!
//! ```text
//! pass with a full owner -> passed: the owner counts for what the pass has proven
//! enough owners          -> settle_filling: read once more, the end staged
//! durable                -> filled / healed: it votes and mints again
//! barrier of a change    -> refill: what this node gains fills from scratch
//! ```
//!
//! What makes a copy more counts when it is durable. A partition known to have lost records is healed
//! from others or accepted by an operator; no pass with nobody ends a loss.

use std::collections::BTreeSet;

use super::Replica;
use crate::key::Partition;
use crate::node::audits::CorruptKey;
use crate::node::commit_queue::OnCommit;
use crate::node::flow::Ctx;
use crate::planted::{self, Bug};
use crate::ring::{ChangeStep, NodeId};
use crate::store::{Loss, Op};

impl Replica {
    /// A complete pass that began at `began`, with an owner that was full in these partitions and has
    /// voted on these bad keys.
    pub(in crate::node) fn passed(
        &mut self,
        peer: NodeId,
        began: u64,
        partitions: &[Partition],
        keys: Vec<CorruptKey>,
    ) {
        for p in partitions.iter().filter(|p| self.audits.is_same_since(**p, began)) {
            if self.identity.is_marked(*p) || self.audits.has_lost(*p) {
                self.identity.passes.entry(*p).or_default().insert(peer);
            }
        }
        for key in keys {
            if self.identity.corrupt.contains(&key) && self.audits.is_same_since(key.0, began) {
                self.audits.voted.entry(key).or_default().insert(peer);
            }
        }
    }

    /// The barrier of a change is passed: what this node gains by it fills from scratch, for a pass
    /// begun before may have missed a write that went to the older owners alone.
    pub(in crate::node) fn refill(&mut self) {
        let version = self.doc.version;
        let Some(old) = self.doc.old.clone().filter(|_| self.doc.step == ChangeStep::WriteBoth)
        else {
            return;
        };
        if planted::is(Bug::OldPassesCount)
            || std::mem::replace(&mut self.identity.refilled, version) == version
        {
            return;
        }
        self.identity.dirty = true;
        for p in self.doc.owned(self.id) {
            if !self.doc.owners_in(&old, p).contains(&self.id) {
                self.identity.fill(p);
            }
        }
    }

    /// Ends the filling of every partition that has met enough full owners, and the badness of every
    /// key that enough of them have voted on. With `accept`, of all that were met by each of those
    /// named, though these are few.
    pub(in crate::node) fn settle_filling(
        &mut self,
        cx: &mut Ctx<'_>,
        accept: Option<&BTreeSet<NodeId>>,
    ) {
        if self.read_only {
            return;
        }
        let open = self.unsettled().into_iter();
        let open = open.filter(|p| self.identity.is_marked(*p) || self.audits.is_doubtful(*p));
        let met = |p: &Partition| {
            let met = self.identity.passes.get(p).cloned().unwrap_or_default();
            !self.audits.is_striking(*p) && self.has_met(*p, &met, self.audits.has_lost(*p), accept)
        };
        let full: Vec<Partition> = open.filter(met).collect();
        let full: Vec<_> = full.into_iter().filter(|p| self.audit_again(cx, *p)).collect();
        let healed = |bad: &&CorruptKey| {
            let (p, none) = (bad.0, BTreeSet::new());
            if self.is_stray(bad) {
                return full.contains(&p) || self.is_full(p);
            }
            let voted = self.audits.voted.get(*bad).unwrap_or(&none);
            !self.audits.is_striking(p) && self.has_met(p, voted, true, accept)
        };
        let keys: Vec<CorruptKey> = self.identity.corrupt.iter().filter(healed).cloned().collect();
        self.heal_keys(keys);
        if !full.is_empty() {
            self.end_filling(full);
        }
    }

    /// Whether so many full owners of a partition are enough to be sure of what they hold; when
    /// something is known to be missing, nobody is not.
    fn has_met(
        &self,
        p: Partition,
        met: &BTreeSet<NodeId>,
        lossy: bool,
        accept: Option<&BTreeSet<NodeId>>,
    ) -> bool {
        let layout = self.doc.read_layout();
        let mut others = self.doc.owners_in(layout, p);
        others.retain(|o| *o != self.id);
        // max(N - W + 1, R): every acknowledged write is met, and all that a strict read left on
        // N - R + 1 owners. With W and R the majority of N that is a majority.
        let needed = self.doc.majority().min(others.len());
        let of_owners = others.iter().filter(|o| met.contains(o)).count();
        let accepted = accept
            .is_some_and(|reached| others.iter().all(|o| !self.is_up(*o) || reached.contains(o)));
        let needed = if planted::is(Bug::OnePassIsEnough) { 1 } else { needed };
        // Where nobody else owns it, nobody can say that nothing is missing but an operator.
        (of_owners >= needed && !others.is_empty() || accepted) && (of_owners > 0 || !lossy)
    }

    /// Stages the end of the filling of partitions, and of their losses.
    pub(in crate::node) fn end_filling(&mut self, full: Vec<Partition>) {
        for p in &full {
            self.identity.again.remove(p);
            if self.audits.has_lost(*p) {
                self.queue.push(Op::Meta(Loss::row(*p), None));
            }
        }
        let seq = self.queue.next();
        self.queue.then(seq, OnCommit::Full(full));
    }

    /// Stages the end of bad keys.
    pub(in crate::node) fn heal_keys(&mut self, keys: Vec<CorruptKey>) {
        for (partition, key) in keys {
            let op = Op::Healed { partition, key: key.clone() };
            let seq = self.queue.push(op);
            self.queue.then(seq, OnCommit::Healed(partition, key));
        }
    }

    /// Partitions are durably full; what their files had in mind is ended too.
    pub(in crate::node) fn filled(&mut self, partitions: &[Partition]) {
        for p in partitions.iter().filter(|p| !self.identity.again.contains(*p)) {
            self.audits.lost.remove(p);
        }
        self.identity.filled(partitions);
    }

    /// A bad key is durably healed, unless it was struck once more meanwhile.
    pub(in crate::node) fn healed(&mut self, p: Partition, key: Vec<u8>) {
        if !self.audits.striking.contains(&(p, Some(key.clone()))) {
            self.audits.voted.remove(&(p, key.clone()));
            self.identity.corrupt.remove(&(p, key));
        }
    }

    /// Partitions that have lost records, and those filling that no other node owns.
    pub(in crate::node) fn lost_or_alone(&self) -> BTreeSet<Partition> {
        let alone = |p: &Partition| self.identity.is_marked(*p) && self.doc.writers(*p).len() == 1;
        let alone = self.doc.owned(self.id).into_iter().filter(alone);
        self.audits.lost.keys().copied().chain(alone).collect()
    }
}
