//! `kvs replace`: rebuilds a lost node under a new identity.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kvs::client::free_port;
use kvs::cluster::{Access, Cluster};
use kvs::error::Error;
use kvs::node_dir::{MemberSpec, put_back, set_aside};
use kvs::os::random;
use kvs::ring::{Change, Member, NodeId};
use serde_json::json;

use crate::common::{Common, listening};
use crate::exit::{Done, Outcome};
use crate::join::free_address;
use crate::ring::change::{Consent, Preview, agreed, beside, carry_out};
use crate::ui::Ui;

/// Rebuild a lost node under a new identity
///
/// The new node takes over the partitions, name, zone and weight of the lost one and is filled from
/// the others. A directory in its place is moved aside to NAME.old-…, never deleted, and its data
/// is not used; one that belongs to another member stays. When other members are missing, it stops
/// half way (7); continue with `kvs ring apply`. In a running ring the new node must run too, as
/// for `kvs join`.
///
/// Example: kvs --ring r replace n2 --yes
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The lost member
    #[arg(value_name = "NAME")]
    name: String,
    /// The new directory; by default that of the lost node
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where the new node listens; by default where the lost one did, or on a free port
    #[arg(long, value_name = "HOST:PORT", value_parser = listening)]
    listen: Option<String>,
    /// Continue even if writes may be lost that only the lost node and missing ones hold
    #[arg(long)]
    accept_loss: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    // Whatever is left of it stays closed: it is not asked, and may be moved.
    let mut common = common.clone();
    common.lost = Some(args.name.clone());
    let mut cluster = common.open(ui, Access::Write, "replace")?;
    let lost: Member = cluster.doc().named(&args.name)?.clone();
    let dir = new_home(ui, &cluster, &lost, args.dir.as_deref())?;
    let sketch = Member { id: NodeId(random()? as u64), ..lost.clone() };
    let changes = [Change::Replace(sketch)];
    let preview = Preview::of(&cluster, &changes)?;
    cluster.admit(&changes, args.accept_loss)?;
    let listen = args.listen.clone().or_else(|| place(&cluster, lost.id));
    let spec = MemberSpec { name: lost.name, zone: lost.zone, weight: lost.weight, listen };
    let moved = dir.exists() && !cluster.is_prepared(&dir, &spec);
    if moved {
        ui.note(&format!("{} will be moved aside", dir.display()));
    }
    let (mut version, mut done) = (None, Done::Yes);
    if agreed(ui, &args.consent, &preview)? {
        let purpose = "kvs-replace";
        let aside = if moved { set_aside(&dir, purpose, common.timeout)? } else { None };
        if let Some(aside) = &aside {
            ui.note(&format!("moved {} aside to {}", dir.display(), aside.display()));
        }
        let doc = rebuild(ui, &common, cluster, &dir, &spec, aside.as_deref())?;
        ui.has_applied(format!("{} was rebuilt.", args.name));
        ui.note(&format!("{} is rebuilt; the ring is at version {doc}", args.name));
        version = Some(doc.to_string());
    } else {
        done = preview.rehearsed();
    }
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.replace/1", "plan": preview.json(), "applied": version.is_some(),
            "version": version, "dir": dir.display().to_string(),
        }))?;
    }
    Ok(done)
}

/// The new directory. What another member lives in is never moved aside, whatever it is called.
fn new_home(
    ui: &mut Ui,
    cluster: &Cluster,
    lost: &Member,
    named: Option<&Path>,
) -> Result<PathBuf, Error> {
    let other = |dir: &Path| cluster.home_of(dir).filter(|m| m.id != lost.id).map(|m| m.name);
    let none = |text: String| {
        Error::Usage(format!("{text}; nothing was changed.")).hint("name another one: --dir DIR")
    };
    if let Some(dir) = named {
        return match other(dir) {
            Some(name) => Err(none(format!("{} is the directory of {name}", dir.display()))),
            None => Ok(dir.to_path_buf()),
        };
    }
    let first = beside(cluster, &lost.name).ok_or_else(|| {
        none("No node directory of this ring is on this machine to put the new one beside".into())
    })?;
    let Some(name) = other(&first) else { return Ok(first) };
    let next = |n: u32| first.with_file_name(format!("{}.{n}", lost.name));
    let dir = (2..100).map(next).find(|dir| !dir.exists());
    let dir = dir.ok_or_else(|| none(format!("{} is the directory of {name}", first.display())))?;
    ui.note(&format!(
        "{} is the directory of {name}: the new one is {}",
        first.display(),
        dir.display()
    ));
    Ok(dir)
}

/// Where the new node listens: where the lost one did, if this machine can listen there.
fn place(cluster: &Cluster, lost: NodeId) -> Option<String> {
    cluster.addresses().remove(&lost).filter(|a| free_port(a)).or_else(free_address)
}

/// Makes the directory, has it take the place and fills it; the ring's version then.
fn rebuild(
    ui: &mut Ui,
    common: &Common,
    cluster: Cluster,
    dir: &Path,
    spec: &MemberSpec,
    aside: Option<&Path>,
) -> Result<u64, Error> {
    let undo = |error: Error| {
        if let Some(aside) = aside {
            put_back(aside, dir)?;
        }
        Err(error)
    };
    let member = match cluster.prepare_member(dir, spec) {
        Ok(member) => member,
        Err(error) => return undo(error),
    };
    let plan = cluster.doc().plan_of(vec![Change::Replace(member)]);
    let common = Common { lost: None, ..common.clone() };
    let live = cluster.is_live();
    match carry_out(ui, &common, cluster, &plan, Some(dir)) {
        Ok(doc) => Ok(doc.version),
        Err(error) if !live && matches!(error.root(), Error::Conflict(_)) => {
            // Another change was chosen: the new directory is nobody's.
            std::fs::remove_dir_all(dir).map_err(Error::io("remove", dir))?;
            undo(error)
        }
        Err(error) => Err(error),
    }
}
