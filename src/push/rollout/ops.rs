//! What is done with a fleet that stands: stopped, started, one release back, made smaller, taken
//! down.
//!
//! ```text
//! start      all at once, then up                 restart, rollback   in turns
//! stop       all at once                          destroy             stopped, removed
//! shrink     leave, then its directory goes (to grow: apply, with a spare that joins)
//! ```
//!
//! It does not ask whether somebody is sure; commands do.

use super::apply::Executor;
use super::host_pool::Connect;
use super::report::RolloutReport;
use super::rolling_restart::RestartBatch;
use super::session::PushSession;
use crate::error::{Error, Result};
use crate::push::inventory::Fleet;
use crate::push::plan::{HostSteps, Step, short};
use crate::push::remote::{Facts, Service};
use crate::ring::Change;

/// What is to be done with nodes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Started, where they do not run.
    Start,
    /// Stopped in good order.
    Stop,
    /// Stopped and started, in turns.
    Restart,
    /// Taken back to the release before, in turns.
    Rollback,
}

/// Does it with every host in question. What a single host fails at is in the report.
#[must_use]
pub fn operate(mut session: PushSession<'_>, verb: Verb) -> RolloutReport {
    let fault = locked(&mut session).and_then(|names| {
        session.pool.alive(|| match verb {
            Verb::Start => start(&session, &names),
            Verb::Stop => {
                stop(&session, &names);
                Ok(())
            }
            Verb::Restart => in_turns(&session, &names, |f| f.current.clone()),
            Verb::Rollback => match earlier(&session, &names)? {
                None => in_turns(&session, &names, |f| f.previous.clone()),
                Some(id) => {
                    let differ =
                        |name: &&&str| session.facts.hosts[**name].current.as_ref() != Some(&id);
                    let back: Vec<_> = names.iter().filter(differ).copied().collect();
                    in_turns(&session, &back, |_| Some(id.clone()))
                }
            },
        })
    });
    session.ended(fault.err())
}

/// Locks the hosts in question that have a node of ours, and looks at them again: somebody may have
/// been there before us.
fn locked<'a>(session: &mut PushSession<'a>) -> Result<Vec<&'a str>> {
    session.give_up_foreign();
    for host in session.plan.hosts.iter().filter(|h| !has_node(session, &h.name)) {
        if session.pool.is_at_work(&host.name) {
            let text = format!("{} has no node; nothing was done there.", host.name);
            session.pool.give_up(&host.name, Error::Denied(text).hint("bring one: kvs push apply"));
        }
    }
    let there = |name: &&str| session.host(name).is_some() && has_node(session, name);
    let names: Vec<_> = session.pool.names(session.fleet).into_iter().filter(there).collect();
    session.pool.each(&names, usize::MAX, |remote| remote.lock(&session.options.owner));
    session.look_again(&names)?;
    Ok(names)
}

fn stop(session: &PushSession<'_>, names: &[&str]) {
    let (pool, patience) = (&session.pool, session.fleet.rollout.ready_timeout);
    let all: Vec<_> = pool.names(session.fleet).into_iter().filter(|n| names.contains(n)).collect();
    pool.each(&all, usize::MAX, |remote| {
        let name = remote.host.name.as_str();
        pool.begins(name, "stopping");
        // Also where none seems to run: only the host itself knows.
        remote.stop(patience)?;
        if runs(session, name) {
            pool.did(name, "stopped");
        }
        Ok(())
    });
}

fn has_node(session: &PushSession<'_>, name: &str) -> bool {
    session.facts.hosts.get(name).is_some_and(|f| f.node_yaml.is_some())
}

fn runs(session: &PushSession<'_>, name: &str) -> bool {
    matches!(session.facts.hosts[name].service, Service::Running(_))
}

fn start(session: &PushSession<'_>, names: &[&str]) -> Result<()> {
    let (pool, patience) = (&session.pool, session.fleet.rollout.ready_timeout);
    let still: Vec<&str> = pool
        .names(session.fleet)
        .into_iter()
        .filter(|n| names.contains(n) && !runs(session, n))
        .collect();
    let started = pool.each(&still, usize::MAX, |remote| {
        let name = remote.host.name.as_str();
        pool.begins(name, "starting");
        remote.start(patience)?;
        pool.did(name, "started");
        Ok(())
    });
    let started: Vec<_> = started.into_iter().map(|(name, ())| name).collect();
    let Some(first) = started.first() else { return Ok(()) };
    session.ring_client.await_up(&[first], patience)?;
    let before = session.ring_client.sums()?;
    let executor = Executor { session };
    for name in started {
        if let Err(error) = executor.prove(name, &before) {
            pool.give_up(name, error);
        }
    }
    Ok(())
}

/// Every host takes a turn with the release that is named.
fn in_turns(
    session: &PushSession<'_>,
    names: &[&str],
    release: impl Fn(&Facts) -> Option<String>,
) -> Result<()> {
    let mut turns = Vec::new();
    for host in session.plan.hosts.iter().filter(|h| names.contains(&h.name.as_str())) {
        let before = &session.facts.hosts[host.name.as_str()];
        match release(before) {
            Some(id) if !before.releases.iter().any(|(have, _)| *have == id) => {
                let text = format!("{} has lost the release {id}; it was not touched.", host.name);
                let error = Error::Denied(text).hint("bring it anew: kvs push apply");
                session.pool.give_up(&host.name, error);
            }
            Some(release) => turns.extend(session.upgrade(host, &release).map(|upgrade| {
                let steps = vec![Step::Upgrade(Box::new(upgrade)), Step::Prove];
                HostSteps { name: &host.name, steps }
            })),
            None => {
                let text =
                    format!("{} has no release before this one; it was not touched.", host.name);
                session.pool.give_up(&host.name, Error::Denied(text));
            }
        }
    }
    let serves =
        |turn: &&HostSteps<'_>| runs(session, turn.name) || session.facts.up.contains(turn.name);
    let (up, down): (Vec<_>, Vec<_>) = turns.iter().partition(serves);
    let executor = Executor { session };
    // Those that are down may need each other to be of any use.
    if !down.is_empty() {
        executor.batch(&down, RestartBatch::Down)?;
    }
    executor.in_batches(&up)
}

/// The release that all are to go back to. Of a fleet in which a push or a rollback was cut off, the one
/// that each host has or had before: those that have it stay.
///
/// # Errors
/// [`Error::Denied`] when it could be several, or none.
fn earlier(session: &PushSession<'_>, names: &[&str]) -> Result<Option<String>> {
    let facts: Vec<_> = names.iter().map(|name| &session.facts.hosts[name]).collect();
    let mut now: Vec<_> = facts.iter().filter_map(|f| f.current.as_deref()).collect();
    now.sort_unstable();
    now.dedup();
    if now.len() < 2 || !session.options.only.is_empty() {
        return Ok(None); // each to its own
    }
    let fits = |id: &&str| {
        facts.iter().all(|f| [&f.current, &f.previous].iter().any(|r| r.as_deref() == Some(id)))
    };
    match now.iter().filter(|id| fits(id)).collect::<Vec<_>>()[..] {
        [one] => Ok(Some((*one).to_owned())),
        _ => Err(Error::Denied(format!(
            "The hosts run different releases ({}), and it is not clear which of them to go back to. \
             Nothing was changed.",
            now.iter().map(|id| short(id)).collect::<Vec<_>>().join(", ")
        ))
        .hint("name those that are to go back: --only")),
    }
}

/// Stops everything and removes it; the nodes' directories too when `data` says so. What a single
/// host fails at is in the report.
#[must_use]
pub fn destroy(mut session: PushSession<'_>, data: bool) -> RolloutReport {
    session.give_up_foreign();
    session.take_in_spares();
    let pool = &session.pool;
    let ours = |name: &&str| session.host(name).is_some();
    let names: Vec<_> = pool.names(session.fleet).into_iter().filter(ours).collect();
    pool.each(&names, usize::MAX, |remote| {
        let name = remote.host.name.as_str();
        let facts = &session.facts.hosts[name];
        let none = facts.current.is_none() && facts.node_yaml.is_none();
        if none && facts.releases.is_empty() {
            return Ok(());
        }
        remote.lock(&session.options.owner)?;
        pool.begins(name, "removing");
        remote.destroy(data)?;
        pool.did(name, if data { "removed, with its data" } else { "removed; its data stays" });
        Ok(())
    });
    session.ended(None)
}

/// The last lines of a host's log.
///
/// # Errors
/// [`Error::Usage`] for an unknown host, and what kept it from being read.
pub fn logs<'a>(
    fleet: &'a Fleet,
    host: &str,
    lines: usize,
    connect: &Connect<'a>,
) -> Result<String> {
    let host = fleet.all().find(|h| h.name == host).ok_or_else(|| {
        Error::Usage(format!("There is no host {host} in the inventory; nothing was done."))
    })?;
    let mut remote = connect(host)?;
    remote.logs(lines)
}

/// Has the one member in question hand its share over and leave; its node ends by itself, and its
/// directory goes. What it fails at is in the report.
#[must_use]
pub fn shrink(session: PushSession<'_>, member: &str) -> RolloutReport {
    let fault = session.pool.alive(|| leave(&session, member)).err();
    session.ended(fault)
}

fn leave(session: &PushSession<'_>, member: &str) -> Result<()> {
    session.give_up_foreign();
    let pool = &session.pool;
    let patience = session.fleet.rollout.ready_timeout;
    let names: Vec<_> = pool.names(session.fleet).into_iter().filter(|n| *n == member).collect();
    pool.each(&names, 1, |remote| remote.lock(&session.options.owner));
    if names.is_empty() || !pool.is_at_work(member) {
        return Ok(()); // the fault is told with the host
    }
    pool.begins(member, "leaving");
    session.ring_client.change(vec![Change::Leave(member.to_owned())])?;
    pool.did(member, "left the ring");
    pool.each(&names, 1, |remote| {
        remote.stop(patience)?;
        remote.forget()
    });
    Ok(())
}
