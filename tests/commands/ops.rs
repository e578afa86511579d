//! Operating a ring: transcripts of what goes wrong with files, nodes and members, and of the mend.
//!
//! Each file of `testdata/ops` is one story, told with the binary in a fresh directory. Besides
//! `kvs` and `sh` a line may be one of:
//!
//! ```text
//! flip FILE TEXT     changes one bit of TEXT wherever it stands in a file, as rot does
//! lock DIR           holds a node's lock, as another process would, until `unlock`
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use kvs::store::lock::{Holder, Lock, Want};

use crate::support::run::{World, binary, words};

#[test]
fn ops_transcripts() {
    crate::support::golden::run("ops", || {
        let mut world = World::new();
        let mut locks = Vec::new();
        move |line| match words(line).iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["flip", file, text] => flip(&world.path(file), text.as_bytes()),
            ["lock", dir] => {
                let holder = Holder { kind: "kvs-test".into(), pid: 1, address: None };
                let want = Want::Exclusive(holder);
                locks.push(Lock::wait(&world.path(dir), &want, Duration::ZERO).expect("the lock"));
                String::new()
            }
            ["unlock"] => {
                locks.clear();
                String::new()
            }
            _ => world.run(line),
        }
    });
}

/// Changes a bit of every copy of the text, also of those on pages that are free.
fn flip(file: &Path, text: &[u8]) -> String {
    let mut bytes = fs::read(file).expect("a file to damage");
    let found: Vec<_> =
        (0..=bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    assert!(!found.is_empty(), "{}: the text is not in it", file.display());
    found.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(file, bytes).expect("a file to damage");
    String::new()
}

/// Someone who may only read: reading works and writing is refused, nothing changed.
#[test]
fn ops_read_only_directory() {
    const NOBODY: u32 = 65_534;
    let mut world = World::new();
    world.run("kvs -q init r --partitions 8");
    world.run("kvs put a 1");
    let root =
        fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    for name in [".", "r", "r/n1", "r/n2", "r/n3"] {
        let dir = world.path(name);
        for entry in fs::read_dir(&dir).expect("a directory").flatten() {
            if entry.path().is_file() {
                let mode = fs::Permissions::from_mode(0o444);
                fs::set_permissions(entry.path(), mode).expect("a mode");
            }
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).expect("a mode");
    }
    let mut as_reader = |line: &str| {
        let mut command = world.command(binary());
        command.args(words(line));
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        match command.output() {
            Ok(output) => world.told(&output),
            Err(_) => "unreachable".into(), // the binary is where nobody else may run it
        }
    };
    let got = as_reader("get a");
    let put = as_reader("put a 2");
    let digest = as_reader("digest");
    for name in [".", "r", "r/n1", "r/n2", "r/n3"] {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.path(name), mode).expect("a mode");
    }
    if got == "unreachable" {
        return crate::support::shell::skip(
            "a read-only directory: another user cannot run the binary",
        );
    }
    assert_eq!(got, "1\n");
    assert!(digest.lines().count() == 3 && !digest.contains("[exit"), "{digest}");
    assert!(put.ends_with("[exit 10]\n"), "{put}");
}
