//! `kvs ring plan`: what changes of the ring would do.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kvs::cluster::Access;
use kvs::error::Error;
use kvs::os::random;
use kvs::ring::{Change, Member, MemberState, NodeId, WEIGHT_MAX};

use super::change::{Preview, write_plan};
use crate::common::Common;
use crate::exit::Outcome;
use crate::ui::Ui;

/// Print what ring changes would do
///
/// Exits 1 when they would change something, otherwise 0. A new member can be tried here, but only
/// its own directory has its identity: to write a plan file for a join, use `kvs join DIR --plan
/// FILE`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Add a member
    #[arg(long, value_name = "NAME[:ZONE[:WEIGHT]]", value_parser = sketch)]
    join: Vec<Member>,
    /// Let a member leave and hand over what it holds
    #[arg(long, value_name = "NAME")]
    leave: Vec<String>,
    /// Change a member's weight
    #[arg(long, value_name = "NAME=W", value_parser = weight)]
    weight: Vec<(String, u32)>,
    /// Remove a member that is gone for good
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// Write the plan to a file (- is stdout), for `kvs ring apply FILE`
    #[arg(short, long, value_name = "FILE", conflicts_with = "join")]
    output: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let cluster = common.open(ui, Access::Read, "ring-plan")?;
    let changes: Vec<Change> = (args.join.iter().cloned().map(Change::Join))
        .chain(args.leave.iter().cloned().map(Change::Leave))
        .chain(args.weight.iter().cloned().map(|(name, weight)| Change::Weight(name, weight)))
        .chain(args.remove.iter().cloned().map(Change::Remove))
        .collect();
    let preview = Preview::of(&cluster, &changes)?;
    preview.show_beside(ui, args.output.as_deref())?;
    if ui.is_json() {
        let mut json = preview.json();
        json["schema"] = "kvs.plan/1".into();
        json["changed"] = preview.is_change().into();
        ui.json(&json)?;
    }
    if let Some(file) = &args.output {
        write_plan(ui, &cluster.doc().plan_of(changes), file)?;
    }
    Ok(preview.rehearsed())
}

/// A member that does not exist yet, with an identity that is thrown away.
fn sketch(text: &str) -> Result<Member, String> {
    let mut parts = text.splitn(3, ':');
    let name = parts.next().filter(|n| !n.is_empty()).ok_or("a member needs a name")?.to_owned();
    let zone = parts.next().unwrap_or("default").to_owned();
    let weight = parts.next().map_or(Ok(1), share)?;
    let id = NodeId(random().map_err(|e: Error| e.to_string())? as u64);
    Ok(Member { id, name, zone, weight, state: MemberState::Joining, public_key: [0; 32] })
}

fn weight(text: &str) -> Result<(String, u32), String> {
    let (name, weight) = text.rsplit_once('=').ok_or("expected NAME=W")?;
    Ok((name.to_owned(), share(weight)?))
}

/// A member's share relative to others.
fn share(text: &str) -> Result<u32, String> {
    let weight = text.parse().ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight));
    weight.ok_or_else(|| format!("a weight is a whole number from 1 to {WEIGHT_MAX}"))
}
