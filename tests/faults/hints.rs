//! Hints that rot in a ring that runs: who looks at hints is told, and the way out that is named is one.

use std::fs;

use crate::support::served::{Served, ports};
use crate::support::shell::Place;
use crate::support::wait::wait_for;

/// Changes a bit of the text wherever it stands in a file.
fn flip(place: &Place, file: &str, text: &str) {
    let path = place.path(file);
    let mut bytes = fs::read(&path).expect("a file to damage");
    let is_there = |at: &usize| bytes[*at..].starts_with(text.as_bytes());
    let found: Vec<_> = (0..=bytes.len() - text.len()).filter(is_there).collect();
    assert!(!found.is_empty(), "{file}: the text is not in it");
    found.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&path, bytes).expect("a file to damage");
}

/// The holder keeps running with its hint damaged: every command says so, until everything is read.
#[test]
fn damaged_hints_of_a_running_node_are_named() {
    let place = Place::ring(&format!("--nodes 4 --partitions 8 --listen 127.0.0.1:{}", ports()));
    place.kvs("put -q c a-value-that-rots --down n2,n3").ends(0);
    let listed = place.kvs("hints list").ends(0).text();
    assert!(listed.contains("n4\tn2\tc\t7\tdata"), "{listed}");
    flip(&place, "r/n4/data.mdb", "a-value-that-rots");
    let up = Served::start(&place, "up", "up r");
    up.says("4 nodes up");
    let damaged = "n4: a hint for c is damaged";
    let counted = "n4: 1 hint damaged or gone: kvs repair --verify";
    wait_for("the good hints to be delivered", || place.kvs("hints list").text().is_empty());
    for line in ["status", "status --check"] {
        let told = place.kvs(line).ends(i32::from(line != "status")).says(counted);
        told.never_says("do not accept them");
    }
    place.kvs("hints list").ends(8).says(damaged).says("kvs repair --verify");
    place.kvs("hints deliver").ends(8).prints("0\t0\n").says(damaged);
    let told = place.kvs("repair").ends(8).says("kvs repair --verify");
    told.never_says("--accept-losses");
    let told = place.kvs("leave n4 --yes --timeout 3s").ends(7);
    told.says("n4 keeps damaged hints (1)").says("kvs repair --verify, then kvs ring apply");
    place.kvs("repair --verify").ends(7).says("kvs ring apply").never_says("damaged or gone");
    place.kvs("ring apply --timeout 60s").ends(0);
    place.kvs("get -q c").ends(0).prints("a-value-that-rots");
    place.kvs("wait --settled --timeout 60s").ends(0);
    place.kvs("status --check").ends(0);
    drop(up);
}

/// The only copy of a write rots, and the others were still owed it: what they have instead is no healing.
#[test]
fn a_write_that_only_its_holder_had_is_not_healed_by_what_was_before() {
    for before in [None, Some("what-was-before")] {
        let place = Place::ring("--nodes 3 --partitions 8");
        if let Some(value) = before {
            place.kvs(&format!("put -q k {value}")).ends(0);
        }
        place.kvs("put -q k a-value-that-rots -w 1 --down n2,n3").ends(0);
        flip(&place, "r/n1/data.mdb", "a-value-that-rots");
        if before.is_none() {
            place.kvs("get k -r 2").ends(8).says("k is absent in the copies that could be read");
        }
        for line in ["repair", "repair --verify", "repair"] {
            place.kvs(line).ends_in(&[7, 8]).says("n1: ").says("damaged or gone");
        }
        place.kvs("status --check").ends(1).says("damaged or gone");
        place.kvs("verify").ends(8).says("acknowledged hint");
        place.kvs("repair --accept-losses").ends(0);
        place.kvs("status --check").ends(0);
        place.kvs("get -q k").ends(i32::from(before.is_none())).prints(before.unwrap_or_default());
    }
}

/// And where another owner has it too, that is one.
#[test]
fn a_write_that_two_had_is_healed_though_the_third_is_owed_it() {
    let place = Place::ring("--nodes 3 --partitions 8");
    place.kvs("put -q k a-value-that-rots --down n3").ends(0);
    for node in ["n1", "n2"] {
        flip(&place, &format!("r/{node}/data.mdb"), "a-value-that-rots");
        place.kvs("repair --verify").ends(0);
        place.kvs("status --check").ends(0);
        place.kvs("get -q k -r 3").ends(0).prints("a-value-that-rots");
    }
}
