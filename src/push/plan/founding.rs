//! Whether a ring may be founded: the one step that, done at the wrong moment, makes a second ring.
//!
//! ```text
//! no directory anywhere, more than half of the inventory looked at, no key file yet     founded
//! a key file, or a node that is not ours, or too few hosts                              refused
//! directories that no node ever ran in, beside identities that wait for theirs         begun anew
//! ```
//!
//! Pure. Caveat: a ring on hosts that neither the inventory nor the key file hints at is not seen.

use std::collections::BTreeMap;

use super::facts::FleetFacts;
use super::judge::HostVerdict;
use crate::error::{Error, Result};
use crate::push::inventory::Fleet;

/// Hosts whose nodes were made for a ring that not all founders were made for, and that no node ever
/// ran of: nothing is in them. Empty unless all hosts were seen, so that this is sure.
pub(super) fn unborn<'a>(
    fleet: &'a Fleet,
    facts: &FleetFacts<'a>,
    verdicts: &BTreeMap<&'a str, HostVerdict>,
) -> Vec<&'a str> {
    let made: Vec<_> = facts.hosts.iter().filter(|(_, f)| f.node_yaml.is_some()).collect();
    let is_allowed =
        |name: &str| verdicts.get(name).is_some_and(|verdict| verdict.refused.is_none());
    let is_fresh = made.iter().all(|(name, facts)| facts.unborn && is_allowed(name));
    let some_lack = facts.hosts.values().any(|f| f.node_yaml.is_none() && f.seeded);
    if facts.doc.is_none() && some_lack && is_fresh && facts.unseen(fleet).is_empty() {
        made.into_iter().map(|(name, _)| *name).collect()
    } else {
        Vec::new()
    }
}

/// Whether no ring answers because there is none of ours, and not because its key is not here. `busy`
/// are the hosts that something is to be done on.
///
/// # Errors
/// [`Error::Denied`] when there may be a ring; nothing was changed.
pub(in crate::push) fn may_begin(facts: &FleetFacts<'_>, busy: &[&str]) -> Result<()> {
    let made = facts.hosts.iter().filter(|(_, f)| f.node_yaml.is_some());
    let made: Vec<_> = made.map(|(name, _)| *name).collect();
    if made.is_empty() || made.iter().any(|name| busy.contains(name)) {
        return Ok(());
    }
    let nodes = match &made[..] {
        [one] => format!("{one} has a node that is not ours"),
        several => format!("{} have nodes that are not ours", several.join(" and ")),
    };
    let text = format!("{nodes}, so there may be a ring already; no ring was made.");
    let only = busy.join(",");
    Err(Error::Denied(text).hint(format!("if it is another ring: kvs push apply --only {only}")))
}

/// Whether these founders are enough, and there can be no ring elsewhere.
///
/// # Errors
/// [`Error::Denied`] when not; nothing was changed.
pub(in crate::push) fn may_found(
    fleet: &Fleet,
    facts: &FleetFacts<'_>,
    founders: &[&str],
) -> Result<()> {
    let replicas = usize::from(fleet.replicas);
    if founders.len() < replicas {
        return Err(Error::Denied(format!(
            "A ring of {replicas} replicas needs as many hosts, and {} can be used; no ring was made.",
            founders.len()
        ))
        .hint("mend the hosts that failed, then run it again"));
    }
    let (unseen, key) = (facts.unseen(fleet), fleet.key.display());
    let seeded = facts.hosts.values().any(|f| f.seeded);
    let first_time = facts.keys.is_empty() || seeded && unseen.is_empty();
    if !first_time {
        return Err(Error::Denied(format!(
            "{key} is there, so there may be a ring, on hosts or in directories that were not looked \
             at; no second one was made."
        ))
        .hint(format!("if there never was one, move {key} away; else name its hosts and data:")));
    }
    if 2 * unseen.len() >= fleet.hosts.len() {
        return Err(Error::Denied(
            "A ring is made of more than half of the inventory's hosts at once, or there may be one \
             already on those that were not looked at; no ring was made."
                .into(),
        )
        .hint("run it once more of the hosts can be reached"));
    }
    Ok(())
}
