//! `kvs ring recover`: makes a ring of the nodes that are left.

use clap::Args as ClapArgs;
use kvs::cluster::Access;
use kvs::node_dir::set_aside;
use kvs::repair::{RepairOptions, repair};
use serde_json::json;

use super::change::sure;
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Make a ring of the remaining nodes when a majority is lost for good
///
/// The nodes that open become a ring of their own under a new id; all others are removed for good.
/// Writes that only they held are lost, and earlier contexts are no longer valid. Bring members
/// back instead if there is any way to.
///
/// Example: kvs --ring r ring recover --accept-minority --replicas 2 --yes
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Confirm that the members that do not open are given up
    #[arg(long, required = true)]
    accept_minority: bool,
    /// Copies of each record from now on; by default as before
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=15))]
    replicas: Option<u8>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open(ui, Access::Write, "ring-recover")?;
    let doc = cluster.doc();
    let gone = cluster.missing();
    let copies = cluster.full_copies(&[]);
    let none = copies.values().filter(|c| **c == 0).count();
    let few = copies.values().filter(|c| **c > 0 && **c + doc.majority() <= doc.n()).count();
    if !gone.is_empty() {
        ui.say(&format!("given up for good: {}", gone.join(", ")));
        let q = doc.q.count();
        if none > 0 {
            ui.say(&format!("values are lost in {none} of {q} partitions: no full copy is left"));
        }
        if few > 0 {
            ui.say(&format!(
                "latest values may be lost in {few} of {q} partitions: too few full copies are left"
            ));
        }
        ui.say("the ring gets a new id: earlier contexts are no longer valid");
        sure(ui, args.yes, "Proceed with the remaining nodes only?")?;
    }
    let strangers = [cluster.left_out(), cluster.damaged(), cluster.odd()].concat();
    let after = cluster.recover(args.replicas)?;
    for dir in strangers {
        // They are of the ring that was: in the way of the one that is.
        if let Some(aside) = set_aside(&dir, "kvs-ring-recover", common.timeout)? {
            ui.note(&format!("moved {} aside to {}", dir.display(), aside.display()));
        }
    }
    let mut cluster = common.open(ui, Access::Write, "ring-recover")?;
    let options = RepairOptions { accept_open: true, ..RepairOptions::default() };
    let report = repair(&mut cluster, &options, &mut |_, _, _| true);
    ui.warn_all(cluster.warnings());
    let report = report?;
    ui.has_applied(format!("The ring is now {}.", after.id));
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.recover/1", "id": after.id.to_string(), "removed": gone,
            "version": after.version.to_string(), "replicas": after.replicas,
            "partitions": {"lost": none, "unproven": few},
        }))?;
    } else {
        ui.note(&format!("the ring is now {}, at version {}", after.id, after.version));
    }
    if report.is_lossy() {
        ui.note(
            "some copies have lost records; next: kvs repair, or continue without them: \
                 kvs repair --accept-losses",
        );
        return Ok(Done::Partly);
    }
    if !report.is_complete() {
        ui.note("some copies are still filling; next: kvs repair");
        return Ok(Done::Partly);
    }
    Ok(Done::Yes)
}
