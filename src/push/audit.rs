//! What a run did, line by line, in a file of its own.
//!
//! ```text
//! STATE/prod/push-20261123T101403Z-4711.log        0600, in directories of 0700
//!
//! 2026-11-23T10:14:03.120Z - kvs 0.1.0: push apply fleet.yaml
//! 2026-11-23T10:14:03.480Z n1 begins: uploading
//! 2026-11-23T10:14:09.002Z n1 done: uploaded 12 MiB
//! 2026-11-23T10:14:09.150Z - ends: 1 of 1 hosts are as they should be
//! ```
//!
//! It writes down what a [`Watch`] hears and nothing else, so no secret can get in that is not shown
//! on the terminal too; progress in bytes is left out. Every line is in the file before the step
//! goes on. The newest hundred files stay. A host's words cannot forge a line: control characters
//! are escaped.
//!
//! Caveat: a full disk here does not stop a push. Lines are lost then, and [`Audit::trouble`] says so.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::os::WallTime;
use crate::push::inventory::ring_name;
use crate::push::watch::{PushEvent, Watch};

/// Files that stay, this run's among them.
const KEPT: usize = 100;
/// Runs of one process in one second that find a name.
const TRIES: u32 = 100;
/// What stands in the place of a host when a line is about the run.
const RUN: &str = "-";

/// The file of one run. See the module.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    state: Mutex<AuditState>,
}

#[derive(Debug)]
struct AuditState {
    file: File,
    ended: bool,
    trouble: Option<io::Error>,
}

impl Audit {
    /// Begins the file of a run below `state`, kvs's own directory of state; `command` says what is
    /// run, on which inventory, by whom.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Usage`] for what is no name of a ring: there is no file then, and the
    /// run may go on without.
    pub fn begin(state: &Path, ring: &str, command: &str) -> Result<Self> {
        let named = |what| Error::Usage(format!("No audit is kept: {what}."));
        ring_name(ring).map_err(named)?;
        let dir = state.join(ring);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(Error::io("create", &dir))?;
        let began = humantime::format_rfc3339_seconds(WallTime::now().system())
            .to_string()
            .replace(['-', ':'], "");
        let stem = format!("push-{began}-{}", std::process::id());
        let (path, file) = fresh(&dir, &stem)?;
        let state = AuditState { file, ended: false, trouble: None };
        let audit = Self { path, state: Mutex::new(state) };
        audit.line(RUN, &format!("kvs {}: {command}", env!("CARGO_PKG_VERSION")));
        audit.prune(&dir);
        Ok(audit)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the last line: what the run came to.
    pub fn end(&self, outcome: &str) {
        self.line(RUN, &format!("ends: {outcome}"));
        self.state().ended = true;
    }

    /// Why lines are missing, if any are; said once.
    #[must_use]
    pub fn trouble(&self) -> Option<Error> {
        let source = self.state().trouble.take()?;
        Some(Error::Io { what: "write all of the audit to", path: self.path.clone(), source })
    }

    fn line(&self, host: &str, words: &str) {
        let mut text = format!("{} ", humantime::format_rfc3339_millis(WallTime::now().system()));
        for part in [host, " ", words] {
            for c in part.chars() {
                if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
            }
        }
        text.push('\n');
        let mut state = self.state();
        // One write a line: a line is there whole, or cut short by a full disk.
        if let Err(error) = state.file.write_all(text.as_bytes()) {
            state.trouble.get_or_insert(error);
        }
    }

    /// Removes the oldest files. That some cannot be removed stops nothing.
    fn prune(&self, dir: &Path) {
        let Ok(entries) = fs::read_dir(dir) else { return };
        let ours = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with("push-") && name.ends_with(".log"))
        };
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<_> = files.filter(|file| ours(file) && *file != self.path).collect();
        files.sort();
        for old in files.iter().rev().skip(KEPT - 1) {
            drop(fs::remove_file(old));
        }
    }

    fn state(&self) -> MutexGuard<'_, AuditState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Audit {
    fn note(&self, host: &str, event: &PushEvent) {
        match event {
            PushEvent::Begins(what) => self.line(host, &format!("begins: {what}")),
            PushEvent::Bytes(..) => {}
            PushEvent::Done(what) => self.line(host, &format!("done: {what}")),
            PushEvent::Warning(what) => self.line(host, &format!("warning: {what}")),
            PushEvent::Failed(what) => self.line(host, &format!("failed: {what}")),
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.state().ended {
            self.end("broken off, without an outcome");
        }
    }
}

/// A file that was not there.
fn fresh(dir: &Path, stem: &str) -> Result<(PathBuf, File)> {
    let mut number = 1;
    loop {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let path = dir.join(format!("{stem}{more}.log"));
        let opened = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
        match opened {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < TRIES => number += 1,
            Err(e) => return Err(Error::io("create", &path)(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn lines(audit: &Audit) -> Vec<String> {
        let text = fs::read_to_string(audit.path()).unwrap();
        let after_time = |line: &str| {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 24, "{line}");
            rest.to_owned()
        };
        text.lines().map(after_time).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn every_event_is_a_line_at_once_and_bytes_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state/kvs");
        let audit = Audit::begin(&state, "prod", "push apply fleet.yaml").unwrap();
        assert_eq!((mode(&state), mode(&state.join("prod"))), (0o700, 0o700));
        assert_eq!(mode(audit.path()), 0o600);
        audit.note("n1", &PushEvent::Begins("uploading".into()));
        audit.note("n1", &PushEvent::Bytes(1, 2));
        audit.note(
            "n1",
            &PushEvent::Failed("it said:\nkvs: error\x1b[2J\r\n2026 - ends: ok".into()),
        );
        let head = concat!("- kvs ", env!("CARGO_PKG_VERSION"), ": push apply fleet.yaml");
        let mut want = vec![
            head,
            "n1 begins: uploading",
            r"n1 failed: it said:\nkvs: error\u{1b}[2J\r\n2026 - ends: ok",
        ];
        assert_eq!(lines(&audit), want);
        audit.end("1 of 2 hosts");
        want.push("- ends: 1 of 2 hosts");
        let path = audit.path().to_owned();
        assert_eq!(lines(&audit), want);
        drop(audit);
        assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 4, "ended once");
    }

    #[test]
    fn a_run_that_breaks_off_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::begin(dir.path(), "prod", "push plan").unwrap();
        let path = audit.path().to_owned();
        drop(audit);
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with(" - ends: broken off, without an outcome\n"), "{text}");
    }

    #[test]
    fn the_newest_files_stay_and_strangers_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let ring = dir.path().join("prod");
        fs::create_dir(&ring).unwrap();
        for day in 0..150 {
            fs::write(ring.join(format!("push-2020{day:04}T000000Z-1.log")), "").unwrap();
        }
        fs::write(ring.join("notes.log"), "").unwrap();
        let first = Audit::begin(dir.path(), "prod", "x").unwrap();
        let second = Audit::begin(dir.path(), "prod", "y").unwrap();
        assert_ne!(first.path(), second.path());
        let names = fs::read_dir(&ring).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names.len(), KEPT + 1);
        assert_eq!(
            (names[0].as_str(), names[1].as_str()),
            ("notes.log", "push-20200052T000000Z-1.log")
        );
        assert!(first.path().exists() && second.path().exists());
    }

    #[test]
    fn threads_write_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::begin(dir.path(), "prod", "x").unwrap();
        std::thread::scope(|scope| {
            for host in ["n1", "n2", "n3", "n4"] {
                let audit = &audit;
                scope.spawn(move || {
                    (0..100)
                        .for_each(|i| audit.note(host, &PushEvent::Done(format!("{host} {i}"))));
                });
            }
        });
        let lines = lines(&audit);
        assert_eq!(lines.len(), 401);
        for line in &lines[1..] {
            let words: Vec<_> = line.split(' ').collect();
            assert!(words.len() == 4 && words[0] == words[2] && words[1] == "done:", "{line}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_said_once_and_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::begin(dir.path(), "prod", "x").unwrap();
        assert!(audit.trouble().is_none());
        audit.state().file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        audit.note("n1", &PushEvent::Begins("a".into()));
        audit.note("n1", &PushEvent::Begins("b".into()));
        let said = audit.trouble().unwrap().to_string();
        let want = format!("cannot write all of the audit to {}: ", audit.path().display());
        assert!(said.starts_with(&want), "{said}");
        assert!(audit.trouble().is_none());
        assert!(matches!(Audit::begin(dir.path(), "../x", "y"), Err(Error::Usage(_))));
        let file = audit.path();
        assert!(matches!(Audit::begin(file, "prod", "y"), Err(Error::Io { .. })));
    }
}
