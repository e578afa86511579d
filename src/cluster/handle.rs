//! The handle on a ring: which of its nodes can be asked, and what is known of all of them.
//!
//! What is asked of them is beside it: `data` keys, `change` the ring, `explain` one key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::failures::nobody;
use super::nodes::ClusterNodes;
use crate::config;
use crate::embed::Embed;
use crate::error::{Error, Result};
use crate::ring::{NodeId, RingDoc};
use crate::store::Store;

/// A ring that can be asked.
pub struct Cluster {
    pub(super) nodes: ClusterNodes,
    pub(super) zone: Option<String>,
    pub(super) timeout: Duration,
    pub(super) damaged: Vec<PathBuf>,
    pub(super) left_out: Vec<PathBuf>,
    /// Members that were named one by one, by their directories; `None`: the ring as a whole was.
    pub(super) named: Option<BTreeSet<String>>,
    pub(super) warnings: Vec<String>,
}

impl Cluster {
    /// Refuses a zone that nobody is in.
    pub(super) fn check_zone(&self) -> Result<()> {
        match &self.zone {
            Some(zone) if !self.doc().present().any(|m| m.zone == *zone) => {
                Err(Error::Usage(format!("No member is in the zone {zone}; nothing was tried.")))
            }
            _ => Ok(()),
        }
    }

    /// The ring document in force.
    #[must_use]
    pub fn doc(&self) -> Arc<RingDoc> {
        self.nodes.doc()
    }

    /// The nodes that can be asked, in the order of the ring document.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.nodes.ids()
    }

    /// A node's durable state, to read.
    #[must_use]
    pub fn store(&self, id: NodeId) -> Option<&dyn Store> {
        self.nodes.store(id)
    }

    /// A node's directory, as far as one was named.
    #[must_use]
    pub fn dir(&self, id: NodeId) -> Option<&Path> {
        self.nodes.dir(id)
    }

    /// Directories that could not be read: their nodes count as down.
    #[must_use]
    pub fn damaged(&self) -> &[PathBuf] {
        &self.damaged
    }

    /// Members whose files are damaged as a whole, found at the opening or since.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let since = self.nodes.files().map(Embed::damaged).unwrap_or_default();
        let mut names: Vec<String> =
            self.damaged.iter().chain(since).map(|d| config::name_of(d)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Directories of this ring that are no member's, or no longer.
    #[must_use]
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
    }

    /// What a person should know, each thing once, since the last call.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.append(&mut self.nodes.warnings());
        warnings
    }

    /// Present members that cannot be asked: down.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let open = self.nodes();
        let doc = self.doc();
        doc.present().filter(|m| !open.contains(&m.id)).map(|m| m.name.clone()).collect()
    }

    /// Those of the missing that the specs name: one by one, or with their ring.
    #[must_use]
    pub fn named_missing(&self) -> Vec<String> {
        let mut missing = self.missing();
        missing.retain(|name| self.named.as_ref().is_none_or(|named| named.contains(name)));
        missing
    }

    /// The node that takes a request: of running nodes the one connected to, else the first open
    /// one, in the zone if one was named.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when none is open there.
    pub fn entry(&self) -> Result<NodeId> {
        if let Some(live) = self.nodes.running() {
            return Ok(live.client.entry());
        }
        let doc = self.doc();
        let in_zone = |id: &NodeId| self.is_in_zone(&doc, *id);
        self.nodes().into_iter().find(in_zone).ok_or_else(nobody)
    }

    pub(super) fn is_in_zone(&self, doc: &RingDoc, id: NodeId) -> bool {
        match (&self.zone, doc.member(id)) {
            (Some(zone), Some(member)) => member.zone == *zone,
            _ => true,
        }
    }
}
