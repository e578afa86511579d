//! Whole pushes, to hosts that have nothing but an sshd.

use crate::fleet_fixture::Fleet;
use crate::shell::{Told, send, wait_while_at_work};

/// Each host, and what became of it: `n1 changed`.
pub(crate) fn results(told: &Told) -> Vec<String> {
    let text = told.text();
    let rows = text.lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" "));
    rows.collect()
}

/// Another build that does the same.
pub(crate) fn second(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(b"the second build");
    bytes
}

/// A build that says its version and cannot find any node's directory.
pub(crate) fn broken(mut bytes: Vec<u8>) -> Vec<u8> {
    let (from, to) = (b"node.yaml", b"nope.yaml");
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        if bytes[at] == b'n' && bytes[at..at + from.len()] == *from {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        at += 1;
    }
    bytes
}

#[test]
fn hosts_with_nothing_become_a_ring_and_then_there_is_nothing_to_do() {
    let Some(fleet) = Fleet::new(5, 0, "") else { return };
    assert_eq!(fleet.push("plan").ends(1).text().matches("found the ring").count(), 5);
    let told = fleet.push("apply").ends(0);
    assert_eq!(
        results(&told),
        ["n1 changed", "n2 changed", "n3 changed", "n4 changed", "n5 changed"]
    );
    fleet.kvs("put colour blue").ends(0);
    assert_eq!(fleet.kvs("get colour").ends(0).text(), "blue");
    fleet.kvs("status --check").ends(0);
    let told = fleet.push("apply").ends(0).says("nothing to do: 5 hosts are as they should be");
    assert_eq!(results(&told), ["n1 ok", "n2 ok", "n3 ok", "n4 ok", "n5 ok"]);
    assert_eq!(fleet.push("plan").ends(0).text().matches("nothing").count(), 5);
    fleet.push("status --check").ends(0);
}

#[test]
fn a_second_build_comes_in_turns_and_nobody_notices() {
    let Some(mut fleet) = Fleet::new(4, 0, "") else { return };
    fleet.push("apply").ends(0);
    let first = fleet.current(1);
    let load = fleet.load();
    fleet.build("kvs2", second);
    let told = fleet.with("kvs2", "push apply fleet.yaml").ends(0);
    assert_eq!(told.text().matches("in sync, equal").count(), 4, "{}", told.text());
    fleet.push("rollback --only n2").ends(0);
    assert_eq!(fleet.current(2), first);
    assert!(fleet.judge(load) > 0);
    assert_ne!(fleet.current(1), first);
}

/// Killed wherever it is, a push is run again and comes to its end.
#[test]
fn a_push_that_was_killed_is_run_again() {
    let Some(mut fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    let first = fleet.current(1);
    let load = fleet.load();
    fleet.build("kvs2", second);
    // In the turn of the second host: the first has the new build, the third the old one.
    let mut child = fleet.start_with("kvs2", "push apply fleet.yaml");
    wait_while_at_work(&mut child, "the first host's turn is over", || fleet.current(1) != first);
    wait_while_at_work(&mut child, "the second host's turn", || fleet.current(2) != first);
    send("KILL", &child.id().to_string());
    child.wait().expect("its end");
    assert_eq!(fleet.current(3), first, "the third was not reached");
    fleet.with("kvs2", "push apply fleet.yaml").ends(0);
    assert_eq!(fleet.current(3), fleet.current(1));
    assert!(fleet.judge(load) > 0);
}

#[test]
fn a_broken_build_goes_back_on_the_first_host_and_never_reaches_the_second() {
    let Some(mut fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    let first = fleet.current(1);
    let load = fleet.load();
    fleet.build("kvs3", broken);
    fleet.write(&format!("defaults_: {}\n", fleet.desk("kvs3").display()));
    fleet.push("plan").ends(2).says("defaults_");
    fleet.write("");
    let text = std::fs::read_to_string(fleet.desk("fleet.yaml")).expect("an inventory");
    let binary = format!("defaults:\n  binary: {}\n", fleet.desk("kvs3").display());
    std::fs::write(fleet.desk("fleet.yaml"), text.replace("defaults:\n", &binary)).expect("a file");
    let told =
        fleet.push("apply").ends(7).says("not a node directory").says("push apply fleet.yaml");
    assert_eq!(results(&told), ["n1 failed", "n2 ok", "n3 ok"]);
    assert_eq!([1, 2, 3].map(|host| fleet.current(host)), [first.clone(), first.clone(), first]);
    let releases = std::fs::read_dir(fleet.root(2).join("releases")).expect("releases");
    assert_eq!(releases.count(), 1, "it reached the second host");
    fleet.kvs("wait --hints-drained --timeout 60s").ends(0);
    fleet.kvs("status --check").ends(0);
    assert!(fleet.judge(load) > 0);
}

/// One that is down when the ring is founded joins it later; a bad one stops nobody.
#[test]
fn one_host_that_fails_stops_nobody() {
    let Some(fleet) = Fleet::new(4, 0, "") else { return };
    fleet.hosts.host(3).kill();
    let told = fleet.push("apply").ends(7).says("n3");
    assert_eq!(results(&told), ["n1 changed", "n2 changed", "n3 failed", "n4 changed"]);
    fleet.kvs("put a 1").ends(0);
    fleet.hosts.host(3).start();
    fleet.push("apply").ends(0);
    let status = fleet.kvs("status --check --format plain").ends(0);
    assert_eq!(status.text().lines().count(), 4, "{}", status.text());
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
}

#[test]
fn a_fleet_is_stopped_started_and_taken_down() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    fleet.kvs("put a 1").ends(0);
    fleet.push("stop").ends(0);
    fleet.kvs("get a").ends(6);
    fleet.push("start").ends(0);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    fleet.push("restart").ends(0);
    assert!(fleet.kvs("push logs fleet.yaml n1").ends(0).text().contains("INFO"));
    fleet.push("destroy").ends(10).says("--confirm yard");
    fleet.push("destroy --confirm yard").ends(0);
    assert!(fleet.root(1).join("data/node.yaml").exists() && fleet.current(1).is_none());
    // What stayed is enough to bring it back.
    fleet.push("apply").ends(0);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    fleet.push("destroy --data --confirm yard").ends(0);
    assert!(!fleet.root(1).join("data").exists());
}
