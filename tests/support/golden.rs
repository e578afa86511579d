//! Golden scripts: what a room is told and what it answers, as text files.
//!
//! ```text
//! # A write that saw the other one supersedes it.
//!
//! put a 1
//! get a
//! ----
//! 1
//!
//! # A line of comment may stand before any command.
//! list
//! ----
//! > an answer with an empty line in it, or one that begins with a quote mark,
//! >
//! > has a quote mark before every line
//! ```
//!
//! The first line states the point of the file. A block is command lines, `----`, and all their
//! answers in order; an empty line or the end of the file ends it. `UPDATE=1 cargo test` rewrites
//! the files: read the difference before keeping it.
//!
//! Caveats: a command is one line; whether the last line of an answer ends with a newline is not
//! compared; commands cannot begin with `#` or be `----`.

use std::fmt::Write as _;
use std::path::Path;

/// Runs every `testdata/<room>/*.txt`, in order of name, each with a fresh interpreter that gets
/// one command line per call.
///
/// # Panics
/// When an answer differs, a file does not state its point, or there is no file at all.
pub(crate) fn run<F: FnMut(&str) -> String>(room: &str, mut fresh: impl FnMut() -> F) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(room);
    let update = std::env::var_os("UPDATE").is_some_and(|v| v == "1");
    let faults = run_dir(&dir, update, &mut |text| play(text, &mut fresh()));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

pub(crate) fn run_dir(
    dir: &Path,
    update: bool,
    play: &mut dyn FnMut(&str) -> Played,
) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = entries.map(|e| e.expect("a readable directory").path()).collect();
    files.retain(|f| f.extension().is_some_and(|x| x == "txt"));
    files.sort();
    assert!(!files.is_empty(), "{}: no .txt file, so nothing was tested", dir.display());
    let mut faults = Vec::new();
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        if !text.starts_with("# ") {
            faults.push(format!("{name}:1: begin with a line `# what this file shows`"));
            continue;
        }
        let played = play(&text);
        if !update {
            faults.extend(played.faults.iter().map(|fault| format!("{name}:{fault}")));
        } else if played.text != text {
            std::fs::write(&file, played.text).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    faults
}

/// What came of one script.
pub(crate) struct Played {
    /// The script with the answers it got.
    pub(crate) text: String,
    /// Where they are not the expected ones: line, both texts.
    pub(crate) faults: Vec<String>,
}

/// Runs one script.
pub(crate) fn play(script: &str, interpret: &mut dyn FnMut(&str) -> String) -> Played {
    let mut played = Played { text: String::new(), faults: Vec::new() };
    let mut lines = script.lines().enumerate().peekable();
    while lines.peek().is_some() {
        let (mut line, mut answer, mut commands) = (0, String::new(), 0);
        for (number, text) in lines.by_ref().take_while(|(_, text)| *text != "----") {
            played.text += &format!("{text}\n");
            if !text.trim().is_empty() && !text.starts_with('#') {
                (line, commands) = (number + 1, commands + 1);
                answer += &interpret(text);
                if !answer.is_empty() && !answer.ends_with('\n') {
                    answer.push('\n');
                }
            }
        }
        if commands == 0 && lines.peek().is_none() {
            break; // comments after the last block
        }
        let expected = expected(&mut lines.by_ref().map(|(_, text)| text));
        if expected != answer {
            played.faults.push(format!(
                "{line}: not the expected answer; `UPDATE=1 cargo test` takes the new one\n\
                 ---- expected\n{expected}---- actual\n{answer}----"
            ));
        }
        let gap = if lines.peek().is_some() { "\n" } else { "" };
        played.text += &format!("----\n{}{gap}", quoted(&answer));
    }
    played
}

/// The expected answer of a block, and the empty line after it.
fn expected(lines: &mut dyn Iterator<Item = &str>) -> String {
    lines.take_while(|line| !line.is_empty()).fold(String::new(), |mut text, line| {
        let plain = line.strip_prefix('>').map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
        writeln!(text, "{}", plain.unwrap_or(line)).expect("a String takes all");
        text
    })
}

/// The answer as it stands in a file: quoted when an empty line would end it too early.
fn quoted(answer: &str) -> String {
    if !answer.lines().any(|line| line.is_empty() || line.starts_with('>')) {
        return answer.to_owned();
    }
    let quote = |line: &str| if line.is_empty() { ">\n".into() } else { format!("> {line}\n") };
    answer.lines().map(quote).collect()
}

/// Text with every address of this machine replaced that has a port of five digits: rings take such
/// ports when they are free.
#[allow(dead_code, reason = "not every test that has transcripts has addresses in them")]
pub(crate) fn without_ports(text: &str, name: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut parts = text.split(HOST);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match part.len() - rest.len() {
            5 => out += &format!("{name}{rest}"),
            _ => out += &format!("{HOST}{part}"),
        }
    }
    out
}
