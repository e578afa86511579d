//! `kvs status`: how the nodes of a ring are.

use clap::Args as ClapArgs;
use kvs::ring::Step;
use kvs::target::{Access, View};
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Show how the nodes of the ring are
///
/// One row per member: whether it is up, what it owns, what it is still filling, keys, bytes, hints
/// that wait and records that are damaged. Nothing is written. With --check it exits 1 when anything
/// needs attention, for cron.
///
/// Example: kvs --ring r status --check -q || mail -s 'kvs needs help' root
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Exit 1 when a node is down, filling, keeps hints or bad keys, or a change is under way
    #[arg(long)]
    check: bool,
}

const HEADER: [&str; 11] =
    ["name", "zone", "state", "up", "owns", "filling", "keys", "bytes", "hints", "bad", "version"];

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut target = common.open(ui, Access::Read, "status")?;
    let views = target.views()?;
    ui.warn_all(target.warnings());
    let doc = target.doc();
    let mut troubles: Vec<String> = views.iter().filter_map(|v| trouble(v, doc.version)).collect();
    if doc.step != Step::Settled {
        troubles.push(format!("a change is at step {}; go on: kvs ring apply", doc.step));
    }
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.status/1", "ring": doc.id.to_string(),
            "version": doc.version.to_string(), "step": doc.step.to_string(),
            "healthy": troubles.is_empty(), "nodes": views.iter().map(object).collect::<Vec<_>>(),
        }))?;
    } else {
        let rows: Vec<_> = views.iter().map(row).collect();
        ui.rows(&HEADER, &rows)?;
    }
    troubles.iter().for_each(|trouble| ui.note(trouble));
    Ok(if args.check && !troubles.is_empty() { Done::No } else { Done::Yes })
}

fn row(view: &View) -> Vec<String> {
    let member = &view.member;
    let mut row = vec![member.name.clone(), member.zone.clone(), member.state.to_string()];
    let Some(s) = &view.status else {
        row.push("down".into());
        row.extend(std::iter::repeat_n("-".to_owned(), HEADER.len() - row.len()));
        return row;
    };
    row.push("up".into());
    let counts = [s.owns as u64, s.filling as u64, s.keys, view.bytes, s.hints, s.bad as u64];
    row.extend(counts.iter().map(u64::to_string));
    row.push(s.version.to_string());
    row
}

fn object(view: &View) -> serde_json::Value {
    let member = &view.member;
    let s = view.status.as_ref();
    json!({
        "name": member.name, "address": view.address, "zone": member.zone,
        "state": member.state.to_string(), "up": s.is_some(),
        "dir": view.dir.as_ref().map(|d| d.display().to_string()),
        "owns": s.map(|s| s.owns), "filling": s.map(|s| s.filling),
        "keys": s.map(|s| s.keys.to_string()), "bytes": s.map(|_| view.bytes.to_string()),
        "hints": s.map(|s| s.hints.to_string()), "bad": s.map(|s| s.bad),
        "version": s.map(|s| s.version.to_string()),
    })
}

/// What needs attention at a node, and what to do about it.
fn trouble(view: &View, version: u64) -> Option<String> {
    let name = &view.member.name;
    let Some(s) = &view.status else {
        return Some(format!("{name} is down: bring it back, or kvs replace {name}"));
    };
    let mut parts = Vec::new();
    if s.filling > 0 {
        parts.push(format!("{} of {} partitions are filling: kvs repair", s.filling, s.owns));
    }
    if s.bad > 0 {
        parts.push(format!("{} records are damaged: kvs repair", s.bad));
    }
    if s.hints > 0 {
        parts.push(format!("{} hints wait: kvs hints deliver", s.hints));
    }
    if s.version != version {
        parts.push(format!("it is at version {} of the ring: kvs ring apply", s.version));
    }
    (!parts.is_empty()).then(|| format!("{name}: {}", parts.join("; ")))
}
