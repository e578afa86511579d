//! What all clients together may cost a node: memory, estimated when a request comes and held by a bound.
//!
//! ```text
//! a put of 200 bytes            1 unit of 2,048; then it goes to the node
//! a put of 1 MiB                129 units; waits until others are answered
//! a read                        17 units, more where responses were longer than 128 KiB of late
//! a packet of more than 4 KiB   not read before its bytes have a place among those being received
//! responses that are not read   64 MiB of all clients, then those over their share are cut
//! ```
//!
//! How long a request will be is not known when it begins: its packets ask for places one by one, and when
//! there are none left, one request at a time goes on without, so that one always ends. How long a response
//! will be is not known when its request comes, so it is taken to be as long as the longest of late. It does
//! not look into what is asked. Caveat: the estimate may be too low for the first of many reads of large
//! records: 120 of them are begun at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A request from a client is no longer than this: a record, and something over.
pub(super) const REQUEST_BYTES_MAX: usize = 8 << 20;
/// One unit stands for this many bytes of requests and responses.
const UNIT_BYTES: usize = 8 << 10;
/// Units of all requests that are open: 16 MiB.
const UNITS: usize = 2_048;
/// What one request takes at the most, so that some more are open beside it.
const UNITS_MAX: usize = UNITS / 8;
/// A packet of no more bytes is read at once: every request of an operator is shorter.
pub(super) const PACKET_BYTES_FREE: usize = 4 << 10;
/// Units of all requests that are being received, beside the one that needs none: 24 MiB.
const RECEIVE_UNITS: usize = 3_072;
/// No response to a read is taken to be shorter.
const ESTIMATE_MIN: usize = 128 << 10;
/// Bytes of responses of all clients together that wait to be sent.
const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// A client with less than this has not caused that: it is not cut.
const SHARE_BYTES: usize = 1 << 20;

/// How long the response to a request is taken to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseSize {
    /// As long as the longest of late: it holds records.
    Estimated,
    /// Too short to count: it says how a write ended.
    Small,
}

/// See the module.
#[derive(Clone)]
pub(super) struct ClientBudget {
    pool: Arc<Semaphore>,
    estimate: Arc<AtomicUsize>,
    responses: Arc<AtomicUsize>,
    receive: Arc<Semaphore>,
    /// The request that holds it is received without asking for places.
    bypass: Arc<Semaphore>,
}

impl Default for ClientBudget {
    fn default() -> Self {
        Self {
            pool: Arc::new(Semaphore::new(UNITS)),
            estimate: Arc::new(AtomicUsize::new(ESTIMATE_MIN)),
            responses: Arc::default(),
            receive: Arc::new(Semaphore::new(RECEIVE_UNITS)),
            bypass: Arc::new(Semaphore::new(1)),
        }
    }
}

impl ClientBudget {
    /// Waits until there is room for a request of this many bytes and its response. `None` once the
    /// node has ended.
    pub(super) async fn admit(
        &self,
        bytes: usize,
        response: ResponseSize,
    ) -> Option<OwnedSemaphorePermit> {
        let answer = match response {
            ResponseSize::Estimated => self.estimate.load(Ordering::Relaxed),
            ResponseSize::Small => 0,
        };
        let units = 1 + (bytes + answer) / UNIT_BYTES;
        let units = u32::try_from(units.min(UNITS_MAX)).ok()?;
        self.pool.clone().acquire_many_owned(units).await.ok()
    }

    /// Waits until this many bytes more of a request may be read. `None` once the node has ended.
    pub(super) async fn receive(&self, so_far: &mut ReceivePermit, bytes: usize) -> Option<()> {
        if bytes <= PACKET_BYTES_FREE || so_far.bypass.is_some() {
            return Some(());
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        tokio::select! {
            biased;
            more = self.receive.clone().acquire_many_owned(units) => {
                let more = more.ok()?;
                match &mut so_far.units {
                    Some(units) => units.merge(more),
                    none => *none = Some(more),
                }
            }
            bypass = self.bypass.clone().acquire_owned() => so_far.bypass = Some(bypass.ok()?),
        }
        Some(())
    }

    /// A response to a read had this many bytes: the estimate rises at once, and falls slowly.
    pub(super) fn record_response(&self, bytes: usize) {
        let estimate = self.estimate.load(Ordering::Relaxed);
        let estimate = bytes.max(estimate - estimate / 64);
        self.estimate.store(estimate.max(ESTIMATE_MIN), Ordering::Relaxed);
    }

    /// Bytes in an outbox of its own.
    pub(super) fn send_queue(&self) -> SendQueue {
        let (own, receiving) = (AtomicUsize::new(0), AtomicBool::new(false));
        SendQueue { own, all: self.responses.clone(), receiving }
    }
}

/// The place of a question that is being gathered; given back when it is dropped.
#[derive(Default)]
pub(super) struct ReceivePermit {
    units: Option<OwnedSemaphorePermit>,
    bypass: Option<OwnedSemaphorePermit>,
}

/// Bytes that wait in one outbox, counted with those of others.
#[derive(Default)]
pub(super) struct SendQueue {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
    /// The other end is in the middle of saying something.
    pub(super) receiving: AtomicBool,
}

impl SendQueue {
    /// What waits here.
    pub(super) fn bytes(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// Whether all of them hold too much, and this one has a part in it.
    pub(super) fn is_over_share(&self) -> bool {
        self.all.load(Ordering::Relaxed) > RESPONSE_BYTES_MAX && self.bytes() > SHARE_BYTES
    }

    pub(super) fn put(&self, bytes: usize) {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take(&self, bytes: usize) {
        self.own.fetch_sub(bytes, Ordering::Relaxed);
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        // What was not sent will not be.
        self.all.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// A question's place among those that are open; given back when it is dropped.
pub(super) struct RequestPermit {
    pub(super) _of_link: OwnedSemaphorePermit,
    /// None of an operator's question: it is short, and must not wait for those of others.
    pub(super) _of_all: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guess_follows_answers_up_at_once_and_down_slowly() {
        let budget = ClientBudget::default();
        let estimate = || budget.estimate.load(Ordering::Relaxed);
        budget.record_response(100);
        assert_eq!(estimate(), ESTIMATE_MIN);
        budget.record_response(1 << 20);
        budget.record_response(100);
        assert!(estimate() > 1_000_000 && estimate() < 1 << 20);
        (0..200).for_each(|_| budget.record_response(100));
        assert_eq!(estimate(), ESTIMATE_MIN);
    }

    #[tokio::test]
    async fn questions_wait_for_room_and_get_it() {
        let budget = ClientBudget::default();
        let mut open = Vec::new();
        while let Ok(one) = budget.pool.clone().try_acquire_many_owned(UNITS_MAX as u32) {
            open.push(one);
        }
        assert_eq!(open.len(), 8);
        let long = budget.admit(REQUEST_BYTES_MAX, ResponseSize::Small);
        tokio::pin!(long);
        tokio::select! {
            biased;
            _ = &mut long => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        open.pop();
        assert!(long.await.is_some());
    }

    #[tokio::test]
    async fn one_long_question_at_a_time_needs_no_place_and_short_ones_never_do() {
        let budget = ClientBudget::default();
        let mut greedy = ReceivePermit::default();
        budget.receive(&mut greedy, RECEIVE_UNITS * UNIT_BYTES).await.expect("room");
        assert!(greedy.bypass.is_none());
        let (mut long, mut other) = (ReceivePermit::default(), ReceivePermit::default());
        budget.receive(&mut long, 64 << 10).await.expect("it goes on without");
        assert!(long.bypass.is_some() && long.units.is_none());
        budget.receive(&mut long, REQUEST_BYTES_MAX).await.expect("to its end");
        budget.receive(&mut other, PACKET_BYTES_FREE).await.expect("it is short");
        let waits = budget.receive(&mut other, PACKET_BYTES_FREE + 1);
        tokio::pin!(waits);
        tokio::select! {
            biased;
            _ = &mut waits => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        drop(long);
        assert!(waits.await.is_some());
    }

    #[test]
    fn who_hoards_is_told_from_who_does_not() {
        let budget = ClientBudget::default();
        let (greedy, modest) = (budget.send_queue(), budget.send_queue());
        greedy.put(RESPONSE_BYTES_MAX);
        modest.put(SHARE_BYTES);
        assert!(greedy.is_over_share() && !modest.is_over_share());
        drop(greedy);
        modest.put(1);
        assert!(!modest.is_over_share());
        modest.take(SHARE_BYTES + 1);
        assert_eq!(budget.responses.load(Ordering::Relaxed), 0);
    }
}
