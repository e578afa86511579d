//! Runs `testdata/push-plan/*.txt`: facts of a fleet above `----`, the phases of its plan below.
//!
//! ```text
//! # One member is down: it is started and proven, and no other is touched.
//!
//! ring: answers
//! n1: member, runs new
//! n2: member, stopped new
//! n3: member, runs new
//! ----
//! start what is down
//!   n2: try new, start, see it up, in sync and equal
//! prune
//!   n2: remove old releases
//! ```
//!
//! An empty line ends a situation; a file may have several, each with lines of comment before it.
//! `UPDATE=1 cargo test --lib push::plan` rewrites what is below the dashes: read the difference before
//! keeping it. What a line above may say is in [`super::look`].

use std::fmt::Write as _;
use std::path::Path;

use super::super::{FleetFacts, PhaseKind, Plan, may_begin, may_found};
use super::look::Look;
use crate::error::Result;

/// What a reader is shown: the phases, and which hosts nothing is done on.
fn told(look: &Look, plan: &Plan<'_>) -> String {
    let (mut text, facts) = (String::new(), look.facts());
    match allowed(look, &facts, plan) {
        Ok(()) if plan.phases.is_empty() => text.push_str("nothing to do\n"),
        Ok(()) => text += &plan.to_string(),
        Err(error) => writeln!(text, "refused: {error}").expect("a String takes all"),
    }
    for host in &plan.hosts {
        let line = match plan.verdicts.get(host.name.as_str()) {
            None => "cannot be looked at".into(),
            Some(verdict) if verdict.refused.is_some() => plan.line(&host.name).unwrap_or_default(),
            Some(verdict) if verdict.warnings.is_empty() => continue,
            Some(verdict) => format!("warning: {}", verdict.warnings.join("; ")),
        };
        writeln!(text, "{}: {line}", host.name).expect("a String takes all");
    }
    text
}

/// Whether the executor would walk the plan at all.
fn allowed(look: &Look, facts: &FleetFacts<'_>, plan: &Plan<'_>) -> Result<()> {
    if facts.doc.is_none() && !plan.phases.is_empty() {
        may_begin(facts, &plan.busy())?;
    }
    match plan.phases.first() {
        Some(phase) if phase.kind == PhaseKind::Bootstrap => {
            let founders: Vec<_> = phase.hosts.iter().map(|host| host.name).collect();
            may_found(&look.fleet, facts, &founders)
        }
        _ => Ok(()),
    }
}

/// All situations in which a push goes ahead, each with its place.
pub(super) fn situations() -> Vec<(String, Look)> {
    let mut all = Vec::new();
    for (file, script) in scripts() {
        for (number, situation) in (1..).zip(script.split("\n\n").filter(|s| s.contains(": "))) {
            let facts = situation.lines().take_while(|line| *line != "----");
            let facts: Vec<_> = facts.filter(|line| !line.starts_with('#')).collect();
            if facts.is_empty() {
                continue;
            }
            let look = Look::parse(&facts);
            if allowed(&look, &look.facts(), &look.plan()).is_ok() {
                all.push((format!("{}, situation {number}", file.display()), look));
            }
        }
    }
    all
}

/// One script with the answers it gets, and the line of each situation whose answer was another.
fn play(script: &str) -> (String, Vec<usize>) {
    let (mut text, mut wrong) = (String::new(), Vec::new());
    let mut lines = script.lines().enumerate().peekable();
    while lines.peek().is_some() {
        let above: Vec<_> = lines.by_ref().take_while(|(_, line)| *line != "----").collect();
        above.iter().for_each(|(_, line)| text += &format!("{line}\n"));
        let facts = above.iter().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let facts: Vec<_> = facts.collect();
        let Some((at, _)) = facts.first() else { break };
        let look = Look::parse(&facts.iter().map(|(_, line)| *line).collect::<Vec<_>>());
        let answer = told(&look, &look.plan());
        let below = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.is_empty());
        let expected: String = below.map(|line| format!("{line}\n")).collect();
        if expected != answer {
            wrong.push(at + 1);
        }
        let gap = if lines.peek().is_some() { "\n" } else { "" };
        text += &format!("----\n{answer}{gap}");
    }
    (text, wrong)
}

/// Every script, by its name.
fn scripts() -> Vec<(std::path::PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/push-plan");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|f| f.extension().is_some_and(|x| x == "txt")).collect();
    files.sort();
    assert!(!files.is_empty(), "no script, so nothing was tested");
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn each_situation_leads_to_the_phases_that_are_written_below_it() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    for (file, script) in scripts() {
        let name = file.display();
        assert!(script.starts_with("# "), "{name}:1: begin with a line `# what this file shows`");
        let (text, wrong) = play(&script);
        if update {
            std::fs::write(&file, text).unwrap();
            continue;
        }
        assert!(
            wrong.is_empty(),
            "{name}: not the plan of the situations at lines {wrong:?}; `UPDATE=1` takes the new \
             ones:\n{text}"
        );
    }
}

/// A script that expects another plan is a failure, and is rewritten to the right one.
#[test]
fn a_wrong_expectation_fails() {
    let look = "# One is down.\n\nring: answers\nn1: member, runs new\nn2: member, stopped new\n";
    let right = "start what is down\n  n2: try new, start, see it up, in sync and equal\n\
                 prune\n  n2: remove old releases\n";
    let script = |plan: &str| format!("{look}----\n{plan}\n{look}----\n{right}");
    assert_eq!(play(&script(right)), (script(right), vec![]));
    for wrong in ["nothing to do\n", &right.replace("start,", "restart,"), ""] {
        assert_eq!(play(&script(wrong)), (script(right), vec![3]), "{wrong}");
    }
}

#[test]
#[should_panic(expected = "no such fact: \"asleep\"")]
fn a_fact_that_nobody_knows_is_a_failure() {
    play("# p\nring: answers\nn1: member, asleep\n----\n");
}
