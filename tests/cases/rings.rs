//! Cases of a changing ring: which layout a write must reach, who may choose, who is out.

use kvs::clock::Actor;
use kvs::node::{Action, Event, RepairRequest, Reply, Request};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::protocol::{Body, Message};
use kvs::quorum::{Options, Precondition, Verdict};
use kvs::ring::{Change, ChangeStep};

use crate::help::*;
use crate::support::world::*;

/// A ring at this step of a change that moves a copy of a key from z to d; v1 is with all owners.
fn under_way(step: ChangeStep) -> (World, String, [usize; 4]) {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v1");
    w.change(x, &[Change::Join(member)]).expect("a change");
    assert!(w.settle());
    if step == ChangeStep::ReadNew {
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
fn half_written(step: ChangeStep, reached: usize) -> (bool, Result<Vec<String>, Verdict>) {
    let (mut w, key, [x, y, z, d]) = under_way(step);
    lie(&mut w);
    let seen = w.record(x, &key).unwrap().clock;
    let only = [y, z, d][reached];
    [y, z, d].into_iter().filter(|o| *o != only).for_each(|o| w.cut(x, o));
    let reply = w.write(x, &key, Some("v2"), Precondition::Context(seen), strictly(2, 2));
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
    let (mut w, key, [x, y, z, _]) = under_way(ChangeStep::ReadNew);
    lie(&mut w);
    let seen = w.record(x, &key).unwrap().clock;
    [y, z].into_iter().for_each(|o| w.cut(x, o));
    let write = start(&mut w, x, &key, "v2", Precondition::Context(seen), strictly(2, 2));
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
    for step in [ChangeStep::WriteBoth, ChangeStep::ReadNew] {
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
        let (done, got) = planted(Bug::SkipOlderLayout, || half_written(ChangeStep::WriteBoth, 2));
        assert!(done, "told so");
        assert_eq!(got, Ok(vec!["v1".into()]), "and lost to the readers of the old layout");
    }
}

/// One node is a step behind: it misses what is chosen. A write by way of it is read by way of the
/// others, and the other way round, while one owner is away.
fn a_step_behind(from: u8, writer_is_behind: bool) -> Result<Vec<String>, Verdict> {
    let step = if from < 2 { ChangeStep::WriteBoth } else { ChangeStep::ReadNew };
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
        if step == ChangeStep::WriteBoth {
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
    let reply = w.write(writer, &key, Some("v2"), Precondition::Context(seen), strictly(2, 2));
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
    let write = start(&mut w, x, &key, "v2", Precondition::Blind, strictly(2, 2));
    w.run_for(20);
    // What it sent is lost; it waits for answers that will not come.
    w.cuts.clear();
    w.change(via, &[Change::Join(member)]).expect("a change");
    let advance = w.request(via, Request::Advance);
    let mut answer = None;
    for _ in 0..200 {
        assert_eq!(w.doc().step, ChangeStep::WriteBoth, "the write is still in flight");
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
    assert_eq!(w.doc().step, ChangeStep::Settled);
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
    assert_eq!(w.doc().step, ChangeStep::WriteBoth);
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
    let reply = w.write(x, &key, Some("v2"), Precondition::Context(seen), strictly(2, 2));
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
        let basis = Precondition::Overwrite { force: true };
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
    assert_eq!(w.doc().step, ChangeStep::WriteBoth);
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
