//! How a node stops: it finishes, says goodbye, and ends.
//!
//! ```text
//! Running --stop--> Finishing, at most 5 s --nothing under way--> Goodbye, 0.1 s --> over
//! ```
//!
//! Values only; `core` acts on them.

use crate::gossip::NodeHealth;

/// A node that stops finishes what is under way for at most this time, in ms; then it says goodbye,
/// and gives its peers a moment to hear it.
const FINISH_MS: u64 = 5_000;
const GOODBYE_MS: u64 = 100;

/// How far stopping is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    /// It has not begun.
    Running,
    /// What is under way is finished, until this time in ms.
    Finishing(u64),
    /// Peers have been told; the node ends at this time in ms.
    Goodbye(u64),
}

impl Shutdown {
    /// Whether the node is not about to stop.
    pub(super) fn is_running(self) -> bool {
        self == Self::Running
    }

    /// Begins to finish what is under way.
    pub(super) fn begin(&mut self, now_ms: u64) {
        debug_assert!(self.is_running(), "a node stops once");
        *self = Self::Finishing(now_ms + FINISH_MS);
    }

    /// Whether it is still finishing, though its time for that is over.
    pub(super) fn is_late(self, now_ms: u64) -> bool {
        matches!(self, Self::Finishing(until_ms) if now_ms >= until_ms)
    }

    /// Whether it is finishing what is under way.
    pub(super) fn is_finishing(self) -> bool {
        matches!(self, Self::Finishing(_))
    }

    /// Begins to say goodbye.
    pub(super) fn say_goodbye(&mut self, now_ms: u64) {
        debug_assert!(self.is_finishing(), "goodbye comes after finishing");
        *self = Self::Goodbye(now_ms + GOODBYE_MS);
    }

    /// Whether everything has been said.
    pub(super) fn is_over(self, now_ms: u64) -> bool {
        matches!(self, Self::Goodbye(at_ms) if now_ms >= at_ms)
    }

    /// What the node's row says while it stops; none while it runs.
    pub(super) fn health(self) -> Option<NodeHealth> {
        match self {
            Self::Running => None,
            Self::Finishing(_) => Some(NodeHealth::Draining),
            Self::Goodbye(_) => Some(NodeHealth::Stopping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_finishes_says_goodbye_and_ends() {
        let mut shutdown = Shutdown::Running;
        assert_eq!((shutdown.health(), shutdown.is_over(u64::MAX)), (None, false));
        shutdown.begin(100);
        assert!(shutdown.is_finishing() && !shutdown.is_late(5_099) && shutdown.is_late(5_100));
        assert_eq!(shutdown.health(), Some(NodeHealth::Draining));
        shutdown.say_goodbye(200);
        assert_eq!(shutdown.health(), Some(NodeHealth::Stopping));
        assert!(!shutdown.is_over(299) && shutdown.is_over(300) && !shutdown.is_running());
    }
}
