//! What the embedded driver holds: the open nodes, and what is under way between them.
//!
//! Values and questions about them; `pump` and `stream` move them.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::node::{BatchSeq, Node, Reply, Ticket};
use crate::protocol::Message;
use crate::ring::{NodeId, RingDoc};
use crate::store::Batch;
use crate::store::lmdb::Lmdb;
use crate::store::lock::Lock;

/// An open node.
pub(super) struct OpenNode {
    pub(super) dir: PathBuf,
    pub(super) node: Node,
    pub(super) store: Lmdb,
    pub(super) commit: Option<(BatchSeq, Batch)>,
    /// Held until the slot is closed.
    pub(super) _lock: Lock,
}

/// An open ring. See the module.
pub struct Embed {
    pub(super) slots: BTreeMap<NodeId, OpenNode>,
    pub(super) queue: VecDeque<(NodeId, NodeId, Message)>,
    pub(super) replies: BTreeMap<Ticket, Reply>,
    pub(super) mono_ms: u64,
    pub(super) warnings: Vec<String>,
    /// Directories that could not be read, those with a file that is none, those that are no member's.
    pub(super) damaged: Vec<PathBuf>,
    pub(super) odd: Vec<PathBuf>,
    pub(super) left_out: Vec<PathBuf>,
    /// Directories whose damaged files are open all the same.
    pub(super) salvaged: Vec<PathBuf>,
    pub(super) ticket: Ticket,
    /// The document known before nodes left: stopped, or at work on threads of their own.
    pub(super) before: Option<Arc<RingDoc>>,
}

impl Embed {
    /// No node yet.
    pub(super) fn empty() -> Self {
        Self {
            slots: BTreeMap::new(),
            queue: VecDeque::new(),
            replies: BTreeMap::new(),
            mono_ms: 0,
            warnings: Vec::new(),
            damaged: Vec::new(),
            odd: Vec::new(),
            left_out: Vec::new(),
            salvaged: Vec::new(),
            ticket: Ticket(0),
            before: None,
        }
    }

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

    pub(super) fn warn(&mut self, id: NodeId, text: &str) {
        let line = format!("{}: {text}", self.doc().name(id));
        if !self.warnings.contains(&line) {
            self.warnings.push(line);
        }
    }
}
