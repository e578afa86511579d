//! What is known of a node's copies since it was opened: read or not, lost, struck.
//!
//! ```text
//! done      compared with its digest, and matched       broken    cannot be read to the end
//! lost      records that are missing, as the file says  striking  staged strikes; owed: failed ones
//! ```
//!
//! It reads nothing itself; `replica/audit.rs` does, and keeps this.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::key::Partition;
use crate::planted::{self, Bug};
use crate::ring::NodeId;
use crate::store::{Loss, Store, Table};

/// A key as it stands in the table `bad`.
pub(super) type CorruptKey = (Partition, Vec<u8>);

/// What is wrong with a partition: a key, or all that does not match its digest.
pub(super) type Strike = (Partition, Option<Vec<u8>>);

/// See the module.
#[derive(Default)]
pub(super) struct Audits {
    /// Compared with their digests since opening.
    pub(super) done: BTreeSet<Partition>,
    /// Cannot be read to the end.
    pub(super) broken: BTreeSet<Partition>,
    /// What is missing, as the file says.
    pub(super) lost: BTreeMap<Partition, Loss>,
    /// Strikes that are not durable yet: a key, or all that is wrong with a partition.
    pub(super) striking: BTreeSet<Strike>,
    /// Strikes whose batch failed.
    pub(super) owed: BTreeSet<Strike>,
    /// Raised by every loss and strike; each partition's last one.
    losses: u64,
    lost_at: BTreeMap<Partition, u64>,
    /// Full owners that have voted on a bad key since it was struck.
    pub(super) voted: BTreeMap<CorruptKey, BTreeSet<NodeId>>,
    /// Records audited at once; no bound when `None`.
    pub(super) slice: Option<u64>,
}

impl Audits {
    /// What the file says of losses.
    pub(super) fn load(store: &dyn Store, slice: Option<u64>) -> Result<Self, Error> {
        Ok(Self { lost: losses(store)?, slice, ..Self::default() })
    }

    /// Where a pass begins.
    pub(super) fn now(&self) -> u64 {
        self.losses
    }

    /// Whether a pass that began then says something of the partition: nothing of it was lost or
    /// struck meanwhile, and nothing waits to be.
    pub(super) fn is_same_since(&self, p: Partition, began: u64) -> bool {
        let same = self.lost_at.get(&p).is_none_or(|at| *at <= began) && !self.is_striking(p);
        same || planted::is(Bug::OldPassProves)
    }

    pub(super) fn is_striking(&self, p: Partition) -> bool {
        let of = |strikes: &BTreeSet<Strike>| {
            strikes.range((p, None)..).next().is_some_and(|strike| strike.0 == p)
        };
        of(&self.striking) || of(&self.owed)
    }

    pub(super) fn are_striking(&self) -> bool {
        !self.striking.is_empty() || !self.owed.is_empty()
    }

    pub(super) fn is_known(&self, p: Partition) -> bool {
        self.done.contains(&p) || self.broken.contains(&p)
    }

    pub(super) fn has_lost(&self, p: Partition) -> bool {
        self.lost.contains_key(&p)
    }

    pub(super) fn is_doubtful(&self, p: Partition) -> bool {
        self.has_lost(p) || self.broken.contains(&p)
    }

    /// Partitions that have lost something or cannot be read.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = Partition> {
        self.lost.keys().chain(&self.broken).copied()
    }

    pub(super) fn touch(&mut self, p: Partition) {
        self.losses += 1;
        self.lost_at.insert(p, self.losses);
    }
}

/// The losses that a file has in mind.
pub(super) fn losses(store: &dyn Store) -> Result<BTreeMap<Partition, Loss>, Error> {
    let rows = store.rows(Table::Meta, Loss::PREFIX)?;
    let read = |(name, bytes): (String, Vec<u8>)| {
        Some((Loss::partition(&name)?, Loss::from_bytes(&bytes).unwrap_or_default()))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}
