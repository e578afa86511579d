//! Real input: the package database of a Debian machine, loaded into five nodes, half of it lost,
//! and all of it brought back by the commands an operator would type.
//!
//! ```text
//! half loaded - n2's data.mdb copied aside - other half loaded - one key deleted
//! n4's directory gone, n2's data.mdb the old copy   ->   diff, get, repair, replace, dump
//! ```
//!
//! Keys are names of packages, values their stanzas as they are. Skipped aloud without such a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::support::shell::{Place, size, skip};

const STATUS: &str = "/var/lib/dpkg/status";
const PARTITIONS: u32 = 128;

/// Names and stanzas; a name that comes twice gets its architecture.
fn packages() -> Option<BTreeMap<String, String>> {
    let bytes = fs::read(STATUS).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut found = BTreeMap::new();
    for stanza in text.split("\n\n").filter(|s| !s.trim().is_empty()) {
        let field = |name: &str| {
            let line = stanza.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().trim().to_owned()
        };
        let mut name = field("Package");
        if found.contains_key(&name) {
            name = format!("{name}:{}", field("Architecture"));
        }
        found.insert(name, stanza.to_owned());
    }
    (found.len() >= 4).then_some(found)
}

fn loaded(place: &Place, file: &str, records: &[(&String, &String)]) {
    let line = |(key, value): &(&String, &String)| json!({"key": key, "value": value}).to_string();
    place.write(file, records.iter().map(line).collect::<Vec<_>>().join("\n"));
    place.kvs(&format!("load {file}")).ends(0).says(&format!("wrote {} values", records.len()));
}

/// The rows of a plain table.
fn rows(place: &Place, line: &str, codes: &[i32]) -> Vec<Vec<String>> {
    let text = place.kvs(&format!("{line} --format plain")).ends_in(codes).text();
    text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
}

/// The partitions a node owns.
fn owned(place: &Place, node: &str) -> BTreeSet<String> {
    let rows = rows(place, "digest --depth 1", &[0]);
    rows.into_iter().filter(|r| r[0] == node).map(|r| r[1].clone()).collect()
}

/// A key's partition: the first bits of its hash.
fn partition(key: &str) -> String {
    let hash = blake3::hash(key.as_bytes());
    let position = u64::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash is long"));
    (position >> (64 - PARTITIONS.trailing_zeros())).to_string()
}

/// Keys and verdicts in which two nodes differ.
fn differences(place: &Place, a: &str, b: &str) -> BTreeMap<String, String> {
    let rows = rows(place, &format!("diff {a} {b}"), &[0, 1]);
    rows.into_iter().map(|r| (r[0].clone(), r[1].clone())).collect()
}

/// Actors under which a node has written the values of these keys.
fn actors<'k>(
    place: &Place,
    node: &str,
    keys: impl IntoIterator<Item = &'k String>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for key in keys {
        let told = place.args(&["get", key, "--format", "json"]).ends(0);
        let json: Value = serde_json::from_slice(&told.out).expect("JSON");
        let siblings = json["siblings"].as_array().cloned().unwrap_or_default();
        let dots = siblings.iter().map(|s| &s["dot"]).filter(|d| d["node"] == node);
        found.extend(dots.filter_map(|d| Some(d["actor"].as_str()?.to_owned())));
    }
    found
}

/// Every key reads as it should, or is refused; how many are refused.
fn reads_are_right(place: &Place, all: &BTreeMap<String, String>, deleted: &str) -> usize {
    let mut refused = 0;
    for (key, value) in all {
        let told = place.args(&["get", "-q", key]).sane();
        match told.code {
            4 => refused += 1,
            1 => assert_eq!(key, deleted, "a value that was acknowledged is gone"),
            _ => {
                let right = told.code == 0 && key != deleted && told.text() == *value;
                assert!(right, "{key}: {} {}", told.code, told.err);
            }
        }
    }
    refused
}

/// All that is on the ring, byte for byte, without the deleted key.
fn holds_all_but(place: &Place, all: &BTreeMap<String, String>, deleted: &str) {
    let line = |line: &str| {
        let json: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |name: &str| json[name].as_str().expect("text").to_owned();
        (text("key"), text("value"))
    };
    let lines: Vec<_> = place.kvs("dump -q").ends(0).text().lines().map(line).collect();
    let count = lines.len();
    let mut dumped: BTreeMap<_, _> = lines.into_iter().collect();
    assert_eq!(count, dumped.len(), "no key twice");
    assert_eq!(dumped.insert(deleted.to_owned(), all[deleted].clone()), None, "it stays deleted");
    assert!(dumped == *all, "{} records, {} loaded", dumped.len(), all.len());
}

/// What went wrong, and how `diff` names it before anything is mended; how many keys n2 lacks.
fn damaged(place: &Place, late: &[(&String, &String)], deleted: &str) -> usize {
    let mine = owned(place, "n2");
    fs::remove_dir_all(place.path("r/n4")).expect("a directory to lose");
    fs::rename(place.path("aside"), place.path("r/n2/data.mdb")).expect("an old copy");
    let late = late.iter().map(|(key, _)| (*key).clone());
    let missing: BTreeSet<String> = late.filter(|k| mine.contains(&partition(k))).collect();
    let mut met: BTreeMap<String, String> = BTreeMap::new();
    for other in ["n1", "n3", "n5"] {
        met.extend(differences(place, other, "n2"));
    }
    assert_eq!(met.remove(deleted).as_deref(), Some("deleted-in-one"));
    assert!(met.values().all(|verdict| verdict == "only-a"), "{met:?}");
    assert_eq!(met.into_keys().collect::<BTreeSet<_>>(), missing);
    for (a, b) in [("n1", "n3"), ("n1", "n5"), ("n3", "n5")] {
        assert_eq!(differences(place, a, b), BTreeMap::new(), "{a} {b}");
    }
    missing.len()
}

#[test]
fn the_packages_of_this_machine() {
    let Some(all) = packages() else {
        return skip("real input: there is no package database at the usual place");
    };
    let bytes: usize = all.values().map(String::len).sum();
    println!("{} packages, {bytes} bytes", all.len());
    let place = Place::ring(&format!("--nodes 5 --partitions {PARTITIONS}"));
    let records: Vec<_> = all.iter().collect();
    // Every second one is early, so that both halves are everywhere in the alphabet.
    let (early, late): (Vec<_>, Vec<_>) = (0..records.len()).partition(|i| i % 2 == 0);
    let pick = |at: &[usize]| at.iter().map(|i| records[*i]).collect::<Vec<_>>();
    let (early, late) = (pick(&early), pick(&late));
    loaded(&place, "early", &early);
    fs::copy(place.path("r/n2/data.mdb"), place.path("aside")).expect("a copy");
    loaded(&place, "late", &late);
    let mine = owned(&place, "n2");
    let deleted = early.iter().find(|r| mine.contains(&partition(r.0))).expect("a key of n2").0;
    place.args(&["delete", "-q", deleted]).ends(0);
    let keys = || all.keys().filter(|k| *k != deleted);
    let before = actors(&place, "n2", keys());
    let lacking = damaged(&place, &late, deleted);
    println!("n2's old copy lacks {lacking} keys and a deletion; all are named");
    let refused = reads_are_right(&place, &all, deleted);
    println!("{refused} of {} reads refused with two of five nodes harmed", all.len());
    place.kvs("repair --accept-missing n4").ends(7).says("n4");
    assert_eq!(reads_are_right(&place, &all, deleted), 0, "n2 is full again");
    place.kvs("replace n4 --yes").ends(0);
    place.kvs("repair").ends(0);
    place.is_sound_and_equal();
    holds_all_but(&place, &all, deleted);
    reads_are_right(&place, &all, deleted);
    // What n2 writes from now on it writes under another name, so no dot comes twice.
    let rest: Vec<_> = all.iter().filter(|(key, _)| *key != deleted).collect();
    loaded(&place, "again", &rest);
    let after = actors(&place, "n2", keys());
    assert!(before.len() == 1 && after.len() == 1 && before != after, "{before:?} {after:?}");
    place.kvs("repair").ends(0);
    place.is_sound_and_equal();
    holds_all_but(&place, &all, deleted);
    for node in ["n1", "n2", "n3", "n4", "n5"] {
        println!("{node}: {} bytes", size(&place.path(&format!("r/{node}/data.mdb"))));
    }
}
