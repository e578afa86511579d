//! The state of one write, and what follows from it: who has it durably, and whether that is enough.
//!
//! ```text
//! begin -> refused: W cannot be reached, nothing was done
//!       -> Wait -> Reply -> Wait -> End           W have it; the rest is still counted
//!               -> ReplyAndEnd                    all have answered, or its time is over
//!               -> Confirm                        if-absent, exact: read again, see `confirm`
//! ```
//!
//! During a change of the ring each layout must reach its own W, and the counts that are reported are
//! those of the layout that has the fewest.
//!
//! Caveat: it does not know who was asked. A fallback that keeps the write for a node that is no owner
//! counts for nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Group;
use super::{Level, Options, Progress, PutRequest, TimeLeft, Verdict};
use crate::key::Partition;
use crate::planted::{self, Bug};
use crate::ring::{NodeId, RingDoc};

/// Which nodes a write can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Owners that are up, the coordinator among them.
    pub owners: Vec<NodeId>,
    /// Other nodes that are up, in the order in which they stand in; none for a strict write.
    pub fallbacks: Vec<NodeId>,
}

/// What a write does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteNext {
    /// Too little is known, or it has replied: more may come.
    Wait,
    /// Enough have it: read the owners again to see which writer won. The reply comes from there
    /// ([`super::ReadTally::next_confirm`]).
    Confirm,
    /// Reply, and go on counting: nodes have yet to answer.
    Reply(Verdict),
    /// Reply; it is over.
    ReplyAndEnd(Verdict),
    /// It has replied before; it is over.
    End,
}

/// The state of one write: which layouts, who acknowledged.
#[derive(Clone, Debug)]
pub struct WriteTally {
    layouts: Vec<Vec<NodeId>>,
    groups: Vec<Group>,
    /// Only owners count.
    strict: bool,
    acks: BTreeSet<NodeId>,
    /// Fallback to the owner that it keeps the write for.
    hints: BTreeMap<NodeId, NodeId>,
    /// Its reply has been decided.
    replied: bool,
}

impl WriteTally {
    /// A write that wants its W acknowledgements in each layout, if it can come to that by the nodes
    /// that are up. Nothing was done yet, so what is refused here was applied nowhere.
    ///
    /// # Errors
    /// [`Verdict::Refused`] saying what it would come to at best. Nothing was changed.
    pub fn begin(doc: &RingDoc, request: &PutRequest, reach: &Reach) -> Result<Self, Verdict> {
        let tally = Self::new(doc, request.partition, &request.options, request.is_strict());
        let writers = doc.writers(request.partition);
        debug_assert!(!reach.fallbacks.iter().any(|f| writers.contains(f)), "no owner stands in");
        let mut best = tally.clone();
        reach.owners.iter().for_each(|owner| best.ack(*owner));
        let missed: Vec<_> = writers.into_iter().filter(|owner| !best.has(*owner)).collect();
        for (owner, fallback) in missed.into_iter().zip(&reach.fallbacks) {
            best.hint(*fallback, owner);
        }
        if best.is_enough() {
            return Ok(tally);
        }
        let ((acks, hinted), w, n) = (best.counts(), request.options.w(doc), doc.n());
        Err(Verdict::Refused(format!(
            "W={w} of {n} wanted, at best {} can be reached",
            owners_and_fallbacks(acks, hinted)
        )))
    }

    /// A write of partition `p` under `doc` that wants its W acknowledgements in each layout.
    fn new(doc: &RingDoc, p: Partition, options: &Options, strict: bool) -> Self {
        let mut layouts: Vec<_> =
            doc.write_layouts().iter().map(|layout| doc.owners_in(layout, p)).collect();
        if planted::is(Bug::SkipOlderLayout) && layouts.len() > 1 {
            layouts.remove(0);
        }
        let groups = groups(&layouts, doc, options);
        // A stand-in is not of the zone that a level by zones asks for.
        let zones = matches!(options.level, Some(Level::LocalQuorum | Level::EachQuorum));
        let (acks, hints) = (BTreeSet::new(), BTreeMap::new());
        Self { layouts, groups, strict: strict || zones, acks, hints, replied: false }
    }

    /// Nobody reads by the layout before any more: its owners are wanted no longer.
    pub fn forget_old(&mut self, doc: &RingDoc, options: &Options) {
        self.layouts.drain(..self.layouts.len().saturating_sub(1));
        self.groups = groups(&self.layouts, doc, options);
    }

    /// An owner has it durably.
    pub fn ack(&mut self, node: NodeId) {
        self.acks.insert(node);
    }

    /// A fallback keeps it durably for `target`. One hint per fallback counts.
    pub fn hint(&mut self, fallback: NodeId, target: NodeId) {
        debug_assert_ne!(fallback, target, "what an owner keeps is its own copy");
        self.hints.entry(fallback).or_insert(target);
    }

    /// Whether this node has acknowledged as an owner.
    #[must_use]
    pub fn has(&self, node: NodeId) -> bool {
        self.acks.contains(&node)
    }

    /// Whether every layout has its W.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.groups.iter().all(|Group { owners, number }| {
            let acks = owners.iter().filter(|o| self.acks.contains(o)).count();
            let twice = planted::is(Bug::HintBesideAck);
            let stands_in = |t: &&NodeId| owners.contains(t) && (twice || !self.acks.contains(t));
            let targets: BTreeSet<_> = self.hints.values().filter(stands_in).collect();
            acks + if self.strict { 0 } else { targets.len() } >= *number
        })
    }

    /// Owners that have it, and fallbacks that keep it for one that has not; during a change of the
    /// ring, in the layout that has the fewest.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let count = |owners: &Vec<NodeId>| {
            let acks = owners.iter().filter(|o| self.acks.contains(o)).count();
            let kept = |t: &&NodeId| owners.contains(t) && !self.acks.contains(t);
            (acks, self.hints.values().filter(kept).count())
        };
        self.layouts.iter().map(count).min().unwrap_or_default()
    }

    /// What to do next for a write that was sent to the owners. Asked after every event, and once right
    /// after it was sent. Patience matters to a patient conditional write alone: when it is over, enough
    /// owners suffice, and the rest of the time is for reading again.
    ///
    /// A reply is decided at most once for a tally. A patient write replies when every node has
    /// answered, any other as soon as W have it; what comes later is counted all the same, for the end
    /// must know who lacks it.
    pub fn next(&mut self, request: &PutRequest, progress: Progress) -> WriteNext {
        let (enough, all) = (self.is_enough(), progress.outstanding == 0);
        let settled = enough && (all || !request.options.patient);
        let confirms = request.reads_after() && !planted::is(Bug::AbsentReadsOnce);
        let over = progress.is_over();
        if enough && confirms && !self.replied {
            match progress.time {
                // What cannot be read again is not known to have won.
                TimeLeft::Over => {
                    self.replied = true;
                    let why = "it could not be read again to see that it is alone";
                    return WriteNext::ReplyAndEnd(Verdict::Unknown(why.into()));
                }
                // A patient write leaves itself the time for that.
                TimeLeft::PatienceOver => return WriteNext::Confirm,
                TimeLeft::Plenty if settled => return WriteNext::Confirm,
                TimeLeft::Plenty => {}
            }
        }
        let replies = !self.replied && (settled || over);
        self.replied |= replies;
        match (replies, over) {
            (true, true) => WriteNext::ReplyAndEnd(self.verdict()),
            (true, false) => WriteNext::Reply(self.verdict()),
            (false, true) => WriteNext::End,
            (false, false) => WriteNext::Wait,
        }
    }

    /// Whether its reply was decided by [`Self::next`].
    #[must_use]
    pub fn is_replied(&self) -> bool {
        self.replied
    }

    /// Too few acknowledgements do not mean that nothing was applied.
    fn verdict(&self) -> Verdict {
        if self.is_enough() {
            return Verdict::Done;
        }
        let (acks, hinted) = self.counts();
        Verdict::Unknown(format!("{} acknowledged", owners_and_fallbacks(acks, hinted)))
    }
}

/// Who has to acknowledge in each layout, and how many of them.
fn groups(layouts: &[Vec<NodeId>], doc: &RingDoc, options: &Options) -> Vec<Group> {
    let of = |owners: &Vec<NodeId>| options.groups(doc, owners.clone(), options.w(doc));
    layouts.iter().flat_map(of).collect()
}

/// The two counts in words, each with its noun in the right number.
fn owners_and_fallbacks(owners: usize, fallbacks: usize) -> String {
    let plural = |n| if n == 1 { "" } else { "s" };
    format!("{owners} owner{} and {fallbacks} fallback{}", plural(owners), plural(fallbacks))
}
