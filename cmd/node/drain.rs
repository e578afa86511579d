//! `kvs node drain`: a running node out of the service of clients, and back.

use clap::Args as ClapArgs;
use kvs::error::operand;

use super::Named;
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Stop a running node from serving clients, or let it serve again
///
/// A draining node accepts no more client requests and hands off its hints; it stays an owner of
/// its partitions. The command returns when no client is waiting for the node and every hint that
/// can be delivered has been. Drain a node before maintenance of its machine, then stop it. A
/// restart ends draining.
///
/// Example: kvs --ring r node drain n2 && kvs --ring r node stop n2
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A member, by name or address, or a node directory
    #[arg(value_name = "NAME")]
    name: String,
    /// Serve clients again
    #[arg(long)]
    undo: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let named = Named::find(common, &args.name)?;
    let (mut cluster, id) = named.open(ui, common, "node-drain")?;
    cluster.drain(id, !args.undo)?;
    let name = &named.name;
    ui.note(&if args.undo {
        format!("{name} serves clients again")
    } else {
        format!("{name} no longer serves clients; undo: kvs node drain --undo {}", operand(name))
    });
    Ok(Done::Yes)
}
