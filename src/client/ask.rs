//! One request to one node, or to each of several at once; where it goes when that node fails.
//!
//! ```text
//! sent?  any node's?   a broken connection means
//! no     yes           the next address is asked
//! no     no            the node is called once more, then it is unreachable
//! yes    read          as if it was not sent: reading twice harms nothing
//! yes    write, job    unknown, partly done: it may have taken effect
//! ```
//!
//! A node that left its last request unanswered, however it did ([`NoAnswer`]), gets a tenth of the limit for
//! the next one. Law: "unknown" is not said of a write while a node may still begin it. A node begins a write
//! within half of its time or never, so a connection that breaks earlier is waited out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::effect::{self, RequestTraits};
use super::link::LinkError;
use super::{Client, NoAnswer, lock, meet, now};
use crate::channel::{ClientRequest, ClientResponse, Info, Load};
use crate::error::{Error, Result};
use crate::node::{Effect, Reply, Request, Transfer};
use crate::quorum::Verdict;
use crate::ring::NodeId;

/// Nodes that are asked the same thing, at the most.
const TRIED_MAX: usize = 3;

/// How one try ended, as far as it says something of the node that was asked.
#[derive(Clone, Copy)]
enum TryOutcome {
    Answered,
    Unanswered(NoAnswer),
    /// It failed, and that need not be the node's own doing.
    OthersMayBeSlow,
}

/// How one try failed.
struct FailedTry {
    sent: bool,
    cut: LinkError,
}

impl Client {
    /// Asks a node's state machine.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn request(&self, at: NodeId, request: Request) -> Result<Reply> {
        let response = self.ask(at, ClientRequest::Node(request))?;
        response.check(&self.doc())?;
        match response {
            ClientResponse::Reply(reply) => Ok(self.heed(reply)),
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
    /// What the node says; else [`Error::Unreachable`] when no node could be asked; when the answer
    /// does not come, [`Error::Refused`] of a read, [`Error::Unknown`] of a write, else
    /// [`Error::Partial`].
    pub fn ask(&self, at: NodeId, request: ClientRequest) -> Result<ClientResponse> {
        let traits = RequestTraits::of(&request);
        let until = now() + self.left();
        if !traits.any_node || at != self.entry() {
            return self.ask_one(at, &request, traits, until);
        }
        let mut tried = BTreeSet::from([at]);
        let entry_doubtful = std::mem::take(&mut self.known().entry_doubtful);
        // One that has kept us waiting in vain is not the first to be asked again.
        let other = if entry_doubtful { self.next_entry(&mut tried, until) } else { None };
        let start = now();
        let half = start + until.saturating_duration_since(start) / 2;
        // A read leaves time for another node, if there is one.
        let first =
            if traits.effect == Effect::ReadOnly && self.has_others() { half } else { until };
        let mut asked = self.ask_one(other.unwrap_or(at), &request, traits, first);
        while tried.len() < TRIED_MAX && now() < until && self.is_for_others(&asked, traits) {
            let Some(next) = self.next_entry(&mut tried, until) else { break };
            asked = self.ask_one(next, &request, traits, until);
        }
        self.known().entry_doubtful = asked.is_err() && self.is_down();
        asked
    }

    /// Whether more than one node could answer.
    fn has_others(&self) -> bool {
        self.options.addresses.len() > 1 || self.members().iter().filter(|n| n.up).count() > 1
    }

    /// Whether another node may do better, and asking it does nothing twice.
    fn is_for_others(&self, asked: &Result<ClientResponse>, traits: RequestTraits) -> bool {
        match asked {
            Ok(response) => is_refused(response),
            Err(error) => match error.root() {
                Error::Unreachable(_) | Error::Busy(_) => true,
                Error::Refused(_) => traits.effect == Effect::ReadOnly && self.is_down(),
                _ => false,
            },
        }
    }

    /// Asks this node and no other, whatever the question.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask_only(&self, at: NodeId, request: ClientRequest) -> Result<ClientResponse> {
        self.ask_one(at, &request, RequestTraits::of(&request), now() + self.left())
    }

    /// Asks several nodes at once, each within the time: those that are gone do not add up.
    pub fn ask_all(
        &self,
        requests: Vec<(NodeId, ClientRequest)>,
    ) -> Vec<(NodeId, Result<ClientResponse>)> {
        let requests: BTreeMap<_, _> = requests.into_iter().collect();
        self.each(requests.keys().copied().collect(), |at| self.ask_only(at, requests[&at].clone()))
    }

    /// Does something for each of several nodes, all at once.
    pub fn each<T: Send>(
        &self,
        nodes: Vec<NodeId>,
        call: impl Fn(NodeId) -> Result<T> + Sync,
    ) -> Vec<(NodeId, Result<T>)> {
        if nodes.len() < 2 {
            return nodes.into_iter().map(|at| (at, call(at))).collect();
        }
        let call = &call;
        std::thread::scope(|scope| {
            let start = |at| (at, scope.spawn(move || call(at)));
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
        match self.ask(at, ClientRequest::Info)? {
            ClientResponse::Info(info) => Ok(*info),
            _ => Err(defect()),
        }
    }

    /// What a node has counted since its start.
    ///
    /// # Errors
    /// As [`Client::ask`]; [`Error::Denied`] when its build does not know the question.
    pub fn load(&self, at: NodeId) -> Result<Load> {
        let (request, until) = (ClientRequest::Load, self.until(at, now() + self.left()));
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_at(at, &request, RequestTraits::of(&request), until)? {
                Ok(ClientResponse::Load(load)) => return Ok(*load),
                Ok(ClientResponse::Fault(fault)) => return Err(fault.into()),
                Ok(_) => return Err(defect()),
                Err(lost @ FailedTry { sent: true, cut: LinkError::Closed(_) }) if tries > 1 => {
                    // An older build hangs up on what it does not know, and answers all the rest. It is
                    // there: what it is asked now has all the time that is left.
                    self.known().unanswered.remove(&at);
                    let info = self.info(at);
                    return Err(info.map_or_else(
                        |_| self.lost(at, &lost, Effect::ReadOnly),
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
                Err(lost) if tries > 1 || lost.cut == LinkError::TimedOut => {
                    return Err(self.lost(at, &lost, Effect::ReadOnly));
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
        match self.ask(at, ClientRequest::Transfers)? {
            ClientResponse::Transfers(transfers) => Ok(transfers),
            _ => Err(defect()),
        }
    }

    /// Has a node take no more clients, and waits until it has handed over its hints.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn drain(&self, at: NodeId) -> Result<()> {
        done(self.ask(at, ClientRequest::Drain(true))?)
    }

    /// Has a node that was drained take clients again.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn resume(&self, at: NodeId) -> Result<()> {
        done(self.ask(at, ClientRequest::Drain(false))?)
    }

    /// Has a node finish and stop. That it hangs up is an answer too.
    ///
    /// # Errors
    /// [`Error::Busy`] when a process listens at its address and gives no answer; else as
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
        match self.try_at(
            at,
            &ClientRequest::Stop,
            RequestTraits::of(&ClientRequest::Stop),
            until,
        )? {
            Ok(ClientResponse::Done) | Err(FailedTry { sent: true, cut: LinkError::Closed(_) }) => {
                Ok(())
            }
            Ok(ClientResponse::Fault(fault)) => Err(fault.into()),
            Ok(_) => Err(defect()),
            Err(FailedTry { sent: true, cut: LinkError::TimedOut }) => Err(self.hangs(at)),
            Err(lost) => Err(self.lost(at, &lost, Effect::Job)),
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

    /// How long this node is asked at the most: little if it has left its last request unanswered.
    fn until(&self, at: NodeId, until: Instant) -> Instant {
        let known = self.known();
        if known.unanswered.contains_key(&at) {
            until.min(now() + known.wait_budget.least())
        } else {
            until
        }
    }

    /// Remembers how a try ended that began at `start`.
    fn record(&self, at: NodeId, start: Instant, outcome: TryOutcome) {
        let mut known = self.known();
        match outcome {
            TryOutcome::Answered => {
                known.unanswered.remove(&at);
                return;
            }
            TryOutcome::Unanswered(how) => drop(known.unanswered.insert(at, how)),
            TryOutcome::OthersMayBeSlow => {}
        }
        known.wait_budget.waited(start, now());
    }

    /// Asks one node and no other, on a new connection if the old one broke and that is safe.
    fn ask_one(
        &self,
        at: NodeId,
        request: &ClientRequest,
        traits: RequestTraits,
        until: Instant,
    ) -> Result<ClientResponse> {
        let until = self.until(at, until);
        let (asked, mut again) = (now(), true);
        loop {
            let lost = match self.try_at(at, request, traits, until)? {
                Ok(ClientResponse::Fault(fault)) => return Err(fault.into()),
                Ok(response) => return Ok(response),
                Err(lost) => lost,
            };
            let safe = !lost.sent || traits.effect == Effect::ReadOnly;
            if !again || !safe || lost.cut == LinkError::TimedOut {
                if lost.sent && traits.effect == Effect::Write {
                    outlive(asked, until);
                }
                return Err(self.lost(at, &lost, traits.effect));
            }
            again = false;
        }
    }

    /// One try, of which is remembered how it ended.
    fn try_at(
        &self,
        at: NodeId,
        request: &ClientRequest,
        traits: RequestTraits,
        until: Instant,
    ) -> Result<std::result::Result<ClientResponse, FailedTry>> {
        let start = now();
        let tried = self.once_at(at, request, traits, until);
        let outcome = match &tried {
            Ok(Ok(_)) => TryOutcome::Answered,
            // A node that cannot be connected to in all that time is down, whatever it is asked.
            Err(_) if now() >= until => TryOutcome::Unanswered(NoAnswer::Unreachable),
            // A request that any node can take is answered with the help of others: it may be they who
            // keep it waiting.
            _ if traits.any_node => TryOutcome::OthersMayBeSlow,
            Err(_) => TryOutcome::Unanswered(NoAnswer::Unreachable),
            Ok(Err(FailedTry { cut: LinkError::Closed(_), .. })) => {
                TryOutcome::Unanswered(NoAnswer::HungUp)
            }
            Ok(Err(FailedTry { cut: LinkError::TimedOut, .. })) => {
                TryOutcome::Unanswered(NoAnswer::TimedOut)
            }
        };
        self.record(at, start, outcome);
        tried
    }

    /// One try; the outer error when there is no connection.
    fn once_at(
        &self,
        at: NodeId,
        request: &ClientRequest,
        traits: RequestTraits,
        until: Instant,
    ) -> Result<std::result::Result<ClientResponse, FailedTry>> {
        let place = self.link(at);
        let mut place = lock(&place);
        let mut link = match place.take() {
            Some(link) => link,
            None => self.dial_node(at, until)?,
        };
        let mut request = request.clone();
        RequestTraits::limit(
            &mut request,
            until.saturating_duration_since(now()).as_millis() as u64,
        );
        let id = match link.post(request, until) {
            Ok(id) => id,
            Err(cut) => return Ok(Err(FailedTry { sent: false, cut })),
        };
        match link.wait(id, until, traits.renewable.then(|| self.timeout())) {
            Ok(response) => {
                *place = Some(link);
                Ok(Ok(response))
            }
            Err(cut) => Ok(Err(FailedTry { sent: true, cut })),
        }
    }

    /// Whether a node that is connected speaks the first wire version alone.
    pub(super) fn speaks_first_version(&self, at: NodeId) -> bool {
        lock(&self.link(at)).as_ref().is_some_and(|link| link.wire() == 1)
    }

    fn lost(&self, at: NodeId, lost: &FailedTry, effect: Effect) -> Error {
        let name = self.doc().name(at);
        let why = match &lost.cut {
            LinkError::TimedOut => "did not answer in time".to_owned(),
            LinkError::Closed(why) => format!("broke off before it answered ({why})"),
        };
        match lost.sent {
            true => effect::error(effect, &name, &why),
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
        let more = self.options.addresses.iter().filter(|a| !gone.contains(a));
        addresses.extend(more.filter(|a| !addresses.contains(a)).cloned().collect::<Vec<_>>());
        for (i, address) in addresses.iter().enumerate() {
            let share = until.saturating_duration_since(now()) / (addresses.len() - i) as u32;
            let Ok((link, doc, news)) = meet(&self.options, &self.own, address, now() + share)
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
fn is_refused(response: &ClientResponse) -> bool {
    let verdict = match response {
        ClientResponse::Reply(Reply::Put(reply)) => &reply.verdict,
        ClientResponse::Reply(Reply::Get(reply)) => &reply.verdict,
        ClientResponse::Reply(Reply::Scan(Err(_))) => return true,
        _ => return false,
    };
    matches!(verdict, Verdict::Refused(_) | Verdict::Unreachable(_))
}

fn done(response: ClientResponse) -> Result<()> {
    match response {
        ClientResponse::Done => Ok(()),
        _ => Err(defect()),
    }
}

/// An answer of another kind than was asked for.
pub(super) fn defect() -> Error {
    Error::Corrupt("A node answered a different request: a bug in kvs.".into())
}
