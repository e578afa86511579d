//! What the system gives a process: files that are replaced whole and last, small files, signals.
//!
//! ```text
//! read_small(node.yaml, max) a regular file of at most so many bytes; a FIFO, a directory, a device
//!                            are refused at once, by what they are
//! replace_file(peers.yaml)   .x.tmp written -> synced -> renamed -> its directory synced
//! rename(r/n2, r/n2.old-…)   renamed -> both directories synced
//! Output::open(FILE)         a regular file is replaced so; a device or FIFO is written into;
//!                            a link stays a link: what it names is replaced
//! ```
//!
//! After a power cut a replaced file is the old one or the new one, never empty and never neither.
//! Everything that replaces or moves a file comes through here: `tests/tidy.rs` finds a rename
//! elsewhere, and a small file that is read elsewhere. It knows nothing of what is in a file.
//! Caveats: two directories are not synced as one, so a crash between them shows both names or none; access
//! lists and extended attributes of a replaced file are lost.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Whose file it is: what becomes of its mode and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    pub fn begin(path: &Path, kind: Kind) -> Result<Self> {
        let real = match kind {
            Kind::OfNode(_) => path.to_path_buf(),
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
            (Kind::Own(mode) | Kind::OfNode(mode), _) => mode,
            (Kind::Named, Some(before)) => before.mode() & 0o777,
            (Kind::Named, None) => 0o666, // less the umask
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".tmp").permissions(Permissions::from_mode(mode));
        let made = builder.tempfile_in(parent(&real));
        // The crate's own error names the temporary file, of which nobody has heard.
        let made = made.map_err(|e| Error::io("make", path)(bare(e)))?;
        let file = made.as_file();
        if before.is_some() || kind != Kind::Named {
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
pub fn replace_file(path: &Path, bytes: &[u8], kind: Kind) -> Result<()> {
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

/// Opens a small file to read it: a configuration, a key, a plan. Nobody is waited for at the other end
/// of a FIFO, and what has no end is not begun.
///
/// # Errors
/// [`Error::Usage`] for what is no regular file, saying what it is; [`Error::Io`].
pub fn open_small(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match irregular(path) {
        Some(what) => no_file(path, what),
        None => Error::io("read", path)(error),
    })?;
    let about = file.metadata().map_err(Error::io("read", path))?;
    if about.is_file() { Ok(file) } else { Err(no_file(path, what_is(&about))) }
}

/// Reads a small file whole.
///
/// # Errors
/// As [`open_small`]; [`Error::Usage`] for one that is longer than `max` bytes.
pub fn read_small(path: &Path, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open_small(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(Error::io("read", path))?;
    if bytes.len() as u64 > max {
        let shown = path.display();
        return Err(Error::Usage(format!("{shown} is longer than {max} bytes; it is not read.")));
    }
    Ok(bytes)
}

/// What a path leads to, in words, when that is something and no regular file: a link to a regular
/// file is one, a link that leads nowhere is not.
#[must_use]
pub fn irregular(path: &Path) -> Option<&'static str> {
    match path.metadata() {
        Ok(about) if about.is_file() => None,
        Ok(about) => Some(what_is(&about)),
        Err(_) => path.is_symlink().then_some("a symbolic link that leads nowhere"),
    }
}

fn what_is(about: &Metadata) -> &'static str {
    let kind = about.file_type();
    match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if kind.is_file() => "a file",
        () => "a device",
    }
}

fn no_file(path: &Path, what: &str) -> Error {
    let shown = path.display();
    Error::Usage(format!("{shown} is {what}, not a regular file; nothing was tried."))
}

/// The directory that a path is in.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// The signals that ask a process to finish: INT, TERM and HUP, but for those that were ignored when
/// it began. To be asked before any is caught. Caveat: where there is no /proc none counts as ignored.
#[must_use]
pub fn stop_signals() -> Vec<i32> {
    const HUP: i32 = 1;
    const INT: i32 = 2;
    const TERM: i32 = 15;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    [INT, TERM, HUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
}

/// Where a command writes that was given a path: a new file, or what cannot be replaced.
pub enum Output {
    /// A regular file, or one to be: it appears whole.
    Whole(NewFile),
    /// A device, a FIFO, an open descriptor: written as it goes.
    Direct(File),
}

impl Output {
    /// Opens what a person named. It waits for the reader of a FIFO, as a shell does.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing is changed.
    pub fn open(path: &Path) -> Result<Self> {
        // What lies there is never a person's file, though it may lead to one that somebody else
        // has open: /dev/stdout.
        let system = ["/dev", "/proc"].iter().any(|dir| path.starts_with(dir));
        let regular = match path.metadata() {
            Ok(about) => about.is_file() || about.is_dir(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(Error::io("write", path)(error)),
        };
        if regular && !system {
            return NewFile::begin(path, Kind::Named).map(Self::Whole);
        }
        let opened = OpenOptions::new().append(true).open(path);
        opened.map(Self::Direct).map_err(Error::io("write", path))
    }

    /// Ends it: what has to appear appears, durably.
    ///
    /// # Errors
    /// As [`NewFile::keep`].
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Whole(new) => new.keep(),
            Self::Direct(_) => Ok(()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Whole(new) => new.write(bytes),
            Self::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Whole(new) => new.flush(),
            Self::Direct(file) => file.flush(),
        }
    }
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
fn give(file: &File, before: Option<&fs::Metadata>, kind: Kind, dir: &Path) -> io::Result<()> {
    let made = file.metadata()?;
    let (user, group) = match (before, kind) {
        (Some(before), _) => (before.uid(), before.gid()),
        (None, Kind::Own(_) | Kind::OfNode(_)) if made.uid() == 0 => {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_a_link_stays_one() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        replace_file(&link, b"new", Kind::Named).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        replace_file(&link, b"own", Kind::Own(0o600)).unwrap();
        assert!(link.is_symlink());
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        fs::remove_file(&file).unwrap();
        replace_file(&link, b"made", Kind::Named).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"made");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn in_a_directory_of_a_node_a_link_is_replaced_and_what_it_names_is_not() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&file, "old").unwrap();
        for to in ["file", "nowhere"] {
            symlink(to, &link).unwrap();
            replace_file(&link, b"new", Kind::OfNode(0o644)).unwrap();
            assert!(!link.is_symlink() && fs::read(&link).unwrap() == b"new");
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_small_file_is_a_file_and_small() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::write(at("file"), "1234").unwrap();
        fs::create_dir(at("dir")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("gone", at("loose")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert_eq!(read_small(&at("link"), 4).unwrap(), b"1234");
        let refused = |path: &Path| read_small(path, 3).unwrap_err().to_string();
        assert!(refused(&at("file")).contains("longer than 3 bytes"));
        for (name, what) in [("dir", "a directory"), ("fifo", "a FIFO"), ("socket", "a socket")] {
            assert!(refused(&at(name)).contains(what), "{}", refused(&at(name)));
        }
        assert!(refused(&at("loose")).contains("leads nowhere"), "{}", refused(&at("loose")));
        assert!(refused(Path::new("/dev/zero")).contains("a device"));
        assert!(matches!(read_small(&at("none"), 3), Err(Error::Io { .. })));
    }

    #[test]
    fn what_cannot_be_replaced_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let (there, link) = (place.path().join("there"), place.path().join("loop"));
        fs::write(&there, "old").unwrap();
        let mut new = NewFile::begin(&there, Kind::Own(0o600)).unwrap();
        new.write_all(b"new").unwrap();
        assert!(matches!(new.keep_new(), Err(Error::Denied(_))));
        assert_eq!(fs::read(&there).unwrap(), b"old");
        symlink("loop", &link).unwrap();
        for path in [place.path(), &link, &there.join("below"), &place.path().join("no/file")] {
            assert!(matches!(replace_file(path, b"", Kind::Named), Err(Error::Io { .. })));
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_device_is_written_into() {
        let mut null = Output::open(Path::new("/dev/null")).unwrap();
        null.write_all(b"gone").unwrap();
        assert!(matches!(null, Output::Direct(_)));
        null.finish().unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }
}
