//! Coordinating a read: ask the owners, count votes, merge, and for a strict read make sure.
//!
//! ```text
//! Get:  Reading --R votes--> reply, and what some owners lack is written back without waiting
//!                 strict, not held by N-R+1 owners: --> WritingBack --> reply
//! ```
//!
//! Fallbacks are asked when owners are down; they add what they keep and no vote. A driver that must
//! not write (`write_back` off) gets "refused" where a strict read would have had to write first.
//!
//! Law of strict reads: what is answered is held, as exactly that record, by N-R+1 owners of each
//! layout at that moment. Writing back is an operation of its own: what it waits for are acks of this
//! one record, and a late answer to the reading changes nothing any more. An owner that does not
//! answer holds nothing up: after a while those that did are enough.

use std::collections::BTreeSet;

use crate::key::Key;
use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, OlderWork, OpId, Wake};
use crate::node::op::route;
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{GetReply, Options, ReadTally, Verdict};
use crate::record::{Stored, Term};
use crate::ring::NodeId;

/// A strict read waits at most so long for owners that do not answer before it writes back to those
/// that did, in ms; never longer than a quarter of its time.
const PATIENCE_MS: u64 = 500;

/// A read of one key.
pub(in crate::node) struct Get {
    key: Key,
    options: Options,
    r: usize,
    tally: ReadTally,
    awaiting: BTreeSet<NodeId>,
    /// The record being written back, to those awaited.
    writing_back: Option<Term>,
    /// The version of the ring document it acts under.
    version: u64,
    /// From when on those that have not answered are not waited for, if the others suffice.
    patience_ms: u64,
    deadline_ms: u64,
}

impl Get {
    /// Whether it is a strict read that may still answer from what it asked under a document older
    /// than this version: who holds what it read may have left since.
    pub(in crate::node) fn older_work(&self, version: u64) -> OlderWork {
        let older = self.options.strict && self.version < version;
        match older && !planted::is(Bug::BarrierSkipsReads) {
            true => OlderWork::UnderWay,
            false => OlderWork::None,
        }
    }
}

impl Get {
    /// Asks the owners of a key, and fallbacks for those that are down.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        key: Key,
        options: Options,
    ) -> Flow<Box<Self>> {
        let p = node.q().partition(&key);
        let options = node.zoned(options);
        let mut asked = route::readers(node, p, &options);
        let mut tally = ReadTally::asked(&node.doc, p, &options);
        if asked.contains(&node.id) && !node.identity.is_waiting() {
            tally.answer(node.id, vec![node.look(cx, &key)]);
        }
        asked.retain(|o| *o != node.id);
        for peer in &asked {
            node.ask(cx, *peer, Body::Read(vec![key.clone()]));
        }
        let now = cx.now.mono_ms;
        let get = Box::new(Self {
            key,
            r: options.r(&node.doc),
            tally,
            awaiting: asked.into_iter().collect(),
            writing_back: None,
            version: node.doc.version,
            patience_ms: now + PATIENCE_MS.min(options.timeout_ms / 4),
            deadline_ms: now + options.timeout_ms,
            options,
        });
        get.decide(node, cx)
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        match wake {
            Wake::Said(from, Body::Answers(answers) | Body::Copies { answers, .. }) => {
                let answers = answers.into_iter().map(|a| a.proven(&self.key)).collect();
                self.tally.answer(from, answers);
                self.awaiting.remove(&from);
            }
            Wake::Said(from, Body::Stored { .. }) => {
                if let Some(term) = self.writing_back {
                    self.tally.wrote_back(from, term);
                }
                self.awaiting.remove(&from);
            }
            Wake::Said(id, _) | Wake::Lost(id) | Wake::Unsent(id) => {
                self.awaiting.remove(&id);
            }
            _ => {}
        }
        self.decide(node, cx)
    }

    fn decide(self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let late = cx.now.mono_ms >= self.deadline_ms;
        let over = self.awaiting.is_empty() || late;
        let (merged, _) = self.tally.merged(0, &self.key);
        let term = merged.as_ref().map(Stored::term);
        let loose = planted::is(Bug::StrictIsLoose);
        let held = loose || !self.options.strict || self.tally.is_held(0, term, node.doc.n());
        let enough = self.tally.is_enough(1);
        if enough && held && (over || !self.options.patient) {
            if self.options.write_back && !self.options.strict {
                self.repair_read(node, cx, merged.as_ref());
            }
            return self.reply(node, cx, Verdict::Done);
        }
        let may = enough && self.options.write_back && self.options.strict && !late;
        let silent = over || cx.now.mono_ms >= self.patience_ms;
        if may
            && silent
            && self.writing_back.is_none()
            && let Some(merged) = merged
        {
            let stale = self.tally.stale(0, Some(&merged));
            if !stale.is_empty() {
                return self.write_back(node, cx, stale, &merged);
            }
        }
        if !over {
            return Flow::Wait(self);
        }
        let verdict = self.refusal(node.doc.n(), enough);
        self.reply(node, cx, verdict)
    }

    fn refusal(&self, n: usize, enough: bool) -> Verdict {
        if self.tally.answered().next().is_none() {
            return Verdict::Unreachable("no owner of the key answered".into());
        }
        if enough {
            let needed = n + 1 - self.r;
            let why = format!("fewer than {needed} owners (N-R+1) hold the newest version");
            return Verdict::Refused(why);
        }
        let votes = self.tally.votes(0);
        Verdict::Refused(format!("{votes} of R={} votes were given (N={n})", self.r))
    }

    /// A strict read stores the merged record where it is missing before it answers.
    fn write_back(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        stale: Vec<NodeId>,
        merged: &Stored,
    ) -> Flow<Box<Self>> {
        node.renumber(cx);
        self.writing_back = Some(merged.term());
        self.awaiting = stale.iter().copied().collect();
        for owner in stale {
            let records = vec![(self.key.clone(), merged.clone())];
            node.ask(cx, owner, Body::Write { records, hint_for: None });
        }
        Flow::Wait(self)
    }

    /// Read repair: sent, not waited for.
    fn repair_read(&self, node: &mut Replica, cx: &mut Ctx<'_>, merged: Option<&Stored>) {
        let Some(merged) = merged else { return };
        for owner in self.tally.stale(0, Some(merged)) {
            let records = vec![(self.key.clone(), merged.clone())];
            node.send(cx, owner, OpId::NONE, Body::Write { records, hint_for: None });
        }
    }

    fn reply(&self, node: &mut Replica, cx: &mut Ctx<'_>, verdict: Verdict) -> Flow<Box<Self>> {
        let (stored, clashes) = self.tally.merged(0, &self.key);
        node.report(cx, &self.key, &clashes);
        let answers = self.tally.said(0);
        let reply = GetReply { verdict, stored, answers, r: self.r, clashes };
        Flow::reply(Reply::Get(reply))
    }
}
