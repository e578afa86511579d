//! One question to one node, or to each of several at once; where it goes when that node fails.
//!
//! ```text
//! sent?  any node's?   a broken connection means
//! no     yes           the next address is asked
//! no     no            the node is called once more, then it is unreachable
//! yes    read          as if it was not sent: reading twice harms nobody
//! yes    write, job    unknown, partly done: it may have taken effect
//! ```
//!
//! Law: "unknown" is not said of a write while a node may still begin it. A node begins a write within
//! half of its time or never, so a connection that breaks earlier is waited out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::fate::{self, Nature};
use super::link::Cut;
use super::{Client, lock, meet, now};
use crate::channel::{Ask, Info, Load, Told};
use crate::error::{Error, Result};
use crate::node::{Fate, Reply, Request, Transfer};
use crate::quorum::Verdict;
use crate::ring::NodeId;

/// Nodes that are asked the same thing, at the most.
const TRIED_MAX: usize = 3;

/// How one try failed.
struct Lost {
    sent: bool,
    cut: Cut,
}

impl Client {
    /// Asks a node's state machine.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn request(&self, at: NodeId, request: Request) -> Result<Reply> {
        let told = self.ask(at, Ask::Node(request))?;
        told.check(&self.doc())?;
        match told {
            Told::Reply(reply) => Ok(self.heed(reply)),
            _ => Err(defect()),
        }
    }

    /// Learns what a reply tells of the ring.
    pub(super) fn heed(&self, reply: Reply) -> Reply {
        if let Reply::Ring(doc, _) = &reply {
            self.learn(doc.clone());
        }
        reply
    }

    /// Asks a node; when it is the entry and any node can answer, others after it.
    ///
    /// # Errors
    /// What the node says; else [`Error::Unreachable`] when nobody could be asked; when the answer
    /// does not come, [`Error::Refused`] of a read, [`Error::Unknown`] of a write, else
    /// [`Error::Partial`].
    pub fn ask(&self, at: NodeId, ask: Ask) -> Result<Told> {
        let nature = Nature::of(&ask);
        let until = now() + self.left();
        if !nature.anyones || at != self.entry() {
            return self.ask_one(at, &ask, nature, until);
        }
        let mut tried = BTreeSet::from([at]);
        let doubted = std::mem::take(&mut self.known().doubted);
        // One that has kept us waiting in vain is not the first to be asked again.
        let other = if doubted { self.next_entry(&mut tried, until) } else { None };
        let start = now();
        let half = start + until.saturating_duration_since(start) / 2;
        // A read leaves time for another node, if there is one.
        let first = if nature.fate == Fate::Read && self.has_others() { half } else { until };
        let mut asked = self.ask_one(other.unwrap_or(at), &ask, nature, first);
        while tried.len() < TRIED_MAX && now() < until && self.is_for_others(&asked, nature) {
            let Some(next) = self.next_entry(&mut tried, until) else { break };
            asked = self.ask_one(next, &ask, nature, until);
        }
        self.known().doubted = asked.is_err() && self.is_down();
        asked
    }

    /// Whether more than one node could answer.
    fn has_others(&self) -> bool {
        self.opening.addresses.len() > 1 || self.members().iter().filter(|n| n.up).count() > 1
    }

    /// Whether another node may do better, and asking it does nothing twice.
    fn is_for_others(&self, asked: &Result<Told>, nature: Nature) -> bool {
        match asked {
            Ok(told) => is_refused(told),
            Err(error) => match error.root() {
                Error::Unreachable(_) | Error::Busy(_) => true,
                Error::Refused(_) => nature.fate == Fate::Read && self.is_down(),
                _ => false,
            },
        }
    }

    /// Asks this node and no other, whatever the question.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask_only(&self, at: NodeId, ask: Ask) -> Result<Told> {
        self.ask_one(at, &ask, Nature::of(&ask), now() + self.left())
    }

    /// Asks several nodes at once, each within the time: those that are gone do not add up.
    pub fn ask_all(&self, asks: Vec<(NodeId, Ask)>) -> Vec<(NodeId, Result<Told>)> {
        let asks: BTreeMap<_, _> = asks.into_iter().collect();
        self.each(asks.keys().copied().collect(), |at| self.ask_only(at, asks[&at].clone()))
    }

    /// Does something for each of several nodes, all at once.
    pub fn each<T: Send>(
        &self,
        nodes: Vec<NodeId>,
        ask: impl Fn(NodeId) -> Result<T> + Sync,
    ) -> Vec<(NodeId, Result<T>)> {
        if nodes.len() < 2 {
            return nodes.into_iter().map(|at| (at, ask(at))).collect();
        }
        let ask = &ask;
        std::thread::scope(|scope| {
            let start = |at| (at, scope.spawn(move || ask(at)));
            let running: Vec<_> = nodes.into_iter().map(start).collect();
            let ended = running.into_iter();
            ended.map(|(at, t)| (at, t.join().unwrap_or_else(|_| Err(defect())))).collect()
        })
    }

    /// How a node is.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn info(&self, at: NodeId) -> Result<Info> {
        match self.ask(at, Ask::Info)? {
            Told::Info(info) => Ok(*info),
            _ => Err(defect()),
        }
    }

    /// What a node has counted since its start.
    ///
    /// # Errors
    /// As [`Client::ask`]; [`Error::Denied`] when its build does not know the question.
    pub fn load(&self, at: NodeId) -> Result<Load> {
        let (ask, until) = (Ask::Load, self.until(at, now() + self.left()));
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_at(at, &ask, Nature::of(&ask), until)? {
                Ok(Told::Load(load)) => return Ok(*load),
                Ok(Told::Fault(fault)) => return Err(fault.into()),
                Ok(_) => return Err(defect()),
                Err(lost @ Lost { sent: true, cut: Cut::Broken(_) }) if tries > 1 => {
                    // An older build hangs up on what it does not know, and answers all the rest. It is
                    // there: what it is asked now has all the time that is left.
                    self.known().silent.remove(&at);
                    let info = self.info(at);
                    return Err(info.map_or_else(
                        |_| self.lost(at, &lost, Fate::Read),
                        |info| {
                            let name = self.doc().name(at);
                            Error::Denied(format!(
                                "{name} runs kvs {}, which does not report its load; nothing was \
                             changed.",
                                info.build
                            ))
                            .hint("upgrade it: kvs push apply FLEET")
                        },
                    ));
                }
                Err(lost) if tries > 1 || lost.cut == Cut::Silent => {
                    return Err(self.lost(at, &lost, Fate::Read));
                }
                Err(_) => {}
            }
        }
    }

    /// What a node is moving now.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn transfers(&self, at: NodeId) -> Result<Vec<Transfer>> {
        match self.ask(at, Ask::Transfers)? {
            Told::Transfers(transfers) => Ok(transfers),
            _ => Err(defect()),
        }
    }

    /// Has a node take no more clients, or again.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn drain(&self, at: NodeId, on: bool) -> Result<()> {
        match self.ask(at, Ask::Drain(on))? {
            Told::Done => Ok(()),
            _ => Err(defect()),
        }
    }

    /// Has a node finish and stop. That it hangs up is an answer too.
    ///
    /// # Errors
    /// [`Error::Busy`] when somebody listens at its address and gives no answer; else as
    /// [`Client::ask`].
    pub fn stop(&self, at: NodeId) -> Result<()> {
        let until = now() + self.left();
        let place = self.link(at);
        if lock(&place).is_none() {
            match self.dial(at, until) {
                Ok(link) => *lock(&place) = Some(link),
                Err(no) if no.hangs => return Err(self.hangs(at)),
                // Said below as of any question.
                Err(_) => {}
            }
        }
        match self.try_at(at, &Ask::Stop, Nature::of(&Ask::Stop), until)? {
            Ok(Told::Done) | Err(Lost { sent: true, cut: Cut::Broken(_) }) => Ok(()),
            Ok(Told::Fault(fault)) => Err(fault.into()),
            Ok(_) => Err(defect()),
            Err(Lost { sent: true, cut: Cut::Silent }) => Err(self.hangs(at)),
            Err(lost) => Err(self.lost(at, &lost, Fate::Worked)),
        }
    }

    /// A node that runs and does not do what it is told.
    fn hangs(&self, at: NodeId) -> Error {
        let name = self.doc().name(at);
        Error::Busy(format!(
            "{name} is running but does not answer; the request may not have reached it."
        ))
        .hint("wait longer with --timeout, or read its log and end its process")
    }

    /// How long this node is asked at the most: little if it was silent before.
    fn until(&self, at: NodeId, until: Instant) -> Instant {
        let known = self.known();
        if known.silent.contains(&at) { until.min(now() + known.patience.least()) } else { until }
    }

    /// Remembers how a try ended that began at `start`.
    fn took(&self, at: NodeId, start: Instant, answered: bool, silent: bool) {
        let mut known = self.known();
        if answered {
            known.silent.remove(&at);
        } else {
            known.patience.waited(start, now());
        }
        if silent {
            known.silent.insert(at);
        }
    }

    /// Asks one node and no other, on a new connection if the old one broke and that is safe.
    fn ask_one(&self, at: NodeId, ask: &Ask, nature: Nature, until: Instant) -> Result<Told> {
        let until = self.until(at, until);
        let (asked, mut again) = (now(), true);
        loop {
            let lost = match self.try_at(at, ask, nature, until)? {
                Ok(Told::Fault(fault)) => return Err(fault.into()),
                Ok(told) => return Ok(told),
                Err(lost) => lost,
            };
            let safe = !lost.sent || nature.fate == Fate::Read;
            if !again || !safe || lost.cut == Cut::Silent {
                if lost.sent && nature.fate == Fate::Written {
                    outlive(asked, until);
                }
                return Err(self.lost(at, &lost, nature.fate));
            }
            again = false;
        }
    }

    /// One try, of which is remembered how it ended.
    fn try_at(
        &self,
        at: NodeId,
        ask: &Ask,
        nature: Nature,
        until: Instant,
    ) -> Result<std::result::Result<Told, Lost>> {
        let start = now();
        let tried = self.once_at(at, ask, nature, until);
        let silent = match &tried {
            Ok(Ok(_)) => false,
            Err(_) if now() >= until => true,
            // Of a question that any node can take, it may be others who keep it waiting.
            _ => !nature.anyones,
        };
        self.took(at, start, matches!(tried, Ok(Ok(_))), silent);
        tried
    }

    /// One try; the outer error when there is no connection.
    fn once_at(
        &self,
        at: NodeId,
        ask: &Ask,
        nature: Nature,
        until: Instant,
    ) -> Result<std::result::Result<Told, Lost>> {
        let place = self.link(at);
        let mut place = lock(&place);
        let mut link = match place.take() {
            Some(link) => link,
            None => self.dial_node(at, until)?,
        };
        let mut ask = ask.clone();
        Nature::limit(&mut ask, until.saturating_duration_since(now()).as_millis() as u64);
        let ticket = match link.post(ask, until) {
            Ok(ticket) => ticket,
            Err(cut) => return Ok(Err(Lost { sent: false, cut })),
        };
        match link.wait(ticket, until, nature.long.then(|| self.timeout())) {
            Ok(told) => {
                *place = Some(link);
                Ok(Ok(told))
            }
            Err(cut) => Ok(Err(Lost { sent: true, cut })),
        }
    }

    /// Whether a node that is connected speaks the first wire version alone.
    pub(super) fn speaks_first_version(&self, at: NodeId) -> bool {
        lock(&self.link(at)).as_ref().is_some_and(|link| link.wire() == 1)
    }

    fn lost(&self, at: NodeId, lost: &Lost, fate: Fate) -> Error {
        let name = self.doc().name(at);
        let why = match &lost.cut {
            Cut::Silent => "did not answer in time".to_owned(),
            Cut::Broken(why) => format!("broke off before it answered ({why})"),
        };
        match lost.sent {
            true => fate::error(fate, &name, &why),
            false => Error::Unreachable(format!(
                "{name} could not be asked: it {why}. Nothing was tried."
            ))
            .hint("kvs status shows who is up"),
        }
    }

    /// Whether the entry has no connection: what it was asked failed with the connection.
    fn is_down(&self) -> bool {
        lock(&self.link(self.entry())).is_none()
    }

    /// Connects to another node in the entry's place: the next address, or a member known to be up.
    fn next_entry(&self, tried: &mut BTreeSet<NodeId>, until: Instant) -> Option<NodeId> {
        let news = self.members();
        let up = news.iter().filter(|n| n.up && !tried.contains(&n.row.id));
        let mut addresses: Vec<_> = up.map(|n| n.row.address.clone()).collect();
        let gone: Vec<_> = tried.iter().filter_map(|id| self.address(*id)).collect();
        let more = self.opening.addresses.iter().filter(|a| !gone.contains(a));
        addresses.extend(more.filter(|a| !addresses.contains(a)).cloned().collect::<Vec<_>>());
        for (i, address) in addresses.iter().enumerate() {
            let share = until.saturating_duration_since(now()) / (addresses.len() - i) as u32;
            let Ok((link, doc, news)) = meet(&self.opening, &self.own, address, now() + share)
            else {
                continue;
            };
            let node = link.node;
            if doc.id == self.doc().id && tried.insert(node) {
                *lock(&self.link(node)) = Some(link);
                self.learn(doc.into());
                let mut known = self.known();
                (known.entry, known.news) = (node, news.into());
                return Some(node);
            }
        }
        None
    }
}

/// Waits until no node begins a write any more that had this time.
pub(super) fn outlive(asked: Instant, until: Instant) {
    let half = asked + until.saturating_duration_since(asked) / 2;
    std::thread::sleep(half.saturating_duration_since(now()));
}

/// Whether a node could not have it done, and nothing was: it may be cut off from those who could.
fn is_refused(told: &Told) -> bool {
    let verdict = match told {
        Told::Reply(Reply::Put(reply)) => &reply.verdict,
        Told::Reply(Reply::Get(reply)) => &reply.verdict,
        Told::Reply(Reply::Scan(Err(_))) => return true,
        _ => return false,
    };
    matches!(verdict, Verdict::Refused(_) | Verdict::Unreachable(_))
}

/// An answer of another kind than was asked for.
pub(super) fn defect() -> Error {
    Error::Corrupt("A node answered a different request: a bug in kvs.".into())
}
