//! A shell on a host, wherever that is: scripts in, output back, files across.
//!
//! ```text
//! exec   sh -s                (or sudo -n sh -s)              nothing of ours in any argv
//! stdin  { …; printf 'kvs-begin\n' && ( set -- 'a' 'it'\''s'; BODY ) </dev/null
//!          printf '\nkvs-end %s\n' $?; exit; }
//! out    what a login shell says by itself
//!        kvs-begin
//!        …
//!        kvs-end 0          no such line: the link was cut, and nobody knows what was done
//! ```
//!
//! The braces make a shell read all of it before it does any of it: a script that arrives in part is
//! not begun. The brackets keep an `exit` of the body from taking the last line along.
//!
//! The real one is [`super::Ssh`]; tests run scripts in a shell of this machine. It does not know
//! what scripts do. Caveat: output is text of a bounded length; the rest is cut off.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::push::watch::Watch;

/// What a shell says before it begins a script.
const BEGIN: &[u8] = b"kvs-begin\n";
/// What it says after the end of one, with the status.
const END: &[u8] = b"\nkvs-end ";
/// That line is no longer than this.
const END_MAX: usize = 64;
/// Bytes of an output that are kept.
pub(super) const KEPT_MAX: usize = 1 << 20;

/// A text for `sh`, with arguments.
#[derive(Clone)]
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

/// Shows nothing of it: keys may be in it.
impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Script of {} bytes, {} arguments", self.body.len(), self.args.len())
    }
}

impl Script {
    /// What `sh -s` is to read. The script itself finds nothing to read.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is a NUL in it, which no shell can hold.
    pub fn text(&self) -> Result<String> {
        self.for_input("</dev/null")
    }

    /// The same for a script that reads what is sent after it. A shell may read ahead: send nothing
    /// before the script has said something ([`Output::begun`]).
    ///
    /// # Errors
    /// As [`Script::text`].
    pub fn held(&self) -> Result<String> {
        self.for_input("")
    }

    fn for_input(&self, input: &str) -> Result<String> {
        if self.body.contains('\0') || self.args.iter().any(|arg| arg.contains('\0')) {
            return Err(Error::Usage(
                "a script for a host has a NUL in it: nothing was run".into(),
            ));
        }
        let args: String = self.args.iter().map(|arg| format!(" {}", quoted(arg))).collect();
        let body = &self.body;
        Ok(format!(
            "{{
PATH=${{PATH:+$PATH:}}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
printf 'kvs-begin\\n' && (
set --{args}
{body}
) {input}
printf '\\nkvs-end %s\\n' \"$?\"
exit
}}
"
        ))
    }
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Output {
    /// What a script came to, from what its shell wrote; `None` when it was not seen to end.
    #[must_use]
    pub fn parse(out: &[u8], err: &[u8]) -> Option<Self> {
        let begun = Self::begun(out)?;
        let (end, status) = ending(begun)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Self { status, out: text(&begun[..end]), err: text(err) })
    }

    /// What the script itself has written so far; `None` when it has not begun.
    #[must_use]
    pub fn begun(out: &[u8]) -> Option<&[u8]> {
        let at = out.windows(BEGIN.len()).position(|window| window == BEGIN)?;
        Some(&out[at + BEGIN.len()..])
    }
}

/// Where the last line begins, and the status in it.
fn ending(out: &[u8]) -> Option<(usize, i32)> {
    let last = out.len().saturating_sub(END_MAX);
    let at = last + out[last..].windows(END.len()).rposition(|window| window == END)?;
    let number = out[at + END.len()..].strip_suffix(b"\n")?;
    Some((at, std::str::from_utf8(number).ok()?.parse().ok()?))
}

/// A stream of which the beginning and the very end are kept.
#[derive(Debug, Default)]
pub(super) struct KeptOutput {
    bytes: Vec<u8>,
    /// The last ones of those that were too many.
    last: Vec<u8>,
}

impl KeptOutput {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = KEPT_MAX.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.last.extend_from_slice(&bytes[room..]);
        let extra = self.last.len().saturating_sub(END_MAX);
        self.last.drain(..extra);
    }

    /// What is kept. The line that ends a script is in it, however much was said before.
    pub(super) fn bytes(&self) -> Vec<u8> {
        [&self.bytes[..], &self.last].concat()
    }

    /// Whether it looks like the end of a script.
    pub(super) fn has_ended(&self) -> bool {
        let from = self.bytes.len().saturating_sub(END_MAX);
        ending(&[&self.bytes[from..], &self.last].concat()).is_some()
    }
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

#[cfg(test)]
mod tests;
