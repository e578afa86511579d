//! What a message may say of a ring: checked once, when it arrives, before anything acts on it.
//!
//! ```text
//! bytes -> Message::decode   shapes, counts, texts, checksums of records           no ring needed
//!       -> Message::check    partitions, arcs, members, ballots, documents, against the ring's
//!       -> node              takes it as it is
//! ```
//!
//! An honest node of any build sends nothing that is refused here. What it does not do: it does not judge
//! whether the sender may say it, nor whether it is true.

use super::limits::{
    ARCS_MAX, BALLOT_MAX, EXPIRY_MS_MAX, KEYS_MAX, LEAVES_MAX, PAGE_MAX, PUT_BYTES_MAX,
    TIMEOUT_MS_MAX,
};
use super::{Ballot, Body, Message, Scope};
use crate::bounded::{TEXT_BYTES_MAX, plain};
use crate::clock::CLOCK_ENTRIES_MAX;
use crate::digest::HashRange;
use crate::error::{Error, Result};
use crate::gossip::ROWS_MAX;
use crate::key::{LEAVES, Partition, Q};
use crate::quorum::{ITEMS_MAX, Item, Options, Precondition, PutRequest};
use crate::ring::{NAME_BYTES_MAX, NodeId, RingDoc, VERSION_MAX};

impl Message {
    /// Whether all it says can be so in the ring of this document.
    ///
    /// # Errors
    /// [`Error::Denied`] naming what cannot. Nothing is to be done with the message.
    pub fn check(&self, doc: &RingDoc) -> Result<()> {
        if self.version > VERSION_MAX {
            return Err(refused("a version too high"));
        }
        self.body.check(doc)
    }
}

impl Body {
    fn check(&self, doc: &RingDoc) -> Result<()> {
        match self {
            Self::Put(request) => request.check(doc.q),
            Self::PutDone(reply) => at_most("answers", reply.items.len(), ITEMS_MAX),
            Self::Read(keys) => at_most("keys", keys.len(), KEYS_MAX),
            Self::Answers(answers) | Self::Copies { answers, .. } => {
                at_most("answers", answers.len(), KEYS_MAX)
            }
            Self::Write { records, hint_for } | Self::Replicate { records, hint_for, .. } => {
                at_most("records", records.len(), KEYS_MAX)?;
                hint_for.map_or(Ok(()), |target| known(target, doc))
            }
            Self::Page { partition, limit, .. } => {
                at_most("records", *limit as usize, PAGE_MAX)?;
                within(&[*partition], doc.q)
            }
            Self::Paged { records, .. } => {
                at_most("records", records.len(), PAGE_MAX)?;
                // A key that stands twice in one node's page would be two copies of one node.
                let rise = records.is_sorted_by(|a, b| a.0 < b.0);
                rise.then_some(()).ok_or_else(|| refused("a page whose keys do not rise"))
            }
            Self::Fullness(scope) => in_scope(scope, doc.q),
            Self::Filling(partitions) => within(partitions, doc.q),
            Self::Sums { scope, arcs } => {
                in_scope(scope, doc.q)?;
                all_arcs(arcs.iter().map(|a| a.0), doc.q)
            }
            Self::Differ(arcs) => all_arcs(arcs.iter().map(|a| a.0), doc.q),
            Self::List(leaves) => {
                at_most("partitions", leaves.len(), LEAVES_MAX)?;
                leaves.iter().try_for_each(|(p, leaves)| {
                    at_most("leaves", leaves.len(), LEAVES)?;
                    within(&[*p], doc.q)
                })
            }
            Self::Prepare(ballot) | Self::Rejected(ballot) => within_ballots(*ballot),
            Self::Promise(accepted) => accepted.as_ref().map_or(Ok(()), |(ballot, next)| {
                within_ballots(*ballot)?;
                next.follows(doc)
            }),
            Self::Accept(ballot, next) => {
                within_ballots(*ballot)?;
                proposed(next, doc)
            }
            Self::Chosen(next) => chosen(next, doc),
            Self::Gossip { rows, .. } => at_most("rows", rows.len(), ROWS_MAX),
            Self::NotMine(why) | Self::NotStored(why) => {
                at_most("bytes of text", why.len(), TEXT_BYTES_MAX * 8)
            }
            Self::Hello { .. }
            | Self::Seen { .. }
            | Self::Greet { .. }
            | Self::Met { .. }
            | Self::Stored { .. }
            | Self::Listing(_)
            | Self::Accepted
            | Self::Muted
            | Self::WantRing
            | Self::Barrier
            | Self::Cleared { .. }
            | Self::Fill
            | Self::Deliver => Ok(()),
        }
    }
}

impl PutRequest {
    /// Whether a ring of `q` partitions can be asked for it.
    ///
    /// # Errors
    /// [`Error::Denied`] naming what is beyond its bounds. Nothing was applied.
    pub fn check(&self, q: Q) -> Result<()> {
        within(&[self.partition], q)?;
        at_most("keys", self.items.len(), ITEMS_MAX)?;
        self.options.check()?;
        let bytes = |item: &Item| item.value.as_ref().map_or(0, |v| v.0.len());
        at_most("bytes", self.items.iter().map(bytes).sum(), PUT_BYTES_MAX)?;
        self.items.iter().try_for_each(|item| {
            if q.partition(&item.key) != self.partition {
                return Err(refused(&format!("{} is no key of the partition", item.key)));
            }
            if item.value.as_ref().is_some_and(|v| v.1.is_some_and(|at| at > EXPIRY_MS_MAX)) {
                return Err(refused("a value that expires too late"));
            }
            match &item.basis {
                Precondition::Context(context) | Precondition::Exact(context) => {
                    at_most("actors of a context", context.entries().len(), CLOCK_ENTRIES_MAX)
                }
                Precondition::Overwrite { .. }
                | Precondition::Blind
                | Precondition::Append
                | Precondition::Absent => Ok(()),
            }
        })
    }
}

impl Options {
    /// Whether an operation can be asked for so.
    ///
    /// # Errors
    /// [`Error::Denied`] naming what is beyond its bounds.
    pub fn check(&self) -> Result<()> {
        if self.timeout_ms > TIMEOUT_MS_MAX {
            return Err(refused("more than 30 days of time"));
        }
        at_most("bytes of a zone", self.zone.as_ref().map_or(0, String::len), NAME_BYTES_MAX)
    }
}

/// Whether all these are partitions of the ring, and no more than it has.
///
/// # Errors
/// [`Error::Denied`] naming the first that is none.
pub fn within(partitions: &[Partition], q: Q) -> Result<()> {
    at_most("partitions", partitions.len(), q.count() as usize)?;
    match partitions.iter().find(|p| u32::from(p.0) >= q.count()) {
        Some(p) => Err(refused(&format!("partition {p} of a ring of {}", q.count()))),
        None => Ok(()),
    }
}

/// Whether a client or peer may ask for this many.
///
/// # Errors
/// [`Error::Denied`] naming both numbers.
pub fn at_most(what: &str, count: usize, most: usize) -> Result<()> {
    if count > most {
        return Err(refused(&format!("{count} {what}, at most {most} are taken at once")));
    }
    Ok(())
}

fn in_scope(scope: &Scope, q: Q) -> Result<()> {
    match scope {
        Scope::Shared => Ok(()),
        Scope::Only(partitions) => within(partitions, q),
    }
}

fn all_arcs(mut arcs: impl ExactSizeIterator<Item = HashRange>, q: Q) -> Result<()> {
    at_most("arcs", arcs.len(), ARCS_MAX)?;
    if arcs.all(|arc| arc.is_of(q)) { Ok(()) } else { Err(refused("an arc that is none")) }
}

fn known(id: NodeId, doc: &RingDoc) -> Result<()> {
    match doc.member(id) {
        Some(_) => Ok(()),
        None => Err(refused(&format!("a record for {id}, which is no member"))),
    }
}

fn within_ballots(ballot: Ballot) -> Result<()> {
    if ballot.0 > BALLOT_MAX { Err(refused("a ballot too high")) } else { Ok(()) }
}

/// A document that is to be chosen. One for another version is answered, not looked at.
fn proposed(next: &RingDoc, doc: &RingDoc) -> Result<()> {
    if next.version == doc.version + 1 { next.follows(doc) } else { Ok(()) }
}

/// A document that was chosen, of this version or some later one. An older one is not looked at.
fn chosen(next: &RingDoc, doc: &RingDoc) -> Result<()> {
    match next.version.checked_sub(doc.version) {
        Some(1) => next.follows(doc),
        Some(2..) => next.succeeds(doc),
        None | Some(0) => Ok(()),
    }
}

/// The refusal of a request that asks for what no node can be asked for.
#[must_use]
pub fn refused(what: &str) -> Error {
    Error::Denied(format!("It says what cannot be: {}.", plain(what)))
}
