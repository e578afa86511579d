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

use super::{Embed, STEP_MS, STEPS_MAX};
use crate::error::{Error, Result, option};
use crate::node::{Event, Fate, Reply, Request};
use crate::ring::NodeId;
use crate::store::lmdb::Lmdb;
use crate::store::{Batch, Failure, Store};

/// A commit: whose, which, what, where.
type Work<'a> = (NodeId, u64, Batch, &'a mut Lmdb);

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
        self.ticket += 1;
        let ticket = self.ticket;
        let fate = request.fate();
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
        Err(stopped(fate, &self.doc().name(at)))
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
        let mut work: Vec<Work<'_>> = Vec::new();
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

/// The error of a request whose node was stopped before it answered.
pub(super) fn stopped(fate: Fate, name: &str) -> Error {
    let stopped = format!("{name} was stopped by a failure of its file before it answered");
    match fate {
        Fate::Read => Error::Refused(format!("{stopped}; nothing was changed."))
            .hint(format!("ask the others: {}", option("--down", name))),
        Fate::Written => Error::Unknown(format!("{stopped}; the write may have taken effect."))
            .hint("check its disk, then repeat the write while it ends with 5"),
        Fate::Worked => Error::Partial(format!("{stopped}; what is done stays done."))
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
fn apply_all(mut work: Vec<Work<'_>>) -> Vec<(NodeId, u64, std::result::Result<(), Failure>)> {
    let apply = |work: &mut Work<'_>| (work.0, work.1, work.3.apply(&work.2));
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
