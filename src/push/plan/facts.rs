//! What was seen at one look at the hosts and the ring: a value that is never changed.
//!
//! ```text
//! look 1   n1 {current: 3f2a…, runs}  n2 {nothing there}   ring answers: n1 up
//! look 2   n1 {current: 3f2a…, runs}  n2 {current: 3f2a…}  ring answers: n1 up     a new value
//! ```
//!
//! [`super::Plan`] is worked out from it and from nothing else. It contacts no host itself. Caveat: facts are
//! some seconds old when they are acted on; every script of a host looks again at what matters to it.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::options::ApplyOptions;
use crate::cluster::View;
use crate::config::{self, NodeConfig, Secret, key_text};
use crate::push::inventory::{Fleet, Host};
use crate::push::remote::{Facts, Service};
use crate::ring::{ChangeStep as RingStep, Member, MemberState, RingDoc};

/// How a host stands to the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// There is no ring yet.
    NoRing,
    /// There is one, and it is not running: its members are not known.
    Silent,
    /// There is one, without a member of this name.
    Outside,
    /// A member of this name.
    Member(Member),
    /// A member of this name that is lost: a new node is to have its place.
    Lost(Member),
}

/// What one look at the hosts and the ring has found. See the module.
#[derive(Clone, Debug, Default)]
pub struct FleetFacts<'a> {
    /// What each host is like that could be looked at.
    pub hosts: BTreeMap<&'a str, Facts>,
    /// The keys of the ring, as our key file has them; empty without one.
    pub keys: Vec<Secret>,
    /// The ring's document, when the ring answers.
    pub doc: Option<RingDoc>,
    /// Its members, when it answers.
    pub views: Vec<View>,
    /// Names of the members that answer and have heard the others.
    pub up: BTreeSet<String>,
}

/// All that is known of one host.
#[derive(Clone, Copy, Debug)]
pub struct HostFacts<'f> {
    /// What it should be.
    pub host: &'f Host,
    /// What it is like.
    pub facts: &'f Facts,
    /// How it stands to the ring.
    pub membership: &'f Membership,
    /// Whether a member of its name answers and has heard the others.
    pub up: bool,
}

impl HostFacts<'_> {
    /// Whether its node's process runs.
    pub(super) fn runs(&self) -> bool {
        matches!(self.facts.service, Service::Running(_))
    }

    /// Whether its directory is there.
    pub(super) fn is_made(&self) -> bool {
        self.facts.node_yaml.is_some()
    }
}

impl<'a> FleetFacts<'a> {
    /// How a host stands to the ring.
    #[must_use]
    pub fn membership(&self, host: &Host, options: &ApplyOptions) -> Membership {
        match &self.doc {
            Some(doc) => match doc.present().find(|m| m.name == host.name) {
                Some(member) if options.replace.contains(&host.name) => {
                    Membership::Lost(member.clone())
                }
                Some(member) => Membership::Member(member.clone()),
                None => Membership::Outside,
            },
            None if self.hosts.values().any(|f| f.node_yaml.is_some()) => Membership::Silent,
            None => Membership::NoRing,
        }
    }

    /// Whether a change of the ring is under way.
    pub(super) fn is_changing(&self) -> bool {
        self.doc.as_ref().is_some_and(|doc| doc.step != RingStep::Settled)
    }

    /// Hosts whose node's process runs.
    #[must_use]
    pub fn running(&self) -> Vec<&'a str> {
        let runs = |f: &Facts| matches!(f.service, Service::Running(_));
        self.hosts.iter().filter(|(_, facts)| runs(facts)).map(|(name, _)| *name).collect()
    }

    /// Hosts of the inventory, without its spares, that were not looked at.
    #[must_use]
    pub fn unseen(&self, fleet: &'a Fleet) -> Vec<&'a str> {
        let names = fleet.hosts.iter().map(|h| h.name.as_str());
        names.filter(|name| !self.hosts.contains_key(name)).collect()
    }

    /// Members that no host of the inventory is for.
    #[must_use]
    pub fn strangers(&self, fleet: &Fleet) -> Vec<String> {
        let known = |name: &String| fleet.all().any(|h| h.name == *name);
        let members = self.doc.iter().flat_map(RingDoc::present).map(|m| m.name.clone());
        members.filter(|name| !known(name)).collect()
    }

    /// The hosts in question, in the order of the inventory: those that are asked for, without spares
    /// that are not members and are not to be.
    pub(crate) fn in_question(&self, fleet: &'a Fleet, options: &ApplyOptions) -> Vec<&'a Host> {
        let is_member = |h: &Host| match &self.doc {
            Some(doc) => doc.present().any(|m| m.name == h.name),
            None => self.hosts.get(h.name.as_str()).is_some_and(|f| f.node_yaml.is_some()),
        };
        let spares = fleet.spares.iter();
        let spares = spares.filter(|h| is_member(h) || options.join.contains(&h.name));
        fleet.hosts.iter().chain(spares).filter(|h| options.names(h)).collect()
    }

    /// Without the hosts that are not in question and whose node is not ours: these say nothing about our
    /// ring.
    pub(crate) fn without_strangers(mut self, fleet: &'a Fleet, options: &ApplyOptions) -> Self {
        let prints = prints(&self.keys);
        let is_named =
            |h: &Host| [&options.only, &options.join].iter().any(|n| n.contains(&h.name));
        let doc = self.doc.as_ref();
        let is_member = |h: &Host| doc.is_some_and(|d| d.present().any(|m| m.name == h.name));
        let hosts = fleet.hosts.iter().filter(|h| !options.names(h));
        let spares = fleet.spares.iter().filter(|h| !is_named(h) && !is_member(h));
        let membership = Membership::Silent;
        for host in hosts.chain(spares).collect::<Vec<_>>() {
            let Some(facts) = self.hosts.get(host.name.as_str()) else { continue };
            let seen = HostFacts { host, facts, membership: &membership, up: false };
            if foreign(&seen, &prints).is_some() {
                self.hosts.remove(host.name.as_str());
            }
        }
        self
    }

    /// As a look would find them once these hosts had no node's directory any more.
    pub(super) fn without_dirs(&self, names: &[&'a str]) -> Self {
        let mut facts = self.clone();
        for (_, host) in facts.hosts.iter_mut().filter(|(name, _)| names.contains(name)) {
            (host.node_yaml, host.ring_keys, host.unborn) = (None, Vec::new(), false);
            (host.service, host.service_as_wanted) = (Service::None, false);
            (host.unit, host.mark) = (None, None);
        }
        facts
    }
}

/// SHA-256 of each key's line, in hexadecimal digits: a host can repeat it of keys that it has, and a
/// key cannot be worked out from it.
pub(crate) fn prints(keys: &[Secret]) -> Vec<String> {
    let print = |key: &Secret| {
        let line = key_text(&[*key]);
        let hash = Sha256::digest(line.trim_end().as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    keys.iter().map(print).collect()
}

/// Why the directory over there is not for us.
pub(in crate::push) fn foreign(seen: &HostFacts<'_>, keys: &[String]) -> Option<String> {
    let HostFacts { host, facts, membership, up } = *seen;
    let data = &facts.data;
    if matches!(membership, Membership::Lost(_)) && up {
        return Some(format!("{} is not lost: it answers", host.name));
    }
    if facts.data_foreign {
        return Some(format!("{data} is not empty and no node's directory"));
    }
    let Some(text) = &facts.node_yaml else {
        return match membership {
            Membership::Member(member) if member.state == MemberState::Leaving => {
                Some(format!("{} is leaving the ring", host.name))
            }
            Membership::Member(_) if up => Some(format!(
                "{} runs, and {data} is not its directory: root: or data: is not as it was",
                host.name
            )),
            Membership::Member(_) if !facts.seeded => Some(format!(
                "{} is a member and {data} is gone: bring it back, or give its place to a new node: \
                 kvs push apply --replace {0}",
                host.name
            )),
            _ => None,
        };
    };
    match config::parse::<NodeConfig>(text, &format!("{data}/node.yaml")) {
        Ok(config) if config.name != host.name => {
            return Some(format!("{data} is the node {}", config.name));
        }
        Ok(_) => {}
        Err(error) => return Some(error.to_string()),
    }
    if facts.ring_keys.is_empty() {
        return Some(format!("{data}/ring.key is gone or cannot be read"));
    }
    if keys.is_empty() {
        return Some(format!("{data} is a node already, and the ring's key file is not here"));
    }
    if !facts.ring_keys.iter().any(|key| keys.contains(key)) {
        return Some(format!("{data} belongs to another ring: its key is not ours"));
    }
    None
}
