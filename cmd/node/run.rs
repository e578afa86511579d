//! `kvs node run`: one node in the foreground, and the flags of serving.
//!
//! The library serves; here are its logs, its one line on stdout and the lock that `kvs up` hands
//! down as stdin. A writer of logs whose reader has gone is no reason to end: lines are lost then.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::config::{self, NODE_FILE, NodeConfig};
use kvs::error::{Error, operand};
use kvs::serve::{Ready, ServeOptions, StopReason, serve};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::common::{self, Common};
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// Figures are read on a free port of this machine, unless a flag or node.yaml says otherwise.
const METRICS: &str = "127.0.0.1:0";
/// What is logged unless said.
const LEVEL: &str = "info";
/// All that can be said of it.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// What switches a thing off.
const OFF: &str = "off";

/// Run one node in the foreground until it is stopped
///
/// It locks its directory, listens, and then prints one line on stdout: ready NAME ADDRESS. Logs go
/// to stderr. SIGTERM, ctrl-C, SIGHUP and `kvs node stop` shut it down cleanly (0); a signal that
/// was ignored at the start (nohup) stays ignored. For a directory in use it waits as long as
/// --timeout (then exits 9); a port in use is 9 at once. To listen on 0.0.0.0, set in node.yaml the
/// address that others dial: `advertise: HOST:PORT`.
///
/// Example: kvs node run r/n1 --listen 127.0.0.1:7101
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The node's directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen, instead of the address in node.yaml; port 0 is any free port
    #[arg(long, value_name = "HOST:PORT", value_parser = common::listening)]
    listen: Option<String>,
    #[command(flatten)]
    flags: Flags,
    /// The lock is held already and its file is stdin
    #[arg(long, hide = true)]
    lock_on_stdin: bool,
}

/// How to serve: of `node run` and of `up`.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Serving")]
pub(crate) struct Flags {
    /// Where to serve metrics for Prometheus, at /metrics, or off; by default as node.yaml says,
    /// else a free port of 127.0.0.1
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<String>,
    /// How often to compare digests with every other node and sync what differs, or off
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = every)]
    sync_every: Every,
    /// Do not deliver hints; they wait for `kvs hints deliver`
    #[arg(long)]
    no_hints: bool,
    /// What to log: off, error, warn, info, debug or trace, also per module: info,kvs::serve=debug
    #[arg(long, env = "KVS_LOG", value_name = "LEVEL", default_value = LEVEL)]
    log: String,
}

/// How often; `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Every(Option<Duration>);

fn every(text: &str) -> Result<Every, String> {
    if text == OFF {
        return Ok(Every(None));
    }
    match common::duration(text)? {
        Duration::ZERO => Err("it must not be 0; use off, or a time such as 10s or 1m".into()),
        time => Ok(Every(Some(time))),
    }
}

impl Flags {
    /// The same flags as words, for a child.
    pub(crate) fn words(&self) -> Vec<String> {
        let every = self.sync_every.0.map(|time| humantime::format_duration(time).to_string());
        let every = every.unwrap_or_else(|| OFF.into());
        let mut words = vec!["--sync-every".into(), every, "--log".into(), self.log.clone()];
        if let Some(metrics) = &self.metrics {
            words.extend(["--metrics".into(), metrics.clone()]);
        }
        if self.no_hints {
            words.push("--no-hints".into());
        }
        words
    }

    /// What to log. A bare word that is no level would be taken for a module, and nothing be logged.
    ///
    /// # Errors
    /// [`Error::Usage`] when it cannot be meant. Nothing was done.
    pub(crate) fn filter(&self) -> Result<EnvFilter, Error> {
        let text = if self.log.is_empty() { LEVEL } else { &self.log };
        let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
        let refused = |why: String| {
            Error::Usage(format!("--log {text} is invalid: {why}. Nothing was done.")).hint(
                format!("valid for --log and KVS_LOG: {}, or MODULE=LEVEL", LEVELS.join(", ")),
            )
        };
        let mut levels = text.split(',').map(|part| part.rsplit('=').next().unwrap_or(part).trim());
        match levels.find(|word| !is_level(word)) {
            Some("") => Err(refused("a level is missing".into())),
            Some(word) => Err(refused(format!("{word} is not a level"))),
            None => EnvFilter::try_new(text).map_err(|e| refused(e.to_string())),
        }
    }
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let config = configured(&args.dir)?;
    log(ui, args.flags.filter()?)?;
    let lock = if args.lock_on_stdin { Some(handed_down()?) } else { None };
    let metrics = args.flags.metrics.clone().or(config.metrics).unwrap_or_else(|| METRICS.into());
    let serving = ServeOptions {
        dir: args.dir.clone(),
        lock,
        timeout: Some(common.timeout),
        listen: args.listen.clone(),
        metrics: (metrics != OFF).then_some(metrics),
        sync_every: args.flags.sync_every.0,
        hints: !args.flags.no_hints,
    };
    let ended = serve(serving, &mut |ready| {
        // Whoever does not read the line does without it; the node serves.
        drop(announce(ui, ready));
    })?;
    if ended == StopReason::Removed {
        ui.note(&format!("{} was removed from the ring; its node has ended", config.name));
    }
    Ok(Done::Yes)
}

fn configured(dir: &Path) -> Result<NodeConfig, Error> {
    let path = dir.join(NODE_FILE);
    if path.symlink_metadata().is_ok() {
        return config::read(&path);
    }
    let shown = dir.display();
    let error = Error::Usage(format!("{shown} is not a node directory; nothing was started."));
    Err(error.hint(format!("to run every node of a ring directory: kvs up {}", operand(dir))))
}

/// The lock that whoever started this process holds for it.
fn handed_down() -> Result<File, Error> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    stdin.map(File::from).map_err(Error::io("take the lock from", Path::new("stdin")))
}

/// One line that says where it listens.
fn announce(ui: &mut Ui, ready: &Ready) -> io::Result<()> {
    let Ready { name, address, metrics } = ready;
    if ui.is_json() {
        let pid = std::process::id();
        ui.json(&json!({
            "schema": "kvs.ready/1", "name": name, "address": address, "metrics": metrics,
            "pid": pid,
        }))?;
    } else {
        ui.line(&format!("ready {name} {address}"))?;
    }
    ui.flush()
}

/// Lets what the library tells of its work go to stderr.
fn log(ui: &Ui, filter: EnvFilter) -> Result<(), Error> {
    let lines = tracing_subscriber::fmt().compact().with_target(false).with_ansi(ui.is_colored());
    let lines = lines.with_env_filter(filter).with_writer(|| Lenient).log_internal_errors(false);
    lines
        .try_init()
        .map_err(|e| Error::Usage(format!("The log cannot be started: {e}. Nothing was done.")))
}

/// Stderr that is never full and never closed: a node outlives the reader of its logs.
struct Lenient;

impl Write for Lenient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An event is one line, whatever its fields hold.
        let text = String::from_utf8_lossy(bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text).replace('\n', "\\n") + "\n";
        drop(io::stderr().write_all(line.as_bytes()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_level_is_refused() {
        let of = |log: &str| {
            let (metrics, sync_every) = (None, Every(None));
            Flags { metrics, sync_every, no_hints: false, log: log.into() }.filter()
        };
        for good in ["", "off", "WARN", "info,kvs::serve=debug", "kvs[span{a=1}]=trace,error"] {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in ["verbose", "infoo=", "=", "info,", "kvs::serve", "info,kvs=loud", "n1=odd=x"] {
            assert!(matches!(of(bad).expect_err(bad).root(), Error::Usage(_)), "{bad}");
        }
    }

    #[test]
    fn a_child_gets_the_same_flags() {
        let flags = Flags {
            metrics: Some("off".into()),
            sync_every: Every(Some(Duration::from_secs(90))),
            no_hints: true,
            log: "debug".into(),
        };
        let words = "--sync-every 1m 30s --log debug --metrics off --no-hints";
        assert_eq!(flags.words().join(" "), words);
        assert_eq!(every("1m 30s"), Ok(flags.sync_every));
        assert_eq!(every("off"), Ok(Every(None)));
        assert!(every("0s").is_err());
    }
}
