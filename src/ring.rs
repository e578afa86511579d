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

mod change;
mod check;
mod follows;
mod layout;
mod member;
mod planner;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::change::{Change, RingPlan};
pub use self::check::{MEMBERS_EVER_MAX, MEMBERS_MAX, NAME_BYTES_MAX, VERSION_MAX, WEIGHT_MAX};
pub use self::layout::Layout;
pub use self::member::{Member, MemberState, NodeId, RingId, check_new_name};
pub use self::planner::{Candidate, PlanError, plan};
use crate::error::{Error, Result};
use crate::key::{Partition, Q};

/// Where a change of the ring stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeStep {
    /// No change under way.
    Settled,
    /// Step 1: write both layouts, read the old one.
    WriteBoth,
    /// Step 2: write both layouts, read the new one.
    ReadNew,
}

impl fmt::Display for ChangeStep {
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
    pub step: ChangeStep,
    /// The layout in force, or the one being moved to.
    pub layout: Layout,
    /// The layout being moved away from; none when settled.
    pub old: Option<Layout>,
}

impl RingDoc {
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
        self.members.iter().filter(|m| m.state != MemberState::Removed)
    }

    /// Who votes on the next document: normal and leaving members.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        let votes = |m: &&Member| matches!(m.state, MemberState::Normal | MemberState::Leaving);
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
            (ChangeStep::WriteBoth, Some(old)) => old,
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
        for member in self.present().filter(|m| m.state != MemberState::Joining) {
            if !ids.contains(&member.id) {
                ids.push(member.id);
            }
        }
        ids
    }

    fn ids(&self, indices: &[u16]) -> Vec<NodeId> {
        let member = |i: &u16| &self.members[usize::from(*i)];
        indices
            .iter()
            .map(member)
            .filter(|m| m.state != MemberState::Removed)
            .map(|m| m.id)
            .collect()
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
            state: MemberState::Normal,
            public_key: [i; 32],
        };
        let q = Q::new(16).expect("sixteen");
        let doc = RingDoc::first(RingId(7), q, 3, (1..=3).map(member).collect()).expect("a ring");
        let joining = Member { state: MemberState::Joining, ..member(4) };
        let next = doc.apply(&doc.plan_of(vec![Change::Join(joining)])).expect("a change");
        assert_eq!(next.step, ChangeStep::WriteBoth);
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
