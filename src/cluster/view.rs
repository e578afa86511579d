//! One member as a cluster finds it: values.

use std::path::PathBuf;

use crate::channel::Info;
use crate::error::Result;
use crate::node::Status;
use crate::ring::Member;
use crate::store::{HintStats, Loss, Store, Table};

/// One member as this cluster finds it.
#[derive(Clone, Debug)]
pub struct View {
    /// The member.
    pub member: Member,
    /// Its directory, when it was found.
    pub dir: Option<PathBuf>,
    /// Where it listens when it runs, if anybody knows.
    pub address: Option<String>,
    /// How it is; `None` when it is down.
    pub status: Option<Status>,
    /// Bytes of its file.
    pub bytes: u64,
    /// Its hints.
    pub hints: HintStats,
    /// Partitions that have lost records, as its file has in mind.
    pub lost: usize,
    /// How its process is, when it runs.
    pub info: Option<Info>,
}

impl View {
    /// A member of which nothing more is known.
    pub(super) fn of(member: Member) -> Self {
        Self {
            member,
            dir: None,
            address: None,
            status: None,
            bytes: 0,
            hints: HintStats::default(),
            lost: 0,
            info: None,
        }
    }
}

/// How many partitions a file knows to have lost records.
pub(super) fn lost(store: &dyn Store) -> Result<usize> {
    Ok(store.rows(Table::Meta, Loss::PREFIX)?.len())
}
