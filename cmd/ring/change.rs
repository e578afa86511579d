//! What `join`, `leave`, `replace` and `ring` share: a change shown, agreed to, carried out.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kvs::cluster::{Access, Cluster, Moves, resolve};
use kvs::config;
use kvs::error::{Error, operand, option};
use kvs::os::OutputFile;
use kvs::ring::{Change, ChangeStep, NodeId, RingDoc, RingPlan};
use serde_json::{Value, json};

use crate::common::Common;
use crate::exit::{Done, Fail};
use crate::ui::{Ui, counted};

/// Flags of every command that changes the ring.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Consent {
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the plan and change nothing; exits 1 when there is something to change
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A change before it is made.
pub(crate) struct Preview {
    before: RingDoc,
    after: RingDoc,
    moves: Moves,
    changes: Vec<Change>,
    /// Members that are down, and of them those that stay members: the change waits for them.
    missing: Vec<String>,
    awaited: Vec<String>,
    /// Members that can be asked, where they are no majority: nothing will be chosen.
    minority: Option<usize>,
}

impl Preview {
    /// Works out what the changes would do.
    pub(crate) fn of(cluster: &Cluster, changes: &[Change]) -> Result<Self, Error> {
        let before = (*cluster.doc()).clone();
        let after = before.change(changes)?;
        let moves = cluster.moves(&before, &after);
        let goes = |name: &String| {
            changes.iter().any(|change| match change {
                Change::Remove(gone) => gone == name,
                Change::Replace(member) => member.name == *name,
                _ => false,
            })
        };
        let missing = cluster.missing();
        let awaited = missing.iter().filter(|name| !goes(name)).cloned().collect();
        let open = cluster.nodes();
        let (voters, left) =
            (before.voters().count(), before.voters().filter(|v| open.contains(v)));
        let minority = Some(left.count()).filter(|left| *left <= voters / 2);
        Ok(Self { before, after, moves, changes: changes.to_vec(), missing, awaited, minority })
    }

    /// Whether anything would be otherwise.
    pub(crate) fn is_change(&self) -> bool {
        self.before.members != self.after.members || self.before.layout != self.after.layout
    }

    /// How a rehearsal of it ends: as `ring plan` does.
    pub(crate) fn rehearsed(&self) -> Done {
        if self.is_change() { Done::No } else { Done::Yes }
    }

    /// Prints what would change, unless the plan itself goes to stdout.
    pub(crate) fn show_beside(&self, ui: &mut Ui, file: Option<&Path>) -> Result<(), Fail> {
        if file == Some(Path::new("-")) { Ok(()) } else { self.show(ui) }
    }

    /// Prints what would change and what it would move; nothing for JSON.
    fn show(&self, ui: &mut Ui) -> Result<(), Fail> {
        if ui.is_json() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = self.rows().map(|row| row.to_vec()).collect();
        ui.rows(&["member", "zone", "weight", "state", "before", "after", "gains"], &rows)?;
        let Moves { partitions, keys, .. } = &self.moves;
        if self.changes.is_empty() {
            ui.note("no change was requested, and none is needed");
        } else {
            let what = words(&self.changes);
            let (copies, keys) = (counted(partitions, "partition copy"), counted(keys, "key"));
            ui.note(&format!("{what}: moves {copies} with {keys}"));
            if !self.awaited.is_empty() {
                ui.note(&self.holds_up());
            }
        }
        Ok(())
    }

    /// Who holds the change up, and what to do first about members that are lost: one is replaced;
    /// of several each would wait for the others; without a majority nothing can be chosen.
    fn holds_up(&self) -> String {
        if let Some(left) = self.minority {
            let fewer = left < self.before.n();
            let replicas = if fewer { format!(" --replicas {left}") } else { String::new() };
            return format!(
                "no majority can agree to the change: {} down; if they never come back, stop \
                 every node \
                 and run first: kvs ring recover --accept-minority{replicas}",
                self.missing.join(", ")
            );
        }
        let first = match &self.missing[..] {
            [one] => format!("kvs replace {}", operand(one)),
            all => {
                let all = all.iter().map(|name| format!(" {}", option("--remove", name)));
                format!("kvs ring plan{} -o plan; kvs ring apply plan", all.collect::<String>())
            }
        };
        format!(
            "the change will wait for {}, down; if it never comes back, run first: {first}",
            self.awaited.join(", ")
        )
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let members = self.rows().map(|[name, zone, weight, state, before, after, gains]| {
            json!({"name": name, "zone": zone, "weight": number(&weight), "state": state,
                "before": number(&before), "after": number(&after), "gains": number(&gains)})
        });
        json!({
            "ring": self.before.id.to_string(), "version": self.before.version.to_string(),
            "changes": self.changes.iter().map(phrase).collect::<Vec<_>>(),
            "members": members.collect::<Vec<_>>(),
            "moves": {"partitions": self.moves.partitions, "keys": self.moves.keys.to_string()},
        })
    }

    fn rows(&self) -> impl Iterator<Item = [String; 7]> + '_ {
        let all = self.after.members.len();
        let (before, after) = (self.before.layout.loads(all), self.after.layout.loads(all));
        self.after.members.iter().zip(before.into_iter().zip(after)).filter_map(
            |(member, (before, after))| {
                // A substitute has the name of the one it stands for, who gains nothing.
                let gained = self.moves.gained.get(&member.name).copied().unwrap_or(0);
                let gains = if after > 0 { gained } else { 0 };
                (before > 0 || after > 0).then(|| {
                    let words = [&member.name, &member.zone].map(String::clone);
                    let [name, zone] = words;
                    let (weight, state) = (member.weight.to_string(), member.state.to_string());
                    let [before, after] = [before, after].map(|load| load.to_string());
                    [name, zone, weight, state, before, after, gains.to_string()]
                })
            },
        )
    }
}

/// Shows a plan and asks for leave to go on. `false` for a dry run.
pub(crate) fn agreed(ui: &mut Ui, consent: &Consent, preview: &Preview) -> Result<bool, Fail> {
    preview.show(ui)?;
    if consent.dry_run {
        ui.note("nothing was changed");
        return Ok(false);
    }
    sure(ui, consent.yes, &format!("{}: proceed?", words(&preview.changes)))?;
    Ok(true)
}

/// Asks, unless the answer is given already.
pub(crate) fn sure(ui: &mut Ui, yes: bool, question: &str) -> Result<(), Fail> {
    if yes || ui.confirm(question) {
        return Ok(());
    }
    let text = "Not confirmed; nothing was changed.".to_owned();
    Err(Error::Denied(text).hint("use --yes to skip the question").into())
}

/// Writes a plan as a file to apply later.
pub(crate) fn write_plan(ui: &mut Ui, plan: &RingPlan, file: &Path) -> Result<(), Fail> {
    let text = config::text(plan)?;
    if file == Path::new("-") {
        return Ok(ui.bytes(text.as_bytes())?);
    }
    let mut out = OutputFile::open(file)?;
    out.write_all(text.as_bytes()).map_err(Error::io("write", file))?;
    out.finish()?;
    ui.note(&format!("wrote the plan; next: kvs ring apply {}", operand(file)));
    Ok(())
}

/// Has a plan chosen and takes it to its end, with the directory of a new member if it has one: its
/// file is opened too, or its node is waited for.
pub(crate) fn carry_out(
    ui: &mut Ui,
    common: &Common,
    mut cluster: Cluster,
    plan: &RingPlan,
    new: Option<&Path>,
) -> Result<RingDoc, Error> {
    if cluster.is_live() {
        if let (Some(dir), Some(id)) = (new, newcomer(plan)) {
            await_start(ui, &cluster, dir, id)?;
        }
        cluster.propose(plan).map_err(cut_short)?;
        return finish(ui, cluster);
    }
    cluster.propose(plan)?;
    ui.warn_all(cluster.warnings());
    // The new member's directory is only now one of the ring's.
    drop(cluster);
    let specs: Vec<String> =
        common.ring.iter().cloned().chain(new.map(|d| d.display().to_string())).collect();
    let cluster = common.open_these(ui, Access::Write, "ring-apply", &specs)?;
    let doc = finish(ui, cluster)?;
    if let (Some(ring), Some(new)) = (&common.ring, new) {
        let found = resolve(std::slice::from_ref(ring))?;
        if !found.iter().any(|dir| dir.canonicalize().ok() == new.canonicalize().ok()) {
            let (shown, both) =
                (new.display(), option("--ring", format!("{ring},{}", new.display())));
            ui.note(&format!(
                "{shown} is outside the ring's directory; from now on name it too: {both}"
            ));
        }
    }
    Ok(doc)
}

/// A proposal whose answer did not come may have been chosen.
fn cut_short(error: Error) -> Error {
    match error.root() {
        Error::Partial(text) => Error::Partial(text.clone())
            .hint("kvs ring show shows whether the change was chosen; continue it: kvs ring apply"),
        _ => error,
    }
}

/// The member that a plan brings in.
fn newcomer(plan: &RingPlan) -> Option<NodeId> {
    plan.changes.iter().find_map(|change| match change {
        Change::Join(member) | Change::Replace(member) => Some(member.id),
        _ => None,
    })
}

/// A running ring takes in only a node that runs: whoever watches the directory starts it, or the
/// person does.
fn await_start(ui: &mut Ui, cluster: &Cluster, dir: &Path, id: NodeId) -> Result<(), Error> {
    if !cluster.is_served(dir)? {
        ui.note(&format!("waiting for the new node; start it: kvs node run {}", operand(dir)));
    }
    cluster.await_member(dir, id)
}

/// Takes the change under way to its end.
pub(crate) fn finish(ui: &mut Ui, mut cluster: Cluster) -> Result<RingDoc, Error> {
    let before = cluster.doc();
    if before.step != ChangeStep::Settled {
        ui.note(&format!("version {} is in force, step {}", before.version, before.step));
    }
    let advanced = cluster.advance();
    ui.warn_all(cluster.warnings());
    advanced.map_err(|error| under_way(error, &cluster.doc()))?;
    Ok((*cluster.doc()).clone())
}

/// A change that was chosen goes on whether this command sees it or not: what stops the command is
/// no refusal of the change.
fn under_way(error: Error, doc: &RingDoc) -> Error {
    match error.root() {
        Error::Unreachable(_) | Error::Refused(_) | Error::Unknown(_) | Error::Busy(_) => {
            let (version, step) = (doc.version, doc.step);
            Error::Partial(format!(
                "The change was chosen (version {version}, step {step}) and continues as soon as \
                 its nodes are up: {error}"
            ))
            .hint("kvs ring show shows its step; to wait for its end: kvs ring apply")
        }
        _ => error,
    }
}

/// The path of the directory beside the opened ones, for a member of this name.
pub(crate) fn beside(cluster: &Cluster, name: &str) -> Option<PathBuf> {
    let dir = cluster.nodes().into_iter().find_map(|id| cluster.dir(id))?;
    Some(dir.parent()?.join(name))
}

fn words(changes: &[Change]) -> String {
    changes.iter().map(phrase).collect::<Vec<_>>().join(", ")
}

fn phrase(change: &Change) -> String {
    match change {
        Change::Join(member) => format!("join {}", member.name),
        Change::Leave(name) => format!("leave {name}"),
        Change::Remove(name) => format!("remove {name}"),
        Change::Replace(member) => format!("replace {}", member.name),
        Change::Weight(name, weight) => format!("weight {name}={weight}"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}
