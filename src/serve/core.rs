//! The loop: everything that happens to a served node, one thing after the other.
//!
//! ```text
//! take what has come -> the node handles all of it together -> carry out what it wants -> again
//! ```
//!
//! What came together is committed together. What it does not do: it waits for nothing but its inbox
//! and its clock; whatever would block is a task or a thread of its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::bounds::Bounds;
use super::commit::Committer;
use super::door::Papers;
use super::due::Chores;
use super::event::{In, Stopping};
use super::peers::Peers;
use super::quiet::Quiet;
use super::tickets::Desk;
use super::{Ended, meter};
use crate::channel::{PARCEL_BYTES_MAX, Parcel};
use crate::embed::wall_ms;
use crate::error::{Error, Result, operand};
use crate::gossip::{Gossip, Mood};
use crate::node::{Action, Event, Node, Note, Time};
use crate::protocol::{Body, Message};
use crate::ring::{NodeId, State};
use crate::store::lmdb::{Head, Lmdb};
use crate::store::{Batch, Failure};

/// The node's clock ticks so often.
const TICK: Duration = Duration::from_millis(50);
/// Things taken from the inbox before the node is asked.
const TAKEN_MAX: usize = 512;
/// A node that stops finishes what is under way for at most so long, in ms; then it says goodbye, and
/// gives its peers a moment to hear it.
const FINISH_MS: u64 = 5_000;
const GOODBYE_MS: u64 = 100;
/// Another process has this node's identity when its own row came back newer so often.
const ECHOES_MAX: u32 = 5;
/// A peer that did not let this node in so often has another key; it is said once.
const REFUSALS: u32 = 3;

/// See the module.
pub(super) struct Core {
    pub(super) node: Node,
    /// The reading half of the file.
    pub(super) store: Lmdb,
    pub(super) gossip: Gossip,
    pub(super) peers: Peers,
    pub(super) desk: Desk,
    pub(super) chores: Chores,
    pub(super) committer: Committer,
    pub(super) papers: Papers,
    pub(super) tell: Sender<In>,
    pub(super) door: AbortHandle,
    pub(super) bounds: Bounds,
    /// What others can have it log.
    pub(super) quiet: Quiet,
    /// The version of the document that the links were last held against.
    pub(super) checked: u64,
    pub(super) began: Instant,
    pub(super) stopping: Stopping,
    /// What the node is told next.
    pub(super) events: Vec<Event>,
    pub(super) alive: BTreeSet<NodeId>,
    /// Why it has to end.
    pub(super) failed: Option<Error>,
    /// Since when others say that another process is this node.
    pub(super) twin_ms: Option<u64>,
}

impl Core {
    /// Runs until it has to end.
    pub(super) async fn run(mut self, mut inbox: Receiver<In>) -> Result<Ended> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::new();
        let ended = loop {
            tokio::select! {
                _ = inbox.recv_many(&mut taken, TAKEN_MAX) => {}
                _ = ticks.tick() => self.tick(),
            }
            for what in taken.drain(..) {
                self.take(what);
            }
            self.turn();
            self.check_links();
            self.say_of_itself();
            if let Some(error) = self.failed.take() {
                break Err(error);
            }
            if let Some(ended) = self.is_over() {
                break Ok(ended);
            }
        };
        self.door.abort();
        for conn in self.peers.drain() {
            conn.link.finish().await;
        }
        // What the file still has to say is said to nobody.
        inbox.close();
        self.committer.end();
        ended
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now().as_millis() as u64
    }

    fn time(&self) -> Time {
        Time { wall_ms: wall_ms(), mono_ms: self.now_ms() }
    }

    fn take(&mut self, what: In) {
        let now = self.now_ms();
        match what {
            In::Arrived(arrival) => self.arrive(*arrival),
            In::Undialled(id, why) => {
                let (peer, tries) = (self.node.doc().name(id), self.peers.undialled(id, now));
                if tries == REFUSALS && matches!(why.root(), Error::Denied(_)) {
                    tracing::warn!(peer, "not let in: {why}");
                } else {
                    tracing::debug!(peer, "not reached: {why}");
                }
            }
            In::Parcel(link, parcel, seat, sent_ms) => {
                let age_ms = sent_ms.map_or(0, |at| now.saturating_sub(at));
                self.parcel(link, parcel, seat, age_ms);
            }
            In::Ended(link, why) => self.link_ended(link, why),
            In::Committed(seq, outcome) => self.committed(seq, outcome),
            In::Broken(error) => self.failed = Some(error),
            In::Stop => self.stop(),
        }
    }

    // ---- the node ---------------------------------------------------------------------------

    /// Has the node handle what it is to be told, until it wants nothing more at once.
    fn turn(&mut self) {
        while !self.events.is_empty() {
            let events = std::mem::take(&mut self.events);
            let actions = self.node.handle_all(&self.store, self.time(), events);
            for action in actions {
                self.act(action);
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(to, message) => self.send(to, message),
            Action::Commit(seq, batch) => self.commit(seq, batch),
            Action::Reply(ticket, reply) => self.replied(ticket, reply),
            Action::Note(note) => noted(&note),
            Action::Stop(why) => {
                let why = format!("The node's file failed, so it stopped: {why}");
                let name = operand(self.node.doc().name(self.node.id()));
                self.failed = Some(Error::Corrupt(why).hint(format!(
                    "check the disk, then start it again; if it fails again, rebuild it: \
                     kvs replace {name}"
                )));
            }
        }
    }

    fn send(&mut self, to: NodeId, message: Message) {
        let op = message.op;
        let parcel = Parcel::Message(Box::new(message));
        // What the other has no word for is not sent.
        let bytes = parcel.encode_for(self.peers.wire(to));
        if let (Parcel::Message(message), Some(bytes)) = (&parcel, &bytes) {
            meter::sent(&message.body, bytes.len());
        }
        // One that is too long would end the link, and again after each dial.
        let fits = bytes.as_ref().is_none_or(|bytes| bytes.len() <= PARCEL_BYTES_MAX);
        if !fits && let Some(unsaid) = self.quiet.may_say() {
            let (peer, bytes) = (self.node.doc().name(to), bytes.as_ref().map_or(0, Vec::len));
            tracing::error!(peer, bytes, unsaid, "a message is too long to be sent");
        }
        let sent = fits && bytes.is_some_and(|bytes| self.peers.send(to, bytes));
        if !sent && op != 0 {
            self.events.push(Event::Unsent(to, op));
        }
    }

    fn commit(&mut self, seq: u64, batch: Batch) {
        self.store.rest();
        self.committer.commit(seq, batch);
    }

    fn committed(&mut self, seq: u64, outcome: std::result::Result<Head, Failure>) {
        let event = match outcome {
            Ok(head) => {
                self.store.advance(head);
                Event::Committed(seq)
            }
            Err(failure) => {
                if let Failure::Full(why) = &failure
                    && self.node.has_room()
                {
                    // Said once; how it is until then shows in the status.
                    tracing::warn!("nothing can be written: {why}");
                }
                Event::Failed(seq, failure)
            }
        };
        self.events.push(event);
    }

    // ---- gossip -----------------------------------------------------------------------------

    pub(super) fn message(&mut self, from: NodeId, mut message: Message) {
        if let Body::Gossip { rows, answer } = &mut message.body {
            let doc = self.node.doc().clone();
            let present = |id| doc.member(id).is_some_and(|m| m.state != State::Removed);
            rows.retain(|row| present(row.id));
            let news = self.gossip.merge(from, std::mem::take(rows), self.now_ms());
            self.gossip.retain(present);
            if !*answer && !news.is_empty() {
                self.gossip_to(from, news, true);
            }
            self.see_alive();
        }
        // Of gossip too the node hears: the version of the ring that its sender acts under.
        self.events.push(Event::Message(from, message));
    }

    pub(super) fn gossip_to(&mut self, to: NodeId, rows: Vec<crate::gossip::Row>, answer: bool) {
        let doc = self.node.doc();
        let body = Body::Gossip { rows, answer };
        let message = Message { ring: doc.id, version: doc.version, op: 0, body };
        self.send(to, message);
    }

    // ---- time -------------------------------------------------------------------------------

    fn tick(&mut self) {
        let now = self.now_ms();
        self.events.push(Event::Tick);
        let linked = self.peers.linked();
        for peer in self.gossip.tick(now, &linked) {
            self.gossip_to(peer, self.gossip.rows(), false);
        }
        if self.gossip.echoes() > ECHOES_MAX {
            self.failed = Some(twin(&self.node.doc().name(self.node.id())));
        }
        self.dial_all(now);
        self.see_alive();
        self.desk_tick();
        self.chores_tick();
        self.stop_tick(now);
    }

    /// Keeps the own row true.
    fn say_of_itself(&mut self) {
        let (actor, version) = (self.node.actor(), self.node.doc().version);
        let mood = match self.stopping {
            Stopping::Goodbye(_) => Mood::Stopping,
            Stopping::Finishing(_) => Mood::Draining,
            Stopping::No if !self.node.is_ready() => Mood::Starting,
            Stopping::No if !self.node.has_room() => Mood::Full,
            Stopping::No if self.desk.draining => Mood::Draining,
            Stopping::No => Mood::Well,
        };
        let own = self.gossip.own();
        if (own.actor, own.version, own.mood) != (actor, version, mood) {
            let told = own.mood != mood;
            self.gossip.set(|row| (row.actor, row.version, row.mood) = (actor, version, mood));
            if told {
                self.say_to_all();
            }
        }
    }

    /// Tells every peer at once how it is, where waiting for the next round would cost requests.
    fn say_to_all(&mut self) {
        let row = self.gossip.own().clone();
        for peer in self.peers.linked() {
            self.gossip_to(peer, vec![row.clone()], true);
        }
    }

    fn dial_all(&mut self, now: u64) {
        if self.stopping != Stopping::No {
            return;
        }
        let own = self.node.id();
        let members: Vec<_> =
            self.node.doc().present().map(|m| m.id).filter(|id| *id != own).collect();
        for id in members {
            let address = self.gossip.row(id).map(|r| r.address.clone());
            let Some(address) = address.filter(|a| !a.is_empty()) else { continue };
            if self.peers.is_due(id, now) {
                super::door::dial(id, address, self.papers.clone(), self.tell.clone());
            }
        }
    }

    /// Tells the node whose links have ended, whether they were taken to be alive or not, and who can be
    /// reached.
    pub(super) fn see_alive(&mut self) {
        let now = self.now_ms();
        let linked = self.peers.linked();
        let alive: BTreeSet<NodeId> =
            linked.into_iter().filter(|id| self.gossip.is_up(*id, now)).collect();
        let before = std::mem::replace(&mut self.alive, alive.clone());
        let cut = self.peers.take_lost();
        if cut.is_empty() && alive == before {
            return;
        }
        for lost in before.difference(&alive) {
            tracing::warn!(peer = self.node.doc().name(*lost), "considered down");
        }
        for back in alive.difference(&before) {
            tracing::info!(peer = self.node.doc().name(*back), "up");
        }
        self.chores.wake();
        self.events.extend(cut.into_iter().map(Event::Cut));
        self.events.push(Event::Alive(alive));
    }

    // ---- the end ----------------------------------------------------------------------------

    /// Begins to stop: no new work; what is under way is finished.
    pub(super) fn stop(&mut self) {
        if self.stopping == Stopping::No {
            tracing::info!("stopping");
            drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
            self.door.abort();
            self.node.rest(true);
            self.stopping = Stopping::Finishing(self.now_ms() + FINISH_MS);
        }
    }

    fn stop_tick(&mut self, now: u64) {
        let Stopping::Finishing(until) = self.stopping else { return };
        if now < until && !(self.desk.is_empty() && self.node.is_coordinating_nothing()) {
            return;
        }
        self.write_peers();
        self.stopping = Stopping::Goodbye(now + GOODBYE_MS);
        self.say_of_itself();
    }

    fn is_over(&self) -> Option<Ended> {
        let removed = self.node.doc().member(self.node.id());
        if removed.is_some_and(|m| m.state == State::Removed) && !self.node.is_committing() {
            tracing::info!("this node is no longer a member of the ring");
            return Some(Ended::Removed);
        }
        match self.stopping {
            Stopping::Goodbye(at) if self.now_ms() >= at && !self.node.is_committing() => {
                Some(Ended::Stopped)
            }
            _ => None,
        }
    }
}

/// The end of a node that is not the only one of its identity.
pub(super) fn twin(name: &str) -> Error {
    let text = "Another process runs with this node's identity, so this one stopped.";
    let name = operand(name);
    let hint = format!("end one of them; a copy needs an identity of its own: kvs replace {name}");
    Error::Denied(text.into()).hint(hint)
}

/// Says what a person should know.
fn noted(note: &Note) {
    match note {
        Note::Unreadable(p, key) => {
            meter::note("unreadable");
            let key = crate::key::escape(key);
            tracing::error!(%p, key, "a record fails its checksum; it is healed from the others");
        }
        Note::Clash(key) => {
            meter::note("clash");
            tracing::error!(%key, "two values have the same dot: corruption");
        }
        Note::Lost(why) => {
            meter::note("lost");
            tracing::warn!("records may have been lost; filling again: {why}");
        }
        Note::Refused(from, why) => {
            meter::note("refused");
            tracing::warn!(%from, "a message was refused: {why}");
        }
    }
}
