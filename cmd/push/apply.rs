//! `kvs push apply`: makes the hosts what the inventory says.

use std::io::IsTerminal;

use clap::Args as ClapArgs;
use kvs::push;

use super::fleet::{Run, Which};
use super::plan::show;
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ring::change::sure;
use crate::ui::Ui;

/// Make the hosts what the inventory says
///
/// Binary, configuration, service and membership. Hosts with nothing on them become a ring, new hosts
/// join it, a new binary is brought in turns: the next host follows when this one is up, in sync and
/// equal, and no turn leaves a partition fewer copies than a quorum needs. A host that fails goes
/// back to what it had, the others stay (7); run it again to go on. On a terminal it shows the plan
/// and asks; the first ctrl-C stops it between two hosts.
///
/// Example: kvs push apply fleet.yaml --yes
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Go ahead without asking
    #[arg(long)]
    yes: bool,
    /// Print the plan and change nothing; exits 1 when there is something to do
    #[arg(long)]
    dry_run: bool,
    /// Restart nodes even where reads and writes will fail meanwhile
    #[arg(long)]
    accept_downtime: bool,
    /// Give the places of these lost members to new nodes on their hosts
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    replace: Vec<String>,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut run = Run::begin(ui, common, &args.which, "apply", !args.dry_run)?;
    run.options.accept_downtime = args.accept_downtime;
    run.options.replace.clone_from(&args.replace);
    let session = run.session()?;
    if args.dry_run {
        show(ui, &session)?;
        return Ok(if session.is_done() { Done::Yes } else { Done::No });
    }
    // Scripts say what they want by running it.
    if !session.busy().is_empty() && !args.yes && std::io::stdin().is_terminal() {
        if ui.is_json() {
            let names = session.plan.hosts.iter().map(|host| host.name.as_str());
            let would = |name| Some(format!("{name}: {}", session.plan.line(name)?));
            names.filter_map(would).for_each(|line| ui.say(&line));
        } else {
            show(ui, &session)?;
        }
        // Hosts hang up on those that are silent for long.
        session.pool.alive(|| sure(ui, false, "Proceed?"))?;
    }
    let report = run.work(|| push::apply(session))?;
    run.told(ui, report)
}
