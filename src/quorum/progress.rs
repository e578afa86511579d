//! How far an operation has come, as its driver sees it: what a decision needs beside the answers.
//!
//! Values only. Which moment is meant by "patience" and "over" is the caller's choice, and differs from
//! one kind of operation to the next.

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Nodes that were asked and have neither answered nor been lost.
    pub outstanding: usize,
    /// How much of its time is left.
    pub time: TimeLeft,
}

/// How much of its time an operation, or this phase of it, has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLeft {
    /// Waiting costs nothing yet.
    Plenty,
    /// Owners that have not answered by now are done without, if the others suffice.
    PatienceOver,
    /// Nothing is waited for any more.
    Over,
}

impl TimeLeft {
    /// At this moment, given when patience and time are over; all in ms of one monotonic clock.
    #[must_use]
    pub fn at(now_ms: u64, patience_ms: u64, deadline_ms: u64) -> Self {
        match now_ms {
            now if now >= deadline_ms => Self::Over,
            now if now >= patience_ms => Self::PatienceOver,
            _ => Self::Plenty,
        }
    }
}

impl Progress {
    /// Whether nothing more will come of waiting.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.outstanding == 0 || self.time == TimeLeft::Over
    }
}
