//! One sample at least of everything that travels, by name.
//!
//! Each list is checked against a match that names every variant: one more does not compile until
//! it has a name here, and is missed by [`all`] until it has a sample.

mod frames;

use std::collections::BTreeSet;
use std::sync::Arc as Shared;

use kvs::channel::{
    ClientRequest, ClientResponse, Fault, Frame, Info, Load, MemberView, RequestId, StoreQuery,
    StoreResult,
};
use kvs::clock::{Actor, Dot, VersionVector};
use kvs::digest::{HashRange, Sum};
use kvs::error::Error;
use kvs::gossip::{GossipRow, NodeHealth};
use kvs::key::{Key, Partition, Q};
use kvs::node::{RepairReport, RepairRequest, Reply, Request, Status, Transfer, TransferKind};
use kvs::protocol::{Ballot, Body, FilePoint, Message, Scope};
use kvs::quorum::{
    Answer, GetReply, Item, ItemReply, Level, Options, Precondition, PutReply, PutRequest, Verdict,
};
use kvs::record::{Record, RecordHash, Stored, Value, Write};
use kvs::ring::{Change, Member, MemberState, NodeId, RingDoc, RingId};
use kvs::store::{BadHints, Hint, HintStats, Table, verify};

pub(crate) use self::frames::{asks, frames, tolds};

/// Names every variant of an enum; the names that a list of samples must have between them.
macro_rules! variants {
    ($name:ident, $names:ident, $type:ident, $($variant:ident),+ $(,)?) => {
        fn $name(value: &$type) -> &'static str {
            match value { $($type::$variant { .. } => stringify!($variant)),+ }
        }
        const $names: &[&str] = &[$(stringify!($variant)),+];
    };
}

variants! { body_name, BODIES, Body,
    Hello, Seen, Put, PutDone, NotMine, Read, Answers, Write, Stored, NotStored, Page, Paged,
    Fullness, Filling, Sums, Differ, List, Listing, Prepare, Promise, Accept, Accepted, Rejected,
    Muted, Chosen, WantRing, Barrier, Cleared, Fill, Deliver, Gossip, Replicate, Greet, Met, Copies,
}
variants! { ask_name, ASKS, ClientRequest,
    Node, File, Ring, Info, Members, Transfers, Drain, Stop, Load,
}
variants! { told_name, TOLDS, ClientResponse,
    Busy, Reply, File, Ring, Info, Members, Transfers, Done, Fault, Load,
}
variants! { request_name, REQUESTS, Request,
    Put, Get, Scan, Repair, Verify, GiveUp, Deliver, Spread, Propose, Advance, Cleanup, Unsettled,
    Status, AcceptLoss, DropBadHints, Scrub,
}
variants! { reply_name, REPLIES, Reply,
    Put, Get, Scan, Repair, Verify, Deliver, Ring, Status, Scrub, Refused,
}
variants! { look_name, LOOKS, StoreQuery,
    Get, Visit, Sums, Sum, Leaves, Hints, HintStats, HintsOf, Bad, Row, Rows, Size,
    BadHints, Base,
}
variants! { seen_name, SEENS, StoreResult,
    Record, Page, Sums, Sum, Leaves, Hints, HintStats, Bad, Row, Rows, Size, BadHints,
    Base,
}
variants! { basis_name, BASES, Precondition, Context, Overwrite, Blind, Append, Absent, Exact }
variants! { item_reply_name, ITEM_REPLIES, ItemReply,
    Written, Conflict, LostRace, Absent, TooLarge,
}
variants! { verdict_name, VERDICTS, Verdict, Done, Refused, Unknown, Unreachable }
variants! { level_name, LEVELS, Level, One, Quorum, All, LocalQuorum, EachQuorum }
variants! { answer_name, ANSWERS, Answer, Vote, Extra, Unreadable }
variants! { scope_name, SCOPES, Scope, Shared, Only }
variants! { health_name, HEALTHS, NodeHealth, Well, Draining, Full, Starting, Stopping }
variants! { variant_name, VARIANTS, Frame, Welcome, Refused, Beat, Message, Request, Response }

/// The names of two kinds of frame are older than those of their variants, and stay in the files.
fn frame_name(frame: &Frame) -> &'static str {
    match variant_name(frame) {
        "Request" => "Ask",
        "Response" => "Told",
        name => name,
    }
}

/// Samples under their names, a number after each that comes more than once.
fn named<T>(samples: Vec<T>, name: fn(&T) -> &'static str, names: &[&str]) -> Vec<(String, T)> {
    let met: BTreeSet<_> = samples.iter().map(name).collect();
    let missed: Vec<_> = names.iter().filter(|n| !met.contains(**n)).collect();
    assert!(missed.is_empty(), "no sample of {missed:?}");
    let mut counts = std::collections::BTreeMap::new();
    let mut numbered = |sample: T| {
        let count = counts.entry(name(&sample)).or_insert(0);
        *count += 1;
        let name = match *count {
            1 => name(&sample).to_owned(),
            n => format!("{}-{n}", name(&sample)),
        };
        (name, sample)
    };
    samples.into_iter().map(&mut numbered).collect()
}

pub(crate) fn key() -> Key {
    Key::new("k").unwrap()
}

pub(crate) fn dot() -> Dot {
    Dot { actor: Actor(7), counter: 300 }
}

pub(crate) fn clock() -> VersionVector {
    [dot(), Dot { actor: Actor(u64::MAX), counter: 1 }].into_iter().collect()
}

pub(crate) fn stored() -> Stored {
    let value =
        Value { bytes: b"v".to_vec(), written_ms: 5, expires_ms: Some(1 << 40), derived: false };
    let write = Write { context: Some(&clock()), value: Some(value) };
    Stored::new(&key(), &Record::default().write(Dot { actor: Actor(7), counter: 301 }, write))
}

pub(crate) fn member(i: u64) -> Member {
    Member {
        id: NodeId(i),
        name: format!("n{i}"),
        zone: ["a", "b"][i as usize % 2].into(),
        weight: 1,
        state: MemberState::Normal,
        public_key: [i as u8; 32],
    }
}

pub(crate) fn doc() -> RingDoc {
    RingDoc::first(RingId(5), Q::new(8).unwrap(), 3, (1..=3).map(member).collect()).unwrap()
}

/// A document in the midst of a change.
fn moving() -> RingDoc {
    doc().change(&[Change::Join(member(4)), Change::Leave("n1".into())]).unwrap()
}

/// Documents of every step.
pub(crate) fn docs() -> Vec<RingDoc> {
    let one = moving();
    let two = one.advance().unwrap();
    let three = two.advance().unwrap();
    vec![doc(), one, two, three]
}

pub(crate) fn row() -> GossipRow {
    GossipRow {
        id: NodeId(1),
        generation: 1_700_000_000_000,
        beat: 4,
        address: "h:1".into(),
        actor: Actor(7),
        version: 2,
        health: NodeHealth::Well,
    }
}

fn options() -> Options {
    Options { w: Some(2), timeout_ms: 5_000, ..Options::default() }
}

fn all_options() -> Vec<Options> {
    let levels = [Level::One, Level::Quorum, Level::All, Level::LocalQuorum, Level::EachQuorum];
    let of = |level| Options {
        n: Some(3),
        w: None,
        r: Some(1),
        level: Some(level),
        zone: Some("a".into()),
        strict: true,
        patient: true,
        write_back: true,
        timeout_ms: 1 << 20,
    };
    named(levels.to_vec(), level_name, LEVELS).into_iter().map(|(_, l)| of(l)).collect()
}

fn bases() -> Vec<Precondition> {
    vec![
        Precondition::Context(clock()),
        Precondition::Overwrite { force: true },
        Precondition::Blind,
        Precondition::Append,
        Precondition::Absent,
    ]
}

fn items() -> Vec<Item> {
    let value = |i: usize| (i != 1).then(|| (b"new".to_vec(), (i == 2).then_some(1 << 41)));
    let item = |(i, basis)| Item { key: key(), value: value(i), basis };
    bases().into_iter().enumerate().map(item).collect()
}

pub(crate) fn partition() -> Partition {
    Q::new(8).unwrap().partition(&key())
}

pub(crate) fn put() -> PutRequest {
    PutRequest { partition: partition(), items: items(), options: options() }
}

/// What version 1 has no word for.
fn put_exactly() -> PutRequest {
    let item = |(_, basis)| Item { key: key(), value: Some((b"new".to_vec(), None)), basis };
    let mut all = bases();
    all.push(Precondition::Exact(clock()));
    let mut items: Vec<_> = named(all, basis_name, BASES).into_iter().map(item).collect();
    PutRequest { items: items.split_off(items.len() - 1), ..put() }
}

fn point() -> FilePoint {
    FilePoint { epoch: 4, life: 1 << 41, commit: 300 }
}

fn put_reply() -> PutReply {
    let items = vec![
        ItemReply::Written { dot: dot(), context: Some(clock()), values: 1 },
        ItemReply::Written { dot: dot(), context: None, values: 2 },
        ItemReply::Conflict { values: 2 },
        ItemReply::LostRace,
        ItemReply::Absent,
        ItemReply::TooLarge("It is too large.".into()),
    ];
    let items = named(items, item_reply_name, ITEM_REPLIES).into_iter().map(|(_, i)| i).collect();
    PutReply { verdict: Verdict::Done, items, acks: 2, hinted: 1, n: 3, guessed: true }
}

fn verdicts() -> Vec<Verdict> {
    let all = vec![
        Verdict::Done,
        Verdict::Refused("No.".into()),
        Verdict::Unknown("Perhaps.".into()),
        Verdict::Unreachable("Nobody.".into()),
    ];
    named(all, verdict_name, VERDICTS).into_iter().map(|(_, v)| v).collect()
}

fn answers() -> Vec<Answer> {
    let all = vec![
        Answer::Vote(Some(stored())),
        Answer::Vote(None),
        Answer::Extra(Some(stored())),
        Answer::Extra(None),
        Answer::Unreadable,
    ];
    named(all, answer_name, ANSWERS).into_iter().map(|(_, a)| a).collect()
}

fn rows() -> Vec<GossipRow> {
    let healths = vec![
        NodeHealth::Well,
        NodeHealth::Draining,
        NodeHealth::Full,
        NodeHealth::Starting,
        NodeHealth::Stopping,
    ];
    let of = |(_, health)| GossipRow { health, ..row() };
    named(healths, health_name, HEALTHS).into_iter().map(of).collect()
}

fn sum() -> Sum {
    Sum { terms: 1 << 100, count: 3 }
}

/// One body at least of every kind.
pub(crate) fn bodies() -> Vec<(String, Body)> {
    let only = Scope::Only(vec![Partition(0), Partition(7)]);
    let _all = named(vec![Scope::Shared, only.clone()], scope_name, SCOPES);
    let arcs =
        || vec![(HashRange::ALL, sum()), (HashRange { bits: 11, prefix: 300 }, Sum::default())];
    let ballot = Ballot(3, 9);
    let all = vec![
        Body::Hello { actor: Actor(7), counter: 300 },
        Body::Seen { actor: Actor(7), counter: 300, commit: 9 },
        Body::Put(put()),
        Body::PutDone(put_reply()),
        Body::NotMine("It is filling.".into()),
        Body::Read(vec![key()]),
        Body::Answers(answers()),
        Body::Write { records: vec![(key(), stored())], hint_for: None },
        Body::Write { records: vec![(key(), stored())], hint_for: Some(NodeId(3)) },
        Body::Stored { full: true, actor: Actor(7), commit: 9 },
        Body::NotStored("It is full.".into()),
        Body::Page { partition: Partition(1), after: Some(key()), limit: 256 },
        Body::Paged {
            records: vec![(key(), Some(stored())), (Key::new("l").unwrap(), None)],
            end: true,
            full: false,
        },
        Body::Fullness(Scope::Shared),
        Body::Fullness(only.clone()),
        Body::Filling(vec![Partition(2)]),
        Body::Sums { scope: only, arcs: arcs() },
        Body::Differ(arcs()),
        Body::List(vec![(Partition(3), vec![0, 255])]),
        Body::Listing(vec![(key(), RecordHash(1 << 90))]),
        Body::Prepare(ballot),
        Body::Promise(None),
        Body::Promise(Some((ballot, Box::new(moving())))),
        Body::Accept(ballot, Box::new(moving())),
        Body::Accepted,
        Body::Rejected(ballot),
        Body::Muted,
        Body::Chosen(Box::new(doc())),
        Body::WantRing,
        Body::Barrier,
        Body::Cleared { clear: true, hints: 4 },
        Body::Fill,
        Body::Deliver,
        Body::Gossip { rows: rows(), answer: true },
        Body::Put(put_exactly()),
        Body::Replicate { records: vec![(key(), stored())], hint_for: Some(NodeId(3)), commit: 9 },
        Body::Greet {
            opened: point(),
            actor: Actor(7),
            counter: 300,
            epoch: 5,
            life: 1 << 40,
            renewed: true,
        },
        Body::Met { life: 1 << 40, met: point(), actor: Actor(7), counter: 300 },
        Body::Copies { answers: answers(), asked: 6, wall_ms: 1 << 40 },
    ];
    named(all, body_name, BODIES)
}

pub(crate) fn message(body: Body) -> Message {
    Message { ring: RingId(5), version: 1, op: 9, body }
}
