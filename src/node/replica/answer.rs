//! What a node answers to its peers, from durable state only.
//!
//! ```text
//! Read   -> Vote(copy) of a full owner, Extra(copy) of a filling owner or a fallback, Unreadable
//! Write  -> merge into the local copy, commit, Stored; a hint is kept under its target's name
//! Sums   -> the arcs whose sums differ here;   List -> keys and terms of some leaves
//! Put, Fill, Deliver -> an operation of this node; its end is the answer
//! ```
//!
//! It keeps nothing between two messages. Caveat: a write that changes nothing is acknowledged at
//! once, unless what it equals is itself not yet durable.

use super::Replica;
use super::copies::Absorbed;
use crate::key::{Key, Partition};
use crate::node::commit_queue::OnCommit;
use crate::node::event::RepairRequest;
use crate::node::flow::{Caller, Ctx, HandoffTo, PAGE_BYTES, Start};
use crate::planted::{self, Bug};
use crate::protocol::{Body, Scope};
use crate::quorum::Answer;
use crate::record::Stored;
use crate::ring::NodeId;

impl Replica {
    /// Answers a request of a peer, at once or with the operation that it begins.
    pub(in crate::node) fn answer(&mut self, cx: &mut Ctx<'_>, caller: Caller, body: Body) {
        let Caller { node, version, op } = caller;
        let reply = match body {
            Body::Put(request) => return cx.start(caller.origin(), Start::Put(request)),
            Body::Read(keys) => self.read(cx, &keys),
            Body::Write { records, hint_for } | Body::Replicate { records, hint_for, .. } => {
                return self.on_write(cx, caller, &records, hint_for);
            }
            Body::Page { partition, after, limit } => {
                self.page(cx, partition, after.as_ref(), limit)
            }
            Body::Fullness(scope) => Body::Filling(self.not_proven(cx, node, &scope)),
            Body::Sums { scope, arcs } => match self.differing(cx, caller, &scope, &arcs) {
                Some(reply) => reply,
                None => return,
            },
            Body::List(leaves) => match self.list(cx, &leaves) {
                Ok(listing) => Body::Listing(listing),
                Err(error) => Body::NotStored(error.to_string()),
            },
            Body::Prepare(ballot) => return self.on_prepare(cx, caller, ballot),
            Body::Accept(ballot, doc) => return self.on_accept(cx, caller, ballot, *doc),
            // Asked under another document than ours: whoever asks hears which, or tells us.
            Body::Fill | Body::Deliver if version < self.doc.version => {
                return self.send_ring(cx, node, op);
            }
            Body::Fill if version == self.doc.version => {
                self.refill();
                return cx.start(caller.origin(), Start::Repair(RepairRequest::default()));
            }
            Body::Deliver if version == self.doc.version => {
                return cx.start(caller.origin(), Start::Handoff(HandoffTo::Targets));
            }
            _ => return,
        };
        self.send(cx, node, op, reply);
    }

    fn read(&mut self, cx: &mut Ctx<'_>, keys: &[Key]) -> Body {
        let (answers, asked) = (self.look_all(cx, keys), keys.len() as u32);
        Body::Copies { answers, asked, wall_ms: cx.now.wall_ms }
    }

    /// The answers for the first keys, until their bytes fill a message.
    fn look_all(&mut self, cx: &mut Ctx<'_>, keys: &[Key]) -> Vec<Answer> {
        let mut bytes = 0;
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            let answer = self.look(cx, key);
            bytes += answer.stored().map_or(0, |s| s.bytes().len());
            answers.push(answer);
            if bytes > PAGE_BYTES {
                break;
            }
        }
        answers
    }

    fn on_write(
        &mut self,
        cx: &mut Ctx<'_>,
        caller: Caller,
        records: &[(Key, Stored)],
        hint_for: Option<NodeId>,
    ) {
        let Caller { node, op, .. } = caller;
        let hint_for = hint_for.filter(|target| *target != self.id);
        let absorbed = match hint_for {
            None => self.absorb(cx, records),
            Some(target) => self.keep(cx, target, records),
        };
        let early = planted::is(Bug::AckEarly);
        let absorbed = absorbed.map(|a| Absorbed { seq: a.seq.filter(|_| !early), ..a });
        let refusal = |why: String| Body::NotStored(why);
        match absorbed {
            Err(error) => self.send(cx, node, op, refusal(error.to_string())),
            Ok(Absorbed { seq: None, full }) => {
                let (actor, commit) = (self.identity.actor, cx.store.commit_number());
                self.send(cx, node, op, Body::Stored { full, actor, commit });
            }
            Ok(Absorbed { seq: Some(seq), full }) => {
                let failed = refusal("its commit failed".into());
                // The number of its commit is put in when it is durable.
                let actor = self.identity.actor;
                let stored = Body::Stored { full, actor, commit: 0 };
                let then = OnCommit::Send(node, op, Box::new(stored), Box::new(failed));
                self.queue.then(seq, then);
            }
        }
    }

    /// The partitions of a scope in which this node's copy proves nothing to a peer: filling, lossy,
    /// with a bad key, or not read since opening.
    fn not_proven(&mut self, cx: &mut Ctx<'_>, peer: NodeId, scope: &Scope) -> Vec<Partition> {
        let shared = self.scope(peer, scope);
        self.audit_some(cx, &shared);
        let open = |p: &Partition| {
            !self.is_full(*p) || self.identity.has_corrupt(*p) || !self.is_audited(*p)
        };
        shared.into_iter().filter(open).collect()
    }
}
