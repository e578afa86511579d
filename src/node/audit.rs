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

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Asker, Cx, Node, Note, Outcome, Reply, Then};
use crate::error::Error;
use crate::key::{KEY_BYTES_MAX, Key, Partition};
use crate::planted::{self, Bug};
use crate::ring::NodeId;
use crate::store::verify::{Bad, Verdict, audit, verify};
use crate::store::{Loss, Op, Store, Table};

/// A key as it stands in the table `bad`.
pub(super) type BadKey = (Partition, Vec<u8>);

/// What is wrong with a partition: a key, or all that does not match its digest.
type Strike = (Partition, Option<Vec<u8>>);

/// See the module.
#[derive(Default)]
pub(super) struct Audits {
    /// Compared with their digests since opening.
    done: BTreeSet<Partition>,
    /// Cannot be read to the end.
    broken: BTreeSet<Partition>,
    /// What is missing, as the file says.
    lost: BTreeMap<Partition, Loss>,
    /// Strikes that are not durable yet: a key, or all that is wrong with a partition.
    striking: BTreeSet<Strike>,
    /// Strikes whose batch failed.
    owed: BTreeSet<Strike>,
    /// Raised by every loss and strike; each partition's last one.
    losses: u64,
    lost_at: BTreeMap<Partition, u64>,
    /// Full owners that have voted on a bad key since it was struck.
    pub(super) voted: BTreeMap<BadKey, BTreeSet<NodeId>>,
    /// Records audited at once; no bound when `None`.
    slice: Option<u64>,
}

impl Audits {
    /// What the file says of losses.
    pub(super) fn load(store: &dyn Store, slice: Option<u64>) -> Result<Self, Error> {
        Ok(Self { lost: losses(store)?, slice, ..Self::default() })
    }

    /// Where a pass begins.
    pub(super) fn now(&self) -> u64 {
        self.losses
    }

    /// Whether a pass that began then says something of the partition: nothing of it was lost or
    /// struck meanwhile, and nothing waits to be.
    pub(super) fn is_same_since(&self, p: Partition, began: u64) -> bool {
        let same = self.lost_at.get(&p).is_none_or(|at| *at <= began) && !self.is_striking(p);
        same || planted::is(Bug::OldPassProves)
    }

    pub(super) fn is_striking(&self, p: Partition) -> bool {
        let of = |strikes: &BTreeSet<Strike>| {
            strikes.range((p, None)..).next().is_some_and(|strike| strike.0 == p)
        };
        of(&self.striking) || of(&self.owed)
    }

    pub(super) fn are_striking(&self) -> bool {
        !self.striking.is_empty() || !self.owed.is_empty()
    }

    fn is_known(&self, p: Partition) -> bool {
        self.done.contains(&p) || self.broken.contains(&p)
    }

    pub(super) fn has_lost(&self, p: Partition) -> bool {
        self.lost.contains_key(&p)
    }

    pub(super) fn is_doubtful(&self, p: Partition) -> bool {
        self.has_lost(p) || self.broken.contains(&p)
    }

    /// Partitions that have lost something or cannot be read.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = Partition> {
        self.lost.keys().chain(&self.broken).copied()
    }

    fn touch(&mut self, p: Partition) {
        self.losses += 1;
        self.lost_at.insert(p, self.losses);
    }
}

/// The losses that a file has in mind.
fn losses(store: &dyn Store) -> Result<BTreeMap<Partition, Loss>, Error> {
    let rows = store.rows(Table::Meta, Loss::PREFIX)?;
    let read = |(name, bytes): (String, Vec<u8>)| {
        Some((Loss::partition(&name)?, Loss::from_bytes(&bytes).unwrap_or_default()))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

impl Node {
    /// Whether this node's copy votes and mints: full, and read to its end since opening.
    pub(super) fn votes(&mut self, cx: &mut Cx<'_>, p: Partition) -> bool {
        self.is_full(p) && self.audit(cx, p)
    }

    /// Compares a partition's digest with its keys and terms, once since opening. `false` when it
    /// does not match; then the partition is no longer full, or is as soon as its digest is mended.
    pub(super) fn audit(&mut self, cx: &mut Cx<'_>, p: Partition) -> bool {
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
    pub(super) fn audit_some(&mut self, cx: &mut Cx<'_>, partitions: &[Partition]) -> bool {
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
    pub(super) fn audit_anew(&mut self, cx: &mut Cx<'_>, p: Partition) {
        self.audits.done.remove(&p);
        self.audit(cx, p);
    }

    /// Reads a partition that is about to be called full: what it holds must match its digest now.
    pub(super) fn audit_again(&mut self, cx: &mut Cx<'_>, p: Partition) -> bool {
        if !self.is_audited(p) {
            self.audit(cx, p);
        }
        self.is_audited(p) && !self.audits.broken.contains(&p) && !self.audits.is_striking(p)
    }

    /// Whether a partition was read to its end since opening, and matched.
    pub(super) fn is_audited(&self, p: Partition) -> bool {
        self.audits.done.contains(&p)
    }

    /// A served node reads its keys by and by, before anybody needs to know.
    pub(super) fn audit_tick(&mut self, cx: &mut Cx<'_>) {
        if self.audits.slice.is_some() && !self.identity.is_waiting() {
            let owned = self.doc.owned(self.id);
            self.audit_some(cx, &owned);
        }
    }

    /// Reads a whole partition; what is damaged is listed, what is missing kept in mind.
    fn prove(&mut self, cx: &mut Cx<'_>, p: Partition) -> Verdict {
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
                Verdict { bad, ..Verdict::default() }
            }
        }
    }

    fn take_verdict(&mut self, cx: &mut Cx<'_>, p: Partition, verdict: &Verdict) {
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
            self.mark_bad(cx, p, &bad.key);
        }
    }

    /// The table itself is damaged: it is mended as far as it can be, and then read again.
    pub(super) fn cannot_read(&mut self, cx: &mut Cx<'_>, p: Partition, error: &Error) {
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
            let seq = self.stage.push(Op::Meta(Loss::row(p), Some(unknown)));
            // A strike may be under way already that knows nothing of it.
            self.stage.then(seq, Then::Struck(p, None));
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
        let seq = self.stage.push(match &key {
            Some(key) => Op::Bad { partition: p, key: key.clone() },
            None => Op::Rebuild(p),
        });
        self.stage.then(seq, Then::Struck(p, key));
    }

    /// A strike is durable: what the store found missing is known only now.
    pub(super) fn struck(&mut self, cx: &mut Cx<'_>, p: Partition, key: Option<Vec<u8>>) {
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
    pub(super) fn unstruck(&mut self, p: Partition, key: Option<Vec<u8>>) {
        let strike = (p, key);
        self.audits.striking.remove(&strike);
        self.audits.owed.insert(strike);
    }

    /// Strikes that are owed are tried again. A record that was written anew meanwhile is good, and
    /// only the digest may still be that of the one before.
    pub(super) fn strike_again(&mut self, cx: &mut Cx<'_>) {
        if self.audits.owed.is_empty() || !self.room.may_try(cx.now.mono_ms) {
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
    pub(super) fn beyond_mending(&mut self, cx: &mut Cx<'_>, error: &Error) {
        for (p, _) in std::mem::take(&mut self.audits.owed) {
            self.audits.broken.insert(p);
        }
        cx.out.push(Action::Note(Note::Lost(error.to_string())));
    }

    /// A record's checksum fails: the key is listed, and healed by the votes of enough owners.
    pub(super) fn mark_bad(&mut self, cx: &mut Cx<'_>, p: Partition, key: &[u8]) {
        // In a damaged page a key may be of no length a key has.
        if planted::is(Bug::UnreadableIsAbsent) || !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return;
        }
        let place = (p, key.to_vec());
        self.audits.voted.remove(&place);
        if self.identity.bad.insert(place) {
            if !planted::is(Bug::KeepActorAfterRot) {
                self.identity.renew();
            }
            cx.out.push(Action::Note(Note::Unreadable(p, key.to_vec())));
        }
        self.strike(p, Some(key.to_vec()));
    }

    /// Whether a bad key stands where no key of that partition can: it is nobody's, and hides whose.
    pub(super) fn is_stray(&self, (p, key): &BadKey) -> bool {
        Key::new(key.clone()).is_ok_and(|key| self.q().partition(&key) != *p)
    }

    /// Reads a whole partition and lists what is damaged.
    pub(super) fn verify(&mut self, cx: &mut Cx<'_>, asker: Asker, p: Partition) {
        let mut verdict = self.prove(cx, p);
        if let Err(error) = if p == Partition(0) { cx.store.structure() } else { Ok(()) } {
            verdict.bad.push(Bad { key: Vec::new(), why: error.to_string() });
        }
        self.conclude(cx, asker, Outcome::Reply(Reply::Verify(verdict)));
    }

    /// Says what is unsettled, after a look at what was not read yet.
    pub(super) fn unsettled_now(&mut self, cx: &mut Cx<'_>, asker: Asker) {
        let owned = self.doc.owned(self.id);
        self.audit_some(cx, &owned);
        self.tell_unsettled(cx, asker);
    }

    /// An operator gives up what this node cannot read of a key: its record, and hints that it keeps.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, asker: Asker, key: Key) {
        let place = (self.q().partition(&key), key.as_bytes().to_vec());
        if self.identity.bad.contains(&place) && !self.read_only {
            self.heal_keys(vec![place]);
        }
        self.drop_bad_hints(cx, asker, key);
    }

    /// Forgets damaged hints for a key.
    pub(super) fn drop_bad_hints(&mut self, cx: &mut Cx<'_>, asker: Asker, key: Key) {
        if self.read_only {
            return self.tell_unsettled(cx, asker);
        }
        self.stage.push(Op::DropBadHints(Some(key)));
        self.when_durable(asker);
    }

    /// An operator accepts that what is lost is lost: of a partition, or all, damaged hints too; and that
    /// what no other node owns is as it is.
    pub(super) fn accept_loss(&mut self, cx: &mut Cx<'_>, asker: Asker, only: Option<Partition>) {
        let wanted = |p: &Partition| only.is_none_or(|o| o == *p);
        let alone = |p: &Partition| self.identity.is_marked(*p) && self.doc.writers(*p).len() == 1;
        let alone = self.doc.owned(self.id).into_iter().filter(alone);
        let lost = self.audits.lost.keys().copied().chain(alone).filter(wanted);
        let lost: Vec<_> = lost.collect::<BTreeSet<_>>().into_iter().collect();
        let bad: Vec<_> = self.identity.bad.iter().filter(|b| wanted(&b.0)).cloned().collect();
        if self.read_only || self.audits.are_striking() {
            return self.tell_unsettled(cx, asker);
        }
        self.end_filling(lost);
        self.heal_keys(bad);
        if only.is_none() {
            self.stage.push(Op::DropBadHints(None));
        }
        self.when_durable(asker);
    }

    /// Answers with what is unsettled once all that is staged is durable.
    fn when_durable(&mut self, asker: Asker) {
        let seq = self.stage.next();
        self.stage.then(seq, Then::Unsettled(asker));
    }

    /// Stages the end of the filling of partitions, and of their losses.
    pub(super) fn end_filling(&mut self, full: Vec<Partition>) {
        for p in &full {
            self.identity.again.remove(p);
            if self.audits.has_lost(*p) {
                self.stage.push(Op::Meta(Loss::row(*p), None));
            }
        }
        let seq = self.stage.next();
        self.stage.then(seq, Then::Full(full));
    }

    /// Stages the end of bad keys.
    pub(super) fn heal_keys(&mut self, keys: Vec<BadKey>) {
        for (partition, key) in keys {
            let op = Op::Healed { partition, key: key.clone() };
            let seq = self.stage.push(op);
            self.stage.then(seq, Then::Healed(partition, key));
        }
    }

    /// Partitions are durably full; what their files had in mind is ended too.
    pub(super) fn filled(&mut self, partitions: &[Partition]) {
        for p in partitions.iter().filter(|p| !self.identity.again.contains(*p)) {
            self.audits.lost.remove(p);
        }
        self.identity.filled(partitions);
    }

    /// A bad key is durably healed, unless it was struck once more meanwhile.
    pub(super) fn healed(&mut self, p: Partition, key: Vec<u8>) {
        if !self.audits.striking.contains(&(p, Some(key.clone()))) {
            self.audits.voted.remove(&(p, key.clone()));
            self.identity.bad.remove(&(p, key));
        }
    }
}
