//! `kvs push check`: whether hosts are fit, before anything is brought to them.

use clap::Args as ClapArgs;
use kvs::push::{Facts, PushSession, size};
use serde_json::json;

use super::fleet::{Run, Which};
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Look whether hosts are fit to run nodes
///
/// Connects, and looks at system, rights, room, clock, port and what is there already. 0 when every
/// host is fit, else 1. Nothing is changed anywhere.
///
/// Example: kvs push check fleet.yaml
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
}

const HEADER: [&str; 8] =
    ["host", "address", "system", "user", "service", "room", "clock", "verdict"];

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let run = Run::begin(ui, common, &args.which, "check", false)?;
    let session = run.session()?;
    let rows: Vec<_> = session.plan.hosts.iter().map(|h| row(&session, &h.name)).collect();
    let fit = session.plan.hosts.iter().all(|h| is_fit(&session, &h.name));
    if ui.is_json() {
        let hosts: Vec<_> = rows
            .iter()
            .map(|r| {
                let warnings = session.plan.verdicts.get(r[0].as_str()).map(|v| v.warnings.clone());
                json!({"name": r[0], "address": r[1], "system": r[2], "user": r[3],
                    "service": r[4], "room": r[5], "clock": r[6], "verdict": r[7],
                    "fit": is_fit(&session, &r[0]), "warnings": warnings})
            })
            .collect();
        ui.json(&json!({"schema": "kvs.push.check/1", "fit": fit, "hosts": hosts}))?;
    } else {
        ui.rows(&HEADER, &rows)?;
    }
    super::plan::warn(ui, &session);
    Ok(if fit { Done::Yes } else { Done::No })
}

fn is_fit(session: &PushSession<'_>, name: &str) -> bool {
    session.plan.verdicts.get(name).is_some_and(|v| v.refused.is_none())
}

fn row(session: &PushSession<'_>, name: &str) -> Vec<String> {
    let address = session.host(name).map(|h| h.address.clone()).unwrap_or_default();
    let mut row = vec![name.to_owned(), address];
    let Some(facts) = session.facts.hosts.get(name) else {
        row.extend(std::iter::repeat_n("-".to_owned(), 5));
        row.push("cannot be looked at".into());
        return row;
    };
    row.extend(figures(facts));
    let verdict = session.plan.verdicts.get(name);
    row.push(verdict.and_then(|v| v.refused.clone()).unwrap_or_else(|| "fit".into()));
    row
}

fn figures(facts: &Facts) -> [String; 5] {
    let room = format!("{} / {}", size(facts.root_free), size(facts.data_free));
    let clock = format!("{:+.0}s", facts.skew_ms as f64 / 1_000.0);
    let system = format!("{}/{}", facts.os.to_lowercase(), facts.machine);
    [system, facts.user.clone(), super::plan::service(facts), room, clock]
}
