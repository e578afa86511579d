//! What a command asks to be opened: the words of its command line, as a value.

use std::path::PathBuf;
use std::time::Duration;

use crate::store::lmdb::Access;

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct Opening {
    /// TARGETs, each possibly several separated by commas.
    pub specs: Vec<String>,
    /// To read or to write.
    pub access: Access,
    /// How long to wait for locks.
    pub timeout: Duration,
    /// Members taken as down; of directories alone.
    pub down: Vec<String>,
    /// The member that is to be replaced: what is left of it is not asked.
    pub lost: Option<String>,
    /// The file with the ring's key, for addresses.
    pub key_file: Option<PathBuf>,
    /// Running nodes and files of stopped ones may be mixed: single nodes are looked at.
    pub mixed: bool,
    /// The zone the request comes from.
    pub zone: Option<String>,
    /// The command, for whoever meets its locks.
    pub purpose: String,
}
