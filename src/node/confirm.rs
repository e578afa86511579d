//! The last step of a conditional write: reading again after the acks, to see who is alone.
//!
//! ```text
//! if-absent, exact:  W acks -> read R owners again -> own dot the only value left: Written
//!                                                     another beside it: NotAlone
//!                                                     exact: and the own value is taken out again
//! ```
//!
//! An equal value of another writer is another value: only output counts the two as one. Caveat: a
//! reader may see the value of an exact write that lost, between its acks and its withdrawal.

use std::collections::BTreeSet;

use super::put::{Phase, Put};
use super::{Cx, Node, Task, Then};
use crate::clock::Dot;
use crate::protocol::Body;
use crate::quorum::{Basis, ItemReply, ReadTally, Verdict};
use crate::record::Value;

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
        let enough = tally.is_enough(put.request.items.len());
        let known = enough || put.guessed;
        let over = put.awaiting.is_empty() || cx.now.mono_ms >= put.deadline_ms;
        if !enough && !over {
            self.tasks.insert(op, Task::Put(put));
            return;
        }
        let lost = put.not_alone(cx.now.wall_ms);
        for i in &lost {
            put.items[*i] = ItemReply::NotAlone;
        }
        if known && self.withdraw(cx, op, &mut put, &lost) {
            self.tasks.insert(op, Task::Put(put));
            return;
        }
        let verdict = if known {
            Verdict::Done
        } else {
            Verdict::Unknown("it could not be read again to see that it is alone".into())
        };
        self.reply_put(cx, &put, verdict);
        let lacking = put.doc.writers(put.request.partition);
        self.hint_owners(cx, &mut put, lacking);
    }

    /// Takes the values of exact writes that lost out again: they are committed here, then sent as
    /// any write. Whether there was anything to take out.
    fn withdraw(&mut self, cx: &mut Cx<'_>, op: u64, put: &mut Put, lost: &[usize]) -> bool {
        let p = put.request.partition;
        let mut records = Vec::new();
        for i in lost {
            let item = &put.request.items[*i];
            let (Basis::Exact(_), Some(own)) = (&item.basis, put.dots[*i]) else { continue };
            let key = item.key.clone();
            let stored = self.stage_withdrawal(cx, p, &key, own);
            records.extend(stored.map(|stored| (key, stored)));
        }
        if records.is_empty() {
            return false;
        }
        put.begin_withdrawal(records);
        self.stage.then(self.stage.next(), Then::Wake(op));
        true
    }
}

impl Put {
    /// The items whose own value is not the only one that is left.
    fn not_alone(&self, wall_ms: u64) -> Vec<usize> {
        let Phase::Confirming(tally) = &self.phase else { return Vec::new() };
        let own: BTreeSet<Dot> = self.dots.iter().flatten().copied().collect();
        let other = |s: &(Dot, Value)| !own.contains(&s.0) && s.1.is_live(wall_ms);
        let lost = |i: &usize| {
            let key = &self.request.items[*i].key;
            let merged = tally.merged(*i, key).0.and_then(|s| s.record(key).ok());
            matches!(self.items[*i], ItemReply::Written { .. })
                && merged.is_some_and(|r| r.siblings.iter().any(other))
        };
        (0..self.request.items.len()).filter(lost).collect()
    }
}
