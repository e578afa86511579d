//! The end of a round: every fault is over, all comes to rest and is judged, and all works again.

use super::*;

impl Run {
    /// Ends every fault, lets the ring and the data come to rest, and judges.
    pub(super) fn heal(&mut self) {
        self.epoch = self.turns.len();
        self.w.lying = false;
        self.w.sheltered.clear();
        for host in 0..self.w.hosts.len() {
            self.w.thaw(host);
            self.w.hosts[host].store.set_full(false);
            self.w.restart(host);
        }
        self.w.net = Net::CALM;
        self.w.heal();
        self.w.run_for(13_000);
        self.take_replies();
        self.give_up();
        self.calm_phase();
        self.read_everything();
        if !(0..25).any(|attempt| self.come_to_rest(attempt)) {
            return self.fail("[rest] it does not come to rest".into());
        }
        let again = self.w.repair_all();
        if again != (0, 0) || !self.w.settle() {
            self.fail(format!("[rest] a second repair moves {again:?}"));
        }
        self.check_all();
        self.snapshots.clear();
        self.lost.clear();
        self.w.hosts.iter_mut().for_each(|h| h.doubtful = false);
        self.all_works();
        self.check_commits();
    }

    /// Everybody can be reached, though copies are filling and hints wait: nothing is refused.
    fn calm_phase(&mut self) {
        let settled = self.w.doc().step == RingStep::Settled;
        let gone = self.plan.has(Fault::Replace) || self.plan.has(Fault::Remove);
        if gone && !settled || !self.all_are_up() || !self.plan.is_open() {
            return;
        }
        for turn in 0..6 {
            let up: Vec<_> = (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect();
            let members = self.w.doc();
            let member = |i: &usize| {
                let member = members.member(self.w.hosts[*i].id);
                member.is_some_and(|m| m.state != kvs::ring::MemberState::Removed)
            };
            let up: Vec<_> = up.into_iter().filter(member).collect();
            let Some(via) = self.w.rng.pick(&up).copied() else { return };
            let client = turn % self.plan.clients;
            self.calm = true;
            self.begin(client, via);
            self.calm = false;
            let open = self.clients[client].open.clone();
            let until = self.w.now_ms + 7_000;
            while !self.clients[client].open.is_empty() && self.w.step(until) != Step::Over {
                self.check_commits();
                self.take_replies();
            }
            self.give_up();
            if !self.all_are_up() {
                // One has met damage of its own file, and ended: it was not well before.
                self.take_wrong();
                return;
            }
            let amiss = |id: &&usize| match self.ops[**id].outcome {
                Outcome::Unknown => true,
                Outcome::Refused => {
                    let key = &self.plan.keys[self.ops[**id].key];
                    !self.w.is_undecidable(&self.lost, key)
                }
                _ => false,
            };
            if let Some(id) = open.iter().find(amiss).filter(|id| !self.conflicts.contains(*id)) {
                let op = self.ops[*id].clone();
                let (kind, key) = (op.kind, &self.plan.keys[op.key]);
                self.fail(format!(
                    "[live] op {id}: all are up, and yet a {kind:?} of {key} ends {:?}: {}",
                    op.outcome, self.why
                ));
            }
            self.take_wrong();
        }
    }

    /// Whether every member is there: one that was lost is one until somebody replaces it.
    fn all_are_up(&self) -> bool {
        let up = |id| (0..self.w.hosts.len()).any(|i| self.w.hosts[i].id == id && self.w.is_up(i));
        self.w.doc().present().all(|m| up(m.id))
    }

    /// Takes ring, hints and copies a step further; whether nothing was left to do.
    fn come_to_rest(&mut self, attempt: usize) -> bool {
        self.replace_broken();
        let mut rest = true;
        if let Some(request) = self.next_of_ring() {
            let up: Vec<_> = (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect();
            let via = up[attempt % up.len()];
            let reply = self.w.ask(via, request);
            self.w.note(|| format!("the ring: {reply:?}"));
            rest = false;
        }
        if attempt > 4 {
            self.drop_bad_hints(attempt > 6);
        }
        rest &= self.w.deliver_all() == 0;
        for i in 0..self.w.hosts.len() {
            let accept_missing = attempt > 6;
            let request = RepairRequest { accept_missing, ..RepairRequest::default() };
            if let Some(report) = self.w.repair(i, request) {
                rest &= report.pulled + report.pushed == 0 && report.filling.is_empty();
            }
            if let Some(Reply::Repair(report)) =
                self.w.is_up(i).then(|| self.w.ask(i, Request::Cleanup)).flatten()
            {
                rest &= report.dropped == 0 && report.pulled + report.pushed == 0;
            }
        }
        let settled = self.w.doc().step == RingStep::Settled && self.wish.is_empty();
        let rest = rest && settled && self.leftovers() == 0 && self.w.settle() && !self.has_hints();
        if !rest {
            self.w.run_for(1_000);
        }
        rest
    }

    /// Whether a write that has ended meanwhile left a hint behind.
    fn has_hints(&self) -> bool {
        let kept =
            |h: &crate::support::world::Host| h.store.hint_stats().is_ok_and(|s| s.count > 0);
        self.w.hosts.iter().any(|h| h.node.is_some() && kept(h))
    }

    /// Damaged hints are given up where the owners are there to be repaired from, as is advised.
    fn drop_bad_hints(&mut self, whole: bool) {
        for i in (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect::<Vec<_>>() {
            let found = self.w.hosts[i].store.bad_hints().unwrap_or_default();
            if whole && !found.is_empty() {
                self.w.ask(i, Request::AcceptLoss(None));
                continue;
            }
            for key in found.bad.iter().filter_map(kvs::store::BadHint::key) {
                self.w.ask(i, Request::DropBadHints(key));
            }
        }
    }

    /// Partitions that nodes hold and do not own.
    fn leftovers(&self) -> usize {
        let doc = self.w.doc();
        let of = |h: &crate::support::world::Host| {
            let sums = h.store.sums().unwrap_or_default();
            sums.iter().filter(|s| s.1.count > 0 && !doc.owns(h.id, s.0)).count()
        };
        self.w.hosts.iter().filter(|h| h.node.is_some()).map(of).sum()
    }

    /// With everything healed every write and every read succeeds, and nothing is said to be amiss.
    fn all_works(&mut self) {
        for host in 0..self.w.hosts.len() {
            let Some(Reply::Status(s)) =
                self.w.is_up(host).then(|| self.w.ask(host, Request::Status)).flatten()
            else {
                continue;
            };
            if s.filling + s.bad > 0 || s.hints > 0 || s.waiting {
                self.fail(format!("[status] healed, and yet host {host} says {s:?}"));
            }
        }
        for key in 0..self.plan.keys.len() {
            if self.failure.is_some() {
                return;
            }
            self.put_works(key);
            self.get_works(key);
        }
    }

    fn put_works(&mut self, key: usize) {
        let name = self.plan.keys[key].clone();
        let Some(via) = self.w.owners(&name).last().copied() else { return };
        let value = format!("v{}", self.ops.len());
        let options = Options { patient: true, ..options() };
        self.ops.push(Op {
            client: 0,
            key,
            kind: Kind::Overwrite,
            value: Some(value.clone()),
            expires_ms: None,
            context: None,
            strict: false,
            options: options.clone(),
            via,
            started_ms: self.w.now_ms,
            ended_ms: u64::MAX,
            outcome: Outcome::Open,
            promise: Promise::default(),
            version: self.w.oldest_version(),
            life: self.w.hosts[via].life,
        });
        let id = self.ops.len() - 1;
        let basis = Precondition::Overwrite { force: true };
        let reply = self.w.write(via, &name, Some(&value), basis, options);
        let dot = match (&reply.verdict, reply.items.first()) {
            (Verdict::Done, Some(kvs::quorum::ItemReply::Written { dot, .. })) => *dot,
            _ => {
                return self
                    .fail(format!("[works] healed, and yet a put of {name} gives {reply:?}"));
            }
        };
        self.ops[id].outcome = Outcome::Acked(Some(dot));
        self.ops[id].ended_ms = self.w.now_ms;
        self.acked.insert(dot, id);
    }

    fn get_works(&mut self, key: usize) {
        let name = self.plan.keys[key].clone();
        let able: Vec<_> = (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect();
        let Some(via) = self.w.rng.pick(&able).copied() else { return };
        let (_, r) = *self.w.rng.pick(&self.plan.quorums).expect("a list");
        let options = Options { r, strict: true, ..options() };
        let reply = self.w.get(via, &name, options);
        if reply.verdict != Verdict::Done {
            self.fail(format!("[works] healed, and yet a strict read of {name} gives {reply:?}"));
        }
    }
}
