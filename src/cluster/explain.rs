//! What is known of one key, copy by copy: who holds what, and how each stands to all.
//!
//! ```text
//! merged {n1:4 n3:2}   n1 {n1:4}        concurrent   holds what n3 lacks, lacks what n3 holds
//!                      n2 {n1:3}        behind       some other copy knows all it knows, and more
//!                      n3 {n1:3 n3:2}   concurrent
//! ```
//!
//! It asks every owner that can be reached and takes no quorum: it answers where a read would be
//! refused. It changes nothing and repairs nothing.

use std::collections::BTreeMap;

use super::failures::defect;
use super::handle::Cluster;
use crate::clock::{Actor, Causality, Dot, VersionVector};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::node::{Reply, Request};
use crate::quorum::{Answer, GetReply, Options};
use crate::record::{Record, Stored};
use crate::ring::NodeId;
use crate::store::{Store, Table};

/// The node behind each actor, as far as open nodes tell.
#[derive(Clone, Debug, Default)]
pub struct Actors(BTreeMap<Actor, String>);

impl Actors {
    /// The name of the node whose present actor this is.
    #[must_use]
    pub fn name(&self, actor: Actor) -> Option<&str> {
        self.0.get(&actor).map(String::as_str)
    }

    fn label(&self, actor: Actor) -> String {
        self.name(actor).map_or_else(|| actor.to_string(), str::to_owned)
    }

    /// A dot with its node's name: `(n1,4)`.
    #[must_use]
    pub fn dot(&self, dot: Dot) -> String {
        format!("({},{})", self.label(dot.actor), dot.counter)
    }

    /// A clock with its nodes' names, in their order: `{n1:4 n3:2}`.
    #[must_use]
    pub fn clock(&self, clock: &VersionVector) -> String {
        let mut entries: Vec<_> =
            clock.entries().iter().map(|(a, c)| format!("{}:{c}", self.label(*a))).collect();
        entries.sort();
        format!("{{{}}}", entries.join(" "))
    }
}

/// What a node is to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An owner with a full copy: it votes on reads.
    Vote,
    /// An owner whose copy is still filling: its data counts, its vote does not.
    Filling,
    /// No owner: it keeps what an owner lacked.
    Extra,
}

impl Standing {
    /// As it is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Vote => "vote",
            Self::Filling => "filling",
            Self::Extra => "extra",
        }
    }
}

/// How one copy stands to the merge of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is the merge.
    Current,
    /// Some other copy knows all it knows, and more.
    Behind,
    /// It lacks something, and no other copy knows all it knows.
    Concurrent,
    /// The same clock over other values: corruption.
    Differs,
    /// There is none.
    Missing,
    /// It fails its checksum.
    Unreadable,
    /// The node cannot be reached.
    Down,
    /// The node was not asked, or did not say.
    Unasked,
}

impl State {
    /// As it is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Behind => "behind",
            Self::Concurrent => "concurrent",
            Self::Differs => "differs",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Down => "down",
            Self::Unasked => "not asked",
        }
    }

    /// Whether its node answered.
    #[must_use]
    pub fn is_read(self) -> bool {
        !matches!(self, Self::Down | Self::Unasked)
    }

    /// Whether a repair would change this copy.
    #[must_use]
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Behind | Self::Concurrent | Self::Differs | Self::Missing)
    }
}

/// One node's copy of a key.
#[derive(Clone, Debug)]
pub struct ExplainedCopy {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// What it is to the key.
    pub standing: Standing,
    /// How its copy stands to the merge.
    pub state: State,
    /// The copy.
    pub record: Option<Record>,
    /// Bytes of the copy as stored.
    pub bytes: usize,
}

/// A write that some node keeps for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHint {
    /// Who keeps it.
    pub holder: String,
    /// Who is to have it.
    pub target: String,
    /// Whether it counted for W: then it is data; else it refers to the holder's own record.
    pub acknowledged: bool,
}

/// A value that one copy still has and a later write has replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// Whose copy.
    pub name: String,
    /// The value's dot.
    pub dot: Dot,
    /// The values that came after; empty: a delete.
    pub by: Vec<Dot>,
}

/// All that is known of a key.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Owners in order, then others that hold something.
    pub replicas: Vec<ExplainedCopy>,
    /// The merge of every copy.
    pub merged: Record,
    /// Dots with two values: corruption.
    pub clashes: Vec<Dot>,
    /// Hints for the key.
    pub hints: Vec<KeptHint>,
    /// Nodes that stand in for owners that are down, in order.
    pub fallbacks: Vec<String>,
}

impl Inspection {
    /// Values that some copy has and the merge has not.
    #[must_use]
    pub fn superseded(&self) -> Vec<Superseded> {
        let mut found = Vec::new();
        for replica in &self.replicas {
            let Some(record) = &replica.record else { continue };
            let gone = |d: &Dot| self.merged.sibling(*d).is_none();
            for dot in record.siblings.iter().map(|s| s.0).filter(gone) {
                let dots = self.merged.siblings.iter().map(|s| s.0);
                let by = dots.filter(|d| !record.clock.covers(*d)).collect();
                found.push(Superseded { name: replica.name.clone(), dot, by });
            }
        }
        found
    }

    /// What a read of `r` votes can return: the merge of every choice of `r` voters, each result
    /// once. Empty when there are too few voters.
    #[must_use]
    pub fn outcomes(&self, r: usize) -> Vec<Record> {
        let voted = |c: &&ExplainedCopy| {
            c.standing == Standing::Vote && c.state != State::Unreadable && c.state.is_read()
        };
        let voters: Vec<_> = self.replicas.iter().filter(voted).map(|c| &c.record).collect();
        let mut found: Vec<Record> = Vec::new();
        for choice in 0_u32..1 << voters.len() {
            if choice.count_ones() as usize != r {
                continue;
            }
            let chosen = voters.iter().enumerate().filter(|(i, _)| choice >> i & 1 == 1);
            let copies = chosen.filter_map(|(_, copy)| copy.as_ref());
            let merged = copies.fold(Record::default(), |merged, copy| merged.merge(copy).0);
            if !found.contains(&merged) {
                found.push(merged);
            }
        }
        found
    }
}

impl Cluster {
    /// The node behind each actor, as far as open nodes tell, or running ones have heard.
    #[must_use]
    pub fn actors(&self) -> Actors {
        let doc = self.doc();
        let actor = |id: NodeId| {
            let row = self.nodes.files()?.store(id)?.row(Table::Meta, "actor").ok()??;
            Some((Actor(u64::from_le_bytes(row.try_into().ok()?)), doc.name(id)))
        };
        let mut actors: BTreeMap<_, _> = self.nodes().into_iter().filter_map(actor).collect();
        if let Some(live) = self.nodes.running() {
            let news = live.client.members();
            let heard = news.iter().filter(|n| n.row.generation > 0);
            actors.extend(heard.map(|n| (n.row.actor, doc.name(n.row.id))));
        }
        Actors(actors)
    }

    /// Asks everyone who may hold the key. No quorum is wanted.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when nobody can be asked.
    pub fn inspect(&mut self, key: &Key) -> Result<Inspection> {
        let options = self.checked(&Options { r: Some(1), ..Options::default() })?;
        // Every owner is waited for, and seen as it is.
        let options = Options { patient: true, write_back: false, ..options };
        let at = self.entry()?;
        let Reply::Get(reply) = self.ask(at, Request::Get(key.clone(), options))? else {
            return Err(defect());
        };
        if reply.answers.is_empty() {
            let text = format!("No owner of {key} can be reached; its state is unknown.");
            return Err(Error::Unreachable(text).hint("kvs status shows who is down"));
        }
        let merged = reply.stored.as_ref().map(|s| s.record(key)).transpose()?;
        Ok(Inspection {
            replicas: self.replicas(key, &reply),
            merged: merged.unwrap_or_default(),
            clashes: reply.clashes,
            hints: self.hints_for(key)?,
            fallbacks: self.fallbacks(key),
        })
    }

    /// Each node's copy as a read's answers tell it: owners in order, then others that hold some.
    #[must_use]
    pub fn replicas(&self, key: &Key, reply: &GetReply) -> Vec<ExplainedCopy> {
        let doc = self.doc();
        let owners = doc.writers(doc.q.partition(key));
        let others = reply.answers.iter().filter(|(id, a)| {
            !owners.contains(id) && !matches!(a, Answer::Vote(None) | Answer::Extra(None))
        });
        let nodes = owners.iter().copied().chain(others.map(|(id, _)| *id));
        let mut replicas: Vec<_> = nodes
            .map(|id| {
                let answer = reply.answers.iter().find(|a| a.0 == id).map(|a| &a.1);
                let zone = doc.member(id).map_or_else(String::new, |m| m.zone.clone());
                let stored = answer.and_then(Answer::stored);
                let standing = match answer {
                    _ if !owners.contains(&id) => Standing::Extra,
                    Some(Answer::Extra(_)) => Standing::Filling,
                    _ => Standing::Vote,
                };
                let record = stored.and_then(|s| s.record(key).ok());
                let bytes = stored.map_or(0, |s| s.bytes().len());
                let state = self.state(id, answer, reply.stored.as_ref());
                ExplainedCopy { node: id, name: doc.name(id), zone, standing, state, record, bytes }
            })
            .collect();
        mark_concurrent(&mut replicas);
        replicas
    }

    /// A first look at a copy: what can be said without the others.
    fn state(&self, id: NodeId, answer: Option<&Answer>, merged: Option<&Stored>) -> State {
        match answer {
            None if self.nodes().contains(&id) => State::Unasked,
            None => State::Down,
            Some(Answer::Unreadable) => State::Unreadable,
            Some(answer) => match (answer.stored(), merged) {
                (None, None) => State::Current,
                (None, Some(_)) => State::Missing,
                (Some(copy), merged) if merged.is_some_and(|m| m.hash() == copy.hash()) => {
                    State::Current
                }
                _ => State::Behind,
            },
        }
    }

    fn hints_for(&self, key: &Key) -> Result<Vec<KeptHint>> {
        let doc = self.doc();
        let partition = doc.q.partition(key);
        let mut kept = Vec::new();
        for (id, hints) in self.gather(|store| store.hints_of(partition, key)) {
            let hints = hints?.into_iter().map(|hint| KeptHint {
                holder: doc.name(id),
                target: doc.name(hint.target),
                acknowledged: hint.stored.is_some(),
            });
            let mut hints: Vec<_> = hints.collect();
            hints.sort_by(|a, b| a.target.cmp(&b.target));
            kept.extend(hints);
        }
        Ok(kept)
    }

    fn fallbacks(&self, key: &Key) -> Vec<String> {
        let doc = self.doc();
        let p = doc.q.partition(key);
        let owners = doc.writers(p);
        let spare = doc.preference(p).into_iter().filter(|id| !owners.contains(id));
        spare.map(|id| doc.name(id)).collect()
    }
}

/// Tells copies that are behind from those that know something no other copy knows.
fn mark_concurrent(replicas: &mut [ExplainedCopy]) {
    let clocks: Vec<_> =
        replicas.iter().filter_map(|c| c.record.as_ref()).map(|r| r.clock.clone()).collect();
    let mut all = VersionVector::new();
    clocks.iter().for_each(|clock| all.join(clock));
    for replica in replicas.iter_mut().filter(|c| c.state == State::Behind) {
        let Some(record) = &replica.record else { continue };
        let behind = |c: &VersionVector| record.clock.compare(c) == Causality::Before;
        if record.clock == all {
            replica.state = State::Differs;
        } else if !clocks.iter().any(behind) {
            replica.state = State::Concurrent;
        }
    }
}
