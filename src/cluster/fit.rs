//! Members whose data are good, and whose nodes could not run all the same.

use super::handle::Cluster;
use crate::node_dir::{Keys, fit_to_run, fit_to_run_again, is_full};

impl Cluster {
    /// What keeps members whose directories are here from being run as nodes, or those that run from
    /// being run again, and what to do about it: one line each. Their data can be read, and be written
    /// by who may.
    #[must_use]
    pub fn unfit(&self) -> Vec<String> {
        let (doc, mut lines) = (self.doc(), Vec::new());
        let mut met: Vec<(&str, Keys)> = Vec::new();
        let nodes = self.nodes();
        for member in doc.present() {
            let (name, up) = (&member.name, nodes.contains(&member.id));
            let Some(dir) = self.dir(member.id) else { continue };
            // Of a directory that did not open it was said why; a node may not answer for want of a key.
            let (what, fit) = match (self.runs(member.id), up) {
                (true, up) => ("run again", fit_to_run_again(dir, member, up)),
                (false, true) => ("run", fit_to_run(dir, member).map(Some)),
                (false, false) => continue,
            };
            // A running node says so itself.
            if !self.runs(member.id) && is_full(dir) {
                lines.push(format!(
                    "{name} accepts no writes: the disk of {} is full; free some space",
                    dir.display()
                ));
            }
            let keys = match fit {
                Ok(Some(keys)) => keys,
                Ok(None) => continue,
                Err(error) => {
                    lines.push(format!("{name} cannot be {what}: {}", error.told()));
                    continue;
                }
            };
            // Files that are alike were compared with the others before.
            if met.iter().any(|(_, other)| other.ring == keys.ring) {
                continue;
            }
            if let Some((other, _)) = met.iter().find(|(_, other)| !is_heard(other, &keys)) {
                lines.push(format!(
                    "{other} and {name} have different ring.key files and cannot talk to each \
                     other: \
                     all nodes of a ring have the same"
                ));
            }
            met.push((name, keys));
        }
        lines
    }
}

/// Whether each of two nodes accepts the key that the other dials with.
fn is_heard(a: &Keys, b: &Keys) -> bool {
    let accepts = |by: &Keys, from: &Keys| from.ring.first().is_some_and(|k| by.ring.contains(k));
    accepts(a, b) && accepts(b, a)
}
