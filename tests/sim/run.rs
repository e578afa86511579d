//! One seed from its first event to its verdict.

use std::collections::{BTreeMap, BTreeSet};

use kvs::clock::Dot;
use kvs::node::{RepairRequest, Reply, Request};
use kvs::quorum::{Basis, Verdict};
use kvs::ring::{Change, Step as RingStep};
use kvs::store::Store;

use super::client::{Client, Kind, Op, Outcome, Promise};
use super::plan::Plan;
use super::world::{Net, Snapshot, Step, World, options};

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
    pub tickets: BTreeMap<u64, usize>,
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
    /// Hosts of which a record vanished.
    pub vanished: BTreeSet<usize>,
    pub wish: Option<Change>,
    turns: Vec<Turn>,
    /// Turns of an earlier round are void.
    epoch: usize,
    failure: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, traced: bool) -> Verdicts {
    let plan = Plan::draw(seed);
    let nodes: Vec<_> = plan.nodes.iter().map(|(n, z)| (n.as_str(), z.as_str())).collect();
    let mut w = World::new(seed, &nodes, plan.n, 8);
    w.trace = traced.then(Vec::new);
    w.hosts.iter_mut().for_each(|h| h.commit_ms = plan.commit_ms);
    let contexts = vec![None; plan.keys.len()];
    let client = Client { open: None, contexts };
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
        vanished: BTreeSet::new(),
        wish: None,
        turns: Vec::new(),
        epoch: 0,
        failure: None,
        plan,
    };
    for _ in 0..run.plan.rounds {
        run.round();
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

    fn round(&mut self) {
        self.epoch = self.turns.len();
        self.budget = self.plan.budget();
        self.doubted = 0;
        self.w.lying = self.plan.lying;
        self.w.net = self.plan.net.clone();
        for turn in [Turn::Fault, Turn::Rumour, Turn::Background, Turn::Shepherd, Turn::Snapshot] {
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
            if !self.w.replies.is_empty() {
                self.take_replies();
            }
            if self.failure.is_some() || !self.w.wrong.is_empty() {
                break;
            }
        }
        for wrong in std::mem::take(&mut self.w.wrong) {
            self.fail(wrong);
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

    /// What a served node does by itself now and then.
    fn background(&mut self) {
        let i = self.w.rng.below(self.w.hosts.len() as u64) as usize;
        let repair = self.w.rng.chance(400);
        let all = Request::Repair(RepairRequest::default());
        self.w.request(i, if repair { all } else { Request::Deliver });
    }

    /// Ends every fault, lets the ring and the data come to rest, and judges.
    fn heal(&mut self) {
        self.epoch = self.turns.len();
        self.w.lying = false;
        self.w.sheltered.clear();
        self.salvage();
        for host in 0..self.w.hosts.len() {
            self.w.hosts[host].store.set_full(false);
            self.w.restart(host);
        }
        self.w.heal();
        self.w.net = Net::CALM;
        self.w.run_for(13_000);
        self.take_replies();
        self.give_up();
        // The second time for records that the first, with a change under way, did not ask for.
        for _ in 0..2 {
            self.read_everything();
            if !(0..20).any(|attempt| self.come_to_rest(attempt)) {
                return self.fail("it does not come to rest".into());
            }
        }
        let again = self.w.repair_all();
        if again != (0, 0) || !self.w.settle() {
            self.fail(format!("a second repair moves {again:?}"));
        }
        self.check_all();
        self.snapshots.clear();
        self.puts_work();
    }

    /// Takes ring, hints and copies a step further; whether nothing was left to do.
    fn come_to_rest(&mut self, attempt: usize) -> bool {
        let mut rest = true;
        if let Some(request) = self.next_of_ring() {
            let up: Vec<_> = (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect();
            let via = up[attempt % up.len()];
            let reply = self.w.ask(via, request);
            self.w.note(|| format!("the ring: {reply:?}"));
            rest = false;
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
        let settled = self.w.doc().step == RingStep::Settled && self.wish.is_none();
        rest && settled && self.leftovers() == 0 && self.w.settle()
    }

    /// Partitions that nodes hold and do not own.
    fn leftovers(&self) -> usize {
        let doc = self.w.doc();
        let of = |h: &super::world::Host| {
            let sums = h.store.sums().unwrap_or_default();
            sums.iter().filter(|s| s.1.count > 0 && !doc.owns(h.id, s.0)).count()
        };
        self.w.hosts.iter().filter(|h| h.node.is_some()).map(of).sum()
    }

    /// With everything healed every write succeeds.
    fn puts_work(&mut self) {
        for key in 0..self.plan.keys.len() {
            let name = self.plan.keys[key].clone();
            let Some(via) = self.w.owners(&name).last().copied() else { continue };
            let value = format!("v{}", self.ops.len());
            let options = kvs::quorum::Options { patient: true, ..options() };
            let basis = Basis::Overwrite { force: true };
            let started_ms = self.w.now_ms;
            let reply = self.w.write(via, &name, Some(&value), basis, options);
            if reply.verdict != Verdict::Done {
                return self.fail(format!("healed, and yet a put of {name} gives {reply:?}"));
            }
            let dot = match reply.items.first() {
                Some(kvs::quorum::ItemReply::Written { dot, .. }) => Some(*dot),
                other => return self.fail(format!("healed, and yet a put gives {other:?}")),
            };
            self.ops.push(Op {
                client: 0,
                key,
                kind: Kind::Overwrite,
                value: Some(value),
                context: None,
                strict: false,
                started_ms,
                ended_ms: self.w.now_ms,
                outcome: Outcome::Acked(dot),
                floor: kvs::clock::VersionVector::new(),
                must_see: Vec::new(),
            });
        }
    }
}
