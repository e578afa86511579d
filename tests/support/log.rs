//! What clients asked and were told: one JSON line for each operation.
//!
//! ```text
//! {"who":"c1.2","begin_ms":…,"end_ms":…,"key":"causal-7","strict":true,"what":{"Context":[[3,41]]},
//!  "value":"c1.2.118","end":{"Acked":{"dot":{"actor":3,"counter":44},"context":[[3,44]],"hinted":0}}}
//! ```
//!
//! Times are ms since 1970, taken from one clock at the start of each process and from then on from
//! a clock that never goes back. Every value is written by one operation only, so that a value names
//! its writer also when that was never told its dot.

use std::fs;
use std::path::Path;

use kvs::clock::{Dot, VersionVector};
use serde::{Deserialize, Serialize};

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Op {
    /// Process and thread.
    pub(crate) who: String,
    pub(crate) begin_ms: u64,
    pub(crate) end_ms: u64,
    pub(crate) key: String,
    pub(crate) strict: bool,
    pub(crate) what: What,
    /// What a write wrote; `None` deletes, or reads.
    pub(crate) value: Option<String>,
    pub(crate) end: End,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum What {
    Get,
    /// A write that supersedes what this clock covers.
    Context(VersionVector),
    /// A write that supersedes what its coordinator found.
    Overwrite,
    /// A write that supersedes nothing.
    Blind,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum End {
    Read {
        clock: VersionVector,
        siblings: Vec<(Dot, String)>,
    },
    Acked {
        dot: Dot,
        /// The record's clock, when the write is all that is left.
        context: Option<VersionVector>,
        /// Stand-ins among those that acknowledged.
        hinted: usize,
    },
    /// Nothing was written: there was nothing to delete, or more values than one.
    Declined,
    /// Nothing was applied.
    Refused(String),
    /// It may or may not have taken effect.
    Unknown(String),
    /// An answer that no client should ever get.
    Broken(String),
}

impl Op {
    pub(crate) fn is_write(&self) -> bool {
        self.what != What::Get
    }

    /// The dot it was told.
    pub(crate) fn dot(&self) -> Option<Dot> {
        match self.end {
            End::Acked { dot, .. } => Some(dot),
            _ => None,
        }
    }
}

/// Reads a log.
pub(crate) fn read(path: &Path) -> Vec<Op> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let line = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    text.lines().map(line).collect()
}
