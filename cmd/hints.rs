//! `kvs hints`: writes that are kept for nodes that were down.

use clap::{Args as ClapArgs, Subcommand};
use kvs::error::Error;
use kvs::repair::{deliver, unread_hints};
use kvs::ring::NodeId;
use kvs::store::{Hint, Store};
use kvs::target::{Access, Target};
use serde_json::json;

use crate::common::{Common, heard, read_of, warn_of_unread};
use crate::exit::{Done, Outcome};
use crate::get::put_bytes;
use crate::ui::Ui;

/// Hints read at a time.
const SLICE: usize = 1_024;

/// List or deliver the writes that are kept for nodes that were down
///
/// A hint of kind `data` was acknowledged in its owner's stead and is only forgotten when the owner
/// holds it; `reference` points to the holder's own record. Nodes deliver hints by themselves when
/// they run, and `kvs repair` does too. Both exit 7 when a
/// node could not be read: nobody knows what it keeps.
///
/// Example: kvs --ring r hints list
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print holder, target, key, partition, kind and bytes of each
    List,
    /// Deliver what can be delivered: 0 when none is left, 7 when some may be, 8 when some are
    /// damaged
    Deliver,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match args.verb {
        Verb::List => list(ui, common),
        Verb::Deliver => send(ui, common),
    }
}

fn list(ui: &mut Ui, common: &Common) -> Outcome {
    let mut target = common.open_all(ui, "hints", &[])?;
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    let asked = target.nodes();
    for (holder, hint) in all(ui, &mut target, &asked)? {
        let kind = if hint.stored.is_some() { "data" } else { "reference" };
        let bytes = hint.stored.as_ref().map_or(0, |s| s.bytes().len()).to_string();
        let to = target.doc().name(hint.target);
        let mut json = json!({"holder": holder, "target": to, "partition": hint.partition.0,
            "kind": kind, "bytes": bytes});
        put_bytes(&mut json, "key", hint.key.as_bytes());
        objects.push(json);
        let (key, partition) = (hint.key.to_string(), hint.partition.to_string());
        rows.push(vec![holder, to, key, partition, kind.to_owned(), bytes]);
    }
    if ui.is_json() {
        ui.json(&json!({"schema": "kvs.hints/1", "hints": objects}))?;
    } else {
        ui.rows(&["holder", "target", "key", "partition", "kind", "bytes"], &rows)?;
    }
    let partly = common.is_partly_read(&target, &[], &asked)?;
    Ok(read_of(&target, partly))
}

/// Every hint of some nodes, and its holder. Who no longer answers is passed over, and that is said.
fn all(ui: &mut Ui, target: &mut Target, nodes: &[NodeId]) -> Result<Vec<(String, Hint)>, Error> {
    let mut all = Vec::new();
    for id in nodes.iter().copied() {
        let read = target.store(id).map_or_else(|| Ok(Vec::new()), hints_of);
        let Some(hints) = heard(ui, target, id, read)? else { continue };
        let holder = target.doc().name(id);
        all.extend(hints.into_iter().map(|hint| (holder.clone(), hint)));
    }
    Ok(all)
}

/// Every hint of a node.
fn hints_of(store: &dyn Store) -> Result<Vec<Hint>, Error> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let hints = store.hints(after.as_ref(), SLICE)?;
        let Some(last) = hints.last() else { return Ok(all) };
        after = Some((last.target, last.partition, last.key.clone()));
        all.extend(hints);
    }
}

fn send(ui: &mut Ui, common: &Common) -> Outcome {
    let mut target = common.open(ui, Access::Write, "hints")?;
    let (delivered, left) = deliver(&mut target)?;
    ui.warn_all(target.warnings());
    // Who is down, or went down on the way, may keep hints that nobody was told of.
    let unread = target.missing();
    warn_of_unread(ui, &target, &unread);
    ui.has_applied(format!("{delivered} hints were delivered."));
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.deliver/1", "delivered": delivered.to_string(),
            "left": left.to_string(),
        }))?;
    } else {
        ui.rows(&["delivered", "left"], &[vec![delivered.to_string(), left.to_string()]])?;
    }
    if left > 0 {
        let wait = match &target.missing()[..] {
            [] => "their targets do not take them now; see why: kvs status".to_owned(),
            down if target.is_live() => {
                format!("down: {}; their nodes deliver them when these are back", down.join(", "))
            }
            down => format!("down: {}; when these are back: kvs hints deliver", down.join(", ")),
        };
        ui.note(&format!("hints that wait: {left}; {wait}"));
    }
    let damaged = unread_hints(&target);
    for (id, error) in &damaged {
        let name = target.doc().name(*id);
        ui.say(&format!("{name}: not all of its hints can be read: {error} See kvs verify"));
    }
    Ok(match (damaged.is_empty(), left == 0 && unread.is_empty()) {
        (true, true) => Done::Yes,
        (true, false) => Done::Partly,
        (false, _) => Done::Corrupt,
    })
}
