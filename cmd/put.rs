//! `kvs put`: writes one value. Also what every write of one key shares: its flags, its report.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::clock::{parse_token, token};
use kvs::embed::wall_ms;
use kvs::error::Error;
use kvs::key::Key;
use kvs::protocol::EXPIRY_MS_MAX;
use kvs::quorum::{Basis, Item, ItemReply, PutReply};
use kvs::record::RECORD_BYTES_MAX;
use kvs::target::{Access, Target};
use serde_json::json;

use crate::common::{Common, Quorum, duration, key_parser, stdin};
use crate::exit::{Done, Outcome};
use crate::get;
use crate::ui::Ui;

/// Write a value under a key
///
/// Without a condition the put overwrites what the owners hold, including what another writer wrote
/// between your get and your put. For a safe read-modify-write use --context with --exact (or kvs
/// edit): it is refused (exit 3) when anything was written since. A key with siblings is not
/// overwritten unseen (exit 3). --exact and --if-absent exit 3 when another writer won. They are
/// exact as long as the nodes agree on who is up; across a network partition both sides may write,
/// and both values are shown: then --if-absent exits 3, and --exact 5 (read the key).
///
/// Stderr shows how many owners acknowledged: `2/3`; `2/3, 1 on the way` when the third is up but
/// was not waited for; `2/3, 1 hinted` when a fallback keeps the write for an owner that is down.
/// Exit 4: nothing was applied. Exit 5: unknown; repeat the put, but after --exact read the key
/// first.
///
/// Example: kvs put cart:42 '3 apples'; kvs put photo @cat.jpg; date | kvs put now -
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The key, 1 to 500 bytes
    #[arg(value_name = "KEY", value_parser = key_parser())]
    key: Key,
    /// The value; - reads stdin, @FILE reads a file
    #[arg(value_name = "VALUE|-|@FILE", allow_hyphen_values = true)]
    #[arg(required_unless_present = "literal", conflicts_with = "literal")]
    value: Option<OsString>,
    /// The value, taken literally, even if it is - or begins with @
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    literal: Option<OsString>,
    /// Expire the value after this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
    /// Refuse (exit 3) when the key holds anything that --context does not include: for values
    /// computed from what was read, such as counters
    #[arg(long, requires = "context")]
    exact: bool,
    /// Print the context of the new value on stdout, for the next put
    #[arg(long)]
    show_context: bool,
    #[command(flatten)]
    condition: Condition,
    #[command(flatten)]
    quorum: Quorum,
}

/// What a write assumes about the value it replaces.
#[derive(Clone, Debug, Default, ClapArgs)]
#[group(id = "condition", multiple = false)]
#[command(next_help_heading = "Condition")]
struct Condition {
    /// Replace exactly what this context includes: the token of kvs get --show-context
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    context: Option<String>,
    /// Write only when the key has no value, otherwise exit 3 (strict)
    #[arg(long)]
    if_absent: bool,
    /// Add a value beside those there are
    #[arg(long)]
    blind: bool,
    /// Replace the current values, even if there are siblings
    #[arg(long)]
    overwrite: bool,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let bytes = match (&args.literal, &args.value) {
        (Some(literal), _) => literal.as_bytes().to_vec(),
        (None, value) => read_value(value.clone().unwrap_or_default())?,
    };
    let expires = args.ttl.map(expiry).transpose()?;
    let mut target = common.open(ui, Access::Write, "put")?;
    let basis = args.condition.basis(&target, &args.key, args.exact)?;
    let item = Item { key: args.key.clone(), value: Some((bytes, expires)), basis };
    let options = args.quorum.options();
    let reply = target.put(item, &options);
    ui.warn_all(target.warnings());
    let show_context = args.show_context;
    let w = options.w(&target.doc());
    let told = Told { schema: "kvs.put/1", key: &args.key, w, show_context, exact: args.exact };
    told.tell(ui, &target, &reply?)
}

impl Condition {
    fn basis(&self, target: &Target, key: &Key, exact: bool) -> Result<Basis, Error> {
        Ok(match &self.context {
            Some(token) if exact => Basis::Exact(parse_token(target.doc().id.0, key, token)?),
            Some(token) => Basis::Context(parse_token(target.doc().id.0, key, token)?),
            None if self.if_absent => Basis::Absent,
            None if self.blind => Basis::Blind,
            None => Basis::Overwrite { force: self.overwrite },
        })
    }
}

fn expiry(ttl: Duration) -> Result<u64, Error> {
    if ttl.is_zero() {
        let text = "--ttl 0 would expire the value at once; nothing was written.".to_string();
        return Err(Error::Usage(text).hint("to remove a value: kvs delete KEY"));
    }
    let at = wall_ms().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    if at > EXPIRY_MS_MAX {
        let text = "--ttl is too long: the limit is 285,000 years; nothing was written.";
        return Err(Error::Usage(text.into()).hint("without --ttl a value never expires"));
    }
    Ok(at)
}

/// The bytes that VALUE, `-` or `@FILE` names.
fn read_value(value: OsString) -> Result<Vec<u8>, Error> {
    if value == "-" {
        return read_all(stdin()?).map_err(Error::io("read", Path::new("stdin")))?;
    }
    let Some(name) = value.as_bytes().strip_prefix(b"@") else {
        return Ok(value.into_vec());
    };
    let path = Path::new(std::ffi::OsStr::from_bytes(name));
    let file = File::open(path).map_err(Error::io("open", path)).map_err(|e| {
        e.hint("nothing was written; for a value that begins with @, use --literal VALUE")
    })?;
    read_all(file).map_err(Error::io("read", path))?
}

/// Reads to the end, or to the limit of a value.
pub(crate) fn read_all(input: impl Read) -> std::io::Result<Result<Vec<u8>, Error>> {
    let mut bytes = Vec::new();
    input.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > RECORD_BYTES_MAX {
        return Ok(Err(Error::Usage(format!(
            "The value is larger than 4 MiB ({RECORD_BYTES_MAX} bytes); nothing was written."
        ))
        .hint("split it across several keys")));
    }
    Ok(Ok(bytes))
}

/// How a write of one key is told.
pub(crate) struct Told<'a> {
    /// The schema of its JSON.
    pub(crate) schema: &'static str,
    /// The key.
    pub(crate) key: &'a Key,
    /// Acknowledgements wanted.
    pub(crate) w: usize,
    /// Whether the context goes to stdout.
    pub(crate) show_context: bool,
    /// Whether it was an exact write.
    pub(crate) exact: bool,
}

impl Told<'_> {
    /// Says what a write came to.
    pub(crate) fn tell(&self, ui: &mut Ui, target: &Target, reply: &PutReply) -> Outcome {
        let key = self.key;
        match reply.items.first() {
            Some(ItemReply::Written { .. }) => self.written(ui, target, reply),
            Some(ItemReply::Conflict { .. } | ItemReply::NotAlone) if self.exact => {
                Err(overtaken(key).into())
            }
            Some(ItemReply::Conflict { values }) => Err(refused(key, *values).into()),
            Some(ItemReply::NotAlone) => Err(Error::Conflict(format!(
                "Another writer wrote {key} at the same time; both values are kept."
            ))
            .hint(format!("read them: kvs get --all {0}; merge them: kvs edit {0}", key.argument()))
            .into()),
            Some(ItemReply::Absent) => self.absent(ui),
            Some(ItemReply::TooLarge(why)) => Err(Error::Denied(format!(
                "The write of {key} was refused: {why}. Nothing was written."
            ))
            .into()),
            None => Err(Error::Corrupt("The answer to a write was empty.".into()).into()),
        }
    }

    fn written(&self, ui: &mut Ui, target: &Target, reply: &PutReply) -> Outcome {
        let Some(ItemReply::Written { dot, context, values }) = reply.items.first() else {
            return Ok(Done::Yes);
        };
        ui.has_applied("The write was applied.");
        let context = context.as_ref().map(|c| token(target.doc().id.0, self.key, c));
        if ui.is_json() {
            ui.json(&get::object(
                self.schema,
                self.key,
                json!({
                    "dot": get::dot(*dot, &target.actors()), "context": context,
                    "acks": reply.acks, "hinted": reply.hinted, "n": reply.n, "w": self.w,
                    "values": values, "guessed": reply.guessed,
                    "on_the_way": self.late(target, reply),
                }),
            ))?;
        } else if let (true, Some(context)) = (self.show_context, &context) {
            ui.line(context)?;
        }
        let hinted =
            if reply.hinted > 0 { format!(", {} hinted", reply.hinted) } else { "".into() };
        let late = match self.late(target, reply) {
            0 => String::new(),
            late => format!(", {late} on the way"),
        };
        ui.note(&format!("{}/{}{hinted}{late}", reply.acks, reply.n));
        if reply.guessed {
            ui.note(
                "too few owners reported what they hold: their values may now be siblings of this \
                 write (kvs get shows them)",
            );
        }
        if context.is_none() {
            let (key, argument) = (self.key, self.key.argument());
            ui.note(&match *values {
                0 | 1 => format!(
                    "Another writer changed {key} at the same time. Read it again: kvs get --all {argument}"
                ),
                all => format!("{key} now has {all} siblings; read them: kvs get --all {argument}"),
            });
        }
        Ok(Done::Yes)
    }

    /// Owners that are up and had not acknowledged when enough others had; as the acks are counted.
    fn late(&self, target: &Target, reply: &PutReply) -> usize {
        let doc = target.doc();
        let up = doc.owners_among(&target.nodes(), doc.q.partition(self.key));
        if target.is_live() { up.saturating_sub(reply.acks) } else { 0 }
    }

    fn absent(&self, ui: &mut Ui) -> Outcome {
        if ui.is_json() {
            ui.json(&get::object(self.schema, self.key, json!({"found": false})))?;
        }
        ui.note(&format!("{} has no value; nothing was written", self.key));
        Ok(Done::No)
    }
}

/// An exact write that another one has come before.
fn overtaken(key: &Key) -> Error {
    let text =
        format!("Another writer changed {key} since it was read; this write was not applied.");
    let key = key.argument();
    Error::Conflict(text).hint(format!("read it again: kvs get --show-context {key}"))
}

/// The write that would have replaced values nobody looked at.
fn refused(key: &Key, values: usize) -> Error {
    if values == 1 {
        return Error::Conflict(format!("{key} has a value; nothing was written."));
    }
    let text = format!("{key} has {values} siblings; nothing was written.");
    let key = key.argument();
    Error::Conflict(text).hint(format!(
        "read them: kvs get --all {key}; then repeat this with --context from \
         kvs get --show-context {key}, or with --overwrite to replace them all"
    ))
}
