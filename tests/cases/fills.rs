//! Cases of copies that are less than they seem: gained and not yet filled, dropped, rotten, forgotten.
//!
//! ```text
//! (1) chosen   d passes with y and z: full        x, y, z acknowledge v under (0), d is not asked
//!      barrier d fills from scratch: v comes      without it d is full of what it had, and v is gone at (3)
//! ```
//!
//! Law: what a node was before counts for nothing once it may lack a record: not the passes it has made,
//! not the end of its filling that is under way, not its actor, not what its acceptor had said.

use kvs::node::{RepairRequest, Reply, Request};
use kvs::quorum::{Precondition, Verdict};
use kvs::ring::{Change, RingDoc};
use kvs::store::{Store, Table};

use crate::help::*;
use crate::support::world::*;

/// Runs until it is so, to the very ms.
#[track_caller]
fn until(w: &mut World, so: impl Fn(&World) -> bool) {
    let is_so = |_| {
        w.run_for(1);
        so(w)
    };
    assert!((0..5_000).any(is_so), "it does not come to that");
}

/// d gains a copy, while x has a write of v2 under way to the old owners: y does not get it, and z's disk
/// is slow. d cannot hear x, and has met y and z, enough owners of the old layout, neither of which had
/// v2; its disk takes so long for the end of its filling. Then x's write is acknowledged, and y and d
/// hear neither x nor z. Gives the world, and what will be told to whoever takes the change on since.
fn passed_before_the_barrier(commit_ms: u64) -> (World, String, [usize; 4], u64) {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v1");
    let via = others(&w, &[x, y, z, d])[0];
    lie(&mut w);
    w.cut(x, y);
    part(&mut w, x, d);
    w.hosts[z].commit_ms = (3_000, 3_000);
    let write = start(&mut w, x, &key, "v2", Precondition::Blind, strictly(2, 2));
    w.run_for(10);
    w.change(via, &[Change::Join(member)]).expect("three of four");
    w.run_for(50);
    assert_eq!(version(&w, d), 2);
    doubt(&mut w, d, &[x]);
    let driven = w.request(via, Request::Advance);
    w.run_for(50);
    w.request(d, Request::Repair(RepairRequest::default()));
    until(&mut w, |w| w.values(d, &key) == ["v1"]);
    w.hosts[d].commit_ms = (commit_ms, commit_ms);
    w.run_for(500);
    let filling = status(&mut w, d).filling;
    assert_eq!(filling > 0, commit_ms > 3, "it has met enough full owners");
    for i in [y, d] {
        [x, z].into_iter().for_each(|o| part(&mut w, i, o));
        doubt(&mut w, i, &[x, z]);
    }
    w.run_for(3_000);
    let reply = taken(&mut w, write).expect("an answer");
    assert!(is_done(&reply), "{reply:?}");
    w.hosts[z].commit_ms = (3, 3);
    (w, key, [x, y, z, d], driven)
}

/// The barrier is passed, and d has met too few full owners since: the change waits, and x's write is read
/// without x. When d has met them the change goes through, and the write is read from those that are left.
fn fills_after_the_barrier(commit_ms: u64) {
    let (mut w, key, [x, y, _, d], driven) = passed_before_the_barrier(commit_ms);
    w.hosts[d].commit_ms = (3, 3);
    w.run_for(30_000);
    w.crash(x, false);
    w.cuts.clear();
    doubt(&mut w, y, &[x]);
    let both = Ok(vec!["v1".into(), "v2".into()]);
    assert_eq!(w.got(y, &key, strictly(2, 2)), both, "at the step {}", w.doc().step);
    let ended = w.replies.remove(&driven);
    assert!(matches!(ended, Some(Reply::Ring(_, Some(_)))), "d had not filled: {ended:?}");
    converge(&mut w);
    w.advance(y).expect("it goes through");
    w.crash(x, false);
    w.run_for(2_000);
    assert_eq!(w.got(d, &key, strictly(2, 2)), both);
    assert_eq!(w.wrong, Vec::<String>::new());
}

/// C7 (b). d is full by passes that it ended before the barrier of its change, and a write of the step
/// before is acknowledged by old owners after them. The barrier has waited for that write: d fills anew.
#[test]
fn a_pass_before_the_barrier_fills_nothing() {
    fills_after_the_barrier(3);
}

/// The same, and the end of d's filling is on its way to the disk while the barrier is passed.
#[test]
fn an_end_under_way_fills_nothing() {
    fills_after_the_barrier(8_000);
}

/// A former owner is asked to clean up while two of three owners are away. It keeps what it has: both
/// come back with empty disks, and the third loses its own too.
#[test]
fn a_former_owner_drops_nothing_before_all_have_it() {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v");
    w.change(x, &[Change::Join(member)]).expect("a change");
    w.advance(x).expect("it goes through");
    assert!(w.settle());
    assert!(!w.owners(&key).contains(&z) && w.values(z, &key) == ["v"]);
    let away = [y, d];
    away.iter().for_each(|o| w.crash(*o, false));
    w.run_for(2_000);
    let Some(Reply::Repair(report)) = w.ask(z, Request::Cleanup) else { panic!("no report") };
    assert!(away.iter().all(|o| report.missed.contains(&w.hosts[*o].id)), "{report:?}");
    for (i, lost) in [x, y, d].into_iter().enumerate() {
        wipe(&mut w, lost, kvs::clock::Actor(77 + i as u64), false);
        w.restart(lost);
    }
    w.run_for(6_000);
    w.ask(z, Request::Cleanup);
    assert!(w.settle());
    assert_eq!(lost(&w, &key, &["v"]), Vec::<&str>::new(), "z had it still");
}

/// A write is acknowledged by its coordinator and a fallback that keeps it for an owner away. Its bytes
/// rot at the coordinator, which asks the owners that are back: these know nothing of it, and heal the
/// key. What the coordinator writes next is under a new actor, and covers nothing that it has forgotten.
#[test]
fn what_rotted_is_not_superseded() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    let f = others(&w, &[a, b, c])[0];
    [b, c].into_iter().for_each(|o| w.crash(o, false));
    acked(&mut w, a, "k", "v5");
    w.isolate(f);
    assert!(w.rot(a, "k"));
    let (p, _) = w.place("k");
    w.ask(a, Request::Verify(p));
    [b, c].into_iter().for_each(|o| w.restart(o));
    w.run_for(6_000);
    let report = w.repair(a, RepairRequest::default()).expect("a report");
    assert!(report.filling.is_empty(), "healed by the votes of b and c: {report:?}");
    assert!(is_done(&w.write(a, "k", Some("v9"), Precondition::Blind, strictly(3, 2))));
    converge(&mut w);
    everywhere(&w, "k", &["v5", "v9"]);
}

/// Changes the weights of some members.
fn weigh(w: &mut World, via: usize, weights: &[(usize, u32)]) {
    let name = |of: &usize| w.hosts[*of].name.clone();
    let changes: Vec<_> = weights.iter().map(|(of, by)| Change::Weight(name(of), *by)).collect();
    w.change(via, &changes).expect("a change");
}

/// A partition has left its first owner and comes back to it. Gives a key of it, written under the
/// owner's actor, and the owner; `before` is done before the change is chosen,
/// and no more after it.
fn comes_back(mut w: World, before: fn(&mut World)) -> (World, String, usize) {
    let keys: Vec<String> = (0..60).map(|i| format!("k{i}")).collect();
    let firsts: Vec<usize> = keys.iter().map(|k| w.owners(k)[0]).collect();
    for (key, first) in keys.iter().zip(&firsts) {
        acked(&mut w, *first, key, "v5");
    }
    let all = w.hosts.len();
    let heavy: Vec<_> = (1..all).map(|i| (i, 60)).collect();
    weigh(&mut w, 1, &heavy);
    w.advance(1).expect("it goes through");
    assert!(w.settle());
    let gone = |k: &&String| !w.owners(k).contains(&0);
    let firsts = keys.iter().zip(firsts).filter(|(_, first)| *first == 0).map(|(key, _)| key);
    let gone: Vec<_> = firsts.filter(gone).collect();
    (0..all).for_each(|i| drop(w.ask(i, Request::Cleanup)));
    before(&mut w);
    let light: Vec<_> = (1..all).map(|i| (i, 1)).chain([(0, 100)]).collect();
    weigh(&mut w, 1, &light);
    assert!(w.settle());
    let back = |k: &&String| w.owners(k).contains(&0);
    let key = gone.into_iter().find(back).expect("it comes back").clone();
    assert_eq!(w.record(0, &key), None, "dropped");
    (w, key, 0)
}

/// C3 (c). A partition comes back to an owner that has dropped it, all others that own it are away, and
/// the operator accepts what is missing. What it writes then is under a new actor: the others come back
/// with what it had written before, and nothing of that is superseded.
#[test]
fn what_was_dropped_is_not_superseded() {
    let (mut w, key, a) = comes_back(ring(7), |_| ());
    let away: Vec<usize> = w.owners(&key).into_iter().filter(|o| *o != a).collect();
    away.iter().for_each(|o| w.crash(*o, false));
    w.run_for(2_000);
    let word = RepairRequest { accept_missing: true, ..RepairRequest::default() };
    w.repair(a, word).expect("a report");
    let reply = w.write(a, &key, Some("v9"), Precondition::Blind, quorum(1, 1));
    assert!(is_done(&reply), "{reply:?}");
    assert!(w.settle());
    away.iter().for_each(|o| w.restart(*o));
    w.run_for(6_000);
    converge(&mut w);
    assert_eq!(lost(&w, &key, &["v5", "v9"]), Vec::<&str>::new());
}

/// C3 (c). The document that gives a partition to an owner meets a full disk. It is written again when
/// the barrier asks for it, and with it that the copy is filling: started again, the owner does not
/// coordinate what it has not got.
#[test]
fn what_a_full_disk_refused_is_written_with_the_next() {
    let (mut w, key, a) = comes_back(ring(5), |w| w.hosts[0].store.set_full(true));
    w.hosts[a].store.set_full(false);
    let written = |w: &World| {
        let row = w.hosts[a].store.row(Table::Ring, "doc").unwrap().expect("a document");
        RingDoc::decode(&row).expect("whole").version == w.doc().version
    };
    assert!(!written(&w), "its disk was full");
    w.request(1, Request::Advance);
    until(&mut w, written);
    for i in [a, 1] {
        w.crash(i, false);
        w.restart(i);
    }
    w.run_for(4_000);
    let owners = w.owners(&key);
    let via = others(&w, &owners)[0];
    let doubted: Vec<usize> = owners.into_iter().filter(|o| *o != a).collect();
    lie(&mut w);
    doubt(&mut w, via, &doubted);
    let put = w.blind(via, &key, "v9").verdict;
    assert!(matches!(put, Verdict::Refused(_)), "it is filling: {put:?}");
}

/// One of five proposes, and three accept: it, X and Y, whose disk is slow. X goes back to before it
/// promised anything and comes back while Y's word is under way: it asks all others what they accepted,
/// and that stands beside its new promise. What another proposes then with X's vote is what was chosen.
#[test]
fn a_forgetful_acceptor_takes_up_what_others_accepted() {
    let mut w = ring(5);
    let [p, x, y, z, v] = [0, 1, 2, 3, 4];
    let weight = |doc: &RingDoc, of: usize| {
        let name = doc.members[of].name.clone();
        doc.change(&[Change::Weight(name, 3)]).expect("a change")
    };
    let (one, two) = (weight(&w.doc(), 0), weight(&w.doc(), 3));
    let before = w.snapshot(x);
    lie(&mut w);
    doubt(&mut w, p, &[z, v]);
    let row = |w: &World, i: usize| {
        w.hosts[i].store.row(Table::Ring, "acceptor").unwrap().map_or(0, |r| r.len())
    };
    let first = w.request(p, Request::Propose(Box::new(one.clone())));
    until(&mut w, |w| row(w, y) > 0);
    w.hosts[y].commit_ms = (1_000, 1_000);
    until(&mut w, |w| row(w, x) > one.encode().len());
    w.run_for(5);
    w.restore(x, &before, false);
    w.restart(x);
    lie(&mut w);
    w.run_for(400);
    // It has asked them all; P's last word is with it, and nobody hears P any more.
    others(&w, &[p]).into_iter().for_each(|o| w.cut(p, o));
    w.run_for(800);
    let applied = |w: &mut World, ticket| match w.replies.remove(&ticket) {
        Some(Reply::Ring(_, why)) => Some(why.is_none()),
        _ => None,
    };
    assert_eq!(applied(&mut w, first), Some(true), "P's admin is told that it is applied");
    assert_eq!([p, x, y, z, v].map(|i| version(&w, i)), [2, 1, 1, 1, 1]);
    w.run_for(3_000);
    [p, y].into_iter().for_each(|o| w.isolate(o));
    let second = w.request(z, Request::Propose(Box::new(two)));
    w.run_for(30_000);
    assert_eq!(applied(&mut w, second), Some(false), "another was chosen first");
    converge(&mut w);
    let docs: Vec<_> = w.hosts.iter().map(|h| h.node.as_ref().unwrap().doc().clone()).collect();
    assert!(docs.iter().all(|doc| **doc == one), "{:?}", docs.iter().map(|d| d.version));
}
