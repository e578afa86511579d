//! Rings that stand: what happens to their hosts, and what their inventory asks for next.
//!
//! ```text
//! a node that crashed       status says so, start and apply bring it back
//! a pid that is another's   is never ended
//! a directory that is gone  refused; --replace gives its place away
//! keys, names, weights      a directory that is not ours is left alone; changes come in turns
//! ```

use std::fs;
use std::process::{Child, Command};

use crate::faults::{has, row};
use crate::fleet_fixture::Fleet;
use crate::net::sh;
use crate::shell::{send, wait_for};
use crate::whole::{results, second};

/// A process that has nothing to do with any ring.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("3600").spawn().expect("a process"))
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("its state").is_none()
    }

    /// When it began, as `/proc` has it.
    fn since(&self) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("its state");
        let rest = stat.rsplit(") ").next().expect("fields");
        rest.split(' ').nth(19).expect("a time").to_owned()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_node_that_crashed_is_seen_and_brought_back() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    fleet.kvs("put a 1").ends(0);
    fleet.crash(2);
    let told = fleet.push("status --check").ends(1);
    has(&row(&told, "n2"), &["stopped", "would start"]);
    assert!(row(&told, "n1").ends_with('-'), "{}", told.text());
    let told = fleet.push("start").ends(0);
    assert_eq!(results(&told), ["n1 ok", "n2 changed", "n3 ok"]);
    fleet.crash(2);
    let told = fleet.push("apply").ends(0);
    assert_eq!(results(&told), ["n1 ok", "n2 changed", "n3 ok"]);
    fleet.push("status --check").ends(0);

    // Its number is a stranger's now: by its beginning, and then by what it runs alone.
    let mut stranger = Stranger::new();
    let file = fleet.root(3).join("run/n3.pid");
    for since in ["1".to_owned(), stranger.since()] {
        fleet.crash(3);
        let text = fs::read_to_string(&file).expect("a pid file");
        let fields: Vec<&str> = text.split_whitespace().collect();
        let forged = format!("{} {} {since} {}\n", stranger.0.id(), fields[1], fields[3]);
        fs::write(&file, &forged).expect("a pid file");
        fleet.push("stop --only n3").ends(0);
        assert!(stranger.lives(), "a stranger was ended");
        fs::write(&file, &forged).expect("a pid file");
        has(&row(&fleet.push("status").ends(0), "n3"), &["stopped"]);
        fleet.push("apply").ends(0);
        assert!(stranger.lives(), "a stranger was ended");
        assert_ne!(fleet.pid(3), Some(stranger.0.id()));
    }
    fleet.push("status --check").ends(0);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    lost(&fleet);
}

/// The directory of a member is gone.
fn lost(fleet: &Fleet) {
    fleet.crash(3);
    fs::remove_dir_all(fleet.root(3).join("data")).expect("its directory");
    let told = fleet.push("apply").ends(7);
    assert_eq!(results(&told), ["n1 ok", "n2 ok", "n3 failed"]);
    has(&row(&told, "n3"), &["n3 is a member", "is gone", "--replace n3", "Nothing was changed"]);
    assert!(!fleet.root(3).join("data").exists());
    let told = fleet.push("apply --replace n2").ends(7);
    has(&told.err, &["n2", "is not lost", "Nothing was changed"]);
    let told = fleet.push("apply --replace n3").ends(0);
    assert_eq!(results(&told), ["n1 ok", "n2 ok", "n3 changed"]);
    let rows = fleet.kvs("status --check --format plain").ends(0).text();
    assert_eq!(rows.lines().count(), 3, "{rows}");
    fleet.push("apply").ends(0).says("nothing to do");
    // What it lost it has again.
    let row = row(&fleet.push("status --check").ends(0), "n3");
    assert_eq!(row.split('\t').nth(7), Some("1"), "{row}");
}

/// Directories that are not ours, and keys that are not here.
#[test]
fn what_belongs_to_others_is_left_alone() {
    let Some(fleet) = Fleet::new(4, 0, "") else { return };
    fleet.kvs("init other --nodes 4 --partitions 64").ends(0);
    let data = fleet.root(4).join("data");
    fs::create_dir_all(fleet.root(4)).expect("a directory");
    sh(&format!("cp -r {} {}", fleet.desk("other/n4").display(), data.display())).expect("a copy");
    let before = sh(&format!("ls -lR {}", data.display())).expect("a list");
    // There may be a ring whose key is not here: no second one.
    let told = fleet.push("apply").ends(10);
    has(&row(&told, "n4"), &["n4", "is a node already, and the ring's key file is not here"]);
    has(&told.err, &["n4", "no ring was made", "--only n1,n2,n3"]);
    assert!(!fleet.desk("yard.key").exists());
    let told = fleet.push("apply --only n1,n2,n3").ends(0);
    assert_eq!(results(&told), ["n1 changed", "n2 changed", "n3 changed"]);
    let told = fleet.push("apply").ends(7);
    assert_eq!(results(&told), ["n1 ok", "n2 ok", "n3 ok", "n4 failed"]);
    has(
        &row(&told, "n4"),
        &["belongs to another ring: its key is not ours", "Nothing was changed"],
    );
    assert_eq!(sh(&format!("ls -lR {}", data.display())).expect("a list"), before);
    fleet.say(4, &format!("data: {}", fleet.root(1).join("data").display()), "");
    let told = fleet.push("apply --only n4").ends(10);
    has(&told.err, &["n4", "is the node n1", "Nothing was changed"]);
    fleet.write("");
    fs::rename(fleet.desk("yard.key"), fleet.desk("away.key")).expect("a key");
    let told = fleet.push("apply --only n1,n2,n3").ends(10);
    has(&row(&told, "n2"), &["the ring's key file is not here", "Nothing was changed"]);
    assert!(!fleet.desk("yard.key").exists(), "a second key was made");
    fs::rename(fleet.desk("away.key"), fleet.desk("yard.key")).expect("a key");
    fleet.push("apply --only n1,n2,n3").ends(0).says("nothing to do");
}

/// What a new inventory asks for comes in turns.
#[test]
fn weights_and_configuration_follow_the_inventory() {
    let Some(mut fleet) = Fleet::new(3, 0, "") else { return };
    fleet.push("apply").ends(0);
    let load = fleet.load();
    let pids = [1, 2, 3].map(|host| fleet.pid(host));
    fleet.say(2, "weight: 3", "");
    has(&row(&fleet.push("plan").ends(1), "n2"), &["weight 1 -> 3"]);
    fleet.push("apply").ends(0);
    assert_eq!([1, 2, 3].map(|host| fleet.pid(host)), pids, "a weight restarts nobody");
    fleet.push("apply").ends(0).says("nothing to do");
    let metrics = format!("defaults:\n  metrics: {}:7401\n", "0.0.0.0");
    fleet.edit("defaults:\n", &metrics);
    has(&row(&fleet.push("plan").ends(1), "n1"), &["configure metrics", "restart"]);
    let told = fleet.push("apply").ends(0);
    assert_eq!(told.text().matches("in sync, equal").count(), 3, "{}", told.text());
    for host in [1, 2, 3] {
        let text = fs::read_to_string(fleet.root(host).join("data/node.yaml")).expect("a file");
        assert!(text.contains("7401"), "{text}");
    }
    assert!(fleet.judge(load) > 0);
}

#[test]
fn a_ring_of_one_has_to_accept_that_it_is_down() {
    let Some(fleet) = Fleet::new(1, 0, "rollout: {ready_timeout: 3s}\n") else { return };
    fleet.push("apply").ends(0);
    fleet.kvs("put a 1").ends(0);
    let first = fleet.current(1);
    let pid = fleet.pid(1);
    fleet.build("kvs2", second);
    let told = fleet.with("kvs2", "push apply fleet.yaml").ends_in(&[7, 10]);
    has(&told.err, &["Without n1", "Nothing was stopped", "--accept-downtime"]);
    assert_eq!((fleet.current(1), fleet.pid(1)), (first.clone(), pid), "it was touched");
    fleet.with("kvs2", "push apply fleet.yaml --accept-downtime").ends(0);
    assert_ne!(fleet.current(1), first);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    // A process that does not end is not ended by force.
    let pid = fleet.pid(1).expect("a pid").to_string();
    send("STOP", &pid);
    let told = fleet.push("stop").ends_in(&[7, 9]);
    has(&row(&told, "n1"), &["n1", "still runs", &pid]);
    send("CONT", &pid);
    wait_for("its end", || !std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
}
