//! Coordinating a write: read what it replaces, mint and commit here, then send, then count.
//!
//! ```text
//! Put:     Reading --enough answers--> Committing --durable--> Replicating --W--> reply
//!          (overwrite, if-absent,      own record first        owners, then fallbacks for those down
//!           exact)                               if-absent, exact: --> Confirming --> reply
//! ```
//!
//! Law of the end: a write is minted before half of its time is over, or never. Its asker waits
//! longer than that before it says that the outcome is unknown, so nothing is minted after whoever
//! asked was told so: what is written next is never superseded by what was asked before it.
//!
//! Law of exact writes: nothing is minted when the coordinator or the owners it reads hold anything
//! that the context does not cover, and only a writer that is alone when it reads again after its
//! acks has won. Of two that meet at most one finds itself alone, for each reads after a quorum holds
//! its own value; the other is told that both are there (`confirm`).
//!
//! What an owner lacks in the end is kept as an uncounted hint: a reference to our own record.
//! Caveat: a write that missed W goes on living where it is; it is unknown, not undone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::forward::mint_within_ms;
use super::{Asker, Cx, Node, Outcome, Reply, Task, Then, Wake};
use crate::clock::{Dot, VersionVector};
use crate::key::Key;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{
    Answer, Basis, ItemReply, PutReply, PutRequest, ReadTally, Verdict, WriteTally,
};
use crate::record::Stored;
use crate::ring::{NodeId, RingDoc};
use crate::store::{Hint, Op};

/// A write being coordinated here.
pub(super) struct Put {
    asker: Asker,
    pub(super) request: PutRequest,
    pub(super) doc: Arc<RingDoc>,
    pub(super) phase: Phase,
    strict: bool,
    /// Who has yet to answer the messages of this phase; a fallback maps to its target.
    pub(super) awaiting: BTreeMap<NodeId, NodeId>,
    fallbacks: VecDeque<NodeId>,
    pub(super) tally: WriteTally,
    records: Vec<(Key, Stored)>,
    pub(super) items: Vec<ItemReply>,
    /// The dot of each item that was minted.
    pub(super) dots: Vec<Option<Dot>>,
    /// The clock of each item's record once it is written, and what else is known to be beside it.
    pub(super) expected: Vec<VersionVector>,
    pub(super) guessed: bool,
    replied: bool,
    hinted: BTreeSet<NodeId>,
    started_ms: u64,
    pub(super) deadline_ms: u64,
}

impl Put {
    /// The version of the ring document it acts under.
    pub(super) fn version(&self) -> u64 {
        self.doc.version
    }

    /// Whether whoever asked has his answer.
    pub(super) fn is_answered(&self) -> bool {
        self.replied
    }

    /// Whether nothing of it is anywhere yet, and this peer, which asked for it, is gone.
    pub(super) fn is_abandoned_by(&self, peer: NodeId) -> bool {
        matches!(self.asker, Asker::Peer(by, _) if by == peer)
            && matches!(self.phase, Phase::Reading(_))
    }

    fn replicate(&self, cx: &Cx<'_>, hint_for: Option<NodeId>) -> Body {
        let (records, commit) = (self.records.clone(), cx.store.commit_number());
        Body::Replicate { records, hint_for, commit }
    }

    /// The keys that a node has yet to answer for; none of whoever has answered for all.
    pub(super) fn keys_after(&self, answered: usize) -> Vec<Key> {
        self.request.items.iter().skip(answered).map(|i| i.key.clone()).collect()
    }
}

/// The dot of an item that was written.
fn minted(reply: &ItemReply) -> Option<Dot> {
    match reply {
        ItemReply::Written { dot, .. } => Some(*dot),
        _ => None,
    }
}

pub(super) enum Phase {
    Reading(ReadTally),
    Committing,
    Replicating,
    Confirming(ReadTally),
}

impl Node {
    /// Coordinates a write here, or says that it cannot before anything is applied.
    pub(super) fn start_put(&mut self, cx: &mut Cx<'_>, asker: Asker, request: PutRequest) {
        let p = request.partition;
        if self.resting {
            return self.conclude(
                cx,
                asker,
                Outcome::NotMine("it accepts no more requests".into()),
            );
        }
        if self.identity.is_waiting() || !self.is_full(p) {
            let why = if self.doc.owns(self.id, p) {
                "its copy is still filling"
            } else {
                "not an owner"
            };
            return self.conclude(cx, asker, Outcome::NotMine(why.into()));
        }
        if request.options.timeout_ms == 0 {
            return self.conclude(cx, asker, Outcome::NotMine("it came too late".into()));
        }
        let absent = request.items.iter().any(|i| i.basis == Basis::Absent);
        let strict = request.options.strict || absent;
        let w = request.options.w(&self.doc);
        let tally = WriteTally::new(&self.doc, p, &request.options, strict);
        let (targets, fallbacks) = self.targets(&self.doc, &request, strict);
        let mut best = tally.clone();
        best.ack(self.id);
        targets.iter().for_each(|t| best.ack(*t));
        let mut spare = fallbacks.iter();
        let down: Vec<_> = self.doc.writers(p).into_iter().filter(|o| !best.has(*o)).collect();
        for down in down {
            if let Some(fallback) = spare.next() {
                best.hint(*fallback, down);
            }
        }
        if !best.is_enough() {
            let (acks, hinted) = best.counts();
            let n = self.doc.n();
            let why = format!(
                "W={w} of {n} wanted, at best {acks} owners and {hinted} fallbacks can be reached"
            );
            let reply = PutReply::none(Verdict::Refused(why));
            return self.conclude(cx, asker, Outcome::Reply(Reply::Put(reply)));
        }
        let now = cx.now.mono_ms;
        let needed = self.doc.n() + 1 - self.doc.majority();
        let reading = ReadTally::new(&self.doc, p, needed);
        let put = Box::new(Put {
            asker,
            deadline_ms: now + request.options.timeout_ms,
            started_ms: now,
            request,
            doc: self.doc.clone(),
            phase: Phase::Reading(reading),
            strict,
            awaiting: BTreeMap::new(),
            fallbacks,
            tally,
            records: Vec::new(),
            items: Vec::new(),
            dots: Vec::new(),
            expected: Vec::new(),
            guessed: false,
            replied: false,
            hinted: BTreeSet::new(),
        });
        let op = self.new_op();
        self.read_before(cx, op, put);
    }

    /// Live owners other than this node, the first M with `-n M`, and live fallbacks in order.
    fn targets(
        &self,
        doc: &RingDoc,
        request: &PutRequest,
        strict: bool,
    ) -> (Vec<NodeId>, VecDeque<NodeId>) {
        let writers = doc.writers(request.partition);
        let mut targets: Vec<_> =
            writers.iter().filter(|o| **o != self.id && self.is_up(**o)).copied().collect();
        if planted::is(Bug::SkipOlderLayout) {
            let newer = doc.owners_in(&doc.layout, request.partition);
            targets.retain(|o| newer.contains(o));
        }
        if let Some(m) = request.options.n {
            targets.truncate(usize::from(m).saturating_sub(1));
        }
        let spare =
            |id: &NodeId| !writers.contains(id) && self.alive.contains(id) && !self.is_going(*id);
        let preference = doc.preference(request.partition);
        let fallbacks = preference.into_iter().filter(spare).collect();
        (targets, if strict { VecDeque::new() } else { fallbacks })
    }

    fn read_before(&mut self, cx: &mut Cx<'_>, op: u64, mut put: Box<Put>) {
        if !put.request.items.iter().any(|i| i.basis.reads_before()) {
            return self.mint_all(cx, op, put);
        }
        let keys = put.keys_after(0);
        let Phase::Reading(tally) = &mut put.phase else { return };
        let own: Vec<Answer> = keys.iter().map(|key| self.look(cx, key)).collect();
        tally.answer(self.id, own);
        let owners = self.doc.owners_in(self.doc.read_layout(), put.request.partition);
        let live: Vec<_> = owners.into_iter().filter(|o| *o != self.id && self.is_up(*o)).collect();
        put.awaiting = live.iter().map(|o| (*o, *o)).collect();
        for owner in live {
            self.send(cx, owner, op, Body::Read(keys.clone()));
        }
        self.read_step(cx, op, put);
    }

    /// Goes on when enough owners have told what they hold, or all that can.
    fn read_step(&mut self, cx: &mut Cx<'_>, op: u64, mut put: Box<Put>) {
        let Phase::Reading(tally) = &put.phase else { return };
        let late = cx.now.mono_ms >= put.started_ms + put.request.options.timeout_ms / 3;
        if tally.is_enough(put.request.items.len()) {
            return self.mint_all(cx, op, put);
        }
        if !put.awaiting.is_empty() && !late {
            self.tasks.insert(op, Task::Put(put));
            return;
        }
        if put.strict {
            let why =
                "too few owners with a full copy reported what they hold; nothing was written";
            let reply = PutReply::none(Verdict::Refused(why.into()));
            return self.conclude(cx, put.asker, Outcome::Reply(Reply::Put(reply)));
        }
        put.guessed = true;
        self.mint_all(cx, op, put);
    }

    /// Mints one dot per key, stages the records and hints, and waits for the commit.
    fn mint_all(&mut self, cx: &mut Cx<'_>, op: u64, mut put: Box<Put>) {
        let Phase::Reading(seen) = std::mem::replace(&mut put.phase, Phase::Committing) else {
            return;
        };
        put.awaiting.clear();
        let p = put.request.partition;
        let late =
            cx.now.mono_ms >= put.started_ms + mint_within_ms(put.request.options.timeout_ms);
        if late && !planted::is(Bug::LateMint) {
            let why = "it could not start within half of its timeout; nothing was written";
            let reply = PutReply::none(Verdict::Refused(why.into()));
            return self.conclude(cx, put.asker, Outcome::Reply(Reply::Put(reply)));
        }
        let one = planted::is(Bug::OneClock).then_some(cx.now.wall_ms);
        let agreed_ms = one.or(seen.agreed_ms(cx.now.wall_ms));
        let items = std::mem::take(&mut put.request.items);
        // First all that can fail, then the staging: a refusal must leave nothing behind.
        let mut grounds = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            match self.ground(cx, p, item, seen.merged(i, &item.key)) {
                Ok(ground) => grounds.push(ground),
                Err(why) => return self.conclude(cx, put.asker, Outcome::NotMine(why)),
            }
        }
        for (item, ground) in items.iter().zip(grounds) {
            let alone = !matches!(put.items.last(), Some(ItemReply::Written { .. }));
            if item.basis == Basis::Beside && alone {
                put.items.push(ItemReply::Absent);
                put.expected.push(VersionVector::new());
                continue;
            }
            let (reply, stored) = self.mint(cx, p, item, ground, agreed_ms);
            let exact = stored.as_ref().filter(|_| matches!(item.basis, Basis::Exact(_)));
            let record = exact.and_then(|s| s.record(&item.key).ok()).unwrap_or_default();
            put.expected.push(record.clock);
            put.records.extend(stored.map(|s| (item.key.clone(), s)));
            put.items.push(reply);
        }
        put.request.items = items;
        put.dots = put.items.iter().map(minted).collect();
        if put.records.is_empty() {
            return self.reply_put(cx, &put, Verdict::Done);
        }
        let down: Vec<_> = put.doc.writers(put.request.partition);
        let down = down.into_iter().filter(|o| !self.is_up(*o)).collect();
        self.hint_owners(cx, &mut put, down);
        let seq = self.stage.next();
        self.stage.then(seq, Then::Wake(op));
        if planted::is(Bug::SendBeforeCommit) {
            return self.replicate(cx, op, put);
        }
        self.tasks.insert(op, Task::Put(put));
    }

    /// Keeps a reference hint for each of these owners, unless it acknowledged or has one.
    pub(super) fn hint_owners(&mut self, cx: &Cx<'_>, put: &mut Put, owners: Vec<NodeId>) {
        let partition = put.request.partition;
        for target in owners {
            if target == self.id || put.tally.has(target) || !put.hinted.insert(target) {
                continue;
            }
            for (key, _) in &put.records {
                // A reference must not replace data kept for the same owner.
                let kept = self.stage.get(Some(target), partition, key).is_some()
                    || self.kept(cx, target, partition, key).is_ok_and(|k| k.is_some());
                if !kept {
                    let hint = Hint { target, partition, key: key.clone(), stored: None };
                    self.stage.push(Op::Hint(hint));
                }
            }
        }
    }

    /// Sends the records to the owners, and for owners that are down to fallbacks.
    fn replicate(&mut self, cx: &mut Cx<'_>, op: u64, mut put: Box<Put>) {
        put.phase = Phase::Replicating;
        put.tally.ack(self.id);
        let (targets, _) = self.targets(&put.doc, &put.request, put.strict);
        for target in &targets {
            put.awaiting.insert(*target, *target);
            let body = put.replicate(cx, None);
            self.send(cx, *target, op, body);
        }
        let down: Vec<_> = put
            .doc
            .writers(put.request.partition)
            .into_iter()
            .filter(|o| !self.is_up(*o))
            .collect();
        for owner in down {
            self.fall_back(cx, op, &mut put, owner);
        }
        self.put_step(cx, op, put);
    }

    /// Asks the next fallback to keep the records for an owner.
    fn fall_back(&mut self, cx: &mut Cx<'_>, op: u64, put: &mut Put, owner: NodeId) {
        if let Some(fallback) = put.fallbacks.pop_front() {
            put.awaiting.insert(fallback, owner);
            let body = put.replicate(cx, Some(owner));
            self.send(cx, fallback, op, body);
        }
    }

    /// Replies when enough have it; ends when all have answered.
    fn put_step(&mut self, cx: &mut Cx<'_>, op: u64, mut put: Box<Put>) {
        let late = cx.now.mono_ms >= put.deadline_ms;
        let all = put.awaiting.is_empty();
        super::change::follow(&mut put, &self.doc);
        let enough = put.tally.is_enough();
        let confirms = put.request.items.iter().any(|i| i.basis.reads_after());
        let confirms = confirms && !planted::is(Bug::AbsentReadsOnce);
        if enough && confirms && !put.replied && (all || !put.request.options.patient) {
            return self.confirm(cx, put);
        }
        if !put.replied && (all || late || enough && !put.request.options.patient) {
            let verdict = if enough {
                Verdict::Done
            } else {
                let (acks, hinted) = put.tally.counts();
                Verdict::Unknown(format!("{acks} owners and {hinted} fallbacks acknowledged"))
            };
            put.replied = true;
            self.reply_put(cx, &put, verdict);
        }
        if all || late {
            let lacking = put.doc.writers(put.request.partition);
            return self.hint_owners(cx, &mut put, lacking);
        }
        self.tasks.insert(op, Task::Put(put));
    }

    pub(super) fn reply_put(&mut self, cx: &mut Cx<'_>, put: &Put, verdict: Verdict) {
        let (acks, hinted) = put.tally.counts();
        let items = put.items.clone();
        let n = self.doc.n();
        let reply = PutReply { verdict, items, acks, hinted, n, guessed: put.guessed };
        self.conclude(cx, put.asker, Outcome::Reply(Reply::Put(reply)));
    }

    pub(super) fn on_put(&mut self, cx: &mut Cx<'_>, op: u64, mut put: Box<Put>, wake: Wake) {
        let wake = match wake {
            Wake::Said(from, Body::Answers(answers)) => {
                let asked = put.request.items.len();
                return self.hear_copies(cx, op, put, (from, answers, asked));
            }
            Wake::Said(from, Body::Copies { answers, asked, wall_ms }) => {
                if let Phase::Reading(tally) | Phase::Confirming(tally) = &mut put.phase {
                    tally.note_clock(wall_ms);
                }
                return self.hear_copies(cx, op, put, (from, answers, asked as usize));
            }
            wake => wake,
        };
        match (&put.phase, wake) {
            // Whoever asked has given it up or soon will, and nothing of it is anywhere.
            (_, Wake::Lost { node, .. }) if put.is_abandoned_by(node) => return,
            (Phase::Committing, Wake::Committed(true)) => return self.replicate(cx, op, put),
            (Phase::Committing, Wake::Committed(false)) => {
                // Nothing of it is anywhere, so another owner may try.
                let why = "its disk or quota is full; nothing was written".to_string();
                return self.conclude(cx, put.asker, Outcome::NotMine(why));
            }
            (Phase::Replicating, Wake::Said(from, Body::Stored { .. })) => {
                if let Some(target) = put.awaiting.remove(&from) {
                    if target == from { put.tally.ack(from) } else { put.tally.hint(from, target) }
                }
            }
            (Phase::Replicating, Wake::Said(from, Body::NotStored(_) | Body::Chosen(_))) => {
                if let Some(target) = put.awaiting.remove(&from) {
                    self.fall_back(cx, op, &mut put, target);
                }
            }
            (Phase::Replicating, Wake::Lost { node, .. }) => {
                if let Some(target) = put.awaiting.remove(&node) {
                    self.fall_back(cx, op, &mut put, target);
                }
            }
            (Phase::Reading(_) | Phase::Confirming(_), Wake::Lost { node, .. }) => {
                put.awaiting.remove(&node);
            }
            (Phase::Replicating, Wake::Tick) => self.late_owners(cx, op, &mut put),
            (Phase::Reading(_) | Phase::Confirming(_), Wake::Said(from, _)) => {
                put.awaiting.remove(&from);
            }
            _ => {}
        }
        self.step_put(cx, op, put);
    }

    /// Takes what an owner says it holds, and asks it for the rest if that was not all.
    fn hear_copies(
        &mut self,
        cx: &mut Cx<'_>,
        op: u64,
        mut put: Box<Put>,
        (from, answers, asked): (NodeId, Vec<Answer>, usize),
    ) {
        let all = put.request.items.len();
        let (Phase::Reading(tally) | Phase::Confirming(tally)) = &mut put.phase else {
            return self.step_put(cx, op, put);
        };
        let had = tally.answered_for(from);
        // An answer to another question than the last is one that came twice.
        if asked == all - had {
            let keys = put.request.items[had..].iter().map(|i| &i.key);
            let answers: Vec<_> = keys.zip(answers).map(|(key, a)| a.proven(key)).collect();
            let answered = had + answers.len();
            let rest = !answers.is_empty() && answered < all;
            tally.answer_more(from, answers);
            if rest {
                let keys = put.keys_after(answered);
                self.send(cx, from, op, Body::Read(keys));
            } else {
                put.awaiting.remove(&from);
            }
        }
        self.step_put(cx, op, put);
    }

    fn step_put(&mut self, cx: &mut Cx<'_>, op: u64, put: Box<Put>) {
        match put.phase {
            Phase::Reading(_) => self.read_step(cx, op, put),
            Phase::Committing => drop(self.tasks.insert(op, Task::Put(put))),
            Phase::Replicating => self.put_step(cx, op, put),
            Phase::Confirming(_) => self.confirm_step(cx, op, put),
        }
    }

    /// Half the time is gone: fallbacks stand in for owners that have not answered.
    fn late_owners(&mut self, cx: &mut Cx<'_>, op: u64, put: &mut Put) {
        let half = put.started_ms + put.request.options.timeout_ms / 2;
        if cx.now.mono_ms < half || put.tally.is_enough() {
            return;
        }
        let stood_in: BTreeSet<_> =
            put.awaiting.iter().filter(|(f, t)| f != t).map(|(_, t)| *t).collect();
        let late: Vec<_> = put
            .awaiting
            .keys()
            .filter(|o| put.awaiting[o] == **o && !stood_in.contains(o))
            .copied()
            .collect();
        for owner in late {
            self.fall_back(cx, op, put, owner);
        }
    }
}
