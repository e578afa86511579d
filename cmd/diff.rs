//! `kvs diff`: two copies compared key by key.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args as ClapArgs;
use kvs::cluster::{Actors, Cluster, is_address};
use kvs::config::NODE_FILE;
use kvs::error::{Error, operand};
use kvs::key::{Key, Partition};
use kvs::repair::{
    Difference, Relation, Side, diff, doubts, shared, unsettled, unsound, verify_node,
};
use kvs::ring::NodeId;
use kvs::store::sidecar;
use serde_json::{Value, json};

use crate::common::Common;
use crate::exit::{Done, Fail, Outcome};
use crate::render::put_bytes;
use crate::ui::Ui;

/// Compare two nodes key by key
///
/// Compares the partitions that both own; only what differs is read. Each row has the key, a
/// verdict from the two clocks, and both clocks. In directories all keys and checksums are read
/// too, but no values: only kvs verify finds damage in those. Exits 0 when the copies are equal, 1
/// when they differ, 2 when the nodes share no partition, 8 when a copy is damaged or does not
/// match its digest, 10 when they are nodes of different rings.
///
/// Example: kvs --ring r diff n1 n3 --stat
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A node directory, an address, or a member of --ring
    #[arg(value_name = "A")]
    a: String,
    /// The other node
    #[arg(value_name = "B")]
    b: String,
    /// Print only the keys
    #[arg(long, conflicts_with = "stat")]
    keys: bool,
    /// Print the number of keys per verdict
    #[arg(long)]
    stat: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = open(ui, common, args)?;
    let (a, b) = (find(&cluster, &args.a)?, find(&cluster, &args.b)?);
    compare(ui, args, &mut cluster, a, b).map_err(|failed| match failed {
        Fail::Kvs(error) => Fail::Kvs(went(&cluster, &[a, b]).unwrap_or(error)),
        output => output,
    })
}

/// What is said when a node no longer answers, whatever failed then.
fn went(cluster: &Cluster, nodes: &[NodeId]) -> Option<Error> {
    let open = cluster.nodes();
    let name = cluster.doc().name(*nodes.iter().find(|id| !open.contains(id))?);
    let text = format!("{name} is down: it no longer answers; the comparison is incomplete.");
    Some(Error::Unreachable(text).hint("kvs status shows who is down"))
}

fn compare(ui: &mut Ui, args: &Args, cluster: &mut Cluster, a: NodeId, b: NodeId) -> Outcome {
    if a == b {
        let text =
            format!("{} and {} are the same node; there is nothing to compare.", args.a, args.b);
        return Err(Error::Usage(text).into());
    }
    let doc = cluster.doc();
    let both = shared(&doc, a, b);
    ui.note(&format!(
        "{} and {} share {} of {} partitions",
        doc.name(a),
        doc.name(b),
        both.len(),
        doc.q.count()
    ));
    if both.is_empty() {
        return Ok(Done::Usage);
    }
    let mut found = Found::default();
    let mut unexplained = Vec::new();
    let actors = cluster.actors();
    if let (Some(one), Some(two)) = (cluster.store(a), cluster.store(b)) {
        unexplained = diff(doc.q, one, two, &both, &mut |difference| {
            found.note(difference, args.stat, &actors);
            Ok(())
        })?;
    }
    show(ui, args, [doc.name(a), doc.name(b)], both.len(), &found)?;
    let doubted = doubt(ui, cluster, &[a, b], &both, &unexplained)?;
    let corrupt = doubted || found.counts.contains_key(Relation::Corrupt.word());
    if corrupt {
        ui.note("heal the damaged records from other copies: kvs repair --verify");
    }
    Ok(match found.counts.len() {
        _ if corrupt => Done::Corrupt,
        0 => Done::Yes,
        _ => Done::No,
    })
}

/// Says which of two copies does not hold what it was told to; whether one does not.
fn doubt(
    ui: &mut Ui,
    cluster: &mut Cluster,
    nodes: &[NodeId],
    shared: &[Partition],
    unexplained: &[Partition],
) -> Result<bool, Error> {
    let mut doubted = false;
    for id in nodes {
        let name = cluster.doc().name(*id);
        let unsound = unsound(cluster, *id).map(|error| format!("{name}: {error}"));
        let doubts = doubts(cluster, *id, Some(shared))?.into_iter();
        let doubts = doubts.map(|d| format!("{name}: partition {} {}", d.partition, d.why));
        let mut said: Vec<String> = unsound.into_iter().chain(doubts).collect();
        // A running node reads for itself.
        let mut read = unexplained.to_vec();
        if cluster.runs(*id) && said.is_empty() {
            let open = unsettled(cluster, *id)?;
            read.extend(open.into_iter().filter(|p| shared.contains(p)));
        } else {
            read.clear();
        }
        for p in &read {
            if !verify_node(cluster, *id, Some(*p), &mut |_| {})?.is_good() {
                said.push(format!("{name}: partition {p} does not match its digest"));
            }
        }
        said.iter().for_each(|line| ui.say(line));
        doubted |= !said.is_empty();
    }
    Ok(doubted)
}

/// What differs, without the values.
#[derive(Default)]
struct Found {
    counts: BTreeMap<&'static str, u64>,
    keys: Vec<Row>,
}

/// One key that differs.
struct Row {
    key: Key,
    partition: Partition,
    verdict: &'static str,
    a: String,
    b: String,
}

impl Found {
    fn note(&mut self, difference: Difference, only_count: bool, actors: &Actors) {
        let Difference { partition, key, relation, a, b } = difference;
        let verdict = relation.word();
        *self.counts.entry(verdict).or_default() += 1;
        if !only_count {
            let (a, b) = (clock(&a, actors), clock(&b, actors));
            self.keys.push(Row { key, partition, verdict, a, b });
        }
    }
}

/// The ring when a member is named, and every directory that is named.
fn open(ui: &mut Ui, common: &Common, args: &Args) -> Result<Cluster, Error> {
    let is_dir = |name: &&String| names_node(name);
    let named: Vec<&String> = [&args.a, &args.b].into_iter().collect();
    let dirs: Vec<String> = named.iter().filter(|n| is_dir(n)).map(|n| (*n).clone()).collect();
    if dirs.len() == 2 {
        return common.open_mixed(ui, "diff", &dirs);
    }
    let specs: Vec<String> = common.ring.iter().cloned().chain(dirs).collect();
    if common.ring.is_none() {
        let name = named.iter().find(|n| !is_dir(n)).map_or("", |n| n.as_str());
        let text = format!("{name} is not a node directory, and no ring is named.");
        return Err(Error::Usage(text).hint("name two directories, or the ring with --ring"));
    }
    common.open_mixed(ui, "diff", &specs)
}

/// Whether a name is a directory or an address rather than a member's.
fn names_node(name: &str) -> bool {
    Path::new(name).join(NODE_FILE).is_file() || is_address(name)
}

fn find(cluster: &Cluster, name: &str) -> Result<NodeId, Error> {
    let wanted = Path::new(name);
    if wanted.join(NODE_FILE).is_file() {
        let same = |id: &NodeId| {
            let dir = cluster.dir(*id).and_then(|d| d.canonicalize().ok());
            dir.is_some() && dir == wanted.canonicalize().ok()
        };
        let id = cluster.nodes().into_iter().find(same).or_else(|| of_copy(cluster, wanted));
        return id.ok_or_else(|| unread(cluster, wanted));
    }
    let id = match cluster.node_at(name) {
        Some(id) => id,
        None => cluster.doc().named(name)?.id,
    };
    if cluster.nodes().contains(&id) {
        return Ok(id);
    }
    if cluster.damaged().iter().any(|dir| dir.ends_with(name)) {
        return Err(Error::Corrupt(format!("{name} cannot be read; nothing was compared."))
            .hint(format!("rebuild it from the others: kvs replace {}", operand(name))));
    }
    Err(Error::Unreachable(format!("{name} is down; nothing was compared."))
        .hint("kvs status shows who is down"))
}

/// The node that a directory says it is: a copy of one that runs, or is open, somewhere else.
fn of_copy(cluster: &Cluster, dir: &Path) -> Option<NodeId> {
    let Ok(sidecar::Found::Valid(identity)) = sidecar::read(dir) else { return None };
    Some(identity.node).filter(|id| cluster.nodes().contains(id))
}

/// Why a node's directory is not compared: only damage is a reason to rebuild it.
fn unread(cluster: &Cluster, dir: &Path) -> Error {
    let shown = dir.display();
    if cluster.damaged().iter().any(|damaged| damaged == dir) {
        let name = dir.file_name().unwrap_or(dir.as_os_str());
        return Error::Corrupt(format!("{shown} cannot be read; nothing was compared."))
            .hint(format!("rebuild it from the others: kvs replace {}", operand(name)));
    }
    Error::Denied(format!("{shown} is not open as a member of this ring; nothing was compared."))
        .hint("kvs status shows the members; a copy of a stopped node can be compared by itself")
}

fn show(
    ui: &mut Ui,
    args: &Args,
    names: [String; 2],
    shared: usize,
    found: &Found,
) -> Result<(), Fail> {
    let Found { counts, keys } = found;
    if ui.is_json() {
        let keys: Vec<_> = keys.iter().map(object).collect();
        let json = json!({"schema": "kvs.diff/1", "a": names[0], "b": names[1],
            "shared": shared, "counts": counts, "keys": keys});
        ui.json(&json)?;
    } else if args.stat {
        let row = |(word, count): (&&str, &u64)| vec![(*word).to_owned(), count.to_string()];
        let rows: Vec<_> = counts.iter().map(row).collect();
        ui.rows(&["verdict", "keys"], &rows)?;
    } else if args.keys {
        keys.iter().try_for_each(|row| ui.line(&row.key.to_string()))?;
    } else {
        let row =
            |row: &Row| vec![row.key.to_string(), row.verdict.into(), row.a.clone(), row.b.clone()];
        let rows: Vec<_> = keys.iter().map(row).collect();
        ui.rows(&["key", "verdict", &names[0], &names[1]], &rows)?;
    }
    Ok(())
}

fn object(row: &Row) -> Value {
    let Row { key, partition, verdict, a, b } = row;
    let mut json = json!({"partition": partition.0, "verdict": verdict, "a": a, "b": b});
    put_bytes(&mut json, "key", key.as_bytes());
    json
}

fn clock(side: &Side, actors: &Actors) -> String {
    match side {
        Side::Absent => "-".into(),
        Side::Unreadable => "unreadable".into(),
        Side::Copy(record) => actors.clock(&record.clock),
    }
}
