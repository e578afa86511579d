//! `stop-and-return`: a node stops while others are written to, and comes back.
//!
//! ```text
//! four clients write -> kvs node stop n2 -> 10 s -> kvs node run r/n2 -> 2 s -> they stop
//! failed writes; from its ready line: until all owners are equal and no hint is left
//! ```
//!
//! Anti-entropy is off: hints alone bring it what it missed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::load::{Door, closed_loop};
use crate::ring::{Ring, are_equal, is_up};
use crate::throughput::Kvs;
use crate::{bar, none, wait_for};

const CLIENTS: usize = 4;
const WARM: Duration = Duration::from_secs(2);
const AWAY: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(2);
const BAR: f64 = 10.0;
const LONG: Duration = Duration::from_secs(120);
/// Errors told in words.
const TOLD: usize = 5;

pub(crate) fn run(dir: &Path) {
    let mut ring = Ring::make(dir, 5, &["--sync-every", "off"]);
    ring.up();
    // Of the four clients one has to find another entry.
    let door = |i: usize| Box::new(Kvs(ring.client(&ring.names[i]))) as Box<dyn Door>;
    let doors: Vec<_> = (0..CLIENTS).map(door).collect();
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let (tally, acted) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| closed_loop(doors, |_| over.load(Ordering::Relaxed)));
        // Should it panic, the writers must end all the same.
        let acted = scope.spawn(|| act(&mut ring, began, &over)).join();
        over.store(true, Ordering::Relaxed);
        let tally = writing.join().expect("the writers");
        let acted = acted.expect("stopping and starting");
        (tally, acted)
    });
    let Acted { noticed, hints, took } = acted;
    let took = took.as_secs_f64();
    let (early, late): (Vec<_>, Vec<_>) = tally.errors.iter().partition(|e| e.0 <= noticed);
    println!(
        "{} writes; all others knew of the stop {:.2} s after it was asked for",
        tally.latencies.len(),
        (noticed - WARM).as_secs_f64()
    );
    println!("hints kept for it at its return: {hints}");
    println!("failed writes until then: {}", early.len());
    none("failed writes after that", late.len());
    for (when, why) in tally.errors.iter().take(TOLD) {
        println!("  after {:.1} s: {why}", when.as_secs_f64());
    }
    bar("from its return until all is equal and no hint is left", took, BAR, "s");
}

/// What was done to n2.
struct Acted {
    /// When all others knew that it was gone.
    noticed: Duration,
    /// Hints they had kept for it when it came back.
    hints: u64,
    /// From its ready line until all was equal.
    took: Duration,
}

/// Stops n2, starts it again, and ends the writing.
fn act(ring: &mut Ring, began: Instant, over: &AtomicBool) -> Acted {
    std::thread::sleep(WARM);
    let id = ring.client("n2").entry();
    ring.stop("n2");
    let clients = ring.clients();
    wait_for("n2 down", LONG, || clients.values().all(|c| !is_up(c, id)));
    let noticed = began.elapsed();
    std::thread::sleep(AWAY);
    let hints = Ring::hints(&clients);
    ring.start("n2");
    let returned = Instant::now();
    let clients = ring.clients();
    std::thread::sleep(AFTER);
    // A write that waits for an answer in vain changes nothing any more.
    over.store(true, Ordering::Relaxed);
    wait_for("equal owners and no hints", LONG, || {
        Ring::hints(&clients) == 0 && are_equal(&clients)
    });
    Acted { noticed, hints, took: returned.elapsed() }
}
