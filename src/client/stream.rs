//! Many questions under way at once, on one connection per node that is asked.
//!
//! ```text
//! main     source -> ask 1, ask 2, …   a window of them open   -> sink, as they are answered
//! n1 | n2  a thread each that reads: who writes never waits for who reads
//! ```
//!
//! Answers come in any order. Caveat: it ends with the first question that fails; what was sent
//! before it may have taken effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::ask::{defect, outlive};
use super::fate::{self, Nature};
use super::link::{Cut, In, Out};
use super::{Client, lock, now};
use crate::channel::{Ask, Parcel, Told};
use crate::error::{Error, Result};
use crate::node::{Fate, Reply, Request};
use crate::ring::NodeId;

/// Gives the next request and the node to ask, while there is one.
pub type Source<'a> = dyn FnMut() -> Option<(NodeId, Request)> + 'a;
/// Takes each reply.
pub type Sink<'a> = dyn FnMut(Reply) + 'a;

/// Tickets of streams; those of single questions stay far below.
const FIRST_TICKET: u64 = 1 << 32;
/// A reader has no limit of its own: the main thread has one, and hangs up.
const READER_LIMIT: Duration = Duration::from_secs(3_600);

/// What a reader heard.
type Heard = (NodeId, std::result::Result<(u64, Told), String>);
/// Starts a reader.
type Start<'a> = dyn FnMut(NodeId, In) + 'a;

/// A question that was sent.
struct Open {
    at: NodeId,
    ask: Ask,
    fate: Fate,
    asked: Instant,
    until: Instant,
}

/// What is open.
struct Crowd<'a> {
    client: &'a Client,
    outs: BTreeMap<NodeId, Out>,
    open: BTreeMap<u64, Open>,
    ticket: u64,
    /// Nodes that take no more questions.
    closed: BTreeSet<NodeId>,
}

impl Client {
    /// Asks requests as they come, `window` at once, until the source ends and all are answered. A
    /// node that cannot be connected to, or takes no more, is passed over for others.
    ///
    /// # Errors
    /// As [`Client::ask`], for the first that failed; replies given before stand.
    pub fn stream(
        &self,
        window: usize,
        source: &mut Source<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let (tell, heard) = channel();
        let mut crowd = Crowd {
            client: self,
            outs: BTreeMap::new(),
            open: BTreeMap::new(),
            ticket: FIRST_TICKET,
            closed: BTreeSet::new(),
        };
        std::thread::scope(|scope| {
            let mut start = |node, inn: In| {
                let tell = tell.clone();
                scope.spawn(move || listen(node, inn, &tell));
            };
            let ended = crowd.run(window, source, sink, &heard, &mut start);
            crowd.outs.values().for_each(Out::close);
            ended
        })
    }
}

impl Crowd<'_> {
    fn run(
        &mut self,
        window: usize,
        source: &mut Source<'_>,
        sink: &mut Sink<'_>,
        heard: &Receiver<Heard>,
        start: &mut Start<'_>,
    ) -> Result<()> {
        let mut ended = false;
        loop {
            while !ended && self.open.len() < window {
                match source() {
                    Some((at, request)) => self.post(at, Ask::Node(request), start)?,
                    None => ended = true,
                }
            }
            let Some(until) = self.open.values().map(|o| o.until).min() else { return Ok(()) };
            match heard.recv_timeout(until.saturating_duration_since(now())) {
                Ok((_, Ok((ticket, told)))) => self.take(ticket, told, sink, start)?,
                Ok((node, Err(why))) => {
                    self.outs.remove(&node);
                    let why = format!("broke off before it answered ({why})");
                    self.fail(|o| o.at == node, &why)?;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.fail(|o| o.until <= until, "did not answer in time")?;
                }
            }
        }
    }

    fn take(
        &mut self,
        ticket: u64,
        told: Told,
        sink: &mut Sink<'_>,
        start: &mut Start<'_>,
    ) -> Result<()> {
        if told == Told::Busy {
            return Ok(());
        }
        let Some(open) = self.open.remove(&ticket) else { return Ok(()) };
        match told {
            Told::Reply(reply) => {
                sink(self.client.heed(reply));
                Ok(())
            }
            Told::Fault(fault) => match Error::from(fault) {
                // It did nothing: another one may.
                error if matches!(error.root(), Error::Busy(_)) => {
                    self.closed.insert(open.at);
                    self.post(open.at, open.ask, start).map_err(|_| error)
                }
                error => Err(error),
            },
            _ => Err(defect()),
        }
    }

    /// The error of the open questions that are meant, the worst first; none is no error.
    fn fail(&self, meant: impl Fn(&Open) -> bool, why: &str) -> Result<()> {
        let lost: Vec<_> = self.open.values().filter(|o| meant(o)).collect();
        let worst = lost.iter().find(|o| o.fate == Fate::Written).or(lost.first());
        if let Some(open) = worst.filter(|o| o.fate == Fate::Written) {
            outlive(open.asked, open.until);
        }
        worst.map_or(Ok(()), |o| Err(fate::error(o.fate, &self.client.doc().name(o.at), why)))
    }

    /// Sends a question to a node, or to others that are up when that node cannot be had.
    fn post(&mut self, at: NodeId, mut ask: Ask, start: &mut Start<'_>) -> Result<()> {
        let asked = now();
        let until = asked + self.client.left();
        let nature = Nature::of(&ask);
        Nature::limit(&mut ask, until.saturating_duration_since(asked).as_millis() as u64);
        let mut nodes = vec![at];
        if nature.anyones {
            let news = self.client.members();
            nodes.push(self.client.entry());
            nodes.extend(news.iter().filter(|n| n.up).map(|n| n.row.id));
            nodes.retain(|id| !self.closed.contains(id));
        }
        let mut failed = Error::Unreachable("No node could be asked; nothing was tried.".into());
        for node in nodes {
            self.ticket += 1;
            let ticket = self.ticket;
            let posted = self
                .out(node, until, start)
                .and_then(|out| out.post(ticket, ask.clone(), until).map_err(|cut| unsent(&cut)));
            match posted {
                Ok(()) => {
                    self.open
                        .insert(ticket, Open { at: node, ask, fate: nature.fate, asked, until });
                    return Ok(());
                }
                Err(error) => {
                    // What was sent to it before is lost: its reader says so.
                    self.closed.extend(nature.anyones.then_some(node));
                    failed = error;
                }
            }
        }
        Err(failed)
    }

    /// The sending half to a node; connects if need be.
    fn out(&mut self, node: NodeId, until: Instant, start: &mut Start<'_>) -> Result<&mut Out> {
        if !self.outs.contains_key(&node) {
            let kept = lock(&self.client.link(node)).take();
            let link = kept.map_or_else(|| self.client.dial_node(node, until), Ok)?;
            let (out, inn) = link.split();
            self.outs.insert(node, out);
            start(node, inn);
        }
        self.outs.get_mut(&node).ok_or_else(defect)
    }
}

fn unsent(cut: &Cut) -> Error {
    let why = match cut {
        Cut::Silent => "accepts no more requests",
        Cut::Broken(why) => why,
    };
    Error::Unreachable(format!("A node could not be asked: {why}. The request was not sent."))
}

/// Reads what a node says until nothing comes any more or nobody listens.
fn listen(node: NodeId, mut inn: In, tell: &Sender<Heard>) {
    loop {
        let heard = match inn.next(now() + READER_LIMIT) {
            Ok(Parcel::Told(ticket, told)) => Ok((ticket, *told)),
            Ok(Parcel::Refused(fault)) => Err(Error::from(fault).to_string()),
            Ok(_) | Err(Cut::Silent) => continue,
            Err(Cut::Broken(why)) => Err(why),
        };
        let ended = heard.is_err();
        if tell.send((node, heard)).is_err() || ended {
            return;
        }
    }
}
