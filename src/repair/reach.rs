//! The way to one node of a cluster: its file, or an answer.

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::node::{Reply, Request};
use crate::ring::NodeId;
use crate::store::Store;

/// Asks a node; `None` when its file fails, or has failed before, and it was stopped: the others go
/// on without it.
pub(super) fn ask(cluster: &mut Cluster, id: NodeId, request: Request) -> Result<Option<Reply>> {
    let asked = cluster.ask(id, request);
    cluster.heard(id, asked)
}

/// A node's durable state.
pub(super) fn opened(cluster: &Cluster, id: NodeId) -> Result<&dyn Store> {
    cluster.store(id).ok_or_else(|| {
        let name = cluster.doc().name(id);
        Error::Unreachable(format!("The node {name} is not open; nothing was read."))
    })
}
