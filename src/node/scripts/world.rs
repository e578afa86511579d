//! What a script says of the ring and of the values in it, by their names.
//!
//! ```text
//! ring n1 n2 n3 f1, N=3          every key is owned by the first N, in this order
//! n3 is leaving
//! step 1: new owners n2 n3 f1    a change is under way: write both, read the old ones (2: the new)
//! v2 replaces v1                 otherwise two values are of writers that did not know each other
//! v2 has expired                 delete replaces v2
//! v3 is a later write of n1      that its own file does not have
//! ```
//!
//! A value that n1 itself writes has a name too: its own bytes.

use std::collections::BTreeMap;

use crate::clock::{Actor, Dot, VersionVector};
use crate::key::{Key, Partition, Q};
use crate::protocol::Ballot;
use crate::record::{Record, Stored, Value, Write};
use crate::ring::{Change, ChangeStep, Layout, Member, MemberState, NodeId, RingDoc, RingId};

/// The partitions of the ring; all have the same owners.
const PARTITIONS: u32 = 8;
/// Writers other than n1 are actors from here on.
const WRITERS: u64 = 1_000;
/// The actor of n1 when it is opened for the first time.
pub(super) const N1: Actor = Actor(1);
/// The name of what a delete leaves.
const DELETE: &str = "delete";

#[derive(Default)]
pub(super) struct World {
    /// Nodes in the order in which they were named.
    names: Vec<String>,
    replicas: usize,
    change: Option<(ChangeStep, Vec<NodeId>)>,
    leaving: Vec<NodeId>,
    /// What a node holds that has seen nothing but this value and those it replaced.
    values: BTreeMap<String, Record>,
}

impl World {
    /// Takes a line that says how things are; whether it was one.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        match words {
            ["ring", names @ .., copies] => {
                self.names = names.iter().map(|name| (*name).to_owned()).collect();
                self.replicas = copies.strip_prefix("N=").unwrap().parse().unwrap();
            }
            [name, "is", "leaving"] => self.leaving.push(self.node(name)),
            ["step", number, "new", "owners", names @ ..] => {
                let step = if *number == "1" { ChangeStep::WriteBoth } else { ChangeStep::ReadNew };
                self.change = Some((step, names.iter().map(|name| self.node(name)).collect()));
            }
            [name, "has", "expired"] => {
                self.record(name);
                self.values.get_mut(*name).unwrap().siblings[0].1.expires_ms = Some(1);
            }
            [new, "replaces", old] => self.derive(new, old),
            [new, "is", "a", "later", "write", "of", "n1"] => {
                let dot = Dot { actor: N1, counter: 9 };
                let record =
                    Record::default().write(dot, Write { context: None, value: plain(new) });
                self.values.insert((*new).to_owned(), record);
            }
            _ => return false,
        }
        true
    }

    /// The node of this name.
    pub(super) fn node(&self, name: &str) -> NodeId {
        let at = self.names.iter().position(|n| n == name);
        NodeId(at.unwrap_or_else(|| panic!("{name}: no node of the ring")) as u64 + 1)
    }

    pub(super) fn name(&self, id: NodeId) -> &str {
        &self.names[id.0 as usize - 1]
    }

    pub(super) fn names<'a>(&self, ids: impl IntoIterator<Item = &'a NodeId>) -> String {
        ids.into_iter().map(|id| self.name(*id)).collect::<Vec<_>>().join(" ")
    }

    /// Every member.
    pub(super) fn all(&self) -> impl Iterator<Item = NodeId> {
        (1..=self.names.len() as u64).map(NodeId)
    }

    /// The document of the beginning.
    pub(super) fn doc(&self) -> RingDoc {
        let member = |id: NodeId| Member {
            id,
            name: self.name(id).to_owned(),
            zone: "z".into(),
            weight: 1,
            state: if self.leaving.contains(&id) {
                MemberState::Leaving
            } else {
                MemberState::Normal
            },
            public_key: [id.0 as u8; 32],
        };
        let layout = |owners: &[NodeId]| {
            let row: Vec<u16> = owners.iter().map(|id| id.0 as u16 - 1).collect();
            Layout::new(owners.len(), row.repeat(PARTITIONS as usize))
        };
        let owners: Vec<_> = self.all().take(self.replicas).collect();
        let (step, old, now) = match &self.change {
            None => (ChangeStep::Settled, None, &owners),
            Some((step, new)) => (*step, Some(layout(&owners)), new),
        };
        RingDoc {
            id: RingId(1),
            version: 1,
            q: Q::new(PARTITIONS).unwrap(),
            replicas: self.replicas as u8,
            members: self.all().map(member).collect(),
            step,
            layout: layout(now),
            old,
        }
    }

    /// The document after this one by which a node leaves.
    pub(super) fn leave(&self, doc: &RingDoc, name: &str) -> Box<RingDoc> {
        Box::new(doc.change(&[Change::Leave(name.into())]).unwrap())
    }

    /// The partition of a key.
    pub(super) fn partition(&self, key: &Key) -> Partition {
        Q::new(PARTITIONS).unwrap().partition(key)
    }

    /// A value of a writer of its own.
    fn derive(&mut self, name: &str, old: &str) {
        let old = self.record(old);
        assert!(!self.values.contains_key(name), "{name} was named before");
        let dot = Dot { actor: Actor(WRITERS + self.values.len() as u64), counter: 1 };
        let value = plain(name).filter(|_| name != DELETE);
        let record = old.write(dot, Write { context: Some(&old.clock), value });
        self.values.insert(name.to_owned(), record);
    }

    /// What a node holds that has seen these values: `v1+v2`, or `nothing`.
    pub(super) fn record(&mut self, text: &str) -> Record {
        let mut all = Record::default();
        for name in text.split('+').filter(|name| *name != "nothing") {
            if !self.values.contains_key(name) {
                self.derive(name, "nothing");
            }
            all = all.merge(&self.values[name]).0;
        }
        all
    }

    /// A copy of a key as a node keeps it; none of nothing.
    pub(super) fn stored(&mut self, key: &Key, text: &str) -> Option<Stored> {
        let record = self.record(text);
        (!record.is_absent()).then(|| Stored::new(key, &record))
    }

    /// `color=red` as a key and a copy of it.
    pub(super) fn item(&mut self, text: &str) -> (Key, Option<Stored>) {
        let (key, value) = text.split_once('=').unwrap_or_else(|| panic!("{text}: key=value?"));
        let key = Key::new(key).unwrap();
        let stored = self.stored(&key, value);
        (key, stored)
    }

    /// The same of copies that there are.
    pub(super) fn items(&mut self, words: &[&str]) -> Vec<(Key, Stored)> {
        let item = |text: &&str| {
            let (key, stored) = self.item(text);
            (key, stored.unwrap())
        };
        words.iter().map(item).collect()
    }

    /// What n1 has written gets its name.
    pub(super) fn learn(&mut self, record: &Record) {
        if record.siblings.is_empty() && !self.values.values().any(|known| known == record) {
            self.values.insert(DELETE.into(), record.clone());
        }
        for (dot, value) in &record.siblings {
            let name = String::from_utf8_lossy(&value.bytes).into_owned();
            let alone = record.siblings.len() == 1;
            let clock: VersionVector = [*dot].into_iter().collect();
            let clock = if alone { record.clock.clone() } else { clock };
            let siblings = vec![(*dot, value.clone())];
            self.values.entry(name).or_insert(Record { clock, siblings });
        }
    }

    /// `5.n2`: the ballot 5 of n2.
    pub(super) fn ballot(&self, text: &str) -> Ballot {
        let (number, name) = text.split_once('.').unwrap();
        Ballot(number.parse().unwrap(), self.node(name).0)
    }

    pub(super) fn ballot_name(&self, ballot: Ballot) -> String {
        match ballot.1 {
            0 => "none".into(),
            id => format!("{}.{}", ballot.0, self.name(NodeId(id))),
        }
    }
}

fn plain(name: &str) -> Option<Value> {
    Some(Value { bytes: name.into(), written_ms: 0, expires_ms: None, derived: false })
}

/// The values of a copy as a script names them.
pub(super) fn shown(key: &Key, stored: Option<&Stored>) -> String {
    let Some(stored) = stored else { return "nothing".into() };
    let siblings = stored.record(key).unwrap().siblings;
    if siblings.is_empty() {
        return "(deleted)".into();
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    siblings.iter().map(|s| text(&s.1.bytes)).collect::<Vec<_>>().join("+")
}
