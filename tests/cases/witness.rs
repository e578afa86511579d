//! Cases of files that were put back whole, sidecar included: only other nodes know how far they had
//! come.
//!
//! ```text
//! n1 at (life 4, commit 9) --------> acknowledges commit 12 to n2        n2 remembers (5, 12)
//!    \--- the same file once more -> Greet n2: I was at (4, 9)           Met (5, 12): it has lost 3
//! ```
//!
//! Law: a node that comes back as less than what it has acknowledged neither votes nor mints before it
//! has met the others, whatever happened to its actor, to the ring or to its witnesses meanwhile, and
//! whenever one of them speaks up. And a node that has lost nothing is never told so.

use kvs::node::{Event, RepairRequest, Reply, Request};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::protocol::{Body, FilePoint};
use kvs::quorum::{Options, Precondition, Verdict};
use kvs::ring::Change;
use kvs::store::{Batch, Op, Store};

use crate::help::*;
use crate::support::world::*;

/// What a read says: its values, or why not.
type Said = Result<Vec<String>, Verdict>;

/// n1 found a rotten record and went on under a new actor, then did much. Its directory is put back as
/// it was before that. What its copy and n3's say of a value that n1 and n2 acknowledged.
fn put_back_behind_its_last_actor() -> Said {
    let mut w = ring(3);
    let key = of_first(&w);
    let rotten = owned_at(&w, 0, 0);
    acked(&mut w, 0, &rotten, "v0");
    w.run_for(2_000);
    let old = w.snapshot(0);
    let before = w.hosts[0].node.as_ref().unwrap().actor();
    assert!(w.rot(0, &rotten));
    w.got(0, &rotten, quorum(2, 3)).ok();
    w.run_for(2_000);
    w.repair_all();
    assert_ne!(w.hosts[0].node.as_ref().unwrap().actor(), before);
    assert_eq!((status(&mut w, 0).filling, status(&mut w, 0).bad), (0, 0));
    for i in 0..20 {
        acked(&mut w, 0, &format!("m{i}"), "m");
    }
    written_by_two(&mut w, &key, "v", 2);
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(5_000);
    w.crash(1, false);
    w.got(0, &key, strictly(2, 2))
}

/// A node is remembered by its identity, not by the actor it has at the moment.
#[test]
fn a_file_that_is_older_by_an_actor_is_noticed() {
    assert_ne!(put_back_behind_its_last_actor(), Ok(vec![]), "every witness was up");
    #[cfg(feature = "planted")]
    assert!(goes_wrong(Bug::WitnessIgnored, || put_back_behind_its_last_actor() == Ok(vec![])));
}

/// n1's file is put back without its sidecar, so that it knows itself that it is behind; everything is
/// repaired. Then both that file and the one it was before are opened once more. How much fills each time.
fn behind_by_its_own_account() -> [usize; 2] {
    let mut w = ring(3);
    for i in 0..4 {
        acked(&mut w, 0, &format!("a{i}"), "a");
    }
    let old = w.snapshot(0);
    for i in 0..4 {
        w.crash(0, false);
        w.restart(0);
        w.run_for(4_000);
        acked(&mut w, 1, &format!("b{i}"), "b");
    }
    let former = w.snapshot(0);
    w.restore(0, &old, false);
    w.restart(0);
    w.run_for(4_000);
    w.repair_all();
    assert_eq!(status(&mut w, 0).filling, 0);
    w.crash(0, false);
    w.restart(0);
    w.run_for(4_000);
    let again = status(&mut w, 0).filling;
    acked(&mut w, 1, "c", "c");
    w.restore(0, &former, true);
    w.restart(0);
    w.run_for(4_000);
    [again, status(&mut w, 0).filling]
}

/// What a node has told of its loss is remembered of it, above all that was remembered before.
#[test]
fn a_loss_that_was_repaired_is_not_found_again() {
    let [again, former] = behind_by_its_own_account();
    assert_eq!(again, 0, "it fills once more what was repaired");
    assert!(former > 0, "its former future was taken for the latest");
}

/// n1 and n2 acknowledged a value. n1's directory is put back while n2, the only witness, is down; then
/// n2 comes back. How much n1 fills before and after, and what it and n3 say then.
fn the_witness_comes_late() -> ([usize; 2], Said) {
    let mut w = ring(3);
    let key = of_first(&w);
    w.run_for(1_000);
    let old = w.snapshot(0);
    w.crash(2, false);
    assert!(is_done(&w.write(0, &key, Some("v"), Precondition::Blind, strictly(2, 2))));
    assert!(w.settle());
    w.crash(1, false);
    w.restart(2);
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(5_000);
    let before = status(&mut w, 0).filling;
    w.restart(1);
    w.run_for(1_000);
    let after = status(&mut w, 0).filling;
    w.crash(1, false);
    ([before, after], w.got(0, &key, strictly(2, 2)))
}

/// Evidence counts whenever it comes.
#[test]
fn a_late_witness_is_heard() {
    let ([before, after], got) = the_witness_comes_late();
    assert_eq!(before, 0, "nobody who knows is there: the named limit");
    assert!(after > 0, "the witness has told it");
    assert_ne!(got, Ok(vec![]));
    #[cfg(feature = "planted")]
    assert!(goes_wrong(Bug::LateWitness, || the_witness_comes_late().1 == Ok(vec![])));
}

/// n1 is put back while n2, the only witness, is down; n2 tells it late. Then n2 is lost for good.
#[test]
fn an_acceptor_that_hears_late_of_its_loss_votes_again() {
    let mut w = ring(3);
    let key = of_first(&w);
    w.run_for(1_000);
    let old = w.snapshot(0);
    w.crash(2, false);
    assert!(is_done(&w.write(0, &key, Some("v"), Precondition::Blind, strictly(2, 2))));
    assert!(w.settle());
    w.crash(1, false);
    w.restart(2);
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(5_000);
    w.restart(1);
    w.run_for(20_000);
    assert!(status(&mut w, 0).filling > 0, "it knows of its loss");
    w.crash(1, false);
    w.change(2, &[Change::Weight("n1".into(), 2)]).expect("n1 and n3 are two of three");
}

/// n1 was put back; that was noticed and mended. Links come and go, and it greets anew each time.
#[test]
fn a_life_begins_at_a_loss_and_not_at_a_greeting() {
    let mut w = ring(3);
    let (key, old) = (of_first(&w), w.snapshot(0));
    acked(&mut w, 0, &key, "v");
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(1_000);
    assert!(status(&mut w, 0).filling > 0);
    converge(&mut w);
    for _ in 0..4 {
        w.isolate(0);
        w.run_for(2_000);
        w.heal();
        w.run_for(20);
    }
    w.crash(0, false);
    w.restart(0);
    w.run_for(4_000);
    assert_eq!(status(&mut w, 0).filling, 0, "it was met in its own life and in no other");
}

/// A greeting of an earlier process, which began at the same point of the file and left nothing in it,
/// comes to n2 after those of the present one. n2 says whom it takes n1 for, and is told better.
#[test]
fn a_greeting_that_comes_late_is_corrected() {
    let mut w = ring(3);
    let key = of_first(&w);
    w.run_for(2_000);
    let (doc, actor) = (version(&w, 0), w.hosts[0].node.as_ref().unwrap().actor());
    let stranger = Body::Met { life: 1, met: FilePoint::default(), actor, counter: 0 };
    let said = told(&mut w, 0, 1, doc, stranger);
    let [Body::Greet { opened, actor, counter, epoch, .. }] = said[..] else {
        panic!("{said:?}");
    };
    let late = Body::Greet { opened, actor, counter, epoch, life: 1, renewed: false };
    for met in told(&mut w, 1, 0, doc, late) {
        for greeting in told(&mut w, 0, 1, doc, met) {
            told(&mut w, 1, 0, doc, greeting);
        }
    }
    acked(&mut w, 1, &key, "v");
    w.crash(0, false);
    w.restart(0);
    w.run_for(4_000);
    assert_eq!(status(&mut w, 0).filling, 0);
}

/// n1 is started again so fast that n2 does not notice, and its greeting to n2 is lost. It acknowledges
/// something to n2; later it greets.
#[test]
fn who_speaks_is_greeted_before_it_is_told_anything() {
    let mut w = ring(3);
    let key = of_first(&w);
    acked(&mut w, 0, &key, "v1");
    w.run_for(2_000);
    lie(&mut w);
    w.cut(0, 1);
    w.crash(0, false);
    w.restart(0);
    w.say_alive(0, &[1, 2]);
    w.run_for(6_000);
    w.cuts.clear();
    acked(&mut w, 1, &key, "v2");
    assert!(w.settle());
    w.trace = Some(Vec::new());
    w.repair(0, RepairRequest::default());
    w.run_for(1_000);
    let told = w.trace.take().unwrap();
    let alarms: Vec<_> = told.iter().filter(|line| line.contains("Lost(")).collect();
    assert_eq!(alarms, Vec::<&String>::new(), "it lacks nothing");
}

/// n2 loses n1 for a moment, and n1 notices nothing of that: it has no reason to greet again. What it
/// acknowledges to n2 from then on is remembered all the same.
#[test]
fn who_was_lost_unknowingly_is_asked_to_greet() {
    let mut w = ring(3);
    // n1 takes no write itself: what it mints would be evidence of its own.
    let key = owned_at(&w, 1, 0);
    acked(&mut w, 1, &key, "v0");
    w.run_for(2_000);
    let old = w.snapshot(0);
    for (other, third) in [(1, 2), (2, 1)] {
        w.say_alive(other, &[third]);
        w.say_alive(other, &[0, third]);
    }
    w.crash(2, false);
    acked(&mut w, 1, &key, "v1");
    w.run_for(2_000);
    acked(&mut w, 1, &key, "v2");
    assert!(w.settle());
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(4_000);
    assert!(status(&mut w, 0).filling > 0, "its only witness has forgotten it");
}

/// n1 greets n2, what it is answered is passed on, and so what it says to that.
fn greets(w: &mut World) {
    let (doc, actor) = (version(w, 0), w.hosts[0].node.as_ref().unwrap().actor());
    let stranger = Body::Met { life: 1, met: FilePoint::default(), actor, counter: 0 };
    for greeting in told(w, 0, 1, doc, stranger) {
        for met in told(w, 1, 0, doc, greeting) {
            told(w, 0, 1, doc, met);
        }
    }
}

/// n2 takes n1 to be down, and was greeted by it all the same. n1 is started again and its greeting is
/// lost: what it acknowledges to n2 before it greets is not booked under the process that has ended.
#[test]
fn another_process_of_one_that_is_down_greets_anew() {
    let mut w = ring(3);
    let key = owned_at(&w, 2, 0);
    lie(&mut w);
    doubt(&mut w, 1, &[0]);
    greets(&mut w);
    w.cut(0, 1);
    w.crash(0, false);
    w.restart(0);
    doubt(&mut w, 0, &[]);
    w.run_for(4_000);
    acked(&mut w, 2, &key, "v");
    let host = &w.hosts[0];
    let (n1, actor, commit) =
        (host.id, host.node.as_ref().unwrap().actor(), host.store.commit_number());
    w.handle(1, Event::Cut(n1));
    let doc = version(&w, 0);
    told(&mut w, 1, 0, doc, Body::Stored { full: true, actor, commit });
    greets(&mut w);
    assert_eq!(status(&mut w, 0).filling, 0, "it lacks nothing");
}

/// n1's directory is put back, and it is asked before any witness can answer: nothing of its own counts,
/// be it for a key or for a partition.
#[test]
fn nothing_is_answered_before_the_witnesses_are_heard() {
    let mut w = ring(3);
    let key = of_first(&w);
    acked(&mut w, 0, &key, "v1");
    let old = w.snapshot(0);
    acked(&mut w, 0, &key, "v2");
    w.run_for(2_000);
    w.isolate(0);
    w.restore(0, &old, true);
    w.restart(0);
    let asked = Options { timeout_ms: 50, ..quorum(1, 1) };
    assert!(w.got(0, &key, asked.clone()).is_err());
    let p = w.place(&key).0;
    let scanned = w.ask(0, Request::Scan(p, None, 10, asked));
    assert!(matches!(scanned, Some(Reply::Scan(Err(_)))), "{scanned:?}");
}

/// n1's directory is put back as it was two versions of the ring ago, in which it gained partitions; it
/// had dropped one under its actor before, or not. Every witness is up.
fn put_back_behind_the_ring(dropped: bool) -> Said {
    let mut w = ring(5);
    if dropped {
        // What its cleanup writes.
        w.crash(0, false);
        let row = Op::Meta("dropped".into(), Some(Vec::new()));
        w.hosts[0].store.apply(&Batch { ops: vec![row] }).unwrap();
        w.hosts[0].sidecar = Some(w.hosts[0].identity());
        w.restart(0);
        w.run_for(4_000);
    }
    let old = w.snapshot(0);
    let before = w.doc();
    w.change(1, &[Change::Weight(w.hosts[0].name.clone(), 3)]).expect("a change");
    w.run_for(500);
    w.advance(1).expect("it goes through");
    w.run_for(2_000);
    let (doc, id) = (w.doc(), w.hosts[0].id);
    assert_eq!(doc.version, before.version + 3);
    assert!(doc.q.all().any(|p| doc.owns(id, p) && !before.owns(id, p)), "it gains something");
    let kept = |k: &String| w.owners(k)[0] == 0 && before.owns(id, w.place(k).0);
    let key = (0..500).map(|i| format!("k{i}")).find(kept).expect("a key it owned and owns");
    let [_, b, c] = owners(&w, &key);
    written_by_two(&mut w, &key, "v", c);
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(5_000);
    w.crash(b, false);
    w.got(c, &key, strictly(2, 2))
}

/// It greets as what it was when it was opened, whatever it adopts before it is answered, and is
/// answered under any version of the ring.
#[test]
fn a_file_that_is_behind_the_ring_is_noticed() {
    for dropped in [false, true] {
        let got = put_back_behind_the_ring(dropped);
        assert_ne!(got, Ok(vec![]), "acknowledged by both, dropped before: {dropped}");
    }
    #[cfg(feature = "planted")]
    assert!(goes_wrong(Bug::WitnessIgnored, || put_back_behind_the_ring(true) == Ok(vec![])));
}

/// Since the snapshot n1 has acknowledged one value, which n3 missed, as the owner in this place.
fn put_back_having_acknowledged(place: usize) -> (usize, Said) {
    let mut w = ring(3);
    let key = owned_at(&w, 0, place);
    w.run_for(1_000);
    let old = w.snapshot(0);
    let [other, missing] =
        if place == 0 { [1, 2] } else { [w.owners(&key)[0], 3 - w.owners(&key)[0]] };
    written_by_two(&mut w, &key, "v", missing);
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(1_000);
    let filling = status(&mut w, 0).filling;
    w.crash(other, false);
    (filling, w.got(missing, &key, strictly(2, 2)))
}

/// One acknowledgement is enough, that of a coordinator as well as that of a replica, which mints
/// nothing and whose counter stands still.
#[test]
fn one_acknowledgement_is_remembered() {
    for place in [0, 1] {
        let (filling, got) = put_back_having_acknowledged(place);
        assert!(filling > 0, "it was the owner in place {place}");
        assert_ne!(got, Ok(vec![]), "it was the owner in place {place}");
    }
    #[cfg(feature = "planted")]
    for place in [0, 1] {
        assert!(goes_wrong(Bug::WitnessIgnored, || {
            put_back_having_acknowledged(place).1 == Ok(vec![])
        }));
    }
}

/// n1 was put back once, and that was noticed and mended. Then it acknowledges a value with n2, which n3
/// misses, and is put back to before that.
#[test]
fn a_file_that_is_put_back_twice_is_noticed_twice() {
    let mut w = ring(3);
    let key = of_first(&w);
    let old = w.snapshot(0);
    let own = owned_at(&w, 0, 0);
    acked(&mut w, 0, &own, "v0");
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(1_000);
    assert!(status(&mut w, 0).filling > 0);
    converge(&mut w);
    assert_eq!(status(&mut w, 0).filling, 0);
    let old = w.snapshot(0);
    written_by_two(&mut w, &key, "v", 2);
    w.restore(0, &old, true);
    w.restart(0);
    w.run_for(1_000);
    assert!(status(&mut w, 0).filling > 0, "the second time");
    w.crash(1, false);
    assert_ne!(w.got(0, &key, strictly(2, 2)), Ok(vec![]));
}

/// A node has acknowledged what it held already, in a life that left nothing in its file: the next life
/// has the same number and lacks nothing.
#[test]
fn a_life_without_a_commit_is_not_missed() {
    let mut w = ring(3);
    let key = of_first(&w);
    acked(&mut w, 0, &key, "v");
    w.run_for(2_000);
    w.crash(0, false);
    w.restart(0);
    w.run_for(20);
    let (before, (p, name)) = (w.hosts[0].store.commit_number(), w.place(&key));
    let stored = w.hosts[0].store.get(p, &name).unwrap().expect("it is there");
    let write = Body::Write { records: vec![(name, stored)], hint_for: None };
    let doc = version(&w, 0);
    let answers = told(&mut w, 0, 1, doc, write);
    let [stored @ Body::Stored { .. }] = answers.as_slice() else { panic!("{answers:?}") };
    told(&mut w, 1, 0, doc, stored.clone());
    w.crash(0, false);
    assert_eq!(w.hosts[0].store.commit_number(), before, "it has left no trace");
    w.restart(0);
    w.run_for(4_000);
    assert_eq!(status(&mut w, 0).filling, 0);
}
