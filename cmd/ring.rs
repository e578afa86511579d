//! `kvs ring`: the ring itself, shown, planned, changed, recovered.

mod apply;
pub(crate) mod change;
mod plan;
mod recover;
mod show;

use clap::{Args as ClapArgs, Subcommand};
use kvs::key::Key;

use crate::common::{Common, key_parser};
use crate::exit::Outcome;
use crate::ui::Ui;

/// Show the ring, plan changes of it, and carry them out
///
/// The ring is one document that its members agree on; who is up or down is not in it. A change
/// takes three documents and moves data in between; one that was cut short goes on with `ring apply`.
///
/// `ring plan` ends with 1 when there are changes, so join the two with ; and not with &&.
///
/// Example: kvs --ring r ring plan --weight n1=2 -o plan.yaml; kvs --ring r ring apply plan.yaml --yes
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the members and what each owns
    Show,
    /// Print what changes would do: 1 when they would change something, 0 when nothing
    Plan(plan::Args),
    /// Carry out a plan, or go on with the change under way
    Apply(apply::Args),
    /// Show who owns a key, and who stands in for them
    Where(Where),
    /// Make a ring of the nodes that are left, when a majority is lost for good
    Recover(recover::Args),
}

#[derive(Debug, ClapArgs)]
struct Where {
    /// The key
    #[arg(value_name = "KEY", value_parser = key_parser())]
    key: Key,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Show => show::run(ui, common),
        Verb::Plan(args) => plan::run(ui, common, args),
        Verb::Apply(args) => apply::run(ui, common, args),
        Verb::Where(args) => show::run_where(ui, common, &args.key),
        Verb::Recover(args) => recover::run(ui, common, args),
    }
}
