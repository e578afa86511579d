//! What a script says of the ring and of the values in it.
//!
//! ```text
//! owners n1 n2 n3                the ring, N = 3; the first coordinates
//! step 1: new owners n2 n3 n4    a change is under way: write both, read the old ones (2: the new)
//! zones n1=a n2=a n3=b
//! v2 replaces v1                 otherwise two values are of writers that did not know each other
//! gone deletes v2
//! v1 has expired
//! ```

use std::collections::BTreeMap;

use crate::clock::{Actor, Dot};
use crate::key::{Key, Q};
use crate::quorum::{Answer, Item, Options};
use crate::record::{Record, Stored, Value, Write};
use crate::ring::{ChangeStep, Layout, Member, MemberState, NodeId, RingDoc, RingId};

/// The wall clock of every script, in ms since 1970.
pub(super) const WALL_MS: u64 = 1_000;
/// The partitions of the ring; all have the same owners.
const PARTITIONS: u32 = 8;

#[derive(Default)]
pub(super) struct World {
    /// Nodes in the order in which they were named.
    names: Vec<String>,
    owners: Vec<NodeId>,
    change: Option<(ChangeStep, Vec<NodeId>)>,
    zones: BTreeMap<NodeId, String>,
    /// Each under a dot of its own, in the order in which they were named.
    values: Vec<(String, Record)>,
}

impl World {
    /// Takes a line that says how things are; whether it was one.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        match words {
            ["owners", names @ ..] => self.owners = self.nodes(names),
            ["step", number, "new", "owners", names @ ..] => {
                let step = if *number == "1" { ChangeStep::WriteBoth } else { ChangeStep::ReadNew };
                self.change = Some((step, self.nodes(names)));
            }
            ["zones", places @ ..] => {
                for (name, zone) in places.iter().filter_map(|p| p.split_once('=')) {
                    let node = self.node(name);
                    self.zones.insert(node, zone.to_owned());
                }
            }
            [new, "replaces", old] => self.derive(new, old, Some(new)),
            [new, "deletes", old] => self.derive(new, old, None),
            [name, "has", "expired"] => {
                self.record(name);
                let value = self.values.iter_mut().find(|v| v.0 == *name);
                value.unwrap().1.siblings[0].1.expires_ms = Some(1);
            }
            _ => return false,
        }
        true
    }

    /// The node of this name.
    pub(super) fn node(&mut self, name: &str) -> NodeId {
        let known = self.names.iter().position(|n| n == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        NodeId(at as u64 + 1)
    }

    pub(super) fn nodes(&mut self, names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| self.node(name)).collect()
    }

    /// These nodes as a script names them.
    pub(super) fn names<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
        let name = |id: &NodeId| self.names[id.0 as usize - 1].as_str();
        nodes.into_iter().map(name).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn doc(&self) -> RingDoc {
        let member = |(i, name): (usize, &String)| {
            let id = NodeId(i as u64 + 1);
            Member {
                id,
                name: name.clone(),
                zone: self.zones.get(&id).cloned().unwrap_or_else(|| "z".into()),
                weight: 1,
                state: MemberState::Normal,
                public_key: [0; 32],
            }
        };
        let layout = |owners: &[NodeId]| {
            let row: Vec<u16> = owners.iter().map(|id| id.0 as u16 - 1).collect();
            Layout::new(owners.len(), row.repeat(PARTITIONS as usize))
        };
        let (step, old, now) = match &self.change {
            None => (ChangeStep::Settled, None, &self.owners),
            Some((step, new)) => (*step, Some(layout(&self.owners)), new),
        };
        RingDoc {
            id: RingId(1),
            version: 1,
            q: Q::new(PARTITIONS).unwrap(),
            replicas: self.owners.len() as u8,
            members: self.names.iter().enumerate().map(member).collect(),
            step,
            layout: layout(now),
            old,
        }
    }

    fn derive(&mut self, name: &str, old: &str, value: Option<&str>) {
        let old = self.record(old);
        let dot = Dot { actor: Actor(self.values.len() as u64 + 1), counter: 1 };
        let context = Some(&old.clock);
        let record = old.write(dot, Write { context, value: value.map(plain) });
        assert!(self.values.iter().all(|v| v.0 != name), "{name} was named before");
        self.values.push((name.to_owned(), record));
    }

    /// What a node holds that has seen these values: `v1+v2`, or `nothing`. `v1!` is the version v1
    /// with other bytes: corruption.
    pub(super) fn record(&mut self, text: &str) -> Record {
        let mut all = Record::default();
        for name in text.split('+').filter(|name| *name != "nothing") {
            let plain_name = name.trim_end_matches('!');
            if self.values.iter().all(|v| v.0 != plain_name) {
                self.derive(plain_name, "nothing", Some(plain_name));
            }
            let value = self.values.iter().find(|v| v.0 == plain_name).unwrap();
            let mut record = value.1.clone();
            if name.ends_with('!') {
                record.siblings[0].1 = plain(name);
            }
            all = all.merge(&record).0;
        }
        all
    }

    /// The dot of a value.
    pub(super) fn dot(&mut self, name: &str) -> Dot {
        self.record(name);
        let at = self.values.iter().position(|v| v.0 == name).unwrap();
        Dot { actor: Actor(at as u64 + 1), counter: 1 }
    }

    /// A copy of a key as a node keeps it.
    pub(super) fn stored(&mut self, key: &Key, text: &str) -> Option<Stored> {
        let record = self.record(text);
        (!record.is_absent()).then(|| Stored::new(key, &record))
    }
}

fn plain(text: &str) -> Value {
    Value { bytes: text.into(), written_ms: 0, expires_ms: None, derived: false }
}

/// The values of a copy as a script names them.
pub(super) fn shown(key: &Key, stored: Option<&Stored>) -> String {
    let Some(stored) = stored else { return "nothing".into() };
    let siblings = stored.record(key).unwrap().siblings;
    if siblings.is_empty() {
        return "a delete".into();
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    siblings.iter().map(|s| text(&s.1.bytes)).collect::<Vec<_>>().join("+")
}

/// What comes of an answer whose bytes were damaged on the way.
pub(super) fn damaged(key: &Key, answer: Answer) -> Answer {
    let Answer::Vote(Some(stored)) = answer else { panic!("only a copy can be damaged") };
    let mut bytes = stored.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    Answer::Vote(Some(Stored::unproven(&bytes))).proven(key)
}

/// The options of an operation, and the rest of the line.
pub(super) fn options<'a>(mut words: &'a [&'a str]) -> (Options, &'a [&'a str]) {
    use crate::quorum::Level;
    let mut options = Options { write_back: true, timeout_ms: 5_000, ..Options::default() };
    while let [word, rest @ ..] = words {
        match word.split_once('=') {
            Some(("R", number)) => options.r = Some(number.parse().unwrap()),
            Some(("W", number)) => options.w = Some(number.parse().unwrap()),
            Some(("local-quorum", zone)) => {
                options.level = Some(Level::LocalQuorum);
                options.zone = Some(zone.to_owned());
            }
            _ => match *word {
                "each-quorum" => options.level = Some(Level::EachQuorum),
                "strict" => options.strict = true,
                "patient" => options.patient = true,
                "read-only" => options.write_back = false,
                _ => break,
            },
        }
        words = rest;
    }
    (options, words)
}

/// An item of a write of this value.
pub(super) fn item(world: &mut World, key: &Key, value: &str, basis: &str) -> Item {
    use crate::quorum::Precondition;
    let mut seen = world.record(value).clock;
    let dot = world.dot(value);
    seen = crate::clock::VersionVector::from_entries(
        seen.entries().iter().copied().filter(|e| e.0 != dot.actor).collect(),
    )
    .unwrap();
    let basis = match basis {
        "blind" => Precondition::Blind,
        "context" => Precondition::Context(seen),
        "overwrite" => Precondition::Overwrite { force: false },
        "absent" => Precondition::Absent,
        "exact" => Precondition::Exact(seen),
        other => panic!("{other}: no kind of write"),
    };
    Item { key: key.clone(), value: Some((value.into(), None)), basis }
}
