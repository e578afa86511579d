//! Operations under way: what begins one, what wakes it, and how it goes on or ends.
//!
//! ```text
//! Start::Get(k) -> begin -> Wait(get)    kept in the table under a number of its own
//! Wake::Said(n2, Copies) -> step -> Wait(get) | Done(reply) | Over
//! Done(reply) -> its origin: a client, a peer, or the operation that started it
//! ```
//!
//! An operation is a value. A step takes it and has to say what becomes of it, so none can be lost:
//! whoever asked is answered once, by `Done`, or by [`Ctx::tell`] before `Over`. What a step sends goes
//! out under the operation's present number; one that asks a new question takes a new number
//! ([`Ctx::renumber`]), and late answers to the old question meet nothing.
//!
//! It decides nothing and knows no operation by name but in [`Start`], which is data.

use std::collections::VecDeque;

use super::event::{Action, Note, RepairRequest, Reply, Ticket, Time};
use crate::key::{Key, Partition};
use crate::protocol::{Body, Scope};
use crate::quorum::{Options, PutRequest};
use crate::ring::{NodeId, RingDoc};
use crate::store::Store;

/// Bytes of records in one page or fetch, beyond the first record.
pub(in crate::node) const PAGE_BYTES: usize = 1 << 20;

/// Arcs of digests compared in one message.
pub(in crate::node) const ARCS_MAX: usize = 256;

/// Within how long after it was asked a write of this timeout is minted, in ms, or never.
pub(in crate::node) fn mint_within_ms(timeout_ms: u64) -> u64 {
    timeout_ms.div_ceil(2)
}

/// The number of an operation of this node, or of the peer that asked. 0 is none: what is sent under it
/// wants no answer. Numbers begin anywhere (`identity`), so a reply to a former process meets nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::node) struct OpId(pub(in crate::node) u64);

impl OpId {
    /// What is sent under it wants no answer.
    pub(in crate::node) const NONE: Self = Self(0);

    /// The number after this one; never [`Self::NONE`].
    pub(in crate::node) fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }
}

/// Who is told how an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Origin {
    Client(Ticket),
    Peer(NodeId, OpId),
    Op(OpId),
    /// This node itself: nobody waits for it.
    Own,
}

impl Origin {
    /// Whether it is an operation of this peer.
    pub(in crate::node) fn is_peer(self, id: NodeId) -> bool {
        matches!(self, Self::Peer(node, _) if node == id)
    }
}

/// A peer that asks, the version of the ring document it acts under, and its number for the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Caller {
    pub(in crate::node) node: NodeId,
    pub(in crate::node) version: u64,
    pub(in crate::node) op: OpId,
}

impl Caller {
    /// Who is told how an operation ended that it asked for.
    pub(in crate::node) fn origin(self) -> Origin {
        Origin::Peer(self.node, self.op)
    }
}

/// Whether anything that began under an older ring document is still under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum OlderWork {
    None,
    UnderWay,
}

/// How an operation ended.
#[derive(Debug)]
pub(in crate::node) enum Outcome {
    Reply(Reply),
    /// It cannot be coordinated here, for this reason; nothing was applied.
    NotMine(String),
    Pass(PassReport),
}

/// What one sync pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::node) struct PassReport {
    pub(in crate::node) peer: Option<NodeId>,
    /// Records taken from the peer, and given to it.
    pub(in crate::node) pulled: u64,
    pub(in crate::node) pushed: u64,
    /// It went through all of the scope.
    pub(in crate::node) completed: bool,
    /// Partitions of the scope in which the peer was full all the time.
    pub(in crate::node) proven: Vec<Partition>,
    /// One of the two found that it does not hold what it was told to: once more, when that is mended.
    pub(in crate::node) again: bool,
}

impl PassReport {
    /// The report of a pass with this peer that has done nothing yet.
    pub(in crate::node) fn with(peer: NodeId) -> Self {
        Self { peer: Some(peer), ..Self::default() }
    }
}

/// Why an operation runs again.
#[derive(Debug)]
pub(in crate::node) enum Wake {
    Said(NodeId, Body),
    /// The batch that it waited for is durable, or has failed.
    Committed,
    CommitFailed,
    /// An operation that it started has ended.
    Child(Outcome),
    /// This node will not answer: it is down.
    Lost(NodeId),
    /// This node was certainly never asked.
    Unsent(NodeId),
    Tick,
}

/// What becomes of an operation after a step.
#[must_use]
pub(in crate::node) enum Flow<T> {
    /// It waits for its next wake.
    Wait(T),
    /// It has ended; whoever asked is told.
    Done(Outcome),
    /// It has ended; whoever asked was told before, or is gone.
    Over,
}

impl<T> Flow<T> {
    /// It has ended with this reply.
    pub(in crate::node) fn reply(reply: Reply) -> Self {
        Self::Done(Outcome::Reply(reply))
    }

    /// The same for an operation inside another type.
    pub(in crate::node) fn map<U>(self, wrap: impl FnOnce(T) -> U) -> Flow<U> {
        match self {
            Self::Wait(op) => Flow::Wait(wrap(op)),
            Self::Done(outcome) => Flow::Done(outcome),
            Self::Over => Flow::Over,
        }
    }
}

/// Where a hand-off of hints takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum HandoffTo {
    /// To their targets.
    Targets,
    /// To the other owners as well, for safety: the targets have long been down.
    OtherOwners,
}

/// Where a page of a partition begins, and how many records it has at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct PageAt {
    pub(in crate::node) partition: Partition,
    /// The key before the first; from the beginning when `None`.
    pub(in crate::node) after: Option<Key>,
    pub(in crate::node) limit: u32,
}

/// An operation to begin.
pub(in crate::node) enum Start {
    /// Find the coordinator of a write.
    Forward(PutRequest),
    /// Coordinate a write here.
    Put(PutRequest),
    Get(Key, Options),
    Scan(PageAt, Options),
    Repair(RepairRequest),
    Cleanup,
    Pass(NodeId, Scope),
    Handoff(HandoffTo),
    Propose(Box<RingDoc>),
    Advance,
    /// An acceptor that may have forgotten promises asks for its vote back.
    Regain,
}

/// What a step works with besides the replica: the world as the driver shows it, and what it causes.
pub(in crate::node) struct Ctx<'a> {
    pub(in crate::node) store: &'a dyn Store,
    pub(in crate::node) now: Time,
    /// What the driver is to do, in order.
    pub(in crate::node) out: &'a mut Vec<Action>,
    /// The operation that runs now, and who asked for it.
    pub(in crate::node) op: OpId,
    pub(in crate::node) origin: Origin,
    /// Operations to begin and ends to tell, after this step.
    pub(in crate::node) starts: VecDeque<(Origin, Start)>,
    pub(in crate::node) ends: VecDeque<(Origin, Outcome)>,
}

impl<'a> Ctx<'a> {
    pub(in crate::node) fn new(store: &'a dyn Store, now: Time, out: &'a mut Vec<Action>) -> Self {
        let (starts, ends) = (VecDeque::new(), VecDeque::new());
        Self { store, now, out, op: OpId::NONE, origin: Origin::Own, starts, ends }
    }

    /// Begins another operation after this step, for whoever `origin` names.
    pub(in crate::node) fn start(&mut self, origin: Origin, start: Start) {
        self.starts.push_back((origin, start));
    }

    /// Begins an operation whose end wakes this one.
    pub(in crate::node) fn start_child(&mut self, start: Start) {
        self.start(Origin::Op(self.op), start);
    }

    /// Tells whoever asked how it ended, after this step.
    pub(in crate::node) fn tell(&mut self, origin: Origin, outcome: Outcome) {
        self.ends.push_back((origin, outcome));
    }

    /// Tells a person something.
    pub(in crate::node) fn note(&mut self, note: Note) {
        self.out.push(Action::Note(note));
    }
}
