//! Strangers at a node's port: noise, half a frame, a claim of 4 GiB, ten thousand that say nothing.
//!
//! ```text
//! dial --> [half a frame] ... keeps the connection and says no more until it is told to end
//! ```
//!
//! They hold no key. What they must not do is keep a node from those who do, or grow its memory.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::net::Net;
use crate::ring::{Ring, alone, anonymous_kib};
use crate::rng::Rng;
use crate::task::{self, Stop, Task};

/// What they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manner {
    Silent,
    Noise,
    HalfFrame,
    FourGib,
}

/// So many of one manner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) to: SocketAddr,
    pub(crate) count: usize,
    pub(crate) manner: Manner,
}

/// Nobody waits longer to be let in.
const PATIENCE: Duration = Duration::from_millis(500);
/// After so many in a row that were not let in, the rest is not either.
const TURNED_AWAY_MAX: usize = 20;

impl Crowd {
    /// Dials, speaks, says how many stand there, and stays until standard input ends.
    pub(crate) fn run(&self) {
        let (mut rng, mut standing, mut turned_away) = (Rng(7), Vec::new(), 0);
        while standing.len() < self.count && turned_away < TURNED_AWAY_MAX {
            let Ok(mut stream) = TcpStream::connect_timeout(&self.to, PATIENCE) else {
                turned_away += 1;
                continue;
            };
            turned_away = 0;
            drop(stream.set_write_timeout(Some(PATIENCE)));
            // A node that hangs up has every right to.
            drop(stream.write_all(&self.words(&mut rng)));
            standing.push(stream);
        }
        println!("\nstanding: {}", standing.len());
        Stop::default().when_input_ends();
    }

    fn words(&self, rng: &mut Rng) -> Vec<u8> {
        let mut noise = |bytes| (0..bytes).map(|_| rng.next() as u8).collect::<Vec<_>>();
        match self.manner {
            Manner::Silent => Vec::new(),
            Manner::Noise => noise(64 << 10),
            // The length says 1,024 bytes; ten come.
            Manner::HalfFrame => [vec![4, 0], noise(10)].concat(),
            Manner::FourGib => [vec![0xff; 4], noise(64 << 10)].concat(),
        }
    }
}

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
