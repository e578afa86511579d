//! The driver of a ring of running nodes: connections, requests, responses; no runtime, no tasks.
//!
//! A [`Client`] holds the ring's key and is no member. It connects to one node, its *entry*, learns the ring
//! and the members from it, and connects to others when they are asked. Every call has a time limit, and all
//! waiting that ends without an answer shares one (`wait_budget`), so nothing here hangs:
//!
//! ```text
//! get    n1 breaks -> n2 -> n3            a read goes on elsewhere; time over: refused (4)
//! put    n1 breaks before it was sent -> n2 …; after: unknown (5), for n1 may have done it
//! repair n1 … Busy … Busy … Reply         works as long as it shows life; silent: partly done (7)
//! no process listens                      unreachable (6), naming every address and why
//! a node does not take the key            denied (10)
//! ```
//!
//! What it does not do: it knows no files and never prints. Caveat: an answer of a node about its own file is
//! believed as a file is; only records prove themselves.

mod ask;
#[cfg(test)]
mod fake;
mod effect;
mod link;
mod wait_budget;
mod ports;
mod remote;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::link::{DialError, DialOptions, NodeConnection};
pub use self::ports::{free_port, free_ports};
pub use self::remote::Remote;
pub use self::stream::{ReplySink, RequestSource};
use self::wait_budget::WaitBudget;
use crate::channel::{ClientRequest, ClientResponse, MemberView, RequestId, RingKeys, Static};
use crate::error::{Error, Result};
use crate::os::now;
use crate::ring::{MemberState, NodeId, RingDoc};

/// How often a node that does not listen yet is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// Whom to connect to, and how.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Addresses `host:port`, alternatives of each other, tried in order.
    pub addresses: Vec<String>,
    /// The ring's keys.
    pub keys: RingKeys,
    /// How long anything may take that talks.
    pub timeout: Duration,
    /// They are starting: try those that refuse the connection until the time is over.
    pub insist: bool,
    /// A node will do that is no member yet.
    pub strangers: bool,
}

/// A ring of running nodes. See the module.
pub struct Client {
    options: ConnectOptions,
    own: Static,
    links: Mutex<BTreeMap<NodeId, Arc<Mutex<Option<NodeConnection>>>>>,
    known: Mutex<ClusterView>,
}

/// How a node has left a request unanswered. Each makes the next request to it a short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It was asked, and its time was over before it answered: it is overloaded, paused, or cut off.
    TimedOut,
    /// There was no connection to ask it over: it is down, or its address is not its own any more.
    Unreachable,
    /// It closed the connection before it answered: it was stopped, or does not know the request.
    HungUp,
}

/// What is known of the ring at the moment.
struct ClusterView {
    entry: NodeId,
    doc: Arc<RingDoc>,
    news: Arc<Vec<MemberView>>,
    wait_budget: WaitBudget,
    /// Nodes that have left their last request unanswered, and how: the next one gets little time.
    unanswered: BTreeMap<NodeId, NoAnswer>,
    /// The entry has left the last question unanswered.
    entry_doubtful: bool,
}

impl Client {
    /// Connects to the first address that a member answers at.
    ///
    /// # Errors
    /// [`Error::Denied`] when a node is there and does not take the key, else
    /// [`Error::Unreachable`]; both name every address and why. Nothing is changed.
    pub fn open(options: ConnectOptions) -> Result<Self> {
        let own = Static::fresh()?;
        let start = now();
        let (link, doc, news) = enter(&options, &own, &options.addresses, start + options.timeout)?;
        let entry = link.node;
        let links = BTreeMap::from([(entry, Arc::new(Mutex::new(Some(link))))]);
        let mut wait_budget = WaitBudget::new(options.timeout);
        wait_budget.waited(start, now());
        let (doc, news) = (Arc::new(doc), Arc::new(news));
        let known = ClusterView {
            entry,
            doc,
            news,
            wait_budget,
            unanswered: BTreeMap::new(),
            entry_doubtful: false,
        };
        Ok(Self { options, own, links: Mutex::new(links), known: Mutex::new(known) })
    }

    /// The ring document, as last heard.
    #[must_use]
    pub fn doc(&self) -> Arc<RingDoc> {
        self.known().doc.clone()
    }

    /// What the entry knew of the members when it was last asked.
    #[must_use]
    pub fn members(&self) -> Arc<Vec<MemberView>> {
        self.known().news.clone()
    }

    /// The node that takes requests that any node can take.
    #[must_use]
    pub fn entry(&self) -> NodeId {
        self.known().entry
    }

    /// Has requests that any node can take go to this one from now on.
    pub fn enter_at(&self, node: NodeId) {
        self.known().entry = node;
    }

    /// How long anything may take that talks.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// How long a question that is asked now may take: what waiting in vain has left of it.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.known().wait_budget.left(now())
    }

    /// How a node has left its last request unanswered, if it has.
    #[must_use]
    pub fn no_answer(&self, node: NodeId) -> Option<NoAnswer> {
        self.known().unanswered.get(&node).copied()
    }

    /// The ring's keys.
    #[must_use]
    pub fn keys(&self) -> &RingKeys {
        &self.options.keys
    }

    /// Learns ring and members anew.
    ///
    /// # Errors
    /// As [`Client::ask`] of a read.
    pub fn refresh(&self) -> Result<()> {
        self.known().unanswered.clear();
        if let ClientResponse::Ring(doc) = self.ask(self.entry(), ClientRequest::Ring)? {
            self.learn(Arc::new(*doc));
        }
        if let ClientResponse::Members(news) = self.ask(self.entry(), ClientRequest::Members)? {
            self.known().news = Arc::new(news);
        }
        Ok(())
    }

    /// Takes a document that was heard, unless a later one is known, or it is none of this ring.
    fn learn(&self, doc: Arc<RingDoc>) {
        let mut known = self.known();
        if doc.id != known.doc.id || doc.succeeds(&known.doc).is_ok() {
            known.doc = doc;
        }
    }

    /// Where a node answers, as far as is known.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<String> {
        let news = self.members();
        let address = news.iter().find(|n| n.row.id == node).map(|n| n.row.address.clone());
        address.filter(|a| !a.is_empty())
    }

    /// Connects to a node unless that is done; the place of its link.
    fn link(&self, node: NodeId) -> Arc<Mutex<Option<NodeConnection>>> {
        lock(&self.links).entry(node).or_default().clone()
    }

    fn dial_node(
        &self,
        node: NodeId,
        until: Instant,
    ) -> std::result::Result<NodeConnection, Error> {
        self.dial(node, until).map_err(|no| {
            let name = self.doc().name(node);
            Error::Unreachable(format!("{name} cannot be asked: {}.", no.why))
                .hint("kvs status shows who is up")
        })
    }

    fn dial(&self, node: NodeId, until: Instant) -> std::result::Result<NodeConnection, DialError> {
        let doc = self.doc();
        let unknown = || DialError::new("its address is not known");
        let address = self.address(node).ok_or_else(unknown)?;
        let (keys, own) = (&self.options.keys, &self.own);
        let dial = DialOptions { keys, own, ring: Some(doc.id), node: Some(node), first: &[] };
        let linked =
            NodeConnection::dial(&address, &dial, until).and_then(|link| proven(link, &doc));
        linked.map_err(|no| DialError { why: format!("{address} {}", no.why), ..no })
    }

    fn known(&self) -> MutexGuard<'_, ClusterView> {
        lock(&self.known)
    }
}

/// The first of some addresses that a member answers at, with what it knows.
fn enter(
    options: &ConnectOptions,
    own: &Static,
    addresses: &[String],
    until: Instant,
) -> Result<(NodeConnection, RingDoc, Vec<MemberView>)> {
    let mut why = BTreeMap::new();
    let mut denied = false;
    loop {
        let mut starting = false;
        for (i, address) in addresses.iter().enumerate() {
            // One that is silent leaves time for those after it.
            let share = until.saturating_duration_since(now()) / (addresses.len() - i) as u32;
            match meet(options, own, address, now() + share) {
                Ok(met) => return Ok(met),
                Err(no) => {
                    starting |= no.refused;
                    denied |= no.denied;
                    why.insert(i, no.why);
                }
            }
        }
        if !(options.insist && starting) || now() + PAUSE >= until {
            break;
        }
        thread::sleep(PAUSE);
    }
    let tried: Vec<_> = why.iter().map(|(i, why)| format!("{} {why}", addresses[*i])).collect();
    if denied {
        let text = format!("No node accepted the key: {}. Nothing was changed.", tried.join("; "));
        return Err(Error::Denied(text).hint(
            "use the key of this ring: --key-file DIR/ring.key, the file of any of its nodes; \
             kvs config show compares keys",
        ));
    }
    Err(Error::Unreachable(format!(
        "No node of the ring could be reached: {}. Nothing was changed.",
        tried.join("; ")
    ))
    .hint("check the addresses and that the nodes run (kvs node run DIR)"))
}

/// Connects to an address and learns what is known there of ring and members.
fn meet(
    options: &ConnectOptions,
    own: &Static,
    address: &str,
    until: Instant,
) -> std::result::Result<(NodeConnection, RingDoc, Vec<MemberView>), DialError> {
    let first = [ClientRequest::Ring, ClientRequest::Members];
    let dial = DialOptions { keys: &options.keys, own, ring: None, node: None, first: &first };
    let mut link = NodeConnection::dial(address, &dial, until)?;
    let mut response = |id| match link.wait(id, until, None) {
        Ok(ClientResponse::Fault(fault)) => {
            Err(DialError::new(format!("refuses: {}", Error::from(fault))))
        }
        Ok(response) => Ok(response),
        Err(link::LinkError::TimedOut) => Err(DialError::new("does not answer")),
        Err(link::LinkError::Closed(why)) => Err(DialError::new(format!("hangs up: {why}"))),
    };
    let (ClientResponse::Ring(doc), ClientResponse::Members(news)) =
        (response(RequestId(1))?, response(RequestId(2))?)
    else {
        return Err(DialError::new("answers a different request"));
    };
    let doc = *doc;
    if doc.check().is_err() || doc.id != link.ring {
        return Err(DialError::new("sends the ring document of another ring"));
    }
    let link = match doc.member(link.node).map(|m| m.state) {
        _ if options.strangers => link,
        None => return Err(DialError::new("is not yet a member of the ring")),
        Some(MemberState::Removed) => return Err(DialError::new("was removed from the ring")),
        Some(_) => proven(link, &doc)?,
    };
    Ok((link, doc, news))
}

/// A link whose other end has the static key of the member it says it is.
fn proven(link: NodeConnection, doc: &RingDoc) -> std::result::Result<NodeConnection, DialError> {
    match doc.member(link.node) {
        Some(member) if member.public_key != link.public => {
            Err(DialError::new(format!("claims to be {} but has another key", member.name)))
        }
        _ => Ok(link),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked left a whole value: each is replaced in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
