//! What a question is, as far as it matters when its answer does not come.
//!
//! ```text
//! read     asked elsewhere, else refused (4)     any node: get, scan    one node: files, status
//! write    unknown (5) once it was sent          any node: put
//! job      partly done (7); lives by its beats   any node: ring changes one node: repair, verify …
//! ```

use crate::channel::ClientRequest;
use crate::error::Error;
use crate::node::{Effect, Request};

/// How a question is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    pub(super) effect: Effect,
    /// Any node can answer it.
    pub(super) anyones: bool,
    /// It may go on as long as the node shows life.
    pub(super) long: bool,
}

impl Nature {
    pub(super) fn of(ask: &ClientRequest) -> Self {
        let nature = |effect, anyones, long| Self { effect, anyones, long };
        match ask {
            ClientRequest::Node(request) => {
                let work = request.effect() == Effect::Job;
                nature(request.effect(), request.is_anyones(), work)
            }
            ClientRequest::File(_) => nature(Effect::ReadOnly, false, true),
            ClientRequest::Ring | ClientRequest::Members => nature(Effect::ReadOnly, true, false),
            ClientRequest::Info | ClientRequest::Transfers | ClientRequest::Load => {
                nature(Effect::ReadOnly, false, false)
            }
            ClientRequest::Drain(_) | ClientRequest::Stop => nature(Effect::Job, false, true),
        }
    }

    /// Gives a request its part of the time: a little less, so that the node's own verdict arrives.
    pub(super) fn limit(ask: &mut ClientRequest, timeout_ms: u64) {
        let limit = (timeout_ms * 9 / 10).max(1);
        match ask {
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
            .hint("repeat it until it no longer says so"),
        Effect::Job => Error::Partial(format!("{node} {why}; what is done stays done."))
            .hint("kvs status shows who is up; then run the command again"),
    }
}
