//! Scripts as a shell of this machine takes them.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

fn script(body: &str, args: &[&str]) -> Script {
    Script { body: body.into(), args: args.iter().map(|&arg| arg.into()).collect() }
}

/// What `sh -s` writes when it is given a text.
fn sh(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut child = Command::new("/bin/sh");
    child.arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("a shell");
    child.stdin.take().expect("a pipe").write_all(text).expect("a shell that reads");
    let output = child.wait_with_output().expect("an end");
    (output.stdout, output.stderr)
}

fn run(script: &Script) -> Option<Output> {
    let (out, err) = sh(script.text().expect("no NUL").as_bytes());
    Output::parse(&out, &err)
}

#[test]
fn arguments_arrive_as_they_are() {
    let args = ["", " ", "it's", "a\nb\n", "$(id) `id` $HOME \\", "-n", "*", "ünï ☃", "'", "\\'"];
    let body = r#"printf '%s\000' "$#" "$@""#;
    let output = run(&script(body, &args)).expect("an end");
    let told: Vec<&str> = output.out.split_terminator('\0').collect();
    assert_eq!(told[0], args.len().to_string());
    assert_eq!(&told[1..], args);
    assert!(script("true", &["a\0b"]).text().is_err());
}

#[test]
fn an_end_is_told_whatever_the_body_does() {
    let ends = [("true", 0), ("exit 3", 3), ("set -e; false; echo no", 1), ("no-such-thing", 127)];
    for (body, status) in ends.into_iter().chain([("kill -9 $(sh -c 'echo $PPID')", 137), ("", 0)])
    {
        let output = run(&script(body, &[])).unwrap_or_else(|| panic!("{body}"));
        assert_eq!((output.status, output.out.as_str()), (status, ""), "{body}");
    }
    let both = run(&script("printf out; echo err >&2; cat; # comment", &[])).expect("an end");
    assert_eq!(both, Output { status: 0, out: "out".into(), err: "err\n".into() });
}

#[test]
fn a_shell_that_is_killed_says_no_end() {
    assert_eq!(run(&script("kill -9 $$", &[])), None);
}

/// However much of a script arrives: as long as some of it is missing, none of it is done.
#[test]
fn a_script_in_part_is_not_begun() {
    let text = script("echo done", &["it's", "b"]).text().expect("no NUL");
    for end in 0..text.len() - 1 {
        if text[end..].starts_with('\n') && text[..end].ends_with('}') {
            continue; // whole but for its last newline
        }
        let (out, _) = sh(&text.as_bytes()[..end]);
        assert_eq!(Output::begun(&out), None, "{:?}", &text[..end]);
    }
}

#[test]
fn what_a_login_shell_says_by_itself_is_no_output() {
    let output = Output::parse(b"Welcome!\nkvs-begin\nhello\n\nkvs-end 0\n", b"");
    assert_eq!(output.expect("an end").out, "hello\n");
    for cut in
        [&b"Welcome!\n"[..], b"kvs-begin\n", b"kvs-begin\nhello\n\nkvs-end 0", b"\nkvs-end 0\n"]
    {
        assert_eq!(Output::parse(cut, b""), None, "{cut:?}");
    }
    assert_eq!(Output::parse(b"kvs-begin\n\nkvs-end 0\nx\nkvs-end q\n", b""), None);
}

/// A script that reads gets what is sent after it, and the end of it.
#[test]
fn a_script_that_is_held_reads_what_follows() {
    let text = script("read -r a; cat; echo $a", &[]).held().expect("no NUL");
    let mut child = Command::new("/bin/sh");
    let mut child =
        child.arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
    let (mut input, mut out) = (child.stdin.take().expect("in"), child.stdout.take().expect("out"));
    input.write_all(text.as_bytes()).expect("a shell that reads");
    let mut heard = vec![0; BEGIN.len()];
    std::io::Read::read_exact(&mut out, &mut heard).expect("a beginning");
    input.write_all(b"one\ntwo\n").expect("a script that reads");
    drop(input);
    std::io::Read::read_to_end(&mut out, &mut heard).expect("an end");
    assert_eq!(Output::parse(&heard, b"").expect("an end").out, "two\none\n");
    assert!(child.wait().expect("an end").success());
}

#[test]
fn of_too_much_the_beginning_and_the_end_are_kept() {
    let mut kept = KeptOutput::default();
    kept.push(b"kvs-begin\n");
    (0..300).for_each(|_| kept.push(&[b'x'; 9999]));
    assert!(!kept.has_ended());
    // In pieces, as it may come.
    b"\nkvs-end 42\n".iter().for_each(|byte| kept.push(&[*byte]));
    assert!(kept.has_ended());
    let output = Output::parse(&kept.bytes(), b"").expect("an end");
    assert_eq!(output.status, 42);
    assert!((KEPT_MAX - 100..KEPT_MAX + 100).contains(&output.out.len()), "{}", output.out.len());
    let mut small = KeptOutput::default();
    small.push(b"kvs-begin\n\nkvs-end 1\n");
    assert!(small.has_ended());
}

/// A script of a host, as it is after what comes before every script.
const LOGS: &str = include_str!("../remote/logs.sh");

/// What is kept of the log of a node without a unit.
fn logs(log: &str, lines: usize) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("log");
    std::fs::write(&file, log).expect("a file");
    let head = "set -eu; RUN=/no/such NAME=n1 UNIT=u LOG=$1; shift\n";
    let args = [file.to_str().expect("text"), &lines.to_string()];
    let text = script(&format!("{head}{LOGS}"), &args).text().expect("no NUL");
    let (out, err) = sh(text.as_bytes());
    let mut kept = KeptOutput::default();
    kept.push(&out);
    let output = Output::parse(&kept.bytes(), &err).expect("an end");
    assert_eq!((output.status, output.err.as_str()), (0, ""));
    output.out
}

/// A log has lines of its own length, and a node that is in trouble writes many.
#[test]
fn of_a_long_log_the_newest_lines_are_kept() {
    let line = |number: u32| format!("line {number} of a log that is long\n");
    let all: String = (0..100_000).map(line).collect();
    let kept = logs(&all, 100_000);
    assert!(all.len() > 3 << 20 && kept.len() <= 1_000_000, "{}", kept.len());
    assert!(kept.len() > 999_900 && all.ends_with(&kept), "{}", &kept[kept.len() - 100..]);
    assert!(kept.starts_with("line "), "{}", &kept[..100]);
    // What is short is as it was.
    assert_eq!(logs(&all, 2), line(99_998) + &line(99_999));
    for short in ["", "\n", "a\n\nb\n", "no end"] {
        assert_eq!(logs(short, 10), short);
    }
}

#[test]
fn a_log_that_cannot_be_read_is_no_empty_one() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("n1.service"), "systemd /data\n").expect("a file");
    let head = "set -eu; RUN=$1 NAME=n1 UNIT=u LOG=/no/such; shift
        journalctl() { echo some; echo no >&2; return 3; }\n";
    let args = [dir.path().to_str().expect("text"), "10"];
    let output = run(&script(&format!("{head}{LOGS}"), &args)).expect("an end");
    assert_eq!(output, Output { status: 3, out: "some\n".into(), err: "no\n".into() });
}
