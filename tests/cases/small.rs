//! Cases of limits, siblings, deletes and hints that are small, each with its answer.

use kvs::clock::VersionVector;
use kvs::key::Key;
use kvs::node::RepairRequest;
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::quorum::{ItemReply, Options, Precondition};
use kvs::record::SIBLINGS_MAX;
use kvs::store::Store;

use crate::help::*;
use crate::support::world::*;

const MIB: usize = 1 << 20;

/// C19. Five writers, five blind puts of 1 MiB: a legal record that no frame carries. So: the
/// coordinator refuses a put that would make the record larger than 4 MiB, or give it more than 25
/// values; nothing is applied and the replicas are equal.
#[test]
fn c19_a_record_over_the_limits_is_refused() {
    let mut w = ring_of(1, 1);
    for value in ["a", "b"] {
        acked(&mut w, 0, "big", &value.repeat(2 * MIB));
    }
    let reply = w.blind(0, "big", "one byte too many is enough");
    assert!(matches!(reply.items[..], [ItemReply::TooLarge(_)]), "{:?}", reply.verdict);
    assert!(w.settle());
    assert_eq!(w.values(0, "big").len(), 2);
    let mut w = ring(3);
    for i in 0..SIBLINGS_MAX {
        acked(&mut w, 0, "many", &format!("{i:02}"));
    }
    let reply = w.blind(1, "many", "one too many");
    assert!(matches!(reply.items[..], [ItemReply::TooLarge(_)]), "{reply:?}");
    assert!(w.settle());
    assert!((0..3).all(|i| w.values(i, "many").len() == SIBLINGS_MAX));
}

/// C19. Two sides of a cut each stay within the limits; together they do not. A merge is never
/// refused and drops nothing: all replicas hold all of it, and a put that has seen it settles it.
#[test]
fn c19_merges_are_never_refused() {
    let mut w = ring(3);
    let [a, b, _] = owners(&w, "k");
    w.isolate(a);
    let mut all = Vec::new();
    for (via, side) in [(a, "a"), (b, "b")] {
        for i in 0..20 {
            let value = format!("{side}{i:02}");
            let reply = w.write(via, "k", Some(&value), Precondition::Blind, quorum(1, 1));
            assert!(is_done(&reply));
            all.push(value);
        }
    }
    converge(&mut w);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    everywhere(&w, "k", &all);
    let reply = w.blind(a, "k", "more");
    assert!(matches!(reply.items[..], [ItemReply::TooLarge(_)]), "{reply:?}");
    let seen = w.record(b, "k").unwrap().clock;
    let reply = w.write(b, "k", Some("settled"), Precondition::Context(seen), options());
    assert!(is_done(&reply));
    assert!(w.settle());
    everywhere(&w, "k", &["settled"]);
}

/// C21. A forwarder times out on a and tries b: (a,6) v and (b,1) v are siblings with equal bytes, and
/// a key with one value gives exit 3. So: equal values count as one in every output.
#[test]
fn c21_equal_values_count_as_one() {
    let mut w = ring(3);
    let [a, b, _] = owners(&w, "k");
    let first = acked(&mut w, a, "k", "v");
    lie(&mut w);
    doubt(&mut w, b, &[a]);
    let reply = w.blind(b, "k", "v");
    assert!(matches!(reply.items[..], [ItemReply::Written { values: 1, .. }]), "{reply:?}");
    assert_ne!(dot(&reply).actor, first.actor);
    converge(&mut w);
    everywhere(&w, "k", &["v", "v"]);
    let stored = w.get(a, "k", strict()).stored.unwrap();
    let record = stored.record(&Key::new("k").unwrap()).unwrap();
    assert_eq!(record.visible(WALL_MS).len(), 1);
    assert!(is_done(&w.put(a, "k", "w")), "one value is no conflict");
    assert!(w.settle());
    everywhere(&w, "k", &["w"]);
}

fn seen(w: &mut World, via: usize) -> VersionVector {
    let stored = w.get(via, "k", strict()).stored;
    let key = Key::new("k").unwrap();
    stored.map(|s| s.record(&key).unwrap().clock).unwrap_or_default()
}

/// Two clients, 50 rounds: each puts with what it saw before the other's last put.
fn two_clients_interleaved() -> World {
    let mut w = ring(3);
    let mut contexts = [VersionVector::new(), VersionVector::new()];
    for round in 0..50 {
        for (client, name) in ["X", "Y"].into_iter().enumerate() {
            let context = Precondition::Context(contexts[client].clone());
            let value = format!("{name}{round:02}");
            let reply = w.write(client, "k", Some(&value), context, options());
            assert!(is_done(&reply), "{reply:?}");
            // What X goes on from lacks Y's put of this round, and Y's lacks X's next.
            contexts[client] = seen(&mut w, client);
        }
    }
    assert!(w.settle());
    w
}

/// Sibling explosion (riak_test#383): two clients interleave and each put has seen all but the other's
/// last. With version vectors that is one sibling per put; with dots it ends with two.
#[test]
fn small_no_sibling_explosion() {
    let w = two_clients_interleaved();
    everywhere(&w, "k", &["X49", "Y49"]);
    #[cfg(feature = "planted")]
    {
        let w = planted(Bug::CoverTooMuch, two_clients_interleaved);
        assert_ne!(w.values(0, "k"), ["X49", "Y49"]);
    }
}

/// v1 is everywhere; c is away while v1 is deleted, and v2 is written if `again`.
fn deleted_without_c(again: bool) -> World {
    let mut w = ring(4);
    let [a, _, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    w.crash(c, false);
    assert!(is_done(&w.delete(a, "k")));
    assert!(w.settle());
    if again {
        assert!(is_done(&w.put(a, "k", "v2")));
        assert!(w.settle());
    }
    w.restart(c);
    w.run_for(4_000);
    w
}

/// kv679 "doomstone", and delete-then-recreate with a dead replica: a fallback keeps a tombstone for
/// c, the key is written again, the tombstone comes back late. The new value has a dot of its own
/// above it: it stays, and the old value does not rise again, whichever way c learns of it.
#[test]
fn kv679_a_late_tombstone_kills_nothing() {
    for again in [true, false] {
        let values: &[&str] = if again { &["v2"] } else { &[] };
        let mut delivered = deleted_without_c(again);
        let mut repaired = deleted_without_c(again);
        let mut read = deleted_without_c(again);
        assert_eq!(delivered.deliver_all(), 0);
        assert!(delivered.settle());
        everywhere(&delivered, "k", values);
        assert_eq!(repaired.repair_all().1, 0);
        everywhere(&repaired, "k", values);
        let [.., c] = owners(&read, "k");
        let got = read.got(c, "k", quorum(2, 3)).expect("all are up");
        assert_eq!(got, values);
        assert!(read.settle());
        everywhere(&read, "k", values);
    }
}

/// kv679 "doomstone", put together by hand: the hint with the tombstone is delivered only after the
/// key was written anew while its first owner was away, by another coordinator.
#[test]
fn kv679_the_tombstone_of_another_coordinator() {
    let mut w = ring(5);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    w.crash(c, false);
    assert!(is_done(&w.delete(a, "k")));
    assert!(w.settle());
    w.crash(a, false);
    assert!(is_done(&w.put(b, "k", "v2")));
    assert!(w.settle());
    for back in [c, a] {
        w.restart(back);
        w.run_for(4_000);
        w.deliver_all();
        assert!(w.settle());
        assert_eq!(w.values(b, "k"), ["v2"]);
        assert_ne!(w.values(back, "k"), ["v1"], "it has risen again");
    }
    converge(&mut w);
    everywhere(&w, "k", &["v2"]);
}

/// A ring of three with one node down has no fallback. The coordinator's own uncounted hint, kept in
/// the record's own transaction, brings the third up to date; it counted for nothing.
#[test]
fn small_the_coordinators_own_hint() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    w.crash(c, false);
    let reply = w.blind(a, "k", "v");
    assert!(is_done(&reply));
    assert_eq!((reply.acks, reply.hinted), (2, 0));
    assert_eq!((hints(&w, a).count, hints(&w, a).acknowledged), (1, 0));
    // Killed right after the answer, it still knows.
    w.crash(a, false);
    w.restart(a);
    w.restart(c);
    w.run_for(4_000);
    assert_eq!(w.deliver_all(), 0);
    assert!(w.settle());
    everywhere(&w, "k", &["v"]);
    assert_eq!((hints(&w, a).count, hints(&w, b).count), (0, 0));
}

/// Offline `put -w 1` ends when every reachable owner has answered, or the third replica would miss
/// every write: a patient put tells of three acknowledgements though one was asked for.
#[test]
fn small_a_patient_put_waits_for_all() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    let patient = Options { patient: true, ..quorum(1, 1) };
    let reply = w.write(a, "k", Some("v"), Precondition::Blind, patient);
    assert!(is_done(&reply));
    assert_eq!(reply.acks, 3);
    assert!([a, b, c].iter().all(|o| w.values(*o, "k") == ["v"]), "before the answer, not after");
}

/// A write that missed W is unknown, not undone: it is on its coordinator's disk, it spreads, and a
/// repetition of it makes no conflict that anybody sees.
#[test]
fn small_unknown_is_not_undone() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    lie(&mut w);
    w.cut(a, b);
    w.cut(a, c);
    let reply = w.write(a, "k", Some("v"), Precondition::Blind, strict());
    assert!(matches!(reply.verdict, kvs::quorum::Verdict::Unknown(_)), "{reply:?}");
    assert_eq!(w.values(a, "k"), ["v"]);
    w.lying = false;
    w.heal();
    let again = w.write(a, "k", Some("v"), Precondition::Blind, strict());
    assert!(matches!(again.items[..], [ItemReply::Written { values: 1, .. }]), "{again:?}");
    converge(&mut w);
    everywhere(&w, "k", &["v", "v"]);
}

/// Three dots of three actors, one record: every replica keeps all of them, whatever order they come
/// in. A merge that keeps one of several loses acknowledged writes.
#[test]
fn small_siblings_of_three_coordinators() {
    let three = || {
        let mut w = ring(3);
        let o = owners(&w, "k");
        for (host, value) in [(o[0], "va"), (o[1], "vb"), (o[2], "vc")] {
            others(&w, &[host]).into_iter().for_each(|x| part(&mut w, host, x));
            assert!(is_done(&w.write(host, "k", Some(value), Precondition::Blind, quorum(1, 1))));
            w.heal();
        }
        converge(&mut w);
        w
    };
    everywhere(&three(), "k", &["va", "vb", "vc"]);
    #[cfg(feature = "planted")]
    assert!(goes_wrong(Bug::DropSibling, || {
        !lost(&three(), "k", &["va", "vb", "vc"]).is_empty()
    }));
}

/// C19. A record over 4 MiB, merged from two sides of a cut, is never refused by a replica: a sync
/// brings it over whole, its checksum proven, and repair then moves nothing.
#[test]
fn c19_a_merge_over_4_mib() {
    let mut w = ring_of(2, 2);
    w.isolate(0);
    for (via, byte) in [(0, "a"), (1, "b")] {
        let reply =
            w.write(via, "k", Some(&byte.repeat(MIB * 9 / 4)), Precondition::Blind, quorum(1, 1));
        assert!(is_done(&reply));
    }
    w.heal();
    assert!(w.repair(0, RepairRequest::default()).is_some());
    let (p, key) = w.place("k");
    for host in &w.hosts {
        let stored = host.store.get(p, &key).expect("its checksum holds").expect("it is there");
        assert_eq!(stored.record(&key).unwrap().siblings.len(), 2);
    }
    assert_eq!(w.repair_all(), (0, 0));
}
