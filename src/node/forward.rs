//! Finding the coordinator of a write: the first live owner whose copy is full.
//!
//! ```text
//! n1 NotMine ("filling") -> n2 NotMine -> n3 takes it -> PutDone -> the client
//! ```
//!
//! An owner that says it cannot has applied nothing, so the next is asked; one that does not answer
//! may have applied it: the write is then unknown, and no other is asked.
//!
//! Law: "unknown" is not said while the write may still be minted. Each owner is given what is left
//! of the time, mints within half of that or never (`put`), and is waited for at least that long, even
//! when it is taken to be down: its link may be cut and the request be on its way all the same.

use std::collections::VecDeque;

use super::{Asker, Cx, Node, Outcome, Reply, Task, Wake};
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{Options, PutReply, PutRequest, Verdict};
use crate::ring::NodeId;

/// Whoever was taken to be down may still answer for so long, in ms.
const LAST_WORDS_MS: u64 = 300;

/// Within how long after it was asked a write of this timeout is minted, in ms, or never.
pub(super) fn mint_within_ms(timeout_ms: u64) -> u64 {
    timeout_ms.div_ceil(2)
}

/// A write on its way to a coordinator.
pub(super) struct Forward {
    asker: Asker,
    request: PutRequest,
    next: VecDeque<NodeId>,
    asked: Option<NodeId>,
    /// The version of the document under which it was asked.
    version: u64,
    /// Until when the one asked may mint.
    mint_ms: u64,
    deadline_ms: u64,
    /// The one asked was taken to be down since: until when its answer is waited for.
    lost_ms: Option<u64>,
    why: String,
}

impl Forward {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.lost_ms.unwrap_or(u64::MAX).min(self.deadline_ms)
    }
}

impl Node {
    /// Finds the coordinator of a client's write.
    pub(super) fn forward(&mut self, cx: &mut Cx<'_>, asker: Asker, request: PutRequest) {
        let options = self.zoned(request.options.clone());
        let request = PutRequest { options, ..request };
        let next = self.candidates(&request);
        if next.is_empty() {
            let why = "no owner of the key can be reached".to_string();
            let reply = PutReply::none(Verdict::Unreachable(why));
            return self.conclude(cx, asker, Outcome::Reply(Reply::Put(reply)));
        }
        let deadline_ms = cx.now.mono_ms + request.options.timeout_ms;
        let task = Forward {
            asker,
            request,
            next,
            asked: None,
            version: 0,
            mint_ms: 0,
            deadline_ms,
            lost_ms: None,
            why: String::new(),
        };
        self.forward_next(cx, task);
    }

    /// Live owners in the order they are asked to coordinate; of a local quorum those of its zone.
    fn candidates(&self, request: &PutRequest) -> VecDeque<NodeId> {
        let options = &request.options;
        let fits = |id: &NodeId| {
            let zone = self.doc.member(*id).map(|m| &m.zone);
            self.is_up(*id) && (!options.is_local() || zone == options.zone.as_ref())
        };
        self.doc.writers(request.partition).into_iter().filter(fits).collect()
    }

    /// A local quorum is one of the zone of the node that takes the request.
    pub(super) fn zoned(&self, mut options: Options) -> Options {
        if options.is_local() && options.zone.is_none() {
            options.zone = self.doc.member(self.id).map(|m| m.zone.clone());
        }
        options
    }

    /// Asks the next one, under an operation of its own: what an earlier one says late is no answer.
    fn forward_next(&mut self, cx: &mut Cx<'_>, mut task: Forward) {
        let Some(owner) = task.next.pop_front() else {
            let why = format!("no owner with a full copy can take the write ({})", task.why);
            let reply = PutReply::none(Verdict::Refused(why));
            return self.conclude(cx, task.asker, Outcome::Reply(Reply::Put(reply)));
        };
        let now = cx.now.mono_ms;
        let mut request = task.request.clone();
        request.options.timeout_ms = task.deadline_ms.saturating_sub(now);
        task.asked = Some(owner);
        task.version = self.doc.version;
        task.mint_ms = now + mint_within_ms(request.options.timeout_ms);
        task.lost_ms = None;
        let op = self.new_op();
        self.tasks.insert(op, Task::Forward(task));
        if owner == self.id {
            self.start_put(cx, Asker::Task(op), request);
        } else {
            self.send(cx, owner, op, Body::Put(request));
        }
    }

    pub(super) fn on_forward(&mut self, cx: &mut Cx<'_>, op: u64, mut task: Forward, wake: Wake) {
        match wake {
            Wake::Child(Outcome::NotMine(why)) => {
                task.why = why;
                self.forward_next(cx, task);
            }
            Wake::Said(from, Body::NotMine(why)) if task.asked == Some(from) => {
                task.why = format!("{}: {why}", self.doc.name(from));
                self.forward_next(cx, task);
            }
            // Refused for our old document, which we have replaced: nothing was applied.
            Wake::Said(from, Body::Chosen(_)) if task.asked == Some(from) => {
                if self.doc.version > task.version {
                    task.next = self.candidates(&task.request);
                } else {
                    task.why = format!("{} sends its ring document", self.doc.name(from));
                }
                self.forward_next(cx, task);
            }
            Wake::Said(_, Body::PutDone(reply)) => {
                self.conclude(cx, task.asker, Outcome::Reply(Reply::Put(reply)));
            }
            Wake::Lost { node, sent }
                if task.asked == Some(node) && (!sent || planted::is(Bug::ForwardTwice)) =>
            {
                task.why = format!("{} cannot be reached", self.doc.name(node));
                self.forward_next(cx, task);
            }
            Wake::Lost { node, .. } if task.asked == Some(node) => {
                // One that stops in good order has its last words under way.
                task.lost_ms = Some(task.mint_ms.max(cx.now.mono_ms + LAST_WORDS_MS));
                self.tasks.insert(op, Task::Forward(task));
            }
            Wake::Child(outcome) => self.conclude(cx, task.asker, outcome),
            Wake::Tick if task.is_over(cx.now.mono_ms) => {
                let name = task.asked.map(|id| self.doc.name(id)).unwrap_or_default();
                let why = match task.lost_ms {
                    Some(_) => format!("the coordinator {name} went down"),
                    None => "the coordinator did not answer in time".to_string(),
                };
                let reply = PutReply::none(Verdict::Unknown(why));
                self.conclude(cx, task.asker, Outcome::Reply(Reply::Put(reply)));
            }
            _ => {
                self.tasks.insert(op, Task::Forward(task));
            }
        }
    }
}
