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

use crate::key::Key;
use crate::node::commit_queue::OnCommit;
use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, OlderWork, Outcome, Wake, mint_within_ms};
use crate::node::op::minted::MintedItems;
use crate::node::op::route;
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{
    Answer, ConfirmNext, Prior, PriorNext, Progress, PutReply, PutRequest, Reach, ReadTally,
    TimeLeft, Verdict, WriteNext, WriteTally, Written, mark_lost_races,
};
use crate::ring::{ChangeStep, NodeId, RingDoc};
use crate::store::{Hint, Op};

/// A write being coordinated here.
pub(in crate::node) struct Put {
    request: PutRequest,
    doc: Arc<RingDoc>,
    phase: PutPhase,
    /// Who has yet to answer the messages of this phase; a fallback maps to its target.
    awaiting: BTreeMap<NodeId, NodeId>,
    fallbacks: VecDeque<NodeId>,
    tally: WriteTally,
    minted: MintedItems,
    prior: Prior,
    hinted: BTreeSet<NodeId>,
    started_ms: u64,
    deadline_ms: u64,
}

/// How far a write is, and what only that part of it needs.
enum PutPhase {
    /// Owners are asked what they hold.
    Reading(ReadTally),
    /// Its records are staged here.
    Committing,
    /// They are durable here, and sent.
    Replicating,
    /// Enough have them; owners are asked again who else wrote.
    Confirming(ReadTally),
}

impl Put {
    /// Coordinates a write here, or says that it cannot before anything is applied.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        request: PutRequest,
    ) -> Flow<Box<Self>> {
        if let Some(why) = route::refuses(node, &request) {
            return Flow::Done(Outcome::NotMine(why.into()));
        }
        let (targets, fallbacks) = route::targets(node, &node.doc, &request);
        let owners = targets.into_iter().chain([node.id]).collect();
        let reach = Reach { owners, fallbacks: fallbacks.iter().copied().collect() };
        let tally = match WriteTally::begin(&node.doc, &request, &reach) {
            Ok(tally) => tally,
            Err(verdict) => return Flow::reply(Reply::Put(PutReply::none(verdict))),
        };
        let now = cx.now.mono_ms;
        let put = Box::new(Self {
            deadline_ms: now + request.options.timeout_ms,
            started_ms: now,
            phase: PutPhase::Reading(ReadTally::prior(&node.doc, request.partition)),
            request,
            doc: node.doc.clone(),
            awaiting: BTreeMap::new(),
            fallbacks,
            tally,
            minted: MintedItems::default(),
            prior: Prior::Known,
            hinted: BTreeSet::new(),
        });
        put.read_before(node, cx)
    }

    /// The version of the ring document it acts under.
    #[cfg(feature = "planted")]
    pub(in crate::node) fn version(&self) -> u64 {
        self.doc.version
    }

    /// Whether it began under a document older than this version.
    pub(in crate::node) fn older_work(&self, version: u64) -> OlderWork {
        match self.doc.version < version {
            true => OlderWork::UnderWay,
            false => OlderWork::None,
        }
    }

    /// Whether whoever asked has an answer.
    pub(in crate::node) fn is_answered(&self) -> bool {
        self.tally.is_replied()
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        let wake = match wake {
            Wake::Said(from, Body::Answers(answers)) => {
                let asked = self.request.items.len();
                return self.hear_copies(node, cx, (from, answers, asked));
            }
            Wake::Said(from, Body::Copies { answers, asked, wall_ms }) => {
                if let PutPhase::Reading(tally) | PutPhase::Confirming(tally) = &mut self.phase {
                    tally.note_clock(wall_ms);
                }
                return self.hear_copies(node, cx, (from, answers, asked as usize));
            }
            wake => wake,
        };
        match (&self.phase, wake) {
            // Whoever asked has given it up or soon will, and nothing of it is anywhere.
            (PutPhase::Reading(_), Wake::Lost(id) | Wake::Unsent(id)) if cx.origin.is_peer(id) => {
                return Flow::Over;
            }
            (PutPhase::Committing, Wake::Committed) => return self.replicate(node, cx),
            (PutPhase::Committing, Wake::CommitFailed) => {
                // Nothing of it is anywhere, so another owner may try.
                let why = "its disk or quota is full; nothing was written".to_string();
                return Flow::Done(Outcome::NotMine(why));
            }
            (PutPhase::Replicating, Wake::Said(from, Body::Stored { .. })) => {
                if let Some(target) = self.awaiting.remove(&from) {
                    if target == from {
                        self.tally.ack(from);
                    } else {
                        self.tally.hint(from, target);
                    }
                }
            }
            (PutPhase::Replicating, Wake::Said(from, Body::NotStored(_) | Body::Chosen(_)))
            | (PutPhase::Replicating, Wake::Lost(from) | Wake::Unsent(from)) => {
                if let Some(target) = self.awaiting.remove(&from) {
                    self.fall_back(node, cx, target);
                }
            }
            (PutPhase::Replicating, Wake::Tick) => self.late_owners(node, cx),
            (
                PutPhase::Reading(_) | PutPhase::Confirming(_),
                Wake::Said(from, _) | Wake::Lost(from) | Wake::Unsent(from),
            ) => {
                self.awaiting.remove(&from);
            }
            _ => {}
        }
        self.go_on(node, cx)
    }

    fn go_on(self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        match self.phase {
            PutPhase::Reading(_) => self.after_reading(node, cx),
            PutPhase::Committing => Flow::Wait(self),
            PutPhase::Replicating => self.after_replicating(node, cx),
            PutPhase::Confirming(_) => self.after_confirming(node, cx),
        }
    }

    fn keys_after(&self, answered: usize) -> Vec<Key> {
        self.request.items.iter().skip(answered).map(|i| i.key.clone()).collect()
    }

    /// Asks the owners that read by the present layout what they hold, this node first.
    fn ask_owners(
        &mut self,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        mut tally: ReadTally,
    ) -> ReadTally {
        let keys = self.keys_after(0);
        tally.answer(node.id, keys.iter().map(|key| node.look(cx, key)).collect());
        let owners = node.doc.owners_in(node.doc.read_layout(), self.request.partition);
        let live: Vec<_> = owners.into_iter().filter(|o| *o != node.id && node.is_up(*o)).collect();
        self.awaiting = live.iter().map(|o| (*o, *o)).collect();
        for owner in live {
            node.ask(cx, owner, Body::Read(keys.clone()));
        }
        tally
    }

    fn read_before(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let PutPhase::Reading(tally) = std::mem::replace(&mut self.phase, PutPhase::Committing)
        else {
            return Flow::Wait(self);
        };
        let reads = self.request.reads_before();
        let tally = if reads { self.ask_owners(node, cx, tally) } else { tally };
        self.phase = PutPhase::Reading(tally);
        self.after_reading(node, cx)
    }

    /// Goes on when enough owners have told what they hold, or all that can.
    fn after_reading(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let PutPhase::Reading(tally) = &self.phase else { return Flow::Wait(self) };
        let timeout_ms = self.request.options.timeout_ms;
        let patience_ms = self.started_ms + timeout_ms / 3;
        let mint_ms = self.started_ms + mint_within_ms(timeout_ms);
        let progress = self.progress(TimeLeft::at(cx.now.mono_ms, patience_ms, mint_ms));
        self.prior = match tally.next_prior(&self.request, progress) {
            PriorNext::Wait => return Flow::Wait(self),
            PriorNext::Refuse(verdict) => {
                return Flow::reply(Reply::Put(PutReply::none(verdict)));
            }
            PriorNext::Mint => Prior::Known,
            PriorNext::Guess => Prior::Guessed,
        };
        match std::mem::replace(&mut self.phase, PutPhase::Committing) {
            PutPhase::Reading(seen) => self.mint_all(node, cx, &seen),
            _ => Flow::Wait(self),
        }
    }

    fn progress(&self, time: TimeLeft) -> Progress {
        Progress { outstanding: self.awaiting.len(), time }
    }

    /// Mints one dot per key, stages the records and hints, and waits for the commit.
    fn mint_all(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        seen: &ReadTally,
    ) -> Flow<Box<Self>> {
        self.awaiting.clear();
        match MintedItems::of(&self.request, node, cx, seen) {
            Ok(minted) => self.minted = minted,
            Err(why) => return Flow::Done(Outcome::NotMine(why)),
        }
        if self.minted.records.is_empty() {
            return Flow::reply(Reply::Put(self.report(node, Verdict::Done)));
        }
        let down = self.down(node);
        self.hint_owners(node, cx, down);
        node.queue.then(node.queue.next(), OnCommit::Wake(cx.op));
        if planted::is(Bug::SendBeforeCommit) {
            return self.replicate(node, cx);
        }
        Flow::Wait(self)
    }

    /// Keeps a reference hint for each of these owners, unless it acknowledged or has one.
    fn hint_owners(&mut self, node: &mut Replica, cx: &Ctx<'_>, owners: Vec<NodeId>) {
        let partition = self.request.partition;
        for target in owners {
            if target == node.id || self.tally.has(target) || !self.hinted.insert(target) {
                continue;
            }
            for (key, _) in &self.minted.records {
                // A reference must not replace data kept for the same owner.
                let kept = node.queue.get(Some(target), partition, key).is_some()
                    || node.kept(cx, target, partition, key).is_ok_and(|k| k.is_some());
                if !kept {
                    let hint = Hint { target, partition, key: key.clone(), stored: None };
                    node.queue.push(Op::Hint(hint));
                }
            }
        }
    }

    /// The owners that are taken to be down.
    fn down(&self, node: &Replica) -> Vec<NodeId> {
        let owners = self.doc.writers(self.request.partition);
        owners.into_iter().filter(|o| !node.is_up(*o)).collect()
    }

    /// Sends the records to the owners, and for owners that are down to fallbacks.
    fn replicate(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        self.phase = PutPhase::Replicating;
        self.tally.ack(node.id);
        let (targets, _) = route::targets(node, &self.doc, &self.request);
        for target in targets {
            self.send_records(node, cx, target, target);
        }
        for owner in self.down(node) {
            self.fall_back(node, cx, owner);
        }
        self.after_replicating(node, cx)
    }

    /// Asks the next fallback to keep the records for an owner.
    fn fall_back(&mut self, node: &mut Replica, cx: &mut Ctx<'_>, owner: NodeId) {
        if let Some(fallback) = self.fallbacks.pop_front() {
            self.send_records(node, cx, fallback, owner);
        }
    }

    fn send_records(&mut self, node: &mut Replica, cx: &mut Ctx<'_>, to: NodeId, target: NodeId) {
        self.awaiting.insert(to, target);
        let (records, commit) = (self.minted.records.clone(), cx.store.commit_number());
        let hint_for = (to != target).then_some(target);
        node.ask(cx, to, Body::Replicate { records, hint_for, commit });
    }

    /// Replies when enough have it; ends when all have answered.
    fn after_replicating(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
    ) -> Flow<Box<Self>> {
        self.follow(&node.doc);
        let patience_ms = self.started_ms + self.request.options.timeout_ms / 3 * 2;
        let time = TimeLeft::at(cx.now.mono_ms, patience_ms, self.deadline_ms);
        let progress = self.progress(time);
        let (verdict, ends) = match self.tally.next(&self.request, progress) {
            WriteNext::Wait => return Flow::Wait(self),
            WriteNext::Confirm => return self.confirm(node, cx),
            WriteNext::Reply(verdict) => (Some(verdict), false),
            WriteNext::ReplyAndEnd(verdict) => (Some(verdict), true),
            WriteNext::End => (None, true),
        };
        if let Some(verdict) = verdict {
            cx.tell(cx.origin, Outcome::Reply(Reply::Put(self.report(node, verdict))));
        }
        if !ends {
            return Flow::Wait(self);
        }
        let lacking = self.doc.writers(self.request.partition);
        self.hint_owners(node, cx, lacking);
        Flow::Over
    }

    /// While the last step of a change is taken: before that step is chosen every member reads by the
    /// newer layout, and the owners of the one before may be gone.
    fn follow(&mut self, now: &RingDoc) {
        let last = (self.doc.step, now.step) == (ChangeStep::ReadNew, ChangeStep::Settled);
        if last && now.version == self.doc.version + 1 {
            self.tally.forget_old(&self.doc, &self.request.options);
        }
    }

    fn report(&self, node: &Replica, verdict: Verdict) -> PutReply {
        let (acks, hinted) = self.tally.counts();
        let (items, n) = (self.minted.replies.clone(), node.doc.n());
        PutReply { verdict, items, acks, hinted, n, guessed: self.prior == Prior::Guessed }
    }

    /// Takes what an owner says it holds, and asks it for the rest if that was not all.
    fn hear_copies(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        (from, answers, asked): (NodeId, Vec<Answer>, usize),
    ) -> Flow<Box<Self>> {
        let all = self.request.items.len();
        let (PutPhase::Reading(tally) | PutPhase::Confirming(tally)) = &mut self.phase else {
            return self.go_on(node, cx);
        };
        let had = tally.answered_for(from);
        // An answer to another question than the last is one that came twice.
        if asked == all - had {
            let keys = self.request.items[had..].iter().map(|i| &i.key);
            let answers: Vec<_> = keys.zip(answers).map(|(key, a)| a.proven(key)).collect();
            let answered = had + answers.len();
            let rest = !answers.is_empty() && answered < all;
            tally.answer_more(from, answers);
            if rest {
                node.ask(cx, from, Body::Read(self.keys_after(answered)));
            } else {
                self.awaiting.remove(&from);
            }
        }
        self.go_on(node, cx)
    }

    /// Half the time is gone: fallbacks stand in for owners that have not answered.
    fn late_owners(&mut self, node: &mut Replica, cx: &mut Ctx<'_>) {
        let half = self.started_ms + self.request.options.timeout_ms / 2;
        if cx.now.mono_ms < half || self.tally.is_enough() {
            return;
        }
        let stood_in: BTreeSet<_> =
            self.awaiting.iter().filter(|(f, t)| f != t).map(|(_, t)| *t).collect();
        let late = |o: &&NodeId| self.awaiting[o] == **o && !stood_in.contains(o);
        for owner in self.awaiting.keys().filter(late).copied().collect::<Vec<_>>() {
            self.fall_back(node, cx, owner);
        }
    }

    /// Reads again, for only the one that finds itself alone has won.
    ///
    /// Under a new number: a late answer to the first reading says nothing of now.
    fn confirm(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        node.renumber(cx);
        let p = self.request.partition;
        let tally = ReadTally::asked(&node.doc, p, &self.request.options);
        let tally = self.ask_owners(node, cx, tally);
        self.phase = PutPhase::Confirming(tally);
        self.after_confirming(node, cx)
    }

    fn after_confirming(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
    ) -> Flow<Box<Self>> {
        let PutPhase::Confirming(tally) = &self.phase else { return Flow::Wait(self) };
        let time = TimeLeft::at(cx.now.mono_ms, self.deadline_ms, self.deadline_ms);
        let written = Written {
            request: &self.request,
            minted: &self.minted.items,
            prior: self.prior,
            wall_ms: cx.now.wall_ms,
        };
        let verdict = match tally.next_confirm(&written, self.progress(time)) {
            ConfirmNext::Wait => return Flow::Wait(self),
            ConfirmNext::End(verdict, outcomes) => {
                mark_lost_races(&mut self.minted.replies, &outcomes);
                verdict
            }
        };
        let reply = self.report(node, verdict);
        let lacking = self.doc.writers(self.request.partition);
        self.hint_owners(node, cx, lacking);
        Flow::reply(Reply::Put(reply))
    }
}
