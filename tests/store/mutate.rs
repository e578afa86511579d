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

mod harm;
mod place;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use self::harm::{KINDS, Random, damage, key_at};
use self::place::{Place, Said, dumped, key, value};
use super::pages::{PAGE, Tree, tables};

const KEYS: usize = 240;
const LATE: usize = 24;

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
    /// Those that the damage hit.
    hit: Vec<String>,
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
        let hit = Vec::new();
        Self { name, place, truth, maybe, late, hit, nodes, runs, wrong, codes, last }
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
        let some = [7, 40, 113, 239].map(key).into_iter().chain(self.hit.clone());
        for key in some.collect::<Vec<_>>() {
            let said = self.run(&format!("get {key}"));
            match said.code {
                Some(0) if said.out != self.truth[&key] => self.broken(&said, "altered"),
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
            let telling = ["lost", "out of order", "damaged page", "kvs replace"];
            let lossy = telling.iter().any(|words| verify.err.contains(words));
            // What a running node finds it heals, so what is healthy now may not have been before.
            let still = || !self.runs || self.place.kvs("verify").code != Some(0);
            if said.code == Some(0) && lossy && still() {
                self.broken(&said, "healthy, though records are lost");
            }
        }
        good
    }

    /// What is advised brings a ring of several back to what it was.
    fn heals_as_advised(&mut self) {
        if self.heal() {
            self.is_healed();
        } else if self.nodes > 1 {
            self.wrong.push(format!(
                "{}: not healed by what was advised: {:?}\n{}",
                self.name, self.codes, self.last
            ));
        }
    }

    /// What is read is true, and what says healthy is; whether it said so.
    fn is_as_it_says(&mut self) -> bool {
        self.reads();
        let healthy = self.checks();
        // A running ring of several heals meanwhile: what is whole now may not have been before.
        if healthy && (self.nodes == 1 || !self.runs) && !self.is_whole() {
            self.wrong.push(format!("{}: verify says 0 of a file that lacks records", self.name));
        }
        healthy
    }

    /// Of what was called healthy: it takes writes, and is as healthy after them.
    fn takes_writes(&mut self, keys: std::ops::Range<usize>) {
        let before = self.maybe.len();
        self.writes(keys);
        let refused = self.maybe.len() - before;
        let healthy = self.is_as_it_says();
        if refused > 0 || !healthy {
            let (name, last) = (&self.name, &self.last);
            self.wrong.push(format!("{name}: healthy, and then {refused} puts failed: {last}"));
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
    let good = bytes.clone();
    let at = damage(&mut bytes, kind, &mut random);
    fs::write(&file, &bytes).unwrap();
    let name = format!("seed {seed} n1 of {nodes}, {kind}, {at}");
    let mut case = Case::new(name, place, &template.1, nodes, false);
    case.hit = hit(&good, &bytes);
    if case.is_as_it_says() {
        case.takes_writes(KEYS + LATE..KEYS + LATE + 6);
    }
    case.heals_as_advised();
    case
}

/// The keys whose bytes differ, if they are few.
fn hit(good: &[u8], bytes: &[u8]) -> Vec<String> {
    let differ = good.iter().zip(bytes).enumerate().filter(|(_, (a, b))| a != b);
    let places: Vec<_> = differ.map(|(at, _)| at).take(2).collect();
    if places.len() > 1 {
        Vec::new()
    } else {
        places.iter().filter_map(|at| key_at(good, *at)).collect()
    }
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
    assert!(said.err.contains("values are lost in 1 of 8"), "{}", said.err);
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

/// A row of the digests that is nobody's: whoever reads all sums names the node, verify finds it, and a
/// repair mends it.
#[test]
fn a_malformed_row_of_the_digests_is_named_and_mended() {
    let place = Place::new();
    assert_eq!(place.kvs("init r --partitions 8").code, Some(0));
    place.load("load", 0..KEYS);
    assert_eq!(place.kvs("repair").code, Some(0));
    let file = place.path("r/n2/data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    let rows = &tables(&bytes)["digests"].rows;
    let leaf = rows.iter().map(|r| r.key.start).find(|at| bytes[*at] == b'q').unwrap();
    // A leaf of the first partition becomes a sum of the last, with a byte too many.
    bytes[leaf..leaf + 3].copy_from_slice(&[b'p', 0, 7]);
    fs::write(&file, bytes).unwrap();
    for line in ["status --check", "digest", "verify"] {
        let said = place.kvs(line);
        assert_eq!(said.code, Some(8), "{line}: {}", said.err);
        assert!(said.err.contains("kvs replace n2"), "{line}: {}", said.err);
    }
    for line in ["repair", "status --check", "verify", "digest"] {
        let said = place.kvs(line);
        assert_eq!(said.code, Some(0), "{line}: {}", said.err);
    }
    assert_eq!(dumped(&place.kvs("dump")).len(), KEYS);
}
