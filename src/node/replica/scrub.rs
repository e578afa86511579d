//! One slice of the scrub: some bytes of a partition, each record proven; see `node::scrub`.

use std::ops::ControlFlow;

use super::Replica;
use crate::key::Partition;
use crate::node::event::Reply;
use crate::node::flow::Ctx;
use crate::node::scrub::{LAST, NEXT};
use crate::record;
use crate::store::Op;

impl Replica {
    /// Reads the next slice; the answer comes at once.
    pub(in crate::node) fn scrub_slice(&mut self, cx: &mut Ctx<'_>, bytes: u64) -> Reply {
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
            self.mark_corrupt(cx, p, &key);
        }
        self.scrub.after = last.filter(|_| read >= bytes && visited.is_ok());
        let ended = self.scrub.after.is_none();
        if ended {
            self.audit_anew(cx, p);
            self.scrub_next(cx);
        }
        let over = ended && self.scrub.next == 0;
        Reply::Scrub { bytes: read, over }
    }

    fn scrub_next(&mut self, cx: &Ctx<'_>) {
        self.scrub.next = (self.scrub.next + 1) % self.q().count();
        let row = |name: &str, bytes: &[u8]| Op::Meta(name.into(), Some(bytes.to_vec()));
        self.queue.push(row(NEXT, &self.scrub.next.to_le_bytes()));
        if self.scrub.next == 0 {
            self.queue.push(row(LAST, &cx.now.wall_ms.to_le_bytes()));
        }
    }
}
