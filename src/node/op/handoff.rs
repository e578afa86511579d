//! Handing hints off: what was kept for others goes to them, and is forgotten only then.
//!
//! ```text
//! hint for n3 (data)       -> Write n3: Stored  -> Unhint            its target holds it
//! hint for n3 (reference)  -> our own record is sent
//! n3 no longer an owner    -> Write to all owners: W of them full    -> Unhint
//! this node is leaving     -> a target that is down: another member keeps it
//! spread: n3 stays away    -> Write to the owners that are up; the hint stays: n3 is an owner still
//! ```
//!
//! An acknowledged hint is data: age never drops it. A hint that changed while it was being
//! delivered stays. What cannot be delivered now is passed over by its places alone, and a page is
//! bounded by its bytes: a node that keeps much for others goes on serving. Caveat: one delivery runs
//! at a time and walks the table once.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::{KEY_BYTES_MAX, Key, Partition};
use crate::node::commit_queue::{BatchSeq, OnCommit};
use crate::node::event::{Reply, Transfer, TransferKind};
use crate::node::flow::{Ctx, Flow, HandoffTo, PAGE_BYTES, Wake};
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::record::Stored;
use crate::ring::{MemberState, NodeId};
use crate::store::{Hint, HintPlace, Op, hint_page};

/// Hints delivered in one message.
const HANDOFF_MAX: usize = 256;
/// A message that is not answered for so long is given up, in ms.
const WAIT_MS: u64 = 5_000;

/// A walk over the hints.
pub(in crate::node) struct Handoff {
    to: HandoffTo,
    after: Option<(NodeId, Partition, Key)>,
    /// The hints under way, all of one target, as they were read.
    chunk: Vec<(Hint, Stored)>,
    awaiting: BTreeSet<NodeId>,
    /// Whose acks free them, as it was when they were sent: who is up and who owns may change since.
    freed_by: FreedBy,
    /// Who has stored them, and whether it is full in them.
    stored: BTreeMap<NodeId, bool>,
    delivered: u64,
    started_ms: u64,
    asked_ms: u64,
    phase: HandoffPhase,
}

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandoffPhase {
    /// The acknowledgements of what was sent.
    Sending,
    /// That its own hints are durably gone.
    Forgetting,
}

/// Whose acknowledgement makes a hint superfluous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FreedBy {
    /// That of this node: the target, or the one that keeps it on for the target.
    Node(NodeId),
    /// W full owners, of each layout its own: the target is an owner no longer.
    Owners,
    /// None: the other owners got it for safety, the target lacks it still.
    Nothing,
}

impl Handoff {
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        to: HandoffTo,
    ) -> Flow<Box<Self>> {
        let handoff = Box::new(Self {
            to,
            after: None,
            chunk: Vec::new(),
            awaiting: BTreeSet::new(),
            freed_by: FreedBy::Nothing,
            stored: BTreeMap::new(),
            delivered: 0,
            started_ms: cx.now.mono_ms,
            asked_ms: cx.now.mono_ms,
            phase: HandoffPhase::Sending,
        });
        handoff.send_next(node, cx)
    }

    /// How far it is; nothing while it is between two messages.
    pub(in crate::node) fn transfer(&self, mono_ms: u64) -> Option<Transfer> {
        let target = self.chunk.first()?.0.target;
        let partitions = self.chunk.iter().map(|(h, _)| h.partition).collect::<BTreeSet<_>>();
        Some(Transfer {
            kind: TransferKind::Hints,
            peer: target,
            pulled: 0,
            pushed: self.delivered,
            partitions: partitions.len(),
            age_ms: mono_ms.saturating_sub(self.started_ms),
        })
    }

    /// Sends the next hints that a node can take, under a new number: who stored the last ones late has
    /// not stored these.
    fn send_next(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        node.renumber(cx);
        self.phase = HandoffPhase::Sending;
        loop {
            let first = cx.store.hint_places(self.after.as_ref(), 1).unwrap_or_default().pop();
            let Some(((target, p, _), _)) = first else {
                let left = cx.store.hint_stats().map_or(0, |s| s.count);
                return Flow::reply(Reply::Deliver(self.delivered, left));
            };
            let routes = routes(node, target, p, self.to);
            if routes.is_empty() {
                // They can go nowhere now: on to what comes after this partition's.
                self.after = Some((target, p, last_key()));
                continue;
            }
            self.take_chunk(node, cx, (target, p), &routes);
            if !self.chunk.is_empty() {
                self.send_chunk(node, cx, (target, p), routes);
                return Flow::Wait(self);
            }
        }
    }

    /// Takes the next hints of one target that go the same way.
    fn take_chunk(
        &mut self,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        (target, p): (NodeId, Partition),
        ways: &[NodeId],
    ) {
        let owns = node.doc.owns(target, p);
        let same = |h: &Hint| {
            h.target == target
                && (h.partition == p
                    || node.doc.owns(target, h.partition) == owns
                        && routes(node, target, h.partition, self.to) == ways)
        };
        let after = self.after.as_ref();
        let page = hint_page(cx.store, after, HANDOFF_MAX, PAGE_BYTES).unwrap_or_default();
        let chunk: Vec<Hint> = page.into_iter().take_while(same).collect();
        // A page that cannot be read is passed over with its partition.
        let last = chunk.last().map_or((target, p, last_key()), Hint::place);
        self.after = Some(last);
        self.chunk = with_records(node, cx, chunk, &mut self.after);
    }

    fn send_chunk(
        &mut self,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        (target, p): (NodeId, Partition),
        routes: Vec<NodeId>,
    ) {
        let owns = node.doc.owns(target, p);
        let for_safety = self.to == HandoffTo::OtherOwners;
        self.freed_by = match routes.as_slice() {
            _ if !owns => FreedBy::Owners,
            _ if for_safety && !routes.contains(&target) => FreedBy::Nothing,
            [to] => FreedBy::Node(*to),
            _ => FreedBy::Node(target),
        };
        self.stored.clear();
        self.asked_ms = cx.now.mono_ms;
        let records: Vec<_> = self.chunk.iter().map(|(h, s)| (h.key.clone(), s.clone())).collect();
        for to in routes {
            // One that is not the target keeps the hint on for it.
            let hint_for = (to != target && owns && !for_safety).then_some(target);
            self.awaiting.insert(to);
            node.ask(cx, to, Body::Write { records: records.clone(), hint_for });
        }
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        match wake {
            Wake::Said(from, body) => {
                if self.awaiting.remove(&from)
                    && let Body::Stored { full, .. } = body
                {
                    self.stored.insert(from, full);
                }
            }
            Wake::Committed | Wake::CommitFailed if self.phase == HandoffPhase::Forgetting => {
                return self.send_next(node, cx);
            }
            Wake::Lost(lost) | Wake::Unsent(lost) => drop(self.awaiting.remove(&lost)),
            Wake::Tick if cx.now.mono_ms >= self.asked_ms + WAIT_MS => self.awaiting.clear(),
            _ => {}
        }
        if self.phase == HandoffPhase::Forgetting || !self.awaiting.is_empty() {
            return Flow::Wait(self);
        }
        self.forget(node, cx)
    }

    /// Forgets what is safely held elsewhere, unless it changed meanwhile.
    fn forget(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let mut seq = None;
        for (hint, _) in std::mem::take(&mut self.chunk) {
            let (target, p) = (hint.target, hint.partition);
            let held = match self.freed_by {
                FreedBy::Node(to) => self.stored.contains_key(&to),
                FreedBy::Owners => is_with_owners(node, p, &self.stored),
                FreedBy::Nothing => planted::is(Bug::SpreadFrees) && !self.stored.is_empty(),
            };
            let now = cx.store.hints_of(p, &hint.key).unwrap_or_default();
            let same = now.contains(&hint) || planted::is(Bug::ChangedHintForgotten);
            let held = held || planted::is(Bug::HintForgotten);
            if held && same && node.queue.get(Some(target), p, &hint.key).is_none() {
                self.delivered += 1;
                seq = Some(unhint(node, &hint));
            }
        }
        let Some(seq) = seq else { return self.send_next(node, cx) };
        self.phase = HandoffPhase::Forgetting;
        node.queue.then(seq, OnCommit::Wake(cx.op));
        Flow::Wait(self)
    }
}

/// Whom the hints for a target go to: itself, the owners when it is one no longer, or another member
/// when this node is leaving and cannot wait.
fn routes(node: &Replica, target: NodeId, p: Partition, to: HandoffTo) -> Vec<NodeId> {
    let up = node.is_up(target);
    if node.doc.owns(target, p) && (to == HandoffTo::Targets || up) {
        if up {
            return vec![target];
        }
        let leaving = node.doc.member(node.id).is_some_and(|m| m.state == MemberState::Leaving);
        let spare = |id: &NodeId| *id != node.id && node.alive.contains(id);
        return match leaving {
            true => node.doc.preference(p).into_iter().find(spare).into_iter().collect(),
            false => Vec::new(),
        };
    }
    node.doc.writers(p).into_iter().filter(|id| node.is_up(*id)).collect()
}

/// The hints with the records they stand for, as many as fill a message; a reference to nothing is
/// forgotten.
fn with_records(
    node: &mut Replica,
    cx: &mut Ctx<'_>,
    chunk: Vec<Hint>,
    after: &mut Option<HintPlace>,
) -> Vec<(Hint, Stored)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for hint in chunk {
        if bytes > PAGE_BYTES {
            break;
        }
        *after = Some(hint.place());
        let stored = match &hint.stored {
            Some(stored) => Ok(Some(stored.clone())),
            None => node.durable(cx, hint.partition, &hint.key),
        };
        match stored {
            Ok(Some(stored)) => {
                bytes += stored.bytes().len();
                found.push((hint, stored));
            }
            // Whether it is nothing shows when a damaged record is healed.
            Ok(None) if node.identity.is_corrupt(hint.partition, &hint.key) => {}
            Ok(None) => drop(unhint(node, &hint)),
            Err(_) => {}
        }
    }
    found
}

fn unhint(node: &mut Replica, hint: &Hint) -> BatchSeq {
    let Hint { target, partition, key, .. } = hint.clone();
    node.queue.push(Op::Unhint { target, partition, key })
}

/// Whether W owners of each layout have stored it with a full copy.
fn is_with_owners(node: &Replica, p: Partition, stored: &BTreeMap<NodeId, bool>) -> bool {
    node.doc.write_layouts().into_iter().all(|layout| {
        let owners = node.doc.owners_in(layout, p);
        let full = owners.iter().filter(|o| stored.get(o) == Some(&true)).count();
        full >= node.doc.majority()
    })
}

/// Nothing stands behind it in a partition.
fn last_key() -> Key {
    Key::new(vec![0xff; KEY_BYTES_MAX]).expect("as long as a key may be")
}
