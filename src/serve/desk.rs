//! The desk: what clients ask, from question to answer.
//!
//! ```text
//! Ask(7, Node(Get k)) -> ticket 41 -> the node … -> Reply(41) -> Told(7, Reply)
//!                        every second meanwhile:    Told(7, Busy)
//! Ask(8, File(Sums))  -> read from the file at once
//! ```
//!
//! A node that has not heard its witnesses keeps questions until it has, or their time is over. One
//! that drains or stops sends clients elsewhere, before anything of their request is done. Caveat:
//! an answer that nobody waits for any more is thrown away; what was asked is done all the same.

use std::ops::ControlFlow;

use serde_bytes::ByteBuf;

use super::core::Core;
use super::event::Stopping;
use super::guests::Seat;
use super::meter;
use super::tickets::{Asked, Held};
use crate::channel::{
    Ask, End, Fault, Info, Load, Look, News, PARCEL_BYTES_MAX, Parcel, Seen, Told,
};
use crate::digest::Sum;
use crate::embed::wall_ms;
use crate::error::{Error, Result};
use crate::node::{Event, Reply, Request};
use crate::protocol::WIRE_LOWEST;
use crate::quorum::Verdict;
use crate::store::lmdb::FILE;
use crate::store::{Store, hint_page};

/// Whoever waits hears so often that he is not forgotten, in ms.
const BUSY_MS: u64 = 1_000;
/// A question is kept for a node that is starting for at most so long, in ms.
const HELD_MS: u64 = 5_000;
/// Bytes in one page of raw records, or of hints.
const PAGE_BYTES: usize = 1 << 20;
/// Hints in one answer.
const HINTS_MAX: usize = 1_024;

impl Core {
    /// Answers a question, or has it answered.
    pub(super) fn asked(&mut self, link: u64, ticket: u64, ask: Ask, seat: Option<Seat>) {
        if !is_operators(&ask) && self.peers.conn(link).is_some_and(|c| c.operator) {
            let text = "This node has reached its limit of clients; nothing was tried.";
            let error = Error::Busy(text.into()).hint("ask another node of the ring");
            return self.tell(link, ticket, Told::Fault(Fault::from(&error)));
        }
        if let Err(error) = ask.check(self.node.doc()) {
            tracing::warn!("a question was refused: {error}");
            return self.tell(link, ticket, Told::Fault(Fault::from(&error)));
        }
        let told = match ask {
            Ask::Node(request) => return self.ask_node(link, ticket, request, seat),
            Ask::File(look) => seen(&self.store, &look).map(Told::File),
            Ask::Ring => Ok(Told::Ring(Box::new((**self.node.doc()).clone()))),
            Ask::Info => self.info().map(|info| Told::Info(Box::new(info))),
            Ask::Members => Ok(Told::Members(self.members())),
            Ask::Transfers => Ok(Told::Transfers(self.transfers())),
            Ask::Load => self.load().map(|load| Told::Load(Box::new(load))),
            Ask::Drain(draining) => return self.drain(link, ticket, draining),
            Ask::Stop => {
                self.stop();
                Ok(Told::Done)
            }
        };
        self.tell(link, ticket, told.unwrap_or_else(|e| Told::Fault(Fault::from(&e))));
    }

    fn tell(&mut self, link: u64, ticket: u64, told: Told) {
        let reads = !matches!(told, Told::Busy | Told::Reply(Reply::Put(_)));
        let wire = self.peers.conn(link).map_or(WIRE_LOWEST, |conn| conn.wire);
        let mut bytes =
            Parcel::Told(ticket, Box::new(told)).encode_for(wire).unwrap_or_else(|| {
                let error = Error::Usage("The answer is one that an older kvs cannot read.".into());
                let fault = Fault::from(&error.hint("upgrade the kvs that asks"));
                Parcel::Told(ticket, Box::new(Told::Fault(fault))).encode()
            });
        if bytes.len() > PARCEL_BYTES_MAX {
            let text = format!("The answer has {} bytes: too many for one parcel.", bytes.len());
            let told = Told::Fault(Fault::from(&Error::Denied(text)));
            bytes = Parcel::Told(ticket, Box::new(told)).encode();
        }
        if reads {
            self.desk.guests.answered(bytes.len());
        }
        self.peers.tell(link, bytes);
    }

    fn ask_node(&mut self, link: u64, ticket: u64, request: Request, seat: Option<Seat>) {
        let closed = self.desk.draining || self.stopping != Stopping::No;
        if closed && request.is_data() {
            let text = "This node accepts no more requests; nothing was tried.".to_owned();
            let error = Error::Busy(text).hint("ask another node of the ring");
            return self.tell(link, ticket, Told::Fault(Fault::from(&error)));
        }
        let now = self.now_ms();
        if !self.node.is_ready() && request.is_data() {
            let until_ms = now + HELD_MS.min(patience(&request).unwrap_or(HELD_MS));
            let held = Held { link, ticket, request, since_ms: now, until_ms, seat };
            return self.desk.held.push(held);
        }
        let own = self.desk.ticket();
        let op = name(&request);
        let data = request.is_data().then_some(!matches!(request, Request::Scan(..)));
        let began = self.now();
        let asked = Asked { link, ticket, op, data, began, busy_ms: now, _seat: seat };
        self.desk.asked.insert(own, asked);
        self.events.push(Event::Request(own, request));
    }

    /// Passes a reply of the node on to whoever asked for it.
    pub(super) fn replied(&mut self, ticket: u64, reply: Reply) {
        let Some(asked) = self.desk.asked.remove(&ticket) else {
            return self.chore_done(ticket, &reply);
        };
        let (took, outcome) = (self.now().saturating_sub(asked.began), outcome(&reply));
        meter::request(asked.op, outcome, took);
        if let Some(single) = asked.data {
            let end = match outcome {
                "done" => End::Done,
                "refused" => End::Refused,
                _ => End::Failed,
            };
            self.desk.load.count(end, single.then_some(took));
        }
        self.tell(asked.link, asked.ticket, Told::Reply(reply));
    }

    /// Lets those who wait know, and lets go of those who waited too long for a start.
    pub(super) fn desk_tick(&mut self) {
        let now = self.now_ms();
        let mut busy = Vec::new();
        for asked in self.desk.asked.values_mut().filter(|a| now >= a.busy_ms + BUSY_MS) {
            asked.busy_ms = now;
            busy.push((asked.link, asked.ticket));
        }
        for (link, ticket) in busy {
            self.tell(link, ticket, Told::Busy);
        }
        let ready = self.node.is_ready();
        for mut held in std::mem::take(&mut self.desk.held) {
            if ready {
                held.request.age(now - held.since_ms);
                self.ask_node(held.link, held.ticket, held.request, held.seat);
            } else if now >= held.until_ms {
                let text = "The node has just started and is waiting to hear from another member, \
                            to make sure that its file is not outdated; nothing was tried.";
                let error = Error::Refused(text.into()).hint(
                    "start another node of the ring; if all are running, their addresses may have \
                     changed: write the new ones into the peers.yaml of one node and restart it \
                     (kvs-concepts(7), \
                     RUNNING NODES)",
                );
                self.tell(held.link, held.ticket, Told::Fault(Fault::from(&error)));
            } else {
                self.desk.held.push(held);
            }
        }
        self.drain_tick();
    }

    fn drain(&mut self, link: u64, ticket: u64, draining: bool) {
        self.desk.draining = draining;
        self.node.rest(draining);
        if !draining {
            return self.tell(link, ticket, Told::Done);
        }
        tracing::info!("draining");
        self.chores.wake();
        self.desk.drains.push((link, ticket));
    }

    /// A node is drained when nobody waits for it and every hint that can be delivered is.
    fn drain_tick(&mut self) {
        if self.desk.drains.is_empty() || !self.desk.is_empty() {
            return;
        }
        let left = self.store.hint_stats().map_or(0, |s| s.count);
        if left > 0 && !self.chores.is_stuck() {
            return;
        }
        let told = match left {
            0 => Told::Done,
            left => Told::Fault(Fault::from(
                &Error::Partial(format!(
                    "The node accepts no more requests; hints waiting for members that are down: \
                     {left}."
                ))
                .hint("bring them back: kvs status shows who is down"),
            )),
        };
        for (link, ticket) in std::mem::take(&mut self.desk.drains) {
            self.tell(link, ticket, told.clone());
        }
    }

    pub(super) fn info(&self) -> Result<Info> {
        Ok(Info {
            build: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            dir: self.store.dir().display().to_string(),
            address: self.gossip.own().address.clone(),
            metrics: self.chores.metrics.clone(),
            uptime_s: self.now_ms() / 1_000,
            bytes: self.store.used_bytes()?,
            full: !self.node.has_room(),
            draining: self.desk.draining || self.stopping != Stopping::No,
            waiting: !self.node.is_ready(),
            requests: (self.desk.asked.len() + self.desk.held.len()) as u64,
            links: self.peers.linked().len() as u64,
            clients: self.peers.clients() as u64,
            rounds: self.chores.rounds,
            wall_ms: wall_ms(),
        })
    }

    /// Pages that are free within the file are room too: it never shrinks, and a node that has handed
    /// records over must not look as full as before.
    fn load(&self) -> Result<Load> {
        let used = self.store.used_bytes()?;
        let file = self.store.dir().join(FILE).metadata().map_or(0, |m| m.len());
        let disk = rustix::fs::statvfs(self.store.dir())
            .map_err(|e| Error::io("inspect", self.store.dir())(e.into()))?;
        let usable = disk.f_blocks.saturating_sub(disk.f_bfree).saturating_add(disk.f_bavail);
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(Load {
            run: self.papers.hello.run,
            uptime_ms: self.now_ms(),
            bytes: used,
            commits: self.store.commit_number(),
            disk_free: bytes(disk.f_bavail).saturating_add(file.saturating_sub(used)),
            disk_total: bytes(usable),
            ..self.desk.load.clone()
        })
    }

    fn members(&self) -> Vec<News> {
        let now = self.now_ms();
        let own = self.node.id();
        let row = |id| self.gossip.row(id).cloned();
        let news = |row: crate::gossip::Row| {
            let id = row.id;
            let up = id == own || self.alive.contains(&id);
            let (phi, silent_ms) = if id == own {
                (0.0, 0)
            } else {
                (self.gossip.phi(id, now), self.gossip.silent_ms(id, now))
            };
            News { row, up, phi, silent_ms }
        };
        self.node.doc().present().filter_map(|m| row(m.id)).map(news).collect()
    }

    fn transfers(&self) -> Vec<crate::node::Transfer> {
        let time = crate::node::Time { wall_ms: wall_ms(), mono_ms: self.now_ms() };
        self.node.transfers(time)
    }
}

/// What an operator asks: short, answered at once, and answered when the node has no room for clients.
pub(super) fn is_operators(ask: &Ask) -> bool {
    match ask {
        Ask::Ring | Ask::Info | Ask::Members | Ask::Transfers | Ask::Load => true,
        Ask::Drain(_) | Ask::Stop | Ask::Node(Request::Status) => true,
        Ask::Node(_) | Ask::File(_) => false,
    }
}

fn patience(request: &Request) -> Option<u64> {
    match request {
        Request::Put(put) => Some(put.options.timeout_ms),
        Request::Get(_, options) | Request::Scan(_, _, _, options) => Some(options.timeout_ms),
        _ => None,
    }
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Put(_) => "put",
        Request::Get(..) => "get",
        Request::Scan(..) => "scan",
        Request::Repair(_) => "repair",
        Request::Verify(_) => "verify",
        Request::Deliver => "deliver",
        Request::Propose(_) | Request::Advance => "ring",
        _ => "other",
    }
}

fn outcome(reply: &Reply) -> &'static str {
    let verdict = match reply {
        Reply::Put(reply) => &reply.verdict,
        Reply::Get(reply) => &reply.verdict,
        Reply::Scan(Err(_)) => return "refused",
        _ => return "done",
    };
    match verdict {
        Verdict::Done => "done",
        Verdict::Refused(_) => "refused",
        Verdict::Unknown(_) => "unknown",
        Verdict::Unreachable(_) => "unreachable",
    }
}

/// Reads the file for a client.
fn seen(store: &crate::store::lmdb::Lmdb, look: &Look) -> Result<Seen> {
    Ok(match look {
        Look::Get(p, key) => Seen::Record(store.get(*p, key)?),
        Look::Visit(p, after) => {
            let (mut rows, mut bytes, mut end) = (Vec::new(), 0, true);
            store.visit(*p, after.as_deref(), &mut |key, stored| {
                if bytes > PAGE_BYTES {
                    end = false;
                    return ControlFlow::Break(());
                }
                bytes += key.len() + stored.len();
                rows.push((ByteBuf::from(key), ByteBuf::from(stored)));
                ControlFlow::Continue(())
            })?;
            Seen::Page(rows, end)
        }
        Look::Sums => Seen::Sums(store.sums()?),
        Look::Sum(p) => Seen::Sum(store.sum(*p)?),
        Look::Leaves(p) => {
            let leaves = store.leaves(*p)?;
            let filled = (0..=u8::MAX).zip(leaves.iter().copied());
            Seen::Leaves(filled.filter(|(_, sum)| *sum != Sum::default()).collect())
        }
        Look::Hints(after, limit) => {
            let limit = HINTS_MAX.min(*limit as usize);
            Seen::Hints(hint_page(store, after.as_ref(), limit, PAGE_BYTES)?)
        }
        Look::HintStats => Seen::HintStats(store.hint_stats()?),
        Look::HintsOf(p, key) => Seen::Hints(store.hints_of(*p, key)?),
        Look::Bad => Seen::Bad(store.bad()?),
        Look::Row(table, name) => Seen::Row(store.row(*table, name)?),
        Look::Rows(table, prefix) => Seen::Rows(store.rows(*table, prefix)?),
        Look::BadHints => Seen::BadHints(store.bad_hints()?),
        Look::Base => store.base().map(|()| Seen::Base)?,
        Look::Size => Seen::Size(store.used_bytes()?, store.commit_number()),
    })
}
