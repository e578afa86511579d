//! Reading everything of one node: what it really holds.
//!
//! ```text
//! records, against checksum and digest     hints, against seal and sum
//! rows of ring and identity                the trees of the file under them
//! ```
//!
//! Of a file nothing is written; a running node reads for itself and lists what is damaged. What cannot
//! be read is a finding, never a shorter list. Caveat: which key a lost record had, no file can tell.

use super::check::losses;
use super::reach::opened;
use crate::cluster::{Cluster, defect};
use crate::error::{Error, Result};
use crate::key::Partition;
use crate::node::{Reply, Request};
use crate::ring::NodeId;
use crate::store::verify::{PartitionVerdict, verify};
use crate::store::{BadHints, Loss};

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
    /// Losses found, now or earlier, and not yet healed.
    pub lost: Vec<(Partition, Loss)>,
    /// Hints that are damaged or gone.
    pub hints: BadHints,
    /// What could not be read at all, a sentence each.
    pub unread: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let records = self.bad.is_empty() && self.wrong.is_empty() && self.listed.is_empty();
        records && self.lost.is_empty() && self.hints.is_empty() && self.unread.is_empty()
    }
}

/// Reads everything of a node and proves it: records, hints, the rows of its ring and its identity. Of
/// a file nothing is written; a running node reads for itself and lists what is damaged.
///
/// # Errors
/// When the node is not open, cannot be asked, or no longer answers. What cannot be read is a finding.
pub fn verify_node(
    cluster: &mut Cluster,
    id: NodeId,
    only: Option<Partition>,
    progress: &mut dyn FnMut(u32),
) -> Result<Findings> {
    let mut findings = Findings::default();
    let listed = opened(cluster, id)?.bad();
    findings.listed = findings.read(listed).unwrap_or_default();
    for p in cluster.doc().q.all().filter(|p| only.is_none_or(|o| o == *p)) {
        if cluster.runs(id) {
            let Reply::Verify(verdict) = cluster.ask(id, Request::Verify(p))? else {
                return Err(defect());
            };
            findings.note(p, verdict);
        } else {
            let verdict = verify(opened(cluster, id)?, p);
            if let Some(verdict) = findings.read(verdict) {
                findings.note(p, verdict);
            }
        }
        progress(u32::from(p.0) + 1);
    }
    let store = opened(cluster, id)?;
    // What a running node has found it keeps in mind by now; a file does what was found earlier.
    for (p, loss) in findings.read(losses(store)).unwrap_or_default() {
        if only.is_none_or(|o| o == p) && findings.lost.iter().all(|l| l.0 != p) {
            findings.lost.push((p, loss));
        }
    }
    findings.read(store.sums());
    findings.read(store.structure());
    findings.read(store.base());
    findings.hints = findings.read(store.bad_hints()).unwrap_or_default();
    if cluster.runs(id) {
        // What a node that has gone did not tell is no finding about its file.
        opened(cluster, id)?;
    }
    Ok(findings)
}

impl Findings {
    /// What was read; what could not be is noted, each thing once.
    fn read<T>(&mut self, read: Result<T>) -> Option<T> {
        let error = match read {
            Ok(read) => return Some(read),
            Err(error) => error.root().to_string(),
        };
        if !self.unread.contains(&error) {
            self.unread.push(error);
        }
        None
    }

    fn note(&mut self, p: Partition, verdict: PartitionVerdict) {
        // A wrong digest is worth telling when nothing else explains it.
        if verdict.bad.is_empty() && verdict.lost.is_none() && !verdict.digest_matches() {
            self.wrong.push(p);
        }
        self.records += verdict.records;
        self.bytes += verdict.bytes;
        self.lost.extend(verdict.lost.map(|loss| (p, loss)));
        for bad in verdict.bad {
            match bad.key.is_empty() {
                true => drop(self.read::<()>(Err(Error::Corrupt(bad.why)))),
                false => self.bad.push((p, bad.key, bad.why)),
            }
        }
    }
}
