//! What a write makes of its items, and how they stand when it reads again after the acks.
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
use crate::key::Key;
use crate::node::flow::Ctx;
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::quorum::{Basis, Item, ItemReply, PutRequest, ReadTally, Verdict};
use crate::record::{Record, Stored, Value};

/// How the own write of an item stands among those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Alone,
    /// Another is there, and the own value too.
    Beside,
    /// Another is there, and the own value is not: somebody went on from it, or replaced it.
    Overtaken,
}

/// What a write made: one entry per item in each of the three lists.
#[derive(Debug, Default)]
pub(in crate::node) struct Minted {
    pub(in crate::node) replies: Vec<ItemReply>,
    /// The dot of each item that was minted.
    dots: Vec<Option<Dot>>,
    /// The clock of each item's record once it is written, and what else is known to be beside it.
    expected: Vec<VersionVector>,
    /// The records of the items that were minted.
    pub(in crate::node) records: Vec<(Key, Stored)>,
}

impl Minted {
    /// Mints and stages the records of a write: first all that can fail, then the staging, for a refusal
    /// must leave nothing behind. The error says why this node cannot mint them.
    pub(in crate::node) fn of(
        request: &PutRequest,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        seen: &ReadTally,
    ) -> Result<Self, String> {
        let p = request.partition;
        let one = planted::is(Bug::OneClock).then_some(cx.now.wall_ms);
        let agreed_ms = one.or(seen.agreed_ms(cx.now.wall_ms));
        let mut bases = Vec::with_capacity(request.items.len());
        for (i, item) in request.items.iter().enumerate() {
            bases.push(node.write_base(cx, p, item, seen.merged(i, &item.key))?);
        }
        let mut minted = Self::default();
        for (item, base) in request.items.iter().zip(bases) {
            let alone = !matches!(minted.replies.last(), Some(ItemReply::Written { .. }));
            if item.basis == Basis::Beside && alone {
                minted.replies.push(ItemReply::Absent);
                minted.expected.push(VersionVector::new());
                continue;
            }
            let (reply, stored) = node.mint(cx, p, item, base, agreed_ms);
            let exact = stored.as_ref().filter(|_| matches!(item.basis, Basis::Exact(_)));
            let record = exact.and_then(|s| s.record(&item.key).ok()).unwrap_or_default();
            minted.expected.push(record.clock);
            minted.records.extend(stored.map(|s| (item.key.clone(), s)));
            minted.replies.push(reply);
        }
        debug_assert_eq!(minted.replies.len(), request.items.len(), "one answer per item");
        minted.dots = minted.replies.iter().map(dot).collect();
        Ok(minted)
    }

    /// How the write ends by what the owners hold now; items that have another beside them say so.
    ///
    /// Only the writer that finds itself alone has won (see the module).
    pub(in crate::node) fn judge(
        &mut self,
        items: &[Item],
        tally: &ReadTally,
        wall_ms: u64,
    ) -> Verdict {
        let own: BTreeSet<Dot> = self.dots.iter().flatten().copied().collect();
        let standing = |i| self.standing((i, &items[i]), tally, &own, wall_ms);
        let standings: Vec<_> = (0..items.len()).map(standing).collect();
        for (item, standing) in self.replies.iter_mut().zip(&standings) {
            if *standing == Standing::Beside {
                *item = ItemReply::NotAlone;
            }
        }
        let exact = items.iter().map(|item| matches!(item.basis, Basis::Exact(_)));
        match standings.into_iter().zip(exact).max() {
            Some((Standing::Overtaken, _)) => Verdict::Unknown(
                "another writer went on from it, or replaced it: read the key".into(),
            ),
            Some((Standing::Beside, true)) => Verdict::Unknown(
                "another writer was as fast, and both values are there: read the key".into(),
            ),
            _ => Verdict::Done,
        }
    }

    fn standing(
        &self,
        (i, item): (usize, &Item),
        tally: &ReadTally,
        own: &BTreeSet<Dot>,
        wall_ms: u64,
    ) -> Standing {
        let (Some(dot), Some(merged)) = (self.dots[i], held(tally, i, &item.key)) else {
            return Standing::Alone;
        };
        let alone = match &item.basis {
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

/// The dot of an item that was written.
fn dot(reply: &ItemReply) -> Option<Dot> {
    match reply {
        ItemReply::Written { dot, .. } => Some(*dot),
        _ => None,
    }
}

/// What the owners that were read again hold of an item.
fn held(tally: &ReadTally, i: usize, key: &Key) -> Option<Record> {
    tally.merged(i, key).0.and_then(|s| s.record(key).ok())
}
