//! Clients and the log of what they asked and were told.

use kvs::clock::{Dot, VersionVector};
use kvs::key::Key;
use kvs::node::{Reply, Request};
use kvs::quorum::{Basis, GetReply, ItemReply, Options, PutReply, Verdict};

use super::plan::Mode;
use super::run::Run;

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Context,
    Overwrite,
    Blind,
    Absent,
}

/// How it ended, for the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Open,
    /// Enough nodes have it; `None`: it was not told its dot.
    Acked(Option<Dot>),
    /// It may or may not have taken effect.
    Unknown,
    /// It took no effect.
    Refused,
    /// A read was answered.
    Read,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Op {
    pub client: usize,
    pub key: usize,
    pub kind: Kind,
    /// Unique; `None` deletes or reads.
    pub value: Option<String>,
    pub context: Option<VersionVector>,
    pub strict: bool,
    pub started_ms: u64,
    pub ended_ms: u64,
    pub outcome: Outcome,
    /// What a strict read must know, and which values it must show unless superseded.
    pub floor: VersionVector,
    pub must_see: Vec<Dot>,
}

/// Somebody who asks one thing at a time.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The operation under way.
    pub open: Option<usize>,
    /// The last context of each key.
    pub contexts: Vec<Option<VersionVector>>,
}

/// What strict operations have promised about a key.
#[derive(Clone, Debug, Default)]
pub struct Promise {
    pub floor: VersionVector,
    pub must_see: Vec<Dot>,
}

/// A client gives up after so long.
const PATIENCE_MS: u64 = 12_000;

impl Run {
    /// A client's turn: gives up on a late answer, or asks the next thing.
    pub fn client_turn(&mut self, c: usize) {
        if let Some(open) = self.clients[c].open {
            if self.w.now_ms < self.ops[open].started_ms + PATIENCE_MS {
                return;
            }
            self.end(open, Outcome::Unknown);
        }
        let up: Vec<_> = (0..self.w.hosts.len()).filter(|i| self.w.is_up(*i)).collect();
        let Some(via) = self.w.rng.pick(&up).copied() else { return };
        let op = self.draw_op(c);
        let request = self.request_of(&op);
        self.ops.push(op);
        let id = self.ops.len() - 1;
        self.clients[c].open = Some(id);
        let ticket = self.w.request(via, request);
        self.tickets.insert(ticket, id);
    }

    fn draw_op(&mut self, c: usize) -> Op {
        let key = self.w.rng.below(self.plan.keys.len() as u64) as usize;
        let total = self.plan.mix.iter().sum();
        let mut at = self.w.rng.below(total);
        let mut turn = 0;
        while at >= self.plan.mix[turn] {
            at -= self.plan.mix[turn];
            turn += 1;
        }
        let known = self.clients[c].contexts[key].clone();
        let (kind, deletes) = match turn {
            0 => (Kind::Get, false),
            1 if known.is_some() => (Kind::Context, false),
            1 => (Kind::Get, false),
            2 => (Kind::Overwrite, false),
            3 => (Kind::Blind, false),
            4 => (Kind::Absent, false),
            _ if known.is_some() && self.w.rng.chance(500) => (Kind::Context, true),
            _ => (Kind::Overwrite, true),
        };
        if kind == Kind::Context && self.w.rng.chance(700) {
            self.clients[c].contexts[key] = None;
        }
        let writes = kind != Kind::Get && !deletes;
        let strict = match self.plan.mode {
            Mode::Strict => true,
            Mode::Sloppy => false,
            Mode::Mixed => self.w.rng.chance(500),
        };
        let promise = self.promises[key].clone();
        Op {
            client: c,
            key,
            kind,
            value: writes.then(|| format!("v{}", self.ops.len())),
            context: known.filter(|_| kind == Kind::Context),
            strict: strict || kind == Kind::Absent,
            started_ms: self.w.now_ms,
            ended_ms: u64::MAX,
            outcome: Outcome::Open,
            floor: promise.floor,
            must_see: promise.must_see,
        }
    }

    fn request_of(&mut self, op: &Op) -> Request {
        let narrow = self.w.rng.chance(30);
        let options = Options {
            n: narrow.then(|| self.w.rng.within(1, u64::from(self.plan.n)) as u8),
            w: self.plan.w,
            r: self.plan.r,
            strict: op.strict,
            patient: self.w.rng.chance(100),
            write_back: self.w.rng.chance(900),
            timeout_ms: 5_000,
            level: None,
            zone: None,
        };
        let name = self.plan.keys[op.key].clone();
        let force = self.w.rng.chance(500);
        let basis = match op.kind {
            Kind::Get => return Request::Get(Key::new(name).expect("a key"), options),
            Kind::Context => Basis::Context(op.context.clone().unwrap_or_default()),
            Kind::Overwrite => Basis::Overwrite { force },
            Kind::Blind => Basis::Blind,
            Kind::Absent => Basis::Absent,
        };
        self.w.write_request(&name, op.value.as_deref(), basis, options)
    }

    /// Takes the replies that have come.
    pub fn take_replies(&mut self) {
        while let Some((ticket, reply)) = self.w.replies.pop_first() {
            let Some(id) = self.tickets.remove(&ticket) else { continue };
            match reply {
                // Too late: the client has gone on, and calls it unknown.
                _ if self.ops[id].outcome != Outcome::Open => {}
                Reply::Put(reply) => self.put_ended(id, &reply),
                Reply::Get(reply) => self.get_ended(id, &reply),
                other => self.fail(format!("a client was answered {other:?}")),
            }
        }
    }

    fn put_ended(&mut self, id: usize, reply: &PutReply) {
        let (client, key) = (self.ops[id].client, self.ops[id].key);
        let outcome = match (&reply.verdict, reply.items.first()) {
            (Verdict::Done, Some(ItemReply::Written { dot, context, .. })) => {
                if let Some(context) = context {
                    self.clients[client].contexts[key] = Some(context.clone());
                }
                self.w.count(if reply.hinted > 0 { "puts acked, hinted" } else { "puts acked" });
                Outcome::Acked(Some(*dot))
            }
            (Verdict::Done, Some(ItemReply::NotAlone)) => {
                self.w.count("if-absent not alone");
                Outcome::Acked(None)
            }
            (Verdict::Done, Some(_)) => {
                self.w.count("puts in conflict");
                Outcome::Refused
            }
            (Verdict::Refused(_) | Verdict::Unreachable(_), _) => {
                self.w.count("puts refused");
                Outcome::Refused
            }
            _ => Outcome::Unknown,
        };
        self.end(id, outcome);
        if let Outcome::Acked(Some(dot)) = outcome {
            self.acked.insert(dot, id);
        }
        let strict = self.ops[id].strict && self.plan.reads_see_writes();
        if let Outcome::Acked(Some(dot)) = outcome
            && strict
        {
            let shows = self.ops[id].value.is_some();
            let promise = &mut self.promises[key];
            promise.floor.add(dot);
            promise.must_see.extend(shows.then_some(dot));
        }
    }

    fn get_ended(&mut self, id: usize, reply: &GetReply) {
        let (client, key) = (self.ops[id].client, self.ops[id].key);
        if reply.verdict != Verdict::Done {
            self.w.count("reads refused");
            return self.end(id, Outcome::Refused);
        }
        self.w.count(if self.ops[id].strict { "reads, strict" } else { "reads" });
        self.end(id, Outcome::Read);
        let name = Key::new(self.plan.keys[key].clone()).expect("a key");
        let stored = reply.stored.as_ref();
        let record = stored.and_then(|s| s.record(&name).ok()).unwrap_or_default();
        for (dot, value) in &record.siblings {
            self.w.bind(*dot, &name, &value.bytes);
        }
        self.clients[client].contexts[key] = Some(record.clock.clone());
        self.check_read(id, &record);
        if self.ops[id].strict && self.plan.reads_see_reads() {
            self.promises[key].floor.join(&record.clock);
        }
    }

    fn end(&mut self, id: usize, outcome: Outcome) {
        if outcome == Outcome::Unknown && self.ops[id].kind != Kind::Get {
            self.w.count("puts unknown");
        }
        let op = &mut self.ops[id];
        (op.outcome, op.ended_ms) = (outcome, self.w.now_ms);
        let client = op.client;
        self.clients[client].open = None;
    }

    /// Nobody waits any longer.
    pub fn give_up(&mut self) {
        for c in 0..self.clients.len() {
            if let Some(open) = self.clients[c].open {
                self.end(open, Outcome::Unknown);
            }
        }
    }
}
