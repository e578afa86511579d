//! The bodies of messages: requests, replies, news.
//!
//! ```text
//! n1 -> n2  Read [k]           n2 -> n1  Answers [Vote {a:4}…]
//! n1 -> n2  Write [(k, …)]     n2 -> n1  Stored { full }          after n2's own commit
//! n1 -> n2  Sums [(arc, sum)]  n2 -> n1  Differ [(arc, sum)]      only arcs that differ
//! ```
//!
//! Every list is read up to a bound (`limits`) and no further. What a body may say of a ring is checked in
//! `check`; what it leads to is decided in `node`.

use serde::{Deserialize, Serialize};

use super::limits::{ARCS_MAX, BALLOT_JUMP, KEYS_MAX, LEAVES_MAX, PAGE_MAX, PARTITIONS_LISTED_MAX};
use crate::bounded::{at_most, text};
use crate::clock::Actor;
use crate::digest::{HashRange, Sum};
use crate::gossip::{GossipRow, ROWS_MAX};
use crate::key::{Key, Partition};
use crate::quorum::{Answer, PutReply, PutRequest};
use crate::record::{RecordHash, Stored};
use crate::ring::{NodeId, RingDoc};

/// A proposal's number: higher wins, the node breaks ties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot(pub u64, pub u64);

impl Ballot {
    /// Up to one that was promised elsewhere, as far as an acceptor lets one go at once.
    #[must_use]
    pub fn climbed(self, promised: Self) -> Self {
        let reach = self.0.saturating_add(BALLOT_JUMP / 2);
        Self(self.0.max(promised.0.min(reach)), self.1)
    }
}

/// How far a node's file has come. A file goes from *life* to life: one begins at every opening to
/// write, and whenever the node finds that it may have lost something; its first commit holds its
/// number. Two futures of one past are told apart by the random bits of their lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePoint {
    /// The number of the life: higher than that of the life before it.
    pub epoch: u64,
    /// Random bits drawn when it began.
    pub life: u64,
    /// The number of the file's last commit.
    pub commit: u64,
}

impl FilePoint {
    /// Whether a node that was met at this point cannot have become the file that was opened at
    /// `opened`: that file lacks commits which the node has acknowledged.
    #[must_use]
    pub fn is_beyond(&self, opened: &Self) -> bool {
        let same = self.life == opened.life;
        self.epoch > opened.epoch
            || self.epoch == opened.epoch && (!same || self.commit > opened.commit)
    }
}

/// The partitions a sync is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// All that both nodes own under the message's version.
    Shared,
    /// These, in order.
    Only(#[serde(deserialize_with = "at_most::<_, _, PARTITIONS_LISTED_MAX>")] Vec<Partition>),
}

/// What a message says. Requests and replies stand in pairs, see [`Body::kind`].
///
/// A variant is only ever added at the end and never changed: its number and its fields are bytes
/// that other builds read (`testdata/wire`). [`Body::since`] says which wire version brought it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Here I am, with this actor and counter: have you seen more of me?
    Hello {
        /// The sender's actor.
        actor: Actor,
        /// Its counter.
        counter: u64,
    },
    /// What I have met of you: the highest counter of this actor, the highest commit number.
    Seen {
        /// The actor asked about.
        actor: Actor,
        /// The highest counter of it.
        counter: u64,
        /// The highest number of a commit that you acknowledged to me.
        commit: u64,
    },
    /// Coordinate this write.
    Put(PutRequest),
    /// It ended so.
    PutDone(PutReply),
    /// I cannot coordinate it; nothing was applied. Ask the next owner.
    NotMine(#[serde(deserialize_with = "text")] String),
    /// What do you hold of these keys?
    Read(#[serde(deserialize_with = "at_most::<_, _, KEYS_MAX>")] Vec<Key>),
    /// One answer per key.
    Answers(#[serde(deserialize_with = "at_most::<_, _, KEYS_MAX>")] Vec<Answer>),
    /// Store these records, for yourself or as a fallback for another.
    Write {
        /// The records.
        #[serde(deserialize_with = "at_most::<_, _, KEYS_MAX>")]
        records: Vec<(Key, Stored)>,
        /// Whom they are for, when not for the receiver.
        hint_for: Option<NodeId>,
    },
    /// They are durable.
    Stored {
        /// Whether the receiver's copies of all those partitions are full.
        full: bool,
        /// The receiver's actor,
        actor: Actor,
        /// and the number of the last commit of its file: a witness of how far it has come.
        commit: u64,
    },
    /// They are not stored.
    NotStored(#[serde(deserialize_with = "text")] String),
    /// Records of a partition after a key, in order.
    Page {
        /// The partition.
        partition: Partition,
        /// Start after this key.
        after: Option<Key>,
        /// At most this many.
        limit: u32,
    },
    /// A page; `None` is a record that cannot be read.
    Paged {
        /// The records.
        #[serde(deserialize_with = "at_most::<_, _, PAGE_MAX>")]
        records: Vec<(Key, Option<Stored>)>,
        /// Whether the partition ends here.
        end: bool,
        /// Whether the receiver's copy is full.
        full: bool,
    },
    /// Which partitions of the scope are you still filling?
    Fullness(Scope),
    /// These.
    Filling(#[serde(deserialize_with = "at_most::<_, _, PARTITIONS_LISTED_MAX>")] Vec<Partition>),
    /// My sums of these arcs, over the scope.
    Sums {
        /// The partitions.
        scope: Scope,
        /// The arcs and sums.
        #[serde(deserialize_with = "at_most::<_, _, ARCS_MAX>")]
        arcs: Vec<(HashRange, Sum)>,
    },
    /// Those that differ here, with my sums.
    Differ(#[serde(deserialize_with = "at_most::<_, _, ARCS_MAX>")] Vec<(HashRange, Sum)>),
    /// The keys and terms of these leaves.
    List(#[serde(deserialize_with = "at_most::<_, _, LEAVES_MAX>")] Vec<(Partition, Vec<u8>)>),
    /// They are.
    Listing(Vec<(Key, RecordHash)>),
    /// Promise to accept nothing below this ballot for the document after the message's version.
    Prepare(Ballot),
    /// I promise; this is what I accepted before.
    Promise(Option<(Ballot, Box<RingDoc>)>),
    /// Accept this document.
    Accept(Ballot, Box<RingDoc>),
    /// I did.
    Accepted,
    /// I do not: I promised this ballot, or may not vote.
    Rejected(Ballot),
    /// I promise, but my file may be older than my promises: it is no vote.
    Muted,
    /// This document was chosen.
    Chosen(Box<RingDoc>),
    /// Send me your document.
    WantRing,
    /// Are you done with everything older than this version?
    Barrier,
    /// Whether nothing older is in flight, and how many hints I hold.
    Cleared {
        /// Nothing older is in flight.
        clear: bool,
        /// Hints held.
        hints: u64,
    },
    /// Sync with all owners, then say what is still filling.
    Fill,
    /// Hand your hints to their targets, or to others if you are leaving.
    Deliver,
    /// What I know of the members. The receiver answers with what it knows better.
    Gossip {
        /// One row per member.
        #[serde(deserialize_with = "at_most::<_, _, ROWS_MAX>")]
        rows: Vec<GossipRow>,
        /// It answers another: no answer is wanted.
        answer: bool,
    },
    /// Store these records of a write that I coordinate; what to answer is as for `Write`.
    Replicate {
        /// The records.
        #[serde(deserialize_with = "at_most::<_, _, KEYS_MAX>")]
        records: Vec<(Key, Stored)>,
        /// Whom they are for, when not for the receiver.
        hint_for: Option<NodeId>,
        /// The number of the last commit of the sender's file, which holds them: the receiver is a
        /// witness of it.
        commit: u64,
    },
    /// Here I am: how far my file had come when it was opened. Have you met me further on?
    Greet {
        /// The file at its opening, whatever was written since.
        opened: FilePoint,
        /// The actor and counter of then.
        actor: Actor,
        /// See `actor`.
        counter: u64,
        /// The number and bits of the present life.
        epoch: u64,
        /// See `epoch`.
        life: u64,
        /// I know that my file may lack something and go on as a new node does.
        renewed: bool,
    },
    /// How far I had met you before the life that greets me.
    Met {
        /// The life that greeted.
        life: u64,
        /// The furthest that your file was known to me to have come.
        met: FilePoint,
        /// The actor that greeted.
        actor: Actor,
        /// The highest counter of it that I have met.
        counter: u64,
    },
    /// One answer per key for the first of the keys that were asked for, as many as fit.
    Copies {
        /// The answers.
        #[serde(deserialize_with = "at_most::<_, _, KEYS_MAX>")]
        answers: Vec<Answer>,
        /// How many keys were asked for in the question that this answers.
        asked: u32,
        /// The sender's wall clock, ms since 1970: no value expires by one clock alone.
        wall_ms: u64,
    },
}

/// What a body is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// It asks for something: it is answered from this node's own state, or begins a task.
    Request,
    /// It answers one of this node's tasks.
    Reply,
    /// It is news, or asks who one is: heard at any time, by a node that has just started too.
    News,
}

impl Body {
    /// Whether it is about who has met whom: no ring document is needed to understand it.
    #[must_use]
    pub fn is_meeting(&self) -> bool {
        matches!(
            self,
            Self::Hello { .. } | Self::Seen { .. } | Self::Greet { .. } | Self::Met { .. }
        )
    }

    /// Request, reply or news.
    #[must_use]
    pub fn kind(&self) -> BodyKind {
        match self {
            Self::Put(_)
            | Self::Read(_)
            | Self::Write { .. }
            | Self::Replicate { .. }
            | Self::Page { .. }
            | Self::Fullness(_)
            | Self::Sums { .. }
            | Self::List(_)
            | Self::Prepare(_)
            | Self::Accept(..)
            | Self::Barrier
            | Self::Fill
            | Self::Deliver => BodyKind::Request,
            Self::PutDone(_)
            | Self::NotMine(_)
            | Self::Answers(_)
            | Self::Copies { .. }
            | Self::Stored { .. }
            | Self::NotStored(_)
            | Self::Paged { .. }
            | Self::Filling(_)
            | Self::Differ(_)
            | Self::Listing(_)
            | Self::Promise(_)
            | Self::Accepted
            | Self::Rejected(_)
            | Self::Muted
            | Self::Cleared { .. } => BodyKind::Reply,
            Self::Hello { .. }
            | Self::Seen { .. }
            | Self::Greet { .. }
            | Self::Met { .. }
            | Self::Chosen(_)
            | Self::WantRing
            | Self::Gossip { .. } => BodyKind::News,
        }
    }

    /// The answer of a node that will not take this request; none where silence is all there is.
    #[must_use]
    pub fn refusal(&self, why: &str) -> Option<Self> {
        match self {
            Self::Put(_) => Some(Self::NotMine(why.to_owned())),
            Self::Write { .. } | Self::Replicate { .. } => Some(Self::NotStored(why.to_owned())),
            Self::Prepare(_) | Self::Accept(..) => Some(Self::Rejected(Ballot::default())),
            _ => None,
        }
    }
}
