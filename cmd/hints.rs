//! `kvs hints`: writes that are kept for nodes that were down.

use clap::{Args as ClapArgs, Subcommand};
use kvs::repair::deliver;
use kvs::store::Hint;
use kvs::target::{Access, Target};
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Fail, Outcome};
use crate::get::put_bytes;
use crate::ui::Ui;

/// Hints read at a time.
const SLICE: usize = 1_024;

/// List or deliver the writes that are kept for nodes that were down
///
/// A hint of kind `data` was acknowledged in its owner's stead and is only forgotten when the owner
/// holds it; `reference` points to the holder's own record. Nodes deliver hints by themselves when
/// they run, and `kvs repair` does too.
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
    /// Deliver what can be delivered: 0 when none is left, 7 when some are
    Deliver,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match args.verb {
        Verb::List => list(ui, common),
        Verb::Deliver => send(ui, common),
    }
}

fn list(ui: &mut Ui, common: &Common) -> Outcome {
    let target = common.open(ui, Access::Read, "hints")?;
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    each(&target, &mut |holder, hint| {
        let kind = if hint.stored.is_some() { "data" } else { "reference" };
        let bytes = hint.stored.as_ref().map_or(0, |s| s.bytes().len()).to_string();
        let (holder, to) = (holder.to_owned(), target.doc().name(hint.target));
        let mut json = json!({"holder": holder, "target": to, "partition": hint.partition.0,
            "kind": kind, "bytes": bytes});
        put_bytes(&mut json, "key", hint.key.as_bytes());
        objects.push(json);
        let (key, partition) = (hint.key.to_string(), hint.partition.to_string());
        rows.push(vec![holder, to, key, partition, kind.to_owned(), bytes]);
    })?;
    if ui.is_json() {
        ui.json(&json!({"schema": "kvs.hints/1", "hints": objects}))?;
    } else {
        ui.rows(&["holder", "target", "key", "partition", "kind", "bytes"], &rows)?;
    }
    Ok(Done::Yes)
}

/// Calls with every hint of every open node, and its holder.
fn each(target: &Target, found: &mut dyn FnMut(&str, &Hint)) -> Result<(), Fail> {
    for id in target.nodes() {
        let Some(store) = target.store(id) else { continue };
        let holder = target.doc().name(id);
        let mut after = None;
        loop {
            let hints = store.hints(after.as_ref(), SLICE)?;
            hints.iter().for_each(|hint| found(&holder, hint));
            let Some(last) = hints.last() else { break };
            after = Some((last.target, last.partition, last.key.clone()));
        }
    }
    Ok(())
}

fn send(ui: &mut Ui, common: &Common) -> Outcome {
    let mut target = common.open(ui, Access::Write, "hints")?;
    let (delivered, left) = deliver(&mut target)?;
    ui.warn_all(target.warnings());
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
        return Ok(Done::Partly);
    }
    Ok(Done::Yes)
}
