//! One look at a fleet, written as text that needs no knowledge of the code.
//!
//! ```text
//! ring: answers                           none, does not answer, answers, answers in the middle of a change
//! key file: A                             or B, A and B, none: the ring's keys on this machine
//! options: --replace n3                   as on the command line: --only, --replace, --join
//! n1: member, runs new                    runs, stopped, nothing there, cannot be reached
//! n2: member of weight 2, stopped old, has new, wants weight 3, not proven
//! n4: spare, nothing there
//! ```
//!
//! Releases are called `new` (the one that is pushed) and `old`. A member that runs also answers, unless
//! it `does not answer`. What is not written is as it should be: key A, weight 1, the service set up.

use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::{FleetFacts, prints};
use super::super::{ApplyOptions, Plan, wanted};
use super::{host, release};
use crate::config::{self, Secret};
use crate::key::Q;
use crate::push::inventory::{Fleet, Host, Rollout, ServiceKind};
use crate::push::remote::{Facts, Init, Release, Service};
use crate::ring::{ChangeStep as RingStep, Member, MemberState, NodeId, RingDoc, RingId};

/// A fleet, what is asked for, and what is there.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) fleet: Fleet,
    pub(super) options: ApplyOptions,
    pub(super) hosts: BTreeMap<String, Facts>,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) up: BTreeSet<String>,
    pub(super) keys: Vec<Secret>,
    pub(super) ring: Ring,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    None,
    Silent,
    Answers,
    Changing,
}

const A: Secret = [0xaa; 32];
const B: Secret = [0xbb; 32];

pub(super) fn new_release() -> Release {
    Release { id: "new".into(), ..release() }
}

fn keys(text: &str) -> Vec<Secret> {
    match text {
        "none" => vec![],
        "A" => vec![A],
        "B" => vec![B],
        "A and B" => vec![A, B],
        other => panic!("no keys {other:?}"),
    }
}

impl Look {
    /// Reads the lines of one look.
    pub(super) fn parse(lines: &[&str]) -> Self {
        let mut look = Self {
            fleet: fleet(),
            options: ApplyOptions::default(),
            hosts: BTreeMap::new(),
            members: BTreeMap::new(),
            up: BTreeSet::new(),
            keys: vec![A],
            ring: Ring::None,
        };
        for line in lines {
            let (name, words) = line.split_once(": ").unwrap_or_else(|| panic!("no colon: {line}"));
            match name {
                "ring" => look.ring = ring(words),
                "key file" => look.keys = keys(words),
                "options" => look.option(words),
                _ => look.host(name, words),
            }
        }
        look
    }

    fn option(&mut self, words: &str) {
        let (flag, names) = words.split_once(' ').expect("a flag and names");
        let names: Vec<_> = names.split(',').map(str::to_owned).collect();
        match flag {
            "--only" => self.options.only = names,
            "--replace" => self.options.replace = names,
            "--join" => self.options.join = names,
            other => panic!("no option {other:?}"),
        }
    }

    fn host(&mut self, name: &str, words: &str) {
        let mut host = Host { name: name.into(), ..host() };
        host.listen.set_ip([10, 0, 0, number(name)].into());
        let mut facts = Some(bare());
        let (mut is_spare, mut answers) = (false, true);
        for word in words.split(", ") {
            match word {
                "spare" => is_spare = true,
                "does not answer" => answers = false,
                "cannot be reached" => facts = None,
                "wants weight 3" => host.weight = 3,
                "wants port 7500" => host.listen.set_port(7500),
                "member" => self.member(&host, 1),
                "member of weight 2" => self.member(&host, 2),
                word => describe(facts.as_mut().expect("facts"), &host, word),
            }
        }
        let runs = |f: &Facts| matches!(f.service, Service::Running(_));
        if answers && self.members.contains_key(name) && facts.as_ref().is_none_or(runs) {
            self.up.insert(name.into());
        }
        self.hosts.extend(facts.map(|facts| (name.to_owned(), facts)));
        if is_spare { &mut self.fleet.spares } else { &mut self.fleet.hosts }.push(host);
    }

    pub(super) fn member(&mut self, host: &Host, weight: u32) {
        let public_key = [number(&host.name); 32];
        let (id, name, zone) = (NodeId::of_key(&public_key), host.name.clone(), host.zone.clone());
        let member = Member { id, name, zone, weight, state: MemberState::Normal, public_key };
        self.members.insert(host.name.clone(), member);
    }

    /// What a look at this fleet would find.
    pub(super) fn facts(&self) -> FleetFacts<'_> {
        let hosts = self.hosts.iter().map(|(name, facts)| (name.as_str(), facts.clone()));
        let answers = matches!(self.ring, Ring::Answers | Ring::Changing);
        let doc = answers.then(|| {
            let members = self.members.values().cloned().collect();
            let q = Q::new(8).expect("a number of partitions");
            let mut doc = RingDoc::first(RingId(1), q, 1, members).expect("a ring");
            if self.ring == Ring::Changing {
                doc.step = RingStep::WriteBoth;
            }
            doc
        });
        let up = if answers { self.up.clone() } else { BTreeSet::new() };
        let facts = FleetFacts {
            hosts: hosts.collect(),
            keys: self.keys.clone(),
            doc,
            views: Vec::new(),
            up,
        };
        facts.without_strangers(&self.fleet, &self.options)
    }

    /// What is to be done there.
    pub(super) fn plan(&self) -> Plan<'_> {
        let names = self.fleet.all().map(|host| host.name.as_str());
        let releases = names.map(|name| (name, new_release())).collect();
        Plan::of(&self.fleet, &self.options, &releases, &self.facts())
    }
}

fn number(name: &str) -> u8 {
    name.trim_start_matches('n').parse().expect("n1, n2, …")
}

fn ring(words: &str) -> Ring {
    match words {
        "none" => Ring::None,
        "does not answer" => Ring::Silent,
        "answers" => Ring::Answers,
        "answers in the middle of a change" => Ring::Changing,
        other => panic!("no ring that {other:?}"),
    }
}

fn fleet() -> Fleet {
    let second = std::time::Duration::from_secs(1);
    Fleet {
        ring: "yard".into(),
        key: "yard.key".into(),
        replicas: 3,
        partitions: 8,
        hosts: Vec::new(),
        spares: Vec::new(),
        rollout: Rollout {
            batch: 1,
            pause: second,
            ready_timeout: second,
            sync_timeout: second,
            uploads: 1,
        },
        scale: None,
    }
}

/// A host with nothing on it.
fn bare() -> Facts {
    Facts { init: Init::Other, ..super::bare() }
}

/// The directory of a host's node is there.
pub(super) fn made(facts: &mut Facts, host: &Host) {
    facts.node_yaml = Some(config::text(&wanted(host)).expect("a text"));
    facts.ring_keys = prints(&[A]);
}

/// What one phrase says of a host.
fn describe(facts: &mut Facts, host: &Host, word: &str) {
    let (first, rest) = word.split_once(' ').unwrap_or((word, ""));
    match (first, rest) {
        ("nothing", "there") => {}
        ("runs" | "stopped", release) => {
            made(facts, host);
            facts.current = Some(release.into());
            facts.releases.push((release.into(), format!("kvs of {release}")));
            facts.service_as_wanted = true;
            facts.service = if first == "runs" { Service::Running(7) } else { Service::Stopped };
        }
        ("has", release) => facts.releases.push((release.into(), String::new())),
        ("release", "file gone") => facts.releases.clear(),
        ("only", "a directory") => made(facts, host),
        ("directory", "gone") => (facts.node_yaml, facts.ring_keys) = (None, Vec::new()),
        ("not", "proven") => facts.proving = true,
        ("identity", "waits") => facts.seeded = true,
        ("never", "started") => facts.unborn = true,
        ("service", "removed") => {
            (facts.service, facts.service_as_wanted) = (Service::None, false);
        }
        ("listens", "at port 7400") => {
            let text = facts.node_yaml.take().expect("a directory");
            facts.node_yaml = Some(text.replace("7500", "7400"));
        }
        ("ring", "key A") => facts.ring_keys = prints(&[A]),
        ("ring", "key B") => facts.ring_keys = prints(&[B]),
        ("ring", "keys A and B") => facts.ring_keys = prints(&[A, B]),
        ("system", os) => facts.os = os.into(),
        ("machine", machine) => facts.machine = machine.into(),
        ("clock", "2 minutes ahead") => facts.skew_ms = 120_000,
        ("disk", "full") => facts.root_free = 0,
        ("systemd", "as root") => {
            (facts.init, facts.is_root) = (Init::Systemd, true);
            facts.kind = Some(ServiceKind::Systemd);
        }
        _ => panic!("no such fact: {word:?}"),
    }
}
