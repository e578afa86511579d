//! One seed from its first event to its verdict.

mod rest;

use std::collections::{BTreeMap, BTreeSet};

use kvs::clock::Dot;
use kvs::key::Key;
use kvs::node::{RepairRequest, Reply, Request};
use kvs::quorum::{Options, Precondition, Verdict};
use kvs::ring::{Change, ChangeStep as RingStep};
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
}
