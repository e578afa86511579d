//! The scrub: a running node reads all it holds by and by, long before anybody asks for it.
//!
//! ```text
//! slice   some bytes of a partition, each record proven         bad -> struck, healed by others
//! end     the partition's keys and terms against its digest     lost -> told, filled by others
//! row `scrub`     the partition that comes next, kept when one is done
//! row `scrubbed`  when the last one was done, ms since 1970
//! ```
//!
//! One slice at a time, and the driver says how large: the foreground comes first. After a restart it
//! goes on with the partition it was at. It decides nothing: `audit` does. Caveat: hints and small rows
//! are proven whenever they are read, and not here.

use crate::store::{Store, Table};

/// The row with the partition that comes next.
pub(super) const NEXT: &str = "scrub";
/// The row with the time of the last end.
pub(super) const LAST: &str = "scrubbed";

/// How far it is.
#[derive(Default)]
pub(super) struct Scrub {
    pub(super) next: u32,
    pub(super) after: Option<Vec<u8>>,
}

impl Scrub {
    pub(super) fn load(store: &dyn Store) -> Self {
        let row = store.row(Table::Meta, NEXT).ok().flatten();
        let next = row.and_then(|row| row.try_into().ok()).map_or(0, u32::from_le_bytes);
        Self { next, after: None }
    }
}

/// When a file was last read to its end, ms since 1970.
#[must_use]
pub fn scrubbed_ms(store: &dyn Store) -> Option<u64> {
    let row = store.row(Table::Meta, LAST).ok().flatten()?;
    row.try_into().ok().map(u64::from_le_bytes)
}
