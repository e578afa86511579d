//! The pump of the embedded driver for one request: messages in order, commits of a round at once.
//!
//! ```text
//! events and messages until none is left -> commits of n1 | n2 | n3 at once -> again
//! nothing moves and no reply: time passes, a step
//! ```
//!
//! A single commit runs where it is: a put pays for no thread it does not need. Everything happens
//! in one order, so the same directories and request give the same messages. For many requests see
//! `stream`.

use std::collections::BTreeSet;

use super::state::Embed;
use crate::error::{Error, Result, option};
use crate::node::{BatchSeq, Driver, Effect, Event, Note, Reply, Request, Ticket, Time};
use crate::os::wall_ms;
use crate::protocol::Message;
use crate::ring::NodeId;
use crate::store::lmdb::Lmdb;
use crate::store::{Batch, Failure, Store};

/// How far time moves when nothing else does, in ms.
pub(super) const STEP_MS: u64 = 250;
/// So many steps without a reply are a defect of ours.
pub(super) const STEPS_MAX: u32 = 1_000_000;

/// A commit: whose, which, what, where.
type CommitWork<'a> = (NodeId, BatchSeq, Batch, &'a mut Lmdb);

impl Embed {
    /// Asks one node and waits for its answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when that node is not open; when its file fails for good before it
    /// answers, [`Error::Unknown`] of a put, [`Error::Refused`] of a read, else [`Error::Partial`].
    pub fn request(&mut self, at: NodeId, request: Request) -> Result<Reply> {
        if !self.slots.contains_key(&at) {
            let name = self.doc().name(at);
            return Err(Error::Unreachable(format!(
                "{name} is not open; nothing was asked of it."
            )));
        }
        self.ticket.0 += 1;
        let ticket = self.ticket;
        let effect = request.effect();
        self.feed(at, Event::Request(ticket, request));
        for _ in 0..STEPS_MAX {
            self.settle();
            if let Some(reply) = self.replies.remove(&ticket) {
                return Ok(reply);
            }
            if !self.slots.contains_key(&at) {
                break;
            }
            self.pass_time();
        }
        Err(stopped(effect, &self.doc().name(at)))
    }

    /// Has a node handle an event, and does what it wants done.
    pub(super) fn feed(&mut self, id: NodeId, event: Event) {
        let now = Time { wall_ms: wall_ms(), mono_ms: self.mono_ms };
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let actions = slot.node.handle(&slot.store, now, event);
        let mut turn = Turn { embed: self, id };
        for action in actions {
            action.carry_out(&mut turn);
        }
    }

    /// Tells every node who can be reached: those that are open.
    pub(super) fn tell_alive(&mut self) {
        let open: BTreeSet<NodeId> = self.slots.keys().copied().collect();
        for id in open.clone() {
            self.feed(id, Event::Alive(open.clone()));
        }
    }

    /// Lets some time pass for every node.
    pub(super) fn pass_time(&mut self) {
        self.mono_ms += STEP_MS;
        for id in self.slots.keys().copied().collect::<Vec<_>>() {
            self.feed(id, Event::Tick);
        }
    }

    /// Runs until nothing moves any more.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some((to, from, message)) = self.queue.pop_front() {
                if self.slots.contains_key(&to) {
                    self.feed(to, Event::Message(from, message));
                }
            }
            if !self.commit() {
                return;
            }
        }
    }

    /// Commits what waits, several files at once. Whether there was anything.
    fn commit(&mut self) -> bool {
        let mut work: Vec<CommitWork<'_>> = Vec::new();
        for (id, slot) in &mut self.slots {
            if let Some((seq, batch)) = slot.commit.take() {
                work.push((*id, seq, batch, &mut slot.store));
            }
        }
        let done = apply_all(work);
        let any = !done.is_empty();
        for (id, seq, result) in done {
            let event = match result {
                Ok(()) => Event::Committed(seq),
                Err(failure) => {
                    self.warn(id, &told(&failure));
                    Event::Failed(seq, failure)
                }
            };
            self.feed(id, event);
        }
        any
    }
}

impl Drop for Embed {
    /// What the nodes remember of each other outlives this process: it is how a directory that is put
    /// back later is noticed. It is written once for all requests, all files at once.
    fn drop(&mut self) {
        if self.slots.values().any(|slot| slot.node.remembers_more()) {
            self.pass_time();
            self.settle();
        }
    }
}

/// One node's turn: it does what that node wants done.
struct Turn<'a> {
    embed: &'a mut Embed,
    id: NodeId,
}

impl Driver for Turn<'_> {
    fn send(&mut self, to: NodeId, message: Message) {
        self.embed.queue.push_back((to, self.id, message));
    }

    fn commit(&mut self, seq: BatchSeq, batch: Batch) {
        if let Some(slot) = self.embed.slots.get_mut(&self.id) {
            debug_assert!(slot.commit.is_none(), "one batch at a time");
            slot.commit = Some((seq, batch));
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.embed.replies.insert(ticket, reply);
    }

    fn note(&mut self, note: Note) {
        let text = note.text(&self.embed.doc());
        self.embed.warn(self.id, &text);
    }

    fn stop(&mut self, why: String) {
        let embed = &mut *self.embed;
        embed.warn(self.id, &format!("it was stopped: {why}"));
        embed.before = Some(embed.doc());
        embed.damaged.extend(embed.slots.remove(&self.id).map(|slot| slot.dir));
        embed.tell_alive();
    }
}

/// The error of a request whose node was stopped before it answered.
pub(super) fn stopped(effect: Effect, name: &str) -> Error {
    let stopped = format!("{name} was stopped by a failure of its file before it answered");
    match effect {
        Effect::ReadOnly => Error::Refused(format!("{stopped}; nothing was changed."))
            .hint(format!("ask the others: {}", option("--down", name))),
        Effect::Write => Error::Unknown(format!("{stopped}; the write may have taken effect."))
            .hint("check its disk, then repeat the write while it ends with 5"),
        Effect::Job => Error::Partial(format!("{stopped}; what is done stays done."))
            .hint("check its disk, then run the command again"),
    }
}

/// What a person is told of a commit that failed.
pub(super) fn told(failure: &Failure) -> String {
    let what = match failure {
        Failure::Full(why) => why.clone(),
        Failure::Damaged(error) | Failure::Fatal(error) => error.to_string(),
    };
    format!("its commit failed: {what}")
}

/// Applies batches to their files at once: the last one here, the others on threads.
fn apply_all(
    mut work: Vec<CommitWork<'_>>,
) -> Vec<(NodeId, BatchSeq, std::result::Result<(), Failure>)> {
    let apply = |work: &mut CommitWork<'_>| (work.0, work.1, work.3.apply(&work.2));
    let Some((last, others)) = work.split_last_mut() else { return Vec::new() };
    std::thread::scope(|scope| {
        let start = |w| scope.spawn(move || apply(w));
        let running: Vec<_> = others.iter_mut().map(|w| (w.0, w.1, start(w))).collect();
        let mut done = vec![apply(last)];
        for (id, seq, thread) in running {
            done.push(thread.join().unwrap_or_else(|_| (id, seq, Err(panicked()))));
        }
        done
    })
}

fn panicked() -> Failure {
    Failure::Fatal(Error::Corrupt("a commit ended in a panic".into()))
}
