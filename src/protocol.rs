//! What nodes send each other: messages, their bytes, and the one place where they are decoded.
//!
//! Every message names its ring, the version of the ring document its sender acts under, and the sender's
//! operation, which a reply repeats. The bytes are postcard's (varints, fields in order); the first byte is
//! the wire version. Records travel as stored bytes and are checked against their hash when read.
//!
//! ```text
//! 02 | ring | version | op | number of the body's variant, its fields
//! ```
//!
//! A build speaks its own wire version and the one before. Two that meet speak the highest they share;
//! [`Message::encode`] writes nothing that the other cannot read. Whatever arrives is checked once:
//! [`Message::decode`] knows shapes and bounds, [`Message::check`] what is possible in a ring.
//!
//! What is not here: sockets, frames, encryption (`serve`), or what a message *means* (`node`). A responder
//! keeps no state between messages of a sync; the initiator drives it.
//! Caveat: a reader must bound the bytes before it calls [`Message::decode`].

mod body;
mod check;
mod limits;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use self::body::{Ballot, Body, BodyKind, FilePoint, Scope};
pub use self::check::{at_most, refused, within};
pub use self::limits::*;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::planted;
use crate::quorum::{Item, Precondition, PutRequest};
use crate::record::Stored;
use crate::ring::RingId;

/// The wire version this build speaks.
pub const WIRE: u8 = 2;
/// The lowest wire version it speaks too.
pub const WIRE_LOWEST: u8 = 1;

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The ring of the sender.
    pub ring: RingId,
    /// The version of the ring document the sender acts under.
    pub version: u64,
    /// The sender's operation; a reply repeats it.
    pub op: u64,
    /// What it says.
    pub body: Body,
}

impl Message {
    /// The bytes of a message for a peer that speaks this wire version, in its words; none if it has
    /// none for it, so that it is not to be sent.
    #[must_use]
    pub fn encode(&self, wire: u8) -> Option<Vec<u8>> {
        debug_assert!(
            (WIRE_LOWEST..=planted::wire(WIRE)).contains(&wire),
            "a wire version that both ends speak"
        );
        let body = self.body.for_wire(wire)?;
        debug_assert!(body.since() <= wire, "a peer is sent only variants that it can read");
        let bytes = match body {
            Cow::Borrowed(_) => postcard::to_extend(self, vec![wire]),
            Cow::Owned(body) => postcard::to_extend(&Self { body, ..*self }, vec![wire]),
        };
        Some(bytes.expect("a message has nothing that cannot be encoded"))
    }

    /// Reads a message and proves the records in it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for bytes that are not a message or pass a bound, [`Error::Usage`] for
    /// another version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (version, body) =
            bytes.split_first().ok_or_else(|| Error::Corrupt("A message is empty.".into()))?;
        let highest = planted::wire(WIRE);
        if !(WIRE_LOWEST..=highest).contains(version) {
            return Err(Error::Usage(format!(
                "A message has wire version {version}, not {WIRE_LOWEST} to {highest}."
            )));
        }
        let (message, rest) = postcard::take_from_bytes::<Self>(body)
            .map_err(|e| Error::Corrupt(format!("A message cannot be read: {e}.")))?;
        if !rest.is_empty() {
            return Err(Error::Corrupt("A message has bytes beyond its end.".into()));
        }
        if message.body.since() > *version {
            return Err(Error::Corrupt(
                "A message has content that its version does not support.".into(),
            ));
        }
        message.body.prove()?;
        debug_assert!(
            matches!(message.body.for_wire(*version), Some(Cow::Borrowed(_))),
            "what was read could have been written in this version"
        );
        Ok(message)
    }
}

impl PutRequest {
    /// The wire version that brought what it says.
    #[must_use]
    pub fn since(&self) -> u8 {
        let since = |item: &Item| match item.basis {
            Precondition::Context(_)
            | Precondition::Overwrite { .. }
            | Precondition::Blind
            | Precondition::Append
            | Precondition::Absent => 1,
            Precondition::Exact(_) => 2,
        };
        self.items.iter().map(since).max().unwrap_or(1)
    }
}

impl Body {
    /// Takes from a request's time what it has been under way, in ms.
    pub fn age(&mut self, ms: u64) {
        if let Self::Put(request) = self {
            request.options.age(ms);
        }
    }

    /// The wire version that brought it: no peer of an older one is sent it.
    #[must_use]
    pub fn since(&self) -> u8 {
        match self {
            Self::Put(request) => request.since(),
            Self::Hello { .. }
            | Self::Seen { .. }
            | Self::PutDone(_)
            | Self::NotMine(_)
            | Self::Read(_)
            | Self::Answers(_)
            | Self::Write { .. }
            | Self::Stored { .. }
            | Self::NotStored(_)
            | Self::Page { .. }
            | Self::Paged { .. }
            | Self::Fullness(_)
            | Self::Filling(_)
            | Self::Sums { .. }
            | Self::Differ(_)
            | Self::List(_)
            | Self::Listing(_)
            | Self::Prepare(_)
            | Self::Promise(_)
            | Self::Accept(..)
            | Self::Accepted
            | Self::Rejected(_)
            | Self::Muted
            | Self::Chosen(_)
            | Self::WantRing
            | Self::Barrier
            | Self::Cleared { .. }
            | Self::Fill
            | Self::Deliver
            | Self::Gossip { .. } => 1,
            Self::Replicate { .. }
            | Self::Greet { .. }
            | Self::Met { .. }
            | Self::Copies { .. } => 2,
        }
    }

    /// What is said to a peer of this wire version: itself, or what comes nearest in the words that the
    /// peer has; none where nothing does.
    fn for_wire(&self, wire: u8) -> Option<Cow<'_, Self>> {
        if self.since() <= wire {
            return Some(Cow::Borrowed(self));
        }
        match self {
            // A peer of version 1 is no witness of commits.
            Self::Replicate { records, hint_for, .. } => {
                let (records, hint_for) = (records.clone(), *hint_for);
                Some(Cow::Owned(Self::Write { records, hint_for }))
            }
            Self::Greet { actor, counter, .. } => {
                Some(Cow::Owned(Self::Hello { actor: *actor, counter: *counter }))
            }
            Self::Copies { answers, .. } => Some(Cow::Owned(Self::Answers(answers.clone()))),
            _ => None,
        }
    }

    fn prove(&self) -> Result<()> {
        let prove = |key: &Key, stored: &Stored| {
            stored.prove(key).and_then(|()| stored.record(key).map(drop))
        };
        match self {
            Self::Write { records, .. } | Self::Replicate { records, .. } => {
                records.iter().try_for_each(|(key, stored)| prove(key, stored))
            }
            Self::Paged { records, .. } => records.iter().try_for_each(|(key, stored)| {
                stored.as_ref().map_or(Ok(()), |stored| prove(key, stored))
            }),
            // An answer comes without its key, and is checked by the node that asked; a document is held
            // against the ring's.
            _ => Ok(()),
        }
    }
}
