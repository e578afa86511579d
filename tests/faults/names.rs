//! Names that a new member cannot have, weights it cannot have, and old names that stay.

use kvs::ring::RingDoc;
use kvs::store::lmdb::{Access, Lmdb, Map};
use kvs::store::{Batch, Op, Store, Table};

use crate::support::shell::Place;

/// What would be another thing in an argument, a list, a hint, a line or a directory.
const ODD: [&str; 11] =
    ["", ".", "..", "../x", "-x", "a,b", "a b", "a\nb", "a:b", "ring.key", "peers.yaml"];

#[test]
fn an_odd_name_is_refused_before_anything_is_done() {
    let place = Place::ring("--partitions 8");
    for name in ODD {
        for more in ["--yes", "--dry-run", "--plan=plan"] {
            let told = place.args(&["join", "r/x", &format!("--name={name}"), more]).ends(2);
            let told =
                told.says("is not a valid name for a new member").says("nothing was changed");
            assert!(!told.err.contains("recover") && !told.err.contains("a\nb"), "{}", told.err);
            assert!(!place.path("r/x").exists() && !place.path("plan").exists(), "{name:?} {more}");
        }
    }
    for name in ODD.iter().filter(|name| !name.is_empty() && !name.contains(':')) {
        place
            .args(&["ring", "plan", &format!("--join={name}")])
            .ends(2)
            .says("is not a valid name for a new member")
            .says("nothing was changed");
    }
    for dir in ["r/-x", "r/a,b", "r/.x", "r/a\nb", "r/n9.key"] {
        place.args(&["join", dir, "--yes"]).ends(2).says("--name NAME");
        assert!(!place.path(dir).exists(), "{dir:?}");
    }
    place.args(&["join", "r/-x", "--name", "n4", "--yes", "-q"]).ends(0);
    place.kvs("get k --down n4").ends(1);
    for zone in ["", "a\nb", "a,b"] {
        place
            .args(&["join", "r/x", "--yes", &format!("--zone={zone}")])
            .ends(2)
            .says("is not a valid zone name");
        assert!(!place.path("r/x").exists(), "{zone:?}");
    }
    place.args(&["init", "other", "--zones", "a\nb"]).ends(2).says("is not a valid zone name");
    assert!(!place.path("other").exists());
}

#[test]
fn a_plan_cannot_bring_in_an_odd_name() {
    let place = Place::ring("--partitions 8");
    place.kvs("join r/n4 --plan plan").ends(0);
    let plan = place.read("plan");
    let without: String = plan
        .lines()
        .filter(|line| !line.starts_with("checksum"))
        .map(|line| format!("{}\n", line.replace("name: n4", "name: -x")))
        .collect();
    assert_ne!(without, plan);
    place.write("plan", without);
    place.kvs("ring apply plan --dry-run").ends(2).says("is not a valid name for a new member");
    place.kvs("ring apply plan --yes").ends(2).says("is not a valid name for a new member");
}

#[test]
fn a_weight_out_of_bounds_is_told_the_bounds() {
    let place = Place::ring("--partitions 8");
    for weight in ["99999999999", "1001", "0", "-1", "x"] {
        for line in
            [format!("ring plan --weight=n1={weight}"), format!("ring plan --join=n4:a:{weight}")]
        {
            place.kvs(&line).ends(2).says("a whole number from 1 to 1000");
        }
    }
    place.kvs("join r/n4 --dry-run --weight 1001").ends(2).says("1..=1000");
    place.kvs("ring plan --weight n1=1000 --join n4:a:1000").ends(1);
}

/// A ring of before names were checked: what is advised about its members can be pasted.
#[test]
fn advice_about_an_old_odd_name_can_be_pasted() {
    let place = Place::ring("--partitions 8");
    for dir in ["n1", "n2", "n3"] {
        let opened = Lmdb::open(&place.path("r").join(dir), Access::Write, Map::default());
        let mut store = opened.expect("a file").store;
        let doc = store.row(Table::Ring, "doc").expect("a row").expect("a document");
        let mut doc = RingDoc::decode(&doc).expect("a document");
        doc.members[0].name = "-n1".into();
        doc.members[1].name = "-q".into();
        let ops = vec![Op::Ring("doc".into(), Some(doc.encode()))];
        store.apply(&Batch { ops }).expect("a write");
    }
    place.sh("mv r/n1 r/-n1 && mv r/n2 r/-q").ends(0);
    place.sh("sed -i 's/n1/-n1/' r/-n1/node.yaml && sed -i 's/n2/-q/' r/-q/node.yaml").ends(0);
    place.kvs("put -q k v").ends(0);
    place.sh("mv r/-q aside").ends(0);
    place.kvs("put -q k w").ends(0);
    let told = place.kvs("repair").ends(7);
    let (_, told) = told.err.split_once("holds: ").expect("a command");
    place.sh(told).ends(7).never_says("usage");
    let told = place.kvs("status --check").ends(1);
    let (_, told) = told.err.split_once("bring it back, or ").expect("a command");
    place.sh(&format!("yes | {}", told.replacen("replace", "replace --yes", 1))).ends(0);
    place.kvs("repair").ends(0);
    place.kvs("status --check").ends(0);
    place.sh("rm r/-q/node.key").ends(0);
    let told = place.kvs("status --check").ends(1);
    let (_, told) = told.err.split_once("rebuild the node: ").expect("a command");
    place.sh(&told.replacen("replace", "replace --yes", 1)).ends(0);
    place.sh(": > r/-n1/data.mdb").ends(0);
    let told = place.kvs("explain k").ends(8).text();
    let (_, told) = told.rsplit_once("next\t").expect("a command");
    place.sh(&told.replacen("replace", "replace --yes", 1)).ends(0);
    for name in ["n4", "n5"] {
        place.kvs(&format!("join r/{name} --yes -q")).ends(0);
    }
    place.sh("mv r/-q lost && mv r/-n1 gone").ends(0);
    let told = place.kvs("join r/n6 --dry-run").ends(1);
    let (_, told) = told.err.split_once("first: ").expect("a command");
    place
        .sh(&told.lines().next().expect("a line").replacen("apply", "apply --yes --accept-loss", 1))
        .ends(0);
    place.kvs("status --check").ends(0);
    place.kvs("get -q k").ends(0).prints("w");
}
