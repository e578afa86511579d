//! How unlikely a silence is, from the silences before it: the phi accrual failure detector.
//!
//! From the last 1,000 intervals between two beats it takes mean and deviation, and holds intervals
//! to be normally distributed. Phi is the order of magnitude of the chance that one lasts longer:
//!
//! ```text
//! phi(t) = -log10 P(interval > t)      mean 1 s, deviation 0.5 s: phi(1 s) 0.3
//!                                                                phi(2 s) 1.6
//!                                                                phi(3.6 s) 8
//! ```
//!
//! Hayashibara, Défago, Yared, Katayama: *The phi accrual failure detector*, SRDS 2004. The tail of
//! the normal distribution is the logistic one of Bowling, Khasawneh, Kaewkuekool, Cho: *A logistic
//! approximation to the cumulative normal distribution*, JIEM 2009, as other stores take it.
//!
//! What it does not do: it knows no clock and does not decide who is down. Caveat: that approximation
//! is off by at most 0.00014 in the chance itself, so far out in the tail phi is too high: 8 is
//! reached after 5.2 deviations, where the true chance is 10^-7.

use std::collections::VecDeque;
use std::f64::consts::LN_10;

/// The number of intervals that are remembered.
const SAMPLES_MAX: usize = 1000;

/// Taken for the first interval, until more are known.
const GUESS_MS: u32 = 1000;

/// A steadier heart is not believed: one lost message must not kill it.
const DEVIATION_MIN_MS: f64 = 500.0;

/// A longer interval tells that the member was down, not how its heart beats.
const INTERVAL_MAX_MS: u64 = 30_000;

/// What is remembered of one member's intervals. The sums are whole numbers: nothing drifts.
pub(super) struct Detector {
    intervals: VecDeque<u32>,
    sum: u64,
    squares: u64,
}

impl Default for Detector {
    fn default() -> Self {
        let mut detector = Self { intervals: VecDeque::new(), sum: 0, squares: 0 };
        detector.push(GUESS_MS);
        detector
    }
}

impl Detector {
    /// Its heartbeat rose, this long after the last rise.
    pub(super) fn sample(&mut self, interval_ms: u64) {
        if let Ok(interval) = u32::try_from(interval_ms)
            && interval_ms <= INTERVAL_MAX_MS
        {
            self.push(interval);
        }
    }

    /// How suspect a silence of this length is.
    pub(super) fn phi(&self, silence_ms: u64) -> f64 {
        let count = self.intervals.len() as f64;
        let mean = self.sum as f64 / count;
        let variance = (self.squares as f64 / count - mean * mean).max(0.0);
        let deviations = (silence_ms as f64 - mean) / variance.sqrt().max(DEVIATION_MIN_MS);
        -log10_tail(deviations)
    }

    fn push(&mut self, interval: u32) {
        if self.intervals.len() == SAMPLES_MAX
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.sum -= u64::from(oldest);
            self.squares -= u64::from(oldest).pow(2);
        }
        self.intervals.push_back(interval);
        self.sum += u64::from(interval);
        self.squares += u64::from(interval).pow(2);
    }
}

/// The logarithm of the chance to lie more than `y` deviations above the mean: of 1 / (1 + e^x). It
/// is taken without the chance itself, which would soon be 0.
fn log10_tail(y: f64) -> f64 {
    let x = y * (1.5976 + 0.070_566 * y * y);
    -(x.max(0.0) + (-x.abs()).exp().ln_1p()) / LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals from a small generator, `low..high` ms.
    fn intervals(low: u64, high: u64) -> impl Iterator<Item = u64> {
        let mut state = 7_u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            low + (state >> 33) % (high - low)
        })
    }

    /// A steady heart: jitter of up to 300 ms on each beat.
    fn steady(beats: usize) -> Detector {
        let mut detector = Detector::default();
        intervals(700, 1301).take(beats).for_each(|ms| detector.sample(ms));
        detector
    }

    #[test]
    fn silence_becomes_suspect_between_two_and_five_seconds() {
        for beats in [0, 1, 2, 5, 30, 1000, 5000] {
            let detector = steady(beats);
            assert!(detector.phi(2000) < 8.0, "{beats} beats: {}", detector.phi(2000));
            assert!(detector.phi(5000) > 8.0, "{beats} beats: {}", detector.phi(5000));
        }
    }

    #[test]
    fn a_member_heard_through_others_is_not_suspected() {
        let mut detector = Detector::default();
        for ms in intervals(100, 2501).take(5000) {
            assert!(detector.phi(ms) < 8.0, "{ms} ms: {}", detector.phi(ms));
            detector.sample(ms);
        }
        assert!(detector.phi(10_000) > 8.0);
    }

    #[test]
    fn suspicion_only_grows_and_stays_a_number() {
        let detector = steady(100);
        let mut before = 0.0;
        for ms in (0..20_000).step_by(10).chain([u64::from(u32::MAX), u64::MAX]) {
            let phi = detector.phi(ms);
            assert!(phi >= before && phi.is_finite(), "{ms} ms: {before} then {phi}");
            before = phi;
        }
    }

    #[test]
    fn the_tail_is_that_of_the_normal_distribution() {
        // Chances from a table of the normal distribution.
        for (y, chance) in [(-1.0, 0.841_34), (0.0, 0.5), (1.0, 0.158_66), (2.0, 0.022_75)] {
            let ours = 10_f64.powf(log10_tail(y));
            assert!((ours - chance).abs() < 0.000_15, "{y}: {ours}");
        }
        assert!((log10_tail(4.0) - 0.000_031_67_f64.log10()).abs() < 0.4);
    }

    #[test]
    fn the_oldest_interval_is_forgotten() {
        let mut detector = Detector::default();
        (0..300).for_each(|_| detector.sample(20_000));
        (0..SAMPLES_MAX).for_each(|_| detector.sample(900));
        let (n, sum, squares) = (SAMPLES_MAX as u64, detector.sum, detector.squares);
        assert_eq!((detector.intervals.len(), sum, squares), (1000, n * 900, n * 810_000));
    }

    #[test]
    fn a_time_of_being_down_is_no_interval() {
        let mut detector = steady(10);
        let before = detector.phi(3000);
        detector.sample(INTERVAL_MAX_MS + 1);
        detector.sample(u64::MAX);
        assert_eq!(detector.phi(3000), before);
        detector.sample(INTERVAL_MAX_MS);
        assert!(detector.phi(3000) < before);
    }
}
