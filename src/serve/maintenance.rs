//! What a node does by itself: hints, anti-entropy, filling, cleaning up, a change left half way.
//!
//! ```text
//! hints        a second after a member came back, then every second while some are delivered
//! filling      at once, then every 5 s until nothing is filling
//! sync round   every --sync-every: totals compared with every peer, only differences travel
//! scrub        a slice a second, everything within two days; then it rests for five
//! ring change  the member with the lowest id that is up drives a change that has stood still for 15 s
//! ```
//!
//! One run of each at a time (`schedule`), and each sends one message at a time: the foreground comes
//! first. What it does not do: it sends nothing and decides nothing about data; it says which requests
//! are due, and the node carries them out. Caveat: a round in which a peer could not be reached is a
//! round all the same; the next one meets it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::id::Ticket;
use super::meter;
use super::schedule::{MaintenanceJob, Schedule};
use crate::node::{Node, RepairReport, RepairRequest, Reply, Request, scrubbed_ms};
use crate::ring::{ChangeStep, NodeId, RingDoc};
use crate::store::Store;
use crate::store::lmdb::Lmdb;

/// Waits in ms: between deliveries that went on and that were stuck, between two fillings, before a
/// change is taken up, between two looks for leftovers where anti-entropy is off.
const HINTS_MS: u64 = 1_000;
const HINTS_STUCK_MS: u64 = 10_000;
const FILL_MS: u64 = 5_000;
const RING_DRIVER_MS: u64 = 15_000;
const CLEANUP_MS: u64 = 60_000;
/// The time between two slices of the scrub, in ms; a pass takes two days at the most, and rests for five.
const SCRUB_MS: u64 = 1_000;
const SCRUB_SLICES: u64 = 2 * 86_400;
const SCRUB_BYTES: u64 = 256 << 10;
const SCRUB_REST_MS: u64 = 5 * 86_400_000;
/// A hint is old when its target has been down for this time, in ms: the other owners get it too.
const OLD_MS: u64 = 3_600_000;

/// What maintenance looks at when it decides what is due.
pub(super) struct Situation<'a> {
    pub(super) now_ms: u64,
    pub(super) node: &'a Node,
    pub(super) file: &'a Lmdb,
    /// The peers that are linked and taken to be up.
    pub(super) alive: &'a BTreeSet<NodeId>,
    /// The node is draining: it hands over its hints, wanted or not.
    pub(super) hand_over: bool,
}

/// See the module.
pub(super) struct Maintenance {
    schedule: Schedule,
    sync_every: Option<Duration>,
    /// Whether hints are delivered while the node is not drained.
    deliver: bool,
    /// Since when members have been down, in ms.
    down: BTreeMap<NodeId, u64>,
    /// The version of the ring last seen, to notice a change that stands still.
    version: u64,
    /// The last delivery handed over nothing, though some hints are left.
    stuck: bool,
    /// A member came or went while a delivery was running, which did not know of it.
    woken: bool,
    /// Completed rounds of anti-entropy.
    rounds: u64,
}

impl Maintenance {
    /// With anti-entropy every `sync_every`, if at all. Hints are delivered unless it is without.
    pub(super) fn new(sync_every: Option<Duration>) -> Self {
        Self {
            schedule: Schedule::default(),
            sync_every,
            deliver: true,
            down: BTreeMap::new(),
            version: 0,
            stuck: false,
            woken: false,
            rounds: 0,
        }
    }

    /// The same, but hints are kept until the node is drained.
    pub(super) fn without_hints(self) -> Self {
        Self { deliver: false, ..self }
    }

    /// A member came or went: hints are tried again at once.
    pub(super) fn wake(&mut self) {
        self.schedule.hurry(MaintenanceJob::DeliverHints);
        self.stuck = false;
        self.woken = self.schedule.is_running(MaintenanceJob::DeliverHints);
    }

    /// Whether none of the hints that are left can be delivered now.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck || !self.deliver
    }

    /// Completed rounds of anti-entropy since the start.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds
    }

    /// The requests that are due, each to be begun at once; see [`Maintenance::started`].
    pub(super) fn due(&mut self, now: &Situation<'_>) -> Vec<(MaintenanceJob, Request)> {
        let mut due = Vec::new();
        self.hints(now, &mut due);
        due.extend(self.sync(now));
        due.extend(self.ring(now));
        due.extend(self.scrub(now));
        due
    }

    /// The node has begun a job under this ticket.
    pub(super) fn started(&mut self, job: MaintenanceJob, ticket: Ticket) {
        self.schedule.start(job, ticket);
    }

    fn hints(&mut self, now: &Situation<'_>, due: &mut Vec<(MaintenanceJob, Request)>) {
        let wanted = self.deliver || now.hand_over;
        if !wanted || !self.schedule.is_due(MaintenanceJob::DeliverHints, now.now_ms) {
            return;
        }
        self.schedule.set(MaintenanceJob::DeliverHints, now.now_ms + HINTS_MS);
        if now.file.hint_stats().is_ok_and(|s| s.count > 0) {
            due.push((MaintenanceJob::DeliverHints, Request::Deliver));
            due.extend(self.rehint(now));
        }
    }

    /// Old hints are copied to the owners that are up: the one they are for may never come back.
    fn rehint(&mut self, now: &Situation<'_>) -> Option<(MaintenanceJob, Request)> {
        let up = |id: &NodeId| *id == now.node.id() || now.alive.contains(id);
        let down: Vec<_> = now.node.doc().present().map(|m| m.id).filter(|id| !up(id)).collect();
        self.down.retain(|id, _| down.contains(id));
        for id in down {
            self.down.entry(id).or_insert(now.now_ms);
        }
        let old = |since_ms: &&u64| now.now_ms >= **since_ms + OLD_MS;
        let long_down = self.down.values().filter(old).count();
        if long_down == 0 || !self.schedule.is_due(MaintenanceJob::Rehint, now.now_ms) {
            return None;
        }
        self.schedule.set(MaintenanceJob::Rehint, now.now_ms + OLD_MS);
        tracing::warn!(
            members = long_down,
            "hints are waiting for members that have long been down: bring them back"
        );
        Some((MaintenanceJob::Rehint, Request::Spread))
    }

    fn sync(&mut self, now: &Situation<'_>) -> Option<(MaintenanceJob, Request)> {
        let idle = !self.schedule.is_running(MaintenanceJob::Fill)
            && !self.schedule.is_running(MaintenanceJob::Sync);
        if idle && self.schedule.is_due(MaintenanceJob::Fill, now.now_ms) {
            self.schedule.set(MaintenanceJob::Fill, now.now_ms + FILL_MS);
            if now.node.is_unsettled() && !now.alive.is_empty() {
                return Some((MaintenanceJob::Fill, Request::Repair(RepairRequest::default())));
            }
        }
        let every_ms = self.sync_every?.as_millis() as u64;
        if !self.schedule.is_set(MaintenanceJob::Sync) {
            // Nodes that start together do not all begin their rounds together.
            let spread_ms = now.node.id().0 % (every_ms / 2 + 1);
            self.schedule.set(MaintenanceJob::Sync, now.now_ms + 1 + every_ms / 2 + spread_ms);
        }
        if !idle || !self.schedule.is_due(MaintenanceJob::Sync, now.now_ms) {
            return None;
        }
        self.schedule.set(MaintenanceJob::Sync, now.now_ms + every_ms);
        Some((MaintenanceJob::Sync, Request::Repair(RepairRequest::default())))
    }

    /// Takes up a change of the ring that stands still, and drops records that have no owner here any more.
    fn ring(&mut self, now: &Situation<'_>) -> Option<(MaintenanceJob, Request)> {
        let doc = now.node.doc();
        if doc.version != self.version {
            self.version = doc.version;
            // Hints for a node that owns the partition no more have another way to go.
            self.wake();
            self.schedule.set(MaintenanceJob::RingDriver, now.now_ms + RING_DRIVER_MS);
            // What a change leaves behind goes soon after it.
            self.schedule.set(MaintenanceJob::Cleanup, now.now_ms + HINTS_MS);
            return None;
        }
        if doc.step == ChangeStep::Settled {
            return self.cleanup(now);
        }
        let own = now.node.id();
        // One driver is enough. Two that both take themselves for it do no harm: the documents of a
        // change are chosen by Paxos, so the second proposal is refused.
        let lowest = now.alive.iter().chain([&own]).min().copied();
        if lowest != Some(own) || !self.schedule.is_due(MaintenanceJob::RingDriver, now.now_ms) {
            return None;
        }
        self.schedule.set(MaintenanceJob::RingDriver, now.now_ms + RING_DRIVER_MS);
        Some((MaintenanceJob::RingDriver, Request::Advance))
    }

    fn cleanup(&mut self, now: &Situation<'_>) -> Option<(MaintenanceJob, Request)> {
        if !self.schedule.is_due(MaintenanceJob::Cleanup, now.now_ms) {
            return None;
        }
        let every_ms = self.sync_every.map_or(CLEANUP_MS, |every| every.as_millis() as u64);
        self.schedule.set(MaintenanceJob::Cleanup, now.now_ms + every_ms);
        now.node.has_leftovers(now.file).then_some((MaintenanceJob::Cleanup, Request::Cleanup))
    }

    /// Reads a little of everything, so that damage is found before a client meets it.
    fn scrub(&mut self, now: &Situation<'_>) -> Option<(MaintenanceJob, Request)> {
        if !self.schedule.is_set(MaintenanceJob::Scrub) {
            // A node that is restarted often goes on where its last pass left off.
            let last_ms = scrubbed_ms(now.file).unwrap_or(0);
            let rest_ms =
                last_ms.saturating_add(SCRUB_REST_MS).saturating_sub(crate::os::wall_ms());
            self.schedule
                .set(MaintenanceJob::Scrub, now.now_ms + SCRUB_MS + rest_ms.min(SCRUB_REST_MS));
        }
        if !self.schedule.is_due(MaintenanceJob::Scrub, now.now_ms) {
            return None;
        }
        self.schedule.set(MaintenanceJob::Scrub, now.now_ms + SCRUB_MS);
        let bytes = now.file.used_bytes().unwrap_or(0) / SCRUB_SLICES;
        Some((MaintenanceJob::Scrub, Request::Scrub(bytes.max(SCRUB_BYTES))))
    }

    /// Takes the reply to one of its own requests; of any other it takes no notice.
    pub(super) fn finished(&mut self, ticket: Ticket, reply: &Reply, now_ms: u64) {
        let Some(job) = self.schedule.finish(ticket) else { return };
        match (job, reply) {
            (MaintenanceJob::DeliverHints, Reply::Deliver(delivered, left)) => {
                let woken = std::mem::take(&mut self.woken);
                self.stuck = *delivered == 0 && *left > 0 && !woken;
                let wait_ms = if self.stuck { HINTS_STUCK_MS } else { HINTS_MS };
                self.schedule.set(MaintenanceJob::DeliverHints, now_ms + wait_ms);
                meter::delivered(*delivered);
                if *delivered > 0 {
                    tracing::info!(delivered, left, "hints");
                }
            }
            (MaintenanceJob::Sync, Reply::Repair(report)) => self.round(report),
            (MaintenanceJob::Fill | MaintenanceJob::Cleanup, Reply::Repair(report)) => {
                let moved = report.pulled + report.pushed;
                let (filling, dropped) = (report.filling.len(), report.dropped);
                tracing::info!(moved, filling, dropped, "filled or cleaned up");
            }
            (MaintenanceJob::Scrub, Reply::Scrub { over: true, .. }) => {
                self.schedule.set(MaintenanceJob::Scrub, now_ms + SCRUB_REST_MS);
                tracing::info!("every record was read and its checksum verified");
            }
            (MaintenanceJob::RingDriver, Reply::Ring(doc, why)) => driven(doc, why.as_deref()),
            _ => {}
        }
    }

    fn round(&mut self, report: &RepairReport) {
        self.rounds += 1;
        meter::round(report.pulled + report.pushed);
        let (pulled, pushed) = (report.pulled, report.pushed);
        tracing::debug!(pulled, pushed, missed = report.missed.len(), "round");
    }
}

fn driven(doc: &RingDoc, why: Option<&str>) {
    let why = why.unwrap_or("done");
    tracing::info!(version = doc.version, step = %doc.step, "ring change: {why}");
}
