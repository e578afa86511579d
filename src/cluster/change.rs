//! Changing the ring through a cluster: have a document chosen, take it to its end, clean up.
//!
//! ```text
//! Propose (1) -> Advance: barrier, fill, (2), barrier, (3) -> Cleanup of what nobody needs
//! ```
//!
//! A change that cannot go on (a directory is missing) stays where it is; `kvs ring apply` resumes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::failures::defect;
use super::handle::Cluster;
use super::nodes::ClusterNodes;
use crate::digest::Sum;
use crate::embed::Embed;
use crate::error::{Error, Result};
use crate::key::Partition;
use crate::node::{Reply, Request};
use crate::os::now;
use crate::ring::{Change, ChangeStep, MemberState, NodeId, RingDoc, RingPlan};

/// How often a change that waits is tried.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a plan made against an earlier version is what the ring has moved on by, or is moving on
/// by now: a change takes three documents, and what the plan wished is so.
#[must_use]
pub fn is_applied(doc: &RingDoc, plan: &RingPlan) -> bool {
    let moved = doc.version.wrapping_sub(plan.version);
    let absent = |name: &String| doc.present().all(|m| m.name != *name);
    let granted = |change: &Change| match change {
        Change::Join(member) | Change::Replace(member) => {
            doc.member(member.id).is_some_and(|m| m.state != MemberState::Removed)
        }
        Change::Leave(name) => {
            absent(name)
                || doc.present().any(|m| m.name == *name && m.state == MemberState::Leaving)
        }
        Change::Remove(name) => absent(name),
        Change::Weight(name, weight) => {
            doc.present().any(|m| m.name == *name && m.weight == *weight)
        }
    };
    plan.ring == doc.id && (1..=3).contains(&moved) && plan.changes.iter().all(granted)
}

/// What a change of the layout moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Copies of partitions that get a new owner.
    pub partitions: usize,
    /// Records in them, as far as their present owners are open.
    pub keys: u64,
    /// For each member that gains: copies gained.
    pub gained: BTreeMap<String, usize>,
}

/// The way out of a change that waits for a member that is lost: the end of a sentence about it.
pub const GIVE_UP: &str = "to give up a member that never comes back, and the change with it, \
                           stop every node and run: kvs ring recover --accept-minority";

impl Cluster {
    /// What going from one layout to the next would move.
    #[must_use]
    pub fn moves(&self, from: &RingDoc, to: &RingDoc) -> Moves {
        let mut moves = Moves::default();
        let sums = self.sums_of_all();
        for p in from.q.all() {
            let before = from.owners_in(&from.layout, p);
            for owner in to.owners_in(&to.layout, p).into_iter().filter(|o| !before.contains(o)) {
                moves.partitions += 1;
                moves.keys += sums.get(&p).map_or(0, |s| s.count);
                *moves.gained.entry(to.name(owner)).or_default() += 1;
            }
        }
        moves
    }

    fn sums_of_all(&self) -> BTreeMap<Partition, Sum> {
        let mut all: BTreeMap<Partition, Sum> = BTreeMap::new();
        for (_, sums) in self.gather(|store| store.sums()) {
            for (p, sum) in sums.unwrap_or_default() {
                let most = all.entry(p).or_insert(sum);
                if most.count < sum.count {
                    *most = sum;
                }
            }
        }
        all
    }

    /// Directories with a file that is not what it should be: their nodes count as down, and their data
    /// may be good.
    #[must_use]
    pub fn odd(&self) -> &[PathBuf] {
        self.nodes.files().map(Embed::odd).unwrap_or_default()
    }

    /// Directories whose files are damaged and are read as far as they go.
    #[must_use]
    pub fn salvaged(&self) -> &[PathBuf] {
        self.nodes.files().map(Embed::salvaged).unwrap_or_default()
    }

    /// Has the first document of a plan's change chosen.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the ring has moved on, [`Error::Refused`] when no majority agreed,
    /// [`Error::Denied`] when too few full owners of some partition are open. Nothing is changed.
    pub fn propose(&mut self, plan: &RingPlan) -> Result<()> {
        let next = self.doc().apply(plan)?;
        self.choose(next)
    }

    /// Has a document chosen as the next.
    ///
    /// # Errors
    /// [`Error::Refused`] when no majority agreed; [`Error::Conflict`] when another was chosen.
    pub fn choose(&mut self, next: RingDoc) -> Result<()> {
        let at = self.helm(&next)?;
        let wanted = next.clone();
        let Reply::Ring(doc, why) = self.ask(at, Request::Propose(Box::new(next)))? else {
            return Err(defect());
        };
        match why {
            None => Ok(()),
            Some(why) if doc.version >= wanted.version => {
                Err(Error::Conflict(format!("The ring was not changed as asked: {why}."))
                    .hint("another change came first; run this again"))
            }
            Some(why) => Err(Error::Refused(format!("The ring was not changed: {why}.")).hint(
                "kvs status shows who is down; a majority lost for good: \
                     kvs ring recover --accept-minority",
            )),
        }
    }

    /// Takes the change under way to its end, and drops what nobody owns any more.
    ///
    /// # Errors
    /// [`Error::Partial`] when it has to wait; what is done stays done.
    pub fn advance(&mut self) -> Result<()> {
        let patience = |cluster: &Self| {
            now() + cluster.nodes.running().map_or(cluster.timeout, |live| live.client.left())
        };
        let mut until = patience(self);
        while self.doc().step != ChangeStep::Settled {
            let version = self.doc().version;
            let at = self.helm(&self.doc())?;
            let asked = self.ask(at, Request::Advance).map_err(cut_off)?;
            let Reply::Ring(_, why) = asked else { return Err(defect()) };
            if self.doc().version > version {
                until = patience(self);
            }
            if let Some(why) = why {
                // Running nodes need a moment to find a new one, or one that has just come back.
                if self.is_live() && now() < until {
                    thread::sleep(PAUSE);
                    continue;
                }
                let step = self.doc().step;
                let back = "bring the missing members back and continue: kvs ring apply";
                let hint = match (self.leaves_with_bad_hints(), &self.missing()[..]) {
                    (Some(held), _) => held,
                    (None, []) => back.to_owned(),
                    (None, _) => format!("{back}; {GIVE_UP}"),
                };
                return Err(
                    Error::Partial(format!("The change waits at step {step}: {why}.")).hint(hint)
                );
            }
        }
        self.clean_up()
    }

    /// The way out when a member that leaves is up and keeps damaged hints: it never hands them over.
    fn leaves_with_bad_hints(&self) -> Option<String> {
        let doc = self.doc();
        let leaves = |id| doc.member(id).is_some_and(|m| m.state == MemberState::Leaving);
        let read = self.gather(|store| store.bad_hints()).into_iter();
        let (id, hints) = read
            .filter_map(|(id, hints)| Some((id, hints.ok()?)))
            .find(|(id, hints)| leaves(*id) && !hints.bad.is_empty())?;
        let (name, n) = (doc.name(id), hints.bad.len());
        Some(format!(
            "{name} keeps damaged hints ({n}) and cannot leave before they are gone: kvs repair \
             --verify, then \
             kvs ring apply"
        ))
    }

    /// Who carries a change out: of running nodes one that stays a member to its end.
    fn helm(&self, doc: &RingDoc) -> Result<NodeId> {
        let entry = self.entry()?;
        let Some(live) = self.nodes.running() else { return Ok(entry) };
        let stays = |id: &NodeId| doc.member(*id).is_some_and(|m| m.state == MemberState::Normal);
        let at = [entry].into_iter().chain(live.nodes()).find(stays).unwrap_or(entry);
        live.client.enter_at(at);
        Ok(at)
    }

    /// Drops copies that their new owners hold.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when a node's file failed.
    pub fn clean_up(&mut self) -> Result<()> {
        if let Some(live) = self.nodes.running_mut() {
            live.refresh()?;
        }
        for id in self.nodes() {
            self.ask(id, Request::Cleanup)?;
        }
        Ok(())
    }

    /// Partitions of which fewer full owners are open than a move of them needs, if the named
    /// members were gone.
    #[must_use]
    pub fn endangered(&mut self, gone: &[NodeId]) -> Vec<Partition> {
        let doc = self.doc();
        let needed = (doc.n() + 1 - doc.majority()).min(doc.n());
        let copies = self.full_copies(gone);
        doc.q.all().filter(|p| copies.get(p).copied().unwrap_or(0) < needed).collect()
    }

    /// How many full owners of each partition are open, if the named members were gone.
    #[must_use]
    pub fn full_copies(&mut self, gone: &[NodeId]) -> BTreeMap<Partition, usize> {
        let doc = self.doc();
        let mut open: BTreeMap<NodeId, BTreeSet<Partition>> = BTreeMap::new();
        let asked = self.nodes().into_iter().filter(|id| !gone.contains(id)).collect();
        for (id, told) in self.ask_each(asked, &Request::Unsettled) {
            if let Ok(Reply::Repair(report)) = told {
                open.insert(id, report.filling.into_iter().collect());
            }
        }
        let copies = |p: Partition| {
            let owners = doc.owners_in(doc.read_layout(), p);
            let full = |o: &&NodeId| open.get(o).is_some_and(|filling| !filling.contains(&p));
            (p, owners.iter().filter(full).count())
        };
        doc.q.all().map(copies).collect()
    }

    /// Cuts the ring down to the opened nodes, under a new ring id; for a majority that is lost for
    /// good. Open it anew afterwards and repair it with `accept_open`.
    ///
    /// # Errors
    /// [`Error::Denied`] when nobody is missing, fewer members than replicas are left, or the nodes
    /// run: nothing is changed. [`Error::Partial`] when a file failed between the others.
    pub fn recover(self, replicas: Option<u8>) -> Result<RingDoc> {
        match self.nodes {
            ClusterNodes::Files(files) => files.recover(replicas),
            _ => Err(Error::Denied(
                "A ring is recovered in the files of its nodes, and these run; nothing was changed."
                    .into(),
            )
            .hint("stop every remaining node (kvs node stop DIR), then run this again")),
        }
    }

    /// Whether a wish can be granted as far as this cluster can see.
    ///
    /// # Errors
    /// [`Error::Denied`] for a removal that may lose acknowledged writes, unless accepted.
    pub fn admit(&mut self, changes: &[Change], accept_loss: bool) -> Result<()> {
        let doc = self.doc();
        let mut gone = Vec::new();
        for change in changes {
            match change {
                Change::Remove(name) => gone.push(doc.named(name)?.id),
                Change::Replace(member) => gone.push(doc.named(&member.name)?.id),
                _ => {}
            }
        }
        if gone.is_empty() || accept_loss {
            return Ok(());
        }
        let short = self.endangered(&gone);
        if short.is_empty() {
            return Ok(());
        }
        Err(Error::Denied(format!(
            "{} partitions would have fewer full owners than can prove every acknowledged write; \
             nothing was changed.",
            short.len()
        ))
        .hint("bring members back or run kvs repair first; --accept-loss continues without them"))
    }
}

/// A node was lost while it drove a change that is chosen: another goes on with it.
fn cut_off(error: Error) -> Error {
    match error.root() {
        Error::Partial(text) => Error::Partial(text.clone())
            .hint("kvs ring show shows its step; continue it: kvs ring apply"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_whose_driver_is_lost_goes_on_by_its_own_command() {
        let lost = Error::Partial("n1 broke off.".into()).hint("then run the command again");
        let Error::Hinted { error, hint } = cut_off(lost) else { panic!("no hint") };
        assert!(matches!(*error, Error::Partial(why) if why == "n1 broke off."));
        assert!(hint.contains("kvs ring apply"), "{hint}");
        let other = Error::Refused("no.".into()).hint("try again");
        let Error::Hinted { hint, .. } = cut_off(other) else { panic!("no hint") };
        assert_eq!(hint, "try again");
    }
}
