//! What a node answers to its peers, from durable state only.
//!
//! ```text
//! Read   -> Vote(copy) of a full owner, Extra(copy) of a filling owner or a fallback, Unreadable
//! Write  -> merge into the local copy, commit, Stored; a hint is kept under its target's name
//! Sums   -> the arcs whose sums differ here;   List -> keys and terms of some leaves
//! ```
//!
//! It keeps nothing between two messages. Caveat: a write that changes nothing is acknowledged at
//! once, unless what it equals is itself not yet durable.

use std::ops::ControlFlow;

use super::{Action, Asker, Cx, Node, Note, RepairRequest, Then};
use crate::clock::Dot;
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::planted::{self, Bug};
use crate::protocol::{Body, Scope};
use crate::quorum::Answer;
use crate::record::{Record, Stored};
use crate::ring::NodeId;
use crate::store::{Hint, Op};

/// A fallback keeps acknowledged hints up to this many bytes; then it refuses more at the door.
const HINT_BYTES_MAX: u64 = 1 << 30;
/// Bytes of records in one page or fetch, beyond the first record.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// What absorbing records came to.
pub(super) struct Absorbed {
    /// The batch to wait for; `None` when all of it is durable already.
    pub(super) seq: Option<u64>,
    /// Whether all copies concerned are full here.
    pub(super) full: bool,
}

impl Node {
    pub(super) fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        version: u64,
        op: u64,
        body: Body,
    ) {
        match body {
            Body::Put(request) => self.start_put(cx, Asker::Peer(from, op), request),
            Body::Read(keys) => {
                let (answers, asked) = (self.look_all(cx, &keys), keys.len() as u32);
                let wall_ms = cx.now.wall_ms;
                self.send(cx, from, op, Body::Copies { answers, asked, wall_ms });
            }
            Body::Write { records, hint_for } | Body::Replicate { records, hint_for, .. } => {
                self.on_write(cx, from, op, &records, hint_for);
            }
            Body::Page { partition, after, limit } => {
                let reply = self.page(cx, partition, after.as_ref(), limit);
                self.send(cx, from, op, reply);
            }
            Body::Fullness(scope) => {
                let filling = self.not_proven(cx, from, &scope);
                self.send(cx, from, op, Body::Filling(filling));
            }
            Body::Sums { scope, arcs } => {
                if let Some(reply) = self.differing(cx, from, version, &scope, &arcs) {
                    self.send(cx, from, op, reply);
                }
            }
            Body::List(leaves) => {
                let reply = match self.list(cx, &leaves) {
                    Ok(listing) => Body::Listing(listing),
                    Err(error) => Body::NotStored(error.to_string()),
                };
                self.send(cx, from, op, reply);
            }
            Body::Prepare(ballot) => self.on_prepare(cx, from, version, op, ballot),
            Body::Accept(ballot, doc) => self.on_accept(cx, from, version, op, ballot, *doc),
            Body::Barrier => self.on_barrier(cx, from, version, op),
            // Asked under another document than ours: whoever asks hears which, or tells us.
            Body::Fill | Body::Deliver if version < self.doc.version => {
                self.send_ring(cx, from, op);
            }
            Body::Fill | Body::Deliver if version > self.doc.version => {}
            Body::Fill => {
                self.refill();
                self.repair(cx, Asker::Peer(from, op), RepairRequest::default());
            }
            Body::Deliver => self.deliver(cx, Asker::Peer(from, op), false),
            _ => {}
        }
    }

    /// The answers for the first keys, until their bytes fill a message.
    fn look_all(&mut self, cx: &mut Cx<'_>, keys: &[Key]) -> Vec<Answer> {
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

    /// What this node durably holds of a key, and whether that is a vote.
    pub(super) fn look(&mut self, cx: &mut Cx<'_>, key: &Key) -> Answer {
        let p = self.q().partition(key);
        let votes = self.votes(cx, p);
        let Ok(stored) = self.durable(cx, p, key) else { return Answer::Unreadable };
        if votes && self.is_full(p) && !self.identity.is_bad(p, key) {
            if stored.is_none() && !self.is_absent(cx, p, key) {
                return Answer::Unreadable;
            }
            return Answer::Vote(stored);
        }
        let hints = cx.store.hints_of(p, key).unwrap_or_default();
        let copies: Vec<Record> = hints
            .into_iter()
            .filter_map(|hint| hint.stored)
            .chain(stored)
            .filter_map(|s| s.record(key).ok())
            .collect();
        let merged = copies.iter().fold(Record::default(), |m, copy| m.merge(copy).0);
        Answer::Extra((!merged.is_absent()).then(|| Stored::new(key, &merged)))
    }

    /// Whether a key that was not found is absent, as far as its place tells. If not, the partition is
    /// read anew.
    pub(super) fn is_absent(&mut self, cx: &mut Cx<'_>, p: Partition, key: &Key) -> bool {
        let proven = cx.store.prove_absent(p, key).is_ok();
        if !proven {
            self.audit_anew(cx, p);
        }
        proven
    }

    /// The durable copy; a failed checksum is listed as bad and stays an error.
    pub(super) fn durable(
        &mut self,
        cx: &mut Cx<'_>,
        p: Partition,
        key: &Key,
    ) -> Result<Option<Stored>> {
        match cx.store.get(p, key) {
            Err(Error::Corrupt(_)) if planted::is(Bug::UnreadableIsAbsent) => Ok(None),
            Err(error @ Error::Corrupt(_)) => {
                self.mark_bad(cx, p, key.as_bytes());
                Err(error)
            }
            other => other,
        }
    }

    /// This node's own staged copy.
    pub(super) fn staged(&self, p: Partition, key: &Key) -> Option<Stored> {
        let staged = self.stage.get(None, p, key).map(|s| s.1.clone());
        staged.filter(|_| !planted::is(Bug::ReadPastStaged))
    }

    /// The copy that the next write builds on: staged if there is one, else durable.
    pub(super) fn local(
        &mut self,
        cx: &mut Cx<'_>,
        p: Partition,
        key: &Key,
    ) -> Result<(Option<Stored>, Option<u64>)> {
        if !planted::is(Bug::ReadPastStaged)
            && let Some((seq, stored)) = self.stage.get(None, p, key)
        {
            return Ok((Some(stored.clone()), Some(*seq)));
        }
        Ok((self.durable(cx, p, key)?, None))
    }

    /// Merges records into this node's own copies and stages what changes.
    pub(super) fn absorb(
        &mut self,
        cx: &mut Cx<'_>,
        records: &[(Key, Stored)],
    ) -> Result<Absorbed> {
        let mut absorbed = Absorbed { seq: None, full: true };
        for (key, stored) in records {
            let p = self.q().partition(key);
            absorbed.full &= self.is_full(p);
            let seq = self.absorb_one(cx, p, key, stored)?;
            absorbed.seq = absorbed.seq.max(seq);
        }
        Ok(absorbed)
    }

    fn absorb_one(
        &mut self,
        cx: &mut Cx<'_>,
        p: Partition,
        key: &Key,
        stored: &Stored,
    ) -> Result<Option<u64>> {
        let incoming = stored.record(key)?;
        self.identity.note_seen(&incoming.clock);
        if incoming.is_tombstone() && planted::is(Bug::TombstoneIgnored) {
            return Ok(None);
        }
        let (local, staged) = match self.local(cx, p, key) {
            Ok(local) => local,
            // Listed as bad just now: whatever comes is better than what was there.
            Err(Error::Corrupt(_)) => (None, None),
            Err(error) => return Err(error),
        };
        if local.as_ref().is_some_and(|l| l.term() == stored.term()) {
            return Ok(staged);
        }
        let known = local.as_ref().map(|l| l.record(key)).transpose()?.unwrap_or_default();
        let actor = self.identity.actor;
        if incoming.clock.get(actor) > known.clock.get(actor) {
            self.lose(cx, p, "a peer holds a later write of this node than it does itself");
        }
        let next = if known.is_absent() || planted::is(Bug::LastWriteWins) {
            stored.clone()
        } else {
            let (merged, clashes) = known.merge(&incoming);
            self.report(cx, key, &clashes);
            let mut merged = merged;
            let drops = planted::is(Bug::MergeDropsExpired);
            merged.siblings.retain(|s| !drops || s.1.is_live(cx.now.wall_ms));
            Stored::new(key, &merged)
        };
        if local.is_some_and(|l| l.term() == next.term()) {
            return Ok(staged);
        }
        Ok(Some(self.stage.push(Op::Record { partition: p, key: key.clone(), stored: next })))
    }

    pub(super) fn report(&mut self, cx: &mut Cx<'_>, key: &Key, clashes: &[Dot]) {
        if !clashes.is_empty() {
            cx.out.push(Action::Note(Note::Clash(key.clone())));
        }
    }

    fn on_write(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        op: u64,
        records: &[(Key, Stored)],
        hint_for: Option<NodeId>,
    ) {
        let hint_for = hint_for.filter(|target| *target != self.id);
        let absorbed = match hint_for {
            None => self.absorb(cx, records),
            Some(target) => self.keep(cx, target, records),
        };
        let early = planted::is(Bug::AckEarly);
        let absorbed = absorbed.map(|a| Absorbed { seq: a.seq.filter(|_| !early), ..a });
        let refusal = |why: String| Body::NotStored(why);
        match absorbed {
            Err(error) => self.send(cx, from, op, refusal(error.to_string())),
            Ok(Absorbed { seq: None, full }) => {
                let (actor, commit) = (self.identity.actor, cx.store.commit_number());
                self.send(cx, from, op, Body::Stored { full, actor, commit });
            }
            Ok(Absorbed { seq: Some(seq), full }) => {
                let failed = refusal("its commit failed".into());
                // The number of its commit is put in when it is durable.
                let actor = self.identity.actor;
                let stored = Body::Stored { full, actor, commit: 0 };
                let then = Then::Send(from, op, Box::new(stored), Box::new(failed));
                self.stage.then(seq, then);
            }
        }
    }

    /// Keeps records for another node; refuses at the door when it keeps too much already.
    fn keep(
        &mut self,
        cx: &mut Cx<'_>,
        target: NodeId,
        records: &[(Key, Stored)],
    ) -> Result<Absorbed> {
        if planted::is(Bug::DropHint) {
            return Ok(Absorbed { seq: None, full: false });
        }
        if self.is_going(self.id) || self.resting {
            // It has perhaps said already that it keeps none.
            return Err(Error::Refused("it is leaving, or about to stop".into()));
        }
        if cx.store.hint_stats()?.bytes > planted::hint_bytes(HINT_BYTES_MAX) {
            return Err(Error::Refused("it keeps too many hints already".into()));
        }
        let mut seq = None;
        for (key, stored) in records {
            let incoming = stored.record(key)?;
            self.identity.note_seen(&incoming.clock);
            let p = self.q().partition(key);
            let before = match self.stage.get(Some(target), p, key) {
                Some((at, staged)) => Some((staged.clone(), Some(*at))),
                None => self.kept(cx, target, p, key)?.map(|stored| (stored, None)),
            };
            let next = match &before {
                _ if planted::is(Bug::HintReplaced) => stored.clone(),
                None => stored.clone(),
                Some((kept, _)) => Stored::new(key, &kept.record(key)?.merge(&incoming).0),
            };
            if let Some((kept, at)) = before
                && kept.term() == next.term()
            {
                seq = seq.max(at);
                continue;
            }
            let hint = Hint { target, partition: p, key: key.clone(), stored: Some(next) };
            seq = Some(self.stage.push(Op::Hint(hint)));
        }
        Ok(Absorbed { seq, full: false })
    }

    pub(super) fn kept(
        &self,
        cx: &Cx<'_>,
        target: NodeId,
        p: Partition,
        key: &Key,
    ) -> Result<Option<Stored>> {
        let hints = cx.store.hints_of(p, key)?;
        Ok(hints.into_iter().find(|h| h.target == target).and_then(|h| h.stored))
    }

    /// A page of a partition, checksums proven.
    pub(super) fn page(
        &mut self,
        cx: &mut Cx<'_>,
        p: Partition,
        after: Option<&Key>,
        limit: u32,
    ) -> Body {
        let votes = self.votes(cx, p);
        let mut records: Vec<(Key, Option<Stored>)> = Vec::new();
        let mut bytes = 0;
        let mut end = true;
        let visited = cx.store.visit(p, after.map(Key::as_bytes), &mut |key, stored| {
            if records.len() >= limit as usize || bytes > PAGE_BYTES {
                end = false;
                return ControlFlow::Break(());
            }
            bytes += stored.len();
            if let Ok(name) = Key::new(key) {
                records.push((name, Stored::proven(key, stored).ok()));
            }
            ControlFlow::Continue(())
        });
        for (key, _) in records.iter().filter(|r| r.1.is_none()) {
            self.mark_bad(cx, p, key.as_bytes());
        }
        self.add_bad(p, after, end, &mut records);
        let full = visited.is_ok() && votes && self.is_full(p);
        Body::Paged { records, end, full }
    }

    /// Bad keys were struck, and are no vote that there is nothing: they stand in the page unreadable.
    fn add_bad(
        &self,
        p: Partition,
        after: Option<&Key>,
        end: bool,
        records: &mut Vec<(Key, Option<Stored>)>,
    ) {
        let last = records.last().map(|r| r.0.clone());
        let within = |key: &Key| {
            after.is_none_or(|after| key > after) && (end || last.as_ref().is_some_and(|l| key < l))
        };
        let bad = self.identity.bad.range((p, Vec::new())..).take_while(|bad| bad.0 == p);
        let keys = bad.filter_map(|bad| Key::new(bad.1.clone()).ok()).filter(within);
        for key in keys.collect::<Vec<_>>() {
            let at = records.partition_point(|r| r.0 < key);
            match records.get_mut(at) {
                Some(there) if there.0 == key => there.1 = None,
                _ => records.insert(at, (key, None)),
            }
        }
    }

    /// The partitions of a scope in which this node's copy proves nothing to a peer: filling, lossy,
    /// with a bad key, or not read since opening.
    fn not_proven(&mut self, cx: &mut Cx<'_>, peer: NodeId, scope: &Scope) -> Vec<Partition> {
        let shared = self.scope(peer, scope);
        self.audit_some(cx, &shared);
        let open =
            |p: &Partition| !self.is_full(*p) || self.identity.has_bad(*p) || !self.is_audited(*p);
        shared.into_iter().filter(open).collect()
    }
}
