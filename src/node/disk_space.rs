//! Whether the disk has room: what a node says of itself, and when it tries again.
//!
//! ```text
//! commit refused -> full ... small commits find freed pages, large ones are refused: still full
//! ... 12 s without a refusal, the last commit found room -> not full
//! ```
//!
//! Peers try to deliver what a full node lacks every 10 s, so it stays full for as long as it lacks
//! anything. It decides nothing about requests: each commit is tried all the same.

/// A node is full for so long after a refusal, in ms: longer than peers wait between two deliveries.
const FULL_MS: u64 = 12_000;
/// What the node itself wants to write waits so long after a refusal, in ms.
const AGAIN_MS: u64 = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct DiskSpace {
    refused_ms: Option<u64>,
    /// A commit after the last refusal found disk.
    found: bool,
}

impl DiskSpace {
    /// A commit was refused for want of disk.
    pub(super) fn refused(&mut self, now_ms: u64) {
        (self.refused_ms, self.found) = (Some(now_ms), false);
    }

    /// A commit found disk.
    pub(super) fn found(&mut self) {
        self.found = true;
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        if self.found && !self.is_within(FULL_MS, now_ms) {
            self.refused_ms = None;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.refused_ms.is_some()
    }

    /// Whether to try a commit that nobody waits for; at every tick it would be a loop.
    pub(super) fn may_try(&self, now_ms: u64) -> bool {
        !self.is_within(AGAIN_MS, now_ms)
    }

    fn is_within(&self, ms: u64, now_ms: u64) -> bool {
        self.refused_ms.is_some_and(|at| now_ms < at.saturating_add(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_commit_that_finds_room_does_not_end_a_full_disk_at_once() {
        let mut disk = DiskSpace::default();
        assert!(!disk.is_full() && disk.may_try(0));
        disk.refused(5);
        disk.found();
        disk.tick(6);
        assert!(disk.is_full() && !disk.may_try(6));
        assert!(disk.may_try(5 + AGAIN_MS));
        disk.tick(4 + FULL_MS);
        assert!(disk.is_full());
        disk.tick(5 + FULL_MS);
        assert!(!disk.is_full());
        disk.refused(20_000);
        disk.tick(90_000);
        assert!(disk.is_full(), "no commit has found room since");
    }
}
