//! The commands as a shell sees them: transcripts under `testdata/cli/`, run by `support::golden`.
//!
//! ```text
//! kvs --ring r put k v        any shell line; what follows is all it printed
//! ----
//! ! 3/3                       a line of stderr
//! [exit 1]                    the code, unless 0
//! ```
//!
//! Each file has a fresh directory and an environment of PATH, HOME and LC_ALL only. `NAME=…` at the
//! beginning of a line that holds nothing else keeps the variable for the lines after it. What
//! differs from run to run is replaced: `DIR`, `ADDRESS`, `CONTEXT`, `ACTOR`, `TIME`, `MS`, `SUM`.
//!
//! Caveat: stdout comes before stderr, whatever the order in time was.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

#[test]
fn transcripts() {
    crate::support::golden::run("cli", || {
        let mut shell = Shell::new();
        move |line: &str| shell.run(line)
    });
}

/// A fresh place to run lines in.
struct Shell {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl Shell {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("kvs-cli-").tempdir().expect("a directory");
        Self { dir, variables: Vec::new() }
    }

    fn run(&mut self, line: &str) -> String {
        let output = match assigned(line) {
            None => self.shell(line),
            Some(name) => {
                let mut output = self.shell(&format!("{line}\nprintf %s \"${name}\""));
                let value = String::from_utf8_lossy(&output.stdout).into_owned();
                self.variables.push((name.to_owned(), value));
                output.stdout.clear();
                output
            }
        };
        normal(&shown(&output), self.dir.path())
    }

    fn shell(&self, line: &str) -> Output {
        let kvs = Path::new(env!("CARGO_BIN_EXE_kvs")).parent().expect("a binary has a directory");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).current_dir(self.dir.path()).stdin(Stdio::null()).env_clear();
        shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", kvs.display()));
        shell.env("HOME", self.dir.path()).env("LC_ALL", "C.UTF-8");
        shell.envs(self.variables.iter().map(|(n, v)| (n, v)));
        shell.output().expect("sh runs")
    }
}

/// The variable that a line only assigns.
fn assigned(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase());
    let only = !value.contains(' ') || value.starts_with("$(") && value.ends_with(')');
    (plain && only).then_some(name)
}

/// Output as a transcript has it.
fn shown(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).replace('\0', "\\0");
    let mut text: String = stdout.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if !stdout.is_empty() && !stdout.ends_with('\n') {
        text.pop();
        text.push_str("(no newline)\n");
    }
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        text.push_str(format!("! {line}").trim_end());
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => text.push_str(&format!("[exit {code}]\n")),
        None => text.push_str("[killed]\n"),
    }
    text
}

/// Replaces what differs from run to run.
fn normal(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "DIR");
    let text = crate::support::golden::without_ports(&text, "ADDRESS");
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':') {
            word.push(c);
            continue;
        }
        out.push_str(&name(&word));
        word.clear();
        out.extend((c != '\0').then_some(c));
    }
    out
}

/// The name of a volatile word, or the word itself.
fn name(word: &str) -> String {
    let hex = |w: &str| w.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let digits = |w: &str| w.bytes().all(|b| b.is_ascii_digit());
    let base64 = |w: &str| !w.contains(':') && w.starts_with('A') && w.len() % 4 != 1;
    if let Some((actor, counter)) = word.split_once(':')
        && actor.len() == 16
        && hex(actor)
        && digits(counter)
    {
        return format!("ACTOR:{counter}");
    }
    match word.len() {
        13 if digits(word) => "MS".into(),
        16 if hex(word) => "ACTOR".into(),
        20 if word.ends_with('Z') && word.get(..2) == Some("20") => "TIME".into(),
        32 if hex(word) => "SUM".into(),
        30.. if base64(word) => "CONTEXT".into(),
        _ => word.to_owned(),
    }
}

#[test]
fn volatile_words_are_named_and_others_stay() {
    let text = "{n1:4 65634a43c13a0169:1} 2026-11-22T22:31:40Z AWkBOsFDSmNlAQAAAAAAAABIK6s4Df48aw \
                5229328e5b3602aa34941e3dcf7aff2d 1795386700000 /tmp/x/r cart:42 3/3";
    let want = "{n1:4 ACTOR:1} TIME CONTEXT SUM MS DIR/r cart:42 3/3";
    assert_eq!(normal(text, Path::new("/tmp/x")), want);
}

#[test]
fn only_a_bare_assignment_is_kept() {
    assert_eq!(assigned("T=$(kvs get k --show-context)"), Some("T"));
    assert_eq!(assigned("X=1"), Some("X"));
    assert_eq!(assigned("EDITOR=true kvs edit k"), None);
    assert_eq!(assigned("kvs put k a=b"), None);
}
