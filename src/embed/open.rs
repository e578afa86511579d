//! Opening the directories of a ring: locks, files, identities, and the comparison of all of them.
//!
//! ```text
//! n1 n2 n3 in order of their paths:  lock (shared or alone) -> data.mdb -> Node
//! then: one ring? no identity twice? anybody removed? who was seen further than its own file?
//! ```
//!
//! A damaged directory is warned of and counts as down, unless nothing else is left; so does one with a
//! file that is no file, or that says what this kvs does not know, and one that this user may not read
//! or, to write, not write. Limits of this process and a full disk end the command. Reading never
//! writes: a node whose file may be older counts as filling for this run only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fit::{barred, is_closed, refuse_unwritable};
use super::{Embed, Slot, random};
use crate::config::{NODE_FILE, NodeConfig, name_of, read};
use crate::error::{Error, Result, operand, word};
use crate::node::{Boot, Node};
use crate::os::{irregular, parent};
use crate::ring::State;
use crate::store::lmdb::{Access, FILE, LOCK_FILE, Lmdb, Map};
use crate::store::lock::{self, Holder, Lock, Want};
use crate::store::sidecar::{self, Trust};

/// More files than this in one process share the address space: smaller maps.
const WIDE_MAPS_MAX: usize = 16;
/// Records whose keys a served node reads before others have their turn: some ms.
const AUDIT_SLICE: u64 = 1 << 15;

/// A directory that cannot be opened, and why.
type Damaged = (PathBuf, Error);

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Node directories.
    pub dirs: Vec<PathBuf>,
    /// To read or to write.
    pub access: Access,
    /// How long to wait for locks.
    pub timeout: Duration,
    /// Members taken as down: their directories stay closed.
    pub down: Vec<String>,
    /// The command, for whoever meets the lock.
    pub purpose: String,
}

impl Embed {
    /// Opens the directories.
    ///
    /// # Errors
    /// [`Error::Busy`] when a lock wait runs out, [`Error::Denied`] for two identities or rings,
    /// [`Error::Corrupt`] when no directory can be read, [`Error::Unreachable`] when all are down.
    /// Nothing is changed.
    pub fn open(opening: &Opening) -> Result<Self> {
        let mut embed = Self {
            slots: BTreeMap::new(),
            queue: VecDeque::new(),
            replies: BTreeMap::new(),
            mono_ms: 0,
            warnings: Vec::new(),
            damaged: Vec::new(),
            odd: Vec::new(),
            left_out: Vec::new(),
            salvaged: Vec::new(),
            ticket: 0,
            before: None,
        };
        let mut dirs = opening.dirs.clone();
        dirs.sort();
        dirs.dedup();
        let map = map(&dirs);
        let mut failed = embed.open_all(&dirs, opening, map)?;
        let closed = failed.iter().any(|f| is_closed(&f.1));
        if embed.slots.is_empty() && opening.access == Access::Read && !closed {
            failed = embed.salvage(failed, opening, map)?;
        }
        if embed.slots.is_empty() {
            return Err(none_open(failed, opening.access));
        }
        for (dir, error) in failed {
            embed.warnings.push(format!("{} counts as down: {}", dir.display(), error.told()));
            let list = if is_odd(&error) { &mut embed.odd } else { &mut embed.damaged };
            list.push(dir);
        }
        embed.greet();
        embed.leave_out_removed();
        Ok(embed)
    }

    /// Opens what is to be opened, and says which of it is damaged.
    fn open_all(&mut self, dirs: &[PathBuf], opening: &Opening, map: Map) -> Result<Vec<Damaged>> {
        let mut failed = Vec::new();
        let until = now() + opening.timeout;
        for dir in dirs {
            // All locks together are waited for as long as one.
            let timeout = until.saturating_duration_since(now());
            match open_slot(dir, &Opening { timeout, ..opening.clone() }, map) {
                Ok(Some(slot)) => self.insert(slot)?,
                Ok(None) => {}
                Err(error) if is_damage(&error) || is_odd(&error) => {
                    let error = advised(barred(error, dir), dir, opening.dirs.len());
                    failed.push((dir.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(failed)
    }

    /// Opens damaged files as far as they can be read, when there are no others: a page may be all
    /// that is damaged. Says which cannot be read at all.
    fn salvage(
        &mut self,
        damaged: Vec<Damaged>,
        opening: &Opening,
        map: Map,
    ) -> Result<Vec<Damaged>> {
        let opening = Opening { access: Access::Salvage, ..opening.clone() };
        let mut beyond = Vec::new();
        for (dir, error) in damaged {
            if self.open_all(std::slice::from_ref(&dir), &opening, map)?.is_empty() {
                let text = format!("{} is read only in part: {error}", dir.display());
                self.warnings.push(text);
                self.salvaged.push(dir);
            } else {
                beyond.push((dir, error));
            }
        }
        Ok(beyond)
    }

    fn insert(&mut self, slot: Slot) -> Result<()> {
        let id = slot.node.id();
        if let Some(other) = self.slots.values().min_by_key(|s| &s.dir)
            && other.node.doc().id != slot.node.doc().id
        {
            let (a, b) = (slot.dir.display(), other.dir.display());
            return Err(Error::Denied(format!(
                "{a} belongs to another ring than {b}; nothing was changed."
            ))
            .hint("move one of them away, or name the directories of one ring with --ring A,B"));
        }
        if let Some(twin) = self.slots.get(&id) {
            let (a, b) = (slot.dir.display(), twin.dir.display());
            let doc = twin.node.doc();
            // In the place of another member lies a copy, and nothing of that member.
            let taken = [&slot.dir, &twin.dir].into_iter().find_map(|dir| {
                let other = doc.present().find(|m| dir.ends_with(&m.name) && m.id != id);
                other.map(|other| (word(dir), other.name.clone()))
            });
            return Err(Error::Denied(format!(
                "{a} and {b} have the same identity: one is a copy of the other. Nothing was \
                 changed."
            ))
            .hint(match taken {
                Some((dir, name)) => format!(
                    "move the copy {dir} away; then, if {name} is lost: kvs replace {}",
                    operand(&name)
                ),
                None => format!(
                    "move the copy away; to give the node a new identity: kvs replace {}",
                    operand(doc.name(id))
                ),
            }));
        }
        self.slots.insert(id, slot);
        Ok(())
    }

    /// Lets every node hear the others before it acts.
    fn greet(&mut self) {
        self.tell_alive();
        self.settle();
        for _ in 0..2 {
            self.pass_time();
            self.settle();
        }
    }

    /// A removed member's directory is not the ring's any more.
    fn leave_out_removed(&mut self) {
        let doc = self.doc();
        let gone: BTreeSet<_> = self
            .slots
            .keys()
            .filter(|id| doc.member(**id).is_none_or(|m| m.state == State::Removed))
            .copied()
            .collect();
        if gone.len() == self.slots.len() || gone.is_empty() {
            return;
        }
        for id in gone {
            if let Some(slot) = self.slots.remove(&id) {
                let dir = slot.dir.display();
                let why = match doc.member(id) {
                    Some(_) => "was removed from the ring",
                    None => "is not yet a member of the ring",
                };
                self.warnings.push(format!("{dir} {why}; ignored"));
                self.left_out.push(slot.dir);
            }
        }
        self.tell_alive();
    }
}

#[expect(clippy::disallowed_methods, reason = "waiting for other processes takes real time")]
fn now() -> Instant {
    Instant::now()
}

/// One map size for all: 1 TiB each, or less where many files share 47 bits.
fn map(dirs: &[PathBuf]) -> Map {
    if dirs.len() <= WIDE_MAPS_MAX {
        return Map::default();
    }
    let size = |dir: &PathBuf| dir.join("data.mdb").metadata().map_or(0, |m| m.len());
    Map::among_many(dirs.iter().map(size).max().unwrap_or(0))
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

/// Why no directory is open. What another user may have had is not said to be damaged.
fn none_open(mut failed: Vec<Damaged>, access: Access) -> Error {
    let closed = failed.iter().position(|f| is_closed(&f.1));
    match (closed, failed.is_empty()) {
        (_, true) => Error::Unreachable("No node of the ring is open; nothing was tried.".into())
            .hint("remove members from --down"),
        (None, false) => failed.swap_remove(0).1,
        (Some(at), false) => match failed.swap_remove(at).1 {
            Error::Hinted { error, hint } if access == Access::Write => error.hint(format!(
                "nothing was changed; get, scan, dump, diff and verify need no write permission. \
                 To write: {hint}"
            )),
            error => error,
        },
    }
}

/// The way out of damage to a whole directory, one of so many: what its own file advises does not know
/// whether there is another copy.
fn advised(error: Error, dir: &Path, dirs: usize) -> Error {
    let Error::Corrupt(text) = error.root() else { return error };
    let name = operand(name_of(dir));
    let beside =
        std::fs::read_dir(parent(dir)).into_iter().flatten().filter_map(std::result::Result::ok);
    let others = beside.filter(|e| e.path() != dir && e.path().join(NODE_FILE).is_file()).count();
    Error::Corrupt(text.clone()).hint(match dirs.max(others + 1) {
        1 => format!(
            "restore it from a backup: kvs-concepts(7), RESTORING; only where other nodes have copies: \
             kvs replace {name}"
        ),
        _ => format!("rebuild the node from the others: kvs replace {name}"),
    })
}

/// Refuses a directory in which something has the name of a node's file and is none.
fn refuse_irregular(dir: &Path) -> Result<()> {
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

/// Opens a directory; `None` when its member is to be taken as down.
fn open_slot(dir: &Path, opening: &Opening, map: Map) -> Result<Option<Slot>> {
    let config = match refuse_irregular(dir).and_then(|()| configured(dir)) {
        // What it is called cannot be read; its directory is.
        Err(_) if opening.down.iter().any(|d| dir.ends_with(d)) => return Ok(None),
        config => config?,
    };
    if opening.down.contains(&config.name) {
        return Ok(None);
    }
    let want = if opening.access != Access::Write {
        Want::Shared
    } else {
        refuse_unwritable(dir)?;
        let (kind, pid) = (opening.purpose.clone(), std::process::id());
        Want::Exclusive(Holder { kind, pid, address: None })
    };
    let lock = Lock::wait_unless(dir, &want, opening.timeout, &Holder::serves)?;
    if !dir.join(FILE).is_file() {
        let dir = dir.display();
        return Err(Error::Corrupt(format!("{dir} has lost its {FILE}. Nothing was changed.")));
    }
    let (store, node) = node_of(dir, &config, opening.access, map, 0)?;
    Ok(Some(Slot { dir: dir.to_path_buf(), node, store, commit: None, _lock: lock }))
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
