//! The driver of a ring of running nodes: connections, questions, answers; no runtime, no tasks.
//!
//! A [`Client`] holds the ring's key and is no member. It connects to one node, its *entry*, learns
//! the ring and the members from it, and connects to others when they are asked. Everything that
//! talks has a time limit, and all that is waited in vain has one together, so nothing here hangs:
//!
//! ```text
//! get    n1 breaks -> n2 -> n3            a read goes on elsewhere; time over: refused (4)
//! put    n1 breaks before it was sent -> n2 …; after: unknown (5), for n1 may have done it
//! repair n1 … Busy … Busy … Reply         works as long as it shows life; silent: partly done (7)
//! nobody listens                          unreachable (6), naming every address and why
//! a node does not take the key            denied (10)
//! ```
//!
//! What it does not do: it knows no files and never prints. Caveat: an answer of a node about its own
//! file is believed as a file is; only records prove themselves.

mod ask;
#[cfg(test)]
mod fake;
mod fate;
mod link;
mod patience;
mod ports;
mod remote;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::link::{Dial, Link, NoLink};
use self::patience::Patience;
pub use self::ports::{free_port, free_ports};
pub use self::remote::Remote;
pub use self::stream::{Sink, Source};
use crate::channel::{Ask, News, RingKeys, Static, Told};
use crate::error::{Error, Result};
use crate::ring::{NodeId, RingDoc, State};

/// How often a node that does not listen yet is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// Whom to connect to, and how.
#[derive(Clone)]
pub struct Opening {
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
    opening: Opening,
    own: Static,
    links: Mutex<BTreeMap<NodeId, Arc<Mutex<Option<Link>>>>>,
    known: Mutex<Known>,
}

/// What is known of the ring at the moment.
struct Known {
    entry: NodeId,
    doc: Arc<RingDoc>,
    news: Arc<Vec<News>>,
    patience: Patience,
    /// Nodes that have left the last question unanswered, silent or gone: another one gets little time.
    silent: BTreeSet<NodeId>,
    /// The entry has left the last question unanswered.
    doubted: bool,
}

impl Client {
    /// Connects to the first address that a member answers at.
    ///
    /// # Errors
    /// [`Error::Denied`] when a node is there and does not take the key, else
    /// [`Error::Unreachable`]; both name every address and why. Nothing is changed.
    pub fn open(opening: Opening) -> Result<Self> {
        let own = Static::fresh()?;
        let start = now();
        let (link, doc, news) = enter(&opening, &own, &opening.addresses, start + opening.timeout)?;
        let entry = link.node;
        let links = BTreeMap::from([(entry, Arc::new(Mutex::new(Some(link))))]);
        let mut patience = Patience::new(opening.timeout);
        patience.waited(start, now());
        let (doc, news) = (Arc::new(doc), Arc::new(news));
        let known = Known { entry, doc, news, patience, silent: BTreeSet::new(), doubted: false };
        Ok(Self { opening, own, links: Mutex::new(links), known: Mutex::new(known) })
    }

    /// The ring document, as last heard.
    #[must_use]
    pub fn doc(&self) -> Arc<RingDoc> {
        self.known().doc.clone()
    }

    /// What the entry knew of the members when it was last asked.
    #[must_use]
    pub fn members(&self) -> Arc<Vec<News>> {
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
        self.opening.timeout
    }

    /// How long a question that is asked now may take: what waiting in vain has left of it.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.known().patience.left(now())
    }

    /// Whether a node has left the last question unanswered.
    #[must_use]
    pub fn is_silent(&self, node: NodeId) -> bool {
        self.known().silent.contains(&node)
    }

    /// The ring's keys.
    #[must_use]
    pub fn keys(&self) -> &RingKeys {
        &self.opening.keys
    }

    /// Learns ring and members anew.
    ///
    /// # Errors
    /// As [`Client::ask`] of a read.
    pub fn refresh(&self) -> Result<()> {
        self.known().silent.clear();
        if let Told::Ring(doc) = self.ask(self.entry(), Ask::Ring)? {
            self.learn(Arc::new(*doc));
        }
        if let Told::Members(news) = self.ask(self.entry(), Ask::Members)? {
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
    fn link(&self, node: NodeId) -> Arc<Mutex<Option<Link>>> {
        lock(&self.links).entry(node).or_default().clone()
    }

    fn dial_node(&self, node: NodeId, until: Instant) -> std::result::Result<Link, Error> {
        self.dial(node, until).map_err(|no| {
            let name = self.doc().name(node);
            Error::Unreachable(format!("{name} cannot be asked: {}.", no.why))
                .hint("kvs status shows who is up")
        })
    }

    fn dial(&self, node: NodeId, until: Instant) -> std::result::Result<Link, NoLink> {
        let doc = self.doc();
        let unknown = || NoLink::new("its address is not known");
        let address = self.address(node).ok_or_else(unknown)?;
        let (keys, own) = (&self.opening.keys, &self.own);
        let dial = Dial { keys, own, ring: Some(doc.id), node: Some(node), first: &[] };
        let linked = Link::dial(&address, &dial, until).and_then(|link| proven(link, &doc));
        linked.map_err(|no| NoLink { why: format!("{address} {}", no.why), ..no })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

/// The first of some addresses that a member answers at, with what it knows.
fn enter(
    opening: &Opening,
    own: &Static,
    addresses: &[String],
    until: Instant,
) -> Result<(Link, RingDoc, Vec<News>)> {
    let mut why = BTreeMap::new();
    let mut denied = false;
    loop {
        let mut starting = false;
        for (i, address) in addresses.iter().enumerate() {
            // One that is silent leaves time for those after it.
            let share = until.saturating_duration_since(now()) / (addresses.len() - i) as u32;
            match meet(opening, own, address, now() + share) {
                Ok(met) => return Ok(met),
                Err(no) => {
                    starting |= no.refused;
                    denied |= no.denied;
                    why.insert(i, no.why);
                }
            }
        }
        if !(opening.insist && starting) || now() + PAUSE >= until {
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
    opening: &Opening,
    own: &Static,
    address: &str,
    until: Instant,
) -> std::result::Result<(Link, RingDoc, Vec<News>), NoLink> {
    let first = [Ask::Ring, Ask::Members];
    let dial = Dial { keys: &opening.keys, own, ring: None, node: None, first: &first };
    let mut link = Link::dial(address, &dial, until)?;
    let mut told = |ticket| match link.wait(ticket, until, None) {
        Ok(Told::Fault(fault)) => Err(NoLink::new(format!("refuses: {}", Error::from(fault)))),
        Ok(told) => Ok(told),
        Err(link::Cut::Silent) => Err(NoLink::new("does not answer")),
        Err(link::Cut::Broken(why)) => Err(NoLink::new(format!("hangs up: {why}"))),
    };
    let (Told::Ring(doc), Told::Members(news)) = (told(1)?, told(2)?) else {
        return Err(NoLink::new("answers a different request"));
    };
    let doc = *doc;
    if doc.check().is_err() || doc.id != link.ring {
        return Err(NoLink::new("sends the ring document of another ring"));
    }
    let link = match doc.member(link.node).map(|m| m.state) {
        _ if opening.strangers => link,
        None => return Err(NoLink::new("is not yet a member of the ring")),
        Some(State::Removed) => return Err(NoLink::new("was removed from the ring")),
        Some(_) => proven(link, &doc)?,
    };
    Ok((link, doc, news))
}

/// A link whose other end has the static key of the member it says it is.
fn proven(link: Link, doc: &RingDoc) -> std::result::Result<Link, NoLink> {
    match doc.member(link.node) {
        Some(member) if member.public_key != link.public => {
            Err(NoLink::new(format!("claims to be {} but has another key", member.name)))
        }
        _ => Ok(link),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked left a whole value: each is replaced in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "talking to other machines takes real time")]
fn now() -> Instant {
    Instant::now()
}
