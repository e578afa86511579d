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

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result, word};
use crate::os::{self, EntryKind, NewFile, random_bytes};

/// A secret of 32 bytes: a ring's key, or a node's static one.
pub type Secret = [u8; 32];

/// More than two keys are not one replacement any more.
const KEYS_MAX: usize = 2;
/// No key file is longer, whatever its line ends.
const FILE_BYTES_MAX: u64 = 1_024;
/// For its owner's eyes only.
const MODE: EntryKind = EntryKind::Own(0o600);
/// What a key is hashed under before a part of the hash is shown.
const FINGERPRINT: &str = "kvs 1 fingerprint of a key";

/// Reads the keys of a file: one, or two while a ring's key is replaced. The first is used to dial.
///
/// # Errors
/// [`Error::Io`], [`Error::Usage`] for what is no file, [`Error::Denied`] when others may read it,
/// [`Error::Corrupt`] for another form.
pub fn read_keys(path: &Path) -> Result<Vec<Secret>> {
    let file = os::open_small(path)?;
    let about = file.metadata().map_err(Error::io("read", path))?;
    let mode = about.permissions().mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(Error::Denied(format!(
            "The key file {shown} can be read by others; it is not used."
        ))
        .hint(format!("chmod 600 {}", word(path))));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    keys_in(&bytes).ok_or_else(|| {
        Error::Corrupt(format!(
            "The key file {} does not hold 64 hexadecimal digits, or two such lines.",
            path.display()
        ))
        .hint("restore the file; every node of a ring has the same ring.key")
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
    let mut new = NewFile::begin(path, MODE)?;
    new.write_all(key_text(keys).as_bytes()).map_err(Error::io("write", path))?;
    new.keep_new()
}

/// Replaces a key file, or makes it: mode 0600, and the owner of the one before. A link stays one:
/// what it names is replaced.
///
/// # Errors
/// [`Error::Io`]. The file is as it was.
pub fn write_key(path: &Path, keys: &[Secret]) -> Result<()> {
    os::replace_file(path, key_text(keys).as_bytes(), MODE)
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
    random_bytes()
}

/// Sixteen digits that tell keys apart and say nothing else of them.
#[must_use]
pub fn fingerprint(key: &Secret) -> String {
    let hash = blake3::Hash::from_bytes(blake3::derive_key(FINGERPRINT, key));
    hash.to_hex()[..16].to_owned()
}

/// The keys in the bytes of a key file; `None` for another form.
#[must_use]
pub fn keys_in(bytes: &[u8]) -> Option<Vec<Secret>> {
    let fits = bytes.len() as u64 <= FILE_BYTES_MAX;
    let text = std::str::from_utf8(bytes).ok().filter(|_| fits)?;
    let lines = text.trim().lines().map(str::trim);
    let keys: Option<Vec<_>> =
        lines.map(|line| blake3::Hash::from_hex(line).ok().map(|h| *h.as_bytes())).collect();
    keys.filter(|keys| (1..=KEYS_MAX).contains(&keys.len()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const A: Secret = [0xab; 32];
    const B: Secret = [0x12; 32];

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    /// What is read from a file of this text and mode.
    fn read_as(text: impl AsRef<[u8]>, mode: u32) -> Result<Vec<Secret>> {
        let dir = place();
        let path = dir.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read_keys(&path)
    }

    #[test]
    fn one_or_two_lines_are_keys_and_nothing_else_is() {
        let (a, b) = ("ab".repeat(32), "12".repeat(32));
        for (text, keys) in [
            (a.clone(), &[A][..]),
            (format!("{a}\n"), &[A]),
            (format!("{a}\r\n{b}\r\n"), &[A, B]),
            (format!(" {b}\n{a}\n\n"), &[B, A]),
            (a.to_uppercase(), &[A]),
        ] {
            assert_eq!(read_as(&text, 0o600).unwrap(), keys, "{text:?}");
        }
        for text in [
            String::new(),
            "\n".into(),
            a[1..].into(),
            format!("{a}0"),
            format!("{a}{b}"),
            format!("{a} {b}"),
            format!("{a}\n\n{b}"),
            format!("{a}\n{b}\n{a}\n"),
            format!("g{}", &a[1..]),
            format!("{a}\n{}", " ".repeat(2_000) + &b),
        ] {
            assert!(
                matches!(read_as(&text, 0o600).unwrap_err().root(), Error::Corrupt(_)),
                "{text:?}"
            );
        }
        assert!(matches!(read_as([0xff; 64], 0o600).unwrap_err().root(), Error::Corrupt(_)));
        assert!(matches!(read_keys(Path::new("/nowhere/key")), Err(Error::Io { .. })));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let text = "ab".repeat(32);
        for good in [0o600, 0o400, 0o700] {
            assert!(read_as(&text, good).is_ok(), "{good:o}");
        }
        for bad in [0o640, 0o604, 0o610, 0o620, 0o602, 0o601] {
            let Err(Error::Hinted { error, hint }) = read_as(&text, bad) else { panic!("{bad:o}") };
            assert!(matches!(*error, Error::Denied(_)) && hint.starts_with("chmod 600 "), "{hint}");
        }
    }

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_only() {
        let dir = place();
        let path = dir.path().join("key");
        create_key(&path, &[A]).unwrap();
        assert_eq!((read_key(&path).unwrap(), mode(&path)), (A, 0o600));
        assert!(matches!(create_key(&path, &[B]), Err(Error::Denied(_))));
        assert_eq!(read_keys(&path).unwrap(), [A]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left behind");
    }

    #[test]
    fn a_key_file_is_replaced_as_a_whole_through_links() {
        let dir = place();
        let (path, link) = (dir.path().join("key"), dir.path().join("link"));
        write_key(&path, &[A]).unwrap();
        let before = path.metadata().unwrap().ino();
        std::os::unix::fs::symlink("key", &link).unwrap();
        write_key(&link, &[A, B]).unwrap();
        assert_eq!(read_keys(&path).unwrap(), [A, B]);
        assert_eq!((read_key(&link).unwrap(), mode(&path)), (A, 0o600));
        assert_ne!(
            path.metadata().unwrap().ino(),
            before,
            "written in place: a crash could halve it"
        );
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "something was left behind");
    }

    #[test]
    fn a_replaced_file_keeps_its_owner() {
        let dir = place();
        let path = dir.path().join("key");
        write_key(&path, &[A]).unwrap();
        if std::os::unix::fs::chown(&path, Some(4_321), Some(4_322)).is_err() {
            return; // only root can give a file away
        }
        write_key(&path, &[B]).unwrap();
        let now = path.metadata().unwrap();
        assert_eq!((now.uid(), now.gid(), mode(&path)), (4_321, 4_322, 0o600));
    }

    #[test]
    fn a_fingerprint_tells_keys_apart_and_is_no_part_of_them() {
        let (a, b) = (fingerprint(&A), fingerprint(&B));
        assert!(a.len() == 16 && a != b && a == fingerprint(&A));
        assert!(!key_text(&[A]).contains(&a) && !blake3::hash(&A).to_hex().contains(&a));
    }

    #[test]
    fn fresh_keys_differ() {
        assert_ne!(fresh_key().unwrap(), fresh_key().unwrap());
    }
}
