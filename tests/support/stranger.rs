//! Strangers at a port: what the process beside a test does.
//!
//! ```text
//! dial --> [half a frame] ... keeps the connection and says no more until it is told to end
//! ```
//!
//! They hold no key. What a node owes them is judged elsewhere.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rng::Rng;
use super::task::Stop;

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
