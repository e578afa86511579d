//! The embedded driver: all nodes of a ring in this process, over their directories.
//!
//! It opens node directories, hands messages from node to node in memory, commits each node's batch
//! to its file, several files at once, and answers requests. The network is instant and loses
//! nothing; a member whose directory is not open is down. The code that decides is the same
//! [`Node`] that a running node uses.
//!
//! ```text
//! request -> node n1 -> [messages] -> n2, n3        until nothing moves
//!            commits of n1 | n2 | n3 in parallel    until nothing waits
//!            still no reply: time passes, in steps
//! ```
//!
//! What it does not do: it knows no commands, no formats, and never prints; what a person should
//! know comes back as [`Embed::warnings`]. Caveat: its time only moves when nothing else does, so
//! timeouts of nodes that are down cost nothing.

mod create;
mod open;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::create::{NODE_KEY, RING_KEY, Ring, Seat, create_member, create_ring, read_key};
pub use self::open::Opening;
use crate::error::{Error, Result};
use crate::key::escape;
use crate::node::{Action, Event, Node, Note, Reply, Request, Time};
use crate::ring::{NodeId, RingDoc};
use crate::store::lmdb::Lmdb;
use crate::store::lock::Lock;
use crate::store::{Batch, Failure, Store};
use crate::wire::Message;

/// How far time moves when nothing else does, in ms.
const STEP_MS: u64 = 250;
/// So many steps without a reply are a defect of ours.
const STEPS_MAX: u32 = 1_000_000;

/// An open node.
struct Slot {
    dir: PathBuf,
    node: Node,
    store: Lmdb,
    commit: Option<(u64, Batch)>,
    /// Held until the slot is closed.
    _lock: Lock,
}

/// An open ring. See the module.
pub struct Embed {
    slots: BTreeMap<NodeId, Slot>,
    queue: VecDeque<(NodeId, NodeId, Message)>,
    replies: BTreeMap<u64, Reply>,
    mono_ms: u64,
    warnings: Vec<String>,
    ticket: u64,
}

impl Embed {
    /// The ring document in force, as the opened nodes know it.
    #[must_use]
    pub fn doc(&self) -> Arc<RingDoc> {
        let docs = self.slots.values().map(|s| s.node.doc());
        docs.max_by_key(|d| d.version).expect("an open ring has a node").clone()
    }

    /// The opened nodes, in the order of the ring document.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        let doc = self.doc();
        doc.members.iter().map(|m| m.id).filter(|id| self.slots.contains_key(id)).collect()
    }

    /// The directory of an opened node.
    #[must_use]
    pub fn dir(&self, id: NodeId) -> Option<&Path> {
        self.slots.get(&id).map(|s| s.dir.as_path())
    }

    /// The file of an opened node.
    #[must_use]
    pub fn store(&self, id: NodeId) -> Option<&Lmdb> {
        self.slots.get(&id).map(|s| &s.store)
    }

    /// What a person should know, each thing once, since the last call.
    pub fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Asks one node and waits for its answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when that node is not open.
    pub fn request(&mut self, at: NodeId, request: Request) -> Result<Reply> {
        let mut replies = self.requests(vec![(at, request)])?;
        Ok(replies.remove(0))
    }

    /// Asks several nodes at once and waits for all answers, in order.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when one of them is not open, or its file failed for good.
    pub fn requests(&mut self, requests: Vec<(NodeId, Request)>) -> Result<Vec<Reply>> {
        let mut tickets = Vec::new();
        for (at, request) in requests {
            if !self.slots.contains_key(&at) {
                return Err(Error::Unreachable(format!("The node {at} is not open.")));
            }
            self.ticket += 1;
            tickets.push(self.ticket);
            self.feed(at, Event::Request(self.ticket, request));
        }
        self.run(&tickets);
        let found = tickets.iter().map(|t| self.replies.remove(t)).collect::<Option<Vec<_>>>();
        found.ok_or_else(|| Error::Unreachable(self.warnings.join(" ")))
    }

    /// Runs until all tickets are answered and nothing moves any more.
    fn run(&mut self, tickets: &[u64]) {
        for _ in 0..STEPS_MAX {
            self.drain();
            if tickets.iter().all(|t| self.replies.contains_key(t)) || self.slots.is_empty() {
                return;
            }
            self.mono_ms += STEP_MS;
            for id in self.slots.keys().copied().collect::<Vec<_>>() {
                self.feed(id, Event::Tick);
            }
        }
    }

    /// Delivers and commits until nothing moves.
    fn drain(&mut self) {
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

    /// Commits what waits, the nodes' files at once. Whether there was anything.
    fn commit(&mut self) -> bool {
        let mut work: Vec<(NodeId, u64, Batch, &mut Lmdb)> = Vec::new();
        for (id, slot) in &mut self.slots {
            if let Some((seq, batch)) = slot.commit.take() {
                work.push((*id, seq, batch, &mut slot.store));
            }
        }
        let apply = |work: &mut (NodeId, u64, Batch, &mut Lmdb)| work.3.apply(&work.2);
        let mut done: Vec<(NodeId, u64, std::result::Result<(), Failure>)> = Vec::new();
        if let [only] = work.as_mut_slice() {
            done.push((only.0, only.1, apply(only)));
        } else {
            std::thread::scope(|scope| {
                let running: Vec<_> = work
                    .iter_mut()
                    .map(|w| (w.0, w.1, scope.spawn(move || w.3.apply(&w.2))))
                    .collect();
                for (id, seq, thread) in running {
                    let panicked = |_| {
                        let text = "a commit ended in a panic".to_string();
                        Err(Failure::Fatal(Error::Corrupt(text)))
                    };
                    done.push((id, seq, thread.join().unwrap_or_else(panicked)));
                }
            });
        }
        let any = !done.is_empty();
        for (id, seq, result) in done {
            let event = match result {
                Ok(()) => Event::Committed(seq),
                Err(failure) => Event::Failed(seq, self.told(id, failure)),
            };
            self.feed(id, event);
        }
        any
    }

    fn told(&mut self, id: NodeId, failure: Failure) -> Failure {
        let what = match &failure {
            Failure::Full(why) => why.clone(),
            Failure::Fatal(error) => error.to_string(),
        };
        self.warn(id, &format!("its commit failed: {what}"));
        failure
    }

    fn feed(&mut self, id: NodeId, event: Event) {
        let now = Time { wall_ms: wall_ms(), mono_ms: self.mono_ms };
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let actions = slot.node.handle(&slot.store, now, event);
        for action in actions {
            match action {
                Action::Send(to, message) => self.queue.push_back((to, id, message)),
                Action::Reply(ticket, reply) => drop(self.replies.insert(ticket, reply)),
                Action::Note(note) => self.note(id, &note),
                Action::Commit(seq, batch) => {
                    if let Some(slot) = self.slots.get_mut(&id) {
                        slot.commit = Some((seq, batch));
                    }
                }
                Action::Stop(why) => {
                    self.warn(id, &format!("it was stopped: {why}"));
                    self.slots.remove(&id);
                    self.tell_alive();
                }
            }
        }
    }

    fn note(&mut self, id: NodeId, note: &Note) {
        let text = match note {
            Note::Unreadable(p, key) => {
                format!("the record of {} in partition {p} fails its checksum", escape(key))
            }
            Note::Clash(key) => format!("two values of {key} carry one dot: corruption"),
            Note::Lost(why) => format!("it may have lost records and fills anew ({why})"),
        };
        self.warn(id, &text);
    }

    fn warn(&mut self, id: NodeId, text: &str) {
        let doc = self.slots.get(&id).map(|s| s.node.doc().clone());
        let name = doc.map_or_else(|| id.to_string(), |d| d.name(id));
        let line = format!("{name}: {text}");
        if !self.warnings.contains(&line) {
            self.warnings.push(line);
        }
    }

    /// Tells every node who can be reached: those that are open.
    fn tell_alive(&mut self) {
        let open: BTreeSet<NodeId> = self.slots.keys().copied().collect();
        for id in open.clone() {
            self.feed(id, Event::Alive(open.clone()));
        }
    }
}

/// The wall clock, ms since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a driver gives the core its time")]
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Fresh random bits for identities and openings.
///
/// # Errors
/// [`Error::Denied`] when the system has none to give.
pub fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Denied(format!("The system gives no random numbers: {e}.")))?;
    Ok(u128::from_le_bytes(bytes))
}
