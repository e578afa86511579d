//! What a write makes of its items: replies, dots and records, all staged here or none.

use crate::clock::{Dot, VersionVector};
use crate::key::Key;
use crate::node::flow::Ctx;
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::quorum::{self, ItemReply, Precondition, PutRequest, ReadTally};
use crate::record::Stored;

/// See the module.
#[derive(Debug, Default)]
pub(in crate::node) struct MintedItems {
    /// One per item of the request, in order.
    pub(in crate::node) replies: Vec<ItemReply>,
    /// The same.
    pub(in crate::node) items: Vec<quorum::Minted>,
    /// The records of the items that were minted.
    pub(in crate::node) records: Vec<(Key, Stored)>,
}

impl MintedItems {
    /// Mints and stages the records of a write: first all that can fail, then the staging, for a refusal
    /// must leave nothing behind. The error says why this node cannot mint them.
    pub(in crate::node) fn of(
        request: &PutRequest,
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        seen: &ReadTally,
    ) -> Result<Self, String> {
        let p = request.partition;
        let one = planted::is(Bug::OneClock).then_some(cx.now.wall_ms);
        let agreed_ms = one.or(seen.agreed_ms(cx.now.wall_ms));
        let mut bases = Vec::with_capacity(request.items.len());
        for (i, item) in request.items.iter().enumerate() {
            bases.push(node.write_base(cx, p, item, seen.merged(i, &item.key))?);
        }
        let mut minted = Self::default();
        for (item, base) in request.items.iter().zip(bases) {
            let alone = !matches!(minted.replies.last(), Some(ItemReply::Written { .. }));
            if item.basis == Precondition::Append && alone {
                minted.replies.push(ItemReply::Absent);
                minted.items.push(quorum::Minted::default());
                continue;
            }
            let (reply, stored) = node.mint(cx, p, item, base, agreed_ms);
            minted.items.push(quorum::Minted {
                dot: dot(&reply),
                expected: match &item.basis {
                    Precondition::Exact(_) => clock_of(stored.as_ref(), &item.key),
                    _ => VersionVector::new(),
                },
            });
            minted.records.extend(stored.map(|s| (item.key.clone(), s)));
            minted.replies.push(reply);
        }
        debug_assert_eq!(minted.items.len(), request.items.len(), "one answer per item");
        Ok(minted)
    }
}

/// The dot of an item that was written.
fn dot(reply: &ItemReply) -> Option<Dot> {
    match reply {
        ItemReply::Written { dot, .. } => Some(*dot),
        _ => None,
    }
}

/// What a record that was just made knows: what may be found without another writer being there.
fn clock_of(stored: Option<&Stored>, key: &Key) -> VersionVector {
    stored.and_then(|s| s.record(key).ok()).unwrap_or_default().clock
}
