//! `kvs node drain`: a running node out of the service of clients, and back.

use clap::Args as ClapArgs;
use kvs::error::operand;

use super::Named;
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Take a running node out of the service of clients, or back in
///
/// A draining node takes no more requests of clients and hands on what it keeps for others; it goes on
/// as an owner of its partitions. The command comes back when nobody waits for it any more and every
/// hint that can be delivered is. Drain a node before work on its machine, then stop it. A restart
/// ends the draining.
///
/// Example: kvs --ring r node drain n2 && kvs --ring r node stop n2
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A member, by name or address, or a node directory
    #[arg(value_name = "NAME")]
    name: String,
    /// Take clients again
    #[arg(long)]
    undo: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let named = Named::find(common, &args.name)?;
    let (mut cluster, id) = named.open(ui, common, "node-drain")?;
    cluster.drain(id, !args.undo)?;
    let name = &named.name;
    ui.note(&if args.undo {
        format!("{name} takes clients again")
    } else {
        format!("{name} takes no more clients; undo: kvs node drain --undo {}", operand(name))
    });
    Ok(Done::Yes)
}
