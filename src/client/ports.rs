//! Ports that no process uses at the moment, so that a ring runs without configuration.
//!
//! ```text
//! free_ports(3)    23117 23118 23119    a random place below those the system gives out itself
//! ```
//!
//! Caveat: they are not reserved; another process may take them first.

use std::net::{Ipv4Addr, TcpListener};

/// Where ports are looked for: above the well-known, below the system's own (32768 and up).
const FIRST: u16 = 10_000;
const LAST: u16 = 30_000;
/// Places tried before giving up.
const TRIES: usize = 64;

/// The first of `count` ports in a row that are free on the loopback address; `seed` is random.
#[must_use]
pub fn free_ports(count: u16, seed: u64) -> Option<u16> {
    let span = u64::from((LAST - FIRST).checked_sub(count)?);
    let mut state = seed;
    (0..TRIES).find_map(|_| {
        // Any spread will do: the step of a well-known generator.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let first = FIRST + ((state >> 33) % span.max(1)) as u16;
        let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        (first..first + count).all(free).then_some(first)
    })
}

/// Whether this machine can listen at an address at the moment.
#[must_use]
pub fn free_port(address: &str) -> bool {
    TcpListener::bind(address).is_ok()
}
