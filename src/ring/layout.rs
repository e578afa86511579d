//! The layout: which members own each partition, coordinator first.
//!
//! A flat table, partition after partition, of indexes into the ring document's member list. That
//! list only grows, so an index means the same member in every layout of a ring.
//!
//! ```text
//!   members   0 anna/z1   1 ben/z2   2 cleo/z3   3 dora/z1
//!
//!   partition   0       1       2       3       …          N = 3
//!   owners    [ 0 1 2 | 1 3 2 | 2 0 1 | 3 2 1 | … ]
//!               ^ the coordinator of partition 0
//!
//!   preference(0): 0 1 2 own it, then 3 is met walking on from partition 1: the fallback
//! ```
//!
//! It answers questions about a table; it does not make one (see `planner`), and does not know
//! addresses, states or who is up. What makes a table good stands here too: the zone rule, by which
//! [`Layout::check`] and the planner must mean the same, and the fair loads.
//!
//! Caveats: fallbacks ignore zones, and a member that owns nothing is never met on the circle.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use serde::{Deserialize, Serialize};

/// A member that may own partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The zone it stands in; copies of a partition are spread over zones.
    pub zone: String,
    /// Its share relative to others, at least 1.
    pub weight: u32,
}

/// The owners of every partition, in order, coordinator first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OwnerTable")]
pub struct Layout {
    replicas: u8,
    owners: Vec<u16>,
}

impl Layout {
    /// Takes a flat table of owners, `replicas` per partition.
    ///
    /// # Panics
    /// If `replicas` is not 1 to 255, or the table is not a whole number of partitions.
    #[must_use]
    pub fn new(replicas: usize, owners: Vec<u16>) -> Self {
        let replicas = u8::try_from(replicas).expect("a partition has at most 255 owners");
        Self::try_from(OwnerTable { replicas, owners }).expect("the planner fills whole partitions")
    }

    /// The number of owners of each partition.
    #[must_use]
    pub fn replicas(&self) -> usize {
        usize::from(self.replicas)
    }

    /// The number of partitions.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        u32::try_from(self.owners.len() / self.replicas()).expect("bounded by u16 partitions")
    }

    /// The owners of a partition in order, coordinator first.
    ///
    /// # Panics
    /// If there is no such partition.
    #[must_use]
    pub fn owners(&self, partition: u16) -> &[u16] {
        let start = usize::from(partition) * self.replicas();
        &self.owners[start..start + self.replicas()]
    }

    /// Every partition's owners, in the order of partitions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u16]> {
        self.owners.chunks_exact(self.replicas())
    }

    /// The slots each of `members` holds; owners beyond `members` are not counted.
    #[must_use]
    pub fn loads(&self, members: usize) -> Vec<u32> {
        count(members, self.owners.iter())
    }

    /// The partitions in which each of `members` comes first.
    #[must_use]
    pub fn firsts(&self, members: usize) -> Vec<u32> {
        count(members, self.owners.iter().step_by(self.replicas()))
    }

    /// The partition copies that must be made to get here from `before`: slots whose member was no
    /// owner of that partition. A change of order costs nothing.
    #[must_use]
    pub fn moves(&self, before: &Self) -> usize {
        assert_eq!(self.partitions(), before.partitions(), "Q is fixed for the life of a ring");
        let new = |(now, old): (&[u16], &[u16])| now.iter().filter(|m| !old.contains(m)).count();
        self.iter().zip(before.iter()).map(new).sum()
    }

    /// The same places under another member: member `to` stands wherever `from` stood.
    ///
    /// # Panics
    /// If `to` owns anything already.
    #[must_use]
    pub fn substitute(&self, from: u16, to: u16) -> Self {
        assert!(from == to || !self.owners.contains(&to), "a substitute comes with empty hands");
        self.rename(|member| if member == from { to } else { member })
    }

    /// The same table with every member called by another index.
    pub(super) fn rename(&self, name: impl Fn(u16) -> u16) -> Self {
        let owners = self.owners.iter().map(|&member| name(member)).collect();
        Self { replicas: self.replicas, owners }
    }

    /// The owners of a partition in order, then its fallbacks: further members in the order they
    /// are met in the partitions that follow, around the circle. Each member comes once.
    ///
    /// Lazy: take what is needed. Asking for more members than own anything walks the whole circle.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn preference(&self, partition: u16) -> impl Iterator<Item = u16> + '_ {
        let (before, from) = self.owners.split_at(usize::from(partition) * self.replicas());
        assert!(!from.is_empty(), "no partition {partition}");
        let mut met = Vec::new();
        from.iter().chain(before).copied().filter(move |&member| {
            let member = usize::from(member);
            if met.len() <= member {
                met.resize(member + 1, false);
            }
            !std::mem::replace(&mut met[member], true)
        })
    }

    /// Verifies the hard rules anew: the shape, owners that may own, distinct members, even zones.
    ///
    /// # Errors
    /// Says which partition breaks which rule; the first one found.
    pub fn check(&self, candidates: &[Option<Candidate>]) -> Result<(), String> {
        let partitions = self.partitions();
        if !(8..=65_536).contains(&partitions) || !partitions.is_power_of_two() {
            return Err(format!("{partitions} partitions: not a power of two from 8 to 65536"));
        }
        let zones = Zones::new(self.replicas(), candidates);
        for (partition, owners) in self.iter().enumerate() {
            zones.check(owners).map_err(|rule| format!("partition {partition}: {rule}"))?;
        }
        Ok(())
    }
}

/// A layout as it was read, before its shape is known to be sound.
#[derive(Deserialize)]
struct OwnerTable {
    replicas: u8,
    owners: Vec<u16>,
}

impl TryFrom<OwnerTable> for Layout {
    type Error = &'static str;

    fn try_from(OwnerTable { replicas, owners }: OwnerTable) -> Result<Self, Self::Error> {
        if replicas == 0 {
            return Err("a layout needs at least one owner per partition");
        }
        let width = usize::from(replicas);
        if owners.is_empty() || !owners.len().is_multiple_of(width) {
            return Err("a layout is not a whole number of partitions");
        }
        if owners.len() / width > 65_536 {
            return Err("a layout has more than 65536 partitions");
        }
        Ok(Self { replicas, owners })
    }
}

fn count<'a>(members: usize, slots: impl Iterator<Item = &'a u16>) -> Vec<u32> {
    let mut counts = vec![0; members];
    for &member in slots {
        if let Some(count) = counts.get_mut(usize::from(member)) {
            *count += 1;
        }
    }
    counts
}

/// The zone rule: how many copies of one partition each zone takes, at least and at most.
///
/// The copies are poured over the zones as water, a zone being as deep as it has candidates; what
/// the last full level leaves over goes to different zones in different partitions.
///
/// ```text
///   N = 3, zones of 4, 4, 4, 4:  0 to 1 each     N = 3, zones of 4, 4:    1 to 2 each
///   N = 3, zones of 4, 4, 4:     1 each          N = 5, zones of 1, 4, 4: 1, 2, 2
/// ```
pub(super) struct Zones {
    /// The zone of each member, by number; `None` if it may own nothing.
    pub(super) of: Vec<Option<usize>>,
    /// The fewest copies of one partition in each zone.
    pub(super) low: Vec<usize>,
    /// The most copies of one partition in each zone: `low`, or one more.
    pub(super) high: Vec<usize>,
}

impl Zones {
    /// Numbers the zones by name and pours `replicas` copies over them.
    pub(super) fn new(replicas: usize, candidates: &[Option<Candidate>]) -> Self {
        let mut sizes = BTreeMap::new();
        for candidate in candidates.iter().flatten() {
            *sizes.entry(candidate.zone.as_str()).or_insert(0_usize) += 1;
        }
        let number: BTreeMap<&str, usize> = sizes.keys().copied().zip(0..).collect();
        let of = candidates.iter().map(|c| c.as_ref().map(|c| number[c.zone.as_str()])).collect();
        let filled = |level: usize| sizes.values().map(|&size| size.min(level)).sum::<usize>();
        let level = (0..replicas).take_while(|&level| filled(level + 1) <= replicas).count();
        let rest = usize::from(filled(level) < replicas);
        let low = sizes.values().map(|&size| size.min(level)).collect();
        let high = sizes.values().map(|&size| size.min(level + rest)).collect();
        Self { of, low, high }
    }

    /// The zone of a member, if it may own anything.
    pub(super) fn zone(&self, member: u16) -> Option<usize> {
        self.of.get(usize::from(member)).copied().flatten()
    }

    /// Counts how many of `owners` stand in `zone`.
    pub(super) fn copies(&self, zone: usize, owners: &[u16]) -> usize {
        owners.iter().filter(|&&owner| self.zone(owner) == Some(zone)).count()
    }

    fn check(&self, owners: &[u16]) -> Result<(), String> {
        for (place, &owner) in owners.iter().enumerate() {
            if self.zone(owner).is_none() {
                return Err(format!("member {owner} may own nothing"));
            }
            if owners[..place].contains(&owner) {
                return Err(format!("member {owner} stands twice"));
            }
        }
        for (zone, (&low, &high)) in self.low.iter().zip(&self.high).enumerate() {
            let copies = self.copies(zone, owners);
            if !(low..=high).contains(&copies) {
                return Err(format!("{copies} copies in zone {zone}, not {low} to {high}"));
            }
        }
        Ok(())
    }
}

/// What a member's next slot costs; the least is served first.
#[derive(PartialEq, Eq)]
struct Bid {
    member: usize,
    load: u32,
    weight: u32,
    /// Whether the slot is more than the member holds today, so that it must be moved.
    fresh: bool,
}

impl Ord for Bid {
    /// By (load + 1)² - load² over weight; then slots that need no move; then the list's order.
    fn cmp(&self, other: &Self) -> Ordering {
        let price = |a: &Self, b: &Self| u64::from(2 * a.load + 1) * u64::from(b.weight);
        let ties = (self.fresh, self.member).cmp(&(other.fresh, other.member));
        price(self, other).cmp(&price(other, self)).then(ties)
    }
}

impl PartialOrd for Bid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Returns the fairest loads the rules allow, nearest to `held` among equally fair ones.
///
/// Exact: the costs are convex and the limits nested (slots in a member in a zone in the ring), so
/// that taking the cheapest next slot is best. Zones are filled to their least first.
pub(super) fn fair_loads(
    partitions: u32,
    replicas: usize,
    candidates: &[Option<Candidate>],
    zones: &Zones,
    held: &[u32],
) -> Vec<u32> {
    let mut loads = vec![0; candidates.len()];
    let mut room = vec![0; zones.low.len()];
    let mut left = partitions as usize * replicas;
    let mut filled = vec![0; zones.low.len()];
    for copies in [&zones.low, &zones.high] {
        for (zone, room) in room.iter_mut().enumerate() {
            *room = copies[zone] * partitions as usize - filled[zone];
        }
        let bid = |member: usize, load: u32| {
            let weight = candidates[member].as_ref()?.weight;
            Some(Reverse(Bid { member, load, weight, fresh: load >= held[member] }))
        };
        let mut bids: BinaryHeap<_> = (0..loads.len()).filter_map(|m| bid(m, loads[m])).collect();
        while left > 0
            && let Some(Reverse(Bid { member, load, .. })) = bids.pop()
        {
            let zone = zones.of[member].expect("only candidates bid");
            if room[zone] == 0 || load == partitions {
                continue;
            }
            (room[zone], filled[zone], left) = (room[zone] - 1, filled[zone] + 1, left - 1);
            loads[member] += 1;
            bids.extend(bid(member, load + 1));
        }
    }
    assert_eq!(left, 0, "as many candidates as replicas can hold every copy");
    loads
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(zones: &[usize]) -> Vec<Option<Candidate>> {
        let node = |&zone: &usize| Some(Candidate { zone: format!("z{zone}"), weight: 1 });
        zones.iter().map(node).collect()
    }

    fn small() -> Layout {
        Layout::new(2, vec![0, 1, 1, 2, 2, 0, 0, 1, 1, 3, 2, 0, 0, 1, 3, 2])
    }

    #[test]
    fn counts_moves_and_substitutes() {
        let layout = small();
        assert_eq!((layout.partitions(), layout.replicas()), (8, 2));
        assert_eq!(layout.owners(4), [1, 3]);
        assert_eq!(layout.loads(4), [5, 5, 4, 2]);
        assert_eq!(layout.firsts(4), [3, 2, 2, 1]);
        assert_eq!(layout.moves(&layout), 0);
        let other = layout.substitute(3, 4);
        assert_eq!(other.owners(7), [4, 2]);
        assert_eq!(other.moves(&layout), 2);
    }

    #[test]
    fn preference_walks_the_circle_once() {
        let layout = small();
        assert_eq!(layout.preference(0).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(layout.preference(7).collect::<Vec<_>>(), [3, 2, 0, 1]);
        assert_eq!(layout.preference(4).collect::<Vec<_>>(), [1, 3, 2, 0]);
    }

    #[test]
    fn zones_are_filled_as_water() {
        let bounds = |replicas, sizes: &[usize]| {
            let of: Vec<usize> =
                sizes.iter().enumerate().flat_map(|(zone, &n)| vec![zone; n]).collect();
            let zones = Zones::new(replicas, &zoned(&of));
            zones.low.into_iter().zip(zones.high).collect::<Vec<_>>()
        };
        assert_eq!(bounds(3, &[4, 4, 4, 4]), [(0, 1); 4]);
        assert_eq!(bounds(3, &[4, 4, 4]), [(1, 1); 3]);
        assert_eq!(bounds(3, &[4, 4]), [(1, 2); 2]);
        assert_eq!(bounds(3, &[4]), [(3, 3)]);
        assert_eq!(bounds(5, &[1, 4, 4]), [(1, 1), (2, 2), (2, 2)]);
        assert_eq!(bounds(5, &[1, 1, 9]), [(1, 1), (1, 1), (3, 3)]);
        assert_eq!(bounds(4, &[2, 2, 2]), [(1, 2); 3]);
    }

    #[test]
    fn check_names_the_broken_rule() {
        let free = zoned(&[0, 1, 2, 3]);
        assert_eq!(small().check(&free), Ok(()));
        let crowded = zoned(&[0, 0, 1, 2]);
        assert_eq!(
            small().check(&crowded),
            Err("partition 0: 2 copies in zone 0, not 0 to 1".into())
        );
        let gone = [free[0].clone(), free[1].clone(), free[2].clone(), None];
        assert_eq!(small().check(&gone), Err("partition 4: member 3 may own nothing".into()));
        let twice = Layout::new(2, [0, 1].repeat(7).into_iter().chain([2, 2]).collect());
        assert_eq!(twice.check(&free), Err("partition 7: member 2 stands twice".into()));
        assert!(Layout::new(2, vec![0; 12]).check(&free).is_err());
    }

    #[test]
    fn a_broken_table_is_not_read() {
        let bytes = postcard::to_stdvec(&small()).unwrap();
        assert_eq!(postcard::from_bytes::<Layout>(&bytes).unwrap(), small());
        for broken in [(0_u8, vec![1_u16, 2]), (3, vec![1, 2]), (3, vec![])] {
            let bytes = postcard::to_stdvec(&broken).unwrap();
            assert!(postcard::from_bytes::<Layout>(&bytes).is_err());
        }
    }
}
