//! Cases of reads, writes and hints: who counts, and what an answer promises.

use kvs::key::Key;
use kvs::node::{Reply, Request};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::quorum::{ItemReply, Options, Precondition, Verdict};
use kvs::ring::{Change, MemberState};
use kvs::store::{Hint, Store};

use crate::help::*;
use crate::support::world::*;

/// What a read of `r` owners through `via` gives while only `up` of the owners run.
fn read_among(
    w: &mut World,
    owners: &[usize],
    up: &[usize],
    via: usize,
    r: u8,
) -> Result<Vec<String>, Verdict> {
    for o in owners.iter().filter(|o| !up.contains(o)) {
        if w.is_up(*o) {
            w.crash(*o, false);
        }
    }
    up.iter().for_each(|o| w.restart(*o));
    w.run_for(4_000);
    let got = w.got(via, "k", strictly(1, r));
    w.settle();
    got
}

/// v1 is everywhere; v2, which replaces it, reached `min(R, W-1)` owners (one at least). Gives what
/// read A says with R owners up, with all up, and what read B of the last R owners says after each.
fn back_and_forth(n: u8, w: u8, r: u8) -> [Result<Vec<String>, Verdict>; 4] {
    let mut world = ring_of(usize::from(n), n);
    let o = world.owners("k");
    let first = world.write(o[0], "k", Some("v1"), Precondition::Blind, strictly(n, 1));
    assert!(is_done(&first));
    let seen = world.record(o[0], "k").unwrap().clock;
    lie(&mut world);
    let reached = usize::from(r.min(w - 1).max(1));
    o[reached..].iter().for_each(|x| world.cut(o[0], *x));
    let second = world.write(o[0], "k", Some("v2"), Precondition::Context(seen), strictly(w, 1));
    assert_eq!(is_done(&second), w == 1, "{second:?}");
    world.settle();
    world.lying = false;
    world.heal();
    let r_size = usize::from(r);
    let (head, tail) = (o[..r_size].to_vec(), o[o.len() - r_size..].to_vec());
    let last = *o.last().unwrap();
    let a = read_among(&mut world, &o, &head, o[0], r);
    let b = read_among(&mut world, &o, &tail, last, r);
    let again = read_among(&mut world, &o, &o.clone(), o[0], r);
    let after = read_among(&mut world, &o, &tail, last, r);
    [a, b, again, after]
}

/// C6. N=5 W=4 R=2: a put reaches two owners and times out; read A asks those two, equal replies,
/// v2; read B asks two others: v1. Went back. So: a strict read answers only when N-R+1 owners hold
/// the merged record, for every (N,W,R); with R no majority and the others away it is refused.
#[test]
fn c06_strict_reads_never_go_back() {
    for n in 1..=5_u8 {
        for (w, r) in (1..=n).flat_map(|w| (1..=n).map(move |r| (w, r))) {
            let [a, b, again, after] = back_and_forth(n, w, r);
            let at = format!("N={n} W={w} R={r}");
            let (old, new) = (Ok(vec!["v1".to_string()]), Ok(vec!["v2".to_string()]));
            assert!(a != new || b != old, "{at}: went back");
            if r < n - r + 1 {
                assert!(matches!(a, Err(Verdict::Refused(_))), "{at}: {a:?}");
            }
            assert_eq!(again, new, "{at}: with all owners up a read can make sure");
            assert_ne!(after, old, "{at}: went back");
        }
    }
}

/// C6. Equal replies of the first two owners (`-n 2`) prove nothing about the other three: the N of
/// the guarantee is the ring's, not the narrowed one.
#[test]
fn c06_a_narrowed_read_counts_the_rings_n() {
    let mut w = ring_of(5, 5);
    let o = w.owners("k");
    acked(&mut w, o[0], "k", "v1");
    lie(&mut w);
    o[2..].iter().for_each(|x| w.cut(o[0], *x));
    let seen = w.record(o[0], "k").unwrap().clock;
    let reply = w.write(o[0], "k", Some("v2"), Precondition::Context(seen), strictly(4, 2));
    assert!(matches!(reply.verdict, Verdict::Unknown(_)));
    let narrow = Options { n: Some(2), ..strictly(4, 2) };
    let got = w.got(o[0], "k", narrow);
    assert!(matches!(got, Err(Verdict::Refused(_))), "{got:?}");
}

/// A put while two owners are down, kept by one owner and one fallback; then the owner's disk dies,
/// and a missed owner is away for a long time. Whether it was acknowledged, and the world.
fn hint_is_the_only_copy() -> World {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    let f = others(&w, &[a, b, c])[0];
    w.crash(b, false);
    w.crash(c, false);
    let reply = w.blind(a, "k", "v");
    assert!(is_done(&reply), "{reply:?}");
    assert_eq!((reply.acks, reply.hinted), (1, 1), "one owner and one fallback, told apart");
    assert!(w.settle());
    w.crash(a, false);
    w.hosts[a].gone = true;
    w.hosts[f].skew_ms = 400 * 86_400_000;
    w.run_for(600_000);
    // It believes for a while that the target is back, and sends in vain.
    lie(&mut w);
    w.say_alive(f, &[b, c]);
    w.ask(f, Request::Deliver);
    w.lying = false;
    w.restart(b);
    w.restart(c);
    w.run_for(4_000);
    w.deliver_all();
    w.settle();
    w
}

/// C9. N=3 W=2, two owners down; acked by n1 and fallback f: "1/3, 1 hinted". n1's disk dies; n2 stays
/// away past any age. Dropping the hint by age drops the only copy. So: an acknowledged hint is
/// data, forgotten only when its target holds the record.
#[test]
fn c09_acknowledged_hint_is_data() {
    let mut w = hint_is_the_only_copy();
    let [_, b, c] = owners(&w, "k");
    let held = [b, c].iter().filter(|o| w.values(**o, "k") == ["v"]).count();
    assert_eq!(held, 1, "the one owner whose hint was acknowledged has it");
    assert_eq!(w.got(b, "k", strict()), Ok(vec!["v".into()]));
    #[cfg(feature = "planted")]
    {
        let mut w = planted(Bug::DropHint, hint_is_the_only_copy);
        assert_eq!(w.got(b, "k", strict()), Ok(vec![]));
    }
}

/// C9. The hint's target is lost and replaced: it is an owner no more. The hint goes to the owners
/// there are, and is forgotten only when W full ones hold it; one is too few.
#[test]
fn c09_hinted_target_replaced() {
    let mut w = ring(5);
    let [a, b, c] = owners(&w, "k");
    w.crash(b, false);
    w.crash(c, false);
    acked(&mut w, a, "k", "v");
    let (p, key) = w.place("k");
    let target = w.hosts[b].id;
    let kept = |w: &World| {
        let of = |h: &Host| h.store.hints_of(p, &key).expect("memory can be read");
        let data = |h: &Hint| h.target == target && h.stored.is_some();
        w.hosts.iter().flat_map(of).filter(data).count()
    };
    assert_eq!(kept(&w), 1);
    w.restart(c);
    w.run_for(4_000);
    let n = w.replace(a, b).expect("the others agree");
    w.advance(a).expect("all can be reached");
    assert!(w.settle());
    w.crash(c, false);
    w.crash(n, false);
    w.deliver_all();
    assert_eq!(kept(&w), 1, "forgotten with one copy that can be reached");
    converge(&mut w);
    everywhere(&w, "k", &["v"]);
    assert_eq!((w.deliver_all(), kept(&w)), (0, 0));
}

/// C9. A hint's target stays away and the only other copy is lost: when the hint is old the owners
/// there are get it too, and it is kept for its target all the same.
#[test]
fn c09_an_old_hint_reaches_the_other_owners() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    w.crash(b, false);
    w.crash(c, false);
    acked(&mut w, a, "k", "v");
    let f = others(&w, &[a, b, c])[0];
    assert_eq!(hints(&w, f).acknowledged, 1);
    let (p, key) = w.place("k");
    let kept = w.hosts[f].store.hints_of(p, &key).expect("memory can be read");
    let other = if kept[0].target == w.hosts[b].id { c } else { b };
    w.restart(other);
    part(&mut w, f, other);
    part(&mut w, a, other);
    w.run_for(4_000);
    assert!(w.values(other, "k").is_empty());
    w.heal();
    w.crash(a, false);
    w.run_for(4_000);
    w.ask(f, Request::Spread).expect("an answer");
    assert_eq!(w.values(other, "k"), ["v"]);
    assert_eq!(hints(&w, f).acknowledged, 1, "it is kept for its target");
}

/// C9. A hint holder leaves while its hint's target is out of its reach, and the only other copy is
/// gone. So: a node leaves only when its hints are delivered or handed on to a member that stays.
#[test]
fn c09_leaving_holder_hands_on() {
    let mut w = ring(6);
    let [a, b, c] = owners(&w, "k");
    w.crash(b, false);
    w.crash(c, false);
    acked(&mut w, a, "k", "v");
    let holds = |w: &World, o: &usize| hints(w, *o).acknowledged > 0;
    let f = others(&w, &[a, b, c]).into_iter().find(|o| holds(&w, o)).expect("a fallback");
    w.restart(b);
    w.restart(c);
    w.run_for(4_000);
    part(&mut w, f, b);
    part(&mut w, f, c);
    assert!(w.lose(a, "k"));
    let via = others(&w, &[a, b, c, f])[0];
    let leave = Change::Leave(w.hosts[f].name.clone());
    w.change(via, &[leave]).expect("a majority agrees");
    w.advance(via).expect("all can be reached");
    assert_eq!(w.doc().member(w.hosts[f].id).map(|m| m.state), Some(MemberState::Removed));
    assert_eq!(hints(&w, f).acknowledged, 0, "it left with hints");
    w.crash(f, false);
    w.hosts[f].gone = true;
    converge(&mut w);
    // The hole at a is behind its digest's back; a read of all three shows it.
    assert_eq!(w.got(b, "k", quorum(2, 3)), Ok(vec!["v".into()]));
    converge(&mut w);
    everywhere(&w, "k", &["v"]);
}

fn read_number(w: &mut World, via: usize) -> (String, kvs::clock::VersionVector) {
    let stored = w.get(via, "n", strict()).stored.unwrap();
    let record = stored.record(&Key::new("n").unwrap()).unwrap();
    (String::from_utf8(record.siblings[0].1.bytes.clone()).unwrap(), record.clock)
}

/// C10 (a). Two scripts do x=$(get n); put n x+1. Without a context the later one replaces the
/// earlier: that is what an overwrite says. With contexts neither is lost: both stand side by side.
#[test]
fn c10a_read_modify_write_needs_a_context() {
    let mut w = ring(3);
    acked(&mut w, 0, "n", "5");
    let (one, two) = (read_number(&mut w, 0), read_number(&mut w, 1));
    assert_eq!((&one.0[..], &two.0[..]), ("5", "5"));
    assert!(is_done(&w.put(0, "n", "6 by X")));
    assert!(is_done(&w.put(1, "n", "6 by Y")));
    assert!(w.settle());
    everywhere(&w, "n", &["6 by Y"]);
    let (one, two) = (read_number(&mut w, 0).1, read_number(&mut w, 1).1);
    assert!(is_done(&w.write(0, "n", Some("7 by X"), Precondition::Context(one), options())));
    assert!(is_done(&w.write(1, "n", Some("7 by Y"), Precondition::Context(two), options())));
    assert!(w.settle());
    everywhere(&w, "n", &["7 by X", "7 by Y"]);
}

/// C10 (b). "Sequential writers never make siblings" holds only for strict quorums with R + W > N:
/// then it does, whoever coordinates and whichever owner is away.
#[test]
fn c10b_strict_sequential_writers_make_no_siblings() {
    let mut w = ring(3);
    for round in 0..4 {
        for away in 0..3 {
            w.crash(away, false);
            let value = format!("{round}.{away}");
            let basis = Precondition::Overwrite { force: false };
            let reply = w.write((away + 1) % 3, "k", Some(&value), basis, strict());
            assert!(is_done(&reply), "{reply:?}");
            w.restart(away);
            w.run_for(3_000);
            assert_eq!(w.got(away, "k", strict()), Ok(vec![value]));
        }
    }
    converge(&mut w);
    everywhere(&w, "k", &["3.2"]);
}

/// C10 (c). left|right are in conflict; a cron job puts without a context and destroys two
/// acknowledged values unseen. So: it is refused (exit 3), nothing is written; force does it.
#[test]
fn c10c_overwrite_of_a_conflict_is_refused() {
    let mut w = ring(3);
    acked(&mut w, 0, "k", "left");
    acked(&mut w, 0, "k", "right");
    let reply = w.put(1, "k", "cron");
    assert_eq!(reply.items, [ItemReply::Conflict { values: 2 }]);
    let reply = w.delete(1, "k");
    assert_eq!(reply.items, [ItemReply::Conflict { values: 2 }]);
    assert!(w.settle());
    everywhere(&w, "k", &["left", "right"]);
    let force = Precondition::Overwrite { force: true };
    assert!(is_done(&w.write(1, "k", Some("cron"), force, options())));
    assert!(w.settle());
    everywhere(&w, "k", &["cron"]);
}

/// C10 (d). How many owners must tell what they hold before an overwrite: N-W+1 by the ring's own W,
/// whatever `-w` says. With one owner up, strict refuses and writes nothing; sloppy goes on and says
/// that it guessed.
#[test]
fn c10d_an_overwrite_asks_enough_owners() {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v1");
    w.crash(b, false);
    w.crash(c, false);
    let basis = Precondition::Overwrite { force: false };
    let reply = w.write(a, "k", Some("v2"), basis.clone(), strictly(1, 1));
    assert!(matches!(reply.verdict, Verdict::Refused(_)), "{reply:?}");
    assert_eq!(w.values(a, "k"), ["v1"]);
    let reply = w.write(a, "k", Some("v3"), basis, quorum(1, 1));
    assert!(is_done(&reply) && reply.guessed, "{reply:?}");
}

/// All owners of a key are away; reads and a conditional put go through the fallbacks.
fn only_fallbacks(written: bool) -> (Result<Vec<String>, Verdict>, Verdict) {
    let mut w = ring(5);
    let [a, b, c] = owners(&w, "k");
    let fallbacks = others(&w, &[a, b, c]);
    w.crash(b, false);
    w.crash(c, false);
    if written {
        acked(&mut w, a, "k", "v");
    }
    w.crash(a, false);
    let got = w.got(fallbacks[0], "k", quorum(2, 2));
    let reply = w.write(fallbacks[1], "k", Some("mine"), Precondition::Absent, quorum(2, 2));
    (got, reply.verdict)
}

/// C11. All three owners are away, a put was hinted; get asks two fallbacks: "nothing", "nothing",
/// R=2, exit 1 from nodes that never held the key, and create-if-missing runs twice. So: only owners
/// vote; exit 1 needs R of them; a put needs a live full owner.
#[test]
fn c11_fallbacks_do_not_vote() {
    for written in [true, false] {
        let (got, created) = only_fallbacks(written);
        assert!(matches!(got, Err(Verdict::Refused(_) | Verdict::Unreachable(_))), "{got:?}");
        assert!(matches!(created, Verdict::Refused(_) | Verdict::Unreachable(_)), "{created:?}");
    }
    #[cfg(feature = "planted")]
    {
        let (got, _) = planted(Bug::CountFallback, || only_fallbacks(false));
        assert_eq!(got, Ok(vec![]), "a no that nobody has earned");
    }
}

/// C11. One owner is up: its vote is one of R=2, and a fallback's hint shows the value and adds no
/// vote: exit 4. With two owners up the hint is merged into what they say.
#[test]
fn c11_a_hint_adds_its_record_and_no_vote() {
    let mut w = ring(5);
    let [a, b, c] = owners(&w, "k");
    let f = others(&w, &[a, b, c]);
    w.crash(b, false);
    w.crash(c, false);
    acked(&mut w, a, "k", "v");
    w.crash(a, false);
    w.restart(b);
    w.run_for(4_000);
    let got = w.got(f[0], "k", quorum(2, 2));
    assert!(matches!(got, Err(Verdict::Refused(_))), "{got:?}");
    w.restart(c);
    w.run_for(4_000);
    assert_eq!(w.got(f[0], "k", quorum(2, 2)), Ok(vec!["v".into()]));
}

/// Two callers of `--if-absent`, each with a coordinator of its own, so many ms apart: how many of
/// them were told that they had won.
fn race(values: [&str; 2], apart_ms: u64) -> usize {
    let mut w = ring(3);
    let [a, b, _] = owners(&w, "k");
    lie(&mut w);
    doubt(&mut w, b, &[a]);
    let first = start(&mut w, a, "k", values[0], Precondition::Absent, options());
    w.run_for(apart_ms);
    let second = start(&mut w, b, "k", values[1], Precondition::Absent, options());
    w.run_for(20_000);
    let replies = [first, second].map(|t| taken(&mut w, t).expect("an answer"));
    let won = replies.iter().filter(|r| is_done(r)).count();
    converge(&mut w);
    assert!(w.values(a, "k").len() >= won);
    won
}

/// C22. Two clients read "absent", both write, both exit 0. So: --if-absent is strict, reads again
/// after its W acks, and exits 3 unless its value is the only one: at most one caller gets 0.
#[test]
fn c22_if_absent_has_at_most_one_winner() {
    for apart in 0..40 {
        assert!(race(["one", "two"], apart) <= 1, "{apart} ms apart");
    }
    assert_eq!(race(["one", "two"], 5_000), 1, "one after the other: the first has won");
}

/// C22 with C21: the callers race with equal bytes (`put lock 1 --if-absent`). Equal values count as
/// one in every output; two winners they are not.
#[test]
fn c22_if_absent_with_equal_values() {
    for apart in 0..40 {
        assert!(race(["1", "1"], apart) <= 1, "{apart} ms apart");
    }
}

/// C25. One direction between two owners is cut and the failure detectors do not see it. A strict
/// put is acknowledged or unknown, and an acknowledged one is read by everybody who can read.
#[test]
fn c25_one_way_cuts() {
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
        let mut w = ring(3);
        let o = owners(&w, "k");
        acked(&mut w, o[0], "k", "v1");
        lie(&mut w);
        w.cut(o[from], o[to]);
        let reply =
            w.write(o[0], "k", Some("v2"), Precondition::Overwrite { force: false }, strict());
        let done = is_done(&reply);
        assert!(done || matches!(reply.verdict, Verdict::Unknown(_)), "{reply:?}");
        for via in o {
            let got = w.got(via, "k", strict());
            assert!(!done || got != Ok(vec!["v1".into()]), "{from}->{to} via {via}: went back");
        }
        converge(&mut w);
        everywhere(&w, "k", &["v2"]);
    }
}

/// Delivering hints is a request of its own; a reading command writes nothing anywhere.
#[test]
fn small_reading_delivers_no_hints() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    w.crash(c, false);
    acked(&mut w, a, "k", "v");
    w.restart(c);
    w.run_for(4_000);
    assert!(w.settle());
    let before: Vec<u64> = w.hosts.iter().map(|h| h.identity().commit).collect();
    let quiet = Options { write_back: false, ..strictly(2, 3) };
    for via in [a, b, c] {
        let got = w.got(via, "k", quiet.clone());
        assert!(matches!(got, Ok(_) | Err(Verdict::Refused(_))), "{got:?}");
    }
    assert!(matches!(w.ask(a, Request::Status), Some(Reply::Status(_))));
    w.run_for(2_000);
    let after: Vec<u64> = w.hosts.iter().map(|h| h.identity().commit).collect();
    assert_eq!(before, after, "a read wrote");
    assert_eq!(w.values(c, "k"), Vec::<String>::new());
    assert_eq!(w.deliver_all(), 0);
    assert_eq!(w.values(c, "k"), ["v"]);
}
