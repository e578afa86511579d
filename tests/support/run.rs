//! Runs the `kvs` binary in a directory of its own, for transcripts.
//!
//! ```text
//! kvs put a 1        the binary, with KVS_RING=r and nothing else in its environment
//! sh ls r | wc -l    a shell; `kvs` is on its path
//! ```
//!
//! The answer is stdout, then stderr with `! ` before each line, then `[exit N]` unless that
//! is 0. What differs from run to run is named: hexadecimal identities by their first appearance
//! (`#1`, `#2`, …), times in ms as `<ms>`, file sizes as `<size>`, the directory as `<dir>`, addresses
//! as `<address>`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory, and the names given to what is random.
pub(crate) struct World {
    dir: tempfile::TempDir,
    names: Vec<String>,
    /// The ring of commands that name none.
    pub(crate) ring: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir, names: Vec::new(), ring: "r".into() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a line that begins with `kvs` or `sh`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let output = match line.split_once(' ') {
            Some(("sh", script)) => {
                self.command(Path::new("/bin/sh")).args(["-c", script]).output()
            }
            _ => self.command(binary()).args(words(line).iter().skip(1)).output(),
        };
        let output = output.unwrap_or_else(|e| panic!("{line}: {e}"));
        self.told(&output)
    }

    /// A command in the directory, with nothing of our own environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let bin = binary().parent().expect("a directory").display().to_string();
        command.current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{bin}:/usr/bin:/bin")).env("KVS_RING", &self.ring);
        command
    }

    /// What a command said, with what is random named.
    pub(crate) fn told(&mut self, output: &Output) -> String {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        // Which node warns first depends on their identities.
        let talk = String::from_utf8_lossy(&output.stderr);
        let mut lines: Vec<&str> = talk.lines().collect();
        let is_warning = |line: &&str| line.starts_with("kvs: warning:");
        lines.chunk_by_mut(|a, b| is_warning(a) && is_warning(b)).for_each(<[_]>::sort);
        for line in lines {
            text += &format!("! {line}\n");
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => text += &format!("[exit {code}]\n"),
            None => text += &format!("[{}]\n", output.status),
        }
        let text = text.replace(&self.dir.path().display().to_string(), "<dir>");
        self.normal(&super::golden::without_ports(&text, "<address>"))
    }

    fn normal(&mut self, text: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(length.max(rest.chars().next().map_or(1, len)));
            out += &self.name(word);
            rest = after;
        }
        out
    }

    fn name(&mut self, word: &str) -> String {
        let digits = word.bytes().all(|b| b.is_ascii_digit());
        let hex = word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match word.len() {
            13 if digits && word.starts_with('1') => "<ms>".into(),
            16.. if hex => {
                let known = self.names.iter().position(|name| name == word);
                let at = known.unwrap_or_else(|| {
                    self.names.push(word.to_owned());
                    self.names.len() - 1
                });
                format!("#{}", at + 1)
            }
            4..=9 if digits && word.parse::<u64>().is_ok_and(|n| n > 0 && n % 4_096 == 0) => {
                "<size>".into()
            }
            _ => word.to_owned(),
        }
    }
}

fn len(c: char) -> usize {
    c.len_utf8()
}

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kvs"))
}

/// The words of a line; a word may stand in single quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
