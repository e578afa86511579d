//! Strangers at a node's port: noise, half a frame, a claim of 4 GiB, ten thousand that say nothing.
//!
//! They hold no key. What they must not do is keep a node from those who do, or grow its memory.

use crate::ring::{Ring, alone, anonymous_kib};
use crate::support::net::Net;
use crate::support::stranger::{Crowd, Manner};
use crate::support::task::{self, Task};

/// A crowd that stands there until it is dropped.
struct Standing(std::process::Child);

impl Standing {
    fn new(net: &Net, host: usize, crowd: &Crowd) -> (Self, usize) {
        use std::io::{BufRead, BufReader};
        let mut child = task::start(net, host, &Task::Bother(crowd.clone()));
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let standing = Self(child);
        let told = |line: std::io::Result<String>| {
            line.expect("text").strip_prefix("standing: ").map(|n| n.parse().expect("a number"))
        };
        let count = lines.into_iter().find_map(told).expect("a crowd that stands");
        (standing, count)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Memory of its own that a node may gain by what strangers do, in KiB.
const GROWTH_KIB_MAX: u64 = 96 << 10;
/// Requests of a real client that a bothered node must answer.
const REQUESTS: usize = 10;

#[test]
fn strangers_neither_stop_a_node_nor_fill_it() {
    let _alone = alone();
    let Some(mut ring) = Ring::new(3, &[]) else { return };
    ring.start_all();
    ring.kvs("put -q k v").ends(0);
    let before = anonymous_kib(ring.pid("n1"));
    println!("\nstrangers at n1, which has {before} KiB of its own");
    let manners = [
        (Manner::Noise, 200),
        (Manner::HalfFrame, 500),
        (Manner::FourGib, 200),
        (Manner::Silent, 10_000),
    ];
    for (manner, count) in manners {
        let to = ring.address("n1").parse().expect("an address");
        let crowd = Crowd { to, count, manner };
        let (standing, stood) = Standing::new(&ring.net, ring.outside(), &crowd);
        // A node may turn some away; a crowd of nobody proves nothing.
        assert!(stood > count / 10, "{manner:?}: only {stood} of {count} got through");
        for i in 0..REQUESTS {
            let value = format!("{manner:?}-{i}");
            ring.at("n1", &format!("put -q k {value}")).ends(0);
            ring.at("n1", "get -q k").ends(0).prints(&value);
        }
        let now = anonymous_kib(ring.pid("n1"));
        println!("  {stood:>6} {manner:?}: answers, {now} KiB");
        assert!(now < before + GROWTH_KIB_MAX, "{manner:?}: {before} KiB became {now}");
        drop(standing);
    }
    ring.settles();
}
