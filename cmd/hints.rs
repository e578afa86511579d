//! `kvs hints`: writes that are kept for nodes that were down.

use clap::{Args as ClapArgs, Subcommand};
use kvs::cluster::{Access, Cluster};
use kvs::error::Error;
use kvs::repair::{bad_hints, deliver, unread_hints};
use kvs::ring::{NodeId, RingDoc};
use kvs::store::{BadHints, Hint};
use serde_json::{Value, json};

use crate::common::{Common, heard, read_of, warn_of_unread};
use crate::exit::{Done, Outcome};
use crate::render::put_bytes;
use crate::ui::{Ui, counted};
use crate::verify::tell_bad_hints;

/// Hints read at a time: of a record's greatest size each they take 64 MiB.
const SLICE: usize = 64;

/// List or deliver writes kept for nodes that were down
///
/// A hint of kind `data` was acknowledged on behalf of its owner and is deleted only when the owner
/// holds it; `reference` points to the holder's own record. Running nodes deliver hints by
/// themselves, and so does `kvs repair`. Both commands exit 7 when a node, and so its hints, could
/// not be read; 8 when hints are damaged or gone, which are named: `kvs repair --verify` deletes
/// those whose writes their owners hold.
///
/// Example: kvs --ring r hints list
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print holder, target, key, partition, kind and bytes of each hint; exits 8 when some are
    /// damaged
    List,
    /// Deliver all hints that can be; exits 0 when none is left, 7 when some may be, 8 when some
    /// are damaged
    Deliver,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match args.verb {
        Verb::List => list(ui, common),
        Verb::Deliver => send(ui, common),
    }
}

fn list(ui: &mut Ui, common: &Common) -> Outcome {
    let mut cluster = common.open_all(ui, "hints", &[])?;
    let (mut rows, mut objects, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    let asked = cluster.nodes();
    for id in asked.iter().copied() {
        each(ui, &mut cluster, id, |doc, hint| {
            let kind = if hint.stored.is_some() { "data" } else { "reference" };
            let bytes = hint.stored.as_ref().map_or(0, |s| s.bytes().len()).to_string();
            let (holder, to) = (doc.name(id), doc.name(hint.target));
            let mut json = json!({"holder": holder, "target": to, "partition": hint.partition.0,
                "kind": kind, "bytes": bytes});
            put_bytes(&mut json, "key", hint.key.as_bytes());
            objects.push(json);
            let (key, partition) = (hint.key.to_string(), hint.partition.to_string());
            rows.push(vec![holder, to, key, partition, kind.to_owned(), bytes]);
        })?;
        let read = cluster.store(id).map_or_else(|| Ok(BadHints::default()), |s| s.bad_hints());
        let bad = heard(ui, &mut cluster, id, read)?.unwrap_or_default();
        damaged.extend((!bad.is_empty()).then_some((id, bad)));
    }
    if ui.is_json() {
        ui.json(&json!({"schema": "kvs.hints/1", "hints": objects,
            "bad_hints": damage_by_node(&cluster.doc(), &damaged)}))?;
    } else {
        ui.rows(&["holder", "target", "key", "partition", "kind", "bytes"], &rows)?;
    }
    let partly = common.is_partly_read(&cluster, &[], &asked)?;
    tell_damaged(ui, &cluster.doc(), &damaged);
    Ok(if damaged.is_empty() { read_of(&cluster, partly) } else { Done::Corrupt })
}

/// Says which hints are damaged, and the way out.
fn tell_damaged(ui: &mut Ui, doc: &RingDoc, damaged: &[(NodeId, BadHints)]) {
    damaged.iter().for_each(|(id, hints)| tell_bad_hints(ui, &doc.name(*id), hints));
    if !damaged.is_empty() {
        ui.say("heal from the other copies: kvs repair --verify");
    }
}

/// How many hints are damaged or gone, by holder.
fn damage_by_node(doc: &RingDoc, damaged: &[(NodeId, BadHints)]) -> Vec<Value> {
    let one = |(id, hints): &(NodeId, BadHints)| json!({"node": doc.name(*id), "hints": hints.count().to_string()});
    damaged.iter().map(one).collect()
}

/// Every hint of a node, a few at a time. One that no longer answers is passed over from there on, and
/// that is said.
fn each(
    ui: &mut Ui,
    cluster: &mut Cluster,
    id: NodeId,
    mut list: impl FnMut(&RingDoc, &Hint),
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let read =
            cluster.store(id).map_or_else(|| Ok(Vec::new()), |s| s.hints(after.as_ref(), SLICE));
        let hints = heard(ui, cluster, id, read)?.unwrap_or_default();
        let Some(last) = hints.last() else { return Ok(()) };
        after = Some(last.place());
        hints.iter().for_each(|hint| list(&cluster.doc(), hint));
    }
}

fn send(ui: &mut Ui, common: &Common) -> Outcome {
    let mut cluster = common.open(ui, Access::Write, "hints")?;
    let (delivered, left) = deliver(&mut cluster)?;
    let (unreadable, damaged) = (unread_hints(&cluster), bad_hints(&cluster).unwrap_or_default());
    // What is damaged waits for nobody.
    let left = left.saturating_sub(damaged.iter().map(|(_, bad)| bad.bad.len() as u64).sum());
    ui.warn_all(cluster.warnings());
    // Who is down, or went down on the way, may keep hints that nobody was told of.
    let unread = cluster.missing();
    warn_of_unread(ui, &cluster, &unread);
    ui.has_applied(format!("Delivered {}.", counted(delivered, "hint")));
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.deliver/1", "delivered": delivered.to_string(),
            "left": left.to_string(), "bad_hints": damage_by_node(&cluster.doc(), &damaged),
        }))?;
    } else {
        ui.rows(&["delivered", "left"], &[vec![delivered.to_string(), left.to_string()]])?;
    }
    if left > 0 {
        let wait = match &cluster.missing()[..] {
            [] => "their targets do not accept them now; see why: kvs status".to_owned(),
            down if cluster.is_live() => {
                format!("down: {}; delivered by themselves when these are back", down.join(", "))
            }
            down => format!("down: {}; when these are back: kvs hints deliver", down.join(", ")),
        };
        ui.note(&format!("{} waiting; {wait}", counted(left, "hint")));
    }
    for (id, error) in &unreadable {
        let name = cluster.doc().name(*id);
        ui.say(&format!("{name}: some of its hints cannot be read: {error} See kvs verify"));
    }
    tell_damaged(ui, &cluster.doc(), &damaged);
    Ok(match (damaged.is_empty() && unreadable.is_empty(), left == 0 && unread.is_empty()) {
        (true, true) => Done::Yes,
        (true, false) => Done::Partly,
        (false, _) => Done::Corrupt,
    })
}
