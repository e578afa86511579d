//! One node as a child process: started, listened to, told to stop.
//!
//! It is in a process group of its own: a ctrl-C is for `kvs up`, which then tells its children.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use kvs::error::Error;
use kvs::store::lock::Lock;
use rustix::process::{Pid, Signal, kill_process};

use super::Mark;

/// What happens at `kvs up`.
pub(super) enum Event {
    /// The child with this process id prints its line.
    Ready(u32, String),
    /// The child of this name says something.
    Said(String, String),
    /// A signal: stop.
    Stop,
}

/// A child that runs, or has just ended.
pub(super) struct Child {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) mark: Mark,
    /// It has printed its line.
    pub(super) ready: bool,
    process: process::Child,
    status: Option<ExitStatus>,
    readers: Vec<JoinHandle<()>>,
}

impl Child {
    /// Starts the node of a directory, with the lock of that directory.
    pub(super) fn start(
        dir: &Path,
        mark: Mark,
        lock: Lock,
        words: &[String],
        tell: &Sender<Event>,
    ) -> Result<Self, Error> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = std::env::current_exe().map_err(Error::io("find", Path::new("kvs")))?;
        let stdin = lock.into_file().map_or_else(Stdio::null, Stdio::from);
        let mut command = Command::new(&own);
        command.args(["node", "run", "--lock-on-stdin"]).args(words).arg("--").arg(dir);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // Who waits to hear that a service is ready waits for all of them.
        command.env_remove("NOTIFY_SOCKET");
        let mut process = command.spawn().map_err(Error::io("start", &own))?;
        let (id, talker) = (process.id(), name.clone());
        let mut readers = Vec::new();
        if let Some(out) = process.stdout.take() {
            readers.push(listen(out, tell.clone(), move |line| Event::Ready(id, line)));
        }
        if let Some(err) = process.stderr.take() {
            let said = move |line| Event::Said(talker.clone(), line);
            readers.push(listen(err, tell.clone(), said));
        }
        let dir = dir.to_path_buf();
        Ok(Self { name, dir, mark, ready: false, process, status: None, readers })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.process.try_wait().ok().flatten();
        }
        self.status.is_some()
    }

    /// How it ended, once all it said was heard.
    pub(super) fn end(&mut self) -> ExitStatus {
        for reader in self.readers.drain(..) {
            // A reader only ends badly by a defect of ours; its child has ended all the same.
            drop(reader.join());
        }
        self.status.unwrap_or_default()
    }

    /// Tells it to finish and end.
    pub(super) fn terminate(&self) -> std::io::Result<()> {
        // It is not reaped yet, so the number is still its own.
        Ok(kill_process(Pid::from_child(&self.process), Signal::TERM)?)
    }
}

/// Sends on each line of a pipe until its child has closed it.
fn listen(
    pipe: impl Read + Send + 'static,
    tell: Sender<Event>,
    event: impl Fn(String) -> Event + Send + 'static,
) -> JoinHandle<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a scope would wait for the pipe of a child that does not stop"
    )]
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if tell.send(event(text)).is_err() {
                break;
            }
        }
    })
}

/// How a process ended, in words.
pub(super) fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("killed by signal {}", signal.unwrap_or_default()),
    }
}
