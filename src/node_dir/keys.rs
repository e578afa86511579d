//! Whether the node of a directory could run, and what to type when it could not: has it its keys?
//!
//! ```text
//! node.key   there, readable by its user alone, and the key of this member
//! ring.key   there, and of the right form
//! ```
//!
//! Data are read and written without the keys; a node that is to run needs them. `node run` and the
//! commands that say whether a ring is healthy ask the same functions.

use std::io::ErrorKind;
use std::path::Path;

use super::access::{barred, is_closed, refuse_unwritable};
use super::files::{NODE_KEY, RING_KEY, public};
use crate::config::{Secret, read_key, read_keys};
use crate::error::{Error, Result, operand, word};
use crate::os::parent;
use crate::ring::Member;

/// The keys of a node's directory.
pub struct Keys {
    /// The node's own.
    pub own: Secret,
    /// The ring's: the first dials, all are accepted.
    pub ring: Vec<Secret>,
}

/// Reads the keys that the node of a directory needs to run; `member` is it, as far as its document
/// knows it.
///
/// # Errors
/// As [`read_keys`], [`Error::Denied`] for the key of another node; with the way back to a good file.
pub fn keys(dir: &Path, name: &str, member: Option<&Member>) -> Result<Keys> {
    keys_or(dir, member, &format!("kvs replace {}", operand(name)))
}

/// The same, with the commands that rebuild the node.
fn keys_or(dir: &Path, member: Option<&Member>, rebuild: &str) -> Result<Keys> {
    let (own_file, ring_file) = (dir.join(NODE_KEY), dir.join(RING_KEY));
    let back = format!("put its own key back, or rebuild the node: {rebuild}");
    let own = read_key(&own_file).map_err(|error| lost(error, dir, &own_file, &back))?;
    if member.is_some_and(|member| member.public_key != public(&own)) {
        let shown = own_file.display();
        return Err(Error::Denied(format!("{shown} is not the key of this member.")).hint(back));
    }
    let ring = read_keys(&ring_file)
        .map_err(|error| lost(error, dir, &ring_file, &other_copy(dir, &ring_file)))?;
    Ok(Keys { own, ring })
}

/// An error about a key file with the way back to a good one. What others may read says itself what to
/// do, and so does what fails for another reason.
fn lost(error: Error, dir: &Path, file: &Path, back: &str) -> Error {
    let is_gone = |kind| kind == ErrorKind::NotFound;
    match error.root() {
        Error::Usage(_) => {
            let (from, to) = (word(file), word(file.with_extension("key.odd")));
            error.hint(format!("move that away: mv {from} {to}; {back}"))
        }
        Error::Corrupt(_) => error.hint(back),
        Error::Io { source, .. } if is_gone(source.kind()) => error.hint(back),
        _ => barred(error, dir),
    }
}

/// Where a node's copy of the ring's key comes from: its ring directory, or any other member.
fn other_copy(dir: &Path, own: &Path) -> String {
    let (beside, own) = (parent(dir).join(RING_KEY), word(own));
    match read_keys(&beside) {
        Ok(_) => {
            format!("all nodes of a ring have the same ring.key: cp -p {} {own}", word(beside))
        }
        Err(_) => {
            format!("all nodes of a ring have the same ring.key: copy it from another to {own}")
        }
    }
}

/// Why the node of a directory could not be run, if it could not; its keys, if it could.
///
/// # Errors
/// As [`refuse_unwritable`] and [`keys`].
pub fn fit_to_run(dir: &Path, member: &Member) -> Result<Keys> {
    refuse_unwritable(dir)?;
    keys(dir, &member.name, Some(member))
}

/// Why the node of a directory could not be run, or not again, by whoever runs it: a node that is up has
/// its keys in memory, and its files may be gone since. What this user may not read may be read by that
/// one: then `None`.
///
/// # Errors
/// As [`keys`].
pub fn fit_to_run_again(dir: &Path, member: &Member, up: bool) -> Result<Option<Keys>> {
    let name = operand(&member.name);
    let stop = if up { format!("kvs node stop {name}; ") } else { String::new() };
    match keys_or(dir, Some(member), &format!("{stop}kvs replace {name}")) {
        Err(error) if is_closed(&error) => Ok(None),
        keys => keys.map(Some),
    }
}
