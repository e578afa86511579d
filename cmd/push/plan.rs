//! `kvs push plan`: what `push apply` would do.

use clap::Args as ClapArgs;
use kvs::error::word;
use kvs::push::{Service, ServiceKind, Survey, short};
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
    let survey = run.survey()?;
    show(ui, &survey)?;
    Ok(if survey.is_done() { Done::Yes } else { Done::No })
}

/// Prints the plan.
pub(super) fn show(ui: &mut Ui, survey: &Survey<'_>) -> Result<(), Fail> {
    let rows: Vec<Vec<String>> =
        survey.hosts.iter().map(|h| row(survey, &h.name).to_vec()).collect();
    if ui.is_json() {
        let hosts = rows.iter().map(|row| {
            let todo = survey.todos.get(row[0].as_str());
            let steps: Vec<_> =
                todo.iter().flat_map(|t| &t.steps).map(ToString::to_string).collect();
            json!({
                "name": row[0], "address": row[1], "machine": row[2], "now": row[3],
                "target": row[4], "service": row[5], "would": steps,
                "refused": todo.and_then(|t| t.refused.clone()),
                "warnings": todo.map(|t| t.warnings.clone()), "reached": todo.is_some(),
            })
        });
        let hosts: Vec<_> = hosts.collect();
        ui.json(&json!({"schema": "kvs.push.plan/1", "hosts": hosts, "done": survey.is_done()}))?;
    } else {
        ui.rows(&HEADER, &rows)?;
    }
    for (name, todo) in &survey.todos {
        todo.warnings.iter().for_each(|w| ui.warn(&format!("{name}: {w}")));
    }
    for name in survey.strangers() {
        ui.note(&format!(
            "{name} is a member and not in the inventory; take it out: kvs leave {}",
            word(&name)
        ));
    }
    Ok(())
}

fn row(survey: &Survey<'_>, name: &str) -> [String; 7] {
    let address = survey.host(name).map(|h| h.address.clone()).unwrap_or_default();
    let target = short(&survey.releases[name].id).to_owned();
    let dash = || "-".to_owned();
    let Some(facts) = survey.facts.get(name) else {
        let failed = "cannot be looked at".to_owned();
        return [name.into(), address, dash(), dash(), target, dash(), failed];
    };
    let now = facts.current.as_deref().map_or_else(dash, |id| short(id).to_owned());
    let would = survey.todos.get(name).map_or_else(dash, |todo| todo.words());
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
