//! `kvs push status`: how hosts and nodes are, side by side.

use clap::Args as ClapArgs;
use kvs::cluster::View;
use kvs::push::{PushSession, Service, short};
use kvs::ring::ChangeStep;
use serde_json::json;

use super::fleet::{Run, Which};
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Show how hosts and their nodes are
///
/// One row per host: what keeps its node, the release, and what the ring says of it. With --check it
/// exits 1 when anything needs attention. Nothing is changed anywhere.
///
/// Example: kvs push status fleet.yaml
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Exit 1 when anything needs attention
    #[arg(long)]
    check: bool,
}

const HEADER: [&str; 10] =
    ["host", "address", "zone", "service", "release", "member", "up", "keys", "hints", "notes"];

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let run = Run::begin(ui, common, &args.which, "status", false)?;
    let session = run.session()?;
    let rows: Vec<_> = session.plan.hosts.iter().map(|h| row(&session, &h.name)).collect();
    let strangers = session.strangers();
    let settled = session.facts.doc.as_ref().is_some_and(|doc| doc.step == ChangeStep::Settled);
    let well = rows.iter().all(|r| r[9] == "-") && settled && strangers.is_empty();
    if ui.is_json() {
        let hosts: Vec<_> = rows
            .iter()
            .map(|r| {
                json!({"name": r[0], "address": r[1], "zone": r[2], "service": r[3],
                    "release": r[4], "member": r[5], "up": r[6] == "up", "keys": r[7],
                    "hints": r[8], "notes": r[9]})
            })
            .collect();
        ui.json(&json!({"schema": "kvs.push.status/1", "well": well, "hosts": hosts}))?;
    } else {
        ui.rows(&HEADER, &rows)?;
    }
    match &session.facts.doc {
        None => ui.note("no node of the ring answers from here"),
        Some(_) if settled => {}
        Some(doc) => ui.note(&format!(
            "a change of the ring is under way, at step {}; kvs push apply goes on with it",
            doc.step
        )),
    }
    for name in strangers {
        ui.note(&format!("{name} is a member and not in the inventory"));
    }
    Ok(if args.check && !well { Done::No } else { Done::Yes })
}

fn row(session: &PushSession<'_>, name: &str) -> Vec<String> {
    let host = session.host(name);
    let address = host.map(|h| h.address.clone()).unwrap_or_default();
    let view = session.facts.views.iter().find(|v| v.member.name == name);
    let facts = session.facts.hosts.get(name);
    let dash = || "-".to_owned();
    let service = facts.map_or_else(dash, super::plan::service);
    let release = facts.and_then(|f| f.current.as_deref()).map_or_else(dash, |r| short(r).into());
    let told = |of: fn(&kvs::node::Status) -> u64| {
        view.and_then(|v| v.status.as_ref()).map_or_else(dash, |s| of(s).to_string())
    };
    let notes = notes(session, name, view);
    vec![
        name.to_owned(),
        address,
        view.map_or_else(dash, |v| v.member.zone.clone()),
        service,
        release,
        view.map_or_else(dash, |v| v.member.state.to_string()),
        view.map_or("-", |v| if v.status.is_some() { "up" } else { "down" }).to_owned(),
        told(|s| s.keys),
        told(|s| s.hints),
        if notes.is_empty() { dash() } else { notes.join("; ") },
    ]
}

/// What needs attention.
fn notes(session: &PushSession<'_>, name: &str, view: Option<&View>) -> Vec<String> {
    let mut notes = Vec::new();
    match (session.facts.hosts.get(name), session.plan.verdicts.get(name)) {
        (Some(facts), Some(verdict)) => {
            match &verdict.refused {
                Some(why) => notes.push(why.clone()),
                None if session.plan.is_done(name) => {}
                None => notes.extend(session.plan.line(name).map(|line| format!("would {line}"))),
            }
            if facts.service == Service::None && view.is_some() {
                notes.push("its service is gone".into());
            }
            notes.extend(facts.locked.as_ref().map(|who| format!("worked on by {who}")));
        }
        _ => notes.push("cannot be looked at".into()),
    }
    if view.is_some_and(|v| v.status.is_none()) {
        notes.push("its node does not answer: kvs push logs".into());
    }
    if let Some(status) = view.and_then(|v| v.status.as_ref()) {
        if status.waiting {
            notes.push("its node has not heard the others yet".into());
        }
        if status.filling > 0 {
            notes.push(format!("filling {} partitions", status.filling));
        }
        if status.bad > 0 {
            notes.push(format!("{} records are damaged: kvs repair", status.bad));
        }
        if status.full {
            notes.push("it refused a write for want of space".into());
        }
    }
    notes
}
