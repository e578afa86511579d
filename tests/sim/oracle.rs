//! What must be true: of every commit, every answer, every full copy while it all runs; and of every
//! disk once everything is healed.
//!
//! Every durable write is a *mint*: its dot, and what it superseded with right. Against the log:
//!
//! ```text
//! a clock covers a dot that is not there              -> something it covers superseded that dot
//! acknowledged, and nothing superseded it             -> W hold it; too few full copies lack it
//! covered by the context of an acknowledged mint      -> must be gone, for ever
//! anything else (unknown, or covered by an unknown)   -> may be there; if so its context counts
//! ```
//!
//! An overwrite supersedes what its coordinator knew, but nothing that was asked for after its own
//! time was over. If-absent supersedes what has expired by two clocks and nothing else.

mod rest;

use std::collections::{BTreeMap, BTreeSet};

use kvs::clock::Dot;
use kvs::key::{Key, Partition};
use kvs::quorum::{Answer, Level, PutReply, Verdict};
use kvs::record::Record;
use kvs::ring::{NodeId, RingDoc};
use kvs::store::{Store, verify};

use super::client::{Kind, Outcome, number_of};
use super::run::Run;
use crate::support::world::{Mint, WALL_MS};

/// What is known of a key's writes since all was at rest.
#[derive(Default)]
pub struct KeyLog {
    /// Those with a value.
    values: Vec<Dot>,
    /// By dot: what has superseded it with right.
    by: BTreeMap<Dot, Vec<Dot>>,
    /// Records that were found honest.
    honest: BTreeSet<u128>,
}

/// A write is minted within half of its time, waits for the commits under way, and clocks drift: it
/// is late after its time and this, in ms.
const LATE_MS: u64 = 900;

impl Run {
    /// The operation that a mint belongs to, when it can be told.
    fn op_of(&self, mint: &Mint) -> Option<usize> {
        match &mint.value {
            Some(value) => number_of(value).filter(|id| *id < self.ops.len()),
            None => self.acked.get(&mint.dot).copied(),
        }
    }

    fn overrides(&self, mint: &Mint, op: Option<usize>, dot: Dot) -> bool {
        if mint.dot == dot {
            return false;
        }
        let op = op.map(|id| &self.ops[id]);
        let older = || self.w.mints.get(&dot).and_then(|m| self.op_of(m)).map(|id| &self.ops[id]);
        match op.map(|o| o.kind) {
            Some(Kind::Blind) => false,
            Some(Kind::Absent) => {
                let expired = older().and_then(|o| o.expires_ms);
                let over = expired.is_some_and(|at| self.is_over(at, mint));
                mint.known.covers(dot) && !mint.kept.contains(&dot) && over
            }
            Some(Kind::Context | Kind::Exact) => {
                op.and_then(|o| o.context.as_ref()).is_some_and(|c| c.covers(dot))
            }
            _ => {
                // Until its time is over, a write of which nobody knows may take effect.
                let over = op.map_or(u64::MAX, |o| o.started_ms + o.options.timeout_ms + LATE_MS);
                let after = older().is_some_and(|o| o.started_ms > over);
                mint.known.covers(dot) && !mint.kept.contains(&dot) && !after
            }
        }
    }

    /// Whether a time had come when a write was minted: by the clock of its host and by another one.
    fn is_over(&self, at_ms: u64, mint: &Mint) -> bool {
        let over = |i: &usize| {
            let now = WALL_MS + mint.at_ms;
            at_ms <= now.saturating_add_signed(self.w.hosts[*i].skew_ms)
        };
        let others = (0..self.w.hosts.len()).filter(|i| *i != mint.host && !self.w.hosts[*i].gone);
        let alone = self.plan.n == 1 || others.clone().count() == 0;
        over(&mint.host) && (alone || others.into_iter().any(|i| over(&i)))
    }

    fn is_superseded(&self, key: &Key, dot: Dot) -> bool {
        self.logs.get(key).and_then(|l| l.by.get(&dot)).is_some_and(|by| !by.is_empty())
    }

    /// Judges what has become durable since the last time.
    pub fn check_commits(&mut self) {
        for dot in std::mem::take(&mut self.w.watch.minted) {
            let mint = self.w.mints[&dot].clone();
            self.log_mint(&mint);
        }
        for (host, key, record) in std::mem::take(&mut self.w.watch.kept) {
            self.check_honest(host, &key, &record);
        }
    }

    fn log_mint(&mut self, mint: &Mint) {
        let op = self.op_of(mint);
        if let Some(id) = op {
            let op = &self.ops[id];
            let late = op.started_ms + op.options.timeout_ms + LATE_MS;
            if mint.from_ms > late && op.value.is_some() {
                let (after, dot) = (mint.from_ms - op.started_ms, mint.dot);
                self.fail(format!(
                    "[late] op {id}: {dot:?} is minted {after} ms after it was asked"
                ));
            }
        }
        let values = self.logs.get(&mint.key).map(|l| l.values.clone()).unwrap_or_default();
        let over: Vec<Dot> =
            values.into_iter().filter(|dot| self.overrides(mint, op, *dot)).collect();
        let log = self.logs.entry(mint.key.clone()).or_default();
        over.into_iter().for_each(|dot| log.by.entry(dot).or_default().push(mint.dot));
        log.values.extend(mint.value.is_some().then_some(mint.dot));
    }

    /// No clock covers what nothing has superseded.
    fn check_honest(&mut self, host: usize, key: &Key, record: &Record) {
        let Some(log) = self.logs.get_mut(key) else { return };
        if !log.honest.insert(record.hash(key).0) {
            return;
        }
        let hidden = |dot: &&Dot| {
            let by = log.by.get(dot).into_iter().flatten();
            record.clock.covers(**dot)
                && record.sibling(**dot).is_none()
                && !by.into_iter().any(|d| record.clock.covers(*d))
        };
        if let Some(dot) = log.values.iter().find(hidden).copied() {
            let clock = &record.clock;
            self.fail(format!(
                "[cover] host {host}: the clock {clock:?} of {key} covers {dot:?}, which nothing \
                 in it has superseded"
            ));
        }
    }

    /// Whoever is said to have acknowledged has it.
    pub fn check_ack(&mut self, ids: &[usize], reply: &PutReply) {
        let op = self.ops[ids[0]].clone();
        if reply.verdict != Verdict::Done || self.loss_ms >= op.started_ms {
            return;
        }
        let acked = ids.iter().filter_map(|id| match self.ops[*id].outcome {
            Outcome::Acked(Some(dot)) => Some((*id, dot)),
            _ => None,
        });
        for (id, dot) in acked.collect::<Vec<_>>() {
            let Some(mint) = self.w.mints.get(&dot).cloned() else {
                self.fail(format!("[ack] op {id}: {dot:?} is acknowledged and was never durable"));
                continue;
            };
            let newest = self.w.doc().version;
            let docs = self.w.watch.docs.range(mint.version.saturating_sub(1)..=newest);
            let docs: Vec<_> = docs.map(|d| d.1.clone()).collect();
            let held = |doc: &std::sync::Arc<RingDoc>| self.holds(doc, id, &mint, reply);
            if !docs.iter().any(held) {
                let (a, h, key) = (reply.acks, reply.hinted, &mint.key);
                self.fail(format!(
                    "[ack] op {id}: {dot:?} of {key} is acknowledged by {a} owners and {h} \
                     fallbacks, and fewer hold it"
                ));
            }
        }
    }

    /// Whether as many hold it as an acknowledgement says, under this document.
    fn holds(&self, doc: &RingDoc, id: usize, mint: &Mint, reply: &PutReply) -> bool {
        let op = &self.ops[id];
        let wanted = match op.options.level {
            Some(Level::LocalQuorum | Level::EachQuorum) => reply.acks + reply.hinted,
            _ => op.options.w(doc).max(reply.acks),
        };
        let p = doc.q.partition(&mint.key);
        let has = |host: usize, target: Option<NodeId>| {
            let ever = self.w.hosts[host].ever.get(&(target, mint.key.clone()));
            ever.is_some_and(|clock| clock.covers(mint.dot))
        };
        doc.write_layouts().into_iter().all(|layout| {
            let owners = doc.owners_in(layout, p);
            let host = |owner: &NodeId| self.w.hosts.iter().position(|h| h.id == *owner);
            let (holding, away): (Vec<NodeId>, Vec<NodeId>) =
                owners.iter().partition(|o| host(o).is_some_and(|h| has(h, None)));
            let acks = holding.len();
            let fallbacks = |owner: NodeId| -> Vec<usize> {
                (0..self.w.hosts.len()).filter(|f| has(*f, Some(owner))).collect()
            };
            let keepers: Vec<_> = away.into_iter().map(fallbacks).collect();
            // An owner may acknowledge after a hint was kept for it: then it counts twice.
            let wanted = wanted.min(owners.len());
            let enough = acks + if op.strict { 0 } else { most(&keepers, &mut vec![]) } >= wanted;
            enough && acks >= reply.acks
        })
    }

    /// Votes that a read wants, when its promise is about numbers.
    fn votes_wanted(&self, id: usize) -> Option<u64> {
        let op = &self.ops[id].options;
        match op.level {
            None => Some(op.r.map_or(self.plan.majority(), u64::from)),
            Some(Level::Quorum) => Some(self.plan.majority()),
            Some(Level::All) => Some(u64::from(self.plan.n)),
            Some(Level::One) => Some(1),
            _ => None,
        }
    }

    /// Judges what a client was shown.
    pub fn check_read(&mut self, id: usize, record: &Record) {
        self.check_commits();
        let op = self.ops[id].clone();
        let key = Key::new(self.plan.keys[op.key].clone()).expect("a key");
        for (dot, value) in &record.siblings {
            self.w.bind(*dot, &key, &value.bytes);
            if self.dead.contains(dot) {
                self.fail(format!("[back] op {id}: {dot:?} of {key} came back"));
            }
            if !self.w.mints.contains_key(dot) {
                self.fail(format!("[phantom] op {id}: {dot:?} of {key} was never durable"));
            }
        }
        let Some(r) = self.votes_wanted(id) else { return };
        let what = if op.strict { "strict read" } else { "read" };
        for (w, clock) in &op.promise.acked {
            if self.plan.sees_write(r, *w) && !record.clock.descends(clock) {
                let shown = &record.clock;
                self.fail(format!(
                    "[stale] op {id}: a {what} of {key} misses what {w} acknowledged: \
                     {shown:?} < {clock:?}"
                ));
            }
        }
        for (before, clock) in op.promise.read.iter().filter(|_| op.strict) {
            if self.plan.sees_read(r, *before) && !record.clock.descends(clock) {
                let shown = &record.clock;
                self.fail(format!(
                    "[back] op {id}: a strict read of {key} went back: {shown:?} < {clock:?}"
                ));
            }
        }
        for (w, dot) in op.promise.shown {
            if !self.plan.sees_write(r, w) || record.sibling(dot).is_some() {
                continue;
            }
            if self.is_superseded(&key, dot) {
                self.promises[op.key].shown.retain(|d| d.1 != dot);
            } else {
                self.fail(format!("[stale] op {id}: a {what} of {key} misses {dot:?}"));
            }
        }
    }

    /// Too few full copies lack what was acknowledged for any read to miss it. `all`: every key.
    pub fn audit(&mut self, all: bool) {
        if !self.plan.is_open() {
            return;
        }
        self.check_commits();
        let count = self.plan.keys.len();
        let start = self.w.rng.below(count as u64) as usize;
        let some = if all { count } else { count.min(3) };
        for at in (0..some).map(|i| (start + i) % count) {
            self.audit_key(at);
        }
    }

    fn audit_key(&mut self, at: usize) {
        let name = self.plan.keys[at].clone();
        let (p, key) = self.w.place(&name);
        let superseded: Vec<Dot> = self.promises[at].shown.iter().map(|s| s.1).collect();
        let superseded: BTreeSet<Dot> =
            superseded.into_iter().filter(|d| self.is_superseded(&key, *d)).collect();
        self.promises[at].shown.retain(|s| !superseded.contains(&s.1));
        let safe =
            |w: u64| self.plan.sees_write(u64::from(self.plan.n), w) && w >= self.plan.majority();
        let wanted: Vec<_> =
            self.promises[at].acked.iter().filter(|s| safe(s.0)).cloned().collect();
        if wanted.is_empty() {
            return;
        }
        let doc = self.w.doc();
        let owners = doc.owners_in(doc.read_layout(), p);
        let mut votes = Vec::new();
        for i in 0..self.w.hosts.len() {
            let host = &self.w.hosts[i];
            let owner = owners.contains(&host.id) && !host.frozen && !host.gone;
            if !owner || self.rotten.contains(&(i, name.clone())) {
                continue;
            }
            let answers = self.w.probe(i, vec![key.clone()]);
            if let Some(Answer::Vote(stored)) = answers.into_iter().next() {
                let record = stored.and_then(|s| s.record(&key).ok()).unwrap_or_default();
                votes.push((i, record.clock));
            }
        }
        for (w, clock) in wanted {
            let lacks = |v: &&(usize, kvs::clock::VersionVector)| !v.1.descends(&clock);
            let lacking: Vec<usize> = votes.iter().filter(lacks).map(|v| v.0).collect();
            // Each write may be lacking in n-w copies; of several writes each its own.
            let dots = clock.entries().iter().map(|&(actor, counter)| Dot { actor, counter });
            for dot in dots {
                let without = votes.iter().filter(|v| !v.1.covers(dot)).count() as u64;
                if without > u64::from(self.plan.n) - w {
                    return self.fail(format!(
                        "[full] {dot:?} of {key}, acknowledged by {w}: the full copies of hosts \
                         {lacking:?} lack it"
                    ));
                }
            }
        }
    }
}

/// For how many owners at the most a fallback of their own can be had, of those that have a hint: one
/// may keep hints for several.
fn most(keepers: &[Vec<usize>], taken: &mut Vec<usize>) -> usize {
    let Some((first, rest)) = keepers.split_first() else { return 0 };
    let mut best = most(rest, taken);
    for keeper in first {
        if !taken.contains(keeper) {
            taken.push(*keeper);
            best = best.max(1 + most(rest, taken));
            taken.pop();
        }
    }
    best
}
