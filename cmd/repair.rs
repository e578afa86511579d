//! `kvs repair`: makes all copies equal.

use clap::Args as ClapArgs;
use kvs::error::word;
use kvs::key::Key;
use kvs::repair::{Report, Wish, count, repair};
use kvs::target::{Access, Target};
use serde_json::json;

use crate::common::{Common, Scope, key_parser, stop_on_ctrl_c};
use crate::exit::{Done, Fail, Outcome};
use crate::ui::Ui;

/// Make all copies equal
///
/// Delivers hints, syncs every node with every other, heals damaged records that are known, and
/// declares full what has met enough full copies. Exits 0 when nothing is left to do, 7 when
/// something is: it says what, and what to type. Ctrl-C stops between two nodes (7).
///
/// Example: kvs --ring r repair --verify
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Read every record first, to find the damaged ones
    #[arg(long)]
    verify: bool,
    /// Go on without this member for good: what only it holds may be lost
    #[arg(long, value_name = "NAME")]
    accept_missing: Vec<String>,
    /// Give up this key's damaged copies, when no good one is left
    #[arg(long, value_name = "KEY", value_parser = key_parser())]
    accept_loss: Vec<Key>,
    /// Print how many keys differ between the nodes and change nothing; exits 1 when any differ
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let access = if args.dry_run { Access::Read } else { Access::Write };
    let mut target = common.open_these(ui, access, "repair", &args.scope.targets)?;
    if args.dry_run {
        return compare(ui, &target);
    }
    let only = args.scope.only(&target)?;
    let wish = Wish {
        partitions: only.map(|p| vec![p]),
        verify: args.verify,
        accept_missing: args.accept_missing.clone(),
        accept_loss: args.accept_loss.clone(),
        ..Wish::default()
    };
    let stop = stop_on_ctrl_c()?;
    let bar = ui.progress("repair", Some(target.nodes().len() as u64));
    let report = repair(&mut target, &wish, &mut |name, at, _| {
        bar.set_position(at as u64);
        bar.set_prefix(name.to_owned());
        !stop.load(std::sync::atomic::Ordering::Relaxed)
    });
    bar.finish_and_clear();
    ui.warn_all(target.warnings());
    told(ui, &report?)
}

fn told(ui: &mut Ui, report: &Report) -> Outcome {
    ui.has_applied("The repair was done as far as it says.");
    let Report { hints, moved, damaged, filling, missing, dropped, stopped } = report;
    if ui.is_json() {
        let filling: Vec<_> =
            filling.iter().map(|(name, n)| json!({"node": name, "partitions": n})).collect();
        ui.json(&json!({
            "schema": "kvs.repair/1", "complete": report.is_complete(), "stopped": stopped,
            "moved": moved.to_string(), "damaged": damaged.to_string(), "dropped": dropped,
            "hints": {"delivered": hints.0.to_string(), "left": hints.1.to_string()},
            "filling": filling, "missing": missing,
        }))?;
    } else {
        ui.note(&format!(
            "{moved} records moved, {} hints delivered, {damaged} damaged records found, \
             {dropped} leftover copies dropped",
            hints.0
        ));
    }
    if report.is_complete() {
        return Ok(Done::Yes);
    }
    if *stopped {
        ui.say("stopped; what is done stays done. Go on: kvs repair");
    }
    for (name, partitions) in filling {
        ui.say(&format!("{name}: {partitions} partitions have met too few full copies"));
    }
    if hints.1 > 0 {
        ui.say(&format!("{} hints wait for members that are down", hints.1));
    }
    for name in missing {
        let name = word(name);
        ui.say(&format!(
            "{name} was missing: bring it back and repair again, or kvs replace {name}; \
             to go on without what only it holds: kvs repair --accept-missing {name}"
        ));
    }
    if missing.is_empty() && !filling.is_empty() && !stopped {
        ui.say("a damaged record that no node can heal is given up with --accept-loss KEY");
        ui.say(
            "to go on though too few copies are full: kvs repair --down NAME --accept-missing NAME, \
             then kvs repair",
        );
    }
    Ok(Done::Partly)
}

/// How many keys differ between each two nodes.
fn compare(ui: &mut Ui, target: &Target) -> Result<Done, Fail> {
    let (nodes, doc) = (target.nodes(), target.doc());
    let (mut rows, mut equal) = (Vec::new(), true);
    for (i, a) in nodes.iter().enumerate() {
        for b in &nodes[i + 1..] {
            let keys = count(target, *a, *b)?;
            equal &= keys == 0;
            rows.push(vec![doc.name(*a), doc.name(*b), keys.to_string()]);
        }
    }
    if ui.is_json() {
        let pairs: Vec<_> =
            rows.iter().map(|r| json!({"a": r[0], "b": r[1], "keys": r[2]})).collect();
        let missing = target.missing();
        ui.json(&json!({"schema": "kvs.repair/1", "differences": pairs, "missing": missing}))?;
    } else {
        ui.rows(&["a", "b", "keys that differ"], &rows)?;
    }
    for name in target.missing() {
        ui.note(&format!("{name} is down"));
    }
    Ok(if equal { Done::Yes } else { Done::No })
}
