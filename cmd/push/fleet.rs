//! What the commands of `push` share: the inventory, the session, the end.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kvs::error::{Error, word};
use kvs::push::{ApplyOptions, Fleet, PushSession, RolloutReport, connect};
use serde_json::json;

use super::here;
use super::talk::Talk;
use crate::common::{Common, raise_on_ctrl_c};
use crate::exit::{self, Code, Done, Fail, Outcome};
use crate::ui::Ui;

/// Which hosts.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Which {
    /// The inventory; see kvs-fleet(5)
    #[arg(value_name = "FLEET")]
    pub(crate) fleet: PathBuf,
    /// Only these hosts
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

/// A run: what it hears, and what it was asked for.
pub(crate) struct Run {
    pub(crate) fleet: Fleet,
    pub(crate) talk: Talk,
    pub(crate) options: ApplyOptions,
    /// An object of JSON that the report becomes a part of.
    pub(crate) frame: Option<serde_json::Value>,
    command: String,
    which: Which,
}

/// Refuses what rehearses a cut elsewhere, and would be done for real here.
pub(crate) fn no_rehearsal(common: &Common) -> Result<(), Error> {
    if common.down.is_empty() && common.zone.is_none() {
        return Ok(());
    }
    let text = "--down and --zone mean nothing to hosts that are pushed to; nothing was done.";
    Err(Error::Usage(text.into()).hint("name the hosts that are meant: --only"))
}

impl Run {
    /// Reads the inventory; `verb` says what is begun. Those that change nothing leave no file.
    pub(crate) fn begin(
        ui: &mut Ui,
        common: &Common,
        which: &Which,
        verb: &str,
        changes: bool,
    ) -> Result<Self, Fail> {
        no_rehearsal(common)?;
        let me = here::me();
        let fleet = Fleet::read(&which.fleet, &me)?;
        let push = if verb == "scale" { "" } else { "push " };
        // The program as it was typed: another one would bring another build.
        let typed = word(here::typed());
        let command = format!("{typed} {push}{verb} {}", word(&which.fleet));
        let begun = changes.then(|| here::audit(ui, &me, &fleet.ring, &command));
        let talk = Talk::new(begun.flatten(), common.quiet);
        let (only, timeout) = (which.only.clone(), common.timeout);
        let owner = here::name(&me);
        let program = here::program()?;
        let options = ApplyOptions { only, timeout, owner, program, ..ApplyOptions::default() };
        Ok(Self { fleet, talk, options, frame: None, command, which: which.clone() })
    }

    /// Looks at everything.
    pub(crate) fn session(&self) -> Result<PushSession<'_>, Error> {
        let session = PushSession::begin(
            &self.fleet,
            self.options.clone(),
            &|host| connect(&self.fleet, host, &self.talk),
            &self.talk,
        );
        self.talk.ends();
        session
    }

    /// Does what changes something. Before, ctrl-C may cut it off anywhere; now it ends between steps.
    pub(crate) fn work(
        &self,
        work: impl FnOnce() -> RolloutReport,
    ) -> Result<RolloutReport, Error> {
        raise_on_ctrl_c(self.talk.stop())?;
        Ok(work())
    }

    /// Tells what came of it.
    pub(crate) fn told(&self, ui: &mut Ui, report: RolloutReport) -> Outcome {
        self.talk.ends();
        let end = ended(&report);
        let log = self.talk.outcome(ui, &end);
        if report.changed || report.hosts.iter().any(|h| !h.did.is_empty()) {
            ui.has_applied(format!("The run has ended: {end}."));
        }
        if ui.is_json() {
            let mut json = object(&report, log.as_deref());
            if let Some(mut frame) = self.frame.clone() {
                frame["push"] = json;
                json = frame;
            }
            ui.json(&json)?;
        } else if !report.hosts.is_empty() {
            let rows: Vec<_> = report.hosts.iter().map(row).collect();
            ui.rows(&["host", "result", "time", "what"], &rows)?;
        }
        if report.is_whole() {
            ui.note(&end);
            return Ok(Done::Yes);
        }
        if let Some(log) = log {
            ui.note(&format!("the whole run: {log}"));
        }
        Err(self.failed(report, &end).into())
    }

    /// One error for all: that of the hosts when all of them have the same and nothing was changed.
    fn failed(&self, report: RolloutReport, end: &str) -> Error {
        let some_well = report.hosts.iter().any(|h| h.fault.is_none()) && report.fault.is_none();
        let changed = report.changed || some_well;
        // Those that are back already would go forward again.
        let back = self.command.contains(" rollback ");
        let left = report.hosts.iter().filter(|h| h.did.is_empty()).map(|h| h.name.clone());
        let only = if back { left.collect() } else { self.which.only.clone() };
        // That of a host was told with the host.
        let way_out = match &report.fault {
            Some(Error::Hinted { hint, .. }) => Some(hint.clone()),
            _ => None,
        };
        let mut faults: Vec<Error> = report.fault.into_iter().collect();
        faults.extend(report.hosts.into_iter().filter_map(|h| h.fault));
        let codes: Vec<Code> = faults.iter().map(exit::of).collect();
        let same = codes.windows(2).all(|two| two[0] == two[1]);
        // Whoever stopped it, or met something passing, wants to know how to go on.
        let is_final = faults.iter().any(|e| !matches!(e.root(), Error::Partial(_)));
        match faults.into_iter().next() {
            Some(error) if same && is_final && !changed => error,
            first => {
                let why = first.map(|e| format!(" {e}")).unwrap_or_default();
                let hint = match self.command.contains(" scale ") {
                    true => {
                        format!("see how it is: kvs push status {}", word(&self.which.fleet))
                    }
                    false => format!("mend it and go on: {}", self.line(&only)),
                };
                let error = Error::Partial(format!("{end}.{why}")).hint(hint);
                match way_out {
                    Some(way_out) => error.hint(way_out),
                    None => error,
                }
            }
        }
    }
}

impl Run {
    /// The command again, for some hosts.
    fn line(&self, only: &[String]) -> String {
        let named = |flag: &str, names: &[String]| match names {
            [] => String::new(),
            names => format!(" {flag} {}", names.join(",")),
        };
        let replace = named("--replace", &self.options.replace);
        let downtime = if self.options.accept_downtime { " --accept-downtime" } else { "" };
        format!("{}{}{replace}{downtime}", self.command, named("--only", only))
    }
}

fn ended(report: &RolloutReport) -> String {
    let all = report.hosts.len();
    let failed = report.hosts.iter().filter(|h| h.fault.is_some()).count();
    let changed = report.hosts.iter().filter(|h| h.fault.is_none() && !h.did.is_empty()).count();
    match (failed, changed) {
        (0, 0) if report.fault.is_none() => {
            format!("nothing to do: {all} hosts are as they should be")
        }
        (0, _) if report.fault.is_none() => format!("{changed} of {all} hosts were changed"),
        _ => format!("{failed} of {all} hosts failed, {changed} were changed"),
    }
}

fn row(host: &kvs::push::ReportRow) -> Vec<String> {
    let time = format!("{:.1}s", host.took.as_secs_f64());
    let what = match &host.fault {
        Some(fault) => one_line(&fault.to_string()),
        None if host.did.is_empty() => "-".into(),
        None => host.did.join(", "),
    };
    vec![host.name.clone(), result(host).into(), time, what]
}

/// A row is one line: of a log's last lines, which were told above, the very last.
fn one_line(text: &str) -> String {
    const LAST: usize = 2;
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let line = match lines.len() {
        all if all > LAST + 1 => [&lines[..1], &["…"], &lines[all - LAST..]].concat().join(" | "),
        _ => lines.join(" | "),
    };
    line.replace('\t', " ")
}

fn result(host: &kvs::push::ReportRow) -> &'static str {
    match (&host.fault, host.did.is_empty()) {
        (Some(_), _) => "failed",
        (None, true) => "ok",
        (None, false) => "changed",
    }
}

fn object(report: &RolloutReport, log: Option<&str>) -> serde_json::Value {
    let hosts = report.hosts.iter().map(|h| {
        json!({
            "name": h.name, "result": result(h), "did": h.did,
            "error": h.fault.as_ref().map(ToString::to_string),
            "seconds": h.took.as_secs_f64(),
        })
    });
    json!({
        "schema": "kvs.push/1", "complete": report.is_whole(), "changed": report.changed,
        "hosts": hosts.collect::<Vec<_>>(), "log": log,
        "error": report.fault.as_ref().map(ToString::to_string),
    })
}
