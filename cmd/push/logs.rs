//! `kvs push logs`: the last words of a node.

use clap::Args as ClapArgs;
use kvs::bounded::plain_lines;
use kvs::push::{Fleet, connect, logs};

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Print the end of a node's log
///
/// Example: kvs push logs fleet.yaml n2 --lines 200
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The inventory; see kvs-fleet(5)
    #[arg(value_name = "FLEET")]
    fleet: std::path::PathBuf,
    /// The host
    #[arg(value_name = "NAME")]
    name: String,
    /// How many lines
    #[arg(long, value_name = "N", default_value_t = 50)]
    lines: usize,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let fleet = Fleet::read(&args.fleet, &super::here::me())?;
    let talk = super::talk::Talk::new(None, common.quiet);
    let text = logs(&fleet, &args.name, args.lines, &|host| connect(&fleet, host, &talk))?;
    ui.bytes(plain_lines(&text).as_bytes())?;
    Ok(Done::Yes)
}
