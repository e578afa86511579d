//! Reading a page of a partition: one from every live owner; how they merge is decided in `quorum`.

use std::collections::BTreeSet;

use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, PageAt, Wake};
use crate::node::replica::Replica;
use crate::protocol::Body;
use crate::quorum::{Options, Page, PageTally, Progress, ScanNext, TimeLeft};
use crate::ring::NodeId;

/// A read of a page of a partition.
pub(in crate::node) struct Scan {
    awaiting: BTreeSet<NodeId>,
    tally: PageTally,
    deadline_ms: u64,
}

impl Scan {
    /// Asks every live owner for the page.
    pub(in crate::node) fn begin(
        node: &mut Replica,
        cx: &mut Ctx<'_>,
        at: PageAt,
        options: Options,
    ) -> Flow<Box<Self>> {
        let PageAt { partition, after, limit } = at;
        let mut scan = Box::new(Self {
            awaiting: BTreeSet::new(),
            tally: PageTally::asked(&node.doc, &options),
            deadline_ms: cx.now.mono_ms + options.timeout_ms,
        });
        for owner in node.doc.owners_in(node.doc.read_layout(), partition) {
            // Before its witnesses are heard its own copy may be less than what it has acknowledged.
            if !node.is_up(owner) || owner == node.id && node.identity.is_waiting() {
                continue;
            }
            if owner == node.id {
                let page = node.page(cx, partition, after.as_ref(), limit);
                scan.take(owner, page);
            } else {
                scan.awaiting.insert(owner);
                node.ask(cx, owner, Body::Page { partition, after: after.clone(), limit });
            }
        }
        scan.decide(cx)
    }

    pub(in crate::node) fn step(
        mut self: Box<Self>,
        _: &mut Replica,
        cx: &mut Ctx<'_>,
        wake: Wake,
    ) -> Flow<Box<Self>> {
        match wake {
            Wake::Said(from, body) => {
                self.awaiting.remove(&from);
                self.take(from, body);
            }
            Wake::Lost(lost) | Wake::Unsent(lost) => drop(self.awaiting.remove(&lost)),
            _ => {}
        }
        self.decide(cx)
    }

    fn take(&mut self, from: NodeId, body: Body) {
        if let Body::Paged { records, end, full } = body {
            self.tally.page(from, Page { records, end, full });
        }
    }

    fn decide(self: Box<Self>, cx: &Ctx<'_>) -> Flow<Box<Self>> {
        let time = TimeLeft::at(cx.now.mono_ms, self.deadline_ms, self.deadline_ms);
        let progress = Progress { outstanding: self.awaiting.len(), time };
        Flow::reply(Reply::Scan(match self.tally.next(progress) {
            ScanNext::Wait => return Flow::Wait(self),
            ScanNext::Answer(page) => Ok((page.records, page.end)),
            ScanNext::Refuse(why) => Err(why),
        }))
    }
}
