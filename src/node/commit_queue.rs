//! What a node has decided to write and what waits for it to be durable.
//!
//! Ops gather in the next batch while one batch is being committed, so whatever waits is committed
//! together. The overlay shows a node its own staged records; nobody else sees them. A batch that
//! fails takes everything staged after it along: later writes were built on it.
//!
//! ```text
//! push(op) -> 8   push(op) -> 8   flush: Commit(8)   push(op) -> 9   committed(8): run its thens
//! ```
//!
//! It decides nothing and does not know what an op means.

use std::collections::BTreeMap;

pub(super) use super::event::BatchSeq;
use super::flow::{OpId, Origin};
use crate::key::{Key, Partition};
use crate::protocol::Body;
use crate::record::Stored;
use crate::ring::NodeId;
use crate::store::{Batch, Op};

/// What to do when a batch is durable, or has failed.
#[derive(Debug)]
pub(super) enum OnCommit {
    /// Send the first body when durable, the second when not.
    Send(NodeId, OpId, Box<Body>, Box<Body>),
    /// Wake a task.
    Wake(OpId),
    /// These partitions are no longer filling.
    Full(Vec<Partition>),
    /// This key is no longer bad.
    Healed(Partition, Vec<u8>),
    /// A bad key, or whatever did not match its digest, is out of the partition.
    Struck(Partition, Option<Vec<u8>>),
    /// Answer with what is unsettled.
    Unsettled(Origin),
}

/// Where staged records stand: own, or kept for a target.
type OverlayPlace = (Option<NodeId>, Partition);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CommitQueue {
    overlay: BTreeMap<OverlayPlace, BTreeMap<Key, (BatchSeq, Stored)>>,
    pending: Vec<Op>,
    thens: BTreeMap<BatchSeq, Vec<OnCommit>>,
    last: BatchSeq,
    in_flight: Option<BatchSeq>,
}

impl CommitQueue {
    /// Adds an op to the next batch; returns that batch's number.
    pub(super) fn push(&mut self, op: Op) -> BatchSeq {
        let seq = self.next();
        match &op {
            Op::Record { partition, key, stored } => {
                self.lay((None, *partition), key, (seq, stored));
            }
            Op::Hint(hint) => {
                if let Some(stored) = &hint.stored {
                    self.lay((Some(hint.target), hint.partition), &hint.key, (seq, stored));
                }
            }
            _ => {}
        }
        self.pending.push(op);
        seq
    }

    /// The staged record of a key, own or kept for a target, and its batch.
    pub(super) fn get(
        &self,
        target: Option<NodeId>,
        p: Partition,
        key: &Key,
    ) -> Option<&(BatchSeq, Stored)> {
        self.overlay.get(&(target, p))?.get(key)
    }

    fn lay(&mut self, place: OverlayPlace, key: &Key, (seq, stored): (BatchSeq, &Stored)) {
        self.overlay.entry(place).or_default().insert(key.clone(), (seq, stored.clone()));
    }

    /// Runs `then` once batch `seq` is decided.
    pub(super) fn then(&mut self, seq: BatchSeq, then: OnCommit) {
        self.thens.entry(seq).or_default().push(then);
    }

    /// The number of the batch now gathering.
    pub(super) fn next(&self) -> BatchSeq {
        BatchSeq(self.last.0 + 1)
    }

    /// The partitions that the batch now gathering ends the filling of.
    pub(super) fn filled_next(&self) -> Vec<Partition> {
        let thens = self.thens.get(&self.next()).into_iter().flatten();
        let full = thens.filter_map(|t| if let OnCommit::Full(p) = t { Some(p) } else { None });
        full.flatten().copied().collect()
    }

    /// The last batch that holds anything staged so far.
    pub(super) fn last(&self) -> BatchSeq {
        if self.pending.is_empty() { self.last } else { self.next() }
    }

    /// Whether a batch should go now: something is staged and nothing is under way.
    pub(super) fn is_due(&self) -> bool {
        self.in_flight.is_none()
            && (!self.pending.is_empty() || self.thens.contains_key(&self.next()))
    }

    /// Nothing staged and nothing under way.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_none() && self.pending.is_empty()
    }

    /// Takes the batch that has gathered, with `extra` ops at its end.
    pub(super) fn take(&mut self, extra: Vec<Op>) -> (BatchSeq, Batch) {
        debug_assert!(self.in_flight.is_none(), "one batch at a time is made durable");
        self.last = self.next();
        self.in_flight = Some(self.last);
        let mut ops = std::mem::take(&mut self.pending);
        ops.extend(extra);
        (self.last, Batch { ops })
    }

    /// The batch is durable: its overlay falls, its thens are due.
    pub(super) fn committed(&mut self, seq: BatchSeq) -> Vec<OnCommit> {
        debug_assert_eq!(
            self.in_flight,
            Some(seq),
            "the batch under way is the one that is durable"
        );
        self.in_flight = None;
        self.overlay.retain(|_, keys| {
            keys.retain(|_, (at, _)| *at > seq);
            !keys.is_empty()
        });
        self.thens.remove(&seq).unwrap_or_default()
    }

    /// The batch failed, and with it all that was staged since.
    pub(super) fn failed(&mut self) -> Vec<OnCommit> {
        self.in_flight = None;
        self.overlay.clear();
        self.pending.clear();
        std::mem::take(&mut self.thens).into_values().flatten().collect()
    }
}
