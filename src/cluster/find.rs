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
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::NODE_FILE;
use crate::error::{Error, Result, operand, word};
use crate::node_dir::{OLD_NODE_FILE, is_odd};
use crate::os::{irregular, now};
use crate::store::lmdb::FILE as DATA_FILE;
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
    /// Beside them: directories with the data of a node and without its configuration.
    pub(super) headless: Vec<PathBuf>,
}

impl Places {
    /// Looks at what the specs name, and waits for nodes that are starting.
    ///
    /// # Errors
    /// As [`resolve`]; [`Error::Busy`] when the time is over and no node answers yet.
    pub(super) fn find(specs: &[String], until: Instant) -> Result<Self> {
        let Self { addresses, dirs, whole, headless } = split(specs)?;
        let dirs: Vec<_> = dirs.into_iter().map(|d| d.0).collect();
        loop {
            let doors: Result<Vec<_>> = dirs.iter().map(|dir| door(dir)).collect();
            let dirs: Vec<_> = dirs.iter().cloned().zip(doors?).collect();
            let starting = dirs.iter().find(|(_, door)| *door == Door::Starting);
            let (addresses, headless) = (addresses.clone(), headless.clone());
            let places = Self { addresses, dirs: dirs.clone(), whole, headless };
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
    let attempt = match Lock::attempt(dir, &Want::Shared) {
        // Whoever opens its file says so, unless the member is taken as down.
        Err(error) if is_odd(&error) => return Ok(Door::Shut),
        attempt => attempt?,
    };
    Ok(match attempt {
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
    let Places { addresses, dirs, .. } = split(specs)?;
    match addresses.first() {
        None => Ok(dirs.into_iter().map(|d| d.0).collect()),
        Some(address) => Err(Error::Usage(format!(
            "{address} is the address of a running node; name a directory."
        ))),
    }
}

/// Whether a spec is `host:port`.
#[must_use]
pub fn is_address(spec: &str) -> bool {
    spec.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// What the specs name, every directory shut.
fn split(specs: &[String]) -> Result<Places> {
    let mut places = Places::default();
    let Places { addresses, dirs, whole, headless } = &mut places;
    for spec in specs.iter().flat_map(|s| s.split(',')).filter(|s| !s.is_empty()) {
        let path = PathBuf::from(spec);
        if may_be_node(&path) {
            dirs.push((path, Door::Shut));
        } else if path.is_dir() {
            let found = nodes_in(&path)?;
            headless.extend(headless_in(&path));
            if found.is_empty() && headless.is_empty() {
                return Err(Error::Usage(format!(
                    "{spec} is not a node directory and contains none."
                ))
                .hint(format!("make a ring: kvs init {}", operand(spec))));
            }
            dirs.extend(found.into_iter().map(|dir| (dir, Door::Shut)));
            *whole = true;
        } else if is_address(spec) {
            addresses.push(spec.to_owned());
        } else {
            let how = match irregular(&path) {
                Some(what) => format!("is {what}, not a directory"),
                None if path.exists() => "is a file, not a directory".into(),
                None => "does not exist".into(),
            };
            return Err(Error::Usage(format!("{spec} {how}; nothing was tried."))
                .hint("name a ring directory with --ring DIR, or make one: kvs init DIR"));
        }
    }
    if let (true, Some(dir)) = (dirs.is_empty() && addresses.is_empty(), headless.first()) {
        return Err(Error::Usage(format!("{}; nothing was tried.", beheaded(dir)))
            .hint(format!("{}; then: kvs repair; see kvs-concepts(7), RESTORING", head(dir))));
    }
    if dirs.is_empty() && addresses.is_empty() {
        return Err(Error::Usage("No ring was given; nothing was tried.".into())
            .hint("name it with --ring DIR, or set KVS_RING"));
    }
    // One directory named twice is one directory.
    let mut met = BTreeSet::new();
    dirs.retain(|(dir, _)| met.insert(dir.canonicalize().unwrap_or_else(|_| dir.clone())));
    Ok(places)
}

/// What is wrong with a directory that has data and no configuration.
pub(super) fn beheaded(dir: &Path) -> String {
    format!("{} holds a node's {DATA_FILE} and no {NODE_FILE}", dir.display())
}

/// The command that writes the configuration anew.
pub(super) fn head(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let (name, file) = (word(format!("name: {name}")), word(dir.join(NODE_FILE)));
    format!("write it again, with the member's name: echo {name} > {file}")
}

/// Directories in a ring's directory, and itself, that hold data and no configuration.
fn headless_in(path: &Path) -> Vec<PathBuf> {
    let below = std::fs::read_dir(path).into_iter().flatten().filter_map(std::result::Result::ok);
    let below =
        below.filter(|e| !e.file_name().as_encoded_bytes().starts_with(b".")).map(|e| e.path());
    // What a replacement has moved aside keeps its configuration under another name.
    let lost = |dir: &PathBuf| {
        dir.join(DATA_FILE).is_file() && !may_be_node(dir) && !dir.join(OLD_NODE_FILE).exists()
    };
    let mut found: Vec<_> = below.chain([path.to_path_buf()]).filter(lost).collect();
    found.sort();
    found
}

/// Whether a directory is a node's, or cannot be looked into. Whoever opens it says so when its
/// configuration is no file.
fn may_be_node(dir: &Path) -> bool {
    match dir.join(NODE_FILE).symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    }
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
    let mut found: Vec<_> = dirs.filter(|d| may_be_node(d)).collect();
    found.sort();
    Ok(found)
}
