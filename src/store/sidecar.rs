//! `kvs.id`: the small file beside `data.mdb` that notices an older or copied one.
//!
//! It follows every commit, so a data file behind it has been rolled back. It is overwritten in
//! place and not synced: after a power cut it may be *behind* the file, never ahead.
//!
//! ```text
//! commit 41 durable, sidecar 41     both in step           Proven
//! commit 42 durable, sidecar 41     the power went         Proven
//! older data.mdb (30) put back, sidecar 41                 Suspect: rolled back
//! data.mdb copied alone, or beside another node's kvs.id   Suspect: copied
//! ```
//!
//! # Bytes
//! One block of 512 bytes, the rest of it zero:
//! 1. magic, 8 bytes: `kvs.id\n\0`.
//! 2. format, 4 bytes LE: 1; 4 bytes of zero.
//! 3. node id, actor, commit number: 8 bytes LE each.
//! 4. BLAKE3 of the bytes before it, 32 bytes.
//!
//! What it does not see: a data file restored *together with* its sidecar. Only other nodes'
//! memories of this node's counter do. No device or inode numbers: they change at a reboot.

use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files;
use crate::clock::Actor;
use crate::error::{Error, Result};
use crate::ring::NodeId;

/// The name of the file.
pub const FILE: &str = "kvs.id";

const MAGIC: &[u8; 8] = b"kvs.id\n\0";
const FORMAT: u32 = 1;
const BLOCK_BYTES: usize = 512;
/// Where the checksum stands: after all it covers.
const SUM_AT: usize = 40;

/// Whose file it is, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub actor: Actor,
    /// The number of the last commit.
    pub commit: u64,
}

/// What lies beside a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A sidecar whose checksum holds.
    Valid(Identity),
    /// No sidecar.
    Missing,
    /// A sidecar whose checksum or form is wrong.
    Damaged,
}

/// Whether a data file can be the latest of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing speaks against it.
    Proven,
    /// It may have lost records: no minting and no votes before a new actor and a full sync.
    Suspect(Reason),
}

/// What speaks against a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is older than its sidecar.
    RolledBack {
        /// The commit number of the data file.
        file: u64,
        /// That of the sidecar.
        sidecar: u64,
    },
    /// It has no sidecar: it was copied alone.
    Missing,
    /// Its sidecar cannot be read.
    Damaged,
    /// Its sidecar belongs to another node or another incarnation.
    Foreign,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledBack { file, sidecar } => write!(
                f,
                "data.mdb is older than {FILE}: it holds commit {file} of {sidecar}, so it was restored"
            ),
            Self::Missing => write!(f, "{FILE} is missing, so data.mdb may be a copy"),
            Self::Damaged => write!(f, "{FILE} is damaged, so data.mdb may be older than it was"),
            Self::Foreign => {
                write!(f, "{FILE} is of another node or incarnation, so data.mdb is a copy")
            }
        }
    }
}

/// Compares a data file with what lies beside it.
#[must_use]
pub fn judge(file: &Identity, found: Found) -> Trust {
    let reason = match found {
        Found::Missing => Reason::Missing,
        Found::Damaged => Reason::Damaged,
        Found::Valid(id) if id.node != file.node => Reason::Foreign,
        Found::Valid(id) if file.commit < id.commit => {
            Reason::RolledBack { file: file.commit, sidecar: id.commit }
        }
        // A crash between the commit of a new actor and the sidecar leaves the file ahead.
        Found::Valid(id) if id.actor != file.actor && file.commit == id.commit => Reason::Foreign,
        Found::Valid(_) => return Trust::Proven,
    };
    Trust::Suspect(reason)
}

/// Reads the sidecar of a directory.
///
/// # Errors
/// [`Error::Usage`] for a newer format, [`Error::Io`] when the file is there and cannot be read.
pub fn read(dir: &Path) -> Result<Found> {
    let path = dir.join(FILE);
    let Some(file) = files::read(&path)? else { return Ok(Found::Missing) };
    let mut block = [0; BLOCK_BYTES];
    match file.read_exact_at(&mut block, 0) {
        Ok(()) => parse(&path, &block),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Found::Damaged),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// Removes the sidecar of a directory, durably, if there is one.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn remove(dir: &Path) -> Result<()> {
    let path = dir.join(FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
        _ => files::sync_dir(dir),
    }
}

/// A sidecar open for writing.
#[derive(Debug)]
pub struct Sidecar {
    file: File,
    path: PathBuf,
}

impl Sidecar {
    /// Opens the file or makes it; writes nothing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let file = files::write(&path, 0o600)?;
        Ok(Self { file, path })
    }

    /// Whether its name still leads to it.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        files::is_same_file(&self.path, &self.file)
    }

    /// Overwrites the block in place. It reaches the disk when the system likes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, id: &Identity) -> Result<()> {
        self.file.write_all_at(&block(id), 0).map_err(Error::io("write", &self.path))
    }

    /// Waits until the file is on the disk: at creation and when the actor changes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(Error::io("sync", &self.path))
    }
}

fn block(id: &Identity) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[..8].copy_from_slice(MAGIC);
    block[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    block[16..24].copy_from_slice(&id.node.0.to_le_bytes());
    block[24..32].copy_from_slice(&id.actor.0.to_le_bytes());
    block[32..SUM_AT].copy_from_slice(&id.commit.to_le_bytes());
    let sum = blake3::hash(&block[..SUM_AT]);
    block[SUM_AT..SUM_AT + 32].copy_from_slice(sum.as_bytes());
    block
}

fn parse(path: &Path, block: &[u8; BLOCK_BYTES]) -> Result<Found> {
    let sum = blake3::hash(&block[..SUM_AT]);
    if &block[..8] != MAGIC || block[SUM_AT..SUM_AT + 32] != *sum.as_bytes() {
        return Ok(Found::Damaged);
    }
    let word = |at: usize| {
        u64::from_le_bytes(*block[at..].first_chunk().expect("a block has room for its fields"))
    };
    let format = word(8) as u32;
    if format > FORMAT {
        return Err(Error::Usage(format!(
            "The file {} has format {format}; this build reads {FORMAT}. Nothing was changed.",
            path.display()
        )));
    }
    let (node, actor, commit) = (NodeId(word(16)), Actor(word(24)), word(32));
    Ok(Found::Valid(Identity { node, actor, commit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Identity = Identity { node: NodeId(7), actor: Actor(9), commit: 41 };

    #[test]
    fn a_block_reads_back_and_any_flipped_bit_is_noticed() {
        let path = Path::new("kvs.id");
        let good = block(&ID);
        assert_eq!(parse(path, &good).unwrap(), Found::Valid(ID));
        for bit in 0..(SUM_AT + 32) * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(path, &bad).unwrap(), Found::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let mut newer = block(&ID);
        newer[8] = 2;
        let sum = blake3::hash(&newer[..SUM_AT]);
        newer[SUM_AT..SUM_AT + 32].copy_from_slice(sum.as_bytes());
        assert!(matches!(parse(Path::new("kvs.id"), &newer), Err(Error::Usage(_))));
    }

    #[test]
    fn only_a_file_behind_its_sidecar_was_rolled_back() {
        let at = |commit| Found::Valid(Identity { commit, ..ID });
        assert_eq!(judge(&ID, at(41)), Trust::Proven);
        assert_eq!(judge(&ID, at(3)), Trust::Proven);
        let reason = Reason::RolledBack { file: 41, sidecar: 42 };
        assert_eq!(judge(&ID, at(42)), Trust::Suspect(reason));
        let other = Found::Valid(Identity { actor: Actor(8), ..ID });
        assert_eq!(judge(&ID, other), Trust::Suspect(Reason::Foreign));
    }
}
