//! `kvs get`: reads one key.

use clap::Args as ClapArgs;
use kvs::clock::{Dot, token};
use kvs::cluster::{Access, Actors, Cluster, ExplainedCopy, State};
use kvs::error::Error;
use kvs::key::Key;
use kvs::os::wall_ms;
use kvs::quorum::{GetReply, Options};
use kvs::record::{Record, Value};
use serde_json::json;

use crate::common::{Common, LevelName, key_parser};
use crate::exit::{Done, Outcome};
use crate::render::{dot, object, preview, put_bytes, record, time};
use crate::ui::Ui;

/// Read the value of a key
///
/// Writes the exact bytes to a pipe; on a terminal a newline follows. When there is no value, it
/// prints nothing on stdout and exits 1. Siblings (values of concurrent writes) are not printed as
/// if they were one: it exits 3, with a table on a terminal and nothing in a pipe. Use --all,
/// --sibling or --format json to read them, kvs edit to merge them. With --format json siblings are
/// printed, and the code is still 3 unless --all is given.
///
/// A read changes nothing, not even a replica that is behind; kvs repair does that.
///
/// Example: c=$(kvs get cart:42 --show-context) && kvs put cart:42 '4 apples' --context "$c"
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The key
    #[arg(value_name = "KEY", value_parser = key_parser())]
    key: Key,
    /// Print only this sibling, counted from 1
    #[arg(long, value_name = "I", conflicts_with = "all")]
    sibling: Option<usize>,
    /// Print every value, one per line (with -0 each ends with NUL)
    #[arg(long)]
    all: bool,
    /// Print the context instead of the value, for kvs put --context; works for deleted keys too
    #[arg(long, conflicts_with_all = ["all", "sibling"])]
    show_context: bool,
    #[command(flatten)]
    reads: Reads,
}

/// How many replicas a read asks.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Quorum")]
pub(crate) struct Reads {
    /// Ask only the first N live owners
    #[arg(short, value_name = "N")]
    n: Option<u8>,
    /// Owners that must answer; by default a majority
    #[arg(short, value_name = "R")]
    r: Option<u8>,
    /// The quorum by name, instead of -r; local-quorum is that of --zone
    #[arg(long, value_name = "LEVEL", conflicts_with = "r")]
    level: Option<LevelName>,
    /// Return only what enough owners hold that no later strict read can miss it; otherwise exit 4
    #[arg(long)]
    strict: bool,
}

impl Reads {
    pub(crate) fn options(&self) -> Options {
        let Self { n, r, strict, level } = *self;
        let level = level.map(LevelName::level);
        Options { n, r, strict, level, ..Options::default() }
    }
}

/// What a read of one key came to.
struct Found<'a> {
    key: &'a Key,
    record: Record,
    now_ms: u64,
    context: Option<String>,
    actors: Actors,
    /// Whether an owner has a copy that cannot be read: what it was nobody knows.
    unread: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let key = &args.key;
    let mut cluster = common.open(ui, Access::Read, "get")?;
    let reply = cluster.get(key, &args.reads.options());
    ui.warn_all(cluster.warnings());
    let reply = reply?;
    let replicas = cluster.replicas(key, &reply);
    tell_replicas(ui, &replicas);
    let record = record(key, &reply)?;
    let context = (!record.is_absent()).then(|| token(cluster.doc().id.0, key, &record.clock));
    let (actors, unread) = (cluster.actors(), !unreadable(&replicas).is_empty());
    let found = Found { key, record, now_ms: wall_ms(), context, actors, unread };
    if ui.is_json() {
        found.json(ui, args, &counts(&cluster, &reply, &replicas))
    } else if args.show_context {
        found.context(ui)
    } else {
        found.values(ui, args)
    }
}

impl Found<'_> {
    fn visible(&self) -> Vec<&(Dot, Value)> {
        self.record.visible(self.now_ms)
    }

    /// The values that were asked for: all of them, or one by its number.
    fn chosen(&self, sibling: Option<usize>) -> Result<Vec<&(Dot, Value)>, Error> {
        let visible = self.visible();
        let Some(i) = sibling.filter(|_| !visible.is_empty()) else { return Ok(visible) };
        let one = i.checked_sub(1).and_then(|i| visible.get(i).copied());
        let (key, n) = (self.key, visible.len());
        let none =
            || Error::Usage(format!("--sibling {i} does not exist; {key} has siblings 1 to {n}."));
        Ok(vec![one.ok_or_else(none)?])
    }

    fn values(&self, ui: &mut Ui, args: &Args) -> Outcome {
        match self.chosen(args.sibling)?.as_slice() {
            [] => Ok(self.absent(ui)),
            several if args.all => {
                for (_, value) in several {
                    ui.bytes(&value.bytes)?;
                    ui.line("")?;
                }
                Ok(Done::Yes)
            }
            [(_, only)] => {
                ui.bytes(&only.bytes)?;
                if ui.is_terminal() {
                    ui.bytes(b"\n")?;
                }
                Ok(Done::Yes)
            }
            several => self.conflict(ui, several),
        }
    }

    fn context(&self, ui: &mut Ui) -> Outcome {
        if let Some(context) = &self.context {
            ui.line(context)?;
        }
        if self.visible().is_empty() { Ok(self.absent(ui)) } else { Ok(Done::Yes) }
    }

    fn absent(&self, ui: &mut Ui) -> Done {
        let why = match (self.record.is_absent(), self.record.is_tombstone()) {
            (true, _) => "is absent",
            (_, true) => "was deleted",
            _ => "has expired",
        };
        if self.unread {
            ui.note(&format!("{} {why} in the copies that could be read", self.key));
            return Done::Corrupt;
        }
        ui.note(&format!("{} {why}", self.key));
        Done::No
    }

    fn conflict(&self, ui: &mut Ui, several: &[&(Dot, Value)]) -> Outcome {
        if ui.is_table() {
            let rows: Vec<_> = (1..)
                .zip(several)
                .map(|(i, (dot, v))| {
                    let node = self.actors.dot(*dot);
                    vec![
                        format!("{i}"),
                        node,
                        time(v.written_ms),
                        v.bytes.len().to_string(),
                        preview(&v.bytes),
                    ]
                })
                .collect();
            ui.rows(&["SIBLING", "DOT", "WRITTEN", "BYTES", "VALUE"], &rows)?;
        }
        let (key, n) = (self.key, several.len());
        Err(Error::Conflict(format!("{key} has {n} siblings; none was printed."))
            .hint(format!(
                "read them: kvs get --all {0}, or --sibling 1 to {n}; merge them: kvs edit {0}",
                key.argument()
            ))
            .into())
    }

    fn json(&self, ui: &mut Ui, args: &Args, replicas: &serde_json::Value) -> Outcome {
        let visible = self.visible();
        let chosen = self.chosen(args.sibling)?;
        let siblings: Vec<_> = chosen.iter().map(|(d, v)| sibling(*d, v, &self.actors)).collect();
        ui.json(&object(
            "kvs.get/1",
            self.key,
            json!({
                "found": !visible.is_empty(), "context": self.context,
                "siblings": siblings, "replicas": replicas,
            }),
        ))?;
        Ok(match visible.len() {
            0 => self.absent(ui),
            1 => Done::Yes,
            _ if args.all || args.sibling.is_some() => Done::Yes,
            _ => Done::Conflict,
        })
    }
}

/// Says which replicas a repair would change.
fn tell_replicas(ui: &mut Ui, replicas: &[ExplainedCopy]) {
    let unreadable = unreadable(replicas);
    if !unreadable.is_empty() {
        let names = unreadable.join(", ");
        ui.note(&format!("{names}: the copy fails its checksum; heal it: kvs repair --verify"));
    }
    let stale = stale(replicas);
    if !stale.is_empty() {
        let are = if stale.len() == 1 { "is" } else { "are" };
        ui.note(&format!("{} {are} behind; sync: kvs repair", stale.join(", ")));
    }
}

fn unreadable(replicas: &[ExplainedCopy]) -> Vec<&str> {
    let unreadable = replicas.iter().filter(|c| c.state == State::Unreadable);
    unreadable.map(|c| c.name.as_str()).collect()
}

fn stale(replicas: &[ExplainedCopy]) -> Vec<&str> {
    let stale = replicas.iter().filter(|c| c.state.is_stale());
    stale.map(|c| c.name.as_str()).collect()
}

fn counts(cluster: &Cluster, reply: &GetReply, replicas: &[ExplainedCopy]) -> serde_json::Value {
    let answered = replicas.iter().filter(|c| !matches!(c.state, State::Down | State::Unasked));
    json!({
        "n": cluster.doc().n(), "r": reply.r, "answered": answered.count(),
        "stale": stale(replicas), "unreadable": unreadable(replicas),
    })
}

fn sibling(at: Dot, value: &Value, actors: &Actors) -> serde_json::Value {
    let mut json = json!({
        "dot": dot(at, actors), "time": time(value.written_ms), "size": value.bytes.len(),
    });
    put_bytes(&mut json, "value", &value.bytes);
    if let Some(at) = value.expires_ms {
        json["expires"] = at.to_string().into();
    }
    json
}
