//! A directory with a ring in it, and what commands say there.

use super::*;

/// A directory with a ring in it.
pub(super) struct Place {
    pub(super) dir: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvs"));
        command.args(line.split(' ')).current_dir(self.dir.path()).env_clear();
        command.env("KVS_RING", "r").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; one that hangs is ended, with a code that is none of ours.
    pub(super) fn kvs(&self, line: &str) -> Said {
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_kvs")]).args(line.split(' '));
        command.current_dir(self.dir.path()).env_clear().env("KVS_RING", "r");
        Said::of(line, &command.stdin(Stdio::null()).output().unwrap())
    }

    pub(super) fn load(&self, line: &str, keys: impl Iterator<Item = usize>) {
        let lines: String = keys
            .map(|i| format!("{{\"key\":\"{}\",\"value\":\"{}\"}}\n", key(i), value(i)))
            .collect();
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{line}");
    }

    /// A copy of all directories.
    pub(super) fn copy(&self) -> Self {
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

pub(super) fn key(i: usize) -> String {
    format!("key-{i:05}")
}

pub(super) fn value(i: usize) -> String {
    let size = if i.is_multiple_of(40) { 6_000 } else { 20 + i % 90 };
    format!("value {i} {}", "x".repeat(size))
}

/// What a command said.
pub(super) struct Said {
    pub(super) line: String,
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    pub(super) fn of(line: &str, output: &Output) -> Self {
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
pub(super) fn dumped(said: &Said) -> BTreeMap<String, String> {
    let read = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        (json["key"].as_str().unwrap().to_owned(), json["value"].as_str().unwrap_or("?").to_owned())
    };
    said.out.lines().map(read).collect()
}
