//! `kvs clock`: shows what each replica has seen of a key.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args as ClapArgs, Subcommand};
use kvs::clock::{Actor, Causality, Dot, VersionVector, parse_token};
use kvs::cluster::{Access, Actors, ExplainedCopy, Inspection, State};
use kvs::error::Error;
use kvs::key::Key;
use kvs::os::wall_ms;
use serde_json::json;

use crate::common::{Common, key_parser, read_of, warn_of_unread};
use crate::exit::{Done, Outcome};
use crate::render::object;
use crate::ui::Ui;

/// Show what each replica has seen of a key
///
/// A clock lists, for each node that wrote the key, the latest of its writes that the copy
/// includes: {n1:4 n3:2}. One line per node: its name, its role (vote: an owner; filling: an owner
/// without a vote yet; extra: it holds a write for an owner), the state of its copy relative to the
/// merge of all (current, behind, concurrent: it includes a write that no other copy has, missing,
/// unreadable, down), its clock, and its number of values. The last line is the merge. No quorum is
/// needed. Exits 0 when all copies agree, 1 when those read do not, 7 when an owner is down, 8 when
/// a copy is damaged.
///
/// Example: kvs clock cart:42; kvs clock compare '{n1:4}' '{n1:4 n3:2}'
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    /// The key
    #[arg(value_name = "KEY", value_parser = key_parser(), required = true)]
    key: Option<Key>,
    #[command(subcommand)]
    command: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Compare(Compare),
}

/// Compare two clocks
///
/// Prints equal, before (A is behind B), after, or concurrent (each includes something the other
/// does not). Exits 0 when they are equal, otherwise 1. A and B are clocks as kvs clock prints
/// them, or contexts of kvs get --show-context, which belong to a ring and a --key. To show the key
/// named "compare", type kvs clock -- compare.
///
/// Example: kvs clock compare '{n1:4}' '{n1:4 n3:2}'
#[derive(Debug, ClapArgs)]
struct Compare {
    /// A clock or a context
    #[arg(value_name = "A", allow_hyphen_values = true)]
    a: String,
    /// A clock or a context
    #[arg(value_name = "B", allow_hyphen_values = true)]
    b: String,
    /// The key the contexts belong to
    #[arg(long, value_name = "KEY", value_parser = key_parser())]
    key: Option<Key>,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match (&args.command, &args.key) {
        (Some(Verb::Compare(compare)), _) => compare.run(ui, common),
        (None, Some(key)) => show(ui, common, key),
        (None, None) => Err(Error::Usage("No key was given; nothing was tried.".into()).into()),
    }
}

fn show(ui: &mut Ui, common: &Common, key: &Key) -> Outcome {
    let mut cluster = common.open(ui, Access::Read, "clock")?;
    let found = cluster.inspect(key);
    ui.warn_all(cluster.warnings());
    let (found, actors) = (found?, cluster.actors());
    if ui.is_json() {
        ui.json(&json(key, &found, &actors))?;
    } else {
        let mut rows: Vec<_> = found.replicas.iter().map(|c| row(c, &actors)).collect();
        let (clock, values) = (actors.clock(&found.merged.clock), values(&found.merged));
        rows.push(vec!["merged".into(), "-".into(), "-".into(), clock, values]);
        ui.rows(&["NODE", "IS", "STATE", "CLOCK", "VALUES"], &rows)?;
    }
    let unread = found.replicas.iter().filter(|c| !c.state.is_read());
    let unread: Vec<_> = unread.map(|c| c.name.clone()).collect();
    warn_of_unread(ui, &cluster, &unread);
    let end = read_of(&cluster, !unread.is_empty());
    if found.replicas.iter().any(|c| c.state == State::Unreadable) {
        ui.note("a copy fails its checksum; heal it: kvs repair --verify");
        return Ok(Done::Corrupt);
    }
    if found.merged.is_absent() {
        ui.note(&format!("{key} is absent"));
    }
    if found.replicas.iter().any(|c| c.state.is_stale()) {
        ui.note("the copies differ; sync them: kvs repair");
        return Ok(if end == Done::Corrupt { end } else { Done::No });
    }
    Ok(end)
}

/// One replica as a row; `kvs explain` begins its rows like this too.
pub(crate) fn row(replica: &ExplainedCopy, actors: &Actors) -> Vec<String> {
    let record = replica.record.as_ref();
    vec![
        replica.name.clone(),
        replica.standing.word().into(),
        replica.state.word().into(),
        record.map_or_else(|| "-".into(), |r| actors.clock(&r.clock)),
        record.map_or_else(|| "-".into(), values),
    ]
}

fn values(record: &kvs::record::Record) -> String {
    record.visible(wall_ms()).len().to_string()
}

fn json(key: &Key, found: &Inspection, actors: &Actors) -> serde_json::Value {
    let clock = |clock: &VersionVector| -> Vec<_> {
        let mut entries = clock.entries().to_vec();
        entries.sort_by_key(|e| actors.name(e.0).map_or_else(|| e.0.to_string(), str::to_owned));
        let dot = |(actor, counter)| crate::render::dot(Dot { actor, counter }, actors);
        entries.into_iter().map(dot).collect()
    };
    let replicas = found.replicas.iter().map(|c| {
        let seen = c.record.as_ref().map(|r| clock(&r.clock));
        let values = c.record.as_ref().map(|r| r.visible(wall_ms()).len());
        json!({"node": c.name, "is": c.standing.word(), "state": c.state.word(), "clock": seen,
            "values": values})
    });
    let replicas: Vec<_> = replicas.collect();
    let merged = clock(&found.merged.clock);
    object("kvs.clock/1", key, json!({"clock": merged, "replicas": replicas}))
}

impl Compare {
    fn run(&self, ui: &mut Ui, common: &Common) -> Outcome {
        let (a, b) = match (labels(&self.a), labels(&self.b)) {
            (Some(a), Some(b)) => pair(&a, &b),
            (None, None) => self.contexts(ui, common)?,
            _ => {
                let text = "A and B must both be clocks like {n1:4}, or both contexts.";
                return Err(Error::Usage(text.into()).into());
            }
        };
        let word = match a.compare(&b) {
            Causality::Equal => "equal",
            Causality::Before => "before",
            Causality::After => "after",
            Causality::Concurrent => "concurrent",
        };
        if ui.is_json() {
            ui.json(&json!({"schema": "kvs.clock-compare/1", "a_to_b": word}))?;
        } else {
            ui.line(word)?;
        }
        Ok(if word == "equal" { Done::Yes } else { Done::No })
    }

    fn contexts(
        &self,
        ui: &mut Ui,
        common: &Common,
    ) -> Result<(VersionVector, VersionVector), Error> {
        let Some(key) = &self.key else {
            let text = "Contexts belong to a key; nothing was compared.".to_string();
            return Err(Error::Usage(text).hint("name it: kvs clock compare A B --key KEY"));
        };
        let ring = common.open(ui, Access::Read, "clock")?.doc().id.0;
        Ok((parse_token(ring, key, &self.a)?, parse_token(ring, key, &self.b)?))
    }
}

/// A printed clock, `{n1:4 n3:2}`, as names and counters.
fn labels(text: &str) -> Option<BTreeMap<&str, u64>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut labels = BTreeMap::new();
    for text in inner.split_whitespace() {
        let (name, counter) = text.rsplit_once(':')?;
        labels.insert(name, counter.parse().ok()?);
    }
    Some(labels)
}

/// Two clocks whose names become actors by their order: only sameness counts.
fn pair(a: &BTreeMap<&str, u64>, b: &BTreeMap<&str, u64>) -> (VersionVector, VersionVector) {
    let names: BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
    let clock = |labels: &BTreeMap<&str, u64>| {
        let numbered = (1..).zip(&names).filter_map(|(i, n)| Some((Actor(i), *labels.get(n)?)));
        numbered.filter(|e| e.1 > 0).map(|(actor, counter)| Dot { actor, counter }).collect()
    };
    (clock(a), clock(b))
}
