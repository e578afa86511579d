//! `kvs wait`: comes back when the ring is as a script needs it.
//!
//! Each look opens the ring anew, so that nodes may come and go meanwhile. What is not there yet is
//! no error until the time is over.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::cluster::{Access, Cluster, View};
use kvs::error::Error;
use kvs::os::now;
use kvs::repair::{SyncPeers, apart, doubts, sync_pass, unsound};
use kvs::ring::{ChangeStep, NodeId};
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Fail, Outcome};
use crate::status::Seen;
use crate::ui::{Ui, counted};

/// How often the ring is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long one look waits for a node: it may answer, or be known to be down, at the next.
const LOOK: Duration = Duration::from_secs(5);

/// Wait until the ring is in a given state
///
/// All conditions given must hold at once. Exits 0 when they do; 1 after --timeout, with what is
/// still missing on stderr. For directories of stopped nodes the answer comes at once, except with
/// --node-up.
///
/// Example: kvs --ring r wait --in-sync --hints-drained --timeout 10m
#[derive(Debug, ClapArgs)]
#[group(id = "condition", required = true, multiple = true)]
pub(crate) struct Args {
    /// Every member is up and has synced with all others since the command began
    #[arg(long)]
    in_sync: bool,
    /// No node keeps a hint
    #[arg(long)]
    hints_drained: bool,
    /// This member answers, and every node that answers considers it up
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    node_up: Vec<String>,
    /// This member does not answer, and no node that answers considers it up
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    node_down: Vec<String>,
    /// Every member is up and no ring change is under way
    #[arg(long)]
    settled: bool,
}

/// What one look found.
struct Look {
    /// What is missing, a sentence each.
    missing: Vec<String>,
    /// Whether it makes sense to look again.
    may_change: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let deadline = now() + common.timeout;
    let mut synced = BTreeSet::new();
    let missing = loop {
        let left = deadline.saturating_duration_since(now());
        let timeout = left.clamp(POLL, LOOK);
        let look = look(&Common { timeout, ..common.clone() }, args, &mut synced)?;
        if look.missing.is_empty() || !look.may_change || now() >= deadline {
            break look.missing;
        }
        thread::sleep(POLL.min(deadline.saturating_duration_since(now())));
    };
    if ui.is_json() {
        let met = missing.is_empty();
        ui.json(&json!({"schema": "kvs.wait/1", "met": met, "missing": missing}))?;
    }
    missing.iter().for_each(|what| ui.say(what));
    Ok(if missing.is_empty() { Done::Yes } else { Done::No })
}

/// Looks once.
fn look(common: &Common, args: &Args, synced: &mut BTreeSet<NodeId>) -> Result<Look, Fail> {
    match opened(common, args, synced) {
        Ok(look) => Ok(look),
        Err(error) if is_passing(&error) => {
            Ok(Look { missing: vec![error.to_string()], may_change: true })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an error may be gone at the next look: nodes that start, stop or are busy.
fn is_passing(error: &Error) -> bool {
    use Error::{Busy, Partial, Refused, Unknown, Unreachable};
    matches!(error.root(), Busy(_) | Partial(_) | Refused(_) | Unknown(_) | Unreachable(_))
}

fn opened(common: &Common, args: &Args, synced: &mut BTreeSet<NodeId>) -> Result<Look, Error> {
    let mut cluster = Cluster::open(&common.opening(Access::Read, "wait", &[]))?;
    for name in args.node_up.iter().chain(&args.node_down) {
        cluster.doc().named(name)?;
    }
    let views = cluster.views()?;
    let live = cluster.is_live();
    let mut missing = standing(&mut cluster, &views, args);
    if args.settled {
        missing.extend(unsettled(&cluster, &views));
    }
    if args.hints_drained {
        missing.extend(views.iter().filter_map(hints));
    }
    if args.in_sync {
        let behind =
            if live { pass(&mut cluster, &views, synced)? } else { differing(&cluster, &views)? };
        missing.extend(behind);
    }
    // Files do not change while nobody runs them; their nodes may be started meanwhile.
    Ok(Look { missing, may_change: live || !args.node_up.is_empty() })
}

/// Members that are not as they should be: up or down.
fn standing(cluster: &mut Cluster, views: &[View], args: &Args) -> Vec<String> {
    let seen = Seen::by_nodes(cluster);
    let live = cluster.is_live();
    let mut missing = Vec::new();
    for view in views {
        let name = &view.member.name;
        let (up, down) = seen.of(view.member.id);
        let answers = live && view.status.is_some();
        // One that has just started takes no requests before it has heard the others.
        let serves = answers && view.info.as_ref().is_none_or(|info| !info.waiting);
        if args.node_up.contains(name) && !(serves && down.is_empty()) {
            missing.push(match down.is_empty() || !serves {
                true => format!("{name} is not up"),
                false => format!("{name} is not up for {}", down.join(", ")),
            });
        }
        if args.node_down.contains(name) && (answers || !up.is_empty()) {
            missing.push(match answers {
                true => format!("{name} is up"),
                false => format!("{name} is still up for {}", up.join(", ")),
            });
        }
    }
    missing
}

fn unsettled(cluster: &Cluster, views: &[View]) -> Vec<String> {
    let doc = cluster.doc();
    let mut missing = down(views);
    if doc.step != ChangeStep::Settled {
        missing.push(format!("a ring change is at step {}", doc.step));
    }
    for view in views {
        if let Some(status) = view.status.as_ref().filter(|s| s.version != doc.version) {
            let (name, version) = (&view.member.name, status.version);
            missing.push(format!("{name} has version {version} of the ring, not {}", doc.version));
        }
    }
    missing
}

fn down(views: &[View]) -> Vec<String> {
    let down = views.iter().filter(|v| v.status.is_none());
    down.map(|v| format!("{} is down", v.member.name)).collect()
}

fn hints(view: &View) -> Option<String> {
    let name = &view.member.name;
    match &view.status {
        None => Some(format!("{name} is down: its hints are unknown")),
        Some(status) if status.hints > 0 => {
            Some(format!("{name} keeps {}", counted(status.hints, "hint")))
        }
        Some(_) => None,
    }
}

/// Has those sync that have not yet, once all are up.
fn pass(
    cluster: &mut Cluster,
    views: &[View],
    synced: &mut BTreeSet<NodeId>,
) -> Result<Vec<String>, Error> {
    let mut missing = down(views);
    if !missing.is_empty() {
        return Ok(missing);
    }
    for id in cluster.nodes() {
        if synced.contains(&id) {
            continue;
        }
        match sync_pass(cluster, id, SyncPeers::All)? {
            None => drop(synced.insert(id)),
            Some(why) => missing.push(why),
        }
    }
    missing.extend(damaged(cluster)?);
    Ok(missing)
}

/// What keeps directories from being equal.
fn differing(cluster: &Cluster, views: &[View]) -> Result<Vec<String>, Error> {
    let doc = cluster.doc();
    let mut missing = down(views);
    for view in views {
        if let Some(status) = view.status.as_ref().filter(|s| s.filling > 0) {
            let filling = counted(status.filling, "partition");
            missing.push(format!("{} is filling {filling}", view.member.name));
        }
    }
    missing.extend(damaged(cluster)?);
    for (a, b, partitions) in apart(cluster)? {
        let (a, b) = (doc.name(a), doc.name(b));
        let partitions = counted(partitions, "partition");
        missing.push(format!("{a} and {b} differ in {partitions}: kvs repair"));
    }
    Ok(missing)
}

/// Copies that do not hold what they were told to.
fn damaged(cluster: &Cluster) -> Result<Vec<String>, Error> {
    let mut missing = Vec::new();
    for id in cluster.nodes() {
        let name = cluster.doc().name(id);
        missing.extend(unsound(cluster, id).map(|error| format!("{name}: {error}")));
        let doubts = doubts(cluster, id, None)?;
        if let Some(first) = doubts.first() {
            let (p, why) = (first.partition, &first.why);
            missing.push(format!("{name}: partition {p} {why}: kvs repair --verify"));
        }
    }
    Ok(missing)
}
