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

/// Show the ring, plan changes to it, and carry them out
///
/// The ring is one document that its members agree on; it does not record who is up. A change takes
/// three documents and moves data in between; `ring apply` continues an interrupted one.
///
/// `ring plan` exits 1 when there are changes, so join the two commands with ; and not with &&.
///
/// Example: kvs --ring r ring plan --weight n1=2 -o plan.yaml; kvs --ring r ring apply plan.yaml --yes
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the members and the share of each
    Show,
    /// Print what changes would do; exits 1 when they would change something, otherwise 0
    Plan(plan::Args),
    /// Carry out a plan, or continue the change under way
    Apply(apply::Args),
    /// Show the owners and fallbacks of a key
    Where(Where),
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
