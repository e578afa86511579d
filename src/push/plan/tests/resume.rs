//! Resuming is planning again: a push is killed after each of its steps, in every situation of the
//! scripts, and what the next one plans leads to the same end.
//!
//! ```text
//! plan ── step 1 ── step 2 ── KILLED      look ── plan ── … ── nothing to do
//!                   for every such place
//! ```
//!
//! What a step does to a host is modelled here, not done. Caveat: the model's hosts never fail.

use std::collections::BTreeMap;

use super::super::{Phase, PhaseKind, Step, wanted};
use super::look::{Look, Ring, made};
use super::scripts::situations;
use crate::config;
use crate::push::remote::Service;

/// More plans than any run makes.
const PLANS_MAX: usize = 6;

/// What was done on which host.
type Done = BTreeMap<(String, &'static str), usize>;

/// Walks plan after plan until nothing is left to do, or so many steps are done.
fn run(look: &mut Look, steps_max: usize, done: &mut Done) -> usize {
    let mut count = 0;
    for _ in 0..PLANS_MAX {
        let phases: Vec<_> = look.plan().phases.iter().map(owned).collect();
        if phases.is_empty() {
            return count;
        }
        for (kind, hosts) in phases {
            if kind == PhaseKind::FinishChange {
                look.ring = Ring::Answers;
            }
            for column in ["reset", "upload", "make", "upgrade", "prove", "weigh", "prune"] {
                for (name, steps) in &hosts {
                    for step in steps.iter().filter(|step| column_of(step) == column) {
                        if count == steps_max {
                            return count;
                        }
                        count += 1;
                        *done.entry((name.clone(), name_of(step))).or_default() += 1;
                        let all: Vec<_> = hosts.iter().map(|(name, _)| name.clone()).collect();
                        effect(look, kind, &all, name, step);
                    }
                }
            }
            if kind.plans_again() {
                break;
            }
        }
    }
    panic!("it plans for ever: {}", look.plan());
}

type Owned = (PhaseKind, Vec<(String, Vec<Step>)>);

fn owned(phase: &Phase<'_>) -> Owned {
    let hosts = phase.hosts.iter().map(|host| (host.name.to_owned(), host.steps.clone()));
    (phase.kind, hosts.collect())
}

/// A step that is done once by whatever chain of runs; the others may be repeated.
fn name_of(step: &Step) -> &'static str {
    match step {
        Step::Upload(_) => "upload",
        Step::Weigh { .. } => "weigh",
        _ => "may be repeated",
    }
}

fn column_of(step: &Step) -> &'static str {
    match step {
        Step::RemoveDir => "reset",
        Step::Upload(_) | Step::TryRelease(_) => "upload",
        Step::MakeDir(_) => "make",
        Step::Upgrade(_) => "upgrade",
        Step::Prove => "prove",
        Step::Weigh { .. } => "weigh",
        Step::Prune => "prune",
    }
}

/// What a look finds after a step that it did not find before.
fn effect(look: &mut Look, kind: PhaseKind, all: &[String], name: &str, step: &Step) {
    let host = look.fleet.all().find(|host| host.name == name).expect("a host").clone();
    if let Step::MakeDir(_) = step {
        // The identities of all are asked for before the first directory is made.
        for name in all {
            look.hosts.get_mut(name).expect("facts").seeded = true;
        }
        if look.keys.is_empty() {
            look.keys = vec![[0xaa; 32]];
        }
    }
    let facts = look.hosts.get_mut(name).expect("facts");
    match step {
        Step::RemoveDir => {
            (facts.node_yaml, facts.ring_keys, facts.unborn) = (None, Vec::new(), false);
        }
        Step::Upload(release) => facts.releases.push((release.id.clone(), String::new())),
        Step::MakeDir(_) => {
            facts.unborn = facts.node_yaml.is_none() || facts.unborn;
            made(facts, &host);
        }
        Step::Upgrade(upgrade) => {
            facts.current = Some(upgrade.release.clone());
            facts.node_yaml = Some(config::text(&wanted(&host)).expect("a text"));
            (facts.service, facts.service_as_wanted) = (Service::Running(8), true);
            (facts.proving, facts.unborn, facts.seeded) = (true, false, false);
        }
        Step::Prove => facts.proving = false,
        Step::Weigh { to, .. } => look.members.get_mut(name).expect("a member").weight = *to,
        Step::TryRelease(_) | Step::Prune => {}
    }
    let ring_begins = matches!(kind, PhaseKind::Bootstrap | PhaseKind::WakeRing);
    match step {
        Step::Upgrade(_) if ring_begins => become_members(look, |look, name| {
            look.hosts.get(name).is_some_and(|facts| facts.node_yaml.is_some())
        }),
        Step::Prove if kind == PhaseKind::Join => become_members(look, |_, other| other == name),
        _ => {}
    }
    let runs = |name: &str| matches!(look.hosts[name].service, Service::Running(_));
    if look.members.contains_key(name) && runs(name) {
        look.up.insert(name.to_owned());
    }
}

/// Has hosts be members of a ring that answers.
fn become_members(look: &mut Look, is_member: impl Fn(&Look, &str) -> bool) {
    look.ring = Ring::Answers;
    let hosts: Vec<_> = look.fleet.all().cloned().collect();
    let hosts: Vec<_> = hosts.into_iter().filter(|host| is_member(look, &host.name)).collect();
    for host in hosts {
        if !look.members.contains_key(&host.name) || look.options.replace.contains(&host.name) {
            look.member(&host, host.weight);
        }
    }
}

#[test]
fn a_push_that_is_killed_after_any_step_is_finished_by_the_next() {
    let mut killed = 0;
    for (place, look) in situations() {
        let all = run(&mut look.clone(), usize::MAX, &mut Done::new());
        for steps in 0..=all {
            let (mut look, mut done) = (look.clone(), Done::new());
            run(&mut look, steps, &mut done);
            run(&mut look, usize::MAX, &mut done);
            let plan = look.plan();
            assert!(plan.phases.is_empty(), "{place}, killed after {steps} steps:\n{plan}");
            let twice = done.iter().find(|((_, step), n)| *step != "may be repeated" && **n > 1);
            assert_eq!(twice, None, "{place}, killed after {steps} steps");
            killed += 1;
        }
    }
    assert!(killed > 100, "only {killed} places");
}
