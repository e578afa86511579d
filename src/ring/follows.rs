//! What a ring document must be, and what may follow it.
//!
//! Whoever has the ring's key can propose a document. What every document has to be stands in
//! [`RingDoc::check`]; what the next one may change, in [`RingDoc::follows`]:
//!
//! ```text
//! never                                   only so
//! id, Q, replicas                         version + 1
//! a member's id, key, name, zone, place   appended; Normal -> Leaving -> Removed, Joining -> Normal
//! a layout during a change                a new one with step 1, whole by the planner's hard rules
//! ```
//!
//! So a stranger's document can at most be a change that an operator could have asked for. It does
//! not judge whether a change is wise, nor whether a barrier has been passed.

use super::{ChangeStep, Member, MemberState, RingDoc};
use crate::error::{Error, Result};

/// A document so many versions ahead is believed; more cannot have been chosen meanwhile.
const VERSIONS_AHEAD_MAX: u64 = 1_000_000;

impl RingDoc {
    /// Whether this document may be chosen after `before`.
    ///
    /// # Errors
    /// [`Error::Denied`] naming the first rule it breaks. Nothing is changed.
    pub fn follows(&self, before: &Self) -> Result<()> {
        self.succeeds(before)?;
        if self.version != before.version + 1 {
            return Err(denied("its version is not the next one"));
        }
        match (before.step, self.step) {
            (ChangeStep::Settled, ChangeStep::WriteBoth) => self.begins(before),
            (ChangeStep::WriteBoth, ChangeStep::ReadNew)
            | (ChangeStep::ReadNew, ChangeStep::Settled) => {
                let expected = before.advance().as_ref() == Some(self);
                expected
                    .then_some(())
                    .ok_or_else(|| denied("the step changes more than a step does"))
            }
            (now, then) if now == then => self.removes_one(before),
            _ => Err(denied("a change goes from step to step")),
        }
    }

    /// Whether this document can stand some versions after `before`: what never changes is the same.
    ///
    /// # Errors
    /// As [`RingDoc::follows`].
    pub fn succeeds(&self, before: &Self) -> Result<()> {
        self.check().map_err(|error| denied(&error.to_string()))?;
        let fixed = (self.id, self.q, self.replicas) == (before.id, before.q, before.replicas);
        if !fixed {
            return Err(denied("id, partitions or replicas are other ones"));
        }
        let ahead = self.version.saturating_sub(before.version);
        if !(1..=VERSIONS_AHEAD_MAX).contains(&ahead) {
            return Err(denied("its version is not a later one, or too far ahead"));
        }
        let Some((known, new)) = self.members.split_at_checked(before.members.len()) else {
            return Err(denied("members are missing"));
        };
        for (now, then) in known.iter().zip(&before.members) {
            let same = (now.id, now.public_key) == (then.id, then.public_key);
            if !same || (&now.name, &now.zone) != (&then.name, &then.zone) {
                let name = &then.name;
                return Err(denied(&format!("who the member {name:?} is cannot be changed")));
            }
            if !may_become(then.state, now.state) {
                let (name, from, to) = (&then.name, then.state, now.state);
                return Err(denied(&format!("the member {name:?} cannot go from {from} to {to}")));
            }
        }
        new.iter().try_for_each(newcomer)
    }

    /// Step 1: a new layout beside the old one.
    fn begins(&self, before: &Self) -> Result<()> {
        if self.old.as_ref() != Some(&before.layout) {
            return Err(denied("the layout it moves from is not the present one"));
        }
        let known = self.members.iter().zip(&before.members);
        for (now, then) in known {
            let stays = now.state == then.state;
            if !stays && !matches!(now.state, MemberState::Leaving | MemberState::Removed) {
                return Err(denied("a change lets members only join, leave or be removed"));
            }
        }
        if self.members[before.members.len()..].iter().any(|m| m.state == MemberState::Normal) {
            return Err(denied("a new member must join first"));
        }
        self.layout.check(&self.candidates()).map_err(|rule| denied(&format!("its layout: {rule}")))
    }

    /// The one change that is allowed inside another: a member is dead.
    fn removes_one(&self, before: &Self) -> Result<()> {
        let mut expected = before.clone();
        expected.version = self.version;
        let removed = |(now, then): &(&mut Member, &Member)| {
            then.state == MemberState::Removed && now.state != MemberState::Removed
        };
        let gone: Vec<_> = expected.members.iter_mut().zip(&self.members).filter(removed).collect();
        let one = gone.len() == 1;
        gone.into_iter().for_each(|(member, _)| member.state = MemberState::Removed);
        if one && expected == *self { Ok(()) } else { Err(denied("nothing, or too much, changes")) }
    }
}

/// Whether a member's state may have become another, over any number of documents.
fn may_become(then: MemberState, now: MemberState) -> bool {
    match then {
        MemberState::Joining => true,
        MemberState::Normal => now != MemberState::Joining,
        MemberState::Leaving => matches!(now, MemberState::Leaving | MemberState::Removed),
        MemberState::Removed => now == MemberState::Removed,
    }
}

/// What a member that is new here must be: names are printed, and are parts of paths.
fn newcomer(member: &Member) -> Result<()> {
    let bad = |text: &str| text.chars().any(|c| c.is_control());
    let name = &member.name;
    if name.is_empty() || name.contains('/') || bad(name) || bad(&member.zone) {
        return Err(denied(&format!(
            "{name:?} in the zone {:?} is not a valid member name",
            member.zone
        )));
    }
    Ok(())
}

fn denied(why: &str) -> Error {
    Error::Denied(format!("The ring document cannot follow the present one: {why}."))
}

#[cfg(test)]
mod tests;
