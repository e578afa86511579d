//! `detect`: how soon every other node says that one is down.
//!
//! ```text
//! kill -9       its connections end: that is told at once
//! kill -STOP    its connections stay: only its silence tells
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use kvs::client::Client;
use kvs::ring::NodeId;
use rustix::process::Signal;

use crate::ring::{Ring, is_up};
use crate::{bar, quantile, sorted};

const RUNS: usize = 10;
const BAR: f64 = 5.0;
const LONG: Duration = Duration::from_secs(60);

pub(crate) fn run(dir: &Path) {
    let mut ring = Ring::make(dir, 5, &[]);
    ring.up();
    let (mut killed, mut stopped) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let name = ring.names[run % ring.names.len()].clone();
        let id = ring.client(&name).entry();
        let mut clients = ring.clients();
        clients.remove(&name);
        let began = Instant::now();
        ring.kill(&name);
        killed.extend(seen_down(&clients, id, began));
        ring.start(&name);
        ring.wait_up_everywhere(&name);
        let began = Instant::now();
        ring.signal(&name, Signal::STOP);
        stopped.extend(seen_down(&clients, id, began));
        ring.signal(&name, Signal::CONT);
        ring.wait_up_everywhere(&name);
    }
    tell("killed", killed);
    tell("stopped with its connections open", stopped);
}

/// When each of the others took it to be down, in s.
fn seen_down(clients: &BTreeMap<String, Client>, id: NodeId, began: Instant) -> Vec<f64> {
    let mut seen = BTreeMap::new();
    while seen.len() < clients.len() {
        for (name, client) in clients {
            if !seen.contains_key(name) && !is_up(client, id) {
                seen.insert(name, began.elapsed().as_secs_f64());
            }
        }
        assert!(began.elapsed() < LONG, "nobody but {seen:?} saw it go");
        std::thread::sleep(Duration::from_millis(5));
    }
    seen.into_values().collect()
}

fn tell(how: &str, seconds: Vec<f64>) {
    let seconds = sorted(seconds);
    let (median, last) = (quantile(&seconds, 0.5), seconds[seconds.len() - 1]);
    let n = seconds.len();
    println!("{how}: median {median:.3} s, from {:.3} to {last:.3} s, {n} sightings", seconds[0]);
    bar(&format!("{how}, the slowest"), last, BAR, "s");
}
