//! `kvs scan`: lists keys.

use clap::Args as ClapArgs;
use kvs::cluster::{Access, Cluster};
use kvs::error::Error;
use kvs::key::{Key, escape};
use kvs::os::wall_ms;
use kvs::quorum::Options;
use kvs::record::Record;
use serde_json::json;

use crate::common::Common;
use crate::exit::{Done, Fail, Outcome};
use crate::render::{preview, put_bytes};
use crate::ui::Ui;

/// List keys, with the sizes of their values
///
/// Reads every partition from a quorum; deleted and expired values are omitted. The order is that
/// of the ring: by partition, then by key; --sort collects all keys and sorts them. One line per
/// key: key, bytes, number of values. Keys are escaped; -0 --keys writes them unescaped.
///
/// Example: kvs scan cart: --keys | wc -l
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Only keys that begin with this prefix
    #[arg(value_name = "PREFIX", default_value = "")]
    prefix: std::ffi::OsString,
    /// Print only the keys
    #[arg(long, conflicts_with = "values")]
    keys: bool,
    /// Print the first bytes of each value too, escaped; kvs dump writes them whole
    #[arg(long)]
    values: bool,
    /// Stop after this number of keys
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// List deleted and expired keys too, without values
    #[arg(long)]
    deleted: bool,
    /// Sort by key; collects all keys first
    #[arg(long)]
    sort: bool,
    /// Owners of each partition that must answer; by default a majority
    #[arg(short, value_name = "R", help_heading = "Quorum")]
    r: Option<u8>,
}

/// One key as it is listed.
struct Entry {
    key: Key,
    values: Vec<Vec<u8>>,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open(ui, Access::Read, "scan")?;
    let options = Options { r: args.r, ..Options::default() };
    let mut list = List { ui, args, null: common.null, shown: 0, table: Vec::new() };
    let listed = list.all(&mut cluster, &options);
    let warnings = cluster.warnings();
    let ended = list.end();
    ui.warn_all(warnings);
    listed.and(ended)?;
    Ok(Done::Yes)
}

/// The listing on its way out.
struct List<'a> {
    ui: &'a mut Ui,
    args: &'a Args,
    null: bool,
    shown: u64,
    table: Vec<Vec<String>>,
}

impl List<'_> {
    fn all(&mut self, cluster: &mut Cluster, options: &Options) -> Result<(), Fail> {
        use std::os::unix::ffi::OsStrExt;
        let (now_ms, args) = (wall_ms(), self.args);
        let mut gathered = Vec::new();
        each(cluster, args.prefix.as_bytes(), options, &mut |key, record| {
            let values = record.visible(now_ms).into_iter().map(|s| s.1.bytes.clone()).collect();
            let entry = Entry { key: key.clone(), values };
            if entry.values.is_empty() && !args.deleted {
                return Ok(true);
            }
            if args.sort {
                gathered.push(entry);
                return Ok(true);
            }
            self.show(&entry)
        })?;
        gathered.sort_by(|a, b| a.key.cmp(&b.key));
        for entry in &gathered {
            if !self.show(entry)? {
                break;
            }
        }
        Ok(())
    }

    /// Prints one key; false when it was the last wanted.
    fn show(&mut self, entry: &Entry) -> Result<bool, Fail> {
        if self.args.limit == Some(0) {
            return Ok(false);
        }
        let key = entry.key.as_bytes();
        let bytes: usize = entry.values.iter().map(Vec::len).sum();
        if self.ui.is_json() {
            let head = if self.shown == 0 { HEAD } else { "," };
            let count = entry.values.len();
            let mut json = json!({"bytes": bytes, "values": count});
            put_bytes(&mut json, "key", key);
            self.ui.bytes(format!("{head}{json}").as_bytes())?;
        } else if self.args.keys && self.null {
            self.ui.bytes(key)?;
            self.ui.line("")?;
        } else {
            let mut row = vec![escape(key)];
            if !self.args.keys {
                row.extend([bytes.to_string(), entry.values.len().to_string()]);
            }
            if self.args.values {
                row.extend(entry.values.iter().map(|v| preview(v)));
            }
            if self.ui.is_table() { self.table.push(row) } else { self.ui.rows(&[], &[row])? }
        }
        self.shown += 1;
        Ok(self.args.limit.is_none_or(|most| self.shown < most))
    }

    fn end(&mut self) -> Result<(), Fail> {
        if self.ui.is_json() {
            let head = if self.shown == 0 { HEAD } else { "" };
            self.ui.line(&format!("{head}]}}"))?;
        } else if self.ui.is_table() {
            let header: &[&str] = match self.args {
                Args { keys: true, .. } => &["KEY"],
                Args { values: true, .. } => &["KEY", "BYTES", "VALUES", "VALUE"],
                _ => &["KEY", "BYTES", "VALUES"],
            };
            self.ui.rows(header, &self.table)?;
        }
        Ok(())
    }
}

/// How the one JSON object of a scan begins.
const HEAD: &str = r#"{"schema":"kvs.scan/1","keys":["#;

/// Called with each key of a scan; `false` ends it.
pub(crate) type OnKey<'a> = dyn FnMut(&Key, &Record) -> Result<bool, Fail> + 'a;

/// Scans until `visit` has enough or cannot go on.
pub(crate) fn each(
    cluster: &mut Cluster,
    prefix: &[u8],
    options: &Options,
    visit: &mut OnKey<'_>,
) -> Result<(), Fail> {
    let mut ended = None;
    let scanned = cluster.scan(prefix, options, &mut |key, record| {
        let result = visit(key, record);
        if let Ok(true) = result {
            return Ok(());
        }
        ended = Some(result.map(|_| ()));
        Err(Error::Partial("the scan was ended".into())) // never shown: `ended` tells
    });
    ended.unwrap_or_else(|| scanned.map_err(Fail::from))
}
