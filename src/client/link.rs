//! One connection to one node: TCP, the handshake, frames in and out, each with a time limit.
//!
//! ```text
//! connect -> first packet -> answer -> last packet + first requests -> Welcome, Response …
//!            one way each; what is asked first travels with the last packet
//! ```
//!
//! It blocks, but never longer than the time it is given. What it does not do: it asks no other node when this
//! one fails; its caller does. Caveat: a response that comes after its caller gave up is dropped.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::now;
use crate::channel::{
    Arrival, ClientRequest, ClientResponse, Frame, Handshake, Hello, Opener, OtherClock, RequestId,
    RingKeys, STAMPS_SINCE, Sealer, Static,
};
use crate::error::Error;
use crate::ring::{NodeId, RingId};

/// Bytes read at a time: the longest packet.
const READ_BYTES: usize = 1 << 16;
/// A time limit of the system is at least this; 0 would mean for ever.
const LIMIT_MIN: Duration = Duration::from_millis(1);

/// Why nothing comes any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkError {
    /// The time is over.
    TimedOut,
    /// The connection is.
    Closed(String),
}

/// Why there is no link to an address.
#[derive(Debug)]
pub(super) struct DialError {
    /// Words that follow the address.
    pub(super) why: String,
    /// No process listens there: a node that is starting may soon.
    pub(super) refused: bool,
    /// A node answers and does not take the key.
    pub(super) denied: bool,
    /// A process listens there and sends nothing.
    pub(super) hangs: bool,
}

impl DialError {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), refused: false, denied: false, hangs: false }
    }

    /// A node that does not take the key.
    fn denied(why: impl Into<String>) -> Self {
        Self { denied: true, ..Self::new(why) }
    }
}

/// What a dialler is and wants.
pub(super) struct DialOptions<'a> {
    pub(super) keys: &'a RingKeys,
    pub(super) own: &'a Static,
    /// The ring that must answer, if it is known.
    pub(super) ring: Option<RingId>,
    /// The node that must answer, if it matters which.
    pub(super) node: Option<NodeId>,
    /// Asked with the last packet, under the numbers 1, 2, …
    pub(super) first: &'a [ClientRequest],
}

/// The clocks of both ends: what is asked carries when it was.
#[derive(Clone)]
struct ConnectionClock {
    /// This side's clock is counted from here: its last word of the handshake.
    began: Instant,
    /// Whether the other side knows stamps.
    stamped: bool,
    other: OtherClock,
}

impl ConnectionClock {
    fn now_ms(&self) -> u64 {
        now().saturating_duration_since(self.began).as_millis() as u64
    }

    /// When a frame comes that is read now. The clock begins with the handshake's last packet.
    fn arrival(&self) -> Arrival {
        Arrival { handshake_ms: 0, now_ms: self.now_ms() }
    }

    /// The bytes of a frame as they are sent now.
    fn stamp(&self, frame: &[u8]) -> Vec<u8> {
        if self.stamped { self.other.stamp(frame, self.now_ms()) } else { frame.to_vec() }
    }
}

/// The sending half.
pub(super) struct SendHalf {
    stream: TcpStream,
    sealer: Sealer,
    clocks: ConnectionClock,
    /// The wire version both ends speak.
    wire: u8,
}

/// The receiving half.
pub(super) struct ReceiveHalf {
    stream: TcpStream,
    opener: Opener,
    bytes: Vec<u8>,
    clocks: ConnectionClock,
}

/// An open link. See the module.
pub(super) struct NodeConnection {
    out: SendHalf,
    receiver: ReceiveHalf,
    response: BTreeMap<RequestId, ClientResponse>,
    /// The number of the last request.
    last: RequestId,
    /// Who answers.
    pub(super) node: NodeId,
    /// Its ring, as it says.
    pub(super) ring: RingId,
    /// Its static key, proven.
    pub(super) public: [u8; 32],
}

impl NodeConnection {
    /// Connects to an address `host:port`.
    pub(super) fn dial(
        address: &str,
        dial: &DialOptions<'_>,
        until: Instant,
    ) -> Result<Self, DialError> {
        let mut stream = connect(address, until)?;
        let broken = |cut: LinkError| match cut {
            LinkError::TimedOut => DialError { hangs: true, ..DialError::new("does not answer") },
            // A key that does not fit is answered by hanging up in good order.
            cut if cut == closed() => DialError::denied(
                "ends the handshake: it does not have this ring's key, or is not a kvs node",
            ),
            LinkError::Closed(why) => DialError::new(format!("breaks off the handshake: {why}")),
        };
        let defect = |error: Error| DialError::new(error.to_string());
        let hello = Hello::new(dial.ring, None);
        let (handshake, packet) = Handshake::dial(dial.keys, dial.own, &hello).map_err(defect)?;
        write(&mut stream, &packet, until).map_err(broken)?;
        let mut bytes = Vec::new();
        let body = loop {
            if let Some(body) = take_packet(&mut bytes) {
                break body;
            }
            read(&mut stream, &mut bytes, until).map_err(broken)?;
        };
        let (opened, mut last) = handshake
            .dialled(&body)
            .map_err(|_| DialError::denied("does not have this ring's key"))?;
        let (node, ring, wire) = who(&opened.hello, &hello, dial)?;
        let receiver = stream.try_clone().map_err(|e| DialError::new(e.to_string()))?;
        let stamped = wire >= STAMPS_SINCE;
        let clocks = ConnectionClock { began: now(), stamped, other: OtherClock::default() };
        let receiver =
            ReceiveHalf { stream: receiver, opener: opened.opener, bytes, clocks: clocks.clone() };
        let mut out = SendHalf { stream, sealer: opened.sealer, clocks, wire };
        // The first stamp says when the handshake ended here.
        let requests = (1..)
            .zip(dial.first)
            .map(|(n, request)| Frame::Request(RequestId(n), Box::new(request.clone())));
        for frame in std::iter::once(Frame::Beat).chain(requests) {
            let bytes = out.clocks.stamp(&frame.encode());
            out.sealer.seal(&bytes, &mut last).map_err(defect)?;
        }
        write(&mut out.stream, &last, until).map_err(broken)?;
        let last = RequestId(dial.first.len() as u64);
        let (response, public) = (BTreeMap::new(), opened.remote);
        let mut link = Self { out, receiver, response, last, node, ring, public };
        link.welcomed(until)?;
        Ok(link)
    }

    fn welcomed(&mut self, until: Instant) -> Result<(), DialError> {
        loop {
            match self.receiver.next(until) {
                Ok(Frame::Welcome { .. }) => return Ok(()),
                Ok(Frame::Refused(fault)) => {
                    return Err(DialError::new(format!("refuses: {}", Error::from(fault))));
                }
                Ok(Frame::Beat) => {}
                Ok(_) => return Err(DialError::new("sends an invalid first message")),
                Err(LinkError::TimedOut) => return Err(DialError::new("does not answer")),
                Err(LinkError::Closed(why)) => {
                    return Err(DialError::new(format!("hangs up: {why}")));
                }
            }
        }
    }

    /// Sends a question. After an error it was certainly not understood: its end was never sent.
    pub(super) fn post(
        &mut self,
        request: ClientRequest,
        until: Instant,
    ) -> Result<RequestId, LinkError> {
        self.catch_up()?;
        self.last = self.last.next();
        self.out.post(self.last, request, until)?;
        Ok(self.last)
    }

    /// Waits for the answer to a question. Signs of life move the limit on by `renew`.
    pub(super) fn wait(
        &mut self,
        id: RequestId,
        mut until: Instant,
        renew: Option<Duration>,
    ) -> Result<ClientResponse, LinkError> {
        loop {
            if let Some(response) = self.response.remove(&id) {
                return Ok(response);
            }
            match self.receiver.next(until)? {
                Frame::Response(to, response) if *response == ClientResponse::Busy => {
                    if to == id
                        && let Some(more) = renew
                    {
                        until = now() + more;
                        // Silence is taken for death on the other side too.
                        self.out.beat(until)?;
                    }
                }
                Frame::Response(to, response) => drop(self.response.insert(to, *response)),
                Frame::Refused(fault) => {
                    return Err(LinkError::Closed(Error::from(fault).to_string()));
                }
                _ => {}
            }
        }
    }

    /// Takes what has come meanwhile: a connection that was closed is found before it is used.
    fn catch_up(&mut self) -> Result<(), LinkError> {
        self.response.clear(); // responses whose callers gave up
        let broken = |e: std::io::Error| LinkError::Closed(e.to_string());
        self.receiver.stream.set_nonblocking(true).map_err(broken)?;
        let mut bytes = [0; READ_BYTES];
        let state = loop {
            match self.receiver.stream.read(&mut bytes) {
                Ok(0) => break Err(closed()),
                Ok(n) => self.receiver.bytes.extend_from_slice(&bytes[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break Err(LinkError::Closed(e.to_string())),
            }
        };
        self.receiver.stream.set_nonblocking(false).map_err(broken)?;
        state
    }

    /// The wire version that both ends speak.
    pub(super) fn wire(&self) -> u8 {
        self.out.wire
    }

    /// The halves, for one thread each.
    pub(super) fn split(self) -> (SendHalf, ReceiveHalf) {
        (self.out, self.receiver)
    }
}

impl SendHalf {
    /// Sends a question under a number of the caller's.
    pub(super) fn post(
        &mut self,
        id: RequestId,
        request: ClientRequest,
        until: Instant,
    ) -> Result<(), LinkError> {
        self.send(&Frame::Request(id, Box::new(request)), until)
    }

    fn beat(&mut self, until: Instant) -> Result<(), LinkError> {
        self.send(&Frame::Beat, until)
    }

    fn send(&mut self, frame: &Frame, until: Instant) -> Result<(), LinkError> {
        let mut packets = Vec::new();
        let older = || {
            LinkError::Closed("it runs an older kvs, which does not support this request".into())
        };
        let bytes = frame.encode_for(self.wire).ok_or_else(older)?;
        let sealed = self.sealer.seal(&self.clocks.stamp(&bytes), &mut packets);
        sealed.map_err(|e| LinkError::Closed(e.to_string()))?;
        write(&mut self.stream, &packets, until)
    }

    /// Ends the connection: its reader wakes.
    pub(super) fn close(&self) {
        // It may be closed already.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

impl ReceiveHalf {
    /// The next frame.
    pub(super) fn next(&mut self, until: Instant) -> Result<Frame, LinkError> {
        loop {
            while let Some(body) = take_packet(&mut self.bytes) {
                let opened =
                    self.opener.open(&body).map_err(|e| LinkError::Closed(e.to_string()))?;
                if let Some(frame) = opened {
                    let taken = self.clocks.other.take(&frame, self.clocks.arrival());
                    let frame = taken.and_then(|(frame, _)| Frame::decode(frame));
                    return frame.map_err(|e| LinkError::Closed(e.to_string()));
                }
            }
            read(&mut self.stream, &mut self.bytes, until)?;
        }
    }
}

/// Holds what the other side says of itself against what is wanted.
fn who(
    theirs: &Hello,
    ours: &Hello,
    dial: &DialOptions<'_>,
) -> Result<(NodeId, RingId, u8), DialError> {
    let (Some(node), Some(ring)) = (theirs.node, theirs.ring) else {
        return Err(DialError::new("is not a node of a ring"));
    };
    if dial.ring.is_some_and(|wanted| wanted != ring) {
        return Err(DialError::new("belongs to another ring"));
    }
    if dial.node.is_some_and(|wanted| wanted != node) {
        return Err(DialError::new("is now another node"));
    }
    let Some(wire) = ours.version_with(theirs) else {
        let (lowest, highest) = (theirs.lowest, theirs.highest);
        let why = format!(
            "supports only wire versions {lowest} to {highest}: it runs another version of kvs"
        );
        return Err(DialError::new(why));
    };
    Ok((node, ring, wire))
}

/// A connection to one of the addresses of a name.
fn connect(address: &str, until: Instant) -> Result<TcpStream, DialError> {
    let mut failed = DialError::new("has no address");
    let all = resolve(address, until)?;
    for (i, one) in all.iter().enumerate() {
        let share = left(until) / (all.len() - i) as u32;
        match TcpStream::connect_timeout(one, share.max(LIMIT_MIN)) {
            Ok(stream) => {
                // Only speed is lost without it.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Err(error) => failed = unconnected(&error),
        }
    }
    Err(failed)
}

fn unconnected(error: &std::io::Error) -> DialError {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            let why = "refuses the connection: nothing listens there";
            DialError { refused: true, ..DialError::new(why) }
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => DialError::new("does not answer"),
        _ => DialError::new(format!("cannot be reached: {error}")),
    }
}

/// The addresses of a name. The system's resolver knows no time limit: it gets a thread of its own,
/// which is left to itself when it takes too long.
fn resolve(address: &str, until: Instant) -> Result<Vec<SocketAddr>, DialError> {
    use std::net::ToSocketAddrs;
    if let Ok(one) = address.parse::<SocketAddr>() {
        return Ok(vec![one]);
    }
    let (tell, response) = channel();
    let name = address.to_owned();
    let query = move || {
        let found = name.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // The caller may have gone on.
        drop(tell.send(found));
    };
    let thread = thread::Builder::new().spawn(query);
    thread.map_err(|e| DialError::new(format!("cannot be looked up: {e}")))?;
    match response.recv_timeout(left(until)) {
        Ok(Ok(all)) => Ok(all),
        Ok(Err(error)) => {
            Err(DialError::new(format!("is a name that cannot be resolved: {error}")))
        }
        Err(_) => Err(DialError::new("is a name that was not resolved in time")),
    }
}

/// The body of the first whole packet.
fn take_packet(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let body = rest.get(..length)?.to_vec();
    bytes.drain(..2 + length);
    Some(body)
}

fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>, until: Instant) -> Result<(), LinkError> {
    let limit = left(until);
    if limit.is_zero() {
        return Err(LinkError::TimedOut);
    }
    let set = stream.set_read_timeout(Some(limit.max(LIMIT_MIN)));
    set.map_err(|e| LinkError::Closed(e.to_string()))?;
    let start = bytes.len();
    bytes.resize(start + READ_BYTES, 0);
    let read = stream.read(&mut bytes[start..]);
    bytes.truncate(start + read.as_ref().copied().unwrap_or(0));
    match read {
        Ok(0) => Err(closed()),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
        Err(e) => Err(cut(&e)),
    }
}

/// Writes all of it, or not its end.
fn write(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        let limit = left(until);
        if limit.is_zero() {
            return Err(LinkError::TimedOut);
        }
        let set = stream.set_write_timeout(Some(limit.max(LIMIT_MIN)));
        set.map_err(|e| LinkError::Closed(e.to_string()))?;
        match stream.write(bytes) {
            Ok(0) => return Err(closed()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(cut(&e)),
        }
    }
    Ok(())
}

fn cut(error: &std::io::Error) -> LinkError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => LinkError::TimedOut,
        _ => LinkError::Closed(error.to_string()),
    }
}

fn closed() -> LinkError {
    LinkError::Closed("the connection was closed".into())
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(now())
}
