//! Cases of strict reads and of readings before a write: who holds what, at that moment.
//!
//! ```text
//! Read -> b, c      b answers; c is taken for dead      merge of a and b -> Write b     Stored
//!                                   c answers late: it changes nothing of what is held
//! ```
//!
//! Law: what a strict read shows is held, as exactly that record, by N-R+1 owners of each layout at
//! that moment, and no later one shows less. A change of the ring waits for the reads of the document
//! before it. What need not hold a read up does not: owners that are still filling, owners that answer
//! nothing, answers that do not fit one message.

use std::collections::BTreeSet;

use kvs::clock::VersionVector;
use kvs::key::Key;
use kvs::node::{Reply, Request};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::quorum::{Item, ItemReply, Options, Precondition, PutReply, PutRequest, Verdict};
use kvs::ring::{Change, ChangeStep};

use crate::help::*;
use crate::support::world::*;

/// What a read says: its values, or why not.
type Said = Result<Vec<String>, Verdict>;

fn said(values: &[&str]) -> Said {
    Ok(values.iter().map(ToString::to_string).collect())
}

/// Starts a strict read of two owners.
fn start_read(w: &mut World, via: usize, key: &str) -> u64 {
    w.request(via, Request::Get(Key::new(key).unwrap(), strictly(2, 2)))
}

/// Takes what a read came to out of the world, if it is there.
fn read_of(w: &mut World, ticket: u64, key: &str) -> Option<Said> {
    let Some(Reply::Get(reply)) = w.replies.remove(&ticket) else { return None };
    let key = Key::new(key).unwrap();
    let record = reply.stored.map(|s| s.record(&key).unwrap()).unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let values = record.siblings.iter().map(|s| text(&s.1.bytes)).collect();
    Some(match reply.verdict {
        Verdict::Done => Ok(values),
        other => Err(other),
    })
}

/// A write by one owner that reaches only these others, from what that owner has seen. It is answered
/// when one has it, and nobody gives it on.
fn reaches_only(w: &mut World, by: usize, key: &str, value: &str, reached: &[usize]) {
    let missed: Vec<_> = others(w, &[by]).into_iter().filter(|o| !reached.contains(o)).collect();
    missed.iter().for_each(|o| w.cut(by, *o));
    doubt(w, by, &missed);
    let seen = w.record(by, key).unwrap().clock;
    let one = Options { w: Some(1), timeout_ms: 500, ..strict() };
    let request = w.write_request(key, Some(value), Precondition::Context(seen), one);
    // Asked as by a peer that takes it for the first owner that is up.
    let earlier: Vec<_> = w.owners(key).into_iter().take_while(|o| *o != by).collect();
    doubt(w, by, &[missed.as_slice(), earlier.as_slice()].concat());
    w.ask(by, request).expect("an answer");
    w.run_for(1_000);
    w.cuts.clear();
    (0..w.hosts.len()).for_each(|i| doubt(w, i, &[]));
    w.run_for(1_000);
}

/// a, b and c hold v1, vb and vc, each in place of the one before. A strict read through a hears b,
/// takes c for dead, and writes back; then c's answer comes. What it says, and what the next one does
/// when c is away.
fn late_answer() -> (Option<Said>, Said) {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    lie(&mut w);
    reaches_only(&mut w, b, "k", "vb", &[c]);
    reaches_only(&mut w, c, "k", "vc", &[]);
    for (owner, value) in [(a, "v1"), (b, "vb"), (c, "vc")] {
        assert_eq!(w.values(owner, "k"), [value]);
    }
    let ticket = start_read(&mut w, a, "k");
    assert!(w.freeze(c, 4), "it answers 2 ms later than b");
    w.run_for(5);
    doubt(&mut w, a, &[c]);
    w.run_for(300);
    let first = read_of(&mut w, ticket, "k");
    w.crash(c, false);
    doubt(&mut w, a, &[c]);
    doubt(&mut w, b, &[c]);
    (first, w.got(a, "k", strictly(2, 2)))
}

/// A late answer to the reading adds nothing to what was written back: b stored the merge of a and b,
/// and not the one that c's answer would make.
#[test]
fn a_late_answer_is_not_held_by_who_stored_an_earlier_merge() {
    let (first, second) = late_answer();
    assert_eq!(first, Some(said(&["vb"])), "what a and b hold, and have stored");
    assert_eq!(second, said(&["vb"]), "a strict read went back");
}

/// So many joins at once in a ring of N = `n`, written to both layouts: a key whose old owners that
/// stay are too few, with a value that was there before.
fn filling_owners(n: u8, joins: usize) -> (World, String) {
    let mut w = ring_of(usize::from(n).max(3), n);
    let mut changes = Vec::new();
    for i in 0..joins {
        let (host, member) = w.new_host(&format!("j{i}"), &format!("z{i}"), 1);
        w.hosts[host].commit_ms = (3, 3);
        changes.push(Change::Join(member));
    }
    w.run_for(3_000);
    let next = w.doc().change(&changes).unwrap();
    let old = next.old.clone().unwrap();
    let needed = usize::from(n) - usize::from(n) / 2;
    let too_few = |k: &String| {
        let p = w.place(k).0;
        let before: BTreeSet<_> = next.owners_in(&old, p).into_iter().collect();
        let after = next.owners_in(&next.layout, p);
        after.iter().filter(|o| before.contains(o)).count() < needed
    };
    let key = (0..500).map(|i| format!("k{i}")).find(too_few).expect("a key");
    let via = w.owners(&key)[0];
    acked(&mut w, via, &key, "v");
    w.change(via, &changes).expect("a change");
    w.run_for(1_000);
    (w, key)
}

/// During a change, new owners that are still filling have no vote, but hold what was written back to
/// them as durably as others: strict reads go on, of what is there and of what is not.
#[test]
fn strict_reads_are_answered_while_new_owners_fill() {
    for (n, joins) in [(3, 3), (1, 2), (2, 3)] {
        let (mut w, key) = filling_owners(n, joins);
        let p = w.place(&key).0;
        let via = w.owners(&key)[0];
        for time in 1..=4 {
            assert_eq!(w.got(via, &key, strict()), said(&["v"]), "N={n}, time {time}");
        }
        let absent = (0..500).map(|i| format!("absent{i}")).find(|k| w.place(k).0 == p).unwrap();
        assert_eq!(w.got(via, &absent, strict()), said(&[]), "N={n}");
    }
}

/// z alone holds v2, and z's copy is about to move to d. A strict read through z hears all but y, and
/// its write-back to x takes `delay_ms`; the change goes on meanwhile. Whether the read said v2 and a
/// later one of y and d says v1.
fn read_across_a_join(delay_ms: u64) -> bool {
    let mut w = ring(4);
    let (key, [x, y, z, d], member) = moving(&mut w);
    acked(&mut w, x, &key, "v1");
    lie(&mut w);
    reaches_only(&mut w, z, &key, "v2", &[]);
    assert_eq!((w.values(y, &key), w.values(z, &key)), (vec!["v1".into()], vec!["v2".into()]));
    let ticket = start_read(&mut w, z, &key);
    w.run_for(3);
    w.cut(z, y);
    w.net.delay_ms = (delay_ms, delay_ms);
    w.run_for(1);
    w.net.delay_ms = (2, 2);
    w.cuts.clear();
    w.run_for(2);
    w.change(y, &[Change::Join(member)]).expect("a change");
    w.run_for(5);
    doubt(&mut w, d, &[z]);
    w.request(y, Request::Advance);
    let first = through_the_change(&mut w, ticket, &key);
    doubt(&mut w, y, &[x]);
    let later = Options { write_back: false, ..strictly(2, 2) };
    first == Some(said(&["v2"])) && w.got(y, &key, later) == said(&["v1"])
}

/// Runs until the change is through and the read has been answered; what it said.
fn through_the_change(w: &mut World, ticket: u64, key: &str) -> Option<Said> {
    let mut first = None;
    for _ in 0..1_500 {
        w.run_for(5);
        first = first.or_else(|| read_of(w, ticket, key));
        if first.is_some() && w.doc().step == ChangeStep::Settled && w.doc().version > 1 {
            break;
        }
    }
    first
}

/// The only holder of v2 is gone for good and replaced while a strict read through another node, which
/// has its answer, is writing back. As [`read_across_a_join`].
fn read_across_a_replacement(delay_ms: u64) -> bool {
    let mut w = ring(4);
    let [x, y, z] = owners(&w, "k");
    let g = others(&w, &[x, y, z])[0];
    acked(&mut w, x, "k", "v1");
    lie(&mut w);
    reaches_only(&mut w, z, "k", "v2", &[]);
    w.cut(y, g);
    let ticket = start_read(&mut w, g, "k");
    w.run_for(5);
    // x and z have answered, y has not and is taken for dead a moment: x is written back to.
    w.net.delay_ms = (delay_ms, delay_ms);
    doubt(&mut w, g, &[y]);
    w.net.delay_ms = (2, 2);
    w.cuts.clear();
    w.crash(z, false);
    [x, y, g].into_iter().for_each(|i| doubt(&mut w, i, &[z]));
    let Ok(d) = w.replace(y, z) else { return false };
    w.hosts[d].commit_ms = (3, 3);
    w.run_for(5);
    [x, y, g, d].into_iter().for_each(|i| doubt(&mut w, i, &[z]));
    w.run_for(2);
    w.request(y, Request::Advance);
    let first = through_the_change(&mut w, ticket, "k");
    doubt(&mut w, y, &[x, z]);
    let later = Options { write_back: false, ..strictly(2, 2) };
    first == Some(said(&["v2"])) && w.got(y, "k", later) == said(&["v1"])
}

/// A strict read under way while the owner whose answer it has leaves: the barrier of the change waits
/// for it, as for writes, and later reads of the new owners show no less.
#[test]
fn a_change_waits_for_strict_reads() {
    for delay in (10..260).step_by(6) {
        assert!(!read_across_a_join(delay), "a read went back across a join, delay {delay} ms");
    }
    for delay in (10..400).step_by(6) {
        assert!(!read_across_a_replacement(delay), "went back across a replacement, {delay} ms");
    }
    #[cfg(feature = "planted")]
    assert!(
        (10..400).step_by(6).any(|delay| {
            goes_wrong(Bug::BarrierSkipsReads, || read_across_a_replacement(delay))
        })
    );
}

/// Twenty keys of one partition, one request.
fn many(w: &World, value: &str, basis: &Precondition, options: Options) -> Request {
    let p = w.place("k0").0;
    let keys = (0..5_000).map(|i| format!("k{i}")).filter(|k| w.place(k).0 == p).take(20);
    let item = |k: String| Item {
        key: Key::new(k).unwrap(),
        value: Some((value.as_bytes().to_vec(), None)),
        basis: basis.clone(),
    };
    Request::Put(PutRequest { partition: p, items: keys.map(item).collect(), options })
}

/// What a write of twenty keys comes to when each holds 100 kB.
fn over_many_large_values(basis: &Precondition, options: Options) -> PutReply {
    let mut w = ring(3);
    let request = many(&w, &"x".repeat(100_000), &Precondition::Blind, strict());
    let Some(Reply::Put(first)) = w.ask(0, request) else { panic!("no answer") };
    assert!(is_done(&first));
    assert!(w.settle());
    let request = many(&w, "small", basis, options);
    let Some(Reply::Put(reply)) = w.ask(0, request) else { panic!("no answer") };
    reply
}

/// The values that a request replaces pass what one message carries: owners answer for as many as fit,
/// and are asked for the rest. So: every kind of write that reads first ends as it would with small
/// values, and none has to guess.
#[test]
fn many_large_values_are_read_before_they_are_replaced() {
    let overwrite = Precondition::Overwrite { force: false };
    for options in [strict(), options()] {
        let reply = over_many_large_values(&overwrite, options);
        assert!(is_done(&reply) && !reply.guessed, "{:?}", reply.verdict);
        assert_eq!(reply.items.len(), 20);
    }
    for basis in [Precondition::Absent, Precondition::Exact(VersionVector::new())] {
        let reply = over_many_large_values(&basis, options());
        assert_eq!(reply.verdict, Verdict::Done);
        assert_eq!(reply.items, vec![ItemReply::Conflict { values: 1 }; 20], "{basis:?}");
    }
}

/// a alone holds v2; c is taken to be alive and answers nothing. Two of three hold v2 once it is
/// written back, and a strict read does not wait its whole time for c before it does so.
#[test]
fn a_silent_owner_holds_no_strict_read_up() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    lie(&mut w);
    reaches_only(&mut w, a, "k", "v2", &[]);
    assert_eq!((w.values(a, "k"), w.values(b, "k")), (vec!["v2".into()], vec!["v1".into()]));
    w.cut(c, a);
    w.cut(c, b);
    let began = w.now_ms;
    assert_eq!(w.got(a, "k", strict()), said(&["v2"]));
    assert!(w.now_ms - began < strict().timeout_ms / 2, "it waited for c");
    assert_eq!(w.values(b, "k"), ["v2"]);
}
