//! What a request does, as far as it matters when its answer does not come.
//!
//! ```text
//! ReadOnly  asked elsewhere, else refused (4)          any node: get, scan    one node: files, status
//! Write     unknown (5) once it was sent               any node: put
//! Job       partly done (7); lives by its heartbeats   any node: ring changes one node: repair, verify …
//! ```
//!
//! It knows no node: `ask` decides where a request goes.

use crate::channel::ClientRequest;
use crate::error::Error;
use crate::node::{Effect, Request};

/// How a question is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestTraits {
    pub(super) effect: Effect,
    /// Any node can answer it.
    pub(super) any_node: bool,
    /// It may go on as long as the node shows life.
    pub(super) renewable: bool,
}

impl RequestTraits {
    pub(super) fn of(request: &ClientRequest) -> Self {
        let traits = |effect, any_node, renewable| Self { effect, any_node, renewable };
        match request {
            ClientRequest::Node(request) => {
                let work = request.effect() == Effect::Job;
                traits(request.effect(), request.is_anyones(), work)
            }
            ClientRequest::File(_) => traits(Effect::ReadOnly, false, true),
            ClientRequest::Ring | ClientRequest::Members => traits(Effect::ReadOnly, true, false),
            ClientRequest::Info | ClientRequest::Transfers | ClientRequest::Load => {
                traits(Effect::ReadOnly, false, false)
            }
            ClientRequest::Drain(_) | ClientRequest::Stop => traits(Effect::Job, false, true),
        }
    }

    /// Gives a request its part of the time: a little less, so that the node's own verdict arrives.
    pub(super) fn limit(request: &mut ClientRequest, timeout_ms: u64) {
        let limit = (timeout_ms * 9 / 10).max(1);
        match request {
            ClientRequest::Node(Request::Put(put)) => put.options.timeout_ms = limit,
            ClientRequest::Node(Request::Get(_, options) | Request::Scan(.., options)) => {
                options.timeout_ms = limit;
            }
            _ => {}
        }
    }
}

/// The error of a question that was sent and not answered.
pub(super) fn error(effect: Effect, node: &str, why: &str) -> Error {
    match effect {
        Effect::ReadOnly => Error::Refused(format!("{node} {why}; nothing was changed."))
            .hint("try again, or give it more time with --timeout; kvs status shows who is up"),
        Effect::Write => Error::Unknown(format!("{node} {why}; the write may have taken effect."))
            .hint("repeat it while it ends with 5"),
        Effect::Job => Error::Partial(format!("{node} {why}; what is done stays done."))
            .hint("kvs status shows who is up; then run the command again"),
    }
}
