//! What a client may ask and a node may answer in a ring, and in which wire version.
//!
//! The shapes were checked when the bytes were read. A node holds a request against its ring before anything
//! is done for it; a client holds a response against the ring it knows before it is used.

use super::{ClientRequest, ClientResponse, StoreQuery, StoreResult};
use crate::error::{Error, Result};
use crate::key::{KEY_BYTES_MAX, Partition};
use crate::node::{Reply, Request};
use crate::protocol::{at_most, within};
use crate::ring::RingDoc;

impl ClientRequest {
    /// The wire version that brought it: no node of an older one is asked it.
    #[must_use]
    pub fn since(&self) -> u8 {
        match self {
            Self::Node(Request::Put(request)) => request.since(),
            Self::Node(Request::AcceptLoss(_) | Request::DropBadHints(_) | Request::Scrub(_))
            | Self::File(StoreQuery::BadHints | StoreQuery::Base) => 2,
            Self::Node(_)
            | Self::File(_)
            | Self::Ring
            | Self::Info
            | Self::Members
            | Self::Transfers
            | Self::Drain(_)
            | Self::Stop
            | Self::Load => 1,
        }
    }

    /// Whether a node of the ring of this document can be asked so.
    ///
    /// # Errors
    /// [`Error::Denied`] naming what is beyond its bounds. Nothing was tried.
    pub fn check(&self, doc: &RingDoc) -> Result<()> {
        match self {
            Self::Node(request) => request.check(doc),
            Self::File(look) => look.check(doc),
            Self::Ring
            | Self::Info
            | Self::Members
            | Self::Transfers
            | Self::Drain(_)
            | Self::Stop
            | Self::Load => Ok(()),
        }
    }
}

impl ClientResponse {
    /// Whether a node of the ring of this document can say so.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming what cannot be.
    pub fn check(&self, doc: &RingDoc) -> Result<()> {
        let all = |partitions: Vec<Partition>| {
            within(&partitions, doc.q).map_err(|e| Error::Corrupt(format!("A node's answer: {e}")))
        };
        match self {
            Self::File(StoreResult::Sums(sums)) => all(sums.iter().map(|s| s.0).collect()),
            Self::File(StoreResult::Hints(hints)) => {
                hints.iter().try_for_each(|hint| all(vec![hint.partition]))
            }
            Self::File(StoreResult::Bad(bad)) => bad.iter().try_for_each(|b| all(vec![b.0])),
            Self::Reply(Reply::Repair(report)) => all(report.filling.clone()),
            _ => Ok(()),
        }
    }

    /// The wire version that brought it: no client of an older one is told it.
    #[must_use]
    pub fn since(&self) -> u8 {
        match self {
            Self::Reply(Reply::Scrub { .. } | Reply::Refused(_)) => 2,
            Self::File(StoreResult::BadHints(_) | StoreResult::Base) => 2,
            Self::Busy
            | Self::Reply(_)
            | Self::File(_)
            | Self::Ring(_)
            | Self::Info(_)
            | Self::Members(_)
            | Self::Transfers(_)
            | Self::Done
            | Self::Fault(_)
            | Self::Load(_) => 1,
        }
    }
}

impl StoreQuery {
    fn check(&self, doc: &RingDoc) -> Result<()> {
        match self {
            Self::Get(p, _) | Self::Sum(p) | Self::Leaves(p) | Self::HintsOf(p, _) => {
                within(&[*p], doc.q)
            }
            Self::Visit(p, after) => {
                at_most("bytes of a key", after.as_ref().map_or(0, Vec::len), KEY_BYTES_MAX)?;
                within(&[*p], doc.q)
            }
            Self::Hints(after, _) => match after {
                Some((_, p, _)) => within(&[*p], doc.q),
                None => Ok(()),
            },
            Self::Row(_, name) | Self::Rows(_, name) => {
                at_most("bytes of a name", name.len(), KEY_BYTES_MAX)
            }
            Self::Sums | Self::HintStats | Self::Bad | Self::Size | Self::BadHints | Self::Base => {
                Ok(())
            }
        }
    }
}
