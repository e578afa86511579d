//! `kvs verify`: reads and proves every record.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kvs::error::operand;
use kvs::key::escape;
use kvs::repair::{Findings, describe, verify_node};
use kvs::store::BadHints;
use serde_json::{Value, json};

use crate::common::{Common, Scope, heard, read_of, rebuild};
use crate::exit::{Done, Fail, Outcome};
use crate::render::put_bytes;
use crate::ui::{Ui, counted};

/// Read every record and check its checksum
///
/// Reads records, hints, and the rows of ring and identity. Rows: node, records, bytes, damaged
/// records, wrong digests, partitions with lost records, damaged hints. Exits 8 when it finds
/// damage, named on stderr, 7 when a node could not be read. Files are not changed; a running node
/// notes the damage it finds. `kvs repair --verify` heals it from other copies.
///
/// Example: kvs verify r/n1
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open_all(ui, "verify", &args.scope.targets)?;
    let only = args.scope.only(&cluster)?;
    let mut nodes: Vec<(String, Findings)> = Vec::new();
    let asked = cluster.nodes();
    for id in asked.iter().copied() {
        let name = cluster.doc().name(id);
        let bar = ui.progress(&name, Some(u64::from(cluster.doc().q.count())));
        let findings = verify_node(&mut cluster, id, only, &mut |p| bar.set_position(u64::from(p)));
        let seconds = bar.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let Some(findings) = heard(ui, &mut cluster, id, findings)? else { continue };
        speed(ui, &name, &findings, seconds);
        nodes.push((name, findings));
    }
    ui.warn_all(cluster.warnings());
    ui.warn_all(cluster.unfit());
    let partly = common.is_partly_read(&cluster, &args.scope.targets, &asked)?;
    show(ui, &nodes, cluster.damaged())?;
    let good = nodes.iter().all(|(_, findings)| findings.is_good());
    if good && cluster.damaged().is_empty() {
        return Ok(read_of(&cluster, partly));
    }
    let alone = cluster.doc().n() == 1;
    for dir in cluster.damaged() {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        ui.say(&format!(
            "{} cannot be read at all; rebuild it: kvs replace {}",
            dir.display(),
            operand(&*name)
        ));
    }
    if !good && alone {
        ui.say(
            "there are no other copies: restore a backup, or save what can be read (kvs dump) and \
             continue without the rest: kvs repair --verify, then kvs repair --accept-losses",
        );
        return Ok(Done::Corrupt);
    }
    if !good {
        ui.say("heal from the other copies: kvs repair --verify");
    }
    for (name, _) in nodes.iter().filter(|(_, findings)| !findings.unread.is_empty()) {
        let rebuild = rebuild(&cluster, name);
        ui.say(&format!("if that does not heal {name}, rebuild it: {rebuild}"));
    }
    Ok(Done::Corrupt)
}

/// How fast it was, when it took long enough to say.
fn speed(ui: &mut Ui, name: &str, findings: &Findings, seconds: f64) {
    if seconds >= 1.0 {
        let (records, megabytes) = (findings.records as f64, findings.bytes as f64 / 1e6);
        ui.note(&format!(
            "{name}: {:.0} records/s, {:.0} MB/s",
            records / seconds,
            megabytes / seconds
        ));
    }
}

fn show(ui: &mut Ui, nodes: &[(String, Findings)], damaged: &[PathBuf]) -> Result<(), Fail> {
    if ui.is_json() {
        let nodes: Vec<_> = nodes.iter().map(|(name, f)| object(name, f)).collect();
        let damaged: Vec<_> = damaged.iter().map(|d| d.display().to_string()).collect();
        ui.json(&json!({"schema": "kvs.verify/1", "nodes": nodes, "unreadable": damaged}))?;
        return Ok(());
    }
    let row = |(name, f): &(String, Findings)| {
        let bad = f.bad.len() + f.listed.len();
        let (wrong, lost) = (f.wrong.len() as u64, f.lost.len() as u64);
        let hints = f.hints.count();
        let numbers = [f.records, f.bytes, bad as u64, wrong, lost, hints];
        std::iter::once(name.clone()).chain(numbers.iter().map(u64::to_string)).collect()
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    let header = ["node", "records", "bytes", "damaged", "wrong digests", "lossy", "bad hints"];
    ui.rows(&header, &rows)?;
    for (name, f) in nodes {
        for (p, key, why) in &f.bad {
            ui.say(&format!("{name}: {} in partition {p}: {why}", escape(key)));
        }
        for (p, key) in &f.listed {
            ui.say(&format!("{name}: {} in partition {p}: already listed as damaged", escape(key)));
        }
        for p in &f.wrong {
            ui.say(&format!("{name}: partition {p} does not match its digest"));
        }
        tell_lost(ui, name, f);
    }
    Ok(())
}

fn tell_lost(ui: &mut Ui, name: &str, f: &Findings) {
    for (p, loss) in &f.lost {
        ui.say(&format!("{name}: partition {p} {}", describe(*loss)));
    }
    tell_bad_hints(ui, name, &f.hints);
    for what in &f.unread {
        ui.say(&format!("{name}: {what}"));
    }
}

/// Names the hints that are damaged, and counts those that are gone.
pub(crate) fn tell_bad_hints(ui: &mut Ui, name: &str, hints: &BadHints) {
    for hint in &hints.bad {
        let key = hint.key().map_or_else(|| escape(&hint.row), |key| key.to_string());
        ui.say(&format!("{name}: a hint for {key} is damaged"));
    }
    if hints.lost > 0 {
        ui.say(&format!("{name}: lost {}", counted(hints.lost, "acknowledged hint")));
    }
}

fn object(name: &str, f: &Findings) -> Value {
    let keyed = |mut json: Value, key: &[u8]| {
        put_bytes(&mut json, "key", key);
        json
    };
    let bad = f.bad.iter();
    let bad = bad.map(|(p, key, why)| keyed(json!({"partition": p.0, "why": why}), key));
    let listed = f.listed.iter().map(|(p, key)| keyed(json!({"partition": p.0}), key));
    json!({
        "node": name, "records": f.records.to_string(), "bytes": f.bytes.to_string(),
        "bad": bad.collect::<Vec<_>>(), "listed": listed.collect::<Vec<_>>(),
        "wrong": f.wrong.iter().map(|p| p.0).collect::<Vec<_>>(),
        "lost": f.lost.iter().map(|(p, l)| json!({"partition": p.0, "records": l.records().to_string()}))
            .collect::<Vec<_>>(),
        "bad_hints": f.hints.bad.len(), "lost_hints": f.hints.lost.to_string(), "unread": f.unread,
    })
}
