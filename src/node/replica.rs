//! What a node is and holds: its place in the ring, its copies, and what of them is staged.
//!
//! ```text
//! state      what each copy is worth: full, filling, corrupt; losses of records
//! audit      whether a copy holds what its digest promises, before anything is called full
//! filling    how a copy becomes full again, and how a corrupt key is healed
//! copies     reading and merging records      kept      hints for other nodes
//! sums       digests for comparison           mint      records of new writes
//! voting     promises and votes on the next ring document
//! witnesses  what others remember of this file, and this node of theirs
//! scrub      reading everything by and by
//! ```
//!
//! Operations (`op`) read and change a replica; it knows none of them. Its organs own their state:
//! [`NodeIdentity`], [`CommitQueue`], [`Audits`], [`Acceptor`], [`DiskSpace`].

mod answer;
mod audit;
mod copies;
mod filling;
mod kept;
mod mint;
mod scrub;
mod state;
mod sums;
mod voting;
mod witnesses;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::acceptor::Acceptor;
use super::audits::Audits;
use super::boot::Boot;
use super::commit_queue::{CommitQueue, OnCommit};
use super::disk_space::DiskSpace;
use super::event::Action;
use super::flow::{Ctx, OpId};
use super::identity::NodeIdentity;
use super::scrub::Scrub;
use crate::error::{Error, Result};
use crate::key::{Partition, Q};
use crate::planted::{self, Bug};
use crate::protocol::{Body, Message};
use crate::quorum::Options;
use crate::ring::{MemberState, NodeId, RingDoc};
use crate::store::{Store, Table};

/// See the module.
pub(in crate::node) struct Replica {
    pub(in crate::node) id: NodeId,
    pub(in crate::node) doc: Arc<RingDoc>,
    pub(in crate::node) read_only: bool,
    pub(in crate::node) identity: NodeIdentity,
    /// The failure detector's present view of the others.
    pub(in crate::node) alive: BTreeSet<NodeId>,
    pub(in crate::node) queue: CommitQueue,
    pub(in crate::node) disk: DiskSpace,
    pub(in crate::node) audits: Audits,
    /// It coordinates nothing and keeps nothing for others: it is about to stop, or drained.
    pub(in crate::node) resting: bool,
    pub(in crate::node) acceptor: Acceptor,
    scrub: Scrub,
    last_op: OpId,
    /// What it sends to itself.
    loopback: VecDeque<Message>,
}

impl Replica {
    /// What the store holds of a node.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when identity or ring document are missing or damaged; nothing is changed.
    pub(in crate::node) fn open(store: &dyn Store, boot: &Boot) -> Result<Self> {
        let row = |name| store.row(Table::Ring, name);
        let doc = row("doc")?.ok_or_else(|| {
            Error::Corrupt("The node's file holds no ring document; it was not changed.".into())
        })?;
        let doc = Arc::new(RingDoc::decode(&doc)?);
        let acceptor = Acceptor::load(store)?;
        let audits = Audits::load(store, boot.audit_slice)?;
        let identity = NodeIdentity::load(store, &doc, boot)?;
        let mut replica = Self {
            id: identity.id,
            doc,
            read_only: boot.read_only,
            last_op: OpId(identity.first_op()),
            identity,
            alive: BTreeSet::new(),
            queue: CommitQueue::default(),
            disk: DiskSpace::default(),
            audits,
            resting: false,
            acceptor: acceptor.clone().unwrap_or_default(),
            scrub: Scrub::load(store),
            loopback: VecDeque::new(),
        };
        if acceptor.is_none() {
            replica.identity.abstain();
        }
        if boot.suspect.is_some() && !planted::is(Bug::RollbackUnseen) {
            let owned = replica.doc.owned(replica.id);
            replica.identity.lose_all(0, owned);
        }
        Ok(replica)
    }

    /// The Q of the ring.
    pub(in crate::node) fn q(&self) -> Q {
        self.doc.q
    }

    /// A number that no operation of this process has had.
    pub(in crate::node) fn new_op(&mut self) -> OpId {
        self.last_op = self.last_op.next();
        self.last_op
    }

    /// Gives the running operation a new number: late answers to what it asked before meet nothing.
    pub(in crate::node) fn renumber(&mut self, cx: &mut Ctx<'_>) {
        cx.op = self.new_op();
    }

    /// Sends under a number of the peer's, or of an operation here.
    pub(in crate::node) fn send(&mut self, cx: &mut Ctx<'_>, to: NodeId, op: OpId, body: Body) {
        let message = Message { ring: self.doc.id, version: self.doc.version, op: op.0, body };
        if to == self.id {
            self.loopback.push_back(message);
        } else {
            cx.out.push(Action::Send(to, message));
        }
    }

    /// Asks a node on behalf of the running operation.
    pub(in crate::node) fn ask(&mut self, cx: &mut Ctx<'_>, to: NodeId, body: Body) {
        self.send(cx, to, cx.op, body);
    }

    /// Sends the document this node acts under.
    pub(in crate::node) fn send_ring(&mut self, cx: &mut Ctx<'_>, to: NodeId, op: OpId) {
        let doc = Box::new((*self.doc).clone());
        self.send(cx, to, op, Body::Chosen(doc));
    }

    /// The next message to itself.
    pub(in crate::node) fn next_to_self(&mut self) -> Option<Message> {
        self.loopback.pop_front()
    }

    pub(in crate::node) fn is_up(&self, id: NodeId) -> bool {
        id == self.id || self.alive.contains(&id)
    }

    /// Whether a member is on its way out: it keeps nothing for others.
    pub(in crate::node) fn is_going(&self, id: NodeId) -> bool {
        let state = self.doc.member(id).map(|m| m.state);
        matches!(state, None | Some(MemberState::Leaving | MemberState::Removed))
    }

    /// The other members that are present.
    pub(in crate::node) fn others(&self) -> impl Iterator<Item = NodeId> {
        self.doc.present().map(|m| m.id).filter(|id| *id != self.id)
    }

    /// A local quorum is one of the zone of the node that takes the request.
    pub(in crate::node) fn zoned(&self, mut options: Options) -> Options {
        if options.is_local() && options.zone.is_none() {
            options.zone = self.doc.member(self.id).map(|m| m.zone.clone());
        }
        options
    }

    /// Wakes the running operation when all that is staged so far is durable.
    pub(in crate::node) fn wake_when_durable(&mut self, cx: &Ctx<'_>) {
        self.queue.then(self.queue.last(), OnCommit::Wake(cx.op));
    }

    /// Emits the gathered batch when none is under way.
    pub(in crate::node) fn flush(&mut self, cx: &mut Ctx<'_>) {
        // A changed identity rides along; alone it waits for a tick, or a full disk would be a loop.
        if self.read_only || !self.queue.is_due() {
            return;
        }
        let full: Vec<Partition> = self.queue.filled_next();
        let ops = self.identity.ops(&full);
        let (seq, batch) = self.queue.take(ops);
        cx.out.push(Action::Commit(seq, batch));
    }

    /// On a tick, has a changed identity written though nothing else is.
    pub(in crate::node) fn flush_identity(&mut self, now_ms: u64) {
        let changed = self.identity.is_changed(now_ms);
        if changed && self.queue.is_empty() && self.disk.may_try(now_ms) {
            let seq = self.queue.next();
            self.queue.then(seq, OnCommit::Full(Vec::new()));
        }
    }
}
