//! Questions under way: who asked, under which number, since when.
//!
//! ```text
//! link 3, question 7  <-  ticket 41  ->  the node
//! ```
//!
//! Tickets are one sequence for clients' questions and the node's own chores, so that a reply belongs
//! to one of them. Values only; `desk` and `chores` use them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::limits::{ClientBudget, RequestPermit};
use crate::channel::Load;
use crate::node::Request;

/// A question under way.
pub(super) struct OpenRequest {
    pub(super) link: u64,
    pub(super) ticket: u64,
    pub(super) op: &'static str,
    /// Asks for data, of a single record (true) or a page of them.
    pub(super) data: Option<bool>,
    pub(super) began: Duration,
    pub(super) busy_ms: u64,
    /// Its place among the open questions, given back with it.
    pub(super) _seat: Option<RequestPermit>,
}

/// A question that waits for the node to be ready.
pub(super) struct DeferredRequest {
    pub(super) link: u64,
    pub(super) ticket: u64,
    pub(super) request: Request,
    pub(super) since_ms: u64,
    pub(super) until_ms: u64,
    pub(super) permit: Option<RequestPermit>,
}

/// See the module.
#[derive(Default)]
pub(super) struct RequestTable {
    pub(super) asked: BTreeMap<u64, OpenRequest>,
    pub(super) held: Vec<DeferredRequest>,
    pub(super) next: u64,
    pub(super) draining: bool,
    /// Who waits for the draining to end.
    pub(super) drains: Vec<(u64, u64)>,
    pub(super) budget: ClientBudget,
    /// What was asked for and how that ended, since the start.
    pub(super) load: Load,
}

impl RequestTable {
    /// Whether nobody waits for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.held.is_empty()
    }

    /// The links on which somebody waits for an answer.
    pub(super) fn links(&self) -> BTreeSet<u64> {
        let asked = self.asked.values().map(|a| a.link);
        asked
            .chain(self.held.iter().map(|h| h.link))
            .chain(self.drains.iter().map(|d| d.0))
            .collect()
    }

    /// A fresh ticket, of the desk's or of a chore's.
    pub(super) fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
