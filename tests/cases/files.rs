//! Cases of files that are older, emptier or rottener than their node believes, and of wall clocks.

use kvs::clock::Actor;
use kvs::key::Key;
use kvs::node::{RepairRequest, Reply, Request};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::quorum::{Item, ItemReply, Precondition, PutReply, PutRequest, Verdict};
use kvs::ring::Change;
use kvs::store::Store;

use crate::help::*;
use crate::support::world::*;

/// What happens to n2's directory in C3.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Wiped,
    RolledBack,
    RolledBackWithSidecar,
}

/// n3 missed an acknowledged put, n2's directory is harmed, n1 is away: what a strict read of n2 and
/// n3 says, what an overwrite through n2 says, and the world after all are back.
fn harmed_owner(harm: Harm) -> (Result<Vec<String>, Verdict>, Verdict, World) {
    let mut w = ring(3);
    let [n1, n2, n3] = owners(&w, "k");
    let before = w.snapshot(n2);
    w.isolate(n3);
    acked(&mut w, n1, "k", "v");
    w.heal();
    match harm {
        Harm::Wiped => wipe(&mut w, n2, Actor(77), false),
        Harm::RolledBack => w.restore(n2, &before, false),
        Harm::RolledBackWithSidecar => {
            // Others must have seen a counter of n2 that its older file has not.
            let first = |k: &String| w.owners(k)[0] == n2;
            let own = (0..99).map(|i| format!("o{i}")).find(first).expect("a share of firsts");
            acked(&mut w, n2, &own, "x");
            w.restore(n2, &before, true);
        }
    }
    w.restart(n2);
    w.run_for(4_000);
    w.crash(n1, false);
    let got = w.got(n3, "k", strictly(2, 2));
    let basis = Precondition::Overwrite { force: false };
    let put = w.write(n2, "k", Some("w"), basis, strictly(2, 2)).verdict;
    converge(&mut w);
    (got, put, w)
}

/// C3 (a). N=3 W=R=2 strict: put acked by n1, n2; n3 missed it; n2's directory is made anew. get -r 2
/// from n2, n3: "nothing", exit 1. So: a filling owner is no vote and does not coordinate; the read
/// is refused, and afterwards the value is everywhere.
#[test]
fn c03a_a_wiped_owner_does_not_vote() {
    let (got, put, w) = harmed_owner(Harm::Wiped);
    assert!(matches!(got, Err(Verdict::Refused(_))), "{got:?}");
    assert!(matches!(put, Verdict::Refused(_)), "{put:?}");
    everywhere(&w, "k", &["v"]);
    #[cfg(feature = "planted")]
    {
        let (got, ..) = planted(Bug::FillingVotes, || harmed_owner(Harm::Wiped));
        assert_eq!(got, Ok(vec![]));
    }
}

/// C3 (b). The same with an older data file at n2: its dots are safe under a new actor, its vote is
/// not, until it is filled.
#[test]
fn c03b_a_rolled_back_owner_does_not_vote() {
    for harm in [Harm::RolledBack, Harm::RolledBackWithSidecar] {
        let (got, put, w) = harmed_owner(harm);
        assert!(matches!(got, Err(Verdict::Refused(_))), "{harm:?}: {got:?}");
        assert!(matches!(put, Verdict::Refused(_)), "{harm:?}: {put:?}");
        everywhere(&w, "k", &["v"]);
    }
    #[cfg(feature = "planted")]
    {
        let (got, ..) = planted(Bug::FillingVotes, || harmed_owner(Harm::RolledBack));
        assert_eq!(got, Ok(vec![]));
    }
}

/// The partition of a key leaves its first owner and comes back. Gives the key, the owner, and what
/// a blind put through it said while it was filling.
fn regained() -> (World, String, usize, Verdict) {
    let mut w = ring(5);
    let weights =
        |w: &World, of: usize, weight| vec![Change::Weight(w.hosts[of].name.clone(), weight)];
    let keys: Vec<String> = (0..60).map(|i| format!("k{i}")).collect();
    let firsts: Vec<usize> = keys.iter().map(|k| w.owners(k)[0]).collect();
    for (key, first) in keys.iter().zip(&firsts) {
        acked(&mut w, *first, key, "v5");
    }
    // Others get heavy, one after the other, until a first owner loses a key; then light again.
    let mut moved = None;
    for heavy in 0..4 {
        let change = weights(&w, heavy, 50);
        w.change(4, &change).expect("a change");
        w.advance(4).expect("it goes through");
        let gone = |(k, first): &(&String, &usize)| !w.owners(k).contains(first) && **first == 4;
        moved = keys.iter().zip(&firsts).find(gone).map(|(k, a)| (k.clone(), *a));
        if moved.is_some() {
            break;
        }
    }
    let (key, a) = moved.expect("a partition leaves its owner");
    assert!(w.settle());
    for i in 0..5 {
        w.ask(i, Request::Cleanup);
    }
    assert_eq!(w.record(a, &key), None, "dropped");
    let change: Vec<Change> =
        (0..4).flat_map(|h| weights(&w, h, 1)).chain(weights(&w, a, 100)).collect();
    w.change(0, &change).expect("a change");
    assert!(w.settle());
    assert!(w.owners(&key).contains(&a), "it comes back");
    let put = blind_at(&mut w, a, &key, "v9").verdict;
    w.lying = false;
    w.heal();
    w.advance(0).expect("it goes through");
    assert!(w.settle());
    (w, key, a, put)
}

/// A blind put by way of somebody who doubts every owner but this one.
fn blind_at(w: &mut World, owner: usize, key: &str, value: &str) -> PutReply {
    let owners = w.owners(key);
    let via = others(w, &owners)[0];
    let doubted: Vec<usize> = owners.into_iter().filter(|o| *o != owner).collect();
    lie(w);
    doubt(w, via, &doubted);
    let reply = w.blind(via, key, value);
    w.settle();
    reply
}

/// C3 (c). A former owner regains a partition under the same actor, and coordinates a blind put before
/// it is filled: it mints over dots of its own that it has dropped. So: it is filling, does not
/// coordinate, and mints under a new actor afterwards.
#[test]
fn c03c_a_regained_partition() {
    let (mut w, key, a, put) = regained();
    assert!(matches!(put, Verdict::Refused(_)), "{put:?}");
    let old = w.record(a, &key).expect("it is filled").siblings[0].0;
    let after = blind_at(&mut w, a, &key, "v10");
    assert!(is_done(&after), "{after:?}");
    let now = status(&mut w, a).actor;
    assert_ne!(old.actor.0, now, "dots minted before the drop are not gone on from");
    converge(&mut w);
    everywhere(&w, &key, &["v10", "v5"]);
    #[cfg(feature = "planted")]
    {
        let (.., put) = planted(Bug::FillingVotes, regained);
        assert_eq!(put, Verdict::Done);
    }
}

/// C3. Two owners of three are made anew: each meets one full owner and one that is filling. A
/// filling owner proves nothing, so a plain repair leaves both filling and reads refused; the
/// operator's word ends it.
#[test]
fn c03d_filling_owners_prove_nothing_to_each_other() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v");
    for (i, lost) in [b, c].into_iter().enumerate() {
        wipe(&mut w, lost, Actor(77 + i as u64), false);
        w.restart(lost);
    }
    w.run_for(4_000);
    for _ in 0..3 {
        for i in [b, c] {
            let report = w.repair(i, RepairRequest::default()).unwrap();
            assert_eq!((report.filling.len(), report.missed.len()), (8, 0), "one full owner");
        }
    }
    w.crash(a, false);
    let got = w.got(b, "k", strict());
    assert!(matches!(got, Err(Verdict::Refused(_))), "{got:?}");
    let word = RepairRequest { accept_missing: true, ..RepairRequest::default() };
    assert!(w.repair(b, word.clone()).unwrap().filling.is_empty());
    assert!(w.repair(c, word).unwrap().filling.is_empty());
    assert_eq!(w.got(b, "k", strict()), Ok(vec!["v".into()]), "a's copy is here meanwhile");
    // Two of three acceptors may have forgotten promises: they abstain for good (`ring recover`), so
    // the world never comes to rest.
    w.restart(a);
    w.run_for(6_000);
    w.repair_all();
    everywhere(&w, "k", &["v"]);
}

/// C3 with C6, for even N. A write is on two of four owners and was read strictly: N-R+1 = 2 hold it.
/// One of the two loses it and syncs with the two that never had it: N-W+1 full owners, and still no
/// proof. It stays filling until it has met a majority.
#[test]
fn c03e_even_n_fills_from_a_majority() {
    let mut w = ring_of(4, 4);
    let [o0, o1, o2, o3] = w.owners("k")[..] else { panic!("four owners") };
    let before = w.snapshot(o1);
    for (a, b) in [(o0, o2), (o0, o3), (o1, o2), (o1, o3)] {
        part(&mut w, a, b);
    }
    lie(&mut w);
    let reply = w.write(o0, "k", Some("v"), Precondition::Blind, strictly(3, 3));
    assert!(matches!(reply.verdict, Verdict::Unknown(_)), "{reply:?}");
    w.lying = false;
    w.heal();
    assert_eq!(w.got(o0, "k", strictly(3, 3)), Ok(vec!["v".into()]));
    w.restore(o1, &before, false);
    w.crash(o0, false);
    w.restart(o1);
    w.run_for(4_000);
    let report = w.repair(o1, RepairRequest::default()).unwrap();
    assert_eq!(report.filling.len(), 8, "two of the three others are no majority");
    let got = w.got(o1, "k", strictly(3, 3));
    assert!(matches!(got, Err(Verdict::Refused(_))), "a read must not go back: {got:?}");
}

/// C13 (a). A byte flips in n2: stored sums unchanged, roots equal, repair ends at the roots. The
/// digest says what the file was told to hold; a read of the bytes lists the record, rebuilds its
/// leaf without it, and then repair sees the difference and heals it.
#[test]
fn c13a_rot_is_found_by_reading_and_healed_by_repair() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v");
    let (p, key) = w.place("k");
    let sum = |w: &World, i: usize| w.hosts[i].store.sum(p).unwrap();
    w.rot(b, "k");
    assert_eq!(sum(&w, a), sum(&w, b), "told to hold the same");
    assert_eq!(w.repair(c, RepairRequest::default()).unwrap().pulled, 0);
    let Some(Reply::Verify(verdict)) = w.ask(b, Request::Verify(p)) else { panic!("no verdict") };
    assert_eq!(verdict.bad.len(), 1);
    assert!(w.settle());
    assert_eq!(w.hosts[b].store.bad().unwrap(), [(p, key.as_bytes().to_vec())]);
    assert_ne!(sum(&w, a), sum(&w, b), "its leaf is rebuilt without it");
    assert_eq!(w.got(b, "k", strictly(2, 2)), Ok(vec!["v".into()]), "two others vote");
    let report = w.repair(b, RepairRequest::default()).unwrap();
    assert!(report.filling.is_empty(), "healed: {report:?}");
    assert!(w.settle());
    assert!(w.hosts[b].store.bad().unwrap().is_empty());
    assert_eq!(sum(&w, a), sum(&w, b));
    everywhere(&w, "k", &["v"]);
    assert_eq!(w.repair_all(), (0, 0));
}

/// C13 (b). A put over a rotted record: new sum = old - h(old) + h(new), and h(old) is not to be
/// computed any more: a phantom difference for ever. So the leaf is rebuilt; sums are equal in the
/// end and repair moves nothing.
#[test]
fn c13b_a_put_over_rot_leaves_no_phantom() {
    for rotten in 0..3 {
        let mut w = ring(3);
        let o = owners(&w, "k");
        acked(&mut w, o[0], "k", "v1");
        w.rot(o[rotten], "k");
        acked(&mut w, o[0], "k", "v2");
        converge(&mut w);
        everywhere(&w, "k", &["v1", "v2"]);
        let (p, _) = w.place("k");
        let leaves = |i: usize| w.hosts[i].store.leaves(p).unwrap();
        for i in o {
            assert_eq!(leaves(i), leaves(o[0]));
            assert!(w.hosts[i].store.bad().unwrap().is_empty());
        }
        assert_eq!(w.repair_all(), (0, 0), "no difference is left");
    }
}

/// C13 with C3: the same key rots at two owners of three. One full copy is fewer than N-W+1 others:
/// nothing is lost, reads are refused, and a plain repair leaves the key listed.
#[test]
fn c13c_two_rotten_copies_of_three() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    w.rot(a, "k");
    w.rot(b, "k");
    let got = w.got(c, "k", strict());
    assert!(matches!(got, Err(Verdict::Refused(_))), "{got:?}");
    assert!(is_done(&w.blind(a, "k", "v2")), "c has a full copy");
    converge(&mut w);
    everywhere(&w, "k", &["v1", "v2"]);
    assert!(!w.hosts[a].store.bad().unwrap().is_empty(), "not proven by one full owner");
    let got = w.got(c, "k", strict());
    assert!(matches!(got, Err(Verdict::Refused(_))), "{got:?}");
}

/// C15. put --ttl 1h; one replica's clock is a day ahead: it makes a tombstone and sync carries it
/// everywhere, 23 h early. So: expiry hides at read, by the clock of the node that answers, and no
/// disk changes for it.
#[test]
fn c15_expiry_by_one_wrong_clock() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    let (partition, key) = w.place("k");
    let expires = WALL_MS + w.now_ms + 3_600_000;
    let value = Some((b"v".to_vec(), Some(expires)));
    let item = Item { key: key.clone(), value, basis: Precondition::Blind };
    let put = PutRequest { partition, items: vec![item], options: options() };
    let Some(Reply::Put(reply)) = w.ask(a, Request::Put(put)) else { panic!("no reply") };
    assert!(is_done(&reply));
    assert!(w.settle());
    w.hosts[c].skew_ms = 86_400_000;
    let fast = WALL_MS + w.now_ms + 86_400_000;
    let seen = w.get(c, "k", strict()).stored.expect("a context is still given");
    assert!(seen.record(&key).unwrap().visible(fast).is_empty(), "hidden from the fast clock");
    assert_eq!(seen.record(&key).unwrap().visible(fast - 86_400_000).len(), 1);
    // The fast node coordinates a delete of what it believes to be gone: nothing to delete.
    lie(&mut w);
    doubt(&mut w, c, &[a, b]);
    let reply = w.write(c, "k", None, Precondition::Overwrite { force: false }, quorum(1, 1));
    assert_eq!(reply.items, [ItemReply::Absent]);
    w.run_for(2 * 3_600_000);
    converge(&mut w);
    everywhere(&w, "k", &["v"]);
}

/// a mints, goes back to an older file together with its sidecar, and mints again. Gives the world
/// and the actors before and after.
fn rolled_back_with_sidecar() -> (World, Actor, Actor) {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    let before = acked(&mut w, a, "k", "v1");
    let old = w.snapshot(a);
    acked(&mut w, a, "k", "v2");
    w.restore(a, &old, true);
    w.restart(a);
    converge(&mut w);
    let after = acked(&mut w, a, "k", "v3");
    converge(&mut w);
    (w, before.actor, after.actor)
}

/// C17 (b). A snapshot of the whole directory brings the sidecar back with the file, and nothing
/// beside the file can tell. So: every node remembers the highest counter met of each actor; the one
/// that opens hears its witnesses first, and mints under a new actor.
#[test]
fn c17_a_witness_notices_a_rolled_back_file() {
    let (w, before, after) = rolled_back_with_sidecar();
    assert_ne!(before, after);
    everywhere(&w, "k", &["v1", "v2", "v3"]);
    #[cfg(feature = "planted")]
    assert!(goes_wrong(Bug::ReuseDot, || {
        let (w, ..) = rolled_back_with_sidecar();
        !w.wrong.is_empty() || !lost(&w, "k", &["v1", "v2", "v3"]).is_empty()
    }));
}

/// C17 (b) with C3 (b). The same of a replica that has coordinated nothing since the snapshot: it
/// acknowledged a write, its counter stood still, and no clock that anybody keeps is above it. Its
/// witnesses are up, so its copy may not vote as if it had never heard of the write.
#[test]
fn c17_a_rolled_back_replica_that_minted_nothing() {
    let mut w = ring(3);
    let [n1, n2, n3] = owners(&w, "k");
    let before = w.snapshot(n2);
    w.isolate(n3);
    acked(&mut w, n1, "k", "v");
    w.heal();
    w.restore(n2, &before, true);
    w.restart(n2);
    w.run_for(4_000);
    w.crash(n1, false);
    let got = w.got(n3, "k", strictly(2, 2));
    assert_ne!(got, Ok(vec![]), "n2 had acknowledged it");
}

/// C17. With no witness to hear, a node of a larger ring answers nothing: neither reads nor writes,
/// whatever quorum they ask for.
#[test]
fn c17_no_witness_no_answer() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    for i in [a, b, c] {
        w.crash(i, false);
    }
    w.restart(a);
    w.run_for(60_000);
    assert!(status(&mut w, a).waiting);
    let reply = w.write(a, "k", Some("v2"), Precondition::Blind, quorum(1, 1));
    assert!(!is_done(&reply), "{reply:?}");
    assert!(w.got(a, "k", quorum(1, 1)).is_err());
    assert_eq!(w.values(a, "k"), ["v1"]);
}

/// C17 (c). A kill -9 is no rollback, whether the commit under way reached the disk or not, and
/// though the sidecar is behind: the actor stays, for actors are never pruned.
#[test]
fn c17_a_crash_is_no_rollback() {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    let mut told = vec!["v0"];
    let actor = acked(&mut w, a, "k", "v0").actor;
    for (value, keep) in [("v1", true), ("v2", false)] {
        w.hosts[a].commit_ms = (50, 50);
        let sidecar = w.hosts[a].sidecar;
        start(&mut w, a, "k", value, Precondition::Blind, options());
        w.run_for(20);
        w.crash(a, keep);
        w.hosts[a].sidecar = sidecar;
        w.restart(a);
        w.run_for(4_000);
        assert_eq!(status(&mut w, a).actor, actor.0);
        told.extend(keep.then_some(value));
    }
    acked(&mut w, a, "k", "v3");
    told.push("v3");
    converge(&mut w);
    everywhere(&w, "k", &told);
}

/// C20. A rolled-back node that must write into a document chosen by a majority before it may mint,
/// cannot without one. So: actors are the node's own news: with four of seven members down it takes
/// a new one, fills from the other two owners and coordinates, and the document does not change.
#[test]
fn c20_a_new_actor_needs_no_majority() {
    let mut w = ring(7);
    let [a, b, c] = owners(&w, "k");
    let before = acked(&mut w, a, "k", "v1");
    let old = w.snapshot(a);
    acked(&mut w, a, "k", "v2");
    let document = w.doc();
    others(&w, &[a, b, c]).into_iter().for_each(|o| w.crash(o, false));
    w.restore(a, &old, false);
    w.restart(a);
    w.run_for(4_000);
    let (p, key) = w.place("k");
    let report = w.repair(a, RepairRequest::default()).unwrap();
    assert!(!report.filling.contains(&p), "{report:?}");
    let after = w.blind(a, "k", "v3");
    w.run_for(1_000);
    assert_ne!(dot(&after).actor, before.actor);
    let seen = w.got(b, "k", strict());
    assert_eq!(seen, Ok(vec!["v1".into(), "v2".into(), "v3".into()]));
    assert_eq!(w.doc(), document);
    let refused = w.change(b, &[Change::Weight(w.hosts[b].name.clone(), 2)]);
    assert!(refused.is_err(), "there is no majority");
    assert_eq!(Key::new("k").unwrap(), key);
}

/// kv679 "dataloss": a's directory is made anew under the very same actor, born full, its counter at
/// nought; the next write would be (a,1) once more. Its witnesses have seen more of it.
fn restarted_counter(witness: fn(&World) -> usize) -> World {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    w.crash(c, false);
    let dot = acked(&mut w, a, "k", "v1");
    acked(&mut w, a, "k", "v2");
    let only = witness(&w);
    for o in others(&w, &[a, only]).into_iter().filter(|o| *o != c) {
        w.crash(o, false);
    }
    wipe(&mut w, a, dot.actor, true);
    w.restart(a);
    w.run_for(4_000);
    // Alone with its witness it may refuse; it may not mint what was minted.
    w.write(a, "k", Some("v3"), Precondition::Blind, quorum(1, 1));
    w.restart(b);
    w.run_for(4_000);
    converge(&mut w);
    acked(&mut w, a, "k", "v4");
    converge(&mut w);
    w
}

/// kv679 "dataloss" and "dataloss_fb": the clock that a forgot comes back from another owner, or only
/// from a fallback that holds a hint. Either is a witness; no acknowledged write is dropped.
#[test]
fn kv679_a_counter_that_begins_again() {
    let owner: fn(&World) -> usize = |w| w.owners("k")[1];
    let fallback: fn(&World) -> usize = |w| others(w, &w.owners("k"))[0];
    for witness in [owner, fallback] {
        let w = restarted_counter(witness);
        assert_eq!(lost(&w, "k", &["v1", "v2", "v4"]), Vec::<&str>::new());
        assert_eq!(w.wrong, Vec::<String>::new());
    }
    #[cfg(feature = "planted")]
    assert!(goes_wrong(Bug::ReuseDot, || {
        let w = restarted_counter(owner);
        !w.wrong.is_empty() || !lost(&w, "k", &["v1", "v2", "v4"]).is_empty()
    }));
}
