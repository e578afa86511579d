//! Clients that mean no good, or are not well made: long questions, many at once, answers unread.
//!
//! ```text
//! a guest speaks the channel by itself:  Guest::at(&place, "n1") -> post(7, Ask) … told() -> (7, Told)
//! ```
//!
//! Whatever they do, the node's memory stays within a bound and everybody else is served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kvs::channel::{
    Arrival, ClientRequest, ClientResponse, Frame, Handshake, Hello, Opener, OtherClock, RequestId,
    RingKeys, Sealer, Static,
};
use kvs::config;
use kvs::key::{Key, Q};
use kvs::node::Request;
use kvs::quorum::{Item, Options, Precondition, PutRequest};
use kvs::store::lock::Lock;

use crate::support::served::{Served, pid, ring};
use crate::support::shell::Place;

/// What a node may take at its worst.
pub(crate) const PEAK_MIB: u64 = 300;
/// How often somebody else is served beside them before they may go.
const SERVED: usize = 3;
/// How often somebody else tries.
const ATTEMPTS_MAX: usize = 100;
/// No answer takes longer unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that keeps no rule but those of the channel.
pub(crate) struct Guest {
    pub(crate) stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
}

/// Where a node that runs listens.
pub(crate) fn address(place: &Place, name: &str) -> String {
    let holder = Lock::holder(&place.path("r").join(name)).expect("a lock");
    holder.and_then(|h| h.address).expect("a node that runs")
}

impl Guest {
    pub(crate) fn at(place: &Place, name: &str) -> Self {
        let stream = TcpStream::connect(address(place, name)).expect("a node");
        Self::greets(place, stream, &Hello::new(None, None))
    }

    /// Goes through the handshake and is welcomed as a client.
    pub(crate) fn greets(place: &Place, stream: TcpStream, hello: &Hello) -> Self {
        let own = Static::fresh().expect("a key");
        let mut guest = Self::shakes(place, stream, &own, hello);
        assert!(matches!(guest.next(), Ok(Frame::Welcome { peer: false })));
        guest
    }

    /// Goes through the handshake as the holder of this key.
    pub(crate) fn shakes(
        place: &Place,
        mut stream: TcpStream,
        own: &Static,
        hello: &Hello,
    ) -> Self {
        let keys = RingKeys::new(config::read_keys(&place.path("r/ring.key")).expect("keys"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
        let (shake, first) = Handshake::dial(&keys, own, hello).expect("a packet");
        stream.write_all(&first).expect("it listens");
        let reply = packet(&mut stream).expect("a reply");
        let (opened, last) = shake.dialled(&reply).expect("the right key");
        stream.write_all(&last).expect("it listens");
        Self { stream, sealer: opened.sealer, opener: opened.opener }
    }

    pub(crate) fn post(&mut self, ticket: u64, ask: ClientRequest) -> std::io::Result<()> {
        let packets = self.packets(ticket, ask);
        self.stream.write_all(&packets)
    }

    /// The bytes of a question.
    pub(crate) fn packets(&mut self, ticket: u64, ask: ClientRequest) -> Vec<u8> {
        self.sealed(&Frame::Request(RequestId(ticket), Box::new(ask)))
    }

    fn sealed(&mut self, frame: &Frame) -> Vec<u8> {
        let mut packets = Vec::new();
        self.sealer.seal(&frame.encode(), &mut packets).expect("a parcel");
        packets
    }

    /// Says something that is no question.
    pub(crate) fn say(&mut self, frame: &Frame) -> std::io::Result<()> {
        let packets = self.sealed(frame);
        self.stream.write_all(&packets)
    }

    pub(crate) fn next(&mut self) -> std::io::Result<Frame> {
        loop {
            let body = packet(&mut self.stream)?;
            if let Some(bytes) = self.opener.open(&body).expect("a packet of the node's") {
                let (bytes, _) =
                    OtherClock::default().take(&bytes, Arrival::default()).expect("a stamp");
                return Ok(Frame::decode(bytes).expect("a parcel"));
            }
        }
    }

    /// The next answer.
    pub(crate) fn told(&mut self) -> std::io::Result<(u64, ClientResponse)> {
        loop {
            if let Frame::Response(RequestId(ticket), told) = self.next()?
                && *told != ClientResponse::Busy
            {
                return Ok((ticket, *told));
            }
        }
    }
}

fn packet(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut body)?;
    Ok(body)
}

pub(crate) fn get(key: &str) -> ClientRequest {
    let options = Options { timeout_ms: 10_000, ..Options::default() };
    ClientRequest::Node(Request::Get(Key::new(key).expect("a key"), options))
}

pub(crate) fn put(key: &str, bytes: usize) -> ClientRequest {
    let key = Key::new(key).expect("a key");
    let partition = Q::new(16).expect("sixteen").partition(&key);
    let value = Some((vec![b'x'; bytes], None));
    let items = vec![Item { key, value, basis: Precondition::Blind }];
    let options = Options { timeout_ms: 10_000, ..Options::default() };
    ClientRequest::Node(Request::Put(PutRequest { partition, items, options }))
}

/// The most memory that a node has taken so far.
pub(crate) fn peak_mib(place: &Place, name: &str) -> u64 {
    let pid = pid(place, name).expect("a node that runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("its peak");
    peak.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).expect("a number") / 1_024
}

/// Lets guests go, also when somebody else fails.
struct Over<'a>(&'a AtomicUsize);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, Ordering::SeqCst);
    }
}

/// While guests do what they do, over and over, somebody else is served, and no node grows too large.
///
/// Where processors are busy a node may be so late that others take it to be down: then a write says
/// that it may or may not have taken effect, and is repeated. Once the guests are gone nothing fails.
fn others_are_served(place: &Place, guests: usize, act: impl Fn(usize) + Sync) {
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.kvs("put -q mine v0").ends(0);
    let served = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (act, served) = (&act, &served);
        let crowd = |i| {
            act(i);
            while served.load(Ordering::SeqCst) < SERVED {
                act(i);
            }
        };
        let crowd: Vec<_> = (0..guests).map(|i| scope.spawn(move || crowd(i))).collect();
        let over = Over(served);
        for i in 0..ATTEMPTS_MAX {
            let told = place.kvs(&format!("put -q mine v{i} --timeout 20s"));
            if told.ends_in(&[0, 4, 5, 6]).code == 0 {
                place.kvs("get -q mine --timeout 20s").ends(0).prints(&format!("v{i}"));
                // One that ended before them was served beside them.
                if crowd.iter().any(|one| !one.is_finished()) {
                    served.fetch_add(1, Ordering::SeqCst);
                }
            }
            if served.load(Ordering::SeqCst) >= SERVED || crowd.iter().all(|one| one.is_finished())
            {
                break;
            }
        }
        let found = served.load(Ordering::SeqCst);
        drop(over);
        let ended: Vec<_> = crowd.into_iter().map(|one| one.join().is_ok()).collect();
        assert!(ended.iter().all(|ok| *ok), "a guest has failed");
        assert!(found >= SERVED, "served {found} times beside {guests} guests");
    });
    place.kvs("wait --node-up n1,n2,n3 --timeout 60s").ends(0);
    place.kvs("put -q mine after").ends(0);
    place.kvs("get -q mine").ends(0).prints("after");
    for name in ["n1", "n2", "n3"] {
        let peak = peak_mib(place, name);
        assert!(peak < PEAK_MIB, "{name} took {peak} MiB");
    }
}

#[test]
fn questions_of_60_mib_are_not_taken() {
    let place = ring();
    let up = Served::healthy(&place);
    others_are_served(&place, 6, |i| {
        let mut guest = Guest::at(&place, "n1");
        // It is cut off while it speaks, or hears nothing afterwards.
        let posted = guest.post(1, put(&format!("long{i}"), 60 << 20));
        assert!(posted.is_err() || guest.told().is_err(), "60 MiB were taken");
    });
    place.kvs("get long0").ends(1);
    up.stops(0);
}

#[test]
fn each_of_25_clients_may_ask_1_100_things_at_once() {
    const QUESTIONS: u64 = 1_100;
    let place = ring();
    let up = Served::healthy(&place);
    others_are_served(&place, 25, |_| {
        let mut guest = Guest::at(&place, "n1");
        for ticket in 0..QUESTIONS {
            guest.post(ticket, get("mine")).expect("it is taken in the end");
        }
        let mut answers = std::collections::BTreeSet::new();
        while answers.len() < QUESTIONS as usize {
            let (ticket, told) = guest.told().expect("an answer to each");
            assert!(matches!(told, ClientResponse::Reply(_)), "{told:?}");
            answers.insert(ticket);
        }
    });
    up.stops(0);
}

/// Records of 256 KiB, asked for by the thousand, by clients that read nothing.
#[test]
fn answers_that_nobody_reads_are_not_kept_for_ever() {
    let place = ring();
    let up = Served::healthy(&place);
    place.write("large", vec![b'x'; 256 << 10]);
    place.kvs("put -q large @large").ends(0);
    others_are_served(&place, 6, |_| {
        let mut guest = Guest::at(&place, "n1");
        // It is cut off sooner or later.
        let sent = (0..1_000_000).take_while(|i| guest.post(*i, get("large")).is_ok()).count();
        assert!(sent > 100 && sent < 1_000_000, "{sent} questions were taken");
    });
    up.stops(0);
}
