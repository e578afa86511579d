//! What a node does by itself: hints, anti-entropy, filling, a change left half way, its address book.
//!
//! ```text
//! hints        a second after somebody came back, then every second while some are delivered
//! filling      at once, then every 5 s until nothing is filling
//! sync round   every --sync-every: totals compared with every peer, only differences travel
//! scrub        a slice a second, everything within a week; then it rests
//! shepherd     the lowest of the living takes up a change that nobody has moved for 15 s
//! ```
//!
//! One of each runs at a time, and each sends one message at a time: the foreground comes first.
//! What it does not do: it decides nothing about data; the node does. Caveat: a round in which a
//! peer could not be reached is a round all the same; the next one meets it.

use super::core::Core;
use super::event::Stopping;
use super::meter;
use crate::config::{self, PEERS_FILE};
use crate::embed;
use crate::node::{Event, RepairRequest, Reply, Request, scrubbed_ms};
use crate::os;
use crate::ring::{Member, NodeId, Step};
use crate::store::Store;

/// Waits in ms: between deliveries that went on and that were stuck, between two fillings, before a
/// change is taken up, between two writings of the address book, two settings of the gauges.
const HINTS_MS: u64 = 1_000;
const HINTS_STUCK_MS: u64 = 10_000;
const FILL_MS: u64 = 5_000;
const SHEPHERD_MS: u64 = 15_000;
const PEERS_MS: u64 = 1_000;
const GAUGES_MS: u64 = 5_000;
/// A slice of the scrub every so often, in ms; a pass takes two days at the most, and rests for five.
const SCRUB_MS: u64 = 1_000;
const SCRUB_SLICES: u64 = 2 * 86_400;
const SCRUB_BYTES: u64 = 256 << 10;
const SCRUB_REST_MS: u64 = 5 * 86_400_000;
/// Anybody may read the addresses.
const PEERS_KIND: os::Kind = os::Kind::OfNode(0o644);
/// A hint for a member that has been down for so long is old, in ms: the other owners get it too.
const OLD_MS: u64 = 3_600_000;

impl Core {
    /// Begins what is due.
    pub(super) fn chores_tick(&mut self) {
        let now = self.now_ms();
        if self.chores.gauges.is_due(now) {
            self.chores.gauges.due_ms = now + GAUGES_MS;
            self.set_gauges();
        }
        if self.chores.peers.is_due(now) {
            self.chores.peers.due_ms = now + PEERS_MS;
            self.write_peers();
        }
        if !self.node.is_ready() || self.stopping != Stopping::No {
            return;
        }
        self.hints_tick(now);
        self.sync_tick(now);
        self.ring_tick(now);
        self.scrub_tick(now);
    }

    fn request(&mut self, request: Request) -> Option<u64> {
        let ticket = self.desk.ticket();
        self.events.push(Event::Request(ticket, request));
        Some(ticket)
    }

    fn hints_tick(&mut self, now: u64) {
        let wanted = self.chores.deliver || self.desk.draining;
        if !wanted || !self.chores.hints.is_due(now) {
            return;
        }
        self.chores.hints.due_ms = now + HINTS_MS;
        if self.store.hint_stats().is_ok_and(|s| s.count > 0) {
            self.chores.hints.ticket = self.request(Request::Deliver);
            self.spread_tick(now);
        }
    }

    /// Reads a little of everything, whether or not anybody asks for it.
    fn scrub_tick(&mut self, now: u64) {
        let scrub = &mut self.chores.scrub;
        if scrub.due_ms == 0 {
            let last = scrubbed_ms(&self.store).unwrap_or(0);
            let rest = last.saturating_add(SCRUB_REST_MS).saturating_sub(embed::wall_ms());
            scrub.due_ms = now + SCRUB_MS + rest.min(SCRUB_REST_MS);
        }
        if scrub.is_due(now) {
            scrub.due_ms = now + SCRUB_MS;
            let bytes = self.store.used_bytes().unwrap_or(0) / SCRUB_SLICES;
            self.chores.scrub.ticket = self.request(Request::Scrub(bytes.max(SCRUB_BYTES)));
        }
    }

    /// Old hints are copied to the owners there are: the one they are for may never come back.
    fn spread_tick(&mut self, now: u64) {
        let doc = self.node.doc().clone();
        let up = |id: &NodeId| *id == self.node.id() || self.alive.contains(id);
        let away: Vec<_> = doc.present().map(|m| m.id).filter(|id| !up(id)).collect();
        self.chores.down.retain(|id, _| away.contains(id));
        for id in away {
            self.chores.down.entry(id).or_insert(now);
        }
        let old = |since: &&u64| now >= **since + OLD_MS;
        let gone = self.chores.down.values().filter(old).count();
        if gone > 0 && self.chores.spread.is_due(now) {
            self.chores.spread.due_ms = now + OLD_MS;
            tracing::warn!(
                members = gone,
                "hints are waiting for members that have long been down: bring them back"
            );
            self.chores.spread.ticket = self.request(Request::Spread);
        }
    }

    fn sync_tick(&mut self, now: u64) {
        let idle = self.chores.fill.ticket.is_none() && self.chores.sync.ticket.is_none();
        if idle && self.chores.fill.is_due(now) {
            self.chores.fill.due_ms = now + FILL_MS;
            if self.node.is_unsettled() && !self.alive.is_empty() {
                let request = Request::Repair(RepairRequest::default());
                self.chores.fill.ticket = self.request(request);
                return;
            }
        }
        let Some(every) = self.chores.sync_every else { return };
        if self.chores.sync.due_ms == 0 {
            // Nodes that start together do not all begin their rounds together.
            let every_ms = every.as_millis() as u64;
            self.chores.sync.due_ms =
                now + 1 + every_ms / 2 + self.node.id().0 % (every_ms / 2 + 1);
        }
        if idle && self.chores.sync.is_due(now) {
            self.chores.sync.due_ms = now + every.as_millis() as u64;
            self.chores.sync.ticket = self.request(Request::Repair(RepairRequest::default()));
        }
    }

    /// Takes up a change of the ring that nobody moves, and drops what nobody owns any more.
    fn ring_tick(&mut self, now: u64) {
        let (version, step) = (self.node.doc().version, self.node.doc().step);
        if version != self.chores.version {
            self.chores.version = version;
            // Hints for somebody who is no owner any more have another way to go.
            self.chores.wake();
            // What a change leaves behind goes soon after it.
            self.chores.shepherd.due_ms = now + SHEPHERD_MS;
            self.chores.cleanup.due_ms = now + HINTS_MS;
            return;
        }
        if step == Step::Settled {
            if self.chores.cleanup.is_due(now) {
                self.chores.cleanup.due_ms = now + self.cleanup_every();
                if self.node.has_leftovers(&self.store) {
                    self.chores.cleanup.ticket = self.request(Request::Cleanup);
                }
            }
            return;
        }
        let own = self.node.id();
        let lowest = self.alive.iter().chain([&own]).min().copied();
        if lowest == Some(own) && self.chores.shepherd.is_due(now) {
            self.chores.shepherd.due_ms = now + SHEPHERD_MS;
            self.chores.shepherd.ticket = self.request(Request::Advance);
        }
    }

    fn cleanup_every(&self) -> u64 {
        self.chores.sync_every.map_or(60_000, |every| every.as_millis() as u64)
    }

    /// Takes the reply to one of its own requests.
    pub(super) fn chore_done(&mut self, ticket: u64, reply: &Reply) {
        let now = self.now_ms();
        let chores = &mut self.chores;
        match reply {
            Reply::Deliver(delivered, left) if chores.hints.ticket == Some(ticket) => {
                chores.hints.ticket = None;
                let woken = std::mem::take(&mut chores.woken);
                chores.stuck = *delivered == 0 && *left > 0 && !woken;
                let wait = if chores.stuck { HINTS_STUCK_MS } else { HINTS_MS };
                chores.hints.due_ms = now + wait;
                meter::delivered(*delivered);
                if *delivered > 0 {
                    tracing::info!(delivered, left, "hints");
                }
            }
            Reply::Deliver(..) if chores.spread.ticket == Some(ticket) => {
                chores.spread.ticket = None;
            }
            Reply::Repair(report) => {
                let moved = report.pulled + report.pushed;
                if chores.sync.ticket == Some(ticket) {
                    chores.sync.ticket = None;
                    chores.rounds += 1;
                    meter::round(moved);
                    let (pulled, pushed) = (report.pulled, report.pushed);
                    tracing::debug!(pulled, pushed, missed = report.missed.len(), "round");
                }
                for chore in [&mut chores.fill, &mut chores.cleanup] {
                    if chore.ticket == Some(ticket) {
                        chore.ticket = None;
                        let (filling, dropped) = (report.filling.len(), report.dropped);
                        tracing::info!(moved, filling, dropped, "filled or cleaned up");
                    }
                }
            }
            Reply::Scrub { over, .. } if chores.scrub.ticket == Some(ticket) => {
                chores.scrub.ticket = None;
                if *over {
                    chores.scrub.due_ms = now + SCRUB_REST_MS;
                    tracing::info!("every record was read and its checksum verified");
                }
            }
            Reply::Ring(doc, why) if chores.shepherd.ticket == Some(ticket) => {
                chores.shepherd.ticket = None;
                let why = why.as_deref().unwrap_or("done");
                tracing::info!(version = doc.version, step = %doc.step, "ring change: {why}");
            }
            _ => {}
        }
    }

    fn set_gauges(&self) {
        let status = self.node.status(&self.store);
        let bytes = self.store.used_bytes().unwrap_or(0);
        meter::scrubbed(scrubbed_ms(&self.store));
        meter::stand(&status, bytes, self.peers.linked().len(), self.peers.clients());
    }

    /// Writes the addresses down, when they have changed. One that is started anew knows nobody else.
    pub(super) fn write_peers(&mut self) {
        let doc = self.node.doc();
        let own = self.node.id();
        let known =
            |m: &Member| self.gossip.row(m.id).map(|r| r.address.clone()).filter(|a| !a.is_empty());
        let peers = embed::peers(doc, &known);
        // Not yet a member, it knows the others by what it was given.
        if peers == self.chores.written || doc.member(own).is_none() && peers.peers.is_empty() {
            return;
        }
        let text = config::text(&peers);
        let path = self.chores.dir.join(PEERS_FILE);
        let written = text.and_then(|text| os::replace_file(&path, text.as_bytes(), PEERS_KIND));
        match written {
            Ok(()) => self.chores.written = peers,
            Err(error) => tracing::warn!("the addresses could not be written down: {error}"),
        }
    }
}
