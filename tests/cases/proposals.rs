//! Cases of proposals of a ring document: who agrees, what an acceptor keeps, and two at once.

use kvs::node::{Action, Event, Reply, Request, Ticket, Time};
use kvs::protocol::{Ballot, Body, Message};
use kvs::ring::{Change, RingDoc};
use kvs::store::{Store, Table};

use crate::help::*;
use crate::support::world::*;

/// The outcome of a proposal.
fn chosen(w: &mut World, ticket: u64) -> Option<bool> {
    match w.replies.remove(&ticket) {
        Some(Reply::Ring(_, why)) => Some(why.is_none()),
        _ => None,
    }
}

fn heavier(doc: &RingDoc, member: usize) -> RingDoc {
    let name = doc.members[member].name.clone();
    doc.change(&[Change::Weight(name, 3)]).expect("a change")
}

fn propose(w: &mut World, via: usize, doc: &RingDoc) -> u64 {
    w.request(via, Request::Propose(Box::new(doc.clone())))
}

/// C8. Admin A's plan gets n1, n2, n5; admin B's plan of the same version gets n3, n4, and its hash is
/// higher. So: at most one is chosen, all adopt that one, and only its admin is told "applied",
/// however far apart the two begin.
#[test]
fn c08_two_admins_propose() {
    for apart in [0, 1, 2, 4, 6, 8, 10, 12, 15, 20] {
        let mut w = ring(5);
        let (one, two) = (heavier(&w.doc(), 0), heavier(&w.doc(), 3));
        let first = propose(&mut w, 0, &one);
        w.run_for(apart);
        let second = propose(&mut w, 3, &two);
        w.run_for(40_000);
        let told = [chosen(&mut w, first), chosen(&mut w, second)];
        let docs: Vec<_> = w.hosts.iter().map(|h| h.node.as_ref().unwrap().doc().clone()).collect();
        assert!(docs.iter().all(|d| *d == docs[0]), "{apart}: all agree");
        let won = [*docs[0] == one, *docs[0] == two];
        assert_eq!(won.iter().filter(|w| **w).count(), 1, "{apart}: one is chosen");
        assert_eq!(told, won.map(Some), "{apart}: its admin alone is told so");
    }
}

/// C8. n5 is dead and the rest is split 2 : 2. Nobody has a majority, so nobody's plan takes effect,
/// not by a tie-break either; when the split heals one does.
#[test]
fn c08_two_against_two_is_nobody() {
    let mut w = ring(5);
    w.crash(4, false);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        part(&mut w, a, b);
    }
    let before = w.doc();
    let (one, two) = (heavier(&before, 0), heavier(&before, 3));
    let tickets = [propose(&mut w, 0, &one), propose(&mut w, 3, &two)];
    w.run_for(40_000);
    assert_eq!(tickets.map(|t| chosen(&mut w, t)), [Some(false); 2]);
    assert!((0..4).all(|i| version(&w, i) == before.version));
    w.heal();
    force(&mut w, 3, &two).expect("four of five");
    converge(&mut w);
    assert!((0..5).all(|i| version(&w, i) == two.version));
    assert_eq!(*w.doc(), two);
}

/// P's plan is chosen by P and X alone, Z has heard nothing, and P is gone; X's file as it was
/// before it promised anything, too. Gives the world and [p, x, z] and the two plans.
fn chosen_by_two() -> (World, Snapshot, [RingDoc; 2]) {
    let mut w = ring(3);
    let (one, two) = (heavier(&w.doc(), 0), heavier(&w.doc(), 2));
    let before = w.snapshot(1);
    lie(&mut w);
    part(&mut w, 0, 2);
    let ticket = propose(&mut w, 0, &one);
    let size = one.encode().len();
    let has_accepted = |w: &World| {
        let row = w.hosts[1].store.row(Table::Ring, "acceptor").unwrap();
        row.is_some_and(|r| r.len() > size)
    };
    let accepted = (0..1_000).any(|_| {
        w.run_for(1);
        has_accepted(&w)
    });
    assert!(accepted, "it is on X's disk");
    // Its word is on the way to P; P's news will not come back.
    w.cut(0, 1);
    w.run_for(200);
    assert_eq!(chosen(&mut w, ticket), Some(true), "P's admin was told that it is applied");
    assert_eq!(version(&w, 1) + 1, version(&w, 0));
    w.lying = false;
    w.crash(0, false);
    w.crash(1, false);
    w.heal();
    (w, before, [one, two])
}

/// C8. What was chosen stays chosen: its acceptor restarts, and a later proposer who has heard
/// nothing of it must find it and finish it, not its own.
#[test]
fn c08_acceptors_are_durable() {
    let (mut w, _, [one, two]) = chosen_by_two();
    w.restart(1);
    w.run_for(4_000);
    let ticket = propose(&mut w, 2, &two);
    w.run_for(30_000);
    assert_eq!(chosen(&mut w, ticket), Some(false));
    assert_eq!(**w.hosts[2].node.as_ref().unwrap().doc(), one);
    converge(&mut w);
    assert!((0..3).all(|i| version(&w, i) == one.version));
}

/// A document is accepted under the ballot that was promised. One voter refuses, for it has promised
/// another proposer more; a majority promises what was asked. What was met elsewhere is for the next
/// round: under it nobody was asked, and another document may have been chosen below it.
#[test]
fn a_round_is_accepted_under_the_ballot_it_was_promised() {
    let mut w = ring(5);
    let before = w.doc();
    let doc = before.change(&[Change::Weight("n2".into(), 2)]).expect("a change");
    let ids: Vec<_> = w.hosts.iter().map(|h| h.id).collect();
    let now = Time { wall_ms: 0, mono_ms: w.now_ms };
    let host = &mut w.hosts[0];
    let node = host.node.as_mut().expect("a node");
    let mut tell = |event| node.handle(&host.store, now, event);
    let asked = tell(Event::Request(Ticket(1), Request::Propose(Box::new(doc))));
    let prepared = asked.iter().find_map(|action| match action {
        Action::Send(to, Message { op, body: Body::Prepare(ballot), .. }) if *to == ids[1] => {
            Some((*op, *ballot))
        }
        _ => None,
    });
    let (op, ballot) = prepared.expect("it asks for promises");
    let mut said = |from: usize, body| {
        let message = Message { ring: before.id, version: before.version, op, body };
        tell(Event::Message(ids[from], message))
    };
    said(1, Body::Rejected(Ballot(ballot.0 + 7, ids[4].0)));
    let told: Vec<_> = (2..5).flat_map(|from| said(from, Body::Promise(None))).collect();
    let accepts: Vec<_> = told
        .iter()
        .filter_map(|action| match action {
            Action::Send(_, Message { body: Body::Accept(ballot, _), .. }) => Some(*ballot),
            _ => None,
        })
        .collect();
    assert_eq!(accepts, [ballot; 3]);
}

/// C8. The acceptor's file goes back to before its promise. It may not vote on what it may have
/// forgotten: with P away nothing can be chosen; with P back, only P's plan.
#[test]
fn c08_a_rolled_back_acceptor_does_not_vote() {
    let (mut w, before, [one, two]) = chosen_by_two();
    w.restore(1, &before, false);
    w.restart(1);
    w.run_for(4_000);
    let ticket = propose(&mut w, 2, &two);
    w.run_for(30_000);
    assert_eq!(chosen(&mut w, ticket), Some(false));
    assert_eq!(version(&w, 2) + 1, one.version, "nothing was chosen over it");
    converge(&mut w);
    w.run_for(30_000);
    let late = propose(&mut w, 2, &two);
    w.run_for(30_000);
    assert_eq!(chosen(&mut w, late), Some(false));
    assert!((0..3).all(|i| **w.hosts[i].node.as_ref().unwrap().doc() == one));
}
