//! What a question is, as far as it matters when its answer does not come.
//!
//! ```text
//! read     asked elsewhere, else refused (4)     any node: get, scan    one node: files, status
//! write    unknown (5) once it was sent          any node: put
//! job      partly done (7); lives by its beats   any node: ring changes one node: repair, verify …
//! ```

use crate::channel::Ask;
use crate::error::Error;
use crate::node::{Fate, Request};

/// How a question is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    pub(super) fate: Fate,
    /// Any node can answer it.
    pub(super) anyones: bool,
    /// It may go on as long as the node shows life.
    pub(super) long: bool,
}

impl Nature {
    pub(super) fn of(ask: &Ask) -> Self {
        let nature = |fate, anyones, long| Self { fate, anyones, long };
        match ask {
            Ask::Node(request) => {
                let work = request.fate() == Fate::Worked;
                nature(request.fate(), request.is_anyones(), work)
            }
            Ask::File(_) => nature(Fate::Read, false, true),
            Ask::Ring | Ask::Members => nature(Fate::Read, true, false),
            Ask::Info | Ask::Transfers | Ask::Load => nature(Fate::Read, false, false),
            Ask::Drain(_) | Ask::Stop => nature(Fate::Worked, false, true),
        }
    }

    /// Gives a request its part of the time: a little less, so that the node's own verdict arrives.
    pub(super) fn limit(ask: &mut Ask, timeout_ms: u64) {
        let limit = (timeout_ms * 9 / 10).max(1);
        match ask {
            Ask::Node(Request::Put(put)) => put.options.timeout_ms = limit,
            Ask::Node(Request::Get(_, options) | Request::Scan(.., options)) => {
                options.timeout_ms = limit;
            }
            _ => {}
        }
    }
}

/// The error of a question that was sent and not answered.
pub(super) fn error(fate: Fate, node: &str, why: &str) -> Error {
    match fate {
        Fate::Read => Error::Refused(format!("{node} {why}; nothing was changed."))
            .hint("try again, or give it more time with --timeout; kvs status shows who is up"),
        Fate::Written => Error::Unknown(format!("{node} {why}; the write may have taken effect."))
            .hint("repeat it while it ends with 5"),
        Fate::Worked => Error::Partial(format!("{node} {why}; what is done stays done."))
            .hint("kvs status shows who is up; then run the command again"),
    }
}
