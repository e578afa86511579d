//! When a frame was sent, on the clock of its receiver.
//!
//! A request may lie in a queue, in a paused process or behind a cut link and arrive long after its
//! asker gave it up. Its time must not begin anew then. Monotonic clocks of two machines have nothing
//! in common, so each side tells the other what its clock shows, and stamps every frame with what the
//! other's clock showed *at least* when it was sent:
//!
//! ```text
//! b -> a   my clock shows 500                     comes when a's shows 9,000: b's is a - 8,500 or later
//! a -> b   sent at a's 9,200: b's showed at least 700
//! b        takes it at its 3,300: it was under way for at most 2,600 ms, and counts as that old
//! ```
//!
//! Law: what is said to have been sent at a moment was sent then or later, so a request never lives
//! longer than its asker waits. It is off by at most what the last frame the other way was under way,
//! and by how far two clocks drift apart, which is allowed for. Before anything was heard the
//! handshake stands in: whatever comes was sent after this side's last word of it.
//!
//! Caveat: a machine that is suspended whole, its monotonic clock with it, does not see its own pause.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// The lowest wire version whose builds know stamps.
pub const STAMPS_SINCE: u8 = 2;
/// The first byte of a frame that carries a stamp; the frame itself follows it.
const STAMPED: u8 = 6;
/// Two clocks run apart by at most one part in this number.
const DRIFT: u64 = 2_000;
/// The longest varint of a u64.
const VARINT_BYTES_MAX: usize = 10;

/// What one side knows of the clock of the other, shared by all that send and receive on a link.
#[derive(Clone, Debug, Default)]
pub struct OtherClock(Arc<Mutex<Option<Offset>>>);

/// When a frame has come, on the clock of its receiver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    /// When this side sent its last packet of the handshake, in ms.
    pub handshake_ms: u64,
    /// The present time, in ms.
    pub now_ms: u64,
}

/// The other clock shows this much more than ours, or later.
#[derive(Clone, Copy, Debug)]
struct Offset {
    ms: i64,
    /// When that was found, on our clock.
    at_ms: u64,
}

impl Offset {
    /// What is left of it at this time: clocks drift.
    fn at(self, now_ms: u64) -> i64 {
        let drift = now_ms.saturating_sub(self.at_ms) / DRIFT;
        self.ms.saturating_sub_unsigned(drift)
    }
}

impl OtherClock {
    /// A frame has come from which the offset of the other clock follows: it is kept unless a greater
    /// one is known, for each is a lower bound.
    fn learn(&self, offset: Offset) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| known.at(offset.at_ms) <= offset.ms) {
            *known = Some(offset);
        }
    }

    /// What the other clock shows at least.
    fn shows(&self, now_ms: u64) -> Option<u64> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.map(|offset| now_ms.saturating_add_signed(offset.at(now_ms)))
    }

    /// The bytes of a frame with its stamp, as they are sent now.
    #[must_use]
    pub fn stamp(&self, frame: &[u8], now_ms: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 2 * VARINT_BYTES_MAX + frame.len());
        bytes.push(STAMPED);
        put_varint(&mut bytes, now_ms);
        put_varint(&mut bytes, self.shows(now_ms).map_or(0, |ms| ms.saturating_add(1)));
        // Both numbers are varints: the receiver finds the frame by reading them.
        debug_assert!(bytes.len() <= 1 + 2 * VARINT_BYTES_MAX, "a stamp has a bound");
        bytes.extend(frame);
        bytes
    }

    /// Takes the stamp off: the frame, and when it was sent on our clock, never later than it was.
    /// Bytes without a stamp come from an older build: then nothing is known.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a stamp that cannot be read.
    pub fn take<'b>(&self, bytes: &'b [u8], arrival: Arrival) -> Result<(&'b [u8], Option<u64>)> {
        let Some((&STAMPED, mut rest)) = bytes.split_first() else { return Ok((bytes, None)) };
        let malformed = || Error::Corrupt("The stamp of a frame cannot be read.".into());
        let sent_ms = varint(&mut rest).ok_or_else(malformed)?;
        let ours = varint(&mut rest).ok_or_else(malformed)?;
        if rest.first() == Some(&STAMPED) {
            return Err(malformed());
        }
        debug_assert!(rest.len() < bytes.len(), "a stamp takes some bytes");
        let now_ms = arrival.now_ms;
        if let Ok(ms) = i64::try_from(i128::from(sent_ms) - i128::from(now_ms)) {
            self.learn(Offset { ms, at_ms: now_ms });
        }
        // No one can have read what this clock does not show yet.
        let ours = ours.checked_sub(1).unwrap_or(arrival.handshake_ms);
        Ok((rest, Some(ours.min(now_ms))))
    }
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if (bits << shift) >> shift != bits {
            return None;
        }
        n |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now_ms: u64) -> Arrival {
        Arrival { handshake_ms: 0, now_ms }
    }

    /// Two sides whose clocks show `apart` ms of each other; `at` is the time of the first.
    struct Pair {
        a: OtherClock,
        b: OtherClock,
        apart: u64,
    }

    impl Pair {
        /// b sends to a at `sent`, and it comes at `came`, both on a's clock.
        fn b_to_a(&self, sent: u64, came: u64) -> Option<u64> {
            let bytes = self.b.stamp(b"x", sent + self.apart);
            self.a.take(&bytes, at(came)).unwrap().1
        }

        /// a sends to b; when b thinks it was sent, on a's clock.
        fn a_to_b(&self, sent: u64, came: u64) -> Option<u64> {
            let bytes = self.a.stamp(b"x", sent);
            let taken = self.b.take(&bytes, at(came + self.apart)).unwrap().1;
            taken.map(|ms| ms.saturating_sub(self.apart))
        }
    }

    #[test]
    fn what_was_long_under_way_counts_as_that_old_and_never_as_younger() {
        for apart in [0, 17, 5_000_000] {
            let pair = Pair { a: OtherClock::default(), b: OtherClock::default(), apart };
            assert_eq!(
                pair.b_to_a(1_000, 1_040),
                Some(0),
                "before anything was heard: the handshake"
            );
            let at = pair.a_to_b(2_000, 2_030).unwrap();
            assert!((1_950..=2_000).contains(&at), "{at}");
            let at = pair.a_to_b(3_000, 60_000).unwrap();
            assert!((2_900..=3_000).contains(&at), "57 s behind a cut link: {at}");
        }
    }

    #[test]
    fn clocks_that_drift_never_make_it_younger() {
        let pair = Pair { a: OtherClock::default(), b: OtherClock::default(), apart: 400 };
        pair.b_to_a(1_000, 1_005);
        // A day later, b's clock has fallen behind by 43 ms more than a knows.
        let (day, fell) = (86_400_000, 43_000 / 1_000);
        let bytes = pair.a.stamp(b"x", day);
        let taken = pair.b.take(&bytes, at(day + 400 - fell + 10)).unwrap().1.unwrap();
        assert!(taken <= day + 400 - fell, "it was sent at {}, not at {taken}", day + 400 - fell);
    }

    #[test]
    fn bytes_without_a_stamp_are_an_older_builds_and_bad_stamps_are_refused() {
        let clock = OtherClock::default();
        assert_eq!(clock.take(&[2], at(9)).unwrap(), (&[2][..], None));
        let twice = clock.stamp(&clock.stamp(b"x", 1), 2);
        for bad in [&[STAMPED][..], &[STAMPED, 0x80], &[STAMPED; 12], &twice] {
            assert!(clock.take(bad, at(9)).is_err(), "{bad:?}");
        }
        let bold = [&[STAMPED, 1][..], &[0xff; 9], &[1], b"x"].concat();
        assert_eq!(clock.take(&bold, at(9)).unwrap().1, Some(9), "not later than now");
    }
}
