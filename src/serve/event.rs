//! What happens to a served node: the values that travel from its tasks and threads to its loop.
//!
//! ```text
//! listener, dialer -> Connected, DialFailed      link    -> Frame, LinkClosed
//! commit           -> Committed, Fatal           signals -> Stop
//! ```
//!
//! Values only; `core` decides. They share one queue, so an event is handled after all that came before it.

use std::time::Instant;

use tokio::net::TcpStream;

use super::id::LinkId;
use super::limits::RequestPermit;
use crate::channel::{Frame, Session};
use crate::error::Error;
use crate::node::BatchSeq;
use crate::ring::NodeId;
use crate::store::Failure;
use crate::store::lmdb::Head;

/// What happens to a served node.
pub(super) enum ServerEvent {
    /// A handshake is done.
    Connected(Box<NewConnection>),
    /// One that we began is not.
    DialFailed(NodeId, Error),
    /// The other end of a link says something.
    Frame(Received),
    /// A link has ended.
    LinkClosed(LinkId, Option<Error>),
    /// A batch is durable, or is not.
    Committed(BatchSeq, std::result::Result<Head, Failure>),
    /// A part of the node has ended that it cannot do without.
    Fatal(Error),
    /// A signal: finish and stop.
    Stop,
}

/// A frame that has come over a link.
pub(super) struct Received {
    pub(super) link: LinkId,
    pub(super) frame: Frame,
    /// The share of the clients' budget that a request has, given back when it has been answered.
    pub(super) permit: Option<RequestPermit>,
    /// When it was sent, on this node's clock in ms, if that is known.
    pub(super) sent_ms: Option<u64>,
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
