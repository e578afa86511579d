//! Keys and where they stand on the ring.
//!
//! The ring is the circle of 64-bit positions, cut into Q equal partitions. A key's position is a
//! hash of its bytes, so a key never moves on the circle; only the owners of its partition change.
//!
//! ```text
//! key "cart:42" -> BLAKE3 -> first 8 bytes, big endian -> position 0x9c41…
//!
//!   9c41… = 1001 1100 01|00 0001 …      Q = 1024: the first 10 bits name partition 625,
//!           partition 625| leaf 4       the next 8 bits name one of its 256 leaves
//! ```
//!
//! It does not know owners (see `ring`) or records. Caveat: Q is for ever; it is written into every
//! file of a ring.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::{Error, Result, word};

/// The longest key, in bytes: with the two bytes of the partition it fits LMDB's 511.
pub const KEY_BYTES_MAX: usize = 500;
/// The fewest partitions of a ring.
pub const PARTITIONS_MIN: u32 = 8;
/// The most partitions of a ring: a partition is two bytes.
pub const PARTITIONS_MAX: u32 = 65_536;
/// Leaves of the digest in one partition.
pub const LEAVES: usize = 256;

/// A user's key: 1 to 500 bytes of anything. Cheap to clone, and hashed once: it carries its position.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "ByteBuf", into = "ByteBuf")]
pub struct Key {
    bytes: Arc<[u8]>,
    position: Position,
}

impl Key {
    /// Takes the bytes as a key.
    ///
    /// # Errors
    /// [`Error::Usage`] for an empty key or one of more than [`KEY_BYTES_MAX`] bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(Error::Usage("A key is empty; keys have 1 to 500 bytes.".into()));
        }
        if bytes.len() > KEY_BYTES_MAX {
            let n = bytes.len();
            return Err(Error::Usage(format!("A key has {n} bytes; keys have 1 to 500.")));
        }
        Ok(Self { bytes: bytes.into(), position: Position::of(bytes) })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key as an argument of a command that is to be pasted into a shell: it names this key
    /// and no other. One that is no plain text is escaped, with the flag that says so.
    #[must_use]
    pub fn argument(&self) -> String {
        let text = std::str::from_utf8(&self.bytes).ok().filter(|t| !t.contains(char::is_control));
        match text.filter(|t| !t.starts_with('-')) {
            Some(text) => word(text),
            None => {
                let escaped = escape(&self.bytes);
                let escaped = match escaped.strip_prefix('-') {
                    Some(rest) => format!("\\x2d{rest}"),
                    None => escaped,
                };
                format!("--escaped {}", word(escaped))
            }
        }
    }

    /// Where the key stands on the circle.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }
}

impl TryFrom<ByteBuf> for Key {
    type Error = Error;
    fn try_from(bytes: ByteBuf) -> Result<Self> {
        Self::new(bytes)
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Self {
        key.bytes.to_vec()
    }
}

impl From<Key> for ByteBuf {
    fn from(key: Key) -> Self {
        Self::from(key.bytes.to_vec())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", escape(&self.bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Bytes as text for people: valid UTF-8 as it is, control characters and the rest as `\xNN`.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The bytes that [`escape`] has made text of.
///
/// # Errors
/// [`Error::Usage`] for a backslash that begins nothing known.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>> {
    let wrong = || {
        Error::Usage(
            "A backslash in an escaped key begins \\\\, \\n, \\r, \\t, \\xNN or \\u{N}; nothing was tried."
                .into(),
        )
    };
    let hex = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| plain)
    };
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [kind, after @ ..] = rest else { return Err(wrong()) };
        rest = after;
        match kind {
            b'\\' | b'\'' | b'"' => bytes.push(*kind),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'x' => {
                let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
                bytes.push(hex(digits).ok_or_else(wrong)? as u8);
                rest = after;
            }
            b'u' => {
                let end = rest.iter().position(|b| *b == b'}').ok_or_else(wrong)?;
                let digits = rest[..end].strip_prefix(b"{").ok_or_else(wrong)?;
                let c = hex(digits).and_then(char::from_u32).ok_or_else(wrong)?;
                bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[end + 1..];
            }
            _ => return Err(wrong()),
        }
    }
    Ok(bytes)
}

/// A point on the circle: the first 64 bits of BLAKE3 of a key, big endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position of a key's bytes.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let hash = blake3::hash(key);
        let (first, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
        Self(u64::from_be_bytes(*first))
    }

    /// The partition this point lies in, on a ring of `q` partitions.
    #[must_use]
    pub fn partition(self, q: Q) -> Partition {
        Partition((self.0 >> (64 - q.bits())) as u16)
    }

    /// The leaf of the partition's digest this point lies in: the eight bits after the partition's.
    #[must_use]
    pub fn leaf(self, q: Q) -> u8 {
        (self.0 >> (56 - q.bits())) as u8
    }
}

/// One of the Q equal arcs of the circle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition(pub u16);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// How many partitions a ring has: a power of two, 8 to 65536, fixed for the life of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Q(u8);

impl Q {
    /// Takes a number of partitions.
    ///
    /// # Errors
    /// [`Error::Usage`] unless it is a power of two from 8 to 65536.
    pub fn new(partitions: u32) -> Result<Self> {
        if !partitions.is_power_of_two() || !(PARTITIONS_MIN..=PARTITIONS_MAX).contains(&partitions)
        {
            return Err(Error::Usage(format!(
                "{partitions} partitions is not a power of two from 8 to 65536; the ring is not made."
            )));
        }
        Ok(Self(partitions.trailing_zeros() as u8))
    }

    /// The number of partitions.
    #[must_use]
    pub fn count(self) -> u32 {
        1 << self.0
    }

    /// The number of bits that name a partition, 3 to 16.
    #[must_use]
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// All partitions in order of the circle.
    pub fn all(self) -> impl Iterator<Item = Partition> {
        (0..self.count()).map(|p| Partition(p as u16))
    }

    /// The partition of a key.
    #[must_use]
    pub fn partition(self, key: &Key) -> Partition {
        key.position().partition(self)
    }
}

impl TryFrom<u32> for Q {
    type Error = Error;
    fn try_from(partitions: u32) -> Result<Self> {
        Self::new(partitions)
    }
}

impl From<Q> for u32 {
    fn from(q: Q) -> Self {
        q.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_and_leaf_are_adjacent_bits() {
        let q = Q::new(1024).unwrap();
        let p = Position(0b10_0111_0001_0000_0100 << 46);
        assert_eq!(p.partition(q), Partition(0b10_0111_0001));
        assert_eq!(p.leaf(q), 0b0000_0100);
        assert_eq!(Position(u64::MAX).partition(Q::new(65_536).unwrap()), Partition(u16::MAX));
    }

    #[test]
    fn bad_sizes_are_refused() {
        assert!(Key::new("").is_err() && Key::new(vec![0; 501]).is_err());
        assert!(Key::new(vec![0; 500]).is_ok());
        assert!([0, 4, 1000, 131_072].iter().all(|q| Q::new(*q).is_err()));
    }

    #[test]
    fn keys_are_shown_escaped() {
        assert_eq!(escape(b"a\\b\nc\xffz"), "a\\\\b\\nc\\xffz");
        assert_eq!(escape("é".as_bytes()), "é");
    }
}
