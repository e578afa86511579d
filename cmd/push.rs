//! `kvs push`: rings on other hosts, over SSH. See `kvs-fleet(5)`.

pub(crate) mod here;
mod init;

use clap::{Args as ClapArgs, Subcommand};

use crate::common::Common;
use crate::exit::Outcome;
use crate::ui::Ui;

/// Push nodes to other hosts over SSH, and look after them there
///
/// The hosts of fleet.yaml become a ring: binary, configuration, service, membership. A host needs
/// sshd and a shell, nothing else. What is as it should be is left alone.
///
/// Example: kvs push plan fleet.yaml && echo nothing to do
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Args),
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Init(args) => init::run(ui, common, args),
    }
}
