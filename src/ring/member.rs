//! Who a member is: identity, name, zone, weight, state, public key.
//!
//! ```text
//! id 64 random bits, for ever | name "n1", unique among those present | zone "a" | weight 1
//! joining -> normal -> leaving -> removed
//! ```
//!
//! Addresses and actors are not here: they are the node's own news.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identity of a ring, drawn at `init`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId(pub u128);

/// Identity of a member, drawn when its directory is made. It outlives names, addresses and actors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// What a public key is hashed under to give an identity.
const OF_KEY: &str = "kvs 1 identity of a node by its public key";

impl NodeId {
    /// The identity of a node whose key was made before its ring was known: whoever has the public
    /// key knows it.
    #[must_use]
    pub fn of_key(public: &[u8; 32]) -> Self {
        let hash = blake3::derive_key(OF_KEY, public);
        Self(u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes")))
    }
}

/// Identities are hexadecimal for people and in YAML, numbers on the wire.
macro_rules! hex {
    ($($t:ident $n:ident $w:literal),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $w, "x}"), self.0)
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.to_string().split_at(4).0)
            }
        }
        impl Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                if !d.is_human_readable() {
                    return $n::deserialize(d).map(Self);
                }
                let text = String::deserialize(d)?;
                $n::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
hex!(RingId u128 "32", NodeId u64 "16");

/// The place of a member in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Filling its share; votes on nothing.
    Joining,
    /// In full service.
    Normal,
    /// Handing its share over; still votes.
    Leaving,
    /// Gone for good: never asked, never believed.
    Removed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joining => "joining",
            Self::Normal => "normal",
            Self::Leaving => "leaving",
            Self::Removed => "removed",
        })
    }
}

/// One member of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Identity.
    pub id: NodeId,
    /// What people call it; unique among those not removed.
    pub name: String,
    /// Its failure zone: replicas go to distinct zones where there are enough.
    pub zone: String,
    /// Its share of the data relative to others, 1 or more.
    pub weight: u32,
    /// Its place in life.
    pub state: State,
    /// Its X25519 public key: a peer may speak only for itself.
    #[serde(with = "public_key")]
    pub public_key: [u8; 32],
}

/// A public key is URL-safe base64 in YAML, 32 bytes on the wire.
mod public_key {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(key: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        match s.is_human_readable() {
            true => s.collect_str(&URL_SAFE_NO_PAD.encode(key)),
            false => key.serialize(s),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        if !d.is_human_readable() {
            return <[u8; 32]>::deserialize(d);
        }
        let bytes = URL_SAFE_NO_PAD.decode(String::deserialize(d)?).map_err(D::Error::custom)?;
        bytes.try_into().map_err(|_| D::Error::custom("a public key has 32 bytes"))
    }
}
