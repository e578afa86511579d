//! Cases of a served node's surroundings: who is no member any more, and what is kept for whom.

use std::cell::Cell;

use kvs::digest::{Leaves, Sum};
use kvs::error::Result;
use kvs::key::{Key, Partition};
use kvs::node::{Action, Event, Reply, Request, Ticket, Time};
use kvs::protocol::{Body, Message};
use kvs::quorum::Precondition;
use kvs::ring::{Change, MemberState};
use kvs::store::memory::Memory;
use kvs::store::{
    BadHints, Batch, Failure, Hint, HintPlace, HintStats, Store, Stored, Table, Visit,
};

use crate::help::*;
use crate::support::world::options;

/// Whatever a removed member says, and under whatever version, it is answered with the document that
/// removed it, and nothing of what it says is acted upon.
#[test]
fn a_removed_member_is_answered_with_the_document_and_nothing_else() {
    let mut w = ring(4);
    let (zombie, mut version) = (w.hosts[3].id, w.doc().version);
    w.replace(0, 3).expect("a replacement");
    assert!(w.settle());
    while w.doc().member(zombie).is_some_and(|m| m.state != MemberState::Removed) {
        w.repair_all();
        w.advance(0).expect("the next step");
        assert!(w.settle());
    }
    let now = Time { wall_ms: 0, mono_ms: w.now_ms };
    let (p, key) = w.place("k");
    let said = [
        Body::WantRing,
        Body::Hello { actor: kvs::clock::Actor(1), counter: 7 },
        Body::Gossip { rows: Vec::new(), answer: false },
        Body::Read(vec![key.clone()]),
        Body::Page { partition: p, after: None, limit: 9 },
        Body::Deliver,
        Body::Barrier,
    ];
    for body in said {
        let doc = w.doc();
        let message = Message { ring: doc.id, version, op: 9, body };
        let host = &mut w.hosts[0];
        let node = host.node.as_mut().expect("a node");
        let actions = node.handle(&host.store, now, Event::Message(zombie, message.clone()));
        let [Action::Send(to, answer)] = &actions[..] else { panic!("{message:?}: {actions:?}") };
        assert_eq!(*to, zombie);
        assert_eq!(answer.body, Body::Chosen(Box::new((*doc).clone())), "{message:?}");
        version = doc.version;
    }
    // It answers nothing to an answer: two who hold each other removed do not talk for ever.
    let doc = w.doc();
    let body = Body::Chosen(Box::new((*doc).clone()));
    let message = Message { ring: doc.id, version, op: 9, body };
    let host = &mut w.hosts[0];
    let node = host.node.as_mut().expect("a node");
    assert!(node.handle(&host.store, now, Event::Message(zombie, message)).is_empty());
}

/// What a write's former coordinator says late, or twice, says nothing of the one asked since: each is
/// asked under an operation of its own.
#[test]
fn a_late_answer_of_a_former_coordinator_refuses_nothing() {
    let mut w = ring_of(2, 1);
    let key = of_first(&w);
    let doc = w.doc();
    let newer = doc.change(&[Change::Weight("n1".into(), 2)]).expect("a change");
    let request = w.write_request(&key, Some("v"), Precondition::Blind, options());
    let (owner, now) = (w.hosts[0].id, Time { wall_ms: 0, mono_ms: w.now_ms });
    let host = &mut w.hosts[1];
    let node = host.node.as_mut().expect("a node");
    let mut tell = |event| node.handle(&host.store, now, event);
    let asked = |actions: &[Action]| {
        let put = |action: &Action| match action {
            Action::Send(to, Message { op, body: Body::Put(_), .. }) if *to == owner => Some(*op),
            _ => None,
        };
        actions.iter().find_map(put)
    };
    let first = asked(&tell(Event::Request(Ticket(1), request))).expect("it asks the owner");
    let answer = |op| {
        let body = Body::Chosen(Box::new(newer.clone()));
        Event::Message(owner, Message { ring: newer.id, version: newer.version, op, body })
    };
    let second = asked(&tell(answer(first))).expect("it asks again, under the newer document");
    assert_ne!(first, second);
    let again = tell(answer(first));
    assert!(!again.iter().any(|a| matches!(a, Action::Reply(..))), "{again:?}");
    let told = tell(answer(second));
    assert!(told.iter().any(|a| matches!(a, Action::Reply(Ticket(1), _))), "{told:?}");
}

/// A store that counts the hints of which somebody has read the record.
struct Counting<'a> {
    store: &'a Memory,
    read: Cell<usize>,
}

impl Store for Counting<'_> {
    fn get(&self, p: Partition, key: &Key) -> Result<Option<Stored>> {
        self.store.get(p, key)
    }
    fn visit(&self, p: Partition, after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        self.store.visit(p, after, visit)
    }
    fn sums(&self) -> Result<Vec<(Partition, Sum)>> {
        self.store.sums()
    }
    fn sum(&self, p: Partition) -> Result<Sum> {
        self.store.sum(p)
    }
    fn leaves(&self, p: Partition) -> Result<Box<Leaves>> {
        self.store.leaves(p)
    }
    fn hints(&self, after: Option<&HintPlace>, limit: usize) -> Result<Vec<Hint>> {
        let hints = self.store.hints(after, limit)?;
        self.read.set(self.read.get() + hints.len());
        Ok(hints)
    }
    fn hint_places(
        &self,
        after: Option<&HintPlace>,
        limit: usize,
    ) -> Result<Vec<(HintPlace, usize)>> {
        self.store.hint_places(after, limit)
    }
    fn hint_stats(&self) -> Result<HintStats> {
        self.store.hint_stats()
    }
    fn hints_of(&self, p: Partition, key: &Key) -> Result<Vec<Hint>> {
        self.store.hints_of(p, key)
    }
    fn bad_hints(&self) -> Result<BadHints> {
        self.store.bad_hints()
    }
    fn bad(&self) -> Result<Vec<(Partition, Vec<u8>)>> {
        self.store.bad()
    }
    fn row(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>> {
        self.store.row(table, name)
    }
    fn rows(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.store.rows(table, prefix)
    }
    fn commit_number(&self) -> u64 {
        self.store.commit_number()
    }
    fn apply(&mut self, _batch: &Batch) -> std::result::Result<(), Failure> {
        unreachable!("the world commits")
    }
}

/// Hints for somebody who is down are passed over by their places. With records of a MiB a node that
/// read them all, partition by partition, stood still for ten seconds.
#[test]
fn what_is_kept_for_somebody_who_is_down_is_not_read_to_be_passed_over() {
    let mut w = ring(4);
    let keys: Vec<String> = (0..64).map(|i| format!("k{i}")).collect();
    w.crash(3, false);
    for key in &keys {
        let via = owners(&w, key).into_iter().find(|o| *o != 3).expect("another owner");
        w.write(via, key, Some("v"), Precondition::Blind, quorum(3, 2));
    }
    assert!(w.settle());
    let kept = |i: usize| w.hosts[i].store.hint_stats().expect("memory").count;
    let holder = (0..3).max_by_key(|i| kept(*i)).expect("three");
    assert!(kept(holder) > 8, "{}", kept(holder));
    let now = Time { wall_ms: 0, mono_ms: w.now_ms };
    let host = &mut w.hosts[holder];
    let store = Counting { store: &host.store, read: Cell::new(0) };
    let node = host.node.as_mut().expect("a node");
    let actions = node.handle(&store, now, Event::Request(Ticket(7), Request::Deliver));
    let left = host.store.hint_stats().expect("memory").count;
    assert!(
        matches!(actions[..], [Action::Reply(Ticket(7), Reply::Deliver(0, n))] if n == left),
        "{actions:?}"
    );
    assert_eq!(store.read.get(), 0, "hints were read");
}
