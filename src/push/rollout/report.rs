//! What came of a run: each host, what was changed there, and why it failed.
//!
//! ```text
//! n1  changed  uploaded kvs 0.1.0, restarted
//! n2  failed   n2 cannot be reached: ...
//! n3  ok
//! ```
//!
//! It decides nothing about exit codes; commands do.

use std::time::Duration;

use super::host_pool::Ended;
use crate::error::Error;
use crate::push::inventory::Host;

/// What came of it.
#[derive(Debug)]
pub struct RolloutReport {
    /// Each host in question, what was changed there, how long it took, and why it failed.
    pub hosts: Vec<ReportRow>,
    /// What stopped the whole, if anything did.
    pub fault: Option<Error>,
    /// Something was changed somewhere.
    pub changed: bool,
}

/// One host.
#[derive(Debug)]
pub struct ReportRow {
    /// Its name.
    pub name: String,
    /// What was changed.
    pub did: Vec<String>,
    /// Why it was given up.
    pub fault: Option<Error>,
    /// How long the work on it took.
    pub took: Duration,
}

impl RolloutReport {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.fault.is_none() && self.hosts.iter().all(|h| h.fault.is_none())
    }

    pub(super) fn new(hosts: &[&Host], ended: Ended, fault: Option<Error>) -> Self {
        let Ended { mut faults, mut did, spent } = ended;
        let changed = !did.is_empty();
        let row = |host: &&Host| ReportRow {
            name: host.name.clone(),
            did: did.remove(&host.name).unwrap_or_default(),
            fault: faults.remove(&host.name),
            took: spent.get(&host.name).copied().unwrap_or_default(),
        };
        Self { hosts: hosts.iter().map(row).collect(), fault, changed }
    }
}
