//! Cases of bytes at rest: what is lost or rotten is never called whole, and healed from others.

use kvs::key::Key;
use kvs::node::{RepairRequest, Reply, Request};
use kvs::quorum::{Options, Precondition, Verdict};
use kvs::ring::Change;
use kvs::store::{Batch, Hint, Loss, Op, Store, Stored, Table};

use crate::help::*;
use crate::support::world::*;

/// A value that hosts 0 and 1 hold and host 2 missed.
fn on_two_of_three() -> (World, String) {
    let mut w = ring(3);
    let key = of_first(&w);
    w.crash(2, false);
    let reply = w.write(0, &key, Some("v"), Precondition::Blind, strictly(2, 2));
    assert!(is_done(&reply), "{reply:?}");
    w.settle();
    w.restart(2);
    w.run_for(4_000);
    (w, key)
}

/// A record vanishes at a node that is stopped, which then pulls an older copy of it from another: that
/// copy must not pass for its own. So: keys and terms are read before the first mint, whatever is there.
#[test]
fn a_vanished_record_is_found_before_the_first_mint() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    w.crash(a, false);
    assert!(is_done(&w.blind(b, "k", "v0")));
    w.restart(a);
    w.run_for(3_000);
    w.repair_all();
    w.deliver_all();
    w.crash(c, false);
    let strict = || Options { strict: true, ..options() };
    assert!(is_done(&w.write(a, "k", Some("v1"), Precondition::Blind, strict())));
    assert!(w.settle());
    w.crash(a, false);
    assert!(w.lose(a, "k"));
    w.crash(b, false);
    w.restart(c);
    w.restart(a);
    w.run_for(5_000);
    w.repair(a, RepairRequest::default()).unwrap();
    assert!(is_done(&w.write(a, "k", Some("v2"), Precondition::Blind, strict())));
    w.restart(b);
    converge(&mut w);
    assert_eq!(lost(&w, "k", &["v0", "v1", "v2"]), Vec::<&str>::new());
}

/// A bad key was struck from the records of its owner, whose page then lacks it: that is no vote that
/// there is nothing.
#[test]
fn a_bad_key_is_no_vote_in_a_scan() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    w.crash(c, false);
    assert!(is_done(&w.write(a, "k", Some("v"), Precondition::Blind, strictly(2, 2))));
    w.settle();
    w.crash(b, false);
    assert!(w.rot(a, "k"));
    w.restart(c);
    w.run_for(4_000);
    let reading = Options { write_back: false, ..quorum(2, 2) };
    assert!(w.got(a, "k", reading.clone()).is_err());
    w.run_for(100);
    let p = w.place("k").0;
    let Some(Reply::Scan(page)) = w.ask(a, Request::Scan(p, None, 100, reading)) else {
        panic!("no page");
    };
    assert!(page.is_err(), "the scan says that there is nothing: {page:?}");
}

/// A pass that compared before a bad key was struck from the digest heals nothing: at any moment of it.
#[test]
fn a_pass_begun_before_a_strike_heals_nothing() {
    for at in 0..20 {
        let (mut w, key) = on_two_of_three();
        assert!(w.rot(0, &key));
        w.request(0, Request::Repair(RepairRequest::default()));
        w.run_for(at);
        let one = Options { n: Some(1), r: Some(1), write_back: false, ..options() };
        w.request(0, Request::Get(Key::new(key.clone()).unwrap(), one));
        w.run_for(3_000);
        w.crash(1, false);
        let got = w.got(0, &key, quorum(2, 2));
        assert_ne!(got, Ok(vec![]), "read after {at} ms: healed without the record");
    }
}

/// What a failed batch was to take out of the digest is taken out by a later one.
#[test]
fn what_a_failed_batch_was_to_strike_is_struck_later() {
    for full in [false, true] {
        let (mut w, key) = on_two_of_three();
        w.crash(0, false);
        assert!(w.lose(0, &key));
        w.restart(0);
        w.run_for(4_000);
        let p = w.place(&key).0;
        let other = (0..5000).map(|i| format!("x{i}")).find(|k| w.place(k).0 == p).unwrap();
        w.hosts[0].store.set_full(full);
        w.write(0, &other, Some("x"), Precondition::Blind, options());
        w.run_for(100);
        w.hosts[0].store.set_full(false);
        w.run_for(15_000);
        for _ in 0..3 {
            w.repair(0, RepairRequest::default()).unwrap();
        }
        w.crash(1, false);
        assert_eq!(w.got(0, &key, quorum(2, 2)), Ok(vec!["v".into()]), "full: {full}");
    }
}

/// Two owners of one partition have a bad key each, not the same: each has good copies at the two
/// others.
#[test]
fn two_owners_with_a_bad_key_each_heal_each_other() {
    let mut w = ring(3);
    let p = w.place("k0").0;
    let other = (1..500).map(|i| format!("k{i}")).find(|k| w.place(k).0 == p).unwrap();
    acked(&mut w, 0, "k0", "v");
    acked(&mut w, 0, &other, "v");
    assert!(w.rot(0, "k0") && w.rot(1, &other));
    w.got(2, "k0", quorum(2, 3)).ok();
    w.got(2, &other, quorum(2, 3)).ok();
    w.run_for(2_000);
    for _ in 0..3 {
        w.repair_all();
    }
    assert_eq!([0, 1, 2].map(|i| status(&mut w, i).bad), [0; 3], "each key has two good copies");
    everywhere(&w, "k0", &["v"]);
    everywhere(&w, &other, &["v"]);
}

/// A lone copy has lost a record. No pass with nobody ends that: it is told until an operator accepts
/// it.
#[test]
fn the_loss_of_a_lone_copy_is_told_until_it_is_accepted() {
    let mut w = ring_of(3, 1);
    let key = of_first(&w);
    acked(&mut w, 0, &key, "v");
    let p = w.place(&key).0;
    w.crash(0, false);
    assert!(w.lose(0, &key));
    w.restart(0);
    w.run_for(4_000);
    for _ in 0..3 {
        w.repair_all();
    }
    let told = |w: &World| w.hosts[0].store.row(Table::Meta, &Loss::row(p)).unwrap();
    let loss = told(&w).and_then(|row| Loss::from_bytes(&row)).expect("a loss in mind");
    assert_eq!(loss.records(), 1);
    let one = Options { write_back: false, ..quorum(1, 1) };
    assert!(matches!(w.got(0, &key, one.clone()), Err(Verdict::Refused(_))), "absent is not known");
    w.crash(0, false);
    w.restart(0);
    w.run_for(4_000);
    assert!(told(&w).is_some(), "it outlives a restart");
    w.ask(0, Request::AcceptLoss(Some(p))).expect("an answer");
    assert_eq!((told(&w), w.got(0, &key, one)), (None, Ok(vec![])));
}

/// One bit of an acknowledged hint rots. It is not served, merged, spread or delivered, and hides no
/// other hint.
#[test]
fn a_rotten_hint_is_passed_over() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    let f = others(&w, &[a, b, c])[0];
    let kept = |w: &World, k: &str| {
        let (p, key) = w.place(k);
        w.hosts[f].store.hints_of(p, &key).unwrap()
    };
    w.crash(b, false);
    w.crash(c, false);
    acked(&mut w, a, "k", "v");
    let fine = (0..500).map(|i| format!("n{i}")).find(|k| w.owners(k) == w.owners("k")).unwrap();
    acked(&mut w, a, &fine, "v");
    let hint = kept(&w, "k")[0].clone();
    let mut bytes = hint.stored.as_ref().unwrap().bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let rotten = Hint { stored: Some(Stored::unproven(&bytes)), ..hint };
    w.hosts[f].store.apply(&Batch { ops: vec![Op::Hint(rotten)] }).unwrap();
    assert!(kept(&w, "k").is_empty());
    let bad = w.hosts[f].store.bad_hints().unwrap();
    assert_eq!((bad.bad.len(), bad.bad[0].key()), (1, Some(Key::new("k").unwrap())));
    w.crash(a, false);
    w.restart(b);
    w.restart(c);
    w.run_for(4_000);
    let got = w.got(c, "k", Options { patient: true, ..quorum(2, 2) });
    assert!(!got.is_ok_and(|values| values.iter().any(|v| v != "v")), "a rotten value is shown");
    w.restart(a);
    w.run_for(4_000);
    w.deliver_all();
    assert!(kept(&w, &fine).is_empty(), "one rotten hint ends the delivery of others");
    for _ in 0..4 {
        w.repair_all();
    }
    everywhere(&w, "k", &["v"]);
    assert_eq!(w.hosts[f].store.bad_hints().unwrap().bad.len(), 1, "told until it is accepted");
    w.ask(f, Request::AcceptLoss(None)).expect("an answer");
    assert!(w.hosts[f].store.bad_hints().unwrap().is_empty());
}

/// A damaged acceptor row reads as nothing promised, and a chosen document is overturned. So: whoever
/// cannot read what it promised does not vote.
#[test]
fn a_damaged_acceptor_row_does_not_vote() {
    let mut w = ring(3);
    let doc = w.doc();
    let weight = |i: usize, to| Change::Weight(w.hosts[i].name.clone(), to);
    let (one, two) = (doc.change(&[weight(0, 2)]).unwrap(), doc.change(&[weight(1, 3)]).unwrap());
    lie(&mut w);
    doubt(&mut w, 0, &[2]);
    w.cut(0, 2);
    w.request(0, Request::Propose(Box::new(one.clone())));
    for _ in 0..100 {
        w.run_for(1);
        if w.hosts[0].node.as_ref().unwrap().doc().version == 2 {
            // Chosen, and nobody else hears of it.
            w.crash(1, false);
            break;
        }
    }
    w.run_for(50);
    w.crash(0, false);
    let mut row = w.hosts[1].store.row(Table::Ring, "acceptor").unwrap().unwrap();
    row.pop();
    w.hosts[1].store.apply(&Batch { ops: vec![Op::Ring("acceptor".into(), Some(row))] }).unwrap();
    w.cuts.clear();
    w.lying = false;
    w.restart(1);
    w.run_for(4_000);
    let got = force(&mut w, 2, &two);
    let now = w.hosts[2].node.as_ref().unwrap().doc().clone();
    assert!(got.is_err() || *now == one, "a chosen document was overturned");
}
