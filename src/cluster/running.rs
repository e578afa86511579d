//! What only running nodes can be asked.

use std::sync::Arc;

use super::failures::defect;
use super::handle::Cluster;
use super::nodes::ClusterNodes;
use crate::channel::{ClientRequest, ClientResponse, Info, Load, MemberView};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::node::Transfer;
use crate::ring::NodeId;

impl Cluster {
    /// Whether nodes that run are asked, rather than files.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self.nodes, ClusterNodes::Files(_))
    }

    /// Whether this node runs, rather than its file being open here.
    #[must_use]
    pub fn runs(&self, id: NodeId) -> bool {
        self.is_live() && self.nodes.files().is_none_or(|files| files.store(id).is_none())
    }

    /// The node that answers at an address that was named.
    #[must_use]
    pub fn node_at(&self, address: &str) -> Option<NodeId> {
        let live = self.nodes.running()?;
        let news = live.client.members();
        let at = |n: &&MemberView| n.row.address == address;
        news.iter().find(at).map(|n| n.row.id)
    }

    /// How a running node is.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when no node runs, and as [`Client::ask`].
    pub fn info(&mut self, id: NodeId) -> Result<Info> {
        self.running()?.info(id)
    }

    /// What a running node has counted since its start.
    ///
    /// # Errors
    /// As [`Cluster::info`], and [`Error::Denied`] when its build is too old to tell.
    pub fn load(&self, id: NodeId) -> Result<Load> {
        self.running()?.load(id)
    }

    /// The same of several nodes, all at once.
    pub fn loads(&self, nodes: Vec<NodeId>) -> Vec<(NodeId, Result<Load>)> {
        match self.running() {
            Ok(client) => client.each(nodes, |id| client.load(id)),
            Err(_) => nodes.into_iter().map(|id| (id, self.load(id))).collect(),
        }
    }

    /// What a running node is moving now.
    ///
    /// # Errors
    /// As [`Cluster::info`].
    pub fn transfers(&mut self, id: NodeId) -> Result<Vec<Transfer>> {
        self.running()?.transfers(id)
    }

    /// Has a running node take no more clients, or again.
    ///
    /// # Errors
    /// As [`Cluster::info`].
    pub fn drain(&mut self, id: NodeId, on: bool) -> Result<()> {
        let client = self.running()?;
        if on { client.drain(id) } else { client.resume(id) }
    }

    /// Has a running node finish and stop.
    ///
    /// # Errors
    /// As [`Cluster::info`].
    pub fn stop(&mut self, id: NodeId) -> Result<()> {
        self.running()?.stop(id)
    }

    /// What a running node has heard of all members.
    ///
    /// # Errors
    /// As [`Cluster::info`].
    pub fn news(&mut self, id: NodeId) -> Result<Vec<MemberView>> {
        match self.running()?.ask_only(id, ClientRequest::Members)? {
            ClientResponse::Members(news) => Ok(news),
            _ => Err(defect()),
        }
    }

    fn running(&self) -> Result<&Arc<Client>> {
        let live = self.nodes.running().ok_or_else(|| {
            Error::Unreachable("The nodes of this ring are not running; nothing was tried.".into())
                .hint("start them: kvs up DIR, or kvs node run DIR")
        })?;
        Ok(&live.client)
    }
}
