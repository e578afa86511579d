//! `kvs scale`: adds a spare host when the load asks for it, and takes it back when it does not.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::channel::p99;
use kvs::error::Error;
use kvs::os::wall_ms;
use kvs::push::scale::{Condition, Decision, Look, Sample, ScaleMemory, ScaleVerb, decide, words};
use kvs::push::{self, Fleet, RolloutReport};
use serde_json::{Value, json};

use crate::common::{Common, patience};
use crate::exit::{Done, Fail, Outcome};
use crate::push::fleet::{Run, Which, no_rehearsal};
use crate::push::here;
use crate::ring::change::sure;
use crate::ui::Ui;

/// Add a spare host to the ring, or take one back, by load
///
/// Measures the nodes for a while, compares requests, latency, bytes and disk with the targets in
/// the inventory's section `scale`, and adds the first free spare or takes the last one back: one
/// at a time, never while a change is under way or a member is down or filling, not again before
/// the cool-down ends. Prints a row per member, then the decision and its reason. On a terminal it
/// asks for confirmation. With --dry-run it changes nothing, and exits 1 when it would.
///
/// Made for cron: */5 * * * * kvs scale /etc/kvs/fleet.yaml >/dev/null. There it needs kvs in
/// cron's PATH (or its full path), HOME or XDG_STATE_HOME to remember its decisions, the ring's key
/// beside the inventory, and for SSH a key file without a passphrase, as cron has no agent.
///
/// Example: kvs scale fleet.yaml --dry-run
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The inventory; see kvs-fleet(5)
    #[arg(value_name = "FLEET")]
    fleet: PathBuf,
    /// How long to measure, instead of the time in the inventory
    #[arg(long, value_name = "TIME", value_parser = patience)]
    window: Option<Duration>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print the decision and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    no_rehearsal(common)?;
    let fleet = Fleet::read(&args.fleet, &here::me())?;
    let rules = fleet.scale.as_ref().ok_or_else(|| {
        let file = args.fleet.display();
        Error::Usage(format!("{file} has no section scale; nothing was done."))
            .hint("kvs-fleet(5) describes it")
    })?;
    let memory = memory(ui, &fleet, args)?;
    let look = Look::at(&fleet, args.window.unwrap_or(rules.window), common.timeout)?;
    look.silent.iter().for_each(|why| ui.warn(why));
    let (known, now) = (memory.as_ref().map(|m| &m.1), wall_ms());
    let too_slow = known.map(|m| m.too_slow(now)).unwrap_or_default();
    let failed = known.map(|m| m.failed(now)).unwrap_or_default();
    let age = known.and_then(|m| m.age(now));
    let decision = decide(rules, &look.sight(age, &too_slow, &failed));
    let name = match &decision.verb {
        ScaleVerb::Grow(name) | ScaleVerb::Shrink(name) if !args.dry_run => name,
        verb => {
            show(ui, &look.members, &decision)?;
            if *verb == ScaleVerb::Stay {
                return Ok(Done::Yes);
            }
            ui.note("nothing was changed");
            return Ok(Done::No);
        }
    };
    let mut run = begin(ui, common, args, name)?;
    if ui.is_json() {
        run.frame = Some(object(&look.members, &decision)); // told as one, at the end
    } else {
        show(ui, &look.members, &decision)?;
    }
    if !args.yes && std::io::stdin().is_terminal() {
        sure(ui, false, "Proceed?")?;
    }
    let Some((path, before)) = memory else { return Err(forgetful().into()) };
    let mut memory = before.clone();
    memory.changed(&decision, wall_ms());
    memory.write(&path)?; // before anything is changed: a run cut short is a change too
    let report = match carry_out(&mut run, &decision.verb) {
        Ok(report) => report,
        Err(error) => {
            before.write(&path)?; // nothing was begun
            return Err(error.into());
        }
    };
    match report.changed {
        true => memory.changed(&decision, wall_ms()),
        false => memory = before,
    }
    if report.hosts.iter().any(|host| host.name == *name && host.fault.is_some()) {
        memory.has_failed(name, wall_ms());
    }
    memory.write(&path)?;
    run.told(ui, report)
}

/// A run on the one host concerned. Others are not touched, not even upgraded.
fn begin(ui: &mut Ui, common: &Common, args: &Args, name: &str) -> Result<Run, Fail> {
    let which = Which { fleet: args.fleet.clone(), only: vec![name.to_owned()] };
    Run::begin(ui, common, &which, "scale", true)
}

/// Has it joined, or left.
fn carry_out(run: &mut Run, verb: &ScaleVerb) -> Result<RolloutReport, Error> {
    if let ScaleVerb::Shrink(name) = verb {
        let session = run.session()?;
        return run.work(|| push::shrink(session, name));
    }
    run.options.join.clone_from(&run.options.only);
    let session = run.session()?;
    run.work(|| push::apply(session))
}

/// What earlier runs left, and where. A decision that is carried out must be remembered.
fn memory(
    ui: &mut Ui,
    fleet: &Fleet,
    args: &Args,
) -> Result<Option<(PathBuf, ScaleMemory)>, Error> {
    let Some(state) = here::state(&here::me()) else {
        if args.dry_run {
            ui.warn("earlier changes are unknown: XDG_STATE_HOME and HOME are not set");
            return Ok(None);
        }
        return Err(forgetful());
    };
    let path = state.join(&fleet.ring).join("scale.yaml");
    let (memory, warning) = ScaleMemory::read(&path, wall_ms())?;
    ui.warn_all(warning.into_iter().collect());
    Ok(Some((path, memory)))
}

fn forgetful() -> Error {
    let text = "Changes cannot be remembered: neither XDG_STATE_HOME nor HOME is set. Nothing was \
                changed.";
    Error::Denied(text.into()).hint("set one of them in the crontab, or use --dry-run")
}

fn show(ui: &mut Ui, members: &[Sample], decision: &Decision) -> Result<(), Fail> {
    if ui.is_json() {
        ui.json(&object(members, decision))?;
        return Ok(());
    }
    let verb = verb(decision).0;
    let rows: Vec<_> = members.iter().map(row).collect();
    ui.rows(&["member", "state", "requests/s", "p99", "bytes", "disk"], &rows)?;
    ui.line(&format!("{verb}: {}", decision.reason))?;
    Ok(())
}

/// What is decided in one word, and about whom.
fn verb(decision: &Decision) -> (&'static str, Option<&String>) {
    match &decision.verb {
        ScaleVerb::Grow(name) => ("grow", Some(name)),
        ScaleVerb::Shrink(name) => ("shrink", Some(name)),
        ScaleVerb::Stay => ("stay", None),
    }
}

fn object(members: &[Sample], decision: &Decision) -> Value {
    let (verb, host) = verb(decision);
    let figures = decision.figures.iter().map(
        |figure| json!({"name": figure.name(), "value": figure.value, "target": figure.target}),
    );
    json!({
        "schema": "kvs.scale/1", "decision": verb, "host": host, "reason": decision.reason,
        "figures": figures.collect::<Vec<_>>(),
        "members": members.iter().map(of_member).collect::<Vec<_>>(),
    })
}

fn state(sample: &Sample) -> &'static str {
    match sample.condition {
        Condition::Well => "well",
        Condition::Down => "down",
        Condition::Filling => "filling",
    }
}

fn row(sample: &Sample) -> Vec<String> {
    let since = sample.loads.as_ref().map(|(before, after)| after.since(before));
    let cell = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let load = since.as_ref();
    let slowest = load.and_then(|load| p99([load]).0);
    vec![
        sample.name.clone(),
        state(sample).into(),
        cell(load.and_then(|l| l.rate()).map(words::number)),
        cell(slowest.map(|took| words::latency(took.as_secs_f64()))),
        cell(load.map(|l| words::bytes(l.bytes as f64))),
        cell(load.and_then(|l| l.disk_used()).map(words::percent)),
    ]
}

fn of_member(sample: &Sample) -> Value {
    let since = sample.loads.as_ref().map(|(before, after)| after.since(before));
    let load = since.as_ref();
    json!({
        "name": sample.name, "state": state(sample),
        "requests_per_s": load.and_then(|l| l.rate()),
        "requests": load.map(|l| l.requests.to_string()),
        "refused": load.map(|l| l.refused.to_string()),
        "failed": load.map(|l| l.failed.to_string()),
        "p99_ms": load.and_then(|l| p99([l]).0).map(|took| took.as_secs_f64() * 1e3),
        "bytes": load.map(|l| l.bytes.to_string()),
        "disk_used": load.and_then(|l| l.disk_used()),
    })
}
