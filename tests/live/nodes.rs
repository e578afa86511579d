//! Processes: `up` and `node run`, how they start, end, and refuse to start.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::served::{Served, pid, ring};
use crate::support::shell::send;
use crate::support::wait::wait_for;

#[test]
fn up_runs_every_node_and_ends_them_in_good_order() {
    let place = ring();
    place.kvs("put -q k before").ends(0);
    let up = Served::up(&place);
    let mut ready: Vec<_> = up.out().lines().map(str::to_owned).collect();
    ready.sort();
    for (line, name) in ready.iter().zip(["n1", "n2", "n3"]) {
        let address = line.strip_prefix(&format!("ready {name} 127.0.0.1:"));
        assert!(address.is_some_and(|port| port.parse::<u16>().is_ok()), "{line}");
    }
    assert_eq!(ready.len(), 3);
    let told = place.kvs("up r --timeout 0").ends(9);
    told.says("r/n1 is in use by node (process ").says("--timeout");
    place.kvs("node run r/n2 --timeout 0").ends(9).says("r/n2 is in use by node");
    up.stops(0);
    assert_eq!([pid(&place, "n1"), pid(&place, "n2"), pid(&place, "n3")], [None; 3]);
    place.kvs("get k").ends(0).prints("before");
    place.kvs("put -q k after").ends(0);
}

#[test]
fn up_reports_a_child_that_dies_and_does_not_start_it_again() {
    let place = ring();
    let up = Served::up(&place);
    let n2 = pid(&place, "n2").expect("a node that runs");
    send("KILL", &n2.to_string());
    up.says("n2 has ended: killed by signal 9");
    up.says("n1: "); // its log goes on
    assert_eq!(pid(&place, "n2"), None);
    up.stops(7);
}

#[test]
fn up_starts_a_directory_that_appears() {
    let place = ring();
    fs::rename(place.path("r/n3"), place.path("n3")).expect("a directory to move");
    let up = Served::start(&place, "up", "up r");
    up.says("2 nodes up");
    fs::rename(place.path("n3"), place.path("r/n3")).expect("a directory to move");
    up.prints("ready n3 ");
    up.says("starting r/n3, which is new");
    // One that ended is left alone, until another directory is in its place.
    place.kvs("node stop r/n3").ends(0).says("n3 has stopped");
    up.says("n3 has ended: exit code 0");
    place.sh("cp -a r/n3 new && mv r/n3 old && mv new r/n3").ends(0);
    wait_for("n3 is started again", || up.out().matches("ready n3 ").count() == 2);
    up.stops(0);
}

#[test]
fn nodes_outlive_the_up_that_started_them_and_its_pipes() {
    let place = ring();
    let up = Served::up(&place);
    let nodes = ["n1", "n2", "n3"].map(|name| pid(&place, name).expect("a node that runs"));
    up.signal("KILL");
    assert_eq!(up.end(), -9);
    // A node that dies now has its peers log that, into a pipe that nobody reads.
    send("KILL", &nodes[2].to_string());
    wait_for("the end of n3", || pid(&place, "n3").is_none());
    let again = Served::node(&place, "n3");
    wait_for("n3 is linked", || again.err().matches("up peer=").count() == 2);
    assert_eq!(pid(&place, "n1"), Some(nodes[0]));
    assert_eq!(pid(&place, "n2"), Some(nodes[1]));
    again.stops(0);
}

#[test]
fn a_node_says_where_it_listens_as_json_too() {
    let place = ring();
    let line = "node run r/n1 --format json --listen 127.0.0.1:0 --metrics off --sync-every off";
    let node = Served::start(&place, "n1", line);
    node.prints("\n");
    let out = node.out();
    assert!(out.starts_with('{') && out.contains(r#""schema":"kvs.ready/1""#), "{out}");
    assert!(out.contains(r#""name":"n1""#) && out.contains(r#""metrics":null"#), "{out}");
    assert!(!out.contains(":0\""), "the port it has, not the one it was told: {out}");
    node.signal("INT");
    assert_eq!(node.end(), 0);
    assert_eq!(node.out().lines().count(), 1, "one line and no more");
}

#[test]
fn a_port_in_use_is_busy() {
    let place = ring();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let told = place.kvs(&format!("node run r/n1 --listen {address}")).ends(9);
    told.says(&address);
    assert_eq!(pid(&place, "n1"), None, "the lock is free again");
    place.kvs("put -q k v").ends(0);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    for file in ["ring.key", "node.key"] {
        let place = ring();
        let path = place.path("r/n1").join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        let told = place.kvs("node run r/n1").ends(10);
        told.says(file).says("chmod 600");
    }
}

/// A key file that is gone: the error says where it comes from, and what is advised works.
#[test]
fn a_key_that_is_gone_is_said_to_be_had_elsewhere() {
    let place = ring();
    let nodes = ["n1", "n3"].map(|name| Served::node(&place, name));
    place.sh("rm r/n2/ring.key").ends(0);
    let told = place.kvs("node run r/n2").ends(2);
    told.says("cp -p r/ring.key r/n2/ring.key");
    place.sh("cp -p r/ring.key r/n2/ring.key && rm r/n2/node.key").ends(0);
    let told = place.kvs("node run r/n2").ends(2);
    told.says("put its own key back, or rebuild the node: kvs replace n2");
    nodes.into_iter().for_each(|node| node.stops(0));
}

/// Of two changes made at once one is refused; run again, as it says, it is carried out.
#[test]
fn a_change_that_came_second_says_to_run_it_again() {
    let place = ring();
    let nodes = ["n1", "n2", "n3"].map(|name| Served::node(&place, name));
    place.kvs("wait --settled --timeout 60s").ends(0);
    // It waits for its node; meanwhile another change is made.
    let join = Served::start(&place, "join", "join r/n4 --yes --timeout 60s");
    wait_for("the new directory", || place.path("r/n4/node.yaml").exists());
    place.kvs("ring plan --weight n1=2 -o plan").ends(1);
    place.kvs("ring apply plan --yes").ends(0);
    let n4 = Served::node(&place, "n4");
    assert_eq!(join.end(), 3, "{}", join.err());
    join.says("another change came first; run this again");
    place.kvs("join r/n4 --yes").ends(0);
    n4.stops(0);
    nodes.into_iter().for_each(|node| node.stops(0));
}

#[test]
fn the_key_of_a_ring_is_replaced_while_it_runs() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("put -q k v").ends(0);
    let files = ["r/ring.key", "r/n2/ring.key", "r/n3/ring.key"];
    let old = place.read("r/ring.key");
    for step in ["--add", "--rotate", "--drop"] {
        place.kvs(&format!("config keygen {step} r/n1/ring.key")).ends(0);
        for file in files {
            place.sh(&format!("cp -p r/n1/ring.key {file}")).ends(0);
        }
        place.kvs("get k").ends(0).prints("v");
    }
    assert_ne!(place.read("r/ring.key"), old);
    // A node that comes back now meets the others by the fresh key alone.
    place.kvs("node stop n2").ends(0);
    let n2 = Served::node(&place, "n2");
    wait_for("n2 is linked", || n2.err().matches("up peer=").count() == 2);
    n2.stops(0);
    up.stops(0);
}

#[test]
fn what_is_no_node_and_what_says_nothing_is_refused() {
    let place = ring();
    place.kvs("node run r").ends(2).says("kvs up r");
    place.kvs("up r/n1").ends(2).says("holds no node directory");
    place.kvs("node run r/n1 --log n1=nonsense=x").ends(2).says("--log");
    place.kvs("node run r/n1 --sync-every 0").ends(2).says("use off");
    place.kvs("wait").ends(2).says("--in-sync");
    place.kvs("node stop r/n1").ends(0).says("n1 is not running");
    place.kvs("node info r/n1").ends(6).says("kvs node run r/n1");
}

/// A member that is frozen counts as down for what looks at single nodes, though the others may not
/// know it yet: its commands go on without it, and none says that it read everything.
#[test]
fn a_frozen_member_is_down_for_what_looks_at_single_nodes() {
    let place = ring();
    let nodes = ["n1", "n2", "n3"].map(|name| Served::node(&place, name));
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.kvs("put -q k v -w 3").ends(0);
    place.sh("kvs digest --format plain >saved && kvs digest --check saved").ends(0);
    nodes[2].signal("STOP");
    let unread = "n3 is down; it was not read";
    let lines = [
        ("status --check", 1, "n3"),
        ("verify", 7, unread),
        ("digest", 7, unread),
        ("digest --check saved", 7, "2 digests unchanged"),
        ("hints list", 7, unread),
        ("hints deliver", 7, unread),
        ("clock k", 7, unread),
        ("diff n1 n3", 6, "n3 is down"),
    ];
    // All at once, so that they meet it before it is known to be down.
    std::thread::scope(|scope| {
        for (line, code, words) in lines {
            let place = &place;
            scope.spawn(move || place.kvs(&format!("{line} --timeout 3s")).ends(code).says(words));
        }
    });
    // Nor does anything else change when it is.
    nodes[0].says("considered down peer=\"n3\"");
    for (line, code, words) in lines {
        place.kvs(&format!("{line} --timeout 3s")).ends(code).says(words);
    }
    nodes[2].signal("CONT");
    place.kvs("wait --node-up n1,n2,n3 --timeout 60s").ends(0);
    nodes.into_iter().for_each(|node| node.stops(0));
}
