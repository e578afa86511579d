//! The clocks of the system: the one place that reads them.
//!
//! [`now`] measures how long something takes and is never set back; [`WallTime`] is the time of day,
//! which can be. Everything below the drivers takes the time as an argument; `clippy.toml` forbids
//! reading a clock elsewhere. Caveat: a test build may shift the time of day (`planted`).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time on the clock that only goes forward, to measure with and to wait by.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// A time of day, to the millisecond. It may be any other a moment later: people set clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime {
    ms: u64,
}

impl WallTime {
    /// The present time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads this clock")]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let ms = since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        Self { ms: ms.saturating_add_signed(crate::planted::clock_ms()) }
    }

    /// Milliseconds since 1970 (UTC); a time before that counts as 1970.
    #[must_use]
    pub fn ms(self) -> u64 {
        self.ms
    }

    /// The same for what writes it as a date.
    #[must_use]
    pub fn system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.ms)
    }
}

/// The present time of day, ms since 1970.
#[must_use]
pub fn wall_ms() -> u64 {
    WallTime::now().ms()
}
