//! Every member and how it is, and where each listens.

use std::collections::BTreeMap;
use std::path::Path;

use super::handle::Cluster;
use super::view::{View, lost};
use crate::config::{self, NODE_FILE, NodeConfig, PEERS_FILE, Peers};
use crate::error::Result;
use crate::node::{Reply, Request};
use crate::node_dir;
use crate::ring::NodeId;
use crate::store::Store;

impl Cluster {
    /// Every present member and how it is.
    ///
    /// # Errors
    /// [`Io`](crate::error::Error::Io) or [`Corrupt`](crate::error::Error::Corrupt) when a file cannot
    /// be read.
    pub fn views(&mut self) -> Result<Vec<View>> {
        if let Some(live) = self.nodes.running() {
            return Ok(live.views());
        }
        let mut views = Vec::new();
        let addresses = self.addresses();
        for member in self.doc().present().cloned().collect::<Vec<_>>() {
            let id = member.id;
            let mut view = View { address: addresses.get(&id).cloned(), ..View::of(member) };
            if let Some(store) = self.nodes.files().and_then(|e| e.store(id)) {
                view.dir = self.dir(id).map(Path::to_path_buf);
                view.bytes = store.used_bytes()?;
                view.hints = store.hint_stats()?;
                view.lost = lost(store)?;
                if let Reply::Status(status) = self.ask(id, Request::Status)? {
                    view.status = Some(status);
                }
            }
            views.push(view);
        }
        Ok(views)
    }

    /// The addresses known: of running nodes as the entry heard them; of directories each open
    /// node's own, others as the open ones last heard them.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<NodeId, String> {
        let doc = self.doc();
        if let Some(live) = self.nodes.running() {
            let told = doc.present().filter_map(|m| Some((m.id, live.client.address(m.id)?)));
            return told.collect();
        }
        let mut known = BTreeMap::new();
        let dirs: Vec<_> =
            self.nodes().into_iter().filter_map(|id| Some((id, self.dir(id)?))).collect();
        for (_, dir) in &dirs {
            let peers: Peers = config::read(&dir.join(PEERS_FILE)).unwrap_or_default();
            known.extend(node_dir::addresses(peers));
        }
        for (id, dir) in &dirs {
            let own = config::read::<NodeConfig>(&dir.join(NODE_FILE));
            if let Some(address) = own.ok().and_then(|c| c.advertise.or(c.listen)) {
                known.insert(*id, address);
            }
        }
        known
    }
}
