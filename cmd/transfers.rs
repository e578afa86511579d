//! `kvs transfers`: what running nodes are moving at this moment.

use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::cluster::Access;
use kvs::node::{Transfer, TransferKind};
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Show what the running nodes are transferring
///
/// One row per sync or delivery of hints in progress: the node, its kind, the other node, records
/// pulled and pushed so far, partitions, age. Stopped nodes transfer nothing.
///
/// Example: watch kvs --ring r transfers
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {}

const HEADER: [&str; 7] = ["node", "kind", "peer", "pulled", "pushed", "partitions", "age"];

pub(crate) fn run(ui: &mut Ui, common: &Common, _args: &Args) -> Outcome {
    let mut cluster = common.open(ui, Access::Read, "transfers")?;
    let doc = cluster.doc();
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    let nodes = if cluster.is_live() { cluster.nodes() } else { Vec::new() };
    for id in nodes {
        let node = doc.name(id);
        match cluster.transfers(id) {
            Ok(transfers) => {
                for transfer in transfers {
                    let peer = doc.name(transfer.peer);
                    rows.push(row(&node, &peer, &transfer));
                    objects.push(object(&node, &peer, &transfer));
                }
            }
            Err(error) => ui.warn(&format!("{node} did not answer: {error}")),
        }
    }
    if ui.is_json() {
        ui.json(&json!({"schema": "kvs.transfers/1", "transfers": objects}))?;
    } else {
        ui.rows(&HEADER, &rows)?;
    }
    Ok(Done::Yes)
}

fn kind(transfer: &Transfer) -> &'static str {
    match transfer.kind {
        TransferKind::Sync => "sync",
        TransferKind::Hints => "hints",
    }
}

fn row(node: &str, peer: &str, t: &Transfer) -> Vec<String> {
    // Whole seconds once there are some: the column is for people.
    let age = Duration::from_millis(t.age_ms);
    let age = if age >= Duration::from_secs(1) { Duration::from_secs(age.as_secs()) } else { age };
    vec![
        node.to_owned(),
        kind(t).to_owned(),
        peer.to_owned(),
        t.pulled.to_string(),
        t.pushed.to_string(),
        t.partitions.to_string(),
        humantime::format_duration(age).to_string(),
    ]
}

fn object(node: &str, peer: &str, t: &Transfer) -> serde_json::Value {
    json!({
        "node": node, "kind": kind(t), "peer": peer, "pulled": t.pulled.to_string(),
        "pushed": t.pushed.to_string(), "partitions": t.partitions,
        "age_ms": t.age_ms.to_string(),
    })
}
