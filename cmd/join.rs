//! `kvs join`: adds a node to a ring.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kvs::client::free_ports;
use kvs::cluster::{Access, Cluster};
use kvs::config::NODE_FILE;
use kvs::error::Error;
use kvs::node_dir::MemberSpec;
use kvs::os::random;
use kvs::ring::{Change, Member, MemberState, NodeId, RingDoc, WEIGHT_MAX, check_new_name};
use serde_json::json;

use crate::common::{Common, listening};
use crate::exit::{Done, Fail, Outcome};
use crate::ring::change::{Consent, Preview, agreed, carry_out, write_plan};
use crate::ui::Ui;

/// Add a node to the ring
///
/// Makes DIR if needed, prints what would move, asks, and moves the new node's share to it. --zone
/// sets the zone of the new node; otherwise it is `default`. When a member's directory is missing,
/// it stops half way (7); bring it back and continue with `kvs ring apply`.
///
/// A running ring accepts only a running node: `kvs up` starts the new directory by itself;
/// otherwise start it with `kvs node run DIR` when the command asks for it. When it is not started
/// in time, the directory stays (7); run the command again once the node is running.
///
/// Example: kvs --ring r join r/n4 --zone b --yes
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The directory of the new node
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The new member's name (letters, digits, . _ and -); by default the directory's name
    #[arg(long)]
    name: Option<String>,
    /// Its share of the data relative to other members
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(WEIGHT_MAX)))]
    weight: u32,
    /// Where it listens; by default a free port of 127.0.0.1
    #[arg(long, value_name = "HOST:PORT", value_parser = listening)]
    listen: Option<String>,
    /// Make the directory, and write the plan to a file instead of carrying it out
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let zone = common.zone.clone().unwrap_or_else(|| "default".into());
    let common = Common { zone: None, ..common.clone() }; // it may be a zone that is new
    let listen = args.listen.clone().or_else(free_address);
    let spec = MemberSpec { name: name(args)?, zone, weight: args.weight, listen };
    let cluster = common.open(ui, Access::Write, "join")?;
    let live = cluster.is_live();
    refuse_member(&cluster, &args.dir)?;
    let found = args.dir.join(NODE_FILE).exists();
    if found {
        cluster.prepare_member(&args.dir, &spec)?; // makes nothing: it says whether that node may join
    }
    // The layout does not depend on the identity: a directory is only made once all agree.
    let preview = Preview::of(&cluster, &[Change::Join(sketch(&spec)?)])?;
    if args.plan.is_some() {
        preview.show_beside(ui, args.plan.as_deref())?;
    } else if !agreed(ui, &args.consent, &preview)? {
        told(ui, &preview, None)?;
        return Ok(preview.rehearsed());
    }
    let member = cluster.prepare_member(&args.dir, &spec)?;
    let plan = cluster.doc().plan_of(vec![Change::Join(member)]);
    if let Some(file) = &args.plan {
        write_plan(ui, &plan, file)?;
        return told(ui, &preview, None);
    }
    let doc = carry_out(ui, &common, cluster, &plan, Some(&args.dir));
    // The directory of a node that runs stays: it is that node's.
    let doc = doc.map_err(|error| unmade(error, &args.dir, found || live))?;
    ui.has_applied(format!("{} has joined the ring.", spec.name));
    ui.note(&format!("{} has joined; the ring is at version {}", spec.name, doc.version));
    told(ui, &preview, Some(&doc))
}

/// A port of this machine that is free now.
pub(crate) fn free_address() -> Option<String> {
    let port = free_ports(1, random().ok()? as u64)?;
    Some(format!("127.0.0.1:{port}"))
}

fn name(args: &Args) -> Result<String, Error> {
    let another = "name it with --name NAME";
    let own = || args.dir.file_name().map(|n| n.to_string_lossy().into_owned());
    let name = args.name.clone().or_else(own).ok_or_else(|| {
        let dir = args.dir.display();
        Error::Usage(format!("No member name can be taken from {dir}; nothing was made."))
            .hint(another)
    })?;
    match check_new_name(&name) {
        Err(error) if args.name.is_none() => Err(error.hint(another)),
        checked => checked.map(|()| name),
    }
}

fn refuse_member(cluster: &Cluster, dir: &Path) -> Result<(), Error> {
    let same = |open: &Path| open.canonicalize().ok() == dir.canonicalize().ok();
    let member = cluster.nodes().into_iter().find(|id| cluster.dir(*id).is_some_and(same));
    let Some(member) = member else { return Ok(()) };
    let (dir, name) = (dir.display(), cluster.doc().name(member));
    Err(Error::Denied(format!("{dir} already is the member {name}; nothing was changed."))
        .hint("kvs ring apply continues an interrupted change"))
}

/// The member as far as it counts for the layout.
fn sketch(spec: &MemberSpec) -> Result<Member, Error> {
    Ok(Member {
        id: NodeId(random()? as u64),
        name: spec.name.clone(),
        zone: spec.zone.clone(),
        weight: spec.weight,
        state: MemberState::Joining,
        public_key: [0; 32],
    })
}

/// Takes back the directory that was just made, when it is sure that it is no member's.
fn unmade(error: Error, dir: &Path, found: bool) -> Fail {
    if matches!(error.root(), Error::Conflict(_)) && !found {
        // What is left of it is no member's; the refusal is the error to report.
        drop(std::fs::remove_dir_all(dir));
    }
    error.into()
}

fn told(ui: &mut Ui, preview: &Preview, doc: Option<&RingDoc>) -> Outcome {
    if ui.is_json() {
        let version = doc.map(|d| d.version.to_string());
        ui.json(&json!({
            "schema": "kvs.join/1", "plan": preview.json(),
            "applied": doc.is_some(), "version": version,
        }))?;
    }
    Ok(Done::Yes)
}
