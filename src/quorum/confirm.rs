//! The reading after a conditional write: which of the writers that met has won.
//!
//! ```text
//! if-absent   W acks -> read R owners again -> own value the only one          Done
//!                                              another beside it               Done, LostRace
//! exact       W acks -> read R owners again -> nothing but what was covered,
//!                                              and the own write               Done
//!                                              anything else                   Unknown
//! ```
//!
//! An equal value of another writer is another value: only output counts the two as one.
//!
//! Law: of two exact writes that did not know of each other at most one is told "written": R + W > N
//! makes the later reading meet the other write. Nothing is taken out again: when it was minted, an exact
//! write took the place of what its writer had read, and of two that meet each might take itself out;
//! then what both began with would be gone too.
//!
//! Caveat: of two that meet both may be told that they lost.

use std::collections::BTreeSet;

use super::{ItemReply, Precondition, Progress, PutRequest, ReadTally, Verdict};
use crate::clock::{Dot, VersionVector};
use crate::record::{Record, Value};

/// What one item of a write was minted as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minted {
    /// Its dot; `None` when the item was not written.
    pub dot: Option<Dot>,
    /// Of an exact write the clock of the record it made: what may be found without another writer
    /// being there. Empty for other writes.
    pub expected: VersionVector,
}

/// What was known of the values that a write replaces when it was minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prior {
    /// Enough owners told what they hold, or it need not know.
    Known,
    /// Too few did, see [`super::PriorNext::Guess`].
    Guessed,
}

/// A write that enough owners have, as its confirmation sees it.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// What was asked for.
    pub request: &'a PutRequest,
    /// What it was minted as, one per item of the request, in order.
    pub minted: &'a [Minted],
    /// What it was minted from.
    pub prior: Prior,
    /// The wall clock of the coordinator, in ms since 1970: a value that has expired is no rival.
    pub wall_ms: u64,
}

/// How the write of one item stands among those of other writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confirmed {
    /// It won: no other writer's value is there. Also an item that was not written, or is not
    /// conditional.
    Alone,
    /// Another value is there, and the own one too.
    Sibling,
    /// Another value is there, and the own one is not: another writer went on from it, or replaced it.
    Superseded,
}

/// What a write does next while it reads again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmNext {
    /// Too little is known, and more may come.
    Wait,
    /// Reply; it is over. One outcome per item, in order; none when it could not be read again.
    End(Verdict, Vec<Confirmed>),
}

/// Puts into the replies of a write which of its items met another writer.
pub fn mark_lost_races(items: &mut [ItemReply], outcomes: &[Confirmed]) {
    for (item, outcome) in items.iter_mut().zip(outcomes) {
        if *outcome == Confirmed::Sibling {
            *item = ItemReply::LostRace;
        }
    }
}

impl ReadTally {
    /// What to do next for a conditional write that enough owners have. How much patience is left does
    /// not matter here, only whether its time is over.
    #[must_use]
    pub fn next_confirm(&self, write: &Written<'_>, progress: Progress) -> ConfirmNext {
        debug_assert_eq!(write.minted.len(), write.request.items.len(), "one for each item");
        // A sloppy write that had to guess before it was minted is alone as far as can be known.
        let known = self.is_enough(write.minted.len()) || write.prior == Prior::Guessed;
        if !known && !progress.is_over() {
            return ConfirmNext::Wait;
        }
        if !known {
            let why = "it could not be read again to see that it is alone";
            return ConfirmNext::End(Verdict::Unknown(why.into()), Vec::new());
        }
        let outcomes = write.outcomes(self);
        ConfirmNext::End(write.verdict(&outcomes), outcomes)
    }
}

impl Written<'_> {
    fn outcomes(&self, tally: &ReadTally) -> Vec<Confirmed> {
        // The same key may stand in one request several times: its own values are no rivals.
        let own: BTreeSet<Dot> = self.minted.iter().filter_map(|m| m.dot).collect();
        let found = |i: usize| {
            let key = &self.request.items[i].key;
            tally.merged(i, key).0.and_then(|stored| stored.record(key).ok())
        };
        let outcome = |i| found(i).map_or(Confirmed::Alone, |found| self.outcome(i, &found, &own));
        (0..self.minted.len()).map(outcome).collect()
    }

    fn outcome(&self, i: usize, found: &Record, own: &BTreeSet<Dot>) -> Confirmed {
        let Minted { dot: Some(dot), expected } = &self.minted[i] else { return Confirmed::Alone };
        let basis = &self.request.items[i].basis;
        if !matches!(basis, Precondition::Exact(_)) {
            let rival = |s: &(Dot, Value)| !own.contains(&s.0) && s.1.is_live(self.wall_ms);
            let met = basis.reads_after() && found.siblings.iter().any(rival);
            return if met { Confirmed::Sibling } else { Confirmed::Alone };
        }
        if expected.descends(&found.clock) {
            Confirmed::Alone
        } else if found.sibling(*dot).is_some() {
            Confirmed::Sibling
        } else {
            Confirmed::Superseded
        }
    }

    /// A value beside an exact write leaves open which of the two goes on; one beside an if-absent write
    /// is told by its item.
    fn verdict(&self, outcomes: &[Confirmed]) -> Verdict {
        let exact =
            self.request.items.iter().map(|item| matches!(item.basis, Precondition::Exact(_)));
        match outcomes.iter().copied().zip(exact).max() {
            Some((Confirmed::Superseded, _)) => {
                Verdict::Unknown("another writer built on it or replaced it: read the key".into())
            }
            Some((Confirmed::Sibling, true)) => Verdict::Unknown(
                "another writer wrote at the same time, and both values are kept: read the key"
                    .into(),
            ),
            _ => Verdict::Done,
        }
    }
}
