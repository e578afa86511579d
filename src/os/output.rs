//! Where a command writes that was given a path.
//!
//! A regular file appears whole, as [`super::files`] replaces one; a device or a FIFO is written into.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::files::{EntryKind, NewFile};
use crate::error::{Error, Result};

/// Where a command writes that was given a path: a new file, or what cannot be replaced.
pub enum OutputFile {
    /// A regular file, or one to be: it appears whole.
    Whole(NewFile),
    /// A device, a FIFO, an open descriptor: written as it goes.
    Direct(File),
}

impl OutputFile {
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
            return NewFile::begin(path, EntryKind::Named).map(Self::Whole);
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

impl Write for OutputFile {
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
