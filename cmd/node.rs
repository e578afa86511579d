//! `kvs node`: a node as a process: run it, ask it how it is, drain it, stop it; and made from afar.
//!
//! A NAME is a member of the ring of `--ring`, by its name or its address, or a node directory, which
//! names its ring by itself.

mod drain;
mod info;
mod make;
pub(crate) mod run;
mod stop;

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use kvs::cluster::{Access, Cluster};
use kvs::config::{self, NODE_FILE, NodeConfig};
use kvs::error::{Error, word};
use kvs::ring::NodeId;
use kvs::store::lock::{Holder, Lock};

use crate::common::Common;
use crate::exit::Outcome;
use crate::ui::Ui;

/// Run, inspect, drain or stop one node
///
/// `kvs up` runs every node of a ring directory. NAME is a member of --ring, by name or address, or
/// a node directory.
///
/// Example: kvs node run r/n1
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Info(info::Args),
    Drain(drain::Args),
    Stop(stop::Args),
    Make(make::Args),
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Run(args) => run::run(ui, common, args),
        Verb::Info(args) => info::run(ui, common, args),
        Verb::Drain(args) => drain::run(ui, common, args),
        Verb::Stop(args) => stop::run(ui, common, args),
        Verb::Make(args) => make::run(ui, common, args),
    }
}

/// A node as it was named.
struct Named {
    name: String,
    /// Its directory, when that is on this machine.
    dir: Option<PathBuf>,
}

impl Named {
    /// Finds out what a NAME is.
    fn find(common: &Common, text: &str) -> Result<Self, Error> {
        if Path::new(text).join(NODE_FILE).symlink_metadata().is_ok() {
            let dir = PathBuf::from(text);
            let config: NodeConfig = config::read(&dir.join(NODE_FILE))?;
            return Ok(Self { name: config.name, dir: Some(dir) });
        }
        let places = common.ring.iter().flat_map(|ring| ring.split(',')).map(Path::new);
        let mut dirs = places.flat_map(|p| [p.to_path_buf(), p.join(text)]);
        let dir = dirs.find(|dir| {
            let config = config::read::<NodeConfig>(&dir.join(NODE_FILE));
            config.is_ok_and(|c| c.name == text)
        });
        Ok(Self { name: text.to_owned(), dir })
    }

    /// Who serves its directory; `None` when nobody does, or when it is not on this machine.
    fn server(&self) -> Result<Option<Holder>, Error> {
        let Some(dir) = &self.dir else { return Ok(None) };
        Ok(Lock::holder(dir)?.filter(|holder| ["node", "up"].contains(&holder.kind.as_str())))
    }

    /// Whether it certainly does not run.
    fn is_stopped(&self) -> Result<bool, Error> {
        Ok(self.dir.is_some() && self.server()?.is_none())
    }

    /// Opens its ring; it has to run.
    fn open(
        &self,
        ui: &mut Ui,
        common: &Common,
        purpose: &str,
    ) -> Result<(Cluster, NodeId), Error> {
        if self.is_stopped()? {
            return Err(self.not_running());
        }
        let cluster = match (&self.dir, &common.ring) {
            (Some(dir), None) => {
                let dir = dir.display().to_string();
                common.open_these(ui, Access::Read, purpose, &[dir])?
            }
            _ => common.open(ui, Access::Read, purpose)?,
        };
        let by_address = cluster.node_at(&self.name);
        let id = by_address.map_or_else(|| cluster.doc().named(&self.name).map(|m| m.id), Ok)?;
        if cluster.is_live() { Ok((cluster, id)) } else { Err(self.not_running()) }
    }

    fn not_running(&self) -> Error {
        let dir = self.dir.as_ref().map_or("DIR".into(), word);
        let name = &self.name;
        Error::Unreachable(format!("The node {name} is not running; nothing was tried."))
            .hint(format!("start it: kvs node run {dir}"))
    }
}
