//! Checksums of rows that carry none of their own: hints, ring documents, promises, identity.
//!
//! From format 2 of a file on, every row of the tables `hints`, `bad`, `ring` and `meta` ends in a
//! seal: 16 bytes of BLAKE3 over its table, its key and its value. A row is taken for what it says
//! only when its seal is right, so one that was changed, or that stands under another's key, is
//! damage and never an empty or an older row.
//!
//! ```text
//! format 1   meta  format [1 0 0 0]                  rows as they are
//! format 2   meta  format [2 0 0 0][seal]            value [seal]
//! ```
//!
//! Records prove themselves by their terms, digests by each other. A file of format 1 opens as it
//! is; whatever writes to it next seals all of it in the same transaction. The row `format` is sealed
//! in this way in every format to come, so that a newer one is told from damage.

use super::rows::{Name, REPLACE, Rows, malformed};
use crate::error::{Error, Result};

/// The format of the files this build writes; a higher one is refused, an older one opens.
pub(super) const FORMAT: u32 = 2;
/// Bytes of a seal.
pub(super) const SEAL_BYTES: usize = 16;
/// The seal of a row.
pub(super) fn of(table: Name, key: &[u8], value: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table.as_str().as_bytes()).update(&[0]);
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

/// The row as it is stored.
pub(super) fn seal(table: Name, key: &[u8], value: &[u8]) -> Vec<u8> {
    [value, &of(table, key, value)].concat()
}

/// The value of a stored row whose seal is right.
pub(super) fn open<'r>(table: Name, key: &[u8], stored: &'r [u8]) -> Option<&'r [u8]> {
    let (value, seal) = stored.split_last_chunk::<SEAL_BYTES>()?;
    (of(table, key, value) == *seal).then_some(value)
}

/// Bytes of the value of a sealed row, whatever they say.
pub(super) fn value_bytes(stored: &[u8]) -> u64 {
    stored.len().saturating_sub(SEAL_BYTES) as u64
}

/// How the rows of one file are proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seals {
    pub(super) sealed: bool,
}

impl Seals {
    /// As the file's format says.
    ///
    /// # Errors
    /// [`Error::Usage`] for a newer format, [`Error::Corrupt`] for a damaged row.
    pub(super) fn of(rows: &impl Rows) -> Result<Self> {
        let Some(row) = rows.get(Name::Meta, b"format")? else { return Ok(Self { sealed: false }) };
        let plain = <[u8; 4]>::try_from(row).ok();
        let sealed = open(Name::Meta, b"format", row).and_then(|v| <[u8; 4]>::try_from(v).ok());
        let format = sealed.or(plain).map(u32::from_le_bytes);
        match format.ok_or_else(|| damaged(Name::Meta, b"format"))? {
            newer if newer > FORMAT => Err(Error::Usage(format!(
                "The node's file has format {newer}; this build reads {FORMAT}. It was not changed."
            ))
            .hint("use the build of kvs that wrote it, or a newer one")),
            FORMAT if sealed.is_none() => Err(damaged(Name::Meta, b"format")),
            format => Ok(Self { sealed: format == FORMAT }),
        }
    }

    /// The value of a row, proven as far as its format allows.
    ///
    /// # Errors
    /// [`Error::Corrupt`], naming the row.
    pub(super) fn value<'r>(self, table: Name, key: &[u8], stored: &'r [u8]) -> Result<&'r [u8]> {
        if !self.sealed {
            return Ok(stored);
        }
        open(table, key, stored).ok_or_else(|| damaged(table, key))
    }

    /// Whether rows are sealed.
    pub(super) fn are_there(self) -> bool {
        self.sealed
    }

    /// Bytes of the value of a row, whatever they say.
    pub(super) fn len_of(self, stored: &[u8]) -> u64 {
        if self.sealed { value_bytes(stored) } else { stored.len() as u64 }
    }
}

fn damaged(table: Name, key: &[u8]) -> Error {
    let row = crate::key::escape(key);
    let why = malformed(table);
    Error::Corrupt(format!("{why} It is the row {row}: it does not match its checksum."))
        .hint(REPLACE)
}
