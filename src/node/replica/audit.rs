//! Whether this node's copies hold what they were told to: nothing is called full unread.
//!
//! ```text
//! opened ----first vote, mint, page, pass---> audit: keys and terms against the digest
//!    as promised    -> it votes
//!    anything else  -> every byte is read: bad keys are struck, what is missing beside them is a loss
//!    unreadable     -> mended as far as can be; a loss, whatever is found then
//! loss   -> new actor, filling, a row in the file  --passes with enough full owners--> gone
//! strike -> staged … durable: only a pass that begins after that proves the partition
//! ```
//!
//! A loss is told (`status`, `verify`, `repair`) until it is healed or an operator accepts it. What a
//! failed batch was to strike is struck by the next. Caveat: one audit reads a partition as a whole;
//! a served node does a slice of partitions per tick.

use super::Replica;
use crate::error::Error;
use crate::key::{KEY_BYTES_MAX, Key, Partition};
use crate::node::audits::{CorruptKey, losses};
use crate::node::commit_queue::OnCommit;
use crate::node::event::Note;
use crate::node::flow::Ctx;
use crate::planted::{self, Bug};
use crate::store::verify::{Bad, PartitionVerdict, audit, verify};
use crate::store::{Loss, Op};

impl Replica {
    /// Whether this node's copy votes and mints: full, and read to its end since opening.
    pub(in crate::node) fn votes(&mut self, cx: &mut Ctx<'_>, p: Partition) -> bool {
        self.is_full(p) && self.audit(cx, p)
    }

    /// Compares a partition's digest with its keys and terms, once since opening. `false` when it
    /// does not match; then the partition is no longer full, or is as soon as its digest is mended.
    pub(in crate::node) fn audit(&mut self, cx: &mut Ctx<'_>, p: Partition) -> bool {
        if self.audits.is_known(p) || planted::is(Bug::SkipAudit) {
            return !self.audits.is_doubtful(p);
        }
        match audit(cx.store, p) {
            Ok(verdict) if verdict.is_good() => drop(self.audits.done.insert(p)),
            Ok(_) => drop(self.prove(cx, p)),
            Err(error) => self.cannot_read(cx, p, &error),
        }
        !self.audits.is_doubtful(p)
    }

    /// Audits partitions until so many records are read that it is somebody else's turn. Whether all
    /// are done.
    pub(in crate::node) fn audit_some(
        &mut self,
        cx: &mut Ctx<'_>,
        partitions: &[Partition],
    ) -> bool {
        let mut left = self.audits.slice.unwrap_or(u64::MAX);
        for p in partitions {
            if self.audits.is_known(*p) {
                continue;
            }
            if left == 0 {
                return false;
            }
            let records = cx.store.sum(*p).map_or(0, |sum| sum.count);
            left = left.saturating_sub(records.saturating_add(1));
            self.audit(cx, *p);
        }
        true
    }

    /// What was read of a partition did not match: whatever was found before counts no more.
    pub(in crate::node) fn audit_anew(&mut self, cx: &mut Ctx<'_>, p: Partition) {
        self.audits.done.remove(&p);
        self.audit(cx, p);
    }

    /// Reads a partition that is about to be called full: what it holds must match its digest now.
    pub(in crate::node) fn audit_again(&mut self, cx: &mut Ctx<'_>, p: Partition) -> bool {
        if !self.is_audited(p) {
            self.audit(cx, p);
        }
        self.is_audited(p) && !self.audits.broken.contains(&p) && !self.audits.is_striking(p)
    }

    /// Whether a partition was read to its end since opening, and matched.
    pub(in crate::node) fn is_audited(&self, p: Partition) -> bool {
        self.audits.done.contains(&p)
    }

    /// A served node reads its keys by and by, before anybody needs to know.
    pub(in crate::node) fn audit_tick(&mut self, cx: &mut Ctx<'_>) {
        if self.audits.slice.is_some() && !self.identity.is_waiting() {
            let owned = self.doc.owned(self.id);
            self.audit_some(cx, &owned);
        }
    }

    /// Reads a whole partition; what is damaged is listed, what is missing kept in mind.
    fn prove(&mut self, cx: &mut Ctx<'_>, p: Partition) -> PartitionVerdict {
        match verify(cx.store, p) {
            Ok(verdict) => {
                self.audits.done.insert(p);
                self.audits.broken.remove(&p);
                self.take_verdict(cx, p, &verdict);
                verdict
            }
            Err(error) => {
                self.cannot_read(cx, p, &error);
                let bad = vec![Bad { key: Vec::new(), why: error.to_string() }];
                PartitionVerdict { bad, ..PartitionVerdict::default() }
            }
        }
    }

    fn take_verdict(&mut self, cx: &mut Ctx<'_>, p: Partition, verdict: &PartitionVerdict) {
        if planted::is(Bug::UnreadableIsAbsent) && verdict.lost.is_none() {
            return;
        }
        if let Some(loss) = verdict.lost.filter(|_| !planted::is(Bug::LossForgotten)) {
            self.lose(cx, p, &format!("{} records of it are lost", loss.records()));
            if self.read_only {
                self.audits.lost.insert(p, loss);
            }
        }
        if verdict.lost.is_some() || verdict.bad.is_empty() && !verdict.digest_matches() {
            self.strike(p, None);
        }
        for bad in &verdict.bad {
            self.mark_corrupt(cx, p, &bad.key);
        }
    }

    /// The table itself is damaged: it is mended as far as it can be, and then read again.
    pub(in crate::node) fn cannot_read(&mut self, cx: &mut Ctx<'_>, p: Partition, error: &Error) {
        if self.audits.broken.insert(p) {
            self.lose(cx, p, &format!("it cannot be read: {error}"));
            if matches!(error.root(), Error::Corrupt(_)) && cx.store.structure().is_ok() {
                self.keep_in_mind(p);
                self.strike(p, None);
            }
        }
    }

    /// Writes could not see what the partition held: though all that it was told to hold is found
    /// later, it is a loss of nobody knows what. What the strike finds missing is added to it.
    fn keep_in_mind(&mut self, p: Partition) {
        if !self.read_only && !self.audits.has_lost(p) {
            let unknown = Loss::default().to_bytes().to_vec();
            let seq = self.queue.push(Op::Meta(Loss::row(p), Some(unknown)));
            // A strike may be under way already that knows nothing of it.
            self.queue.then(seq, OnCommit::Struck(p, None));
        }
    }

    /// Stages what takes a damaged record, or a digest that does not match, out of the partition.
    fn strike(&mut self, p: Partition, key: Option<Vec<u8>>) {
        let strike = (p, key.clone());
        self.audits.owed.remove(&strike);
        if self.read_only || !self.audits.striking.insert(strike) {
            return;
        }
        self.audits.touch(p);
        let seq = self.queue.push(match &key {
            Some(key) => Op::Bad { partition: p, key: key.clone() },
            None => Op::Rebuild(p),
        });
        self.queue.then(seq, OnCommit::Struck(p, key));
    }

    /// A strike is durable: what the store found missing is known only now.
    pub(in crate::node) fn struck(&mut self, cx: &mut Ctx<'_>, p: Partition, key: Option<Vec<u8>>) {
        let whole = key.is_none();
        self.audits.striking.remove(&(p, key));
        self.audits.touch(p);
        self.identity.passes.remove(&p);
        if whole && self.audits.broken.remove(&p) {
            // Mending went through the whole table: nothing that was read before counts.
            self.audits.done.clear();
        }
        match losses(cx.store) {
            Err(error) => self.cannot_read(cx, p, &error),
            Ok(lost) => {
                let before = std::mem::replace(&mut self.audits.lost, lost);
                let new = |(p, loss): &(&Partition, &Loss)| before.get(p) != Some(loss);
                let new: Vec<_> = self.audits.lost.iter().filter(new).map(|l| *l.0).collect();
                for p in
                    new.into_iter().filter(|p| !self.identity.is_marked(*p)).collect::<Vec<_>>()
                {
                    self.lose(cx, p, "records of it are lost");
                }
            }
        }
    }

    /// The batch of a strike failed: it is owed.
    pub(in crate::node) fn unstruck(&mut self, p: Partition, key: Option<Vec<u8>>) {
        let strike = (p, key);
        self.audits.striking.remove(&strike);
        self.audits.owed.insert(strike);
    }

    /// Strikes that are owed are tried again. A record that was written anew meanwhile is good, and
    /// only the digest may still be that of the one before.
    pub(in crate::node) fn strike_again(&mut self, cx: &mut Ctx<'_>) {
        if self.audits.owed.is_empty() || !self.disk.may_try(cx.now.mono_ms) {
            return;
        }
        for (p, key) in std::mem::take(&mut self.audits.owed) {
            let good = |key: &Vec<u8>| {
                Key::new(key.clone()).is_ok_and(|key| cx.store.get(p, &key).is_ok())
            };
            let key = key.filter(|key| !good(key));
            if key.is_none() && self.audits.broken.contains(&p) {
                self.keep_in_mind(p);
            }
            self.strike(p, key);
        }
    }

    /// The file is damaged beyond mending: it is read as far as it goes, and struck no more.
    pub(in crate::node) fn beyond_mending(&mut self, cx: &mut Ctx<'_>, error: &Error) {
        for (p, _) in std::mem::take(&mut self.audits.owed) {
            self.audits.broken.insert(p);
        }
        cx.note(Note::Lost(error.to_string()));
    }

    /// A record's checksum fails: the key is listed, and healed by the votes of enough owners.
    pub(in crate::node) fn mark_corrupt(&mut self, cx: &mut Ctx<'_>, p: Partition, key: &[u8]) {
        // In a damaged page a key may be of no length a key has.
        if planted::is(Bug::UnreadableIsAbsent) || !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return;
        }
        let place = (p, key.to_vec());
        self.audits.voted.remove(&place);
        if self.identity.corrupt.insert(place) {
            if !planted::is(Bug::KeepActorAfterRot) {
                self.identity.renew();
            }
            cx.note(Note::Unreadable(p, key.to_vec()));
        }
        self.strike(p, Some(key.to_vec()));
    }

    /// Whether a bad key stands where no key of that partition can: it is nobody's, and hides whose.
    pub(in crate::node) fn is_stray(&self, (p, key): &CorruptKey) -> bool {
        Key::new(key.clone()).is_ok_and(|key| self.q().partition(&key) != *p)
    }

    /// Reads a whole partition and lists what is damaged; with the first, the file's own structure.
    pub(in crate::node) fn verify(&mut self, cx: &mut Ctx<'_>, p: Partition) -> PartitionVerdict {
        let mut verdict = self.prove(cx, p);
        if let Err(error) = if p == Partition(0) { cx.store.structure() } else { Ok(()) } {
            verdict.bad.push(Bad { key: Vec::new(), why: error.to_string() });
        }
        verdict
    }
}
