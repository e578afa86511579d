//! Clients and the log of what they asked and were told.

use kvs::clock::{Dot, VersionVector};
use kvs::key::{Key, Partition};
use kvs::node::{Reply, Request};
use kvs::quorum::{
    Answer, GetReply, Item, ItemReply, Level, Options, Precondition, PutReply, PutRequest, Verdict,
};

use super::plan::Mode;
use super::run::Run;
use crate::support::world::WALL_MS;

/// What an operation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Scan,
    Context,
    Overwrite,
    Blind,
    Absent,
    Exact,
}

impl Kind {
    fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Scan)
    }
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

/// One operation on one key; those of one request stand one after the other.
#[derive(Clone, Debug)]
pub struct Op {
    pub client: usize,
    pub key: usize,
    pub kind: Kind,
    /// Unique; `None` deletes or reads.
    pub value: Option<String>,
    pub expires_ms: Option<u64>,
    pub context: Option<VersionVector>,
    pub strict: bool,
    pub options: Options,
    pub via: usize,
    pub started_ms: u64,
    pub ended_ms: u64,
    pub outcome: Outcome,
    /// What was promised of its key when it began.
    pub promise: Promise,
    /// The oldest version of the ring that any node acted under when it began.
    pub version: u64,
    /// Which run of the node it was asked of.
    pub life: u64,
}

/// Somebody who asks one thing at a time.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The operations under way: of one request.
    pub open: Vec<usize>,
    /// The last context of each key.
    pub contexts: Vec<Option<VersionVector>>,
}

/// What operations have promised about a key.
#[derive(Clone, Debug, Default)]
pub struct Promise {
    /// What so many owners acknowledged.
    pub acked: Vec<(u64, VersionVector)>,
    /// Values that so many owners acknowledged and nothing has superseded.
    pub shown: Vec<(u64, Dot)>,
    /// What strict reads of so many votes knew.
    pub read: Vec<(u64, VersionVector)>,
}

/// The clock of a number, in a list of few.
pub fn floor(floors: &mut Vec<(u64, VersionVector)>, number: u64) -> &mut VersionVector {
    let at = floors.iter().position(|f| f.0 == number).unwrap_or_else(|| {
        floors.push((number, VersionVector::new()));
        floors.len() - 1
    });
    &mut floors[at].1
}

/// A client gives up so long after its own time limit.
const PATIENCE_MS: u64 = 7_000;

impl Run {
    /// A client's turn: gives up on a late answer, or asks the next thing.
    pub fn client_turn(&mut self, c: usize) {
        if let Some(first) = self.clients[c].open.first().copied() {
            let op = &self.ops[first];
            if self.w.now_ms < op.started_ms + op.options.timeout_ms + PATIENCE_MS {
                return;
            }
            self.end_open(c);
        }
        let able = |i: &usize| self.w.is_up(*i) && !self.w.hosts[*i].frozen;
        let up: Vec<_> = (0..self.w.hosts.len()).filter(able).collect();
        let Some(via) = self.w.rng.pick(&up).copied() else { return };
        self.begin(c, via);
    }

    /// Asks the next thing through a node.
    pub fn begin(&mut self, c: usize, via: usize) {
        let options = self.draw_options();
        let first = self.draw_op(c, via, &options);
        let alone = matches!(first.kind, Kind::Get | Kind::Absent | Kind::Exact);
        let ids: Vec<usize> = if alone {
            self.ops.push(first);
            vec![self.ops.len() - 1]
        } else {
            self.gather(first)
        };
        let request = self.request_of(&ids);
        self.clients[c].open.clone_from(&ids);
        let ticket = self.w.request(via, request);
        self.tickets.insert(ticket, ids);
    }

    /// The operation with others of its kind on keys of the same partition.
    fn gather(&mut self, first: Op) -> Vec<usize> {
        let p = self.partition(first.key);
        let more = self.w.rng.below(self.plan.items);
        let mut ops = vec![first];
        let near: Vec<usize> = (0..self.plan.keys.len())
            .filter(|k| *k != ops[0].key && self.partition(*k) == p)
            .collect();
        let scan = ops[0].kind == Kind::Scan;
        for key in near {
            if ops[0].kind == Kind::Context || !scan && ops.len() as u64 > more {
                continue;
            }
            let value = ops[0].value.is_some().then(|| self.value(ops.len()));
            let promise = self.promises[key].clone();
            ops.push(Op { key, value, promise, ..ops[0].clone() });
        }
        let base = self.ops.len();
        self.ops.extend(ops);
        (base..self.ops.len()).collect()
    }

    /// The unique value of the operation that comes so far behind the last one.
    fn value(&mut self, behind: usize) -> String {
        let mut value = format!("v{}", self.ops.len() + behind);
        if self.plan.large > 0 && self.w.rng.chance(300) {
            let more = self.w.rng.below(self.plan.large) as usize;
            value.push('.');
            value.extend(std::iter::repeat_n('x', more));
        }
        value
    }

    pub fn partition(&self, key: usize) -> Partition {
        self.w.place(&self.plan.keys[key]).0
    }

    fn draw_options(&mut self) -> Options {
        let rng = &mut self.w.rng;
        let (w, r) = *rng.pick(&self.plan.quorums).expect("a list");
        let strict = match self.plan.mode {
            Mode::Strict => true,
            Mode::Sloppy => false,
            Mode::Mixed => rng.chance(500),
        };
        let levels = [Level::One, Level::Quorum, Level::All, Level::LocalQuorum, Level::EachQuorum];
        let level =
            (self.plan.levels && rng.chance(400)).then(|| *rng.pick(&levels).expect("a list"));
        let zone = format!("z{}", rng.below(3));
        let n = u64::from(self.plan.n);
        if self.calm {
            let write_back = true;
            return Options { w, r, strict, write_back, timeout_ms: 5_000, ..Options::default() };
        }
        Options {
            n: rng.chance(30).then(|| rng.within(1, n) as u8),
            w,
            r,
            strict,
            patient: rng.chance(100),
            write_back: rng.chance(900),
            timeout_ms: *rng.pick(&[5_000, 5_000, 1_500]).expect("a list"),
            zone: (level == Some(Level::LocalQuorum) && rng.chance(500)).then_some(zone),
            level,
        }
    }

    fn draw_op(&mut self, c: usize, via: usize, options: &Options) -> Op {
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
            7 if known.is_some() => (Kind::Exact, false),
            7 => (Kind::Get, false),
            6 => (Kind::Scan, false),
            _ if known.is_some() && self.w.rng.chance(500) => (Kind::Context, true),
            _ => (Kind::Overwrite, true),
        };
        let derives = matches!(kind, Kind::Context | Kind::Exact);
        if derives && self.w.rng.chance(700) {
            self.clients[c].contexts[key] = None;
        }
        let writes = !kind.reads() && !deletes;
        let expires = writes && self.w.rng.chance(self.plan.ttl_permille);
        let now_ms = WALL_MS + self.w.now_ms;
        let expires_ms = expires.then(|| now_ms + self.w.rng.within(1_000, 90_000));
        Op {
            client: c,
            key,
            kind,
            value: writes.then(|| self.value(0)),
            expires_ms,
            context: known.filter(|_| derives),
            strict: options.strict && kind != Kind::Scan || kind == Kind::Absent,
            options: options.clone(),
            via,
            started_ms: self.w.now_ms,
            ended_ms: u64::MAX,
            outcome: Outcome::Open,
            promise: self.promises[key].clone(),
            version: self.w.oldest_version(),
            life: self.w.hosts[via].life,
        }
    }

    fn request_of(&mut self, ids: &[usize]) -> Request {
        let op = self.ops[ids[0]].clone();
        let options = op.options.clone();
        let name = |op: &Op| Key::new(self.plan.keys[op.key].clone()).expect("a key");
        let partition = self.partition(op.key);
        let force = self.w.rng.chance(500);
        let basis = match op.kind {
            Kind::Get => return Request::Get(name(&op), options),
            Kind::Scan => return Request::Scan(partition, None, 1_000, options),
            Kind::Context => Precondition::Context(op.context.unwrap_or_default()),
            Kind::Overwrite => Precondition::Overwrite { force },
            Kind::Blind => Precondition::Blind,
            Kind::Absent => Precondition::Absent,
            Kind::Exact => Precondition::Exact(op.context.unwrap_or_default()),
        };
        let item = |id: &usize| {
            let op = &self.ops[*id];
            let value = op.value.as_ref().map(|v| (v.as_bytes().to_vec(), op.expires_ms));
            Item { key: name(op), value, basis: basis.clone() }
        };
        let items = ids.iter().map(item).collect();
        Request::Put(PutRequest { partition, items, options })
    }

    /// Takes the replies that have come.
    pub fn take_replies(&mut self) {
        while let Some((ticket, reply)) = self.w.replies.pop_first() {
            let Some(ids) = self.tickets.remove(&ticket) else { continue };
            if ids.is_empty() {
                continue;
            }
            // Too late: the client has gone on, and calls it unknown.
            if self.ops[ids[0]].outcome != Outcome::Open {
                continue;
            }
            match reply {
                Reply::Put(reply) => self.put_ended(&ids, &reply),
                Reply::Get(reply) => self.get_ended(ids[0], &reply),
                Reply::Scan(reply) => {
                    let found = reply.map_err(|why| self.why = why).ok();
                    self.scan_ended(&ids, found);
                }
                other => self.fail(format!("a client was answered {other:?}")),
            }
            if let Some(c) = ids.first().map(|id| self.ops[*id].client) {
                self.clients[c].open.clear();
            }
        }
    }

    fn put_ended(&mut self, ids: &[usize], reply: &PutReply) {
        for (at, id) in ids.iter().copied().enumerate() {
            self.item_ended(id, reply, reply.items.get(at));
        }
        self.check_ack(ids, reply);
    }

    fn item_ended(&mut self, id: usize, reply: &PutReply, item: Option<&ItemReply>) {
        let (client, key) = (self.ops[id].client, self.ops[id].key);
        let outcome = match (&reply.verdict, item) {
            (Verdict::Done, Some(ItemReply::Written { dot, context, .. })) => {
                if let Some(context) = context {
                    self.clients[client].contexts[key] = Some(context.clone());
                }
                self.w.count(if reply.hinted > 0 { "puts acked, hinted" } else { "puts acked" });
                Outcome::Acked(Some(*dot))
            }
            (Verdict::Done, Some(ItemReply::LostRace)) => {
                self.w.count("if-absent not alone");
                Outcome::Acked(None)
            }
            (Verdict::Done, Some(_)) => {
                self.w.count("puts in conflict");
                self.conflicts.insert(id);
                Outcome::Refused
            }
            (Verdict::Refused(why) | Verdict::Unreachable(why), _) => {
                self.why.clone_from(why);
                self.w.count("puts refused");
                Outcome::Refused
            }
            (Verdict::Unknown(why), item) => {
                self.why.clone_from(why);
                if item == Some(&ItemReply::LostRace) {
                    // Two met: that both are there is all that can be told.
                    self.w.count("exact not alone");
                    self.conflicts.insert(id);
                }
                Outcome::Unknown
            }
            _ => Outcome::Unknown,
        };
        self.end(id, outcome);
        if let Outcome::Acked(Some(dot)) = outcome {
            self.acked.insert(dot, id);
            self.check_absent(id, dot);
            self.check_exact(id, dot);
            // A level of a zone says nothing of the others.
            let number = self.ops[id].options.level.is_none();
            let acks = if number { reply.acks as u64 } else { 0 };
            let shows = self.ops[id].value.is_some();
            let promise = &mut self.promises[key];
            floor(&mut promise.acked, acks).add(dot);
            promise.shown.extend(shows.then_some((acks, dot)));
        }
    }

    fn get_ended(&mut self, id: usize, reply: &GetReply) {
        let (client, key) = (self.ops[id].client, self.ops[id].key);
        if reply.verdict != Verdict::Done {
            self.why = format!("{:?}", reply.verdict);
            self.w.count("reads refused");
            return self.end(id, Outcome::Refused);
        }
        self.w.count(if self.ops[id].strict { "reads, strict" } else { "reads" });
        self.end(id, Outcome::Read);
        let name = Key::new(self.plan.keys[key].clone()).expect("a key");
        let stored = reply.stored.as_ref();
        let record = stored.and_then(|s| s.record(&name).ok()).unwrap_or_default();
        self.clients[client].contexts[key] = Some(record.clock.clone());
        self.check_votes(id, reply);
        self.check_read(id, &record);
        let op = &self.ops[id];
        if op.strict && op.options.level.is_none() {
            floor(&mut self.promises[key].read, reply.r as u64).join(&record.clock);
        }
    }

    fn scan_ended(
        &mut self,
        ids: &[usize],
        found: Option<(Vec<(Key, kvs::record::Stored)>, bool)>,
    ) {
        let Some((records, end)) = found else {
            self.w.count("scans refused");
            return ids.iter().for_each(|id| self.end(*id, Outcome::Refused));
        };
        self.w.count("scans");
        for id in ids {
            self.end(*id, Outcome::Read);
            let name = Key::new(self.plan.keys[self.ops[*id].key].clone()).expect("a key");
            let last = records.last().is_some_and(|r| r.0 < name);
            let stored = records.iter().find(|r| r.0 == name);
            if stored.is_none() && !end && (last || records.is_empty()) {
                continue; // The page ended before it.
            }
            let record = stored.and_then(|r| r.1.record(&name).ok());
            self.check_read(*id, &record.unwrap_or_default());
        }
    }

    /// Whether enough owners of full copies have said what they hold.
    fn check_votes(&mut self, id: usize, reply: &GetReply) {
        let op = &self.ops[id];
        if op.options.level.is_some_and(|l| !matches!(l, Level::One | Level::Quorum | Level::All)) {
            return;
        }
        let p = self.partition(op.key);
        let newest = self.w.doc().version;
        let docs = self.w.watch.docs.range(op.version..=newest).map(|d| d.1);
        let voted = |d: &std::sync::Arc<kvs::ring::RingDoc>| {
            let owners = d.owners_in(d.read_layout(), p);
            let vote = |a: &&(kvs::ring::NodeId, Answer)| {
                matches!(a.1, Answer::Vote(_)) && owners.contains(&a.0)
            };
            reply.answers.iter().filter(vote).count() >= reply.r
        };
        if !docs.into_iter().any(voted) {
            let (r, key) = (reply.r, self.plan.keys[op.key].clone());
            self.fail(format!("[votes] op {id}: a read of {key} has fewer than R={r} votes"));
        }
    }

    fn end(&mut self, id: usize, outcome: Outcome) {
        if outcome == Outcome::Unknown && !self.ops[id].kind.reads() {
            self.w.count("puts unknown");
        }
        let op = &mut self.ops[id];
        (op.outcome, op.ended_ms) = (outcome, self.w.now_ms);
    }

    fn end_open(&mut self, c: usize) {
        let open = std::mem::take(&mut self.clients[c].open);
        let Some(first) = open.first().map(|id| self.ops[*id].clone()) else { return };
        let host = &self.w.hosts[first.via];
        let same = host.life == first.life && host.stood_ms < first.started_ms && !host.frozen;
        if self.w.is_up(first.via) && same {
            let (kind, via) = (first.kind, first.via);
            self.fail(format!("[answer] op {}: host {via} never answered a {kind:?}", open[0]));
        }
        open.into_iter().for_each(|id| self.end(id, Outcome::Unknown));
    }

    /// Nobody waits any longer.
    pub fn give_up(&mut self) {
        for c in 0..self.clients.len() {
            let open = std::mem::take(&mut self.clients[c].open);
            open.into_iter().for_each(|id| self.end(id, Outcome::Unknown));
        }
    }
}

/// The operation that wrote a value.
pub fn number_of(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value).ok()?.strip_prefix('v')?;
    text.split('.').next()?.parse().ok()
}
