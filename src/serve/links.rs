//! Which links are open, to whom, and when to dial again.
//!
//! One link per pair: when both have dialled, that of the lower identity stays.
//!
//! ```text
//! a dials b ----+                     Welcome
//!               +--> both up: a < b, the link that a dialled stays, the other is cut
//! b dials a ----+
//! b dials a, 10 s after a has dialled b: b has lost that link, so the new one stays
//! refused, lost: again after 0.1 s, 0.2 s, … 5 s
//! ```
//!
//! However a peer's link ends, also when another takes its place, the peer is listed as lost: what was sent
//! over it may never have come, and an operation that waits for an answer must hear of it. It decides nothing
//! about who may be linked; `admission` does. Caveat: the node with the higher identity waits a moment before
//! it dials, so that most pairs need one handshake only.

use std::collections::BTreeMap;

use super::id::{LinkId, Requester};
use super::link::LinkHandle;
use super::slots::SourceNetwork;
use crate::channel::{ClientResponse, FRAME_BYTES_MAX, Fault, Frame, RequestId};
use crate::error::Error;
use crate::protocol::WIRE_LOWEST;
use crate::ring::NodeId;

/// The first wait after a failed dial, and the longest, in ms.
const AGAIN_MS: u64 = 100;
const AGAIN_MS_MAX: u64 = 5_000;
/// A node that is not a member yet dials again after this time, in ms.
const SOON_MS: u64 = 300;
/// Both may have dialled at once if the older link is younger than this, in ms: twice what a dial may
/// take. Later a node with a link does not dial.
const AT_ONCE_MS: u64 = 10_000;
/// The higher of two identities leaves the lower this long to dial, in ms.
const YIELD_MS: u64 = 300;

/// Who is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemoteEnd {
    /// A member, proven.
    Peer(NodeId),
    /// A member we have dialled, proven; it has not yet said that we are welcome.
    Pending(NodeId),
    /// A holder of the ring's key.
    Client,
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientService {
    /// Anything.
    Full,
    /// What an operator asks: it is a client beyond those there is room for.
    OperatorsOnly,
}

/// One open link.
pub(super) struct Connection {
    pub(super) handle: LinkHandle,
    pub(super) remote_end: RemoteEnd,
    pub(super) dialled: bool,
    /// Which process is at the other end, if it is a node's.
    pub(super) run: u64,
    pub(super) from: String,
    /// The wire version both ends speak.
    pub(super) wire: u8,
    pub(super) source: Option<SourceNetwork>,
    /// What it may ask, if it is a client.
    pub(super) service: ClientService,
    /// When it came, and when it last said something.
    pub(super) since_ms: u64,
    pub(super) last_ms: u64,
}

/// When to dial a peer.
#[derive(Clone, Copy, Default)]
struct DialState {
    under_way: bool,
    due_ms: u64,
    wait_ms: u64,
    /// How often in a row it came to nothing.
    failed: u32,
}

/// See the module.
pub(super) struct LinkTable {
    own: NodeId,
    conns: BTreeMap<LinkId, Connection>,
    up: BTreeMap<NodeId, LinkId>,
    dials: BTreeMap<NodeId, DialState>,
    /// The number last given out.
    last: u64,
    /// Whose links have ended since this was last taken.
    lost: Vec<NodeId>,
}

impl LinkTable {
    pub(super) fn new(own: NodeId) -> Self {
        let (conns, up, dials) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { own, conns, up, dials, last: 0, lost: Vec::new() }
    }

    /// The number of the next link.
    pub(super) fn next_id(&mut self) -> LinkId {
        self.last += 1;
        LinkId(self.last)
    }

    pub(super) fn insert(&mut self, link: LinkId, conn: Connection) {
        self.conns.insert(link, conn);
    }

    pub(super) fn conn(&self, link: LinkId) -> Option<&Connection> {
        self.conns.get(&link)
    }

    /// The other end of a link, for the log.
    pub(super) fn from(&self, link: LinkId) -> &str {
        self.conns.get(&link).map_or("", |conn| &conn.from)
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
        self.conns.values().filter(|c| c.remote_end == RemoteEnd::Client).count()
    }

    /// The client to send away for another: of the source that has the most, the one that has been
    /// idle for the longest.
    pub(super) fn idlest(&self, is_asking: impl Fn(LinkId) -> bool) -> Option<LinkId> {
        let clients = || self.conns.iter().filter(|(_, c)| c.remote_end == RemoteEnd::Client);
        let mut counts = BTreeMap::<_, usize>::new();
        clients().for_each(|(_, c)| *counts.entry(c.source).or_default() += 1);
        let idle = clients().filter(|(link, c)| !c.handle.is_busy() && !is_asking(**link));
        let rank = |c: &Connection| (std::cmp::Reverse(counts.get(&c.source)), c.last_ms);
        idle.min_by_key(|(link, c)| (rank(c), **link)).map(|(link, _)| *link)
    }

    /// The other end of a link has said something.
    pub(super) fn touch(&mut self, link: LinkId, now_ms: u64) {
        if let Some(conn) = self.conns.get_mut(&link) {
            conn.last_ms = now_ms;
            conn.handle.frame_taken();
        }
    }

    /// The links of members, and whose they are or are about to be.
    pub(super) fn members(&self) -> Vec<(LinkId, NodeId)> {
        let member = |remote_end| match remote_end {
            RemoteEnd::Peer(id) | RemoteEnd::Pending(id) => Some(id),
            RemoteEnd::Client => None,
        };
        self.conns.iter().filter_map(|(n, c)| member(c.remote_end).map(|id| (*n, id))).collect()
    }

    /// Whose links have ended since this was last asked.
    pub(super) fn take_lost(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.lost)
    }

    /// Makes a link that of a peer; `false` when another one stays in its place.
    pub(super) fn promote(&mut self, link: LinkId, id: NodeId) -> bool {
        let Some(new) = self.conns.get(&link) else { return false };
        let lower_dialled = |conn: &Connection| conn.dialled == (self.own < id);
        if let Some(old) = self.up.get(&id).and_then(|n| self.conns.get(n))
            && old.dialled != new.dialled
            && lower_dialled(old)
            && new.since_ms < old.since_ms + AT_ONCE_MS
        {
            self.cut(link);
            return false;
        }
        if let Some(old) = self.up.insert(id, link)
            && old != link
            && let Some(conn) = self.conns.remove(&old)
        {
            conn.handle.cut();
            self.lost.push(id);
        }
        if let Some(conn) = self.conns.get_mut(&link) {
            conn.remote_end = RemoteEnd::Peer(id);
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
        conn.is_some_and(|conn| conn.handle.send(bytes))
    }

    /// Queues a response in the words of its link's wire version; how many bytes it has. A link that
    /// takes nothing more is cut.
    pub(super) fn respond(&mut self, to: Requester, response: ClientResponse) -> usize {
        let wire = self.conns.get(&to.link).map_or(WIRE_LOWEST, |conn| conn.wire);
        let bytes = encode_response(to.request, response, wire);
        let length = bytes.len();
        self.queue(to.link, bytes);
        length
    }

    /// Queues bytes for the other end of a link; one that takes nothing more is cut.
    pub(super) fn queue(&mut self, link: LinkId, bytes: Vec<u8>) {
        if self.conns.get(&link).is_some_and(|conn| !conn.handle.send(bytes)) {
            self.cut(link);
        }
    }

    /// Ends a link at once; whose it was, if it was a peer's.
    pub(super) fn cut(&mut self, link: LinkId) -> Option<NodeId> {
        let conn = self.conns.remove(&link)?;
        let remote_end = conn.remote_end;
        conn.handle.cut();
        self.forget(link, remote_end)
    }

    /// Ends a link after what is queued.
    pub(super) fn close(&mut self, link: LinkId) {
        if let Some(conn) = self.conns.remove(&link) {
            let remote_end = conn.remote_end;
            conn.handle.close();
            self.forget(link, remote_end);
        }
    }

    fn forget(&mut self, link: LinkId, remote_end: RemoteEnd) -> Option<NodeId> {
        let (RemoteEnd::Peer(id) | RemoteEnd::Pending(id)) = remote_end else { return None };
        if self.up.get(&id) == Some(&link) {
            self.up.remove(&id);
            self.lost.push(id);
            return Some(id);
        }
        None
    }

    /// All links, to be finished one by one.
    pub(super) fn drain(&mut self) -> Vec<Connection> {
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
            DialState { under_way: false, due_ms: now_ms + patience, wait_ms: AGAIN_MS, failed: 0 };
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
        self.dials.insert(id, DialState { under_way: false, due_ms, wait_ms: AGAIN_MS, failed: 0 });
    }

    /// A dial has come to nothing, and is repeated later, each time a little later; the number of
    /// consecutive failures.
    pub(super) fn dial_failed(&mut self, id: NodeId, now_ms: u64) -> u32 {
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

/// The bytes of a response; where the other end has no word for it, or it is too long, of a fault that
/// says so: a request is never left without an answer.
fn encode_response(request: RequestId, response: ClientResponse, wire: u8) -> Vec<u8> {
    let fault = |error: &Error| {
        let response = ClientResponse::Fault(Fault::from(error));
        Frame::Response(request, Box::new(response)).encode()
    };
    let bytes = Frame::Response(request, Box::new(response)).encode_for(wire);
    let bytes = bytes.unwrap_or_else(|| {
        let error = Error::Usage("The answer is one that an older kvs cannot read.".into());
        fault(&error.hint("upgrade the kvs that asks"))
    });
    if bytes.len() > FRAME_BYTES_MAX {
        let text = format!("The answer has {} bytes: too many for one frame.", bytes.len());
        return fault(&Error::Denied(text));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::super::link::LinkClocks;
    use super::*;
    use crate::channel::{Handshake, Hello, RingKeys, Static};

    const OWN: NodeId = NodeId(5);
    const LOWER: NodeId = NodeId(3);
    const HIGHER: NodeId = NodeId(9);

    /// A link over a real connection; nobody is at its other end.
    async fn conn(dialled: bool, since_ms: u64) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (keys, own, hello) =
            (RingKeys::new(vec![[7; 32]]), Static::fresh().unwrap(), Hello::new(None, None));
        let (dial, first) = Handshake::dial(&keys, &own, &hello).unwrap();
        let (_, reply) = Handshake::answer(&keys, &own, &hello, &first[2..]).unwrap();
        let (session, _) = dial.dialled(&reply[2..]).unwrap();
        let (sender, _) = tokio::sync::mpsc::channel(8);
        let handle = LinkHandle::start(
            LinkId(0),
            stream,
            session.sealer,
            session.opener,
            None,
            LinkClocks::plain(),
            sender,
        );
        let (remote_end, from) = (RemoteEnd::Client, String::new());
        let (source, service) = (None, ClientService::Full);
        let (last_ms, wire) = (since_ms, WIRE_LOWEST);
        Connection {
            handle,
            remote_end,
            dialled,
            run: 1,
            from,
            source,
            service,
            since_ms,
            last_ms,
            wire,
        }
    }

    /// Two links with a peer, one after the other: whether the second one takes the place of the first.
    async fn replaced(id: NodeId, first: (bool, u64), second: (bool, u64)) -> bool {
        let mut links = LinkTable::new(OWN);
        links.insert(LinkId(1), conn(first.0, first.1).await);
        links.insert(LinkId(2), conn(second.0, second.1).await);
        assert!(links.promote(LinkId(1), id));
        assert_eq!(links.take_lost(), [], "a first link takes nobody's place");
        let replaced = links.promote(LinkId(2), id);
        assert_eq!(links.linked(), [id]);
        assert_eq!(links.conn(LinkId(1)).is_none(), replaced);
        assert_eq!(links.conn(LinkId(2)).is_none(), !replaced);
        assert_eq!(links.take_lost(), if replaced { vec![id] } else { vec![] });
        replaced
    }

    #[tokio::test]
    async fn a_link_that_gives_way_to_another_is_a_lost_one() {
        // Dialled again from the same side: that side has lost the first.
        assert!(replaced(HIGHER, (true, 0), (true, 500)).await);
        assert!(replaced(LOWER, (false, 0), (false, 500)).await);
        // Both at once: what the lower has dialled stays, on both sides.
        assert!(!replaced(HIGHER, (true, 0), (false, 500)).await);
        assert!(replaced(HIGHER, (false, 0), (true, 500)).await);
        assert!(replaced(LOWER, (true, 0), (false, 500)).await);
        assert!(!replaced(LOWER, (false, 0), (true, 500)).await);
        // Long after: nobody dials who still has a link.
        assert!(replaced(HIGHER, (true, 0), (false, AT_ONCE_MS)).await);
    }

    #[tokio::test]
    async fn however_a_link_ends_its_peer_is_lost() {
        let mut links = LinkTable::new(OWN);
        for (link, id) in [(LinkId(1), LOWER), (LinkId(2), HIGHER)] {
            links.insert(link, conn(true, 0).await);
            links.promote(link, id);
        }
        links.cut(LinkId(1));
        links.close(LinkId(2));
        assert_eq!(links.take_lost(), [LOWER, HIGHER]);
        assert_eq!((links.take_lost(), links.linked()), (vec![], vec![]));
    }

    #[tokio::test]
    async fn the_longest_idle_client_makes_room_and_none_that_waits_for_an_answer() {
        let mut links = LinkTable::new(OWN);
        for link in 1..=4 {
            links.insert(LinkId(link), conn(false, link * 10).await);
        }
        links.touch(LinkId(1), 100);
        assert_eq!(links.idlest(|_| false), Some(LinkId(2)));
        assert_eq!(links.idlest(|link| link == LinkId(2)), Some(LinkId(3)));
        links.conn(LinkId(3)).unwrap().handle.send(vec![0; 1 << 20]);
        links.promote(LinkId(4), HIGHER);
        assert_eq!(links.idlest(|link| link == LinkId(2)), Some(LinkId(1)));
        assert_eq!(links.idlest(|_| true), None);
    }
}
