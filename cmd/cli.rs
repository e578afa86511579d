//! The commands in one list, and the flags they share.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use kvs::error::Error;
use kvs::quorum::Options;
use kvs::target::{Access, Opening, Target};

use crate::exit::Outcome;
use crate::ui::{Color, Format, Ui};
use crate::{
    clock, completions, delete, demo, diff, digest, dump, edit, explain, get, hints, init, join,
    leave, load, put, repair, replace, ring, scan, status, verify,
};

/// A leaderless, replicated key-value store whose nodes are directories
///
/// A ring is a set of nodes; every key has N copies on distinct nodes. Writes wait for W of them,
/// reads ask R of them. Every command works on the node directories themselves, with no server
/// running. Start with `kvs demo`, or make a ring: `kvs init r`, then `kvs --ring r put k v`.
#[derive(Debug, Parser)]
#[command(name = "kvs", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, found, equal; 1 a valid no; 2 usage; 3 conflict; \
4 refused, nothing applied; 5 unknown, repeat; 6 no node reachable; 7 partly done; 8 corrupt; \
9 busy; 10 denied; 70 a defect of kvs. See kvs(1) and kvs-concepts(7).")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// The ring: its directory, or node directories separated by commas
    #[arg(long, env = "KVS_RING", global = true, value_name = "TARGET")]
    pub(crate) ring: Option<String>,
    /// How long to wait for a lock or an answer
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Take these members as down, to rehearse a cut; separated by commas
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) down: Vec<String>,
    /// Ask from this zone
    #[arg(long, global = true, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// The form of the output
    #[arg(long, global = true, value_name = "FORM", default_value = "auto")]
    pub(crate) format: Format,
    /// End lines of output with NUL instead of a newline
    #[arg(short = '0', long = "null", global = true)]
    pub(crate) null: bool,
    /// Say less on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// How many replicas take part.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Quorum")]
pub(crate) struct Quorum {
    /// Ask only the first N live owners; guarantees still count all of the ring's
    #[arg(short, value_name = "N")]
    n: Option<u8>,
    /// Owners that must have the write; a majority unless given
    #[arg(short, value_name = "W")]
    w: Option<u8>,
    /// Owners that must answer a read; a majority unless given
    #[arg(short, value_name = "R")]
    r: Option<u8>,
    /// Owners only, no stand-ins; a read answers only what enough owners hold
    #[arg(long)]
    strict: bool,
}

impl Quorum {
    pub(crate) fn options(&self) -> Options {
        let Self { n, w, r, strict } = *self;
        Options { n, w, r, strict, ..Options::default() }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Put(put::Args),
    Get(get::Args),
    Delete(delete::Args),
    Edit(edit::Args),
    Scan(scan::Args),
    Dump(dump::Args),
    Load(load::Args),
    Clock(clock::Args),
    Explain(explain::Args),
    Init(init::Args),
    Join(join::Args),
    Leave(leave::Args),
    Replace(replace::Args),
    Ring(ring::Args),
    Status(status::Args),
    Digest(digest::Args),
    Diff(diff::Args),
    Repair(repair::Args),
    Verify(verify::Args),
    Hints(hints::Args),
    Demo(demo::Args),
    Completions(completions::Args),
}

impl Cli {
    pub(crate) fn run(&self, ui: &mut Ui) -> Outcome {
        let common = &self.common;
        match &self.command {
            Command::Put(args) => put::run(ui, common, args),
            Command::Get(args) => get::run(ui, common, args),
            Command::Delete(args) => delete::run(ui, common, args),
            Command::Edit(args) => edit::run(ui, common, args),
            Command::Scan(args) => scan::run(ui, common, args),
            Command::Dump(args) => dump::run(ui, common, args),
            Command::Load(args) => load::run(ui, common, args),
            Command::Clock(args) => clock::run(ui, common, args),
            Command::Explain(args) => explain::run(ui, common, args),
            Command::Init(args) => init::run(ui, common, args),
            Command::Join(args) => join::run(ui, common, args),
            Command::Leave(args) => leave::run(ui, common, args),
            Command::Replace(args) => replace::run(ui, common, args),
            Command::Ring(args) => ring::run(ui, common, args),
            Command::Status(args) => status::run(ui, common, args),
            Command::Digest(args) => digest::run(ui, common, args),
            Command::Diff(args) => diff::run(ui, common, args),
            Command::Repair(args) => repair::run(ui, common, args),
            Command::Verify(args) => verify::run(ui, common, args),
            Command::Hints(args) => hints::run(ui, common, args),
            Command::Demo(args) => demo::run(ui, common, args),
            Command::Completions(args) => completions::run(ui, common, args),
        }
    }
}

impl Common {
    /// Opens the ring that the flags name.
    pub(crate) fn open(&self, ui: &mut Ui, access: Access, purpose: &str) -> Result<Target, Error> {
        self.open_these(ui, access, purpose, &[])
    }

    /// Opens the targets given as arguments, or else the ring that the flags name.
    pub(crate) fn open_these(
        &self,
        ui: &mut Ui,
        access: Access,
        purpose: &str,
        targets: &[String],
    ) -> Result<Target, Error> {
        let specs = match targets {
            [] => self.ring.iter().cloned().collect(),
            targets => targets.to_vec(),
        };
        let mut target = Target::open(&Opening {
            specs,
            access,
            timeout: self.timeout,
            down: self.down.clone(),
            zone: self.zone.clone(),
            purpose: format!("kvs-{purpose}"),
        })?;
        ui.warn_all(target.warnings());
        Ok(target)
    }
}

/// A time like `5s`, `1m 30s`, or bare seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    humantime::parse_duration(text).map_err(|e| format!("{e}; say 5s, 90s, 1m, 1h 30m"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_agree_with_each_other() {
        super::Cli::command().debug_assert();
    }
}
