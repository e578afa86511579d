//! What must be true: of every read, and of every disk once everything is healed.
//!
//! Every durable write is a *mint*: its dot, and what it superseded with right. Against the log:
//!
//! ```text
//! acknowledged, and no mint's context covers it       -> must be there, on every owner
//! covered by the context of an acknowledged mint      -> must be gone, for ever
//! anything else (unknown, or covered by an unknown)   -> may be there; if so its context counts
//! ```

use std::collections::{BTreeMap, BTreeSet};

use kvs::clock::Dot;
use kvs::key::{Key, Partition};
use kvs::record::Record;
use kvs::store::{Store, verify};

use super::client::{Kind, Outcome};
use super::run::Run;
use super::world::Mint;

impl Run {
    /// The operation that a mint belongs to, when it can be told.
    fn op_of(&self, mint: &Mint) -> Option<usize> {
        let number = |v: &Vec<u8>| std::str::from_utf8(v).ok()?.strip_prefix('v')?.parse().ok();
        match &mint.value {
            Some(value) => number(value).filter(|id| *id < self.ops.len()),
            None => self.acked.get(&mint.dot).copied(),
        }
    }

    /// Whether a mint superseded a dot with right.
    fn supersedes(&self, mint: &Mint, dot: Dot) -> bool {
        self.overrides(mint, self.op_of(mint), dot)
    }

    fn overrides(&self, mint: &Mint, op: Option<usize>, dot: Dot) -> bool {
        if mint.dot == dot {
            return false;
        }
        let op = op.map(|id| &self.ops[id]);
        match op.map(|o| o.kind) {
            Some(Kind::Blind | Kind::Absent) => false,
            Some(Kind::Context) => {
                op.and_then(|o| o.context.as_ref()).is_some_and(|c| c.covers(dot))
            }
            _ => mint.known.covers(dot) && !mint.kept.contains(&dot),
        }
    }

    fn mints_of(&self, key: &Key) -> Vec<&Mint> {
        self.w.mints.values().filter(|m| m.key == *key).collect()
    }

    fn is_superseded(&self, key: &Key, dot: Dot) -> bool {
        self.mints_of(key).iter().any(|m| self.supersedes(m, dot))
    }

    /// Judges what a client was shown.
    pub fn check_read(&mut self, id: usize, record: &Record) {
        let op = self.ops[id].clone();
        let key = Key::new(self.plan.keys[op.key].clone()).expect("a key");
        for (dot, _) in &record.siblings {
            if self.dead.contains(dot) {
                self.fail(format!("op {id}: {dot:?} of {key} came back"));
            }
            if !self.w.mints.contains_key(dot) {
                self.fail(format!("op {id}: {dot:?} of {key} was shown and never durable"));
            }
        }
        if !op.strict {
            return;
        }
        if !record.clock.descends(&op.floor) {
            let (clock, floor) = (&record.clock, &op.floor);
            self.fail(format!("op {id}: a strict read of {key} went back: {clock:?} < {floor:?}"));
        }
        for dot in op.must_see {
            if record.sibling(dot).is_some() {
                continue;
            }
            if self.is_superseded(&key, dot) {
                self.promises[op.key].must_see.retain(|d| *d != dot);
            } else {
                self.fail(format!("op {id}: a strict read of {key} misses {dot:?}"));
            }
        }
    }

    /// Judges everything, once all is healed and quiet.
    pub fn check_all(&mut self) {
        let copies = self.check_copies();
        for (name, record) in self.plan.keys.clone().into_iter().zip(copies) {
            let key = Key::new(name).expect("a key");
            self.check_key(&key, &record);
        }
        self.check_refusals();
        if self.plan.reads_see_writes() {
            self.check_absent();
        }
        for wrong in std::mem::take(&mut self.w.wrong) {
            self.fail(wrong);
        }
    }

    /// Owners are equal, digests true, hints gone; gives the record of each key.
    fn check_copies(&mut self) -> Vec<Record> {
        let doc = self.w.doc();
        let mut sums: BTreeMap<Partition, Vec<(usize, kvs::digest::Sum)>> = BTreeMap::new();
        for i in (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect::<Vec<_>>() {
            let (id, store) = (self.w.hosts[i].id, self.w.hosts[i].store.clone());
            if store.hint_stats().is_ok_and(|s| s.count > 0) {
                self.fail(format!("host {i} still holds hints"));
            }
            let own: BTreeMap<_, _> = store.sums().unwrap_or_default().into_iter().collect();
            for p in doc.q.all() {
                let sum = own.get(&p).copied().unwrap_or_default();
                if doc.owns(id, p) {
                    sums.entry(p).or_default().push((i, sum));
                } else if sum.count > 0 {
                    self.fail(format!("host {i} still holds {p:?} that is not its own"));
                }
                if sum.count > 0 && !verify::verify(&store, p).is_ok_and(|v| v.is_good()) {
                    self.fail(format!("host {i}: the digest of {p:?} is not true"));
                }
            }
        }
        for (p, sums) in sums {
            if sums.iter().any(|s| s.1 != sums[0].1) {
                self.fail(format!("the owners of {p:?} differ: {sums:?}"));
            }
        }
        let keys = self.plan.keys.clone();
        let record = |key: &String| {
            let owner = self.w.owners(key).first().copied();
            owner.and_then(|o| self.w.record(o, key)).unwrap_or_default()
        };
        keys.iter().map(record).collect()
    }

    fn check_key(&mut self, key: &Key, record: &Record) {
        let mints: Vec<(&Mint, Option<usize>)> =
            self.mints_of(key).into_iter().map(|m| (m, self.op_of(m))).collect();
        let acked = |m: &Mint, op: Option<usize>| match op.map(|id| self.ops[id].outcome) {
            Some(Outcome::Acked(Some(dot))) => dot == m.dot,
            Some(Outcome::Acked(None)) => true,
            _ => false,
        };
        let there: BTreeSet<Dot> = record.siblings.iter().map(|s| s.0).collect();
        let counts = |m: &&(&Mint, _)| acked(m.0, m.1) || there.contains(&m.0.dot);
        let sure: Vec<&(&Mint, _)> = mints.iter().filter(counts).collect();
        let (mut wrong, mut dead) = (Vec::new(), Vec::new());
        for (mint, op) in &mints {
            let dot = mint.dot;
            if self.dead.contains(&dot) {
                if there.contains(&dot) {
                    wrong.push(format!("{dot:?} of {key} came back"));
                }
                continue;
            }
            let by = sure.iter().find(|m| self.overrides(m.0, m.1, dot));
            dead.extend(by.map(|_| dot));
            match by {
                Some(by) if there.contains(&dot) => {
                    let by = by.0.dot;
                    wrong.push(format!("{dot:?} of {key} lives, though {by:?} superseded it"));
                }
                None if !there.contains(&dot) && mint.value.is_some() && acked(mint, *op) => {
                    // An unknown write may have superseded it, and be lost itself.
                    if !mints.iter().any(|m| self.overrides(m.0, m.1, dot)) {
                        wrong.push(format!("LOST: {dot:?} of {key}, acknowledged to op {op:?}"));
                    }
                }
                _ => {}
            }
        }
        let stranger = |dot: &&Dot| !mints.iter().any(|m| m.0.dot == **dot);
        wrong.extend(there.iter().find(stranger).map(|d| format!("{d:?} of {key} is a phantom")));
        self.dead.extend(dead);
        wrong.into_iter().for_each(|w| self.fail(w));
    }

    /// What was refused took no effect.
    fn check_refusals(&mut self) {
        let refused = |m: &&Mint| {
            m.value.is_some()
                && self.op_of(m).is_some_and(|id| self.ops[id].outcome == Outcome::Refused)
        };
        if let Some(mint) = self.w.mints.values().find(refused) {
            let (dot, op) = (mint.dot, self.op_of(mint));
            self.fail(format!("op {op:?} was refused, and yet {dot:?} was written"));
        }
    }

    /// Two callers of if-absent have not both won, unless a delete or overwrite lies between.
    fn check_absent(&mut self) {
        let mut winners: Vec<(usize, Dot)> = Vec::new();
        for (id, op) in self.ops.iter().enumerate() {
            if let (Kind::Absent, Outcome::Acked(Some(dot))) = (op.kind, op.outcome) {
                winners.push((id, dot));
            }
        }
        let mut wrong = Vec::new();
        for (at, (a, dot_a)) in winners.iter().enumerate() {
            for (b, dot_b) in &winners[at + 1..] {
                if self.ops[*a].key != self.ops[*b].key {
                    continue;
                }
                let key = Key::new(self.plan.keys[self.ops[*a].key].clone()).expect("a key");
                let either = [dot_a, dot_b].iter().any(|d| self.is_superseded(&key, **d));
                if !either {
                    wrong.push(format!("ops {a} and {b} both won if-absent of {key}"));
                }
            }
        }
        wrong.into_iter().for_each(|w| self.fail(w));
    }
}
