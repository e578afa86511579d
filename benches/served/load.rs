//! Closed-loop clients: each writes, waits for the answer, writes again.
//!
//! ```text
//! 64 doors -> 64 threads, begun together -> writes, latencies, errors of so many seconds
//! ```
//!
//! A write counts when its answer came within the time. An error counts as one and is no write; its
//! client rests a moment, so that a store that is gone is not hammered.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::{Dice, key};

/// Keys written, at random.
const KEYS: u64 = 100_000;
const VALUE_BYTES: usize = 100;
const REST: Duration = Duration::from_millis(10);

/// One client of a store.
pub(crate) trait Door: Send {
    /// Writes durably, or tells why not.
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), String>;
}

/// What some clients did.
#[derive(Default)]
pub(crate) struct Tally {
    /// Of each write, in ms.
    pub(crate) latencies: Vec<f64>,
    /// When, after the beginning, and why.
    pub(crate) errors: Vec<(Duration, String)>,
}

/// Has all write until `enough` says so of the time gone by; gives what they did.
pub(crate) fn closed_loop(
    doors: Vec<Box<dyn Door + '_>>,
    enough: impl Fn(Duration) -> bool + Sync,
) -> Tally {
    let (together, enough) = (Barrier::new(doors.len()), &enough);
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let start = |(i, door)| {
            let together = &together;
            scope.spawn(move || one(door, i as u64, together, enough))
        };
        let threads: Vec<_> = doors.into_iter().enumerate().map(start).collect();
        for thread in threads {
            let tally = thread.join().expect("a client");
            all.latencies.extend(tally.latencies);
            all.errors.extend(tally.errors);
        }
    });
    all.errors.sort();
    all
}

fn one(
    mut door: Box<dyn Door + '_>,
    i: u64,
    together: &Barrier,
    enough: &(impl Fn(Duration) -> bool + Sync),
) -> Tally {
    let mut tally = Tally::default();
    let mut dice = Dice(i << 32);
    together.wait();
    let began = Instant::now();
    while !enough(began.elapsed()) {
        let (key, value) = (key(dice.below(KEYS)), dice.value(VALUE_BYTES));
        let start = Instant::now();
        match door.put(&key, &value) {
            Ok(()) if enough(began.elapsed()) => {}
            Ok(()) => tally.latencies.push(start.elapsed().as_secs_f64() * 1e3),
            Err(why) => {
                tally.errors.push((began.elapsed(), why));
                std::thread::sleep(REST);
            }
        }
    }
    tally
}
