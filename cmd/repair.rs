//! `kvs repair`: makes all copies equal.

use clap::Args as ClapArgs;
use kvs::cluster::{Access, Cluster, GIVE_UP};
use kvs::error::{operand, option};
use kvs::key::Key;
use kvs::repair::{RepairOptions, Report, count, describe, repair};
use serde_json::json;

use crate::common::{Common, Scope, is_odd, key_parser, rebuild, stop_on_ctrl_c};
use crate::exit::{Done, Fail, Outcome};
use crate::ui::{Ui, counted};

/// Losses that are named one by one; more are counted.
const NAMED_MAX: usize = 10;

/// Make all copies equal
///
/// Delivers hints, syncs every node with every other, heals known damage and losses, and declares a
/// copy full when it has synced with enough full copies. At the end it compares the digests of all
/// owners. Exits 0 when all are equal and nothing is left to do; 7 when something is left, with
/// what to type next; 8 when data is lost or damaged and no other owner could heal it, until it is
/// healed or accepted. Ctrl-C stops between two nodes (7).
///
/// Example: kvs --ring r repair --verify
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Read every record first, to find damage
    #[arg(long)]
    verify: bool,
    /// Continue without this member for good: what only it holds may be lost
    #[arg(long, value_name = "NAME")]
    accept_missing: Vec<String>,
    /// Give up the damaged copies and hints of this key when no good one is left
    #[arg(long, value_name = "KEY", value_parser = key_parser())]
    accept_loss: Vec<Key>,
    /// Continue without everything lost or damaged that no other owner could heal; with
    /// --partition, only in that partition
    #[arg(long)]
    accept_losses: bool,
    /// Print how many keys differ between the nodes and change nothing; exits 1 when any differ, 7
    /// when a member is down
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let access = if args.dry_run { Access::Read } else { Access::Write };
    let mut cluster = common.open_these(ui, access, "repair", &args.scope.targets)?;
    if args.dry_run {
        return compare(ui, &cluster);
    }
    let only = args.scope.only(&cluster)?;
    let options = RepairOptions {
        partitions: only.map(|p| vec![p]),
        verify: args.verify,
        accept_missing: args.accept_missing.clone(),
        accept_loss: args.accept_loss.clone(),
        accept_losses: args.accept_losses,
        ..RepairOptions::default()
    };
    let stop = stop_on_ctrl_c()?;
    let bar = ui.progress("repair", Some(cluster.nodes().len() as u64));
    let report = repair(&mut cluster, &options, &mut |name, at, _| {
        bar.set_position(at as u64);
        bar.set_prefix(name.to_owned());
        !stop.load(std::sync::atomic::Ordering::Relaxed)
    });
    bar.finish_and_clear();
    ui.warn_all(cluster.warnings());
    ui.warn_all(cluster.unfit());
    told(ui, &cluster, &report?, args.verify)
}

fn told(ui: &mut Ui, cluster: &Cluster, report: &Report, verified: bool) -> Outcome {
    ui.has_applied("The repair was done as far as reported.");
    if ui.is_json() {
        ui.json(&object(report))?;
    } else {
        let Report { moved, hints, damaged, dropped, .. } = report;
        ui.note(&format!(
            "moved {}, delivered {}, found {}, dropped {}",
            counted(moved, "record"),
            counted(hints.0, "hint"),
            counted(damaged, "damaged record"),
            counted(dropped, "leftover copy")
        ));
    }
    if report.is_complete() {
        return Ok(Done::Yes);
    }
    if report.stopped {
        ui.say("stopped; what is done stays done. Continue: kvs repair");
    }
    tell_damage(ui, report, verified);
    tell_left(ui, cluster, report);
    let whole = report.missing.is_empty() && report.broken.is_empty() && !report.changing;
    let lossy = report.is_lossy() && whole && !report.stopped;
    Ok(if lossy { Done::Corrupt } else { Done::Partly })
}

fn object(report: &Report) -> serde_json::Value {
    let Report { hints, moved, damaged, filling, missing, dropped, stopped, changing, .. } = report;
    let filling: Vec<_> =
        filling.iter().map(|(name, n)| json!({"node": name, "partitions": n})).collect();
    let lost = report.lost.iter().map(
        |(name, p, l)| json!({"node": name, "partition": p.0, "records": l.records().to_string()}),
    );
    let bad = report.bad.iter().map(|(name, n)| json!({"node": name, "records": n}));
    let bad_hints = report.bad_hints.iter();
    let bad_hints = bad_hints.map(|(name, n)| json!({"node": name, "hints": n.to_string()}));
    let apart = report.apart.iter().map(|(a, b, n)| json!({"a": a, "b": b, "partitions": n}));
    json!({
        "schema": "kvs.repair/1", "complete": report.is_complete(), "stopped": stopped, "changing": changing,
        "moved": moved.to_string(), "damaged": damaged.to_string(), "dropped": dropped,
        "hints": {"delivered": hints.0.to_string(), "left": hints.1.to_string()},
        "filling": filling, "missing": missing, "broken": report.broken,
        "lost": lost.collect::<Vec<_>>(), "bad": bad.collect::<Vec<_>>(),
        "bad_hints": bad_hints.collect::<Vec<_>>(), "apart": apart.collect::<Vec<_>>(),
    })
}

/// What is lost or damaged, and what to do about it.
fn tell_damage(ui: &mut Ui, report: &Report, verified: bool) {
    for (name, p, loss) in report.lost.iter().take(NAMED_MAX) {
        ui.say(&format!("{name}: partition {p} {}", describe(*loss)));
    }
    if report.lost.len() > NAMED_MAX {
        ui.say(&format!("and {} more", counted(report.lost.len() - NAMED_MAX, "partition")));
    }
    for (name, n) in report.alone.iter().filter(|_| report.lost.is_empty()) {
        ui.say(&format!(
            "{name}: possible loss in {}, which no other node owns",
            counted(n, "partition")
        ));
    }
    for (name, n) in &report.bad {
        ui.say(&format!("{name}: {} not healed; see kvs verify", counted(n, "damaged record")));
    }
    for (name, n) in &report.bad_hints {
        ui.say(&format!("{name}: {} damaged or gone; see kvs verify", counted(n, "hint")));
    }
    let alone = report.missing.is_empty() && report.broken.is_empty();
    if report.is_lossy() && alone && !report.stopped {
        // What is lost for good shows only when everything was read, or when there is no other owner.
        let nobody_else = !report.alone.is_empty() && report.bad_hints.is_empty();
        ui.say(match verified || nobody_else {
            false => "read every record and heal what can be healed: kvs repair --verify",
            true => {
                "no other owner could heal them; restore a backup, or continue without them: \
                 kvs repair --accept-losses"
            }
        });
    }
}

/// What is left to do.
fn tell_left(ui: &mut Ui, cluster: &Cluster, report: &Report) {
    let Report { hints, filling, missing, .. } = report;
    for (name, partitions) in filling.iter().filter(|f| !report.alone.contains(f)) {
        let partitions = counted(partitions, "partition");
        ui.say(&format!("{name}: {partitions} still filling: too few full copies to sync with"));
    }
    for (a, b, partitions) in &report.apart {
        let partitions = counted(partitions, "partition");
        ui.say(&format!("{a} and {b} still differ in {partitions}: kvs repair"));
    }
    if hints.1 > 0 {
        let why = if missing.is_empty() { "do not accept them now" } else { "are down" };
        ui.say(&format!("{} waiting for members that {why}", counted(hints.1, "hint")));
    }
    for name in &report.broken {
        // Nobody is replaced while a change is under way.
        ui.say(&match report.changing {
            true => format!("{name}: its file is damaged, and the change waits for it; {GIVE_UP}"),
            false => format!("{name}: its file is damaged; rebuild it: {}", rebuild(cluster, name)),
        });
    }
    for name in missing.iter().filter(|name| !report.broken.contains(*name)) {
        let without = option("--accept-missing", name);
        if report.changing {
            ui.say(&format!(
                "{name} was missing, and the change waits for it: bring it back; {GIVE_UP}"
            ));
            continue;
        }
        if is_odd(cluster, name) {
            ui.say(&format!(
                "{name} was missing: fix its directory as the warning says and repair again; \
                 to continue without what only it holds: kvs repair {without}"
            ));
            continue;
        }
        if let Some(back) = cluster.way_back(name) {
            ui.say(&format!(
                "{name} was missing: an interrupted replace moved its directory aside; put it \
                 back and \
                 repair again: {back}"
            ));
            continue;
        }
        ui.say(&format!(
            "{name} was missing: bring it back and repair again, or kvs replace {}; \
             to continue without what only it holds: kvs repair {without}",
            operand(name)
        ));
    }
    if report.changing {
        ui.say("a ring change is not complete; continue it: kvs ring apply");
    }
    let whole = missing.is_empty() && report.broken.is_empty();
    let stuck = !filling.is_empty() && whole && !report.is_lossy();
    // It is filled anew afterwards, so the one that lacks most.
    let behind = filling.iter().rev().max_by_key(|(_, partitions)| *partitions);
    if let Some((name, _)) = behind.filter(|_| stuck && !report.stopped) {
        let (down, without) = (option("--down", name), option("--accept-missing", name));
        ui.say(&format!(
            "to continue with too few full copies: kvs repair {down} {without}, then kvs repair",
        ));
    }
}

/// How many keys differ between each two nodes.
fn compare(ui: &mut Ui, cluster: &Cluster) -> Result<Done, Fail> {
    let (nodes, doc) = (cluster.nodes(), cluster.doc());
    let (mut rows, mut equal) = (Vec::new(), true);
    for (i, a) in nodes.iter().enumerate() {
        for b in &nodes[i + 1..] {
            let keys = count(cluster, *a, *b)?;
            equal &= keys == 0;
            rows.push(vec![doc.name(*a), doc.name(*b), keys.to_string()]);
        }
    }
    if ui.is_json() {
        let pairs: Vec<_> =
            rows.iter().map(|r| json!({"a": r[0], "b": r[1], "keys": r[2]})).collect();
        let missing = cluster.missing();
        ui.json(&json!({"schema": "kvs.repair/1", "differences": pairs, "missing": missing}))?;
    } else {
        ui.rows(&["a", "b", "differing keys"], &rows)?;
    }
    for name in cluster.missing() {
        ui.note(&format!("{name} is down"));
    }
    let all = cluster.missing().is_empty();
    Ok(if !equal {
        Done::No
    } else if all {
        Done::Yes
    } else {
        Done::Partly
    })
}
