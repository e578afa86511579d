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

use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, Outcome, Start, Wake, mint_within_ms};
use crate::node::op::route;
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{PutReply, PutRequest, Verdict};
use crate::ring::NodeId;

/// Whoever was taken to be down may still answer for so long, in ms.
const LAST_WORDS_MS: u64 = 300;

/// A write on its way to a coordinator.
pub(in crate::node) struct Forward {
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
    /// Finds the coordinator of a client's write.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        request: PutRequest,
    ) -> Flow<Box<Self>> {
        let options = node.zoned(request.options.clone());
        let request = PutRequest { options, ..request };
        let next = route::candidates(node, &request);
        if next.is_empty() {
            let why = "no owner of the key can be reached".to_string();
            return refuse(Verdict::Unreachable(why));
        }
        let deadline_ms = cx.now.mono_ms + request.options.timeout_ms;
        let forward = Box::new(Self {
            request,
            next,
            asked: None,
            version: 0,
            mint_ms: 0,
            deadline_ms,
            lost_ms: None,
            why: String::new(),
        });
        forward.ask_next(node, cx)
    }

    /// Asks the next one, under a new number: what an earlier one says late is no answer.
    fn ask_next(mut self: Box<Self>, node: &mut Replica, cx: &mut Ctx<'_>) -> Flow<Box<Self>> {
        let Some(owner) = self.next.pop_front() else {
            let why = format!("no owner with a full copy can take the write ({})", self.why);
            return refuse(Verdict::Refused(why));
        };
        let now = cx.now.mono_ms;
        let mut request = self.request.clone();
        request.options.timeout_ms = self.deadline_ms.saturating_sub(now);
        self.asked = Some(owner);
        self.version = node.doc.version;
        self.mint_ms = now + mint_within_ms(request.options.timeout_ms);
        self.lost_ms = None;
        node.renumber(cx);
        if owner == node.id {
            cx.start_child(Start::Put(request));
        } else {
            node.ask(cx, owner, Body::Put(request));
        }
        Flow::Wait(self)
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        match wake {
            Wake::Child(Outcome::NotMine(why)) => {
                self.why = why;
                self.ask_next(node, cx)
            }
            Wake::Said(from, Body::NotMine(why)) if self.asked == Some(from) => {
                self.why = format!("{}: {why}", node.doc.name(from));
                self.ask_next(node, cx)
            }
            // Refused for our old document, which we have replaced: nothing was applied.
            Wake::Said(from, Body::Chosen(_)) if self.asked == Some(from) => {
                if node.doc.version > self.version {
                    self.next = route::candidates(node, &self.request);
                } else {
                    self.why = format!("{} sends its ring document", node.doc.name(from));
                }
                self.ask_next(node, cx)
            }
            Wake::Said(_, Body::PutDone(reply)) => Flow::reply(Reply::Put(reply)),
            Wake::Lost(lost) if self.asked == Some(lost) && planted::is(Bug::ForwardTwice) => {
                self.unreachable(node, cx, lost)
            }
            Wake::Unsent(lost) if self.asked == Some(lost) => self.unreachable(node, cx, lost),
            Wake::Lost(lost) if self.asked == Some(lost) => {
                // One that stops in good order has its last words under way.
                self.lost_ms = Some(self.mint_ms.max(cx.now.mono_ms + LAST_WORDS_MS));
                Flow::Wait(self)
            }
            Wake::Child(outcome) => Flow::Done(outcome),
            Wake::Tick if self.is_over(cx.now.mono_ms) => {
                let name = self.asked.map(|id| node.doc.name(id)).unwrap_or_default();
                refuse(Verdict::Unknown(match self.lost_ms {
                    Some(_) => format!("the coordinator {name} went down"),
                    None => "the coordinator did not answer in time".to_string(),
                }))
            }
            _ => Flow::Wait(self),
        }
    }

    fn unreachable(
        mut self: Box<Self>,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        lost: NodeId,
    ) -> Flow<Box<Self>> {
        self.why = format!("{} cannot be reached", node.doc.name(lost));
        self.ask_next(node, cx)
    }

    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.lost_ms.unwrap_or(u64::MAX).min(self.deadline_ms)
    }
}

fn refuse(verdict: Verdict) -> Flow<Box<Forward>> {
    Flow::reply(Reply::Put(PutReply::none(verdict)))
}
