//! What a node's copies are worth: full, filling or bad, and how each comes about and ends.
//!
//! ```text
//! lost something -> new actor + filling --a pass with enough full owners--> full
//! checksum fails -> new actor + bad key --the same-----------------------> healed
//! new in a document -> filling          dropped under an actor -> never minted there again by it
//! ```
//!
//! Only a full copy votes and mints. What makes a copy less is taken at once; what makes it more
//! counts when it is durable.

use std::collections::BTreeSet;

use super::{Action, Asker, Cx, Node, Note, Outcome, Reply, Then};
use crate::error::Result;
use crate::key::{KEY_BYTES_MAX, Key, Partition, Q};
use crate::planted::{self, Bug};
use crate::ring::{NodeId, RingDoc, Step};
use crate::store::Op;
use crate::store::verify::{Bad, Verdict};

impl Node {
    /// This node may have lost anything: as after a rollback, a copy or a restore.
    pub(super) fn lose_all(&mut self, _reason: &str) {
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

    /// A record's checksum fails: it is listed, its leaf rebuilt without it, and healed by a sync.
    pub(super) fn mark_bad(&mut self, cx: &mut Cx<'_>, p: Partition, key: &[u8]) {
        if planted::is(Bug::UnreadableIsAbsent) || !self.identity.bad.insert((p, key.to_vec())) {
            return;
        }
        if !planted::is(Bug::KeepActorAfterRot) {
            self.identity.renew();
        }
        self.identity.passes.remove(&p);
        self.identity.again.insert(p);
        cx.out.push(Action::Note(Note::Unreadable(p, key.to_vec())));
        if !self.read_only {
            self.stage.push(Op::Bad { partition: p, key: key.to_vec() });
        }
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

    /// A complete pass over these partitions with an owner that was full in them.
    pub(super) fn passed(&mut self, peer: NodeId, partitions: &[Partition]) {
        for p in partitions {
            let bad = self.identity.bad.iter().any(|(at, _)| at == p);
            if self.identity.is_marked(*p) || bad {
                self.identity.passes.entry(*p).or_default().insert(peer);
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
        for p in self.doc.owned(self.id) {
            if !self.doc.owners_in(&old, p).contains(&self.id) {
                self.identity.fill(p);
            }
        }
    }

    /// Ends the filling of every partition that has met enough full owners. With `accept`, of every
    /// partition met by each of those named.
    pub(super) fn settle_filling(&mut self, accept: Option<&BTreeSet<NodeId>>) {
        let open: BTreeSet<Partition> = self.unsettled();
        let done = |p: &Partition| {
            let layout = self.doc.read_layout();
            let others: Vec<_> =
                self.doc.owners_in(layout, *p).into_iter().filter(|o| *o != self.id).collect();
            // max(N - W + 1, R): every acknowledged write is met, and all that a strict read left on
            // N - R + 1 owners. With W and R the majority of N that is a majority.
            let needed = self.doc.majority().min(others.len());
            let empty = BTreeSet::new();
            let met = self.identity.passes.get(p).unwrap_or(&empty);
            let enough = others.iter().filter(|o| met.contains(o)).count() >= needed;
            let one = planted::is(Bug::OnePassIsEnough) && !met.is_empty();
            enough
                || one
                || accept.is_some_and(|reached| {
                    others.iter().all(|o| !self.is_up(*o) || reached.contains(o))
                })
        };
        let full: Vec<Partition> = open.into_iter().filter(done).collect();
        if full.is_empty() || self.read_only {
            return;
        }
        for (p, key) in self.identity.bad.iter().filter(|(p, _)| full.contains(p)) {
            self.stage.push(Op::Healed { partition: *p, key: key.clone() });
        }
        full.iter().for_each(|p| {
            self.identity.again.remove(p);
        });
        let seq = self.stage.next();
        self.stage.then(seq, Then::Full(full));
    }

    /// Partitions that hold a bad key, owned or not.
    pub(super) fn bad_partitions(&self) -> impl Iterator<Item = Partition> {
        self.identity.bad.iter().map(|b| b.0)
    }

    /// Owned partitions that are filling or hold a bad key.
    pub(super) fn unsettled(&self) -> BTreeSet<Partition> {
        let owned = self.doc.owned(self.id);
        let mut open: BTreeSet<_> =
            owned.into_iter().filter(|p| self.identity.is_marked(*p)).collect();
        open.extend(self.bad_partitions().filter(|p| self.doc.owns(self.id, *p)));
        open
    }

    /// Compares a partition's leaves with its records before the first mint on an absent key: a
    /// record can vanish without a checksum error. `false` when something had.
    pub(super) fn audit(&mut self, cx: &mut Cx<'_>, p: Partition) -> Result<bool> {
        if self.identity.audited.contains(&p) || planted::is(Bug::SkipAudit) {
            return Ok(true);
        }
        let verdict = crate::store::verify::audit(cx.store, p)?;
        self.identity.audited.insert(p);
        if verdict.is_good() {
            return Ok(true);
        }
        self.lose(cx, p, "its leaves do not match its records");
        self.stage.push(Op::Rebuild(p));
        for bad in verdict.bad {
            self.mark_bad(cx, p, &bad.key);
        }
        Ok(false)
    }

    /// Reads a whole partition and lists what is damaged.
    pub(super) fn verify(&mut self, cx: &mut Cx<'_>, asker: Asker, p: Partition) {
        let verdict = match crate::store::verify::verify(cx.store, p) {
            Ok(verdict) => verdict,
            Err(error) => {
                // The table itself cannot be read: said, and left as it is.
                let bad = vec![Bad { key: Vec::new(), why: error.to_string() }];
                let verdict = Verdict { bad, ..Verdict::default() };
                return self.conclude(cx, asker, Outcome::Reply(Reply::Verify(verdict)));
            }
        };
        // In a damaged page even the key may be of no length a key has: then only the leaf is rebuilt.
        let keyed = |b: &&Bad| (1..=KEY_BYTES_MAX).contains(&b.key.len());
        for bad in verdict.bad.iter().filter(keyed) {
            self.mark_bad(cx, p, &bad.key);
        }
        let unexplained = verdict.bad.is_empty() && !verdict.digest_matches();
        if unexplained || verdict.bad.iter().any(|b| !keyed(&b)) {
            self.lose(cx, p, "its leaves do not match its records");
            self.stage.push(Op::Rebuild(p));
        }
        self.conclude(cx, asker, Outcome::Reply(Reply::Verify(verdict)));
    }

    /// An operator gives up this node's unreadable copy of a key.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, asker: Asker, key: &Key) {
        let partition = self.q().partition(key);
        if self.identity.bad.remove(&(partition, key.as_bytes().to_vec())) {
            self.stage.push(Op::Healed { partition, key: key.as_bytes().to_vec() });
        }
        self.tell_unsettled(cx, asker);
    }

    /// A repair report without a repair: what is filling or holds a bad key.
    pub(super) fn tell_unsettled(&mut self, cx: &mut Cx<'_>, asker: Asker) {
        let filling = self.unsettled().into_iter().collect();
        let report = super::RepairReport { filling, ..super::RepairReport::default() };
        self.conclude(cx, asker, Outcome::Reply(Reply::Repair(report)));
    }

    /// Whether this node's copy of the partition votes and may mint.
    pub(super) fn is_full(&self, p: Partition) -> bool {
        self.doc.owns(self.id, p) && !self.identity.is_filling(p)
    }

    /// The Q of the ring.
    pub(super) fn q(&self) -> Q {
        self.doc.q
    }
}
