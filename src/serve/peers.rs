//! Who is linked, and when to dial again.
//!
//! One link per pair: when both have dialled, that of the lower identity stays.
//!
//! ```text
//! a dials b ----+                     Welcome
//!               +--> both up: a < b, the link that a dialled stays, the other is cut
//! b dials a ----+
//! refused, lost: again after 0.1 s, 0.2 s, … 5 s
//! ```
//!
//! It decides nothing about who may be linked; `core` does. Caveat: whoever has the higher identity
//! waits a moment before it dials, so that most pairs need one handshake only.

use std::collections::BTreeMap;

use super::link::Link;
use crate::protocol::WIRE_LOWEST;
use crate::ring::NodeId;

/// The first wait after a failed dial, and the longest, in ms.
const AGAIN_MS: u64 = 100;
const AGAIN_MS_MAX: u64 = 5_000;
/// One that is not a member yet dials again after so long, in ms.
const SOON_MS: u64 = 300;
/// The higher of two identities leaves the lower this long to dial, in ms.
const YIELD_MS: u64 = 300;

/// Who is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A member, proven.
    Peer(NodeId),
    /// A member we have dialled, proven; it has not yet said that we are welcome.
    Pending(NodeId),
    /// A holder of the ring's key.
    Client,
}

/// One open link.
pub(super) struct Conn {
    pub(super) link: Link,
    pub(super) who: Who,
    pub(super) dialled: bool,
    /// Which process is at the other end, if it is a node's.
    pub(super) run: u64,
    pub(super) from: String,
    /// The wire version both ends speak.
    pub(super) wire: u8,
}

/// When to dial a peer.
#[derive(Clone, Copy, Default)]
struct Dial {
    under_way: bool,
    due_ms: u64,
    wait_ms: u64,
    /// How often in a row it came to nothing.
    failed: u32,
}

/// See the module.
pub(super) struct Peers {
    own: NodeId,
    conns: BTreeMap<u64, Conn>,
    up: BTreeMap<NodeId, u64>,
    dials: BTreeMap<NodeId, Dial>,
    next: u64,
}

impl Peers {
    pub(super) fn new(own: NodeId) -> Self {
        let (conns, up, dials) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { own, conns, up, dials, next: 0 }
    }

    /// The number of the next link.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn insert(&mut self, number: u64, conn: Conn) {
        self.conns.insert(number, conn);
    }

    pub(super) fn conn(&self, number: u64) -> Option<&Conn> {
        self.conns.get(&number)
    }

    /// The peers that are linked.
    pub(super) fn linked(&self) -> Vec<NodeId> {
        self.up.keys().copied().collect()
    }

    /// Whether this peer is linked, and from another process than this one.
    pub(super) fn has_other_run(&self, id: NodeId, run: u64) -> bool {
        let conn = self.up.get(&id).and_then(|n| self.conns.get(n));
        conn.is_some_and(|conn| conn.run != run)
    }

    /// How many clients are linked.
    pub(super) fn clients(&self) -> usize {
        self.conns.values().filter(|c| c.who == Who::Client).count()
    }

    /// Makes a link that of a peer; `false` when another one stays in its place.
    pub(super) fn raise(&mut self, number: u64, id: NodeId) -> bool {
        let Some(new) = self.conns.get(&number) else { return false };
        let lower_dialled = |conn: &Conn| conn.dialled == (self.own < id);
        if let Some(old) = self.up.get(&id).and_then(|n| self.conns.get(n))
            && old.dialled != new.dialled
            && lower_dialled(old)
        {
            self.cut(number);
            return false;
        }
        if let Some(old) = self.up.insert(id, number)
            && old != number
            && let Some(conn) = self.conns.remove(&old)
        {
            conn.link.cut();
        }
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.who = Who::Peer(id);
        }
        self.dials.remove(&id);
        true
    }

    /// The wire version that a linked peer and this node speak.
    pub(super) fn wire(&self, id: NodeId) -> u8 {
        let conn = self.up.get(&id).and_then(|n| self.conns.get(n));
        conn.map_or(WIRE_LOWEST, |conn| conn.wire)
    }

    /// Queues bytes for a peer; `false` when they will certainly not be sent.
    pub(super) fn send(&self, id: NodeId, bytes: Vec<u8>) -> bool {
        let conn = self.up.get(&id).and_then(|n| self.conns.get(n));
        conn.is_some_and(|conn| conn.link.send(bytes))
    }

    /// Queues bytes for the other end of a link; one that takes nothing more is cut.
    pub(super) fn tell(&mut self, number: u64, bytes: Vec<u8>) {
        if self.conns.get(&number).is_some_and(|conn| !conn.link.send(bytes)) {
            self.cut(number);
        }
    }

    /// Ends a link at once; whose it was, if it was a peer's.
    pub(super) fn cut(&mut self, number: u64) -> Option<NodeId> {
        let conn = self.conns.remove(&number)?;
        let who = conn.who;
        conn.link.cut();
        self.forget(number, who)
    }

    /// Ends a link after what is queued.
    pub(super) fn close(&mut self, number: u64) {
        if let Some(conn) = self.conns.remove(&number) {
            let who = conn.who;
            conn.link.close();
            self.forget(number, who);
        }
    }

    fn forget(&mut self, number: u64, who: Who) -> Option<NodeId> {
        let (Who::Peer(id) | Who::Pending(id)) = who else { return None };
        if self.up.get(&id) == Some(&number) {
            self.up.remove(&id);
            return Some(id);
        }
        None
    }

    /// All links, to be finished one by one.
    pub(super) fn drain(&mut self) -> Vec<Conn> {
        self.up.clear();
        std::mem::take(&mut self.conns).into_values().collect()
    }

    /// Whether this peer is to be dialled now; it then counts as being dialled.
    pub(super) fn is_due(&mut self, id: NodeId, now_ms: u64) -> bool {
        if self.up.contains_key(&id) {
            return false;
        }
        let patience = if self.own < id { 0 } else { YIELD_MS };
        let fresh =
            Dial { under_way: false, due_ms: now_ms + patience, wait_ms: AGAIN_MS, failed: 0 };
        let dial = self.dials.entry(id).or_insert(fresh);
        if dial.under_way || now_ms < dial.due_ms {
            return false;
        }
        dial.under_way = true;
        true
    }

    /// The peer answers and does not know us yet: a member that is joining asks again soon.
    pub(super) fn unknown(&mut self, id: NodeId, now_ms: u64) {
        let due_ms = now_ms + SOON_MS;
        self.dials.insert(id, Dial { under_way: false, due_ms, wait_ms: AGAIN_MS, failed: 0 });
    }

    /// A dial has come to nothing, the so-manieth in a row: again later, each time a little later.
    pub(super) fn undialled(&mut self, id: NodeId, now_ms: u64) -> u32 {
        let dial = self.dials.entry(id).or_default();
        let wait = dial.wait_ms.max(AGAIN_MS);
        // Spread by identity, so that a ring that starts does not dial in step.
        let spread = (self.own.0 ^ id.0) % (wait / 2).max(1);
        dial.under_way = false;
        dial.due_ms = now_ms + wait + spread;
        dial.wait_ms = (wait * 2).min(AGAIN_MS_MAX);
        dial.failed = dial.failed.saturating_add(1);
        dial.failed
    }
}
