//! `kvs leave`: takes a healthy node out of a ring.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kvs::cluster::Access;
use kvs::ring::Change;
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ring::change::{Consent, Preview, agreed, carry_out, write_plan};
use crate::ui::Ui;

/// Take a node out of the ring
///
/// The node hands its share and its hints to the others; then its directory no longer belongs to
/// the ring. Fewer members than replicas are refused (10). A lost node cannot leave: use `kvs
/// replace`, or `kvs ring plan --remove`.
///
/// Example: kvs --ring r leave n4 --yes
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The member that leaves
    #[arg(value_name = "NAME")]
    name: String,
    /// Write the plan to a file instead of carrying it out
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let cluster = common.open(ui, Access::Write, "leave")?;
    let id = cluster.doc().named(&args.name)?.id;
    let dir = cluster.dir(id).map(|d| d.display().to_string());
    let changes = [Change::Leave(args.name.clone())];
    let preview = Preview::of(&cluster, &changes)?;
    let plan = cluster.doc().plan_of(changes.to_vec());
    let (mut version, mut done) = (None, Done::Yes);
    if let Some(file) = &args.plan {
        preview.show_beside(ui, args.plan.as_deref())?;
        write_plan(ui, &plan, file)?;
    } else if agreed(ui, &args.consent, &preview)? {
        let doc = carry_out(ui, common, cluster, &plan, None)?;
        ui.has_applied(format!("{} has left the ring.", args.name));
        ui.note(&format!("{} has left; the ring is at version {}", args.name, doc.version));
        if let Some(dir) = &dir {
            ui.note(&format!("{dir} no longer belongs to the ring and can be deleted"));
        }
        version = Some(doc.version.to_string());
    } else {
        done = preview.rehearsed();
    }
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.leave/1", "plan": preview.json(), "applied": version.is_some(),
            "version": version, "dir": dir,
        }))?;
    }
    Ok(done)
}
