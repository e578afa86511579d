//! What specs name: addresses, or directories and who serves each at the moment.
//!
//! ```text
//! 10.0.0.1:7001,10.0.0.2:7001     addresses
//! r -> r/n1 open 127.0.0.1:7001   its lock is a node's, which answers there
//!      r/n2 starting              its lock is a node's or of `up`, without an address yet
//!      r/n3 shut                  nobody serves it: its file can be opened
//! ```
//!
//! It connects to nobody. Caveat: what it says was so a moment ago.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::NODE_FILE;
use crate::error::{Error, Result};
use crate::store::lock::{Attempt, Holder, Lock, Want};

/// How often a directory is looked at whose node is starting.
const PAUSE: Duration = Duration::from_millis(20);

/// Who serves a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Nobody.
    Shut,
    /// Somebody will, or has it for a moment.
    Starting,
    /// A node that answers there.
    Open(String),
}

/// What specs name.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Addresses of running nodes.
    pub(super) addresses: Vec<String>,
    /// Node directories.
    pub(super) dirs: Vec<(PathBuf, Door)>,
    /// Some directory of them stands for the ring it holds.
    pub(super) whole: bool,
}

impl Places {
    /// Looks at what the specs name, and waits for nodes that are starting.
    ///
    /// # Errors
    /// As [`resolve`]; [`Error::Busy`] when the time is over and no node answers yet.
    pub(super) fn find(specs: &[String], until: Instant) -> Result<Self> {
        let (addresses, dirs, whole) = split(specs)?;
        loop {
            let doors: Result<Vec<_>> = dirs.iter().map(|dir| door(dir)).collect();
            let dirs: Vec<_> = dirs.iter().cloned().zip(doors?).collect();
            let starting = dirs.iter().find(|(_, door)| *door == Door::Starting);
            let places = Self { addresses: addresses.clone(), dirs: dirs.clone(), whole };
            let Some((dir, _)) = starting else { return Ok(places) };
            if now() >= until {
                if places.is_live() {
                    return Ok(places);
                }
                let dir = dir.display();
                return Err(Error::Busy(format!(
                    "The node of {dir} is starting and does not listen yet; nothing was tried."
                ))
                .hint("wait for it, or wait longer with --timeout"));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Whether any node runs: then the ring is that running ring.
    pub(super) fn is_live(&self) -> bool {
        !self.addresses.is_empty() || self.open().next().is_some()
    }

    /// Directories whose nodes answer, and where.
    pub(super) fn open(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.dirs.iter().filter_map(|(dir, door)| match door {
            Door::Open(address) => Some((dir.as_path(), address.as_str())),
            _ => None,
        })
    }

    /// Directories nobody serves.
    pub(super) fn shut(&self) -> Vec<PathBuf> {
        self.dirs.iter().filter(|d| d.1 == Door::Shut).map(|d| d.0.clone()).collect()
    }
}

/// Who serves a directory.
///
/// # Errors
/// [`Error::Io`] when its lock cannot be looked at.
pub(super) fn door(dir: &Path) -> Result<Door> {
    Ok(match Lock::attempt(dir, &Want::Shared)? {
        Attempt::Held(_) | Attempt::Readers => Door::Shut,
        Attempt::Writer(None) => Door::Starting,
        Attempt::Writer(Some(holder)) if !holder.serves() => Door::Shut,
        Attempt::Writer(Some(Holder { address, .. })) => address.map_or(Door::Starting, Door::Open),
    })
}

/// The node directories that specs name.
///
/// # Errors
/// [`Error::Usage`] for one that names none, or a running node.
pub fn resolve(specs: &[String]) -> Result<Vec<PathBuf>> {
    let (addresses, dirs, _) = split(specs)?;
    match addresses.first() {
        None => Ok(dirs),
        Some(address) => Err(Error::Usage(format!(
            "{address} is the address of a running node; a directory is wanted."
        ))),
    }
}

/// Whether a spec is `host:port`.
#[must_use]
pub fn is_address(spec: &str) -> bool {
    spec.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Addresses, node directories, and whether a ring's directory is among the specs.
fn split(specs: &[String]) -> Result<(Vec<String>, Vec<PathBuf>, bool)> {
    let (mut addresses, mut dirs, mut whole) = (Vec::new(), Vec::new(), false);
    for spec in specs.iter().flat_map(|s| s.split(',')).filter(|s| !s.is_empty()) {
        let path = PathBuf::from(spec);
        if path.join(NODE_FILE).is_file() {
            dirs.push(path);
        } else if path.is_dir() {
            let found = nodes_in(&path)?;
            if found.is_empty() {
                return Err(Error::Usage(format!(
                    "{spec} is not a node directory and holds none."
                ))
                .hint(format!("make a ring: kvs init {spec}")));
            }
            dirs.extend(found);
            whole = true;
        } else if is_address(spec) {
            addresses.push(spec.to_owned());
        } else {
            return Err(Error::Usage(format!("{spec} does not exist; nothing was tried."))
                .hint("name a ring directory with --ring DIR, or make one: kvs init DIR"));
        }
    }
    if dirs.is_empty() && addresses.is_empty() {
        return Err(Error::Usage("No ring is named; nothing was tried.".into())
            .hint("name it with --ring DIR, or set KVS_RING"));
    }
    // One directory named twice is one directory.
    let mut met = BTreeSet::new();
    dirs.retain(|dir| met.insert(dir.canonicalize().unwrap_or_else(|_| dir.clone())));
    Ok((addresses, dirs, whole))
}

/// The node directories in a ring directory, in order.
///
/// # Errors
/// [`Error::Io`] when it cannot be read.
pub fn nodes_in(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path).map_err(Error::io("read", path))?;
    let entries = entries.filter_map(std::result::Result::ok);
    // A directory under construction begins with a dot; it stays behind when its command is killed.
    let dirs = entries.filter(|e| !e.file_name().as_encoded_bytes().starts_with(b"."));
    let dirs = dirs.map(|e| e.path());
    let mut found: Vec<_> = dirs.filter(|d| d.join(NODE_FILE).is_file()).collect();
    found.sort();
    Ok(found)
}

#[expect(clippy::disallowed_methods, reason = "waiting for another process takes real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}
