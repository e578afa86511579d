//! Small files that are read whole: a configuration, a key, a plan.
//!
//! A regular file of at most so many bytes is read; a FIFO, a directory, a device is refused at once,
//! by what it is, so that no command waits for a writer or reads without end. Nothing is written here.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::{Error, Result};

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
