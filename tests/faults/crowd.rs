//! Many commands at once on one ring, and a directory that somebody else holds.

use std::collections::BTreeSet;
use std::time::Duration;

use kvs::store::lock::{Holder, Lock, Want};

use crate::support::shell::{Place, lines};

fn codes(text: &str) -> BTreeSet<i32> {
    text.lines().map(|l| l.parse().expect("a code")).collect()
}

#[test]
fn fifty_puts_at_once_on_distinct_keys_all_hold() {
    let place = Place::ring("--partitions 64");
    let puts = "seq 50 | xargs -P 50 -I@ sh -c 'kvs put -q --timeout 90s k@ v@; echo $?'";
    let told = place.sh(puts).ends(0);
    assert_eq!((codes(&told.text()), told.text().lines().count()), (BTreeSet::from([0]), 50));
    for i in 1..=50 {
        place.kvs(&format!("get k{i}")).ends(0).prints(&format!("v{i}"));
    }
    place.is_sound_and_equal();
}

/// One after the other: an overwrite is never a conflict, and one of the values is left.
#[test]
fn fifty_puts_at_once_on_one_key_leave_one_value() {
    let place = Place::ring("--partitions 64");
    let puts = "seq 50 | xargs -P 50 -I@ sh -c 'kvs put -q --timeout 90s k v@; echo $?'";
    let told = place.sh(puts).ends(0);
    assert_eq!((codes(&told.text()), told.text().lines().count()), (BTreeSet::from([0]), 50));
    let value = place.kvs("get k").ends(0).text();
    let number = value.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
    assert!(number.is_some_and(|n| (1..=50).contains(&n)), "{value}");
    place.is_sound_and_equal();
}

/// Of many that want to be first exactly one is; the others are told so.
#[test]
fn one_of_twenty_puts_if_absent_wins() {
    let place = Place::ring("--partitions 64");
    let puts = "seq 20 | xargs -P 20 -I@ sh -c \
                'kvs put -q --if-absent --timeout 90s k v@ 2>/dev/null && echo v@ || echo $?'";
    let text = place.sh(puts).ends(0).text();
    let (won, lost): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| l.starts_with('v'));
    assert_eq!((won.len(), lost), (1, vec!["3"; 19]), "{text}");
    place.kvs("get k").ends(0).prints(won[0]);
}

#[test]
fn two_loads_at_once_both_hold() {
    let place = Place::ring("--partitions 64");
    let (a, b) = (lines(2_000, "a", 50), lines(2_000, "b", 50));
    let b = b.join("\n").replace(":\"k", ":\"other");
    place.write("a", a.join("\n"));
    place.write("b", &b);
    let both = "kvs load -q --timeout 90s a & first=$!; kvs load -q --timeout 90s b; echo $?; \
                wait $first; echo $?";
    assert_eq!(codes(&place.sh(both).ends(0).text()), BTreeSet::from([0]));
    let expected: BTreeSet<String> = a.into_iter().chain(b.lines().map(str::to_owned)).collect();
    assert_eq!(place.dump().into_iter().collect::<BTreeSet<_>>(), expected);
    place.is_sound_and_equal();
}

/// Whoever meets a lock waits, says who holds it, and ends with 9 when the wait runs out.
#[test]
fn a_held_directory_is_busy_until_it_is_let_go() {
    let place = Place::ring("--partitions 8");
    place.kvs("put k v -q").ends(0);
    let holder = Holder { kind: "kvs-test".into(), pid: std::process::id(), address: None };
    let dir = place.path("r/n2");
    let lock = Lock::wait(&dir, &Want::Exclusive(holder), Duration::ZERO).expect("the lock");
    for line in ["get k", "put k w", "repair", "digest", "status", "verify", "diff n1 n2"] {
        place.kvs(&format!("{line} --timeout 50ms")).ends(9).says("kvs-test").says("r/n2");
    }
    place.kvs("get k --down n2 --timeout 50ms").ends(0).prints("v");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| place.kvs("put k w --timeout 90s"));
        crate::support::wait::wait_for("the waiting put has locked n1", || {
            std::fs::read_to_string(place.path("r/n1/kvs.lock")).is_ok_and(|t| !t.is_empty())
        });
        drop(lock);
        waiting.join().expect("an end").ends(0);
    });
    place.kvs("get k").ends(0).prints("w");
}
