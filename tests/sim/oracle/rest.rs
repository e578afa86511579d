//! At rest: owners are equal, digests true, hints gone, and of every write what must be there is there.

use super::*;

impl Run {
    /// Judges everything, once all is healed and quiet.
    pub fn check_all(&mut self) {
        self.check_commits();
        let copies = self.check_copies();
        for (at, record) in copies.into_iter().enumerate() {
            let key = Key::new(self.plan.keys[at].clone()).expect("a key");
            self.check_key(&key, &record);
            self.promises[at].shown.retain(|s| record.sibling(s.1).is_some());
        }
        self.check_refusals();
        self.exact.clear();
        self.audit(true);
        self.take_wrong();
    }

    pub fn take_wrong(&mut self) {
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
                self.fail(format!("[rest] host {i} still holds hints"));
            }
            let own: BTreeMap<_, _> = store.sums().unwrap_or_default().into_iter().collect();
            for p in doc.q.all() {
                let sum = own.get(&p).copied().unwrap_or_default();
                if doc.owns(id, p) {
                    sums.entry(p).or_default().push((i, sum));
                } else if sum.count > 0 {
                    self.fail(format!("[rest] host {i} still holds {p:?} that is not its own"));
                }
                if sum.count > 0 && !verify::verify(&store, p).is_ok_and(|v| v.is_good()) {
                    self.fail(format!("[sums] host {i}: the digest of {p:?} is not true"));
                }
            }
        }
        for (p, sums) in sums {
            if sums.iter().any(|s| s.1 != sums[0].1) {
                self.fail(format!("[rest] the owners of {p:?} differ: {sums:?}"));
            }
        }
        let keys = self.plan.keys.clone();
        let record = |key: &String| {
            let owner = self.w.owners(key).first().copied();
            owner.and_then(|o| self.w.record(o, key)).unwrap_or_default()
        };
        keys.iter().map(record).collect()
    }

    /// Whether a value is there, or what took its place is, or a delete did.
    fn is_gone_on_from(
        &self,
        dot: Dot,
        there: &BTreeSet<Dot>,
        by: &BTreeMap<Dot, Vec<Dot>>,
    ) -> bool {
        let (mut left, mut met) = (vec![dot], BTreeSet::new());
        while let Some(dot) = left.pop() {
            if there.contains(&dot) || self.w.mints[&dot].value.is_none() {
                return true;
            }
            if met.insert(dot) {
                left.extend(by.get(&dot).into_iter().flatten());
            }
        }
        false
    }

    fn check_key(&mut self, key: &Key, record: &Record) {
        let there: BTreeSet<Dot> = record.siblings.iter().map(|s| s.0).collect();
        let log = self.logs.entry(key.clone()).or_default();
        let (values, by) = (log.values.clone(), std::mem::take(&mut log.by));
        let acked = |m: &Mint| match self.op_of(m).map(|id| self.ops[id].outcome) {
            Some(Outcome::Acked(Some(dot))) => dot == m.dot,
            Some(Outcome::Acked(None)) => true,
            _ => false,
        };
        let (mut wrong, mut dead) = (Vec::new(), Vec::new());
        for dot in &values {
            let mint = &self.w.mints[dot];
            if self.dead.contains(dot) && there.contains(dot) {
                wrong.push(format!("[back] {dot:?} of {key} came back"));
            }
            let over: Vec<Dot> = by.get(dot).cloned().unwrap_or_default();
            let sure = over.iter().find(|d| there.contains(d) || acked(&self.w.mints[d]));
            match sure {
                Some(by) if there.contains(dot) => {
                    wrong.push(format!(
                        "[lives] {dot:?} of {key} lives, though {by:?} superseded it"
                    ));
                }
                // A write of which nobody knows took its place: then that is there, or what took its.
                None if acked(mint) && !self.is_gone_on_from(*dot, &there, &by) => {
                    let op = self.op_of(mint);
                    wrong.push(format!("[lost] {dot:?} of {key}, acknowledged to op {op:?}"));
                }
                _ => {}
            }
            if !there.contains(dot) {
                dead.push(*dot);
            }
        }
        let stranger = |dot: &&Dot| !values.contains(dot);
        wrong.extend(there.iter().find(stranger).map(|d| format!("[phantom] {d:?} of {key}")));
        wrong.into_iter().for_each(|w| self.fail(w));
        self.dead.extend(dead);
        // From here on nothing of what is gone can come back.
        let log = self.logs.entry(key.clone()).or_default();
        log.values.retain(|dot| there.contains(dot));
        log.honest.clear();
    }

    /// What was refused took no effect.
    fn check_refusals(&mut self) {
        let refused = |m: &&Mint| {
            m.value.is_some()
                && self.op_of(m).is_some_and(|id| self.ops[id].outcome == Outcome::Refused)
        };
        if let Some(mint) = self.w.mints.values().find(refused) {
            let (dot, op) = (mint.dot, self.op_of(mint));
            self.fail(format!("[refused] op {op:?} was refused, and yet {dot:?} was written"));
        }
    }

    /// Two callers of if-absent have not both won, unless a write or its time lies between.
    pub fn check_absent(&mut self, id: usize, dot: Dot) {
        let op = &self.ops[id];
        let r = op.options.r.map_or(self.plan.majority(), u64::from);
        let w = op.options.w.map_or(self.plan.majority(), u64::from);
        let meets = op.options.level.is_none() && self.plan.sees_write(r, w);
        if op.kind != Kind::Absent || !meets {
            return;
        }
        self.check_commits();
        let key = self.ops[id].key;
        let name = Key::new(self.plan.keys[key].clone()).expect("a key");
        let now = WALL_MS + self.w.now_ms;
        let over = |other: &(usize, Dot)| {
            let ahead = self.w.hosts.iter().map(|h| h.skew_ms).max().unwrap_or(0);
            let latest = now.saturating_add_signed(ahead);
            let expired = self.ops[other.0].expires_ms.is_some_and(|at| at <= latest);
            expired || self.dead.contains(&other.1) || self.is_superseded(&name, other.1)
        };
        let mut winners = self.winners.get(&key).cloned().unwrap_or_default();
        winners.push((id, dot));
        // One that is patient may be told late, when its value is gone already.
        winners.retain(|winner| !over(winner));
        if let [(other, _), .., (last, _)] = winners[..] {
            self.fail(format!("[absent] ops {other} and {last} both won if-absent of {name}"));
        }
        self.winners.insert(key, winners);
    }

    /// Of two exact writes that did not know of each other not both have won.
    pub fn check_exact(&mut self, id: usize, dot: Dot) {
        let op = &self.ops[id];
        let r = op.options.r.map_or(self.plan.majority(), u64::from);
        let w = op.options.w.map_or(self.plan.majority(), u64::from);
        let meets = op.options.level.is_none() && self.plan.sees_write(r, w);
        if op.kind != Kind::Exact || !op.strict || !meets {
            return;
        }
        let key = op.key;
        let knows = |id: usize, dot: Dot| {
            self.ops[id].context.as_ref().is_some_and(|context| context.covers(dot))
        };
        let exact = self.exact.get(&key).cloned().unwrap_or_default();
        let beside = exact.iter().find(|(o, d)| !knows(id, *d) && !knows(*o, dot));
        if let Some((other, _)) = beside {
            let name = &self.plan.keys[key];
            let why = format!("[exact] ops {other} and {id} both won an exact write of {name}");
            self.fail(why);
        }
        self.exact.entry(key).or_default().push((id, dot));
    }
}
