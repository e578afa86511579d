//! `fleet.yaml`: which hosts, how to reach them, what should run there.
//!
//! ```text
//! ring: prod
//! replicas: 3
//! defaults: {ssh: {user: deploy}, root: /opt/kvs}
//! hosts:
//!   - {name: n1, address: 10.0.0.11, zone: a}
//!   - {name: n2, address: n2.example, zone: b, ssh: {port: 2222}}
//! spares:
//!   - {name: n3, address: 10.0.0.13, zone: a}
//! ```
//!
//! A field that a host omits is taken from `defaults`; if it is missing there too, from this file. It
//! holds no secret. See
//! kvs-fleet(5).

mod check;
mod draft;
mod fill;
mod form;
mod names;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub(in crate::push) use self::check::ring as ring_name;
pub use self::draft::draft;
use self::fill::Filling;
use self::form::Form;
use self::names::{Lookup, Names};
use crate::error::{Error, Result};
use crate::os::open_small;

/// An inventory of a thousand hosts has a tenth of this; what is longer is none.
const BYTES_MAX: u64 = 1 << 20;

/// Who reads an inventory: what it leaves to be guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Me {
    /// The user that logs in where none is named.
    pub user: Option<String>,
    /// What `~` is here.
    pub home: Option<PathBuf>,
}

/// A fleet, with every default filled in and every name resolved.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The ring's name: of files and units, and what `destroy` wants typed. `[a-z0-9-]`.
    pub ring: String,
    /// The file of the ring's key on this machine, beside the inventory unless absolute.
    pub key: PathBuf,
    /// Copies of each record, for a ring that is to be founded.
    pub replicas: u8,
    /// Partitions, for a ring that is to be founded.
    pub partitions: u32,
    /// Those that should be members.
    pub hosts: Vec<Host>,
    /// Those that `scale` may make members.
    pub spares: Vec<Host>,
    /// How hosts take turns.
    pub rollout: Rollout,
    /// When to grow and to shrink; `None` without a section of that name.
    pub scale: Option<ScaleRules>,
}

/// One node on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The member's name.
    pub name: String,
    /// As it was written: a name or an address.
    pub address: String,
    /// How to reach its sshd.
    pub ssh: SshRules,
    /// Its zone.
    pub zone: String,
    /// Its weight.
    pub weight: u32,
    /// Where its node listens: numeric.
    pub listen: SocketAddr,
    /// Where others reach it, when that is not where it listens.
    pub advertise: Option<SocketAddr>,
    /// Where its figures can be read, `host:port`, or `off`.
    pub metrics: Option<String>,
    /// Bytes its file may use.
    pub quota_bytes: Option<u64>,
    /// Where releases, logs and locks are; `~` is the user's home over there.
    pub root: String,
    /// The node's directory; `ROOT/data` unless given.
    pub data: String,
    /// The binary to bring; this program unless given.
    pub binary: Option<PathBuf>,
    /// Whether scripts run by `sudo -n`.
    pub become_root: Become,
    /// What keeps the node running.
    pub service: ServiceKind,
}

/// How to reach an sshd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshRules {
    /// Where it listens; numeric, alternatives of each other.
    pub at: Vec<SocketAddr>,
    /// The port.
    pub port: u16,
    /// The user; who runs this unless given.
    pub user: String,
    /// Private keys, tried before the agent's others; `~` is expanded.
    pub keys: Vec<PathBuf>,
    /// Whether the agent is asked.
    pub agent: bool,
    /// Files of known hosts, the first is added to.
    pub known_hosts: Vec<PathBuf>,
    /// What is done about a host that is not known.
    pub host_keys: HostKeys,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a command may be silent, or an upload stand still.
    pub command_timeout: Duration,
}

/// What is done about a host key that is not known. One that has changed is always refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// Refuse.
    Strict,
    /// Write it down and go on.
    AcceptNew,
    /// Only this one will do, `SHA256:…`, known or not.
    Pin(String),
}

/// Whether scripts run as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Become {
    /// As the user.
    None,
    /// By `sudo -n`: never with a password.
    Sudo,
}

/// What keeps a node running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// systemd where there is one and we are root there, else a background process.
    Auto,
    /// A unit of the system.
    Systemd,
    /// A process with a pid file; nothing restarts it.
    Background,
}

/// How hosts take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Hosts restarted at once.
    pub batch: usize,
    /// Between two batches.
    pub pause: Duration,
    /// How long a node may take to be ready.
    pub ready_timeout: Duration,
    /// How long it may take to be in sync.
    pub sync_timeout: Duration,
    /// Uploads at once.
    pub uploads: usize,
}

/// When `scale` adds a spare, or takes one back.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleRules {
    /// Never fewer members than this.
    pub min: usize,
    /// Never more than this.
    pub max: usize,
    /// How long the load is looked at.
    pub window: Duration,
    /// How long after a change nothing is done.
    pub cool_down: Duration,
    /// Requests a second and node: more is too much.
    pub requests: Option<f64>,
    /// 99 of 100 requests take no longer.
    pub latency: Option<Duration>,
    /// Bytes of a node's tables.
    pub bytes: Option<u64>,
    /// Used share of a node's disk, 0 to 1.
    pub disk: Option<f64>,
    /// A member is taken back when all figures would stay below this share of their targets without
    /// it.
    pub shrink_below: f64,
}

/// Hosts that are asked for their lock, at the most.
const LOCK_HOSTS_MAX: usize = 5;

impl Fleet {
    /// The hosts whose locks stand for the whole fleet.
    pub(in crate::push) fn lock_hosts(&self) -> &[Host] {
        &self.hosts[..self.hosts.len().min(LOCK_HOSTS_MAX)]
    }

    /// Reads the inventory and resolves its names.
    ///
    /// # Errors
    /// [`Error::Usage`] with line and column, or naming the host that makes no sense, or all whose
    /// names have no address here; [`Error::Io`]. Nothing was done.
    pub fn read(path: &Path, me: &Me) -> Result<Self> {
        let mut text = String::new();
        let file = open_small(path)?;
        file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
        let source = path.display().to_string();
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &source, dir, me, &names::system)
    }

    /// The fleet of a text that came from `source` in `dir`.
    fn parse(text: &str, source: &str, dir: &Path, me: &Me, lookup: &Lookup) -> Result<Self> {
        let wrong = |what| Error::Usage(format!("{source}: {what}; nothing was done."));
        if text.len() as u64 > BYTES_MAX {
            return Err(wrong("it is longer than 1 MiB, and no inventory".into()));
        }
        let form = Form::parse(text, source)?;
        check::form(&form).map_err(wrong)?;
        let names = Names::find(&form, lookup).map_err(wrong)?;
        let fleet = Filling { dir, me, names: &names }.fleet(&form).map_err(wrong)?;
        check::fleet(&fleet).map_err(wrong)?;
        Ok(fleet)
    }

    /// Hosts and spares, in this order.
    pub fn all(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().chain(&self.spares)
    }
}
