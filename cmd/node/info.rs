//! `kvs node info`: what a running node says of itself.

use clap::Args as ClapArgs;
use kvs::channel::{Info, Load};
use kvs::node::scrubbed_ms;
use serde_json::json;

use super::Named;
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::render::time;
use crate::ui::Ui;

/// Show what a running node reports about itself
///
/// One line per fact: its address, process, directory, uptime and size, whether it is draining, out
/// of space or still waiting to hear from the others, and when it last completed a read of all
/// records with their checksums.
///
/// Example: kvs node info r/n1
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A member, by name or address, or a node directory
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let named = Named::find(common, &args.name)?;
    let (mut cluster, id) = named.open(ui, common, "node-info")?;
    let info = cluster.info(id)?;
    let scrubbed = cluster.store(id).and_then(scrubbed_ms);
    let load = cluster.load(id).ok(); // a node of an older build tells all the rest
    if ui.is_json() {
        let mut json = object(&named.name, &id.to_string(), &info, load.as_ref());
        json["scrubbed_ms"] = json!(scrubbed.map(|ms| ms.to_string()));
        ui.json(&json)?;
    } else {
        let rows: Vec<_> = facts(&named.name, &id.to_string(), &info, load.as_ref())
            .into_iter()
            .chain([("scrubbed", scrubbed.map_or_else(|| "-".into(), time))])
            .map(|(fact, value)| vec![fact.to_owned(), value])
            .collect();
        ui.rows(&["fact", "value"], &rows)?;
    }
    Ok(Done::Yes)
}

/// The facts, in an order that only grows at its end.
fn facts(name: &str, id: &str, info: &Info, load: Option<&Load>) -> Vec<(&'static str, String)> {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let figure = |of: fn(&Load) -> u64| load.map_or("-".into(), |load| of(load).to_string());
    vec![
        ("name", name.to_owned()),
        ("id", id.to_owned()),
        ("address", info.address.clone()),
        ("metrics", info.metrics.clone().unwrap_or_else(|| "-".into())),
        ("pid", info.pid.to_string()),
        ("dir", info.dir.clone()),
        ("build", info.build.clone()),
        ("uptime_s", info.uptime_s.to_string()),
        ("bytes", info.bytes.to_string()),
        ("full", yes(info.full)),
        ("draining", yes(info.draining)),
        ("waiting", yes(info.waiting)),
        ("requests", info.requests.to_string()),
        ("links", info.links.to_string()),
        ("clients", info.clients.to_string()),
        ("rounds", info.rounds.to_string()),
        ("wall_ms", info.wall_ms.to_string()),
        ("requests_total", figure(|load| load.requests)),
        ("disk_free", figure(|load| load.disk_free)),
        ("disk_total", figure(|load| load.disk_total)),
    ]
}

fn object(name: &str, id: &str, info: &Info, load: Option<&Load>) -> serde_json::Value {
    let figure = |of: fn(&Load) -> u64| load.map(|load| of(load).to_string());
    json!({
        "schema": "kvs.node/1", "name": name, "id": id, "address": info.address,
        "metrics": info.metrics, "pid": info.pid, "dir": info.dir, "build": info.build,
        "uptime_s": info.uptime_s.to_string(), "bytes": info.bytes.to_string(),
        "full": info.full, "draining": info.draining, "waiting": info.waiting,
        "requests": info.requests.to_string(), "links": info.links.to_string(),
        "clients": info.clients.to_string(), "rounds": info.rounds.to_string(),
        "wall_ms": info.wall_ms.to_string(), "requests_total": figure(|load| load.requests),
        "disk_free": figure(|load| load.disk_free), "disk_total": figure(|load| load.disk_total),
    })
}
