//! What an acceptor of the next ring document has promised and accepted; see `op::propose`.
//!
//! Durable before it is said: its row goes with the batch that the answer waits for.

use crate::error::{Error, Result};
use crate::protocol::{BALLOT_JUMP, BALLOT_MAX, Ballot};
use crate::ring::RingDoc;
use crate::store::{Op, Store, Table};

/// What this node has promised and accepted for the document after `version`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Acceptor {
    pub(super) version: u64,
    pub(super) promised: Ballot,
    pub(super) accepted: Option<(Ballot, RingDoc)>,
}

impl Acceptor {
    /// What the file says; `None` when that cannot be read, and it may have promised anything.
    pub(super) fn load(store: &dyn Store) -> Result<Option<Self>> {
        match store.row(Table::Ring, "acceptor") {
            Ok(None) => Ok(Some(Self::default())),
            Ok(Some(bytes)) => Ok(postcard::from_bytes(&bytes).ok()),
            Err(error) if matches!(error.root(), Error::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The state for the document after `version`; what was promised for an older one is void.
    pub(super) fn at(&mut self, version: u64) -> &mut Self {
        if self.version < version {
            *self = Self { version, ..Self::default() };
        }
        self
    }

    /// What is promised, when that is not below the ballot; or when the ballot is too far above it,
    /// then raised as far as one ballot may raise it: no single one is beyond all others.
    pub(super) fn outbids(&mut self, ballot: Ballot) -> Option<Ballot> {
        let reach = self.promised.0.saturating_add(BALLOT_JUMP);
        if ballot.0 > reach {
            self.promised = Ballot(reach.min(BALLOT_MAX), self.promised.1);
        }
        (ballot.0 > reach || ballot < self.promised).then_some(self.promised)
    }

    pub(super) fn row(&self) -> Op {
        let bytes =
            postcard::to_stdvec(self).expect("a promise has nothing that cannot be encoded");
        Op::Ring("acceptor".into(), Some(bytes))
    }
}
