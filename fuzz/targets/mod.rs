//! What is fuzzed: one function per decoder, and one for a ring of nodes that hears absurd things.
//!
//! Each takes any bytes. It panics when something is wrong: a panic in the library, a value that
//! passed its door and breaks its own rules, a law that does not hold. The same functions are run by
//! `cargo fuzz run NAME fuzz/seeds/NAME` and, with a seeded mutator, by `tests/wire`.

use kvs::channel::Frame;
use kvs::clock::{self, Actor, Dot, VersionVector};
use kvs::config::{self, NodeConfig, Peers};
use kvs::gossip::{Gossip, GossipRow, NodeHealth, ROWS_MAX};
use kvs::key::{Key, Q};
use kvs::protocol::{Message, WIRE};
use kvs::record::{Record, Stored, Value, Write};
use kvs::ring::{Change, ChangeStep, Member, MemberState, NodeId, RingDoc, RingId, RingPlan};
use kvs::transfer;

mod node;

/// A target: bytes in, a panic if something is wrong.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const ALL: &[(&str, Target)] = &[
    ("message", message),
    ("parcel", parcel),
    ("ring_doc", ring_doc),
    ("record", record),
    ("token", token),
    ("gossip", gossip),
    ("config", config_text),
    ("keys", keys),
    ("line", line),
    ("sidecar", sidecar),
    ("node", run_node),
];

/// The ring that arriving things are held against.
pub fn doc() -> RingDoc {
    let member = |i: u64| Member {
        id: NodeId(i),
        name: format!("n{i}"),
        zone: ["a", "b"][i as usize % 2].into(),
        weight: 1,
        state: MemberState::Normal,
        public_key: [i as u8; 32],
    };
    let q = Q::new(8).expect("a power of two");
    RingDoc::first(RingId(5), q, 3, (1..=4).map(member).collect()).expect("a ring of four")
}

/// Reads a message, holds it against a ring, and reads what it writes.
pub fn message(data: &[u8]) {
    let Ok(message) = Message::decode(data) else { return };
    let _in_bounds = message.check(&doc());
    let bytes = message.encode(WIRE).expect("this build has a word for what it can read");
    assert_eq!(Message::decode(&bytes).expect("what was written can be read"), message);
}

/// Reads a parcel, holds a question against a ring, and reads what it writes.
pub fn parcel(data: &[u8]) {
    let Ok(parcel) = Frame::decode(data) else { return };
    if let Frame::Request(_, ask) = &parcel {
        let _in_bounds = ask.check(&doc());
    }
    // Not compared: a suspicion may be no number, which is not equal to itself.
    Frame::decode(&parcel.encode()).expect("what was written can be read");
}

/// Reads a ring document; one that may follow the ring's can be lived with.
pub fn ring_doc(data: &[u8]) {
    let Ok(next) = RingDoc::decode(data) else { return };
    assert_eq!(RingDoc::decode(&next.encode()).expect("what was written can be read"), next);
    let doc = doc();
    let moving = doc.change(&[Change::Leave("n1".into())]).expect("four are enough");
    for before in [&doc, &moving] {
        if next.follows(before).is_ok() {
            live_with(&next);
        }
    }
}

/// All that a node asks of a document it acts under.
fn live_with(doc: &RingDoc) {
    for p in doc.q.all() {
        assert!(!doc.preference(p).is_empty() || doc.present().count() == 0);
        let _writers = doc.writers(p);
    }
    let _owned: usize = doc.present().map(|m| doc.owned(m.id).len()).sum();
    match doc.advance() {
        Some(then) => then.follows(doc).expect("a step follows"),
        None => assert_eq!(doc.step, ChangeStep::Settled),
    }
    if let Ok(then) = doc.change(&[Change::Leave("n2".into())]) {
        then.follows(doc).expect("a change follows");
    }
}

/// A record whose checksum is right and whose body is anything.
fn stored(key: &Key, body: &[u8]) -> Vec<u8> {
    let length = key.as_bytes().len();
    assert!(length < 0x80, "one byte says how long the key is");
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[length as u8]).update(key.as_bytes()).update(body);
    let term = &hasher.finalize().as_bytes()[..16].to_vec();
    [term, &[1, 0][..], body].concat()
}

/// Reads two records; what can be read is canonical, and merges as the laws say.
pub fn record(data: &[u8]) {
    let key = Key::new("k").expect("a key");
    let (one, two) = data.split_at(data.first().map_or(0, |n| usize::from(*n).min(data.len())));
    let read = |body: &[u8]| {
        let bytes = stored(&key, body);
        let record = Record::decode(key.as_bytes(), &bytes).ok()?;
        assert_eq!(record.encode(&key), bytes, "a record has one form");
        Stored::proven(key.as_bytes(), &bytes).expect("its checksum is right");
        Some(record)
    };
    let Some(one) = read(one.get(1..).unwrap_or_default()) else { return };
    assert_eq!(one.merge(&one).0, one);
    let Some(two) = read(two) else { return };
    assert_eq!(one.merge(&two).0.clock, two.merge(&one).0.clock);
    let merged = one.merge(&two).0;
    assert_eq!(merged, two.merge(&one).0, "merge commutes");
    Record::decode(key.as_bytes(), &merged.encode(&key)).expect("a merged record can be read");
    let value = Value { bytes: b"v".to_vec(), written_ms: 1, expires_ms: None, derived: false };
    let dot = Dot { actor: Actor(1), counter: merged.clock.get(Actor(1)).saturating_add(1) };
    let written = merged.write(dot, Write { context: Some(&two.clock), value: Some(value) });
    let _visible = written.visible(5).len();
}

/// Reads a context token, and one with a right checksum around these bytes.
pub fn token(data: &[u8]) {
    use base64::Engine;
    let key = Key::new("k").expect("a key");
    let text = String::from_utf8_lossy(data);
    let _any = clock::parse_token(5, &key, &text);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&5_u128.to_le_bytes()).update(data).update(key.as_bytes());
    let bytes = [data, &hasher.finalize().as_bytes()[..8]].concat();
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let Ok(clock) = clock::parse_token(5, &key, &text) else { return };
    let again = clock::token(5, &key, &clock);
    assert_eq!(clock::parse_token(5, &key, &again).expect("a token"), clock);
    assert!(VersionVector::from_entries(clock.entries().to_vec()).is_ok());
}

/// Rows of gossip, told by members and by others, at odd times.
pub fn gossip(data: &[u8]) {
    let row = GossipRow {
        id: NodeId(1),
        generation: 1_700_000_000_000,
        beat: 0,
        address: "h:1".into(),
        actor: Actor(1),
        version: 1,
        health: NodeHealth::Well,
    };
    let mut list = Gossip::new(row, 7, 0);
    let mut now = 0;
    for (i, chunk) in data.chunks(97).enumerate() {
        now += u64::from(chunk[0]) * 100;
        if let Ok(rows) = postcard::from_bytes::<Vec<GossipRow>>(chunk) {
            let answer = list.merge(NodeId(i as u64 % 4), rows, now);
            assert!(answer.len() <= ROWS_MAX);
        }
        let _calls = list.tick(now, &[NodeId(2), NodeId(3)]);
        list.set(|row| row.version += 1);
        let _phi = list.phi(NodeId(2), now);
    }
    assert!(list.rows().len() <= ROWS_MAX);
    assert!(u64::from(list.echoes()) <= 1 + now / 1000, "an echo a second");
}

/// The YAML of a node, its peers and a plan; and what stands in it.
pub fn config_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _node = config::parse::<NodeConfig>(&text, "node.yaml");
    let _peers = config::parse::<Peers>(&text, "peers.yaml");
    if let Ok(plan) = config::parse::<RingPlan>(&text, "plan.yaml") {
        let doc = doc();
        let _applied = doc.apply(&plan);
        if let Ok(next) = doc.change(&plan.changes) {
            live_with(&next);
        }
    }
    let _time = config::duration(&text);
    let _size = config::size(&text);
    let _share = config::share(&text);
}

/// The text of a key file.
pub fn keys(data: &[u8]) {
    if let Some(keys) = config::keys_in(data) {
        let text = config::key_text(&keys);
        assert!(config::keys_in(text.as_bytes()).is_some());
    }
}

/// A line of a dump.
pub fn line(data: &[u8]) {
    let _any = transfer::parse(data);
}

/// The file beside a node's data that says how far it is.
pub fn sidecar(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("kvs.id"), data).expect("a file");
    let _any = kvs::store::sidecar::read(dir.path());
}

/// See `targets/node.rs`.
pub fn run_node(data: &[u8]) {
    node::run(data);
}
