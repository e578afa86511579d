//! `kvs explain`: why a key reads as it does.

use clap::Args as ClapArgs;
use kvs::cluster::{Access, Actors, Cluster, ExplainedCopy, Inspection, State};
use kvs::error::operand;
use kvs::key::{Key, Position, escape};
use kvs::os::wall_ms;
use kvs::record::Record;
use serde_json::json;

use crate::common::{Common, key_parser, read_of};
use crate::exit::{Done, Outcome};
use crate::render::{object, preview};
use crate::ui::Ui;

/// Explain why a key reads as it does
///
/// Shows the key's place on the ring, its owners and fallbacks, what each copy holds, which values
/// a later write has replaced, which writes are kept for owners that were down, what a read of 1, 2
/// or more votes can return, and what to do next. It needs no quorum and changes nothing. Exits 8
/// when a copy, or an owner's file, is damaged.
///
/// Example: kvs explain cart:42
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The key
    #[arg(value_name = "KEY", value_parser = key_parser())]
    key: Key,
}

/// All there is to say.
struct Story<'a> {
    key: &'a Key,
    cluster: &'a Cluster,
    found: Inspection,
    actors: Actors,
    /// Members whose files are damaged as a whole.
    broken: Vec<String>,
    now_ms: u64,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open(ui, Access::Read, "explain")?;
    let found = cluster.inspect(&args.key);
    ui.warn_all(cluster.warnings());
    let story = Story {
        key: &args.key,
        cluster: &cluster,
        found: found?,
        actors: cluster.actors(),
        broken: cluster.broken(),
        now_ms: wall_ms(),
    };
    let damaged = story.any(|state| *state == State::Unreadable);
    let done = if damaged { Done::Corrupt } else { read_of(&cluster, false) };
    if ui.is_json() {
        ui.json(&story.json())?;
        return Ok(done);
    }
    let rows: Vec<_> = story.rows().into_iter().map(|(what, is)| vec![what.into(), is]).collect();
    ui.rows(&["WHAT", "IS"], &rows)?;
    Ok(done)
}

impl Story<'_> {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = self.place();
        rows.extend(self.copies());
        rows.push(("merged", self.record(&self.found.merged)));
        for gone in self.found.superseded() {
            let by: Vec<_> = gone.by.iter().map(|d| self.actors.dot(*d)).collect();
            let by = if by.is_empty() { "a delete or a later write".into() } else { by.join(" ") };
            let (name, dot) = (gone.name, self.actors.dot(gone.dot));
            rows.push(("replaced", format!("{dot} on {name}, by {by}")));
        }
        for clash in &self.found.clashes {
            let dot = self.actors.dot(*clash);
            rows.push(("corrupt", format!("{dot} has two different values")));
        }
        for hint in &self.found.hints {
            let kind =
                if hint.acknowledged { "counted for W" } else { "a reference to its own copy" };
            rows.push((
                "hint",
                format!("{} keeps a write for {} ({kind})", hint.holder, hint.target),
            ));
        }
        rows.extend(self.reads());
        rows.push(("next", self.next()));
        rows
    }

    fn place(&self) -> Vec<(&'static str, String)> {
        let doc = self.cluster.doc();
        let Position(position) = self.key.position();
        let leaf = self.key.position().leaf(doc.q);
        let p = doc.q.partition(self.key);
        let fallbacks = match self.found.fallbacks.as_slice() {
            [] => "none: every member is an owner".to_string(),
            names => names.join(" "),
        };
        vec![
            ("key", escape(self.key.as_bytes())),
            ("position", format!("{position:016x}")),
            ("partition", format!("{p} of {}, leaf {leaf}", doc.q.count())),
            ("fallbacks", fallbacks),
        ]
    }

    fn copies(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.found.replicas.iter().map(|copy| {
            let (name, zone) = (&copy.name, &copy.zone);
            let (standing, state) = (copy.standing.word(), self.state(copy).word());
            let head = format!("{name} (zone {zone}, {standing}): {state}");
            match &copy.record {
                None => ("copy", head),
                Some(record) => {
                    let (bytes, what) = (copy.bytes, self.record(record));
                    ("copy", format!("{head}, {bytes} bytes, checksum good, {what}"))
                }
            }
        })
    }

    /// A record in one line: clock, and each visible value under its dot.
    fn record(&self, record: &Record) -> String {
        if record.is_absent() {
            return "nothing".into();
        }
        let values: Vec<_> = record
            .siblings
            .iter()
            .map(|(dot, value)| {
                let expired = if value.is_live(self.now_ms) { "" } else { " (expired)" };
                format!("{} \"{}\"{expired}", self.actors.dot(*dot), preview(&value.bytes))
            })
            .collect();
        let values = if values.is_empty() { "deleted".into() } else { values.join(", ") };
        format!("{} {values}", self.actors.clock(&record.clock))
    }

    fn reads(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        (1..=self.cluster.doc().n()).map(|r| {
            let results: Vec<_> = self.found.outcomes(r).iter().map(|o| self.result(o)).collect();
            let text = match results.as_slice() {
                [] => "refused: too few votes (4)".to_string(),
                [only] => only.clone(),
                several => format!("either {}", several.join(" or ")),
            };
            ("read", format!("R={r}: {text}"))
        })
    }

    fn result(&self, record: &Record) -> String {
        match record.visible(self.now_ms).as_slice() {
            [] => "no value (1)".into(),
            [(_, only)] => format!("\"{}\"", preview(&only.bytes)),
            several => format!("{} values in conflict (3)", several.len()),
        }
    }

    /// How a copy stands: one in a file that is damaged as a whole is no more than unreadable.
    fn state(&self, copy: &ExplainedCopy) -> State {
        let broken = copy.state == State::Down && self.broken.contains(&copy.name);
        if broken { State::Unreadable } else { copy.state }
    }

    fn any(&self, is: fn(&State) -> bool) -> bool {
        self.found.replicas.iter().any(|copy| is(&self.state(copy)))
    }

    fn next(&self) -> String {
        let (key, found) = (self.key, &self.found);
        if let Some(copy) = found.replicas.iter().find(|copy| self.broken.contains(&copy.name)) {
            return format!("kvs replace {}", operand(&copy.name));
        }
        if self.any(|s| *s == State::Unreadable) {
            return "kvs repair --verify".into();
        }
        if self.any(|s| s.is_stale()) || !found.hints.is_empty() {
            return "kvs repair".into();
        }
        if found.merged.visible(self.now_ms).len() > 1 {
            return format!("kvs edit {}", key.argument());
        }
        let doc = self.cluster.doc();
        if found.outcomes(doc.majority()).is_empty() {
            let down = self.any(|s| matches!(s, State::Down | State::Unasked));
            let next = if down { "start its owners again: kvs status" } else { "kvs repair" };
            return next.into();
        }
        "nothing to do".into()
    }

    fn json(&self) -> serde_json::Value {
        let doc = self.cluster.doc();
        let copies = self.found.replicas.iter().map(|c| {
            json!({
                "node": c.name, "zone": c.zone, "is": c.standing.word(), "state": self.state(c).word(),
                "bytes": c.bytes, "clock": c.record.as_ref().map(|r| self.actors.clock(&r.clock)),
            })
        });
        let hints = self.found.hints.iter().map(
            |h| json!({"holder": h.holder, "target": h.target, "acknowledged": h.acknowledged}),
        );
        let reads = (1..=doc.n()).map(|r| {
            let found = self.found.outcomes(r);
            json!({"r": r, "results": found.iter().map(|o| self.result(o)).collect::<Vec<_>>()})
        });
        object(
            "kvs.explain/1",
            self.key,
            json!({
                "position": format!("{:016x}", self.key.position().0),
                "partition": doc.q.partition(self.key).0, "leaf": self.key.position().leaf(doc.q),
                "fallbacks": self.found.fallbacks, "replicas": copies.collect::<Vec<_>>(),
                "clock": self.actors.clock(&self.found.merged.clock),
                "hints": hints.collect::<Vec<_>>(), "reads": reads.collect::<Vec<_>>(),
                "next": self.next(),
            }),
        )
    }
}
