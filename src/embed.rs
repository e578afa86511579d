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

mod birth;
mod create;
mod fit;
mod open;
mod pump;
mod recover;
mod seat;
mod stream;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::birth::{Birth, Made, be_born, identity};
pub use self::create::{
    NODE_KEY, RING_KEY, Ring, Seat, addresses, create_member, create_ring, peers,
};
pub use self::fit::{Keys, fit_to_run, fit_to_run_again, is_full, keys, refuse_unwritable};
pub use self::open::{Opening, configured, is_damage, is_odd, open_node};
pub use self::seat::{OLD_NODE_FILE, found_member, neighbours, put_back, set_aside, would_join};
pub use self::stream::{Sink, Source};
use crate::error::{Error, Result};
use crate::key::escape;
use crate::node::{Action, Event, Node, Note, Reply, Time};
use crate::protocol::Message;
use crate::ring::{NodeId, RingDoc};
use crate::store::Batch;
use crate::store::lmdb::Lmdb;
use crate::store::lock::Lock;

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
    /// Directories that could not be read, those with a file that is none, those that are no member's.
    damaged: Vec<PathBuf>,
    odd: Vec<PathBuf>,
    left_out: Vec<PathBuf>,
    /// Directories whose damaged files are open all the same.
    salvaged: Vec<PathBuf>,
    ticket: u64,
    /// The document known before nodes left: stopped, or at work on threads of their own.
    before: Option<Arc<RingDoc>>,
}

impl Embed {
    /// The ring document in force, as the opened nodes know it.
    #[must_use]
    pub fn doc(&self) -> Arc<RingDoc> {
        let docs = self.slots.values().map(|s| s.node.doc());
        let newest = docs.chain(&self.before).max_by_key(|d| d.version);
        newest.expect("an open ring has, or had, a node").clone()
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

    /// Directories that could not be read: their nodes count as down.
    #[must_use]
    pub fn damaged(&self) -> &[PathBuf] {
        &self.damaged
    }

    /// Directories with a file that is not what it should be, and whose data may be good: their nodes
    /// count as down.
    #[must_use]
    pub fn odd(&self) -> &[PathBuf] {
        &self.odd
    }

    /// Directories whose files are damaged and are read as far as they go.
    #[must_use]
    pub fn salvaged(&self) -> &[PathBuf] {
        &self.salvaged
    }

    /// Directories of this ring that are no member's, or no longer.
    #[must_use]
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
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
                    self.before = Some(self.doc());
                    self.damaged.extend(self.slots.remove(&id).map(|slot| slot.dir));
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
            Note::Clash(key) => format!("two values of {key} have the same dot: corruption"),
            Note::Lost(why) => format!("it may have lost records and is filling again ({why})"),
            Note::Refused(from, why) => {
                format!("a message of {} was refused: {why}", self.doc().name(*from))
            }
        };
        self.warn(id, &text);
    }

    fn warn(&mut self, id: NodeId, text: &str) {
        let line = format!("{}: {text}", self.doc().name(id));
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

/// The wall clock, ms since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a driver gives the core its time")]
pub fn wall_ms() -> u64 {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    ms.saturating_add_signed(crate::planted::clock_ms())
}

/// Fresh random bits for identities and openings.
///
/// # Errors
/// [`Error::Denied`] when the system has none to give.
pub fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Denied(format!("The system provides no random numbers: {e}.")))?;
    Ok(u128::from_le_bytes(bytes))
}
