//! Promises of running nodes: codes, signals, changes that go on, addresses, what a write says.

use std::fs;

use crate::paths::{RENAMES, every_rename_of};
use crate::support::served::{Served, pid, ports, ring};
use crate::support::shell::{Place, send, skip};
use crate::support::wait::wait_for;

/// The address a node has written into its lock.
fn address(place: &Place, name: &str) -> String {
    let text = place.read(&format!("r/{name}/kvs.lock"));
    text.split_whitespace().last().expect("an address").to_owned()
}

/// A node that runs and cannot be talked to is busy; a key that does not fit is refused.
#[test]
fn codes_of_running_nodes() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    place.kvs("put -q k v").ends(0);
    place.kvs("config keygen other -q").ends(0);
    let at = address(&place, "n1");
    for line in ["get k", "put k w", "status"] {
        let told = place.kvs(&format!("{line} --ring {at} --key-file other")).ends(10);
        told.says("does not have this ring's key").says("Nothing was changed");
    }
    place.kvs(&format!("get k --ring {at} --key-file r/ring.key")).ends(0).prints("v");
    place.kvs("get k --ring 127.0.0.1:9 --key-file r/ring.key --timeout 1s").ends(6);
    place.kvs("node run r/n1 --timeout 0").ends(9).says("in use");
    let n2 = pid(&place, "n2").expect("a node that runs").to_string();
    send("STOP", &n2);
    for line in ["node stop n2 --timeout 1s", "node stop r/n2 --timeout 1s"] {
        place.kvs(line).ends(9).says("n2 is running");
    }
    let remote = format!("node stop n2 --timeout 1s --ring {at} --key-file r/ring.key");
    place.kvs(&remote).ends(9).says("n2 is running");
    send("CONT", &n2);
    drop(up);
}

/// A node that stands still holds up nobody for longer than one look: a condition that others can tell
/// is met long before the time is over.
#[test]
fn a_node_that_stands_still_is_waited_for_once() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    let n2 = pid(&place, "n2").expect("a node that runs").to_string();
    send("STOP", &n2);
    // While the others take it to be up, each question to it would take all of the time.
    place.kvs("wait --node-down n2 --timeout 100s").ends(0);
    send("CONT", &n2);
    place.kvs("wait --node-up n2 --timeout 100s").ends(0);
    drop(up);
}

/// A node whose data or lock was removed or replaced under it writes nothing any more, says so, and still
/// shows what it has.
#[test]
fn a_node_writes_to_no_file_that_is_not_in_its_directory() {
    for harm in ["rm data.mdb", "cp data.mdb x; mv x data.mdb", "rm kvs.lock", "rm lock.mdb"] {
        let place = Place::ring("--nodes 1 --replicas 1 --partitions 8");
        let up = Served::node(&place, "n1");
        let at = address(&place, "n1");
        let at = format!("--ring {at} --key-file r/ring.key");
        place.kvs(&format!("put -q k before {at}")).ends(0);
        place.kvs(&format!("status --check {at}")).ends(0);
        place.sh(&format!("cd r/n1; {harm}")).ends(0);
        let told = place.kvs(&format!("status --check {at}")).ends(1);
        told.says("while it was in use").says("accepts no writes");
        place.kvs(&format!("put k after {at}")).ends(4);
        place.kvs(&format!("get -q k {at}")).ends(0).prints("before");
        drop(up);
    }
}

/// The file that proves what was committed last is made anew.
#[test]
fn a_node_whose_kvs_id_was_removed_is_what_it_was() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    place.sh("rm r/n1/kvs.id r/n2/kvs.id r/n3/kvs.id").ends(0);
    place.kvs("put -q k v -w 3").ends(0);
    up.stops(0);
    place.kvs("get -q k").ends(0).prints("v");
    place.kvs("status --check").ends(0);
}

/// A node that runs and could not be run again is not healthy; another user's keys say nothing.
#[test]
fn a_node_that_could_not_be_run_again_is_not_healthy() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    for file in ["node.key", "ring.key"] {
        for harm in ["rm $f", ": > $f", "echo junk > $f"] {
            place.kvs("status --check").ends(0);
            place.sh(&format!("f=r/n2/{file}; cp -p $f kept; {harm}")).ends(0);
            for line in ["status --check", "status --check --ring r/n1,r/n2,r/n3"] {
                place.kvs(line).ends(1).says("n2 cannot be run again").says(file);
            }
            place.sh(&format!("rm -f r/n2/{file}; mv kept r/n2/{file}")).ends(0);
            place.kvs("wait --settled --timeout 60s").ends(0);
        }
    }
    place.sh("cp -p r/n2/node.key kept; cat r/n1/node.key > r/n2/node.key").ends(0);
    let told = place.kvs("status --check").ends(1).says("is not the key of this member");
    place.kvs("verify").ends(0).says("n2 cannot be run again");
    told.says("kvs node stop n2; kvs replace n2");
    place.sh("cat kept > r/n2/node.key").ends(0);
    place.kvs("status --check").ends(0);
    up.stops(0);
}

/// A copy of a directory whose node runs is that node: nothing to compare, and nothing to rebuild.
#[test]
fn a_copy_of_a_running_node_is_no_damage() {
    let place = ring();
    place.kvs("put -q k v").ends(0);
    place.sh("cp -a r/n2 copy").ends(0);
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    place.kvs("diff r/n1 copy").ends(0);
    let told = place.kvs("diff copy r/n2").ends(2).says("the same node");
    assert!(!told.err.contains("kvs replace"), "{}", told.err);
    up.stops(0);
}

/// All owners are up: the write says which acknowledged and that the rest is under way; one is down:
/// it does not.
#[test]
fn a_write_says_what_is_on_the_way() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    for i in 0..20 {
        let told = place.kvs(&format!("put k{i} v")).ends(0).err;
        let told = told.trim();
        assert!(["3/3", "2/3, 1 on the way"].contains(&told), "{told}");
    }
    place.kvs("node stop n3").ends(0);
    place.kvs("wait --node-down n3 --timeout 60s").ends(0);
    place.kvs("put k w").ends(0).says("2/3");
    assert!(!place.kvs("put k x").ends(0).err.contains("on the way"));
    drop(up);
}

/// A hangup is an order to stop in good order, unless it was ignored when the process began.
#[test]
fn a_hangup_stops_nodes_in_good_order_or_not_at_all() {
    let place = ring();
    for (program, ends) in [("", true), ("nohup", false)] {
        let node = Served::node_under(&place, "n1", program);
        node.signal("HUP");
        if ends {
            assert_eq!(node.end(), 0, "{}", node.err());
            continue;
        }
        // It serves on: another signal finds it, and ends it in good order.
        place.kvs("status --timeout 5s").ends(0);
        assert!(!node.has_ended());
        node.stops(0);
    }
    let line = format!("nohup {} up r", crate::support::shell::binary().display());
    let mut up = place.start_into(&line, "up.out", "up.err");
    wait_for("three nodes", || place.read("up.err").contains("3 nodes up"));
    send("HUP", &up.id().to_string());
    place.kvs("wait --settled --timeout 60s").ends(0);
    let all = ["n1", "n2", "n3"].map(|name| pid(&place, name));
    assert!(all.iter().all(Option::is_some), "{all:?}: {}", place.read("up.err"));
    send("TERM", &up.id().to_string());
    assert_eq!(up.wait().expect("an end").code(), Some(0), "{}", place.read("up.err"));
}

/// What a person reads comes in one write a line: lines of several processes do not mix.
#[test]
fn a_note_is_one_write() {
    let place = Place::ring("--partitions 8");
    if place.sh("strace -o /dev/null true").code != 0 {
        return skip("one write a line: there is no strace that may trace");
    }
    for line in ["put k v", "get nothing", "get k --ring nowhere", "status --down n3"] {
        place
            .sh(&format!(
                "strace -f -o trace -e trace=write -e write=2 kvs {line} 2>said; cat said >&2"
            ))
            .sane();
        let writes = place.read("trace").lines().filter(|l| l.contains("write(2, ")).count();
        assert_eq!(writes, place.read("said").lines().count(), "{line}: {}", place.read("trace"));
    }
}

/// The first document of a change is chosen, then every node dies: the change goes on when they are
/// back, so its command is partly done and not refused.
#[test]
fn a_change_that_goes_on_is_partly_done() {
    let listen = ports();
    let place = Place::ring(&format!("--nodes 4 --partitions 16 --listen 127.0.0.1:{listen}"));
    let names = ["n1", "n2", "n3", "n4"];
    let nodes: Vec<_> = names.iter().map(|name| Served::node(&place, name)).collect();
    place.kvs("wait --settled --timeout 60s").ends(0);
    // A member that is stopped holds the change at its first step.
    nodes[1].signal("STOP");
    let n1 = address(&place, "n1");
    let flags = format!("--ring {n1} --key-file r/ring.key");
    let line = format!(
        "{} leave n4 --yes --timeout 20s {flags}",
        crate::support::shell::binary().display()
    );
    let mut leaving = place.start_into(&line, "leave.out", "leave.err");
    wait_for("the change is chosen", || {
        place.kvs(&format!("ring show --format json {flags}")).text().contains(r#""version":"2""#)
    });
    nodes.iter().for_each(|node| node.signal("KILL"));
    let code = leaving.wait().expect("an end").code();
    let told = place.read("leave.err");
    assert_eq!(code, Some(7), "{told}");
    assert!(told.contains("kvs ring apply"), "{told}");
    drop(nodes);
    let back: Vec<_> = names.iter().map(|name| Served::node(&place, name)).collect();
    place.kvs("ring apply --yes --timeout 60s").ends(0);
    let members = place.kvs("ring show").ends(0).text();
    assert!(!members.contains("n4"), "{members}");
    drop(back);
}

/// All nodes come back at other addresses, or without an address book: those beside each other find
/// each other, and nothing is to be replaced.
#[test]
fn a_ring_at_new_addresses_forms_again() {
    let place = ring();
    place.kvs("put -q k v").ends(0);
    let new = ports();
    for (at, name) in ["n1", "n2", "n3"].iter().enumerate() {
        let file = format!("r/{name}/node.yaml");
        let port = new + at as u16;
        place.sh(&format!("sed -i 's/^listen:.*/listen: 127.0.0.1:{port}/' {file}")).ends(0);
    }
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    place.kvs("get -q k").ends(0).prints("v");
    up.stops(0);
    for name in ["n1", "n2", "n3"] {
        fs::write(place.path(&format!("r/{name}/peers.yaml")), "").expect("an empty address book");
    }
    let up = Served::up(&place);
    place.kvs("wait --settled --timeout 60s").ends(0);
    place.kvs("put -q k w").ends(0);
    up.stops(0);
}

/// One node of three that has heard of nobody says nothing of replacing the others.
#[test]
fn a_node_that_hears_nobody_advises_no_replacement() {
    let place = ring();
    let node = Served::node(&place, "n1");
    let told = place.kvs("status").ends(0);
    assert!(told.err.contains("n2 was not heard from"), "{}", told.err);
    assert!(!told.err.contains("kvs replace"), "{}", told.err);
    place.kvs("get k --timeout 1s").ends(4).says("peers.yaml");
    node.stops(0);
}

/// The address book is replaced as every file is.
#[test]
fn an_address_book_lasts() {
    let place = ring();
    if place.sh("strace -o /dev/null true").code != 0 {
        return skip("renames and syncs: there is no strace that may trace");
    }
    let before = place.read("r/n1/peers.yaml");
    let line = format!(
        "{RENAMES} {} node run r/n1 --listen 127.0.0.1:{} --metrics off",
        crate::support::shell::binary().display(),
        ports()
    );
    let mut node = place.start_into(&line, "node.out", "node.err");
    wait_for("the address book", || place.read("r/n1/peers.yaml") != before);
    let id = pid(&place, "n1").expect("a node that runs");
    send("TERM", &id.to_string());
    node.wait().expect("an end");
    every_rename_of(&place, "peers.yaml");
}

/// A level by zones is acknowledged by owners of these zones, never by stand-ins elsewhere.
#[test]
fn a_level_by_zones_counts_owners_alone() {
    let place = Place::ring("--nodes 6 --zones a,b,c --partitions 8");
    place.kvs("put -q k v --level each-quorum").ends(0);
    let told = place.kvs("put k w --level each-quorum --down n3,n6").ends(4);
    told.says("Nothing was changed");
    place.kvs("get -q k").ends(0).prints("v");
    place.kvs("put -q k w --level quorum --down n3,n6").ends(0);
}
