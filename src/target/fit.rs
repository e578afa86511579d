//! Members whose data are good, and whose nodes could not run all the same.

use super::Target;
use crate::embed::{Embed, Keys, fit_to_run};

impl Target {
    /// What keeps members whose directories are open from being run as nodes, and what to do about it:
    /// one line each. Their data can be read, and be written by who may.
    #[must_use]
    pub fn unfit(&self) -> Vec<String> {
        let (doc, mut lines) = (self.doc(), Vec::new());
        let mut met: Vec<(&str, Keys)> = Vec::new();
        let nodes = self.embed.as_ref().map(Embed::nodes).unwrap_or_default();
        for member in doc.present().filter(|member| nodes.contains(&member.id)) {
            let Some(dir) = self.embed.as_ref().and_then(|e| e.dir(member.id)) else { continue };
            let name = &member.name;
            let keys = match fit_to_run(dir, member) {
                Ok(keys) => keys,
                Err(error) => {
                    lines.push(format!("{name} cannot be run: {}", error.told()));
                    continue;
                }
            };
            // Files that are alike were compared with the others before.
            if met.iter().any(|(_, other)| other.ring == keys.ring) {
                continue;
            }
            if let Some((other, _)) = met.iter().find(|(_, other)| !is_heard(other, &keys)) {
                lines.push(format!(
                    "{other} and {name} have different ring.key files and will not hear each other: \
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
