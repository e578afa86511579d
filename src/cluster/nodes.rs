//! The nodes behind a cluster: files opened in this process, processes that are asked, or both.
//!
//! ```text
//! Files     every node's file, by the embedded driver
//! Running   every node's process, by the client
//! Mixed     single nodes are looked at: those that run by the client, the others by their files
//! ```
//!
//! Here alone the three are told apart for what all of them can do. It never starts or stops a node.

use std::path::Path;
use std::sync::Arc;

use super::live::Live;
use crate::embed::{Embed, RequestFeed, Sink};
use crate::error::Result;
use crate::node::{Reply, Request};
use crate::ring::{NodeId, RingDoc};
use crate::store::Store;

/// What is asked. See the module.
pub(super) enum ClusterNodes {
    /// Directories of nodes that do not run.
    Files(Box<Embed>),
    /// Nodes that run.
    Running(Box<Live>),
    /// Nodes that run, and beside them directories of some that do not.
    Mixed(Box<Live>, Box<Embed>),
}

impl ClusterNodes {
    /// The files that are open here.
    pub(super) fn files(&self) -> Option<&Embed> {
        match self {
            Self::Files(files) | Self::Mixed(_, files) => Some(files),
            Self::Running(_) => None,
        }
    }

    /// The nodes that run.
    pub(super) fn running(&self) -> Option<&Live> {
        match self {
            Self::Running(live) | Self::Mixed(live, _) => Some(live),
            Self::Files(_) => None,
        }
    }

    /// The nodes that run, to be looked at anew.
    pub(super) fn running_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Running(live) | Self::Mixed(live, _) => Some(live),
            Self::Files(_) => None,
        }
    }

    /// The same with these files beside what runs.
    pub(super) fn beside(self, files: Embed) -> Self {
        let files = Box::new(files);
        match self {
            Self::Running(live) | Self::Mixed(live, _) => Self::Mixed(live, files),
            Self::Files(_) => Self::Files(files),
        }
    }

    /// The newest ring document that any of them knows.
    pub(super) fn doc(&self) -> Arc<RingDoc> {
        match self {
            Self::Files(files) => files.doc(),
            Self::Running(live) => live.client.doc(),
            Self::Mixed(live, files) => {
                let (of_files, of_live) = (files.doc(), live.client.doc());
                if of_files.version > of_live.version { of_files } else { of_live }
            }
        }
    }

    /// Those that can be asked, in the order of the ring document.
    pub(super) fn ids(&self) -> Vec<NodeId> {
        match self {
            Self::Files(files) => files.nodes(),
            Self::Running(live) => live.nodes(),
            Self::Mixed(live, files) => {
                let doc = self.doc();
                let mut nodes = live.nodes();
                nodes.extend(files.nodes());
                nodes.retain(|id| is_present(&doc, *id));
                nodes.sort_by_key(|id| doc.members.iter().position(|m| m.id == *id));
                nodes
            }
        }
    }

    /// A node's durable state, to read.
    pub(super) fn store(&self, id: NodeId) -> Option<&dyn Store> {
        let file = self.files().and_then(|files| files.store(id)).map(|s| s as &dyn Store);
        let live = || self.running().and_then(|live| live.store(id)).map(|s| s as &dyn Store);
        file.or_else(live)
    }

    /// A node's directory, as far as one was named.
    pub(super) fn dir(&self, id: NodeId) -> Option<&Path> {
        let file = self.files().and_then(|files| files.dir(id));
        file.or_else(|| self.running()?.dir(id))
    }

    /// Asks one of them.
    ///
    /// # Errors
    /// As [`Embed::request`] and [`crate::client::Client::request`].
    pub(super) fn request(&mut self, at: NodeId, request: Request) -> Result<Reply> {
        match self {
            Self::Files(files) => files.request(at, request),
            Self::Mixed(_, files) if files.store(at).is_some() => files.request(at, request),
            Self::Running(live) | Self::Mixed(live, _) => live.request(at, request),
        }
    }

    /// Asks requests as they come, `window` at once.
    ///
    /// # Errors
    /// As [`Embed::stream`] and [`crate::client::Client::stream`].
    pub(super) fn stream(
        &mut self,
        window: usize,
        source: &mut RequestFeed<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        match self {
            Self::Files(files) => files.stream(window, source, sink),
            Self::Running(live) | Self::Mixed(live, _) => live.client.stream(window, source, sink),
        }
    }

    /// What a person should know, since the last call.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        match self {
            Self::Files(files) => files.warnings(),
            Self::Running(live) => std::mem::take(&mut live.warnings),
            Self::Mixed(live, files) => {
                let mut warnings = files.warnings();
                warnings.append(&mut live.warnings);
                warnings
            }
        }
    }
}

/// Whether a member is there, or on its way in or out.
pub(super) fn is_present(doc: &RingDoc, id: NodeId) -> bool {
    doc.present().any(|m| m.id == id)
}
