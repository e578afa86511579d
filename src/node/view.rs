//! What a driver may ask of a node at any time, without an event: how it is, what it is moving.
//!
//! ```text
//! is_ready has_room is_unsettled has_leftovers     what a served node's chores go by
//! status transfers                                 what people see
//! ```
//!
//! Looking changes nothing; `rest` alone does, and says so.

use super::{Node, Status, Task, Time, Transfer};
use crate::clock::Actor;
use crate::store::Store;

impl Node {
    /// Whether it may act: it has heard its witnesses.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.identity.is_waiting()
    }

    /// Begins or ends a rest: it coordinates no more writes, and keeps no more hints for others.
    pub fn rest(&mut self, resting: bool) {
        self.resting = resting;
    }

    /// Whether no write is being coordinated here, or has a coordinator to answer to.
    #[must_use]
    pub fn is_coordinating_nothing(&self) -> bool {
        let write = |task: &Task| matches!(task, Task::Put(put) if !put.is_answered());
        !self.tasks.values().any(|t| write(t) || matches!(t, Task::Forward(_)))
    }

    /// The oldest version of the ring document that a write under way here began under: what the
    /// simulator holds the barriers of a change against.
    #[cfg(feature = "planted")]
    #[must_use]
    pub fn oldest_write(&self) -> Option<u64> {
        let version = |task: &Task| match task {
            Task::Put(put) => Some(put.version()),
            _ => None,
        };
        self.tasks.values().filter_map(version).min()
    }

    /// Whether a batch is being made durable or waits to be.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        !self.stage.is_empty()
    }

    /// Whether its commits find room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.room.is_full()
    }

    /// Whether something is filling or holds a bad key.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled().is_empty()
    }

    /// Whether it holds records of partitions that it does not own.
    #[must_use]
    pub fn has_leftovers(&self, store: &dyn Store) -> bool {
        let sums = store.sums().unwrap_or_default();
        sums.into_iter().any(|(p, sum)| sum.count > 0 && !self.doc.owns(self.id, p))
    }

    /// Whether it remembers something of the others that is not written yet.
    #[must_use]
    pub fn remembers_more(&self) -> bool {
        !self.read_only && self.identity.witness.remembers_more()
    }

    /// Its present actor.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.identity.actor
    }

    /// What it is moving now.
    #[must_use]
    pub fn transfers(&self, now: Time) -> Vec<Transfer> {
        let age = |since: u64| now.mono_ms.saturating_sub(since);
        let of = |task: &Task| match task {
            Task::Pass(pass) => Some(pass.transfer(age(pass.started_ms))),
            Task::Deliver(deliver) => deliver.transfer(age(deliver.started_ms)),
            _ => None,
        };
        self.tasks.values().filter_map(of).collect()
    }

    /// How it is.
    #[must_use]
    pub fn status(&self, store: &dyn Store) -> Status {
        let owned = self.doc.owned(self.id);
        let sums = store.sums().unwrap_or_default();
        Status {
            version: self.doc.version,
            actor: self.identity.actor.0,
            owns: owned.len(),
            filling: owned.iter().filter(|p| self.identity.is_filling(**p)).count(),
            keys: sums.iter().map(|s| s.1.count).sum(),
            hints: store.hint_stats().map_or(0, |s| s.count),
            bad: self.identity.bad_count(),
            waiting: self.identity.is_waiting(),
            full: self.room.is_full(),
        }
    }
}
