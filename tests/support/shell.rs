//! Runs commands in a directory of their own, each under a deadline, and holds what every end of
//! `kvs` must be: a known code, a sentence where it is not plain success, never a panic.
//!
//! ```text
//! place.kvs("put k v")            the binary, with KVS_RING=r
//! place.sh("kvs dump | head -1")  a shell with `kvs` on its path
//! place.kill_after(…)             SIGKILL after some ms, unless it ended before
//! ```

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Once};
use std::time::Duration;

use kvs::os::stop_signals;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register;

use super::wait::wait_for;

/// No command of these tests takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// A fresh directory.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) what: String,
    /// Its exit code; a signal's number below zero.
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("kvs-faults-").tempdir().expect("a directory") }
    }

    /// A place with a ring `r`.
    pub(crate) fn ring(init: &str) -> Self {
        let place = Self::new();
        place.kvs(&format!("init r -q {init}")).ends(0);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        children_hear();
        let bin = binary().parent().expect("a directory").display();
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{bin}:/usr/sbin:/usr/bin:/sbin:/bin")).env("KVS_RING", "r");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command
    }

    /// Runs the binary with the words of a line.
    pub(crate) fn kvs(&self, line: &str) -> Told {
        self.args(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn args(&self, args: &[impl AsRef<OsStr>]) -> Told {
        let mut command = self.command(binary());
        command.args(args);
        let what: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        let mut what = what.join(" ");
        what.truncate(80);
        ended(what, command.spawn().expect("the binary"), DEADLINE)
    }

    pub(crate) fn sh(&self, script: &str) -> Told {
        let mut command = self.command("/bin/sh");
        command.args(["-c", script]);
        ended(script.to_owned(), command.spawn().expect("a shell"), DEADLINE)
    }

    /// Starts the binary and kills it after so many ms; whether it was killed.
    pub(crate) fn kill_after(&self, ms: u64, line: &str) -> bool {
        let mut command = self.command(binary());
        command.args(line.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the binary");
        let (output, _) = awaited(child, Duration::from_millis(ms));
        output.status.signal() == Some(9)
    }

    /// Kills at a moment below `range` ms; a command that ended before halves it for the next time.
    pub(crate) fn kill_within(&self, range: &mut u64, dice: &mut Dice, line: &str) -> bool {
        let killed = self.kill_after(1 + dice.below(*range), line);
        if !killed {
            *range = (*range / 2).max(2);
        }
        killed
    }

    /// Starts the binary, sends a signal as soon as the condition holds, and waits for the end.
    pub(crate) fn signal_when(&self, signal: &str, line: &str, is_time: impl Fn() -> bool) -> Told {
        let mut command = self.command(binary());
        command.args(line.split_whitespace());
        let child = command.spawn().expect("the binary");
        let id = child.id();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || ended(line.to_owned(), child, DEADLINE));
            wait_for(line, || is_time() || waiting.is_finished());
            send(signal, &id.to_string());
            waiting.join().expect("an end")
        })
    }

    /// Starts the binary and leaves it running; the caller ends it.
    pub(crate) fn start(&self, program: &str, args: &[&str]) -> Child {
        let mut command = self.command(program);
        command.args(args).stdin(Stdio::piped());
        command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    /// Starts a line whose first word is a program, its words going to two files; the caller ends it.
    pub(crate) fn start_into(&self, line: &str, out: &str, err: &str) -> Child {
        let file = |name: &str| fs::File::create(self.path(name)).expect("a file");
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().expect("a program"));
        command.args(words).stdout(file(out)).stderr(file(err));
        command.spawn().expect("a program that starts")
    }

    /// The text of a file; none when there is no file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The keys and values of the ring, sorted: the lines of its dump.
    pub(crate) fn dump(&self) -> Vec<String> {
        let mut lines: Vec<_> =
            self.kvs("dump -q").ends(0).text().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Every node proves every record, and equal partitions have equal digests.
    pub(crate) fn is_sound_and_equal(&self) {
        self.kvs("verify -q").ends(0);
        let told = self.kvs("digest --depth 1 --format plain").ends(0).text();
        let mut sums = std::collections::BTreeMap::new();
        for row in told.lines() {
            let cells: Vec<&str> = row.split('\t').collect();
            let [node, partition, _, sum, _] = cells[..] else { panic!("{row}") };
            let (first, known) = *sums.entry(partition).or_insert((node, sum));
            assert_eq!(sum, known, "partition {partition}: {node} differs from {first}");
        }
        assert!(!sums.is_empty(), "no digest at all");
    }
}

impl Told {
    /// Holds the code, and what an end with that code owes to its reader.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.what, self.err);
        self.sane()
    }

    #[track_caller]
    pub(crate) fn ends_in(self, codes: &[i32]) -> Self {
        assert!(
            codes.contains(&self.code),
            "{}: {} of {codes:?}\n{}",
            self.what,
            self.code,
            self.err
        );
        self.sane()
    }

    /// A documented code, a sentence on stderr with every refusal, no panic.
    #[track_caller]
    pub(crate) fn sane(self) -> Self {
        let Self { what, code, err, .. } = &self;
        assert!((0..=10).contains(code), "{what}: ended with {code}\n{err}");
        assert!(!err.contains("panicked") && !err.contains("RUST_BACKTRACE"), "{what}\n{err}");
        assert!(*code < 2 || err.trim().len() > 20, "{what}: {code} without a sentence: {err:?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.err.contains(words), "{}: no {words:?} in\n{}", self.what, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, words: &str) -> Self {
        assert!(!self.err.contains(words), "{self:?}: should not say {words:?}");
        self
    }

    pub(crate) fn prints(self, text: &str) -> Self {
        assert_eq!(self.text(), text, "{}\n{}", self.what, self.err);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kvs"))
}

/// The end of a command; a hang is a failure.
pub(crate) fn ended(what: String, child: Child, deadline: Duration) -> Told {
    let (output, killed) = awaited(child, deadline);
    assert!(!killed, "{what}: still running after {deadline:?}");
    let code = output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0));
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Told { what, code, out: output.stdout, err }
}

/// Waits for an end, and kills what has not come to one by then; whether it had to.
fn awaited(child: Child, at_most: Duration) -> (Output, bool) {
    let group = format!("-{}", child.id());
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        let waiting = scope.spawn(move || {
            let output = child.wait_with_output();
            // Nobody listens any more when it was killed.
            let _ = tell.send(());
            output
        });
        let killed = told.recv_timeout(at_most) == Err(RecvTimeoutError::Timeout);
        if killed {
            send("KILL", &group);
        }
        (waiting.join().expect("a thread that waits").expect("an end"), killed)
    })
}

/// Children hear interrupts and hangups, though these tests may have been told to ignore them
/// (nohup, a shell's background): what is ignored stays so in a program that begins, what is caught
/// does not.
pub(crate) fn children_hear() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let heard = stop_signals();
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|s| !heard.contains(s)) {
            register(signal, Arc::default()).expect("a signal that can be caught");
        }
    });
}

/// Sends a signal to a process, or to a group when the number has a minus.
pub(crate) fn send(signal: &str, to: &str) {
    let script = format!("kill -{signal} {to} 2>/dev/null");
    // It may have ended by itself in between.
    drop(Command::new("/bin/sh").args(["-c", &script]).status());
}

pub(crate) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}

/// Reads what a child says until it says something.
pub(crate) fn first_byte(child: &mut Child) {
    let out = child.stdout.as_mut().expect("a pipe");
    out.read_exact(&mut [0]).expect("a word from the child");
}

pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// Says loudly that a test could not run, and notes it where the environment asks for it.
pub(crate) fn skip(why: &str) {
    drop(writeln!(std::io::stderr(), "\n*** SKIPPED: {why} ***\n"));
    if let Some(file) = std::env::var_os("KVS_TEST_SKIPS") {
        let file = fs::OpenOptions::new().append(true).create(true).open(file);
        file.and_then(|mut f| writeln!(f, "{why}")).expect("the list of skips");
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Lines of a dump: keys `k0`, `k1`, … with values of about so many bytes that name the round.
pub(crate) fn lines(count: usize, round: &str, bytes: usize) -> Vec<String> {
    let filler = "x".repeat(bytes);
    let line = |i| format!(r#"{{"key":"k{i}","value":"{round}-{i}-{filler}"}}"#);
    let mut lines: Vec<_> = (0..count).map(line).collect();
    lines.sort();
    lines
}
