//! What a push must never do, whatever came before it.
//!
//! ```text
//! data        nothing that ever held a record is taken for something that was left half made
//! strangers   a spare of ours that is a node of another ring stays one
//! quorums     two pushes never stop a node each; a member that is down comes up before others join
//! proof       a node that nobody has seen well holds the next one up
//! ```

use std::fs;
use std::path::Path;
use std::process::Child;

use crate::faults::{has, row};
use crate::fleet_fixture::{ENDS, Fleet};
use crate::net::sh;
use crate::shell::{ended, send, wait_for};
use crate::whole::{results, second};

/// A push that stands still at a moment of its work; it is told by its file.
fn halted(fleet: &Fleet, build: &str, line: &str, is_time: impl Fn() -> bool) -> Child {
    let child = fleet.start_with(build, line);
    wait_for("a moment of a push", is_time);
    send("STOP", &child.id().to_string());
    child
}

fn killed(mut child: Child) {
    send("KILL", &child.id().to_string());
    child.wait().expect("its end");
}

fn list(dir: &Path) -> String {
    sh(&format!("ls -lR {}", dir.display())).expect("a list")
}

/// Nodes whose services were removed look as if they had never been started.
#[test]
fn what_was_written_is_no_founding_that_was_cut_off() {
    let Some(fleet) = Fleet::new(4, 0, "") else { return };
    fleet.push("apply --only n1,n2,n3").ends(0);
    fleet.kvs("put a 1").ends(0);
    // n4 was to join, and somebody pulled the plug.
    let data = fleet.root(4).join("data");
    fs::create_dir_all(fleet.root(4)).expect("a directory");
    fleet.kvs(&format!("node make {} --identity", data.display())).ends(0);
    fleet.push("destroy --confirm yard").ends(0);
    let told = fleet.push("apply").ends(0);
    assert_eq!(results(&told).len(), 4);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    let rows = fleet.kvs("status --check --format plain").ends(0).text();
    assert_eq!(rows.lines().count(), 4, "{rows}");
}

#[test]
fn a_spare_that_is_a_node_of_another_ring_stays_one() {
    let Some(fleet) = Fleet::new(3, 1, "") else { return };
    fleet.kvs("init other --nodes 4 --partitions 64").ends(0);
    let data = fleet.root(4).join("data");
    fs::create_dir_all(fleet.root(4)).expect("a directory");
    sh(&format!("cp -r {} {}", fleet.desk("other/n4").display(), data.display())).expect("a copy");
    let before = list(&data);
    for confirmed in ["destroy --confirm yard", "destroy --data --confirm yard"] {
        fleet.push("apply").ends(0);
        let told = fleet.push(confirmed).ends(0);
        assert_eq!(results(&told), ["n1 changed", "n2 changed", "n3 changed"]);
        assert_eq!(list(&data), before);
    }
    // One of ours goes with the rest, also when it is no member.
    fs::remove_dir_all(&data).expect("a directory");
    fs::remove_file(fleet.desk("yard.key")).expect("a key");
    fleet.push("apply").ends(0);
    sh(&format!(
        "cp -r {0}/data {1}/data && sed -i s/n1/n4/ {1}/data/node.yaml",
        fleet.root(1).display(),
        fleet.root(4).display()
    ))
    .expect("a copy");
    fleet.push("destroy --data --confirm yard").ends(0);
    assert!(!data.exists());
}

/// Whatever hosts two pushes are for, they never have a node down each.
#[test]
fn two_pushes_for_different_hosts_are_one_after_the_other() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    let (first, pid) = (fleet.current(2), fleet.pid(3));
    fleet.build("kvs2", second);
    let one =
        halted(&fleet, "kvs2", "push apply fleet.yaml --only n2", || fleet.current(2) != first);
    let told = fleet.push("restart --only n3").ends(9);
    has(&told.err, &["is worked on by somebody else", &crate::sshd::me()]);
    // Its own hosts are free but for one, and that is not enough.
    let told = fleet.push("restart").ends_in(&[7, 9]);
    has(&told.err, &["is worked on by somebody else"]);
    assert_eq!(fleet.pid(3), pid, "n3 was restarted meanwhile");
    send("CONT", &one.id().to_string());
    ended("the first".into(), one, ENDS).ends(0);
    fleet.push("restart --only n3").ends(0);
    assert_ne!(fleet.pid(3), pid);
    // The host that is asked first for its lock may be the one that is gone.
    fleet.hosts.host(1).kill();
    let pid = fleet.pid(3);
    fleet.push("restart --only n3").ends(0);
    assert_ne!(fleet.pid(3), pid);
    // With two gone nobody could keep another push out.
    fleet.hosts.host(2).kill();
    let told = fleet.push("restart --only n3").ends_in(&[7, 10]);
    has(&told.err, &["most have to be reached", "no further node was stopped"]);
    fleet.push("restart --only n3 --accept-downtime").ends(0);
}

/// The place of a lost member was to be given away, and somebody pulled the plug.
#[test]
fn a_replacement_that_was_cut_off_goes_on() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    fleet.kvs("put a 1").ends(0);
    // Down and not lost: its directory is its own.
    fleet.crash(3);
    let told = fleet.push("apply --replace n3").ends_in(&[7, 10]);
    has(&told.err, &["n3 is not lost", "is there. Nothing was changed"]);
    let data = fleet.root(3).join("data");
    fs::remove_dir_all(&data).expect("its directory");
    let one = halted(&fleet, "kvs", "push apply fleet.yaml --replace n3", || {
        data.join("node.yaml").exists()
    });
    killed(one);
    let told = fleet.push("apply").ends(7);
    has(&told.err, &["n3 is a member with another key", "--replace n3"]);
    fleet.push("apply --replace n3").ends(0);
    fleet.push("apply").ends(0).says("nothing to do");
    let rows = fleet.kvs("status --check --format plain").ends(0).text();
    assert_eq!(rows.lines().count(), 3, "{rows}");
    // Its place is elsewhere, says the inventory; it answers, so it is not lost.
    let root = fleet.root(2).display().to_string();
    fleet.edit(&format!("root: {root},"), &format!("root: {root}, data: {root}/other,"));
    let pid = fleet.pid(2);
    for line in ["apply", "apply --replace n2"] {
        has(&fleet.push(line).ends(7).err, &["n2", "Nothing was changed"]);
        assert_eq!(fleet.pid(2), pid);
    }
}

/// Joins wait for all members; so those that are down come first.
#[test]
fn members_that_are_down_come_up_before_others_join() {
    let Some(fleet) = Fleet::new(4, 0, "") else { return };
    fleet.push("apply --only n1,n2,n3").ends(0);
    fleet.crash(2);
    let told = fleet.push("apply").ends(0);
    assert_eq!(results(&told), ["n1 ok", "n2 changed", "n3 ok", "n4 changed"]);
    fleet.push("status --check").ends(0);
}

/// A node that runs and does not answer is not well, and nobody says that there is nothing to do.
#[test]
fn a_node_that_hangs_is_seen_everywhere() {
    let Some(fleet) = Fleet::new(3, 0, "rollout: {ready_timeout: 4s}\n") else { return };
    fleet.push("apply").ends(0);
    let pid = fleet.pid(2).expect("a pid").to_string();
    send("STOP", &pid);
    let told = fleet.push("status --check").ends(1);
    has(&row(&told, "n2"), &["background: runs", "down", "does not answer"]);
    has(&row(&fleet.push("plan").ends(1), "n2"), &["see it up, in sync and equal"]);
    fleet.build("kvs2", second);
    let first = fleet.current(1);
    let told = fleet.with("kvs2", "push apply fleet.yaml --only n1,n2").ends_in(&[7, 10]);
    has(&told.err, &["n2"]);
    assert_eq!(fleet.current(1), first, "n1 was stopped beside a node that hangs");
    let told = fleet.push("apply").ends(7);
    has(&row(&told, "n2"), &["n2"]);
    has(&told.err, &["push logs"]);
    send("CONT", &pid);
    fleet.push("apply").ends(0);
    fleet.push("status --check").ends(0);
}

/// Killed between the start of a node and the proof that it is well: the next run begins with that. And
/// a fleet that is half on a new release goes back to the old one, not half of it to one before.
#[test]
fn half_a_rollout_is_proven_or_taken_back() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    let first = fleet.current(1);
    fleet.build("kvs2", second);
    fleet.with("kvs2", "push apply fleet.yaml").ends(0);
    let known = fleet.current(1);
    fleet.build("kvs3", |bytes| second(second(bytes)));
    let proving = |host: usize| fleet.root(host).join(format!("run/n{host}.proving"));
    assert!(!proving(1).exists());
    killed(halted(&fleet, "kvs3", "push apply fleet.yaml", || proving(1).exists()));
    wait_for("n1 runs", || fleet.pid(1).is_some());
    has(&row(&fleet.with("kvs3", "push plan fleet.yaml").ends(1), "n1"), &["see it up"]);
    let told = fleet.with("kvs3", "push rollback fleet.yaml").ends(0);
    assert_eq!(results(&told), ["n1 changed", "n2 ok", "n3 ok"]);
    let all = [1, 2, 3].map(|host| fleet.current(host));
    assert!(all.iter().all(|id| *id == known && *id != first), "{all:?}");
    killed(halted(&fleet, "kvs3", "push apply fleet.yaml", || proving(1).exists()));
    let told = fleet.with("kvs3", "push apply fleet.yaml").ends(0);
    assert_eq!(results(&told), ["n1 changed", "n2 changed", "n3 changed"]);
    assert!((1..=3).all(|host| !proving(host).exists()));
}

/// Where the inventory says another port, the ring is found at the old one and moves in turns.
#[test]
fn a_ring_moves_to_another_port() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    fleet.kvs("put a 1").ends(0);
    fleet.edit("defaults:\n", "defaults:\n  port: 7500\n");
    has(&row(&fleet.push("plan").ends(1), "n1"), &["configure listen, restart"]);
    let told = fleet.push("apply").ends(0);
    assert_eq!(told.text().matches("in sync, equal").count(), 3, "{}", told.text());
    fleet.push("apply").ends(0).says("nothing to do");
    let at = format!("{}:7500", fleet.hosts.address(2));
    assert_eq!(fleet.kvs(&format!("get a --ring {at}")).ends(0).text(), "1");
}
