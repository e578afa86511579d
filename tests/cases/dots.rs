//! Cases of actors, dots and clocks: whoever mints must hold every earlier dot of its own.

use kvs::clock::{Causality, parse_token, token};
use kvs::error::Error;
use kvs::key::Key;
use kvs::node::RepairRequest;
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::quorum::{Answer, ItemReply, Options, Precondition, Verdict};
use kvs::record::{Record, Stored, Value};
use kvs::repair::{Relation, diff};
use kvs::store::memory::Memory;
use kvs::store::{Batch, Op, Store};

use crate::help::*;
use crate::support::world::*;

/// A put whose own commit fails, then another from the same coordinator: the world, and which
/// values were acknowledged.
fn own_commit_fails() -> (World, Verdict, Vec<&'static str>) {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    w.hosts[a].store.set_full(true);
    let failed = w.blind(a, "k", "v2");
    w.run_for(1_000);
    w.hosts[a].store.set_full(false);
    acked(&mut w, a, "k", "v3");
    let told = if is_done(&failed) { vec!["v1", "v2", "v3"] } else { vec!["v1", "v3"] };
    converge(&mut w);
    (w, failed.verdict, told)
}

/// C1. Put mints (a,6); a's own commit fails for want of room after b and c might have it; a goes on
/// and mints (a,7) from a copy without (a,6), which b and c then drop. So: a dot leaves its node
/// only after its own commit, and a failed commit is nothing applied: another owner may take the write.
#[test]
fn c01_own_commit_first() {
    let (w, verdict, told) = own_commit_fails();
    assert!(matches!(verdict, Verdict::Done), "{verdict:?}");
    assert_eq!(lost(&w, "k", &told), Vec::<&str>::new());
    everywhere(&w, "k", &["v1", "v2", "v3"]);
    #[cfg(feature = "planted")]
    {
        let (w, _, told) = planted(Bug::SendBeforeCommit, own_commit_fails);
        assert_eq!(lost(&w, "k", &told), ["v2"]);
    }
}

/// C1. While every disk is full a refused put is the end of it (exit 4): the nodes come to rest. A node that
/// tries again at once keeps an offline command from ever ending.
#[test]
fn c01_a_full_disk_is_no_busy_loop() {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    owners(&w, "k").into_iter().for_each(|o| w.hosts[o].store.set_full(true));
    let reply = w.blind(a, "k", "v");
    assert!(matches!(reply.verdict, Verdict::Refused(_)), "{reply:?}");
    assert!(w.settle(), "a node goes on committing what cannot be committed");
}

/// C1, with a crash in place of a full disk: a dies with its commit under way. Nobody may have seen
/// the dot before, and what a mints afterwards loses nothing.
#[test]
fn c01_crash_before_the_own_commit() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    w.hosts[a].commit_ms = (500, 500);
    start(&mut w, a, "k", "v2", Precondition::Blind, options());
    w.run_for(400);
    assert_eq!((w.values(b, "k").len(), w.values(c, "k").len()), (1, 1), "nothing has left");
    w.crash(a, false);
    w.restart(a);
    w.run_for(3_000);
    acked(&mut w, a, "k", "v3");
    everywhere(&w, "k", &["v1", "v3"]);
}

/// v5 is acknowledged by all, its bytes rot at the coordinator, and a blind put comes.
fn coordinator_rots() -> World {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    acked(&mut w, a, "k", "v5");
    assert!(w.rot(a, "k"));
    acked(&mut w, a, "k", "v9");
    converge(&mut w);
    w
}

/// C2. (a,5)=v5 on a, b, c; its bytes rot at a; a takes the key for absent and mints (a,9), clock
/// {a:9}: b and c drop v5. So: unreadable is an error, never an absence: a mints nothing for the
/// key, takes a new actor, and is healed by a sync.
#[test]
fn c02_one_lost_record() {
    let w = coordinator_rots();
    everywhere(&w, "k", &["v5", "v9"]);
    #[cfg(feature = "planted")]
    {
        let w = planted(Bug::UnreadableIsAbsent, coordinator_rots);
        assert_eq!(lost(&w, "k", &["v5", "v9"]), ["v5"]);
    }
}

/// C2. After the healing a mints again, but under a new actor: what it may have lost unseen was
/// minted under the old one.
#[test]
fn c02_new_actor_after_rot() {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    let before = acked(&mut w, a, "k", "v5");
    w.rot(a, "k");
    acked(&mut w, a, "k", "v6");
    converge(&mut w);
    let after = acked(&mut w, a, "k", "v7");
    assert_eq!(after.actor.0, status(&mut w, a).actor, "a coordinates again");
    assert_ne!(after.actor, before.actor);
    everywhere(&w, "k", &["v5", "v6", "v7"]);
}

/// C2. The record vanishes at a without any checksum error (a bit flip in its key) and a restarts.
/// Before its first mint on an absent key a compares the partition's leaves with its records, and
/// finds it: no mint, a new actor, the partition fills.
#[test]
fn c02_vanished_record() {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    let before = acked(&mut w, a, "k", "v5");
    assert!(w.lose(a, "k"));
    w.crash(a, false);
    w.restart(a);
    w.run_for(3_000);
    let while_lost = acked(&mut w, a, "k", "v9");
    assert_ne!(while_lost.actor, before.actor, "a may not mint over the hole");
    converge(&mut w);
    everywhere(&w, "k", &["v5", "v9"]);
    assert_ne!(acked(&mut w, a, "k", "v10").actor, before.actor);
    everywhere(&w, "k", &["v10", "v5", "v9"]);
}

/// C2, and kv679 "dataloss_fb2": the record vanishes at a while it is open, and a write of b that
/// carries a's own dot reaches it: a peer's record ahead of the local one for this key and this
/// actor. The comparison is per key; a's counter is high enough. a takes a new actor and fills.
#[test]
fn c02_peer_ahead_of_own_record() {
    let mut w = ring(3);
    let [a, b, _] = owners(&w, "k");
    let before = acked(&mut w, a, "k", "v5");
    acked(&mut w, a, "other", "x");
    assert!(w.lose(a, "k"));
    // A read through b finds a stale and writes back.
    assert_eq!(w.got(b, "k", options()), Ok(vec!["v5".into()]));
    assert!(w.settle());
    assert_ne!(status(&mut w, a).actor, before.actor.0);
    acked(&mut w, a, "k", "v9");
    converge(&mut w);
    everywhere(&w, "k", &["v5", "v9"]);
}

/// X puts v3 and keeps the token; Y puts v5 blind; X puts v7 with its token.
fn two_clients() -> (World, Vec<ItemReply>) {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    let first = w.blind(a, "k", "v3").items.remove(0);
    let ItemReply::Written { context: Some(seen), .. } = first.clone() else {
        panic!("the only value gives a context: {first:?}");
    };
    let second = w.blind(a, "k", "v5").items.remove(0);
    let third = w.write(a, "k", Some("v7"), Precondition::Context(seen), options()).items.remove(0);
    assert!(w.settle());
    (w, vec![first, second, third])
}

/// C4. X puts v3 at (a,3); Y puts v5 blind at (a,5); X puts v7 with {a:3}. As a vector "seen plus own
/// dot" is {a:7}, which claims v5: used at a lagging node it kills it. So: a put gives a context only
/// when its own value is the only one left.
#[test]
fn c04_token_of_a_put() {
    let (mut w, replies) = two_clients();
    for reply in &replies[1..] {
        assert!(matches!(reply, ItemReply::Written { context: None, values: 2, .. }), "{reply:?}");
    }
    everywhere(&w, "k", &["v5", "v7"]);
    let [a, b, _] = owners(&w, "k");
    let seen = w.get(b, "k", strict()).stored.unwrap().record(&Key::new("k").unwrap()).unwrap();
    let reply = w.write(a, "k", Some("v8"), Precondition::Context(seen.clock), options());
    assert!(matches!(reply.items[..], [ItemReply::Written { context: Some(_), .. }]));
    assert!(w.settle());
    everywhere(&w, "k", &["v8"]);
    #[cfg(feature = "planted")]
    {
        let (w, _) = planted(Bug::CoverTooMuch, two_clients);
        assert_eq!(lost(&w, "k", &["v5"]), ["v5"]);
    }
}

/// Two blind puts at one coordinator; the second comes while the first is being committed.
fn one_window() -> (World, Vec<&'static str>) {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    acked(&mut w, a, "k", "v5");
    w.hosts[a].commit_ms = (50, 50);
    let first = start(&mut w, a, "k", "v6", Precondition::Blind, options());
    w.run_for(10);
    let second = start(&mut w, a, "k", "v7", Precondition::Blind, options());
    w.run_for(1_000);
    for ticket in [first, second] {
        let reply = taken(&mut w, ticket).expect("an answer");
        assert!(is_done(&reply), "{reply:?}");
    }
    converge(&mut w);
    (w, vec!["v5", "v6", "v7"])
}

/// C5. put1 mints (a,6), staged; put2 reads the committed record, mints (a,7) with the clock {a:7}
/// and not (a,6): put1 is false-covered, both were acknowledged. So: a node reads through its own
/// staged writes.
#[test]
fn c05_two_puts_in_one_commit_window() {
    let (w, told) = one_window();
    everywhere(&w, "k", &told);
    #[cfg(feature = "planted")]
    {
        let (w, told) = planted(Bug::ReadPastStaged, one_window);
        assert_eq!(lost(&w, "k", &told), ["v6"]);
    }
}

/// C5. The batch of put1 fails, and put2 was staged on top of it: it fails too, though by then there
/// is room. Neither is anywhere (the other owners have no room to take them), and the next put loses
/// nothing.
#[test]
fn c05_a_failed_batch_fails_what_was_built_on_it() {
    let mut w = ring(3);
    let all = owners(&w, "k");
    let [a, ..] = all;
    acked(&mut w, a, "k", "v5");
    w.hosts[a].commit_ms = (50, 50);
    all.into_iter().for_each(|o| w.hosts[o].store.set_full(true));
    let first = start(&mut w, a, "k", "v6", Precondition::Blind, options());
    w.run_for(10);
    let second = start(&mut w, a, "k", "v7", Precondition::Blind, options());
    w.run_for(45);
    w.hosts[a].store.set_full(false);
    w.run_for(1_000);
    for ticket in [first, second] {
        let reply = taken(&mut w, ticket).expect("an answer");
        assert!(matches!(reply.verdict, Verdict::Refused(_)), "{reply:?}");
    }
    all.into_iter().for_each(|o| w.hosts[o].store.set_full(false));
    everywhere(&w, "k", &["v5"]);
    acked(&mut w, a, "k", "v8");
    everywhere(&w, "k", &["v5", "v8"]);
}

fn relations(w: &World, a: &dyn Store, b: &dyn Store) -> Vec<Relation> {
    let (p, _) = w.place("k");
    let mut found = Vec::new();
    diff(w.doc().q, a, b, &[p], &mut |d| {
        found.push(d.relation);
        Ok(())
    })
    .expect("memory can be read");
    found
}

/// C12. x missed a delete: {a:5}[v5]; y has it. Without a dot of its own the delete leaves the same
/// clock and other bytes, which looks like corruption. So: a delete mints a dot; diff says "deleted",
/// get names x as behind.
#[test]
fn c12_a_delete_mints_a_dot() {
    let mut w = ring(3);
    let [a, b, x] = owners(&w, "k");
    acked(&mut w, a, "k", "v5");
    w.isolate(x);
    let deleted = w.delete(a, "k");
    assert!(is_done(&deleted), "{deleted:?}");
    w.heal();
    let (at_x, at_y) = (w.record(x, "k").unwrap(), w.record(b, "k").unwrap());
    assert_eq!(at_y.clock.compare(&at_x.clock), Causality::After);
    assert!(at_y.is_tombstone());
    let found = relations(&w, &w.hosts[x].store, &w.hosts[b].store);
    assert_eq!(found, [Relation::Deleted]);
    let reply = w.get(b, "k", Options { r: Some(3), write_back: false, ..options() });
    let merged = reply.stored.map(|s| s.hash());
    let behind = |(id, answer): &(_, Answer)| {
        *id == w.hosts[x].id && answer.stored().map(Stored::hash) != merged
    };
    assert!(reply.answers.iter().any(behind));
    converge(&mut w);
    everywhere(&w, "k", &[]);
}

/// C12. Corrupt is said of one dot with two values and of a failed checksum, and of nothing else:
/// neither of writes beside each other nor of one after the other.
#[test]
fn c12_what_is_corrupt() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    w.isolate(c);
    assert!(is_done(&w.put(a, "k", "v2")));
    let newer = relations(&w, &w.hosts[c].store, &w.hosts[b].store);
    assert_eq!(newer, [Relation::BNewer]);
    let reply = w.write(c, "k", Some("v3"), Precondition::Blind, quorum(1, 1));
    assert!(is_done(&reply));
    let beside = relations(&w, &w.hosts[c].store, &w.hosts[b].store);
    assert_eq!(beside, [Relation::Concurrent]);
    let mut two_values = w.hosts[b].store.clone();
    let (partition, key) = w.place("k");
    let mut record = w.record(b, "k").unwrap();
    record.siblings[0].1.bytes = b"other".to_vec();
    let stored = Stored::new(&key, &record);
    let op = Op::Record { partition, key, stored };
    two_values.apply(&Batch { ops: vec![op] }).unwrap();
    assert_eq!(relations(&w, &two_values, &w.hosts[b].store), [Relation::Corrupt]);
    w.hosts[b].store.rot(partition, &Key::new("k").unwrap());
    assert_eq!(relations(&w, &w.hosts[c].store, &w.hosts[b].store), [Relation::Corrupt]);
}

fn record(w: &World, at: usize, value: &str) -> Record {
    let mut record = w.record(at, "k").unwrap_or_default();
    record.siblings.iter_mut().for_each(|s| s.1.bytes = value.as_bytes().to_vec());
    record
}

/// C14. A term without the key in it: two records of one leaf with swapped contents give the same
/// sum. So: the term is over key and record; swapped contents differ, and diff names both keys.
#[test]
fn c14_the_term_holds_the_key() {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    acked(&mut w, a, "k", "v");
    let (p, k) = w.place("k");
    let leaf = |key: &Key| key.position().leaf(w.doc().q);
    let twin = (0..u32::MAX)
        .map(|i| Key::new(format!("t{i}")).unwrap())
        .find(|t| w.doc().q.partition(t) == p && leaf(t) == leaf(&k))
        .unwrap();
    let (one, two) = (record(&w, a, "one"), record(&w, a, "two"));
    assert_ne!(one.hash(&k), one.hash(&twin));
    let store = |first: &Record, second: &Record| {
        let put = |key: &Key, r: &Record| Op::Record {
            partition: p,
            key: key.clone(),
            stored: Stored::new(key, r),
        };
        let mut store = Memory::default();
        let q = w.doc().q.count().to_le_bytes().to_vec();
        let ops = vec![Op::Meta("q".into(), Some(q)), put(&k, first), put(&twin, second)];
        store.apply(&Batch { ops }).unwrap();
        store
    };
    let (straight, swapped) = (store(&one, &two), store(&two, &one));
    assert_ne!(straight.sum(p).unwrap(), swapped.sum(p).unwrap());
    assert_eq!(relations(&w, &straight, &swapped).len(), 2);
}

/// C14. Equal records have equal bytes, whichever way they came together; a sum is that of its
/// leaves, and an expiry that passes changes neither.
#[test]
fn c14_canonical_bytes_and_sums_of_sums() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    for (host, value) in [(a, "va"), (b, "vb"), (c, "vc")] {
        (0..3).filter(|o| *o != host).for_each(|o| part(&mut w, host, o));
        let reply = w.write(host, "k", Some(value), Precondition::Blind, quorum(1, 1));
        assert!(is_done(&reply));
    }
    let (p, key) = w.place("k");
    let copies = [a, b, c].map(|o| w.record(o, "k").unwrap());
    let [one, two, three] = &copies;
    let left = one.merge(two).0.merge(three).0;
    let right = three.merge(&two.merge(one).0).0;
    assert_eq!(left.encode(&key), right.encode(&key));
    assert_eq!(Record::decode(key.as_bytes(), &left.encode(&key)).unwrap(), left);
    converge(&mut w);
    everywhere(&w, "k", &["va", "vb", "vc"]);
    let sums = [a, b, c].map(|o| w.hosts[o].store.sum(p).unwrap());
    assert!(sums.iter().all(|s| *s == sums[0]));
    let leaves = w.hosts[a].store.leaves(p).unwrap();
    assert_eq!(leaves.iter().copied().sum::<kvs::digest::Sum>(), sums[0]);
    let value =
        |ttl| Value { bytes: b"v".to_vec(), written_ms: 1, expires_ms: ttl, derived: false };
    assert_ne!(value(Some(5)), value(None));
    let mut expiring = one.clone();
    expiring.siblings[0].1.expires_ms = Some(5);
    assert_eq!(expiring.visible(9).len(), 0);
    assert_ne!(expiring.hash(&key), one.hash(&key), "the deadline is part of the record");
}

/// C23. Counters are node-wide, so the clock of one key covers another key's siblings that nobody
/// saw. So: a token's checksum covers ring and key; used elsewhere it is refused before anything is
/// tried.
#[test]
fn c23_a_token_belongs_to_its_key() {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    acked(&mut w, a, "k", "unseen");
    let other = (0..99).map(|i| format!("o{i}")).find(|o| w.owners(o)[0] == a).unwrap();
    acked(&mut w, a, &other, "x");
    let clock = w.record(a, &other).unwrap().clock;
    let ring = w.doc().id.0;
    let [k, o] = ["k", &other].map(|k| Key::new(k).unwrap());
    let text = token(ring, &o, &clock);
    assert_eq!(parse_token(ring, &o, &text).unwrap(), clock);
    assert!(parse_token(ring, &k, &text).is_err_and(|e| matches!(e.root(), Error::Usage(_))));
    assert!(parse_token(ring + 1, &o, &text).is_err());
    let unseen = w.record(a, "k").unwrap().siblings[0].0;
    assert!(clock.covers(unseen), "the bare clock would have deleted what nobody saw");
}

/// A repair counts what has come to a disk: to a full one nothing comes, from here or from there.
#[test]
fn what_a_full_disk_does_not_take_is_not_said_to_be_moved() {
    let mut w = ring(3);
    let key = of_first(&w);
    let [a, _, c] = owners(&w, &key);
    w.crash(c, false);
    acked(&mut w, a, &key, "v");
    w.restart(c);
    w.run_for(4_000);
    for (full, moved) in [(true, [0, 0]), (false, [1, 0])] {
        w.hosts[c].store.set_full(full);
        let by = |i: usize, w: &mut World| {
            let report = w.repair(i, RepairRequest::default()).expect("a report");
            report.pulled + report.pushed
        };
        assert_eq!([by(c, &mut w), by(a, &mut w)], moved, "a full disk: {full}");
    }
}
