//! How long a command waits without getting an answer: one time limit for all its requests.
//!
//! ```text
//! limit 5 s   n2 silent 5 s            n2 again: a tenth of the limit; n3: 2 s, to show life in
//!             … 3 s of other requests  n3: 3 s
//! ```
//!
//! Waiting that ends in an answer costs nothing; what ends in none is paid back as time goes by otherwise, so
//! that a long job is as patient at its end as it was at its beginning. Nodes that are asked at once and are
//! silent at once are waited for once. The time is given to it.

use std::time::{Duration, Instant};

/// A node that left its last request unanswered gets this part of the limit: one in ten.
const LEAST: u32 = 10;
/// Everybody else gets so much, if the limit allows: a node at work shows life every second.
const LIFE: Duration = Duration::from_secs(2);

/// What is left of a limit. See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitBudget {
    limit: Duration,
    /// What was waited in vain, and up to when that is counted.
    vain: Duration,
    counted: Option<Instant>,
}

impl WaitBudget {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, vain: Duration::ZERO, counted: None }
    }

    /// Time for a question that begins now.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.limit.saturating_sub(self.owed(now)).max(self.limit.min(LIFE))
    }

    /// Time for a request to a node that left its last one unanswered.
    pub(super) fn least(&self) -> Duration {
        self.limit / LEAST
    }

    /// Takes down a wait in vain. Of one that had signs of life before, the last limit counts.
    pub(super) fn waited(&mut self, from: Instant, to: Instant) {
        let from = from.max(to.checked_sub(self.limit).unwrap_or(from));
        let from = self.counted.map_or(from, |counted| counted.max(from));
        let more = to.saturating_duration_since(from);
        self.vain = self.owed(from) + more;
        self.counted = Some(self.counted.map_or(to, |counted| counted.max(to)));
    }

    /// What was waited in vain and is not paid back yet.
    fn owed(&self, now: Instant) -> Duration {
        let since = self.counted.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.vain.saturating_sub(since)
    }
}

#[cfg(test)]
mod tests {
    use super::super::now;
    use super::*;

    #[test]
    fn what_is_waited_in_vain_is_waited_once() {
        let start = now();
        let at = |ms| start + Duration::from_millis(ms);
        let left = |wait_budget: &WaitBudget, ms| wait_budget.left(at(ms)).as_millis();
        let mut wait_budget = WaitBudget::new(Duration::from_secs(5));
        assert_eq!(left(&wait_budget, 0), 5_000);
        wait_budget.waited(at(0), at(2_000));
        assert_eq!(left(&wait_budget, 2_000), 3_000);
        // Two at once, one of which took longer.
        wait_budget.waited(at(2_000), at(3_000));
        wait_budget.waited(at(2_000), at(4_000));
        assert_eq!(left(&wait_budget, 4_000), 2_000, "as long as one may take to show life");
        wait_budget.waited(at(4_000), at(6_000));
        assert_eq!(left(&wait_budget, 9_500), 2_500, "some seconds went by otherwise");
        assert_eq!(left(&wait_budget, 20_000), 5_000);
        // A job of a minute that fell silent at its end.
        wait_budget.waited(at(20_000), at(80_000));
        assert_eq!(left(&wait_budget, 83_000), 3_000);
        assert_eq!(wait_budget.least(), Duration::from_millis(500));
        assert_eq!(left(&WaitBudget::new(Duration::from_secs(1)), 0), 1_000);
    }
}
