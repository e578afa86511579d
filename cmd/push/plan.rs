//! `kvs push plan`: what `push apply` would do.

use clap::Args as ClapArgs;
use kvs::error::word;
use kvs::push::{PushSession, Service, ServiceKind, short};
use serde_json::json;

use super::fleet::{Run, Which};
use crate::common::Common;
use crate::exit::{Done, Fail, Outcome};
use crate::ui::Ui;

/// Print what `push apply` would do
///
/// One row per host. 0 when there is nothing to do, 1 when there is, or when a host cannot be looked
/// at or is refused. Nothing is changed anywhere.
///
/// Example: kvs push plan fleet.yaml || kvs push apply fleet.yaml
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
}

const HEADER: [&str; 7] = ["host", "address", "os/arch", "now", "target", "service", "would"];

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let run = Run::begin(ui, common, &args.which, "plan", false)?;
    let session = run.session()?;
    show(ui, &session)?;
    Ok(if session.is_done() { Done::Yes } else { Done::No })
}

/// Prints the plan.
pub(super) fn show(ui: &mut Ui, session: &PushSession<'_>) -> Result<(), Fail> {
    let rows: Vec<Vec<String>> =
        session.plan.hosts.iter().map(|h| row(session, &h.name).to_vec()).collect();
    if ui.is_json() {
        let hosts = rows.iter().map(|row| {
            let verdict = session.plan.verdicts.get(row[0].as_str());
            json!({
                "name": row[0], "address": row[1], "machine": row[2], "now": row[3],
                "target": row[4], "service": row[5], "would": session.plan.would(&row[0]),
                "refused": verdict.and_then(|v| v.refused.clone()),
                "warnings": verdict.map(|v| v.warnings.clone()), "reached": verdict.is_some(),
            })
        });
        let hosts: Vec<_> = hosts.collect();
        ui.json(&json!({"schema": "kvs.push.plan/1", "hosts": hosts, "done": session.is_done()}))?;
    } else {
        ui.rows(&HEADER, &rows)?;
    }
    warn(ui, session);
    let phases: Vec<_> = session.plan.phases.iter().map(phase).collect();
    if !phases.is_empty() {
        ui.note(&format!("in this order: {}", phases.join("; ")));
    }
    for name in session.strangers() {
        ui.note(&format!(
            "{name} is a member and not in the inventory; take it out: kvs leave {}",
            word(&name)
        ));
    }
    Ok(())
}

/// A phase by its name, and its hosts.
fn phase(phase: &kvs::push::Phase<'_>) -> String {
    let names: Vec<_> = phase.hosts.iter().map(|host| host.name).collect();
    format!("{} {}", phase.kind.name(), names.join(", ")).trim_end().to_owned()
}

/// Prints what a person should know of each host.
pub(super) fn warn(ui: &mut Ui, session: &PushSession<'_>) {
    for (name, verdict) in &session.plan.verdicts {
        verdict.warnings.iter().for_each(|w| ui.warn(&format!("{name}: {w}")));
    }
}

fn row(session: &PushSession<'_>, name: &str) -> [String; 7] {
    let address = session.host(name).map(|h| h.address.clone()).unwrap_or_default();
    let target = short(&session.releases[name].id).to_owned();
    let dash = || "-".to_owned();
    let Some(facts) = session.facts.hosts.get(name) else {
        let failed = "cannot be looked at".to_owned();
        return [name.into(), address, dash(), dash(), target, dash(), failed];
    };
    let now = facts.current.as_deref().map_or_else(dash, |id| short(id).to_owned());
    let would = session.plan.line(name).unwrap_or_else(dash);
    let system = format!("{}/{}", facts.os.to_lowercase(), facts.machine);
    [name.into(), address, system, now, target, service(facts), would]
}

/// What keeps the node, and how it is.
pub(super) fn service(facts: &kvs::push::Facts) -> String {
    let kind = match facts.kind {
        Some(ServiceKind::Systemd) => "systemd",
        _ => "background",
    };
    match facts.service {
        Service::None => format!("{kind}: none"),
        Service::Stopped => format!("{kind}: stopped"),
        Service::Running(_) => format!("{kind}: runs"),
    }
}
