//! Numbers that must not be mixed up: three sequences that would all be a bare `u64`.
//!
//! ```text
//! Requester { link 3, request 7 }  ->  Ticket 41 -> the node ... Reply(41)  ->  Requester { link 3, request 7 }
//! ```
//!
//! Values only; each sequence is counted by its owner (`links`, `requests`, the node).

use crate::channel::RequestId;

/// One connection of this process, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkId(pub(super) u64);

/// One request to the node's state machine, a client's or its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(pub(super) u64);

/// One batch of the node, in commit order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BatchSeq(pub(super) u64);

/// Who waits for a response: a link, and the number under which its client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Requester {
    pub(super) link: LinkId,
    pub(super) request: RequestId,
}
