//! Every kind of frame comes back as it was; nothing else is taken for one.

use proptest::prelude::*;

use super::*;
use crate::clock::{Actor, Dot, VersionVector};
use crate::gossip::NodeHealth;
use crate::key::Q;
use crate::node::{RepairReport, RepairRequest, Status, TransferKind};
use crate::protocol::Body;
use crate::quorum::{GetReply, ItemReply, Options, PutReply, PutRequest, Verdict};
use crate::record::{Record, Value, Write};
use crate::ring::{Member, MemberState};

fn key() -> Key {
    Key::new("k").expect("a key")
}

fn stored() -> Stored {
    let value = Value { bytes: b"v".to_vec(), written_ms: 5, expires_ms: None, derived: false };
    let dot = Dot { actor: Actor(7), counter: 1 };
    Stored::new(&key(), &Record::default().write(dot, Write { context: None, value: Some(value) }))
}

fn doc() -> RingDoc {
    let member = |i: u64| Member {
        id: NodeId(i),
        name: format!("n{i}"),
        zone: "a".into(),
        weight: 1,
        state: MemberState::Normal,
        public_key: [i as u8; 32],
    };
    let q = Q::new(8).expect("a power of two");
    RingDoc::first(RingId(5), q, 3, (1..=3).map(member).collect()).expect("a ring of three")
}

/// A document that breaks a rule of its own: two members of one name.
fn wrong_doc() -> RingDoc {
    let mut doc = doc();
    doc.members[1].name = "n1".into();
    assert!(doc.check().is_err());
    doc
}

fn row() -> GossipRow {
    GossipRow {
        id: NodeId(1),
        generation: 3,
        beat: 4,
        address: "h:1".into(),
        actor: Actor(7),
        version: 2,
        health: NodeHealth::Draining,
    }
}

fn hint() -> Hint {
    Hint { target: NodeId(2), partition: Partition(3), key: key(), stored: Some(stored()) }
}

fn fault() -> Fault {
    Fault::from(&Error::Refused("No.".into()).hint("again"))
}

fn requests() -> Vec<Request> {
    let options = Options { w: Some(2), timeout_ms: 5_000, ..Options::default() };
    let put = PutRequest { partition: Partition(3), items: Vec::new(), options: options.clone() };
    let some = Some(vec![Partition(0), Partition(7)]);
    vec![
        Request::Put(put),
        Request::Get(key(), options.clone()),
        Request::Scan(Partition(1), Some(key()), 9, options),
        Request::Repair(RepairRequest { partitions: some, accept_missing: true }),
        Request::Verify(Partition(1)),
        Request::GiveUp(key()),
        Request::Deliver,
        Request::Propose(Box::new(doc())),
        Request::Advance,
        Request::Cleanup,
        Request::Unsettled,
        Request::Status,
    ]
}

fn looks() -> Vec<StoreQuery> {
    vec![
        StoreQuery::Get(Partition(1), key()),
        StoreQuery::Visit(Partition(1), Some(b"raw".to_vec())),
        StoreQuery::Sums,
        StoreQuery::Sum(Partition(2)),
        StoreQuery::Leaves(Partition(2)),
        StoreQuery::Hints(Some((NodeId(1), Partition(2), key())), 10),
        StoreQuery::HintStats,
        StoreQuery::HintsOf(Partition(2), key()),
        StoreQuery::Bad,
        StoreQuery::Row(Table::Ring, "doc".into()),
        StoreQuery::Rows(Table::Meta, "seen/".into()),
        StoreQuery::Size,
    ]
}

fn asks() -> Vec<ClientRequest> {
    let plain = [
        ClientRequest::Ring,
        ClientRequest::Info,
        ClientRequest::Members,
        ClientRequest::Transfers,
        ClientRequest::Drain(true),
        ClientRequest::Drain(false),
        ClientRequest::Stop,
        ClientRequest::Load,
    ];
    let of_node = requests().into_iter().map(ClientRequest::Node);
    of_node.chain(looks().into_iter().map(ClientRequest::File)).chain(plain).collect()
}

fn replies() -> Vec<Reply> {
    let dot = Dot { actor: Actor(7), counter: 1 };
    let mut clock = VersionVector::default();
    clock.add(dot);
    let written = ItemReply::Written { dot, context: Some(clock), values: 1 };
    let put = PutReply { items: vec![written], ..PutReply::none(Verdict::Done) };
    let verdict = Verdict::Unknown("Too few.".into());
    let stored = Some(stored());
    let get = GetReply { verdict, stored, answers: Vec::new(), r: 2, clashes: vec![dot] };
    vec![
        Reply::Put(put),
        Reply::Get(get),
        Reply::Scan(Ok((vec![(key(), self::stored())], true))),
        Reply::Scan(Err("Too few.".into())),
        Reply::Repair(RepairReport { pulled: 3, missed: vec![NodeId(1)], ..Default::default() }),
        Reply::Verify(crate::store::verify::PartitionVerdict { records: 2, ..Default::default() }),
        Reply::Deliver(3, 4),
        Reply::Ring(std::sync::Arc::new(doc()), Some("why".into())),
        Reply::Status(Status { keys: 9, waiting: true, ..Default::default() }),
    ]
}

fn seen() -> Vec<StoreResult> {
    let sum = Sum { terms: 1 << 100, count: 3 };
    let raw = |text: &str| serde_bytes::ByteBuf::from(text);
    vec![
        StoreResult::Record(Some(stored())),
        StoreResult::Record(None),
        StoreResult::Page(vec![(raw("k"), raw("\u{0}any bytes"))], true),
        StoreResult::Sums(vec![(Partition(1), sum)]),
        StoreResult::Sum(sum),
        StoreResult::Leaves(vec![(255, sum)]),
        StoreResult::Hints(vec![hint(), Hint { stored: None, ..hint() }]),
        StoreResult::HintStats(HintStats { count: 1, acknowledged: 2, bytes: 3 }),
        StoreResult::Bad(vec![(Partition(1), b"raw".to_vec())]),
        StoreResult::Row(Some(b"row".to_vec())),
        StoreResult::Rows(vec![("name".into(), b"row".to_vec())]),
        StoreResult::Size(7, u64::MAX),
    ]
}

fn tolds() -> Vec<ClientResponse> {
    let info = Info { build: "1".into(), pid: 3, metrics: Some("h:2".into()), ..Info::default() };
    let news = MemberView { row: row(), up: false, phi: f64::INFINITY, silent_ms: 9 };
    let kind = TransferKind::Hints;
    let peer = NodeId(2);
    let transfer = Transfer { kind, peer, pulled: 1, pushed: 2, partitions: 3, age_ms: 4 };
    let plain = [
        ClientResponse::Busy,
        ClientResponse::Ring(Box::new(doc())),
        ClientResponse::Info(Box::new(info)),
        ClientResponse::Members(vec![news]),
        ClientResponse::Transfers(vec![transfer]),
        ClientResponse::Done,
        ClientResponse::Fault(fault()),
        ClientResponse::Load(Box::new(Load {
            requests: 7,
            latency: vec![0, 7],
            ..Load::default()
        })),
    ];
    let of_node = replies().into_iter().map(ClientResponse::Reply);
    of_node.chain(seen().into_iter().map(ClientResponse::File)).chain(plain).collect()
}

fn message() -> Message {
    let body = Body::Write { records: vec![(key(), stored())], hint_for: Some(NodeId(3)) };
    Message { ring: RingId(5), version: 2, op: 9, body }
}

fn frames() -> Vec<Frame> {
    let plain = [
        Frame::Welcome { peer: true },
        Frame::Welcome { peer: false },
        Frame::Refused(fault()),
        Frame::Beat,
        Frame::Message(Box::new(message())),
    ];
    let asked = asks().into_iter().map(|ask| Frame::Request(RequestId(u64::MAX), Box::new(ask)));
    let told = tolds().into_iter().map(|told| Frame::Response(RequestId(7), Box::new(told)));
    plain.into_iter().chain(asked).chain(told).collect()
}

#[test]
fn every_parcel_comes_back_as_it_was() {
    for frame in frames() {
        let back = Frame::decode(&frame.encode()).unwrap_or_else(|e| panic!("{frame:?}: {e}"));
        assert_eq!(back, frame);
    }
}

#[test]
fn a_parcel_that_is_cut_short_is_not_read() {
    for frame in frames() {
        let bytes = frame.encode();
        let shortest = match frame {
            Frame::Beat | Frame::Welcome { .. } => 1, // their first byte says it all
            _ => bytes.len(),
        };
        for length in 0..shortest {
            assert!(Frame::decode(&bytes[..length]).is_err(), "{frame:?}: {length} bytes");
        }
    }
}

/// Nodes of two builds meet in every upgrade: what a word is on the wire stays so.
#[test]
fn words_keep_their_numbers() {
    let asks = [
        (ClientRequest::Ring, 2),
        (ClientRequest::Info, 3),
        (ClientRequest::Members, 4),
        (ClientRequest::Transfers, 5),
    ];
    for (ask, number) in
        asks.into_iter().chain([(ClientRequest::Stop, 7), (ClientRequest::Load, 8)])
    {
        assert_eq!(Frame::Request(RequestId(0), Box::new(ask)).encode(), [REQUEST, 0, number]);
    }
    assert_eq!(
        Frame::Response(RequestId(0), Box::new(ClientResponse::Busy)).encode(),
        [RESPONSE, 0, 0]
    );
    assert_eq!(
        Frame::Response(RequestId(0), Box::new(ClientResponse::Done)).encode(),
        [RESPONSE, 0, 7]
    );
    let load = ClientResponse::Load(Box::default());
    assert_eq!(Frame::Response(RequestId(0), Box::new(load)).encode()[..3], [RESPONSE, 0, 9]);
}

#[test]
fn a_welcome_that_does_not_say_peer_is_none_to_a_peer() {
    for bytes in [&[WELCOME][..], &[WELCOME, 0], &[WELCOME, 2]] {
        assert_eq!(Frame::decode(bytes).expect("a welcome"), Frame::Welcome { peer: false });
    }
}

#[test]
fn a_message_with_a_record_that_is_altered_is_not_read() {
    let mut bytes = Frame::Message(Box::new(message())).encode();
    let at = bytes.iter().rposition(|b| *b == b'v').expect("the value");
    bytes[at] ^= 1;
    assert!(matches!(Frame::decode(&bytes), Err(Error::Corrupt(_))));
}

#[test]
fn a_ring_document_that_breaks_its_rules_is_not_read() {
    let wrong = || Box::new(wrong_doc());
    for frame in [
        Frame::Response(RequestId(1), Box::new(ClientResponse::Ring(wrong()))),
        Frame::Response(
            RequestId(1),
            Box::new(ClientResponse::Reply(Reply::Ring(std::sync::Arc::new(wrong_doc()), None))),
        ),
    ] {
        assert!(Frame::decode(&frame.encode()).is_err());
    }
}

#[test]
fn a_wire_version_not_spoken_is_said() {
    let mut bytes = Frame::Message(Box::new(message())).encode();
    bytes[1] = WIRE + 1;
    assert!(matches!(Frame::decode(&bytes), Err(Error::Usage(_))));
}

#[test]
fn an_error_comes_back_with_its_kind_and_its_hints_in_order() {
    let kinds = [
        Error::Usage,
        Error::Conflict,
        Error::Refused,
        Error::Unknown,
        Error::Unreachable,
        Error::Partial,
        Error::Corrupt,
        Error::Busy,
        Error::Denied,
    ];
    for kind in kinds {
        for hints in [&[][..], &["one"], &["one", "two", "three"]] {
            let error = hints.iter().fold(kind("Why.".into()), |error, hint| error.hint(*hint));
            let fault = Fault::from(&error);
            let Frame::Refused(fault) =
                Frame::decode(&Frame::Refused(fault).encode()).expect("a fault")
            else {
                panic!("another frame")
            };
            // Errors have no equality of their own; this shows variants, texts and hints.
            assert_eq!(format!("{:?}", Error::from(fault)), format!("{error:?}"));
        }
    }
}

#[test]
fn a_failed_file_operation_travels_with_its_file_and_cause() {
    let source = std::io::Error::other("gone");
    let error = Error::io("read", std::path::Path::new("/x/data.mdb"))(source).hint("look");
    let back = Error::from(Fault::from(&error));
    assert!(matches!(back.root(), Error::Corrupt(_)));
    assert_eq!(back.to_string(), "cannot read /x/data.mdb: gone");
}

#[test]
fn both_sides_speak_the_highest_version_they_share() {
    let hello = |lowest, highest| Hello { ring: None, lowest, highest, node: None, run: 0 };
    for (a, b, version) in [
        ((1, 1), (1, 1), Some(1)),
        ((1, 2), (2, 3), Some(2)),
        ((2, 3), (1, 2), Some(2)),
        ((1, 1), (2, 3), None),
        ((2, 3), (1, 1), None),
    ] {
        assert_eq!(hello(a.0, a.1).version_with(&hello(b.0, b.1)), version, "{a:?} {b:?}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        kind in 0..8_u8,
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _any = Frame::decode(&[&[kind], &rest[..]].concat());
    }

    #[test]
    fn an_altered_parcel_never_panics(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let all = frames();
        let mut bytes = which.get(&all).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _any = Frame::decode(&bytes);
    }
}
