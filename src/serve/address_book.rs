//! `peers.yaml`: where the other members can be reached, for a node that is started anew.
//!
//! ```text
//! gossip: n2 is at host2:7001 now  ->  peers.yaml, at most once a second and only when it changed
//! ```
//!
//! It believes what it is given. Caveat: a node whose file cannot be written goes on without; the
//! others find it.

use std::path::PathBuf;

use super::schedule::PeriodicTimer;
use crate::config::{self, PEERS_FILE, Peers};
use crate::node_dir;
use crate::os;
use crate::ring::{Member, NodeId, RingDoc};

/// The file is written at most once in this time, in ms.
const WRITE_MS: u64 = 1_000;
/// Every user of the machine may read the addresses: they are no secret.
const PEERS_KIND: os::EntryKind = os::EntryKind::OfNode(0o644);

/// See the module.
pub(super) struct AddressBook {
    path: PathBuf,
    /// What the file says.
    written: Peers,
    every: PeriodicTimer,
}

impl AddressBook {
    /// The book in a node's directory, which says `written` now.
    pub(super) fn new(dir: &std::path::Path, written: Peers) -> Self {
        Self { path: dir.join(PEERS_FILE), written, every: PeriodicTimer::new(WRITE_MS) }
    }

    /// Whether it is time to compare it with what is known.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        self.every.is_due(now_ms)
    }

    /// Writes the addresses down, when they have changed.
    pub(super) fn write(
        &mut self,
        doc: &RingDoc,
        own: NodeId,
        address: &dyn Fn(&Member) -> Option<String>,
    ) {
        let peers = node_dir::peers(doc, address);
        // A node that is no member yet knows the others only by what it was given: it must not
        // overwrite that with nothing.
        if peers == self.written || doc.member(own).is_none() && peers.peers.is_empty() {
            return;
        }
        let text = config::text(&peers);
        let written =
            text.and_then(|text| os::replace_file(&self.path, text.as_bytes(), PEERS_KIND));
        match written {
            Ok(()) => self.written = peers,
            Err(error) => tracing::warn!("the addresses could not be written down: {error}"),
        }
    }
}
