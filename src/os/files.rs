//! Files that are replaced whole: written beside their place, synced, renamed.
//!
//! ```text
//! replace_file(peers.yaml)   .x.tmp written -> synced -> renamed -> its directory synced
//! rename(r/n2, r/n2.old-…)   renamed -> both directories synced
//! ```
//!
//! After a power cut a replaced file is the old one or the new one, never empty and never neither. A
//! link stays a link: what it names is replaced. It knows nothing of what is in a file. Caveats: two
//! directories are not synced as one, so a crash between them shows both names or none; access lists
//! and extended attributes of a replaced file are lost.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Whose file it is: what becomes of its mode and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file of kvs, with exactly this mode. It keeps its owner; a new one belongs to the owner of
    /// its directory.
    Own(u32),
    /// The same in a node's directory, whose owner may have put a link there: it is replaced, and what
    /// it leads to is left alone.
    OfNode(u32),
    /// A file that a person named. It keeps mode and owner; a new one is like any the person makes.
    Named,
}

/// A file that appears under its name when it is whole.
pub struct NewFile {
    made: NamedTempFile,
    /// Where it goes: no link.
    path: PathBuf,
}

impl NewFile {
    /// Begins to replace `path`, or to make it.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing is changed.
    pub fn begin(path: &Path, kind: EntryKind) -> Result<Self> {
        let real = match kind {
            EntryKind::OfNode(_) => path.to_path_buf(),
            _ => followed(path)?,
        };
        // What `followed` gives is a link only if there was none a moment ago.
        let before = match real.symlink_metadata() {
            Ok(about) if about.is_symlink() => None,
            Ok(about) if about.is_dir() => {
                return Err(Error::io("write", path)(ErrorKind::IsADirectory.into()));
            }
            about => about.ok(),
        };
        let mode = match (kind, &before) {
            (EntryKind::Own(mode) | EntryKind::OfNode(mode), _) => mode,
            (EntryKind::Named, Some(before)) => before.mode() & 0o777,
            (EntryKind::Named, None) => 0o666, // less the umask
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".tmp").permissions(Permissions::from_mode(mode));
        let made = builder.tempfile_in(parent(&real));
        // The crate's own error names the temporary file, of which nobody has heard.
        let made = made.map_err(|e| Error::io("make", path)(bare(e)))?;
        let file = made.as_file();
        if before.is_some() || kind != EntryKind::Named {
            let exactly = file.set_permissions(Permissions::from_mode(mode));
            exactly.map_err(Error::io("set the mode of", path))?;
        }
        give(file, before.as_ref(), kind, parent(&real))
            .map_err(Error::io("keep the owner of", path))?;
        Ok(Self { made, path: real })
    }

    /// Puts it in its place, durably.
    ///
    /// # Errors
    /// [`Error::Io`]; what was there is there still, unless only its directory could not be synced.
    pub fn keep(self) -> Result<()> {
        let (made, path) = self.synced()?;
        made.persist(&path).map_err(|e| Error::io("replace", &path)(e.error))?;
        sync_dir(parent(&path))
    }

    /// Puts it in its place, durably, unless something is there.
    ///
    /// # Errors
    /// [`Error::Denied`] when something is, [`Error::Io`]; nothing is changed.
    pub fn keep_new(self) -> Result<()> {
        let (made, path) = self.synced()?;
        made.persist_noclobber(&path).map_err(|e| match e.error.kind() {
            ErrorKind::AlreadyExists => {
                Error::Denied(format!("{} exists; nothing was changed.", path.display()))
            }
            _ => Error::io("make", &path)(e.error),
        })?;
        sync_dir(parent(&path))
    }

    fn synced(self) -> Result<(NamedTempFile, PathBuf)> {
        self.made.as_file().sync_all().map_err(Error::io("write", &self.path))?;
        Ok((self.made, self.path))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.made.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.made.as_file_mut().flush()
    }
}

/// Replaces a file, or makes it. After a power cut it is the old one or the new one.
///
/// # Errors
/// [`Error::Io`]; what was there is there still, unless only its directory could not be synced.
pub fn replace_file(path: &Path, bytes: &[u8], kind: EntryKind) -> Result<()> {
    let mut new = NewFile::begin(path, kind)?;
    new.write_all(bytes).map_err(Error::io("write", path))?;
    new.keep()
}

/// Gives a file or directory another name, durably.
///
/// # Errors
/// [`Error::Io`]; it has its old name still, unless only a directory could not be synced.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::io("rename", from))?;
    sync_dir(parent(to))?;
    if parent(from) != parent(to) {
        sync_dir(parent(from))?;
    }
    Ok(())
}

/// Gives a directory that root has made, and all in it, to the owner of the one it is in. Nobody else
/// can reach it yet; no link is followed.
///
/// # Errors
/// [`Error::Io`].
pub fn give_tree(dir: &Path, home: &Path) -> Result<()> {
    let read = || Error::io("inspect", home);
    let (made, owner) = (dir.metadata().map_err(read())?, home.metadata().map_err(read())?);
    if made.uid() != 0 || owner.uid() == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let entry = entry.map_err(Error::io("read", dir))?;
        if entry.file_type().map_err(Error::io("read", dir))?.is_dir() {
            give_tree(&entry.path(), home)?;
        } else {
            give_path(&entry.path(), &owner)?;
        }
    }
    give_path(dir, &owner)
}

fn give_path(path: &Path, owner: &fs::Metadata) -> Result<()> {
    let given = lchown(path, Some(owner.uid()), Some(owner.gid()));
    given.map_err(Error::io("change the owner of", path))
}

/// Waits until the names in a directory are on the disk.
///
/// # Errors
/// [`Error::Io`].
pub fn sync_dir(dir: &Path) -> Result<()> {
    let opened = File::open(dir).map_err(Error::io("open", dir))?;
    opened.sync_all().map_err(Error::io("sync", dir))
}

/// The directory that a path is in.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// The path itself, or what it names in the end if it is a link, also of one that leads nowhere yet.
fn followed(path: &Path) -> Result<PathBuf> {
    if !path.is_symlink() {
        return Ok(path.to_path_buf());
    }
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let to = fs::read_link(path).map_err(Error::io("read", path))?;
            Ok(parent(path).join(to))
        }
        real => real.map_err(Error::io("follow", path)),
    }
}

/// Gives a new file its owner.
fn give(file: &File, before: Option<&fs::Metadata>, kind: EntryKind, dir: &Path) -> io::Result<()> {
    let made = file.metadata()?;
    let (user, group) = match (before, kind) {
        (Some(before), _) => (before.uid(), before.gid()),
        (None, EntryKind::Own(_) | EntryKind::OfNode(_)) if made.uid() == 0 => {
            let dir = dir.metadata()?;
            (dir.uid(), dir.gid())
        }
        (None, _) => return Ok(()),
    };
    if (made.uid(), made.gid()) == (user, group) {
        return Ok(());
    }
    fchown(file, Some(user), Some(group))
}

/// An error of the system without the words of a crate.
fn bare(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(std::error::Error::source);
    let number =
        inner.and_then(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
    number.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
