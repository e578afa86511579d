//! `kvs push start`, `stop`, `restart` and `rollback`: what is done with nodes that are there.

use std::io::IsTerminal;

use clap::Args as ClapArgs;
use kvs::push::{Verb, operate};

use super::fleet::{Run, Which};
use crate::common::Common;
use crate::exit::Outcome;
use crate::ring::change::sure;
use crate::ui::Ui;

/// Of `start`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Start {
    #[command(flatten)]
    which: Which,
}

/// Of `stop`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Stop {
    #[command(flatten)]
    which: Which,
    /// Go ahead without asking
    #[arg(long)]
    yes: bool,
}

/// Of `restart` and `rollback`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Turns {
    #[command(flatten)]
    which: Which,
    /// Restart nodes even where reads and writes will fail meanwhile
    #[arg(long)]
    accept_downtime: bool,
}

pub(crate) fn start(ui: &mut Ui, common: &Common, args: &Start) -> Outcome {
    let run = Run::begin(ui, common, &args.which, "start", true)?;
    done(ui, &run, Verb::Start)
}

pub(crate) fn stop(ui: &mut Ui, common: &Common, args: &Stop) -> Outcome {
    let run = Run::begin(ui, common, &args.which, "stop", true)?;
    // Scripts say what they want by running it.
    if !args.yes && std::io::stdin().is_terminal() {
        sure(ui, false, "Reads and writes may fail while the nodes are stopped. Proceed?")?;
    }
    done(ui, &run, Verb::Stop)
}

pub(crate) fn turns(ui: &mut Ui, common: &Common, args: &Turns, word: &str, verb: Verb) -> Outcome {
    let mut run = Run::begin(ui, common, &args.which, word, true)?;
    run.options.accept_downtime = args.accept_downtime;
    done(ui, &run, verb)
}

fn done(ui: &mut Ui, run: &Run, verb: Verb) -> Outcome {
    let session = run.session()?;
    let report = run.work(|| operate(session, verb))?;
    run.told(ui, report)
}
