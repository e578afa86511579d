//! One error for the whole library, with variants by what the caller can do about it.
//!
//! A plain "no" (absent, differs) is not an error: operations return it as a value. What the
//! variants mean to a script is decided in one place, `cmd/exit.rs`; the numbers are the contract of
//! the README. Every message is a sentence that says what was tried and what is unchanged; the next
//! command to type is the `hint`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Text as one word of a shell: whatever is put into a hint is pasted sooner or later, and must name
/// the same thing then and run nothing. Keys have [`crate::key::Key::argument`].
///
/// ```
/// # use kvs::error::word;
/// assert_eq!(word("r/n1"), "r/n1");
/// assert_eq!(word("$(touch x)"), "'$(touch x)'");
/// assert_eq!(word("it's"), r"'it'\''s'");
/// ```
#[must_use]
pub fn word(text: impl AsRef<OsStr>) -> String {
    let bytes = text.as_ref().as_bytes();
    let text = std::str::from_utf8(bytes).ok().filter(|t| !t.contains(char::is_control));
    let Some(text) = text else {
        let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
        return format!("\"$(printf '{octal}')\"");
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The same as an operand, the last words of a command: `kvs replace NAME`. One that would be taken for
/// a flag comes after the end of flags.
///
/// ```
/// # use kvs::error::operand;
/// assert_eq!(operand("n1"), "n1");
/// assert_eq!(operand("-n1"), "-- -n1");
/// ```
#[must_use]
pub fn operand(text: impl AsRef<OsStr>) -> String {
    let end = if is_flag(&text) { "-- " } else { "" };
    format!("{end}{}", word(text))
}

/// The same as the value of a flag: `--down NAME`. One that would be taken for a flag is tied to it.
///
/// ```
/// # use kvs::error::option;
/// assert_eq!(option("--down", "n1"), "--down n1");
/// assert_eq!(option("--down", "-n1"), "--down=-n1");
/// ```
#[must_use]
pub fn option(flag: &str, text: impl AsRef<OsStr>) -> String {
    let tie = if is_flag(&text) { '=' } else { ' ' };
    format!("{flag}{tie}{}", word(text))
}

fn is_flag(text: &impl AsRef<OsStr>) -> bool {
    text.as_ref().as_bytes().starts_with(b"-")
}

/// EMFILE, which all Unix systems share: the process has no descriptor left.
const DESCRIPTORS: i32 = 24;

/// What went wrong, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong: nothing was tried.
    #[error("{0}")]
    Usage(String),
    /// Siblings where one value was asked for, or a refused condition: nothing was changed.
    #[error("{0}")]
    Conflict(String),
    /// Too few replicas answered and nothing was applied: try again later.
    #[error("{0}")]
    Refused(String),
    /// A write may or may not have taken effect: repeat it until it says so.
    #[error("{0}")]
    Unknown(String),
    /// No node could be reached: nothing was tried.
    #[error("{0}")]
    Unreachable(String),
    /// A job did part of its work; what is done stays done and the job may be repeated.
    #[error("{0}")]
    Partial(String),
    /// Bytes on disk or on the wire are damaged.
    #[error("{0}")]
    Corrupt(String),
    /// Somebody else holds what is needed.
    #[error("{0}")]
    Busy(String),
    /// Refused because it is not allowed or not safe: nothing was changed.
    #[error("{0}")]
    Denied(String),
    /// The machine said no: a file operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried, a verb: "read", "create".
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The same, with the next command to type.
    #[error("{error}")]
    Hinted {
        /// The error itself.
        error: Box<Self>,
        /// The way out, a sentence or a command.
        hint: String,
    },
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Adds the way out: the next command to type.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self::Hinted { error: Box::new(self), hint: hint.into() }
    }

    /// The error and its way out, as one line.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Hinted { error, hint } => format!("{error} Hint: {hint}"),
            error => error.to_string(),
        }
    }

    /// The error without its hints.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Hinted { error, .. } => error.root(),
            other => other,
        }
    }

    /// Adds the way out of a limit of this process that the system gives as the cause, if it does.
    #[must_use]
    pub fn limited(self, cause: Option<i32>) -> Self {
        if cause != Some(DESCRIPTORS) {
            return self;
        }
        self.hint(
            "this process may have too few files open at once; raise the limit: ulimit -n 1024",
        )
    }

    /// Builds the mapper of an I/O error: `fs::read(p).map_err(Error::io("read", p))?`.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| {
            let cause = source.raw_os_error();
            Self::Io { what, path, source }.limited(cause)
        }
    }
}
