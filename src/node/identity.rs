//! Who a node is, what it may have lost, and whether it may mint.
//!
//! The rule that keeps acknowledged writes: whoever mints `(a,c)` for a key holds every earlier dot
//! of `a` for that key. So a node that *may* have lost a record takes a new actor before it mints
//! again, and the partitions concerned are *filling*: stored to, but no vote and no minting, until
//! one complete sync pass with enough full owners.
//!
//! ```text
//! opened, suspect (file behind its sidecar) -> new actor, every partition filling
//! opened, fine -> Hello to all: has anybody seen a counter of my actor above mine? -> the same
//! a peer's record is ahead of mine for my own actor -> new actor, that partition filling
//! a checksum fails -> new actor, that key bad until healed
//! ```
//!
//! Caveat: a file restored together with its sidecar, with every witness down, is not noticed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Cx, Node, Note, Then};
use crate::clock::{Actor, VersionVector};
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::ring::{NodeId, RingDoc};
use crate::store::{Batch, Op, Store, Table};

/// How long a node waits for witnesses that do not answer, in ms.
const WITNESS_WAIT_MS: u64 = 2_000;

/// The format of a node's file; a higher one is refused, an older one opens.
const FORMAT: u32 = 1;

/// How a driver opens a node.
#[derive(Clone, Debug, Default)]
pub struct Boot {
    /// 128 random bits, fresh at every opening: actors and operation numbers are drawn from them.
    pub seed: u128,
    /// Why the file may be older than what the node has done, if it may.
    pub suspect: Option<String>,
    /// Never ask for a commit; what is found out holds for this run only.
    pub read_only: bool,
    /// How many other members must have been heard before the node acts.
    pub witnesses: usize,
}

/// The rows that make an empty store the node `id` of the ring `doc`.
#[must_use]
pub fn genesis(id: NodeId, actor: Actor, doc: &RingDoc, born_full: bool) -> Batch {
    let q = doc.q.count();
    let filling = vec![if born_full { 0 } else { 0xff }; q as usize / 8];
    let meta = |name: &str, value: Vec<u8>| Op::Meta(name.into(), Some(value));
    Batch {
        ops: vec![
            meta("format", FORMAT.to_le_bytes().to_vec()),
            meta("q", q.to_le_bytes().to_vec()),
            meta("node", id.0.to_le_bytes().to_vec()),
            meta("actor", actor.0.to_le_bytes().to_vec()),
            meta("counter", 0_u64.to_le_bytes().to_vec()),
            meta("filling", filling),
            Op::Ring("doc".into(), Some(doc.encode())),
        ],
    }
}

/// The identity rows in memory, and what has to be written of them.
pub(super) struct Identity {
    pub(super) id: NodeId,
    pub(super) actor: Actor,
    counter: u64,
    seed: u128,
    drawn: u64,
    seen: BTreeMap<Actor, u64>,
    seen_dirty: BTreeSet<Actor>,
    /// The highest commit number each foreign actor has acknowledged to this node.
    commits: BTreeMap<Actor, u64>,
    commits_dirty: BTreeSet<Actor>,
    filling: Vec<u8>,
    pub(super) bad: BTreeSet<(Partition, Vec<u8>)>,
    pub(super) dirty: bool,
    /// Partitions whose leaves were compared with their records since opening.
    pub(super) audited: BTreeSet<Partition>,
    /// Full owners with whom a pass was completed, of partitions that are filling or hold bad keys.
    pub(super) passes: BTreeMap<Partition, BTreeSet<NodeId>>,
    /// Partitions that lost something since the end of their filling was staged.
    pub(super) again: BTreeSet<Partition>,
    /// It dropped a partition under this actor: it must not mint there under it again.
    pub(super) dropped: bool,
    heard: BTreeSet<NodeId>,
    witnesses: usize,
    /// The version of the change for which gained partitions were last filled from scratch.
    pub(super) refilled: u64,
    waiting: bool,
    greeted_ms: Option<u64>,
    hello_ms: Option<u64>,
    /// The acceptor may have forgotten promises.
    pub(super) muted: bool,
}

impl Identity {
    pub(super) fn load(store: &dyn Store, doc: &RingDoc, boot: &Boot) -> Result<Self> {
        let word = |name: &str| -> Result<u64> {
            let row = store.row(Table::Meta, name)?;
            let bytes = row.and_then(|r| <[u8; 8]>::try_from(r).ok());
            bytes.map(u64::from_le_bytes).ok_or_else(|| {
                Error::Corrupt(format!("The node's file lacks its {name}; it was not changed."))
            })
        };
        let format = store.row(Table::Meta, "format")?.and_then(|f| <[u8; 4]>::try_from(f).ok());
        let format = format.map_or(FORMAT, u32::from_le_bytes);
        if format > FORMAT {
            return Err(Error::Usage(format!(
                "The node's file has format {format}; this build reads {FORMAT}. It was not changed."
            )));
        }
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
        Ok(Self {
            id: NodeId(word("node")?),
            actor: Actor(word("actor")?),
            counter: word("counter")?,
            seed: boot.seed,
            drawn: 0,
            seen: numbers("seen:")?.into_iter().map(|(a, c)| (Actor(a), c)).collect(),
            seen_dirty: BTreeSet::new(),
            commits: numbers("met:")?.into_iter().map(|(a, c)| (Actor(a), c)).collect(),
            commits_dirty: BTreeSet::new(),
            filling: filling.unwrap_or_else(|| vec![0xff; bytes]),
            bad: store.bad()?.into_iter().collect(),
            dirty: false,
            audited: BTreeSet::new(),
            passes: BTreeMap::new(),
            again: BTreeSet::new(),
            dropped: store.row(Table::Meta, "dropped")?.is_some(),
            heard: BTreeSet::new(),
            witnesses: boot.witnesses,
            refilled: 0,
            waiting: true,
            greeted_ms: None,
            hello_ms: None,
            muted: store.row(Table::Meta, "muted")?.is_some(),
        })
    }

    /// Operation numbers begin anywhere, so that a late reply to a former life meets nothing.
    pub(super) fn first_op(&self) -> u64 {
        (self.seed >> 64) as u64 & (u64::MAX >> 1)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// The next greeting is due at once.
    pub(super) fn greet_again(&mut self) {
        self.hello_ms = None;
    }

    pub(super) fn is_filling(&self, p: Partition) -> bool {
        !planted::is(Bug::FillingVotes) && self.is_marked(p)
    }

    pub(super) fn is_marked(&self, p: Partition) -> bool {
        self.filling[usize::from(p.0) / 8] & (1 << (p.0 % 8)) != 0
    }

    pub(super) fn is_bad(&self, p: Partition, key: &Key) -> bool {
        !self.bad.is_empty() && self.bad.contains(&(p, key.as_bytes().to_vec()))
    }

    pub(super) fn has_bad(&self, p: Partition) -> bool {
        self.bad.range((p, Vec::new())..).next().is_some_and(|b| b.0 == p)
    }

    pub(super) fn bad_count(&self) -> usize {
        self.bad.len()
    }

    /// The highest counter met of an actor, our own included.
    pub(super) fn seen_of(&self, actor: Actor) -> u64 {
        let own = if actor == self.actor { self.counter } else { 0 };
        self.seen.get(&actor).copied().unwrap_or(0).max(own)
    }

    /// The highest commit number an actor has acknowledged to this node.
    pub(super) fn commit_of(&self, actor: Actor) -> u64 {
        self.commits.get(&actor).copied().unwrap_or(0)
    }

    /// An actor acknowledged at this commit. Kept with the next batch: a witness if it comes back older.
    pub(super) fn note_commit(&mut self, actor: Actor, commit: u64) {
        if actor != self.actor && self.commit_of(actor) < commit {
            self.commits.insert(actor, commit);
            self.commits_dirty.insert(actor);
        }
    }

    pub(super) fn note_seen(&mut self, clock: &VersionVector) {
        for &(actor, counter) in clock.entries() {
            if actor != self.actor && self.seen.get(&actor).is_none_or(|c| *c < counter) {
                self.seen.insert(actor, counter);
                self.seen_dirty.insert(actor);
            }
        }
    }

    /// The next dot. It must be staged in the batch that is now gathering.
    pub(super) fn mint(&mut self) -> crate::clock::Dot {
        self.counter += 1;
        self.dirty = true;
        crate::clock::Dot { actor: self.actor, counter: self.counter }
    }

    /// Takes a new actor: the present one may have lost a record.
    pub(super) fn renew(&mut self) {
        if planted::is(Bug::ReuseDot) {
            return;
        }
        self.drawn += 1;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&self.drawn.to_le_bytes());
        let hash = hasher.finalize();
        let bytes = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
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
            self.bad.retain(|(at, _)| at != p);
        }
    }

    /// Everything is to be written again: the batch that held it failed.
    pub(super) fn restage(&mut self) {
        if planted::is(Bug::NoRestage) {
            return;
        }
        self.dirty = true;
        self.seen_dirty = self.seen.keys().copied().collect();
        self.commits_dirty = self.commits.keys().copied().collect();
    }

    /// The ops that make the identity durable, if it changed.
    fn ops(&mut self, full: &[Partition]) -> Vec<Op> {
        let mut ops = Vec::new();
        let meta = |name: String, value: Vec<u8>| Op::Meta(name, Some(value));
        for actor in std::mem::take(&mut self.seen_dirty) {
            ops.push(meta(format!("seen:{actor}"), self.seen[&actor].to_le_bytes().to_vec()));
        }
        for actor in std::mem::take(&mut self.commits_dirty) {
            ops.push(meta(format!("met:{actor}"), self.commits[&actor].to_le_bytes().to_vec()));
        }
        if std::mem::take(&mut self.dirty) || !full.is_empty() {
            let mut filling = self.filling.clone();
            for p in full.iter().filter(|p| !self.again.contains(p)) {
                filling[usize::from(p.0) / 8] &= !(1 << (p.0 % 8));
            }
            ops.push(meta("actor".into(), self.actor.0.to_le_bytes().to_vec()));
            ops.push(meta("counter".into(), self.counter.to_le_bytes().to_vec()));
            ops.push(meta("filling".into(), filling));
            ops.push(Op::Meta("dropped".into(), self.dropped.then(Vec::new)));
            ops.push(Op::Meta("muted".into(), self.muted.then(Vec::new)));
        }
        ops
    }
}

impl Node {
    /// Emits the gathered batch when none is under way.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>) {
        if self.read_only {
            return;
        }
        // A changed identity rides along; alone it waits for a tick, or a full disk would be a loop.
        if !self.stage.is_due() {
            return;
        }
        let full: Vec<Partition> = self.stage.filled_next();
        let ops = self.identity.ops(&full);
        let (seq, batch) = self.stage.take(ops);
        cx.out.push(Action::Commit(seq, batch));
    }

    /// On a tick, has a changed identity written though nothing else is.
    pub(super) fn flush_identity(&mut self, now_ms: u64) {
        let changed = self.identity.dirty || !self.identity.seen_dirty.is_empty();
        if changed && self.stage.is_empty() && self.room.may_try(now_ms) {
            let seq = self.stage.next();
            self.stage.then(seq, Then::Full(Vec::new()));
        }
    }

    /// Greets every member, and stops waiting when enough have answered or time is up.
    pub(super) fn boot_tick(&mut self, cx: &mut Cx<'_>) {
        if !self.identity.waiting {
            return;
        }
        let now = cx.now.mono_ms;
        let greeted = *self.identity.greeted_ms.get_or_insert(now);
        let peers: Vec<_> = self.doc.present().map(|m| m.id).filter(|id| *id != self.id).collect();
        let unheard: Vec<_> =
            peers.iter().filter(|p| !self.identity.heard.contains(p)).copied().collect();
        let enough = self.identity.heard.len() >= self.identity.witnesses.min(peers.len());
        let reachable = unheard.iter().any(|p| self.alive.contains(p));
        if unheard.is_empty()
            || (enough
                && (now >= greeted + WITNESS_WAIT_MS || !reachable && self.identity.witnesses == 0))
        {
            self.identity.waiting = false;
            self.unmute(cx);
            return;
        }
        if self.identity.hello_ms.is_some_and(|at| now < at + 500) {
            return;
        }
        self.identity.hello_ms = Some(now);
        self.greet(cx, unheard);
    }

    /// Says hello: whoever has a newer ring document is then asked for it.
    pub(super) fn greet(&mut self, cx: &mut Cx<'_>, peers: Vec<NodeId>) {
        let (actor, counter) = (self.identity.actor, self.identity.counter);
        for peer in peers {
            self.send(cx, peer, 0, Body::Hello { actor, counter });
        }
    }

    /// A witness says how far it has met us: the counter of our actor, the number of our commits.
    pub(super) fn witness(
        &mut self,
        cx: &mut Cx<'_>,
        from: NodeId,
        actor: Actor,
        counter: u64,
        commit: u64,
    ) {
        let minted = actor == self.identity.actor && counter > self.identity.counter;
        let acknowledged = actor == self.identity.actor && commit > cx.store.commit_number();
        let heeded = !planted::is(Bug::WitnessIgnored);
        if heeded && self.identity.waiting && (minted || acknowledged) {
            let why = "another node has seen later writes of this one: its file is older";
            self.lose_all(why);
            cx.out.push(Action::Note(Note::Lost(why.into())));
        }
        self.identity.heard.insert(from);
        self.boot_tick(cx);
    }
}
