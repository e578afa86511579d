//! How keys, values, dots, times and the end of a write are shown, by every command alike.
//!
//! It shows what a command hands it; it asks no node and decides no exit code but that of a write.

use std::time::{Duration, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::STANDARD};
use kvs::clock::{Dot, token};
use kvs::cluster::{Actors, Cluster};
use kvs::error::Error;
use kvs::key::{Key, escape};
use kvs::quorum::{GetReply, ItemReply, PutReply};
use kvs::record::Record;
use serde_json::json;

use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// The record a read answers with; empty when there is none.
pub(crate) fn record(key: &Key, reply: &GetReply) -> Result<Record, Error> {
    let record = reply.stored.as_ref().map(|s| s.record(key)).transpose()?;
    Ok(record.unwrap_or_default())
}

/// A dot as JSON.
pub(crate) fn dot(dot: Dot, actors: &Actors) -> serde_json::Value {
    let (actor, node) = (dot.actor.to_string(), actors.name(dot.actor));
    json!({"actor": actor, "node": node, "counter": dot.counter.to_string()})
}

/// Adds bytes to a JSON object: under `name` as text, or under `name_b64`.
pub(crate) fn put_bytes(json: &mut serde_json::Value, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => json[name] = text.into(),
        Err(_) => json[format!("{name}_b64")] = STANDARD.encode(bytes).into(),
    }
}

/// A JSON object about a key.
pub(crate) fn object(schema: &str, key: &Key, mut json: serde_json::Value) -> serde_json::Value {
    json["schema"] = schema.into();
    put_bytes(&mut json, "key", key.as_bytes());
    json
}

/// ms since 1970 as a time.
pub(crate) fn time(ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// The beginning of a value, escaped.
pub(crate) fn preview(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    let mut text = escape(bytes.get(..SHOWN).unwrap_or(bytes));
    if bytes.len() > SHOWN {
        text.push('…');
    }
    text
}

/// How a write of one key is reported.
pub(crate) struct WriteReport<'a> {
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

impl WriteReport<'_> {
    /// Says what a write came to.
    pub(crate) fn tell(&self, ui: &mut Ui, cluster: &Cluster, reply: &PutReply) -> Outcome {
        let key = self.key;
        match reply.items.first() {
            Some(ItemReply::Written { .. }) => self.written(ui, cluster, reply),
            Some(ItemReply::Conflict { .. } | ItemReply::LostRace) if self.exact => {
                Err(overtaken(key).into())
            }
            Some(ItemReply::Conflict { values }) => Err(refused(key, *values).into()),
            Some(ItemReply::LostRace) => Err(Error::Conflict(format!(
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

    fn written(&self, ui: &mut Ui, cluster: &Cluster, reply: &PutReply) -> Outcome {
        let Some(ItemReply::Written { dot: at, context, values }) = reply.items.first() else {
            return Ok(Done::Yes);
        };
        ui.has_applied("The write was applied.");
        let context = context.as_ref().map(|c| token(cluster.doc().id.0, self.key, c));
        if ui.is_json() {
            ui.json(&object(
                self.schema,
                self.key,
                json!({
                    "dot": dot(*at, &cluster.actors()), "context": context,
                    "acks": reply.acks, "hinted": reply.hinted, "n": reply.n, "w": self.w,
                    "values": values, "guessed": reply.guessed,
                    "on_the_way": self.late(cluster, reply),
                }),
            ))?;
        } else if let (true, Some(context)) = (self.show_context, &context) {
            ui.line(context)?;
        }
        let hinted =
            if reply.hinted > 0 { format!(", {} hinted", reply.hinted) } else { "".into() };
        let late = match self.late(cluster, reply) {
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
    fn late(&self, cluster: &Cluster, reply: &PutReply) -> usize {
        let doc = cluster.doc();
        let up = doc.owners_among(&cluster.nodes(), doc.q.partition(self.key));
        if cluster.is_live() { up.saturating_sub(reply.acks) } else { 0 }
    }

    fn absent(&self, ui: &mut Ui) -> Outcome {
        if ui.is_json() {
            ui.json(&object(self.schema, self.key, json!({"found": false})))?;
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
