//! `kvs.lock`: many readers or one writer of a node directory.
//!
//! The lock is the system's (`flock`), so it ends with its process however that ends. A writer
//! writes its name into the file, so that whoever waits can say for whom, or go through that node:
//!
//! ```text
//! node 4711 127.0.0.1:7001        kind, process, address where it answers
//! put 4712 -                      an offline command has none
//! ```
//!
//! A held lock can change hands: its file is given to another process, which adopts it. From then on
//! it ends with that process, and there is no moment in between at which somebody else could have it.
//!
//! Readers create and write nothing: without a lock file (a backup, a read-only medium) they read
//! unlocked. Caveats: a text left by a process that was killed is believed only while the lock is
//! held exclusively; whoever opens several directories locks them in the order of their names.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::files;
use crate::error::{Error, Result};
use crate::os::now;

/// The name of the file.
pub const FILE: &str = "kvs.lock";

/// Whoever may read the directory may share the lock.
const MODE: u32 = 0o644;

/// How often a lock is tried while waiting.
const PAUSE: Duration = Duration::from_millis(10);
/// A holder's text is short; a longer file is not ours.
const TEXT_BYTES_MAX: u64 = 256;

/// Who holds a directory exclusively.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// `node`, or the name of a command.
    pub kind: String,
    /// Its process.
    pub pid: u32,
    /// Where it answers, of a node.
    pub address: Option<String>,
}

impl Holder {
    /// Reads the text of a lock file; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (kind, pid, address) = (words.next()?, words.next()?, words.next()?);
        let address = (address != "-").then(|| address.to_owned());
        let holder = Self { kind: kind.to_owned(), pid: pid.parse().ok()?, address };
        words.next().is_none().then_some(holder)
    }

    /// Whether it is a node, or `up` about to start one: it keeps what it holds.
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self.kind.as_str(), "node" | "up")
    }

    fn text(&self) -> String {
        let address = self.address.as_deref().unwrap_or("-");
        format!("{} {} {address}\n", self.kind, self.pid)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.kind, self.pid)?;
        self.address.iter().try_for_each(|address| write!(f, " at {address}"))
    }
}

/// How a directory is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// With other readers.
    Shared,
    /// Alone, under this name.
    Exclusive(Holder),
}

/// What came of one try.
#[derive(Debug)]
pub enum Attempt {
    /// The lock is held until it is dropped.
    Held(Lock),
    /// A writer has it; its name is missing for the moment before it has written it.
    Writer(Option<Holder>),
    /// Readers have it.
    Readers,
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    /// None for a reader of a directory without a lock file.
    file: Option<File>,
    exclusive: bool,
}

impl Lock {
    /// Makes the lock file of a new directory.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(dir: &Path) -> Result<()> {
        files::write(&dir.join(FILE), MODE).map(drop)
    }

    /// Tries once.
    ///
    /// # Errors
    /// [`Error::Io`] when the lock file cannot be opened or locked.
    pub fn attempt(dir: &Path, want: &Want) -> Result<Attempt> {
        let path = dir.join(FILE);
        match want {
            Want::Shared => Self::attempt_shared(&path),
            Want::Exclusive(holder) => Self::attempt_exclusive(&path, holder),
        }
    }

    /// Tries until it holds the lock or the wait runs out.
    ///
    /// # Errors
    /// [`Error::Busy`] naming the holder and the directory, [`Error::Io`] as [`Lock::attempt`].
    pub fn wait(dir: &Path, want: &Want, timeout: Duration) -> Result<Self> {
        Self::wait_unless(dir, want, timeout, &|_| false)
    }

    /// The same, but for a holder of whom it is known that waiting is in vain.
    ///
    /// # Errors
    /// As [`Lock::wait`].
    pub fn wait_unless(
        dir: &Path,
        want: &Want,
        timeout: Duration,
        in_vain: &dyn Fn(&Holder) -> bool,
    ) -> Result<Self> {
        let start = now();
        loop {
            let mut vain = false;
            let who = match Self::attempt(dir, want)? {
                Attempt::Held(lock) => return Ok(lock),
                Attempt::Writer(Some(holder)) => {
                    vain = in_vain(&holder);
                    holder.to_string()
                }
                Attempt::Writer(None) => "another kvs command".to_owned(),
                Attempt::Readers => "a reading command".to_owned(),
            };
            let left = timeout.saturating_sub(now().duration_since(start));
            if vain || left.is_zero() {
                let dir = dir.display();
                return Err(Error::Busy(format!(
                    "The directory {dir} is in use by {who}. Nothing was changed."
                ))
                .hint("wait for it to end, or wait longer with --timeout"));
            }
            thread::sleep(left.min(PAUSE));
        }
    }

    /// Who holds a directory exclusively at this moment, if anybody does.
    ///
    /// # Errors
    /// [`Error::Io`] as [`Lock::attempt`].
    pub fn holder(dir: &Path) -> Result<Option<Holder>> {
        match Self::attempt(dir, &Want::Shared)? {
            Attempt::Writer(holder) => Ok(holder),
            Attempt::Held(_) | Attempt::Readers => Ok(None),
        }
    }

    /// Gives up the lock without letting go of it: whoever gets the file holds it from then on, in
    /// this process or in another. `None` for a reader of a directory without a lock file.
    #[must_use]
    pub fn into_file(mut self) -> Option<File> {
        self.file.take()
    }

    /// Takes over a lock that was held exclusively by whoever handed its file down.
    ///
    /// # Errors
    /// [`Error::Denied`] when it is not the lock file of this directory, [`Error::Busy`] when it is
    /// and somebody else holds it, [`Error::Io`]. Nothing is changed.
    pub fn adopt(dir: &Path, file: File, holder: &Holder) -> Result<Self> {
        let path = dir.join(FILE);
        if !files::is_same_file(&path, &file) {
            let path = path.display();
            return Err(Error::Denied(format!(
                "What was handed down as the lock is not {path}. Nothing was changed."
            ))
            .hint("start the node without --lock-on-stdin"));
        }
        // It is granted at once to whoever holds it already, and to nobody else.
        if !granted(&path, file.try_lock())? {
            let dir = dir.display();
            return Err(Error::Busy(format!(
                "The directory {dir} is in use by another process. Nothing was changed."
            )));
        }
        let lock = Self { file: Some(file), exclusive: true };
        lock.rename_holder(dir, holder)?;
        Ok(lock)
    }

    /// Writes another text into the file of a lock held exclusively: a node that has its address
    /// only once it listens. A shared lock has no text and keeps none.
    ///
    /// # Errors
    /// [`Error::Io`]; the lock is still held.
    pub fn rename_holder(&self, dir: &Path, holder: &Holder) -> Result<()> {
        match &self.file {
            Some(file) if self.exclusive => write_holder(&dir.join(FILE), file, holder),
            _ => Ok(()),
        }
    }

    fn attempt_shared(path: &Path) -> Result<Attempt> {
        let Some(file) = files::read(path)? else {
            return Ok(Attempt::Held(Self { file: None, exclusive: false }));
        };
        if granted(path, file.try_lock_shared())? {
            return Ok(Attempt::Held(Self { file: Some(file), exclusive: false }));
        }
        Ok(Attempt::Writer(read_holder(&file)))
    }

    fn attempt_exclusive(path: &Path, holder: &Holder) -> Result<Attempt> {
        let file = files::write(path, MODE)?;
        if granted(path, file.try_lock())? {
            // Whoever waited may have the file of a directory that was replaced meanwhile.
            if !files::is_same_file(path, &file) {
                return Self::attempt_exclusive(path, holder);
            }
            write_holder(path, &file, holder)?;
            return Ok(Attempt::Held(Self { file: Some(file), exclusive: true }));
        }
        // Sharing is possible only beside readers: then the text is an old one.
        if granted(path, file.try_lock_shared())? {
            return Ok(Attempt::Readers);
        }
        Ok(Attempt::Writer(read_holder(&file)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = self.file.take().filter(|_| self.exclusive) {
            // A text left behind would do no harm: it counts only while the lock is held.
            drop(file.set_len(0));
        }
    }
}

fn granted(path: &Path, outcome: std::result::Result<(), TryLockError>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

/// A reader in between sees no text, or the whole of it.
fn write_holder(path: &Path, file: &File, holder: &Holder) -> Result<()> {
    let text = holder.text();
    let written = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
    written.map_err(Error::io("write", path))
}

fn read_holder(mut file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.by_ref().take(TEXT_BYTES_MAX).read_to_string(&mut text).ok()?;
    Holder::parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_reads_back_and_junk_is_none() {
        let node = Holder { kind: "node".into(), pid: 4711, address: Some("[::1]:7001".into()) };
        let put = Holder { kind: "put".into(), pid: 1, address: None };
        assert_eq!(Holder::parse(&node.text()), Some(node.clone()));
        assert_eq!(Holder::parse(&put.text()), Some(put));
        assert_eq!(node.to_string(), "node (process 4711) at [::1]:7001");
        assert!(
            ["", "node", "node 1", "node x -", "node 1 - more"]
                .iter()
                .all(|t| Holder::parse(t).is_none())
        );
    }
}
