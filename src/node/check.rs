//! The door: whatever a peer or a client says is checked here once, before anything acts on it.
//!
//! ```text
//! Message, Request --check against the ring's document--> the node's own words
//!                  \--> a refusal to who asked, one note, nothing else
//! ```
//!
//! What can be checked without a ring was checked when the bytes were read (`protocol`). What comes
//! in by this door may still be late, doubled, or a lie; it is within its bounds. It does not judge
//! whether the sender may say it.

use std::sync::Arc;

use super::event::{Note, Reply, Request};
use super::flow::{Ctx, OpId};
use super::replica::Replica;
use crate::error::{Error, Result};
use crate::protocol::{Message, PAGE_MAX, at_most, within};
use crate::quorum::{GetReply, PutReply, Verdict};
use crate::ring::{NodeId, RingDoc};

impl Request {
    /// Whether a node of the ring of this document can be asked for it.
    ///
    /// # Errors
    /// [`Error::Denied`] naming what is beyond its bounds. Nothing was tried.
    pub fn check(&self, doc: &RingDoc) -> Result<()> {
        match self {
            Self::Put(request) => request.check(doc.q),
            Self::Get(_, options) => options.check(),
            Self::Scan(p, _, limit, options) => {
                options.check()?;
                at_most("records", *limit as usize, PAGE_MAX)?;
                within(&[*p], doc.q)
            }
            Self::Repair(request) => {
                request.partitions.as_ref().map_or(Ok(()), |some| within(some, doc.q))
            }
            Self::Verify(p) | Self::AcceptLoss(Some(p)) => within(&[*p], doc.q),
            Self::Propose(next) => {
                // One that comes too late is answered with the document there is.
                if next.version == doc.version + 1 { next.follows(doc) } else { Ok(()) }
            }
            Self::GiveUp(_)
            | Self::DropBadHints(_)
            | Self::AcceptLoss(None)
            | Self::Scrub(_)
            | Self::Deliver
            | Self::Spread
            | Self::Advance
            | Self::Cleanup
            | Self::Unsettled
            | Self::Status => Ok(()),
        }
    }

    /// The answer to one that was not let in.
    pub(super) fn refusal(&self, doc: &Arc<RingDoc>, why: String) -> Reply {
        let verdict = Verdict::Refused(why.clone());
        match self {
            Self::Put(_) => Reply::Put(PutReply::none(verdict)),
            Self::Get(..) => {
                let (answers, clashes) = (Vec::new(), Vec::new());
                Reply::Get(GetReply { verdict, stored: None, answers, r: 0, clashes })
            }
            Self::Scan(..) => Reply::Scan(Err(why)),
            Self::Propose(_) | Self::Advance => Reply::Ring(doc.clone(), Some(why)),
            Self::Repair(_)
            | Self::Verify(_)
            | Self::GiveUp(_)
            | Self::DropBadHints(_)
            | Self::AcceptLoss(_)
            | Self::Scrub(_)
            | Self::Deliver
            | Self::Spread
            | Self::Cleanup
            | Self::Unsettled
            | Self::Status => Reply::Refused(why),
        }
    }
}

impl Replica {
    /// Turns a message away: whoever asked hears it, and one note says so.
    pub(super) fn turn_away(
        &mut self,
        cx: &mut Ctx<'_>,
        from: NodeId,
        message: &Message,
        why: &Error,
    ) {
        let why = why.to_string();
        if let Some(body) = message.body.refusal(&why) {
            self.send(cx, from, OpId(message.op), body);
        }
        cx.note(Note::Refused(from, why));
    }
}
