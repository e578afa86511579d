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

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use kvs::clock::{Actor, Dot, VersionVector};
use kvs::gossip::Gossip;
use kvs::key::{Key, Q};
use kvs::node::{
    Action, BatchSeq, Boot, Event, Node, Note, RepairRequest, Reply, Request, Ticket, Time, genesis,
};
use kvs::protocol::{Body, Message, WIRE};
use kvs::quorum::{GetReply, Item, Options, Precondition, PutReply, PutRequest, Verdict};
use kvs::record::Record;
use kvs::ring::{Change, Member, MemberState, NodeId, RingDoc, RingId};
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
            state: MemberState::Normal,
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
}

pub use super::rng::Rng;

mod ask;
mod faults;
mod links;
mod nodes;
mod time;
mod watch;
pub use ask::{options, strict};
pub use links::Links;
pub use watch::Watch;
