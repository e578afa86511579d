//! Membership by gossip: a list that spreads by itself, and how suspicious each silence is.
//!
//! Every node raises its own heartbeat once a second and exchanges lists with some random members: it pushes
//! what it knows and pulls what the other knows better. A row is newer when its generation (one per start of a
//! process), then its heartbeat, is higher. From the intervals at which a member's heartbeat is seen to rise,
//! phi tells how unlikely its present silence is:
//!
//! ```text
//! n1 beat 41 42 43 44 . . . .      phi 0.3 … 1.6 … 5 … 8: taken to be down
//! ```
//!
//! Measured (`tests/gossip`): of a thousand nodes all know a new version of the ring after five or six
//! rounds; of five all miss a killed one within 5 s, of a hundred half after 4.4 s and the last after 6 s.
//!
//! Phi is that of Hayashibara et al., *The phi accrual failure detector* (2004): normally distributed
//! intervals, the last 1,000 of them, their deviation at least 0.5 s. It steers requests and never changes who
//! owns what: a member that is down has not left.
//!
//! What it does not do: it sends nothing, keeps no file and reads no clock: it is given the time.
//!
//! What others say of a member is hearsay. What it says of itself over its own link is believed before that,
//! and for half a minute, as long as the link stands, hearsay may only tell of the same run of its process, and
//! of no more heartbeats than time has passed for. Of itself a node believes nothing beyond [`AGE_MAX`], and
//! counts no more than one echo a second.
//!
//! Caveats: addresses are believed as told; the channel proves who answers there. So is hearsay of a member
//! that is not linked: a member can make a dead one look alive. A row of a node that is no member is taken too;
//! see [`Gossip::retain`].

mod phi;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::phi::Detector;
use crate::bounded::text;
use crate::clock::Actor;
use crate::ring::NodeId;

/// From this phi on a member is taken to be down.
pub const DOWN_PHI: f64 = 8.0;

/// At most this many rows are kept, the own one included.
pub const ROWS_MAX: usize = 1024;

/// A longer address is no address.
pub const ADDRESS_MAX: usize = 256;

/// No row is of a higher generation or beat: what is counted up from here does not overflow.
pub const AGE_MAX: u64 = 1 << 53;

/// Beats that one row may be ahead of the time that has passed, beside twice that time.
const BEATS_AHEAD: u64 = 120;

/// For this time what a linked member has said of itself outweighs hearsay of another run of it.
const SAID_HOLDS_MS: u64 = 30_000;

/// The own heartbeat rises once in this time.
const BEAT_MS: u64 = 1000;

/// After a heartbeat the list is exchanged with this many members.
const FANOUT: usize = 3;

/// They are named one by one, this far apart: news waits less for its next hop, and the dead of a
/// hundred nodes are missed by all 0.8 s sooner than when three are named at once.
const CALL_MS: u64 = BEAT_MS / FANOUT as u64;

/// Ticks come far more often; when none came for this time, this process itself did not run.
const PAUSE_MS: u64 = 2000;

/// What a node says of itself, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GossipRow {
    /// Who.
    pub id: NodeId,
    /// Which run of its process: its wall clock at the start, ms since 1970, or one more than any
    /// generation of it met since. 0: an address from a file, nothing heard yet.
    pub generation: u64,
    /// Raised every second.
    pub beat: u64,
    /// Where it can be reached, `host:port`.
    #[serde(deserialize_with = "text")]
    pub address: String,
    /// Its present actor.
    pub actor: Actor,
    /// Its version of the ring document.
    pub version: u64,
    /// How it is.
    pub health: NodeHealth,
}

impl GossipRow {
    /// The higher, the newer.
    fn age(&self) -> (u64, u64) {
        (self.generation, self.beat)
    }

    /// Whether it can be a row at all.
    fn is_sound(&self) -> bool {
        let sober = |c: char| !c.is_control() && !c.is_whitespace();
        self.generation <= AGE_MAX
            && self.beat <= AGE_MAX
            && self.address.len() <= ADDRESS_MAX
            && self.address.chars().all(sober)
    }
}

/// How a node says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeHealth {
    /// In service.
    #[default]
    Well,
    /// In service for its peers; it takes no clients and keeps nothing for others.
    Draining,
    /// Its disk is full: it answers reads only.
    Full,
    /// It has just started and answers nothing yet: taken to be down until it does.
    Starting,
    /// It is about to stop: taken to be down at once.
    Stopping,
}

/// Another node, as far as heard.
struct KnownMember {
    row: GossipRow,
    /// When the row last became newer.
    heard_ms: u64,
    /// What it last said itself over the link that stands, and when.
    said: Option<((u64, u64), u64)>,
    detector: Detector,
}

impl KnownMember {
    fn new(row: GossipRow, heard_ms: u64) -> Self {
        Self { row, heard_ms, said: None, detector: Detector::default() }
    }

    /// Whether hearsay of it can be so, after what it has said itself.
    fn can_be(&self, row: &GossipRow, now_ms: u64) -> bool {
        self.said.is_none_or(|((generation, beat), at_ms)| {
            let passed_ms = now_ms.saturating_sub(at_ms);
            let beats = beat + 2 * (passed_ms / BEAT_MS) + BEATS_AHEAD;
            passed_ms > SAID_HOLDS_MS || (row.generation == generation && row.beat <= beats)
        })
    }

    /// It says so itself: hearsay that is ahead of it was wrong.
    fn hear_itself(&mut self, row: GossipRow, now_ms: u64) {
        let last = self.said.map(|said| said.0);
        self.said = Some((row.age(), now_ms));
        let wrong = row.generation < self.row.generation
            || (row.generation == self.row.generation && self.row.beat > row.beat + BEATS_AHEAD);
        if wrong && last.is_none_or(|last| row.age() > last) {
            self.row = row;
            self.heard_ms = now_ms;
            return;
        }
        self.hear(row, now_ms);
    }

    fn hear(&mut self, row: GossipRow, now_ms: u64) {
        if row.age() <= self.row.age() {
            return;
        }
        // The time between two generations is that of a restart, not the rhythm of a heart.
        if row.generation == self.row.generation {
            self.detector.sample(now_ms.saturating_sub(self.heard_ms));
        }
        self.row = row;
        self.heard_ms = now_ms;
    }
}

/// The list of one node. See the module.
pub struct Gossip {
    own: GossipRow,
    others: BTreeMap<NodeId, KnownMember>,
    echoes: u32,
    /// When the last echo was counted.
    echoed_ms: Option<u64>,
    /// State of the generator that draws whom to exchange with.
    seed: u64,
    /// When it began to listen.
    born_ms: u64,
    ticked_ms: u64,
    /// When the own beat rises next.
    beat_ms: u64,
    /// Drawn at the last beat and still to be named, and when.
    to_call: Vec<NodeId>,
    call_ms: u64,
}

impl Gossip {
    /// A list that holds only its own row. `seed` draws whom to exchange with.
    #[must_use]
    pub fn new(mut own: GossipRow, seed: u64, now_ms: u64) -> Self {
        own.generation = own.generation.max(1); // 0 is for what was never heard
        let beat_ms = now_ms + BEAT_MS;
        Self {
            own,
            others: BTreeMap::new(),
            echoes: 0,
            echoed_ms: None,
            seed,
            born_ms: now_ms,
            ticked_ms: now_ms,
            beat_ms,
            to_call: Vec::new(),
            call_ms: beat_ms,
        }
    }

    /// Its own row.
    #[must_use]
    pub fn own(&self) -> &GossipRow {
        &self.own
    }

    /// Changes what it says of itself: address, actor, version, health. The change spreads at once:
    /// the beat rises, and the next tick names whom to tell. What changes nothing is not told.
    pub fn set(&mut self, change: impl FnOnce(&mut GossipRow)) {
        let before = self.own.clone();
        change(&mut self.own);
        (self.own.id, self.own.generation, self.own.beat) =
            (before.id, before.generation, before.beat);
        if self.own != before {
            self.own.beat += 1;
            self.beat_ms = 0;
        }
    }

    /// An address read from a file, for a member of which nothing was heard yet.
    pub fn hint(&mut self, id: NodeId, address: String) {
        if id == self.own.id || address.is_empty() || address.len() > ADDRESS_MAX {
            return;
        }
        match self.others.get_mut(&id) {
            Some(known) if known.row.generation > 0 => {}
            Some(known) => known.row.address = address,
            None => {
                let (version, health) = (0, NodeHealth::Well);
                let row = GossipRow {
                    id,
                    generation: 0,
                    beat: 0,
                    address,
                    actor: Actor(0),
                    version,
                    health,
                };
                self.add(row, self.born_ms);
            }
        }
    }

    /// Forgets those that are no members any more. Others may go on telling of them: to be called
    /// after every merge.
    pub fn retain(&mut self, member: impl Fn(NodeId) -> bool) {
        self.others.retain(|id, _| member(*id));
    }

    /// Time has passed: once a second the own beat rises, and in each second up to three random ones
    /// of `linked` are named, one at a time, to exchange lists with. A pause of this process itself
    /// is not taken for the silence of others.
    pub fn tick(&mut self, now_ms: u64, linked: &[NodeId]) -> Vec<NodeId> {
        self.forgive_pause(now_ms);
        self.ticked_ms = now_ms;
        let gone = self.others.iter_mut().filter(|(id, _)| !linked.contains(id));
        gone.for_each(|(_, known)| known.said = None);
        if now_ms >= self.beat_ms {
            self.own.beat += 1;
            // Late ticks do not slow the beat down, and missed beats are not made up for.
            self.call_ms = if now_ms - self.beat_ms < BEAT_MS { self.beat_ms } else { now_ms };
            self.beat_ms = self.call_ms + BEAT_MS;
            self.to_call = self.draw(linked);
        }
        if now_ms < self.call_ms {
            return Vec::new();
        }
        self.call_ms += CALL_MS;
        self.to_call.pop().filter(|id| linked.contains(id)).into_iter().collect()
    }

    /// Every row, to be pushed.
    #[must_use]
    pub fn rows(&self) -> Vec<GossipRow> {
        self.all().cloned().collect()
    }

    /// Takes rows that `from` has pushed, or that were pulled from it; gives those that it knows less
    /// well. A row that cannot be one is passed over.
    pub fn merge(&mut self, from: NodeId, rows: Vec<GossipRow>, now_ms: u64) -> Vec<GossipRow> {
        self.forgive_pause(now_ms);
        let mut told: BTreeMap<NodeId, (u64, u64)> = BTreeMap::new();
        for row in rows.into_iter().take(ROWS_MAX) {
            if !row.is_sound() || (row.generation == 0 && row.address.is_empty()) {
                continue; // it asks for one
            }
            let age = told.entry(row.id).or_default();
            *age = row.age().max(*age);
            self.take(from, row, now_ms);
        }
        let newer = |row: &&GossipRow| told.get(&row.id).is_none_or(|age| row.age() > *age);
        self.all().filter(newer).cloned().collect()
    }

    /// What is known of a member.
    #[must_use]
    pub fn row(&self, id: NodeId) -> Option<&GossipRow> {
        if id == self.own.id { Some(&self.own) } else { self.others.get(&id).map(|k| &k.row) }
    }

    /// How suspect its present silence is; infinite when it was never heard or is stopping.
    #[must_use]
    pub fn phi(&self, id: NodeId, now_ms: u64) -> f64 {
        match self.row(id) {
            None => f64::INFINITY,
            Some(row) if row.generation == 0 => f64::INFINITY,
            Some(row) if matches!(row.health, NodeHealth::Starting | NodeHealth::Stopping) => {
                f64::INFINITY
            }
            Some(_) => {
                let silence = self.silent_ms(id, now_ms);
                self.others.get(&id).map_or(0.0, |known| known.detector.phi(silence))
            }
        }
    }

    /// For how long nothing new was heard of it, in ms; since this list began if nothing ever was.
    #[must_use]
    pub fn silent_ms(&self, id: NodeId, now_ms: u64) -> u64 {
        if id == self.own.id {
            return 0;
        }
        let heard_ms = self.others.get(&id).map_or(self.born_ms, |known| known.heard_ms);
        now_ms.saturating_sub(heard_ms)
    }

    /// Whether it is taken to be up: phi below 8, and not stopping.
    #[must_use]
    pub fn is_up(&self, id: NodeId, now_ms: u64) -> bool {
        self.phi(id, now_ms) < DOWN_PHI
    }

    /// How often a row of this very node came back newer than it said itself: another process has
    /// its identity when this goes on.
    #[must_use]
    pub fn echoes(&self) -> u32 {
        self.echoes
    }

    fn all(&self) -> impl Iterator<Item = &GossipRow> {
        std::iter::once(&self.own).chain(self.others.values().map(|known| &known.row))
    }

    fn take(&mut self, from: NodeId, row: GossipRow, now_ms: u64) {
        if row.id == self.own.id {
            return self.hear_self(&row, now_ms);
        }
        match self.others.get_mut(&row.id) {
            Some(known) if row.id == from => known.hear_itself(row, now_ms),
            Some(known) if known.can_be(&row, now_ms) => known.hear(row, now_ms),
            Some(_) => {}
            None if row.generation == 0 => self.hint(row.id, row.address),
            None => self.add(row, now_ms),
        }
    }

    /// A clock set back between two runs must not make this node mute: it outbids its former self.
    fn hear_self(&mut self, row: &GossipRow, now_ms: u64) {
        if row.age() <= self.own.age() || row.generation >= AGE_MAX {
            return;
        }
        self.own.generation = row.generation + 1;
        if self.echoed_ms.is_none_or(|at_ms| now_ms >= at_ms + BEAT_MS) {
            self.echoes = self.echoes.saturating_add(1);
            self.echoed_ms = Some(now_ms);
        }
    }

    fn add(&mut self, row: GossipRow, heard_ms: u64) {
        if self.others.len() + 1 < ROWS_MAX {
            self.others.insert(row.id, KnownMember::new(row, heard_ms));
        }
    }

    /// Also on a merge: what piled up during the pause may come before the first tick after it.
    fn forgive_pause(&mut self, now_ms: u64) {
        let gap = now_ms.saturating_sub(self.ticked_ms);
        if gap <= PAUSE_MS {
            return;
        }
        self.ticked_ms = now_ms;
        let heard = self.others.values_mut().map(|known| &mut known.heard_ms);
        heard.chain([&mut self.born_ms]).for_each(|ms| *ms = (*ms + gap).min(now_ms));
    }

    /// Up to three of them, every set of three as likely as any other (Floyd's sampling).
    fn draw(&mut self, linked: &[NodeId]) -> Vec<NodeId> {
        let mut places = Vec::with_capacity(FANOUT);
        for last in linked.len().saturating_sub(FANOUT)..linked.len() {
            let place = self.below(last + 1);
            places.push(if places.contains(&place) { last } else { place });
        }
        places.into_iter().map(|place| linked[place]).filter(|id| *id != self.own.id).collect()
    }

    /// A number below `end` (splitmix64).
    fn below(&mut self, end: usize) -> usize {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
