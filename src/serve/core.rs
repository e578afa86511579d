//! The core of a served node: the parts that own its state, and the ways out of it.
//!
//! ```text
//! event_loop -> sessions          links that open and end     -> core: send, respond, refuse
//!            -> client_requests   what clients ask            ->
//!            -> lifecycle         its health, its end         ->
//! ```
//!
//! Each part (`links`, `requests`, `liveness`, `maintenance`, `commit`, `shutdown`, ...) owns its state and
//! answers questions; none of them knows another, and none calls back. The files under `core/` call in the
//! direction of the arrows and no other. Here is what they share: the parts, the clock, and whatever
//! leaves this process.

mod client_requests;
mod event_loop;
mod lifecycle;
mod sessions;

use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::address_book::AddressBook;
use super::admission::DuplicateWatch;
use super::commit::CommitPipeline;
use super::connection_limits::ConnectionLimits;
use super::event::ServerEvent;
use super::handshake::Credentials;
use super::id::{LinkId, Requester};
use super::links::LinkTable;
use super::liveness::Liveness;
use super::log_limiter::LogLimiter;
use super::maintenance::Maintenance;
use super::meter;
use super::requests::RequestTable;
use super::schedule::PeriodicTimer;
use super::shutdown::Shutdown;
use crate::channel::{ClientResponse, FRAME_BYTES_MAX, Fault, Frame};
use crate::error::Error;
use crate::gossip::GossipRow;
use crate::node::{Event, Node, Reply, Time};
use crate::os::wall_ms;
use crate::protocol::{Body, Message, WIRE_LOWEST};
use crate::ring::{MemberState, NodeId};

/// The gauges are set this often, in ms.
const GAUGES_MS: u64 = 5_000;

/// Why gossip is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gossiped {
    /// It is what this node knows: the receiver answers with what it knows better.
    Push,
    /// It wants no answer.
    Answer,
}

/// What the loop has from its surroundings.
pub(super) struct Setup {
    pub(super) credentials: Credentials,
    pub(super) limits: ConnectionLimits,
    /// Where the figures can be read, if anywhere.
    pub(super) metrics: Option<String>,
    /// The way into the loop, for the tasks that it starts.
    pub(super) sender: Sender<ServerEvent>,
    /// The task that accepts connections.
    pub(super) accepting: AbortHandle,
    /// The moment from which the loop's clock counts.
    pub(super) began: Instant,
}

/// See the module.
pub(super) struct Core {
    setup: Setup,
    node: Node,
    pipeline: CommitPipeline,
    liveness: Liveness,
    links: LinkTable,
    requests: RequestTable,
    maintenance: Maintenance,
    address_book: AddressBook,
    duplicates: DuplicateWatch,
    shutdown: Shutdown,
    gauges: PeriodicTimer,
    /// What others can have it log.
    log_limiter: LogLimiter,
    /// The version of the document that the links were last held against.
    checked: u64,
    /// What the node hears next.
    events: Vec<Event>,
    /// Why it has to end.
    failed: Option<Error>,
}

impl Core {
    pub(super) fn new(
        setup: Setup,
        node: Node,
        pipeline: CommitPipeline,
        liveness: Liveness,
        maintenance: Maintenance,
        address_book: AddressBook,
    ) -> Self {
        Self {
            setup,
            pipeline,
            liveness,
            links: LinkTable::new(node.id()),
            requests: RequestTable::default(),
            maintenance,
            address_book,
            duplicates: DuplicateWatch::default(),
            shutdown: Shutdown::Running,
            gauges: PeriodicTimer::new(GAUGES_MS),
            log_limiter: LogLimiter::new(),
            checked: node.doc().version,
            events: Vec::new(),
            failed: None,
            node,
        }
    }

    /// The time since the start.
    fn now(&self) -> Duration {
        self.setup.began.elapsed()
    }

    fn now_ms(&self) -> u64 {
        self.now().as_millis() as u64
    }

    fn time(&self) -> Time {
        Time { wall_ms: wall_ms(), mono_ms: self.now_ms() }
    }

    fn own_name(&self) -> String {
        self.node.doc().name(self.node.id())
    }

    fn send(&mut self, to: NodeId, message: Message) {
        let op = message.op;
        let frame = Frame::Message(Box::new(message));
        // What the other has no word for is not sent.
        let bytes = frame.encode_for(self.links.wire(to));
        if let (Frame::Message(message), Some(bytes)) = (&frame, &bytes) {
            meter::sent(&message.body, bytes.len());
        }
        // One that is too long would end the link, and again after each dial.
        let fits = bytes.as_ref().is_none_or(|bytes| bytes.len() <= FRAME_BYTES_MAX);
        if !fits && let Some(suppressed) = self.log_limiter.allow() {
            let (peer, bytes) = (self.node.doc().name(to), bytes.as_ref().map_or(0, Vec::len));
            tracing::error!(peer, bytes, suppressed, "a message is too long to be sent");
        }
        let sent = fits && bytes.is_some_and(|bytes| self.links.send(to, bytes));
        if !sent && op != 0 {
            self.events.push(Event::Unsent(to, op));
        }
    }

    /// Tells the other end of a link why it may not stay; one that was removed hears it from the
    /// document.
    fn refuse(&mut self, link: LinkId, node: Option<NodeId>, error: &Error) {
        let doc = self.node.doc();
        let member = node.and_then(|id| doc.member(id));
        if member.is_some_and(|m| m.state == MemberState::Removed) {
            let frame = self.news(Body::Chosen(Box::new((**doc).clone())));
            let wire = self.links.conn(link).map_or(WIRE_LOWEST, |c| c.wire);
            let bytes = Frame::Message(Box::new(frame)).encode_for(wire);
            bytes.into_iter().for_each(|bytes| self.links.queue(link, bytes));
        }
        self.links.queue(link, Frame::Refused(Fault::from(error)).encode());
        self.links.close(link);
    }

    /// A message that answers nothing and wants no answer.
    fn news(&self, body: Body) -> Message {
        let doc = self.node.doc();
        Message { ring: doc.id, version: doc.version, op: 0, body }
    }

    fn respond(&mut self, to: Requester, response: ClientResponse) {
        let reads =
            !matches!(response, ClientResponse::Busy | ClientResponse::Reply(Reply::Put(_)));
        let bytes = self.links.respond(to, response);
        if reads {
            self.requests.budget().record_response(bytes);
        }
    }

    fn respond_fault(&mut self, to: Requester, error: &Error) {
        self.respond(to, ClientResponse::Fault(Fault::from(error)));
    }

    fn send_rows(&mut self, to: NodeId, rows: Vec<GossipRow>, gossiped: Gossiped) {
        let body = Body::Gossip { rows, answer: gossiped == Gossiped::Answer };
        self.send(to, self.news(body));
    }
}
