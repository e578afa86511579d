//! Who a node is, what it may have lost, and whether it may mint.
//!
//! The rule that keeps acknowledged writes: whoever mints `(a,c)` for a key holds every earlier dot
//! of `a` for that key. So a node that *may* have lost a record takes a new actor before it mints
//! again, and the partitions concerned are *filling*: stored to, but no vote and no minting, until
//! one complete sync pass with enough full owners.
//!
//! ```text
//! opened, suspect (file behind its sidecar) -> new actor, every partition filling
//! a witness has met this file further on (`witness`)                         -> the same
//! a peer's record is ahead of mine for my own actor -> new actor, that partition filling
//! a checksum fails -> new actor, that key bad until healed
//! ```
//!
//! The counter, the actor and what is filling are written in the batch that first depends on them.

use std::collections::{BTreeMap, BTreeSet};

use super::boot::Boot;
use super::witness::Witness;
use crate::clock::{Actor, VersionVector};
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::planted::{self, Bug};
use crate::ring::{NodeId, RingDoc};
use crate::store::{Op, Store, Table};

/// The identity rows in memory, and what has to be written of them.
pub(super) struct NodeIdentity {
    pub(super) id: NodeId,
    pub(super) actor: Actor,
    counter: u64,
    seed: u128,
    drawn: u64,
    /// Actors that this node gave up since it was opened, with their last counters.
    retired: BTreeMap<Actor, u64>,
    seen: BTreeMap<Actor, u64>,
    seen_dirty: BTreeSet<Actor>,
    filling: Vec<u8>,
    pub(super) corrupt: BTreeSet<(Partition, Vec<u8>)>,
    pub(super) dirty: bool,
    /// Full owners with whom a pass was completed, of partitions that are filling or hold bad keys.
    pub(super) passes: BTreeMap<Partition, BTreeSet<NodeId>>,
    /// Partitions that lost something since the end of their filling was staged.
    pub(super) again: BTreeSet<Partition>,
    /// It dropped a partition under this actor: it must not mint there under it again.
    pub(super) dropped: bool,
    pub(super) witness: Witness,
    /// The version of the change for which gained partitions were last filled from scratch. It is
    /// durable with what it began: another driver may end the change on what was answered before.
    pub(super) refilled: u64,
    /// The acceptor may have forgotten promises.
    pub(super) abstaining: bool,
}

impl NodeIdentity {
    pub(super) fn load(store: &dyn Store, doc: &RingDoc, boot: &Boot) -> Result<Self> {
        let word = |name: &str| -> Result<u64> {
            let row = store.row(Table::Meta, name)?;
            let bytes = row.and_then(|r| <[u8; 8]>::try_from(r).ok());
            bytes.map(u64::from_le_bytes).ok_or_else(|| {
                Error::Corrupt(format!("The node's file lacks its {name}; it was not changed."))
            })
        };
        let bytes = doc.q.count() as usize / 8;
        let filling = store.row(Table::Meta, "filling")?.filter(|f| f.len() == bytes);
        let numbers = |prefix: &str| -> Result<Vec<(u64, u64)>> {
            let rows = store.rows(Table::Meta, prefix)?.into_iter();
            let row = |(name, value): (String, Vec<u8>)| {
                let id = u64::from_str_radix(&name[prefix.len()..], 16).ok()?;
                Some((id, u64::from_le_bytes(value.try_into().ok()?)))
            };
            Ok(rows.filter_map(row).collect())
        };
        let (actor, counter) = (Actor(word("actor")?), word("counter")?);
        Ok(Self {
            id: NodeId(word("node")?),
            actor,
            counter,
            seed: boot.seed,
            drawn: 0,
            retired: BTreeMap::new(),
            seen: numbers("seen:")?.into_iter().map(|(a, c)| (Actor(a), c)).collect(),
            seen_dirty: BTreeSet::new(),
            filling: filling.unwrap_or_else(|| vec![0xff; bytes]),
            corrupt: store.bad()?.into_iter().collect(),
            dirty: false,
            passes: BTreeMap::new(),
            again: BTreeSet::new(),
            dropped: store.row(Table::Meta, "dropped")?.is_some(),
            witness: Witness::load(store, actor, counter, boot)?,
            refilled: store
                .row(Table::Meta, "refilled")?
                .and_then(|row| <[u8; 8]>::try_from(row).ok())
                .map_or(0, u64::from_le_bytes),
            abstaining: store.row(Table::Meta, "muted")?.is_some(),
        })
    }

    /// Operation numbers begin anywhere, so that a late reply to a former life meets nothing.
    pub(super) fn first_op(&self) -> u64 {
        (self.seed >> 64) as u64 & (u64::MAX >> 1)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.witness.is_waiting()
    }

    pub(super) fn is_filling(&self, p: Partition) -> bool {
        !planted::is(Bug::FillingVotes) && self.is_marked(p)
    }

    pub(super) fn is_marked(&self, p: Partition) -> bool {
        self.filling[usize::from(p.0) / 8] & (1 << (p.0 % 8)) != 0
    }

    pub(super) fn is_corrupt(&self, p: Partition, key: &Key) -> bool {
        !self.corrupt.is_empty() && self.corrupt.contains(&(p, key.as_bytes().to_vec()))
    }

    pub(super) fn has_corrupt(&self, p: Partition) -> bool {
        self.corrupt.range((p, Vec::new())..).next().is_some_and(|b| b.0 == p)
    }

    pub(super) fn corrupt_count(&self) -> usize {
        self.corrupt.len()
    }

    /// The highest counter met of an actor, our own included.
    pub(super) fn seen_of(&self, actor: Actor) -> u64 {
        let own = if actor == self.actor { self.counter } else { 0 };
        self.seen.get(&actor).copied().unwrap_or(0).max(own)
    }

    /// How far this node itself has minted under an actor since it was opened: what it learns of that
    /// actor from others does not count.
    pub(super) fn minted_by(&self, actor: Actor) -> u64 {
        let now = if actor == self.actor { self.counter } else { 0 };
        self.retired.get(&actor).copied().unwrap_or(0).max(now)
    }

    pub(super) fn note_seen(&mut self, clock: &VersionVector) {
        for &(actor, counter) in clock.entries() {
            if actor != self.actor && self.seen.get(&actor).is_none_or(|c| *c < counter) {
                self.seen.insert(actor, counter);
                self.seen_dirty.insert(actor);
            }
        }
    }

    /// What was lost is told by a life above the one that it was met in.
    pub(super) fn begin_life(&mut self, above: u64) {
        self.witness.begin_life(above, self.seed);
    }

    /// The acceptor may have forgotten promises: it has no vote until the others have promised it more.
    pub(super) fn abstain(&mut self) {
        self.abstaining = true;
        self.dirty = true;
    }

    /// This node may have lost anything: as after a rollback, a copy or a restore. Its new life is
    /// above the one that it was met in, so that every witness takes it for what it now is.
    pub(super) fn lose_all(&mut self, met_epoch: u64, owned: Vec<Partition>) {
        self.begin_life(met_epoch);
        self.renew();
        owned.into_iter().for_each(|p| self.fill(p));
        self.abstaining = true;
    }

    /// The next dot. It must be staged in the batch that is now gathering.
    pub(super) fn mint(&mut self) -> crate::clock::Dot {
        self.counter += 1;
        debug_assert!(self.counter > 0, "no dot has the counter 0, and none is minted twice");
        self.dirty = true;
        crate::clock::Dot { actor: self.actor, counter: self.counter }
    }

    /// Takes a new actor: the present one may have lost a record.
    pub(super) fn renew(&mut self) {
        // One that was drawn in this run and has minted nothing has nothing to lose.
        if planted::is(Bug::ReuseDot) || self.drawn > 0 && self.counter == 0 {
            return;
        }
        self.drawn += 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&self.drawn.to_le_bytes());
        let hash = hasher.finalize();
        let bytes = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        self.retired.insert(self.actor, self.counter);
        self.seen.insert(self.actor, self.counter);
        self.seen_dirty.insert(self.actor);
        self.actor = Actor(u64::from_le_bytes(*bytes));
        self.counter = 0;
        self.dropped = false;
        self.dirty = true;
    }

    pub(super) fn fill(&mut self, p: Partition) {
        self.filling[usize::from(p.0) / 8] |= 1 << (p.0 % 8);
        self.passes.remove(&p);
        self.again.insert(p);
        self.dirty = true;
    }

    /// These partitions are durably full.
    pub(super) fn filled(&mut self, partitions: &[Partition]) {
        for p in partitions {
            if self.again.contains(p) && !planted::is(Bug::FullThoughLost) {
                self.dirty = true;
                continue;
            }
            self.filling[usize::from(p.0) / 8] &= !(1 << (p.0 % 8));
            self.passes.remove(p);
        }
    }

    /// Everything is to be written again: the batch that held it failed.
    pub(super) fn restage(&mut self) {
        if planted::is(Bug::NoRestage) {
            return;
        }
        self.dirty = true;
        self.seen_dirty = self.seen.keys().copied().collect();
        self.witness.restage();
    }

    /// Whether something of it is worth a commit of its own now.
    pub(super) fn is_changed(&mut self, now_ms: u64) -> bool {
        self.dirty || !self.seen_dirty.is_empty() || self.witness.is_due(now_ms)
    }

    /// The ops that make the identity durable, if it changed.
    pub(super) fn ops(&mut self, full: &[Partition]) -> Vec<Op> {
        let mut ops = Vec::new();
        let meta = |name: String, value: Vec<u8>| Op::Meta(name, Some(value));
        for actor in std::mem::take(&mut self.seen_dirty) {
            ops.push(meta(format!("seen:{actor}"), self.seen[&actor].to_le_bytes().to_vec()));
        }
        ops.extend(self.witness.ops());
        if std::mem::take(&mut self.dirty) || !full.is_empty() {
            let mut filling = self.filling.clone();
            for p in full.iter().filter(|p| !self.again.contains(p)) {
                filling[usize::from(p.0) / 8] &= !(1 << (p.0 % 8));
            }
            ops.push(meta("actor".into(), self.actor.0.to_le_bytes().to_vec()));
            ops.push(meta("counter".into(), self.counter.to_le_bytes().to_vec()));
            ops.push(meta("filling".into(), filling));
            if self.refilled > 0 {
                ops.push(meta("refilled".into(), self.refilled.to_le_bytes().to_vec()));
            }
            ops.push(Op::Meta("dropped".into(), self.dropped.then(Vec::new)));
            ops.push(Op::Meta("muted".into(), self.abstaining.then(Vec::new)));
        }
        ops
    }
}
