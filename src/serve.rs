//! The driver of a running node: sockets, timers, one event loop, one commit thread. (Written next.)

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;

/// What to serve, and how.
#[derive(Debug)]
pub struct Serving {
    /// The node's directory.
    pub dir: PathBuf,
    /// Its lock file, locked by whoever started this process and handed down.
    pub lock: Option<File>,
    /// How long to wait for the lock otherwise; for ever when `None`.
    pub timeout: Option<Duration>,
    /// Where to listen, in place of what `node.yaml` says.
    pub listen: Option<String>,
    /// Where figures can be read; `None` switches them off.
    pub metrics: Option<String>,
    /// How often to compare all totals with every peer; `None` switches anti-entropy off.
    pub sync_every: Option<Duration>,
    /// Whether hints are delivered.
    pub hints: bool,
}

/// A node that serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Where its figures can be read.
    pub metrics: Option<String>,
}

/// Why a node ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to: a signal, or `kvs node stop`.
    Stopped,
    /// It is no member of the ring any more.
    Removed,
}

/// Serves a node until it is told to stop. `ready` is called once it listens.
///
/// # Errors
/// [`crate::error::Error::Busy`] when the directory or the port is in use, as
/// [`crate::embed::Embed::open`] for its files; when its file failed while it served.
pub fn serve(_serving: Serving, _ready: &mut dyn FnMut(&Ready)) -> Result<Ended> {
    unimplemented!()
}
