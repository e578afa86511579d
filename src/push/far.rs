//! What can be done on a host, each thing one script.
//!
//! ```text
//! ROOT/releases/3f2a9c…/kvs       a release: the first 16 digits of its SHA-256, with its version
//! ROOT/current -> releases/…      what runs; switched by one rename
//! ROOT/previous -> releases/…     what ran before
//! ROOT/run/{NAME.pid,NAME.ready,lock/}    ROOT/log/NAME.log
//! DATA                            the node's directory; DATA.key until it is made
//! ```
//!
//! Every script may be run again. Whatever changes something first sees that the lock is still ours.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::{Host, ServiceKind, Shell, Watch};
use crate::error::Result;

/// A binary that is to be brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The first 16 hexadecimal digits of its SHA-256: its name.
    pub id: String,
    /// All 64.
    pub sha256: String,
    /// The file here.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// What it runs on, as `uname -m` calls it.
    pub machine: String,
    /// Whether it needs the libc of the host.
    pub dynamic: bool,
}

impl Release {
    /// Looks at a binary.
    ///
    /// # Errors
    /// [`crate::error::Error::Usage`] for a file that is no program of Linux.
    pub fn read(file: &Path) -> Result<Self> {
        unimplemented!("{}", file.display())
    }
}

/// What starts processes on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// systemd.
    Systemd,
    /// Something else, or nothing.
    #[default]
    Other,
}

/// How the node's process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// There is none.
    #[default]
    None,
    /// It was set up and does not run.
    Stopped,
    /// It runs, as this process.
    Running(u32),
}

/// What a host is like. Gathering them changes nothing there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `uname -s`.
    pub os: String,
    /// `uname -m`.
    pub machine: String,
    /// Who scripts run as.
    pub user: String,
    /// Whether that is root.
    pub is_root: bool,
    /// Its wall clock less ours, in ms; good to a second or so.
    pub skew_ms: i64,
    /// What starts processes.
    pub init: Init,
    /// ROOT as an absolute path.
    pub root: String,
    /// DATA as an absolute path.
    pub data: String,
    /// Bytes free where ROOT is, or will be.
    pub root_free: u64,
    /// Bytes free where DATA is, or will be.
    pub data_free: u64,
    /// Programs cannot be run where ROOT is.
    pub noexec: bool,
    /// A place we need and may not write to.
    pub read_only: Option<String>,
    /// Commands it lacks.
    pub lacks: Vec<String>,
    /// The port is listened at by something that is not our service.
    pub port_taken: bool,
    /// The release that `current` names.
    pub current: Option<String>,
    /// The one that `previous` names.
    pub previous: Option<String>,
    /// Those that are there and whole, each with what its `--version` said, newest first.
    pub releases: Vec<(String, String)>,
    /// How the service is.
    pub service: Service,
    /// What keeps it, or would: never `Auto`.
    pub kind: Option<ServiceKind>,
    /// The text of its unit or start script is what it should be.
    pub service_as_wanted: bool,
    /// `node.yaml` of DATA, when it is a node's directory.
    pub node_yaml: Option<String>,
    /// SHA-256 of each line of DATA's `ring.key`.
    pub ring_keys: Vec<String>,
    /// DATA is there and is no node's directory, and not empty.
    pub data_foreign: bool,
    /// Who holds the lock, and for how long, if anybody.
    pub locked: Option<String>,
}

/// One host, and what can be done there.
pub struct Far<'a> {
    /// Its shell.
    pub shell: Box<dyn Shell + 'a>,
    /// What it should be.
    pub host: &'a Host,
    /// The ring's name.
    pub ring: &'a str,
}

impl Far<'_> {
    /// Looks at the host and changes nothing.
    ///
    /// # Errors
    /// As [`Shell::run`]; [`crate::error::Error::Denied`] when it is no Linux or lacks a shell.
    pub fn facts(&mut self) -> Result<Facts> {
        unimplemented!()
    }

    /// Makes ROOT and takes its lock, which goes with the connection. `owner` says who we are.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] naming who has it; one whose holder has shown no life for 120 s
    /// is taken over.
    pub fn lock(&mut self, owner: &str) -> Result<()> {
        unimplemented!("{owner}")
    }

    /// Lets go of the lock.
    pub fn unlock(&mut self) {
        unimplemented!()
    }

    /// Brings a release, checks what arrived and has it say its version, which it gives. A release
    /// that is there and whole is only asked. Nothing that runs is touched.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when the host cannot run it, or what arrived is not what was
    /// sent; as [`Shell::send`].
    pub fn stage(&mut self, release: &Release, watch: &dyn Watch) -> Result<String> {
        unimplemented!("{release:?} {}", watch.stops())
    }

    /// The public key of the node that is, or is to be, in DATA: 64 hexadecimal digits. Its secret is
    /// made there, and stays there.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when the release refuses.
    pub fn identity(&mut self, release: &str) -> Result<String> {
        unimplemented!("{release}")
    }

    /// Has the release make DATA from the text of a birth; that it is there already is fine.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when the release refuses: DATA is another's.
    pub fn make(&mut self, release: &str, birth: &str) -> Result<()> {
        unimplemented!("{release} {birth}")
    }

    /// Writes DATA's `node.yaml`, keeping the one before, and the service's files.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn configure(&mut self, facts: &Facts, node_yaml: &str) -> Result<()> {
        unimplemented!("{facts:?} {node_yaml}")
    }

    /// Stops the service in good order; one that does not run is stopped.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] when it still runs after the time.
    pub fn stop(&mut self, facts: &Facts, patience: Duration) -> Result<()> {
        unimplemented!("{facts:?} {patience:?}")
    }

    /// Makes a release the current one, by one rename; the one before is `previous`.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn switch(&mut self, release: &str) -> Result<()> {
        unimplemented!("{release}")
    }

    /// Starts the service and waits until the node says it is ready.
    ///
    /// # Errors
    /// [`crate::error::Error::Partial`] with the last lines of its log when it ends or takes too long.
    pub fn start(&mut self, facts: &Facts, patience: Duration) -> Result<()> {
        unimplemented!("{facts:?} {patience:?}")
    }

    /// Goes back: `current`, `node.yaml` and service files as the facts found them, started when it
    /// ran. What was not there is stopped and its link removed; DATA stays.
    ///
    /// # Errors
    /// As [`Far::start`].
    pub fn restore(&mut self, before: &Facts, patience: Duration) -> Result<()> {
        unimplemented!("{before:?} {patience:?}")
    }

    /// Removes all releases but the newest so many, never the current or previous one.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn prune(&mut self, keep: usize) -> Result<()> {
        unimplemented!("{keep}")
    }

    /// The last lines of the node's log.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn logs(&mut self, facts: &Facts, lines: usize) -> Result<String> {
        unimplemented!("{facts:?} {lines}")
    }

    /// Removes DATA of a node that has left its ring, once its process has ended.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] while it runs.
    pub fn forget(&mut self, facts: &Facts) -> Result<()> {
        unimplemented!("{facts:?}")
    }

    /// Stops and removes the service, ROOT's releases, logs and links, and DATA too when asked for.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn destroy(&mut self, facts: &Facts, data: bool) -> Result<()> {
        unimplemented!("{facts:?} {data}")
    }
}
