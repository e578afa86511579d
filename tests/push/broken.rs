//! What breaks in the middle of a push: the push itself, links, hosts, disks.
//!
//! ```text
//! founding   begins ── release ── identity ── directory ── link ── process ── ring
//!               x         x          x           x          x        x     killed, told to stop
//! upload     n4 stands still, is cut off, has no room left; n1 … n3 go on
//! ```
//!
//! Moments are states of the hosts' files, not times. What was cut off is run again, always.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use crate::faults::{Mount, has, row};
use crate::fleet_fixture::Fleet;
use crate::shell::{Told, ended, send, wait_for, wait_while_at_work};
use crate::whole::{results, second};

const ENDS: Duration = Duration::from_secs(120);

/// What a host has, at the least, when a push has come so far.
const MOMENTS: [(usize, &str); 7] = [
    (1, "run/lock"),
    (3, "releases"),
    (2, "data.key"),
    (1, "data/node.yaml"),
    (3, "run/n3.service"),
    (2, "current"),
    (1, "run/n1.pid"),
];

/// Waits until a host has something there, or the push has ended.
fn comes(fleet: &Fleet, child: &mut Child, (host, name): (usize, &str)) {
    let file = fleet.root(host).join(name);
    let child = std::sync::Mutex::new(child);
    let is_over = || child.lock().expect("nobody panics with it").try_wait().expect("it").is_some();
    wait_for(name, || file.symlink_metadata().is_ok() || is_over());
}

/// Waits until a process catches what ctrl-C sends; before, that would simply end it.
fn listens(child: &Child) {
    const INT: u64 = 1 << (2 - 1);
    let file = format!("/proc/{}/status", child.id());
    wait_for("a push that catches ctrl-C", || {
        let status = fs::read_to_string(&file).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        caught.is_some_and(|mask| mask & INT != 0)
    });
}

/// Files that are on their way to be releases.
fn uploads(fleet: &Fleet, host: usize) -> Vec<String> {
    let names = fs::read_dir(fleet.root(host).join("releases")).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

fn uploading(fleet: &Fleet, host: usize) {
    wait_for("an upload", || !uploads(fleet, host).is_empty());
}

/// A build that takes a while to be brought.
fn large(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len() + (120 << 20), 0);
    bytes
}

/// All hosts are members of one ring that answers, and nothing is left of what was cut off.
fn stands(fleet: &Fleet, hosts: usize) {
    fleet.push("apply").ends(0).says("nothing to do");
    let rows = fleet.kvs("status --check --format plain").ends(0).text();
    assert_eq!(rows.lines().count(), hosts, "{rows}");
    fleet.kvs("put a 1").ends(0);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    (1..=hosts).for_each(|host| assert_eq!(uploads(fleet, host), [""; 0], "n{host}"));
}

/// Killed at any moment of its founding, a ring stands after the next run: one, of all hosts.
#[test]
fn a_founding_that_is_killed_goes_on() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    for moment in MOMENTS {
        let mut child = fleet.start_with("kvs", "push apply fleet.yaml");
        comes(&fleet, &mut child, moment);
        send("KILL", &child.id().to_string());
        // It may have come to its end first.
        let told = ended(moment.1.into(), child, ENDS);
        assert!(told.code == -9 || told.code == 0, "{}: {}\n{}", told.what, told.code, told.err);
    }
    fleet.push("apply").ends(0);
    stands(&fleet, 3);
}

/// Whether it was stopped: it says so and how to go on. Or it had come to its end first.
fn stopped(told: &Told) -> bool {
    assert!(told.code == 0 || told.code == 7, "{}: {}\n{}", told.what, told.code, told.err);
    if told.code == 7 {
        has(&told.err, &["stopped", "push apply fleet.yaml"]);
    }
    told.code == 7
}

/// The first ctrl-C ends it between two steps, in a founding and in an upgrade.
#[test]
fn a_push_that_is_told_to_stop_says_how_to_go_on() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    for moment in MOMENTS {
        let mut child = fleet.start_with("kvs", "push apply fleet.yaml");
        listens(&child);
        comes(&fleet, &mut child, moment);
        send("INT", &child.id().to_string());
        stopped(&ended(moment.1.into(), child, ENDS).sane());
    }
    fleet.push("apply").ends(0);
    stands(&fleet, 3);
    fleet.build("kvs2", second);
    let first = fleet.current(1);
    for host in [1, 2] {
        let before = [1, 2, 3].map(|host| fleet.current(host));
        let mut child = fleet.start_with("kvs2", "push apply fleet.yaml");
        wait_while_at_work(&mut child, "a turn", || fleet.current(host) != first);
        send("INT", &child.id().to_string());
        let told = ended(format!("the turn of n{host}"), child, ENDS).sane();
        stopped(&told);
        // What was begun was brought to its end, and nothing else was begun.
        for (host, before) in (1..).zip(before) {
            let changed = results(&told).contains(&format!("n{host} changed"));
            assert_eq!(changed, fleet.current(host) != before, "n{host}: {told:?}");
            if changed {
                has(&row(&told, &format!("n{host}")), &["in sync, equal"]);
            }
        }
    }
    fleet.with("kvs2", "push apply fleet.yaml").ends(0);
    fs::rename(fleet.desk("kvs2"), fleet.desk("kvs")).expect("a build");
    stands(&fleet, 3);
}

/// The second ctrl-C waits for nothing; what waits for nobody is bounded by the time it was given.
#[test]
fn one_host_that_breaks_during_its_upload_stops_nobody() {
    let Some(fleet) = Fleet::new(4, 0, "") else { return };
    fleet.edit("command_timeout: 10s", "command_timeout: 3s");
    fleet.build("large", large);
    // Builds for tests are large, too: room for three.
    let room = 3 * crate::shell::size(&fleet.desk("large")) / (1 << 20) + 128;
    let mount = Mount::new(&fleet.root(4), &format!("size={room}m"));
    fleet.hosts.host(4).kill();
    fleet.hosts.host(4).start();
    let push = || fleet.start_with("large", "push apply fleet.yaml");
    // It stands still.
    let child = push();
    uploading(&fleet, 4);
    fleet.hosts.host(4).signal_sessions("STOP");
    let told = ended("a host that stands still".into(), child, ENDS).ends(7);
    assert_eq!(results(&told), ["n1 changed", "n2 changed", "n3 changed", "n4 failed"]);
    has(&row(&told, "n4"), &["no byte of", "n4", "for 3 s", "removed"]);
    fleet.hosts.host(4).signal_sessions("CONT");
    wait_for("what had arrived is removed", || uploads(&fleet, 4).is_empty());
    fleet.kvs("put a 1").ends(0);
    // Told to stop again and again while it stands still: two signals at once are one.
    let mut child = push();
    uploading(&fleet, 4);
    fleet.hosts.host(4).signal_sessions("STOP");
    let began = std::time::Instant::now();
    let pid = child.id().to_string();
    while child.try_wait().expect("its state").is_none() && began.elapsed() < ENDS {
        send("INT", &pid);
    }
    let told = ended("told twice".into(), child, ENDS);
    assert!(told.code == 7 && began.elapsed() < Duration::from_secs(2), "{told:?}");
    fleet.hosts.host(4).signal_sessions("CONT");
    wait_for("what had arrived is removed", || uploads(&fleet, 4).is_empty());
    // It is cut off.
    let child = push();
    uploading(&fleet, 4);
    fleet.hosts.net.cut(fleet.hosts.operator(), 4);
    let told = ended("a link that is cut".into(), child, ENDS).ends(7);
    assert_eq!(results(&told), ["n1 ok", "n2 ok", "n3 ok", "n4 failed"]);
    has(&row(&told, "n4"), &["n4", "removed there as soon as the cut is noticed"]);
    fleet.hosts.net.heal();
    // As an sshd ends a connection that it has given up.
    fleet.hosts.host(4).signal_sessions("KILL");
    wait_for("what had arrived is removed", || uploads(&fleet, 4).is_empty());
    if let Some(mount) = &mount {
        no_room(&fleet, mount);
    }
    let told = fleet.with("large", "push apply fleet.yaml").ends(0);
    assert_eq!(results(&told), ["n1 ok", "n2 ok", "n3 ok", "n4 changed"]);
    fs::rename(fleet.desk("large"), fleet.desk("kvs")).expect("a build");
    stands(&fleet, 4);
}

/// Its disk is full before the upload ends.
fn no_room(fleet: &Fleet, mount: &Mount) {
    fleet.edit("command_timeout: 3s", "command_timeout: 10s");
    let child = fleet.start_with("large", "push apply fleet.yaml");
    uploading(fleet, 4);
    fleet.hosts.host(4).signal_sessions("STOP");
    let filler = mount.0.join("filler");
    fill(&filler);
    fleet.hosts.host(4).signal_sessions("CONT");
    let told = ended("a full disk".into(), child, ENDS).ends(7);
    has(&row(&told, "n4"), &["n4 could not take", "No space left on device", "removed there"]);
    assert_eq!(results(&told)[..3], ["n1 ok", "n2 ok", "n3 ok"]);
    assert!(uploads(fleet, 4).is_empty());
    fs::remove_file(filler).expect("a file");
}

fn fill(file: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(file).expect("a file");
    while file.write(&[0; 1 << 20]).is_ok_and(|written| written > 0) {}
}

/// The second finds the first at work, and says who it is.
#[test]
fn two_pushes_at_once_are_one_after_the_other() {
    let Some(fleet) = Fleet::new(3, 0, "") else { return };
    let mut child = fleet.start_with("kvs", "push apply fleet.yaml");
    comes(&fleet, &mut child, (3, "releases"));
    // It stands still, and its locks stay.
    send("STOP", &child.id().to_string());
    let told = fleet.push("apply").ends(9).says("is worked on by somebody else");
    has(&told.err, &[&crate::sshd::me(), "nothing was changed there", "last heard of"]);
    send("CONT", &child.id().to_string());
    ended("the first".into(), child, ENDS).ends(0);
    stands(&fleet, 3);
    // At the very same time.
    fleet.build("kvs2", second);
    let both: Vec<Child> =
        (0..2).map(|_| fleet.start_with("kvs2", "push apply fleet.yaml")).collect();
    let codes: Vec<i32> = both.into_iter().map(|c| ended("both".into(), c, ENDS).code).collect();
    assert!(codes.iter().all(|code| [0, 7, 9].contains(code)), "{codes:?}");
    fleet.with("kvs2", "push apply fleet.yaml").ends(0);
    fs::rename(fleet.desk("kvs2"), fleet.desk("kvs")).expect("a build");
    stands(&fleet, 3);
}
