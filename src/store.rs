//! What a node keeps on disk, as one trait: records, digests, hints, bad records, ring, meta.
//!
//! A [`Store`] is read synchronously and written by one [`Batch`] at a time, which is one durable
//! transaction: all of it or nothing. The store keeps the digests true to the records *in the same
//! transaction* and raises its commit number in every one; it knows nothing of merging, owners or
//! quorums. Two implementations share one conformance suite (`tests/store`): [`memory`] for the
//! simulator and [`lmdb`] for files.
//!
//! ```text
//! records  (partition, key)          -> term, format, flags, body     see `record`
//! digests  (partition) / (p, leaf)   -> sum of terms, count           see `digest`
//! hints    (target, partition, key)  -> the record, or nothing: a reference to our own record
//! bad      (partition, key)          -> the raw bytes that failed their checksum
//! ring     name                      -> the ring document, the acceptor's promises
//! meta     name                      -> identity, actor, counter, commit number, seen, filling, lost
//! ```
//!
//! Nothing is taken for what it says without proof: records carry their terms, all other rows but the
//! digests a seal, and every scan of a partition ends by comparing what it read with the digest that
//! was kept beside it (`verify`). What is missing then is a [`Loss`], told until it is healed.
//!
//! Caveat: a record's digest is taken from the term it was stored with; only `record::check` proves
//! that the bytes still match it.

mod apply;
mod files;
mod hints;
pub mod lmdb;
pub mod lock;
pub mod memory;
pub mod sidecar;
mod rows;
mod seal;
mod tables;
mod tally;
mod upgrade;
pub mod verify;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use self::tally::Loss;
use crate::digest::{Leaves, Sum};
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::record::RecordHash;
pub use crate::record::Stored;
use crate::ring::NodeId;

/// A write kept for another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Who is to have it.
    pub target: NodeId,
    /// The key's partition.
    pub partition: Partition,
    /// The key.
    pub key: Key,
    /// The record of an acknowledged hint; `None` refers to this node's own record and counts for
    /// nothing.
    pub stored: Option<Stored>,
}

/// A row of the table `hints` that is not what was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadHint {
    /// The row's key as found: target, partition, key. It may be damaged too.
    pub row: Vec<u8>,
    /// The term of the record it kept, as found; `None` of a reference.
    pub term: Option<RecordHash>,
}

impl BadHint {
    /// Whom it was for, as found.
    #[must_use]
    pub fn target(&self) -> Option<NodeId> {
        self.row.first_chunk().map(|id| NodeId(u64::from_be_bytes(*id)))
    }

    /// The partition, as found.
    #[must_use]
    pub fn partition(&self) -> Option<Partition> {
        self.row.get(8..)?.first_chunk().map(|p| Partition(u16::from_be_bytes(*p)))
    }

    /// The key, as found.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        Key::new(self.row.get(10..)?).ok()
    }
}

/// What reading all hints found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadHints {
    /// Those that are not what was kept.
    pub bad: Vec<BadHint>,
    /// How many acknowledged ones are gone.
    pub lost: u64,
}

impl BadHints {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bad.is_empty() && self.lost == 0
    }

    /// How many are wrong or gone.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bad.len() as u64 + self.lost
    }
}

/// Where a hint stands: its target, its partition, its key.
pub type HintPlace = (NodeId, Partition, Key);

impl Hint {
    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> HintPlace {
        (self.target, self.partition, self.key.clone())
    }
}

/// The hints after a place, up to `limit` and as many as fill `bytes`, at least one if there is one.
///
/// # Errors
/// As [`Store::hints`].
pub fn hint_page(
    store: &dyn Store,
    after: Option<&HintPlace>,
    limit: usize,
    bytes: usize,
) -> Result<Vec<Hint>> {
    let mut left = bytes;
    let places = store.hint_places(after, limit)?;
    let fits = |(_, weight): &&(HintPlace, usize)| {
        let fits = *weight <= left;
        left = left.saturating_sub(*weight);
        fits
    };
    let count = places.iter().take_while(fits).count().max(1);
    store.hints(after, count.min(limit))
}

/// One change of a batch. Ops apply in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Replaces the record of a key; partition sum and leaf follow.
    Record {
        /// The key's partition.
        partition: Partition,
        /// The key.
        key: Key,
        /// The bytes.
        stored: Stored,
    },
    /// Moves a record whose checksum fails to the table `bad` and rebuilds its partition.
    Bad {
        /// The key's partition.
        partition: Partition,
        /// The key's bytes as found: they may be damaged too.
        key: Vec<u8>,
    },
    /// Strikes a key from the table `bad`.
    Healed {
        /// The key's partition.
        partition: Partition,
        /// The key's bytes as listed.
        key: Vec<u8>,
    },
    /// Rebuilds a partition's leaves and sum from the stored terms. What is missing then, beside the
    /// records listed as bad, is kept as the partition's [`Loss`] in the table `meta`; rows that stand
    /// where no search finds them are thrown away first.
    Rebuild(Partition),
    /// Removes all records of a partition and its sums.
    Drop(Partition),
    /// Keeps a hint, replacing one of the same target and key.
    Hint(Hint),
    /// Forgets a hint.
    Unhint {
        /// Who was to have it.
        target: NodeId,
        /// The key's partition.
        partition: Partition,
        /// The key.
        key: Key,
    },
    /// Forgets hints that are not what was kept: of a key as found, or all, with those that are gone.
    DropBadHints(Option<Key>),
    /// Sets or clears a row of the table `meta`.
    Meta(String, Option<Vec<u8>>),
    /// Sets or clears a row of the table `ring`.
    Ring(String, Option<Vec<u8>>),
}

/// One durable transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The changes, in order.
    pub ops: Vec<Op>,
}

/// Why a batch was not applied. Nothing of it is.
#[derive(Debug)]
pub enum Failure {
    /// Disk, map or quota is full: reads go on, and so will writes when there is room.
    Full(String),
    /// The file is damaged in a way that this batch was to mend and could not: reads go on as far as
    /// they go.
    Damaged(Error),
    /// Anything else: the node must stop, for what is on disk is unsure.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full(why) => Self::Refused(why),
            Failure::Damaged(error) | Failure::Fatal(error) => error,
        }
    }
}

/// A table of small named rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Table {
    /// The ring document and the acceptor's promises.
    Ring,
    /// Identity, actor, counters.
    Meta,
}

/// How many hints a node keeps, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HintStats {
    /// All hints.
    pub count: u64,
    /// Of those, the acknowledged ones: data.
    pub acknowledged: u64,
    /// Bytes of the acknowledged ones.
    pub bytes: u64,
}

impl HintStats {
    /// Takes hints out of the statistics.
    fn subtract(&mut self, change: Self) {
        self.count = self.count.wrapping_sub(change.count);
        self.acknowledged = self.acknowledged.wrapping_sub(change.acknowledged);
        self.bytes = self.bytes.wrapping_sub(change.bytes);
    }

    /// Adds a change of the statistics, modulo 2^64: a loss is a large number.
    fn add(&mut self, change: Self) {
        self.count = self.count.wrapping_add(change.count);
        self.acknowledged = self.acknowledged.wrapping_add(change.acknowledged);
        self.bytes = self.bytes.wrapping_add(change.bytes);
    }
}

/// Called with key bytes and stored bytes, unproven, in order of keys.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// One node's durable state.
pub trait Store {
    /// The stored record of a key, its checksum proven.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the checksum fails: never to be taken for absent.
    fn get(&self, partition: Partition, key: &Key) -> Result<Option<Stored>>;

    /// Visits the raw records of a partition with keys above `after`, in order, unproven.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corrupt`] when the table itself cannot be read.
    fn visit(
        &self,
        partition: Partition,
        after: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<()>;

    /// The sums of all partitions that hold or held something, in order.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn sums(&self) -> Result<Vec<(Partition, Sum)>>;

    /// The sum of one partition.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn sum(&self, partition: Partition) -> Result<Sum>;

    /// The leaves of a partition.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn leaves(&self, partition: Partition) -> Result<Box<Leaves>>;

    /// Up to `limit` hints after the given one, in order of target, partition, key. All are proven;
    /// one that is not what was kept is passed over, and listed by [`Store::bad_hints`].
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn hints(&self, after: Option<&(NodeId, Partition, Key)>, limit: usize) -> Result<Vec<Hint>>;

    /// Where up to `limit` hints after the given one stand and how many bytes each keeps, in the same
    /// order: no record is read.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn hint_places(
        &self,
        after: Option<&HintPlace>,
        limit: usize,
    ) -> Result<Vec<(HintPlace, usize)>> {
        let bytes = |h: &Hint| h.stored.as_ref().map_or(0, |s| s.bytes().len());
        Ok(self.hints(after, limit)?.iter().map(|h| (h.place(), bytes(h))).collect())
    }

    /// How many hints there are.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn hint_stats(&self) -> Result<HintStats>;

    /// The hints for one key, of any target, proven.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn hints_of(&self, partition: Partition, key: &Key) -> Result<Vec<Hint>>;

    /// What reading all hints finds wrong.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn bad_hints(&self) -> Result<BadHints>;

    /// The keys listed as bad.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn bad(&self) -> Result<Vec<(Partition, Vec<u8>)>>;

    /// One row of a small table.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn row(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>>;

    /// All rows of a small table whose names begin with `prefix`.
    ///
    /// # Errors
    /// As [`Store::visit`].
    fn rows(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>>;

    /// Whether a key that [`Store::get`] did not find is missing as far as can be told from the place
    /// where it would be: a search that is led astray finds nothing either.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when that place is damaged.
    fn prove_absent(&self, _partition: Partition, _key: &Key) -> Result<()> {
        Ok(())
    }

    /// Whether what all else hangs on is whole: the free list and the branches, and every row of the
    /// small tables. It reads about a hundredth of the file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not; [`Store::visit`]'s others.
    fn base(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the file under the tables is whole: what reading rows cannot show, and writing would
    /// spread.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not; it must not be written to.
    fn structure(&self) -> Result<()> {
        Ok(())
    }

    /// The number of the last commit, raised by every applied batch.
    fn commit_number(&self) -> u64;

    /// Applies a batch durably, all or nothing.
    ///
    /// # Errors
    /// [`Failure`]; nothing was applied.
    fn apply(&mut self, batch: &Batch) -> std::result::Result<(), Failure>;
}
