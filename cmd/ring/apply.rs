//! `kvs ring apply`: carries out a plan, or goes on with the change under way.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kvs::cluster::{Access, is_applied};
use kvs::config;
use kvs::ring::{ChangeStep, RingDoc, RingPlan};
use serde_json::json;

use super::change::{Consent, Preview, agreed, carry_out, finish};
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Carry out a plan, or continue the change under way
///
/// A plan is for one version of the ring; a plan that was already applied is not applied again. The
/// directory of a joining member must be in the ring's directory, or be named with --ring too. When
/// a directory is missing, it stops half way (7); repeat it when the directory is back.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The plan
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Continue even if removing members may lose writes that only they hold
    #[arg(long)]
    accept_loss: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open(ui, Access::Write, "ring-apply")?;
    let doc = cluster.doc();
    let plan = args.file.as_deref().map(config::read::<RingPlan>).transpose()?;
    plan.iter().try_for_each(RingPlan::check)?;
    let Some(plan) = plan.filter(|plan| !is_applied(&doc, plan)) else {
        if doc.step == ChangeStep::Settled {
            ui.note(match args.file {
                Some(_) => "the plan was already applied",
                None => "no change is under way",
            });
        }
        if args.consent.dry_run {
            told(ui, &doc, false)?;
            return Ok(if doc.step == ChangeStep::Settled { Done::Yes } else { Done::No });
        }
        let now = finish(ui, cluster)?;
        return told(ui, &now, doc.version != now.version);
    };
    doc.apply(&plan)?;
    cluster.admit(&plan.changes, args.accept_loss)?;
    let preview = Preview::of(&cluster, &plan.changes)?;
    if !agreed(ui, &args.consent, &preview)? {
        told(ui, &doc, false)?;
        return Ok(preview.rehearsed());
    }
    let now = carry_out(ui, common, cluster, &plan, None)?;
    told(ui, &now, true)
}

fn told(ui: &mut Ui, doc: &RingDoc, applied: bool) -> Outcome {
    if applied {
        ui.has_applied(format!("The ring is at version {}.", doc.version));
    }
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.apply/1", "applied": applied, "version": doc.version.to_string(),
            "step": doc.step.to_string(),
        }))?;
    } else if applied {
        ui.note(&format!("the ring is at version {}", doc.version));
    }
    Ok(Done::Yes)
}
