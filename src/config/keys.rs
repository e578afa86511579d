//! Key files: secrets of 32 bytes as hexadecimal lines, for their owner's eyes only.
//!
//! ```text
//! ring.key   9f2c…e1   the first line dials and is accepted
//!            04ab…77   a second, while a key is replaced, is accepted only
//! node.key   one line: the node's static secret
//! ```
//!
//! A ring key is replaced with no node down in three steps, each on every node and client before the
//! next: the fresh one second, both swapped, the old one gone. A file is replaced as a whole and
//! keeps its owner. What it does not do: it sends no key anywhere. Caveat: a key is not wiped from
//! memory.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A secret of 32 bytes: a ring's key, or a node's static one.
pub type Secret = [u8; 32];

/// More than two keys are not one replacement any more.
const KEYS_MAX: usize = 2;
/// No key file is longer, whatever its line ends.
const FILE_BYTES_MAX: u64 = 1_024;
/// What a key is hashed under before a part of the hash is shown.
const FINGERPRINT: &str = "kvs 1 fingerprint of a key";

/// Reads the keys of a file: one, or two while a ring's key is replaced. The first is used to dial.
///
/// # Errors
/// [`Error::Io`], [`Error::Denied`] when others may read it, [`Error::Corrupt`] for another form.
pub fn read_keys(path: &Path) -> Result<Vec<Secret>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mode = file.metadata().map_err(Error::io("read", path))?.permissions().mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(Error::Denied(format!(
            "The key file {shown} can be read by others; it is not used."
        ))
        .hint(format!("chmod 600 {shown}")));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    parse(&bytes).ok_or_else(|| {
        Error::Corrupt(format!(
            "The key file {} does not hold 64 hexadecimal digits, or two such lines.",
            path.display()
        ))
    })
}

/// Reads the first key of a file.
///
/// # Errors
/// As [`read_keys`].
pub fn read_key(path: &Path) -> Result<Secret> {
    Ok(read_keys(path)?[0]) // a file read has at least one
}

/// Makes a key file of mode 0600. It appears whole or not at all.
///
/// # Errors
/// [`Error::Denied`] when the file exists, [`Error::Io`]. Nothing is changed.
pub fn create_key(path: &Path, keys: &[Secret]) -> Result<()> {
    let made = whole(path, keys)?.persist_noclobber(path);
    made.map_err(|e| match e.error.kind() {
        ErrorKind::AlreadyExists => {
            Error::Denied(format!("{} exists; nothing was changed.", path.display()))
        }
        _ => Error::io("make", path)(e.error),
    })?;
    sync_parent(path)
}

/// Replaces a key file, or makes it: mode 0600, and the owner of the one before.
///
/// # Errors
/// [`Error::Io`]. The file is as it was.
pub fn write_key(path: &Path, keys: &[Secret]) -> Result<()> {
    // A link stays one: what it names is replaced.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let made = whole(&real, keys)?;
    if let Ok(before) = real.metadata() {
        let now = made.as_file().metadata().map_err(Error::io("inspect", path))?;
        let (user, group) = (before.uid(), before.gid());
        if (now.uid(), now.gid()) != (user, group) {
            fchown(made.as_file(), Some(user), Some(group))
                .map_err(Error::io("keep the owner of", path))?;
        }
    }
    made.persist(&real).map_err(|e| Error::io("replace", path)(e.error))?;
    sync_parent(&real)
}

/// The text of a key file.
#[must_use]
pub fn key_text(keys: &[Secret]) -> String {
    keys.iter().map(|key| format!("{}\n", blake3::Hash::from_bytes(*key).to_hex())).collect()
}

/// A key of fresh random bits.
///
/// # Errors
/// [`Error::Denied`] when the system has none to give.
pub fn fresh_key() -> Result<Secret> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|e| Error::Denied(format!("The system gives no random numbers: {e}.")))?;
    Ok(key)
}

/// Sixteen digits that tell keys apart and say nothing else of them.
#[must_use]
pub fn fingerprint(key: &Secret) -> String {
    let hash = blake3::Hash::from_bytes(blake3::derive_key(FINGERPRINT, key));
    hash.to_hex()[..16].to_owned()
}

fn parse(bytes: &[u8]) -> Option<Vec<Secret>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let lines = text.trim().lines().map(str::trim);
    let keys: Option<Vec<_>> =
        lines.map(|line| blake3::Hash::from_hex(line).ok().map(|h| *h.as_bytes())).collect();
    keys.filter(|keys| (1..=KEYS_MAX).contains(&keys.len()))
}

/// A file with its whole content on the disk, under a temporary name beside its place.
fn whole(path: &Path, keys: &[Secret]) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".tmp").permissions(fs::Permissions::from_mode(0o600));
    let mut made = builder.tempfile_in(parent(path)).map_err(Error::io("make", path))?;
    made.write_all(key_text(keys).as_bytes())
        .and_then(|()| made.as_file().sync_all())
        .map_err(Error::io("write", path))?;
    Ok(made)
}

fn sync_parent(path: &Path) -> Result<()> {
    let dir = parent(path);
    File::open(dir).and_then(|d| d.sync_all()).map_err(Error::io("sync", dir))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
