//! Man pages and completions are what the binary says of itself; `UPDATE=1` writes them anew.
//!
//! A flag that changes without them is a failing test, and so is a page or script that its reader's
//! own tool (`mandoc`, `bash`, `zsh`, `fish`) does not take.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The completions, by shell: what their file is called.
const SHELLS: [(&str, &str); 3] = [("bash", "kvs.bash"), ("zsh", "_kvs"), ("fish", "kvs.fish")];
/// Pages that people write.
const WRITTEN: [&str; 2] = ["kvs-concepts.7", "kvs-fleet.5"];

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn kvs(args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvs"));
    command.args(args).env_remove("KVS_RING").env_remove("KVS_KEY_FILE");
    let out = command.output().expect("kvs runs");
    assert!(out.status.success(), "kvs {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry"));
    let name = |e: &fs::DirEntry| e.file_name().to_string_lossy().into_owned();
    entries.map(|e| (name(&e), fs::read(e.path()).expect("a file"))).collect()
}

/// Compares what is made with what is committed, or commits it.
fn same(dir: &str, made: &BTreeMap<String, Vec<u8>>) {
    let at = root(dir);
    if std::env::var_os("UPDATE").is_some() {
        for (name, bytes) in made {
            fs::write(at.join(name), bytes).expect("a file");
        }
    }
    let mut kept = files(&at);
    kept.retain(|name, _| !WRITTEN.contains(&name.as_str()));
    let (made_names, kept_names): (Vec<_>, Vec<_>) = (made.keys().collect(), kept.keys().collect());
    assert_eq!(made_names, kept_names, "{dir}/ holds other files than kvs makes; UPDATE=1");
    for (name, bytes) in made {
        assert!(kept[name] == *bytes, "{dir}/{name} is not what kvs makes; run with UPDATE=1");
    }
}

/// Whether a tool is here; says loudly when it is not.
fn has(tool: &str) -> bool {
    let here = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
    let here = here.is_ok_and(|o| o.status.success());
    if !here && let Some(list) = std::env::var_os("KVS_TEST_SKIPS") {
        let mut list =
            fs::OpenOptions::new().append(true).create(true).open(list).expect("the list");
        writeln!(list, "assets: {tool} is not installed").expect("a line");
    }
    here
}

fn takes(tool: &str, args: &[&str], file: &Path) {
    let out = Command::new(tool).args(args).arg(file).output().expect("the tool runs");
    let said =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{tool} does not take {}: {said}", file.display());
}

#[test]
fn man_pages_are_what_the_binary_says() {
    let dir = tempfile::tempdir().expect("a directory");
    kvs(&["completions", "--man", &dir.path().display().to_string()]);
    same("man", &files(dir.path()));
}

#[test]
fn completions_are_what_the_binary_says() {
    let made = SHELLS.map(|(shell, file)| (file.to_owned(), kvs(&["completions", shell])));
    same("completions", &made.into());
}

#[test]
fn every_command_has_a_page() {
    let help = String::from_utf8(kvs(&["--help"])).expect("text");
    let commands = help.split("Commands:").nth(1).expect("a list of commands");
    let names = commands.lines().skip(1).take_while(|l| !l.is_empty());
    let names: Vec<_> = names.filter_map(|l| l.split_whitespace().next()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names.iter().filter(|n| **n != "help") {
        assert!(root("man").join(format!("kvs-{name}.1")).exists(), "no page for {name}");
    }
}

#[test]
fn manual_readers_take_the_pages() {
    if !has("mandoc") {
        return;
    }
    for name in files(&root("man")).keys() {
        takes("mandoc", &["-Tlint", "-Wfatal"], &root("man").join(name));
    }
}

#[test]
fn shells_take_the_completions() {
    for (shell, file) in SHELLS {
        if has(shell) {
            takes(shell, &["-n"], &root("completions").join(file));
        }
    }
}
