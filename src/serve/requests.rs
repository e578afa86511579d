//! Requests of clients under way: who asked, under which number, since when.
//!
//! ```text
//! link 3, request 7  ->  ticket 41 open ... Reply(41)      answered to link 3, request 7
//!                        once a second meanwhile           Busy, so that silence means death
//! node still starting -> deferred, at most 5 s             opened once it is ready, or refused
//! draining            -> waits until nothing is open and no hint is left that can be delivered
//! ```
//!
//! Tickets are one sequence for clients' requests and the node's own maintenance, so that a reply
//! belongs to exactly one of them. The table holds no connection and sends nothing; `core` does.
//! Caveat: a response whose link has ended is dropped; the request was carried out all the
//! same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::id::{LinkId, Requester, Ticket};
use super::limits::{ClientBudget, RequestPermit};
use super::meter;
use crate::channel::{ClientRequest, End, Load};
use crate::node::{Reply, Request};
use crate::quorum::Verdict;

/// A client that waits for a response hears once in this time, in ms, that the node is at work on it.
const BUSY_EVERY_MS: u64 = 1_000;
/// A node that is starting keeps a request for at most this time, in ms.
const DEFER_MAX_MS: u64 = 5_000;

/// What the load figures count of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Reads or writes one record: its latency counts.
    Single,
    /// Reads a page of records: it counts, its latency says more of the client than of the node.
    Page,
    /// Is no request for data.
    Uncounted,
}

/// A request that the node is at work on.
struct OpenRequest {
    asker: Requester,
    operation: &'static str,
    measure: Measure,
    began: Duration,
    /// When its asker last heard of it.
    busy_ms: u64,
    /// Its share of the budget, given back with it.
    _permit: Option<RequestPermit>,
}

/// A request that waits for the node to be ready.
pub(super) struct DeferredRequest {
    pub(super) asker: Requester,
    pub(super) request: Request,
    pub(super) permit: Option<RequestPermit>,
    since_ms: u64,
    until_ms: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct RequestTable {
    open: BTreeMap<Ticket, OpenRequest>,
    deferred: Vec<DeferredRequest>,
    /// The ticket last given out.
    last: u64,
    draining: bool,
    /// Who waits for the draining to end.
    drain_waiters: Vec<Requester>,
    budget: ClientBudget,
    /// What was requested and how that ended, since the start.
    load: Load,
}

impl RequestTable {
    /// A fresh ticket, for a client's request or the node's own.
    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }

    /// Takes a request down that the node begins now.
    pub(super) fn open(
        &mut self,
        asker: Requester,
        request: &Request,
        permit: Option<RequestPermit>,
        now: Duration,
    ) -> Ticket {
        let ticket = self.next_ticket();
        let (operation, measure) = (operation(request), measure(request));
        let busy_ms = now.as_millis() as u64;
        let open = OpenRequest { asker, operation, measure, began: now, busy_ms, _permit: permit };
        let before = self.open.insert(ticket, open);
        debug_assert!(before.is_none(), "a ticket is given out once");
        ticket
    }

    /// Keeps a request until the node is ready, for no longer than it has time.
    pub(super) fn defer(
        &mut self,
        asker: Requester,
        request: Request,
        permit: Option<RequestPermit>,
        now_ms: u64,
    ) {
        let until_ms = now_ms + DEFER_MAX_MS.min(timeout_ms(&request).unwrap_or(DEFER_MAX_MS));
        self.deferred.push(DeferredRequest { asker, request, permit, since_ms: now_ms, until_ms });
    }

    /// Takes an open request off the table and counts how it ended. None of a ticket that is the
    /// node's own, or whose asker has been answered.
    pub(super) fn finish(
        &mut self,
        ticket: Ticket,
        reply: &Reply,
        now: Duration,
    ) -> Option<Requester> {
        let open = self.open.remove(&ticket)?;
        let (took, outcome) = (now.saturating_sub(open.began), outcome(reply));
        meter::request(open.operation, outcome, took);
        let end = match outcome {
            "done" => End::Done,
            "refused" => End::Refused,
            _ => End::Failed,
        };
        match open.measure {
            Measure::Single => self.load.count(end, Some(took)),
            Measure::Page => self.load.count(end, None),
            Measure::Uncounted => {}
        }
        Some(open.asker)
    }

    /// Those who have to hear by now that their request is still at work.
    pub(super) fn take_overdue(&mut self, now_ms: u64) -> Vec<Requester> {
        let overdue = self.open.values_mut().filter(|o| now_ms >= o.busy_ms + BUSY_EVERY_MS);
        let told = overdue.map(|open| {
            open.busy_ms = now_ms;
            open.asker
        });
        told.collect()
    }

    /// The deferred requests of a node that has become ready, older by what they have waited.
    pub(super) fn take_deferred(&mut self, now_ms: u64) -> Vec<DeferredRequest> {
        let mut deferred = std::mem::take(&mut self.deferred);
        deferred.iter_mut().for_each(|d| d.request.age(now_ms.saturating_sub(d.since_ms)));
        deferred
    }

    /// Drops the deferred requests whose time is over; who asked them.
    pub(super) fn expire_deferred(&mut self, now_ms: u64) -> Vec<Requester> {
        let expired = self.deferred.extract_if(.., |deferred| now_ms >= deferred.until_ms);
        expired.map(|deferred| deferred.asker).collect()
    }

    /// Takes no more requests for data from now on; the asker waits for the rest to end.
    pub(super) fn start_draining(&mut self, asker: Requester) {
        self.draining = true;
        self.drain_waiters.push(asker);
    }

    /// Takes requests again.
    pub(super) fn stop_draining(&mut self) {
        self.draining = false;
    }

    /// Whether clients are sent elsewhere.
    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether a client waits for the draining to end and no request is under way any more.
    pub(super) fn may_be_drained(&self) -> bool {
        !self.drain_waiters.is_empty() && self.is_idle()
    }

    /// Those who have waited for the draining to end.
    pub(super) fn take_drain_waiters(&mut self) -> Vec<Requester> {
        std::mem::take(&mut self.drain_waiters)
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.deferred.is_empty()
    }

    /// How many requests are under way.
    pub(super) fn count(&self) -> u64 {
        (self.open.len() + self.deferred.len()) as u64
    }

    /// The links whose clients wait for a response.
    pub(super) fn waiting_links(&self) -> BTreeSet<LinkId> {
        let open = self.open.values().map(|open| open.asker.link);
        let deferred = self.deferred.iter().map(|deferred| deferred.asker.link);
        open.chain(deferred).chain(self.drain_waiters.iter().map(|asker| asker.link)).collect()
    }

    /// What all clients together may cost.
    pub(super) fn budget(&self) -> &ClientBudget {
        &self.budget
    }

    /// What was counted since the start.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }
}

/// Whether it is a request of an operator: short, answered at once, and answered also when the node
/// has no room for clients.
pub(super) fn is_operators(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::Ring
        | ClientRequest::Info
        | ClientRequest::Members
        | ClientRequest::Transfers
        | ClientRequest::Load
        | ClientRequest::Drain(_)
        | ClientRequest::Stop
        | ClientRequest::Node(Request::Status) => true,
        ClientRequest::Node(_) | ClientRequest::File(_) => false,
    }
}

fn timeout_ms(request: &Request) -> Option<u64> {
    match request {
        Request::Put(put) => Some(put.options.timeout_ms),
        Request::Get(_, options) | Request::Scan(_, _, _, options) => Some(options.timeout_ms),
        _ => None,
    }
}

fn measure(request: &Request) -> Measure {
    match request {
        Request::Scan(..) => Measure::Page,
        request if request.is_data() => Measure::Single,
        _ => Measure::Uncounted,
    }
}

fn operation(request: &Request) -> &'static str {
    match request {
        Request::Put(_) => "put",
        Request::Get(..) => "get",
        Request::Scan(..) => "scan",
        Request::Repair(_) => "repair",
        Request::Verify(_) => "verify",
        Request::Deliver => "deliver",
        Request::Propose(_) | Request::Advance => "ring",
        _ => "other",
    }
}

fn outcome(reply: &Reply) -> &'static str {
    let verdict = match reply {
        Reply::Put(reply) => &reply.verdict,
        Reply::Get(reply) => &reply.verdict,
        Reply::Scan(Err(_)) => return "refused",
        _ => return "done",
    };
    match verdict {
        Verdict::Done => "done",
        Verdict::Refused(_) => "refused",
        Verdict::Unknown(_) => "unknown",
        Verdict::Unreachable(_) => "unreachable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::RequestId;
    use crate::key::Key;
    use crate::quorum::{Options, PutReply};

    fn asker(link: u64, request: u64) -> Requester {
        Requester { link: LinkId(link), request: RequestId(request) }
    }

    fn get(timeout_ms: u64) -> Request {
        Request::Get(Key::new("k").expect("a key"), Options { timeout_ms, ..Options::default() })
    }

    fn done() -> Reply {
        Reply::Put(PutReply::none(Verdict::Done))
    }

    #[test]
    fn a_reply_goes_to_who_asked_and_to_nobody_twice() {
        let mut table = RequestTable::default();
        let own = table.next_ticket();
        let ticket = table.open(asker(3, 7), &get(100), None, Duration::ZERO);
        assert_ne!(own, ticket);
        assert_eq!(table.waiting_links(), BTreeSet::from([LinkId(3)]));
        assert_eq!(table.finish(own, &done(), Duration::ZERO), None, "it is the node's own");
        assert_eq!(table.finish(ticket, &done(), Duration::ZERO), Some(asker(3, 7)));
        assert_eq!(table.finish(ticket, &done(), Duration::ZERO), None);
        assert!(table.is_idle());
        assert_eq!(table.load().requests, 1);
    }

    #[test]
    fn whoever_waits_hears_of_it_once_a_second() {
        let mut table = RequestTable::default();
        table.open(asker(1, 1), &Request::Deliver, None, Duration::from_millis(500));
        assert_eq!(table.take_overdue(1_499), []);
        assert_eq!(table.take_overdue(1_500), [asker(1, 1)]);
        assert_eq!(table.take_overdue(1_501), []);
    }

    #[test]
    fn a_deferred_request_grows_older_and_waits_no_longer_than_it_has_time() {
        let mut table = RequestTable::default();
        table.defer(asker(1, 1), get(2_000), None, 100);
        table.defer(asker(1, 2), get(60_000), None, 100);
        assert_eq!(table.expire_deferred(2_099), []);
        assert_eq!(table.expire_deferred(2_100), [asker(1, 1)]);
        let left = table.take_deferred(3_100);
        assert_eq!(left.iter().map(|d| timeout_ms(&d.request)).collect::<Vec<_>>(), [Some(57_000)]);
        assert!(table.is_idle());
    }

    #[test]
    fn draining_ends_when_nothing_is_under_way() {
        let mut table = RequestTable::default();
        let ticket = table.open(asker(1, 1), &get(100), None, Duration::ZERO);
        table.start_draining(asker(2, 9));
        assert!(table.is_draining() && !table.may_be_drained());
        table.finish(ticket, &done(), Duration::ZERO);
        assert!(table.may_be_drained());
        assert_eq!(table.take_drain_waiters(), [asker(2, 9)]);
        assert!(!table.may_be_drained());
    }
}
