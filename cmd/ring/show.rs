//! `kvs ring show` and `kvs ring where`: what the ring document says. They never write.

use kvs::cluster::Access;
use kvs::key::Key;
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::render::object;
use crate::ui::{Ui, counted};

pub(crate) fn run(ui: &mut Ui, common: &Common) -> Outcome {
    let cluster = common.open(ui, Access::Read, "ring-show")?;
    let doc = cluster.doc();
    let loads = doc.read_layout().loads(doc.members.len());
    let slots = f64::from(doc.q.count()) * doc.n() as f64;
    let addresses = cluster.addresses();
    let hash = blake3::Hash::from(doc.hash()).to_hex().to_string();
    let mut rows = Vec::new();
    let mut members = Vec::new();
    for (i, member) in doc.members.iter().enumerate() {
        if doc.present().all(|m| m.id != member.id) {
            continue;
        }
        let share = format!("{:.1}", f64::from(loads[i]) * 100.0 / slots);
        let address = addresses.get(&member.id).cloned();
        members.push(json!({
            "name": member.name, "id": member.id.to_string(), "zone": member.zone,
            "weight": member.weight, "state": member.state.to_string(), "address": address,
            "partitions": loads[i], "share": share,
        }));
        rows.push(vec![
            member.name.clone(),
            member.zone.clone(),
            member.weight.to_string(),
            member.state.to_string(),
            address.unwrap_or_else(|| "-".into()),
            loads[i].to_string(),
            share,
        ]);
    }
    if ui.is_json() {
        ui.json(&json!({
            "schema": "kvs.ring/1", "id": doc.id.to_string(), "version": doc.version.to_string(),
            "hash": hash, "step": doc.step.to_string(), "partitions": doc.q.count(),
            "replicas": doc.replicas, "members": members,
        }))?;
        return Ok(Done::Yes);
    }
    ui.note(&format!(
        "ring {} version {} hash {} step {}: {} partitions, {}",
        doc.id,
        doc.version,
        &hash[..16],
        doc.step,
        doc.q.count(),
        counted(doc.replicas, "replica")
    ));
    ui.rows(&["name", "zone", "weight", "state", "address", "partitions", "share %"], &rows)?;
    Ok(Done::Yes)
}

pub(crate) fn run_where(ui: &mut Ui, common: &Common, key: &Key) -> Outcome {
    let cluster = common.open(ui, Access::Read, "ring-where")?;
    let doc = cluster.doc();
    let p = doc.q.partition(key);
    let open = cluster.nodes();
    let owners = doc.writers(p);
    let fallbacks = doc.preference(p).into_iter().filter(|id| !owners.contains(id));
    let all = owners.iter().map(|id| (*id, "owner")).chain(fallbacks.map(|id| (id, "fallback")));
    let rows: Vec<Vec<String>> = all
        .map(|(id, role)| {
            let state = if open.contains(&id) { "up" } else { "down" };
            vec![p.to_string(), role.to_owned(), doc.name(id), state.to_owned()]
        })
        .collect();
    if ui.is_json() {
        let nodes = rows.iter().map(|r| json!({"role": r[1], "name": r[2], "state": r[3]}));
        let nodes: Vec<_> = nodes.collect();
        let json = json!({"partition": p.0, "nodes": nodes});
        ui.json(&object("kvs.where/1", key, json))?;
    } else {
        ui.rows(&["partition", "role", "node", "state"], &rows)?;
    }
    Ok(Done::Yes)
}
