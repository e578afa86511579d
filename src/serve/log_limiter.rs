//! Log lines that a stranger can cause: a few are written, the rest are counted.
//!
//! ```text
//! WARN refused: …  suppressed=0      ten in a row
//! (silence)                          then one every ten seconds
//! WARN refused: …  suppressed=8127   and how many were not written
//! ```
//!
//! A host that can connect can thus write a few MiB a day to a disk and no more. It does not know what the
//! lines say. Caveat: the last ones of a flood are counted only in the next line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::os::now;

/// Lines written at once, and the time in ms after which there is one more.
const BURST: u64 = 10;
const ANOTHER_MS: u64 = 10_000;

/// One kind of line. Clones are the same one.
#[derive(Clone)]
pub(super) struct LogLimiter(Arc<Mutex<Budget>>);

struct Budget {
    began: Instant,
    left: u64,
    /// Until when the lines that time gives back have been given.
    given_ms: u64,
    suppressed: u64,
}

impl LogLimiter {
    pub(super) fn new() -> Self {
        let said = Budget { began: now(), left: BURST, given_ms: 0, suppressed: 0 };
        Self(Arc::new(Mutex::new(said)))
    }

    /// Whether a line may be written, and how many were not before it.
    pub(super) fn allow(&self) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at_ms = said.began.elapsed().as_millis() as u64;
        said.at(at_ms)
    }
}

impl Budget {
    fn at(&mut self, at_ms: u64) -> Option<u64> {
        let more = at_ms.saturating_sub(self.given_ms) / ANOTHER_MS;
        self.given_ms += more * ANOTHER_MS;
        self.left = (self.left + more).min(BURST);
        if self.left == 0 {
            self.suppressed += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_then_one_every_ten_seconds_and_none_is_forgotten() {
        let mut said = Budget { began: now(), left: BURST, given_ms: 0, suppressed: 0 };
        let lines = (0..1_000).filter_map(|_| said.at(5)).count();
        assert_eq!((lines, said.suppressed), (10, 990));
        assert_eq!(said.at(9_999), None);
        assert_eq!(said.at(10_000), Some(991));
        assert_eq!(said.at(10_001), None);
        assert_eq!((0..50).filter_map(|_| said.at(10_000_000)).count(), 10);
    }
}
