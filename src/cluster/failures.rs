//! Errors of every question to a cluster.

use crate::error::Error;

/// No node is there to be asked.
pub(super) fn nobody() -> Error {
    Error::Unreachable("No node that could take the request is open; nothing was tried.".into())
}

/// A reply of another kind than was asked for.
pub(crate) fn defect() -> Error {
    Error::Corrupt("A node answered a different request: a bug in kvs.".into())
}
