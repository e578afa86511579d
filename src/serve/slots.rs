//! A crowd at a door: connections that have not shown yet what they are, bounded and fair.
//!
//! ```text
//! full, or one source has more than its share
//!     -> one of the source that has the most is sent out, by lot
//! shown what it is, hung up, too late         -> its place is free again
//! ```
//!
//! A source is an address; of IPv6 the network of 64 bits, which one host has to itself. A flood from
//! one source drives out its own connections and nobody else's. By lot, not by age: whoever is slow
//! because it is far away keeps its place with the same odds as the flood, however fast that is.
//! Nobody has to wait for a place, so that silence holds nobody up.
//!
//! It does not know what is shown. Caveat: a flood from as many sources as there are places is not told
//! from honest people.

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

/// See the module. Clones are the same crowd.
#[derive(Clone)]
pub(super) struct SlotPool(Arc<Mutex<Inside>>);

struct Inside {
    /// How many may be in, and how many of one source.
    room: usize,
    share: usize,
    all: Vec<One>,
    counts: BTreeMap<SourceNetwork, usize>,
    next: u64,
    dice: u64,
}

struct One {
    number: u64,
    source: SourceNetwork,
    /// Dropped, it sends its holder out.
    _stay: oneshot::Sender<()>,
}

/// A place in a crowd, given back when it is dropped.
pub(super) struct Slot {
    slot_pool: SlotPool,
    number: u64,
    sent_out: oneshot::Receiver<()>,
}

impl SlotPool {
    /// Room for so many; one source may have half of it.
    pub(super) fn new(room: usize, seed: u64) -> Self {
        let (all, counts) = (Vec::new(), BTreeMap::new());
        let share = (room / 2).max(1);
        Self(Arc::new(Mutex::new(Inside { room, share, all, counts, next: 0, dice: seed | 1 })))
    }

    /// Takes a newcomer in; another may have to leave for it.
    pub(super) fn enter(&self, source: SourceNetwork) -> Slot {
        let mut inside = self.inside();
        let own = inside.counts.get(&source).copied().unwrap_or(0);
        if inside.all.len() >= inside.room {
            let most = inside.counts.values().max().copied().unwrap_or(0);
            inside.send_out(|inside, one| inside.counts.get(&one.source) == Some(&most));
        } else if own >= inside.share {
            inside.send_out(|_, one| one.source == source);
        }
        let (stay, sent_out) = oneshot::channel();
        let number = inside.next;
        inside.next += 1;
        inside.all.push(One { number, source, _stay: stay });
        *inside.counts.entry(source).or_default() += 1;
        Slot { slot_pool: self.clone(), number, sent_out }
    }

    /// How many are in.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.inside().all.len()
    }

    /// Nobody panics while it is held; if anybody did, the numbers would still be right.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// One of those it may hit has to go, by lot.
    fn send_out(&mut self, may: impl Fn(&Self, &One) -> bool) {
        let candidates = self.all.iter().enumerate().filter(|(_, one)| may(self, one));
        let candidates: Vec<usize> = candidates.map(|(at, _)| at).collect();
        if !candidates.is_empty() {
            let lot = self.roll() as usize % candidates.len();
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

    /// Xorshift: nobody outside knows the seed.
    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice >> 16
    }
}

impl Slot {
    /// What comes of it, unless it takes too long or the place is lost first.
    pub(super) async fn during<T>(
        &mut self,
        time: Duration,
        what: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            _ = &mut self.sent_out => None,
            done = timeout(time, what) => done.ok(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inside = self.slot_pool.inside();
        if let Some(at) = inside.all.iter().position(|one| one.number == self.number) {
            inside.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> SourceNetwork {
        SourceNetwork::of(IpAddr::from([10, 0, 0, last]))
    }

    fn is_out(slot: &mut Slot) -> bool {
        slot.sent_out.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn a_flood_from_one_source_drives_out_itself_alone() {
        let slot_pool = SlotPool::new(64, 7);
        let mut honest: Vec<_> = (2..12).map(|n| slot_pool.enter(source(n))).collect();
        let mut flood: Vec<_> = (0..10_000).map(|_| slot_pool.enter(source(1))).collect();
        assert!(!honest.iter_mut().any(is_out));
        assert_eq!(flood.iter_mut().map(is_out).filter(|out| !out).count(), 32, "half of the room");
        assert_eq!(slot_pool.len(), 42);
        drop(flood);
        assert_eq!(slot_pool.len(), 10);
    }

    #[test]
    fn a_flood_does_not_drive_out_the_slow_of_its_own_source_for_certain() {
        let stays = (0..200_u64).filter(|seed| {
            let slot_pool = SlotPool::new(64, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut slow = slot_pool.enter(source(1));
            let _flood: Vec<_> = (0..64).map(|_| slot_pool.enter(source(1))).collect();
            !is_out(&mut slow)
        });
        // 33 of the flood had to choose between 32: about (31/32)^33 of the slow stay, a third.
        assert!((30..120).contains(&stays.count()));
    }

    #[test]
    fn many_sources_share_the_room_and_none_is_more() {
        let slot_pool = SlotPool::new(16, 3);
        let mut two: Vec<_> = (0..2).map(|_| slot_pool.enter(source(9))).collect();
        let _others: Vec<_> = (20..34).map(|n| slot_pool.enter(source(n))).collect();
        let _newcomer = slot_pool.enter(source(40));
        assert_eq!(
            two.iter_mut().map(is_out).filter(|out| *out).count(),
            1,
            "who has the most gives way"
        );
        assert_eq!(slot_pool.len(), 16);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_what_it_maps() {
        let of = |text: &str| SourceNetwork::of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::4"), of("2001:db8:1:3::4"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
