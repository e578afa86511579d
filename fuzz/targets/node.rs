//! A small ring of nodes over memory that hears anything: well-formed, absurd, late, from anyone.
//!
//! The bytes are a script: each step delivers a message made of pieces of them, asks something,
//! lets time pass, makes a commit durable or has one fail. What nodes send is delivered, dropped or
//! doubled. Whatever they hear: no panic, no stop, no record that cannot be read, no counter that
//! goes back, and nothing held that grows with the size of a number.

mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use kvs::clock::{Actor, Dot, VersionVector};
use kvs::digest::{HashRange, Sum};
use kvs::gossip::{GossipRow, NodeHealth};
use kvs::key::{Key, Partition, Q};
use kvs::node::{
    Action, BatchSeq, Boot, Event, Node, RepairRequest, Request, Ticket, Time, genesis,
};
use kvs::protocol::{Ballot, Body, FilePoint, Message, Scope, WIRE};
use kvs::quorum::{Answer, Item, ItemReply, Options, Precondition, PutReply, PutRequest, Verdict};
use kvs::record::{Record, RecordHash, Stored};
use kvs::ring::{Change, MemberState, NodeId, RingDoc};
use kvs::store::memory::Memory;
use kvs::store::{Failure, Store, Table};

use self::words::Script;

/// Messages under way beyond so many are lost.
const FLYING_MAX: usize = 256;

struct Host {
    id: NodeId,
    node: Node,
    store: Memory,
    /// The batch under way.
    syncing: Option<BatchSeq>,
    actor: Vec<u8>,
    counter: u64,
}

struct World<'a> {
    bytes: Script<'a>,
    hosts: Vec<Host>,
    flying: VecDeque<(NodeId, NodeId, Vec<u8>)>,
    now_ms: u64,
    ticket: u64,
    doc: RingDoc,
}

/// Runs a script.
pub(crate) fn run(data: &[u8]) {
    let doc = super::doc();
    let hosts = doc.members[..3].iter().map(|m| host(m.id, &doc)).collect();
    let bytes = Script(data);
    let mut world = World { bytes, hosts, flying: VecDeque::new(), now_ms: 1_000, ticket: 0, doc };
    let all: BTreeSet<NodeId> = world.hosts.iter().map(|h| h.id).collect();
    for i in 0..world.hosts.len() {
        world.handle(i, Event::Alive(all.clone()));
    }
    while !world.bytes.0.is_empty() {
        world.step();
    }
    for _ in 0..40 {
        world.pass(500);
    }
    world.hosts.iter().for_each(judge);
}

fn host(id: NodeId, doc: &RingDoc) -> Host {
    let mut store = Memory::default();
    store.stage(&genesis(id, Actor(id.0 << 32), doc, true));
    store.sync().expect("an empty store takes it");
    let seed = u128::from(id.0) << 64;
    let boot = Boot { seed, suspect: None, read_only: false, witnesses: 0, audit_slice: None };
    let node = Node::open(&store, boot).expect("it was just made");
    Host { id, node, store, syncing: None, actor: Vec::new(), counter: 0 }
}

impl World<'_> {
    fn step(&mut self) {
        match self.bytes.below(10) {
            0..5 => {
                let (from, to) = (self.anyone(), self.bytes.below(3) as usize);
                let message = self.message();
                // Bytes that no node would take end at the first door.
                let bytes = message.encode(WIRE).expect("a word of this build");
                if let Ok(message) = Message::decode(&bytes) {
                    self.handle(to, Event::Message(from, message));
                }
            }
            5 => {
                let to = self.bytes.below(3) as usize;
                let request = self.request();
                self.ticket += 1;
                self.handle(to, Event::Request(Ticket(self.ticket), request));
            }
            6 => {
                let (ms, all) = (self.bytes.below(4_000), self.bytes.below(8));
                let up = self.hosts.iter().enumerate().filter(|(i, _)| all >> i & 1 == 1);
                let up: BTreeSet<NodeId> = up.map(|(_, h)| h.id).collect();
                let at = self.bytes.below(3) as usize;
                self.handle(at, Event::Cut(self.hosts[ms as usize % 3].id));
                self.handle(at, Event::Alive(up));
                self.pass(ms);
            }
            7 => {
                let at = self.bytes.below(3) as usize;
                let full = self.bytes.below(4) == 0;
                self.hosts[at].store.set_full(full);
                self.sync(at);
            }
            _ => self.pass(50),
        }
    }

    /// Lets time pass: what is under way arrives, what was staged is durable.
    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        for _ in 0..self.flying.len() {
            let Some((from, to, bytes)) = self.flying.pop_front() else { break };
            if let Some(i) = self.hosts.iter().position(|h| h.id == to) {
                let message = Message::decode(&bytes).expect("what a node sends can be read");
                self.handle(i, Event::Message(from, message));
            }
        }
        for i in 0..self.hosts.len() {
            self.sync(i);
            self.handle(i, Event::Tick);
        }
    }

    fn sync(&mut self, i: usize) {
        let host = &mut self.hosts[i];
        let Some(seq) = host.syncing.take() else { return };
        let event = match host.store.sync() {
            Ok(()) => Event::Committed(seq),
            Err(failure) => {
                assert!(matches!(failure, Failure::Full(_)), "{failure:?}");
                Event::Failed(seq, failure)
            }
        };
        follow(host);
        self.handle(i, event);
    }

    fn handle(&mut self, i: usize, event: Event) {
        let now = Time { wall_ms: 1_700_000_000_000 + self.now_ms, mono_ms: self.now_ms };
        let host = &mut self.hosts[i];
        let from = host.id;
        for action in host.node.handle(&host.store, now, event) {
            match action {
                Action::Send(to, message) => {
                    let bytes = message.encode(WIRE).expect("a word of this build");
                    let copies = if bytes.len() % 7 == 0 { 2 } else { 1 };
                    for _ in 0..copies {
                        if self.flying.len() < FLYING_MAX {
                            self.flying.push_back((from, to, bytes.clone()));
                        }
                    }
                }
                Action::Commit(seq, batch) => {
                    assert!(host.syncing.is_none(), "one commit at a time");
                    host.store.stage(&batch);
                    host.syncing = Some(seq);
                }
                Action::Stop(why) => panic!("a node was stopped by what it heard: {why}"),
                Action::Reply(..) | Action::Note(_) => {}
            }
        }
    }
}

/// The operation of a message under way.
fn op_of(bytes: &[u8]) -> u64 {
    Message::decode(bytes).map_or(1, |m| m.op)
}

/// Reads its identity as it is durable: an actor's counter never goes back.
fn follow(host: &mut Host) {
    let row = |name| host.store.row(Table::Meta, name).expect("memory").unwrap_or_default();
    let (actor, counter) = (row("actor"), row("counter"));
    let counter = u64::from_le_bytes(counter.try_into().expect("eight bytes"));
    assert!(actor != host.actor || counter >= host.counter, "a counter went back");
    (host.actor, host.counter) = (actor, counter);
}

/// Everything that is stored can be read, and is what the digest says.
fn judge(host: &Host) {
    let doc = host.node.doc();
    for p in doc.q.all() {
        let mut sum = Sum::default();
        let mut read = |key: &[u8], stored: &[u8]| {
            Record::decode(key, stored).expect("a stored record can be read");
            sum.insert(kvs::record::stored_hash(stored).expect("it has a head"));
            ControlFlow::Continue(())
        };
        host.store.visit(p, None, &mut read).expect("memory");
        assert_eq!(host.store.sum(p).expect("memory"), sum);
    }
    let mut targets: BTreeMap<NodeId, usize> = BTreeMap::new();
    for hint in host.store.hints(None, 10_000).expect("memory") {
        *targets.entry(hint.target).or_default() += 1;
        if let Some(stored) = hint.stored {
            stored.prove(&hint.key).expect("a hint's checksum is right");
            stored.record(&hint.key).expect("a hint can be read");
        }
    }
    assert!(targets.keys().all(|id| doc.member(*id).is_some()), "a hint for nobody");
}
