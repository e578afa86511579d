//! How many connections of each kind a node has room for, cut from the file descriptors it may have.
//!
//! ```text
//! descriptors   strangers  keyed  clients  operators  scrapers   left for peers, files, logs
//! 4,096 and up      1,024    512    1,024         16        64   1,456 and up
//! 1,024               128     64      512         16        32   272
//!   256                32     16      128          8         8    64
//! ```
//!
//! The soft limit is raised as far as the hard one lets it, once, at the start: what is refused later
//! is refused by these bounds and in words, not by a call that fails.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More descriptors are of no use.
const WANTED: u64 = 8_192;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionLimits {
    /// Connections that have not shown the ring's key.
    pub(super) strangers: usize,
    /// Those that have and are not through with the handshake.
    pub(super) keyed: usize,
    /// Clients that may ask for anything.
    pub(super) clients: usize,
    /// Those beside them that may ask how the node is, and have it stop.
    pub(super) operators: usize,
    /// Connections to the figures.
    pub(super) scrapers: usize,
}

impl ConnectionLimits {
    /// Raises the limit of this process and cuts it up.
    pub(super) fn raised() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(WANTED).min(WANTED);
        let now = limit.current.unwrap_or(WANTED);
        let raised = Rlimit { current: Some(most), maximum: limit.maximum };
        let raised = now < most && setrlimit(Resource::Nofile, raised).is_ok();
        Self::of(if raised { most } else { now })
    }

    fn of(descriptors: u64) -> Self {
        let n = usize::try_from(descriptors.min(WANTED)).unwrap_or(0);
        let part = |of: usize, most: usize| (n / of).clamp(1, most);
        let wide = n >= 4_096;
        Self {
            strangers: part(if wide { 4 } else { 8 }, 1_024),
            keyed: part(if wide { 8 } else { 16 }, 512),
            clients: part(2, 1_024),
            operators: part(32, 16),
            scrapers: part(32, 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_descriptors_is_left_for_peers_and_files() {
        for n in [64, 256, 1_024, 2_048, 4_096, 8_192, 1 << 20] {
            let b = ConnectionLimits::of(n);
            let all = b.strangers + b.keyed + b.clients + b.operators + b.scrapers;
            assert!(all as u64 <= n * 3 / 4, "{n}: {b:?}");
        }
        let usual = ConnectionLimits {
            strangers: 1_024,
            keyed: 512,
            clients: 1_024,
            operators: 16,
            scrapers: 64,
        };
        assert_eq!(ConnectionLimits::of(1 << 20), usual);
        let small = ConnectionLimits {
            strangers: 128,
            keyed: 64,
            clients: 512,
            operators: 16,
            scrapers: 32,
        };
        assert_eq!(ConnectionLimits::of(1_024), small);
    }
}
