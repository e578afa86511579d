//! What a driver may ask of a node at any time, without an event: how it is, what it is moving.
//!
//! ```text
//! is_ready has_room is_unsettled has_leftovers     what the maintenance of a served node goes by
//! status transfers                                 what people see
//! ```
//!
//! Looking changes nothing; `rest` alone does, and says so.

use std::sync::Arc;

use super::Node;
use super::event::{Status, Time, Transfer};
use super::replica::Replica;
use crate::clock::Actor;
use crate::ring::{NodeId, RingDoc};
use crate::store::Store;

impl Node {
    /// Who it is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.replica.id
    }

    /// The ring document it acts under.
    #[must_use]
    pub fn doc(&self) -> &Arc<RingDoc> {
        &self.replica.doc
    }

    /// Whether nothing is under way: no operation, no commit, nothing staged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ops.is_empty() && self.replica.queue.is_empty()
    }

    /// Whether it may act: it has heard its witnesses.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.replica.identity.is_waiting()
    }

    /// Begins or ends a rest: it coordinates no more writes, and keeps no more hints for others.
    pub fn rest(&mut self, resting: bool) {
        self.replica.resting = resting;
    }

    /// Whether no write is being coordinated here, or has a coordinator to answer to.
    #[must_use]
    pub fn is_coordinating_nothing(&self) -> bool {
        !self.ops.values().any(|(_, op)| op.is_open_write())
    }

    /// The oldest version of the ring document that a write under way here began under: what the
    /// simulator holds the barriers of a change against.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn oldest_write(&self) -> Option<u64> {
        self.ops.values().filter_map(|(_, op)| op.write_version()).min()
    }

    /// Whether a batch is being made durable or waits to be.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        !self.replica.queue.is_empty()
    }

    /// Whether its commits find room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.replica.disk.is_full()
    }

    /// Whether something is filling or holds a corrupt key.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        !self.replica.unsettled().is_empty()
    }

    /// Whether it holds records of partitions that it does not own.
    #[must_use]
    pub fn has_leftovers(&self, store: &dyn Store) -> bool {
        let sums = store.sums().unwrap_or_default();
        let owns = |p| self.replica.doc.owns(self.replica.id, p);
        sums.into_iter().any(|(p, sum)| sum.count > 0 && !owns(p))
    }

    /// Whether it remembers something of the others that is not written yet.
    #[must_use]
    pub fn remembers_more(&self) -> bool {
        !self.replica.read_only && self.replica.identity.witness.remembers_more()
    }

    /// Its present actor.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.replica.identity.actor
    }

    /// What it is moving now.
    #[must_use]
    pub fn transfers(&self, now: Time) -> Vec<Transfer> {
        self.ops.values().filter_map(|(_, op)| op.transfer(now.mono_ms)).collect()
    }

    /// How it is.
    #[must_use]
    pub fn status(&self, store: &dyn Store) -> Status {
        self.replica.status(store)
    }
}

impl Replica {
    /// How it is.
    pub(super) fn status(&self, store: &dyn Store) -> Status {
        let owned = self.doc.owned(self.id);
        let sums = store.sums().unwrap_or_default();
        Status {
            version: self.doc.version,
            actor: self.identity.actor.0,
            owns: owned.len(),
            filling: owned.iter().filter(|p| self.identity.is_filling(**p)).count(),
            keys: sums.iter().map(|s| s.1.count).sum(),
            hints: store.hint_stats().map_or(0, |s| s.count),
            bad: self.identity.corrupt_count(),
            waiting: self.identity.is_waiting(),
            full: self.disk.is_full(),
        }
    }
}
