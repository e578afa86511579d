//! What happens to a node, and what it wants done: the words between it and its driver.
//!
//! ```text
//! Event:  Request Message Committed Failed Alive Cut Tick   ->   Action:  Send Commit Reply Note Stop
//! ```
//!
//! Values only; what they lead to is decided elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bounded::{some_text, text};
use crate::key::{Key, Partition, escape};
use crate::protocol::Message;
use crate::quorum::{GetReply, Options, PutReply, PutRequest};
use crate::record::Stored;
use crate::ring::{NodeId, RingDoc};
use crate::store::verify::PartitionVerdict;
use crate::store::{Batch, Failure};

/// The present, as the driver sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Wall clock, ms since 1970: stamps and expiry. It may jump.
    pub wall_ms: u64,
    /// Monotonic, ms since anything: deadlines.
    pub mono_ms: u64,
}

/// A client's request as its driver numbers it; the reply carries the same ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The number of a batch of writes that commit together, rising by one from one to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchSeq(pub u64);

/// What happens to a node.
#[derive(Debug)]
pub enum Event {
    /// A client of this process asks; the reply carries the same ticket.
    Request(Ticket, Request),
    /// A peer says something.
    Message(NodeId, Message),
    /// The batch with this number is durable.
    Committed(BatchSeq),
    /// It is not, and nothing of it is.
    Failed(BatchSeq, Failure),
    /// The failure detector's present view of who can be reached.
    Alive(BTreeSet<NodeId>),
    /// The link to this peer has ended, taken to be alive or not: what was sent may never have come, and
    /// who speaks next may be another process of it.
    Cut(NodeId),
    /// The message of this operation to this node was certainly never sent.
    Unsent(NodeId, u64),
    /// Time has passed.
    Tick,
}

/// What a node wants done, in order.
#[derive(Debug)]
pub enum Action {
    /// Send a message; it may be lost, doubled, late.
    Send(NodeId, Message),
    /// Make the batch with this number durable; at most one is under way.
    Commit(BatchSeq, Batch),
    /// Answer a client's request.
    Reply(Ticket, Reply),
    /// Something a person should know.
    Note(Note),
    /// Stop: what is on disk is unsure.
    Stop(String),
}

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A record's checksum fails.
    Unreadable(Partition, Vec<u8>),
    /// One dot carries two values.
    Clash(Key),
    /// This node may have lost records and filled with this reason's partitions anew.
    Lost(String),
    /// A peer said what cannot be, and was not heard.
    Refused(NodeId, String),
}

impl Note {
    /// The one text of it, for a log or a person; `doc` names the members.
    #[must_use]
    pub fn text(&self, doc: &RingDoc) -> String {
        match self {
            Self::Unreadable(p, key) => {
                format!("the record of {} in partition {p} fails its checksum", escape(key))
            }
            Self::Clash(key) => format!("two values of {key} have the same dot: corruption"),
            Self::Lost(why) => format!("records may have been lost; filling again: {why}"),
            Self::Refused(from, why) => {
                format!("a message was refused, from {}: {why}", doc.name(*from))
            }
        }
    }

    /// What it is in a word, to count it by.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(..) => "unreadable",
            Self::Clash(_) => "clash",
            Self::Lost(_) => "lost",
            Self::Refused(..) => "refused",
        }
    }

    /// Whether something that was written is damaged, rather than missing or foreign.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Unreadable(..) | Self::Clash(_))
    }
}

/// What a client asks of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Write keys of one partition.
    Put(PutRequest),
    /// Read a key.
    Get(Key, Options),
    /// Read a partition's records above a key, in order, at most so many per owner.
    Scan(Partition, Option<Key>, u32, Options),
    /// Sync with every owner that can be reached.
    Repair(RepairRequest),
    /// Read every record of a partition; what is damaged is listed and its leaf rebuilt.
    Verify(Partition),
    /// Give up this node's unreadable copy of a key.
    GiveUp(Key),
    /// Deliver hints.
    Deliver,
    /// Give what is kept for members that are down to the other owners too: they have long been away.
    Spread,
    /// Have this document chosen as the next.
    Propose(Box<RingDoc>),
    /// Take the change of the ring as far as it goes.
    Advance,
    /// Hand over and drop what this node no longer owns.
    Cleanup,
    /// Say which partitions are filling or hold a bad key; a repair report without a repair.
    Unsettled,
    /// Say how things are.
    Status,
    /// Accept that what this node has lost is lost: of a partition, or all, its damaged hints too.
    AcceptLoss(Option<Partition>),
    /// Forget this node's damaged hints for a key.
    DropBadHints(Key),
    /// Read so many bytes more and prove them: a slice of the scrub.
    Scrub(u64),
}

/// What is known of a request whose answer does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was changed.
    ReadOnly,
    /// It may have taken effect.
    Write,
    /// Part of it may be done.
    Job,
}

impl Request {
    /// What is known of it when its answer does not come.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::Put(_) => Effect::Write,
            Self::Get(..) | Self::Scan(..) | Self::Unsettled | Self::Status => Effect::ReadOnly,
            _ => Effect::Job,
        }
    }

    /// Takes from its time what it has been under way or has waited, in ms.
    pub fn age(&mut self, ms: u64) {
        match self {
            Self::Put(put) => put.options.age(ms),
            Self::Get(_, options) | Self::Scan(.., options) => options.age(ms),
            _ => {}
        }
    }

    /// Whether any node can answer it, rather than one for itself.
    #[must_use]
    pub fn is_anyones(&self) -> bool {
        self.is_data() || matches!(self, Self::Propose(_) | Self::Advance)
    }

    /// Whether it reads or writes keys through a quorum: a client's daily bread.
    #[must_use]
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Put(_) | Self::Get(..) | Self::Scan(..))
    }
}

/// What a repair is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairRequest {
    /// Only these partitions; all when `None`.
    pub partitions: Option<Vec<Partition>>,
    /// End the filling with every owner that can be reached, though some cannot.
    pub accept_missing: bool,
}

/// What a repair or cleanup of one node did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairReport {
    /// Records taken from others.
    pub pulled: u64,
    /// Records given to others.
    pub pushed: u64,
    /// Partitions still filling here, or holding a bad key.
    pub filling: Vec<Partition>,
    /// Owners with whom no pass was completed.
    pub missed: Vec<NodeId>,
    /// Partitions dropped by a cleanup.
    pub dropped: usize,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Of a put.
    Put(PutReply),
    /// Of a get.
    Get(GetReply),
    /// Of a scan: records and whether the partition ends, or why too few owners could be asked.
    Scan(std::result::Result<(Vec<(Key, Stored)>, bool), String>),
    /// Of a repair or a cleanup.
    Repair(RepairReport),
    /// Of a verify: what was found before anything was listed.
    Verify(PartitionVerdict),
    /// Of a delivery: hints delivered, hints left.
    Deliver(u64, u64),
    /// Of a proposal or an advance: the document now in force, and why it is not further.
    Ring(Arc<RingDoc>, #[serde(deserialize_with = "some_text")] Option<String>),
    /// Of a status.
    Status(Status),
    /// Of a scrub: bytes read, and whether everything has been read once.
    Scrub {
        /// Bytes read.
        bytes: u64,
        /// The last partition is done.
        over: bool,
    },
    /// Of a request that names what cannot be: nothing was tried.
    Refused(#[serde(deserialize_with = "text")] String),
}

/// Work under way that moves data between nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// What it is.
    pub kind: TransferKind,
    /// With whom.
    pub peer: NodeId,
    /// Records taken from it so far.
    pub pulled: u64,
    /// Records given to it so far.
    pub pushed: u64,
    /// Partitions concerned.
    pub partitions: usize,
    /// For how long it has been under way, in ms.
    pub age_ms: u64,
}

/// What moves data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferKind {
    /// A sync pass.
    Sync,
    /// Hints on their way to their target.
    Hints,
}

/// How one node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of its ring document.
    pub version: u64,
    /// Its present actor.
    pub actor: u64,
    /// Partitions it owns.
    pub owns: usize,
    /// Partitions it is still filling.
    pub filling: usize,
    /// Records it holds, tombstones too.
    pub keys: u64,
    /// Hints it holds.
    pub hints: u64,
    /// Keys listed as bad.
    pub bad: usize,
    /// Why it may not mint, if so.
    pub waiting: bool,
    /// A commit failed lately for want of room: it answers reads, and few writes if any.
    pub full: bool,
}
