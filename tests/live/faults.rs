//! Nodes that run while their disks, files and processes fail.
//!
//! ```text
//! disk      full, failing          the node says so; the others go on
//! files     copied, older          who has lost something votes and mints no more until it is filled
//! process   killed ten times       every put that said 0 can be read
//! ```
//!
//! A file system of some MiB and failing system calls need root, `mkfs.ext4` and `strace`: what is
//! missing is said aloud.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kvs::store::sidecar;

use crate::support::served::{Served, pid, ring};
use crate::support::shell::{Dice, Place, is_root, lines, skip};
use crate::support::wait::{always, must_last, wait_for};

/// Everybody is up, and sees everybody.
const ALL_UP: &str = "wait --node-up n1,n2,n3 --timeout 20s";
/// Nothing is missing anywhere.
const WHOLE: &str = "wait --in-sync --hints-drained --settled --timeout 60s";

/// The file system of some MiB that a directory is moved to; gone when dropped.
struct Medium<'a> {
    place: &'a Place,
    at: &'static str,
}

impl<'a> Medium<'a> {
    fn under(place: &'a Place, at: &'static str, mib: u32) -> Option<Self> {
        if !is_root() {
            skip("a node on a full disk: it takes root to mount one");
            return None;
        }
        let script = format!(
            "truncate -s {mib}M image && mkfs.ext4 -q image && mv {at} aside && mkdir {at} && \
             mount -o loop image {at} && cp -a aside/. {at}"
        );
        let told = place.sh(&script);
        if told.code != 0 {
            skip(&format!("a node on a full disk: none can be made: {}", told.err.trim()));
            return None;
        }
        Some(Self { place, at })
    }
}

impl Drop for Medium<'_> {
    fn drop(&mut self) {
        // The node's last moments may hold it; a mount that stays behind is worth a word.
        let told = self.place.sh(&format!("umount {0} || umount -l {0}", self.at));
        if told.code != 0 {
            skip(&format!("a mount stayed behind: {}", told.err));
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Seconds of processor time that a process has used.
fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let after = stat.rsplit(')').next().expect("its figures");
    let cells: Vec<f64> = after.split(' ').filter_map(|c| c.parse().ok()).collect();
    // After pid, name and state: utime and stime are the 11th and 12th, in hundredths.
    (cells[10] + cells[11]) / 100.0
}

/// Batches that a node has tried to commit, by its figures.
fn commits(place: &Place, name: &str) -> f64 {
    let info = place.kvs(&format!("node info {name}")).ends(0).text();
    let at = info.lines().find_map(|l| l.strip_prefix("metrics\t")).expect("an address");
    let mut stream = TcpStream::connect(at).expect("an endpoint");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").expect("a question");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("figures");
    let count = text.lines().find_map(|l| l.strip_prefix("kvs_commit_seconds_count "));
    count.and_then(|c| c.parse().ok()).unwrap_or(0.0)
}

#[test]
fn a_node_on_a_full_disk_answers_reads_and_heals_when_there_is_room() {
    let place = ring();
    let Some(_medium) = Medium::under(&place, "r/n2", 64) else { return };
    place.sh("head -c $(( $(stat -fc '%a*%S' r/n2) - 6000000 )) /dev/zero > r/n2/ballast").ends(0);
    let up = Served::up(&place);
    place.kvs(ALL_UP).ends(0);
    place.kvs("put -q acked v -w 3").ends(0);
    let all = lines(3_000, "v", 4_000);
    place.write("load", all.join("\n"));
    place.kvs("load -q load").ends(0);
    place.kvs("put -q late v -w 2").ends(0);

    place.kvs("status --check").ends(1).says("n2").says("out of space");
    assert!(place.kvs("status").ends(0).text().contains("no space"));
    place.kvs("get -q acked -r 3").ends(0).prints("v");
    place.write("large", vec![b'x'; 1 << 20]);
    place.kvs("put -q large @large -w 3").ends_in(&[4, 5]);
    let n2 = pid(&place, "n2").expect("a node that runs");
    // While the others try to deliver what it lacks it refuses; between two tries it is quiet.
    let is_quiet = || {
        let (before, cpu) = (commits(&place, "n2"), cpu_s(n2));
        must_last("a second of it", SECOND, always);
        commits(&place, "n2") - before < 10.0 && cpu_s(n2) - cpu < 0.3
    };
    assert!((0..8).any(|_| is_quiet()), "it never rests:\n{}", up.err());
    place.kvs("status --check").ends(1).says("out of space");

    place.sh("rm r/n2/ballast").ends(0);
    place.kvs(WHOLE).ends(0);
    wait_for("a ring in good health", || place.kvs("status --check").code == 0);
    place.kvs("put -q again v -w 3").ends(0);
    assert_eq!(place.dump().iter().filter(|l| l.contains(r#""key":"k"#)).count(), all.len());
    up.stops(0);
    place.is_sound_and_equal();
}

/// n1, n2, n3, each a process of its own.
fn three(place: &Place) -> [Served<'_>; 3] {
    let nodes = ["n1", "n2", "n3"].map(|name| Served::node(place, name));
    place.kvs(ALL_UP).ends(0);
    nodes
}

/// A sync that fails leaves nobody knowing what is on the disk: the node stops, and what it had
/// not committed it had not acknowledged.
#[test]
fn a_node_whose_sync_fails_stops_and_has_acknowledged_nothing_more() {
    let place = ring();
    if place.sh("strace -o /dev/null true").code != 0 {
        return skip("a node whose sync fails: there is no strace that may trace");
    }
    let (n1, n3) = (Served::node(&place, "n1"), Served::node(&place, "n3"));
    let strace = "strace -D -f -o /dev/null -e inject=fdatasync:error=EIO:when=40+";
    let n2 = Served::node_under(&place, "n2", strace);
    place.kvs(ALL_UP).ends(0);
    let (mut by_all, mut by_two) = (Vec::new(), Vec::new());
    for i in 0..200 {
        if n2.has_ended() {
            break;
        }
        if place.kvs(&format!("put -q all{i} v -w 3")).ends_in(&[0, 4, 5]).code == 0 {
            by_all.push(format!("all{i}"));
        }
        if place.kvs(&format!("put -q two{i} v")).ends_in(&[0, 5]).code == 0 {
            by_two.push(format!("two{i}"));
        }
    }
    assert_eq!(n2.end(), 8, "{}", n2.err());
    n2.says("The node's file failed, so it stopped");
    n2.says("check the disk, then start it again; if it fails again, rebuild it: kvs replace n2");
    assert!(by_all.len() > 5 && by_two.len() > 5, "{by_all:?} {by_two:?}");
    // Its own file holds what all three acknowledged.
    for key in &by_all {
        place.kvs(&format!("get -q -r 1 {key} --ring r/n2")).ends(0).prints("v");
    }
    place.kvs("put -q after v").ends(0);

    let n2 = Served::node(&place, "n2");
    place.kvs(ALL_UP).ends(0);
    place.kvs(WHOLE).ends(0);
    for key in by_all.iter().chain(&by_two) {
        place.kvs(&format!("get -q -r 3 {key}")).ends(0).prints("v");
    }
    [n1, n2, n3].into_iter().for_each(|node| node.stops(0));
    place.is_sound_and_equal();
}

/// A running node's file is damaged: what repair says to type works as it stands.
#[test]
fn a_damaged_file_of_a_running_node_is_replaced_as_advised() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs(ALL_UP).ends(0);
    place.kvs("put -q -w 3 k v").ends(0);
    let file = place.path("r/n2/data.mdb");
    let bytes = fs::read(&file).expect("a file");
    let open = fs::File::options().write(true).open(&file).expect("a file");
    // A zone in the ring's document, which a node reads when it starts.
    for at in (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"default")) {
        open.write_all_at(b"damaged", at as u64).expect("a zone");
    }
    place.kvs("repair --verify").ends(7).says("rebuild it: kvs node stop n2; kvs replace n2");
    place.kvs("node stop n2").ends(0);
    place.kvs("replace n2 --yes").ends(0);
    place.kvs("repair").ends(0);
    up.signal("TERM");
    up.end();
    place.is_sound_and_equal();
}

/// Puts `{name}0`, `{name}1`, … until told to end; the keys that were acknowledged.
fn writes(place: &Place, name: &str, end: &AtomicBool) -> Vec<String> {
    let keys = (0..).map(|i| format!("{name}{i}")).take_while(|_| !end.load(Ordering::SeqCst));
    keys.filter(|key| {
        let told = place.kvs(&format!("put -q --timeout 2s {key} v-{key}"));
        told.ends_in(&[0, 4, 5, 6, 9]).code == 0
    })
    .collect()
}

/// Every one of these keys has its value, on every node.
fn all_there(place: &Place, keys: &[String]) {
    let dump = place.dump();
    let lines = keys.iter().map(|k| format!(r#"{{"key":"{k}","value":"v-{k}"}}"#));
    let lost: Vec<_> = lines.filter(|l| dump.binary_search(l).is_err()).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[test]
fn a_second_copy_of_a_running_node_is_sent_away_and_harms_nobody() {
    let place = ring();
    place.kvs("put -q k v").ends(0);
    place.sh("mkdir x && cp -a r/n2 x/n2").ends(0);
    let nodes = three(&place);
    let end = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| writes(&place, "w", &end));
        let copy = Served::start(&place, "x", "node run x/n2 --listen 127.0.0.1:0");
        assert_eq!(copy.end(), 10, "{}", copy.err());
        end.store(true, Ordering::SeqCst);
        copy.says("kvs replace");
        assert!(!copy.err().contains("INFO linked"), "it took part: {}", copy.err());
        writer.join().expect("a writer")
    });
    assert!(!written.is_empty());
    assert!(!nodes.iter().any(Served::has_ended), "{}", nodes[1].err());
    assert!(!nodes[1].err().contains("link lost"), "{}", nodes[1].err());
    all_there(&place, &written);
    place.kvs("status --check").ends(0);
    nodes.into_iter().for_each(|node| node.stops(0));
    place.is_sound_and_equal();
}

#[test]
fn a_directory_is_served_by_one_process_and_the_next_one_waits_its_turn() {
    let place = ring();
    let first = Served::node(&place, "n1");
    place.kvs("node run r/n1 --timeout 100ms").ends(9).says("r/n1 is in use by node");
    let line = "node run r/n1 --timeout 30s --metrics off";
    let second = Served::start(&place, "second", line);
    second.says("waiting for node");
    first.stops(0);
    second.prints("ready n1 ");
    second.stops(0);
}

/// Under which actor the file of a stopped node stands.
fn actor(place: &Place, name: &str) -> kvs::clock::Actor {
    match sidecar::read(&place.path("r").join(name)).expect("a sidecar") {
        sidecar::Found::Valid(identity) => identity.actor,
        found => panic!("{found:?}"),
    }
}

/// Two ways to bring an older file back: the data alone, and all of it with its sidecar.
#[test]
fn c17_an_older_file_takes_a_new_actor_and_is_filled_before_it_counts() {
    let place = ring();
    let others = ["n1", "n3"].map(|name| Served::node(&place, name));
    let mut keys = Vec::new();
    for (round, part) in ["/data.mdb", ""].into_iter().enumerate() {
        place.sh("rm -rf old && cp -a r/n2 old").ends(0);
        let before = actor(&place, "n2");
        let node = Served::node(&place, "n2");
        place.kvs(ALL_UP).ends(0);
        for i in 0..8 {
            let key = format!("r{round}k{i}");
            place.kvs(&format!("put -q {key} v-{key} -w 3")).ends(0);
            keys.push(key);
        }
        node.stops(0);
        place.sh(&format!("rm -rf r/n2{part} && cp -a old{part} r/n2{part}")).ends(0);
        let node = Served::node(&place, "n2");
        node.says("records may have been lost; filling again");
        place.kvs(ALL_UP).ends(0);
        place.kvs(WHOLE).ends(0);
        place.kvs("status --check").ends(0);
        for key in &keys {
            place.kvs(&format!("get -q --strict -r 3 {key}")).ends(0).prints(&format!("v-{key}"));
        }
        node.stops(0);
        assert_ne!(actor(&place, "n2"), before, "r/n2{part} came back under its old actor");
    }
    others.into_iter().for_each(|node| node.stops(0));
    all_there(&place, &keys);
    place.is_sound_and_equal();
}

/// n2 and n1 acknowledged it; n2 comes back older, n1 is away, and n3 never had it.
#[test]
fn c03_a_node_that_lost_data_is_no_vote_for_absent() {
    let place = ring();
    place.sh("cp -a r/n2 old").ends(0);
    let (n1, n2) = (Served::node(&place, "n1"), Served::node(&place, "n2"));
    place.kvs("wait --node-up n1,n2 --timeout 20s").ends(0);
    place.kvs("put -q --strict k v-k").ends(0);
    n2.stops(0);
    n1.stops(0);
    place.sh("cp -a old/data.mdb r/n2/data.mdb").ends(0);
    let (n2, n3) = (Served::node(&place, "n2"), Served::node(&place, "n3"));
    n2.says("records may have been lost; filling again");
    place.kvs("wait --node-up n2,n3 --timeout 20s").ends(0);
    place.kvs("get --strict k").ends(4);
    place.kvs("get k").ends(4);
    let n1 = Served::node(&place, "n1");
    place.kvs(ALL_UP).ends(0);
    place.kvs(WHOLE).ends(0);
    place.kvs("get -q --strict -r 3 k").ends(0).prints("v-k");
    [n1, n2, n3].into_iter().for_each(|node| node.stops(0));
    place.is_sound_and_equal();
}

#[test]
fn a_node_that_knows_nobody_is_found_by_the_others() {
    let place = ring();
    let addresses = r"s/127.0.0.1:[0-9]*/127.0.0.1:1/";
    place.sh(&format!("rm r/n1/peers.yaml && sed -i {addresses} r/n2/peers.yaml")).ends(0);
    place.sh("grep -q 127.0.0.1:1$ r/n2/peers.yaml").ends(0);
    let nodes = three(&place);
    place.kvs("put -q -w 3 k v").ends(0);
    place.kvs("status --check").ends(0);
    // They have written down what they learned.
    wait_for("peers.yaml", || place.read("r/n1/peers.yaml").matches("address:").count() == 3);
    nodes.into_iter().for_each(|node| node.stops(0));
}

#[test]
fn an_address_that_is_none_of_this_machine_is_told() {
    let place = ring();
    for listen in ["nowhere.invalid:7000", "192.0.2.1:7000"] {
        let told = place.kvs(&format!("node run r/n1 --listen {listen} --timeout 5s")).ends(2);
        told.says(listen).says("node.yaml");
    }
    place.kvs("node run r/n1 --listen words").ends(2).says("words").says("HOST:PORT");
    place.sh("sed -i 's/^listen:.*/listen: 0.0.0.0:0/' r/n1/node.yaml").ends(0);
    place.kvs("node run r/n1").ends(2).says("advertise");
    place.sh("echo 'peers: [{id: 1, nme: n1}]' > r/n1/peers.yaml").ends(0);
    let node = Served::start(&place, "n1", "node run r/n1 --listen 127.0.0.1:0");
    node.says("peers.yaml is invalid");
    node.prints("ready n1 ");
    node.stops(0);
}

#[test]
fn a_node_with_another_key_is_not_let_in_and_says_so() {
    let place = ring();
    let others = ["n1", "n2"].map(|name| Served::node(&place, name));
    place.kvs("config keygen -q other.key").ends(0);
    place.sh("cp -p r/n3/ring.key right.key && cp -p other.key r/n3/ring.key").ends(0);
    let n3 = Served::node(&place, "n3");
    n3.says("a different ring key");
    let key = "--key-file r/ring.key --ring";
    let address = others[0].out().trim().rsplit(' ').next().expect("an address").to_owned();
    // As long as n1 has heard of no other it says of none that it is down.
    place.kvs(&format!("wait --node-up n1 --node-up n2 {key} {address}")).ends(0);
    let status = place.kvs(&format!("status --check {key} {address}")).ends(1).says("n3 is down");
    assert!(status.text().lines().any(|l| l.starts_with("n3\t") && l.contains("\tdown\t")));
    // The other two act once each has waited for n3 in vain.
    place.kvs(&format!("wait --node-up n1 --node-up n2 {key} {address}")).ends(0);
    place.kvs(&format!("put -q k v {key} {address}")).ends(0);
    place.kvs("status").ends_in(&[0, 9]);
    assert!(!others[0].err().contains("linked peer=\"n3\""), "{}", others[0].err());
    // With the right key it is let in, without a restart.
    place.sh("cp -p right.key r/n3/ring.key").ends(0);
    place.kvs(ALL_UP).ends(0);
    place.kvs(WHOLE).ends(0);
    others.into_iter().for_each(|node| node.stops(0));
    n3.stops(0);
    place.is_sound_and_equal();
}

/// Whom it strikes and when is seeded; what it is doing then is not.
#[test]
fn a_node_killed_ten_times_loses_nothing_that_was_acknowledged() {
    let place = ring();
    let mut nodes = three(&place).map(Some);
    let end = AtomicBool::new(false);
    let mut dice = Dice(7);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| writes(&place, "w", &end));
        for _ in 0..10 {
            let (which, ms) = (dice.below(3) as usize, dice.below(250));
            must_last("they all run", Duration::from_millis(ms), always);
            let node = nodes[which].take().expect("a node");
            node.signal("KILL");
            assert_eq!(node.end(), -9);
            nodes[which] = Some(Served::node(&place, ["n1", "n2", "n3"][which]));
        }
        end.store(true, Ordering::SeqCst);
        writer.join().expect("a writer")
    });
    assert!(!written.is_empty(), "nothing was acknowledged");
    place.kvs(ALL_UP).ends(0);
    all_there(&place, &written);
    place.kvs(WHOLE).ends(0);
    nodes.into_iter().flatten().for_each(|node| node.stops(0));
    all_there(&place, &written);
    place.is_sound_and_equal();
}

#[test]
fn a_clock_a_day_ahead_stops_nothing_and_is_told() {
    let place = ring();
    if !cfg!(feature = "planted") {
        return skip("a node whose clock is a day ahead: it takes the feature planted");
    }
    let others = ["n1", "n3"].map(|name| Served::node(&place, name));
    let n2 = Served::node_under(&place, "n2", "env KVS_PLANTED_CLOCK_MS=86400000");
    place.kvs(ALL_UP).ends(0);
    place.kvs("status --check").ends(1).says("the wall clock of n2 is 86").says("set it");
    for i in 0..6 {
        place.kvs(&format!("put -q --strict -w 3 k{i} v")).ends(0);
        place.kvs(&format!("get -q --strict -r 3 k{i}")).ends(0).prints("v");
    }
    place.kvs(WHOLE).ends(0);
    n2.stops(0);
    others.into_iter().for_each(|node| node.stops(0));
    place.is_sound_and_equal();
}
