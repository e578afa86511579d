//! Damage to the file of a node that runs: it is written to, asked, started anew, and healed.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::harm::{KINDS, Random, damage};
use super::{Case, KEYS, PAGE, Place, Table, from_env, hit, key, tables, value};

/// A ring that is served while its file is damaged under it, and served until the end.
struct Served {
    up: Child,
}

impl Served {
    fn begin(place: &Place) -> Self {
        let up = place.command("up r").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { up }
    }

    fn start(place: &Place) -> Self {
        let served = Self::begin(place);
        let said = place.kvs("wait --settled --timeout 30s");
        assert_eq!(said.code, Some(0), "{}", said.err);
        served
    }

    fn stop(mut self) {
        // One that could not start has ended already, and waits to be told of.
        let pid = self.up.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        self.up.wait().unwrap();
    }
}

/// Damages a file in its place, under whoever has it mapped.
fn damage_in_place(file: &Path, kind: &str, random: &mut Random) -> (String, Vec<String>) {
    let before = fs::read(file).unwrap();
    let mut bytes = before.clone();
    let at = damage(&mut bytes, kind, random);
    let open = fs::File::options().write(true).open(file).unwrap();
    for (page, (new, old)) in bytes.chunks(PAGE).zip(before.chunks(PAGE)).enumerate() {
        if new != old {
            open.write_all_at(new, (page * PAGE) as u64).unwrap();
        }
    }
    open.set_len(bytes.len() as u64).unwrap();
    (at, hit(&before, &bytes))
}

/// The first of so many ports in a row that nobody listens at.
fn free_ports(count: u16) -> u16 {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).ok();
    loop {
        let first = free(0).unwrap().local_addr().unwrap().port();
        let last = first.checked_add(count);
        if last.is_some_and(|last| (first..last).all(|port| free(port).is_some())) {
            return first;
        }
    }
}

/// A lone node that runs finds a part of the digests unreadable, and mends it: all records are there, and
/// what wrote meanwhile may not have seen them. Whoever reads the file says so.
#[test]
fn a_partition_that_could_not_be_read_is_a_loss_whatever_is_found_later() {
    let truth: BTreeMap<_, _> = (0..KEYS).map(|i| (key(i), value(i))).collect();
    let mut unread = 0;
    for at in 0..4 {
        let (place, base) = (Place::new(), free_ports(1));
        let line = format!("init r --nodes 1 --partitions 8 --listen 127.0.0.1:{base}");
        assert_eq!(place.kvs(&line).code, Some(0));
        place.load("load", 0..KEYS);
        assert_eq!(place.kvs("repair").code, Some(0));
        let served = Served::start(&place);
        let file = place.path("r/n1/data.mdb");
        let tables = tables(&fs::read(&file).unwrap());
        let Some(page) = tables["digests"].pages.iter().rev().nth(at) else { break };
        let open = fs::File::options().write(true).open(&file).unwrap();
        open.write_all_at(&[0; 512], (page * PAGE + 512) as u64).unwrap();
        let name = format!("page {page} of the digests");
        let mut case = Case::new(name, place, &truth, 1, true);
        case.is_as_it_says();
        case.is_as_it_says();
        unread += usize::from(case.run("verify").err.contains("may have lost records"));
        served.stop();
        case.runs = false;
        case.is_as_it_says();
        assert!(case.wrong.is_empty(), "{}", case.wrong.join("\n"));
    }
    assert!(unread > 0, "no page of the digests was one");
}

/// Damage under a ring that runs, which is written to, asked, and started anew; then healed.
fn one_served(seed: u64, nodes: usize, truth: &BTreeMap<String, String>) -> Case {
    let mut random = Random(seed);
    let kind = KINDS[seed as usize % KINDS.len()];
    let place = Place::new();
    let base = free_ports(nodes as u16);
    let line = format!("init r --nodes {nodes} --partitions 8 --listen 127.0.0.1:{base}");
    let made = place.kvs(&line);
    assert_eq!(made.code, Some(0), "{}", made.err);
    place.load("load", 0..KEYS);
    assert_eq!(place.kvs("repair").code, Some(0));
    let served = Served::start(&place);
    let (at, hit) = damage_in_place(&place.path("r/n1/data.mdb"), kind, &mut random);
    let name = format!("seed {seed} n1 of {nodes}, running, {kind}, {at}");
    let mut case = Case::new(name, place, truth, nodes, true);
    case.hit = hit;
    case.is_as_it_says();
    case.writes(KEYS..KEYS + 4);
    case.is_as_it_says();
    served.stop();
    // Whether it starts at all is its own affair; what it says then is not.
    let served = Served::begin(&case.place);
    case.run("wait --settled --timeout 5s");
    case.is_as_it_says();
    case.writes(KEYS + 4..KEYS + 8);
    let repaired = case.run("repair --verify");
    if repaired.code == Some(0) {
        case.is_healed();
    }
    served.stop();
    case.runs = false;
    case.is_as_it_says();
    case.heals_as_advised();
    case
}

#[test]
fn damage_under_a_running_ring_is_never_called_healthy_and_never_shown() {
    let (count, first) = (from_env("KVS_DAMAGES_RUNNING", 2), from_env("KVS_DAMAGE_SEED", 1));
    let truth: BTreeMap<_, _> = (0..KEYS).map(|i| (key(i), value(i))).collect();
    let (mut wrong, mut table) = (Vec::new(), Table::default());
    for seed in first..first + count {
        for nodes in [3, 1] {
            let case = one_served(seed, nodes, &truth);
            table.add(KINDS[seed as usize % KINDS.len()], nodes == 1, &case.codes);
            wrong.extend(case.wrong);
        }
    }
    if let Some(path) = std::env::var_os("KVS_DAMAGE_TABLE_RUNNING") {
        fs::write(path, table.text()).unwrap();
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
