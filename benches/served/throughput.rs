//! `throughput`: durable writes a second, kvs beside etcd and Redis, all running at the same time.
//!
//! ```text
//! kvs     three nodes, N=3, W=2, an overwrite: reads two copies, then two files are synced
//! etcd    three members: a majority's logs are synced
//! redis   a primary, two replicas, appendfsync always, WAIT 1: two logs are synced
//! ```
//!
//! 100-byte values under random keys of 100,000; one connection a client; of kvs and etcd clients
//! are spread over the nodes. For each number of clients all stores take their turn, each time
//! another one first. KVS_BENCH_SECONDS is the time of one turn, 5 unless set.

use std::path::Path;
use std::time::Duration;

use kvs::client::Client;

use crate::load::{Door, Tally, closed_loop};
use crate::ring::{Ring, put};
use crate::{etcd, has, quantile, redis, setting, sorted};

const CLIENTS: [usize; 4] = [1, 16, 64, 256];
/// Errors told in words.
const TOLD: usize = 3;

/// Makes a client's connection to one store.
type Open = Box<dyn Fn(usize) -> Box<dyn Door>>;

pub(crate) fn run(dir: &Path) {
    let time = Duration::from_secs(setting("KVS_BENCH_SECONDS", 5));
    let mut stores: Vec<(&str, Open)> = Vec::new();
    let mut ring = Ring::make(dir, 3, &[]);
    ring.up();
    let names = ring.names.clone();
    stores.push(("kvs", Box::new(move |i| Box::new(Kvs(ring.client(&names[i % 3]))))));
    if has("etcd") {
        let cluster = etcd::Cluster::start(dir);
        stores.push(("etcd", Box::new(move |i| cluster.door(i))));
    }
    if has("redis-server") && has("redis-cli") {
        let server = redis::Server::replicated(dir);
        stores.push(("redis", Box::new(move |_| server.door())));
    }
    println!(
        "{:<7} {:>7} {:>10} {:>9} {:>9} {:>7}",
        "store", "clients", "writes/s", "p50 ms", "p99 ms", "errors"
    );
    for (turn, clients) in CLIENTS.into_iter().enumerate() {
        let mut figures = Vec::new();
        for i in 0..stores.len() {
            let (name, open) = &stores[(turn + i) % stores.len()];
            let doors = (0..clients).map(open).collect();
            let tally = closed_loop(doors, |gone| gone >= time);
            figures.push((*name, row(name, clients, time, tally)));
        }
        let of = |name| figures.iter().find(|f| f.0 == name).map(|f| f.1);
        for other in ["etcd", "redis"] {
            if let (Some(ours), Some(theirs)) = (of("kvs"), of(other)) {
                println!("kvs : {other}, {clients} clients: {:.2}", ours / theirs);
            }
        }
    }
}

/// Prints a row; gives its writes a second.
fn row(name: &str, clients: usize, time: Duration, tally: Tally) -> f64 {
    let latencies = sorted(tally.latencies);
    let rate = latencies.len() as f64 / time.as_secs_f64();
    let (p50, p99) = (quantile(&latencies, 0.5), quantile(&latencies, 0.99));
    let errors = tally.errors.len();
    println!("{name:<7} {clients:>7} {rate:>10.0} {p50:>9.2} {p99:>9.2} {errors:>7}");
    for (when, why) in tally.errors.iter().take(TOLD) {
        println!("        after {:.1} s: {why}", when.as_secs_f64());
    }
    rate
}

/// A client of a ring.
pub(crate) struct Kvs(pub(crate) Client);

impl Door for Kvs {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        put(&self.0, key, value)
    }
}
