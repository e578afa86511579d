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

use super::Replica;
use crate::key::Partition;
use crate::node::event::Note;
use crate::node::flow::Ctx;
use crate::planted::{self, Bug};
use crate::ring::RingDoc;

impl Replica {
    /// This node may have lost records of a partition.
    pub(in crate::node) fn lose(&mut self, cx: &mut Ctx<'_>, p: Partition, why: &str) {
        self.identity.renew();
        self.identity.fill(p);
        cx.note(Note::Lost(format!("partition {p}: {why}")));
    }

    /// New partitions of a new document are filling; dots minted before a drop are not gone on from.
    pub(in crate::node) fn gain(&mut self, before: &RingDoc) {
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
    pub(in crate::node) fn note_dropped(&mut self, p: Partition) {
        self.identity.corrupt.retain(|(at, _)| *at != p);
        self.identity.dropped = true;
        self.identity.dirty = true;
    }

    /// Partitions that hold a bad key, owned or not.
    pub(in crate::node) fn corrupt_partitions(&self) -> impl Iterator<Item = Partition> {
        self.identity.corrupt.iter().map(|b| b.0)
    }

    /// Owned partitions that are filling, have lost records, or hold a bad key.
    pub(in crate::node) fn unsettled(&self) -> BTreeSet<Partition> {
        let owned = self.doc.owned(self.id);
        let mut open: BTreeSet<_> =
            owned.into_iter().filter(|p| self.identity.is_marked(*p)).collect();
        let others = self.corrupt_partitions().chain(self.audits.doubtful());
        open.extend(others.filter(|p| self.doc.owns(self.id, *p)));
        open
    }

    /// Whether this node's copy of the partition votes and may mint.
    pub(in crate::node) fn is_full(&self, p: Partition) -> bool {
        let doubtful = self.audits.is_doubtful(p) && !planted::is(Bug::FillingVotes);
        self.doc.owns(self.id, p) && !self.identity.is_filling(p) && !doubtful
    }
}
