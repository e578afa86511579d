//! Minting: what a write of one key builds on, and the record it makes.
//!
//! ```text
//! base     local copy (staged or durable) + what the owners said; may this node mint here at all?
//! mint     which of it the write supersedes -> dot -> record, staged
//! ```
//!
//! Law of expiry: no value is superseded because one clock says that it has expired. Owners tell their
//! clocks with their answers; what has not expired by all of them counts as a value, and where no
//! other clock was heard an expired value stays beside the new one.
//!
//! Minting needs every earlier dot of this actor for the key. Whatever hints that one is missing (a
//! context or a peer that has seen more of us than we have) ends minting under this actor instead.

use super::Replica;
use crate::clock::{CLOCK_ENTRIES_MAX, Dot, VersionVector};
use crate::key::{Key, Partition};
use crate::node::flow::Ctx;
use crate::planted::{self, Bug};
use crate::quorum::{self, Item, ItemReply, Precondition};
use crate::record::{RECORD_BYTES_MAX, Record, SIBLINGS_MAX, Stored, Value};
use crate::store::Op;

/// What a value takes in a record besides its own bytes, at the least.
const BESIDE_BYTES: usize = 32;

/// What a write of one key builds on.
pub(in crate::node) struct WriteBase {
    /// This node's own copy.
    local: Record,
    /// What the owners that were asked hold, merged.
    others: Record,
}

impl Replica {
    /// Reads what a write builds on; the error says why this node cannot mint it.
    pub(in crate::node) fn write_base(
        &mut self,
        cx: &mut Ctx<'_>,
        p: Partition,
        item: &Item,
        (merged, clashes): (Option<Stored>, Vec<Dot>),
    ) -> Result<WriteBase, String> {
        if self.q().partition(&item.key) != p {
            return Err("the key is not of this partition".into());
        }
        self.report(cx, &item.key, &clashes);
        if !self.votes(cx, p) {
            return Err("its copy is not full, or has lost records".into());
        }
        let stored = self.local(cx, p, &item.key).map_err(|e| e.to_string())?.0;
        // What may only be written where nothing is must not trust a search that was led astray.
        let needs_none = matches!(item.basis, Precondition::Absent | Precondition::Exact(_));
        let unread = stored.is_none() && needs_none && !self.is_absent(cx, p, &item.key);
        if unread || self.identity.is_corrupt(p, &item.key) || !self.is_full(p) {
            return Err("its copy of the key cannot be read".into());
        }
        let read = |stored: Option<Stored>| stored.map(|s| s.record(&item.key)).transpose();
        let local = read(stored).map_err(|e| e.to_string())?.unwrap_or_default();
        let others = read(merged).map_err(|e| e.to_string())?.unwrap_or_default();
        let actor = self.identity.actor;
        let claimed = match &item.basis {
            Precondition::Context(context) | Precondition::Exact(context) => {
                context.get(actor).max(others.clock.get(actor))
            }
            _ => others.clock.get(actor),
        };
        if claimed > local.clock.get(actor) && !planted::is(Bug::KeepActorAfterContext) {
            self.lose(cx, p, "a client or peer has seen a later write of this node");
            return Err("its copy has lost records".into());
        }
        Ok(WriteBase { local, others })
    }

    /// Makes and stages the record of a write, unless its condition does not hold. `agreed_ms` is the
    /// time by which a value counts as expired for all who told their clocks, if others did.
    pub(in crate::node) fn mint(
        &mut self,
        cx: &Ctx<'_>,
        p: Partition,
        item: &Item,
        base: WriteBase,
        agreed_ms: Option<u64>,
    ) -> (ItemReply, Option<Stored>) {
        // The same key may stand in this request before; then its write is staged by now.
        let staged = self.staged(p, &item.key).and_then(|s| s.record(&item.key).ok());
        let local = staged.unwrap_or(base.local);
        let known = local.merge(&base.others).0;
        let values = known.visible(agreed_ms.unwrap_or(cx.now.wall_ms)).len();
        // An overwrite merges what the owners hold first: what it supersedes it has known.
        let (base, seen) = match &item.basis {
            Precondition::Absent if values > 0 => return (ItemReply::Conflict { values }, None),
            Precondition::Exact(context)
                if !context.descends(&known.clock) && !planted::is(Bug::ExactIsBlind) =>
            {
                return (ItemReply::Conflict { values }, None);
            }
            Precondition::Overwrite { .. } | Precondition::Exact(_)
                if item.value.is_none() && values == 0 =>
            {
                return (ItemReply::Absent, None);
            }
            Precondition::Overwrite { force: false } if values > 1 => {
                return (ItemReply::Conflict { values }, None);
            }
            Precondition::Overwrite { .. } | Precondition::Absent => {
                (&known, Some(known.clock.clone()))
            }
            Precondition::Exact(context) => (&known, Some(covered(context, &known))),
            Precondition::Context(context) => (&local, Some(covered(context, &local))),
            Precondition::Blind | Precondition::Append => (&local, None),
        };
        if let Some(why) = too_large(base, item, seen.as_ref()) {
            return (ItemReply::TooLarge(why), None);
        }
        let one_clock = agreed_ms.is_none() && self.doc.n() > 1;
        let unseen = matches!(item.basis, Precondition::Overwrite { .. } | Precondition::Absent);
        let keep = if one_clock && unseen { expired(&known, cx.now.wall_ms) } else { Vec::new() };
        self.stage_write(cx, p, item, base, seen.as_ref(), keep)
    }

    fn stage_write(
        &mut self,
        cx: &Ctx<'_>,
        partition: Partition,
        item: &Item,
        base: &Record,
        seen: Option<&VersionVector>,
        keep: Vec<(Dot, Value)>,
    ) -> (ItemReply, Option<Stored>) {
        let dot = self.identity.mint();
        let mut record = quorum::apply(base, item, seen, dot, cx.now.wall_ms);
        // Whoever mints a dot holds every earlier one of its actor for the key (`identity`).
        debug_assert!(record.clock.covers(dot), "a record knows the dot that it was written under");
        debug_assert!(record.clock.descends(&base.clock), "a write takes nothing out of the clock");
        record.siblings.extend(keep);
        record.siblings.sort_by_key(|s| s.0);
        let alone = match record.siblings.as_slice() {
            [] => item.value.is_none(),
            [(only, _)] => *only == dot,
            _ => false,
        };
        let context = alone.then(|| record.clock.clone());
        let values = record.visible(cx.now.wall_ms).len();
        let stored = self.stage_record(partition, &item.key, &record);
        (ItemReply::Written { dot, context, values }, Some(stored))
    }

    fn stage_record(&mut self, partition: Partition, key: &Key, record: &Record) -> Stored {
        let stored = Stored::new(key, record);
        self.queue.push(Op::Record { partition, key: key.clone(), stored: stored.clone() });
        stored
    }
}

/// The values of a record that have expired by this clock.
fn expired(record: &Record, wall_ms: u64) -> Vec<(Dot, Value)> {
    record.siblings.iter().filter(|s| !s.1.is_live(wall_ms)).cloned().collect()
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
        return Some(format!("its clock would have {actors} actors; the limit is 3000"));
    }
    let (bytes, _) = item.value.as_ref()?;
    let stays = |s: &&(Dot, Value)| seen.is_none_or(|c| !c.covers(s.0));
    let kept: Vec<usize> = base.siblings.iter().filter(stays).map(|s| s.1.bytes.len()).collect();
    let size = kept.iter().sum::<usize>() + bytes.len();
    // A dump may hold more values of a key than anybody may add: merges are never refused, and what
    // was dumped must load. Their bytes are bounded all the same, each with its place in the record.
    let many = match item.basis {
        Precondition::Append => size + kept.len() * BESIDE_BYTES > RECORD_BYTES_MAX,
        _ => kept.len() >= SIBLINGS_MAX,
    };
    (many || size > RECORD_BYTES_MAX).then(|| {
        format!(
            "the record would have {} values and {size} bytes; the limits are 25 and 4 MiB",
            kept.len() + 1
        )
    })
}
