//! The record of a key: its clock and the values that are still alive, each under its dot.
//!
//! A record is a dotted version vector set. A *sibling* is a value no later write has seen; the
//! clock remembers every dot the record has known, so a value that the clock covers and the record
//! lacks has been superseded, not missed. A delete mints a dot like a put and leaves a record with a
//! clock and no siblings, a *tombstone*.
//!
//! ```text
//! {a:4} [(a,4) v1]   b puts v2 having seen it      -> {a:4 b:9} [(b,9) v2]
//!                    a puts v3 having seen v1 only -> {a:7}     [(a,7) v3]
//! merge of the two -> {a:7 b:9} [(a,7) v3, (b,9) v2]               a conflict, kept
//! ```
//!
//! Merge is commutative, associative and idempotent on reachable records. One dot with two values is
//! corruption: reported, and the value with the higher hash kept, so that merge stays commutative.
//!
//! # Bytes
//! 1. term, 16 bytes: checksum and digest term in one (below).
//! 2. format, 1 byte: [`FORMAT`].
//! 3. flags, 1 byte: 0; compression is reserved and stays outside the hash.
//! 4. body: count of clock entries, then each actor (8 bytes LE) and counter; count of siblings in
//!    order of their dots, then each actor (8 bytes LE), counter, written-at ms, expiry ms + 1 or 0
//!    (its bit 63 marks a derived value), length, bytes. Counts, counters, times and lengths are
//!    LEB128 varints in their shortest form.
//!
//! The *term* is the first 128 bits of BLAKE3 over the key's length (varint), the key and the body.
//! Equal records have equal bytes. Caveat: expiry does not change bytes when it passes; it is judged
//! by whoever answers a read.

use std::collections::BTreeSet;
use std::fmt;

use serde_bytes::ByteBuf;

use crate::clock::{Actor, Dot, VersionVector};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::planted::{self, Bug};

/// The format of a record. A newer build marks its whole file (row `format` of `meta`).
pub const FORMAT: u8 = 1;
/// A coordinator refuses a put that would make a record larger than this, in bytes.
pub const RECORD_BYTES_MAX: usize = 4 << 20;
/// A coordinator refuses a put that would make more siblings than this.
pub const SIBLINGS_MAX: usize = 25;
/// A record of more siblings is not read: what several coordinators made, merged, may pass the bound
/// that each of them keeps.
pub const SIBLINGS_READ_MAX: usize = 16_384;
/// Bytes before the body: term, format, flags.
const HEAD_BYTES: usize = 18;
/// The bit of the stored expiry that marks a derived value.
const DERIVED: u64 = 1 << 63;

/// One value as it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value {
    /// What the user wrote.
    pub bytes: Vec<u8>,
    /// When, by the clock of the coordinator, in ms since 1970. For people, never for order.
    pub written_ms: u64,
    /// From when on a reader no longer sees it, in ms since 1970.
    pub expires_ms: Option<u64>,
    /// Made from what its writer had read (a counter, an edit): an equal value of another writer is
    /// another event, so the two are never shown as one.
    pub derived: bool,
}

impl Value {
    /// Whether a reader whose clock says `now_ms` still sees it.
    #[must_use]
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|at| now_ms < at)
    }

    /// Expiry and mark as they are stored: 0 for never, else the time in ms and one; the top bit is the
    /// mark of a derived value. No time reaches that far.
    fn expiry_word(&self) -> u64 {
        let expiry = self.expires_ms.map_or(0, |at| at.saturating_add(1).min(DERIVED - 1));
        if self.derived { expiry | DERIVED } else { expiry }
    }

    fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.written_ms.to_le_bytes());
        hasher.update(&self.expiry_word().to_le_bytes());
        hasher.update(&self.bytes).finalize()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", crate::key::escape(&self.bytes))
    }
}

/// The first 128 bits of the hash of a key and its record: checksum and digest term in one.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct RecordHash(pub u128);

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

/// All that is known of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Every dot of this key the record has known.
    pub clock: VersionVector,
    /// The values alive, in order of their dots; each dot is covered by the clock.
    pub siblings: Vec<(Dot, Value)>,
}

/// What a write builds on.
#[derive(Clone, Debug, Default)]
pub struct Write<'a> {
    /// What its client saw: these dots are superseded.
    pub context: Option<&'a VersionVector>,
    /// The new value; `None` is a delete.
    pub value: Option<Value>,
}

impl Record {
    /// Whether the key has a value or had one that was deleted.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.clock.is_empty()
    }

    /// Whether it holds no value: a tombstone, or nothing at all.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.siblings.is_empty()
    }

    /// Applies a write under a fresh dot: supersedes what its context covers, keeps the rest.
    ///
    /// The caller holds every earlier dot of this actor for this key (rule 3 of the actors).
    #[must_use]
    pub fn write(&self, dot: Dot, write: Write<'_>) -> Self {
        let mut next = self.clone();
        if let Some(context) = write.context {
            next.siblings.retain(|(dot, _)| !context.covers(*dot));
            next.clock.join(context);
        }
        next.clock.add(dot);
        if let Some(value) = write.value {
            let at = next.siblings.partition_point(|(d, _)| *d < dot);
            next.siblings.insert(at, (dot, value));
        }
        next
    }

    /// Merges two copies. The second part lists dots that carry two different values: corruption.
    #[must_use]
    pub fn merge(&self, other: &Self) -> (Self, Vec<Dot>) {
        if other.is_absent() || self == other {
            return (self.clone(), Vec::new());
        }
        let (mut clashes, mut siblings) = (Vec::new(), Vec::new());
        let mut theirs = other.siblings.iter().peekable();
        let stays = |s: &&(Dot, Value), clock: &VersionVector| !clock.covers(s.0);
        for ours in &self.siblings {
            while let Some(new) = theirs.next_if(|s| s.0 < ours.0) {
                siblings.extend(Some(new).filter(|s| stays(s, &self.clock)).cloned());
            }
            match theirs.next_if(|s| s.0 == ours.0) {
                Some(same) if same.1 != ours.1 => {
                    clashes.push(ours.0);
                    let higher = same.1.hash().as_bytes() > ours.1.hash().as_bytes();
                    siblings.push(if higher { same.clone() } else { ours.clone() });
                }
                Some(_) => siblings.push(ours.clone()),
                None => siblings.extend(Some(ours).filter(|s| stays(s, &other.clock)).cloned()),
            }
        }
        siblings.extend(theirs.filter(|s| stays(s, &self.clock)).cloned());
        if planted::is(Bug::DropSibling) && siblings.len() > 1 {
            siblings.truncate(1);
        }
        let mut clock = self.clock.clone();
        clock.join(&other.clock);
        (Self { clock, siblings }, clashes)
    }

    /// The value under a dot.
    #[must_use]
    pub fn sibling(&self, dot: Dot) -> Option<&Value> {
        let at = self.siblings.binary_search_by_key(&dot, |s| s.0).ok()?;
        Some(&self.siblings[at].1)
    }

    /// The values a reader sees at `now_ms`: expired ones hidden, equal ones once unless one of them is
    /// derived, in order of dots.
    #[must_use]
    pub fn visible(&self, now_ms: u64) -> Vec<&(Dot, Value)> {
        let (mut seen, mut visible) = (BTreeSet::new(), Vec::new());
        for sibling in self.siblings.iter().filter(|s| s.1.is_live(now_ms)) {
            let (dot, value) = sibling;
            let own = value.derived.then_some(*dot);
            if seen.insert((value.bytes.as_slice(), value.expires_ms, own)) {
                visible.push(sibling);
            }
        }
        visible
    }

    /// The term of this record under its key.
    #[must_use]
    pub fn hash(&self, key: &Key) -> RecordHash {
        hash_of(key.as_bytes(), &self.encode(key)[HEAD_BYTES..])
    }

    /// The bytes a store keeps: term, format, flags, body.
    #[must_use]
    pub fn encode(&self, key: &Key) -> Vec<u8> {
        let values: usize = self.siblings.iter().map(|s| s.1.bytes.len() + 40).sum();
        let mut out = Vec::with_capacity(HEAD_BYTES + 4 + self.clock.entries().len() * 18 + values);
        out.extend([0; 16]);
        out.extend([FORMAT, 0]);
        put_varint(&mut out, self.clock.entries().len() as u64);
        for (actor, counter) in self.clock.entries() {
            out.extend(actor.0.to_le_bytes());
            put_varint(&mut out, *counter);
        }
        put_varint(&mut out, self.siblings.len() as u64);
        for (dot, value) in &self.siblings {
            out.extend(dot.actor.0.to_le_bytes());
            put_varint(&mut out, dot.counter);
            put_varint(&mut out, value.written_ms);
            put_varint(&mut out, value.expiry_word());
            put_varint(&mut out, value.bytes.len() as u64);
            out.extend(&value.bytes);
        }
        let term = hash_of(key.as_bytes(), &out[HEAD_BYTES..]);
        out[..16].copy_from_slice(&term.0.to_le_bytes());
        out
    }

    /// Reads stored bytes back, proving the checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a wrong checksum or form.
    pub fn decode(key: &[u8], stored: &[u8]) -> Result<Self> {
        check(key, stored)?;
        parse(stored)
    }
}

/// Reads stored bytes whose checksum was proven.
fn parse(stored: &[u8]) -> Result<Record> {
    let mut body = Reader(stored.get(HEAD_BYTES..).unwrap_or_default());
    let record = body.record().ok_or_else(|| damaged("is malformed"))?;
    if !body.0.is_empty() || record.siblings.iter().any(|s| !record.clock.covers(s.0)) {
        return Err(damaged("is malformed"));
    }
    Ok(record)
}

/// A record's stored bytes, cheap to clone. Its term may be unproven, see the constructors.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "ByteBuf", into = "ByteBuf")]
pub struct Stored(std::sync::Arc<[u8]>);

impl From<ByteBuf> for Stored {
    fn from(bytes: ByteBuf) -> Self {
        Self(bytes.into_vec().into())
    }
}

impl From<Stored> for ByteBuf {
    fn from(stored: Stored) -> Self {
        Self::from(stored.0.to_vec())
    }
}

impl Stored {
    /// The bytes of a record under its key.
    #[must_use]
    pub fn new(key: &Key, record: &Record) -> Self {
        Self(record.encode(key).into())
    }

    /// Takes raw bytes after proving their checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn proven(key: &[u8], bytes: &[u8]) -> Result<Self> {
        check(key, bytes)?;
        Ok(Self(bytes.into()))
    }

    /// Takes raw bytes as they are, unproven.
    #[must_use]
    pub fn unproven(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The raw bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The term the bytes carry.
    #[must_use]
    pub fn hash(&self) -> RecordHash {
        stored_hash(&self.0).unwrap_or(RecordHash(0))
    }

    /// Proves the checksum of bytes that came from elsewhere.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn prove(&self, key: &Key) -> Result<()> {
        check(key.as_bytes(), &self.0).map(drop)
    }

    /// The record. The checksum is not proven again: whoever took the bytes in has done it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for bytes of another form.
    pub fn record(&self, key: &Key) -> Result<Record> {
        parse(&self.0).map_err(|e| Error::Corrupt(format!("The key {key}: {e}")))
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.hash())
    }
}

/// Proves the checksum of stored bytes without reading their values.
///
/// # Errors
/// [`Error::Corrupt`] for a wrong checksum or head.
pub fn check(key: &[u8], stored: &[u8]) -> Result<RecordHash> {
    let term = stored_hash(stored).ok_or_else(|| damaged("is cut short"))?;
    if hash_of(key, &stored[HEAD_BYTES..]) != term {
        return Err(damaged("does not match its checksum"));
    }
    if stored[16] != FORMAT || stored[17] != 0 {
        // A newer build marks its whole file; an odd head in a file of ours is damage.
        return Err(damaged("has a damaged head"));
    }
    Ok(term)
}

/// The term that stored bytes claim, unproven; `None` when they are too short to hold one.
#[must_use]
pub fn stored_hash(stored: &[u8]) -> Option<RecordHash> {
    if stored.len() < HEAD_BYTES {
        return None;
    }
    stored.first_chunk::<16>().map(|t| RecordHash(u128::from_le_bytes(*t)))
}

fn damaged(why: &str) -> Error {
    Error::Corrupt(format!("A record {why}."))
}

fn hash_of(key: &[u8], body: &[u8]) -> RecordHash {
    let mut length = Vec::with_capacity(2);
    put_varint(&mut length, key.len() as u64);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length).update(key).update(body);
    let hash = hasher.finalize();
    RecordHash(u128::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes")))
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads a body from the front; `None` is any malformation.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn record(&mut self) -> Option<Record> {
        let count = self.count(9)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let dot = self.dot()?;
            entries.push((dot.actor, dot.counter));
        }
        let clock = VersionVector::from_entries(entries).ok()?;
        let count = self.count(12).filter(|count| *count <= SIBLINGS_READ_MAX)?;
        let mut siblings: Vec<(Dot, Value)> = Vec::with_capacity(count);
        for _ in 0..count {
            let dot = self.dot()?;
            if siblings.last().is_some_and(|last| last.0 >= dot) {
                return None;
            }
            siblings.push((dot, self.value()?));
        }
        Some(Record { clock, siblings })
    }

    fn dot(&mut self) -> Option<Dot> {
        let actor = self.take(8)?.try_into().ok()?;
        let counter = self.varint().filter(|counter| *counter > 0)?;
        Some(Dot { actor: Actor(u64::from_le_bytes(actor)), counter })
    }

    fn value(&mut self) -> Option<Value> {
        let written_ms = self.varint()?;
        let word = self.varint()?;
        let (expires_ms, derived) = ((word & !DERIVED).checked_sub(1), word & DERIVED != 0);
        let length = usize::try_from(self.varint()?).ok()?;
        Some(Value { bytes: self.take(length)?.to_vec(), written_ms, expires_ms, derived })
    }

    /// A count of items of at least `least` bytes each: never more than the bytes left can hold.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = usize::try_from(self.varint()?).ok()?;
        (count <= self.0.len() / least).then_some(count)
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                return None;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
