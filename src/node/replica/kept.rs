//! Hints: records that this node keeps for another one that could not be reached.
//!
//! What was acknowledged is data: it is merged into what is kept already, and age never drops it. How
//! hints leave again: `op::handoff`.

use super::Replica;
use super::copies::Absorbed;
use crate::error::{Error, Result};
use crate::key::{Key, Partition};
use crate::node::flow::Ctx;
use crate::planted::{self, Bug};
use crate::record::Stored;
use crate::ring::NodeId;
use crate::store::{Hint, Op};

/// A fallback keeps acknowledged hints up to this many bytes; then it refuses more at the door.
const HINT_BYTES_MAX: u64 = 1 << 30;

impl Replica {
    /// Keeps records for another node; refuses at the door when it keeps too much already.
    pub(in crate::node) fn keep(
        &mut self,
        cx: &mut Ctx<'_>,
        target: NodeId,
        records: &[(Key, Stored)],
    ) -> Result<Absorbed> {
        if planted::is(Bug::DropHint) {
            return Ok(Absorbed { seq: None, full: false });
        }
        if self.is_going(self.id) || self.resting {
            // It has perhaps said already that it keeps none.
            return Err(Error::Refused("it is leaving, or about to stop".into()));
        }
        if cx.store.hint_stats()?.bytes > planted::hint_bytes(HINT_BYTES_MAX) {
            return Err(Error::Refused("it keeps too many hints already".into()));
        }
        let mut seq = None;
        for (key, stored) in records {
            let incoming = stored.record(key)?;
            self.identity.note_seen(&incoming.clock);
            let p = self.q().partition(key);
            let before = match self.queue.get(Some(target), p, key) {
                Some((at, staged)) => Some((staged.clone(), Some(*at))),
                None => self.kept(cx, target, p, key)?.map(|stored| (stored, None)),
            };
            let next = match &before {
                _ if planted::is(Bug::HintReplaced) => stored.clone(),
                None => stored.clone(),
                Some((kept, _)) => Stored::new(key, &kept.record(key)?.merge(&incoming).0),
            };
            if let Some((kept, at)) = before
                && kept.hash() == next.hash()
            {
                seq = seq.max(at);
                continue;
            }
            let hint = Hint { target, partition: p, key: key.clone(), stored: Some(next) };
            seq = Some(self.queue.push(Op::Hint(hint)));
        }
        Ok(Absorbed { seq, full: false })
    }

    pub(in crate::node) fn kept(
        &self,
        cx: &Ctx<'_>,
        target: NodeId,
        p: Partition,
        key: &Key,
    ) -> Result<Option<Stored>> {
        let hints = cx.store.hints_of(p, key)?;
        Ok(hints.into_iter().find(|h| h.target == target).and_then(|h| h.stored))
    }
}
