//! What travels over an open channel: messages between nodes, requests of a client, responses.
//!
//! ```text
//! dialler  -> Hello { ring, wire versions, who }    in the handshake's first packet
//! answerer -> Hello                                 in its second
//! answerer -> Welcome | Refused(why)                the first frame once the handshake is done
//! then, both ways and pipelined:
//! node    -> Message(..)                            from peer to peer
//! client  -> Request(7, Get k)   node -> Response(7, Busy) … Response(7, Reply(..))
//! either  -> Beat                                   silence is taken for death
//! ```
//!
//! The first byte of a frame says which it is; postcard's bytes follow, for a message after its wire version.
//!
//! A client holds the ring's key and is no member: it may read, write, plan and ask, never speak for a node.
//! It does not say what the frames mean: `node`, `store` and `gossip` do. Caveat: the results of queries to a
//! file (`StoreQuery`) carry records unchecked, as a file's own reader finds them.

mod check;

use serde::{Deserialize, Serialize};

use super::Load;
use crate::bounded::{self, some_text, text};
use crate::digest::Sum;
use crate::error::{Error, Result};
use crate::gossip::{GossipRow, ROWS_MAX};
use crate::key::{Key, LEAVES, Partition};
use crate::node::{Reply, Request, Transfer};
use crate::protocol::{Message, PARTITIONS_LISTED_MAX, WIRE, WIRE_LOWEST};
use crate::ring::{NodeId, RingDoc, RingId};
use crate::store::{BadHints, Hint, HintStats, Stored, Table};

/// What each side says of itself in the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The ring it belongs to; a client that does not know it yet says none.
    pub ring: Option<RingId>,
    /// The lowest wire version it speaks.
    pub lowest: u8,
    /// The highest.
    pub highest: u8,
    /// The node it speaks for; a client speaks for none. Believed only if the static key is its.
    pub node: Option<NodeId>,
    /// Which process of that node: random bits, drawn when it starts. Two at once are one too many.
    pub run: u64,
}

impl Hello {
    /// A hello of this build.
    #[must_use]
    pub fn new(ring: Option<RingId>, node: Option<NodeId>) -> Self {
        Self { ring, lowest: WIRE_LOWEST, highest: crate::planted::wire(WIRE), node, run: 0 }
    }

    /// The wire version both sides speak, the highest there is.
    #[must_use]
    pub fn version_with(&self, other: &Self) -> Option<u8> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }
}

/// The number under which a client asks, of its own choosing: responses repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

impl RequestId {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One frame of an open channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The other side may speak: as a peer, if it is a member.
    Welcome {
        /// Whether it is taken for the member it says it is.
        peer: bool,
    },
    /// It may not; the channel is closed after this.
    Refused(Fault),
    /// I am here.
    Beat,
    /// From node to node.
    Message(Box<Message>),
    /// A client asks under a number of its own.
    Request(RequestId, Box<ClientRequest>),
    /// The answer to that number; more may follow after [`ClientResponse::Busy`].
    Response(RequestId, Box<ClientResponse>),
}

/// A client's question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClientRequest {
    /// To the node's state machine.
    Node(Request),
    /// To its file, read only.
    File(StoreQuery),
    /// Its ring document.
    Ring,
    /// Who it is and how it is.
    Info,
    /// What it has heard of all members.
    Members,
    /// What it is moving now.
    Transfers,
    /// Take no more clients and keep nothing more for others (true), or again (false).
    Drain(bool),
    /// Finish and stop.
    Stop,
    /// How much it has to do.
    Load,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClientResponse {
    /// Still at work on it: sent every second, so that silence means death.
    Busy,
    /// Of the state machine.
    Reply(Reply),
    /// Of the file.
    File(StoreResult),
    /// The document.
    Ring(Box<RingDoc>),
    /// How it is.
    Info(Box<Info>),
    /// One row per member heard of.
    Members(#[serde(deserialize_with = "bounded::at_most::<_, _, ROWS_MAX>")] Vec<MemberView>),
    /// What is under way.
    Transfers(Vec<Transfer>),
    /// It is done.
    Done,
    /// It could not be answered.
    Fault(Fault),
    /// What it has counted since its start.
    Load(Box<Load>),
}

/// A question to a node's file: the reading half of [`crate::store::Store`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreQuery {
    /// A record, proven by the node.
    Get(Partition, Key),
    /// Raw records after a key, until they fill a page.
    Visit(Partition, Option<Vec<u8>>),
    /// The sums of all partitions.
    Sums,
    /// One partition's sum.
    Sum(Partition),
    /// Its leaves that are not empty.
    Leaves(Partition),
    /// Hints after one, up to this number.
    Hints(Option<(NodeId, Partition, Key)>, u32),
    /// How many there are.
    HintStats,
    /// Those of one key.
    HintsOf(Partition, Key),
    /// Keys listed as bad.
    Bad,
    /// A row.
    Row(Table, String),
    /// Rows whose names begin so.
    Rows(Table, String),
    /// Bytes of all tables, and the number of the last commit.
    Size,
    /// What reading all hints finds wrong.
    BadHints,
    /// Whether what all else hangs on is whole.
    Base,
}

/// The answer to a [`StoreQuery`], in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreResult {
    /// Of `Get`.
    Record(Option<Stored>),
    /// Of `Visit`: raw keys and records, and whether the partition ends here.
    Page(Vec<(serde_bytes::ByteBuf, serde_bytes::ByteBuf)>, bool),
    /// Of `Sums`.
    Sums(
        #[serde(deserialize_with = "bounded::at_most::<_, _, PARTITIONS_LISTED_MAX>")]
        Vec<(Partition, Sum)>,
    ),
    /// Of `Sum`.
    Sum(Sum),
    /// Of `Leaves`.
    Leaves(#[serde(deserialize_with = "bounded::at_most::<_, _, LEAVES>")] Vec<(u8, Sum)>),
    /// Of `Hints` and `HintsOf`.
    Hints(Vec<Hint>),
    /// Of `HintStats`.
    HintStats(HintStats),
    /// Of `Bad`.
    Bad(Vec<(Partition, Vec<u8>)>),
    /// Of `Row`.
    Row(Option<Vec<u8>>),
    /// Of `Rows`.
    Rows(Vec<(String, Vec<u8>)>),
    /// Of `Size`.
    Size(u64, u64),
    /// Of `BadHints`.
    BadHints(BadHints),
    /// Of `Base`: it is.
    Base,
}

/// How a running node is, beyond the status of its state machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its version of kvs.
    #[serde(deserialize_with = "text")]
    pub build: String,
    /// Its process.
    pub pid: u32,
    /// The directory it serves, as its own machine names it.
    #[serde(deserialize_with = "text")]
    pub dir: String,
    /// Where it listens.
    #[serde(deserialize_with = "text")]
    pub address: String,
    /// Where its figures can be read, if anywhere.
    #[serde(deserialize_with = "some_text")]
    pub metrics: Option<String>,
    /// For how long it has run, in s.
    pub uptime_s: u64,
    /// Bytes of its tables.
    pub bytes: u64,
    /// Its last commit failed for want of room.
    pub full: bool,
    /// It takes no more clients.
    pub draining: bool,
    /// It has not yet heard enough others to act.
    pub waiting: bool,
    /// Requests of clients under way.
    pub requests: u64,
    /// Links to peers that are up.
    pub links: u64,
    /// Clients connected.
    pub clients: u64,
    /// Completed rounds of anti-entropy since it started.
    pub rounds: u64,
    /// Its wall clock, ms since 1970.
    pub wall_ms: u64,
}

/// What a node knows of a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberView {
    /// What was heard, if anything was.
    pub row: GossipRow,
    /// Whether it is taken to be up.
    pub up: bool,
    /// How suspect its silence is: 1 is one chance in ten that it is alive, 8 one in 10^8.
    pub phi: f64,
    /// For how long nothing new was heard of it, in ms.
    pub silent_ms: u64,
}

/// An error as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    kind: FaultKind,
    #[serde(deserialize_with = "text")]
    text: String,
    #[serde(deserialize_with = "hints")]
    hints: Vec<String>,
}

/// Hints are texts, and few.
fn hints<'de, D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Text(#[serde(deserialize_with = "text")] String);
    let texts = bounded::at_most::<D, Text, 16>(d)?;
    Ok(texts.into_iter().map(|text| text.0).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum FaultKind {
    Usage,
    Conflict,
    Refused,
    Unknown,
    Unreachable,
    Partial,
    Corrupt,
    Busy,
    Denied,
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        let mut hints = Vec::new();
        let mut inner = error;
        while let Error::Hinted { error, hint } = inner {
            hints.push(hint.clone());
            inner = error;
        }
        let kind = match inner {
            Error::Usage(_) => FaultKind::Usage,
            Error::Conflict(_) => FaultKind::Conflict,
            Error::Refused(_) => FaultKind::Refused,
            Error::Unknown(_) => FaultKind::Unknown,
            Error::Unreachable(_) => FaultKind::Unreachable,
            Error::Partial(_) => FaultKind::Partial,
            Error::Busy(_) => FaultKind::Busy,
            Error::Denied(_) => FaultKind::Denied,
            Error::Corrupt(_) | Error::Io { .. } | Error::Hinted { .. } => FaultKind::Corrupt,
        };
        Self { kind, text: inner.to_string(), hints }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let text = fault.text;
        let error = match fault.kind {
            FaultKind::Usage => Self::Usage(text),
            FaultKind::Conflict => Self::Conflict(text),
            FaultKind::Refused => Self::Refused(text),
            FaultKind::Unknown => Self::Unknown(text),
            FaultKind::Unreachable => Self::Unreachable(text),
            FaultKind::Partial => Self::Partial(text),
            FaultKind::Corrupt => Self::Corrupt(text),
            FaultKind::Busy => Self::Busy(text),
            FaultKind::Denied => Self::Denied(text),
        };
        fault.hints.into_iter().rev().fold(error, Self::hint)
    }
}

/// The first byte of a frame.
const WELCOME: u8 = 0;
const REFUSED: u8 = 1;
const BEAT: u8 = 2;
const MESSAGE: u8 = 3;
const REQUEST: u8 = 4;
const RESPONSE: u8 = 5;

impl Frame {
    /// The bytes of a frame for one that speaks this wire version; none if it has no word for it,
    /// so that it is not to be sent.
    #[must_use]
    pub fn encode_for(&self, wire: u8) -> Option<Vec<u8>> {
        let bytes = match self {
            Self::Welcome { peer } => vec![WELCOME, u8::from(*peer)],
            Self::Refused(fault) => pack(REFUSED, fault),
            Self::Beat => vec![BEAT],
            Self::Message(message) => {
                let mut bytes = vec![MESSAGE];
                bytes.extend(message.encode(wire)?);
                bytes
            }
            Self::Request(_, request) if request.since() > wire => return None,
            Self::Response(_, response) if response.since() > wire => return None,
            Self::Request(id, request) => pack(REQUEST, &(id, request)),
            Self::Response(id, response) => pack(RESPONSE, &(id, response)),
        };
        debug_assert_eq!(bytes.first(), Some(&self.kind()), "the first byte says what follows");
        Some(bytes)
    }

    /// The first byte of its encoding.
    fn kind(&self) -> u8 {
        match self {
            Self::Welcome { .. } => WELCOME,
            Self::Refused(_) => REFUSED,
            Self::Beat => BEAT,
            Self::Message(_) => MESSAGE,
            Self::Request(..) => REQUEST,
            Self::Response(..) => RESPONSE,
        }
    }

    /// The bytes of a frame for one that speaks this build's wire version.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_for(WIRE).expect("this build has a word for everything it says")
    }

    /// Reads a frame; the records of a message and the ring documents of an answer are proven. What is
    /// asked or said is held against the ring's own document before anything is done, see
    /// [`ClientRequest::check`] and [`Message::check`].
    ///
    /// # Errors
    /// [`Error::Corrupt`] for bytes that are none, [`Error::Usage`] for a wire version not spoken.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (kind, rest) =
            bytes.split_first().ok_or_else(|| Error::Corrupt("A frame is empty.".into()))?;
        let frame = match *kind {
            WELCOME => Self::Welcome { peer: rest.first() == Some(&1) },
            REFUSED => Self::Refused(unpack(rest)?),
            BEAT => Self::Beat,
            MESSAGE => Self::Message(Box::new(Message::decode(rest)?)),
            REQUEST => {
                let (id, request) = unpack(rest)?;
                Self::Request(id, Box::new(request))
            }
            RESPONSE => {
                let (id, response) = unpack(rest)?;
                match &response {
                    ClientResponse::Ring(doc) => doc.check()?,
                    ClientResponse::Reply(Reply::Ring(doc, _)) => doc.check()?,
                    _ => {}
                }
                Self::Response(id, Box::new(response))
            }
            other => return Err(Error::Corrupt(format!("A frame is of no kind known: {other}."))),
        };
        debug_assert_eq!(frame.kind(), *kind, "decode knows the kinds that encode writes");
        Ok(frame)
    }
}

fn pack<T: Serialize>(kind: u8, value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![kind]).expect("a frame has nothing that cannot be encoded")
}

fn unpack<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Error::Corrupt("A frame has bytes beyond its end.".into())),
        Err(e) => Err(Error::Corrupt(format!("A frame cannot be read: {e}."))),
    }
}

#[cfg(test)]
mod tests;
