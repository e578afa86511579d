//! The last step of a conditional write: reading again after the acks, to see who is alone.
//!
//! ```text
//! if-absent   W acks -> read R owners again -> own value the only one          Written
//!                                              another beside it               NotAlone, both stay
//! exact       W acks -> read R owners again -> nothing but what was covered,
//!                                              and the own write               Written
//!                                              anything else                   Unknown, all stay
//! ```
//!
//! An equal value of another writer is another value: only output counts the two as one.
//!
//! Law: of two exact writes that did not know of each other at most one is told "written": R + W > N
//! makes the later reading meet the other write. Nothing is taken out again: when it was minted, an exact
//! write took the place of what its writer had read, and of two that meet each might take itself out;
//! then what both began with would be gone too.

use std::collections::BTreeSet;

use crate::clock::{Dot, VersionVector};
use crate::quorum::{Basis, Item, ItemReply, ReadTally, Verdict};
use crate::record::{Record, Value};

/// How the own write of an item stands among those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Alone,
    /// Another is there, and the own value too.
    Beside,
    /// Another is there, and the own value is not: somebody went on from it, or replaced it.
    Overtaken,
}

/// What was written: its items, their dots, and the clock each record should have when nothing else is there.
pub(in crate::node) struct Written<'a> {
    pub(in crate::node) items: &'a [Item],
    pub(in crate::node) dots: &'a [Option<Dot>],
    pub(in crate::node) expected: &'a [VersionVector],
}

/// How a write ends by what the owners hold now; items that have another beside them say so.
pub(in crate::node) fn judge(
    written: &Written<'_>,
    tally: &ReadTally,
    wall_ms: u64,
    replies: &mut [ItemReply],
) -> Verdict {
    let own: BTreeSet<Dot> = written.dots.iter().flatten().copied().collect();
    let standing = |i| written.standing(i, tally, &own, wall_ms);
    let standings: Vec<_> = (0..written.items.len()).map(standing).collect();
    for (item, standing) in replies.iter_mut().zip(&standings) {
        if *standing == Standing::Beside {
            *item = ItemReply::NotAlone;
        }
    }
    let exact = written.items.iter().map(|item| matches!(item.basis, Basis::Exact(_)));
    match standings.into_iter().zip(exact).max() {
        Some((Standing::Overtaken, _)) => {
            Verdict::Unknown("another writer went on from it, or replaced it: read the key".into())
        }
        Some((Standing::Beside, true)) => Verdict::Unknown(
            "another writer was as fast, and both values are there: read the key".into(),
        ),
        _ => Verdict::Done,
    }
}

impl Written<'_> {
    /// What the owners that were read again hold of an item.
    fn merged(&self, i: usize, tally: &ReadTally) -> Option<Record> {
        let key = &self.items[i].key;
        tally.merged(i, key).0.and_then(|s| s.record(key).ok())
    }

    fn standing(&self, i: usize, tally: &ReadTally, own: &BTreeSet<Dot>, wall_ms: u64) -> Standing {
        let (Some(dot), Some(merged)) = (self.dots[i], self.merged(i, tally)) else {
            return Standing::Alone;
        };
        let alone = match &self.items[i].basis {
            Basis::Exact(_) => self.expected[i].descends(&merged.clock),
            basis if basis.reads_after() => {
                let other = |s: &(Dot, Value)| !own.contains(&s.0) && s.1.is_live(wall_ms);
                return match merged.siblings.iter().any(other) {
                    true => Standing::Beside,
                    false => Standing::Alone,
                };
            }
            _ => true,
        };
        match alone {
            true => Standing::Alone,
            false if merged.sibling(dot).is_some() => Standing::Beside,
            false => Standing::Overtaken,
        }
    }
}
