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

use super::put::{Phase, Put};
use super::{Cx, Node, Task};
use crate::clock::Dot;
use crate::protocol::Body;
use crate::quorum::{Basis, ItemReply, ReadTally, Verdict};
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

impl Node {
    /// Reads again, for only the one that finds itself alone has won.
    ///
    /// Under an operation of its own: a late answer to the first reading says nothing of now.
    pub(super) fn confirm(&mut self, cx: &mut Cx<'_>, mut put: Box<Put>) {
        let op = self.new_op();
        let p = put.request.partition;
        let mut tally = ReadTally::asked(&self.doc, p, &put.request.options);
        let keys = put.keys_after(0);
        tally.answer(self.id, keys.iter().map(|key| self.look(cx, key)).collect());
        let owners = self.doc.owners_in(self.doc.read_layout(), p);
        let others = owners.into_iter().filter(|o| *o != self.id && self.is_up(*o));
        put.awaiting = others.map(|o| (o, o)).collect();
        for owner in put.awaiting.keys().copied().collect::<Vec<_>>() {
            self.send(cx, owner, op, Body::Read(keys.clone()));
        }
        put.phase = Phase::Confirming(tally);
        self.confirm_step(cx, op, put);
    }

    pub(super) fn confirm_step(&mut self, cx: &mut Cx<'_>, op: u64, mut put: Box<Put>) {
        let Phase::Confirming(tally) = &put.phase else { return };
        // A sloppy write that had to guess before it was minted is alone as far as can be known.
        let known = tally.is_enough(put.request.items.len()) || put.guessed;
        let over = put.awaiting.is_empty() || cx.now.mono_ms >= put.deadline_ms;
        if !known && !over {
            self.tasks.insert(op, Task::Put(put));
            return;
        }
        if !known {
            let why = "it could not be read again to see that it is alone";
            return self.confirmed(cx, put, Verdict::Unknown(why.into()));
        }
        let standings = put.standings(cx.now.wall_ms);
        for (item, standing) in put.items.iter_mut().zip(&standings) {
            if *standing == Standing::Beside {
                *item = ItemReply::NotAlone;
            }
        }
        let exact = put.request.items.iter().map(|item| matches!(item.basis, Basis::Exact(_)));
        let verdict = match standings.iter().zip(exact).map(|(s, exact)| (*s, exact)).max() {
            Some((Standing::Overtaken, _)) => {
                Verdict::Unknown("another writer built on it or replaced it: read the key".into())
            }
            Some((Standing::Beside, true)) => Verdict::Unknown(
                "another writer wrote at the same time, and both values are kept: read the key"
                    .into(),
            ),
            _ => Verdict::Done,
        };
        self.confirmed(cx, put, verdict);
    }

    pub(super) fn confirmed(&mut self, cx: &mut Cx<'_>, mut put: Box<Put>, verdict: Verdict) {
        self.reply_put(cx, &put, verdict);
        let lacking = put.doc.writers(put.request.partition);
        self.hint_owners(cx, &mut put, lacking);
    }
}

impl Put {
    /// What the owners that were read again hold of an item.
    fn merged(&self, i: usize) -> Option<Record> {
        let Phase::Confirming(tally) = &self.phase else { return None };
        let key = &self.request.items[i].key;
        tally.merged(i, key).0.and_then(|s| s.record(key).ok())
    }

    fn standings(&self, wall_ms: u64) -> Vec<Standing> {
        let own: BTreeSet<Dot> = self.dots.iter().flatten().copied().collect();
        (0..self.items.len()).map(|i| self.standing(i, &own, wall_ms)).collect()
    }

    fn standing(&self, i: usize, own: &BTreeSet<Dot>, wall_ms: u64) -> Standing {
        let (Some(dot), Some(merged)) = (self.dots[i], self.merged(i)) else {
            return Standing::Alone;
        };
        let alone = match &self.request.items[i].basis {
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
