//! How well the planner places partitions, beside two classics: `cargo bench --bench placement`.
//!
//! Three replicas, no zones, 3 to 100 nodes, all of weight 1 or of weights 1 to 4. `over` and
//! `under` say how far the worst nodes are from their fair share (by weight, a node holding at most
//! one copy of everything). One node joins, then another leaves; `moved` is in copies of a 1024th
//! of the data, `x least` relates it to what the scheme's own loads make unavoidable. Slots are
//! whole: at 100 nodes a fair share of 30.72 of them leaves some node 2.3 % short.
//!
//! ```text
//!   kvs           the planner: 1024 partitions
//!   vnodes-16     16 tokens per unit of weight on the circle, the next three nodes clockwise
//!   vnodes-256    the same with 256; both computed for the whole circle, not sampled
//!   rendezvous    the three best of -weight / ln(hash(node, partition)), 1024 partitions
//! ```
//!
//! It measures placement, not speed. Caveat: the classics need no layout to be agreed upon; that is
//! what their unevenness buys.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]

use kvs::ring::{Candidate, Layout, plan};

const REPLICAS: usize = 3;
const PARTITIONS: u32 = 1024;

/// A node's weight, by index; `None` if it is not in the ring.
type Nodes = [Option<u32>];
/// Who owns what, scheme by scheme: ends of arcs of the circle in order, each with its owners.
type Placed = Vec<(u64, Vec<u16>)>;

fn main() {
    println!(
        "{:>5} {:>7} {:<10} {:>7} {:>7} {:>11} {:>7} {:>12} {:>7}",
        "nodes",
        "weights",
        "scheme",
        "over",
        "under",
        "join moved",
        "x least",
        "leave moved",
        "x least"
    );
    for n in [3, 4, 5, 8, 12, 20, 50, 100] {
        for weighted in [false, true] {
            let weight = |i: u32| if weighted { 1 + i * 7 % 4 } else { 1 };
            let all: Vec<_> = (0..=n).map(|i| Some(weight(i))).collect();
            let (mut before, mut after) = (all.clone(), all.clone());
            before[n as usize] = None;
            after[n as usize / 2] = None;
            let stages = [before, all, after];
            let label = format!("{n:>5} {:>7}", if weighted { "1 to 4" } else { "1" });
            row(&label, "kvs", &stages, planned(&stages));
            row(&label, "vnodes-16", &stages, stages.each_ref().map(|nodes| vnodes(nodes, 16)));
            row(&label, "vnodes-256", &stages, stages.each_ref().map(|nodes| vnodes(nodes, 256)));
            row(&label, "rendezvous", &stages, stages.each_ref().map(|nodes| rendezvous(nodes)));
        }
    }
}

/// Prints what a scheme makes of a ring, of a join and of a leave.
fn row(label: &str, scheme: &str, stages: &[Vec<Option<u32>>; 3], placed: [Placed; 3]) {
    let (over, under) = unevenness(&stages[0], &placed[0]);
    let (join, join_least) = moves(&placed[0], &placed[1], stages[0].len());
    let (leave, leave_least) = moves(&placed[1], &placed[2], stages[0].len());
    println!(
        "{label} {scheme:<10} {over:>6.1}% {under:>6.1}% \
         {join:>11.0} {:>7.2} {leave:>12.0} {:>7.2}",
        join / join_least,
        leave / leave_least
    );
}

fn planned(stages: &[Vec<Option<u32>>; 3]) -> [Placed; 3] {
    let mut last: Option<Layout> = None;
    stages.each_ref().map(|nodes| {
        let candidate = |(i, weight): (usize, &Option<u32>)| {
            weight.map(|weight| Candidate { zone: format!("zone{i}"), weight })
        };
        let candidates: Vec<_> = nodes.iter().enumerate().map(candidate).collect();
        let layout = plan(PARTITIONS, REPLICAS, &candidates, last.as_ref());
        let layout = last.insert(layout.expect("three nodes are enough for three replicas"));
        partitions(|partition| layout.owners(partition).to_vec())
    })
}

fn rendezvous(nodes: &Nodes) -> Placed {
    partitions(|partition| {
        let score = |(i, weight): (u16, &Option<u32>)| {
            let hash = (hash(i, u32::from(partition)) as f64 + 0.5) / 2_f64.powi(64);
            weight.map(|weight| (-f64::from(weight) / hash.ln(), i))
        };
        let mut scores: Vec<_> = (0..).zip(nodes).filter_map(score).collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        scores.into_iter().take(REPLICAS).map(|(_, node)| node).collect()
    })
}

fn partitions(owners: impl Fn(u16) -> Vec<u16>) -> Placed {
    let width = u64::MAX / u64::from(PARTITIONS) + 1;
    let arc = |p: u32| {
        let end = (u64::from(p) * width).wrapping_add(width - 1);
        (end, owners(u16::try_from(p).expect("1024 partitions")))
    };
    (0..PARTITIONS).map(arc).collect()
}

/// An arc ends at a token and belongs to the first distinct nodes from there on.
fn vnodes(nodes: &Nodes, tokens_per_weight: u32) -> Placed {
    let weights = (0..).zip(nodes).filter_map(|(i, weight)| Some((i, (*weight)?)));
    let token = |(i, weight)| (0..weight * tokens_per_weight).map(move |t| (hash(i, t), i));
    let mut tokens: Vec<(u64, u16)> = weights.flat_map(token).collect();
    tokens.sort_unstable();
    let owners = |start: usize| {
        let mut owners = Vec::with_capacity(REPLICAS);
        for &(_, node) in tokens[start..].iter().chain(&tokens) {
            if !owners.contains(&node) {
                owners.push(node);
            }
            if owners.len() == REPLICAS {
                break;
            }
        }
        owners
    };
    let mut arcs: Placed = (0..tokens.len()).map(|i| (tokens[i].0, owners(i))).collect();
    arcs.push((u64::MAX, owners(0)));
    arcs
}

/// The first 8 bytes of BLAKE3("node-number").
fn hash(node: u16, number: u32) -> u64 {
    let hash = blake3::hash(format!("{node}-{number}").as_bytes());
    u64::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// The arcs on which neither changes, in 1024ths of the circle, with the owners in both.
fn common<'a>(a: &'a Placed, b: &'a Placed) -> Vec<(f64, &'a [u16], &'a [u16])> {
    let (mut i, mut j, mut start) = (0, 0, 0_u64);
    let mut arcs = Vec::new();
    while i < a.len() && j < b.len() {
        let end = a[i].0.min(b[j].0);
        let length = (end - start) as f64 / 2_f64.powi(64) * f64::from(PARTITIONS);
        arcs.push((length, &*a[i].1, &*b[j].1));
        (i, j) = (i + usize::from(a[i].0 == end), j + usize::from(b[j].0 == end));
        start = end;
    }
    arcs
}

fn loads(placed: &Placed, members: usize) -> Vec<f64> {
    let mut loads = vec![0.0; members];
    for (length, owners, _) in common(placed, placed) {
        owners.iter().for_each(|&owner| loads[usize::from(owner)] += length);
    }
    loads
}

/// The copies moved, and those that the loads make unavoidable.
fn moves(before: &Placed, after: &Placed, members: usize) -> (f64, f64) {
    let new = |(length, old, new): (f64, &[u16], &[u16])| {
        length * new.iter().filter(|owner| !old.contains(owner)).count() as f64
    };
    let moved = common(before, after).into_iter().map(new).sum();
    let gains = loads(before, members).into_iter().zip(loads(after, members));
    (moved, gains.map(|(old, new)| (new - old).max(0.0)).sum())
}

/// How far the most and the least loaded nodes are from their fair share, in per cent.
fn unevenness(nodes: &Nodes, placed: &Placed) -> (f64, f64) {
    let (mut over, mut under) = (0_f64, 0_f64);
    for (load, fair) in loads(placed, nodes.len()).into_iter().zip(fair(nodes)) {
        if fair > 0.0 {
            over = over.max((load / fair - 1.0) * 100.0);
            under = under.max((1.0 - load / fair) * 100.0);
        }
    }
    (over, under)
}

/// Shares by weight, none above one copy of everything, the overflow shared out again.
fn fair(nodes: &Nodes) -> Vec<f64> {
    let all = f64::from(PARTITIONS);
    let mut shares = vec![0.0; nodes.len()];
    loop {
        let full = shares.iter().filter(|&&share| share == all).count();
        let weight =
            |i: usize| if shares[i] == all { 0.0 } else { nodes[i].map_or(0.0, f64::from) };
        let weights: Vec<f64> = (0..nodes.len()).map(weight).collect();
        let unit = all * (REPLICAS - full) as f64 / weights.iter().sum::<f64>().max(1.0);
        for (share, weight) in shares.iter_mut().zip(weights).filter(|(_, weight)| *weight > 0.0) {
            *share = (unit * weight).min(all);
        }
        if shares.iter().filter(|&&share| share == all).count() == full {
            return shares;
        }
    }
}
