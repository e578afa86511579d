//! Well-formed words that cannot be so: each is refused, noted once, and leaves no trace.
//!
//! Two doors: bytes that no decoder takes, and messages and requests that a node turns away.

use std::collections::BTreeSet;

use kvs::channel::{ClientRequest, Frame, StoreQuery};
use kvs::clock::{Actor, CLOCK_READ_MAX};
use kvs::digest::{HashRange, Sum};
use kvs::error::Error;
use kvs::key::{Key, Partition, Q};
use kvs::node::{
    Action, Boot, Event, Node, Note, RepairRequest, Reply, Request, Ticket, Time, genesis,
};
use kvs::protocol::{BALLOT_MAX, Ballot, Body, Message, Scope, TIMEOUT_MS_MAX, WIRE};
use kvs::quorum::{Item, Options, Precondition, PutRequest, Verdict};
use kvs::ring::{Member, MemberState, NodeId, RingDoc};
use kvs::store::Store;
use kvs::store::memory::Memory;

use super::memory::peak_of;
use super::samples::{self, doc, key, member, partition};

/// Sixteen times a key of 500 bytes: what a refusal may cost.
const HELD_BYTES: usize = 1 << 20;

struct One {
    node: Node,
    store: Memory,
    now_ms: u64,
}

impl One {
    fn new() -> Self {
        let (doc, mut store) = (doc(), Memory::default());
        store.stage(&genesis(NodeId(1), Actor(7), &doc, true));
        store.sync().unwrap();
        let boot =
            Boot { seed: 7, suspect: None, read_only: false, witnesses: 0, audit_slice: None };
        let node = Node::open(&store, boot).unwrap();
        let mut one = Self { node, store, now_ms: 1_000 };
        let up: BTreeSet<_> = [1, 2, 3].map(NodeId).into();
        drop(one.settle(Event::Alive(up)));
        // Nobody has met it: it acts after a while.
        while !one.node.is_ready() {
            one.now_ms += 500;
            assert!(one.now_ms < 60_000);
            drop(one.settle(Event::Tick));
        }
        assert!(one.node.is_ready() && one.node.is_idle());
        one
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        let now = Time { wall_ms: 1_700_000_000_000, mono_ms: self.now_ms };
        self.node.handle(&self.store, now, event)
    }

    /// Handles an event and makes durable what it stages: all that comes of it.
    fn settle(&mut self, event: Event) -> Vec<Action> {
        let mut all = Vec::new();
        let mut actions = self.handle(event);
        loop {
            let commit = actions.iter().position(|a| matches!(a, Action::Commit(..)));
            let commit = commit.map(|at| actions.remove(at));
            all.append(&mut actions);
            let Some(Action::Commit(seq, batch)) = commit else { return all };
            self.store.stage(&batch);
            self.store.sync().unwrap();
            actions = self.handle(Event::Committed(seq));
        }
    }

    fn hear(&mut self, body: Body) -> Vec<Action> {
        self.handle(Event::Message(NodeId(2), samples::message(body)))
    }
}

fn beyond() -> Partition {
    Partition(8)
}

fn forged(forge: impl Fn(&mut RingDoc)) -> Box<RingDoc> {
    let mut next = doc().change(&[kvs::ring::Change::Join(member(4))]).unwrap();
    forge(&mut next);
    Box::new(next)
}

fn put(change: impl Fn(&mut PutRequest)) -> PutRequest {
    let mut put = samples::put();
    change(&mut put);
    put
}

/// Messages of a member that cannot be so.
fn absurd() -> Vec<(&'static str, Body)> {
    let ballot = |n| Ballot(n, 2);
    let many_keys = || (0..20_000_u32).map(|i| Key::new(i.to_be_bytes()).unwrap()).collect();
    let arc = |bits, prefix| vec![(HashRange { bits, prefix }, Sum::default())];
    let page = |partition, limit| Body::Page { partition, after: None, limit };
    let twice = vec![(key(), None); 2];
    vec![
        ("put, partition", Body::Put(put(|p| p.partition = beyond()))),
        ("put, another partition", Body::Put(put(|p| p.partition = Partition(partition().0 ^ 1)))),
        ("put, time", Body::Put(put(|p| p.options.timeout_ms = TIMEOUT_MS_MAX + 1))),
        ("put, no end of time", Body::Put(put(|p| p.options.timeout_ms = u64::MAX))),
        ("put, zone", Body::Put(put(|p| p.options.zone = Some("z".repeat(300))))),
        ("put, expiry", Body::Put(put(|p| p.items[0].value = Some((vec![], Some(u64::MAX)))))),
        ("put, items", Body::Put(put(|p| p.items = vec![p.items[2].clone(); 5_000]))),
        (
            "put, bytes",
            Body::Put(put(|p| {
                let item = Item { value: Some((vec![0; 5 << 20], None)), ..p.items[2].clone() };
                p.items = vec![item; 4];
            })),
        ),
        ("read, keys", Body::Read(many_keys())),
        (
            "write, a hint for nobody",
            Body::Write { records: vec![(key(), samples::stored())], hint_for: Some(NodeId(99)) },
        ),
        ("page, partition", page(beyond(), 10)),
        ("page, limit", page(Partition(1), u32::MAX)),
        ("paged, a key twice", Body::Paged { records: twice, end: true, full: true }),
        ("fullness, partition", Body::Fullness(Scope::Only(vec![beyond()]))),
        ("fullness, many", Body::Fullness(Scope::Only(vec![Partition(1); 9]))),
        ("filling, partition", Body::Filling(vec![Partition(u16::MAX)])),
        ("sums, scope", Body::Sums { scope: Scope::Only(vec![beyond()]), arcs: arc(3, 1) }),
        ("sums, bits", Body::Sums { scope: Scope::Shared, arcs: arc(12, 1) }),
        ("sums, more bits", Body::Sums { scope: Scope::Shared, arcs: arc(255, 1) }),
        ("differ, bits", Body::Differ(arc(64, 0))),
        ("differ, prefix", Body::Differ(arc(3, 8))),
        ("list, partition", Body::List(vec![(beyond(), vec![0])])),
        ("list, leaves", Body::List(vec![(Partition(1), vec![0; 257])])),
        ("prepare, ballot", Body::Prepare(ballot(u64::MAX))),
        ("rejected, ballot", Body::Rejected(ballot(BALLOT_MAX + 1))),
        ("accept, ballot", Body::Accept(ballot(u64::MAX), forged(|_| {}))),
        ("accept, Q", Body::Accept(ballot(1), forged(|d| d.q = Q::new(16).unwrap()))),
        ("accept, replicas", Body::Accept(ballot(1), forged(|d| d.replicas = 0))),
        ("accept, key", Body::Accept(ballot(1), forged(|d| d.members[0].public_key = [9; 32]))),
        ("accept, member", Body::Accept(ballot(1), forged(|d| drop(d.members.remove(0))))),
        (
            "promise, key",
            Body::Promise(Some((
                ballot(1),
                forged(|d| {
                    d.members[0].public_key = [9; 32];
                }),
            ))),
        ),
        ("chosen, key", Body::Chosen(forged(|d| d.members[0].public_key = [9; 32]))),
        ("chosen, ahead", Body::Chosen(forged(|d| d.version = 1 << 40))),
        (
            "chosen, later, key",
            Body::Chosen(forged(|d| {
                (d.version, d.members[0].public_key) = (9, [9; 32]);
            })),
        ),
        (
            "chosen, many",
            Body::Chosen(forged(|d| {
                let joining = |i| Member { state: MemberState::Joining, ..member(i) };
                d.members.extend((10..2_000).map(joining));
            })),
        ),
    ]
}

#[test]
fn a_node_refuses_what_cannot_be_and_stays_as_it_is() {
    for (what, body) in absurd() {
        let mut one = One::new();
        let (before, sums) = (one.store.commit_number(), one.store.sums().unwrap());
        let mut actions = Vec::new();
        let message = body.clone();
        let peak = peak_of(|| actions = one.hear(message));
        assert!(peak < HELD_BYTES, "{what}: {peak} bytes held");
        let notes = actions.iter().filter(|a| matches!(a, Action::Note(Note::Refused(..))));
        assert_eq!(notes.count(), 1, "{what}: {actions:?}");
        let quiet = |action: &Action| match action {
            Action::Note(_) => true,
            Action::Send(to, message) => {
                let refuses = matches!(
                    message.body,
                    Body::NotMine(_) | Body::NotStored(_) | Body::Rejected(Ballot(0, 0))
                );
                *to == NodeId(2) && refuses
            }
            _ => false,
        };
        assert!(actions.iter().all(quiet), "{what}: {actions:?}");
        assert!(one.node.is_idle(), "{what}");
        assert_eq!((one.store.commit_number(), one.store.sums().unwrap()), (before, sums));
        assert_eq!(**one.node.doc(), doc(), "{what}");
    }
}

#[test]
fn a_version_beyond_all_is_no_version() {
    let mut one = One::new();
    let message = Message { version: u64::MAX, ..samples::message(Body::WantRing) };
    let actions = one.handle(Event::Message(NodeId(2), message));
    assert!(matches!(actions.as_slice(), [Action::Note(Note::Refused(..))]), "{actions:?}");
}

/// What is said in every ring is none of it.
#[test]
fn what_nodes_say_is_taken() {
    for (name, body) in samples::bodies() {
        // Samples of a change are those of another document than the first.
        let message = samples::message(body);
        assert!(message.check(&doc()).is_ok(), "{name}: {:?}", message.check(&doc()));
    }
}

/// Requests of whoever has the ring's key.
fn absurd_requests() -> Vec<(&'static str, Request)> {
    let options = |timeout_ms| Options { timeout_ms, ..Options::default() };
    let get = |options| Request::Get(key(), options);
    let repair = |partitions| RepairRequest { partitions: Some(partitions), accept_missing: true };
    vec![
        ("put", Request::Put(put(|p| p.partition = beyond()))),
        ("put, items", Request::Put(put(|p| p.items = vec![p.items[2].clone(); 5_000]))),
        ("get, time", get(options(u64::MAX))),
        ("scan, partition", Request::Scan(beyond(), None, 9, options(5_000))),
        ("scan, limit", Request::Scan(Partition(1), None, u32::MAX, options(5_000))),
        ("repair", Request::Repair(repair(vec![beyond()]))),
        ("verify", Request::Verify(beyond())),
        ("propose, Q", Request::Propose(forged(|d| d.q = Q::new(16).unwrap()))),
        ("propose, replicas", Request::Propose(forged(|d| d.replicas = 0))),
        ("propose, key", Request::Propose(forged(|d| d.members[1].public_key = [9; 32]))),
        ("propose, member", Request::Propose(forged(|d| drop(d.members.pop())))),
    ]
}

#[test]
fn a_client_is_told_that_it_asks_for_what_cannot_be() {
    for (what, request) in absurd_requests() {
        assert!(
            matches!(ClientRequest::Node(request.clone()).check(&doc()), Err(Error::Denied(_))),
            "{what}"
        );
        let mut one = One::new();
        let actions = one.handle(Event::Request(Ticket(7), request));
        let [Action::Reply(Ticket(7), reply)] = actions.as_slice() else {
            panic!("{what}: {actions:?}")
        };
        let refused = match reply {
            Reply::Put(reply) => matches!(reply.verdict, Verdict::Refused(_)),
            Reply::Get(reply) => matches!(reply.verdict, Verdict::Refused(_)),
            Reply::Scan(reply) => reply.is_err(),
            Reply::Ring(now, why) => **now == doc() && why.is_some(),
            Reply::Refused(_) => true,
            _ => false,
        };
        assert!(refused && one.node.is_idle(), "{what}: {reply:?}");
    }
    for look in [
        StoreQuery::Get(beyond(), key()),
        StoreQuery::Visit(beyond(), None),
        StoreQuery::Visit(Partition(1), Some(vec![0; 501])),
        StoreQuery::Sum(beyond()),
        StoreQuery::Leaves(beyond()),
        StoreQuery::Hints(Some((NodeId(1), beyond(), key())), 1),
        StoreQuery::Row(kvs::store::Table::Meta, "r".repeat(501)),
    ] {
        assert!(ClientRequest::File(look.clone()).check(&doc()).is_err(), "{look:?}");
    }
}

/// A message around a body that no node would write.
fn raw(variant: u8, body: &[u8]) -> Vec<u8> {
    [&[WIRE, 5, 1, 9, variant][..], body].concat()
}

fn clock_of(entries: &[(u64, u64)]) -> Vec<u8> {
    postcard::to_stdvec(&entries.to_vec()).unwrap()
}

/// A put whose context is these bytes.
fn put_with_context(clock: &[u8]) -> Vec<u8> {
    let put = put(|p| {
        p.items.truncate(1);
        p.items[0].basis = Precondition::Context([samples::dot()].into_iter().collect());
    });
    let whole = samples::message(Body::Put(put)).encode(WIRE).unwrap();
    let known = clock_of(&[(samples::dot().actor.0, samples::dot().counter)]);
    let at = whole.windows(known.len()).position(|w| w == known).unwrap();
    [&whole[..at], clock, &whole[at + known.len()..]].concat()
}

#[test]
fn bytes_that_no_honest_node_writes_are_not_read() {
    assert!(Message::decode(&put_with_context(&clock_of(&[(1, 4), (2, 9)]))).is_ok());
    let many: Vec<_> = (1..=CLOCK_READ_MAX as u64 + 1).map(|i| (i, 1)).collect();
    let backwards: Vec<_> = (1..=400_000_u64).rev().map(|i| (i, 1)).collect();
    let list = |count: u64, entry: &[u8]| {
        let count = postcard::to_stdvec(&count).unwrap();
        [count, entry.repeat(200_000)].concat()
    };
    for (what, bytes) in [
        ("a counter of 0", put_with_context(&clock_of(&[(1, 0)]))),
        ("a clock out of order", put_with_context(&clock_of(&[(2, 1), (1, 1)]))),
        ("a clock with one actor twice", put_with_context(&clock_of(&[(1, 1), (1, 2)]))),
        ("a clock of too many", put_with_context(&clock_of(&many))),
        ("a very long clock out of order", put_with_context(&clock_of(&backwards))),
        ("too many keys", raw(5, &list(200_000, &[1, b'k']))),
        ("keys that do not come", raw(5, &list(u64::MAX, &[1, b'k']))),
        ("a list that claims everything", raw(5, &[0xff; 10])),
        ("too many arcs", raw(15, &list(200_000, &[0, 0, 0, 0]))),
        ("too many records", raw(7, &list(200_000, &[1, b'k', 0]))),
        ("too many rows", raw(30, &list(200_000, &[1, 1, 1, 0, 0, 0, 0]))),
        (
            "bytes after the end",
            [samples::message(Body::Fill).encode(WIRE).unwrap(), vec![0]].concat(),
        ),
        ("no body", raw(200, &[])),
    ] {
        let mut outcome = None;
        let peak = peak_of(|| outcome = Some(Message::decode(&bytes).is_err()));
        assert_eq!(outcome, Some(true), "{what}");
        assert!(peak <= HELD_BYTES + 8 * bytes.len(), "{what}: {peak} bytes for {}", bytes.len());
    }
}

/// Records whose checksum is right, and which merge could not make sense of.
#[test]
fn a_record_that_is_none_is_not_read() {
    let body = |clock: &[(u8, u8)], siblings: &[(u8, u8)]| {
        let dot = |(actor, counter): &(u8, u8)| [&[*actor][..], &[0; 7], &[*counter]].concat();
        let clock: Vec<_> = clock.iter().map(dot).collect();
        let siblings: Vec<_> =
            siblings.iter().map(|s| [dot(s), vec![0, 0, 1, b'v']].concat()).collect();
        let (c, s) = (vec![clock.len() as u8], vec![siblings.len() as u8]);
        [c, clock.concat(), s, siblings.concat()].concat()
    };
    let write = |body: &[u8]| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[1]).update(key().as_bytes()).update(body);
        let stored = [&hasher.finalize().as_bytes()[..16], &[1, 0], body].concat();
        let stored = kvs::record::Stored::unproven(&stored);
        let body = Body::Write { records: vec![(key(), stored)], hint_for: None };
        Message::decode(&samples::message(body).encode(WIRE).unwrap())
    };
    write(&body(&[(1, 4), (2, 9)], &[(1, 4), (2, 8)])).unwrap();
    for (what, clock, siblings) in [
        ("a clock with a counter of 0", &[(1, 0)][..], &[][..]),
        ("a clock out of order", &[(2, 1), (1, 1)], &[]),
        ("a value under a dot of 0", &[(1, 4)], &[(1, 0)]),
        ("a value that the clock does not cover", &[(1, 4)], &[(1, 5)]),
        ("a value of an unknown actor", &[(1, 4)], &[(3, 1)]),
        ("values out of order", &[(1, 4), (2, 9)], &[(2, 8), (1, 4)]),
        ("two values under one dot", &[(1, 4)], &[(1, 4), (1, 4)]),
    ] {
        assert!(matches!(write(&body(clock, siblings)), Err(Error::Corrupt(_))), "{what}");
    }
}

/// Time as the square of it would be minutes.
#[test]
fn much_is_merged_as_fast_as_little() {
    let clock = |odd: u64| {
        let entries = (0..CLOCK_READ_MAX as u64).map(|i| (Actor(2 * i + odd), 1)).collect();
        kvs::clock::VersionVector::from_entries(entries).unwrap()
    };
    let (mut one, two) = (clock(0), clock(1));
    one.join(&two);
    assert_eq!(one.entries().len(), 2 * CLOCK_READ_MAX);
    assert!(one.entries().windows(2).all(|w| w[0].0 < w[1].0));
}

/// No single ballot is beyond all others: the next proposal is heard after a few rounds.
#[test]
fn a_lone_ballot_does_not_lock_the_ring() {
    let mut one = One::new();
    let mut promised = |ballot: Ballot| {
        let message = samples::message(Body::Prepare(ballot));
        let said = one.settle(Event::Message(NodeId(2), message));
        said.iter().any(|a| matches!(a, Action::Send(_, m) if matches!(m.body, Body::Promise(_))))
    };
    assert!(!promised(Ballot(BALLOT_MAX, u64::MAX)));
    let mut honest = Ballot(1, 3);
    let rounds = (0..8).take_while(|_| {
        let heard = promised(honest);
        // What it was told of, and one more.
        honest = honest.climbed(Ballot(BALLOT_MAX, 0));
        honest.0 += 1;
        !heard
    });
    assert!(rounds.count() < 8, "no ballot is heard any more");
}

/// What a stranger writes into a refusal is shown, not acted on.
#[test]
fn a_text_from_elsewhere_is_plain() {
    let why = "no\u{1b}[2J\nn9 up\u{202e}".to_owned();
    let message = samples::message(Body::NotMine(why)).encode(WIRE).unwrap();
    let Body::NotMine(why) = Message::decode(&message).unwrap().body else { panic!("another") };
    assert_eq!(why, "no\\u{1b}[2J\\nn9 up\\u{202e}");
    let fault = kvs::channel::Fault::from(&Error::Busy("a\rb".into()).hint("c\u{9b}d"));
    let bytes = Frame::Refused(fault).encode();
    let Frame::Refused(fault) = Frame::decode(&bytes).unwrap() else { panic!("another") };
    let shown = format!("{:?}", Error::from(fault));
    assert!(shown.contains("a\\\\rb") && shown.contains("c\\\\u{9b}d"), "{shown}");
}
