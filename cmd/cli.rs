//! The commands in one list.
//!
//! To add one: a file beside this with `Args` and `run`, a line in each of the three lists below, a
//! transcript in `testdata`, and `UPDATE=1` on the assets test for its pages.

use clap::{Parser, Subcommand};

use crate::common::Common;
use crate::exit::{self, Outcome};
use crate::ui::Ui;
use crate::{
    clock, completions, config, delete, demo, diff, digest, dump, edit, explain, get, hints, init,
    join, leave, load, node, push, put, repair, replace, ring, scale, scan, status, transfers, up,
    verify, wait,
};

/// A leaderless, replicated key-value store whose nodes are directories
///
/// A ring is a set of nodes; every key has N copies on distinct nodes. A write waits for W of them,
/// a read for R. Every command works on the node directories themselves, with no server running,
/// and on running nodes (`kvs up r`). Start with `kvs demo`, or make a ring: `kvs init r`, then
/// `kvs --ring r put k v`.
#[derive(Debug, Parser)]
#[command(name = "kvs", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = exit::summary())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    command: Command,
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
    Wait(wait::Args),
    Node(node::Args),
    Up(up::Args),
    Transfers(transfers::Args),
    Push(push::Args),
    Scale(scale::Args),
    Digest(digest::Args),
    Diff(diff::Args),
    Repair(repair::Args),
    Verify(verify::Args),
    Hints(hints::Args),
    Demo(demo::Args),
    Config(config::Args),
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
            Command::Wait(args) => wait::run(ui, common, args),
            Command::Node(args) => node::run(ui, common, args),
            Command::Up(args) => up::run(ui, common, args),
            Command::Transfers(args) => transfers::run(ui, common, args),
            Command::Push(args) => push::run(ui, common, args),
            Command::Scale(args) => scale::run(ui, common, args),
            Command::Digest(args) => digest::run(ui, common, args),
            Command::Diff(args) => diff::run(ui, common, args),
            Command::Repair(args) => repair::run(ui, common, args),
            Command::Verify(args) => verify::run(ui, common, args),
            Command::Hints(args) => hints::run(ui, common, args),
            Command::Demo(args) => demo::run(ui, common, args),
            Command::Config(args) => config::run(ui, common, args),
            Command::Completions(args) => completions::run(ui, common, args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_agree_with_each_other() {
        super::Cli::command().debug_assert();
    }
}
