//! Reading a page of a partition: one from every live owner, merged up to the first page's end.
//!
//! A key that one owner holds unreadable lacks that owner's vote. Too few votes for one key refuse the
//! page: nothing is left out unseen.

use std::collections::{BTreeMap, BTreeSet};

use crate::key::Key;
use crate::node::event::Reply;
use crate::node::flow::{Ctx, Flow, PageAt, Wake};
use crate::node::replica::Replica;
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::Options;
use crate::record::Stored;
use crate::ring::NodeId;

/// A read of a page of a partition.
pub(in crate::node) struct Scan {
    r: usize,
    awaiting: BTreeSet<NodeId>,
    pages: BTreeMap<NodeId, Page>,
    deadline_ms: u64,
}

struct Page {
    records: Vec<(Key, Option<Stored>)>,
    end: bool,
    full: bool,
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
            r: options.r(&node.doc),
            awaiting: BTreeSet::new(),
            pages: BTreeMap::new(),
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
            self.pages.insert(from, Page { records, end, full });
        }
    }

    fn decide(self: Box<Self>, cx: &Ctx<'_>) -> Flow<Box<Self>> {
        if !self.awaiting.is_empty() && cx.now.mono_ms < self.deadline_ms {
            return Flow::Wait(self);
        }
        Flow::reply(Reply::Scan(merge_pages(&self)))
    }
}

/// Merges the pages up to the least last key of those that go on.
fn merge_pages(scan: &Scan) -> Result<(Vec<(Key, Stored)>, bool), String> {
    let voters = scan.pages.values().filter(|p| p.full).count();
    if voters < scan.r {
        return Err(format!("{voters} of R={} full owners could be read", scan.r));
    }
    let open = scan.pages.values().filter(|p| !p.end);
    let bound: Option<&Key> = open.filter_map(|p| p.records.last().map(|r| &r.0)).min();
    let within = |key: &Key| bound.is_none_or(|b| key <= b);
    let mut copies: BTreeMap<&Key, (usize, Vec<&Stored>)> = BTreeMap::new();
    for page in scan.pages.values() {
        for (key, stored) in page.records.iter().filter(|r| within(&r.0)) {
            let entry = copies.entry(key).or_default();
            match stored {
                None if page.full => entry.0 += 1,
                None => {}
                Some(stored) => entry.1.push(stored),
            }
        }
    }
    let mut merged = Vec::with_capacity(copies.len());
    for (key, (unreadable, found)) in copies {
        let unreadable = if planted::is(Bug::ScanCountsBad) { 0 } else { unreadable };
        if voters - unreadable < scan.r {
            return Err(format!("too few readable copies of the key {key}"));
        }
        merged.extend(merge_all(key, &found).map(|stored| (key.clone(), stored)));
    }
    Ok((merged, bound.is_none()))
}

fn merge_all(key: &Key, found: &[&Stored]) -> Option<Stored> {
    let first = found.first()?;
    if found.iter().all(|s| s.term() == first.term()) {
        return Some((*first).clone());
    }
    let records = found.iter().filter_map(|s| s.record(key).ok());
    let merged = records.reduce(|merged, copy| merged.merge(&copy).0)?;
    Some(Stored::new(key, &merged))
}
