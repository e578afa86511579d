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

fn run_dir(dir: &Path, update: bool, play: &mut dyn FnMut(&str) -> Played) -> Vec<String> {
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
struct Played {
    /// The script with the answers it got.
    text: String,
    /// Where they are not the expected ones: line, both texts.
    faults: Vec<String>,
}

/// Runs one script.
fn play(script: &str, interpret: &mut dyn FnMut(&str) -> String) -> Played {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Says back what it is told and how often it was called; `two` has an empty line.
    fn echo() -> impl FnMut(&str) -> String {
        let mut calls = 0;
        move |command| {
            calls += 1;
            match command {
                "two" => "one\n\nthree\n".to_owned(),
                "quiet" => String::new(),
                _ => format!("{calls} {command}"),
            }
        }
    }

    #[test]
    fn golden_right_answers_pass_and_stay_as_written() {
        for script in [
            "# p\n\na\nb\n----\n1 a\n2 b\n\n# c\nc\n----\n3 c\n",
            "# p\ntwo\n----\n> one\n>\n> three\n\na\n----\n2 a\n",
            "# p\nquiet\n----\n\na\n----\n2 a\n",
            "# p\na\n----\n1 a\n\n# the end\n",
        ] {
            let played = play(script, &mut echo());
            assert_eq!((played.text.as_str(), played.faults.as_slice()), (script, &[][..]));
        }
    }

    #[test]
    fn golden_wrong_answers_fail_and_show_both() {
        let bad = "# p\na\n----\n1 b\n\nb\n----\n2 b\n\nquiet\n----\nloud\n\nend\n";
        let played = play(bad, &mut echo());
        let lines: Vec<_> = played.faults.iter().map(|f| f.split(':').next()).collect();
        assert_eq!(lines, [Some("2"), Some("10"), Some("14")], "{:?}", played.faults);
        assert!(played.faults[0].contains("---- expected\n1 b\n---- actual\n1 a\n"));
        let good = "# p\na\n----\n1 a\n\nb\n----\n2 b\n\nquiet\n----\n\nend\n----\n4 end\n";
        assert_eq!(played.text, good);
        assert!(play(good, &mut echo()).faults.is_empty());
    }

    #[test]
    fn golden_files_are_read_in_order_and_rewritten_when_asked() {
        let dir = std::env::temp_dir().join(format!("kvs-golden-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("1.txt"), "# p\na\n----\n").unwrap();
        std::fs::write(dir.join("2.txt"), "a\n----\n1 a\n").unwrap();
        std::fs::write(dir.join("3.md"), "not a script").unwrap();
        let mut fresh = |text: &str| play(text, &mut echo());
        let before = run_dir(&dir, false, &mut fresh);
        let during = run_dir(&dir, true, &mut fresh);
        let rewritten = std::fs::read_to_string(dir.join("1.txt")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!((before.len(), during.len()), (2, 1), "{before:?} {during:?}");
        assert!(before[0].contains("1.txt:2: ") && before[1].contains("2.txt:1: "));
        assert_eq!(rewritten, "# p\na\n----\n1 a\n");
    }

    #[test]
    fn golden_ports_are_named_and_other_text_stays() {
        let text = "n1 127.0.0.1:23117, n2 127.0.0.1:7001 at 127.0.0.1:x and 10.0.0.1:80";
        let named = "n1 PORT, n2 127.0.0.1:7001 at 127.0.0.1:x and 10.0.0.1:80";
        assert_eq!(without_ports(text, "PORT"), named);
    }

    #[test]
    #[should_panic(expected = "testdata/no-such-room")]
    fn golden_a_room_without_files_is_a_failure() {
        run("no-such-room", echo);
    }
}
