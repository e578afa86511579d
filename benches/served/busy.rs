//! `busy`: nobody is taken to be down because the machine has much to do.
//!
//! ```text
//! five idle nodes, a spinning process for each processor, KVS_BENCH_SECONDS (1200) long
//! ```

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::ring::Ring;
use crate::{Process, none, setting};

/// The word that makes this program spin.
pub(crate) const SPIN: &str = "spin";
const DOWN: &str = "considered down";

pub(crate) fn run(dir: &Path) {
    let seconds = setting("KVS_BENCH_SECONDS", 1_200);
    let mut ring = Ring::make(dir, 5, &[]);
    ring.up();
    let count = |ring: &Ring| ring.names.iter().map(|n| ring.said(n).matches(DOWN).count()).sum();
    let before: usize = count(&ring);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let program = std::env::current_exe().expect("this program");
    let spin = |_| Process::start(Command::new(&program).arg(SPIN).stdin(Stdio::piped()));
    let spinning: Vec<Process> = (0..processors).map(spin).collect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_secs(1));
        ring.must_run();
    }
    drop(spinning);
    none(
        &format!("nodes considered down in {seconds} s with {processors} processors kept busy"),
        count(&ring) - before,
    );
}

/// Spins until whoever started it has gone.
pub(crate) fn spin() {
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The other end of stdin closes with the process that holds it.
            drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !ended.load(std::sync::atomic::Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
}
