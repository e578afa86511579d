//! The messages nodes exchange, and their bytes.
//!
//! Every message names its ring, the version of the ring document its sender acts under, and the
//! sender's operation, which a reply repeats. The bytes are postcard's (varints, fields in order);
//! the first byte is the wire version. Records travel as stored bytes and are proven when read.
//!
//! ```text
//! n1 -> n2  Read [k]           n2 -> n1  Answers [Vote {a:4}…]
//! n1 -> n2  Write [(k, …)]     n2 -> n1  Stored { full }          after n2's own commit
//! n1 -> n2  Sums [(arc, sum)]  n2 -> n1  Differ [(arc, sum)]      only arcs that differ
//! ```
//!
//! What is not here: sockets, frames, encryption (`serve`), or what a message *means* (`node`). A
//! responder keeps no state between messages of a sync; the initiator drives it.
//! Caveat: a reader must bound the frame before it calls [`Message::decode`].

use serde::{Deserialize, Serialize};

use crate::clock::Actor;
use crate::digest::{Arc, Sum};
use crate::error::{Error, Result};
use crate::gossip::Row;
use crate::key::{Key, Partition};
use crate::quorum::{Answer, PutReply, PutRequest};
use crate::record::{Stored, Term};
use crate::ring::{NodeId, RingDoc, RingId};

/// The wire version this build speaks.
pub const WIRE: u8 = 1;

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The ring of the sender.
    pub ring: RingId,
    /// The version of the ring document the sender acts under.
    pub version: u64,
    /// The sender's operation; a reply repeats it.
    pub op: u64,
    /// What it says.
    pub body: Body,
}

/// A proposal's number: higher wins, the node breaks ties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot(pub u64, pub u64);

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
    Only(Vec<Partition>),
}

/// What a message says. Requests and replies stand in pairs.
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
    NotMine(String),
    /// What do you hold of these keys?
    Read(Vec<Key>),
    /// One answer per key.
    Answers(Vec<Answer>),
    /// Store these records, for yourself or as a fallback for another.
    Write {
        /// The records.
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
    NotStored(String),
    /// Records of a partition after a key, in order.
    Page {
        /// The partition.
        partition: Partition,
        /// Start after this key.
        after: Option<Key>,
        /// At most so many.
        limit: u32,
    },
    /// A page; `None` is a record that cannot be read.
    Paged {
        /// The records.
        records: Vec<(Key, Option<Stored>)>,
        /// Whether the partition ends here.
        end: bool,
        /// Whether the receiver's copy is full.
        full: bool,
    },
    /// Which partitions of the scope are you still filling?
    Fullness(Scope),
    /// These.
    Filling(Vec<Partition>),
    /// My sums of these arcs, over the scope.
    Sums {
        /// The partitions.
        scope: Scope,
        /// The arcs and sums.
        arcs: Vec<(Arc, Sum)>,
    },
    /// Those that differ here, with my sums.
    Differ(Vec<(Arc, Sum)>),
    /// The keys and terms of these leaves.
    List(Vec<(Partition, Vec<u8>)>),
    /// They are.
    Listing(Vec<(Key, Term)>),
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
    /// What I know of the members. Whoever gets it first tells what it knows better.
    Gossip {
        /// One row per member.
        rows: Vec<Row>,
        /// It answers another: no answer is wanted.
        answer: bool,
    },
    /// Store these records of a write that I coordinate; what to answer is as for `Write`.
    Replicate {
        /// The records.
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
        answers: Vec<Answer>,
        /// How many keys were asked for in the question that this answers.
        asked: u32,
        /// The sender's wall clock, ms since 1970: no value expires by one clock alone.
        wall_ms: u64,
    },
}

impl Message {
    /// The bytes of a message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![WIRE]).expect("a message has nothing that cannot be encoded")
    }

    /// Reads a message and proves the records in it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for bytes that are not a message, [`Error::Usage`] for another version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (version, body) =
            bytes.split_first().ok_or_else(|| Error::Corrupt("A message is empty.".into()))?;
        if *version != WIRE {
            return Err(Error::Usage(format!("A message has wire version {version}, not {WIRE}.")));
        }
        let message: Self = postcard::from_bytes(body)
            .map_err(|e| Error::Corrupt(format!("A message cannot be read: {e}.")))?;
        message.body.prove()?;
        Ok(message)
    }
}

impl Body {
    /// Takes from a request's time what it has been under way, in ms.
    pub fn age(&mut self, ms: u64) {
        if let Self::Put(request) = self {
            request.options.age(ms);
        }
    }

    fn prove(&self) -> Result<()> {
        match self {
            Self::Write { records, .. } | Self::Replicate { records, .. } => {
                records.iter().try_for_each(|(key, stored)| {
                    stored.prove(key).and_then(|()| stored.record(key).map(drop))
                })
            }
            Self::Paged { records, .. } => records.iter().try_for_each(|(key, stored)| {
                stored.as_ref().map_or(Ok(()), |stored| {
                    stored.prove(key).and_then(|()| stored.record(key).map(drop))
                })
            }),
            Self::Chosen(doc) | Self::Accept(_, doc) | Self::Promise(Some((_, doc))) => doc.check(),
            _ => Ok(()),
        }
    }
}
