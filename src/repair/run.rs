//! A repair: hints delivered, every node synced with every other, all owners compared at the end.
//!
//! ```text
//! [read everything] -> hints -> rounds of syncs, until nothing fills -> [give up what is lost]
//!                   -> copies that nobody needs dropped -> owners compared, and synced again
//! ```
//!
//! What is left is in the [`Report`]; it is complete when nothing is. Caveat: it stops only between
//! two nodes.

use super::check::{self, bad_hints, losses};
use super::reach::ask;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::node::{RepairRequest, Reply, Request};
use crate::ring::{ChangeStep, NodeId};
use crate::store::{BadHint, Loss};

/// Rounds of repair at the most: each fills somebody who was short of full owners before.
const ROUNDS_MAX: usize = 8;
/// How often owners that differ are compared and synced again, at the most, before they are told of.
const LOOKS_MAX: usize = 4;

/// Partitions that are read once more, at the most, to tell a damaged file from a few lost records.
const TRIED_MAX: usize = 16;

/// What to repair, and how far to go.
#[derive(Clone, Debug, Default)]
pub struct RepairOptions {
    /// Only these partitions.
    pub partitions: Option<Vec<Partition>>,
    /// Read everything first.
    pub verify: bool,
    /// End the filling without these members.
    pub accept_missing: Vec<String>,
    /// End the filling with whoever is open: the ring was cut down to them.
    pub accept_open: bool,
    /// Keys whose unreadable copies and hints are given up.
    pub accept_loss: Vec<Key>,
    /// Give up everything that is lost or damaged and that no owner could heal.
    pub accept_losses: bool,
}

/// What a repair did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Hints delivered, and left.
    pub hints: (u64, u64),
    /// Records moved between nodes.
    pub moved: u64,
    /// Damaged records found by reading.
    pub damaged: u64,
    /// Copies of partitions that are still filling or hold a bad key, by member.
    pub filling: Vec<(String, usize)>,
    /// Members that could not take part.
    pub missing: Vec<String>,
    /// Members whose files are damaged as a whole.
    pub broken: Vec<String>,
    /// Losses that nobody could heal, by member.
    pub lost: Vec<(String, Partition, Loss)>,
    /// Damaged records that nobody could heal, by member.
    pub bad: Vec<(String, usize)>,
    /// Hints that are damaged or gone, by member.
    pub bad_hints: Vec<(String, u64)>,
    /// Owners that differ, and in how many partitions.
    pub apart: Vec<(String, String, usize)>,
    /// Copies that may have lost something, and have no other owner who could say, by member.
    pub alone: Vec<(String, usize)>,
    /// Partition copies that were dropped because nobody needs them any more.
    pub dropped: usize,
    /// A change of the ring is under way: not every owner to be is one yet.
    pub changing: bool,
    /// It was told to stop between two nodes.
    pub stopped: bool,
}

impl Report {
    /// Whether every owner took part, all are equal, and nothing is left to fill, deliver or heal.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let left = self.filling.is_empty() && self.missing.is_empty() && self.hints.1 == 0;
        let whole = self.broken.is_empty() && self.apart.is_empty();
        !self.stopped && !self.changing && left && whole && !self.is_lossy()
    }

    /// Whether data is known to be lost or damaged, here and in every copy that was asked.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        let lost = !self.lost.is_empty() || !self.alone.is_empty();
        lost || !self.bad.is_empty() || !self.bad_hints.is_empty()
    }
}

/// Called with the member next at work, and how many of how many; `false` stops before it.
pub type OnNode<'a> = dyn FnMut(&str, usize, usize) -> bool + 'a;

/// Makes all replicas equal.
///
/// # Errors
/// [`Error::Usage`] for an unknown or open member among those accepted as missing. A node whose file
/// fails counts as missing from then on; what was repaired stays repaired.
pub fn repair(
    cluster: &mut Cluster,
    options: &RepairOptions,
    progress: &mut OnNode<'_>,
) -> Result<Report> {
    let mut report = Report { missing: cluster.missing(), ..Report::default() };
    for name in &options.accept_missing {
        if !report.missing.contains(name) {
            cluster.doc().named(name)?;
            return Err(Error::Usage(format!("{name} is not missing: its directory is open.")));
        }
    }
    let accept = options.accept_open
        || !options.accept_missing.is_empty()
            && report.missing.iter().all(|m| options.accept_missing.contains(m));
    let mut suspects = Vec::new();
    if options.verify {
        scrub(cluster, options, &mut report, &mut suspects, progress)?;
    }
    for key in &options.accept_loss {
        give_up(cluster, key)?;
    }
    report.hints = deliver(cluster)?;
    let request = RepairRequest { partitions: options.partitions.clone(), accept_missing: accept };
    rounds(cluster, &request, &mut report, progress)?;
    if options.verify && !report.stopped {
        forget_held_hints(cluster)?;
    }
    if options.accept_losses && !report.stopped {
        accept_losses(cluster, options)?;
        rounds(cluster, &request, &mut report, progress)?;
    }
    if cluster.doc().step == ChangeStep::Settled && !report.stopped {
        report.dropped = clean_up(cluster)?;
    }
    conclude(cluster, &request, &mut report, progress)?;
    report.broken.extend(unreadable(cluster, &suspects)?);
    if report.damaged > 0 || report.moved > 0 {
        // A file that was mended or written to is read once more.
        for id in cluster.nodes() {
            let name = cluster.doc().name(id);
            if !report.broken.contains(&name) && !check::is_sound(cluster, id)? {
                report.broken.push(name);
            }
        }
    }
    // Who was lost on the way is missing too, up to the last question.
    report.missing = cluster.missing();
    let mut failed = cluster.broken();
    failed.retain(|name| report.missing.contains(name) && !report.broken.contains(name));
    report.broken.extend(failed);
    Ok(report)
}

/// Rounds until nothing is left to fill, or one more would not help.
fn rounds(
    cluster: &mut Cluster,
    request: &RepairRequest,
    report: &mut Report,
    progress: &mut OnNode<'_>,
) -> Result<()> {
    let mut before = usize::MAX;
    for _ in 0..ROUNDS_MAX {
        let left = round(cluster, request, report, progress)?;
        if report.stopped || left == 0 || left >= before {
            break;
        }
        before = left;
    }
    Ok(())
}

/// Compares all owners, syncs those that differ once more, and says what is left.
fn conclude(
    cluster: &mut Cluster,
    request: &RepairRequest,
    report: &mut Report,
    progress: &mut OnNode<'_>,
) -> Result<()> {
    let only = request.partitions.as_deref();
    let mut apart = check::differing(cluster, only)?;
    for _ in 0..LOOKS_MAX {
        if apart.is_empty() || report.stopped {
            break;
        }
        let partitions = Some(check::partitions(&apart));
        round(cluster, &RepairRequest { partitions, ..request.clone() }, report, progress)?;
        let now = check::differing(cluster, only)?;
        let stuck = check::unmoved(&apart, &now);
        // What moved meanwhile is being written to: equal there is a matter of the moment.
        let moves = stuck.len() < now.len();
        apart = now;
        if !moves {
            break;
        }
    }
    let doc = cluster.doc();
    let pairs = check::pairs(&cluster.doc(), &apart).into_iter();
    report.apart = pairs.map(|(a, b, n)| (doc.name(a), doc.name(b), n)).collect();
    for (id, read) in cluster.gather(|store| Ok((losses(store)?, store.bad()?))) {
        let ((lost, bad), name) = (read?, doc.name(id));
        let lost = lost.into_iter().filter(|l| only.is_none_or(|o| o.contains(&l.0)));
        report.lost.extend(lost.map(|(p, loss)| (name.clone(), p, loss)));
        let bad = bad.iter().filter(|b| only.is_none_or(|o| o.contains(&b.0))).count();
        report.bad.extend((bad > 0).then_some((name, bad)));
    }
    let hints = bad_hints(cluster)?;
    report.bad_hints = hints.iter().map(|(id, bad)| (doc.name(*id), bad.count())).collect();
    // Hints that are damaged, or were forgotten since, are no hints that wait; what is gone was not
    // counted.
    let damaged: u64 = hints.iter().map(|(_, bad)| bad.bad.len() as u64).sum();
    let counted = cluster.gather(|store| store.hint_stats()).into_iter();
    let now: u64 = counted.filter_map(|(_, stats)| Some(stats.ok()?.count)).sum();
    report.hints.1 = report.hints.1.min(now.saturating_sub(damaged));
    filling(cluster, report)?;
    report.changing = doc.step != ChangeStep::Settled;
    Ok(())
}

/// Partitions of a node that are filling, have lost records, or hold a bad key.
///
/// # Errors
/// When the node cannot be asked.
pub fn unsettled(cluster: &mut Cluster, id: NodeId) -> Result<Vec<Partition>> {
    match ask(cluster, id, Request::Unsettled)? {
        Some(Reply::Repair(report)) => Ok(report.filling),
        _ => Ok(Vec::new()),
    }
}

/// Open nodes with partitions that cannot be read and could not be mended: their files are damaged.
fn unreadable(cluster: &mut Cluster, suspects: &[NodeId]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for id in cluster.nodes() {
        if check::unsound(cluster, id).is_some_and(|error| check::is_damage(&error)) {
            names.push(cluster.doc().name(id));
            continue;
        }
        let Some(Reply::Repair(now)) = ask(cluster, id, Request::Unsettled)? else { continue };
        let whole = suspects.contains(&id).then_some(Partition(0));
        for p in whole.into_iter().chain(now.filling.into_iter().take(TRIED_MAX)) {
            let Some(Reply::Verify(found)) = ask(cluster, id, Request::Verify(p))? else { break };
            if found.bad.iter().any(|bad| bad.key.is_empty()) {
                names.push(cluster.doc().name(id));
                break;
            }
        }
    }
    Ok(names)
}

/// Forgets damaged hints that nobody needs: references, and those whose very record every owner holds.
fn forget_held_hints(cluster: &mut Cluster) -> Result<()> {
    for (id, hints) in bad_hints(cluster)? {
        for hint in &hints.bad {
            if let Some(key) = hint.key().filter(|_| is_held(cluster, hint)) {
                ask(cluster, id, Request::DropBadHints(key))?;
            }
        }
    }
    Ok(())
}

fn is_held(cluster: &Cluster, hint: &BadHint) -> bool {
    let (doc, Some(key)) = (cluster.doc(), hint.key()) else { return false };
    let p = doc.q.partition(&key);
    if hint.partition() != Some(p) {
        return false;
    }
    let holds = |owner: &NodeId| match (cluster.store(*owner), hint.term) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(store), Some(term)) => {
            store.get(p, &key).is_ok_and(|held| held.is_some_and(|held| held.hash() == term))
        }
    };
    doc.writers(p).iter().all(holds)
}

/// Every open node gives up what it has lost.
fn accept_losses(cluster: &mut Cluster, options: &RepairOptions) -> Result<()> {
    for id in cluster.nodes() {
        match &options.partitions {
            None => drop(ask(cluster, id, Request::AcceptLoss(None))?),
            Some(partitions) => {
                for p in partitions {
                    ask(cluster, id, Request::AcceptLoss(Some(*p)))?;
                }
            }
        }
    }
    Ok(())
}

/// Every node in turn syncs with all others; how many copies are left filling.
fn round(
    cluster: &mut Cluster,
    request: &RepairRequest,
    report: &mut Report,
    progress: &mut OnNode<'_>,
) -> Result<usize> {
    let nodes = cluster.nodes();
    let doc = cluster.doc();
    for (i, id) in nodes.iter().enumerate() {
        if report.stopped || !progress(&doc.name(*id), i + 1, nodes.len()) {
            report.stopped = true;
            break;
        }
        let asked = ask(cluster, *id, Request::Repair(request.clone()))?;
        let Some(Reply::Repair(done)) = asked else { continue };
        report.moved += done.pulled + done.pushed;
    }
    filling(cluster, report)?;
    Ok(report.filling.iter().map(|(_, n)| n).sum())
}

/// How many copies are filling, have lost records or hold a bad key, by member; and how many of them
/// have no other owner.
fn filling(cluster: &mut Cluster, report: &mut Report) -> Result<()> {
    (report.filling, report.alone) = (Vec::new(), Vec::new());
    let doc = cluster.doc();
    for id in cluster.nodes() {
        let Some(Reply::Repair(now)) = ask(cluster, id, Request::Unsettled)? else { continue };
        let alone = now.filling.iter().filter(|p| doc.writers(**p).len() == 1).count();
        let counts = [(&mut report.filling, now.filling.len()), (&mut report.alone, alone)];
        for (list, n) in counts.into_iter().filter(|(_, n)| *n > 0) {
            list.push((doc.name(id), n));
        }
    }
    Ok(())
}

/// Delivers the hints of every open node: delivered, left.
///
/// # Errors
/// When a node cannot be asked. One whose file fails is passed over, and the cluster warns of it.
pub fn deliver(cluster: &mut Cluster) -> Result<(u64, u64)> {
    let mut total = (0, 0);
    for id in cluster.nodes() {
        if let Some(Reply::Deliver(delivered, left)) = ask(cluster, id, Request::Deliver)? {
            total.0 += delivered;
            total.1 += left;
        }
    }
    Ok(total)
}

/// Reads everything on every node; what is damaged is listed as bad.
fn scrub(
    cluster: &mut Cluster,
    options: &RepairOptions,
    report: &mut Report,
    suspects: &mut Vec<NodeId>,
    progress: &mut OnNode<'_>,
) -> Result<()> {
    let nodes = cluster.nodes();
    for (i, id) in nodes.iter().enumerate() {
        if !progress(&format!("reading {}", cluster.doc().name(*id)), i + 1, nodes.len()) {
            report.stopped = true;
            break;
        }
        // Partition 0 stands for the whole file too.
        let mut partitions = cluster.doc().owned(*id);
        if !partitions.contains(&Partition(0)) {
            partitions.push(Partition(0));
        }
        for p in partitions {
            if options.partitions.as_ref().is_some_and(|wanted| !wanted.contains(&p)) {
                continue;
            }
            if let Some(Reply::Verify(verdict)) = ask(cluster, *id, Request::Verify(p))? {
                let unexplained = verdict.bad.is_empty() && !verdict.digest_matches();
                report.damaged += verdict.bad.len() as u64 + u64::from(unexplained);
                if verdict.bad.iter().any(|bad| bad.key.is_empty()) {
                    suspects.push(*id);
                }
            }
        }
    }
    Ok(())
}

fn clean_up(cluster: &mut Cluster) -> Result<usize> {
    let mut dropped = 0;
    for id in cluster.nodes() {
        if let Some(Reply::Repair(report)) = ask(cluster, id, Request::Cleanup)? {
            dropped += report.dropped;
        }
    }
    Ok(dropped)
}

/// Gives up the unreadable copies of a key on every open node.
fn give_up(cluster: &mut Cluster, key: &Key) -> Result<()> {
    for id in cluster.nodes() {
        ask(cluster, id, Request::GiveUp(key.clone()))?;
    }
    Ok(())
}
