//! Damage at random places of one node's file, and what every command then says: the law of bytes at
//! rest. Nothing that is not so is called healthy, no altered value is shown, and what the tool advises
//! brings a ring of several back to what it was.
//!
//! ```text
//! one replica of three, a ring of four with hints, or a lone copy -> one damage to n1/data.mdb
//! one replica of three, or a lone copy, that runs  -> one damage, writes, a restart, more writes
//!   get dump verify status diff wait          0 means: it is so
//!   repair --verify, and what it advises      0 means: every copy holds every record again
//! ```
//!
//! `KVS_DAMAGES` is how many (a handful unless set), `KVS_DAMAGES_RUNNING` how many under rings that
//! run, `KVS_DAMAGE_SEED` the first seed; `KVS_DAMAGE_TABLE`
//! names a file for the table of what was said. Every damage is named by its seed and can be had again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use kvs::store::Store;
use tempfile::TempDir;

use super::damage::golden_directory;
use super::pages::{PAGE, Tree, tables};

const KEYS: usize = 240;
const LATE: usize = 24;

/// A generator whose numbers are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What is done to a file.
const KINDS: [&str; 15] = [
    "bit in a record",
    "bit in a key",
    "bit in a partition number",
    "bit in a hint",
    "bit in a leaf",
    "bit in ring or meta",
    "bit anywhere",
    "bit in a page head",
    "zeroed sector",
    "random page",
    "two pages swapped",
    "file cut short",
    "bit in a free page's number",
    "bit in an overflow page",
    "bit in a branch page",
];

/// A byte of one of those ranges, of whichever table.
fn any(
    tables: &BTreeMap<String, Tree>,
    of: impl Fn(&Tree) -> &Vec<Range<usize>>,
    random: &mut Random,
) -> Option<usize> {
    let all: Vec<_> = tables.values().flat_map(|t| of(t).iter().cloned()).collect();
    let one = all.get(random.below(all.len()))?;
    Some(one.start + random.below(one.len()))
}

/// Damages a file; a sentence that says where.
fn damage(bytes: &mut Vec<u8>, kind: &str, random: &mut Random) -> String {
    let tables = tables(bytes);
    let pages: Vec<usize> = tables.values().flat_map(|t| t.pages.clone()).collect();
    let flip = |bytes: &mut Vec<u8>, at: usize, random: &mut Random| {
        bytes[at] ^= 1 << random.below(8);
        format!("bit at {at}")
    };
    let row = |table: &str, random: &mut Random| {
        let rows = tables.get(table).map(|t| t.rows.clone()).unwrap_or_default();
        (!rows.is_empty()).then(|| rows[random.below(rows.len())].clone())
    };
    let place = match kind {
        "bit in a record" => {
            row("records", random).map(|r| r.value.start + random.below(r.value.len()))
        }
        "bit in a key" => {
            row("records", random).map(|r| r.key.start + 2 + random.below(r.key.len() - 2))
        }
        "bit in a partition number" => {
            row("records", random).map(|r| r.key.start + random.below(2))
        }
        "bit in a hint" => row("hints", random).map(|r| {
            let at = random.below(r.key.len() + r.value.len());
            if at < r.key.len() { r.key.start + at } else { r.value.start + at - r.key.len() }
        }),
        "bit in a leaf" => {
            row("digests", random).map(|r| r.value.start + random.below(r.value.len()))
        }
        "bit in ring or meta" => {
            let table = if random.below(2) == 0 { "meta" } else { "ring" };
            row(table, random).map(|r| r.value.start + random.below(r.value.len().max(1)))
        }
        "bit in a free page's number" => row("free", random).map(|r| {
            // The low bytes of a number behind the count of them: one that is in the file.
            let numbers = r.value.len().saturating_sub(8) / 8;
            r.value.start + 8 + random.below(numbers) * 8 + random.below(2)
        }),
        "bit in an overflow page" => any(&tables, |t| &t.overflow, random),
        "bit in a branch page" => any(&tables, |t| &t.branches, random),
        "bit in a page head" => Some(pages[random.below(pages.len())] * PAGE + random.below(64)),
        "bit anywhere" => Some(random.below(bytes.len())),
        _ => None,
    };
    if let Some(at) = place {
        return flip(bytes, at.min(bytes.len() - 1), random);
    }
    let page = pages[random.below(pages.len())];
    match kind {
        "zeroed sector" => {
            let at = page * PAGE + random.below(8) * 512;
            bytes[at..at + 512].fill(0);
            format!("sector at {at}")
        }
        "random page" => {
            bytes[page * PAGE..(page + 1) * PAGE].fill_with(|| random.next() as u8);
            format!("page {page}")
        }
        "two pages swapped" => {
            let other = pages[random.below(pages.len())];
            for i in 0..PAGE {
                bytes.swap(page * PAGE + i, other * PAGE + i);
            }
            format!("pages {page} and {other}")
        }
        "file cut short" => {
            bytes.truncate(random.below(bytes.len()));
            format!("{} bytes left", bytes.len())
        }
        _ => flip(bytes, page * PAGE + random.below(PAGE), random),
    }
}

/// A directory with a ring in it.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvs"));
        command.args(line.split(' ')).current_dir(self.dir.path()).env_clear();
        command.env("KVS_RING", "r").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; one that hangs is ended, with a code that is none of ours.
    fn kvs(&self, line: &str) -> Said {
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_kvs")]).args(line.split(' '));
        command.current_dir(self.dir.path()).env_clear().env("KVS_RING", "r");
        Said::of(line, &command.stdin(Stdio::null()).output().unwrap())
    }

    fn load(&self, line: &str, keys: impl Iterator<Item = usize>) {
        let lines: String = keys
            .map(|i| format!("{{\"key\":\"{}\",\"value\":\"{}\"}}\n", key(i), value(i)))
            .collect();
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{line}");
    }

    /// A copy of all directories.
    fn copy(&self) -> Self {
        let copy = Self::new();
        copy_dir(&self.path("r"), &copy.path("r"));
        copy
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn key(i: usize) -> String {
    format!("key-{i:05}")
}

fn value(i: usize) -> String {
    let size = if i.is_multiple_of(40) { 6_000 } else { 20 + i % 90 };
    format!("value {i} {}", "x".repeat(size))
}

/// What a command said.
struct Said {
    line: String,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(line: &str, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            line: line.into(),
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

/// The values of a dump, by key.
fn dumped(said: &Said) -> BTreeMap<String, String> {
    let read = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        (json["key"].as_str().unwrap().to_owned(), json["value"].as_str().unwrap_or("?").to_owned())
    };
    said.out.lines().map(read).collect()
}

/// The truth, and what to hold commands against it with.
struct Case {
    name: String,
    place: Place,
    /// All keys and values that were acknowledged.
    truth: BTreeMap<String, String>,
    /// Those that were written and not acknowledged: they may be there, and as they were written.
    maybe: BTreeSet<String>,
    /// Those that were written after the damage.
    late: BTreeSet<String>,
    nodes: usize,
    runs: bool,
    wrong: Vec<String>,
    codes: Vec<(String, Option<i32>)>,
    last: String,
}

impl Case {
    fn new(
        name: String,
        place: Place,
        truth: &BTreeMap<String, String>,
        nodes: usize,
        runs: bool,
    ) -> Self {
        let (truth, last) = (truth.clone(), String::new());
        let (maybe, late, wrong, codes) = (BTreeSet::new(), BTreeSet::new(), vec![], vec![]);
        Self { name, place, truth, maybe, late, nodes, runs, wrong, codes, last }
    }

    /// What a dump found is missing, altered or made up.
    fn differs(&self, found: &BTreeMap<String, String>) -> bool {
        let altered = |(key, value): (&String, &String)| {
            !self.maybe.contains(key) && self.truth.get(key) != Some(value)
        };
        self.lacks(found) || found.iter().any(altered)
    }

    fn lacks(&self, found: &BTreeMap<String, String>) -> bool {
        self.truth.keys().any(|key| !found.contains_key(key))
    }

    /// Goes on writing, whatever the file is like now.
    fn writes(&mut self, keys: std::ops::Range<usize>) {
        for i in keys {
            let said = self.run(&format!("put -q {} value-{i}", key(i)));
            self.late.insert(key(i));
            match said.code {
                Some(0) => drop(self.truth.insert(key(i), format!("value-{i}"))),
                _ => drop(self.maybe.insert(key(i))),
            }
        }
    }

    fn run(&mut self, line: &str) -> Said {
        let said = self.place.kvs(line);
        let code = said.code;
        if !matches!(code, Some(0..=10)) {
            self.broken(&said, "ended in a way that is none");
        }
        self.last.clone_from(&said.err);
        let line = line.split(" --timeout").next().unwrap_or(line);
        let line = if line.starts_with("put") { "put" } else { line };
        self.codes.push((line.to_owned(), code));
        said
    }

    fn broken(&mut self, said: &Said, what: &str) {
        let line = &said.line;
        self.wrong
            .push(format!("{}: kvs {line} [{:?}] {what}\n{}\n", self.name, said.code, said.err));
    }

    /// The only node of a running ring ends when it meets what it cannot read.
    fn has_ended(&self, said: &Said) -> bool {
        self.runs && self.nodes == 1 && matches!(said.code, Some(6 | 9))
    }

    /// No value is shown that was never written; with 0, none is missing.
    fn reads(&mut self) {
        for i in [7, 40, 113, 239] {
            let said = self.run(&format!("get {}", key(i)));
            match said.code {
                Some(0) if said.out != value(i) => self.broken(&said, "altered"),
                Some(1) => self.broken(&said, "said absent"),
                Some(0 | 4 | 8) => {}
                _ if self.has_ended(&said) => {}
                _ => self.broken(&said, "neither read nor refused"),
            }
        }
        let said = self.run("dump");
        self.is_dump_true(&said);
    }

    fn is_dump_true(&mut self, said: &Said) {
        let found = dumped(said);
        let maybe = |key| self.maybe.contains(key);
        if found.iter().any(|(key, value)| !maybe(key) && self.truth.get(key) != Some(value)) {
            self.broken(said, "shows an altered value");
        }
        if said.code == Some(0) && self.lacks(&found) {
            self.broken(said, "is a part only");
        }
        if !matches!(said.code, Some(0 | 4 | 8)) && !self.has_ended(said) {
            self.broken(said, "neither whole nor refused");
        }
    }

    /// Whether n1 alone holds all that it should: as its own dump says, key by key.
    fn is_whole(&mut self) -> bool {
        let line = match self.nodes {
            1 => "dump -r 1",
            3 => "dump -r 1 --down n2,n3",
            // Of four each owns a part only.
            _ => return true,
        };
        let mut found = dumped(&self.place.kvs(line));
        if self.nodes > 1 {
            // One that was down when these were written has them not, and need not have lost them.
            let late = self.truth.iter().filter(|(key, _)| self.late.contains(*key));
            let late: Vec<_> = late.map(|(k, v)| (k.clone(), v.clone())).collect();
            for (key, value) in late {
                found.entry(key).or_insert(value);
            }
        }
        !self.differs(&found)
    }

    /// What says healthy is healthy, as far as each command reads.
    fn checks(&mut self) -> bool {
        let verify = self.run("verify");
        let good = verify.code == Some(0);
        for line in ["status --check", "wait --in-sync --timeout 2s", "diff n1 n2"] {
            if self.nodes == 1 && line.starts_with("diff") {
                continue;
            }
            let said = self.run(line);
            // They read keys and digests, not values: rot in a value is for verify.
            let lossy = verify.err.contains("lost") || verify.err.contains("out of order");
            // What a running node finds it heals, so what is healthy now may not have been before.
            let still = || !self.runs || self.place.kvs("verify").code != Some(0);
            if said.code == Some(0) && lossy && still() {
                self.broken(&said, "healthy, though records are lost");
            }
        }
        good
    }

    /// What is read is true, and what says healthy is.
    fn is_as_it_says(&mut self) {
        self.reads();
        // A running ring of several heals meanwhile: what is whole now may not have been before.
        if self.checks() && (self.nodes == 1 || !self.runs) && !self.is_whole() {
            self.wrong.push(format!("{}: verify says 0 of a file that lacks records", self.name));
        }
    }

    /// After a repair that said 0 everything says so, and is so.
    fn is_healed(&mut self) {
        let mut lines = vec!["verify", "status --check", "wait --in-sync --timeout 2s"];
        if self.nodes > 1 {
            lines.push("diff n1 n2");
        }
        for line in lines {
            let said = self.run(line);
            if said.code != Some(0) {
                self.broken(&said, "after a repair that said 0");
            }
        }
        if self.nodes > 1 {
            let said = self.run("dump -r 3");
            self.is_dump_true(&said);
            if said.code != Some(0) || self.lacks(&dumped(&said)) {
                self.broken(&said, "after a repair that said 0");
            }
        }
    }

    /// Does what is advised until nothing is.
    fn heal(&mut self) -> bool {
        let mut said = self.run("repair --verify");
        for _ in 0..4 {
            let next = if said.code == Some(0) {
                break;
            } else if said.err.contains("kvs replace n1") {
                "replace n1 --yes"
            } else if said.err.contains("kvs repair --accept-losses") {
                "repair --accept-losses"
            } else {
                "repair"
            };
            if self.nodes == 1 && next.starts_with("replace") {
                return false;
            }
            said = self.run(next);
            if said.code == Some(0) && next.starts_with("replace") {
                said = self.run("repair");
            }
        }
        said.code == Some(0)
    }
}

/// A ring with a record of every kind, and some hints; what is in it.
fn template(nodes: usize) -> (Place, BTreeMap<String, String>) {
    let place = Place::new();
    let made = place.kvs(&format!("init r --nodes {nodes} --partitions 8"));
    assert_eq!(made.code, Some(0), "{}", made.err);
    place.load("load", 0..KEYS);
    if nodes > 1 {
        assert_eq!(place.kvs("repair").code, Some(0));
        // Acknowledged hints where there is a fourth node, references where there is not.
        let down = if nodes > 3 { "n3,n4" } else { "n3" };
        place.load(&format!("load --down {down} --blind"), KEYS..KEYS + LATE);
    }
    let keys = if nodes > 1 { KEYS + LATE } else { KEYS };
    (place, (0..keys).map(|i| (key(i), value(i))).collect())
}

fn one(seed: u64, nodes: usize, template: &(Place, BTreeMap<String, String>)) -> Case {
    let mut random = Random(seed);
    let kind = KINDS[seed as usize % KINDS.len()];
    let place = template.0.copy();
    let file = place.path("r/n1/data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    let at = damage(&mut bytes, kind, &mut random);
    fs::write(&file, bytes).unwrap();
    let name = format!("seed {seed} n1 of {nodes}, {kind}, {at}");
    let mut case = Case::new(name, place, &template.1, nodes, false);
    case.is_as_it_says();
    if case.heal() {
        case.is_healed();
    } else if nodes > 1 {
        case.wrong.push(format!(
            "{}: not healed by what was advised: {:?}\n{}",
            case.name, case.codes, case.last
        ));
    }
    case
}

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
fn damage_in_place(file: &Path, kind: &str, random: &mut Random) -> String {
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
    at
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
    let at = damage_in_place(&place.path("r/n1/data.mdb"), kind, &mut random);
    let name = format!("seed {seed} n1 of {nodes}, running, {kind}, {at}");
    let mut case = Case::new(name, place, truth, nodes, true);
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
    if case.heal() {
        case.is_healed();
    } else if nodes > 1 {
        case.wrong.push(format!(
            "{}: not healed by what was advised: {:?}\n{}",
            case.name, case.codes, case.last
        ));
    }
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

fn from_env(name: &str, default: u64) -> u64 {
    let text = std::env::var_os(name).and_then(|text| text.into_string().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_damage_is_never_called_healthy_and_never_shown() {
    let (count, first) = (from_env("KVS_DAMAGES", 12), from_env("KVS_DAMAGE_SEED", 1));
    let templates = [3, 4, 1].map(|nodes| (nodes, template(nodes)));
    let (mut wrong, mut table) = (Vec::new(), Table::default());
    for seed in first..first + count {
        let kind = KINDS[seed as usize % KINDS.len()];
        // Of three, a node keeps references only; of four, hints that were acknowledged.
        let hints = kind == "bit in a hint";
        for (nodes, template) in templates.iter().filter(|(n, _)| *n != if hints { 3 } else { 4 }) {
            let case = one(seed, *nodes, template);
            table.add(kind, *nodes == 1, &case.codes);
            wrong.extend(case.wrong);
        }
    }
    if let Some(path) = std::env::var_os("KVS_DAMAGE_TABLE") {
        fs::write(path, table.text()).unwrap();
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// How often each command ended with each code.
type Row = BTreeMap<String, BTreeMap<String, usize>>;

/// How often each command ended with each code, by kind of damage.
#[derive(Default)]
struct Table {
    rows: BTreeMap<(bool, &'static str), Row>,
}

impl Table {
    fn add(&mut self, kind: &'static str, lone: bool, codes: &[(String, Option<i32>)]) {
        let row = self.rows.entry((lone, kind)).or_default();
        for (line, code) in codes {
            let line = if line.starts_with("get") { "get" } else { line.as_str() };
            let code = code.map_or("signal".into(), |code| code.to_string());
            *row.entry(line.to_owned()).or_default().entry(code).or_default() += 1;
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for ((lone, kind), commands) in &self.rows {
            let of = if *lone { "lone copy" } else { "one of three" };
            writeln!(text, "{of}, {kind}").unwrap();
            for (line, codes) in commands {
                let codes: Vec<_> = codes.iter().map(|(code, n)| format!("{code}: {n}")).collect();
                writeln!(text, "    {line:32} {}", codes.join("  ")).unwrap();
            }
        }
        text
    }
}

/// The healthy one of two copies is lost, and the other lacks a record: that is counted before anybody
/// agrees, and told until it is accepted.
#[test]
fn a_ring_cut_down_to_a_lossy_copy_says_what_is_lost() {
    let place = Place::new();
    assert_eq!(place.kvs("init r --nodes 2 --replicas 2 --partitions 8").code, Some(0));
    place.load("load", 0..KEYS);
    assert_eq!(place.kvs("repair").code, Some(0));
    let file = place.path("r/n1/data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    let row = tables(&bytes)["records"].rows[KEYS / 2].clone();
    bytes[row.key.start + 2] ^= 1;
    fs::write(&file, bytes).unwrap();
    fs::remove_dir_all(place.path("r/n2")).unwrap();
    let said = place.kvs("ring recover --accept-minority --replicas 1 --yes");
    assert!(said.err.contains("values are lost: 1 of 8"), "{}", said.err);
    assert_eq!(said.code, Some(7), "{}", said.err);
    for line in ["repair", "repair --verify"] {
        let said = place.kvs(line);
        assert_eq!(said.code, Some(8), "{line}: {}", said.err);
        assert!(said.err.contains("has lost 1 record"), "{line}: {}", said.err);
    }
    let said = place.kvs("repair --accept-losses");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(dumped(&place.kvs("dump")).len(), KEYS - 1);
    assert_eq!(place.kvs("verify").code, Some(0));
}

/// How many bytes the rows of the sealed tables have.
fn row_lengths(dir: &Path) -> [Vec<usize>; 3] {
    let bytes = fs::read(dir.join("data.mdb")).unwrap();
    let tables = tables(&bytes);
    ["meta", "ring", "hints"].map(|name| tables[name].rows.iter().map(|r| r.value.len()).collect())
}

/// A file of format 1 has no seals; whoever writes next puts them on. One of format 2 has them and
/// keeps them as they are.
#[test]
fn a_file_without_seals_is_sealed_by_the_next_writer_and_one_with_seals_keeps_them() {
    for (format, seal) in [("v1", 16), ("v2", 0)] {
        let dir = golden_directory(format);
        let before = row_lengths(dir.path());
        super::writer(dir.path()).apply(&super::puts(0..1, 0, 10)).unwrap();
        let after = row_lengths(dir.path());
        for table in [1, 2] {
            let sealed: Vec<_> = before[table].iter().map(|n| n + seal).collect();
            assert_eq!(after[table], sealed, "{format}");
        }
        assert!(after[0].iter().all(|n| *n >= 20), "{format}: {:?}", after[0]);
        assert!(super::writer(dir.path()).bad_hints().unwrap().is_empty(), "{format}");
    }
}
