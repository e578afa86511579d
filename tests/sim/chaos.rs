//! What goes wrong while the clients work, within a budget of losses, and how the ring is changed.

use kvs::node::{Reply, Request};
use kvs::ring::{Change, ChangeStep, MemberState};
use kvs::store::memory::Damage;
use kvs::store::{Store, Table};

use super::client::Outcome;
use super::plan::Fault;
use super::run::{Run, Turn};

impl Run {
    /// One thing goes wrong, if the seed and the budget allow it.
    pub fn fault(&mut self) {
        let total = self.plan.faults.iter().map(|f| f.1).sum();
        let mut at = self.w.rng.below(total);
        let mut chosen = Fault::Mend;
        for (fault, weight) in &self.plan.faults {
            if at < *weight {
                chosen = *fault;
                break;
            }
            at -= weight;
        }
        // Acceptors that are gone or may have forgotten must stay a minority: beyond it is
        // `ring recover`.
        let doubts = chosen.is_doubt();
        // A member may leave meanwhile.
        let voters = self.w.doc().voters().count();
        // Of two voters neither may be gone for good, as one is whose file cannot be opened any more.
        let gone = matches!(chosen, Fault::RotRing | Fault::RotIdentity);
        let minority = match voters {
            2 if gone => false,
            0..=3 => self.doubted < voters / 2,
            _ => 2 * (self.doubted + 1) < voters - 1,
        };
        if chosen.is_lossy() && self.budget == 0 || doubts && !minority {
            return;
        }
        if self.plan.commands && !Self::is_of_disks(chosen) {
            return;
        }
        let hosts: Vec<_> = (0..self.w.hosts.len()).filter(|i| !self.w.hosts[*i].gone).collect();
        let Some(mut host) = self.w.rng.pick(&hosts).copied() else { return };
        if chosen.is_lossy() && self.w.rng.chance(700) {
            host = self.aim().unwrap_or(host);
        }
        if self.inflict(chosen, host, &hosts) {
            self.w.count(chosen.name());
            if chosen.is_lossy() {
                self.budget -= 1;
                self.loss_ms = self.w.now_ms;
            }
            self.doubted += usize::from(doubts);
            if chosen.is_lossy() && self.w.rng.chance(600) {
                let after = self.w.rng.within(100, 4_000);
                self.schedule(after, Turn::Strike);
            }
        }
    }

    /// Where a copy was lost, another one cannot be reached for a while.
    pub fn strike(&mut self) {
        let Some(host) = self.aim() else { return };
        if self.w.rng.chance(500) {
            self.down(host, 10_000);
        } else {
            self.w.isolate(host);
        }
    }

    /// A host that holds what was acknowledged lately and stands on the fewest disks.
    fn aim(&mut self) -> Option<usize> {
        let mut best: Option<Vec<usize>> = None;
        let acked = |op: &super::client::Op| match op.outcome {
            Outcome::Acked(Some(dot)) => Some((op.key, dot)),
            _ => None,
        };
        for (key, dot) in self.ops.iter().rev().take(40).filter_map(acked).take(8) {
            let key = &self.plan.keys[key];
            let holds = |i: &usize| {
                let host = &self.w.hosts[*i];
                !host.gone && self.w.record(*i, key).is_some_and(|r| r.clock.covers(dot))
            };
            let holders: Vec<_> = (0..self.w.hosts.len()).filter(holds).collect();
            let fewer = best.as_ref().is_none_or(|b| holders.len() < b.len());
            if fewer && !holders.is_empty() {
                best = Some(holders);
            }
        }
        best.and_then(|b| self.w.rng.pick(&b).copied())
    }

    fn inflict(&mut self, fault: Fault, host: usize, hosts: &[usize]) -> bool {
        match fault {
            Fault::Cut | Fault::Isolate | Fault::Mend | Fault::Freeze | Fault::Relink => {
                self.inflict_net(fault, host, hosts)
            }
            Fault::Strike => {
                self.strike();
                true
            }
            Fault::Crash => self.down(host, self.plan.down_ms),
            Fault::Breakdown => {
                let keep = self.w.rng.chance(500);
                if !self.w.is_up(host) || !self.w.sheltered.is_empty() {
                    return false;
                }
                self.w.break_disk(host, keep);
                self.schedule(5_000, Turn::Restart(host));
                true
            }
            Fault::FullDisk => {
                self.w.hosts[host].store.set_full(true);
                let after = self.w.rng.within(500, 15_000);
                self.schedule(after, Turn::Room(host));
                true
            }
            Fault::ZoneDown => {
                let zone = self.w.rng.below(3);
                let zone = format!("z{zone}");
                let doc = self.w.doc();
                let of =
                    |i: &usize| doc.member(self.w.hosts[*i].id).is_some_and(|m| m.zone == zone);
                let zone: Vec<_> = hosts.iter().copied().filter(of).collect();
                zone.into_iter().filter(|i| self.down(*i, self.plan.down_ms)).count() > 0
            }
            Fault::Restore => self.restore(host, false),
            Fault::RestoreSilently => self.restore(host, true),
            Fault::Lose | Fault::Rot | Fault::RotKey | Fault::RotTerm => self.damage(fault, host),
            Fault::RotHint => self.damage_row("hints", host),
            Fault::RotSum => self.damage_row("digests", host),
            Fault::RotRing => self.damage_row("ring", host),
            Fault::RotIdentity => self.damage_row("meta", host),
            Fault::Skew => {
                let jump = self.w.rng.within(1, 200_000_000) as i64 - 100_000_000;
                self.w.hosts[host].skew_ms = jump;
                true
            }
            Fault::Replace | Fault::Remove | Fault::Join | Fault::Leave | Fault::Weight => {
                self.wish(fault, host)
            }
        }
    }

    fn inflict_net(&mut self, fault: Fault, host: usize, hosts: &[usize]) -> bool {
        match fault {
            Fault::Cut => {
                let other = self.w.rng.pick(hosts).copied().unwrap_or(host);
                self.w.cut(host, other);
                if self.w.rng.chance(400) {
                    self.w.cut(other, host);
                }
                host != other
            }
            Fault::Isolate => {
                self.w.isolate(host);
                true
            }
            Fault::Mend => {
                self.w.mend();
                true
            }
            Fault::Freeze => {
                let ms = *self.w.rng.pick(&[300, 2_500, 7_000, 30_000]).expect("a list");
                self.w.sheltered.is_empty() && self.w.freeze(host, ms)
            }
            Fault::Relink => {
                let other = self.w.rng.pick(hosts).copied().unwrap_or(host);
                self.w.relink(host, other);
                self.plan.links.is_some() && host != other
            }
            _ => false,
        }
    }

    /// Crashes a node and schedules its return.
    fn down(&mut self, host: usize, most_ms: u64) -> bool {
        if !self.w.is_up(host) || !self.w.sheltered.is_empty() {
            return false;
        }
        let keep = self.w.rng.chance(500);
        self.w.crash(host, keep);
        let after = self.w.rng.within(200, most_ms);
        self.schedule(after, Turn::Restart(host));
        true
    }

    /// An older directory is put back. With its sidecar only other nodes can tell, so one that
    /// knows must be there to be asked: without one it is a named limit.
    fn restore(&mut self, host: usize, silently: bool) -> bool {
        let Some(snapshot) = self.snapshots.get(&host).cloned() else { return false };
        if !self.w.sheltered.is_empty() {
            return false;
        }
        if silently && !self.w.has_witness(host, snapshot.store.commit_number()) {
            return false;
        }
        self.w.restore(host, &snapshot, silently);
        self.lost.insert(host);
        if silently {
            self.w.sheltered.insert(host);
            self.schedule(6_000, Turn::Unshelter);
        }
        let after = if silently { 1 } else { self.w.rng.within(200, 15_000) };
        self.schedule(after, Turn::Restart(host));
        true
    }

    /// A record rots, or vanishes while its node is down.
    fn damage(&mut self, fault: Fault, host: usize) -> bool {
        let keys = self.plan.keys.clone();
        let name = self.w.rng.pick(&keys).cloned().unwrap_or_default();
        if self.w.record(host, &name).is_none() {
            return false;
        }
        let (p, key) = self.w.place(&name);
        let row: Vec<u8> = [&p.0.to_be_bytes(), key.as_bytes()].concat();
        let store = &self.w.hosts[host].store;
        let rows = store.rows_in("records");
        let mut copy = store.clone();
        let Some(nth) = (0..rows).find(|nth| {
            copy.clone_from(store);
            copy.damage("records", *nth, Damage::Lost).as_ref() == Some(&row)
        }) else {
            return false;
        };
        let bytes = store.get(p, &key).ok().flatten().map_or(0, |s| s.bytes().len());
        let rng = &mut self.w.rng;
        let how = match fault {
            Fault::Lose => Damage::Lost,
            Fault::RotKey => Damage::Key(rng.below(8 * row.len() as u64) as usize),
            Fault::RotTerm => Damage::Value(rng.below(128) as usize),
            _ => Damage::Value(rng.within(128, 8 * bytes as u64 - 1) as usize),
        };
        if fault.is_hidden() && self.w.is_up(host) && !self.down(host, 8_000) {
            return false;
        }
        self.w.note(|| format!("{fault:?} of {name} at {host}: {how:?}"));
        self.damaged.insert(host);
        self.lost.insert(host);
        self.rotten.insert((host, name));
        self.w.hosts[host].store.damage("records", nth, how).is_some()
    }

    /// Some bit of some row of a table flips, or the row vanishes; the node is down meanwhile.
    fn damage_row(&mut self, table: &str, host: usize) -> bool {
        let rows = self.w.hosts[host].store.rows_in(table) as u64;
        if rows == 0 || !self.w.sheltered.is_empty() {
            return false;
        }
        // A member lost for good inside a change is a named limit.
        let whole = matches!(table, "meta" | "ring");
        if whole && (!self.wish.is_empty() || self.w.doc().step != ChangeStep::Settled) {
            return false;
        }
        if self.w.is_up(host) && !self.down(host, 8_000) {
            return false;
        }
        let nth = self.w.rng.below(rows) as usize;
        let lost = table != "meta" && table != "ring" && self.w.rng.chance(150);
        let how = if lost { Damage::Lost } else { Damage::Value(self.w.rng.below(64) as usize) };
        self.damaged.insert(host);
        self.lost.insert(host);
        let row = self.w.hosts[host].store.damage(table, nth, how);
        self.w.note(|| format!("rot in {table} of {host}: {row:?} {how:?}"));
        if matches!(table, "meta" | "ring") && row.is_some() {
            self.w.watch.forget_promises(host);
            self.w.hosts[host].doubtful = true;
        }
        row.is_some()
    }

    // ---- the ring ---------------------------------------------------------------------------

    /// Somebody wants the ring changed; the shepherd sees to it.
    fn wish(&mut self, fault: Fault, host: usize) -> bool {
        let doc = self.w.doc();
        let present = doc.present().count();
        let doubtful = self.w.hosts.iter().any(|h| h.doubtful && !h.gone);
        if !self.wish.is_empty() || doc.step != ChangeStep::Settled || doubtful {
            return false;
        }
        let Some(member) = doc.member(self.w.hosts[host].id).cloned() else { return false };
        let voters = doc.voters().count();
        if member.state != MemberState::Normal || self.doubted > 0 && 2 * self.doubted >= voters - 1
        {
            return false;
        }
        let less = self.plan.w() < self.plan.majority();
        let change = match fault {
            Fault::Join if present < 8 => self.join(),
            // What was acknowledged by less than the ring's W may be on the one that leaves alone.
            Fault::Leave if present > doc.n() && (!less || self.budget > 0) => {
                self.budget -= u64::from(less);
                Change::Leave(member.name)
            }
            Fault::Replace if present >= 3 && self.w.sheltered.is_empty() => {
                Change::Replace(self.lose_machine(host))
            }
            Fault::Remove if present > doc.n().max(3) && self.w.sheltered.is_empty() => {
                self.w.crash(host, false);
                self.w.hosts[host].gone = true;
                Change::Remove(member.name)
            }
            Fault::Weight => Change::Weight(member.name, self.w.rng.within(1, 4) as u32),
            _ => return false,
        };
        self.wish.push(change);
        // Several wishes in one plan.
        if self.plan.has(Fault::Join) && present < 7 && self.w.rng.chance(200) {
            let more = self.join();
            self.wish.push(more);
        }
        true
    }

    fn join(&mut self) -> Change {
        let zone = format!("z{}", self.w.rng.below(3));
        let (name, weight) = (format!("j{}", self.w.hosts.len()), self.w.rng.within(1, 3));
        let (host, joined) = self.w.new_host(&name, &zone, weight as u32);
        self.w.hosts[host].commit_ms = self.plan.commit_ms;
        Change::Join(joined)
    }

    /// A machine is lost; a fresh one of its name waits to be taken in.
    pub fn lose_machine(&mut self, host: usize) -> kvs::ring::Member {
        let name = self.w.hosts[host].name.clone();
        if self.w.is_up(host) {
            self.w.crash(host, false);
        }
        let (new, joined) = self.w.new_host(&name, "", 1);
        self.w.hosts[new].commit_ms = self.plan.commit_ms;
        self.w.hosts[host].gone = true;
        self.lost.insert(new);
        joined
    }

    /// Whether the ring is as was wished, or on its way there.
    fn is_granted(&self, wish: &Change) -> bool {
        let doc = self.w.doc();
        match wish {
            Change::Join(m) | Change::Replace(m) => doc.member(m.id).is_some(),
            Change::Leave(name) => doc.named(name).map_or(true, |m| m.state != MemberState::Normal),
            Change::Weight(name, weight) => doc.named(name).map_or(true, |m| m.weight == *weight),
            Change::Remove(name) => {
                doc.named(name).map_or(true, |m| m.state != MemberState::Normal)
            }
        }
    }

    /// What the ring wants next, as a request; `None` when it is settled and as wished.
    pub fn next_of_ring(&mut self) -> Option<Request> {
        let doc = self.w.doc();
        for i in 0..self.w.hosts.len() {
            let id = self.w.hosts[i].id;
            // An operator switches a machine off when a durable document says that it has left.
            let says = |h: &crate::support::world::Host| {
                let row = h.store.row(Table::Ring, "doc").ok().flatten();
                let doc = row.and_then(|row| kvs::ring::RingDoc::decode(&row).ok());
                doc.is_some_and(|d| d.member(id).is_some_and(|m| m.state == MemberState::Removed))
            };
            let removed = doc.member(id).is_some_and(|m| m.state == MemberState::Removed);
            let known = self.w.hosts.iter().any(|h| !h.gone && h.id != id && says(h));
            if removed && known && !self.w.hosts[i].gone {
                self.w.hosts[i].gone = true;
                self.w.crash(i, false);
            }
        }
        if doc.step != ChangeStep::Settled {
            return Some(Request::Advance);
        }
        let wish = std::mem::take(&mut self.wish);
        if wish.is_empty() {
            return None;
        }
        if wish.iter().all(|w| self.is_granted(w)) {
            self.w.count("ring changes begun");
            return None;
        }
        let next = doc.change(&wish).ok();
        // What cannot be had together may be had one after the other.
        let one = |w: &Change| doc.change(std::slice::from_ref(w)).ok();
        let next = next.or_else(|| wish.iter().find_map(one));
        self.wish = wish;
        if next.is_none() {
            self.wish_otherwise();
        }
        Some(Request::Propose(Box::new(next?)))
    }

    /// Whoever cannot be removed, for too few would be left, is replaced.
    fn wish_otherwise(&mut self) {
        for wish in std::mem::take(&mut self.wish) {
            let Change::Remove(name) = wish else { continue };
            let (host, joined) = self.w.new_host(&name, "", 1);
            self.w.hosts[host].commit_ms = self.plan.commit_ms;
            self.wish.push(Change::Replace(joined));
        }
    }

    pub fn shepherd(&mut self) {
        // Now and then two drivers are at work.
        for _ in 0..=u64::from(self.w.rng.chance(500)) {
            let able = |i: &usize| self.w.is_up(*i) && !self.w.hosts[*i].frozen;
            let up: Vec<_> = (0..self.w.hosts.len()).filter(able).collect();
            let Some(via) = self.w.rng.pick(&up).copied() else { return };
            let rival = self.rival();
            let request = self.next_of_ring().map(|r| rival.unwrap_or(r));
            let tidy = self.w.rng.chance(300).then_some(Request::Cleanup);
            if let Some(request) = request.or(tidy)
                && self.w.is_up(via)
            {
                self.w.request(via, request);
            }
        }
    }

    /// Somebody else wants something else at the same time.
    fn rival(&mut self) -> Option<Request> {
        let doc = self.w.doc();
        let rivals = self.plan.has(Fault::Weight) && doc.step == ChangeStep::Settled;
        let lost = self.wish.iter().any(|w| matches!(w, Change::Replace(_) | Change::Remove(_)));
        if !rivals || lost || self.wish.is_empty() || !self.w.rng.chance(400) {
            return None;
        }
        let members: Vec<_> = doc.present().map(|m| m.name.clone()).collect();
        let name = self.w.rng.pick(&members).cloned()?;
        let weight = self.w.rng.within(1, 4) as u32;
        Some(Request::Propose(Box::new(doc.change(&[Change::Weight(name, weight)]).ok()?)))
    }

    // ---- healing ----------------------------------------------------------------------------

    /// Whose file cannot be opened any more gets a new machine.
    pub fn replace_broken(&mut self) {
        for host in 0..self.w.hosts.len() {
            if self.w.hosts[host].broken && !self.w.hosts[host].gone {
                let joined = self.lose_machine(host);
                self.wish.push(Change::Replace(joined));
            }
        }
    }

    /// Damage is found by reading everything, as `repair --verify` does.
    pub fn read_everything(&mut self) {
        for host in std::mem::take(&mut self.damaged) {
            if self.w.hosts[host].gone || !self.w.is_up(host) {
                continue;
            }
            for p in self.w.doc().q.all() {
                let reply = self.w.ask(host, Request::Verify(p));
                if !matches!(reply, Some(Reply::Verify(_))) {
                    self.fail(format!("[rest] a verify of {p:?} at {host} gives {reply:?}"));
                }
            }
        }
        self.rotten.clear();
    }
}
