//! Many lists in virtual time: how fast news travels, how soon the dead are missed, and whether the
//! living are.
//!
//! ```text
//! cargo test --test gossip -- --nocapture                          prints what it measured
//! KVS_GOSSIP_WATCHED=100 cargo test --release --test gossip …      watches all hundred nodes
//! ```
//!
//! A merge treats every row by itself, so what is asked about one member does not depend on the rows
//! of others: only the rows in question travel here. That is all that makes a thousand lists cheap.
#![allow(unreachable_pub, reason = "modules of a test")]
#![allow(clippy::print_stderr, reason = "a test says what it found")]
#![allow(clippy::disallowed_methods, reason = "how many to watch is told by the environment")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use kvs::clock::Actor;
use kvs::gossip::{Gossip, GossipRow, NodeHealth};
use kvs::ring::NodeId;

use crate::support::rng::Rng;

fn row(place: usize) -> GossipRow {
    let (id, address) = (NodeId(place as u64), format!("10.0.0.{place}:4801"));
    let (actor, health) = (Actor(id.0), NodeHealth::Well);
    GossipRow { id, generation: 1_700_000_000_000, beat: 0, address, actor, version: 1, health }
}

fn ids(count: usize) -> Vec<NodeId> {
    (0..count as u64).map(NodeId).collect()
}

fn place(id: NodeId) -> usize {
    id.0 as usize
}

// --------------------------------------------------------------------------------------- rounds

/// Rounds until every node knows a new version of the ring. All act at the same moment on what they
/// knew at the end of the round before, so that news takes one hop in a round and no more.
fn rounds_to_tell(nodes: usize, seed: u64) -> u64 {
    let all = ids(nodes);
    let mut lists: Vec<Gossip> =
        (0..nodes).map(|i| Gossip::new(row(i), seed << 32 | i as u64, 0)).collect();
    let source = NodeId(seed % nodes as u64);
    lists[place(source)].set(|row| row.version = 2);
    for round in 1.. {
        exchange(&mut lists, &all, source, round * 1000);
        if lists.iter().all(|list| list.own().version == 2) {
            return round;
        }
        assert!(round < 100, "seed {seed}: news stopped spreading");
    }
    unreachable!()
}

/// One round: pushes, the answers to them, and what a node does when it hears of a newer ring.
fn exchange(lists: &mut [Gossip], all: &[NodeId], source: NodeId, now: u64) {
    let mut pushes = Vec::new();
    for list in lists.iter_mut() {
        let to: Vec<NodeId> =
            [0, 340, 680].into_iter().flat_map(|ms| list.tick(now + ms, all)).collect();
        pushes.extend(to.into_iter().map(|to| (list.own().id, to, list.rows())));
    }
    // Who answers knows nothing yet of what it is pushed itself in this round.
    let known: Vec<Vec<GossipRow>> = lists.iter().map(Gossip::rows).collect();
    let mut heard: Vec<Vec<GossipRow>> = vec![Vec::new(); lists.len()];
    for (from, to, rows) in pushes {
        let mut answerer = Gossip::new(known[place(to)][0].clone(), 0, now);
        answerer.merge(to, known[place(to)].clone(), now);
        heard[place(from)].extend(answerer.merge(from, rows.clone(), now));
        heard[place(to)].extend(rows);
    }
    for (list, rows) in lists.iter_mut().zip(heard) {
        let newest = rows.iter().map(|row| row.version).max().unwrap_or(0);
        list.merge(list.own().id, rows, now);
        list.retain(|id| id == source);
        list.set(|row| row.version = row.version.max(newest));
    }
}

#[test]
fn a_thousand_nodes_learn_of_a_ring_within_twelve_rounds() {
    let mut distribution = BTreeMap::new();
    for seed in 0..20 {
        *distribution.entry(rounds_to_tell(1000, seed)).or_insert(0) += 1;
    }
    eprintln!("1,000 nodes, rounds until all know -> seeds: {distribution:?}");
    assert!(*distribution.keys().max().unwrap() <= 12, "{distribution:?}");
}

// -------------------------------------------------------------------------------------- silence

enum Event {
    Tick(usize),
    Push { from: usize, to: usize, rows: Vec<GossipRow> },
    Answer { from: usize, to: usize, rows: Vec<GossipRow> },
}

/// Nodes that tick when they get to it, on a network that delays and loses.
struct World {
    rng: Rng,
    now: u64,
    /// By time, then by order.
    events: BTreeMap<(u64, u64), Event>,
    count: u64,
    lists: Vec<Gossip>,
    linked: Vec<Vec<NodeId>>,
    dead: Option<usize>,
    /// Only rows of these travel.
    watched: Vec<usize>,
}

impl World {
    fn new(nodes: usize, seed: u64, watched: Vec<usize>) -> Self {
        let mut rng = Rng(seed);
        let (mut lists, mut linked) = (Vec::new(), Vec::new());
        let mut starts = Vec::new();
        for i in 0..nodes {
            starts.push(rng.below(1000));
            lists.push(Gossip::new(row(i), rng.next(), starts[i]));
            linked.push(ids(nodes).into_iter().filter(|id| place(*id) != i).collect());
        }
        let (events, dead) = (BTreeMap::new(), None);
        let mut world = Self { rng, now: 0, events, count: 0, lists, linked, dead, watched };
        starts.into_iter().enumerate().for_each(|(i, ms)| world.at(ms, Event::Tick(i)));
        world
    }

    fn at(&mut self, ms: u64, event: Event) {
        self.count += 1;
        self.events.insert((ms, self.count), event);
    }

    /// A message takes up to 200 ms; one in a hundred never comes.
    fn send(&mut self, event: Event) {
        let ms = self.now + self.rng.within(1, 200);
        if !self.rng.chance(10) {
            self.at(ms, event);
        }
    }

    fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.events.first_entry().filter(|e| e.key().0 <= end) {
            let ((ms, _), event) = entry.remove_entry();
            self.now = ms;
            self.step(event);
        }
        self.now = end;
    }

    fn step(&mut self, event: Event) {
        let now = self.now;
        let (Event::Tick(at) | Event::Push { to: at, .. } | Event::Answer { to: at, .. }) = event;
        if self.dead == Some(at) {
            return;
        }
        match event {
            Event::Tick(i) => {
                for to in self.lists[i].tick(now, &self.linked[i]) {
                    let rows = self.only_watched(self.lists[i].rows());
                    self.send(Event::Push { from: i, to: place(to), rows });
                }
                let next = now + self.rng.within(50, 200);
                self.at(next, Event::Tick(i));
            }
            Event::Push { from, to, rows } => {
                let better = self.lists[to].merge(NodeId(from as u64), rows, now);
                let rows = self.only_watched(better);
                self.send(Event::Answer { from: to, to: from, rows });
            }
            Event::Answer { from, to, rows } => {
                drop(self.lists[to].merge(NodeId(from as u64), rows, now));
            }
        }
    }

    fn only_watched(&self, mut rows: Vec<GossipRow>) -> Vec<GossipRow> {
        rows.retain(|row| self.watched.contains(&place(row.id)));
        rows
    }

    /// How many others take it to be down.
    fn suspecting(&self, member: usize) -> usize {
        let id = NodeId(member as u64);
        let others = self.lists.iter().filter(|list| list.own().id != id);
        others.filter(|list| !list.is_up(id, self.now)).count()
    }
}

/// After how many ms the others take a killed node to be down, sorted, over twenty seeds.
fn missed_after(nodes: usize) -> Vec<u64> {
    let mut all: Vec<u64> = (0..20).flat_map(|seed| missed_by_each(nodes, seed)).collect();
    all.sort_unstable();
    let at = |percent: usize| all[(all.len() - 1) * percent / 100];
    let in_time = all.partition_point(|ms| *ms <= 5000) as f64 / all.len() as f64 * 100.0;
    let (first, half, most, last) = (at(0), at(50), at(95), at(100));
    eprintln!(
        "{nodes} nodes, one killed: missed after {first} ms at first, {half} by half, {most} by \
         95 %, {last} by all; {in_time:.1} % within 5 s"
    );
    vec![half, most, last]
}

fn missed_by_each(nodes: usize, seed: u64) -> Vec<u64> {
    let victim = seed as usize % nodes;
    let mut world = World::new(nodes, seed, vec![victim]);
    let killed = 90_000 + world.rng.below(1000);
    world.run_until(killed);
    assert_eq!(world.suspecting(victim), 0, "seed {seed}: suspected while alive");
    world.dead = Some(victim);
    let mut missed = Vec::new();
    while missed.len() < nodes - 1 {
        world.run_until(world.now + 10);
        let ms = world.now - killed;
        assert!(ms < 60_000, "seed {seed}: only {} of {nodes} miss it", missed.len());
        missed.resize(missed.len().max(world.suspecting(victim)), ms);
    }
    missed
}

#[test]
fn the_dead_of_a_few_are_missed_by_all_within_five_seconds() {
    for nodes in [3, 5] {
        assert!(missed_after(nodes)[2] <= 5000);
    }
}

/// A silence of 3.6 to 4 s is suspect. It begins when the last beat arrives, among so many through
/// others and at the last few up to two seconds after the kill.
#[test]
fn the_dead_of_many_are_missed_within_seconds() {
    let missed = missed_after(100);
    assert!(missed[0] <= 4700 && missed[1] <= 5500 && missed[2] <= 6300);
}

#[test]
fn the_living_are_not_missed_in_twenty_minutes() {
    let watched = std::env::var("KVS_GOSSIP_WATCHED").map_or(2, |text| text.parse().unwrap());
    let mut world = World::new(100, 1, (0..watched).collect());
    let (mut worst, mut longest) = (0.0_f64, 0);
    for now in (10_000..=1_200_000).step_by(100) {
        world.run_until(now);
        for (list, of) in world.lists.iter().flat_map(|list| (0..watched).map(move |of| (list, of)))
        {
            let id = NodeId(of as u64);
            worst = worst.max(list.phi(id, now));
            longest = longest.max(list.silent_ms(id, now));
        }
    }
    eprintln!("100 nodes, 20 minutes: highest phi {worst:.2}, longest silence {longest} ms");
    assert!(worst < 8.0, "{worst}");
}
