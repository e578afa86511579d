//! One connection to one node: TCP, the handshake, parcels in and out, each with a time limit.
//!
//! ```text
//! connect -> first frame -> answer -> last frame + first asks -> Welcome, Told …
//!            one way each; what is asked first travels with the last frame
//! ```
//!
//! It blocks, but never longer than the time it is given. What it does not do: it asks nobody else
//! when this node fails; its caller does. Caveat: an answer that comes after its asker gave up is
//! thrown away.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::now;
use crate::channel::{
    Ask, Handshake, Hello, Opener, OtherClock, Parcel, RingKeys, STAMPS_SINCE, Sealer, Static, Told,
};
use crate::error::Error;
use crate::ring::{NodeId, RingId};

/// Bytes read at a time: the longest frame.
const READ_BYTES: usize = 1 << 16;
/// A time limit of the system is at least this; 0 would mean for ever.
const LIMIT_MIN: Duration = Duration::from_millis(1);

/// Why nothing comes any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The time is over.
    Silent,
    /// The connection is.
    Broken(String),
}

/// Why there is no link to an address.
#[derive(Debug)]
pub(super) struct NoLink {
    /// Words that follow the address.
    pub(super) why: String,
    /// Nobody listens there: somebody may soon.
    pub(super) refused: bool,
    /// A node answers and does not take the key.
    pub(super) denied: bool,
    /// Somebody listens there and says nothing.
    pub(super) hangs: bool,
}

impl NoLink {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), refused: false, denied: false, hangs: false }
    }

    /// A node that does not take the key.
    fn denied(why: impl Into<String>) -> Self {
        Self { denied: true, ..Self::new(why) }
    }
}

/// What a dialler is and wants.
pub(super) struct Dial<'a> {
    pub(super) keys: &'a RingKeys,
    pub(super) own: &'a Static,
    /// The ring that must answer, if it is known.
    pub(super) ring: Option<RingId>,
    /// The node that must answer, if it matters which.
    pub(super) node: Option<NodeId>,
    /// Asked with the last frame, under the tickets 1, 2, …
    pub(super) first: &'a [Ask],
}

/// The clocks of both ends: what is asked carries when it was.
#[derive(Clone)]
struct Clocks {
    /// This side's clock is counted from here: its last word of the handshake.
    began: Instant,
    /// Whether the other side knows stamps.
    stamped: bool,
    other: OtherClock,
}

impl Clocks {
    fn now_ms(&self) -> u64 {
        now().saturating_duration_since(self.began).as_millis() as u64
    }

    /// The bytes of a parcel as they are sent now.
    fn stamp(&self, parcel: &[u8]) -> Vec<u8> {
        if self.stamped { self.other.stamp(parcel, self.now_ms()) } else { parcel.to_vec() }
    }
}

/// The sending half.
pub(super) struct Out {
    stream: TcpStream,
    sealer: Sealer,
    clocks: Clocks,
    /// The wire version both ends speak.
    wire: u8,
}

/// The receiving half.
pub(super) struct In {
    stream: TcpStream,
    opener: Opener,
    bytes: Vec<u8>,
    clocks: Clocks,
}

/// An open link. See the module.
pub(super) struct Link {
    out: Out,
    inn: In,
    told: BTreeMap<u64, Told>,
    ticket: u64,
    /// Who answers.
    pub(super) node: NodeId,
    /// Its ring, as it says.
    pub(super) ring: RingId,
    /// Its static key, proven.
    pub(super) public: [u8; 32],
}

impl Link {
    /// Connects to an address `host:port`.
    pub(super) fn dial(address: &str, dial: &Dial<'_>, until: Instant) -> Result<Self, NoLink> {
        let mut stream = connect(address, until)?;
        let broken = |cut: Cut| match cut {
            Cut::Silent => NoLink { hangs: true, ..NoLink::new("does not answer") },
            // A key that does not fit is answered by hanging up in good order.
            cut if cut == closed() => NoLink::denied(
                "ends the handshake: it does not have this ring's key, or is not a kvs node",
            ),
            Cut::Broken(why) => NoLink::new(format!("breaks off the handshake: {why}")),
        };
        let defect = |error: Error| NoLink::new(error.to_string());
        let hello = Hello::new(dial.ring, None);
        let (handshake, frame) = Handshake::dial(dial.keys, dial.own, &hello).map_err(defect)?;
        write(&mut stream, &frame, until).map_err(broken)?;
        let mut bytes = Vec::new();
        let body = loop {
            if let Some(body) = take_frame(&mut bytes) {
                break body;
            }
            read(&mut stream, &mut bytes, until).map_err(broken)?;
        };
        let (opened, mut last) = handshake
            .dialled(&body)
            .map_err(|_| NoLink::denied("does not have this ring's key"))?;
        let (node, ring, wire) = who(&opened.hello, &hello, dial)?;
        let receiver = stream.try_clone().map_err(|e| NoLink::new(e.to_string()))?;
        let stamped = wire >= STAMPS_SINCE;
        let clocks = Clocks { began: now(), stamped, other: OtherClock::default() };
        let inn = In { stream: receiver, opener: opened.opener, bytes, clocks: clocks.clone() };
        let mut out = Out { stream, sealer: opened.sealer, clocks, wire };
        // The first stamp says when the handshake ended here.
        let asks = (1..).zip(dial.first).map(|(n, ask)| Parcel::Ask(n, Box::new(ask.clone())));
        for parcel in std::iter::once(Parcel::Beat).chain(asks) {
            let bytes = out.clocks.stamp(&parcel.encode());
            out.sealer.seal(&bytes, &mut last).map_err(defect)?;
        }
        write(&mut out.stream, &last, until).map_err(broken)?;
        let ticket = dial.first.len() as u64;
        let (told, public) = (BTreeMap::new(), opened.remote);
        let mut link = Self { out, inn, told, ticket, node, ring, public };
        link.welcomed(until)?;
        Ok(link)
    }

    fn welcomed(&mut self, until: Instant) -> Result<(), NoLink> {
        loop {
            match self.inn.next(until) {
                Ok(Parcel::Welcome { .. }) => return Ok(()),
                Ok(Parcel::Refused(fault)) => {
                    return Err(NoLink::new(format!("refuses: {}", Error::from(fault))));
                }
                Ok(Parcel::Beat) => {}
                Ok(_) => return Err(NoLink::new("sends an invalid first message")),
                Err(Cut::Silent) => return Err(NoLink::new("does not answer")),
                Err(Cut::Broken(why)) => return Err(NoLink::new(format!("hangs up: {why}"))),
            }
        }
    }

    /// Sends a question. After an error it was certainly not understood: its end was never sent.
    pub(super) fn post(&mut self, ask: Ask, until: Instant) -> Result<u64, Cut> {
        self.catch_up()?;
        self.ticket += 1;
        self.out.post(self.ticket, ask, until)?;
        Ok(self.ticket)
    }

    /// Waits for the answer to a question. Signs of life move the limit on by `renew`.
    pub(super) fn wait(
        &mut self,
        ticket: u64,
        mut until: Instant,
        renew: Option<Duration>,
    ) -> Result<Told, Cut> {
        loop {
            if let Some(told) = self.told.remove(&ticket) {
                return Ok(told);
            }
            match self.inn.next(until)? {
                Parcel::Told(to, told) if *told == Told::Busy => {
                    if to == ticket
                        && let Some(more) = renew
                    {
                        until = now() + more;
                        // Silence is taken for death on the other side too.
                        self.out.beat(until)?;
                    }
                }
                Parcel::Told(to, told) => drop(self.told.insert(to, *told)),
                Parcel::Refused(fault) => {
                    return Err(Cut::Broken(Error::from(fault).to_string()));
                }
                _ => {}
            }
        }
    }

    /// Takes what has come meanwhile: a connection that was closed is found before it is used.
    fn catch_up(&mut self) -> Result<(), Cut> {
        self.told.clear(); // answers nobody waits for
        let broken = |e: std::io::Error| Cut::Broken(e.to_string());
        self.inn.stream.set_nonblocking(true).map_err(broken)?;
        let mut bytes = [0; READ_BYTES];
        let state = loop {
            match self.inn.stream.read(&mut bytes) {
                Ok(0) => break Err(closed()),
                Ok(n) => self.inn.bytes.extend_from_slice(&bytes[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break Err(Cut::Broken(e.to_string())),
            }
        };
        self.inn.stream.set_nonblocking(false).map_err(broken)?;
        state
    }

    /// The wire version that both ends speak.
    pub(super) fn wire(&self) -> u8 {
        self.out.wire
    }

    /// The halves, for one thread each.
    pub(super) fn split(self) -> (Out, In) {
        (self.out, self.inn)
    }
}

impl Out {
    /// Sends a question under a ticket of the caller's.
    pub(super) fn post(&mut self, ticket: u64, ask: Ask, until: Instant) -> Result<(), Cut> {
        self.send(&Parcel::Ask(ticket, Box::new(ask)), until)
    }

    fn beat(&mut self, until: Instant) -> Result<(), Cut> {
        self.send(&Parcel::Beat, until)
    }

    fn send(&mut self, parcel: &Parcel, until: Instant) -> Result<(), Cut> {
        let mut frames = Vec::new();
        let older =
            || Cut::Broken("it runs an older kvs, which does not support this request".into());
        let bytes = parcel.encode_for(self.wire).ok_or_else(older)?;
        let sealed = self.sealer.seal(&self.clocks.stamp(&bytes), &mut frames);
        sealed.map_err(|e| Cut::Broken(e.to_string()))?;
        write(&mut self.stream, &frames, until)
    }

    /// Ends the connection: whoever reads from it wakes.
    pub(super) fn close(&self) {
        // It may be closed already.
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

impl In {
    /// The next parcel.
    pub(super) fn next(&mut self, until: Instant) -> Result<Parcel, Cut> {
        loop {
            while let Some(body) = take_frame(&mut self.bytes) {
                let opened = self.opener.open(&body).map_err(|e| Cut::Broken(e.to_string()))?;
                if let Some(parcel) = opened {
                    let taken = self.clocks.other.take(&parcel, 0, self.clocks.now_ms());
                    let parcel = taken.and_then(|(parcel, _)| Parcel::decode(parcel));
                    return parcel.map_err(|e| Cut::Broken(e.to_string()));
                }
            }
            read(&mut self.stream, &mut self.bytes, until)?;
        }
    }
}

/// Holds what the other side says of itself against what is wanted.
fn who(theirs: &Hello, ours: &Hello, dial: &Dial<'_>) -> Result<(NodeId, RingId, u8), NoLink> {
    let (Some(node), Some(ring)) = (theirs.node, theirs.ring) else {
        return Err(NoLink::new("is not a node of a ring"));
    };
    if dial.ring.is_some_and(|wanted| wanted != ring) {
        return Err(NoLink::new("belongs to another ring"));
    }
    if dial.node.is_some_and(|wanted| wanted != node) {
        return Err(NoLink::new("is now another node"));
    }
    let Some(wire) = ours.version_with(theirs) else {
        let (lowest, highest) = (theirs.lowest, theirs.highest);
        let why = format!(
            "supports only wire versions {lowest} to {highest}: it runs another version of kvs"
        );
        return Err(NoLink::new(why));
    };
    Ok((node, ring, wire))
}

/// A connection to one of the addresses of a name.
fn connect(address: &str, until: Instant) -> Result<TcpStream, NoLink> {
    let mut failed = NoLink::new("has no address");
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

fn unconnected(error: &std::io::Error) -> NoLink {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            let why = "refuses the connection: nothing listens there";
            NoLink { refused: true, ..NoLink::new(why) }
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => NoLink::new("does not answer"),
        _ => NoLink::new(format!("cannot be reached: {error}")),
    }
}

/// The addresses of a name. The system's resolver knows no time limit: it gets a thread of its own,
/// which is left to itself when it takes too long.
fn resolve(address: &str, until: Instant) -> Result<Vec<SocketAddr>, NoLink> {
    use std::net::ToSocketAddrs;
    if let Ok(one) = address.parse::<SocketAddr>() {
        return Ok(vec![one]);
    }
    let (tell, told) = channel();
    let name = address.to_owned();
    let look = move || {
        let found = name.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Whoever asked may have gone on.
        drop(tell.send(found));
    };
    let thread = thread::Builder::new().spawn(look);
    thread.map_err(|e| NoLink::new(format!("cannot be looked up: {e}")))?;
    match told.recv_timeout(left(until)) {
        Ok(Ok(all)) => Ok(all),
        Ok(Err(error)) => Err(NoLink::new(format!("is a name that cannot be resolved: {error}"))),
        Err(_) => Err(NoLink::new("is a name that was not resolved in time")),
    }
}

/// The body of the first whole frame.
fn take_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let body = rest.get(..length)?.to_vec();
    bytes.drain(..2 + length);
    Some(body)
}

fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>, until: Instant) -> Result<(), Cut> {
    let limit = left(until);
    if limit.is_zero() {
        return Err(Cut::Silent);
    }
    let set = stream.set_read_timeout(Some(limit.max(LIMIT_MIN)));
    set.map_err(|e| Cut::Broken(e.to_string()))?;
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
fn write(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> Result<(), Cut> {
    while !bytes.is_empty() {
        let limit = left(until);
        if limit.is_zero() {
            return Err(Cut::Silent);
        }
        let set = stream.set_write_timeout(Some(limit.max(LIMIT_MIN)));
        set.map_err(|e| Cut::Broken(e.to_string()))?;
        match stream.write(bytes) {
            Ok(0) => return Err(closed()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(cut(&e)),
        }
    }
    Ok(())
}

fn cut(error: &std::io::Error) -> Cut {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Cut::Silent,
        _ => Cut::Broken(error.to_string()),
    }
}

fn closed() -> Cut {
    Cut::Broken("the connection was closed".into())
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(now())
}
