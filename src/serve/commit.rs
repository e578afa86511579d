//! The commit thread: one batch at a time, durable before it is told.
//!
//! ```text
//! core --(41, batch)--> apply, fsync --Committed(41, head)--> core: its twin reads from there on
//! ```
//!
//! While a batch is being made durable the next one gathers in the node: group commit without a
//! timer. The thread ends when the core lets go of its channel.
//!
//! A file may be damaged while it is open, and a commit trusts its free list: before a batch the frame
//! of the file is read again, as often as costs a small part of the time. Caveat: what is damaged
//! between two such looks may destroy pages; the next look, audit or scrub finds that.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use tokio::sync::mpsc::Sender;

use super::event::In;
use super::meter;
use crate::error::{Error, Result};
use crate::store::lmdb::Lmdb;
use crate::store::{Batch, Failure, Store};

/// The way to the thread.
pub(super) struct Committer {
    door: Option<mpsc::Sender<(u64, Batch)>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread over the writing half of a file.
    pub(super) fn start(store: Lmdb, tell: Sender<In>) -> Result<Self> {
        let (door, inbox) = mpsc::channel();
        let thread = thread::Builder::new().name("commit".into());
        let thread = thread
            .spawn(move || watched(&tell, || run(store, &inbox, &tell)))
            .map_err(|e| Error::Denied(format!("No thread could be started: {e}.")))?;
        Ok(Self { door: Some(door), thread: Some(thread) })
    }

    /// Hands a batch over.
    pub(super) fn commit(&self, seq: u64, batch: Batch) {
        if let Some(door) = &self.door {
            // The thread outlives the door, unless it panicked: then the core has been told.
            drop(door.send((seq, batch)));
        }
    }

    /// Waits until everything handed over is decided and the file is closed.
    pub(super) fn end(&mut self) {
        drop(self.door.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A thread that panics is the end of its node: nothing would be committed any more.
fn watched(tell: &Sender<In>, run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        let text = "The thread that writes the node's file met a bug in kvs, so the node stopped.";
        let error = Error::Corrupt(text.into())
            .hint("keep the log and report it; then start the node again: kvs node run DIR");
        drop(tell.blocking_send(In::Broken(error)));
    }
}

/// The time between two looks at the frame is so many times what one takes.
const LOOK_SHARE: u32 = 200;

/// When the frame of the file is to be read again.
struct Looks {
    due: Instant,
}

impl Looks {
    /// Looks when it is time to.
    fn look(&mut self, store: &Lmdb) -> Result<()> {
        let began = now();
        if began < self.due {
            return Ok(());
        }
        store.frame()?;
        self.due = now() + began.elapsed() * LOOK_SHARE;
        Ok(())
    }
}

fn run(mut store: Lmdb, inbox: &mpsc::Receiver<(u64, Batch)>, tell: &Sender<In>) {
    let mut looks = Looks { due: now() };
    for (seq, batch) in inbox {
        let began = now();
        let looked = looks.look(&store).map_err(Failure::Fatal);
        let applied = looked.and_then(|()| store.apply(&batch));
        meter::commit(batch.ops.len(), began.elapsed());
        let fatal = matches!(applied, Err(Failure::Fatal(_)));
        let outcome = applied.map(|()| store.head());
        if tell.blocking_send(In::Committed(seq, outcome)).is_err() || fatal {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told_and_one_that_ends_is_not() {
        let (tell, mut told) = tokio::sync::mpsc::channel(1);
        watched(&tell, || {});
        assert!(told.try_recv().is_err());
        watched(&tell, || panic!("a defect"));
        assert!(matches!(told.try_recv(), Ok(In::Broken(_))));
    }
}
