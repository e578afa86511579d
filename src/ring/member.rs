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

use super::NAME_BYTES_MAX;
use crate::error::{Error, Result};

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
pub enum MemberState {
    /// Filling its share; votes on nothing.
    Joining,
    /// In full service.
    Normal,
    /// Handing its share over; still votes.
    Leaving,
    /// Gone for good: never asked, never believed.
    Removed,
}

impl fmt::Display for MemberState {
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
    pub state: MemberState,
    /// Its X25519 public key: a peer may speak only for itself.
    #[serde(with = "public_key")]
    pub public_key: [u8; 32],
}

/// Names of files that kvs keeps beside the directories of members, or in them.
const TAKEN: [&str; 6] = ["node.yaml", "peers.yaml", "data.mdb", "lock.mdb", "kvs.id", "kvs.lock"];

/// Whether a member that comes to a ring may be called so. A name is an argument, an entry of a list
/// (`--down n1,n2`), a word of a printed hint and a directory. A member that is there already keeps the
/// name that an older build let it have.
///
/// # Errors
/// [`Error::Usage`] saying what a name is made of. Nothing was tried.
pub fn check_new_name(name: &str) -> Result<()> {
    let wrong = |why: &str| {
        let shown: String = name.chars().take(64).collect();
        let text =
            format!("{shown:?} is not a valid name for a new member: {why}; nothing was changed.");
        Err(Error::Usage(text))
    };
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        return wrong(&format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    if !name.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return wrong("a name begins with a letter, a digit or _");
    }
    if !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return wrong("a name may contain only letters, digits, . _ and -");
    }
    // The key of a node that is to be is beside its directory, as the ring's is: n1.key, ring.key.
    if TAKEN.contains(&name) || name.ends_with(".key") {
        return wrong("kvs uses that name for a file of its own");
    }
    Ok(())
}

impl Member {
    /// Whether a member that comes to a ring is called, and stands in a zone, as one may.
    ///
    /// # Errors
    /// [`Error::Usage`] as [`check_new_name`].
    pub(super) fn check_new(&self) -> Result<()> {
        if self.zone.is_empty() || self.zone.contains(|c: char| c.is_control() || c == ',') {
            let text = format!("{:?} is not a valid zone name; nothing was changed.", self.zone);
            return Err(Error::Usage(text));
        }
        check_new_name(&self.name)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Q;
    use crate::ring::{Change, RingDoc};

    fn member(i: u8, name: &str) -> Member {
        let (id, zone, state) = (NodeId(u64::from(i)), "default".into(), MemberState::Normal);
        Member { id, name: name.into(), zone, weight: 1, state, public_key: [i; 32] }
    }

    #[test]
    fn a_member_keeps_the_odd_name_it_has() {
        let q = Q::new(16).expect("sixteen");
        let odd = |name| RingDoc::first(RingId(7), q, 1, vec![member(1, "n1"), member(2, name)]);
        assert!(matches!(odd("-x"), Err(Error::Usage(_))));
        let mut doc = odd("n2").expect("a ring");
        doc.members[1].name = "-x".into();
        let doc = RingDoc::decode(&doc.encode()).expect("a document of an older build");
        let odd = member(3, "-x");
        assert!(doc.change(&[Change::Join(member(3, "n3"))]).is_ok());
        assert!(doc.change(&[Change::Replace(odd.clone())]).is_ok());
        let doc = doc.mark_removed("-x").expect("the same without it");
        assert!(matches!(doc.change(&[Change::Join(odd)]), Err(Error::Usage(_))));
    }

    #[test]
    fn a_new_name_can_be_typed_listed_and_be_a_directory() {
        for good in ["n1", "_", "9", "db-1.example.org", "größe", &"n".repeat(NAME_BYTES_MAX)] {
            assert!(check_new_name(good).is_ok(), "{good}");
        }
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "",
            ".",
            "..",
            ".n",
            "-x",
            "a,b",
            "a/b",
            "../x",
            "a b",
            "a\nb",
            "a:b",
            "a=b",
            "a\u{202e}b",
            "ring.key",
            "n1.key",
            "peers.yaml",
            &long,
        ] {
            let told = check_new_name(bad).expect_err("no name");
            assert!(matches!(told, Error::Usage(_)), "{bad:?}");
            assert!(!told.to_string().contains('\n'), "{bad:?}");
        }
    }
}
