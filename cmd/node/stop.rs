//! `kvs node stop`: tells a running node to finish and end, and waits until it has.

use std::thread;
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::cluster::Cluster;
use kvs::error::{Error, operand};
use kvs::os::now;
use kvs::ring::NodeId;
use kvs::store::lock::{Attempt, Holder, Lock, Want};

use super::Named;
use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::Ui;

/// How often it is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(50);

/// Stop a running node, and wait until it has ended
///
/// It finishes what it has begun and announces to the other nodes that it is leaving, so that none
/// waits for it. It stays a member. A node that is not running counts as stopped (0); one that is
/// still running after --timeout is reported (9).
///
/// Example: kvs node stop r/n1
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A member, by name or address, or a node directory
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let deadline = now() + common.timeout;
    let named = Named::find(common, &args.name)?;
    let name = &named.name;
    if named.is_stopped()? {
        ui.note(&format!("{name} is not running"));
        return Ok(Done::Yes);
    }
    let (mut cluster, id) = named.open(ui, common, "node-stop")?;
    let server = named.server()?;
    cluster.stop(id).map_err(|error| match error.root() {
        // Its lock is held, so it runs.
        Error::Unreachable(_) | Error::Partial(_) if server.is_some() => {
            Error::Busy(format!("{name} is running and could not be reached to stop it: {error}"))
                .hint("wait longer with --timeout, or read its log and end its process")
        }
        _ => error,
    })?;
    while !is_gone(&named, server.as_ref(), &mut cluster, id)? {
        if now() >= deadline {
            return Err(Error::Busy(format!(
                "{name} accepted the request to stop but is still running."
            ))
            .hint(format!(
                "check again: kvs node info {}; wait longer with --timeout",
                operand(name)
            ))
            .into());
        }
        thread::sleep(PAUSE);
    }
    ui.note(&format!("{name} has stopped"));
    Ok(Done::Yes)
}

/// Whether it has let go of its directory or, where that cannot be seen, answers no more.
fn is_gone(
    named: &Named,
    server: Option<&Holder>,
    cluster: &mut Cluster,
    id: NodeId,
) -> Result<bool, Error> {
    let (Some(dir), Some(server)) = (&named.dir, server) else {
        return Ok(cluster.info(id).is_err());
    };
    Ok(match Lock::attempt(dir, &Want::Shared)? {
        Attempt::Writer(Some(holder)) => holder.pid != server.pid,
        // It has given up its name and not yet its lock.
        Attempt::Writer(None) => false,
        Attempt::Held(_) | Attempt::Readers => true,
    })
}
