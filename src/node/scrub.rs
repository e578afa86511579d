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

use std::ops::ControlFlow;

use super::{Asker, Cx, Node, Outcome, Reply};
use crate::key::Partition;
use crate::record;
use crate::store::{Op, Store, Table};

/// The row with the partition that comes next.
const NEXT: &str = "scrub";
/// The row with the time of the last end.
const LAST: &str = "scrubbed";

/// How far it is.
#[derive(Default)]
pub(super) struct Scrub {
    next: u32,
    after: Option<Vec<u8>>,
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

impl Node {
    /// Reads the next slice; the answer comes at once.
    pub(super) fn scrub(&mut self, cx: &mut Cx<'_>, asker: Asker, bytes: u64) {
        let p = Partition(u16::try_from(self.scrub.next).unwrap_or_default());
        let (mut bad, mut read, mut last) = (Vec::new(), 0, None);
        let visited = cx.store.visit(p, self.scrub.after.as_deref(), &mut |key, stored| {
            if read >= bytes {
                return ControlFlow::Break(());
            }
            read += (key.len() + stored.len()) as u64;
            if record::check(key, stored).is_err() {
                bad.push(key.to_vec());
            }
            last = Some(key.to_vec());
            ControlFlow::Continue(())
        });
        for key in bad {
            self.mark_bad(cx, p, &key);
        }
        self.scrub.after = last.filter(|_| read >= bytes && visited.is_ok());
        let ended = self.scrub.after.is_none();
        if ended {
            self.audit_anew(cx, p);
            self.scrub_next(cx);
        }
        let over = ended && self.scrub.next == 0;
        self.conclude(cx, asker, Outcome::Reply(Reply::Scrub { bytes: read, over }));
    }

    fn scrub_next(&mut self, cx: &Cx<'_>) {
        self.scrub.next = (self.scrub.next + 1) % self.q().count();
        let row = |name: &str, bytes: &[u8]| Op::Meta(name.into(), Some(bytes.to_vec()));
        self.stage.push(row(NEXT, &self.scrub.next.to_le_bytes()));
        if self.scrub.next == 0 {
            self.stage.push(row(LAST, &cx.now.wall_ms.to_le_bytes()));
        }
    }
}
