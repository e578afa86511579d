//! The pump of the embedded driver: events to nodes, messages between them, commits to their files.
//!
//! ```text
//! main thread   events of n1 | n2 | n1 | n3 …       a node whose file is being committed waits
//! threads            commit n2 | commit n3          one per file, so other nodes go on meanwhile
//! ```
//!
//! A single commit with nothing else to do runs where it is: a put pays for no thread. Requests are
//! pulled from a source while fewer than a window of them are open, so a load keeps every file busy
//! with little in memory. Caveat: time moves only when nothing else does.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use super::{Embed, STEP_MS, STEPS_MAX, Slot};
use crate::error::{Error, Result};
use crate::node::{Event, Reply, Request};
use crate::ring::NodeId;
use crate::store::lmdb::Lmdb;
use crate::store::{Batch, Failure, Store};

/// Gives the next request and the node to ask, while there is one.
pub type Source<'a> = dyn FnMut() -> Option<(NodeId, Request)> + 'a;
/// Takes a reply, with the place of its request in the order of asking.
pub type Sink<'a> = dyn FnMut(usize, Reply) + 'a;

/// A commit that has ended: whose, which, the file, how.
type Done = (NodeId, u64, Lmdb, std::result::Result<(), Failure>);

impl Embed {
    /// Asks requests as they come, `window` at once, until the source ends and all are answered.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when a node that is asked is not open, or its file failed for good;
    /// replies given before stand.
    pub fn stream(
        &mut self,
        window: usize,
        source: &mut Source<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let mut open: BTreeMap<u64, usize> = BTreeMap::new();
            let (mut asked, mut ended, mut steps) = (0, false, 0);
            loop {
                while !ended && open.len() < window {
                    let Some((at, request)) = source() else {
                        ended = true;
                        break;
                    };
                    open.insert(self.submit(at, request)?, asked);
                    asked += 1;
                }
                self.deliver();
                for (ticket, reply) in std::mem::take(&mut self.replies) {
                    if let Some(place) = open.remove(&ticket) {
                        sink(place, reply);
                    }
                }
                let moved = self.commit(scope, &sender, &receiver);
                if moved || (!ended && open.len() < window) {
                    continue;
                }
                if open.is_empty() {
                    return Ok(());
                }
                steps += 1;
                if steps > STEPS_MAX || self.slots.is_empty() {
                    return Err(Error::Unreachable(self.warnings.join(" ")));
                }
                self.pass_time();
            }
        })
    }

    fn submit(&mut self, at: NodeId, request: Request) -> Result<u64> {
        if !self.slots.contains_key(&at) {
            return Err(Error::Unreachable(format!("The node {at} is not open.")));
        }
        self.ticket += 1;
        self.feed(at, Event::Request(self.ticket, request));
        Ok(self.ticket)
    }

    /// Lets some time pass for every node.
    pub(super) fn pass_time(&mut self) {
        self.mono_ms += STEP_MS;
        for id in self.slots.keys().copied().collect::<Vec<_>>() {
            self.feed(id, Event::Tick);
        }
    }

    /// Hands messages on until none is left.
    fn deliver(&mut self) {
        while let Some((to, from, message)) = self.queue.pop_front() {
            if self.slots.contains_key(&to) {
                self.feed(to, Event::Message(from, message));
            }
        }
    }

    /// Starts the commits that wait and takes one that has ended. Whether anything moved.
    fn commit<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<Done>,
        receiver: &Receiver<Done>,
    ) -> bool {
        let waiting = |s: &Slot| s.commit.is_some() && s.store.is_some();
        let due: Vec<NodeId> =
            self.slots.iter().filter(|(_, s)| waiting(s)).map(|(id, _)| *id).collect();
        let alone = due.len() == 1 && self.committing == 0;
        for id in due {
            let Some((seq, batch, mut store)) = self.take_commit(id) else { continue };
            let work = move || {
                let result = store.apply(&batch);
                (id, seq, store, result)
            };
            if alone {
                self.committed(work());
                return true;
            }
            self.committing += 1;
            let sender = sender.clone();
            scope.spawn(move || sender.send(work()));
        }
        if self.committing == 0 {
            return false;
        }
        if let Ok(done) = receiver.recv() {
            self.committing -= 1;
            self.committed(done);
        }
        true
    }

    fn take_commit(&mut self, id: NodeId) -> Option<(u64, Batch, Lmdb)> {
        let slot = self.slots.get_mut(&id)?;
        let store = slot.store.take()?;
        let (seq, batch) = slot.commit.take()?;
        Some((seq, batch, store))
    }

    /// Gives the node its file back, tells it, and lets it catch up.
    fn committed(&mut self, (id, seq, store, result): Done) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.store = Some(store);
        let waiting = std::mem::take(&mut slot.inbox);
        let event = match result {
            Ok(()) => Event::Committed(seq),
            Err(failure) => Event::Failed(seq, self.told(id, failure)),
        };
        self.feed(id, event);
        for event in waiting {
            self.feed(id, event);
        }
    }

    fn told(&mut self, id: NodeId, failure: Failure) -> Failure {
        let what = match &failure {
            Failure::Full(why) => why.clone(),
            Failure::Fatal(error) => error.to_string(),
        };
        self.warn(id, &format!("its commit failed: {what}"));
        failure
    }

    /// Runs until nothing moves any more.
    pub(super) fn settle(&mut self) {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            loop {
                self.deliver();
                if !self.commit(scope, &sender, &receiver) {
                    return;
                }
            }
        });
    }
}
