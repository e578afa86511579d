//! Files that somebody else has written: whatever is in them, a command ends in time and says so.
//!
//! A node's directory is altered file by file by the mutator of `fuzz`, and read by the binary: by a
//! process of its own, because a mapped file can end one by a signal.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::fuzz::Mixer;
use crate::support::shell::ended;

/// Alterations of each file.
const RUNS: usize = 12;
/// No command takes longer, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the binary in a directory: its exit code, none when it was ended by a signal.
fn kvs(dir: &Path, line: &str) -> Option<i32> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kvs"));
    command.current_dir(dir).env_clear().args(line.split(' ')).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let code = ended(line.to_owned(), command.spawn().unwrap(), PATIENCE).code;
    Some(code).filter(|code| *code >= 0)
}

#[test]
fn whatever_a_file_holds_a_command_ends_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(kvs(dir.path(), "init r -q --nodes 4 --partitions 8"), Some(0));
    for i in 0..20 {
        assert_eq!(kvs(dir.path(), &format!("--ring r put -q k{i} v{i}")), Some(0));
    }
    assert_eq!(kvs(dir.path(), "--ring r leave n1 --plan plan.yaml"), Some(0));
    let mut mixer = Mixer(7);
    for (file, commands) in [
        ("r/n1/data.mdb", &["--ring r/n1 verify", "--ring r get k1", "--ring r scan"][..]),
        ("r/n1/kvs.id", &["--ring r get k1", "--ring r status"]),
        ("r/n1/node.yaml", &["--ring r get k1", "config show r/n1"]),
        ("r/n1/peers.yaml", &["--ring r get k1"]),
        ("r/n1/node.key", &["config show r/n1"]),
        ("r/ring.key", &["config show r"]),
        ("plan.yaml", &["--ring r ring apply plan.yaml --dry-run"]),
    ] {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
        for run in 0..RUNS {
            let mut bytes = whole.clone();
            if run % 3 == 0 {
                mixer.mutate(&mut bytes, &whole);
            } else {
                // A file of pages keeps its length: a sector is something else.
                let at = mixer.below(bytes.len()) / 512 * 512;
                let end = (at + 512).min(bytes.len());
                let other = mixer.below(whole.len().saturating_sub(512).max(1));
                let piece = &whole[other..(other + end - at).min(whole.len())];
                bytes[at..at + piece.len()].copy_from_slice(piece);
            }
            fs::write(&path, &bytes).unwrap();
            for line in commands {
                let code = kvs(dir.path(), line);
                let told = matches!(code, Some(code) if (0..=10).contains(&code));
                assert!(told, "{file}, run {run}: kvs {line} ended with {code:?}");
            }
        }
        fs::write(&path, &whole).unwrap();
    }
}
