//! Whether this node's file is the latest there was of it: what the others remember, and what this
//! node remembers of them.
//!
//! A file that was put back, with its sidecar, looks whole. Only other nodes know that it had come
//! further. A node is remembered by its identity and the point its file had reached
//! ([`FilePoint`]): the number of its life, the bits of that life, the number of its last commit.
//!
//! ```text
//! n1 opens at (life 8, commit 100), begins life 9     Greet n2: I was at (8, 100), am in life 9
//! n2 has met n1 at (8, 180)                           Met: (8, 180)  -> n1 has lost 80 commits
//! n2 has met n1 at (9, other bits)                    Met            -> n1 is another future of it
//! n1 knows of its loss, is renewed in life 9          Greet; n2 remembers (9, 100) from now on
//! n2 had met it at (12, 300)                          Met: (12, 300) -> n1 goes on in life 13
//! n1 acknowledges commit 120 to n2                    n2 remembers (9, 120)
//! ```
//!
//! Laws: a node greets as what it was at its opening, for as long as it lives, and every member, also
//! one that comes later; evidence counts whenever it comes; a greeting is answered whatever ring
//! document the other has. What a node remembers of a life it has not been greeted by, it does not
//! overwrite. Only what is durable at the other node is remembered of it, but for a loss: that is
//! remembered as soon as it is told, and the life it is told in is above all that was remembered. A
//! commit counts for the life that greeted on this link: when a peer is lost its greeting is forgotten,
//! whoever comes up is greeted, and whoever speaks without a greeting is asked for one, so that the
//! commits of a restarted process are never booked under its former life.
//!
//! Caveats: a file restored together with its sidecar while every witness is down is not noticed before
//! one of them is back. What is remembered is written with the next batch, alone once a second.

use std::collections::{BTreeMap, BTreeSet};

use super::boot::Boot;
use crate::clock::Actor;
use crate::error::{Error, Result};
use crate::protocol::{Body, FilePoint};
use crate::ring::NodeId;
use crate::store::{Op, Store, Table};

/// How long a node waits for witnesses that do not answer, in ms.
const WAIT_MS: u64 = 2_000;
/// Those that have not answered are greeted again after so long, in ms.
const AGAIN_MS: u64 = 500;
/// What is remembered of others is written without another reason at most so often, in ms.
const WRITE_MS: u64 = 1_000;

/// A node that has greeted this one.
#[derive(Clone, Copy, Debug)]
struct Greeted {
    opened: FilePoint,
    epoch: u64,
    life: u64,
    /// It knows that it may have lost something.
    renewed: bool,
    /// What was remembered of it before that life.
    met: FilePoint,
}

impl Greeted {
    /// Whether its file cannot be what it was.
    fn is_behind(&self) -> bool {
        !self.renewed && self.met.life != self.life && self.met.is_beyond(&self.opened)
    }
}

/// See the module.
pub(super) struct Witness {
    /// This node's file at its opening, and its actor and counter of then.
    opened: FilePoint,
    actor: Actor,
    counter: u64,
    /// The present life.
    epoch: u64,
    life: u64,
    life_dirty: bool,
    /// It knows that it may have lost something since.
    renewed: bool,
    met: BTreeMap<NodeId, FilePoint>,
    met_dirty: BTreeSet<NodeId>,
    greeted: BTreeMap<NodeId, Greeted>,
    /// The last commits of those that have not greeted since they were lost, and when they were asked to.
    unbooked: BTreeMap<NodeId, (u64, u64)>,
    /// Who has answered this life.
    heard: BTreeSet<NodeId>,
    /// Whom it has not heard and has greeted again since `greeted_ms`, for they spoke.
    again: BTreeSet<NodeId>,
    /// How many must have been heard before the node acts.
    wanted: usize,
    waiting: bool,
    since_ms: Option<u64>,
    greeted_ms: Option<u64>,
    written_ms: Option<u64>,
    /// Rows of an older build, to be taken away.
    old_rows: Vec<String>,
}

impl Witness {
    pub(super) fn load(store: &dyn Store, actor: Actor, counter: u64, boot: &Boot) -> Result<Self> {
        let row = store.row(Table::Meta, "life")?;
        let (epoch, life) = row.map_or(Ok((0, 0)), |row| match words(&row) {
            Some([epoch, life]) => Ok((epoch, life)),
            None => Err(damaged("life")),
        })?;
        let mut met = BTreeMap::new();
        for (name, row) in store.rows(Table::Meta, "point:")? {
            let id = u64::from_str_radix(&name["point:".len()..], 16);
            let (Ok(id), Some([epoch, life, commit])) = (id, words(&row)) else {
                return Err(damaged(&name));
            };
            met.insert(NodeId(id), FilePoint { epoch, life, commit });
        }
        let old_rows = store.rows(Table::Meta, "met:")?.into_iter().map(|r| r.0).collect();
        Ok(Self {
            opened: FilePoint { epoch, life, commit: store.commit_number() },
            actor,
            counter,
            epoch: epoch.saturating_add(1),
            life: bits(boot.seed, epoch),
            life_dirty: true,
            renewed: false,
            met,
            met_dirty: BTreeSet::new(),
            greeted: BTreeMap::new(),
            unbooked: BTreeMap::new(),
            heard: BTreeSet::new(),
            again: BTreeSet::new(),
            wanted: boot.witnesses,
            waiting: true,
            since_ms: None,
            greeted_ms: None,
            written_ms: None,
            old_rows,
        })
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether what is remembered is worth a commit of its own now.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        let due = self.written_ms.is_none_or(|at| now_ms >= at + WRITE_MS);
        if self.met_dirty.is_empty() || !due {
            return false;
        }
        self.written_ms = Some(now_ms);
        true
    }

    /// Whether something is remembered that is not written yet.
    pub(super) fn remembers_more(&self) -> bool {
        !self.met_dirty.is_empty()
    }

    /// Everything is to be written again: the batch that held it failed.
    pub(super) fn restage(&mut self) {
        self.life_dirty = true;
        self.met_dirty = self.met.keys().copied().collect();
    }

    /// The ops that make it durable.
    pub(super) fn ops(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        if std::mem::take(&mut self.life_dirty) {
            ops.push(Op::Meta("life".into(), Some(bytes(&[self.epoch, self.life]))));
        }
        for id in std::mem::take(&mut self.met_dirty) {
            let FilePoint { epoch, life, commit } = self.met[&id];
            ops.push(Op::Meta(format!("point:{id}"), Some(bytes(&[epoch, life, commit]))));
        }
        ops.extend(std::mem::take(&mut self.old_rows).into_iter().map(|name| Op::Meta(name, None)));
        ops
    }

    /// A new life begins, above the one that it was met in: it may have lost something.
    pub(super) fn begin_life(&mut self, above: u64, seed: u128) {
        let before = self.epoch;
        self.epoch = self.epoch.max(above).saturating_add(1);
        debug_assert!(self.epoch > before && self.epoch > above || self.epoch == u64::MAX);
        self.life = bits(seed, self.epoch);
        self.life_dirty = true;
        self.renewed = true;
        self.heard.clear();
    }

    pub(super) fn greeting(&self) -> Body {
        Body::Greet {
            opened: self.opened,
            actor: self.actor,
            counter: self.counter,
            epoch: self.epoch,
            life: self.life,
            renewed: self.renewed,
        }
    }

    /// A node greets: what was remembered of it before its present life.
    pub(super) fn greeted(
        &mut self,
        from: NodeId,
        opened: FilePoint,
        new: (u64, u64),
        renewed: bool,
    ) -> FilePoint {
        let (epoch, life) = new;
        let newest = self.greeted.get(&from).is_none_or(|known| known.epoch <= epoch);
        if !newest && !renewed {
            // It came late, or is of a file that was put back: the answer says which.
            return self.met.get(&from).copied().unwrap_or_default();
        }
        if let Some(known) = self.greeted.get(&from).filter(|g| g.life == life) {
            return known.met;
        }
        let met = self.met.get(&from).copied().unwrap_or_default();
        let greeted = Greeted { opened, epoch, life, renewed, met };
        self.greeted.insert(from, greeted);
        let spoken = self.unbooked.remove(&from);
        if renewed {
            self.note(from, FilePoint { epoch, life, commit: opened.commit });
        } else if !greeted.is_behind() && met.life != life {
            self.note(from, opened);
        }
        if let Some((commit, _)) = spoken.filter(|_| !renewed) {
            self.acknowledged(from, commit);
        }
        met
    }

    /// A node is lost: whatever comes up in its place greets anew.
    pub(super) fn forget_greeting(&mut self, of: NodeId) {
        self.greeted.remove(&of);
        self.unbooked.remove(&of);
    }

    /// A node has acknowledged something at this commit of its file. Whether it has greeted: if not, the
    /// commit is booked when it has.
    fn acknowledged(&mut self, from: NodeId, commit: u64) -> bool {
        let Some(greeted) = self.greeted.get(&from) else {
            let (spoken, _) = self.unbooked.entry(from).or_default();
            *spoken = commit.max(*spoken);
            return false;
        };
        // Without a commit of its own a life has left no trace in the file.
        if commit > greeted.opened.commit && !greeted.is_behind() {
            let (epoch, life) = (greeted.epoch, greeted.life);
            self.note(from, FilePoint { epoch, life, commit });
        }
        true
    }

    fn note(&mut self, id: NodeId, point: FilePoint) {
        let known = self.met.get(&id);
        let older = |k: &FilePoint| k.life == point.life && k.commit >= point.commit;
        if !known.is_some_and(older) {
            self.met.insert(id, point);
            self.met_dirty.insert(id);
        }
    }

    /// Whom to greet now while it waits; it waits no longer when enough have answered or time is up.
    pub(super) fn due(
        &mut self,
        now_ms: u64,
        peers: &[NodeId],
        alive: &BTreeSet<NodeId>,
    ) -> Vec<NodeId> {
        if !self.waiting {
            return Vec::new();
        }
        let since = *self.since_ms.get_or_insert(now_ms);
        let unheard: Vec<_> = peers.iter().filter(|p| !self.heard.contains(p)).copied().collect();
        let enough = self.heard.len() >= self.wanted.min(peers.len());
        let reachable = unheard.iter().any(|p| alive.contains(p));
        let patient = now_ms < since + WAIT_MS && (reachable || self.wanted > 0);
        if unheard.is_empty() || enough && !patient {
            self.waiting = false;
            return Vec::new();
        }
        if self.greeted_ms.is_some_and(|at| now_ms < at + AGAIN_MS) {
            return Vec::new();
        }
        self.greeted_ms = Some(now_ms);
        unheard
    }

    /// Whether a node has answered this life, or nothing is answered yet: then it is not greeted.
    pub(super) fn has_answered(&self, from: NodeId) -> bool {
        self.waiting || self.heard.contains(&from)
    }

    /// Whether a member that speaks, and has not answered this life, is to be greeted before it is told
    /// anything, lest it book this life's commits under a former one.
    pub(super) fn greets_speaker(&mut self, now_ms: u64, from: NodeId) -> bool {
        if self.greeted_ms.is_none_or(|at| now_ms >= at + AGAIN_MS) {
            self.greeted_ms = Some(now_ms);
            self.again.clear();
        }
        self.again.insert(from)
    }

    /// Whether those that come up are greeted: before the first tick nobody is.
    pub(super) fn greets_new(&self) -> bool {
        self.greeted_ms.is_some() || !self.waiting
    }

    /// Remembers how far a node has come. Whether it is to be asked to greet again: it may have greeted
    /// before it was lost here, and have noticed nothing of that.
    pub(super) fn asks_to_greet(&mut self, now_ms: u64, from: NodeId, commit: u64) -> bool {
        if self.acknowledged(from, commit) {
            return false;
        }
        let (_, asked_ms) = self.unbooked.entry(from).or_default();
        if *asked_ms != 0 && now_ms < *asked_ms + AGAIN_MS {
            return false;
        }
        *asked_ms = now_ms.max(1);
        true
    }

    /// What a witness's answer to a greeting says of this node's file; `None` when it answers a greeting
    /// of a former process, which came late and may have been taken for the newest.
    pub(super) fn is_behind(&self, life: u64, met: FilePoint) -> Option<bool> {
        (life == self.life).then(|| met.life != life && met.is_beyond(&self.opened))
    }

    /// What it leads to that a witness met this node at `met`, and that by this, or by what else it has
    /// seen, something was lost.
    pub(super) fn judge(&self, lost: bool, met: FilePoint) -> Heard {
        // That it is remembered in its present life is no news, however often it greets.
        let further = met.life != self.life && met.epoch >= self.epoch;
        match (lost, self.renewed) {
            (true, false) => Heard::Lost,
            (_, true) if further => Heard::Further,
            _ => Heard::NoNews,
        }
    }

    /// A node has answered this life's greeting.
    pub(super) fn heard(&mut self, from: NodeId) {
        self.heard.insert(from);
    }
}

/// What the answer of a witness leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    NoNews,
    /// The file is older than what the witness has seen.
    Lost,
    /// What was lost had come further than the present life, which must be above it.
    Further,
}

/// The bits of a life.
fn bits(seed: u128, epoch: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"life").update(&seed.to_le_bytes()).update(&epoch.to_le_bytes());
    u64::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

fn words<const N: usize>(row: &[u8]) -> Option<[u64; N]> {
    let (words, rest) = row.as_chunks::<8>();
    let words: Vec<_> = words.iter().map(|w| u64::from_le_bytes(*w)).collect();
    words.try_into().ok().filter(|_| rest.is_empty())
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn damaged(row: &str) -> Error {
    Error::Corrupt(format!("The row {row} of the node's file is malformed; it was not changed."))
}
