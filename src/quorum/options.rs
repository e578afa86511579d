//! How many must take part in an operation, by number or by name, and how long it may take.
//!
//! ```text
//! -w 2          one group: 2 of the owners
//! each-quorum   a group per zone: a majority of the owners there
//! ```
//!
//! Values only: who took part is counted in [`super::WriteTally`] and [`super::ReadTally`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ring::{NodeId, RingDoc};

/// A quorum by name. The zone of a local one is that of the node that took the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// One owner.
    One,
    /// A majority of the owners.
    Quorum,
    /// Every owner.
    All,
    /// A majority of the owners in the zone.
    LocalQuorum,
    /// A majority of the owners in each zone.
    EachQuorum,
}

/// How many must take part in an operation, and how long it may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Ask only the first so many live owners; all when `None`.
    pub n: Option<u8>,
    /// Acknowledgements wanted; the ring's majority when `None`.
    pub w: Option<u8>,
    /// Votes wanted; the ring's majority when `None`.
    pub r: Option<u8>,
    /// The quorum by name, in place of `w` and `r`.
    pub level: Option<Level>,
    /// The zone of a local quorum; that of the node that takes the request when `None`.
    pub zone: Option<String>,
    /// Owners only; reads answer only what is safely held.
    pub strict: bool,
    /// Wait for every owner that can be reached, not only for enough of them.
    pub patient: bool,
    /// A strict read may write back what some owners lack.
    pub write_back: bool,
    /// Time allowed, in ms.
    pub timeout_ms: u64,
}

impl Options {
    /// Takes from its time what it has been under way, in ms. Of no time nothing is left to begin with.
    pub fn age(&mut self, ms: u64) {
        self.timeout_ms = self.timeout_ms.saturating_sub(ms);
    }

    /// W in numbers, over all owners.
    #[must_use]
    pub fn w(&self, doc: &RingDoc) -> usize {
        self.number(self.w, doc)
    }

    /// R in numbers, over all owners.
    #[must_use]
    pub fn r(&self, doc: &RingDoc) -> usize {
        self.number(self.r, doc)
    }

    fn number(&self, asked: Option<u8>, doc: &RingDoc) -> usize {
        match self.level {
            Some(Level::One) => 1,
            Some(Level::All) => doc.n(),
            Some(_) => doc.majority(),
            None => asked.map_or(doc.majority(), usize::from),
        }
    }

    /// Whether only the owners of one zone are asked for.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.level == Some(Level::LocalQuorum)
    }

    /// The groups of owners that must take part, each with how many of it.
    pub(super) fn groups(&self, doc: &RingDoc, owners: Vec<NodeId>, number: usize) -> Vec<Group> {
        let zone = |id: &NodeId| doc.member(*id).map(|m| m.zone.clone());
        let majority = |owners: Vec<NodeId>| {
            let number = owners.len() / 2 + 1;
            Group { owners, number }
        };
        match self.level {
            Some(Level::LocalQuorum) => {
                let local = |id: &NodeId| zone(id).is_some() && zone(id) == self.zone;
                vec![majority(owners.into_iter().filter(local).collect())]
            }
            Some(Level::EachQuorum) => {
                let mut zones: BTreeMap<Option<String>, Vec<NodeId>> = BTreeMap::new();
                for owner in owners {
                    zones.entry(zone(&owner)).or_default().push(owner);
                }
                zones.into_values().map(majority).collect()
            }
            _ => vec![Group { owners, number }],
        }
    }
}

/// Owners of whom so many must take part.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) owners: Vec<NodeId>,
    pub(super) number: usize,
}
