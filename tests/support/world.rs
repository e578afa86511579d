//! A cluster in one thread and virtual time: real nodes over stores in memory, a network that
//! delays, loses, doubles and reorders, disks whose commits take time, and every kind of failure.
//!
//! Everything random comes from one seed, so the same seed gives the same run. Every message goes
//! through its bytes. Nothing happens between two events of the queue:
//!
//! ```text
//! let mut w = World::new(7, &[("n1", "a"), ("n2", "b"), ("n3", "c")], 3, 8);
//! w.put(0, "k", "v");  w.cut(0, 1);  w.crash(2, false);  w.run_for(5_000);  w.restart(2);
//! w.heal();  w.settle();  w.repair_all();  assert_eq!(w.values(1, "k"), ["v"]);
//! ```
//!
//! Unless [`World::lying`] is set, the failure detectors tell the truth at once. It judges nothing
//! but dots: each commit is searched for a dot with two values; see [`World::wrong`].
#![allow(dead_code, reason = "each test uses the part it needs")]
#![allow(unreachable_pub, reason = "shared by tests that name it differently")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use kvs::clock::{Actor, Dot, VersionVector};
use kvs::gossip::Gossip;
use kvs::key::{Key, Q};
use kvs::node::{
    Action, BatchSeq, Boot, Event, Node, Note, RepairRequest, Reply, Request, Ticket, Time, genesis,
};
use kvs::protocol::{Body, Message, WIRE};
use kvs::quorum::{Basis, GetReply, Item, Options, PutReply, PutRequest, Verdict};
use kvs::record::Record;
use kvs::ring::{Change, Member, NodeId, RingDoc, RingId, State};
use kvs::store::memory::Memory;
use kvs::store::sidecar::{self, Found, Identity, Trust};
use kvs::store::{Batch, Failure, Hint, Op, Store, Table};

/// Wall time at the beginning, in ms since 1970.
pub const WALL_MS: u64 = 1_700_000_000_000;
/// A node is ticked so often, in ms.
const TICK_MS: u64 = 200;

/// So many events in one second have no end: where nothing takes time, a process would hang.
const AT_ONCE_MAX: u64 = 50_000;

/// How the network behaves.
#[derive(Clone, Debug)]
pub struct Net {
    pub delay_ms: (u64, u64),
    pub lose_permille: u64,
    pub double_permille: u64,
    /// Some messages take up to this long.
    pub late_permille: u64,
    pub late_ms: u64,
}

impl Net {
    pub const CALM: Self = Self {
        delay_ms: (1, 5),
        lose_permille: 0,
        double_permille: 0,
        late_permille: 0,
        late_ms: 0,
    };
}

/// A copy of a node's directory.
#[derive(Clone)]
pub struct Snapshot {
    pub store: Memory,
    pub sidecar: Option<Identity>,
    pub ever: BTreeMap<(Option<NodeId>, Key), VersionVector>,
    pub at_ms: u64,
}

/// A write as it became durable at its coordinator.
#[derive(Clone, Debug)]
pub struct Mint {
    pub dot: Dot,
    pub key: Key,
    pub host: usize,
    /// When it was staged, and under which version of the ring document.
    pub at_ms: u64,
    /// When it can have been minted at the earliest: while a commit is under way the next batch gathers.
    pub from_ms: u64,
    pub version: u64,
    /// What the coordinator knew before it.
    pub known: VersionVector,
    /// The other values it left in the record.
    pub kept: Vec<Dot>,
    /// `None` for a delete.
    pub value: Option<Vec<u8>>,
}

/// One node's machine.
pub struct Host {
    pub id: NodeId,
    pub name: String,
    pub store: Memory,
    pub sidecar: Option<Identity>,
    pub node: Option<Node>,
    /// Raised at every crash: events of a former life are void.
    pub life: u64,
    /// Its wall clock against the true one, in ms.
    pub skew_ms: i64,
    pub commit_ms: (u64, u64),
    /// Replaced or removed: never started again.
    pub gone: bool,
    pub restarts: u64,
    /// It stands still, and so does whatever is for it.
    pub frozen: bool,
    /// Its identity or ring rows are damaged: it may refuse to open.
    pub doubtful: bool,
    /// It did.
    pub broken: bool,
    /// When it last went on.
    pub stood_ms: u64,
    /// When its last batch was handed over, and since when the one gathers that is to be next.
    handed_ms: u64,
    gathers_ms: Option<u64>,
    backlog: Vec<What>,
    /// Its monotonic clock runs so many millionths too fast, and began at its start.
    pub drift_ppm: i64,
    started_ms: u64,
    /// What its failure detector was last told or found out.
    pub alive: BTreeSet<NodeId>,
    gossip: Option<Gossip>,
    /// The newest ring document that was seen of it.
    version: u64,
    /// All that was ever durable here, its own and kept for others: it only grows.
    pub ever: BTreeMap<(Option<NodeId>, Key), VersionVector>,
    /// What the commit under way will make durable.
    staged: Vec<Staged>,
}

/// A record on its way to a disk.
struct Staged {
    key: Key,
    record: Record,
    /// The clock of the key before it; that of the record itself for what is kept for others.
    before: VersionVector,
    target: Option<NodeId>,
    at_ms: u64,
    from_ms: u64,
    version: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Deliver {
        from: usize,
        to: usize,
        /// Of the sender, when it sent this.
        life: u64,
        sent_ms: u64,
        counts: bool,
        bytes: Vec<u8>,
    },
    Synced {
        host: usize,
        life: u64,
        seq: u64,
    },
    Tick {
        host: usize,
        life: u64,
    },
    Unsent {
        host: usize,
        life: u64,
        to: NodeId,
        op: u64,
    },
    /// Two hosts have shaken hands.
    Linked {
        a: usize,
        b: usize,
        lives: (u64, u64),
    },
    Thaw(usize),
    Script(u64),
}

impl What {
    /// Whose it is, of those that can stand still.
    fn host(&self) -> Option<usize> {
        match self {
            Self::Deliver { to, .. } => Some(*to),
            Self::Synced { host, .. } | Self::Tick { host, .. } | Self::Unsent { host, .. } => {
                Some(*host)
            }
            _ => None,
        }
    }
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something inside the cluster.
    Inner,
    /// The caller's own event, see [`World::script`].
    Script(u64),
    /// Nothing is due by then; it is that time now.
    Over,
}

/// See the module.
pub struct World {
    pub rng: Rng,
    pub now_ms: u64,
    pub hosts: Vec<Host>,
    pub net: Net,
    /// The failure detectors say what [`World::say_alive`] told them, not the truth.
    pub lying: bool,
    /// One-way cuts.
    pub cuts: BTreeSet<(usize, usize)>,
    /// Replies by ticket, until taken.
    pub replies: BTreeMap<u64, Reply>,
    /// A hash of everything that happened.
    pub log: u64,
    /// What can never be right: a dot with two values, a node that could not be opened.
    pub wrong: Vec<String>,
    pub counts: BTreeMap<&'static str, u64>,
    /// Lines of what happened, when wanted.
    pub trace: Option<Vec<String>>,
    /// Every write that was ever durable.
    pub mints: BTreeMap<Dot, Mint>,
    /// Hosts whose links are neither cut nor lossy for now.
    pub sheltered: BTreeSet<usize>,
    /// Links and failure detectors as a served node has them; without it the truth is told.
    pub links: Option<Links>,
    /// What nodes owe each other, and what they have said; see `watch`.
    pub watch: Watch,
    /// The time between two ticks of a node, at least and at most.
    pub tick_ms: (u64, u64),
    /// The driver knows how old a message is.
    pub ages: bool,
    /// How many others a starting node must have heard.
    pub witnesses: usize,
    /// Each process has a monotonic clock of its own, which begins at its start.
    pub own_clocks: bool,
    /// Which life of the second host the first has heard last.
    spoke: BTreeMap<(usize, usize), u64>,
    dots: BTreeMap<Dot, (Key, Vec<u8>)>,
    queue: BinaryHeap<Reverse<(u64, u64, What)>>,
    seq: u64,
    /// Events of this second.
    at_once: u64,
    flying: usize,
    ticket: u64,
}

impl World {
    /// A bug named by the environment is planted in all that this thread does, but for what plants one
    /// of its own.
    #[allow(clippy::disallowed_methods, reason = "a test has an environment")]
    fn plant() {
        #[cfg(feature = "planted")]
        if let Ok(name) = std::env::var("KVS_PLANT")
            && !kvs::planted::Bug::ALL.into_iter().any(kvs::planted::is)
        {
            let bug = kvs::planted::Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
            kvs::planted::plant(Some(bug.expect("the name of a planted bug")));
        }
    }

    /// Nodes of these names and zones form a ring of N = `n` and `q` partitions, and are running.
    pub fn new(seed: u64, nodes: &[(&str, &str)], n: u8, q: u32) -> Self {
        Self::plant();
        let mut world = Self {
            rng: Rng(seed),
            now_ms: 1_000,
            hosts: Vec::new(),
            net: Net::CALM,
            lying: false,
            cuts: BTreeSet::new(),
            replies: BTreeMap::new(),
            log: seed,
            wrong: Vec::new(),
            counts: BTreeMap::new(),
            trace: None,
            mints: BTreeMap::new(),
            sheltered: BTreeSet::new(),
            links: None,
            watch: Watch::default(),
            tick_ms: (TICK_MS, TICK_MS),
            own_clocks: false,
            ages: false,
            witnesses: 1,
            spoke: BTreeMap::new(),
            dots: BTreeMap::new(),
            queue: BinaryHeap::new(),
            seq: 0,
            at_once: 0,
            flying: 0,
            ticket: 0,
        };
        let members: Vec<_> =
            nodes.iter().map(|(name, zone)| world.member(name, zone, 1)).collect();
        let id = RingId(u128::from(world.rng.next()) << 64 | u128::from(world.rng.next()));
        let q = Q::new(q).expect("a power of two");
        let doc = RingDoc::first(id, q, n, members).expect("a ring");
        for member in doc.members.clone() {
            world.add_host(&member, &doc, true);
        }
        (0..nodes.len()).for_each(|i| world.restart(i));
        world.run_for(3_000);
        world
    }

    /// A member under a fresh identity.
    pub fn member(&mut self, name: &str, zone: &str, weight: u32) -> Member {
        Member {
            id: NodeId(self.rng.next()),
            name: name.into(),
            zone: zone.into(),
            weight,
            state: State::Normal,
            public_key: [0; 32],
        }
    }

    /// A machine with a fresh directory, not yet running.
    pub fn add_host(&mut self, member: &Member, doc: &RingDoc, born_full: bool) -> usize {
        let mut store = Memory::default();
        let actor = Actor(self.rng.next());
        store.apply(&genesis(member.id, actor, doc, born_full)).expect("an empty store takes it");
        let mut host = Host {
            id: member.id,
            name: member.name.clone(),
            store,
            sidecar: None,
            node: None,
            life: 0,
            skew_ms: 0,
            commit_ms: (1, 4),
            gone: false,
            restarts: 0,
            frozen: false,
            doubtful: false,
            broken: false,
            stood_ms: 0,
            handed_ms: 0,
            gathers_ms: None,
            backlog: Vec::new(),
            drift_ppm: 0,
            started_ms: 0,
            alive: BTreeSet::new(),
            gossip: None,
            version: 0,
            ever: BTreeMap::new(),
            staged: Vec::new(),
        };
        host.follow();
        self.hosts.push(host);
        self.hosts.len() - 1
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    // ---- time -------------------------------------------------------------------------------

    /// Handles the next event, if one is due by `until_ms`.
    pub fn step(&mut self, until_ms: u64) -> Step {
        if self.queue.peek().is_none_or(|e| e.0.0 > until_ms) {
            self.now_ms = self.now_ms.max(until_ms);
            return Step::Over;
        }
        let Some(Reverse((at, _, what))) = self.queue.pop() else { return Step::Over };
        let same = at / 1_000 == self.now_ms / 1_000;
        self.at_once = if same { self.at_once + 1 } else { 0 };
        self.now_ms = at;
        if self.at_once > AT_ONCE_MAX {
            self.endless(&what);
            return Step::Over;
        }
        if let What::Script(token) = what {
            return Step::Script(token);
        }
        match what.host() {
            Some(host) if self.hosts[host].frozen => self.hosts[host].backlog.push(what),
            _ => self.happen(what),
        }
        Step::Inner
    }

    /// Nodes keep each other busy for ever.
    fn endless(&mut self, what: &What) {
        let said = match what {
            What::Deliver { from, to, bytes, .. } => {
                format!("{from}->{to} {:.300}", format!("{:?}", Message::decode(bytes)))
            }
            _ => String::new(),
        };
        self.wrong.push(format!("[endless] {AT_ONCE_MAX} events in a second, the last {said}"));
        self.queue.clear();
        self.at_once = 0;
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Deliver { from, to, life, sent_ms, counts, bytes } => {
                self.flying -= usize::from(counts);
                if !self.is_linked_to(from, to, life) {
                    return self.count("messages of former processes");
                }
                self.note(|| format!("deliver {from}->{to} {:?}", Message::decode(&bytes)));
                self.hash(&bytes);
                match Message::decode(&bytes) {
                    Ok(message) if self.is_up(to) => {
                        let message = self.aged(message, self.now_ms - sent_ms);
                        self.arrive(from, to, message);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let name = self.name(from);
                        self.wrong.push(format!(
                            "[unproven] {name} sends what it has not proven: {error}"
                        ));
                    }
                }
            }
            What::Synced { host, life, seq } if self.hosts[host].life == life => {
                self.synced(host, seq);
            }
            What::Tick { host, life } if self.hosts[host].life == life => {
                let after = self.rng.within(self.tick_ms.0, self.tick_ms.1);
                self.push(after, What::Tick { host, life });
                self.handle(host, Event::Tick);
                self.link_tick(host);
            }
            What::Unsent { host, life, to, op } if self.hosts[host].life == life => {
                self.handle(host, Event::Unsent(to, op));
            }
            What::Linked { a, b, lives } => self.linked(a, b, lives),
            What::Thaw(host) => self.thaw(host),
            _ => {}
        }
    }

    /// A link is one of two processes: what a former one sent goes down with it, and before a driver
    /// passes on the first word of a new one it says that the link was cut, also one that lies.
    pub(super) fn is_linked_to(&mut self, from: usize, to: usize, life: u64) -> bool {
        if !self.is_up(to) {
            return true;
        }
        let known = self.spoke.entry((to, from)).or_insert(life);
        let (newer, older) = (life > *known, life < *known);
        *known = life.max(*known);
        if newer && self.links.is_none() {
            self.ended(to, from);
        }
        !older
    }

    /// A driver takes the time that a request was on its way off the time that it has.
    fn aged(&self, mut message: Message, age_ms: u64) -> Message {
        if self.ages {
            message.body.age(age_ms);
        }
        message
    }

    pub fn run_for(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.step(until) != Step::Over {}
    }

    /// Has [`World::step`] return [`Step::Script`] with this token after so long.
    pub fn script(&mut self, after_ms: u64, token: u64) {
        self.push(after_ms, What::Script(token));
    }

    /// Runs until no message flies and no node has work; false when a minute was not enough.
    pub fn settle(&mut self) -> bool {
        let until = self.now_ms + 60_000;
        self.run_for(1);
        while !self.is_quiet() {
            if self.step(until) == Step::Over {
                return false;
            }
        }
        true
    }

    fn is_quiet(&self) -> bool {
        let idle = |h: &Host| h.node.as_ref().is_none_or(Node::is_idle);
        self.flying == 0 && self.hosts.iter().all(idle)
    }

    fn push(&mut self, after_ms: u64, what: What) {
        self.seq += 1;
        self.queue.push(Reverse((self.now_ms + after_ms, self.seq, what)));
    }

    fn hash(&mut self, bytes: &[u8]) {
        // The beginning says enough of a message.
        for byte in self.now_ms.to_le_bytes().iter().chain(bytes.iter().take(200)) {
            self.log = (self.log ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8} {}", self.now_ms, line()));
        }
    }

    // ---- nodes ------------------------------------------------------------------------------

    pub fn handle(&mut self, i: usize, event: Event) {
        let now = self.time(i);
        self.watch_event(i, &event);
        let host = &mut self.hosts[i];
        let Some(node) = &mut host.node else { return };
        let actions = node.handle(&host.store, now, event);
        self.watch_actions(i, &actions);
        for action in actions {
            self.act(i, action);
        }
    }

    /// The present, as a host's clocks show it.
    pub fn time(&self, i: usize) -> Time {
        let host = &self.hosts[i];
        let wall_ms = (WALL_MS + self.now_ms).saturating_add_signed(host.skew_ms);
        let mono_ms = if self.own_clocks {
            let ran = self.now_ms - host.started_ms;
            ran.saturating_add_signed(ran as i64 * host.drift_ppm / 1_000_000)
        } else {
            self.now_ms
        };
        Time { wall_ms, mono_ms }
    }

    fn act(&mut self, i: usize, action: Action) {
        match action {
            Action::Send(to, message) => self.send(i, to, &message),
            Action::Commit(BatchSeq(seq), batch) => {
                let staged = self.look(i, &batch);
                let host = &mut self.hosts[i];
                host.staged = staged;
                host.handed_ms = self.now_ms;
                host.store.stage(&batch);
                let (life, (low, high)) = (host.life, host.commit_ms);
                let after = self.rng.within(low, high);
                self.push(after, What::Synced { host: i, life, seq });
            }
            Action::Reply(Ticket(ticket), reply) => {
                self.note(|| format!("reply {ticket} {reply:?}"));
                self.replies.insert(ticket, reply);
            }
            Action::Note(note) => {
                if let Note::Clash(key) = &note {
                    self.wrong.push(format!("{} met a dot of {key} with two values", self.name(i)));
                }
                self.note(|| format!("note of {i}: {note:?}"));
            }
            Action::Stop(why) => {
                self.note(|| format!("stop of {i}: {why}"));
                self.hosts[i].broken |= self.hosts[i].doubtful;
                self.crash(i, false);
            }
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: &Message) {
        let Some(to) = self.hosts.iter().position(|h| h.id == to && !h.gone) else { return };
        if self.links.is_some() {
            return self.send_linked(from, to, message);
        }
        let sheltered = self.sheltered.contains(&from) || self.sheltered.contains(&to);
        let net = if sheltered { Net::CALM } else { self.net.clone() };
        let lost = self.rng.chance(net.lose_permille);
        if lost || !sheltered && self.cuts.contains(&(from, to)) {
            return self.count("messages lost");
        }
        if !self.is_up(to) && self.rng.chance(500) {
            // A link that is gone is sometimes known to be: then nothing was sent.
            let (life, op, to) = (self.hosts[from].life, message.op, self.hosts[to].id);
            return self.push(0, What::Unsent { host: from, life, to, op });
        }
        // A request to coordinate travels at most once: a connection doubles nothing by itself, and
        // a node sends such a request again only when it is sure that nothing was applied.
        let once = matches!(message.body, Body::Put(_));
        let copies = 1 + u64::from(!once && self.rng.chance(net.double_permille));
        for _ in 0..copies {
            let mut after = self.rng.within(net.delay_ms.0, net.delay_ms.1);
            if self.rng.chance(net.late_permille) {
                after += self.rng.below(net.late_ms);
            }
            self.flying += 1;
            self.count("messages");
            let bytes = message.encode(WIRE).expect("this build has a word for what it says");
            let (life, sent_ms) = (self.hosts[from].life, self.now_ms);
            self.push(after, What::Deliver { from, to, life, sent_ms, counts: true, bytes });
        }
    }

    fn synced(&mut self, i: usize, seq: u64) {
        let host = &mut self.hosts[i];
        let event = match host.store.sync() {
            Ok(()) => Event::Committed(BatchSeq(seq)),
            Err(failure) => Event::Failed(BatchSeq(seq), failure),
        };
        host.follow();
        match event {
            Event::Committed(_) => self.keep(i),
            _ => self.hosts[i].staged.clear(),
        }
        self.note(|| format!("synced {i}: {event:?}"));
        if matches!(event, Event::Failed(..)) {
            self.count("failed commits");
        }
        self.hosts[i].gathers_ms = Some(self.hosts[i].handed_ms);
        self.handle(i, event);
        self.hosts[i].gathers_ms = None;
    }

    /// The records of a batch, each with the clock that the key had before.
    fn look(&mut self, i: usize, batch: &Batch) -> Vec<Staged> {
        let mut found = Vec::new();
        let mut before: BTreeMap<&Key, VersionVector> = BTreeMap::new();
        let doc = self.hosts[i].node.as_ref().map(|n| n.doc().clone()).expect("it has just spoken");
        for op in &batch.ops {
            let (key, stored, target) = match op {
                Op::Record { key, stored, .. } => (key, stored, None),
                Op::Hint(Hint { key, target, stored: Some(stored), .. }) => {
                    (key, stored, Some(*target))
                }
                _ => continue,
            };
            let Ok(record) = stored.record(key) else {
                self.wrong.push(format!("{} commits an unreadable record", self.name(i)));
                continue;
            };
            // What has rotted since the node read it was known to it all the same.
            let durable = || match self.hosts[i].store.get(doc.q.partition(key), key) {
                Ok(stored) => stored.and_then(|s| s.record(key).ok()).unwrap_or_default().clock,
                Err(_) => self.hosts[i].ever.get(&(None, key.clone())).cloned().unwrap_or_default(),
            };
            let clock = match target {
                None => before.remove(key).unwrap_or_else(durable),
                Some(_) => record.clock.clone(),
            };
            if target.is_none() {
                before.insert(key, record.clock.clone());
            }
            found.push(Staged {
                key: key.clone(),
                record,
                before: clock,
                target,
                at_ms: self.now_ms,
                from_ms: self.hosts[i].gathers_ms.unwrap_or(self.now_ms),
                version: doc.version,
            });
        }
        found
    }

    /// What was staged is durable: its dots have their values for ever.
    fn keep(&mut self, i: usize) {
        for Staged { key, record, before, target, at_ms, from_ms, version } in
            std::mem::take(&mut self.hosts[i].staged)
        {
            for (dot, value) in &record.siblings {
                self.bind(*dot, &key, &value.bytes);
            }
            self.hosts[i].ever.entry((target, key.clone())).or_default().join(&record.clock);
            for &(actor, counter) in record.clock.entries() {
                let dot = Dot { actor, counter };
                if counter <= before.get(actor) || self.mints.contains_key(&dot) {
                    continue;
                }
                let own = (actor, before.get(actor));
                let others = record.clock.entries().iter().filter(|e| e.0 != actor);
                let known = others.chain(Some(&own).filter(|own| own.1 > 0));
                let known = known.map(|&(actor, counter)| Dot { actor, counter }).collect();
                let kept = record.siblings.iter().map(|s| s.0).filter(|d| *d != dot).collect();
                let value = record.sibling(dot).map(|v| v.bytes.clone());
                let key = key.clone();
                let mint = Mint { dot, key, host: i, at_ms, from_ms, version, known, kept, value };
                self.mints.insert(dot, mint);
                self.watch.minted.push(dot);
            }
            if self.watch.on {
                self.watch.kept.push((i, key, record));
            }
        }
    }

    /// Notes that a dot carries this value; one with two values is wrong.
    pub fn bind(&mut self, dot: Dot, key: &Key, bytes: &[u8]) {
        let known = self.dots.entry(dot).or_insert_with(|| (key.clone(), bytes.to_vec()));
        if known.0 != *key || known.1 != bytes {
            self.wrong.push(format!("the dot {dot:?} of {key} has two values"));
        }
    }

    /// Dots of these actors that nobody can know of may be minted again.
    pub fn unbind(&mut self, gone: impl Fn(Dot) -> bool) {
        self.dots.retain(|dot, _| !gone(*dot));
    }

    fn name(&self, i: usize) -> String {
        self.hosts[i].name.clone()
    }

    pub fn is_up(&self, i: usize) -> bool {
        self.hosts[i].node.is_some()
    }

    /// Whether both are running and nothing is cut between them.
    pub fn reaches(&self, a: usize, b: usize) -> bool {
        let open = !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a));
        self.is_up(a) && self.is_up(b) && open
    }

    /// The oldest version of the ring that any machine in service was seen to act under.
    pub fn oldest_version(&self) -> u64 {
        self.hosts.iter().filter(|h| !h.gone).map(|h| h.version).min().unwrap_or(0)
    }

    /// The newest ring document that any running node acts under, or else any disk holds.
    pub fn doc(&self) -> std::sync::Arc<RingDoc> {
        let docs = self.hosts.iter().filter_map(|h| h.node.as_ref()).map(|n| n.doc().clone());
        docs.max_by_key(|d| d.version).unwrap_or_else(|| {
            let row = |h: &Host| h.store.row(Table::Ring, "doc").ok().flatten();
            let rows = self.hosts.iter().filter_map(row);
            let docs = rows.filter_map(|row| RingDoc::decode(&row).ok());
            docs.max_by_key(|d| d.version).expect("a disk holds the ring").into()
        })
    }
}

pub use super::rng::Rng;

mod ask;
mod faults;
mod links;
mod watch;
pub use ask::{options, strict};
pub use links::Links;
pub use watch::Watch;
