//! Numbers that must not be mixed up, besides the node's own ([`Ticket`], [`crate::node::BatchSeq`]).
//!
//! ```text
//! Requester { link 3, request 7 }  ->  Ticket 41 -> the node ... Reply(41)  ->  Requester { link 3, request 7 }
//! ```
//!
//! Values only; each sequence is counted by its owner (`links`, `requests`, the node).

use crate::channel::RequestId;
pub(super) use crate::node::Ticket;

/// One connection of this process, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkId(pub(super) u64);

/// Who waits for a response: a link, and the number under which its client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Requester {
    pub(super) link: LinkId,
    pub(super) request: RequestId,
}
