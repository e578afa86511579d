//! What happens to a served node, and how far its end is: the words between its tasks and its loop.
//!
//! ```text
//! listener -> Arrived Undialled    link -> Frame Ended    commit -> Committed    signals -> Stop
//! ```
//!
//! Values only; the loop decides.

use std::time::Instant;

use tokio::net::TcpStream;

use super::limits::RequestPermit;
use crate::channel::{Frame, Session};
use crate::error::Error;
use crate::ring::NodeId;
use crate::store::Failure;
use crate::store::lmdb::Head;

/// What happens to a served node.
pub(super) enum ServerEvent {
    /// A handshake is done.
    Connected(Box<NewConnection>),
    /// One that we began is not.
    DialFailed(NodeId, Error),
    /// The other end of a link says something; when it was sent, on this node's clock, if that is known.
    Frame(u64, Frame, Option<RequestPermit>, Option<u64>),
    /// A link has ended.
    LinkClosed(u64, Option<Error>),
    /// A batch is durable, or is not.
    Committed(u64, std::result::Result<Head, Failure>),
    /// A part of the node has ended that it cannot do without.
    Fatal(Error),
    /// A signal: finish and stop.
    Stop,
}

/// A connection whose handshake is done.
pub(super) struct NewConnection {
    pub(super) stream: TcpStream,
    pub(super) session: Session,
    /// When this side said its last word of the handshake.
    pub(super) since: Instant,
    /// Whom this side has dialled, if it has.
    pub(super) dialled: Option<NodeId>,
    /// The other end, for the log.
    pub(super) from: String,
}

/// How far stopping is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    /// It is not.
    No,
    /// What is under way is finished, until this time.
    Finishing(u64),
    /// Peers have been told; it ends at this time.
    Goodbye(u64),
}
