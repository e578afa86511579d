//! `kvs delete`: removes a value.

use clap::Args as ClapArgs;
use kvs::clock::parse_token;
use kvs::cluster::Access;
use kvs::key::Key;
use kvs::quorum::{Item, Precondition};

use crate::common::{Common, Quorum, key_parser};
use crate::exit::Outcome;
use crate::render::WriteReport;
use crate::ui::Ui;

/// Delete the value of a key
///
/// A delete is a write: it leaves a tombstone that replaces the value on every owner; owners that
/// are down get it later. When the key has no value, nothing is written (exit 1). A key with
/// siblings is not deleted unseen (exit 3): give --context, or --overwrite for all.
///
/// Example: kvs delete cart:42
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The key
    #[arg(value_name = "KEY", value_parser = key_parser())]
    key: Key,
    /// Delete exactly what this context includes: the token of kvs get --show-context
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true, conflicts_with = "overwrite")]
    context: Option<String>,
    /// Delete the current values, even if there are siblings
    #[arg(long)]
    overwrite: bool,
    /// Print the context of the delete on stdout, for the next put
    #[arg(long)]
    show_context: bool,
    #[command(flatten)]
    quorum: Quorum,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let key = &args.key;
    let mut cluster = common.open(ui, Access::Write, "delete")?;
    let basis = match &args.context {
        Some(token) => Precondition::Context(parse_token(cluster.doc().id.0, key, token)?),
        None => Precondition::Overwrite { force: args.overwrite },
    };
    let options = args.quorum.options();
    let reply = cluster.put(Item { key: key.clone(), value: None, basis }, &options);
    ui.warn_all(cluster.warnings());
    let w = options.w(&cluster.doc());
    let show_context = args.show_context;
    WriteReport { schema: "kvs.delete/1", key, w, show_context, exact: false }
        .tell(ui, &cluster, &reply?)
}
