//! What every ring document has to be, whoever made it, and its canonical bytes.
//!
//! Bounds on counts and sizes come first, before anything that takes longer. A document that is read is
//! checked: what is in memory fits itself.

use super::{Candidate, ChangeStep, Layout, Member, MemberState, RingDoc};
use crate::error::{Error, Result, operand};

/// The most members that are not removed.
pub const MEMBERS_MAX: usize = 1_000;
/// The most members there ever were.
pub const MEMBERS_EVER_MAX: usize = 16_384;
/// The longest name of a member or zone, in bytes: a name is that of a directory.
pub const NAME_BYTES_MAX: usize = 255;
/// The highest weight that can be asked for, relative to 1.
pub const WEIGHT_MAX: u32 = 1_000;
/// The highest version: what is counted up from here does not overflow.
pub const VERSION_MAX: u64 = 1 << 53;

impl RingDoc {
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

    /// The hash of the canonical bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.encode()).as_bytes()
    }

    /// Re-verifies every invariant.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming the first that does not hold.
    pub fn check(&self) -> Result<()> {
        self.check_bounds()?;
        self.check_names()?;
        let settled = self.step == ChangeStep::Settled;
        if settled != self.old.is_none() {
            return Err(Error::Corrupt("A ring document's step and layouts disagree.".into()));
        }
        if self.replicas == 0 || !self.write_layouts().iter().all(|l| self.is_whole(l)) {
            return Err(Error::Corrupt("A ring document's layout does not fit it.".into()));
        }
        Ok(())
    }

    /// Who may own data.
    pub(super) fn candidates(&self) -> Vec<Option<Candidate>> {
        let candidate = |m: &Member| {
            let owns = matches!(m.state, MemberState::Joining | MemberState::Normal);
            owns.then(|| Candidate { zone: m.zone.clone(), weight: m.weight })
        };
        self.members.iter().map(candidate).collect()
    }

    /// No two present members of one name, no two members ever of one identity.
    pub(super) fn check_names(&self) -> Result<()> {
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

    /// Counts and sizes, before anything that takes longer.
    pub(super) fn check_bounds(&self) -> Result<()> {
        let (present, ever) = (self.present().count(), self.members.len());
        if present > MEMBERS_MAX || ever > MEMBERS_EVER_MAX {
            return Err(Error::Denied(format!(
                "{present} members, {ever} with those that are gone: a ring has at most \
                 {MEMBERS_MAX} and {MEMBERS_EVER_MAX}; nothing was changed."
            )));
        }
        let long = |m: &&Member| m.name.len() > NAME_BYTES_MAX || m.zone.len() > NAME_BYTES_MAX;
        if let Some(member) = self.members.iter().find(long) {
            let name: String = member.name.chars().take(20).collect();
            return Err(Error::Usage(format!(
                "The name {name:?}… or its zone is longer than {NAME_BYTES_MAX} bytes; nothing was \
                 changed."
            )));
        }
        if self.members.iter().any(|m| m.weight == 0) || self.version > VERSION_MAX {
            return Err(Error::Usage("A weight is 0, or the version too high.".into()));
        }
        Ok(())
    }

    /// Whether every partition has its owners: as many as replicas, each once, each a member.
    pub(super) fn is_whole(&self, layout: &Layout) -> bool {
        if layout.replicas() != self.n() || layout.partitions() != self.q.count() {
            return false;
        }
        let mut owned_in = vec![usize::MAX; self.members.len()];
        layout.iter().enumerate().all(|(p, owners)| {
            owners.iter().all(|owner| {
                let last = owned_in.get_mut(usize::from(*owner));
                last.is_some_and(|last| std::mem::replace(last, p) != p)
            })
        })
    }
}
