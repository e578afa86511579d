//! When each chore is due, and which of them is under way.
//!
//! ```text
//! hints  due 12.0 s, ticket 41 under way      sync  due 60.3 s      fill  due 5.1 s      …
//! ```
//!
//! Values only; `chores` does the work.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Peers;
use crate::ring::NodeId;

/// A chore: when it is due, and the ticket of the one under way.
#[derive(Clone, Copy, Default)]
pub(super) struct ScheduledJob {
    pub(super) due_ms: u64,
    pub(super) ticket: Option<u64>,
}

impl ScheduledJob {
    pub(super) fn is_due(self, now: u64) -> bool {
        self.ticket.is_none() && now >= self.due_ms
    }
}

/// See the module.
pub(super) struct Schedule {
    pub(super) dir: PathBuf,
    pub(super) metrics: Option<String>,
    pub(super) sync_every: Option<Duration>,
    pub(super) deliver: bool,
    pub(super) hints: ScheduledJob,
    pub(super) sync: ScheduledJob,
    pub(super) fill: ScheduledJob,
    pub(super) ring_driver: ScheduledJob,
    pub(super) cleanup: ScheduledJob,
    pub(super) address_book: ScheduledJob,
    pub(super) gauges: ScheduledJob,
    pub(super) spread: ScheduledJob,
    pub(super) scrub: ScheduledJob,
    /// Since when members have been down.
    pub(super) down: BTreeMap<NodeId, u64>,
    /// The version of the ring last seen, to tell a change that nobody moves.
    pub(super) version: u64,
    pub(super) stuck: bool,
    /// Somebody came or went while a delivery was under way: it did not know.
    pub(super) woken: bool,
    pub(super) written: Peers,
    pub(super) rounds: u64,
}

impl Schedule {
    pub(super) fn new(
        dir: PathBuf,
        metrics: Option<String>,
        sync_every: Option<Duration>,
        deliver: bool,
        written: Peers,
    ) -> Self {
        let none = ScheduledJob::default();
        Self {
            dir,
            metrics,
            sync_every,
            deliver,
            hints: none,
            sync: none,
            fill: none,
            ring_driver: none,
            cleanup: none,
            address_book: none,
            gauges: none,
            spread: none,
            scrub: none,
            down: BTreeMap::new(),
            version: 0,
            stuck: false,
            woken: false,
            written,
            rounds: 0,
        }
    }

    /// Somebody came or went: hints are tried again at once.
    pub(super) fn wake(&mut self) {
        self.hints.due_ms = 0;
        self.stuck = false;
        self.woken = self.hints.ticket.is_some();
    }

    /// Whether the hints that are left can be delivered to nobody now.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck || !self.deliver
    }
}
