//! A shell of this machine in place of a host's, for tests: the same scripts, temporary directories.
//!
//! ```text
//! TMP/home        ~            TMP/bin     fakes that come first in PATH
//! TMP/etc         for /etc/systemd/system  TMP/boot_id, TMP/mounts for the kernel's
//! TMP/bin/at      K: the process group is killed in place of the K-th command that a script calls
//! ```
//!
//! What it does not do: it has no network between. Every [`Local`] is one connection; a dropped one is
//! a cut link, as the script that is held sees it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::executable::{executable, install};
use crate::error::{Error, Result};
use crate::push::shell::{Output, Script, Shell};
use crate::push::watch::{PushEvent, Watch};

/// What stands for a host: its files, and which shell it has.
pub(super) struct Machine {
    pub(super) dir: TempDir,
    shell: Vec<String>,
    path: String,
}

/// The shells of this machine that a host may have: all that are installed.
pub(super) fn machines() -> Vec<Machine> {
    let shells = [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]];
    let all: Vec<_> = shells.into_iter().filter_map(Machine::new).collect();
    assert!(!all.is_empty(), "no shell");
    all
}

fn which(name: &str) -> Option<PathBuf> {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", name]).output().ok()?;
    let path = String::from_utf8(found.stdout).ok()?;
    found.status.success().then(|| path.trim().into())
}

impl Machine {
    fn new(words: &[&str]) -> Option<Self> {
        let dir = TempDir::with_prefix("far it's ").expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let shell = which(words[0])?;
        for name in ["home", "bin", "etc"] {
            fs::create_dir(at(name)).expect("a directory");
        }
        fs::copy("/proc/sys/kernel/random/boot_id", at("boot_id")).expect("a boot id");
        fs::copy("/proc/mounts", at("mounts")).expect("mounts");
        let mut path = format!("{}:/usr/bin:/bin", at("bin").display());
        if words[0] == "busybox" {
            // Its own tools and no others.
            fs::create_dir(at("box")).expect("a directory");
            let mut install = Command::new(&shell);
            let done = install.args(["--install", "-s"]).arg(at("box")).status();
            assert!(done.expect("busybox").success());
            path = format!("{}:{}", at("bin").display(), at("box").display());
        }
        let mut words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        words[0] = shell.display().to_string();
        Some(Self { dir, shell: words, path })
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A new connection.
    pub(super) fn connect(&self) -> Local<'_> {
        Local { machine: self, held: None }
    }

    /// Puts a program before those of the system.
    pub(super) fn fake(&self, name: &str, text: &str) {
        executable(&self.at("bin").join(name), text);
    }

    /// From now on, has commands that change something be counted.
    pub(super) fn count_commands(&self) {
        let bin = self.at("bin");
        let names = "cat chmod chown kill ln mkdir mv rm rmdir setsid sha256sum sync tail";
        for name in names.split(' ') {
            let path = self.path.split_once(':').expect("two places").1;
            let quoted = |text: &str| text.replace('\'', r"'\''");
            // It stays where it was called: a directory may be gone, and no step here may fail for that.
            let text = format!(
                "#!/bin/sh\nPATH='{}'\nbin='{}'\nread -r at <\"$bin/at\"\n\
                 read -r n <\"$bin/count\"\nn=$((n + 1))\necho $n >\"$bin/count\"\n\
                 [ $n != \"$at\" ] || kill -9 0\nexec {name} \"$@\"\n",
                quoted(path),
                quoted(&bin.display().to_string()),
            );
            self.fake(name, &text);
        }
        self.kill_at(0);
    }

    /// Has the script be killed in place of its K-th command, counted from now; 0 is never.
    pub(super) fn kill_at(&self, k: usize) {
        fs::write(self.at("bin/at"), format!("{k}\n")).expect("a number");
        fs::write(self.at("bin/count"), "0\n").expect("a number");
    }

    fn spawn(&self, text: &str) -> Child {
        let mut command = Command::new(&self.shell[0]);
        command.args(&self.shell[1..]).arg("-s").env_clear();
        command.env("HOME", self.at("home")).env("PATH", &self.path);
        command.process_group(0).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh");
        let places = [
            ("/etc/systemd/system", "etc"),
            ("/run/systemd/system", "systemd"),
            ("/proc/sys/kernel/random/boot_id", "boot_id"),
            ("/proc/mounts", "mounts"),
        ];
        let text = places.into_iter().fold(text.to_owned(), |text, (theirs, ours)| {
            let ours = self.at(ours).display().to_string();
            text.replace(theirs, &format!("'{}'", ours.replace('\'', r"'\''")))
        });
        // One that is killed early does not read all of it.
        drop(child.stdin.as_mut().expect("a pipe").write_all(text.as_bytes()));
        child
    }
}

/// One connection.
pub(super) struct Local<'a> {
    machine: &'a Machine,
    held: Option<(Child, ChildStdin)>,
}

impl Shell for Local<'_> {
    fn host(&self) -> &'static str {
        "n1"
    }

    fn run(&mut self, script: &Script, _patience: Duration) -> Result<Output> {
        let output = self.machine.spawn(&script.text()?).wait_with_output().expect("an end");
        Output::parse(&output.stdout, &output.stderr)
            .ok_or_else(|| Error::Unknown("n1: the link was cut".into()))
    }

    fn send(&mut self, file: &Path, to: &str, watch: &dyn Watch) -> Result<()> {
        watch.note("n1", &PushEvent::Begins("uploading".into()));
        match install(file, Path::new(to), "600") {
            true => Ok(()),
            false => Err(Error::Unknown(format!("n1: {to} cannot be written"))),
        }
    }

    fn hold(&mut self, script: &Script, _patience: Duration) -> Result<String> {
        let mut child = self.machine.spawn(&script.held()?);
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (mut begin, mut line) = (String::new(), String::new());
        out.read_line(&mut begin).expect("a line");
        assert_eq!(begin, "kvs-begin\n");
        out.read_line(&mut line).expect("a line");
        if line.is_empty() || line == "\n" {
            let mut err = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
            line = err;
        }
        child.stdout = Some(out.into_inner());
        let input = child.stdin.take().expect("a pipe");
        self.held = Some((child, input));
        Ok(line.trim().to_owned())
    }

    fn beat(&mut self) -> Result<()> {
        let (_, input) = self.held.as_mut().expect("a script that is held");
        input.write_all(b"\n").map_err(|_| Error::Unreachable("n1 is gone".into()))
    }
}

impl Drop for Local<'_> {
    fn drop(&mut self) {
        if let Some((mut child, input)) = self.held.take() {
            drop(input);
            child.wait().expect("an end");
        }
    }
}
