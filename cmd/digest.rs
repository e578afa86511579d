//! `kvs digest`: sums that prove copies equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kvs::error::Error;
use kvs::repair::{DigestRow, digest};
use serde_json::json;

use crate::common::{Common, Scope, heard, read_of};
use crate::exit::{Done, Fail, Outcome};
use crate::ui::{Ui, counted};

/// Rows that differ and are named; more are counted.
const NAMED_MAX: usize = 10;
/// Columns of a row. More may be appended to them.
const COLUMNS: usize = 5;
/// The first of them say what the digest is of: node, partition, leaf.
const PLACE: usize = 3;
/// A saved row is no longer, and all of them are not.
const ROW_BYTES_MAX: u64 = 1 << 10;
const SAVED_BYTES_MAX: u64 = 1 << 30;

/// Print digests of nodes, partitions or leaves
///
/// Rows: node, partition, leaf, digest, records (tombstones count). Two copies of a partition are
/// equal when their digests are. A digest shows what was written to the file; `kvs verify` reads
/// the bytes. Exits 7 when a node could not be read, 8 when one is damaged and was read only in
/// part.
///
/// Example: kvs --ring r digest --depth 1 > before; …; kvs --ring r digest --depth 1 --check before
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// 0: one row per node, 1: per partition, 2: per leaf that is not empty
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    depth: u8,
    /// Compare with rows saved with --format plain: exits 0 when equal, 1 when not
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open_all(ui, "digest", &args.scope.targets)?;
    let only = args.scope.only(&cluster)?;
    let mut rows = Vec::new();
    let asked = cluster.nodes();
    for id in asked.iter().copied() {
        let name = cluster.doc().name(id);
        let found = digest(&cluster, id, only, args.depth);
        let Some(found) = heard(ui, &mut cluster, id, found)? else { continue };
        rows.extend(found.iter().map(|row| cells(&name, row)));
    }
    let partly = common.is_partly_read(&cluster, &args.scope.targets, &asked)?;
    let all = read_of(&cluster, partly);
    if let Some(file) = &args.check {
        let ring = partly || args.scope.targets.is_empty();
        let unread = if ring { cluster.missing() } else { Vec::new() };
        let same = check(ui, file, &rows, &unread)?;
        return Ok(if same || all == Done::Corrupt { all } else { Done::No });
    }
    if ui.is_json() {
        let object = |r: &Vec<String>| {
            let number = |text: &str| text.parse::<u32>().ok();
            json!({"node": r[0], "partition": number(&r[1]), "leaf": number(&r[2]),
                "digest": r[3], "records": r[4]})
        };
        let rows: Vec<_> = rows.iter().map(object).collect();
        ui.json(&json!({"schema": "kvs.digest/1", "rows": rows}))?;
    } else {
        ui.rows(&["node", "partition", "leaf", "digest", "records"], &rows)?;
    }
    Ok(all)
}

fn cells(node: &str, row: &DigestRow) -> Vec<String> {
    let dash = |number: Option<String>| number.unwrap_or_else(|| "-".into());
    vec![
        node.to_owned(),
        dash(row.partition.map(|p| p.to_string())),
        dash(row.leaf.map(|leaf| leaf.to_string())),
        format!("{:032x}", row.sum.terms),
        row.sum.count.to_string(),
    ]
}

/// Rows that were saved. They may come through a pipe; what is none is refused at its first line, and
/// so is a second row of one place: it would be taken for the first, or hide that another is gone.
fn saved(file: &Path) -> Result<String, Error> {
    let read = || Error::io("read", file);
    let shown = file.display();
    let opened = File::open(file).map_err(read())?;
    let mut input = BufReader::new(opened.take(SAVED_BYTES_MAX));
    let (mut rows, mut places) = (String::new(), BTreeMap::new());
    for number in 1_u64.. {
        let mut line = Vec::new();
        input.by_ref().take(ROW_BYTES_MAX).read_until(b'\n', &mut line).map_err(read())?;
        if line.is_empty() {
            break;
        }
        let wrong = |what: String| {
            let text = format!("Line {number} of {shown} is {what}; nothing was compared.");
            Error::Usage(text).hint("save them: kvs digest --format plain > FILE")
        };
        let row = String::from_utf8(line).ok();
        let row = row.filter(|row| row.trim_end().split('\t').count() >= COLUMNS);
        let row = row.ok_or_else(|| wrong("not a row of a digest".into()))?;
        let place: Vec<&str> = row.split('\t').take(PLACE).collect();
        if let Some(first) = places.insert(place.join("\t"), number) {
            return Err(wrong(format!("a second row for the place of line {first}")));
        }
        rows.push_str(&row);
    }
    if rows.len() as u64 == SAVED_BYTES_MAX {
        return Err(Error::Usage(format!(
            "{shown} is longer than the digests of any ring; nothing was compared."
        )));
    }
    Ok(rows)
}

/// Whether all rows are as they were saved. Of members that were not read nothing can be said.
fn check(ui: &mut Ui, file: &Path, rows: &[Vec<String>], unread: &[String]) -> Result<bool, Fail> {
    let saved = saved(file)?;
    let was: BTreeSet<&str> = saved.lines().collect();
    let lines: Vec<String> = rows.iter().map(|row| row.join("\t")).collect();
    let is: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
    let read = |line: &&str| unread.iter().all(|name| line.split('\t').next() != Some(name));
    let gone = saved
        .lines()
        .filter(|line| !is.contains(line))
        .filter(read)
        .map(|line| format!("- {line}"));
    let new = lines.iter().filter(|line| !was.contains(line.as_str()));
    let differing: Vec<String> = gone.chain(new.map(|line| format!("+ {line}"))).collect();
    for line in differing.iter().take(NAMED_MAX) {
        ui.say(line);
    }
    if differing.len() > NAMED_MAX {
        ui.say(&format!("and {} more", differing.len() - NAMED_MAX));
    }
    if differing.is_empty() {
        ui.note(&format!("{} unchanged", counted(is.len(), "digest")));
    }
    Ok(differing.is_empty())
}
