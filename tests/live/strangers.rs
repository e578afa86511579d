//! A member that lies, and a client that is no `kvs`: every word of theirs that cannot be is refused.
//!
//! ```text
//! n3 is stopped; its key and its name are used by this test, which speaks the channel by itself
//! Stranger::member(&place, "n1")  -> Message(Put of partition 60,000)     one line in n1's log
//! Stranger::client(&place, "n1")  -> Ask(Propose(another's key))          Told(Fault)
//! ```

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kvs::channel::{
    Arrival, ClientRequest, ClientResponse, Frame, Handshake, Hello, Opener, OtherClock, RequestId,
    RingKeys, Sealer, Static, StoreQuery,
};
use kvs::clock::Actor;
use kvs::config;
use kvs::digest::{HashRange, Sum};
use kvs::gossip::{GossipRow, NodeHealth};
use kvs::key::{Key, Partition, Q};
use kvs::node::{RepairRequest, Request};
use kvs::protocol::{Ballot, Body, Message, Scope, WIRE};
use kvs::quorum::{Item, Options, Precondition, PutRequest};
use kvs::ring::{Change, NodeId, RingDoc};
use kvs::store::lock::Lock;

use crate::support::served::{Served, pid, ring};
use crate::support::shell::Place;
use crate::support::wait::wait_for;

/// What a node may take at its worst while it is lied to.
const PEAK_MIB: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(20);

struct Stranger {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
}

impl Stranger {
    /// Somebody who holds the ring's key.
    fn client(place: &Place, node: &str) -> Self {
        Self::dial(place, node, &Static::fresh().expect("a key"), None).0
    }

    /// A member, with the key of its directory. `false` when it is not taken for one.
    fn member(place: &Place, node: &str, name: &str, id: NodeId) -> (Self, bool) {
        let own = config::read_key(&place.path(&format!("r/{name}/node.key"))).expect("its key");
        Self::dial(place, node, &Static::of(own), Some(id))
    }

    fn dial(place: &Place, node: &str, own: &Static, id: Option<NodeId>) -> (Self, bool) {
        let holder = Lock::holder(&place.path("r").join(node)).expect("a lock");
        let address = holder.and_then(|h| h.address).expect("a node that runs");
        let keys = RingKeys::new(config::read_keys(&place.path("r/ring.key")).expect("keys"));
        let mut stream = TcpStream::connect(address).expect("a node");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let hello = Hello { run: 7, ..Hello::new(None, id) };
        let (shake, first) = Handshake::dial(&keys, own, &hello).expect("a packet");
        stream.write_all(&first).expect("it listens");
        let reply = packet(&mut stream).expect("a reply");
        let (opened, last) = shake.dialled(&reply).expect("the right key");
        stream.write_all(&last).expect("it listens");
        let mut stranger = Self { stream, sealer: opened.sealer, opener: opened.opener };
        let peer = matches!(stranger.next(), Some(Frame::Welcome { peer: true }));
        (stranger, peer)
    }

    fn send(&mut self, frame: &[u8]) {
        let mut packets = Vec::new();
        self.sealer.seal(frame, &mut packets).expect("a parcel");
        // It may be cut off already.
        drop(self.stream.write_all(&packets));
    }

    fn next(&mut self) -> Option<Frame> {
        loop {
            let body = packet(&mut self.stream).ok()?;
            if let Some(bytes) = self.opener.open(&body).ok()? {
                let (bytes, _) = OtherClock::default().take(&bytes, Arrival::default()).ok()?;
                return Frame::decode(bytes).ok();
            }
        }
    }

    fn ask(&mut self, ask: ClientRequest) -> Option<ClientResponse> {
        self.send(&Frame::Request(RequestId(9), Box::new(ask)).encode());
        loop {
            match self.next()? {
                Frame::Response(RequestId(9), told) if *told != ClientResponse::Busy => {
                    return Some(*told);
                }
                _ => {}
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

fn peak_mib(place: &Place, name: &str) -> u64 {
    let pid = pid(place, name).expect("a node that runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("its peak");
    peak.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).expect("a number") / 1_024
}

fn put(partition: Option<u16>, basis: Precondition, count: usize) -> PutRequest {
    let key = Key::new("k").expect("a key");
    let own = Q::new(16).expect("sixteen").partition(&key);
    let item = Item { key, value: Some((b"v".to_vec(), None)), basis };
    let options = Options { timeout_ms: 2_000, ..Options::default() };
    let partition = partition.map_or(own, Partition);
    PutRequest { partition, items: vec![item; count], options }
}

fn forged(doc: &RingDoc, forge: impl Fn(&mut RingDoc)) -> Box<RingDoc> {
    let mut next = doc.change(&[Change::Weight("n1".into(), 2)]).expect("a change");
    forge(&mut next);
    Box::new(next)
}

/// What a member says, each of which has stopped a node or spoilt a ring.
fn lies(doc: &RingDoc) -> Vec<Body> {
    let arcs = |bits| vec![(HashRange { bits, prefix: 0 }, Sum::default())];
    vec![
        Body::Put(put(Some(60_000), Precondition::Blind, 1)),
        Body::Page { partition: Partition(60_000), after: None, limit: 1 },
        Body::Fullness(Scope::Only(vec![Partition(60_000)])),
        Body::Sums { scope: Scope::Shared, arcs: arcs(64) },
        Body::Differ(arcs(40)),
        Body::List(vec![(Partition(60_000), vec![0])]),
        Body::Prepare(Ballot(u64::MAX, 1)),
        Body::Accept(Ballot(1, 1), forged(doc, |d| d.replicas = 0)),
        Body::Accept(Ballot(1, 1), forged(doc, |d| d.members[0].public_key = [9; 32])),
        Body::Chosen(forged(doc, |d| d.q = Q::new(32).expect("a power of two"))),
        Body::Chosen(forged(doc, |d| drop(d.members.pop()))),
        Body::Chosen(forged(doc, |d| d.members[0].public_key = [9; 32])),
    ]
}

/// What a client asks.
fn absurd(doc: &RingDoc) -> Vec<ClientRequest> {
    let options = || Options { timeout_ms: u64::MAX, ..Options::default() };
    let key = || Key::new("k").expect("a key");
    let repair = RepairRequest { partitions: Some(vec![Partition(60_000)]), accept_missing: true };
    vec![
        ClientRequest::Node(Request::Put(put(Some(60_000), Precondition::Blind, 1))),
        ClientRequest::Node(Request::Get(key(), options())),
        ClientRequest::Node(Request::Scan(Partition(60_000), None, 1, Options::default())),
        ClientRequest::Node(Request::Scan(Partition(1), None, u32::MAX, Options::default())),
        ClientRequest::Node(Request::Repair(repair)),
        ClientRequest::Node(Request::Verify(Partition(60_000))),
        ClientRequest::Node(Request::Propose(forged(doc, |d| d.replicas = 0))),
        ClientRequest::Node(Request::Propose(forged(doc, |d| {
            d.q = Q::new(32).expect("a power of two")
        }))),
        ClientRequest::Node(Request::Propose(forged(doc, |d| d.members[0].public_key = [9; 32]))),
        ClientRequest::Node(Request::Propose(forged(doc, |d| drop(d.members.pop())))),
        ClientRequest::File(StoreQuery::Sum(Partition(60_000))),
        ClientRequest::File(StoreQuery::Get(Partition(60_000), key())),
    ]
}

#[test]
fn lies_of_a_member_and_absurd_questions_change_nothing() {
    let place = ring();
    let n1 = Served::node(&place, "n1");
    let n2 = Served::node(&place, "n2");
    place.kvs("put -q before v").ends(0);
    let mut client = Stranger::client(&place, "n1");
    let Some(ClientResponse::Ring(doc)) = client.ask(ClientRequest::Ring) else {
        panic!("no document")
    };
    let n3 = doc.named("n3").expect("a member").id;

    let asked = absurd(&doc);
    for ask in &asked {
        let told = client.ask(ask.clone());
        assert!(matches!(told, Some(ClientResponse::Fault(_))), "{ask:?}: {told:?}");
    }
    let (mut member, peer) = Stranger::member(&place, "n1", "n3", n3);
    assert!(peer, "it has the key of n3");
    let lies = lies(&doc);
    for body in lies.clone() {
        let message = Message { ring: doc.id, version: doc.version, op: 7, body };
        let bytes = message.encode(WIRE).expect("a word of this build");
        member.send(&[&[3], &bytes[..]].concat());
    }
    let id = doc.named("n2").expect("a member").id;
    let most = u64::MAX;
    let rows = [doc.named("n1").expect("a member").id, id].map(|id| GossipRow {
        id,
        generation: most,
        beat: most,
        address: "h\nx:1".into(),
        actor: Actor(1),
        version: most,
        health: NodeHealth::Stopping,
    });
    for _ in 0..20 {
        let body = Body::Gossip { rows: rows.to_vec(), answer: true };
        let message = Message { ring: doc.id, version: doc.version, op: 0, body };
        member.send(&[&[3], &message.encode(WIRE).expect("a word")[..]].concat());
    }
    let refused = |what: &str| n1.err().lines().filter(|l| l.contains(what)).count();
    // One line each at the most: who goes on is told of by and by.
    wait_for("its refusals", || refused("a message was refused") > 0);
    assert!(refused("a message was refused") <= lies.len(), "{}", n1.err());
    assert!(refused("a question was refused") <= asked.len(), "{}", n1.err());

    // Bytes that are none end the link; the next one is as good as the first.
    drop(member);
    let many = Body::Put(put(None, Precondition::Blind, 5_000));
    let many = Message { ring: doc.id, version: doc.version, op: 7, body: many };
    let many = [&[3], &many.encode(WIRE).expect("a word of this build")[..]].concat();
    for bytes in [&many[..], &[3, WIRE, 0xff], &[3, 9, 1], &[4, 1, 0xff], &[77]] {
        let (mut member, _) = Stranger::member(&place, "n1", "n3", n3);
        member.send(bytes);
        while member.next().is_some() {}
    }
    place.kvs("put -q after v").ends(0);
    place.kvs("get -q before").ends(0).prints("v");
    place.kvs("get -q k").ends(1);
    let Some(ClientResponse::Ring(now)) = Stranger::client(&place, "n1").ask(ClientRequest::Ring)
    else {
        panic!("no document")
    };
    assert_eq!(now, doc, "the ring is as it was");
    assert!(peak_mib(&place, "n1") < PEAK_MIB);
    n1.stops(0);
    n2.stops(0);
}
