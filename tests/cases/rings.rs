//! Cases of a changing ring: which layout a write must reach, who may choose, who is out.

use kvs::clock::Actor;
use kvs::node::{Action, Event, RepairRequest, Reply, Request, Ticket, Time};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::protocol::{Ballot, Body, Message};
use kvs::quorum::{Basis, Options, Verdict};
use kvs::ring::{Change, RingDoc, Step};
use kvs::store::{Store, Table};

use crate::help::*;
use crate::support::world::*;

/// A ring at this step of a change that moves a copy of a key from z to d; v1 is with all owners.
fn under_way(step: Step) -> (World, String, [usize; 4]) {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v1");
    w.change(x, &[Change::Join(member)]).expect("a change");
    assert!(w.settle());
    if step == Step::ReadNew {
        for i in 0..w.hosts.len() {
            let report = w.repair(i, kvs::node::RepairRequest::default()).unwrap();
            assert!(report.filling.is_empty());
        }
        let next = w.doc().advance().unwrap();
        force(&mut w, x, &next).expect("a majority");
        assert!(w.settle());
    }
    assert_eq!(w.doc().step, step);
    (w, key, [x, y, z, d])
}

/// A strict overwrite by x that reaches only this one of the others: how it ended, and what y and z,
/// who remain, say then.
fn half_written(step: Step, reached: usize) -> (bool, Result<Vec<String>, Verdict>) {
    let (mut w, key, [x, y, z, d]) = under_way(step);
    lie(&mut w);
    let seen = w.record(x, &key).unwrap().clock;
    let only = [y, z, d][reached];
    [y, z, d].into_iter().filter(|o| *o != only).for_each(|o| w.cut(x, o));
    let reply = w.write(x, &key, Some("v2"), Basis::Context(seen), strictly(2, 2));
    let done = is_done(&reply);
    assert!(done || matches!(reply.verdict, Verdict::Unknown(_)), "{reply:?}");
    w.lying = false;
    w.cuts.clear();
    w.crash(x, false);
    w.crash(d, false);
    let got = w.got(y, &key, quorum(2, 2));
    (done, got)
}

/// x has written at step (2), d has it, and what was sent to y and z is lost. The last step is taken:
/// nobody reads by the older layout any more, and its owners may be gone.
#[test]
fn c07_the_last_step_asks_no_former_owner() {
    let (mut w, key, [x, y, z, _]) = under_way(Step::ReadNew);
    lie(&mut w);
    let seen = w.record(x, &key).unwrap().clock;
    [y, z].into_iter().for_each(|o| w.cut(x, o));
    let write = start(&mut w, x, &key, "v2", Basis::Context(seen), strictly(2, 2));
    w.run_for(200);
    w.cuts.clear();
    assert!(taken(&mut w, write).is_none(), "the older layout lacks it");
    let last = w.doc().advance().unwrap();
    force(&mut w, x, &last).expect("a majority");
    w.run_for(1_000);
    let reply = taken(&mut w, write).expect("the newer layout has it");
    assert!(is_done(&reply), "{reply:?}");
}

/// C7. In steps (1) and (2) a write goes to both layouts, with the W of each. x writes and reaches d
/// only (W of the new layout), or z only (W of the old one): neither is acknowledged, for a reader
/// one step before or behind asks the other layout.
#[test]
fn c07_write_both_means_the_w_of_each_layout() {
    for step in [Step::WriteBoth, Step::ReadNew] {
        let (new_only, _) = half_written(step, 2);
        assert!(!new_only, "{step}: acknowledged by the new layout alone");
        let (old_only, _) = half_written(step, 1);
        assert!(!old_only, "{step}: acknowledged by the old layout alone");
        let (both, got) = half_written(step, 0);
        assert!(both, "{step}: y is in both layouts");
        assert_ne!(got, Ok(vec!["v1".into()]), "{step}");
    }
    #[cfg(feature = "planted")]
    {
        let (done, got) = planted(Bug::SkipOlderLayout, || half_written(Step::WriteBoth, 2));
        assert!(done, "told so");
        assert_eq!(got, Ok(vec!["v1".into()]), "and lost to the readers of the old layout");
    }
}

/// One node is a step behind: it misses what is chosen. A write by way of it is read by way of the
/// others, and the other way round, while one owner is away.
fn a_step_behind(from: u8, writer_is_behind: bool) -> Result<Vec<String>, Verdict> {
    let step = if from < 2 { Step::WriteBoth } else { Step::ReadNew };
    let (mut w, key, [x, y, z, d]) = if from == 0 {
        let mut w = ring(4);
        let (key, these, member) = moving(&mut w);
        acked(&mut w, these[0], &key, "v1");
        lie(&mut w);
        for o in others(&w, &[these[0]]) {
            part(&mut w, these[0], o);
        }
        w.change(these[1], &[Change::Join(member)]).expect("three of four");
        (w, key, these)
    } else {
        let (mut w, key, these) = under_way(step);
        let [x, y, ..] = these;
        if step == Step::WriteBoth {
            (0..w.hosts.len()).for_each(|i| drop(w.repair(i, Default::default())));
        }
        lie(&mut w);
        others(&w, &[x]).into_iter().for_each(|o| part(&mut w, x, o));
        let next = w.doc().advance().unwrap();
        force(&mut w, y, &next).expect("a majority");
        (w, key, these)
    };
    w.run_for(1_000);
    assert_eq!(version(&w, x) + 1, version(&w, y));
    w.cuts.clear();
    let seen = w.record(x, &key).unwrap().clock;
    let (writer, reader) = if writer_is_behind { (x, y) } else { (y, x) };
    if !writer_is_behind {
        doubt(&mut w, writer, &[x]);
    }
    let reply = w.write(writer, &key, Some("v2"), Basis::Context(seen), strictly(2, 2));
    assert!(is_done(&reply), "from {from}: {reply:?}");
    // The reader does without one owner of its own layout.
    let away = if writer_is_behind { [x, z, d] } else { [y, z, d] };
    w.cut(reader, away[0]);
    let got = w.got(reader, &key, Options { write_back: false, timeout_ms: 900, ..strictly(2, 2) });
    converge(&mut w);
    everywhere(&w, &key, &["v2"]);
    got
}

/// C7 (a). old -> both -> new: one node has heard of the next step, another has not. At every one of
/// the three seams a write on one side is read on the other.
#[test]
fn c07a_reads_across_every_seam() {
    for from in 0..3 {
        for writer_is_behind in [true, false] {
            let got = a_step_behind(from, writer_is_behind);
            assert_ne!(got, Ok(vec!["v1".into()]), "from step {from}: {writer_is_behind}");
        }
    }
}

/// C7 (b). x coordinates a write under (0) to old owners and is not done, while all new owners report
/// "in sync". Without a barrier the older layout is dropped and the write is on nobody's list. So:
/// no step to (2) while a write of (0) is in flight.
#[test]
fn c07b_the_barrier_waits_for_writes_in_flight() {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v1");
    let via = others(&w, &[x, y, z, d])[0];
    lie(&mut w);
    w.cut(x, y);
    w.cut(x, z);
    let write = start(&mut w, x, &key, "v2", Basis::Blind, strictly(2, 2));
    w.run_for(20);
    // What it sent is lost; it waits for answers that will not come.
    w.cuts.clear();
    w.change(via, &[Change::Join(member)]).expect("a change");
    let advance = w.request(via, Request::Advance);
    let mut answer = None;
    for _ in 0..200 {
        assert_eq!(w.doc().step, Step::WriteBoth, "the write is still in flight");
        w.run_for(50);
        answer = taken(&mut w, write);
        if answer.is_some() {
            break;
        }
    }
    let reply = answer.expect("at its deadline");
    assert!(matches!(reply.verdict, Verdict::Unknown(_)), "{reply:?}");
    w.run_for(60_000);
    let ended = w.replies.remove(&advance);
    assert!(matches!(ended, Some(Reply::Ring(_, None))), "then it goes through: {ended:?}");
    assert_eq!(w.doc().step, Step::Settled);
    converge(&mut w);
    everywhere(&w, &key, &["v1", "v2"]);
}

/// C7 (b). d has filled for one driver of the change and is started again; then another driver asks. The
/// barrier was passed before d filled: it does not lose its vote again, for the first driver may end the
/// change on what d has told it.
#[test]
fn c07b_a_second_driver_undoes_nothing() {
    let mut w = ring(4);
    let (key, [x, y, _, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v1");
    w.change(x, &[Change::Join(member)]).expect("a change");
    assert!(w.settle());
    let doc = version(&w, d);
    assert_eq!(w.doc().step, Step::WriteBoth);
    told(&mut w, d, x, doc, Body::Fill);
    assert!(status(&mut w, d).filling > 0);
    w.run_for(60_000);
    w.repair(d, RepairRequest::default()).expect("all are up");
    assert_eq!(status(&mut w, d).filling, 0);
    w.crash(d, false);
    w.restart(d);
    w.run_for(4_000);
    told(&mut w, d, y, doc, Body::Fill);
    assert_eq!(status(&mut w, d).filling, 0);
}

/// C7 (c). A node two steps behind acts on owners that are none any more. Its requests are refused
/// with the newer document: nothing is acknowledged, nothing stored for it; then it knows.
#[test]
fn c07c_two_steps_behind_is_refused() {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v1");
    lie(&mut w);
    others(&w, &[x]).into_iter().for_each(|o| part(&mut w, x, o));
    w.change(y, &[Change::Join(member)]).expect("three of four");
    w.run_for(1_000);
    let next = w.doc().advance().unwrap();
    force(&mut w, y, &next).expect("three of four");
    w.run_for(1_000);
    assert_eq!(version(&w, x) + 2, version(&w, y));
    // What it asked is answered; what it answers to y's own operation is told the document, as news.
    for (body, op) in [(Body::Barrier, 77), (Body::NotMine("late".into()), 0)] {
        let message = Message { ring: w.doc().id, version: version(&w, x), op: 77, body };
        let (now, from, host) = (w.time(y), w.hosts[x].id, &mut w.hosts[y]);
        let node = host.node.as_mut().expect("it runs");
        let told = node.handle(&host.store, now, Event::Message(from, message));
        let [Action::Send(to, told)] = told.as_slice() else { panic!("{told:?}") };
        assert!(*to == from && told.op == op && matches!(told.body, Body::Chosen(_)), "{told:?}");
    }
    w.cuts.clear();
    let seen = w.record(x, &key).unwrap().clock;
    let reply = w.write(x, &key, Some("v2"), Basis::Context(seen), strictly(2, 2));
    assert!(!is_done(&reply), "{reply:?}");
    for o in [y, z, d] {
        assert!(w.values(o, &key) != ["v2"], "{} took it", w.hosts[o].name);
    }
    assert_eq!(version(&w, x), version(&w, y), "it was told");
    converge(&mut w);
    w.advance(y).expect("it goes through");
    converge(&mut w);
    everywhere(&w, &key, &["v2"]);
}

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

/// C24. {n4,n5} cut off hold two of three replicas and go on acknowledging W=2 while the majority
/// removes them. Nothing can keep what they acknowledge then; but their messages are ignored: they
/// give the ring no records, and get no vote and no answer.
#[test]
fn c24_a_removed_member_is_not_heard() {
    let mut w = ring(5);
    let out = [3, 4];
    let both = |k: &String| out.iter().all(|o| w.owners(k).contains(o));
    let key = (0..200).map(|i| format!("k{i}")).find(both).expect("a key of both");
    acked(&mut w, 0, &key, "v1");
    for (a, b) in out.into_iter().flat_map(|a| (0..3).map(move |b| (a, b))) {
        part(&mut w, a, b);
    }
    let names = out.map(|o| Change::Remove(w.hosts[o].name.clone()));
    w.change(0, &names).expect("three of five");
    w.advance(0).expect("the three can be reached");
    assert!(w.settle());
    let reply = w.put(3, &key, "lost by the operator's word");
    assert!(is_done(&reply), "at the old version they are two of three: {reply:?}");
    w.heal();
    let filled = w.doc().version;
    for o in out {
        let told = w.repair(o, kvs::node::RepairRequest::default());
        assert!(told.is_none_or(|r| r.pushed == 0 || !r.missed.is_empty()));
        w.ask(o, Request::Deliver);
    }
    w.run_for(30_000);
    for i in 0..3 {
        assert_eq!(w.values(i, &key), ["v1"]);
        assert_eq!(version(&w, i), filled);
        assert_eq!(w.got(i, &key, strict()), Ok(vec!["v1".into()]));
    }
    w.crash(3, false);
    w.restart(3);
    w.run_for(30_000);
    let vote = w.change(0, &[Change::Weight(w.hosts[1].name.clone(), 2)]);
    assert!(vote.is_ok(), "it needs no vote of theirs: {vote:?}");
}

/// A join while writes flow: roots are never equal, yet every new owner ends one complete pass begun
/// after the question, and the change goes through with nothing lost.
#[test]
fn c07c_a_change_under_load_ends() {
    let mut w = ring(4);
    let (key, [x, ..], member) = moving(&mut w);
    acked(&mut w, x, &key, "v");
    w.change(x, &[Change::Join(member)]).expect("a change");
    let advance = w.request(x, Request::Advance);
    let mut told = vec![];
    for i in 0..4_000 {
        let name = format!("load{}", i % 50);
        let basis = Basis::Overwrite { force: true };
        let ticket = start(&mut w, i % 4, &name, &format!("{i}"), basis, options());
        told.push((ticket, name));
        w.run_for(3);
        if w.replies.contains_key(&advance) {
            break;
        }
    }
    let ended = w.replies.remove(&advance);
    assert!(matches!(ended, Some(Reply::Ring(_, None))), "{ended:?}");
    w.run_for(10_000);
    for (ticket, name) in told {
        let reply = taken(&mut w, ticket).expect("an answer");
        assert!(is_done(&reply), "{name}: {reply:?}");
    }
    converge(&mut w);
    everywhere(&w, &key, &["v"]);
    for i in 0..50 {
        let o = w.owners(&format!("load{i}"));
        let first = w.record(o[0], &format!("load{i}"));
        assert!(o.iter().all(|o| w.record(*o, &format!("load{i}")) == first));
    }
    assert_eq!(w.wrong, Vec::<String>::new());
}

/// C3 with C7: a filling owner is no source for ending a change. Two of three old owners are made
/// anew, so a new owner meets one full one: the change stays at (1), which reads the old layout.
#[test]
fn c03_filling_owners_end_no_change() {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v");
    for (i, lost) in [y, z].into_iter().enumerate() {
        wipe(&mut w, lost, Actor(77 + i as u64), false);
        w.restart(lost);
    }
    w.run_for(4_000);
    w.change(x, &[Change::Join(member)]).expect("a change");
    assert!(w.advance(x).is_err(), "too few full owners");
    assert_eq!(w.doc().step, Step::WriteBoth);
    assert!(status(&mut w, d).filling > 0);
    w.crash(x, false);
    let got = w.got(d, &key, strict());
    assert!(matches!(got, Err(Verdict::Refused(_))), "{got:?}");
}

/// C3. The lost member's directory is not reused; its name goes to a new
/// identity, which votes nothing before it is filled.
#[test]
fn c03_replaced_owner_is_filled_before_it_votes() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    w.isolate(c);
    acked(&mut w, a, "k", "v");
    w.heal();
    let n = w.replace(a, b).expect("the others agree");
    assert!(w.settle());
    assert_ne!(w.hosts[n].identity().actor, Actor(0));
    part(&mut w, a, n);
    part(&mut w, a, c);
    let got = w.got(c, "k", strictly(2, 2));
    assert!(!matches!(&got, Ok(values) if values.is_empty()), "a no that nobody earned");
    w.heal();
    w.advance(a).expect("it goes through");
    converge(&mut w);
    everywhere(&w, "k", &["v"]);
}
