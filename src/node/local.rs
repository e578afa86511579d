//! What a client of this process asks of the node itself, and which operation answers it.
//!
//! ```text
//! Put Get Scan Repair Deliver Propose Advance Cleanup ...  -> an operation
//! Verify Status Unsettled Scrub                            -> answered at once
//! GiveUp DropBadHints AcceptLoss                           -> answered when what they stage is durable
//! ```

use super::commit_queue::OnCommit;
use super::event::{RepairReport, Reply, Request};
use super::flow::{Ctx, HandoffTo, Origin, Outcome, PageAt, Start};
use super::replica::Replica;
use crate::key::{Key, Partition};
use crate::store::Op;

/// The operation that answers a request; the request itself when none does.
pub(super) fn start(request: Request) -> Result<Start, Request> {
    Ok(match request {
        Request::Put(request) => Start::Forward(request),
        Request::Get(key, options) => Start::Get(key, options),
        Request::Scan(partition, after, limit, options) => {
            Start::Scan(PageAt { partition, after, limit }, options)
        }
        Request::Repair(request) => Start::Repair(request),
        Request::Deliver => Start::Handoff(HandoffTo::Targets),
        Request::Spread => Start::Handoff(HandoffTo::OtherOwners),
        Request::Propose(doc) => Start::Propose(doc),
        Request::Advance => Start::Advance,
        Request::Cleanup => Start::Cleanup,
        other => return Err(other),
    })
}

impl Replica {
    /// Answers a request that no operation is needed for.
    pub(super) fn answer_local(&mut self, cx: &mut Ctx<'_>, origin: Origin, request: Request) {
        let reply = match request {
            Request::Verify(p) => Reply::Verify(self.verify(cx, p)),
            Request::Status => Reply::Status(self.status(cx.store)),
            Request::Scrub(bytes) => self.scrub_slice(cx, bytes),
            Request::GiveUp(key) => return self.give_up(cx, origin, key),
            Request::DropBadHints(key) => return self.drop_corrupt_hints(cx, origin, key),
            Request::AcceptLoss(only) => return self.accept_loss(cx, origin, only),
            Request::Unsettled => {
                let owned = self.doc.owned(self.id);
                self.audit_some(cx, &owned);
                Reply::Repair(self.unsettled_report())
            }
            // The rest are operations, see `start`.
            _ => return debug_assert!(false, "a request that an operation answers"),
        };
        cx.tell(origin, Outcome::Reply(reply));
    }

    /// Tells what is not settled: a repair report without a repair.
    pub(super) fn tell_unsettled(&self, cx: &mut Ctx<'_>, origin: Origin) {
        cx.tell(origin, Outcome::Reply(Reply::Repair(self.unsettled_report())));
    }

    /// A repair report without a repair: what is not settled.
    fn unsettled_report(&self) -> RepairReport {
        RepairReport { filling: self.unsettled().into_iter().collect(), ..RepairReport::default() }
    }

    /// An operator gives up what this node cannot read of a key: its record, and hints that it keeps.
    fn give_up(&mut self, cx: &mut Ctx<'_>, origin: Origin, key: Key) {
        let place = (self.q().partition(&key), key.as_bytes().to_vec());
        if self.identity.corrupt.contains(&place) && !self.read_only {
            self.heal_keys(vec![place]);
        }
        self.drop_corrupt_hints(cx, origin, key);
    }

    /// Forgets damaged hints for a key.
    fn drop_corrupt_hints(&mut self, cx: &mut Ctx<'_>, origin: Origin, key: Key) {
        if self.read_only {
            return self.tell_unsettled(cx, origin);
        }
        self.queue.push(Op::DropBadHints(Some(key)));
        self.tell_when_durable(origin);
    }

    /// An operator accepts that what is lost is lost: of a partition, or all, damaged hints too; and that
    /// what no other node owns is as it is.
    fn accept_loss(&mut self, cx: &mut Ctx<'_>, origin: Origin, only: Option<Partition>) {
        if self.read_only || self.audits.are_striking() {
            return self.tell_unsettled(cx, origin);
        }
        let wanted = |p: &Partition| only.is_none_or(|o| o == *p);
        let lost = self.lost_or_alone().into_iter().filter(wanted).collect();
        let corrupt: Vec<_> =
            self.identity.corrupt.iter().filter(|b| wanted(&b.0)).cloned().collect();
        self.end_filling(lost);
        self.heal_keys(corrupt);
        if only.is_none() {
            self.queue.push(Op::DropBadHints(None));
        }
        self.tell_when_durable(origin);
    }

    /// Answers with what is unsettled once all that is staged is durable.
    fn tell_when_durable(&mut self, origin: Origin) {
        let seq = self.queue.next();
        self.queue.then(seq, OnCommit::Unsettled(origin));
    }
}
