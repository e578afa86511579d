//! Minting: what a write of one key builds on, and the record it makes.
//!
//! ```text
//! ground   local copy (staged or durable) + what the owners said; may this node mint here at all?
//! mint     which of it the write supersedes -> dot -> record, staged
//! ```
//!
//! Minting needs every earlier dot of this actor for the key. Whatever hints that one is missing (a
//! context or a peer that has seen more of us than we have) ends minting under this actor instead.

use super::{Cx, Node};
use crate::clock::{CLOCK_ENTRIES_MAX, Dot, VersionVector};
use crate::key::Partition;
use crate::planted::{self, Bug};
use crate::quorum::{self, Basis, Item, ItemReply};
use crate::record::{RECORD_BYTES_MAX, Record, SIBLINGS_MAX, Stored, Value};
use crate::store::Op;

/// What a write of one key builds on.
pub(super) struct Ground {
    /// This node's own copy.
    local: Record,
    /// What the owners that were asked hold, merged.
    others: Record,
}

impl Node {
    /// Reads what a write builds on; the error says why this node cannot mint it.
    pub(super) fn ground(
        &mut self,
        cx: &mut Cx<'_>,
        p: Partition,
        item: &Item,
        (merged, clashes): (Option<Stored>, Vec<Dot>),
    ) -> Result<Ground, String> {
        if self.q().partition(&item.key) != p {
            return Err("the key is not of this partition".into());
        }
        self.report(cx, &item.key, &clashes);
        let stored = self.local(cx, p, &item.key).map_err(|e| e.to_string())?.0;
        if self.identity.is_bad(p, &item.key) || !self.is_full(p) {
            return Err("its copy of the key cannot be read".into());
        }
        if stored.is_none() && !self.audit(cx, p).map_err(|e| e.to_string())? {
            return Err("its copy has lost records".into());
        }
        let read = |stored: Option<Stored>| stored.map(|s| s.record(&item.key)).transpose();
        let local = read(stored).map_err(|e| e.to_string())?.unwrap_or_default();
        let others = read(merged).map_err(|e| e.to_string())?.unwrap_or_default();
        let actor = self.identity.actor;
        let claimed = match &item.basis {
            Basis::Context(context) => context.get(actor).max(others.clock.get(actor)),
            _ => others.clock.get(actor),
        };
        if claimed > local.clock.get(actor) {
            self.lose(cx, p, "a client or peer has seen a later write of this node");
            return Err("its copy has lost records".into());
        }
        Ok(Ground { local, others })
    }

    /// Makes and stages the record of a write, unless its condition does not hold.
    pub(super) fn mint(
        &mut self,
        cx: &Cx<'_>,
        p: Partition,
        item: &Item,
        ground: Ground,
    ) -> (ItemReply, Option<Stored>) {
        // The same key may stand in this request before; then its write is staged by now.
        let staged = self.staged(p, &item.key).and_then(|s| s.record(&item.key).ok());
        let local = staged.unwrap_or(ground.local);
        let known = local.merge(&ground.others).0;
        let values = known.visible(cx.now.wall_ms).len();
        // An overwrite merges what the owners hold first: what it supersedes it has known.
        let (base, seen) = match &item.basis {
            Basis::Absent if values > 0 => return (ItemReply::Conflict { values }, None),
            Basis::Overwrite { .. } if item.value.is_none() && values == 0 => {
                return (ItemReply::Absent, None);
            }
            Basis::Overwrite { force: false } if values > 1 => {
                return (ItemReply::Conflict { values }, None);
            }
            Basis::Overwrite { .. } | Basis::Absent => (&known, Some(known.clock.clone())),
            Basis::Context(context) => (&local, Some(covered(context, &local))),
            Basis::Blind | Basis::Beside => (&local, None),
        };
        if let Some(why) = too_large(base, item, seen.as_ref()) {
            return (ItemReply::TooLarge(why), None);
        }
        self.stage_write(cx, p, item, base, seen.as_ref())
    }

    fn stage_write(
        &mut self,
        cx: &Cx<'_>,
        partition: Partition,
        item: &Item,
        base: &Record,
        seen: Option<&VersionVector>,
    ) -> (ItemReply, Option<Stored>) {
        let dot = self.identity.mint();
        let record = quorum::apply(base, item, seen, dot, cx.now.wall_ms);
        let alone = match record.siblings.as_slice() {
            [] => item.value.is_none(),
            [(only, _)] => *only == dot,
            _ => false,
        };
        let context = alone.then(|| record.clock.clone());
        let values = record.visible(cx.now.wall_ms).len();
        let stored = Stored::new(&item.key, &record);
        self.stage.push(Op::Record { partition, key: item.key.clone(), stored: stored.clone() });
        (ItemReply::Written { dot, context, values }, Some(stored))
    }
}

/// What a context supersedes: exactly what it covers.
fn covered(context: &VersionVector, local: &Record) -> VersionVector {
    let mut covered = context.clone();
    if planted::is(Bug::CoverTooMuch) {
        covered.join(&local.clock);
    }
    covered
}

/// Why the record would pass a limit, if it would.
fn too_large(base: &Record, item: &Item, seen: Option<&VersionVector>) -> Option<String> {
    let mut clock = base.clock.clone();
    seen.into_iter().for_each(|seen| clock.join(seen));
    if clock.entries().len() > CLOCK_ENTRIES_MAX {
        let actors = clock.entries().len();
        return Some(format!("its clock would know {actors} actors; the most are 3000"));
    }
    let (bytes, _) = item.value.as_ref()?;
    let stays = |s: &&(Dot, Value)| seen.is_none_or(|c| !c.covers(s.0));
    let kept: Vec<usize> = base.siblings.iter().filter(stays).map(|s| s.1.bytes.len()).collect();
    let size = kept.iter().sum::<usize>() + bytes.len();
    (kept.len() >= SIBLINGS_MAX || size > RECORD_BYTES_MAX).then(|| {
        format!(
            "the record would have {} values and {size} bytes; the most are 25 and 4 MiB",
            kept.len() + 1
        )
    })
}
