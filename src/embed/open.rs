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

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::state::{Embed, OpenNode};
use crate::config::{NODE_FILE, name_of};
use crate::error::{Error, Result, operand, word};
use crate::node_dir::{
    Mode, OpenDir, barred, configured, is_closed, is_damage, is_odd, open_dir, refuse_irregular,
};
use crate::os::{now, parent};
use crate::ring::MemberState;
use crate::store::lmdb::{Access, Map};

/// More files than this in one process share the address space: smaller maps.
const WIDE_MAPS_MAX: usize = 16;
/// A directory that cannot be opened, and why.
type Damaged = (PathBuf, Error);

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct RingOpening {
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
    pub fn open(opening: &RingOpening) -> Result<Self> {
        let mut embed = Self::empty();
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
    fn open_all(
        &mut self,
        dirs: &[PathBuf],
        opening: &RingOpening,
        map: Map,
    ) -> Result<Vec<Damaged>> {
        let mut failed = Vec::new();
        let until = now() + opening.timeout;
        for dir in dirs {
            // All locks together are waited for as long as one.
            let timeout = until.saturating_duration_since(now());
            let mode = Mode { access: opening.access, timeout, purpose: &opening.purpose, map };
            match open_slot(dir, opening, &mode) {
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
        opening: &RingOpening,
        map: Map,
    ) -> Result<Vec<Damaged>> {
        let opening = RingOpening { access: Access::Salvage, ..opening.clone() };
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

    fn insert(&mut self, slot: OpenNode) -> Result<()> {
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
            .filter(|id| doc.member(**id).is_none_or(|m| m.state == MemberState::Removed))
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

/// One map size for all: 1 TiB each, or less where many files share 47 bits.
fn map(dirs: &[PathBuf]) -> Map {
    if dirs.len() <= WIDE_MAPS_MAX {
        return Map::default();
    }
    let size = |dir: &PathBuf| dir.join("data.mdb").metadata().map_or(0, |m| m.len());
    Map::among_many(dirs.iter().map(size).max().unwrap_or(0))
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

/// Opens a directory; `None` when its member is to be taken as down.
fn open_slot(dir: &Path, opening: &RingOpening, mode: &Mode<'_>) -> Result<Option<OpenNode>> {
    let config = match refuse_irregular(dir).and_then(|()| configured(dir)) {
        // What it is called cannot be read; its directory is.
        Err(_) if opening.down.iter().any(|d| dir.ends_with(d)) => return Ok(None),
        config => config?,
    };
    if opening.down.contains(&config.name) {
        return Ok(None);
    }
    let OpenDir { path, node, store, lock } = open_dir(dir, &config, mode)?;
    Ok(Some(OpenNode { dir: path, node, store, commit: None, _lock: lock }))
}
