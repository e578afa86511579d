//! What a repair does with replicas that differ: scripts of situations, and the report of each.
//!
//! Each file of `testdata/repair` is one situation of a ring of directories. A line is one of:
//!
//! ```text
//! ring NAME…                 makes a ring of these members, each with a copy of everything up to N=3
//! put KEY VALUE NAME…        writes while only these members are there; the others miss it
//! delete KEY NAME…           deletes while only these members are there
//! flip NAME TEXT             changes a bit of TEXT wherever it stands in a member's file, as rot does
//! lose NAME                  a member's data file is gone
//! repair [OPTION…]           verify, losses, down=NAME, without=NAME: what was done and what is left
//! copies                     what each member holds of each key that was written
//! ```
//!
//! `UPDATE=1 cargo test` rewrites the answers. Caveat: members are files in one process, so what a
//! repair does under load is not here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use kvs::cluster::{Access, Cluster, Opening};
use kvs::error::Result;
use kvs::key::{Key, Q};
use kvs::node_dir::{MemberSpec, RingSpec, create_ring};
use kvs::quorum::{Item, Options, Precondition};
use kvs::repair::{RepairOptions, Report, repair};
use kvs::store::Store;
use tempfile::TempDir;

#[path = "../support/mod.rs"]
mod support;

const PARTITIONS: u32 = 8;
const REPLICAS: u8 = 3;

#[test]
fn repair_situations() {
    support::golden::run("repair", || {
        let mut situation = Situation::new();
        move |line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let answer = match &words[..] {
                ["ring", names @ ..] => situation.ring(names),
                ["put", key, value, names @ ..] => situation.write(key, Some(value), names),
                ["delete", key, names @ ..] => situation.write(key, None, names),
                ["flip", name, text] => situation.flip(name, text.as_bytes()),
                ["lose", name] => situation.lose(name),
                ["repair", options @ ..] => situation.repair(options),
                ["copies"] => situation.copies(),
                _ => panic!("{line}: no such line"),
            };
            answer.unwrap_or_else(|error| format!("! {error}\n"))
        }
    });
}

/// A ring of directories, and what was written there.
struct Situation {
    place: TempDir,
    names: Vec<String>,
    keys: BTreeSet<String>,
}

impl Situation {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        Self { place, names: Vec::new(), keys: BTreeSet::new() }
    }

    fn ring(&mut self, names: &[&str]) -> Result<String> {
        let member = |name: &&str| MemberSpec {
            name: (*name).to_owned(),
            zone: "default".into(),
            weight: 1,
            listen: None,
        };
        let members = names.iter().map(member).collect();
        self.names = names.iter().map(|name| (*name).to_owned()).collect();
        let ring = RingSpec { q: Q::new(PARTITIONS)?, replicas: REPLICAS, members };
        create_ring(&self.place.path().join("r"), &ring)?;
        Ok(String::new())
    }

    fn open(&self, access: Access, down: Vec<String>) -> Result<Cluster> {
        Cluster::open(&Opening {
            specs: vec![self.place.path().join("r").display().to_string()],
            access,
            timeout: Duration::from_secs(10),
            down,
            lost: None,
            key_file: None,
            mixed: false,
            zone: None,
            purpose: "test".into(),
        })
    }

    fn write(&mut self, key: &str, value: Option<&&str>, names: &[&str]) -> Result<String> {
        self.keys.insert(key.to_owned());
        let down = self.names.iter().filter(|name| !names.contains(&name.as_str()));
        let mut cluster = self.open(Access::Write, down.cloned().collect())?;
        let value = value.map(|value| (value.as_bytes().to_vec(), None));
        let key = Key::new(key.as_bytes())?;
        let item = Item { key, value, basis: Precondition::Overwrite { force: true } };
        let w = u8::try_from(names.len()).ok().map(|n| n.min(REPLICAS));
        let reply = cluster.put(item, &Options { w, timeout_ms: 10_000, ..Options::default() })?;
        Ok(format!("{} of {} owners, {} hinted\n", reply.acks, reply.n, reply.hinted))
    }

    /// Changes a bit of every copy of the text, also of those on pages that are free.
    fn flip(&self, name: &str, text: &[u8]) -> Result<String> {
        let file = self.place.path().join("r").join(name).join("data.mdb");
        let mut bytes = fs::read(&file).expect("a file to damage");
        let found: Vec<_> =
            (0..=bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
        assert!(!found.is_empty(), "{name}: the text is not in its file");
        found.iter().for_each(|at| bytes[*at] ^= 1);
        fs::write(file, bytes).expect("a file to damage");
        Ok(String::new())
    }

    fn lose(&self, name: &str) -> Result<String> {
        fs::remove_file(self.place.path().join("r").join(name).join("data.mdb")).expect("a file");
        Ok(String::new())
    }

    fn repair(&self, options: &[&str]) -> Result<String> {
        let after = |prefix: &str| {
            let names = options.iter().filter_map(|option| option.strip_prefix(prefix));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let wanted = RepairOptions {
            verify: options.contains(&"verify"),
            accept_losses: options.contains(&"losses"),
            accept_missing: after("without="),
            ..RepairOptions::default()
        };
        let mut down = after("down=");
        down.extend(after("without="));
        let mut cluster = self.open(Access::Write, down)?;
        let report = repair(&mut cluster, &wanted, &mut |_, _, _| true)?;
        Ok(told(&report))
    }

    fn copies(&self) -> Result<String> {
        let cluster = self.open(Access::Read, Vec::new())?;
        let doc = cluster.doc();
        let mut text = String::new();
        for name in &self.keys {
            let key = Key::new(name.as_bytes())?;
            write!(text, "{name}:").expect("a string");
            for member in doc.present() {
                let held = cluster.store(member.id).map(|store| held(store, doc.q, &key));
                let held = held.unwrap_or_else(|| "closed".into());
                write!(text, " {}={held}", member.name).expect("a string");
            }
            text.push('\n');
        }
        Ok(text)
    }
}

/// What a member holds of a key, in a word.
fn held(store: &dyn Store, q: Q, key: &Key) -> String {
    let stored = match store.get(q.partition(key), key) {
        Ok(Some(stored)) => stored,
        Ok(None) => return "-".into(),
        Err(_) => return "unreadable".into(),
    };
    let Ok(record) = stored.record(key) else { return "unreadable".into() };
    let values = record.visible(0).into_iter().map(|(_, value)| value.bytes.clone());
    let mut values: Vec<_> =
        values.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    values.sort(); // their dots are drawn at random
    if values.is_empty() { "deleted".into() } else { values.join("|") }
}

/// A report as lines, what is empty left out.
fn told(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() && value != "0" {
            writeln!(text, "{name} {value}").expect("a string");
        }
    };
    let counted = |rows: &[(String, usize)]| {
        rows.iter().map(|(name, n)| format!("{name}:{n}")).collect::<Vec<_>>().join(" ")
    };
    line("hints delivered", report.hints.0.to_string());
    line("hints left", report.hints.1.to_string());
    line("records moved", report.moved.to_string());
    line("damaged", report.damaged.to_string());
    line("filling", counted(&report.filling));
    line("missing", report.missing.join(" "));
    line("broken", report.broken.join(" "));
    let lost = report.lost.iter().map(|(name, p, _)| format!("{name}:{}", p.0));
    line("lost", lost.collect::<Vec<_>>().join(" "));
    line("bad", counted(&report.bad));
    let apart = report.apart.iter().map(|(a, b, n)| format!("{a}/{b}:{n}"));
    line("apart", apart.collect::<Vec<_>>().join(" "));
    line("alone", counted(&report.alone));
    line("dropped", report.dropped.to_string());
    line("complete", if report.is_complete() { "yes" } else { "no" }.into());
    text
}
