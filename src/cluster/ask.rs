//! Questions to the nodes of a cluster, whatever drives them: to one, to each, as a stream.
//!
//! ```text
//! files     one after the other, in this process
//! running   all at once; who does not answer is down from then on, and is left out
//! ```
//!
//! It knows nothing of what is asked. Caveat: a node that was left out once stays so until the cluster
//! learns anew who is up.

use super::failures::nobody;
use super::handle::Cluster;
use crate::embed::{RequestFeed, Sink};
use crate::error::Result;
use crate::node::{Reply, Request};
use crate::ring::NodeId;
use crate::store::Store;

impl Cluster {
    pub(crate) fn ask(&mut self, at: NodeId, request: Request) -> Result<Reply> {
        self.nodes.request(at, request)
    }

    /// Asks several nodes the same: running ones all at once.
    pub(crate) fn ask_each(
        &mut self,
        nodes: Vec<NodeId>,
        request: &Request,
    ) -> Vec<(NodeId, Result<Reply>)> {
        match self.nodes.running() {
            Some(live) => live.client.each(nodes, |id| live.client.request(id, request.clone())),
            None => nodes.into_iter().map(|id| (id, self.ask(id, request.clone()))).collect(),
        }
    }

    /// Asks requests as they come, some at once, until the source ends.
    pub(crate) fn ask_stream(
        &mut self,
        window: usize,
        source: &mut RequestFeed<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        self.nodes.stream(window, source, sink)
    }

    /// What was asked of a node; `None` when it no longer answers, or its file has failed: it is down
    /// from then on.
    ///
    /// # Errors
    /// The error itself, when the node is still there.
    pub fn heard<T>(&self, id: NodeId, asked: Result<T>) -> Result<Option<T>> {
        match asked {
            Ok(told) => Ok(Some(told)),
            Err(_) if !self.nodes().contains(&id) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads something of every node's file: of running nodes all at once. Who no longer answers is
    /// left out.
    pub(crate) fn gather<T: Send>(
        &self,
        read: impl Fn(&dyn Store) -> Result<T> + Sync,
    ) -> Vec<(NodeId, Result<T>)> {
        let mut read = self.read_each(read);
        let open = self.nodes();
        read.retain(|(id, read)| read.is_ok() || open.contains(id));
        read
    }

    fn read_each<T: Send>(
        &self,
        read: impl Fn(&dyn Store) -> Result<T> + Sync,
    ) -> Vec<(NodeId, Result<T>)> {
        match self.nodes.running() {
            Some(live) => live.client.each(self.nodes(), |id| {
                live.store(id).ok_or_else(nobody).and_then(|store| read(store))
            }),
            None => {
                let stores = self.nodes().into_iter().filter_map(|id| Some((id, self.store(id)?)));
                stores.map(|(id, store)| (id, read(store))).collect()
            }
        }
    }
}
