//! `sync-bytes`: what anti-entropy sends, and how soon, for ten keys of a million that differ.
//!
//! ```text
//! n3 stops, ten keys are written at W=2, n3 returns; hints are kept back (--no-hints)
//! from its ready line until the digests of all three are equal: seconds, rounds, bytes by kind
//! ```
//!
//! Bytes are those of parcels between nodes, as each node counts them, before encryption.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::ring::{Ring, are_equal, done, size};
use crate::{bar, key, setting, wait_for};

const EVERY: Duration = Duration::from_secs(10);
const DIFFER: u64 = 10;
/// What a pair may send beside the records.
const OVERHEAD: f64 = 65_536.0;
const LONG: Duration = Duration::from_secs(120);

pub(crate) fn run(dir: &Path) {
    let keys = setting("KVS_BENCH_KEYS", 1_000_000);
    let mut ring = Ring::make(dir, 3, &["--no-hints", "--sync-every", "10s"]);
    ring.load(keys, 100);
    ring.up();
    ring.stop("n3");
    let mut records = 0;
    for i in 0..DIFFER {
        let (key, value) = (key(i * (keys / DIFFER)), "changed".repeat(14));
        let put = ["put", &key, &value, "-w", "2"];
        done(ring.command().args(put));
        records += size(&ring.client("n1"), &key);
    }
    let before = ring.sent();
    ring.start("n3");
    let began = Instant::now();
    let clients = ring.clients();
    let mut differed = false;
    wait_for("equal digests", LONG, || {
        let equal = are_equal(&clients);
        differed |= !equal;
        equal
    });
    let took = began.elapsed();
    let sent = less(&ring.sent(), &before);
    assert!(differed, "the nodes were equal before anything could be sent");
    println!("{keys} keys; {DIFFER} records that differ, of {records} bytes together");
    bar("time until equal", took.as_secs_f64(), EVERY.as_secs_f64(), "s, a round");
    tell("until equal", &sent, records as f64);
    // For comparison: rounds of nodes that are equal, gossip aside.
    let before = ring.sent();
    std::thread::sleep(EVERY * 2);
    let idle = less(&ring.sent(), &before);
    let sync = idle.iter().filter(|(kind, _)| *kind != "gossip").map(|(_, n)| n).sum::<u64>();
    println!("a round in which nothing differs: {} bytes, all nodes together", sync / 2);
}

fn tell(when: &str, sent: &BTreeMap<String, u64>, records: f64) {
    let mut total = 0;
    for (kind, bytes) in sent {
        println!("  {when}, {kind}: {bytes} bytes, {} a pair", bytes / 3);
        if kind != "gossip" {
            total += bytes;
        }
    }
    let allowed = OVERHEAD + 3.0 * records;
    bar("bytes of all nodes but gossip", total as f64, allowed, "bytes");
    bar("the same, a pair", total as f64 / 3.0, allowed, "bytes");
}

fn less(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let of = |kind: &String| before.get(kind).copied().unwrap_or(0);
    now.iter().map(|(kind, n)| (kind.clone(), n.saturating_sub(of(kind)))).collect()
}
