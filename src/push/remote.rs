//! What can be done on a host, each thing one script.
//!
//! ```text
//! ROOT/releases/3f2a9c…/kvs       a release: the first 16 digits of its SHA-256, with its version
//! ROOT/current -> releases/…      what runs; switched by one rename
//! ROOT/previous -> releases/…     what ran before
//! ROOT/run/{NAME.pid,NAME.ready,lock/}    ROOT/log/NAME.log
//! ROOT/run/NAME.proving           it was started, and no health check has passed yet
//! DATA                            the node's directory; DATA.key until it is made
//! DATA.unborn                     it was made, and no node ever ran there
//! ```
//!
//! Every script may be run again, wherever the one before was cut off. Whatever changes something first
//! sees that the lock is still ours. A host needs a POSIX shell and coreutils, or busybox.
//!
//! It decides nothing: what is to be done, and in which order, is asked of it. Caveats: `~` is the home
//! of who scripts run as, root's when that is root; a process in the background ends with its user's
//! session where logind is told to see to that, and nothing starts it again.

#[cfg(test)]
#[path = "../../tests/support/executable.rs"]
mod executable;
mod facts;
#[cfg(test)]
mod local;
mod release;
mod scripts;
mod stage;
#[cfg(test)]
mod tests;
mod unit;

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use self::scripts::RemoteScript;
pub use self::unit::FINAL_CODES;
use crate::error::{Error, Result};
use crate::os::random_bytes;
use crate::push::inventory::{Host, ServiceKind};
use crate::push::shell::{Output, Script, Shell};
use crate::push::watch::Watch;

/// What only looks, or makes a link, takes no longer.
const SHORT: Duration = Duration::from_secs(60);
/// What moves many bytes there: a checksum, a sync, a tree that is removed.
const LONG: Duration = Duration::from_secs(600);
/// A script that waits gives up by itself; it is given up so much later.
const SLACK: Duration = Duration::from_secs(30);
/// How long a node may take to end when it is removed.
const DESTROY: Duration = Duration::from_secs(60);
/// Digits of the number that says whose the lock is.
const TOKEN_BYTES: usize = 8;

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
        release::read(file)
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
    /// `DATA.key` is there: a node was to be made, and its key waits for it.
    pub seeded: bool,
    /// DATA is a node's directory in which no node ever ran: nothing is in it.
    pub unborn: bool,
    /// The node was started, and was not seen to be as it should be since.
    pub proving: bool,
    /// DATA is there and is no node's directory, and not empty.
    pub data_foreign: bool,
    /// Who holds the lock, and when they were last heard of, if anybody lives who does.
    pub locked: Option<String>,
    /// Who DATA belongs to, or will: the node runs as this user.
    pub owner: String,
    /// The text of the unit that is there, for going back to it.
    pub unit: Option<String>,
    /// The mark that is there: what keeps the node, for going back to it.
    pub mark: Option<String>,
}

/// One host, and what can be done there.
pub struct RemoteHost<'a> {
    /// Its shell.
    pub shell: Box<dyn Shell + 'a>,
    /// What it should be.
    pub host: &'a Host,
    /// The ring's name.
    pub ring: &'a str,
    /// What proves that the lock is ours, while it is.
    token: Option<String>,
}

impl<'a> RemoteHost<'a> {
    /// A host behind a shell. Nothing is done there yet.
    #[must_use]
    pub fn new(shell: Box<dyn Shell + 'a>, host: &'a Host, ring: &'a str) -> Self {
        Self { shell, host, ring, token: None }
    }

    /// Looks at the host and changes nothing.
    ///
    /// # Errors
    /// As [`Shell::run`]; [`crate::error::Error::Denied`] when it is no Linux or lacks a shell.
    pub fn facts(&mut self) -> Result<Facts> {
        let (port, addresses) = facts::in_the_way(self.host.listen);
        let before = wall_ms();
        let output = self.tell(scripts::FACTS, &[&port, &addresses], SHORT)?;
        let asked = (before, wall_ms());
        let host = self.shell.host();
        let found = facts::parse(&output.out, self.host, self.ring, asked)
            .ok_or_else(|| scripts::FACTS.nonsense(host, &output.out))?;
        if found.os == "Linux" {
            return Ok(found);
        }
        let os = found.os;
        Err(Error::Denied(format!("{host} runs {os}, and kvs only Linux; nothing was changed.")))
    }

    /// Makes ROOT and takes its lock, which goes with the connection. `owner` says who we are.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] naming who has it; one whose holder has shown no life for 120 s
    /// is taken over. [`crate::error::Error::Denied`] when ROOT cannot be made.
    pub fn lock(&mut self, owner: &str) -> Result<()> {
        let owner: String = owner.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.token = Some(token()?);
        let script = self.script(scripts::LOCK, "", &[&owner]);
        let said = self.shell.hold(&script, SHORT);
        let host = self.shell.host();
        let lost = match said.as_deref().map(|line| line.trim().split_once(' ')) {
            Ok(None) if said.as_deref().is_ok_and(|line| line.trim() == "held") => return Ok(()),
            Ok(Some(("busy", who))) => Error::Busy(format!(
                "{host} is worked on by somebody else: {who}; nothing was changed there."
            ))
            .hint("wait until they are done, then run this again"),
            Ok(Some(("no", why))) => Error::Denied(format!(
                "{host} has no place for kvs at {}: {why}; nothing was changed there.",
                self.host.root
            ))
            .hint("make it, or name another `root:`, or say `become: sudo`"),
            _ => match said {
                Ok(line) => scripts::LOCK.nonsense(host, &line),
                Err(error) => error,
            },
        };
        self.token = None;
        Err(lost)
    }

    /// Takes the lock unless we have it; sees that it is still ours when we do.
    ///
    /// # Errors
    /// As [`RemoteHost::lock`].
    pub fn hold(&mut self, owner: &str) -> Result<()> {
        match self.token {
            None => self.lock(owner),
            Some(_) => self.tell(scripts::OURS, &[], SHORT).map(drop),
        }
    }

    /// Lets go of the lock.
    pub fn unlock(&mut self) {
        if self.token.is_some() {
            // That it was not heard of any more is as good: the lock goes with the connection.
            drop(self.tell(scripts::UNLOCK, &[], SHORT));
            self.token = None;
        }
    }

    /// Brings a release, checks what arrived and has it say its version, which it gives. A release
    /// that is there and whole is only asked. Nothing that runs is touched.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when the host cannot run it, or what arrived is not what was
    /// sent; as [`Shell::send`].
    pub fn stage(&mut self, release: &Release, watch: &dyn Watch) -> Result<String> {
        stage::stage(self, release, watch)
    }

    /// The public key of the node that is, or is to be, in DATA: 64 hexadecimal digits. Its secret is
    /// made there, and stays there.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when the release refuses.
    pub fn identity(&mut self, release: &str) -> Result<String> {
        let output = self.ask_release(scripts::IDENTITY, &[release])?;
        let is_key = |line: &&str| line.len() == 64 && line.bytes().all(|b| b.is_ascii_hexdigit());
        let key = output.out.lines().map(str::trim).find(is_key);
        let told = key.map(str::to_ascii_lowercase);
        told.ok_or_else(|| scripts::IDENTITY.nonsense(self.shell.host(), &output.out))
    }

    /// Has the release make DATA from the text of a birth; that it is there already is fine.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when the release refuses: DATA is another's.
    pub fn make(&mut self, release: &str, birth: &str) -> Result<()> {
        self.ask_release(scripts::MAKE, &[release, birth]).map(drop)
    }

    /// Writes DATA's `node.yaml`, keeping the one before, and the service's files.
    ///
    /// # Errors
    /// As [`Shell::run`]; [`crate::error::Error::Denied`] when DATA is no node's directory, or for a
    /// unit without systemd or root.
    pub fn configure(&mut self, facts: &Facts, node_yaml: &str) -> Result<()> {
        let kind = unit::wanted_kind(self.host, facts.init, facts.is_root);
        let text = unit::text(self.ring, &self.host.name, facts);
        let mark = unit::mark(kind, &facts.data);
        let own = [node_yaml, kind_word(Some(kind)), &text, &mark];
        self.tell(scripts::CONFIGURE, &own, LONG).map(drop)
    }

    /// Stops the service in good order; one that does not run is stopped.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] when it still runs after the time.
    pub fn stop(&mut self, patience: Duration) -> Result<()> {
        self.end(patience, false)
    }

    /// The same, after the time by force when that is allowed: what is durable stays so.
    fn end(&mut self, patience: Duration, by_force: bool) -> Result<()> {
        let own = [&*seconds(patience), if by_force { "1" } else { "0" }];
        self.tell(scripts::STOP, &own, patience + SLACK).map(drop)
    }

    /// Makes a release the current one, by one rename; the one before is `previous`.
    ///
    /// # Errors
    /// As [`Shell::run`]; [`crate::error::Error::Denied`] when it is not there.
    pub fn switch(&mut self, release: &str) -> Result<()> {
        self.tell(scripts::SWITCH, &[release], LONG).map(drop)
    }

    /// Starts the service and waits until the node says it is ready. One that runs is waited for.
    ///
    /// # Errors
    /// [`crate::error::Error::Partial`] with the last lines of its log when it ends or takes too long;
    /// [`crate::error::Error::Busy`] when it runs, of another release.
    pub fn start(&mut self, patience: Duration) -> Result<()> {
        let own = [&*seconds(patience)];
        self.tell(scripts::START, &own, patience + SLACK).map(drop)
    }

    /// Notes that the node that was started is as it should be.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn proven(&mut self) -> Result<()> {
        self.tell(scripts::PROVEN, &[], SHORT).map(drop)
    }

    /// Goes back: `current`, `node.yaml` and service files as the facts found them, started when it
    /// ran. What was not there is stopped and its link removed; DATA stays. A process that was running
    /// all the time goes on; one that was started since, and does not end when told to, is killed.
    ///
    /// # Errors
    /// As [`RemoteHost::start`].
    pub fn restore(&mut self, before: &Facts, patience: Duration) -> Result<()> {
        let ran = matches!(before.service, Service::Running(_));
        let untouched = ran && self.facts()?.service == before.service;
        // What is there goes back even when the node hangs: who starts it next must not start this.
        let ended = if untouched { Ok(()) } else { self.end(patience, true) };
        let known = before.mark.is_some() || before.unit.is_some();
        let kind = before.kind.filter(|_| known);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let own = [
            &*text(&before.current),
            &text(&before.previous),
            if before.node_yaml.is_some() { "1" } else { "0" },
            &text(&before.node_yaml),
            kind_word(kind),
            &text(&before.unit),
            &text(&before.mark),
        ];
        self.tell(scripts::RESTORE, &own, LONG)?;
        if untouched || !ran {
            return ended;
        }
        self.start(patience).map_err(|error| ended.err().unwrap_or(error))?;
        if before.proving { Ok(()) } else { self.proven() }
    }

    /// Removes all releases but the newest so many, never the current or previous one, nor one that
    /// runs.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn prune(&mut self, keep: usize) -> Result<()> {
        self.tell(scripts::PRUNE, &[&keep.to_string()], LONG).map(drop)
    }

    /// The last lines of the node's log.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn logs(&mut self, lines: usize) -> Result<String> {
        let output = self.tell(scripts::LOGS, &[&lines.to_string()], SHORT)?;
        Ok(output.out)
    }

    /// Removes DATA of a node that has left its ring, once its process has ended, and its service.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] while it runs; [`crate::error::Error::Denied`] when DATA is no
    /// node's directory.
    pub fn forget(&mut self) -> Result<()> {
        self.tell(scripts::FORGET, &["0"], LONG).map(drop)
    }

    /// Removes DATA in which no node ever ran.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when one may have, and as [`RemoteHost::forget`].
    pub fn unmake(&mut self) -> Result<()> {
        self.tell(scripts::FORGET, &["1"], LONG).map(drop)
    }

    /// Stops and removes the service, ROOT's releases, logs and links, and DATA too when asked for.
    /// The lock goes with it. Releases and links stay while another node of this ROOT has a service.
    ///
    /// # Errors
    /// As [`Shell::run`]; [`crate::error::Error::Busy`] when the node does not end.
    pub fn destroy(&mut self, data: bool) -> Result<()> {
        let own = [&*seconds(DESTROY), if data { "1" } else { "0" }];
        self.tell(scripts::DESTROY, &own, DESTROY + LONG).map(drop)
    }

    /// Runs a script to its end, which has to be a good one.
    fn tell(&mut self, script: RemoteScript, own: &[&str], patience: Duration) -> Result<Output> {
        let output = self.shell.run(&self.script(script, "", own), patience)?;
        script.judge(self.shell.host(), &output).map_or(Ok(output), Err)
    }

    /// Has a release do something for whoever the node is to run as.
    fn ask_release(&mut self, script: RemoteScript, own: &[&str]) -> Result<Output> {
        let owner = match self.host.service {
            ServiceKind::Background => "",
            _ => &self.host.ssh.user,
        };
        let output = self.shell.run(&self.script(script, owner, own), LONG)?;
        script.judge_release(self.shell.host(), &output).map_or(Ok(output), Err)
    }

    fn script(&self, script: RemoteScript, owner: &str, own: &[&str]) -> Script {
        let Host { name, root, data, .. } = self.host;
        let unit = unit::name(self.ring, name);
        let token = self.token.as_deref().unwrap_or_default();
        let all = [&[root.as_str(), data, name, &unit, token, owner], own].concat();
        Script { body: script.body(), args: all.into_iter().map(str::to_owned).collect() }
    }
}

fn kind_word(kind: Option<ServiceKind>) -> &'static str {
    match kind {
        Some(ServiceKind::Systemd) => "systemd",
        Some(_) => "background",
        None => "",
    }
}

/// Whole seconds, and at least one.
fn seconds(time: Duration) -> String {
    time.as_secs().max(1).to_string()
}

/// A random number: what tells our lock from another.
fn token() -> Result<String> {
    Ok(release::hex(&random_bytes::<TOKEN_BYTES>()?))
}

/// Our wall clock, to compare with theirs.
fn wall_ms() -> i64 {
    i64::try_from(crate::os::wall_ms()).unwrap_or(i64::MAX)
}
