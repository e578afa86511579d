//! Delivering hints: what was kept for others goes to them, and is forgotten only then.
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

use super::answer::PAGE_BYTES;
use super::{Asker, Cx, Node, Outcome, Reply, Task, Then, Transfer, TransferKind, Wake};
use crate::key::{KEY_BYTES_MAX, Key, Partition};
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::record::Stored;
use crate::ring::{NodeId, State};
use crate::store::{Hint, Op, hint_page};

/// Hints delivered in one message.
const DELIVER_MAX: usize = 256;
/// A message that is not answered for so long is given up, in ms.
const DELIVER_WAIT_MS: u64 = 5_000;

/// A walk over the hints.
pub(super) struct Deliver {
    asker: Asker,
    /// Not to their targets but to the other owners, for safety: targets that have long been down.
    spread: bool,
    after: Option<(NodeId, Partition, Key)>,
    /// The hints under way, all of one target, as they were read.
    chunk: Vec<(Hint, Stored)>,
    awaiting: BTreeSet<NodeId>,
    /// Whose acks free them, as it was when they were sent: who is up and who owns may change since.
    freed_by: FreedBy,
    /// Who has stored them, and whether it is full in them.
    stored: BTreeMap<NodeId, bool>,
    delivered: u64,
    pub(super) started_ms: u64,
    asked_ms: u64,
    unhinting: bool,
}

/// Whose acknowledgement makes a hint superfluous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FreedBy {
    /// That of this node: the target, or the one that keeps it on for the target.
    Node(NodeId),
    /// W full owners, of each layout its own: the target is an owner no longer.
    Owners,
    /// None: the other owners got it for safety, the target lacks it still.
    Nobody,
}

impl Deliver {
    /// How far it is; nothing while it is between two messages.
    pub(super) fn transfer(&self, age_ms: u64) -> Option<Transfer> {
        let target = self.chunk.first()?.0.target;
        let partitions = self.chunk.iter().map(|(h, _)| h.partition).collect::<BTreeSet<_>>();
        Some(Transfer {
            kind: TransferKind::Hints,
            peer: target,
            pulled: 0,
            pushed: self.delivered,
            partitions: partitions.len(),
            age_ms,
        })
    }
}

impl Node {
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_>, asker: Asker, spread: bool) {
        let deliver = Deliver {
            asker,
            spread,
            after: None,
            chunk: Vec::new(),
            awaiting: BTreeSet::new(),
            freed_by: FreedBy::Nobody,
            stored: BTreeMap::new(),
            delivered: 0,
            started_ms: cx.now.mono_ms,
            asked_ms: cx.now.mono_ms,
            unhinting: false,
        };
        self.deliver_next(cx, deliver);
    }

    /// Sends the next hints that somebody can take, under an operation of its own: who stored the
    /// last ones late has not stored these.
    fn deliver_next(&mut self, cx: &mut Cx<'_>, mut task: Deliver) {
        let op = self.new_op();
        loop {
            let first = cx.store.hint_places(task.after.as_ref(), 1).unwrap_or_default().pop();
            let Some(((target, p, _), _)) = first else {
                let left = cx.store.hint_stats().map_or(0, |s| s.count);
                let reply = Reply::Deliver(task.delivered, left);
                return self.conclude(cx, task.asker, Outcome::Reply(reply));
            };
            let routes = self.routes(target, p, task.spread);
            if routes.is_empty() {
                // Nobody can take them now: on to what comes after this partition's.
                task.after = Some((target, p, last_key()));
                continue;
            }
            let owns = self.doc.owns(target, p);
            let same = |h: &Hint| {
                h.target == target
                    && (h.partition == p
                        || self.doc.owns(target, h.partition) == owns
                            && self.routes(target, h.partition, task.spread) == routes)
            };
            let after = task.after.as_ref();
            let page = hint_page(cx.store, after, DELIVER_MAX, PAGE_BYTES).unwrap_or_default();
            let chunk: Vec<Hint> = page.into_iter().take_while(same).collect();
            // A page that cannot be read is passed over with its partition.
            let last = chunk.last().map_or((target, p, last_key()), Hint::place);
            task.after = Some(last);
            task.chunk = self.with_records(cx, chunk, &mut task.after);
            if task.chunk.is_empty() {
                continue;
            }
            task.freed_by = match routes.as_slice() {
                _ if !owns => FreedBy::Owners,
                _ if task.spread && !routes.contains(&target) => FreedBy::Nobody,
                [to] => FreedBy::Node(*to),
                _ => FreedBy::Node(target),
            };
            task.stored.clear();
            task.asked_ms = cx.now.mono_ms;
            let records: Vec<_> =
                task.chunk.iter().map(|(h, s)| (h.key.clone(), s.clone())).collect();
            for to in routes {
                let hint_for = self.handed_on(to, target, p).then_some(target);
                let hint_for = hint_for.filter(|_| !task.spread);
                task.awaiting.insert(to);
                self.send(cx, to, op, Body::Write { records: records.clone(), hint_for });
            }
            self.tasks.insert(op, Task::Deliver(task));
            return;
        }
    }

    /// Whom the hints for a target go to: itself, the owners when it is one no longer, or another
    /// member when this node is leaving and cannot wait.
    fn routes(&self, target: NodeId, p: Partition, spread: bool) -> Vec<NodeId> {
        if self.doc.owns(target, p) && (!spread || self.is_up(target)) {
            if self.is_up(target) {
                return vec![target];
            }
            let leaving = self.doc.member(self.id).is_some_and(|m| m.state == State::Leaving);
            let spare = |id: &NodeId| *id != self.id && self.alive.contains(id);
            return match leaving {
                true => self.doc.preference(p).into_iter().find(spare).into_iter().collect(),
                false => Vec::new(),
            };
        }
        self.doc.writers(p).into_iter().filter(|id| self.is_up(*id)).collect()
    }

    /// Whether `to` keeps the hint on for its target, rather than being the one it is meant for.
    fn handed_on(&self, to: NodeId, target: NodeId, p: Partition) -> bool {
        to != target && self.doc.owns(target, p)
    }

    /// The hints with the records they stand for, as many as fill a message; a reference to nothing
    /// is forgotten.
    fn with_records(
        &mut self,
        cx: &mut Cx<'_>,
        chunk: Vec<Hint>,
        after: &mut Option<(NodeId, Partition, Key)>,
    ) -> Vec<(Hint, Stored)> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for hint in chunk {
            if bytes > PAGE_BYTES {
                break;
            }
            *after = Some(hint.place());
            let stored = match &hint.stored {
                Some(stored) => Ok(Some(stored.clone())),
                None => self.durable(cx, hint.partition, &hint.key),
            };
            match stored {
                Ok(Some(stored)) => {
                    bytes += stored.bytes().len();
                    found.push((hint, stored));
                }
                // Whether it is nothing shows when a damaged record is healed.
                Ok(None) if self.identity.is_bad(hint.partition, &hint.key) => {}
                Ok(None) => drop(self.unhint(&hint)),
                Err(_) => {}
            }
        }
        found
    }

    fn unhint(&mut self, hint: &Hint) -> u64 {
        let Hint { target, partition, key, .. } = hint.clone();
        self.stage.push(Op::Unhint { target, partition, key })
    }

    pub(super) fn on_deliver(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Deliver, wake: Wake) {
        match wake {
            Wake::Said(from, body) => {
                if task.awaiting.remove(&from)
                    && let Body::Stored { full, .. } = body
                {
                    task.stored.insert(from, full);
                }
            }
            Wake::Committed(_) if task.unhinting => {
                task.unhinting = false;
                return self.deliver_next(cx, task);
            }
            Wake::Lost { node, .. } => drop(task.awaiting.remove(&node)),
            Wake::Tick if cx.now.mono_ms >= task.asked_ms + DELIVER_WAIT_MS => {
                task.awaiting.clear()
            }
            _ => {}
        }
        if task.unhinting || !task.awaiting.is_empty() {
            self.tasks.insert(op, Task::Deliver(task));
            return;
        }
        self.delivered(cx, op, task);
    }

    /// Forgets what is safely held elsewhere, unless it changed meanwhile.
    fn delivered(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Deliver) {
        let chunk = std::mem::take(&mut task.chunk);
        let mut seq = None;
        for (hint, _) in &chunk {
            let (target, p) = (hint.target, hint.partition);
            let held = match task.freed_by {
                FreedBy::Node(to) => task.stored.contains_key(&to),
                FreedBy::Owners => self.is_with_owners(p, &task.stored),
                FreedBy::Nobody => planted::is(Bug::SpreadFrees) && !task.stored.is_empty(),
            };
            let now = cx.store.hints_of(p, &hint.key).unwrap_or_default();
            let same = now.iter().any(|h| h == hint) || planted::is(Bug::ChangedHintForgotten);
            let held = held || planted::is(Bug::HintForgotten);
            if held && same && self.stage.get(Some(target), p, &hint.key).is_none() {
                task.delivered += 1;
                seq = Some(self.unhint(hint));
            }
        }
        match seq {
            Some(seq) => {
                task.unhinting = true;
                self.stage.then(seq, Then::Wake(op));
                self.tasks.insert(op, Task::Deliver(task));
            }
            None => self.deliver_next(cx, task),
        }
    }
}

impl Node {
    /// Whether W owners of each layout have stored it with a full copy.
    fn is_with_owners(&self, p: Partition, stored: &BTreeMap<NodeId, bool>) -> bool {
        self.doc.write_layouts().into_iter().all(|layout| {
            let owners = self.doc.owners_in(layout, p);
            let full = owners.iter().filter(|o| stored.get(o) == Some(&true)).count();
            full >= self.doc.majority()
        })
    }
}

/// Nothing stands behind it in a partition.
fn last_key() -> Key {
    Key::new(vec![0xff; KEY_BYTES_MAX]).expect("as long as a key may be")
}
