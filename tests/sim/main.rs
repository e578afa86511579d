//! The simulator: thousands of rings in virtual time, each with its own mix of faults, judged by an
//! oracle that knows which write may be gone.
//!
//! ```text
//! KVS_SIM_SEEDS=2000 cargo test --profile sim --features planted --test sim
//! KVS_SIM_SEED=123   …   the same, one seed, with every event on stderr
//! KVS_SIM_MUTE=[late],[full]   without some of the oracle's findings, to see what else there is
//! KVS_SIM_WITHOUT=Lose,Rot     without some faults
//! KVS_SIM_AGED=0               with drivers that do not know how old a message is
//! ```
//!
//! `tests/support/world.rs` is the cluster, with `links.rs` (who finds out who is up, and how) and
//! `watch.rs` (what nodes say against what they have); `sim/plan.rs` is what a seed draws,
//! `sim/client.rs` the workload, `sim/chaos.rs` the faults, `sim/command.rs` the rounds without
//! servers, `sim/oracle.rs` the verdict.
#![allow(unreachable_pub, reason = "modules of a test")]
#![allow(clippy::print_stderr, reason = "a test says what it found")]
#![allow(clippy::disallowed_methods, reason = "a test has threads and an environment")]
#![allow(clippy::collapsible_match, reason = "the comment stands between the two questions")]

#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod client;
mod command;
mod oracle;
mod plan;
mod run;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kvs::planted::{self, Bug};

use self::run::Verdicts;
use crate::support::found_by::FOUND_BY;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 300;
const THREADS: u64 = 2;
/// Seeds for one planted bug: at a time, and at most.
const PLANTED_SEEDS: u64 = 4;
const PLANTED_SEEDS_MAX: u64 = 200;

/// Bugs that a hundred seeds must find so often.
const OFTEN: [(Bug, u64); 2] = [(Bug::DropHint, 5), (Bug::CountFallback, 5)];

/// What must happen in a run of many seeds, so often in a hundred seeds.
const LEAST: [(&str, u64); 23] = [
    ("puts acked", 20_000),
    ("puts acked, hinted", 200),
    ("puts unknown", 1_000),
    ("puts refused", 1_000),
    ("puts in conflict", 1_000),
    ("reads, strict", 5_000),
    ("reads", 3_000),
    ("crashed", 500),
    ("failed commits", 500),
    ("messages lost", 5_000),
    ("restored", 20),
    ("restored with sidecar", 10),
    ("record rotted", 50),
    ("replaced", 10),
    ("ring changes begun", 200),
    ("scans", 500),
    ("frozen", 50),
    ("messages held", 200),
    ("relinked", 20),
    ("hint rotted", 5),
    ("sum rotted", 10),
    ("ring row rotted", 10),
    ("identity rotted", 4),
];

/// A seed, and why it failed.
type Failure = (u64, String);

/// Runs one seed; a panic inside a node is a failure like any other.
fn try_seed(seed: u64) -> Verdicts {
    let outcome = catch_unwind(AssertUnwindSafe(|| run::run(seed, false)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let failure = Some(format!("panic: {}", text.unwrap_or_default()));
        Verdicts { failure, counts: BTreeMap::new(), log: 0, sim_ms: 0, trace: Vec::new() }
    })
}

/// Runs seeds on all threads with a bug planted or none; failures, sums, and simulated time.
fn run_seeds(
    seeds: Range<u64>,
    bug: Option<Bug>,
) -> (Vec<Failure>, BTreeMap<&'static str, u64>, u64) {
    let work = |thread: u64| {
        let seeds = seeds.clone();
        move || {
            planted::plant(bug);
            let mut failures = Vec::new();
            let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
            let mut sim_ms = 0;
            for seed in seeds.filter(|s| s % THREADS == thread) {
                let verdicts = try_seed(seed);
                if let Some(why) = verdicts.failure.as_ref().filter(|_| bug.is_none()) {
                    // At once: a run of many seeds takes long.
                    eprintln!("seed {seed}: {}", why.lines().next().unwrap_or_default());
                }
                failures.extend(verdicts.failure.map(|why| (seed, why)));
                verdicts.counts.iter().for_each(|(k, n)| *counts.entry(k).or_default() += n);
                sim_ms += verdicts.sim_ms;
            }
            (failures, counts, sim_ms)
        }
    };
    let threads: Vec<_> = (0..THREADS).map(|t| std::thread::spawn(work(t))).collect();
    let mut all = (Vec::new(), BTreeMap::new(), 0);
    for thread in threads {
        let (failures, counts, sim_ms) = thread.join().expect("a thread of seeds");
        all.0.extend(failures);
        counts.into_iter().for_each(|(k, n)| *all.1.entry(k).or_default() += n);
        all.2 += sim_ms;
    }
    all.0.sort();
    all
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn seeds() {
    if let Some(seed) = number("KVS_SIM_SEED") {
        let verdicts = run::run(seed, true);
        verdicts.trace.iter().for_each(|line| eprintln!("{line}"));
        eprintln!("{:#?}", verdicts.counts);
        assert_eq!(verdicts.failure, None);
        return;
    }
    let seeds = number("KVS_SIM_SEEDS").unwrap_or(SEEDS);
    let from = number("KVS_SIM_FROM").unwrap_or(0);
    let (failures, counts, sim_ms) = run_seeds(from..from + seeds, None);
    eprintln!("{seeds} seeds, {} simulated hours", sim_ms / 3_600_000);
    counts.iter().for_each(|(what, n)| eprintln!("{n:>10}  {what}"));
    for (seed, why) in failures.iter().take(number("KVS_SIM_SHOW").unwrap_or(20) as usize) {
        eprintln!("seed {seed}: {why}");
        eprintln!(
            "    KVS_SIM_SEED={seed} cargo test --profile sim --features planted --test sim seeds"
        );
    }
    if seeds >= SEEDS {
        // A simulator in which nothing happens proves nothing: so much per seed, at the least.
        for (what, least) in LEAST {
            let n = counts.get(what).copied().unwrap_or(0);
            assert!(n * 100 >= seeds * least, "only {n} times {what} in {seeds} seeds");
        }
        assert!(sim_ms / seeds >= 600_000, "less than ten simulated minutes a seed");
    }
    assert!(failures.is_empty(), "{} of {seeds} seeds failed", failures.len());
}

/// The same seed gives the same run.
#[test]
fn a_seed_runs_the_same_twice() {
    for seed in (0..200).step_by(20) {
        let (first, second) = (run::run(seed, false), run::run(seed, false));
        assert_eq!((first.log, first.sim_ms), (second.log, second.sim_ms), "seed {seed}");
        assert_ne!(first.log, run::run(seed + 1, false).log);
    }
}

/// Each deliberate bug is found, and in how many seeds. Those of [`FOUND_BY`] are found by a script of
/// `tests/cases`; all others here, those of [`OFTEN`] in so many of a hundred seeds.
#[test]
fn planted_bugs_are_found() {
    let only = std::env::var("KVS_SIM_BUG").ok();
    // The whole table: KVS_SIM_TABLE=100 seeds for every bug, however often it is found.
    let table = number("KVS_SIM_TABLE");
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let name = format!("{bug:?}");
        if only.as_ref().is_some_and(|only| !only.split(',').any(|o| o == name)) {
            continue;
        }
        let case = FOUND_BY.iter().find(|c| c.0 == bug).map(|c| c.1);
        let least = OFTEN.iter().find(|o| o.0 == bug).map_or(1, |o| o.1);
        let most = table.unwrap_or(if case.is_some() { 0 } else { PLANTED_SEEDS_MAX });
        let (found, seeds) = hunt(bug, least, most, table.is_some());
        let first = found.first().map(|(seed, why)| {
            let line = why.lines().next().unwrap_or_default();
            format!("first in {seed}: {}", line.chars().take(110).collect::<String>())
        });
        let of = format!("{:>3} of {seeds}", found.len());
        let by = first.or(case.map(|c| format!("case {c}"))).unwrap_or_default();
        eprintln!("{name:<22} {of:<11} {by}");
        let enough = found.len() as u64 >= least && found.len() as u64 * 100 >= least * seeds;
        if case.is_none() && !(enough || least == 1 && !found.is_empty()) {
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "not found, or too seldom: {missed:?}");
}

/// Runs seeds until the bug was found so often, or all of them.
fn hunt(bug: Bug, least: u64, most: u64, all: bool) -> (Vec<Failure>, u64) {
    let (mut found, mut seeds) = (Vec::new(), 0);
    while seeds < most && (all || (found.len() as u64) < least) {
        let next = (seeds + PLANTED_SEEDS).min(most);
        let failures = run_seeds(seeds..next, Some(bug)).0;
        // What is red without the bug is no finding of it.
        planted::plant(None);
        found.extend(failures.into_iter().filter(|f| try_seed(f.0).failure.is_none()));
        seeds = next;
    }
    (found, seeds)
}
