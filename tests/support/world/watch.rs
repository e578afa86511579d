//! What is held against the nodes while they run: every word of theirs against what is durable.
//!
//! ```text
//! Stored            whoever says it has the records durably
//! Copies            a vote on a key is of a copy that the file calls full
//! Promise Accepted  never before the commit, never against an earlier one
//! Chosen            one document per version; its barrier held; nobody left with acknowledged hints
//! ```
//!
//! Findings go to [`World::wrong`]. It knows messages and disks, and of a node's inside one number:
//! the oldest version that a write under way began under.

use std::sync::Arc;

use kvs::key::Partition;
use kvs::protocol::Ballot;
use kvs::quorum::Answer;
use kvs::ring::ChangeStep as RingStep;

use super::*;

/// A write that a node was sent: keys, their clocks, and for whom.
type Owed = Vec<(Key, VersionVector, Option<NodeId>)>;

/// See the module.
#[derive(Default)]
pub struct Watch {
    pub on: bool,
    /// Every document that was chosen, by version.
    pub docs: BTreeMap<u64, Arc<RingDoc>>,
    /// Dots that became durable for the first time, and records that did, since last taken.
    pub minted: Vec<Dot>,
    pub kept: Vec<(usize, Key, Record)>,
    /// The highest commit of the second host that the first was told, and when.
    pub met: BTreeMap<(usize, usize), (u64, u64)>,
    /// Writes by who was sent them, who sent them, and their operation.
    owed: BTreeMap<(usize, NodeId, u64), Owed>,
    /// Prepares (false) and accepts (true), as `owed`, with version and ballot.
    asked: BTreeMap<(usize, NodeId, u64), (u64, Ballot, bool)>,
    /// Reads, as `owed`.
    reads: BTreeMap<(usize, NodeId, u64), Vec<Key>>,
    /// What is being handled.
    now: Option<(NodeId, u64)>,
    promised: BTreeMap<(usize, u64), Ballot>,
    accepted: BTreeMap<(usize, u64), Ballot>,
}

impl Watch {
    /// A host that lost or forgot something owes nothing and has promised nothing.
    pub fn forget(&mut self, i: usize) {
        self.owed.retain(|k, _| k.0 != i);
        self.asked.retain(|k, _| k.0 != i);
        self.reads.retain(|k, _| k.0 != i);
    }

    /// Its disk is not what it was.
    pub fn forget_promises(&mut self, i: usize) {
        self.promised.retain(|k, _| k.0 != i);
        self.accepted.retain(|k, _| k.0 != i);
    }
}

impl World {
    pub(super) fn watch_event(&mut self, i: usize, event: &Event) {
        self.watch.now = None;
        if !self.watch.on {
            return;
        }
        let Event::Message(from, m) = event else { return };
        self.watch.now = Some((*from, m.op));
        match &m.body {
            Body::Write { records, hint_for } | Body::Replicate { records, hint_for, .. }
                if m.op != 0 =>
            {
                let clock = |(key, s): &(Key, kvs::record::Stored)| {
                    let clock = s.record(key).map(|r| r.clock).unwrap_or_default();
                    (key.clone(), clock, *hint_for)
                };
                self.watch.owed.insert((i, *from, m.op), records.iter().map(clock).collect());
            }
            Body::Read(keys) => {
                self.watch.reads.insert((i, *from, m.op), keys.clone());
            }
            Body::Prepare(ballot) => {
                self.watch.asked.insert((i, *from, m.op), (m.version, *ballot, false));
            }
            Body::Accept(ballot, _) => {
                self.watch.asked.insert((i, *from, m.op), (m.version, *ballot, true));
            }
            _ => {}
        }
    }

    pub(super) fn watch_actions(&mut self, i: usize, actions: &[Action]) {
        if !self.watch.on {
            return;
        }
        for action in actions {
            let Action::Send(to, m) = action else { continue };
            match &m.body {
                Body::Stored { .. } => self.watch_stored(i, (i, *to, m.op)),
                Body::Copies { answers, .. } => self.watch_votes(i, (i, *to, m.op), answers),
                Body::Promise(accepted) => {
                    self.watch_promise(i, *to, m.op, accepted.as_ref().map(|a| a.0));
                }
                Body::Accepted => self.watch_accepted(i, *to, m.op),
                Body::Chosen(doc) => self.see_doc(doc),
                _ => {}
            }
        }
        let doc = self.hosts[i].node.as_ref().map(|n| n.doc().clone());
        if let Some(doc) = doc.filter(|d| d.version != self.hosts[i].version) {
            self.hosts[i].version = doc.version;
            self.see_doc(&doc);
        }
    }

    /// Who acknowledges has it durably.
    fn watch_stored(&mut self, i: usize, at: (usize, NodeId, u64)) {
        for (key, clock, target) in self.watch.owed.remove(&at).into_iter().flatten() {
            let target = target.filter(|t| *t != self.hosts[i].id);
            let has = |place| {
                let ever = self.hosts[i].ever.get(&(place, key.clone()));
                ever.is_some_and(|c: &VersionVector| c.descends(&clock))
            };
            if !has(target) && !has(None) {
                let (name, what) = (self.name(i), target.map_or("a record", |_| "a hint"));
                self.wrong.push(format!("[ack] {name} acknowledges {what} of {key} and has none"));
            }
        }
    }

    /// Who votes on a key has a full copy, as its file says.
    fn watch_votes(&mut self, i: usize, at: (usize, NodeId, u64), answers: &[Answer]) {
        let keys = self.watch.reads.remove(&at).unwrap_or_default();
        let Some(q) = self.hosts[i].node.as_ref().map(|node| node.doc().q) else { return };
        let votes = keys.iter().zip(answers).filter(|(_, a)| matches!(a, Answer::Vote(_)));
        let wrong = votes.map(|(key, _)| key).find(|key| self.fills(i, q.partition(key))).cloned();
        if let Some(key) = wrong {
            let name = self.name(i);
            self.wrong.push(format!("[votes] {name} votes on {key}, which its file says it fills"));
        }
    }

    /// Whether a host's file says that it fills a partition.
    fn fills(&self, i: usize, p: Partition) -> bool {
        let row = self.hosts[i].store.row(Table::Meta, "filling").ok().flatten();
        let byte = row.and_then(|bits| bits.get(usize::from(p.0) / 8).copied());
        byte.is_some_and(|byte| byte >> (p.0 % 8) & 1 == 1)
    }

    /// Whether so many owners of a key lost something, and say of this key that they may have, that
    /// nobody can know what was acknowledged: a person decides, and until then it is refused.
    pub fn is_undecidable(&self, lost: &BTreeSet<usize>, name: &str) -> bool {
        let (p, key) = self.place(name);
        let doc = self.doc();
        let owners = doc.owners_in(doc.read_layout(), p);
        let bad = |i: usize| {
            let bad = self.hosts[i].store.bad().unwrap_or_default();
            bad.iter().any(|b| b.0 == p && b.1 == key.as_bytes())
        };
        let tells =
            |i: &&usize| owners.contains(&self.hosts[**i].id) && (self.fills(**i, p) || bad(**i));
        lost.iter().filter(tells).count() >= doc.n() + 1 - doc.majority()
    }

    fn watch_promise(&mut self, i: usize, to: NodeId, op: u64, told: Option<Ballot>) {
        let name = self.name(i);
        if self.watch.now == Some((to, op)) {
            self.wrong.push(format!("[acceptor] {name} promises before it is durable"));
        }
        let Some((version, ballot, false)) = self.watch.asked.remove(&(i, to, op)) else { return };
        let before = self.watch.accepted.get(&(i, version)).copied();
        if before > told {
            self.wrong.push(format!("[acceptor] {name} promises and forgets what it accepted"));
        }
        let promised = self.watch.promised.entry((i, version)).or_default();
        *promised = ballot.max(*promised);
    }

    fn watch_accepted(&mut self, i: usize, to: NodeId, op: u64) {
        let name = self.name(i);
        if self.watch.now == Some((to, op)) {
            self.wrong.push(format!("[acceptor] {name} accepts before it is durable"));
        }
        let Some((version, ballot, true)) = self.watch.asked.remove(&(i, to, op)) else { return };
        if self.watch.promised.get(&(i, version)).is_some_and(|p| *p > ballot) {
            self.wrong.push(format!("[acceptor] {name} accepts below its promise"));
        }
        let accepted = self.watch.accepted.entry((i, version)).or_default();
        *accepted = ballot.max(*accepted);
    }

    /// A document that was chosen.
    fn see_doc(&mut self, doc: &RingDoc) {
        if let Some(known) = self.watch.docs.get(&doc.version) {
            if **known != *doc {
                let version = doc.version;
                self.wrong.push(format!("[ring] two documents of version {version} were chosen"));
            }
            return;
        }
        self.watch.docs.insert(doc.version, Arc::new(doc.clone()));
        self.note(|| format!("document {} {:?}", doc.version, doc.step));
        let before = self.watch.docs.get(&(doc.version.wrapping_sub(1))).cloned();
        let moved = before.as_ref().is_some_and(|b| b.step != RingStep::Settled);
        if !moved {
            return;
        }
        for host in &self.hosts {
            let member = doc.member(host.id).is_some_and(|m| m.state != MemberState::Removed);
            let oldest = host.node.as_ref().and_then(oldest_write);
            if member && oldest.is_some_and(|v| v + 1 < doc.version) {
                let (version, name) = (doc.version, &host.name);
                self.wrong.push(format!(
                    "[barrier] version {version} is chosen while {name} writes under {oldest:?}"
                ));
            }
            let left = doc.member(host.id).is_some_and(|m| m.state == MemberState::Removed)
                && before.as_ref().is_some_and(|b| {
                    b.member(host.id).is_some_and(|m| m.state == MemberState::Leaving)
                });
            let hints = host.store.hint_stats().map_or(0, |s| s.acknowledged);
            if left && hints > 0 {
                let name = &host.name;
                self.wrong.push(format!("[handing] {name} leaves with {hints} acknowledged hints"));
            }
        }
    }

    /// A host learns how far another one has come: it is a witness.
    pub(super) fn note_met(&mut self, from: usize, to: usize, message: &Message) {
        if let Body::Stored { commit, .. } | Body::Replicate { commit, .. } = message.body {
            let now = self.now_ms;
            let met = self.watch.met.entry((to, from)).or_default();
            if commit > met.0 {
                *met = (commit, now);
            }
        }
    }

    /// Whether a running host has met a later commit of this one than `commit`, and cannot have
    /// forgotten it.
    pub fn has_witness(&self, i: usize, commit: u64) -> bool {
        let doc = self.doc();
        let member = |o: usize| {
            doc.member(self.hosts[o].id).is_some_and(|m| m.state != MemberState::Removed)
        };
        (0..self.hosts.len()).any(|o| {
            let met = self.watch.met.get(&(o, i)).is_some_and(|m| m.0 > commit);
            // Where every command is a process of its own, nobody is up between two of them.
            let up = self.is_up(o) && !self.hosts[o].frozen || self.witnesses == 0;
            o != i && met && member(o) && up && !self.hosts[o].gone
        })
    }

    /// What a node would answer now to a read of these keys; nothing when it answers none.
    pub fn probe(&mut self, i: usize, keys: Vec<Key>) -> Vec<kvs::quorum::Answer> {
        const PROBE: u64 = u64::MAX - 1;
        let now = self.time(i);
        let host = &mut self.hosts[i];
        let Some(node) = &mut host.node else { return Vec::new() };
        let doc = node.doc().clone();
        let Some(from) = doc.present().map(|m| m.id).find(|id| *id != host.id) else {
            return Vec::new();
        };
        let body = Body::Read(keys);
        let message = Message { ring: doc.id, version: doc.version, op: PROBE, body };
        let mut found = Vec::new();
        for action in node.handle(&host.store, now, Event::Message(from, message)) {
            match action {
                Action::Send(_, Message { op: PROBE, body: Body::Answers(answers), .. }) => {
                    found = answers;
                }
                other => self.act(i, other),
            }
        }
        found
    }
}

/// The oldest version that a write under way began under; only test builds tell.
#[cfg(feature = "planted")]
fn oldest_write(node: &Node) -> Option<u64> {
    node.oldest_write()
}

#[cfg(not(feature = "planted"))]
fn oldest_write(_: &Node) -> Option<u64> {
    None
}
