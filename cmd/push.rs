//! `kvs push`: rings on other hosts, over SSH. See `kvs-fleet(5)`.

mod apply;
mod check;
mod destroy;
pub(crate) mod fleet;
pub(crate) mod here;
mod init;
mod logs;
mod operate;
mod plan;
mod status;
mod talk;

use clap::{Args as ClapArgs, Subcommand};
use kvs::push::Verb as FleetVerb;

use crate::common::Common;
use crate::exit::Outcome;
use crate::ui::Ui;

/// Push nodes to other hosts over SSH, and look after them there
///
/// The hosts of an inventory become a ring: binary, configuration, service, membership. A host needs
/// sshd and a POSIX shell, nothing else. What is as it should be is left alone, so that every command
/// may be run again. Hosts that fail stop nobody else (7); what was done is in a file per run. The ring
/// and its key are those of the inventory: --ring and --key-file say nothing here.
///
/// Example: kvs push init deploy@10.0.0.{11,12,13} > fleet.yaml && kvs push apply fleet.yaml
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Args),
    Check(check::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Status(status::Args),
    /// Start nodes that do not run
    ///
    /// Example: kvs push start fleet.yaml
    Start(operate::Start),
    /// Stop nodes, all at once
    ///
    /// Each finishes what it has begun and tells the others that it goes. Nothing is removed.
    ///
    /// Example: kvs push stop fleet.yaml --only n3
    Stop(operate::Stop),
    /// Restart nodes, in turns that keep every quorum
    ///
    /// As `push apply` does it for a new release: the next host follows when this one is up, in sync
    /// and equal.
    ///
    /// Example: kvs push restart fleet.yaml
    Restart(operate::Turns),
    /// Go back to the release before, in turns that keep every quorum
    ///
    /// Example: kvs push rollback fleet.yaml --only n1
    Rollback(operate::Turns),
    Logs(logs::Args),
    Destroy(destroy::Args),
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Init(args) => init::run(ui, common, args),
        Verb::Check(args) => check::run(ui, common, args),
        Verb::Plan(args) => plan::run(ui, common, args),
        Verb::Apply(args) => apply::run(ui, common, args),
        Verb::Status(args) => status::run(ui, common, args),
        Verb::Start(args) => operate::start(ui, common, args),
        Verb::Stop(args) => operate::stop(ui, common, args),
        Verb::Restart(args) => operate::turns(ui, common, args, "restart", FleetVerb::Restart),
        Verb::Rollback(args) => operate::turns(ui, common, args, "rollback", FleetVerb::Rollback),
        Verb::Logs(args) => logs::run(ui, common, args),
        Verb::Destroy(args) => destroy::run(ui, common, args),
    }
}
