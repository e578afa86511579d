//! Who is a member and who owns what: the ring document and its four-step change.
//!
//! The ring is one document, versioned, chosen by agreement (see `node`), never edited in place. It
//! names the members and gives every partition its owners in order. Who is *up* is not in it: down
//! is not left, and only an operator changes the ring.
//!
//! A change is four documents, so that no read ever misses a write that was acknowledged:
//!
//! ```text
//! (0) settled old            write old        read old
//! (1) step WriteBoth         write old + new  read old     new owners fill
//! (2) step ReadNew           write old + new  read new
//! (3) settled new            write new        read new     old copies go
//! ```
//!
//! What it does not do: it opens nothing, sends nothing, and does not know whether a barrier between
//! two steps has been passed; `node` does. Caveat: members are never struck from the list, so a
//! layout's indices stay true; a removed member is a few dozen bytes.

mod follows;
mod layout;
mod member;
mod planner;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::follows::{MEMBERS_EVER_MAX, MEMBERS_MAX, NAME_BYTES_MAX, VERSION_MAX, WEIGHT_MAX};
pub use self::layout::Layout;
pub use self::member::{Member, NodeId, RingId, State, check_new_name};
pub use self::planner::{Candidate, PlanError, plan};
use crate::error::{Error, Result, operand};
use crate::key::{Partition, Q};

/// Where a change of the ring stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// No change under way.
    Settled,
    /// Step 1: write both layouts, read the old one.
    WriteBoth,
    /// Step 2: write both layouts, read the new one.
    ReadNew,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settled => "settled",
            Self::WriteBoth => "1 of 3: write both, read old",
            Self::ReadNew => "2 of 3: write both, read new",
        })
    }
}

/// The ring at one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingDoc {
    /// Which ring.
    pub id: RingId,
    /// Raised by one with every chosen document.
    pub version: u64,
    /// Partitions, fixed for ever.
    pub q: Q,
    /// Copies of each record (N).
    pub replicas: u8,
    /// Every member there ever was; a layout's numbers are indices into this list.
    pub members: Vec<Member>,
    /// The step of a change.
    pub step: Step,
    /// The layout in force, or the one being moved to.
    pub layout: Layout,
    /// The layout being moved away from; none when settled.
    pub old: Option<Layout>,
}

/// What an operator wants changed, against one version of the ring: a file to read and to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The ring.
    pub ring: RingId,
    /// The version it was made against.
    pub version: u64,
    /// The hash of that version's document, hexadecimal.
    pub hash: String,
    /// The wishes, in order.
    pub changes: Vec<Change>,
    /// The hash of all the rest, hexadecimal; a plan of an older build has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

impl Plan {
    /// A plan with its checksum.
    fn new(ring: RingId, version: u64, hash: String, changes: Vec<Change>) -> Self {
        let mut plan = Self { ring, version, hash, changes, checksum: None };
        plan.checksum = Some(plan.sum());
        plan
    }

    fn sum(&self) -> String {
        let parts = (self.ring, self.version, &self.hash, &self.changes);
        let bytes = postcard::to_stdvec(&parts).expect("a plan has nothing that cannot be encoded");
        blake3::hash(&bytes).to_hex().to_string()
    }

    /// Whether the file still says what was planned.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it does not match its checksum: it was damaged, or edited by hand.
    pub fn check(&self) -> Result<()> {
        match &self.checksum {
            Some(sum) if *sum != self.sum() => Err(Error::Corrupt(
                "The plan does not match its checksum: it was damaged or edited by hand. Nothing \
                 was changed."
                    .into(),
            )
            .hint("make a new one: kvs ring plan")),
            _ => Ok(()),
        }
    }
}

/// One wish of an operator; a plan is a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// A new member takes its share.
    Join(Member),
    /// A member that is alive hands its share over.
    Leave(String),
    /// A member stopped for good; what it acknowledges after this is lost.
    Remove(String),
    /// A lost member's places go to a new one, under the old one's name.
    Replace(Member),
    /// A member's share changes.
    Weight(String, u32),
}

impl RingDoc {
    /// The first document of a ring.
    ///
    /// # Errors
    /// [`Error::Usage`] when there are fewer members than replicas, names are not distinct, or one is
    /// not as [`check_new_name`] has it.
    pub fn first(id: RingId, q: Q, replicas: u8, members: Vec<Member>) -> Result<Self> {
        members.iter().try_for_each(Member::check_new)?;
        let empty = Layout::new(1, vec![0]); // replaced by the plan
        let step = Step::Settled;
        let mut doc = Self { id, version: 1, q, replicas, members, step, layout: empty, old: None };
        doc.check_bounds()?;
        doc.check_names()?;
        doc.layout = doc.plan(None)?;
        Ok(doc)
    }

    /// The member with this identity, and its index.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// The member of this name that is not removed.
    ///
    /// # Errors
    /// [`Error::Usage`] naming those there are.
    pub fn named(&self, name: &str) -> Result<&Member> {
        self.present().find(|m| m.name == name).ok_or_else(|| {
            let names: Vec<_> = self.present().map(|m| m.name.as_str()).collect();
            let left = self.members.iter().any(|m| m.name == name);
            let more = if left { " any more" } else { "" };
            let names = names.join(", ");
            Error::Usage(format!("No member is named {name}{more}; the members are {names}."))
                .hint("kvs ring show lists the members")
        })
    }

    /// The name of a member, or its id when unknown.
    #[must_use]
    pub fn name(&self, id: NodeId) -> String {
        self.member(id).map_or_else(|| id.to_string(), |m| m.name.clone())
    }

    /// The members that are not removed, in the order they came.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.state != State::Removed)
    }

    /// Who votes on the next document: normal and leaving members.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        let votes = |m: &&Member| matches!(m.state, State::Normal | State::Leaving);
        self.members.iter().filter(votes).map(|m| m.id)
    }

    /// The quorum used when none is asked for: a majority of N.
    #[must_use]
    pub fn majority(&self) -> usize {
        usize::from(self.replicas) / 2 + 1
    }

    /// N.
    #[must_use]
    pub fn n(&self) -> usize {
        usize::from(self.replicas)
    }

    /// The layouts a write must reach, each with its own W.
    #[must_use]
    pub fn write_layouts(&self) -> Vec<&Layout> {
        self.old.iter().chain([&self.layout]).collect()
    }

    /// The layout whose owners vote on reads.
    #[must_use]
    pub fn read_layout(&self) -> &Layout {
        match (self.step, &self.old) {
            (Step::WriteBoth, Some(old)) => old,
            _ => &self.layout,
        }
    }

    /// The owners of a partition in one layout, in order, removed members left out.
    #[must_use]
    pub fn owners_in(&self, layout: &Layout, p: Partition) -> Vec<NodeId> {
        self.ids(layout.owners(p.0))
    }

    /// Everyone a write of this partition goes to: the read layout's owners first.
    #[must_use]
    pub fn writers(&self, p: Partition) -> Vec<NodeId> {
        let mut all = self.owners_in(self.read_layout(), p);
        for layout in self.write_layouts() {
            for id in self.owners_in(layout, p) {
                if !all.contains(&id) {
                    all.push(id);
                }
            }
        }
        all
    }

    /// How many of these nodes own a partition; during a change, in the layout that has the fewest, as
    /// acknowledgements are counted.
    #[must_use]
    pub fn owners_among(&self, nodes: &[NodeId], p: Partition) -> usize {
        let count =
            |layout| self.owners_in(layout, p).iter().filter(|owner| nodes.contains(owner)).count();
        self.write_layouts().into_iter().map(count).min().unwrap_or_default()
    }

    /// Whether the node owns the partition in any layout of this document.
    #[must_use]
    pub fn owns(&self, id: NodeId, p: Partition) -> bool {
        let Some(index) = self.members.iter().position(|m| m.id == id) else { return false };
        self.write_layouts().iter().any(|l| l.owners(p.0).contains(&(index as u16)))
    }

    /// The partitions a node owns in any layout, in order.
    #[must_use]
    pub fn owned(&self, id: NodeId) -> Vec<Partition> {
        self.q.all().filter(|p| self.owns(id, *p)).collect()
    }

    /// Everyone in the order of the preference list of the read layout: owners, then fallbacks.
    #[must_use]
    pub fn preference(&self, p: Partition) -> Vec<NodeId> {
        let order: Vec<u16> = self.read_layout().preference(p.0).collect();
        let mut ids = self.ids(&order);
        for member in self.present().filter(|m| m.state != State::Joining) {
            if !ids.contains(&member.id) {
                ids.push(member.id);
            }
        }
        ids
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a document has nothing that cannot be encoded")
    }

    /// Reads a document back and checks it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for bytes that are not a document whose parts agree.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let doc: Self = postcard::from_bytes(bytes)
            .map_err(|e| Error::Corrupt(format!("A ring document cannot be read: {e}.")))?;
        doc.check()?;
        Ok(doc)
    }

    /// A plan against this document.
    #[must_use]
    pub fn plan_of(&self, changes: Vec<Change>) -> Plan {
        let hash = blake3::Hash::from(self.hash()).to_hex().to_string();
        Plan::new(self.id, self.version, hash, changes)
    }

    /// The first document of a plan's change, if the plan was made against this one.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the ring has moved on since, and as [`RingDoc::change`].
    pub fn apply(&self, plan: &Plan) -> Result<Self> {
        plan.check()?;
        let fresh = self.plan_of(plan.changes.clone());
        if (plan.ring, plan.version, &plan.hash) != (fresh.ring, fresh.version, &fresh.hash) {
            let (at, version) = (plan.version, self.version);
            return Err(Error::Conflict(format!(
                "The plan was made for version {at} of the ring, which is now at version \
                 {version}; nothing was changed."
            ))
            .hint("make a new one: kvs ring plan"));
        }
        self.change(&plan.changes)
    }

    /// The hash of the canonical bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.encode()).as_bytes()
    }

    /// The first document of a change: step 1 towards the layout that the wishes ask for.
    ///
    /// # Errors
    /// [`Error::Busy`] while another change is under way, [`Error::Usage`] for an unknown or doubled
    /// name, or a new one that is none, [`Error::Denied`] when fewer than N members would remain.
    /// Nothing is changed.
    pub fn change(&self, changes: &[Change]) -> Result<Self> {
        if self.step != Step::Settled {
            return Err(Error::Busy("A change of the ring is already under way.".into())
                .hint("finish it first: kvs ring apply, which reports what it is waiting for"));
        }
        let mut next = self.clone();
        let mut base = self.layout.clone();
        for change in changes {
            base = next.wish(change, base)?;
        }
        next.check_bounds()?;
        next.check_names()?;
        next.layout = next.plan(Some(&base))?;
        next.version += 1;
        next.old = Some(self.layout.clone());
        next.step = Step::WriteBoth;
        Ok(next)
    }

    /// The next document of the change under way: step 2 after 1, settled after 2.
    #[must_use]
    pub fn advance(&self) -> Option<Self> {
        let mut next = self.clone();
        next.version += 1;
        match self.step {
            Step::Settled => return None,
            Step::WriteBoth => next.step = Step::ReadNew,
            Step::ReadNew => {
                next.step = Step::Settled;
                next.old = None;
                for member in &mut next.members {
                    member.state = match member.state {
                        State::Joining => State::Normal,
                        State::Leaving => State::Removed,
                        state => state,
                    };
                }
            }
        }
        Some(next)
    }

    /// The same ring with a dead member marked as removed: allowed inside a change.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name.
    pub fn mark_removed(&self, name: &str) -> Result<Self> {
        let id = self.named(name)?.id;
        let mut next = self.clone();
        next.version += 1;
        next.members.iter_mut().filter(|m| m.id == id).for_each(|m| m.state = State::Removed);
        Ok(next)
    }

    /// Re-verifies every invariant.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming the first that does not hold.
    pub fn check(&self) -> Result<()> {
        self.check_bounds()?;
        self.check_names()?;
        let settled = self.step == Step::Settled;
        if settled != self.old.is_none() {
            return Err(Error::Corrupt("A ring document's step and layouts disagree.".into()));
        }
        if self.replicas == 0 || !self.write_layouts().iter().all(|l| self.is_whole(l)) {
            return Err(Error::Corrupt("A ring document's layout does not fit it.".into()));
        }
        Ok(())
    }

    fn wish(&mut self, change: &Change, base: Layout) -> Result<Layout> {
        match change {
            Change::Join(member) => {
                member.check_new()?;
                self.members.push(Member { state: State::Joining, ..member.clone() })
            }
            Change::Leave(name) => self.by_name(name)?.state = State::Leaving,
            Change::Remove(name) => self.by_name(name)?.state = State::Removed,
            Change::Weight(name, weight) => self.by_name(name)?.weight = (*weight).max(1),
            Change::Replace(member) => {
                let lost = self.named(&member.name)?.clone();
                let from = self.members.iter().position(|m| m.id == lost.id).expect("just found");
                self.members[from].state = State::Removed;
                let (zone, weight) = (lost.zone, lost.weight);
                self.members.push(Member { state: State::Joining, zone, weight, ..member.clone() });
                return Ok(base.substitute(from as u16, (self.members.len() - 1) as u16));
            }
        }
        Ok(base)
    }

    fn by_name(&mut self, name: &str) -> Result<&mut Member> {
        let id = self.named(name)?.id;
        Ok(self.members.iter_mut().find(|m| m.id == id).expect("just found"))
    }

    fn plan(&self, before: Option<&Layout>) -> Result<Layout> {
        plan(self.q.count(), self.n(), &self.candidates(), before).map_err(|e| {
            Error::Denied(format!("The ring cannot be laid out: {e}. Nothing was changed."))
        })
    }

    fn check_names(&self) -> Result<()> {
        let mut names: Vec<_> = self.present().map(|m| &m.name).collect();
        let mut ids: Vec<_> = self.members.iter().map(|m| m.id).collect();
        names.sort();
        ids.sort();
        if let Some(twice) = names.windows(2).find(|w| w[0] == w[1]) {
            return Err(Error::Usage(format!("Two members would have the name {}.", twice[0])));
        }
        if let Some(twins) = ids.windows(2).find(|w| w[0] == w[1]) {
            let text = "Two members have one identity: a directory was copied.";
            return Err(Error::Denied(text.into()).hint(format!(
                "give the copy an identity of its own: kvs replace {}",
                operand(self.name(twins[0]))
            )));
        }
        Ok(())
    }

    fn ids(&self, indices: &[u16]) -> Vec<NodeId> {
        let member = |i: &u16| &self.members[usize::from(*i)];
        indices.iter().map(member).filter(|m| m.state != State::Removed).map(|m| m.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_that_are_up_are_counted_per_layout() {
        let member = |i: u8| Member {
            id: NodeId(u64::from(i)),
            name: format!("n{i}"),
            zone: "default".into(),
            weight: 1,
            state: State::Normal,
            public_key: [i; 32],
        };
        let q = Q::new(16).expect("sixteen");
        let doc = RingDoc::first(RingId(7), q, 3, (1..=3).map(member).collect()).expect("a ring");
        let joining = Member { state: State::Joining, ..member(4) };
        let next = doc.apply(&doc.plan_of(vec![Change::Join(joining)])).expect("a change");
        assert_eq!(next.step, Step::WriteBoth);
        let [n1, n2, n3, n4] = [1, 2, 3, 4].map(NodeId);
        let moved = |p: &Partition| {
            let owners = next.owners_in(&next.layout, *p);
            owners.contains(&n4) && !owners.contains(&n3)
        };
        let p = next.q.all().find(moved).expect("a partition that n3 hands to n4");
        assert_eq!(next.owners_among(&[n1, n2, n3, n4], p), 3);
        // Three of the four writers are up, and one layout has two of them.
        assert_eq!(next.owners_among(&[n1, n2, n4], p), 2);
        assert_eq!(next.owners_among(&[n1, n2, n3], p), 2);
        assert_eq!(next.owners_among(&[n4], p), 0);
        assert_eq!(doc.owners_among(&[n1, n2, n4], p), 2);
    }
}
