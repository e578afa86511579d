//! Many requests under way at once, on one connection per node that is asked.
//!
//! ```text
//! main     source -> request 1, request 2, …   a window of them open   -> sink, as they are answered
//! n1 | n2  a thread each that reads: a writer never waits for a reader
//! ```
//!
//! Responses come in any order. Caveat: it ends with the first request that fails; what was sent before it may
//! have taken effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::ask::{defect, outlive};
use super::effect::{self, RequestTraits};
use super::link::{LinkError, ReceiveHalf, SendHalf};
use super::{Client, lock, now};
use crate::channel::{ClientRequest, ClientResponse, Frame, RequestId};
use crate::error::{Error, Result};
use crate::node::{Effect, Reply, Request};
use crate::ring::NodeId;

/// Gives the next request and the node to ask, while there is one.
pub type RequestSource<'a> = dyn FnMut() -> Option<(NodeId, Request)> + 'a;
/// Takes each reply.
pub type ReplySink<'a> = dyn FnMut(Reply) + 'a;

/// Numbers of streams; those of single questions stay far below.
const FIRST_ID: RequestId = RequestId(1 << 32);
/// A reader has no limit of its own: the main thread has one, and hangs up.
const READER_LIMIT: Duration = Duration::from_secs(3_600);

/// What a reader heard.
type ReaderReport = (NodeId, std::result::Result<(RequestId, ClientResponse), String>);
/// Starts a reader.
type StartReader<'a> = dyn FnMut(NodeId, ReceiveHalf) + 'a;

/// A question that was sent.
struct InFlight {
    at: NodeId,
    request: ClientRequest,
    effect: Effect,
    asked: Instant,
    until: Instant,
}

/// What is open.
struct Pipeline<'a> {
    client: &'a Client,
    outs: BTreeMap<NodeId, SendHalf>,
    open: BTreeMap<RequestId, InFlight>,
    last: RequestId,
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
        source: &mut RequestSource<'_>,
        sink: &mut ReplySink<'_>,
    ) -> Result<()> {
        let (tell, heard) = channel();
        let mut pipeline = Pipeline {
            client: self,
            outs: BTreeMap::new(),
            open: BTreeMap::new(),
            last: FIRST_ID,
            closed: BTreeSet::new(),
        };
        std::thread::scope(|scope| {
            let mut start = |node, receiver: ReceiveHalf| {
                let tell = tell.clone();
                scope.spawn(move || listen(node, receiver, &tell));
            };
            let ended = pipeline.run(window, source, sink, &heard, &mut start);
            pipeline.outs.values().for_each(SendHalf::close);
            ended
        })
    }
}

impl Pipeline<'_> {
    fn run(
        &mut self,
        window: usize,
        source: &mut RequestSource<'_>,
        sink: &mut ReplySink<'_>,
        heard: &Receiver<ReaderReport>,
        start: &mut StartReader<'_>,
    ) -> Result<()> {
        let mut ended = false;
        loop {
            while !ended && self.open.len() < window {
                match source() {
                    Some((at, request)) => self.post(at, ClientRequest::Node(request), start)?,
                    None => ended = true,
                }
            }
            let Some(until) = self.open.values().map(|o| o.until).min() else { return Ok(()) };
            match heard.recv_timeout(until.saturating_duration_since(now())) {
                Ok((_, Ok((id, response)))) => self.take(id, response, sink, start)?,
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
        id: RequestId,
        response: ClientResponse,
        sink: &mut ReplySink<'_>,
        start: &mut StartReader<'_>,
    ) -> Result<()> {
        if response == ClientResponse::Busy {
            return Ok(());
        }
        let Some(open) = self.open.remove(&id) else { return Ok(()) };
        match response {
            ClientResponse::Reply(reply) => {
                sink(self.client.heed(reply));
                Ok(())
            }
            ClientResponse::Fault(fault) => match Error::from(fault) {
                // It did nothing: another one may.
                error if matches!(error.root(), Error::Busy(_)) => {
                    self.closed.insert(open.at);
                    self.post(open.at, open.request, start).map_err(|_| error)
                }
                error => Err(error),
            },
            _ => Err(defect()),
        }
    }

    /// The error of the open questions that are meant, the worst first; none is no error.
    fn fail(&self, meant: impl Fn(&InFlight) -> bool, why: &str) -> Result<()> {
        let lost: Vec<_> = self.open.values().filter(|o| meant(o)).collect();
        let worst = lost.iter().find(|o| o.effect == Effect::Write).or(lost.first());
        if let Some(open) = worst.filter(|o| o.effect == Effect::Write) {
            outlive(open.asked, open.until);
        }
        worst.map_or(Ok(()), |o| Err(effect::error(o.effect, &self.client.doc().name(o.at), why)))
    }

    /// Sends a question to a node, or to others that are up when that node cannot be had.
    fn post(
        &mut self,
        at: NodeId,
        mut request: ClientRequest,
        start: &mut StartReader<'_>,
    ) -> Result<()> {
        let asked = now();
        let until = asked + self.client.left();
        let traits = RequestTraits::of(&request);
        RequestTraits::limit(
            &mut request,
            until.saturating_duration_since(asked).as_millis() as u64,
        );
        let mut nodes = vec![at];
        if traits.any_node {
            let news = self.client.members();
            nodes.push(self.client.entry());
            nodes.extend(news.iter().filter(|n| n.up).map(|n| n.row.id));
            nodes.retain(|id| !self.closed.contains(id));
        }
        let mut failed = Error::Unreachable("No node could be asked; nothing was tried.".into());
        for node in nodes {
            self.last = self.last.next();
            let id = self.last;
            let posted = self
                .out(node, until, start)
                .and_then(|out| out.post(id, request.clone(), until).map_err(|cut| unsent(&cut)));
            match posted {
                Ok(()) => {
                    self.open.insert(
                        id,
                        InFlight { at: node, request, effect: traits.effect, asked, until },
                    );
                    return Ok(());
                }
                Err(error) => {
                    // What was sent to it before is lost: its reader says so.
                    self.closed.extend(traits.any_node.then_some(node));
                    failed = error;
                }
            }
        }
        Err(failed)
    }

    /// The sending half to a node; connects if need be.
    fn out(
        &mut self,
        node: NodeId,
        until: Instant,
        start: &mut StartReader<'_>,
    ) -> Result<&mut SendHalf> {
        if !self.outs.contains_key(&node) {
            let kept = lock(&self.client.link(node)).take();
            let link = kept.map_or_else(|| self.client.dial_node(node, until), Ok)?;
            let (out, receiver) = link.split();
            self.outs.insert(node, out);
            start(node, receiver);
        }
        self.outs.get_mut(&node).ok_or_else(defect)
    }
}

fn unsent(cut: &LinkError) -> Error {
    let why = match cut {
        LinkError::TimedOut => "accepts no more requests",
        LinkError::Closed(why) => why,
    };
    Error::Unreachable(format!("A node could not be asked: {why}. The request was not sent."))
}

/// Reads what a node says until nothing comes any more or the stream has ended.
fn listen(node: NodeId, mut receiver: ReceiveHalf, tell: &Sender<ReaderReport>) {
    loop {
        let heard = match receiver.next(now() + READER_LIMIT) {
            Ok(Frame::Response(id, response)) => Ok((id, *response)),
            Ok(Frame::Refused(fault)) => Err(Error::from(fault).to_string()),
            Ok(_) | Err(LinkError::TimedOut) => continue,
            Err(LinkError::Closed(why)) => Err(why),
        };
        let ended = heard.is_err();
        if tell.send((node, heard)).is_err() || ended {
            return;
        }
    }
}
