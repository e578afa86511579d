//! `kvs status`: how the nodes of a ring are, as they say and as the others see them.

mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use clap::Args as ClapArgs;
use kvs::cluster::{Access, Cluster, GIVE_UP, View};
use kvs::error::{Error, operand};
use kvs::repair::{apart_still, bad_hints, doubts, unsound};
use kvs::ring::{ChangeStep, NodeId};
use serde_json::json;

pub(crate) use self::seen::Seen;
use crate::common::{Common, is_odd};
use crate::exit::{Done, Outcome};
use crate::ui::{Ui, counted};

/// Show the state of each node
///
/// One row per member: whether it is up, how many partitions it owns and is still filling, keys,
/// bytes, waiting hints, damaged records, its address, and whether it is draining, out of space or
/// still waiting to hear from the others. `up?` means that the nodes disagree. Nothing is written.
/// --check is for cron: it exits 1 when anything needs attention, including owners that differ. In
/// the directories of stopped nodes it also reads all keys, to find lost records, and checks that
/// the nodes could run: node.key, ring.key, and write permission for this user. Only kvs verify
/// reads values.
///
/// Example: kvs --ring r status --check >/dev/null || mail -s 'kvs needs help' root
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Exit 1 when anything needs attention: a node down, filling, full or draining, hints, damaged
    /// records
    #[arg(long)]
    check: bool,
}

const HEADER: [&str; 13] = [
    "name", "zone", "state", "up", "owns", "filling", "keys", "bytes", "hints", "bad", "version",
    "address", "notes",
];

/// Wall clocks further apart than this, in ms, are a trouble: expiry is by the clock.
const CLOCKS_APART_MAX_MS: u64 = 60_000;

/// Owners that differ are looked at again after so long: a write may be under way.
const PAUSE: Duration = Duration::from_millis(400);

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open(ui, Access::Read, "status")?;
    let mut views = cluster.views()?;
    let seen = Seen::by_nodes(&mut cluster);
    ui.warn_all(cluster.warnings());
    let doc = cluster.doc();
    let read = if args.check { read(&cluster)? } else { Vec::new() };
    forget_gone(&mut views, &cluster.nodes());
    let unheard = is_unheard(&views);
    let keeps = |view: &View| view.status.as_ref().is_some_and(|s| s.hints > 0);
    let wanted = args.check || views.iter().any(keeps);
    let (bad, unread) = match if wanted { bad_hints(&cluster) } else { Ok(Vec::new()) } {
        Ok(bad) => (bad.into_iter().collect(), None),
        Err(error) => (BTreeMap::new(), Some(error.to_string())),
    };
    let one = |view: &View| match view.status {
        None if unheard => Some(format!(
            "{} was not heard from: start it, or, if it runs at a new address, see \
             kvs-concepts(7), RUNNING \
             NODES",
            view.member.name
        )),
        None if doc.step == ChangeStep::Settled && is_odd(&cluster, &view.member.name) => {
            Some(format!("{} is down: fix its directory as the warning says", view.member.name))
        }
        None if doc.step == ChangeStep::Settled
            && let Some(back) = cluster.way_back(&view.member.name) =>
        {
            let name = &view.member.name;
            Some(format!(
                "{name} is down: an interrupted replace moved its directory aside; put it back: \
                 {back}"
            ))
        }
        _ => {
            let rotten = bad.get(&view.member.id).map_or(0, |hints| hints.bad.len() as u64);
            trouble(view, (doc.version, doc.step), &seen, rotten)
        }
    };
    let mut troubles: Vec<String> = views.iter().filter_map(one).collect();
    troubles.extend(unread);
    troubles.extend(bad.iter().map(|(id, hints)| {
        let (name, hints) = (doc.name(*id), counted(hints.count(), "hint"));
        format!("{name}: {hints} damaged or gone: kvs repair --verify")
    }));
    troubles.extend(read);
    troubles.extend(cluster.unfit());
    troubles.extend(clocks(&views));
    if doc.step != ChangeStep::Settled {
        troubles
            .push(format!("a ring change is at step {}; continue it: kvs ring apply", doc.step));
    }
    if ui.is_json() {
        let nodes: Vec<_> = views.iter().map(|v| object(v, &seen)).collect();
        ui.json(&json!({
            "schema": "kvs.status/1", "ring": doc.id.to_string(),
            "version": doc.version.to_string(), "step": doc.step.to_string(),
            "healthy": troubles.is_empty(), "running": cluster.is_live(), "nodes": nodes,
        }))?;
    } else {
        let rows: Vec<_> = views.iter().map(|v| row(v, &seen)).collect();
        ui.rows(&HEADER, &rows)?;
    }
    troubles.iter().for_each(|trouble| ui.note(trouble));
    Ok(if args.check && !troubles.is_empty() { Done::No } else { Done::Yes })
}

/// What reading the keys of files finds, and owners that differ: how many partitions of whom.
fn read(cluster: &Cluster) -> Result<Vec<String>, Error> {
    let (doc, mut troubles) = (cluster.doc(), Vec::new());
    for id in cluster.nodes() {
        let name = doc.name(id);
        troubles.extend(unsound(cluster, id).map(|error| format!("{name}: {error}")));
        if cluster.runs(id) {
            continue;
        }
        let doubted: BTreeSet<_> =
            doubts(cluster, id, None)?.into_iter().map(|doubt| doubt.partition).collect();
        if !doubted.is_empty() {
            let partitions = counted(doubted.len(), "damaged partition");
            troubles.push(format!("{name}: {partitions}: kvs repair --verify"));
        }
    }
    let mut pause = || {
        if cluster.is_live() {
            thread::sleep(PAUSE);
        }
    };
    for (a, b, n) in apart_still(cluster, &mut pause)? {
        let (a, b) = (doc.name(a), doc.name(b));
        let partitions = counted(n, "partition");
        troubles.push(format!("{a} and {b} differ in {partitions}: kvs repair"));
    }
    Ok(troubles)
}

/// Who no longer answers is as one that did not at first.
fn forget_gone(views: &mut [View], open: &[NodeId]) {
    for view in views.iter_mut().filter(|view| !open.contains(&view.member.id)) {
        (view.status, view.info) = (None, None);
    }
}

/// Whether those that answer have heard of nobody since they started: then nothing says that the
/// others are down.
fn is_unheard(views: &[View]) -> bool {
    let mut told = views.iter().filter_map(|v| v.info.as_ref()).peekable();
    told.peek().is_some() && told.all(|info| info.waiting)
}

fn row(view: &View, seen: &Seen) -> Vec<String> {
    let member = &view.member;
    let mut row = vec![member.name.clone(), member.zone.clone(), member.state.to_string()];
    row.push(seen.word(view).into());
    if let Some(s) = &view.status {
        let counts = [s.owns as u64, s.filling as u64, s.keys, view.bytes, s.hints, s.bad as u64];
        row.extend(counts.iter().map(u64::to_string));
        row.push(s.version.to_string());
    } else {
        row.extend(std::iter::repeat_n("-".to_owned(), 7));
    }
    row.push(view.address.clone().unwrap_or_else(|| "-".into()));
    let notes = notes(view).join(", ");
    row.push(if notes.is_empty() { "-".into() } else { notes });
    row
}

/// What a running node is besides up.
fn notes(view: &View) -> Vec<&'static str> {
    let Some(info) = view.info.as_ref() else { return Vec::new() };
    let notes = [(info.draining, "draining"), (info.full, "no space"), (info.waiting, "waiting")];
    notes.into_iter().filter(|(is, _)| *is).map(|(_, note)| note).collect()
}

fn object(view: &View, seen: &Seen) -> serde_json::Value {
    let member = &view.member;
    let s = view.status.as_ref();
    let (up_for, down_for) = seen.of(member.id);
    json!({
        "name": member.name, "address": view.address, "zone": member.zone,
        "state": member.state.to_string(), "up": s.is_some(),
        "up_for": up_for, "down_for": down_for, "notes": notes(view),
        "dir": view.dir.as_ref().map(|d| d.display().to_string()),
        "owns": s.map(|s| s.owns), "filling": s.map(|s| s.filling),
        "keys": s.map(|s| s.keys.to_string()), "bytes": s.map(|_| view.bytes.to_string()),
        "hints": s.map(|s| s.hints.to_string()), "bad": s.map(|s| s.bad),
        "version": s.map(|s| s.version.to_string()), "lost": s.map(|_| view.lost),
    })
}

/// What needs attention at a node, and what to do about it.
fn trouble(
    view: &View,
    (version, step): (u64, ChangeStep),
    seen: &Seen,
    bad_hints: u64,
) -> Option<String> {
    let name = &view.member.name;
    let mut parts: Vec<String> = seen.disagreement(view).into_iter().collect();
    match &view.status {
        None if parts.is_empty() => {
            // Nobody is replaced while a change is under way.
            parts.push(match step {
                ChangeStep::Settled => {
                    format!("is down: bring it back, or kvs replace {}", operand(name))
                }
                _ => format!("is down, and the change waits for it: bring it back; {GIVE_UP}"),
            });
            return Some(format!("{name} {}", parts.join("; ")));
        }
        None => {}
        Some(s) => {
            if s.filling > 0 {
                let (filling, owns) = (s.filling, s.owns);
                parts.push(format!("filling {filling} of {owns} partitions: kvs repair"));
            }
            if s.bad > 0 {
                parts.push(format!("{}: kvs repair", counted(s.bad, "damaged record")));
            }
            if view.lost > 0 {
                let lost = counted(view.lost, "partition");
                parts.push(format!("lost records in {lost}: kvs repair"));
            }
            let waiting = s.hints.saturating_sub(bad_hints);
            if waiting > 0 {
                let hints = counted(waiting, "hint");
                // Running nodes deliver by themselves.
                parts.push(match view.info {
                    Some(_) => format!("{hints} waiting for members that do not accept them"),
                    None => format!("{hints} waiting: kvs repair, when all members are up"),
                });
            }
            if s.version != version {
                parts.push(format!("it has version {} of the ring: kvs ring apply", s.version));
            }
        }
    }
    if let Some(info) = view.info.as_ref() {
        if info.full {
            parts.push(
                "it refused a write, out of space: free space on its disk, or raise quota_bytes"
                    .into(),
            );
        }
        if info.draining {
            parts.push(format!("it is draining: kvs node drain --undo {}", operand(name)));
        }
        if info.waiting {
            parts.push("it is waiting to hear from the other nodes".into());
        }
    }
    (!parts.is_empty()).then(|| format!("{name}: {}", parts.join("; ")))
}

/// Wall clocks that are too far apart.
fn clocks(views: &[View]) -> Option<String> {
    let told = |v: &View| Some((v.info.as_ref()?.wall_ms, v.member.name.clone()));
    let told: Vec<_> = views.iter().filter_map(told).collect();
    let ((first, slow), (last, fast)) = (told.iter().min()?, told.iter().max()?);
    let apart = last - first;
    (apart > CLOCKS_APART_MAX_MS).then(|| {
        format!("the wall clock of {fast} is {} s ahead of {slow}'s: set it", apart / 1_000)
    })
}

#[cfg(test)]
mod tests {
    use kvs::channel::Info;

    use super::seen::tests::view;
    use super::*;

    fn running(name: &str, info: Info) -> View {
        View { info: Some(info), ..view(name, true) }
    }

    #[test]
    fn clocks_may_be_a_minute_apart_and_no_more() {
        let at = |name, wall_ms| running(name, Info { wall_ms, ..Info::default() });
        assert_eq!(clocks(&[at("n1", 1_000), at("n2", 61_000), view("n3", false)]), None);
        let told = clocks(&[at("n1", 1_000), at("n2", 500), at("n3", 61_000)]);
        assert_eq!(told.as_deref(), Some("the wall clock of n3 is 60 s ahead of n2's: set it"));
        assert_eq!(clocks(&[view("n1", true)]), None);
    }

    #[test]
    fn a_node_that_is_up_may_be_a_trouble_all_the_same() {
        let seen = Seen::default();
        assert_eq!(trouble(&view("n1", true), (0, ChangeStep::Settled), &seen, 0), None);
        let full = running("n1", Info { full: true, draining: true, ..Info::default() });
        let told = trouble(&full, (0, ChangeStep::Settled), &seen, 0).expect("a trouble");
        assert!(told.starts_with("n1: it refused a write, out of space"), "{told}");
        assert!(told.ends_with("it is draining: kvs node drain --undo n1"), "{told}");
        assert_eq!(notes(&full), ["draining", "no space"]);
        let behind =
            trouble(&view("n1", true), (3, ChangeStep::Settled), &seen, 0).expect("a trouble");
        assert_eq!(behind, "n1: it has version 0 of the ring: kvs ring apply");
        let held =
            trouble(&view("n1", false), (0, ChangeStep::WriteBoth), &seen, 0).expect("a trouble");
        assert!(held.contains("kvs ring recover") && !held.contains("kvs replace"), "{held}");
        let down =
            trouble(&view("n1", false), (0, ChangeStep::Settled), &seen, 0).expect("a trouble");
        assert!(down.starts_with("n1 is down"), "{down}");
    }
}
