//! `kvs push init`: an inventory to begin with. It asks no host.

use clap::Args as ClapArgs;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Print an inventory for some hosts
///
/// They are called n1, n2, …; what all have in common is said once. Nothing is looked up or connected
/// to. Read it, change what is to be otherwise (kvs-fleet(5) has every field), then kvs push plan.
///
/// Example: kvs push init --ring-name prod deploy@10.0.0.11 deploy@10.0.0.12:2222 > fleet.yaml
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The hosts
    #[arg(value_name = "[USER@]HOST[:PORT]", required = true)]
    hosts: Vec<String>,
    /// The ring's name: a-z, 0-9 and -
    #[arg(long, value_name = "NAME", default_value = "kvs")]
    ring_name: String,
}

pub(crate) fn run(ui: &mut Ui, _common: &Common, args: &Args) -> Outcome {
    let text = kvs::push::draft(&args.ring_name, &args.hosts)?;
    ui.bytes(text.as_bytes())?;
    Ok(Done::Yes)
}
