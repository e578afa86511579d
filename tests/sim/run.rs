//! One seed from its first event to its verdict.

use std::collections::{BTreeMap, BTreeSet};

use kvs::clock::Dot;
use kvs::key::Key;
use kvs::node::{RepairRequest, Reply, Request};
use kvs::quorum::{Basis, Options, Verdict};
use kvs::ring::{Change, Step as RingStep};
use kvs::store::Store;

use super::client::{Client, Kind, Op, Outcome, Promise};
use super::oracle::KeyLog;
use super::plan::{Fault, Plan};
use crate::support::world::{Net, Snapshot, Step, World, options};

/// The simulator's own events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Fault,
    Rumour,
    Background,
    Shepherd,
    Snapshot,
    Client(usize),
    Restart(usize),
    Room(usize),
    Unshelter,
    Strike,
    Audit,
}

/// How one seed ended.
#[derive(Clone, Debug)]
pub struct Verdicts {
    pub failure: Option<String>,
    pub counts: BTreeMap<&'static str, u64>,
    pub log: u64,
    pub sim_ms: u64,
    pub trace: Vec<String>,
}

/// See the module.
pub struct Run {
    pub w: World,
    pub plan: Plan,
    pub clients: Vec<Client>,
    pub ops: Vec<Op>,
    /// Client operations by ticket.
    pub tickets: BTreeMap<u64, Vec<usize>>,
    /// Acknowledged operations by the dot they were told.
    pub acked: BTreeMap<Dot, usize>,
    /// By key.
    pub promises: Vec<Promise>,
    /// Dots that must never be seen again.
    pub dead: BTreeSet<Dot>,
    /// Copies that may still be lost before all is healed.
    pub budget: u64,
    /// Nodes whose promises as acceptors may be forgotten, since all was healed.
    pub doubted: usize,
    pub snapshots: BTreeMap<usize, Snapshot>,
    /// Hosts whose files are damaged, and copies of keys that are, since all was healed.
    pub damaged: BTreeSet<usize>,
    pub rotten: BTreeSet<(usize, String)>,
    /// Hosts whose files lost something, since all was at rest.
    pub lost: BTreeSet<usize>,
    /// When a copy was last lost.
    pub loss_ms: u64,
    pub logs: BTreeMap<Key, KeyLog>,
    /// Who won if-absent, by key.
    pub winners: BTreeMap<usize, Vec<(usize, Dot)>>,
    /// Who won an exact write since all was at rest, by key.
    pub exact: BTreeMap<usize, Vec<(usize, Dot)>>,
    pub wish: Vec<Change>,
    /// Nothing is amiss: clients ask what must succeed.
    pub calm: bool,
    /// Writes whose condition did not hold; and what the last one that failed was told.
    pub conflicts: BTreeSet<usize>,
    pub why: String,
    /// Findings that begin so are not looked at.
    muted: Vec<String>,
    turns: Vec<Turn>,
    /// Turns of an earlier round are void.
    epoch: usize,
    failure: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, traced: bool) -> Verdicts {
    let plan = Plan::draw(seed);
    kvs::planted::set_hint_bytes(plan.hint_bytes);
    let nodes: Vec<_> = plan.nodes.iter().map(|(n, z)| (n.as_str(), z.as_str())).collect();
    let mut w = World::new(seed, &nodes, plan.n, plan.q);
    w.trace = traced.then(Vec::new);
    w.watch.on = true;
    w.own_clocks = true;
    w.ages = std::env::var("KVS_SIM_AGED").as_deref() != Ok("0");
    w.witnesses = usize::from(!plan.commands);
    w.tick_ms = plan.tick_ms;
    w.hosts.iter_mut().for_each(|h| h.commit_ms = plan.commit_ms);
    for i in 0..w.hosts.len() {
        w.hosts[i].drift_ppm = w.rng.within(0, 200) as i64 - 100;
        w.hosts[i].skew_ms = w.rng.within(0, 2 * plan.apart_ms) as i64 - plan.apart_ms as i64;
    }
    if let Some((hold, fifo)) = plan.links.filter(|_| !plan.commands) {
        w.use_links(hold, fifo);
        w.run_for(8_000);
    }
    let contexts = vec![None; plan.keys.len()];
    let client = Client { open: Vec::new(), contexts };
    let muted = std::env::var("KVS_SIM_MUTE").unwrap_or_default();
    let muted = muted.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
    let mut run = Run {
        w,
        clients: vec![client; plan.clients],
        ops: Vec::new(),
        tickets: BTreeMap::new(),
        acked: BTreeMap::new(),
        promises: vec![Promise::default(); plan.keys.len()],
        dead: BTreeSet::new(),
        budget: 0,
        doubted: 0,
        snapshots: BTreeMap::new(),
        damaged: BTreeSet::new(),
        rotten: BTreeSet::new(),
        lost: BTreeSet::new(),
        loss_ms: 0,
        logs: BTreeMap::new(),
        winners: BTreeMap::new(),
        exact: BTreeMap::new(),
        wish: Vec::new(),
        calm: false,
        conflicts: BTreeSet::new(),
        why: String::new(),
        muted,
        turns: Vec::new(),
        epoch: 0,
        failure: None,
        plan,
    };
    for _ in 0..run.plan.rounds {
        if run.plan.commands {
            run.commands()
        } else {
            run.round()
        }
        if run.failure.is_some() {
            break;
        }
        run.heal();
        if run.failure.is_some() {
            break;
        }
    }
    run.verdicts()
}

impl Run {
    fn verdicts(self) -> Verdicts {
        let mut failure = self.failure;
        if let Some(failure) = &mut failure {
            failure.push_str(&format!("\n    plan: {:?}", self.plan));
        }
        Verdicts {
            failure,
            counts: self.w.counts,
            log: self.w.log,
            sim_ms: self.w.now_ms,
            trace: self.w.trace.unwrap_or_default(),
        }
    }

    /// The first failure is kept.
    pub fn fail(&mut self, why: String) {
        if self.muted.iter().any(|m| why.contains(m.as_str())) {
            return;
        }
        self.w.note(|| format!("FAILED {why}"));
        if self.failure.is_none() {
            self.failure = Some(format!("at {} ms: {why}", self.w.now_ms));
        }
    }

    /// Has a turn come after so long.
    pub fn schedule(&mut self, after_ms: u64, turn: Turn) {
        self.turns.push(turn);
        self.w.script(after_ms, self.turns.len() as u64 - 1);
    }

    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub fn turn_of(&self, token: usize) -> Option<Turn> {
        self.turns.get(token).copied()
    }

    pub fn begin_round(&mut self) {
        self.epoch = self.turns.len();
        self.budget = self.plan.budget();
        self.doubted = 0;
    }

    fn round(&mut self) {
        self.begin_round();
        self.w.lying = self.plan.lying;
        self.w.net = self.plan.net.clone();
        let turns = [Turn::Fault, Turn::Rumour, Turn::Background, Turn::Shepherd, Turn::Snapshot];
        for turn in turns.into_iter().chain([Turn::Audit]) {
            self.schedule(self.plan.fault_ms, turn);
        }
        (0..self.plan.clients).for_each(|c| self.schedule(10, Turn::Client(c)));
        let until = self.w.now_ms + self.plan.round_ms;
        loop {
            match self.w.step(until) {
                Step::Inner => {}
                Step::Over => break,
                Step::Script(token) => self.turn(token as usize),
            }
            if !self.w.watch.kept.is_empty() {
                self.check_commits();
            }
            if !self.w.replies.is_empty() {
                self.take_replies();
            }
            if !self.w.wrong.is_empty() {
                self.take_wrong();
            }
            if self.failure.is_some() {
                break;
            }
        }
    }

    fn turn(&mut self, token: usize) {
        if token < self.epoch {
            return;
        }
        let turn = self.turns[token];
        let again = match turn {
            Turn::Fault => {
                self.fault();
                self.w.rng.within(self.plan.fault_ms / 2, self.plan.fault_ms * 3 / 2)
            }
            Turn::Rumour => {
                self.rumour();
                self.w.rng.within(500, 6_000)
            }
            Turn::Background => {
                self.background();
                self.plan.repair_ms / self.w.hosts.len() as u64
            }
            Turn::Shepherd => {
                self.shepherd();
                self.w.rng.within(500, self.plan.shepherd_ms)
            }
            Turn::Snapshot => {
                let host = self.w.rng.below(self.w.hosts.len() as u64) as usize;
                let old = self.snapshots.contains_key(&host);
                if !old || self.w.rng.chance(300) {
                    self.snapshots.insert(host, self.w.snapshot(host));
                }
                self.w.rng.within(2_000, 15_000)
            }
            Turn::Audit => {
                self.audit(false);
                self.w.rng.within(500, 3_000)
            }
            Turn::Client(c) => {
                self.client_turn(c);
                self.w.rng.within(self.plan.pace_ms / 4, self.plan.pace_ms * 7 / 4)
            }
            Turn::Restart(host) => return self.w.restart(host),
            Turn::Room(host) => return self.w.hosts[host].store.set_full(false),
            Turn::Strike => return self.strike(),
            Turn::Unshelter => return self.w.sheltered.clear(),
        };
        self.schedule(again, turn);
    }

    /// A failure detector says something, true or not.
    fn rumour(&mut self) {
        if !self.w.lying {
            return;
        }
        let i = self.w.rng.below(self.w.hosts.len() as u64) as usize;
        let truth = self.w.rng.chance(400);
        let odds = self.w.rng.within(200, 1_000);
        let mut alive = Vec::new();
        for other in 0..self.w.hosts.len() {
            if if truth { self.w.reaches(i, other) } else { self.w.rng.chance(odds) } {
                alive.push(other);
            }
        }
        self.w.say_alive(i, &alive);
    }

    /// What a served node does by itself now and then, and what operators ask for.
    fn background(&mut self) {
        let i = self.w.rng.below(self.w.hosts.len() as u64) as usize;
        if self.w.hosts[i].frozen {
            return;
        }
        let p = kvs::key::Partition(self.w.rng.below(u64::from(self.plan.q)) as u16);
        let request = match self.w.rng.below(20) {
            0..8 => Request::Repair(RepairRequest::default()),
            8..15 => Request::Deliver,
            15..18 => Request::Spread,
            18 => Request::Verify(p),
            _ => {
                let partitions = Some(vec![p]);
                Request::Repair(RepairRequest { partitions, ..RepairRequest::default() })
            }
        };
        self.w.request(i, request);
    }

    /// Ends every fault, lets the ring and the data come to rest, and judges.
    fn heal(&mut self) {
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
                member.is_some_and(|m| m.state != kvs::ring::State::Removed)
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
        let basis = Basis::Overwrite { force: true };
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
