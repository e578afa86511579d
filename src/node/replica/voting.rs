//! The acceptor's side of choosing the next ring document, and taking a chosen one; see `op::propose`.
//!
//! ```text
//! Prepare(ballot)     -> Promise(what was accepted) | Muted | Rejected(higher)
//! Accept(ballot, doc) -> Accepted | Rejected(higher)
//! ```
//!
//! An answer leaves when what it promises is durable.

use std::sync::Arc;

use super::Replica;
use crate::node::commit_queue::OnCommit;
use crate::node::flow::{Caller, Ctx, OlderWork};
use crate::planted::{self, Bug};
use crate::protocol::{Ballot, Body};
use crate::ring::RingDoc;
use crate::store::{Op, Table};

impl Replica {
    /// Takes a chosen document for its own, if it is newer.
    pub(in crate::node) fn adopt(&mut self, doc: &RingDoc) {
        if doc.id != self.doc.id || doc.version <= self.doc.version || doc.check().is_err() {
            return;
        }
        debug_assert!(
            doc.version > self.doc.version,
            "a document is replaced by a later one alone"
        );
        let before = std::mem::replace(&mut self.doc, Arc::new(doc.clone()));
        self.gain(&before);
        self.acceptor.at(doc.version);
        self.queue.push(self.doc_op());
    }

    pub(in crate::node) fn doc_op(&self) -> Op {
        Op::Ring("doc".into(), Some(self.doc.encode()))
    }

    /// Whether this node would still act under its present document after a crash.
    pub(in crate::node) fn is_doc_durable(&self, cx: &Ctx<'_>) -> bool {
        let row = cx.store.row(Table::Ring, "doc").ok().flatten();
        row.is_some_and(|row| row == self.doc.encode())
    }

    pub(in crate::node) fn on_prepare(&mut self, cx: &mut Ctx<'_>, caller: Caller, ballot: Ballot) {
        let Caller { node, version, op } = caller;
        if version < self.doc.version {
            return self.send_ring(cx, node, op);
        }
        let voter = self.doc.voters().any(|v| v == self.id);
        if version > self.doc.version || !voter {
            return self.send(cx, node, op, Body::Rejected(Ballot::default()));
        }
        let state = self.acceptor.at(version);
        let promised = state.promised;
        if let Some(promised) = state.outbids(ballot).or((ballot == promised).then_some(promised)) {
            return self.send(cx, node, op, Body::Rejected(promised));
        }
        state.promised = ballot;
        let accepted = state.accepted.clone().map(|(b, doc)| (b, Box::new(doc)));
        let muted = self.identity.abstaining;
        let body = if muted { Body::Muted } else { Body::Promise(accepted) };
        if planted::is(Bug::PromiseEarly) {
            return self.send(cx, node, op, body);
        }
        self.reply_durably(caller, body);
    }

    pub(in crate::node) fn on_accept(
        &mut self,
        cx: &mut Ctx<'_>,
        caller: Caller,
        ballot: Ballot,
        doc: RingDoc,
    ) {
        let Caller { node, version, op } = caller;
        let votes = self.doc.voters().any(|v| v == self.id) && !self.identity.abstaining;
        let fits = version == self.doc.version && doc.version == version + 1;
        if !fits || !votes {
            return self.send(cx, node, op, Body::Rejected(Ballot::default()));
        }
        let state = self.acceptor.at(version);
        if let Some(promised) = state.outbids(ballot)
            && !planted::is(Bug::AnyBallot)
        {
            return self.send(cx, node, op, Body::Rejected(promised));
        }
        debug_assert!(ballot >= state.promised || planted::is(Bug::AnyBallot), "promises are kept");
        state.promised = ballot;
        state.accepted = Some((ballot, doc));
        self.reply_durably(caller, Body::Accepted);
    }

    fn reply_durably(&mut self, to: Caller, body: Body) {
        let row = self.acceptor.row();
        let seq = self.queue.push(row);
        let refusal = Box::new(Body::Rejected(Ballot::default()));
        self.queue.then(seq, OnCommit::Send(to.node, to.op, Box::new(body), refusal));
    }

    /// Answers a barrier when what the answer speaks of is durable: `clear` that nothing this node began
    /// under an older document is under way.
    pub(in crate::node) fn on_barrier(
        &mut self,
        cx: &mut Ctx<'_>,
        caller: Caller,
        older: OlderWork,
    ) {
        let open = planted::is(Bug::BarrierIsOpen);
        let clear = self.doc.version >= caller.version && (open || older == OlderWork::None);
        let hints = cx.store.hint_stats().map_or(0, |s| s.count);
        let body = Body::Cleared { clear, hints };
        if self.queue.is_empty() {
            if self.is_doc_durable(cx) {
                return self.send(cx, caller.node, caller.op, body);
            }
            // The commit that held the document failed.
            self.queue.push(self.doc_op());
        }
        let refusal = Box::new(Body::Cleared { clear: false, hints });
        let then = OnCommit::Send(caller.node, caller.op, Box::new(body), refusal);
        self.queue.then(self.queue.last(), then);
    }
}
