//! The commit pipeline: one batch at a time, durable before the node hears of it.
//!
//! ```text
//! core --(batch 41)--> thread: apply, fsync --Committed(41, head)--> core: reads on from there
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

use super::event::ServerEvent;
use super::meter;
use crate::error::{Error, Result};
use crate::node::BatchSeq;
use crate::os::now;
use crate::store::lmdb::{Head, Lmdb};
use crate::store::{Batch, Failure, Store};

/// The node's file: a thread of its own writes it, the event loop reads it. See the module.
pub(super) struct CommitPipeline {
    batches: Option<mpsc::Sender<(BatchSeq, Batch)>>,
    thread: Option<thread::JoinHandle<()>>,
    /// The reading half: it stands where the last batch ended that the loop has heard of.
    reader: Lmdb,
}

impl CommitPipeline {
    /// Starts the thread over a file.
    ///
    /// # Errors
    /// [`Error::Denied`] when there can be no thread; as [`Lmdb::reader_handle`]. Nothing was changed.
    pub(super) fn start(store: Lmdb, sender: Sender<ServerEvent>) -> Result<Self> {
        let reader = store.reader_handle()?;
        let (batches, inbox) = mpsc::channel();
        let thread = thread::Builder::new().name("commit".into());
        let thread = thread
            .spawn(move || watched(&sender, || run(store, &inbox, &sender)))
            .map_err(|e| Error::Denied(format!("No thread could be started: {e}.")))?;
        Ok(Self { batches: Some(batches), thread: Some(thread), reader })
    }

    /// The file as it was after the last batch that was [advanced](Self::advance) to.
    pub(super) fn file(&self) -> &Lmdb {
        &self.reader
    }

    /// Hands a batch over; how it ended comes as [`ServerEvent::Committed`].
    pub(super) fn commit(&mut self, seq: BatchSeq, batch: Batch) {
        // What the reader holds on to cannot be used again by this commit, and the file would grow.
        self.reader.rest();
        if let Some(batches) = &self.batches {
            // The thread outlives its channel, unless it panicked: then the core has been told.
            drop(batches.send((seq, batch)));
        }
    }

    /// Reads on from here: a batch is durable.
    pub(super) fn advance(&mut self, head: Head) {
        self.reader.advance(head);
    }

    /// Waits until everything handed over is decided and the file is closed.
    pub(super) fn end(&mut self) {
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A thread that panics is the end of its node: nothing would be committed any more.
fn watched(sender: &Sender<ServerEvent>, run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        let text = "The thread that writes the node's file met a bug in kvs, so the node stopped.";
        let error = Error::Corrupt(text.into())
            .hint("keep the log and report it; then start the node again: kvs node run DIR");
        drop(sender.blocking_send(ServerEvent::Fatal(error)));
    }
}

/// The time between two looks at the frame is this many times what one takes: half a percent of the
/// thread.
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

fn run(mut store: Lmdb, inbox: &mpsc::Receiver<(BatchSeq, Batch)>, sender: &Sender<ServerEvent>) {
    let mut looks = Looks { due: now() };
    for (seq, batch) in inbox {
        let began = now();
        let looked = looks.look(&store).map_err(Failure::Fatal);
        let applied = looked.and_then(|()| store.apply(&batch));
        meter::commit(batch.ops.len(), began.elapsed());
        let fatal = matches!(applied, Err(Failure::Fatal(_)));
        let outcome = applied.map(|()| store.head());
        if sender.blocking_send(ServerEvent::Committed(seq, outcome)).is_err() || fatal {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told_and_one_that_ends_is_not() {
        let (sender, mut told) = tokio::sync::mpsc::channel(1);
        watched(&sender, || {});
        assert!(told.try_recv().is_err());
        watched(&sender, || panic!("a defect"));
        assert!(matches!(told.try_recv(), Ok(ServerEvent::Fatal(_))));
    }
}
