//! A shell on a host, wherever that is: scripts in, output back, files across.
//!
//! ```text
//! exec   sh -s                (or sudo -n sh -s)              nothing of ours in any argv
//! stdin  set -- 'a' 'it'\''s'; main() { … }; main "$@" </dev/null; printf '\nkvs-end %s\n' $?
//! out    …, kvs-end 0         no such line: the link was cut, and nobody knows what was done
//! ```
//!
//! The real one is [`super::Ssh`]; tests run scripts in a shell of this machine. It does not know
//! what scripts do. Caveat: output is text of a bounded length; the rest is cut off.

use std::path::Path;
use std::time::Duration;

use super::Watch;
use crate::error::Result;

/// A text for `sh`, with arguments.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it defines, or does; it is read as a whole before any of it is done.
    pub body: String,
    /// `$1`, `$2`, …; any bytes but NUL.
    pub args: Vec<String>,
}

/// What a script came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// One connection to one host.
pub trait Shell: Send {
    /// The host, as people name it.
    fn host(&self) -> &str;

    /// Runs a script to its end.
    ///
    /// # Errors
    /// [`crate::error::Error::Unreachable`] when it was not begun; [`crate::error::Error::Unknown`]
    /// when the link was cut or the time was over before its end: it may have been done. A script
    /// that fails is no error.
    fn run(&mut self, script: &Script, patience: Duration) -> Result<Output>;

    /// Writes a local file to a new file over there, mode 0600, removing what is there of it when it
    /// cannot be finished.
    ///
    /// # Errors
    /// [`crate::error::Error::Partial`] when the link was cut, nothing moved for the connection's own
    /// time, the disk is full there, or `watch` stops it.
    fn send(&mut self, file: &Path, to: &str, watch: &dyn Watch) -> Result<()>;

    /// Starts a script that stays until this connection ends, and gives its first line of output. It
    /// reads one line of standard input for each [`Shell::beat`], and the end of it when we go.
    ///
    /// # Errors
    /// As [`Shell::run`].
    fn hold(&mut self, script: &Script, patience: Duration) -> Result<String>;

    /// Tells whoever is held that we live, and keeps the connection open.
    ///
    /// # Errors
    /// [`crate::error::Error::Unreachable`] when the connection is no more.
    fn beat(&mut self) -> Result<()>;
}
