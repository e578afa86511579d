//! Making the next document: an operator's wishes, and the steps of a change.
//!
//! ```text
//! plan_of(wishes) -> a file -> apply -> step 1 -> advance -> step 2 -> advance -> settled
//! ```
//!
//! What a document may not become is refused where it is chosen (`follows`), not here.

use serde::{Deserialize, Serialize};

use super::{ChangeStep, Layout, Member, MemberState, RingDoc, RingId, plan};
use crate::error::{Error, Result};
use crate::key::Q;

/// What an operator wants changed, against one version of the ring: a file to read and to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingPlan {
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

impl RingPlan {
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
    /// not as [`check_new_name`](super::check_new_name) has it.
    pub fn first(id: RingId, q: Q, replicas: u8, members: Vec<Member>) -> Result<Self> {
        members.iter().try_for_each(Member::check_new)?;
        let empty = Layout::new(1, vec![0]); // replaced by the plan
        let step = ChangeStep::Settled;
        let mut doc = Self { id, version: 1, q, replicas, members, step, layout: empty, old: None };
        doc.check_bounds()?;
        doc.check_names()?;
        doc.layout = doc.plan(None)?;
        Ok(doc)
    }

    /// A plan against this document.
    #[must_use]
    pub fn plan_of(&self, changes: Vec<Change>) -> RingPlan {
        let hash = blake3::Hash::from(self.hash()).to_hex().to_string();
        RingPlan::new(self.id, self.version, hash, changes)
    }

    /// The first document of a plan's change, if the plan was made against this one.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the ring has moved on since, and as [`RingDoc::change`].
    pub fn apply(&self, plan: &RingPlan) -> Result<Self> {
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

    /// The first document of a change: step 1 towards the layout that the wishes ask for.
    ///
    /// # Errors
    /// [`Error::Busy`] while another change is under way, [`Error::Usage`] for an unknown or doubled
    /// name, or a new one that is none, [`Error::Denied`] when fewer than N members would remain.
    /// Nothing is changed.
    pub fn change(&self, changes: &[Change]) -> Result<Self> {
        if self.step != ChangeStep::Settled {
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
        next.step = ChangeStep::WriteBoth;
        Ok(next)
    }

    /// The next document of the change under way: step 2 after 1, settled after 2.
    #[must_use]
    pub fn advance(&self) -> Option<Self> {
        let mut next = self.clone();
        next.version += 1;
        match self.step {
            ChangeStep::Settled => return None,
            ChangeStep::WriteBoth => next.step = ChangeStep::ReadNew,
            ChangeStep::ReadNew => {
                next.step = ChangeStep::Settled;
                next.old = None;
                for member in &mut next.members {
                    member.state = match member.state {
                        MemberState::Joining => MemberState::Normal,
                        MemberState::Leaving => MemberState::Removed,
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
        next.members.iter_mut().filter(|m| m.id == id).for_each(|m| m.state = MemberState::Removed);
        Ok(next)
    }

    fn wish(&mut self, change: &Change, base: Layout) -> Result<Layout> {
        match change {
            Change::Join(member) => {
                member.check_new()?;
                self.members.push(Member { state: MemberState::Joining, ..member.clone() })
            }
            Change::Leave(name) => self.by_name(name)?.state = MemberState::Leaving,
            Change::Remove(name) => self.by_name(name)?.state = MemberState::Removed,
            Change::Weight(name, weight) => self.by_name(name)?.weight = (*weight).max(1),
            Change::Replace(member) => {
                let lost = self.named(&member.name)?.clone();
                let from = self.members.iter().position(|m| m.id == lost.id).expect("just found");
                self.members[from].state = MemberState::Removed;
                let (zone, weight) = (lost.zone, lost.weight);
                self.members.push(Member {
                    state: MemberState::Joining,
                    zone,
                    weight,
                    ..member.clone()
                });
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
}
