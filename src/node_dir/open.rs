//! A node's directory is opened: its files checked, its lock taken, its data and its node opened.
//!
//! ```text
//! refuse_irregular -> node.yaml -> kvs.lock (shared, exclusive) -> data.mdb, kvs.id -> Node
//! ```
//!
//! One directory at a time; comparing the directories of a ring is the embedded driver's. Reading never
//! writes: a node whose file may be older counts as filling for this run only.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::{is_closed, refuse_unwritable};
use crate::config::{NODE_FILE, NodeConfig, read};
use crate::error::{Error, Result, operand, word};
use crate::node::{Boot, Node};
use crate::os::{irregular, random};
use crate::store::lmdb::{Access, FILE, LOCK_FILE, Lmdb, Map};
use crate::store::lock::{self, Holder, Lock, Want};
use crate::store::sidecar::{self, Trust};

/// Records whose keys a served node reads before others have their turn: some ms.
const AUDIT_SLICE: u64 = 1 << 15;

/// An open directory: nobody else writes it meanwhile.
pub struct OpenDir {
    /// Where it is.
    pub path: PathBuf,
    /// What decides.
    pub node: Node,
    /// Its data.
    pub store: Lmdb,
    /// Held until it is closed.
    pub lock: Lock,
}

/// How a directory is opened.
#[derive(Clone, Copy, Debug)]
pub struct Mode<'a> {
    /// To read, to write, or to read what is left of a damaged file.
    pub access: Access,
    /// How long its lock is waited for.
    pub timeout: Duration,
    /// The command, for another process that meets the lock.
    pub purpose: &'a str,
    /// How much address space its file takes.
    pub map: Map,
}

/// Whether an error says that the file is damaged or gone, rather than that we may not have it.
#[must_use]
pub fn is_damage(error: &Error) -> bool {
    match error.root() {
        Error::Corrupt(_) => true,
        Error::Io { source, .. } => source.kind() == ErrorKind::NotFound,
        _ => false,
    }
}

/// Whether an error says that a file is not what it should be, and nothing of the data: it is no file,
/// says what this kvs does not know, or is not for this user.
#[must_use]
pub fn is_odd(error: &Error) -> bool {
    matches!(error.root(), Error::Usage(_) | Error::Denied(_)) || is_closed(error)
}

/// Refuses a directory in which something has the name of a node's file and is none.
///
/// # Errors
/// [`Error::Denied`], saying what it is and how to move it away; nothing is changed.
pub fn refuse_irregular(dir: &Path) -> Result<()> {
    for name in [NODE_FILE, sidecar::FILE, lock::FILE, LOCK_FILE] {
        let path = dir.join(name);
        // A configuration may be kept elsewhere; what is written here may not.
        let link = name != NODE_FILE && path.is_symlink();
        let what = if link { Some("a symbolic link") } else { irregular(&path) };
        let Some(what) = what else { continue };
        let (shown, from, to) =
            (path.display(), word(&path), word(dir.join(format!("{name}.odd"))));
        return Err(Error::Denied(format!(
            "{shown} is {what}; a node's files are regular ones. Nothing was changed."
        ))
        .hint(format!("put the file itself in its place, or move this away: mv {from} {to}")));
    }
    Ok(())
}

/// Opens a directory that no node serves. `config` is its own.
///
/// # Errors
/// [`Error::Busy`] when its lock is held for too long, [`Error::Io`] when this user may not do it,
/// [`Error::Corrupt`] for a file that is damaged or gone, [`Error::Denied`] for the file of another
/// node. Nothing is changed.
pub fn open_dir(dir: &Path, config: &NodeConfig, mode: &Mode<'_>) -> Result<OpenDir> {
    let want = if mode.access == Access::Write {
        refuse_unwritable(dir)?;
        let (kind, pid) = (mode.purpose.to_owned(), std::process::id());
        Want::Exclusive(Holder { kind, pid, address: None })
    } else {
        Want::Shared
    };
    let lock = Lock::wait_unless(dir, &want, mode.timeout, &Holder::serves)?;
    if !dir.join(FILE).is_file() {
        let dir = dir.display();
        return Err(Error::Corrupt(format!("{dir} has lost its {FILE}. Nothing was changed.")));
    }
    let (store, node) = node_of(dir, config, mode.access, mode.map, 0)?;
    Ok(OpenDir { path: dir.to_path_buf(), node, store, lock })
}

/// Opens the node of a directory to be served: it acts once it has heard another member. The caller
/// holds the directory's lock.
///
/// # Errors
/// As [`Lmdb::open`] and [`Node::open`].
pub fn open_node(dir: &Path, config: &NodeConfig) -> Result<(Lmdb, Node)> {
    node_of(dir, config, Access::Write, Map::default(), 1)
}

fn node_of(
    dir: &Path,
    config: &NodeConfig,
    access: Access,
    map: Map,
    witnesses: usize,
) -> Result<(Lmdb, Node)> {
    let mut opened = Lmdb::open(dir, access, map)?;
    opened.store.set_quota(config.quota_bytes);
    let suspect = match opened.trust {
        Trust::Proven => None,
        Trust::Suspect(reason) => Some(reason.to_string()),
    };
    let read_only = access != Access::Write;
    // A served node has others to answer meanwhile.
    let audit_slice = (witnesses > 0).then_some(AUDIT_SLICE);
    let boot = Boot { seed: random()?, suspect, read_only, witnesses, audit_slice };
    let node = Node::open(&opened.store, boot)?;
    let owner = node.doc().member(node.id()).map(|member| member.name.clone());
    if let Some(owner) = owner.filter(|owner| *owner != config.name) {
        let (dir, name) = (dir.display(), &config.name);
        return Err(Error::Denied(format!(
            "{dir} is the directory of {name} and holds the file of {owner}. Nothing was changed."
        ))
        .hint(format!(
            "put its own file back, or rebuild it from the others: kvs replace {}",
            operand(name)
        )));
    }
    Ok((opened.store, node))
}

/// A node's configuration. What a person wrote wrong is for that person; a file without text is
/// damage.
///
/// # Errors
/// [`Error::Usage`] naming line and column, [`Error::Corrupt`], [`Error::Io`].
pub fn configured(dir: &Path) -> Result<NodeConfig> {
    let path = dir.join(NODE_FILE);
    let empty = path.metadata().is_ok_and(|m| m.len() == 0);
    match read(&path) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::InvalidData => Err("no text"),
        Err(_) if empty => Err("empty"),
        Err(error @ Error::Usage(_)) => Ok(Err(error.hint("correct that file"))),
        other => Ok(other),
    }
    .unwrap_or_else(|how| {
        let path = path.display();
        Err(Error::Corrupt(format!("The file {path} is {how}. Nothing was changed.")))
    })
}
