//! `kvs edit`: read, change, write, without losing what another writer did meanwhile.

mod child;

use std::ffi::{OsStr, OsString};
use std::io::{Seek, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::clock::{Dot, VersionVector};
use kvs::cluster::{Access, Actors, Cluster};
use kvs::error::{Error, word};
use kvs::key::Key;
use kvs::os::{open_small, wall_ms};
use kvs::quorum::{Item, ItemReply, Options, Precondition, PutReply};
use kvs::record::{Record, Value};

use crate::common::{Common, Quorum, key_parser, read_all};
use crate::exit::{Done, Fail, Outcome};
use crate::render::{WriteReport, record, time};
use crate::ui::Ui;

/// Change a value, or merge siblings
///
/// Without a command the value is opened in $VISUAL, $EDITOR or vi. Siblings are shown one after
/// another, between lines that begin with <<<<<<< and >>>>>>>; merge them into one value and remove
/// those lines. With -- COMMAND the value goes to its stdin (siblings one after another) and its
/// stdout is the new value; when another writer was faster, COMMAND is run again, up to --retry
/// times.
///
/// The new value replaces exactly what was read. Nothing is written when nothing changed (exit 0),
/// when the editor or COMMAND fails or marker lines are left (exit 10), or when another writer was
/// faster or the value expired meanwhile (exit 3; the edited text is kept in a file that the
/// message names). Of concurrent edits every one that exits 0 counts, as long as the nodes agree on
/// who is up; across a network partition both sides may write, and both values are shown. Exit 5
/// means that the edit may have been written, alone or beside another: read the key before you
/// repeat it. The value keeps its expiry time.
///
/// Example: kvs edit cart:42; kvs edit counter -- awk '{print $1 + 1}'
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The key
    #[arg(value_name = "KEY", value_parser = key_parser())]
    key: Key,
    /// A command that reads the value and prints the new one
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<OsString>,
    /// How often to run COMMAND again when another writer was faster
    #[arg(long, value_name = "TIMES", default_value_t = 10)]
    retry: u32,
    #[command(flatten)]
    quorum: Quorum,
}

/// A pause before it is tried again, and how many of them at the most.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSES: u32 = 10;

/// How a sibling begins and ends in the text of the editor.
const OPEN: &str = "<<<<<<< sibling";
const CLOSE: &str = ">>>>>>> sibling";

/// What was read: the base of the edit.
struct Base {
    clock: VersionVector,
    values: Vec<(Dot, Value)>,
    actors: Actors,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    child::end_together()?;
    let mut left = args.retry;
    loop {
        // No lock is held while somebody thinks.
        let base = {
            let mut cluster = common.open(ui, Access::Read, "edit")?;
            base(ui, &mut cluster, args)?
        };
        let new = match args.command.as_slice() {
            [] => in_editor(&base)?,
            command => through(command, &base.joined())?,
        };
        if base.is_same(&new) {
            ui.note(&format!("{} is unchanged; nothing was written", args.key));
            return Ok(Done::Yes);
        }
        let mut cluster = common.open(ui, Access::Write, "edit")?;
        if base.has_expired() {
            return Err(expired(args, &new)?.into());
        }
        let (reply, options) = base.write(ui, &mut cluster, args, &new)?;
        let lost =
            matches!(reply.items.first(), Some(ItemReply::Conflict { .. } | ItemReply::LostRace));
        if !lost {
            let w = options.w(&cluster.doc());
            let told = WriteReport {
                schema: "kvs.edit/1",
                key: &args.key,
                w,
                show_context: false,
                exact: true,
            };
            return told.tell(ui, &cluster, &reply);
        }
        drop(cluster);
        if args.command.is_empty() || left == 0 {
            return Err(overtaken(args, &new)?.into());
        }
        thread::sleep(PAUSE * (args.retry - left + 1).min(PAUSES));
        left -= 1;
        ui.note(&format!("another writer was faster; trying again for {}", args.key));
    }
}

/// What is there now.
fn base(ui: &mut Ui, cluster: &mut Cluster, args: &Args) -> Result<Base, Fail> {
    let reply = cluster.get(&args.key, &args.quorum.options());
    ui.warn_all(cluster.warnings());
    let record: Record = record(&args.key, &reply?)?;
    let values = record.visible(wall_ms()).into_iter().cloned().collect();
    Ok(Base { clock: record.clock, values, actors: cluster.actors() })
}

impl Base {
    /// The values one after the other, each of several ended by a newline.
    fn joined(&self) -> Vec<u8> {
        if let [(_, only)] = self.values.as_slice() {
            return only.bytes.clone();
        }
        let mut all = Vec::new();
        for (_, value) in &self.values {
            all.extend(&value.bytes);
            if !all.ends_with(b"\n") {
                all.push(b'\n');
            }
        }
        all
    }

    /// The text an editor shows.
    fn shown(&self) -> Vec<u8> {
        let [_, _, ..] = self.values.as_slice() else { return self.joined() };
        let mut all = Vec::new();
        for (i, (dot, value)) in (1..).zip(&self.values) {
            let dot = self.actors.dot(*dot);
            let at = time(value.written_ms);
            all.extend(format!("{OPEN} {i} {dot} {at}\n").as_bytes());
            all.extend(&value.bytes);
            if !value.bytes.ends_with(b"\n") {
                all.push(b'\n');
            }
            all.extend(format!("{CLOSE} {i}\n").as_bytes());
        }
        all
    }

    fn is_same(&self, new: &[u8]) -> bool {
        match self.values.as_slice() {
            [] => new.is_empty(),
            [(_, only)] => only.bytes == new,
            _ => false,
        }
    }

    /// When the value expires: not while one of them has no time to expire at.
    fn expires_ms(&self) -> Option<u64> {
        let times: Option<Vec<u64>> = self.values.iter().map(|v| v.1.expires_ms).collect();
        times.and_then(|t| t.into_iter().max())
    }

    /// Whether what is written with the time that stays could not be read by anyone.
    fn has_expired(&self) -> bool {
        self.expires_ms().is_some_and(|at| at <= wall_ms())
    }

    /// Writes unless anything is there that was not read.
    fn write(
        &self,
        ui: &mut Ui,
        cluster: &mut Cluster,
        args: &Args,
        new: &[u8],
    ) -> Result<(PutReply, Options), Fail> {
        let value = Some((new.to_vec(), self.expires_ms()));
        let basis = Precondition::Exact(self.clock.clone());
        let options = args.quorum.options();
        let reply = cluster.put(Item { key: args.key.clone(), value, basis }, &options);
        ui.warn_all(cluster.warnings());
        Ok((reply?, options))
    }
}

/// Lets a person edit the values.
fn in_editor(base: &Base) -> Result<Vec<u8>, Error> {
    let named = |name| std::env::var_os(name).filter(|e| !e.is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".into());
    let mut file = tempfile::Builder::new().prefix("kvs-edit-").tempfile();
    let file = file.as_mut().map_err(|e| no_place(e))?;
    let shown = base.shown();
    let path = file.path().to_path_buf();
    file.write_all(&shown).map_err(Error::io("write", &path))?;
    // The editor may be a command with arguments, as git has it.
    let mut command = Command::new("sh");
    command.arg("-c").arg(script(&editor)).arg("kvs-edit").arg(&path);
    check(&editor, child::start(&mut command).and_then(child::finish))?;
    let edited = open_small(&path)?;
    let mut new = read_all(edited).map_err(Error::io("read", &path))??;
    // An editor ends the last line; the value did not.
    if !shown.is_empty() && !shown.ends_with(b"\n") && new.ends_with(b"\n") {
        new.pop();
    }
    let marked =
        |line: &[u8]| line.starts_with(OPEN.as_bytes()) || line.starts_with(CLOSE.as_bytes());
    if base.values.len() > 1 && new.split(|b| *b == b'\n').any(marked) {
        let text = "The text still has sibling markers; nothing was written.";
        return Err(Error::Denied(text.into()).hint("leave one value and remove the marker lines"));
    }
    Ok(new)
}

fn script(editor: &OsStr) -> OsString {
    let mut script = editor.to_owned();
    script.push(" \"$@\"");
    script
}

/// Sends the values through a command.
fn through(command: &[OsString], input: &[u8]) -> Result<Vec<u8>, Error> {
    let [program, arguments @ ..] = command else { return Ok(input.to_vec()) };
    let mut stdin = tempfile::tempfile().map_err(|e| no_place(&e))?;
    let io = |e: std::io::Error| failed("a temporary file", &e.to_string());
    stdin.write_all(input).and_then(|()| stdin.rewind()).map_err(io)?;
    let mut command = Command::new(program);
    let child = child::start(command.args(arguments).stdin(stdin).stdout(Stdio::piped()));
    let shown = program.display().to_string();
    let mut child = child.map_err(|e| failed(&shown, &e.to_string()))?;
    let stdout = child.stdout.take().expect("its stdout is a pipe");
    let read = read_all(stdout);
    if !matches!(read, Ok(Ok(_))) {
        // It may have no end of its own; if it has ended, all the better.
        drop(child.kill());
    }
    let ended = child::finish(child);
    let new = read.map_err(|e| failed(&shown, &e.to_string()))??;
    check(program, ended)?;
    Ok(new)
}

/// A program that did not end well: nothing is written.
fn check(program: &OsStr, status: std::io::Result<ExitStatus>) -> Result<(), Error> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(&program.display().to_string(), &status.to_string())),
        Err(error) => Err(failed(&program.display().to_string(), &error.to_string())),
    }
}

fn failed(what: &str, why: &str) -> Error {
    Error::Denied(format!("{what} failed ({why}); nothing was written."))
}

/// There is no place for a temporary file.
fn no_place(error: &std::io::Error) -> Error {
    failed("a temporary file", &error.to_string())
        .hint("set TMPDIR to a directory that can be written to")
}

/// Another writer was faster: the text must not be lost with the refusal.
fn overtaken(args: &Args, new: &[u8]) -> Result<Error, Error> {
    let key = &args.key;
    let text = format!("Another writer changed {key} in the meantime; this edit was not applied.");
    if !args.command.is_empty() {
        return Ok(Error::Conflict(text).hint("run it again, or allow more with --retry"));
    }
    let (path, key) = (kept(new)?, key.argument());
    Ok(Error::Conflict(text)
        .hint(format!("your text is kept in {path}; edit again: kvs edit {key}")))
}

/// The value that was read expired before the new one, which would have its time, was written.
fn expired(args: &Args, new: &[u8]) -> Result<Error, Error> {
    let (shown, key) = (&args.key, args.key.argument());
    let text = format!(
        "{shown} expired in the meantime, and an edit keeps the expiry time; nothing was written."
    );
    let hint = match args.command.is_empty() {
        true => format!("your text is kept in {0}; write it: kvs put {key} @{0}", kept(new)?),
        false => format!("write the value with a new expiry time: kvs put {key} VALUE --ttl TIME"),
    };
    Ok(Error::Conflict(text).hint(hint))
}

/// Keeps a text in a file that stays; its path, as a shell reads it.
fn kept(new: &[u8]) -> Result<String, Error> {
    let kept = tempfile::Builder::new().prefix("kvs-edit-").disable_cleanup(true).tempfile();
    let mut kept = kept.map_err(|e| no_place(&e))?;
    kept.write_all(new).map_err(Error::io("write", kept.path()))?;
    Ok(word(kept.path()))
}
