//! Reading and merging this node's own copies of records.
//!
//! ```text
//! look    what it durably holds of a key, and whether that is a vote
//! local   what the next write builds on: staged if there is something staged, else durable
//! absorb  merge what came into what is here, and stage what changes
//! page    a page of a partition, checksums proven
//! ```
//!
//! What is answered to others is durable. A copy whose checksum fails is listed as corrupt and is no
//! vote, and so is an absence that the place of the key does not prove.

use std::ops::ControlFlow;

use super::Replica;
use crate::clock::Dot;
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::node::commit_queue::BatchSeq;
use crate::node::event::Note;
use crate::node::flow::{Ctx, PAGE_BYTES};
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::Answer;
use crate::record::{Record, Stored};
use crate::store::Op;

/// What absorbing records came to.
pub(in crate::node) struct Absorbed {
    /// The batch to wait for; `None` when all of it is durable already.
    pub(in crate::node) seq: Option<BatchSeq>,
    /// Whether all copies concerned are full here.
    pub(in crate::node) full: bool,
}

impl Replica {
    /// What this node durably holds of a key, and whether that is a vote.
    pub(in crate::node) fn look(&mut self, cx: &mut Ctx<'_>, key: &Key) -> Answer {
        let p = self.q().partition(key);
        let votes = self.votes(cx, p);
        let Ok(stored) = self.durable(cx, p, key) else { return Answer::Unreadable };
        if votes && self.is_full(p) && !self.identity.is_corrupt(p, key) {
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
    pub(in crate::node) fn is_absent(&mut self, cx: &mut Ctx<'_>, p: Partition, key: &Key) -> bool {
        let proven = cx.store.prove_absent(p, key).is_ok();
        if !proven {
            self.audit_anew(cx, p);
        }
        proven
    }

    /// The durable copy; a failed checksum is listed as bad and stays an error.
    pub(in crate::node) fn durable(
        &mut self,
        cx: &mut Ctx<'_>,
        p: Partition,
        key: &Key,
    ) -> Result<Option<Stored>> {
        match cx.store.get(p, key) {
            Err(Error::Corrupt(_)) if planted::is(Bug::UnreadableIsAbsent) => Ok(None),
            Err(error @ Error::Corrupt(_)) => {
                self.mark_corrupt(cx, p, key.as_bytes());
                Err(error)
            }
            other => other,
        }
    }

    /// This node's own staged copy.
    pub(in crate::node) fn staged(&self, p: Partition, key: &Key) -> Option<Stored> {
        let staged = self.queue.get(None, p, key).map(|s| s.1.clone());
        staged.filter(|_| !planted::is(Bug::ReadPastStaged))
    }

    /// The copy that the next write builds on: staged if there is one, else durable.
    pub(in crate::node) fn local(
        &mut self,
        cx: &mut Ctx<'_>,
        p: Partition,
        key: &Key,
    ) -> Result<(Option<Stored>, Option<BatchSeq>)> {
        if !planted::is(Bug::ReadPastStaged)
            && let Some((seq, stored)) = self.queue.get(None, p, key)
        {
            return Ok((Some(stored.clone()), Some(*seq)));
        }
        Ok((self.durable(cx, p, key)?, None))
    }

    /// Merges records into this node's own copies and stages what changes.
    pub(in crate::node) fn absorb(
        &mut self,
        cx: &mut Ctx<'_>,
        records: &[(Key, Stored)],
    ) -> Result<Absorbed> {
        let mut absorbed = Absorbed { seq: None, full: true };
        for (key, stored) in records {
            let p = self.q().partition(key);
            let seq = self.absorb_one(cx, p, key, stored)?;
            // Asked afterwards: what came may show that this copy has lost something.
            absorbed.full &= self.is_full(p);
            absorbed.seq = absorbed.seq.max(seq);
        }
        Ok(absorbed)
    }

    fn absorb_one(
        &mut self,
        cx: &mut Ctx<'_>,
        p: Partition,
        key: &Key,
        stored: &Stored,
    ) -> Result<Option<BatchSeq>> {
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
        if local.as_ref().is_some_and(|l| l.hash() == stored.hash()) {
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
            debug_assert!(
                merged.clock.descends(&known.clock) && merged.clock.descends(&incoming.clock),
                "a merge knows all that either side knew"
            );
            let mut merged = merged;
            let drops = planted::is(Bug::MergeDropsExpired);
            merged.siblings.retain(|s| !drops || s.1.is_live(cx.now.wall_ms));
            Stored::new(key, &merged)
        };
        if local.is_some_and(|l| l.hash() == next.hash()) {
            return Ok(staged);
        }
        Ok(Some(self.queue.push(Op::Record { partition: p, key: key.clone(), stored: next })))
    }

    pub(in crate::node) fn report(&mut self, cx: &mut Ctx<'_>, key: &Key, clashes: &[Dot]) {
        if !clashes.is_empty() {
            cx.note(Note::Clash(key.clone()));
        }
    }

    /// A page of a partition, checksums proven.
    pub(in crate::node) fn page(
        &mut self,
        cx: &mut Ctx<'_>,
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
            self.mark_corrupt(cx, p, key.as_bytes());
        }
        self.add_corrupt(p, after, end, &mut records);
        let full = visited.is_ok() && votes && self.is_full(p);
        Body::Paged { records, end, full }
    }

    /// Bad keys were struck, and are no vote that there is nothing: they stand in the page unreadable.
    fn add_corrupt(
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
        let bad = self.identity.corrupt.range((p, Vec::new())..).take_while(|bad| bad.0 == p);
        let keys = bad.filter_map(|bad| Key::new(bad.1.clone()).ok()).filter(within);
        for key in keys.collect::<Vec<_>>() {
            let at = records.partition_point(|r| r.0 < key);
            match records.get_mut(at) {
                Some(there) if there.0 == key => there.1 = None,
                _ => records.insert(at, (key, None)),
            }
        }
    }
}
