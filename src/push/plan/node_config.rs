//! The `node.yaml` that a host should have, and what differs in the one that it has.

use crate::config::{self, NodeConfig};
use crate::push::inventory::Host;
use crate::push::remote::Facts;

/// What `node.yaml` should be.
#[must_use]
pub(in crate::push) fn wanted(host: &Host) -> NodeConfig {
    NodeConfig {
        name: host.name.clone(),
        listen: Some(host.listen.to_string()),
        advertise: host.advertise.map(|at| at.to_string()),
        metrics: host.metrics.clone(),
        quota_bytes: host.quota_bytes,
    }
}

/// Fields of `node.yaml` that are not as they should be.
pub(super) fn changed(host: &Host, facts: &Facts) -> Vec<&'static str> {
    let text = facts.node_yaml.as_deref().unwrap_or_default();
    let Ok(is) = config::parse::<NodeConfig>(text, "node.yaml") else { return vec!["all"] };
    let should = wanted(host);
    let fields = [
        ("listen", is.listen != should.listen),
        ("advertise", is.advertise != should.advertise),
        ("metrics", is.metrics != should.metrics),
        ("quota_bytes", is.quota_bytes != should.quota_bytes),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
