//! The last step of a conditional write: reading again after the acks, to see who is alone.
//!
//! ```text
//! if-absent   W acks -> read R owners again -> own value the only one       Written
//!                                              another beside it            NotAlone, both stay
//! exact       W acks -> read R owners again -> nothing but what was covered, and the own write: Written
//!             something else, own value there -> take it out -> W acks -> read R owners once more
//!                 nothing went on from it meanwhile                         NotAlone
//!                 anything else, or it cannot be taken out                  Unknown
//! ```
//!
//! An equal value of another writer is another value: only output counts the two as one.
//!
//! Why an exact write that is told to have lost cannot have counted: whoever goes on from its value
//! writes under a clock of its own. Either that write has its W acks before the withdrawal has been read
//! back, then it is seen there; or its own reading comes after the withdrawal has its W acks, then it
//! meets the withdrawal and is not alone itself. R + W > N makes the two meet.
//!
//! Caveat: a reader may see the value of an exact write that lost until it is taken out.

use std::collections::BTreeSet;

use super::put::{Phase, Put};
use super::{Cx, Node, Task, Then};
use crate::clock::{Dot, VersionVector};
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{Basis, ItemReply, ReadTally, Verdict};
use crate::record::{Record, Value};

/// An exact write that lost against another one and is still there.
pub(super) const STAYS: &str =
    "another writer was faster, and the value could not be taken out again";

/// How the own write of an item stands among those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Alone,
    /// Another is there, and the own value too.
    Beside,
    /// Another is there, and the own value is not: somebody went on from it, or replaced it.
    Overtaken,
}

/// What became of the values that are to be taken out.
enum Out {
    /// There are none.
    Nothing,
    /// They are out as soon as that is durable.
    Taken,
    /// One of them is there to stay: this node may not mint over it, or somebody went on from it.
    Not,
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
        if standings.contains(&Standing::Overtaken) {
            let why = "another writer went on from it, or replaced it: read the key";
            return self.confirmed(cx, put, Verdict::Unknown(why.into()));
        }
        for (item, standing) in put.items.iter_mut().zip(&standings) {
            if *standing == Standing::Beside {
                *item = ItemReply::NotAlone;
            }
        }
        if put.withdraws || planted::is(Bug::ExactStays) {
            return self.confirmed(cx, put, Verdict::Done);
        }
        match self.withdraw(cx, op, &mut put) {
            Out::Nothing => self.confirmed(cx, put, Verdict::Done),
            Out::Taken => drop(self.tasks.insert(op, Task::Put(put))),
            Out::Not => self.confirmed(cx, put, Verdict::Unknown(STAYS.into())),
        }
    }

    pub(super) fn confirmed(&mut self, cx: &mut Cx<'_>, mut put: Box<Put>, verdict: Verdict) {
        self.reply_put(cx, &put, verdict);
        let lacking = put.doc.writers(put.request.partition);
        self.hint_owners(cx, &mut put, lacking);
    }

    /// Takes the values of exact writes that are not alone out again: that is committed here, then
    /// sent as any write.
    fn withdraw(&mut self, cx: &mut Cx<'_>, op: u64, put: &mut Put) -> Out {
        let p = put.request.partition;
        let mut records = Vec::new();
        for i in 0..put.items.len() {
            let item = &put.request.items[i];
            let (Basis::Exact(_), ItemReply::NotAlone, Some(own)) =
                (&item.basis, &put.items[i], put.dots[i])
            else {
                continue;
            };
            let key = item.key.clone();
            let met = put.merged(i).map_or_else(VersionVector::new, |record| record.clock);
            put.expected[i].join(&met);
            let Some((stored, clock)) = self.stage_withdrawal(cx, p, &key, own) else {
                return Out::Not;
            };
            put.expected[i].join(&clock);
            records.push((key, stored));
        }
        if records.is_empty() {
            return Out::Nothing;
        }
        put.begin_withdrawal(records);
        self.stage.then(self.stage.next(), Then::Wake(op));
        Out::Taken
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
            // What was taken out is out, and nobody went on from it.
            true if self.items[i] == ItemReply::NotAlone => Standing::Beside,
            true => Standing::Alone,
            false if merged.sibling(dot).is_some() && !self.withdraws => Standing::Beside,
            false => Standing::Overtaken,
        }
    }
}
