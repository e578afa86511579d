//! Who wrote what after having seen what: actors, dots, version vectors, context tokens.
//!
//! An *actor* is one incarnation of a node. Each write is an event of one actor and gets a *dot*,
//! `(actor, counter)`; the counter is one per node, never per key. A *version vector* says, for each
//! actor, up to which counter all its dots *of this key* are known; gaps between counters are
//! harmless.
//!
//! ```text
//! a writes v1 = (a,4)          clock {a:4}
//! b, having seen it, writes v2 clock {a:4, b:9}     covers (a,4): v1 is superseded
//! a, not having seen v2, v3    clock {a:7}          neither covers the other: siblings
//! ```
//!
//! A *context* is the clock a client saw, as an opaque token. It is bound to its ring and key by a
//! checksum, because counters are node-wide: a token of another key would cover what nobody saw.
//!
//! What is not here: wall time. It never decides what came after what.
//! Source: Preguiça et al., "Dotted Version Vectors" (2010); Almeida et al., "Scalable and Accurate
//! Causality Tracking for Eventually Consistent Stores" (2014).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::bounded::at_most;
use crate::error::{Error, Result};
use crate::key::Key;

/// One incarnation of a node: 64 random bits. A node that may have lost a record takes a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor(pub u64);

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0 >> 48)
    }
}

/// One write: the actor that minted it and its counter there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who.
    pub actor: Actor,
    /// The how-manieth write of this actor, from 1, over all keys.
    pub counter: u64,
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.actor, self.counter)
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?},{})", self.actor, self.counter)
    }
}

/// How two clocks stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causality {
    /// The same events.
    Equal,
    /// The first is behind the second.
    Before,
    /// The first is ahead of the second.
    After,
    /// Each knows something the other does not.
    Concurrent,
}

/// A coordinator takes no context of more actors, and makes no record that knows more.
pub const CLOCK_ENTRIES_MAX: usize = 3_000;
/// A clock of more actors is not read: what several coordinators made, merged, may pass the bound
/// that each of them keeps.
pub const CLOCK_READ_MAX: usize = 65_536;

/// For each actor, the counter up to which its dots of one key are known. Sorted by actor.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Entries")]
pub struct VersionVector(Vec<(Actor, u64)>);

/// A clock as it was read, before it is known to be one.
#[derive(Deserialize)]
struct Entries(#[serde(deserialize_with = "at_most::<_, _, CLOCK_READ_MAX>")] Vec<(Actor, u64)>);

impl TryFrom<Entries> for VersionVector {
    type Error = Error;

    fn try_from(Entries(entries): Entries) -> Result<Self> {
        Self::from_entries(entries)
    }
}

impl VersionVector {
    /// The empty clock: knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries, sorted by actor; no counter is 0.
    #[must_use]
    pub fn entries(&self) -> &[(Actor, u64)] {
        &self.0
    }

    /// Whether it knows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The counter up to which `actor` is known, 0 if not at all.
    #[must_use]
    pub fn get(&self, actor: Actor) -> u64 {
        self.0.binary_search_by_key(&actor, |e| e.0).map_or(0, |i| self.0[i].1)
    }

    /// Whether the dot is among the known events.
    #[must_use]
    pub fn covers(&self, dot: Dot) -> bool {
        self.get(dot.actor) >= dot.counter
    }

    /// Learns a dot, and with it all earlier ones of its actor.
    pub fn add(&mut self, dot: Dot) {
        match self.0.binary_search_by_key(&dot.actor, |e| e.0) {
            Ok(i) => self.0[i].1 = self.0[i].1.max(dot.counter),
            Err(i) => self.0.insert(i, (dot.actor, dot.counter)),
        }
    }

    /// Learns all that the other knows: the least upper bound. Takes time as both have entries.
    pub fn join(&mut self, other: &Self) {
        if self.descends(other) {
            return;
        }
        let mut joined = Vec::with_capacity(self.0.len() + other.0.len());
        let mut theirs = other.0.iter().copied().peekable();
        for &(actor, counter) in &self.0 {
            while let Some(entry) = theirs.next_if(|e| e.0 < actor) {
                joined.push(entry);
            }
            let known = theirs.next_if(|e| e.0 == actor).map_or(0, |e| e.1);
            joined.push((actor, counter.max(known)));
        }
        joined.extend(theirs);
        self.0 = joined;
    }

    /// Whether it knows all that the other knows.
    #[must_use]
    pub fn descends(&self, other: &Self) -> bool {
        other.0.iter().all(|&(actor, counter)| self.covers(Dot { actor, counter }))
    }

    /// How the two stand to each other.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Causality {
        match (self.descends(other), other.descends(self)) {
            (true, true) => Causality::Equal,
            (true, false) => Causality::After,
            (false, true) => Causality::Before,
            (false, false) => Causality::Concurrent,
        }
    }

    /// Rebuilds a clock from entries.
    ///
    /// # Errors
    /// [`Error::Corrupt`] unless the actors ascend, no counter is 0 (bytes have one meaning) and they
    /// are at most [`CLOCK_READ_MAX`].
    pub fn from_entries(entries: Vec<(Actor, u64)>) -> Result<Self> {
        let ascending = entries.windows(2).all(|w| w[0].0 < w[1].0);
        if !ascending || entries.iter().any(|e| e.1 == 0) || entries.len() > CLOCK_READ_MAX {
            return Err(Error::Corrupt("A clock's entries are out of order, or too many.".into()));
        }
        Ok(Self(entries))
    }
}

impl FromIterator<Dot> for VersionVector {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut clock = Self::new();
        dots.into_iter().for_each(|dot| clock.add(dot));
        clock
    }
}

impl fmt::Display for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self.0.iter().map(|(a, c)| format!("{a}:{c}")).collect();
        write!(f, "{{{}}}", entries.join(" "))
    }
}

impl fmt::Debug for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(a, c)| (a, c))).finish()
    }
}

/// The first byte of a token: its format.
const TOKEN_FORMAT: u8 = 1;
/// Bytes of checksum at a token's end.
const TOKEN_CHECK_BYTES: usize = 8;
/// The longest token read, in characters: bounds what a hostile flag can make us decode.
const TOKEN_CHARS_MAX: usize = 64 * 1024;

/// Makes the token of what a client saw of `key` on the ring `ring`.
///
/// Layout before base64 (URL-safe, no padding): 1. format, one byte; 2. entries, each the actor
/// (8 bytes, little endian) and the counter (8 bytes, little endian); 3. the first 8 bytes of
/// BLAKE3 over ring id (16 bytes, little endian), 1., 2. and the key.
#[must_use]
pub fn token(ring: u128, key: &Key, clock: &VersionVector) -> String {
    let mut bytes = vec![TOKEN_FORMAT];
    for (actor, counter) in clock.entries() {
        bytes.extend(actor.0.to_le_bytes());
        bytes.extend(counter.to_le_bytes());
    }
    bytes.extend(token_check(ring, key, &bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token back.
///
/// # Errors
/// [`Error::Usage`] when it is damaged, of another ring or of another key; nothing was tried.
pub fn parse_token(ring: u128, key: &Key, token: &str) -> Result<VersionVector> {
    let damaged = |why: &str| {
        Error::Usage(format!("The context {why}; nothing was written."))
            .hint("get a new one: kvs get --show-context KEY")
    };
    if token.len() > TOKEN_CHARS_MAX {
        return Err(damaged("is too long"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| damaged("is not a context token"))?;
    let Some(split) = bytes.len().checked_sub(TOKEN_CHECK_BYTES) else {
        return Err(damaged("is cut short"));
    };
    let (body, check) = bytes.split_at(split);
    if check != token_check(ring, key, body) {
        return Err(damaged("is damaged, or belongs to another key or ring"));
    }
    if body.first() != Some(&TOKEN_FORMAT) || (body.len() - 1) % 16 != 0 {
        return Err(damaged("has a newer format"));
    }
    let word = |b: &[u8]| u64::from_le_bytes(b.try_into().expect("eight bytes"));
    let entries = body[1..].chunks_exact(16).map(|e| (Actor(word(&e[..8])), word(&e[8..])));
    VersionVector::from_entries(entries.collect()).map_err(|_| damaged("is damaged"))
}

fn token_check(ring: u128, key: &Key, body: &[u8]) -> [u8; TOKEN_CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&ring.to_le_bytes()).update(body).update(key.as_bytes());
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(actor: u64, counter: u64) -> Dot {
        Dot { actor: Actor(actor), counter }
    }

    #[test]
    fn compare_tells_before_from_beside() {
        let a: VersionVector = [dot(1, 4)].into_iter().collect();
        let ab: VersionVector = [dot(1, 4), dot(2, 9)].into_iter().collect();
        let a7: VersionVector = [dot(1, 7)].into_iter().collect();
        assert_eq!(a.compare(&ab), Causality::Before);
        assert_eq!(ab.compare(&a7), Causality::Concurrent);
        assert_eq!(a7.compare(&a), Causality::After);
    }

    #[test]
    fn a_join_is_what_adding_one_by_one_gives() {
        let clocks: Vec<VersionVector> = (0..64_u64)
            .map(|bits| {
                let dots = (0..6).filter(|i| bits >> i & 1 == 1);
                dots.map(|i| dot(i + 1, 1 + (bits * 7 + i * 3) % 5)).collect()
            })
            .collect();
        for a in &clocks {
            for b in &clocks {
                let (mut joined, mut added) = (a.clone(), a.clone());
                joined.join(b);
                b.entries().iter().for_each(|&(a, c)| added.add(Dot { actor: a, counter: c }));
                assert_eq!(joined, added, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_none_is_not_read() {
        let read = |entries: &[(u64, u64)]| {
            let bytes = postcard::to_stdvec(&entries.to_vec()).unwrap();
            postcard::from_bytes::<VersionVector>(&bytes)
        };
        assert_eq!(read(&[(1, 4), (2, 9)]).unwrap().entries().len(), 2);
        for wrong in [&[(1, 0)][..], &[(2, 1), (1, 1)], &[(1, 1), (1, 2)], &[(1, 1), (1, 1)]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        let many: Vec<_> = (1..=CLOCK_READ_MAX as u64 + 1).map(|i| (i, 1)).collect();
        assert!(read(&many).is_err() && read(&many[1..]).is_ok());
    }

    #[test]
    fn a_token_belongs_to_its_key_and_ring() {
        let key = Key::new("k").unwrap();
        let clock: VersionVector = [dot(1, 4), dot(2, 9)].into_iter().collect();
        let t = token(7, &key, &clock);
        assert_eq!(parse_token(7, &key, &t).unwrap(), clock);
        assert!(parse_token(8, &key, &t).is_err());
        assert!(parse_token(7, &Key::new("l").unwrap(), &t).is_err());
        for i in 0..t.len() {
            let mut bad = t.clone().into_bytes();
            bad[i] = if bad[i] == b'A' { b'B' } else { b'A' };
            assert!(parse_token(7, &key, &String::from_utf8(bad).unwrap()).is_err());
        }
        for bad in ["", "AA", "not a token", "AQ"] {
            assert!(parse_token(7, &key, bad).is_err());
        }
    }
}
