//! The same commands on a ring that runs and on its files.

use crate::support::served::{Served, ring};

/// What a script asks, and must be told the same by running nodes and by files.
const SCRIPT: &[&str] = &[
    "put -q a one",
    "put -q b two",
    "put -q --if-absent a other",
    "get a",
    "get absent",
    "delete -q b",
    "get b",
    "scan",
    "dump -q",
    "repair -q",
    "digest",
    "digest --depth 1",
    "diff r/n1 r/n2",
    "verify -q",
    "hints list",
    "transfers",
    "ring where a",
    "wait --in-sync --hints-drained --settled --timeout 60s",
    "status --check -q --format json",
];

/// The codes and data of the script; what is random or of the moment is left out.
fn answers(place: &crate::support::shell::Place) -> Vec<(String, i32, String)> {
    let answer = |line: &&str| {
        let told = place.kvs(line).sane();
        let data = match *line {
            "digest" | "digest --depth 1" => sums(&told.text()),
            line if line.starts_with("status") => {
                "healthy".repeat(told.text().matches(r#""healthy":true"#).count())
            }
            _ => told.text(),
        };
        ((*line).to_owned(), told.code, data)
    };
    SCRIPT.iter().map(answer).collect()
}

/// How many different sums there are for each partition: one, when the copies are equal.
fn sums(text: &str) -> String {
    let rows = text.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let mut sums: Vec<_> =
        rows.map(|cells| format!("{} {} {}", cells[1], cells[3], cells[4])).collect();
    sums.sort();
    sums.dedup();
    let partitions = sums.iter().map(|s| s.split(' ').next().unwrap_or_default());
    let partitions: std::collections::BTreeSet<_> = partitions.collect();
    assert_eq!(partitions.len(), sums.len(), "copies differ:\n{text}");
    format!("{} partitions", sums.len())
}

#[test]
fn running_nodes_answer_as_files_do() {
    let offline = ring();
    let expected = answers(&offline);
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --node-up n1,n2,n3 --timeout 60s").ends(0);
    let live = answers(&place);
    for (live, offline) in live.iter().zip(&expected) {
        assert_eq!(live, offline, "a running ring, and files");
    }
    let before = place.dump();
    up.stops(0);
    assert_eq!(place.dump(), before);
    place.kvs("get a").ends(0).prints("one");
    place.is_sound_and_equal();
}

#[test]
fn a_node_is_stopped_missed_and_comes_back() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --node-up n1 --node-up n2 --node-up n3 --timeout 60s").ends(0);
    place.kvs("status --check").ends(0);
    let info = place.kvs("node info n2").ends(0).text();
    assert!(info.contains("dir\t") && info.contains("draining\tno"), "{info}");
    place.kvs("node drain n2").ends(0);
    place.kvs("status --check").ends(1).says("kvs node drain --undo n2");
    place.kvs("node drain r/n2 --undo").ends(0);
    place.kvs("status --check").ends(0);

    place.kvs("node stop n2 --timeout 30s").ends(0).says("n2 has stopped");
    up.says("n2 has ended: exit code 0");
    place.kvs("wait --node-down n2 --timeout 60s").ends(0);
    place.kvs("wait --node-up n2 --timeout 1s").ends(1).says("n2 is not up");
    place.kvs("wait --in-sync --timeout 1s").ends(1).says("n2 is down");
    place.kvs("wait --settled --timeout 1s").ends(1).says("n2 is down");
    let status = place.kvs("status --check").ends(1).says("n2 is down").text();
    let n2 = status.lines().find(|row| row.starts_with("n2\t")).expect("a row");
    assert_eq!(n2.split('\t').nth(3), Some("down"));
    place.kvs("put -q k v").ends(0);
    place.kvs("wait --hints-drained --timeout 1s").ends(1);
    place.kvs("node stop n2").ends(0).says("n2 is not running");

    let n2 = Served::node(&place, "n2");
    place.kvs("wait --node-up n2 --hints-drained --in-sync --timeout 60s").ends(0);
    place.kvs("get k").ends(0).prints("v");
    place.kvs("status --check").ends(0);
    n2.stops(0);
    up.stops(0);
    place.is_sound_and_equal();
}

/// From elsewhere: addresses, and a copy of the key.
#[test]
fn addresses_reach_the_ring_with_its_key_and_only_with_it() {
    let place = ring();
    let up = Served::up(&place);
    let address = |name: &str| {
        let out = up.out();
        let line = out.lines().find_map(|l| l.strip_prefix(&format!("ready {name} ")));
        line.expect("a ready line").to_owned()
    };
    let (n1, n2) = (address("n1"), address("n2"));
    place.kvs(&format!("get k --ring {n1}")).ends(2).says("KVS_KEY_FILE");
    place.kvs("config keygen -q other.key").ends(0);
    place.kvs(&format!("get k --ring {n1} --key-file other.key")).ends_in(&[6, 10]);
    place.sh("cp -p r/ring.key copy.key && chmod 644 copy.key").ends(0);
    place.kvs(&format!("get k --ring {n1} --key-file copy.key")).ends(10).says("chmod 600");

    let key = "--key-file r/ring.key";
    place.kvs(&format!("put -q k v --ring {n1},{n2} {key}")).ends(0);
    place.kvs(&format!("get k --ring 127.0.0.1:1,{n2} {key}")).ends(0).prints("v");
    place.kvs(&format!("get k --ring 127.0.0.1:1 {key}")).ends(6);
    place.kvs(&format!("node stop {n1} --ring {n2} {key}")).ends(0);
    up.says("n1 has ended: exit code 0");
    place.kvs(&format!("wait --node-down n1 --ring {n2} {key} --timeout 20s")).ends(0);
    place.kvs(&format!("get k --ring {n1},{n2} {key}")).ends(0).prints("v");
    up.stops(0);
}

/// A new node joins, and a lost one is replaced, while everything runs.
#[test]
fn members_change_while_the_ring_runs() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.kvs("put -q k v").ends(0);
    place.kvs("join r/n4 --yes --timeout 30s").ends(0);
    up.prints("ready n4 ");
    place.kvs("wait --settled --node-up n4 --timeout 60s").ends(0);
    place.kvs("node stop n2").ends(0);
    place.kvs("wait --node-down n2 --timeout 20s").ends(0);
    place.kvs("replace n2 --yes --timeout 30s").ends(0);
    up.says("starting r/n2, which is new");
    place.kvs("wait --settled --in-sync --hints-drained --timeout 60s").ends(0);
    place.kvs("status --check").ends(0);
    place.kvs("get k").ends(0).prints("v");
    up.stops(0);
    place.is_sound_and_equal();
}

#[test]
fn a_node_counts_what_it_is_asked_for() {
    let place = ring();
    let up = Served::healthy(&place);
    let fact = |name: &str, fact: &str| {
        let told = place.kvs(&format!("node info {name}")).ends(0).text();
        let row = told.lines().find_map(|row| row.strip_prefix(&format!("{fact}\t")));
        row.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("{fact}: {told}"))
    };
    let asked = || ["n1", "n2", "n3"].map(|name| fact(name, "requests_total")).iter().sum::<u64>();
    assert_eq!(asked(), 0, "what nodes say to each other is no request");
    // What a node refuses, and a read that was not answered within half of its time, is asked of another
    // node too: all have met, and the time limit is one that no machine needs.
    place.kvs("put -q k v --timeout 120s").ends(0);
    place.kvs("get k --timeout 120s").ends(0);
    place.kvs("get nothing --timeout 120s").ends(1);
    place.kvs("status").ends(0);
    assert_eq!(asked(), 3);
    let (free, total) = (fact("n1", "disk_free"), fact("n1", "disk_total"));
    assert!(0 < free && free <= total, "{free} of {total}");
    up.stops(0);
    let again = Served::healthy(&place);
    assert_eq!(asked(), 0);
    again.stops(0);
}
