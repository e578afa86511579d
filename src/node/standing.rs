//! What a node's copies are worth: full, filling or bad, and how each comes about and ends.
//!
//! ```text
//! lost something -> new actor + filling --a pass with enough full owners--> full
//! checksum fails -> new actor + bad key --votes of enough full owners----> healed
//! new in a document -> filling          dropped under an actor -> never minted there again by it
//! ```
//!
//! Only a full copy votes and mints. What makes a copy less is taken at once; what makes it more
//! counts when it is durable. A bad key makes that key filling, not its partition: two owners may have
//! one each and still heal each other. A partition that is known to have lost records is healed from
//! others or accepted as it is; no pass with nobody ends a loss. How losses are found: `audit`.

use std::collections::BTreeSet;

use super::audit::BadKey;
use super::{Action, Asker, Cx, Node, Note, Outcome, Reply};
use crate::key::{Partition, Q};
use crate::planted::{self, Bug};
use crate::ring::{NodeId, RingDoc, Step};

impl Node {
    /// This node may have lost anything: as after a rollback, a copy or a restore. Its new life is
    /// above the one that it was met in, so that every witness takes it for what it now is.
    pub(super) fn lose_all(&mut self, met_epoch: u64) {
        self.identity.begin_life(met_epoch);
        self.identity.renew();
        for p in self.doc.owned(self.id) {
            self.identity.fill(p);
        }
        self.identity.muted = true;
    }

    /// This node may have lost records of a partition.
    pub(super) fn lose(&mut self, cx: &mut Cx<'_>, p: Partition, why: &str) {
        self.identity.renew();
        self.identity.fill(p);
        cx.out.push(Action::Note(Note::Lost(format!("partition {p}: {why}"))));
    }

    /// New partitions of a new document are filling; dots minted before a drop are not gone on from.
    pub(super) fn gain(&mut self, before: &RingDoc) {
        let gained: Vec<Partition> = self.doc.q.all().filter(|p| self.gains(before, *p)).collect();
        if gained.is_empty() {
            return;
        }
        if self.identity.dropped && !planted::is(Bug::KeepActorAfterDrop) {
            self.identity.renew();
        }
        if !planted::is(Bug::JoinerIsFull) {
            gained.into_iter().for_each(|p| self.identity.fill(p));
        }
    }

    fn gains(&self, before: &RingDoc, p: Partition) -> bool {
        self.doc.owns(self.id, p) && !before.owns(self.id, p)
    }

    /// A partition is dropped under the present actor, its bad keys too.
    pub(super) fn note_dropped(&mut self, p: Partition) {
        self.identity.bad.retain(|(at, _)| *at != p);
        self.identity.dropped = true;
        self.identity.dirty = true;
    }

    /// A complete pass that began at `began`, with an owner that was full in these partitions and has
    /// voted on these bad keys.
    pub(super) fn passed(
        &mut self,
        peer: NodeId,
        began: u64,
        partitions: &[Partition],
        keys: Vec<BadKey>,
    ) {
        for p in partitions.iter().filter(|p| self.audits.is_same_since(**p, began)) {
            if self.identity.is_marked(*p) || self.audits.has_lost(*p) {
                self.identity.passes.entry(*p).or_default().insert(peer);
            }
        }
        for key in keys {
            if self.identity.bad.contains(&key) && self.audits.is_same_since(key.0, began) {
                self.audits.voted.entry(key).or_default().insert(peer);
            }
        }
    }

    /// The barrier of a change is passed: what this node gains by it fills from scratch, for a pass
    /// begun before may have missed a write that went to the older owners alone.
    pub(super) fn refill(&mut self) {
        let version = self.doc.version;
        let Some(old) = self.doc.old.clone().filter(|_| self.doc.step == Step::WriteBoth) else {
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
    pub(super) fn settle_filling(&mut self, cx: &mut Cx<'_>, accept: Option<&BTreeSet<NodeId>>) {
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
        let healed = |bad: &&BadKey| {
            let (p, none) = (bad.0, BTreeSet::new());
            if self.is_stray(bad) {
                return full.contains(&p) || self.is_full(p);
            }
            let voted = self.audits.voted.get(*bad).unwrap_or(&none);
            !self.audits.is_striking(p) && self.has_met(p, voted, true, accept)
        };
        let keys: Vec<BadKey> = self.identity.bad.iter().filter(healed).cloned().collect();
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

    /// Partitions that hold a bad key, owned or not.
    pub(super) fn bad_partitions(&self) -> impl Iterator<Item = Partition> {
        self.identity.bad.iter().map(|b| b.0)
    }

    /// Owned partitions that are filling, have lost records, or hold a bad key.
    pub(super) fn unsettled(&self) -> BTreeSet<Partition> {
        let owned = self.doc.owned(self.id);
        let mut open: BTreeSet<_> =
            owned.into_iter().filter(|p| self.identity.is_marked(*p)).collect();
        let others = self.bad_partitions().chain(self.audits.doubtful());
        open.extend(others.filter(|p| self.doc.owns(self.id, *p)));
        open
    }

    /// A repair report without a repair: what is filling or holds a bad key.
    pub(super) fn tell_unsettled(&mut self, cx: &mut Cx<'_>, asker: Asker) {
        let filling = self.unsettled().into_iter().collect();
        let report = super::RepairReport { filling, ..super::RepairReport::default() };
        self.conclude(cx, asker, Outcome::Reply(Reply::Repair(report)));
    }

    /// Whether this node's copy of the partition votes and may mint.
    pub(super) fn is_full(&self, p: Partition) -> bool {
        let doubtful = self.audits.is_doubtful(p) && !planted::is(Bug::FillingVotes);
        self.doc.owns(self.id, p) && !self.identity.is_filling(p) && !doubtful
    }

    /// The Q of the ring.
    pub(super) fn q(&self) -> Q {
        self.doc.q
    }
}
