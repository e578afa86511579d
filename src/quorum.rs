//! One read and one write, as values: who was asked, who answered, and whether that is enough.
//!
//! N copies of a record exist; a write wants W acknowledgements, a read R votes. With R + W > N and
//! strict quorums every read meets an owner that has the last write. Only *owners whose copy is
//! full* vote on reads; filling owners and fallbacks add what they hold and no vote. A sloppy write
//! may count a hint at a fallback, one per node; a strict one counts owners alone.
//!
//! ```text
//! write, N=3 W=2, owners n1 n2 n3, n3 down:  ack n1, ack n2          -> 2/3
//!        n2 and n3 down, sloppy:             ack n1, n4 hints for n2 -> 1/3 + 1 hinted = enough
//! during a change of the ring each layout must reach its own W.
//! ```
//!
//! # Who decides what
//!
//! A tally is fed with what came and asked for its next step; the answer is a value, and carrying it
//! out is the caller's work. The caller says how far the operation has come as a [`Progress`]: how many
//! replies are outstanding and how much of its time is left.
//!
//! | tally | asked by | decides |
//! |---|---|---|
//! | [`ReadTally::next`] | a read of one key | wait, answer (and repair), write back, refuse |
//! | [`ReadTally::next_prior`] | a write, before it is minted | wait, mint, mint as a guess, refuse |
//! | [`WriteTally::begin`] | a write, before it does anything | begin, or refuse what cannot reach W |
//! | [`WriteTally::next`] | a write under way | wait, reply, read again, end |
//! | [`ReadTally::next_confirm`] | a conditional write, after W | wait, end with who won |
//! | [`PageTally::next`] | a scan of a partition | wait, answer a page, refuse |
//!
//! Each situation that matters is a script in `testdata/quorum`, to be read without this code.
//!
//! # Caveats
//!
//! It sends nothing and knows no time. A write that misses W is not undone: it stays where it is, and
//! later reads may show it. A strict read with R of no majority needs more than R owners up, for it
//! answers only what N-R+1 of them hold.

mod confirm;
mod options;
mod page;
mod prior;
mod progress;
mod read;
#[cfg(test)]
mod scripts;
mod write;

use serde::{Deserialize, Serialize};

pub use self::confirm::{ConfirmNext, Confirmed, Minted, Prior, Written, mark_lost_races};
pub use self::options::{Level, Options};
pub use self::page::{MergedPage, Page, PageTally, ScanNext};
pub use self::prior::PriorNext;
pub use self::progress::{Progress, TimeLeft};
pub use self::read::{ReadNext, ReadTally};
pub use self::write::{Reach, WriteNext, WriteTally};
use crate::bounded::{at_most, text};
use crate::clock::{Dot, VersionVector};
use crate::key::{Key, Partition};
use crate::record::{Record, Stored, Value};
use crate::ring::NodeId;

/// The most keys of one write.
pub const ITEMS_MAX: usize = 4_096;

/// What a write assumes about the value it replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// Supersede exactly what this clock covers.
    Context(VersionVector),
    /// Supersede what enough owners hold; refuse more than one value unless `force`.
    Overwrite {
        /// Supersede siblings too.
        force: bool,
    },
    /// Add a value, supersede nothing.
    Blind,
    /// A further value beside the item before it, written only if that one was.
    Append,
    /// Only when there is no value; strict.
    Absent,
    /// Supersede what this clock covers, and only when nothing else is there: a value derived from
    /// exactly what its writer read.
    Exact(VersionVector),
}

impl Precondition {
    /// Whether the owners are asked what they hold before the write is minted.
    #[must_use]
    pub fn reads_before(&self) -> bool {
        matches!(self, Self::Overwrite { .. } | Self::Absent | Self::Exact(_))
    }

    /// Whether the owners are read again after the acks: only a writer that finds itself alone won.
    #[must_use]
    pub fn reads_after(&self) -> bool {
        matches!(self, Self::Absent | Self::Exact(_))
    }

    /// Whether the new value was made from what its writer had read.
    #[must_use]
    pub fn derives(&self) -> bool {
        matches!(self, Self::Context(_) | Self::Exact(_))
    }
}

/// One key of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The key.
    pub key: Key,
    /// Bytes and expiry (ms since 1970) of the new value; `None` deletes.
    pub value: Option<(Vec<u8>, Option<u64>)>,
    /// What it assumes.
    pub basis: Precondition,
}

/// A write of keys of one partition. They commit together and are acknowledged together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRequest {
    /// The partition of every key.
    pub partition: Partition,
    /// The keys.
    #[serde(deserialize_with = "at_most::<_, _, ITEMS_MAX>")]
    pub items: Vec<Item>,
    /// The quorum.
    pub options: Options,
}

impl PutRequest {
    /// Whether acknowledgements of owners alone count: when asked for, and always for a write that
    /// must find nothing there, which no hint can promise.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.options.strict || self.items.iter().any(|item| item.basis == Precondition::Absent)
    }

    /// Whether the owners are asked what they hold of any key before the write is minted.
    #[must_use]
    pub fn reads_before(&self) -> bool {
        self.items.iter().any(|item| item.basis.reads_before())
    }

    /// Whether the owners are read again after the acknowledgements, for any key.
    #[must_use]
    pub fn reads_after(&self) -> bool {
        self.items.iter().any(|item| item.basis.reads_after())
    }
}

/// What became of one key of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemReply {
    /// Written under this dot.
    Written {
        /// The write's own dot.
        dot: Dot,
        /// The clock to go on from, when the new value (or delete) is all that is left.
        context: Option<VersionVector>,
        /// Values the record now has.
        values: usize,
    },
    /// Not written: it would supersede so many values, or the key was not absent.
    Conflict {
        /// Values there are.
        values: usize,
    },
    /// Written, but another value was found beside its own.
    LostRace,
    /// Not written: nothing there to delete.
    Absent,
    /// Not written: the record would pass a limit, named here.
    TooLarge(#[serde(deserialize_with = "text")] String),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Enough took part.
    Done,
    /// Too few could take part; nothing was applied.
    Refused(#[serde(deserialize_with = "text")] String),
    /// Too few acknowledged in time; it may or may not have taken effect.
    Unknown(#[serde(deserialize_with = "text")] String),
    /// Nobody could be asked; nothing was applied.
    Unreachable(#[serde(deserialize_with = "text")] String),
}

/// The answer to a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutReply {
    /// How it ended.
    pub verdict: Verdict,
    /// One per item, in order; empty when nothing was applied.
    #[serde(deserialize_with = "at_most::<_, _, ITEMS_MAX>")]
    pub items: Vec<ItemReply>,
    /// Owners that have it durably.
    pub acks: usize,
    /// Fallbacks that keep it for an owner.
    pub hinted: usize,
    /// Owners there are.
    pub n: usize,
    /// Fewer owners than N-W+1 told what they hold before the overwrite.
    pub guessed: bool,
}

impl PutReply {
    /// A write of which nothing was applied.
    #[must_use]
    pub fn none(verdict: Verdict) -> Self {
        Self { verdict, items: Vec::new(), acks: 0, hinted: 0, n: 0, guessed: false }
    }
}

/// What one node said about one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A full owner's copy: a vote.
    Vote(Option<Stored>),
    /// A filling owner's copy, or a fallback's hint: merged, no vote.
    Extra(Option<Stored>),
    /// Its copy fails the checksum: no vote.
    Unreadable,
}

impl Answer {
    /// The answer, or `Unreadable` if what came does not match its checksum or is no record.
    #[must_use]
    pub fn proven(self, key: &Key) -> Self {
        let is_sound = |s: &Stored| s.prove(key).is_ok() && s.record(key).is_ok();
        let damaged = self.stored().is_some_and(|s| !is_sound(s));
        if damaged { Self::Unreadable } else { self }
    }

    /// The copy, if there is one.
    #[must_use]
    pub fn stored(&self) -> Option<&Stored> {
        match self {
            Self::Vote(stored) | Self::Extra(stored) => stored.as_ref(),
            Self::Unreadable => None,
        }
    }
}

/// The answer to a read of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetReply {
    /// How it ended.
    pub verdict: Verdict,
    /// The merge of every copy that was seen.
    pub stored: Option<Stored>,
    /// What each node said.
    pub answers: Vec<(NodeId, Answer)>,
    /// Votes wanted.
    pub r: usize,
    /// Dots found with two different values: corruption.
    pub clashes: Vec<Dot>,
}

/// Builds the record of one item on top of the local copy.
#[must_use]
pub fn apply(
    local: &Record,
    item: &Item,
    seen: Option<&VersionVector>,
    dot: Dot,
    now_ms: u64,
) -> Record {
    let value = item.value.as_ref().map(|(bytes, expires_ms)| Value {
        bytes: bytes.clone(),
        written_ms: now_ms,
        expires_ms: *expires_ms,
        derived: item.basis.derives(),
    });
    local.write(dot, crate::record::Write { context: seen, value })
}
