//! Coordinating a read: ask the owners, count votes, merge, and for a strict read make sure.
//!
//! ```text
//! Get:  Reading --R votes--> reply, and what some owners lack is written back without waiting
//!                 strict, not held by N-R+1 owners: --> WritingBack --> reply
//! ```
//!
//! Fallbacks are asked when owners are down; they add what they keep and no vote. A driver that must
//! not write (`write_back` off) gets "refused" where a strict read would have had to write first.
//!
//! Law of strict reads: what is answered is held, as exactly that record, by N-R+1 owners of each
//! layout at that moment. Writing back is an operation of its own: what it waits for are acks of this
//! one record, and a late answer to the reading changes nothing any more. An owner that does not
//! answer holds nothing up: after a while those that did are enough.

use std::collections::BTreeSet;

use crate::key::Key;
use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, OlderWork, OpId, Wake};
use crate::node::op::route;
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{Options, Progress, ReadNext, ReadTally, TimeLeft, Verdict};
use crate::ring::NodeId;

/// A strict read waits at most so long for owners that do not answer before it writes back to those
/// that did, in ms; never longer than a quarter of its time.
const PATIENCE_MS: u64 = 500;

/// A read of one key.
pub(in crate::node) struct Get {
    key: Key,
    options: Options,
    tally: ReadTally,
    awaiting: BTreeSet<NodeId>,
    /// The version of the ring document it acts under.
    version: u64,
    /// From when on those that have not answered are not waited for, if the others suffice.
    patience_ms: u64,
    deadline_ms: u64,
}

impl Get {
    /// Whether it is a strict read that may still answer from what it asked under a document older
    /// than this version: who holds what it read may have left since.
    pub(in crate::node) fn older_work(&self, version: u64) -> OlderWork {
        let older = self.options.strict && self.version < version;
        match older && !planted::is(Bug::BarrierSkipsReads) {
            true => OlderWork::UnderWay,
            false => OlderWork::None,
        }
    }
}

impl Get {
    /// Asks the owners of a key, and fallbacks for those that are down.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        key: Key,
        options: Options,
    ) -> Flow<Box<Self>> {
        let p = node.q().partition(&key);
        let options = node.zoned(options);
        let mut asked = route::readers(node, p, &options);
        let mut tally = ReadTally::asked(&node.doc, p, &options);
        if asked.contains(&node.id) && !node.identity.is_waiting() {
            tally.answer(node.id, vec![node.look(cx, &key)]);
        }
        asked.retain(|o| *o != node.id);
        for peer in &asked {
            node.ask(cx, *peer, Body::Read(vec![key.clone()]));
        }
        let now = cx.now.mono_ms;
        let get = Box::new(Self {
            key,
            tally,
            awaiting: asked.into_iter().collect(),
            version: node.doc.version,
            patience_ms: now + PATIENCE_MS.min(options.timeout_ms / 4),
            deadline_ms: now + options.timeout_ms,
            options,
        });
        get.decide(node, cx)
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        match wake {
            Wake::Said(from, Body::Answers(answers) | Body::Copies { answers, .. }) => {
                let answers = answers.into_iter().map(|a| a.proven(&self.key)).collect();
                self.tally.answer(from, answers);
                self.awaiting.remove(&from);
            }
            Wake::Said(from, Body::Stored { .. }) => {
                self.tally.stored(from);
                self.awaiting.remove(&from);
            }
            Wake::Said(id, _) | Wake::Lost(id) | Wake::Unsent(id) => {
                self.awaiting.remove(&id);
            }
            _ => {}
        }
        self.decide(node, cx)
    }

    fn decide(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let time = TimeLeft::at(cx.now.mono_ms, self.patience_ms, self.deadline_ms);
        let progress = Progress { outstanding: self.awaiting.len(), time };
        match self.tally.next(&self.key, &self.options, progress) {
            ReadNext::Wait => Flow::Wait(self),
            ReadNext::Answer { repair } => {
                // Read repair: sent, not waited for.
                self.send_merged(node, cx, &repair, OpId::NONE);
                self.reply(node, cx, Verdict::Done)
            }
            ReadNext::WriteBack { to } => {
                node.renumber(cx);
                self.send_merged(node, cx, &to, cx.op);
                self.awaiting = to.into_iter().collect();
                Flow::Wait(self)
            }
            ReadNext::Refuse(verdict) => self.reply(node, cx, verdict),
        }
    }

    /// Sends owners the merge of all copies, for them to hold.
    fn send_merged(&self, node: &mut Replica, cx: &mut Ctx<'_>, owners: &[NodeId], op: OpId) {
        if owners.is_empty() {
            return;
        }
        let (Some(merged), _) = self.tally.merged(0, &self.key) else { return };
        for owner in owners {
            let records = vec![(self.key.clone(), merged.clone())];
            node.send(cx, *owner, op, Body::Write { records, hint_for: None });
        }
    }

    fn reply(&self, node: &mut Replica, cx: &mut Ctx<'_>, verdict: Verdict) -> Flow<Box<Self>> {
        let reply = self.tally.reply(&self.key, verdict);
        node.report(cx, &self.key, &reply.clashes);
        Flow::reply(Reply::Get(reply))
    }
}
