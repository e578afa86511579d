//! Reads this node's file for a client that asks for it page by page.
//!
//! ```text
//! StoreQuery::Sums -> every partition's sum      StoreQuery::Visit(p, after) -> 1 MiB of raw rows
//! ```
//!
//! It reads and never writes. Caveat: it runs in the event loop, so each answer is bounded.

use std::ops::ControlFlow;

use serde_bytes::ByteBuf;

use crate::channel::{StoreQuery, StoreResult};
use crate::digest::Sum;
use crate::error::Result;
use crate::key::Partition;
use crate::store::lmdb::Lmdb;
use crate::store::{Store, hint_page};

/// Bytes in one page of raw records, or of hints.
const PAGE_BYTES: usize = 1 << 20;
/// Hints in one answer.
const HINTS_MAX: usize = 1_024;

/// The answer to a query.
///
/// # Errors
/// As the store: what cannot be read is an error, never an absence. Nothing was changed.
pub(super) fn answer(store: &Lmdb, query: &StoreQuery) -> Result<StoreResult> {
    Ok(match query {
        StoreQuery::Get(p, key) => StoreResult::Record(store.get(*p, key)?),
        StoreQuery::Visit(p, after) => page(store, *p, after.as_deref())?,
        StoreQuery::Sums => StoreResult::Sums(store.sums()?),
        StoreQuery::Sum(p) => StoreResult::Sum(store.sum(*p)?),
        StoreQuery::Leaves(p) => {
            let leaves = store.leaves(*p)?;
            let filled = (0..=u8::MAX).zip(leaves.iter().copied());
            StoreResult::Leaves(filled.filter(|(_, sum)| *sum != Sum::default()).collect())
        }
        StoreQuery::Hints(after, limit) => {
            let limit = HINTS_MAX.min(*limit as usize);
            StoreResult::Hints(hint_page(store, after.as_ref(), limit, PAGE_BYTES)?)
        }
        StoreQuery::HintStats => StoreResult::HintStats(store.hint_stats()?),
        StoreQuery::HintsOf(p, key) => StoreResult::Hints(store.hints_of(*p, key)?),
        StoreQuery::Bad => StoreResult::Bad(store.bad()?),
        StoreQuery::Row(table, name) => StoreResult::Row(store.row(*table, name)?),
        StoreQuery::Rows(table, prefix) => StoreResult::Rows(store.rows(*table, prefix)?),
        StoreQuery::BadHints => StoreResult::BadHints(store.bad_hints()?),
        StoreQuery::Base => store.base().map(|()| StoreResult::Base)?,
        StoreQuery::Size => StoreResult::Size(store.used_bytes()?, store.commit_number()),
    })
}

/// Raw records after a key, until they fill a page, and whether the partition ends with them.
fn page(store: &Lmdb, partition: Partition, after: Option<&[u8]>) -> Result<StoreResult> {
    let (mut rows, mut bytes, mut end) = (Vec::new(), 0, true);
    store.visit(partition, after, &mut |key, stored| {
        // Checked before a row is added: a page holds one row at least, or the reader never gets on.
        if bytes > PAGE_BYTES {
            end = false;
            return ControlFlow::Break(());
        }
        bytes += key.len() + stored.len();
        rows.push((ByteBuf::from(key), ByteBuf::from(stored)));
        ControlFlow::Continue(())
    })?;
    debug_assert!(end || !rows.is_empty(), "a page that does not end the partition holds a row");
    Ok(StoreResult::Page(rows, end))
}
