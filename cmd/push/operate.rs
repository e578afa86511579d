//! `kvs push start`, `stop`, `restart` and `rollback`: what is done with nodes that are there.

use clap::Args as ClapArgs;
use kvs::push::{Verb, operate};

use super::fleet::{Run, Which};
use crate::common::Common;
use crate::exit::Outcome;
use crate::ui::Ui;

/// Of all four.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Restart nodes even where reads and writes will fail meanwhile
    #[arg(long)]
    accept_downtime: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args, word: &str, verb: Verb) -> Outcome {
    let mut run = Run::begin(ui, common, &args.which, word, true)?;
    run.wish.accept_downtime = args.accept_downtime;
    let survey = run.survey()?;
    let report = operate(survey, verb);
    run.told(ui, report)
}
