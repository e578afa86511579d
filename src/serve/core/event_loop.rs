//! The event loop: everything that happens to a served node, one thing after the other.
//!
//! ```text
//! take the events that have come -> the node handles them together -> carry out its actions -> again
//! ```
//!
//! What came together is committed together. The loop only dispatches: each event wakes one part. What it
//! does not do: it waits for nothing but its inbox and its clock; whatever would block is a task or a
//! thread of its own. Caveat: it reads the node's file itself, so a slow disk slows everything it does.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use super::{Core, Gossiped};
use crate::channel::{ClientRequest, Frame};
use crate::error::{Error, Result, operand};
use crate::node::{BatchSeq, Driver, Event, Note, Reply};
use crate::protocol::Message;
use crate::ring::NodeId;
use crate::serve::admission::duplicate_process;
use crate::serve::event::{Received, ServerEvent};
use crate::serve::id::{Requester, Ticket};
use crate::serve::links::RemoteEnd;
use crate::serve::maintenance::Situation;
use crate::serve::{StopReason, meter, status};
use crate::store::lmdb::Head;
use crate::store::{Batch, Failure};

/// The node's clock ticks this often.
const TICK: Duration = Duration::from_millis(50);
/// Things taken from the inbox before the node is asked.
const TAKEN_MAX: usize = 512;
/// A peer that did not let this node in this often has another key; it is logged once.
const REFUSALS: u32 = 3;

impl Core {
    /// Runs until it has to end.
    pub(in crate::serve) async fn run(
        mut self,
        mut inbox: Receiver<ServerEvent>,
    ) -> Result<StopReason> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taken = Vec::new();
        let ended = loop {
            tokio::select! {
                _ = inbox.recv_many(&mut taken, TAKEN_MAX) => {}
                _ = ticks.tick() => self.tick(),
            }
            for event in taken.drain(..) {
                self.take(event);
            }
            self.turn();
            self.check_links();
            self.publish();
            if let Some(error) = self.failed.take() {
                break Err(error);
            }
            if let Some(reason) = self.stop_reason() {
                break Ok(reason);
            }
        };
        self.setup.accepting.abort();
        for conn in self.links.drain() {
            conn.handle.finish().await;
        }
        // The commit thread may wait for room in the inbox: nothing is taken from it any more.
        inbox.close();
        self.pipeline.end();
        ended
    }

    fn take(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connected(connection) => self.connected(*connection),
            ServerEvent::DialFailed(id, why) => {
                let now_ms = self.now_ms();
                let (peer, tries) = (self.node.doc().name(id), self.links.dial_failed(id, now_ms));
                if tries == REFUSALS && matches!(why.root(), Error::Denied(_)) {
                    tracing::warn!(peer, "not let in: {why}");
                } else {
                    tracing::debug!(peer, "not reached: {why}");
                }
            }
            ServerEvent::Frame(received) => self.received(received),
            ServerEvent::LinkClosed(link, why) => self.link_closed(link, why),
            ServerEvent::Committed(seq, outcome) => self.committed(seq, outcome),
            ServerEvent::Fatal(error) => self.failed = Some(error),
            ServerEvent::Stop => self.stop(),
        }
    }

    fn received(&mut self, received: Received) {
        let Received { link, frame, permit, sent_ms } = received;
        let now_ms = self.now_ms();
        let Some(end) = self.links.conn(link).map(|c| c.remote_end) else { return };
        self.links.touch(link, now_ms);
        // A request lives no longer than its asker waits, however long it was under way.
        let age_ms = sent_ms.map_or(0, |at_ms| now_ms.saturating_sub(at_ms));
        match (end, frame) {
            (RemoteEnd::Peer(id), Frame::Message(mut message)) => {
                message.body.age(age_ms);
                self.message(id, *message);
            }
            (RemoteEnd::Client, Frame::Request(request, mut asked)) => {
                if let ClientRequest::Node(request) = &mut *asked {
                    request.age(age_ms);
                }
                self.request(Requester { link, request }, *asked, permit);
            }
            (RemoteEnd::Pending(id), frame) => self.dialled(link, id, frame),
            _ => self.link_closed(link, Some(Error::Denied("it speaks out of turn".into()))),
        }
    }

    /// Has the node handle what it is to hear, until it wants nothing more at once.
    fn turn(&mut self) {
        while !self.events.is_empty() {
            let events = std::mem::take(&mut self.events);
            let time = self.time();
            for action in self.node.handle_all(self.pipeline.file(), time, events) {
                action.carry_out(self);
            }
        }
    }

    fn committed(&mut self, seq: BatchSeq, outcome: std::result::Result<Head, Failure>) {
        let event = match outcome {
            Ok(head) => {
                self.pipeline.advance(head);
                Event::Committed(seq)
            }
            Err(failure) => {
                if let Failure::Full(why) = &failure
                    && self.node.has_room()
                {
                    // Logged once; how it is until then shows in the status.
                    tracing::warn!("nothing can be written: {why}");
                }
                Event::Failed(seq, failure)
            }
        };
        self.events.push(event);
    }

    fn tick(&mut self) {
        let now_ms = self.now_ms();
        self.events.push(Event::Tick);
        let linked = self.links.linked();
        for peer in self.liveness.tick(now_ms, &linked) {
            self.send_rows(peer, self.liveness.rows(), Gossiped::Push);
        }
        if self.liveness.has_duplicate() {
            self.failed = Some(duplicate_process(&self.own_name()));
        }
        self.dial_all(now_ms);
        self.update_liveness();
        self.requests_tick(now_ms);
        self.maintain(now_ms);
        self.stop_tick(now_ms);
    }

    fn maintain(&mut self, now_ms: u64) {
        if self.gauges.is_due(now_ms) {
            let (links, clients) = (self.links.linked().len(), self.links.clients());
            status::set_gauges(&self.node, self.pipeline.file(), meter::Open { links, clients });
        }
        if self.address_book.is_due(now_ms) {
            self.write_addresses();
        }
        if !self.node.is_ready() || !self.shutdown.is_running() {
            return;
        }
        let situation = Situation {
            now_ms,
            node: &self.node,
            file: self.pipeline.file(),
            alive: self.liveness.alive(),
            hand_over: self.requests.is_draining(),
        };
        for (job, request) in self.maintenance.due(&situation) {
            let ticket = self.requests.next_ticket();
            self.maintenance.started(job, ticket);
            self.events.push(Event::Request(ticket, request));
        }
    }
}

impl Driver for Core {
    fn send(&mut self, to: NodeId, message: Message) {
        Self::send(self, to, message);
    }

    fn commit(&mut self, seq: BatchSeq, batch: Batch) {
        self.pipeline.commit(seq, batch);
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.replied(ticket, reply);
    }

    fn note(&mut self, note: Note) {
        meter::note(note.kind());
        let text = note.text(self.node.doc());
        if note.is_corruption() {
            tracing::error!("{text}");
        } else {
            tracing::warn!("{text}");
        }
    }

    fn stop(&mut self, why: String) {
        let why = format!("The node's file failed, so it stopped: {why}");
        let name = operand(self.own_name());
        self.failed = Some(Error::Corrupt(why).hint(format!(
            "check the disk, then start it again; if it fails again, rebuild it: \
             kvs replace {name}"
        )));
    }
}
