//! `kvs config`: what node directories are set to, and the keys of a ring.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use kvs::cluster::resolve;
use kvs::config::{
    self, NODE_FILE, NodeConfig, Secret, create_key, fingerprint, fresh_key, read_keys, write_key,
};
use kvs::error::{Error, operand};
use kvs::node_dir::RING_KEY;
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Show the configuration of nodes, make and replace keys
///
/// Only a bare `config keygen` prints a key itself; everything else prints its fingerprint, to
/// compare the files of two hosts.
///
/// Example: kvs --ring r config show
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(Show),
    Keygen(Keygen),
}

/// Print name, address, quota, fingerprints of the ring's keys, and path of each node
///
/// A TARGET that is a file is read as a key file; a dash means not set.
///
/// Example: kvs config show r/n1 "$KVS_KEY_FILE"
#[derive(Debug, ClapArgs)]
struct Show {
    /// Node or ring directories, or key files; by default the ring of --ring
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Make a ring key, or replace one with no node down
///
/// Without FILE the key is printed. To replace a ring's key: --add on one node's ring.key, copy
/// that file to all other nodes and clients; then the same with --rotate, then with --drop. A node
/// dials with the first line and accepts both; it rereads the file for every connection and needs
/// no restart. Open connections stay: if the old key was stolen, restart the nodes one by one.
///
/// Example: kvs config keygen --add r/n1/ring.key
#[derive(Debug, ClapArgs)]
struct Keygen {
    /// The key file: created with mode 0600, unless one of the steps below is given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    step: Step,
}

#[derive(Debug, ClapArgs)]
#[group(multiple = false, requires = "file")]
struct Step {
    /// Step 1: add a new key as the second
    #[arg(long)]
    add: bool,
    /// Step 2: swap the two keys
    #[arg(long)]
    rotate: bool,
    /// Step 3: remove the second key; before step 2 this undoes step 1
    #[arg(long)]
    drop: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Show(args) => show(ui, common, args),
        Verb::Keygen(args) => keygen(ui, args),
    }
}

/// One line of `config show`.
struct Row {
    node: Option<NodeConfig>,
    /// Of the ring's keys, the one used to dial first.
    prints: Vec<String>,
    path: PathBuf,
}

fn show(ui: &mut Ui, common: &Common, args: &Show) -> Outcome {
    let specs = match &args.targets[..] {
        [] => common.ring.iter().cloned().collect(),
        targets => targets.to_vec(),
    };
    let (files, dirs): (Vec<_>, Vec<_>) = specs.into_iter().partition(|s| Path::new(s).is_file());
    let (mut rows, mut done) = (Vec::new(), Done::Yes);
    if files.is_empty() || !dirs.is_empty() {
        let dirs = resolve(&dirs)?;
        let alone = dirs.len() == 1;
        for path in dirs {
            let node = match config::read(&path.join(NODE_FILE)) {
                Err(error) if !alone => {
                    ui.warn(&error.to_string());
                    done = Done::Partly;
                    None
                }
                node => Some(node?),
            };
            // A key that cannot be used is no reason to hide the rest.
            let keys = read_keys(&path.join(RING_KEY));
            let prints = keys.map(|keys| prints(&keys)).unwrap_or_else(|error| {
                ui.warn(&error.to_string());
                Vec::new()
            });
            rows.push(Row { node, prints, path });
        }
    }
    for path in files.into_iter().map(PathBuf::from) {
        rows.push(Row { node: None, prints: prints(&read_keys(&path)?), path });
    }
    print(ui, &rows)?;
    Ok(done)
}

fn prints(keys: &[Secret]) -> Vec<String> {
    keys.iter().map(fingerprint).collect()
}

fn print(ui: &mut Ui, rows: &[Row]) -> std::io::Result<()> {
    if ui.is_json() {
        let objects = rows.iter().map(|row| {
            let node = row.node.as_ref();
            let quota = node.and_then(|n| n.quota_bytes).map(|bytes| bytes.to_string());
            json!({"name": node.map(|n| &n.name), "listen": node.and_then(|n| n.listen.as_ref()),
                "quota_bytes": quota, "keys": row.prints, "path": row.path.display().to_string()})
        });
        let nodes: Vec<_> = objects.collect();
        return ui.json(&json!({"schema": "kvs.config/1", "nodes": nodes}));
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let cells = rows.iter().map(|row| {
        let node = row.node.clone();
        let quota = node.as_ref().and_then(|n| n.quota_bytes).map(|bytes| bytes.to_string());
        let keys = (!row.prints.is_empty()).then(|| row.prints.join(","));
        let (listen, name) = (node.as_ref().and_then(|n| n.listen.clone()), node.map(|n| n.name));
        let place = row.path.display().to_string();
        vec![or_dash(name), or_dash(listen), or_dash(quota), or_dash(keys), place]
    });
    ui.rows(&["name", "listen", "quota", "keys", "path"], &cells.collect::<Vec<_>>())
}

fn keygen(ui: &mut Ui, args: &Keygen) -> Outcome {
    let Some(file) = &args.file else {
        let text = config::key_text(&[fresh_key()?]);
        let key = text.trim_end();
        if ui.is_json() {
            ui.json(&json!({"schema": "kvs.key/1", "key": key}))?;
        } else {
            ui.line(key)?;
        }
        return Ok(Done::Yes);
    };
    let (keys, next) = if args.step.add || args.step.rotate || args.step.drop {
        let stepped = step(file, &args.step)?;
        write_key(file, &stepped.0)?;
        stepped
    } else {
        let keys = vec![fresh_key()?];
        create_key(file, &keys)?;
        (keys, None)
    };
    let (prints, shown) = (prints(&keys), file.display());
    ui.has_applied(format!("{shown} was written."));
    if ui.is_json() {
        let path = shown.to_string();
        ui.json(&json!({"schema": "kvs.keygen/1", "path": path, "keys": prints}))?;
    } else {
        ui.note(&format!("{shown} holds {}", prints.join(", then ")));
    }
    if let Some(next) = next {
        ui.note(
            "copy it to every other node and client; no restart is needed: every new connection \
             rereads it",
        );
        if !next.is_empty() {
            ui.note(&format!("then: kvs config keygen {next} {}", operand(file)));
        }
    }
    Ok(Done::Yes)
}

/// The keys after a step of a replacement, and the flag of the next, if there is one.
fn step(file: &Path, step: &Step) -> Result<(Vec<Secret>, Option<&'static str>), Error> {
    let (shown, file_word) = (file.display(), operand(file));
    let deny = |why: &str| Error::Denied(format!("{shown} holds {why}; nothing was changed."));
    match (&read_keys(file)?[..], step) {
        ([one], Step { add: true, .. }) => Ok((vec![*one, fresh_key()?], Some("--rotate"))),
        ([one, two], Step { rotate: true, .. }) => Ok((vec![*two, *one], Some("--drop"))),
        ([one, _], Step { drop: true, .. }) => Ok((vec![*one], Some(""))),
        ([_, _], _) => Err(deny("two keys already").hint(format!(
            "continue with --rotate, or remove the second: kvs config keygen --drop {file_word}"
        ))),
        _ => Err(deny("only one key").hint(format!("kvs config keygen --add {file_word}"))),
    }
}
