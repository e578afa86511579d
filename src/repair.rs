//! Jobs over a target that prove replicas equal or make them so: digest, diff, verify, repair.
//!
//! ```text
//! digest   sums as the files keep them             what the files were told to hold
//! verify   every record read and proven            what they really hold
//! diff     two nodes, key by key, with the causal verdict of each
//! repair   hints delivered, every node synced with every other, what filled declared full
//! sync     whether copies are equal: as their totals say, or by a pass that proves it under load
//! ```
//!
//! Each returns a report; none prints. Caveat: digest, diff and verify look at single files, never
//! through a quorum.

mod diff;
mod sync;

use std::collections::BTreeSet;

pub use self::diff::{Difference, OnDifference, Relation, Side, count, diff, shared};
pub use self::sync::{Peers, apart, sync_pass};
use crate::digest::Sum;
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::node::{RepairRequest, Reply, Request};
use crate::ring::{NodeId, Step};
use crate::store::Store;
use crate::store::verify::{Verdict, verify};
use crate::target::{Target, defect};

/// Rounds of repair at the most: each fills somebody who was short of full owners before.
const ROUNDS_MAX: usize = 8;

/// What to repair, and how far to go.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Only these partitions.
    pub partitions: Option<Vec<Partition>>,
    /// Read everything first.
    pub verify: bool,
    /// End the filling without these members.
    pub accept_missing: Vec<String>,
    /// End the filling with whoever is open: the ring was cut down to them.
    pub accept_open: bool,
    /// Keys whose unreadable copies are given up.
    pub accept_loss: Vec<Key>,
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
    /// Partition copies that were dropped because nobody needs them any more.
    pub dropped: usize,
    /// It was told to stop between two nodes.
    pub stopped: bool,
}

impl Report {
    /// Whether every owner took part and nothing is left to fill.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.stopped && self.filling.is_empty() && self.missing.is_empty() && self.hints.1 == 0
    }
}

/// Called with the member next at work, and how many of how many; `false` stops before it.
pub type OnNode<'a> = dyn FnMut(&str, usize, usize) -> bool + 'a;

/// Makes all replicas equal.
///
/// # Errors
/// [`Error::Usage`] for an unknown or open member among those accepted as missing. A node whose file
/// fails counts as missing from then on; what was repaired stays repaired.
pub fn repair(target: &mut Target, wish: &Wish, progress: &mut OnNode<'_>) -> Result<Report> {
    let mut report = Report { missing: target.missing(), ..Report::default() };
    for name in &wish.accept_missing {
        if !report.missing.contains(name) {
            target.doc().named(name)?;
            return Err(Error::Usage(format!("{name} is not missing: its directory is open.")));
        }
    }
    let accept = wish.accept_open
        || !wish.accept_missing.is_empty()
            && report.missing.iter().all(|m| wish.accept_missing.contains(m));
    if wish.verify {
        scrub(target, wish, &mut report, progress)?;
    }
    for key in &wish.accept_loss {
        give_up(target, key)?;
    }
    report.hints = deliver(target)?;
    let request = RepairRequest { partitions: wish.partitions.clone(), accept_missing: accept };
    let mut before = usize::MAX;
    for _ in 0..ROUNDS_MAX {
        report.filling.clear();
        let left = round(target, &request, &mut report, progress)?;
        if report.stopped || left == 0 || left >= before {
            break;
        }
        before = left;
    }
    if target.doc().step == Step::Settled && !report.stopped {
        report.dropped = clean_up(target)?;
    }
    // A node whose file failed on the way is missing too.
    report.missing = target.missing();
    Ok(report)
}

/// Asks a node; `None` when its file fails, or has failed before, and it was stopped: the others go
/// on without it.
fn ask(target: &mut Target, id: NodeId, request: Request) -> Result<Option<Reply>> {
    match target.ask(id, request) {
        Ok(reply) => Ok(Some(reply)),
        Err(_) if !target.nodes().contains(&id) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every node in turn syncs with all others; how many copies are left filling.
fn round(
    target: &mut Target,
    request: &RepairRequest,
    report: &mut Report,
    progress: &mut OnNode<'_>,
) -> Result<usize> {
    let nodes = target.nodes();
    let doc = target.doc();
    let mut left = 0;
    for (i, id) in nodes.iter().enumerate() {
        if report.stopped || !progress(&doc.name(*id), i + 1, nodes.len()) {
            report.stopped = true;
            break;
        }
        let asked = ask(target, *id, Request::Repair(request.clone()))?;
        let Some(Reply::Repair(done)) = asked else { continue };
        report.moved += done.pulled + done.pushed;
    }
    for id in nodes {
        let Some(Reply::Repair(now)) = ask(target, id, Request::Unsettled)? else { continue };
        if !now.filling.is_empty() {
            left += now.filling.len();
            report.filling.push((doc.name(id), now.filling.len()));
        }
    }
    Ok(left)
}

/// Delivers the hints of every open node: delivered, left.
///
/// # Errors
/// When a node cannot be asked. One whose file fails is passed over, and the target warns of it.
pub fn deliver(target: &mut Target) -> Result<(u64, u64)> {
    let mut total = (0, 0);
    for id in target.nodes() {
        if let Some(Reply::Deliver(delivered, left)) = ask(target, id, Request::Deliver)? {
            total.0 += delivered;
            total.1 += left;
        }
    }
    Ok(total)
}

/// Reads everything on every node; what is damaged is listed as bad.
fn scrub(
    target: &mut Target,
    wish: &Wish,
    report: &mut Report,
    progress: &mut OnNode<'_>,
) -> Result<()> {
    let nodes = target.nodes();
    for (i, id) in nodes.iter().enumerate() {
        if !progress(&format!("reading {}", target.doc().name(*id)), i + 1, nodes.len()) {
            report.stopped = true;
            break;
        }
        for p in target.doc().owned(*id) {
            if wish.partitions.as_ref().is_some_and(|wanted| !wanted.contains(&p)) {
                continue;
            }
            if let Some(Reply::Verify(verdict)) = ask(target, *id, Request::Verify(p))? {
                report.damaged += verdict.bad.len() as u64;
            }
        }
    }
    Ok(())
}

fn clean_up(target: &mut Target) -> Result<usize> {
    let mut dropped = 0;
    for id in target.nodes() {
        if let Some(Reply::Repair(report)) = ask(target, id, Request::Cleanup)? {
            dropped += report.dropped;
        }
    }
    Ok(dropped)
}

/// Gives up the unreadable copies of a key on every open node.
fn give_up(target: &mut Target, key: &Key) -> Result<()> {
    for id in target.nodes() {
        ask(target, id, Request::GiveUp(key.clone()))?;
    }
    Ok(())
}

/// One row of a node's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestRow {
    /// The partition; `None` for the whole node.
    pub partition: Option<Partition>,
    /// The leaf; `None` for the whole partition.
    pub leaf: Option<u8>,
    /// Its sum.
    pub sum: Sum,
}

/// A node's digest: of all it owns (depth 0), of each partition (1), of each leaf (2).
///
/// # Errors
/// When the node's file cannot be read, or is not open.
pub fn digest(
    target: &Target,
    id: NodeId,
    only: Option<Partition>,
    depth: u8,
) -> Result<Vec<DigestRow>> {
    let store = opened(target, id)?;
    let doc = target.doc();
    let owned: BTreeSet<Partition> = doc.owned(id).into_iter().collect();
    let wanted = |p: &Partition| owned.contains(p) && only.is_none_or(|o| o == *p);
    let sums: std::collections::BTreeMap<_, _> = store.sums()?.into_iter().collect();
    let of = |p: &Partition| sums.get(p).copied().unwrap_or_default();
    let partitions: Vec<Partition> = owned.iter().copied().filter(wanted).collect();
    if depth == 0 {
        let sum = partitions.iter().map(of).sum();
        return Ok(vec![DigestRow { partition: only, leaf: None, sum }]);
    }
    let mut rows = Vec::new();
    for p in partitions {
        if depth == 1 {
            rows.push(DigestRow { partition: Some(p), leaf: None, sum: of(&p) });
            continue;
        }
        let leaves = store.leaves(p)?;
        let filled = leaves.iter().enumerate().filter(|(_, sum)| **sum != Sum::default());
        rows.extend(filled.map(|(leaf, sum)| DigestRow {
            partition: Some(p),
            leaf: Some(leaf as u8),
            sum: *sum,
        }));
    }
    Ok(rows)
}

/// What reading one node's every record found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Records and bytes read.
    pub records: u64,
    /// Bytes of keys and records.
    pub bytes: u64,
    /// Damaged records: partition, key as found, why.
    pub bad: Vec<(Partition, Vec<u8>, String)>,
    /// Partitions whose leaves do not match their records.
    pub wrong: Vec<Partition>,
    /// Keys listed as bad earlier and not yet healed.
    pub listed: Vec<(Partition, Vec<u8>)>,
}

impl Findings {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad.is_empty() && self.wrong.is_empty() && self.listed.is_empty()
    }
}

/// Reads every record of a node and proves it. Of a file nothing is written; a running node reads
/// for itself and lists what is damaged.
///
/// # Errors
/// When the node's tables cannot be read, or it cannot be asked.
pub fn verify_node(
    target: &mut Target,
    id: NodeId,
    only: Option<Partition>,
    progress: &mut dyn FnMut(u32),
) -> Result<Findings> {
    let mut findings = Findings { listed: opened(target, id)?.bad()?, ..Findings::default() };
    for p in target.doc().q.all().filter(|p| only.is_none_or(|o| o == *p)) {
        let verdict = match target.runs(id) {
            false => verify(opened(target, id)?, p)?,
            true => match target.ask(id, Request::Verify(p))? {
                Reply::Verify(verdict) => verdict,
                _ => return Err(defect()),
            },
        };
        let Verdict { records, bytes, bad, .. } = note_wrong(&mut findings, p, verdict);
        findings.records += records;
        findings.bytes += bytes;
        findings.bad.extend(bad.into_iter().map(|b| (p, b.key, b.why)));
        progress(u32::from(p.0) + 1);
    }
    Ok(findings)
}

/// A wrong leaf is worth telling when no damaged record explains it.
fn note_wrong(findings: &mut Findings, p: Partition, verdict: Verdict) -> Verdict {
    if verdict.bad.is_empty() && !verdict.digest_matches() {
        findings.wrong.push(p);
    }
    verdict
}

fn opened(target: &Target, id: NodeId) -> Result<&dyn Store> {
    target.store(id).ok_or_else(|| {
        let name = target.doc().name(id);
        Error::Unreachable(format!("The node {name} is not open; nothing was read."))
    })
}
