//! `kvs push destroy`: takes a fleet down for good.

use std::io::{BufRead, IsTerminal};

use clap::Args as ClapArgs;
use kvs::error::Error;
use kvs::push::destroy;

use super::fleet::{Run, Which};
use crate::common::Common;
use crate::exit::{Fail, Outcome};
use crate::ui::Ui;

/// Stop and remove the nodes of a fleet
///
/// Services, releases and logs are removed from every host; the nodes' directories stay unless --data
/// says otherwise. It wants the ring's name: typed, or as --confirm NAME.
///
/// Example: kvs push destroy fleet.yaml --data --confirm prod
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The inventory; see kvs-fleet(5)
    #[arg(value_name = "FLEET")]
    fleet: std::path::PathBuf,
    /// Remove the nodes' directories too, with all they hold
    #[arg(long)]
    data: bool,
    /// The ring's name, in place of typing it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let which = Which { fleet: args.fleet.clone(), only: Vec::new() };
    let run = Run::begin(ui, common, &which, "destroy", true)?;
    confirmed(ui, args, &run.fleet.ring)?;
    let session = run.session()?;
    let report = run.work(|| destroy(session, args.data))?;
    run.told(ui, report)
}

/// Goes on only when the ring's name was given.
fn confirmed(ui: &mut Ui, args: &Args, ring: &str) -> Result<(), Fail> {
    let typed = match &args.confirm {
        Some(name) => name.clone(),
        None if std::io::stdin().is_terminal() => {
            let what = if args.data { "and all its data" } else { "and leave its data" };
            ui.say(&format!("This will remove the ring {ring} {what}. Type its name to go ahead:"));
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map(|_| line.trim().to_owned()).unwrap_or_default()
        }
        None => String::new(),
    };
    if typed == ring {
        return Ok(());
    }
    let text = format!("The ring's name, {ring}, was not given; nothing was removed.");
    Err(Error::Denied(text).hint(format!("--confirm {ring}")).into())
}
