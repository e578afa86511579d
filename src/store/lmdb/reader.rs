//! A file read by one thread while another writes it.
//!
//! ```text
//! event loop:    reader, reads commit 41 ------------------ advance(head 42) -> reads commit 42
//! commit thread: apply(batch) ----- durable, head() = 42 --^
//! ```
//!
//! The reader sees a state that is durable; it moves on only when it is told to. It applies nothing.
//! Caveat: between its last reading and `advance` it may keep pages from being used again; see
//! [`Lmdb::rest`].

use std::cell::OnceCell;
use std::sync::Arc;

use super::{Access, Lmdb};
use crate::error::Result;
use crate::store::sidecar::Identity;
use crate::store::{HintStats, Store};

/// How far a file has come: what its reader has to know after a commit.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    identity: Identity,
    hints: Option<HintStats>,
}

impl Lmdb {
    /// A second, reading half of the same open file, for another thread.
    ///
    /// # Errors
    /// As [`Store::hint_stats`]: from here on both halves count hints by what is applied.
    pub fn reader_handle(&self) -> Result<Self> {
        self.hint_stats()?;
        Ok(Self {
            reader: OnceCell::new(),
            env: self.env.clone(),
            tables: Arc::clone(&self.tables),
            dir: self.dir.clone(),
            access: Access::Read,
            sidecar: None,
            trust: self.trust,
            identity: self.identity,
            q: self.q,
            hints: self.hints.clone(),
            quota: None,
            broken: None,
        })
    }

    /// Where the file stands after the last batch.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { identity: self.identity, hints: self.hints.get().copied() }
    }

    /// Reads what is durable now, which `head` describes.
    pub fn advance(&mut self, head: Head) {
        drop(self.reader.take());
        self.identity = head.identity;
        self.hints = head.hints.map_or_else(OnceCell::new, OnceCell::from);
    }

    /// Lets go of the state last read, so that a commit that begins now may use its free pages.
    pub fn rest(&mut self) {
        drop(self.reader.take());
    }
}
