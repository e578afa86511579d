//! Slots for connections that have not shown yet what they are, bounded and fair.
//!
//! ```text
//! full, or one source has more than its share
//!     -> one connection of the source that has the most is evicted, at random
//! shown what it is, hung up, too late   -> its slot is free again
//! ```
//!
//! A source is an address; of IPv6 the network of 64 bits, which one host has to itself. A flood from one
//! source evicts its own connections and no others. At random, not by age: a host that is slow because it is
//! far away keeps its slot with the same odds as the flood, however fast that is. Nobody waits for a slot, so
//! a connection that stays silent holds up no other.
//!
//! It does not know what is shown. Caveat: a flood from as many sources as there are slots cannot be told from
//! honest clients.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceNetwork(IpAddr);

impl SourceNetwork {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into()),
            v4 => Self(v4),
        }
    }
}

/// Random bits that a stranger does not know.
#[derive(Clone, Copy)]
pub(super) struct Seed(pub(super) u64);

/// See the module. Clones are the same pool.
#[derive(Clone)]
pub(super) struct SlotPool(Arc<Mutex<Occupancy>>);

struct Occupancy {
    /// How many connections may be in, and how many of one source.
    room: usize,
    share: usize,
    all: Vec<SlotHolder>,
    counts: BTreeMap<SourceNetwork, usize>,
    next: u64,
    rng: u64,
}

struct SlotHolder {
    number: u64,
    source: SourceNetwork,
    /// Dropped, it evicts its holder.
    _keep: oneshot::Sender<()>,
}

/// A slot of a pool, given back when it is dropped.
pub(super) struct ConnectionSlot {
    pool: SlotPool,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl SlotPool {
    /// Room for this many; one source may have half of it. The seed draws whom to evict.
    pub(super) fn new(room: usize, Seed(seed): Seed) -> Self {
        let (all, counts) = (Vec::new(), BTreeMap::new());
        let share = (room / 2).max(1);
        Self(Arc::new(Mutex::new(Occupancy { room, share, all, counts, next: 0, rng: seed | 1 })))
    }

    /// Takes a newcomer in; another may have to leave for it.
    pub(super) fn enter(&self, source: SourceNetwork) -> ConnectionSlot {
        let mut occupancy = self.occupancy();
        let own = occupancy.counts.get(&source).copied().unwrap_or(0);
        if occupancy.all.len() >= occupancy.room {
            let most = occupancy.counts.values().max().copied().unwrap_or(0);
            occupancy.evict(|occupancy, one| occupancy.counts.get(&one.source) == Some(&most));
        } else if own >= occupancy.share {
            occupancy.evict(|_, one| one.source == source);
        }
        let (keep, evicted) = oneshot::channel();
        let number = occupancy.next;
        occupancy.next += 1;
        occupancy.all.push(SlotHolder { number, source, _keep: keep });
        *occupancy.counts.entry(source).or_default() += 1;
        ConnectionSlot { pool: self.clone(), number, evicted }
    }

    /// How many are in.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.occupancy().all.len()
    }

    /// No panic can happen while it is held; after one the numbers would still be right.
    fn occupancy(&self) -> MutexGuard<'_, Occupancy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupancy {
    /// One of those that may be evicted has to go, at random.
    fn evict(&mut self, may: impl Fn(&Self, &SlotHolder) -> bool) {
        let candidates = self.all.iter().enumerate().filter(|(_, one)| may(self, one));
        let candidates: Vec<usize> = candidates.map(|(at, _)| at).collect();
        if !candidates.is_empty() {
            let lot = self.draw() as usize % candidates.len();
            self.remove(candidates[lot]);
        }
    }

    fn remove(&mut self, at: usize) {
        let one = self.all.swap_remove(at);
        if let Some(count) = self.counts.get_mut(&one.source) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&one.source);
            }
        }
    }

    /// Xorshift: a stranger does not know the seed, so it cannot aim.
    fn draw(&mut self) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng >> 16
    }
}

impl ConnectionSlot {
    /// What comes of it, unless it takes too long or the place is lost first.
    pub(super) async fn during<T>(
        &mut self,
        time: Duration,
        what: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            _ = &mut self.evicted => None,
            done = timeout(time, what) => done.ok(),
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut occupancy = self.pool.occupancy();
        if let Some(at) = occupancy.all.iter().position(|one| one.number == self.number) {
            occupancy.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> SourceNetwork {
        SourceNetwork::of(IpAddr::from([10, 0, 0, last]))
    }

    fn is_out(slot: &mut ConnectionSlot) -> bool {
        slot.evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn a_flood_from_one_source_drives_out_itself_alone() {
        let pool = SlotPool::new(64, Seed(7));
        let mut honest: Vec<_> = (2..12).map(|n| pool.enter(source(n))).collect();
        let mut flood: Vec<_> = (0..10_000).map(|_| pool.enter(source(1))).collect();
        assert!(!honest.iter_mut().any(is_out));
        assert_eq!(flood.iter_mut().map(is_out).filter(|out| !out).count(), 32, "half of the room");
        assert_eq!(pool.len(), 42);
        drop(flood);
        assert_eq!(pool.len(), 10);
    }

    #[test]
    fn a_flood_does_not_drive_out_the_slow_of_its_own_source_for_certain() {
        let stays = (0..200_u64).filter(|seed| {
            let pool = SlotPool::new(64, Seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
            let mut slow = pool.enter(source(1));
            let _flood: Vec<_> = (0..64).map(|_| pool.enter(source(1))).collect();
            !is_out(&mut slow)
        });
        // 33 of the flood had to choose between 32: about (31/32)^33 of the slow stay, a third.
        assert!((30..120).contains(&stays.count()));
    }

    #[test]
    fn many_sources_share_the_room_and_none_is_more() {
        let pool = SlotPool::new(16, Seed(3));
        let mut two: Vec<_> = (0..2).map(|_| pool.enter(source(9))).collect();
        let _others: Vec<_> = (20..34).map(|n| pool.enter(source(n))).collect();
        let _newcomer = pool.enter(source(40));
        assert_eq!(
            two.iter_mut().map(is_out).filter(|out| *out).count(),
            1,
            "who has the most gives way"
        );
        assert_eq!(pool.len(), 16);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_what_it_maps() {
        let of = |text: &str| SourceNetwork::of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::4"), of("2001:db8:1:3::4"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
