//! What all clients together may cost a node: memory, told by a guess and held by a bound.
//!
//! ```text
//! a put of 200 bytes            1 unit of 2,048; then it goes to the desk
//! a put of 1 MiB                129 units; waits until others are answered
//! a read                        17 units, more where answers were longer than 128 KiB of late
//! a packet of more than 4 KiB    not read before its bytes have a place among those being gathered
//! answers that nobody reads     64 MiB of all clients, then who hoards is cut
//! ```
//!
//! How long a question will be is not known when it begins: its pieces ask for places one by one, and
//! when there are none left, one question at a time goes on without, so that one always ends.
//! How long an answer will be is not known when its question comes, so it is taken to be as long as
//! the longest of late. It does not look into what is asked. Caveat: the guess may be too low for the
//! first of many reads of large records: 120 of them are begun at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A question from a client is no longer than this: a record, and something over.
pub(super) const QUESTION_BYTES_MAX: usize = 8 << 20;
/// One unit stands for so many bytes of questions and answers.
const UNIT_BYTES: usize = 8 << 10;
/// Units of all questions that are open: 16 MiB.
const UNITS: usize = 2_048;
/// What one question takes at the most, so that some more are open beside it.
const UNITS_MAX: usize = UNITS / 8;
/// A packet of no more bytes is read at once: every question of an operator is shorter.
pub(super) const PACKET_BYTES_FREE: usize = 4 << 10;
/// Units of all questions that are being gathered, beside the one that needs none: 24 MiB.
const GATHER_UNITS: usize = 3_072;
/// No answer to a reader is taken to be shorter.
const GUESS_MIN: usize = 128 << 10;
/// Answers of all clients together that wait to be sent.
const ANSWERS_MAX: usize = 64 << 20;
/// A client with less than this has not caused that.
const MODEST: usize = 1 << 20;

/// See the module.
#[derive(Clone)]
pub(super) struct ClientBudget {
    pool: Arc<Semaphore>,
    guess: Arc<AtomicUsize>,
    answers: Arc<AtomicUsize>,
    gather: Arc<Semaphore>,
    /// Whoever has it gathers without asking.
    onward: Arc<Semaphore>,
}

impl Default for ClientBudget {
    fn default() -> Self {
        Self {
            pool: Arc::new(Semaphore::new(UNITS)),
            guess: Arc::new(AtomicUsize::new(GUESS_MIN)),
            answers: Arc::default(),
            gather: Arc::new(Semaphore::new(GATHER_UNITS)),
            onward: Arc::new(Semaphore::new(1)),
        }
    }
}

impl ClientBudget {
    /// Waits until there is room for a question of so many bytes and, if it reads, its answer.
    /// `None` once the node has ended.
    pub(super) async fn admit(&self, bytes: usize, reads: bool) -> Option<OwnedSemaphorePermit> {
        let answer = if reads { self.guess.load(Ordering::Relaxed) } else { 0 };
        let units = 1 + (bytes + answer) / UNIT_BYTES;
        let units = u32::try_from(units.min(UNITS_MAX)).ok()?;
        self.pool.clone().acquire_many_owned(units).await.ok()
    }

    /// Waits until so many bytes more of a question may be read. `None` once the node has ended.
    pub(super) async fn gather(&self, so_far: &mut ReceivePermit, bytes: usize) -> Option<()> {
        if bytes <= PACKET_BYTES_FREE || so_far.onward.is_some() {
            return Some(());
        }
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        tokio::select! {
            biased;
            more = self.gather.clone().acquire_many_owned(units) => {
                let more = more.ok()?;
                match &mut so_far.units {
                    Some(units) => units.merge(more),
                    none => *none = Some(more),
                }
            }
            onward = self.onward.clone().acquire_owned() => so_far.onward = Some(onward.ok()?),
        }
        Some(())
    }

    /// An answer to a reader was so long: the guess rises at once, and falls slowly.
    pub(super) fn answered(&self, bytes: usize) {
        let guess = self.guess.load(Ordering::Relaxed);
        let guess = bytes.max(guess - guess / 64);
        self.guess.store(guess.max(GUESS_MIN), Ordering::Relaxed);
    }

    /// Bytes in an outbox of its own.
    pub(super) fn outbox(&self) -> SendQueue {
        let (own, listening) = (AtomicUsize::new(0), AtomicBool::new(false));
        SendQueue { own, all: self.answers.clone(), listening }
    }
}

/// The place of a question that is being gathered; given back when it is dropped.
#[derive(Default)]
pub(super) struct ReceivePermit {
    units: Option<OwnedSemaphorePermit>,
    onward: Option<OwnedSemaphorePermit>,
}

/// Bytes that wait in one outbox, counted with those of others.
#[derive(Default)]
pub(super) struct SendQueue {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
    /// The other end is in the middle of saying something.
    pub(super) listening: AtomicBool,
}

impl SendQueue {
    /// What waits here.
    pub(super) fn waiting(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// Whether all of them hold too much, and this one has a part in it.
    pub(super) fn is_over_share(&self) -> bool {
        self.all.load(Ordering::Relaxed) > ANSWERS_MAX && self.waiting() > MODEST
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
        self.all.fetch_sub(self.waiting(), Ordering::Relaxed);
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
        let guess = || budget.guess.load(Ordering::Relaxed);
        budget.answered(100);
        assert_eq!(guess(), GUESS_MIN);
        budget.answered(1 << 20);
        budget.answered(100);
        assert!(guess() > 1_000_000 && guess() < 1 << 20);
        (0..200).for_each(|_| budget.answered(100));
        assert_eq!(guess(), GUESS_MIN);
    }

    #[tokio::test]
    async fn questions_wait_for_room_and_get_it() {
        let budget = ClientBudget::default();
        let mut open = Vec::new();
        while let Ok(one) = budget.pool.clone().try_acquire_many_owned(UNITS_MAX as u32) {
            open.push(one);
        }
        assert_eq!(open.len(), 8);
        let long = budget.admit(QUESTION_BYTES_MAX, false);
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
        budget.gather(&mut greedy, GATHER_UNITS * UNIT_BYTES).await.expect("room");
        assert!(greedy.onward.is_none());
        let (mut long, mut other) = (ReceivePermit::default(), ReceivePermit::default());
        budget.gather(&mut long, 64 << 10).await.expect("it goes on without");
        assert!(long.onward.is_some() && long.units.is_none());
        budget.gather(&mut long, QUESTION_BYTES_MAX).await.expect("to its end");
        budget.gather(&mut other, PACKET_BYTES_FREE).await.expect("it is short");
        let waits = budget.gather(&mut other, PACKET_BYTES_FREE + 1);
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
        let (greedy, modest) = (budget.outbox(), budget.outbox());
        greedy.put(ANSWERS_MAX);
        modest.put(MODEST);
        assert!(greedy.is_over_share() && !modest.is_over_share());
        drop(greedy);
        modest.put(1);
        assert!(!modest.is_over_share());
        modest.take(MODEST + 1);
        assert_eq!(budget.answers.load(Ordering::Relaxed), 0);
    }
}
