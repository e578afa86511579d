//! `kvs put`: writes one value.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::clock::parse_token;
use kvs::cluster::{Access, Cluster};
use kvs::error::Error;
use kvs::key::Key;
use kvs::os::wall_ms;
use kvs::protocol::EXPIRY_MS_MAX;
use kvs::quorum::{Item, Precondition};

use crate::common::{Common, Quorum, duration, key_parser, read_all, stdin};
use crate::exit::Outcome;
use crate::render::WriteReport;
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
    let mut cluster = common.open(ui, Access::Write, "put")?;
    let basis = args.condition.basis(&cluster, &args.key, args.exact)?;
    let item = Item { key: args.key.clone(), value: Some((bytes, expires)), basis };
    let options = args.quorum.options();
    let reply = cluster.put(item, &options);
    ui.warn_all(cluster.warnings());
    let show_context = args.show_context;
    let w = options.w(&cluster.doc());
    let told =
        WriteReport { schema: "kvs.put/1", key: &args.key, w, show_context, exact: args.exact };
    told.tell(ui, &cluster, &reply?)
}

impl Condition {
    fn basis(&self, cluster: &Cluster, key: &Key, exact: bool) -> Result<Precondition, Error> {
        Ok(match &self.context {
            Some(token) if exact => {
                Precondition::Exact(parse_token(cluster.doc().id.0, key, token)?)
            }
            Some(token) => Precondition::Context(parse_token(cluster.doc().id.0, key, token)?),
            None if self.if_absent => Precondition::Absent,
            None if self.blind => Precondition::Blind,
            None => Precondition::Overwrite { force: self.overwrite },
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
