//! How much a node has to do: counters since its start, to be read twice and subtracted.
//!
//! ```text
//! at 0 s    requests 1000  latency [… 400 below 256 µs, 600 below 512 µs …]
//! at 30 s   requests 4000  …                 since: 3000 requests in 30 s, p99 of these alone
//! restarted in between: counted from its start
//! ```
//!
//! Latencies are counted by powers of two, so that counts of several nodes add up. What it does not do: it
//! decides nothing and knows no targets. Caveat: a quantile is an estimate within its bucket.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets of latencies; the last takes everything from 18 minutes on.
pub const BUCKETS: usize = 32;

/// Figures of one node. See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Which process of the node: random bits, drawn when it starts.
    pub run: u64,
    /// For how long it has counted, in ms.
    pub uptime_ms: u64,
    /// Clients' requests for data that have ended, however they did.
    pub requests: u64,
    /// Of these, those refused: nothing was applied.
    pub refused: u64,
    /// And those whose outcome is unknown, or that reached no node.
    pub failed: u64,
    /// How many gets and puts took less than 2^i µs and no less than half of that.
    pub latency: Vec<u64>,
    /// Transactions made durable.
    pub commits: u64,
    /// Bytes of its tables now.
    pub bytes: u64,
    /// Bytes that may still be written: to its disk, or where its file has room within itself.
    pub disk_free: u64,
    /// Bytes of its disk, without those that only root may use.
    pub disk_total: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// Nothing was applied.
    Refused,
    /// Its outcome is unknown, or it reached no node.
    Failed,
}

impl Load {
    /// Counts a request; of a scan the time says more of its client than of the node.
    pub fn count(&mut self, end: End, took: Option<Duration>) {
        self.requests += 1;
        self.refused += u64::from(end == End::Refused);
        self.failed += u64::from(end == End::Failed);
        if let Some(took) = took {
            self.latency.resize(BUCKETS, 0);
            self.latency[bucket(took)] += 1;
        }
    }

    /// What happened since an earlier look at the same node; since its start when it was restarted.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        if earlier.run != self.run {
            return since;
        }
        since.uptime_ms = self.uptime_ms.saturating_sub(earlier.uptime_ms);
        since.requests = self.requests.saturating_sub(earlier.requests);
        since.refused = self.refused.saturating_sub(earlier.refused);
        since.failed = self.failed.saturating_sub(earlier.failed);
        since.commits = self.commits.saturating_sub(earlier.commits);
        for (now, then) in since.latency.iter_mut().zip(&earlier.latency) {
            *now = now.saturating_sub(*then);
        }
        since
    }

    /// Requests in a second of the time counted; none of no time.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.uptime_ms > 0).then(|| self.requests as f64 * 1_000.0 / self.uptime_ms as f64)
    }

    /// The used share of its disk, 0 to 1; none when that could not be told.
    #[must_use]
    pub fn disk_used(&self) -> Option<f64> {
        let used = self.disk_total.saturating_sub(self.disk_free);
        (self.disk_total > 0).then(|| used as f64 / self.disk_total as f64)
    }
}

/// What 99 of 100 requests of several nodes together took at the most, and how many were counted.
#[must_use]
pub fn p99<'a>(loads: impl IntoIterator<Item = &'a Load>) -> (Option<Duration>, u64) {
    let mut counts = [0_u64; BUCKETS];
    for load in loads {
        for (sum, count) in counts.iter_mut().zip(&load.latency) {
            *sum = sum.saturating_add(*count);
        }
    }
    let all = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let mut left = all - all / 100; // this many took no longer
    for (i, count) in counts.iter().enumerate() {
        if *count > 0 && left <= *count {
            let (from, to) = bounds(i);
            let part = (to - from) as f64 * left as f64 / *count as f64;
            return (Some(Duration::from_micros(from + part as u64)), all);
        }
        left -= count;
    }
    (None, all)
}

fn bucket(took: Duration) -> usize {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    (u64::BITS - us.leading_zeros()).min(BUCKETS as u32 - 1) as usize
}

/// Where a bucket begins and ends, in µs.
fn bounds(bucket: usize) -> (u64, u64) {
    (if bucket == 0 { 0 } else { 1 << (bucket - 1) }, 1 << bucket)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn took(us: u64) -> Load {
        let mut load = Load { run: 1, uptime_ms: 1_000, ..Load::default() };
        load.count(End::Done, Some(Duration::from_micros(us)));
        load
    }

    #[test]
    fn a_request_is_counted_once_in_each_place_it_belongs_to() {
        let mut load = Load::default();
        for (end, took) in [(End::Done, Some(1)), (End::Refused, Some(1)), (End::Failed, None)] {
            load.count(end, took.map(Duration::from_millis));
        }
        assert_eq!((load.requests, load.refused, load.failed), (3, 1, 1));
        assert_eq!(load.latency.iter().sum::<u64>(), 2);
        assert_eq!(load.latency[10], 2, "1000 µs are below 1024");
    }

    #[test]
    fn every_time_has_a_bucket() {
        for (us, at) in
            [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1 << 29, 30), (1 << 30, 31), (u64::MAX, 31)]
        {
            assert_eq!(took(us).latency.iter().position(|n| *n == 1), Some(at), "{us}");
        }
    }

    #[test]
    fn figures_of_a_time_are_the_difference_and_of_a_restart_all() {
        let mut later = took(5);
        later.count(End::Refused, Some(Duration::from_micros(700)));
        (later.uptime_ms, later.bytes, later.commits) = (31_000, 9, 4);
        let since = later.since(&took(5));
        assert_eq!((since.uptime_ms, since.requests, since.refused), (30_000, 1, 1));
        assert_eq!((since.latency.iter().sum::<u64>(), since.bytes, since.commits), (1, 9, 4));
        assert_eq!(later.since(&Load { run: 2, requests: 9, ..took(5) }), later);
        assert_eq!(later.since(&Load { run: 1, ..Load::default() }), later, "before any request");
        assert_eq!(since.rate(), Some(1.0 / 30.0));
        assert_eq!(Load::default().rate(), None);
    }

    #[test]
    fn the_disk_is_as_full_as_df_says() {
        let load = Load { disk_free: 25, disk_total: 100, ..Load::default() };
        assert_eq!((load.disk_used(), Load::default().disk_used()), (Some(0.75), None));
    }

    #[test]
    fn the_99th_of_a_hundred_counts_and_the_last_does_not() {
        let mut load = Load::default();
        (0..99).for_each(|_| load.count(End::Done, Some(Duration::from_micros(100))));
        load.count(End::Done, Some(Duration::from_secs(5)));
        let (p, all) = p99([&load]);
        assert!(p.is_some_and(|p| p <= Duration::from_micros(128)), "{p:?}");
        assert_eq!(all, 100);
        load.count(End::Done, Some(Duration::from_secs(5)));
        assert!(p99([&load]).0.is_some_and(|p| p > Duration::from_secs(2)));
        assert_eq!(p99([]), (None, 0));
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_twice_the_truth(
            mut times in prop::collection::vec(1_u64..1 << 30, 1..300),
        ) {
            let loads: Vec<_> = times.iter().map(|us| took(*us)).collect();
            let (p, all) = p99(&loads);
            times.sort_unstable();
            let truth = times[times.len() - times.len() / 100 - 1] as f64;
            let told = p.expect("some").as_micros() as f64;
            prop_assert_eq!(all, times.len() as u64);
            prop_assert!(told >= truth / 2.0 - 1.0 && told <= truth * 2.0, "{} {}", told, truth);
        }

        #[test]
        fn figures_from_anywhere_never_panic(
            a in prop::collection::vec(any::<u64>(), 0..40),
            b in prop::collection::vec(any::<u64>(), 0..40),
        ) {
            let load = |latency| Load { latency, ..Load::default() };
            let since = load(a).since(&load(b));
            let _any = (p99([&since, &since]), since.rate(), since.disk_used());
        }
    }
}
