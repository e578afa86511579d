//! Coordinating a read: ask the owners, count votes, merge, and for a strict read make sure.
//!
//! ```text
//! Get:  Reading --R votes--> reply, and what some owners lack is written back without waiting
//!                 strict, not held by N-R+1 owners: --> WritingBack --> reply
//! Scan: a page from every live owner; merged up to the first page's end
//! ```
//!
//! Fallbacks are asked when owners are down; they add what they keep and no vote. A driver that must
//! not write (`write_back` off) gets "refused" where a strict read would have had to write first.
//!
//! Law of strict reads: what is answered is held, as exactly that record, by N-R+1 owners of each
//! layout at that moment. Writing back is an operation of its own: what it waits for are acks of this
//! one record, and a late answer to the reading changes nothing any more. An owner that does not
//! answer holds nothing up: after a while those that did are enough.

use std::collections::{BTreeMap, BTreeSet};

use super::{Asker, Cx, Node, Outcome, Reply, Task, Wake};
use crate::key::{Key, Partition};
use crate::planted::{self, Bug};
use crate::protocol::Body;
use crate::quorum::{GetReply, Options, ReadTally, Verdict};
use crate::record::{Stored, Term};
use crate::ring::NodeId;

/// A strict read waits at most so long for owners that do not answer before it writes back to those
/// that did, in ms; never longer than a quarter of its time.
const PATIENCE_MS: u64 = 500;

/// A read of one key.
pub(super) struct Get {
    asker: Asker,
    key: Key,
    options: Options,
    r: usize,
    tally: ReadTally,
    awaiting: BTreeSet<NodeId>,
    /// The record being written back, to those awaited.
    writing_back: Option<Term>,
    /// The version of the ring document it acts under.
    version: u64,
    /// From when on those that have not answered are not waited for, if the others suffice.
    patience_ms: u64,
    deadline_ms: u64,
}

impl Get {
    /// Whether it is a strict read that may still answer from what it asked under a document older
    /// than this version: who holds what it read may have left since.
    pub(super) fn is_older(&self, version: u64) -> bool {
        self.options.strict && self.version < version
    }
}

/// A read of a page of a partition.
pub(super) struct Scan {
    asker: Asker,
    r: usize,
    owners: Vec<NodeId>,
    awaiting: BTreeSet<NodeId>,
    pages: BTreeMap<NodeId, Page>,
    deadline_ms: u64,
}

struct Page {
    records: Vec<(Key, Option<Stored>)>,
    end: bool,
    full: bool,
}

impl Node {
    /// Reads a key for a client.
    pub(super) fn get(&mut self, cx: &mut Cx<'_>, asker: Asker, key: Key, options: Options) {
        let p = self.q().partition(&key);
        let options = self.zoned(options);
        let r = options.r(&self.doc);
        let layout_owners = self.doc.owners_in(self.doc.read_layout(), p);
        let mut asked: Vec<NodeId> = self.doc.writers(p);
        if !options.strict || planted::is(Bug::SkipOlderLayout) {
            asked.retain(|o| layout_owners.contains(o));
        }
        let down = asked.iter().filter(|o| !self.is_up(**o)).count();
        asked.retain(|o| self.is_up(*o));
        if let Some(m) = options.n {
            asked.truncate(usize::from(m));
        }
        if down > 0 && options.n.is_none() {
            let writers = self.doc.writers(p);
            let spare = |id: &NodeId| !writers.contains(id) && self.is_up(*id);
            asked.extend(self.doc.preference(p).into_iter().filter(spare).take(self.doc.n()));
        }
        let mut tally = ReadTally::asked(&self.doc, p, &options);
        if asked.contains(&self.id) && !self.identity.is_waiting() {
            let own = self.look(cx, &key);
            tally.answer(self.id, vec![own]);
        }
        asked.retain(|o| *o != self.id);
        let op = self.new_op();
        for peer in &asked {
            self.send(cx, *peer, op, Body::Read(vec![key.clone()]));
        }
        let now = cx.now.mono_ms;
        let get = Box::new(Get {
            asker,
            key,
            r,
            tally,
            awaiting: asked.into_iter().collect(),
            writing_back: None,
            version: self.doc.version,
            patience_ms: now + PATIENCE_MS.min(options.timeout_ms / 4),
            deadline_ms: now + options.timeout_ms,
            options,
        });
        self.get_step(cx, op, get);
    }

    fn get_step(&mut self, cx: &mut Cx<'_>, op: u64, get: Box<Get>) {
        let late = cx.now.mono_ms >= get.deadline_ms;
        let over = get.awaiting.is_empty() || late;
        let (merged, _) = get.tally.merged(0, &get.key);
        let term = merged.as_ref().map(Stored::term);
        let loose = planted::is(Bug::StrictIsLoose);
        let held = loose || !get.options.strict || get.tally.is_held(0, term, self.doc.n());
        let enough = get.tally.is_enough(1);
        if enough && held && (over || !get.options.patient) {
            if get.options.write_back && !get.options.strict {
                self.repair_read(cx, &get, merged.as_ref());
            }
            return self.reply_get(cx, get, Verdict::Done);
        }
        let may = enough && get.options.write_back && get.options.strict && !late;
        let silent = over || cx.now.mono_ms >= get.patience_ms;
        if may
            && silent
            && get.writing_back.is_none()
            && let Some(merged) = merged
        {
            let stale = get.tally.stale(0, Some(&merged));
            if !stale.is_empty() {
                return self.write_back(cx, get, stale, &merged);
            }
        }
        if !over {
            self.tasks.insert(op, Task::Get(get));
            return;
        }
        let verdict = self.refusal(&get, enough);
        self.reply_get(cx, get, verdict);
    }

    fn refusal(&self, get: &Get, enough: bool) -> Verdict {
        if get.tally.answered().next().is_none() {
            return Verdict::Unreachable("no owner of the key answered".into());
        }
        if enough {
            let needed = self.doc.n() + 1 - get.r;
            let why = format!("fewer than {needed} owners (N-R+1) hold the newest version");
            return Verdict::Refused(why);
        }
        let (votes, n) = (get.tally.votes(0), self.doc.n());
        Verdict::Refused(format!("{votes} of R={} votes were given (N={n})", get.r))
    }

    /// A strict read stores the merged record where it is missing before it answers.
    fn write_back(
        &mut self,
        cx: &mut Cx<'_>,
        mut get: Box<Get>,
        stale: Vec<NodeId>,
        merged: &Stored,
    ) {
        let op = self.new_op();
        get.writing_back = Some(merged.term());
        get.awaiting = stale.iter().copied().collect();
        for owner in stale {
            let records = vec![(get.key.clone(), merged.clone())];
            self.send(cx, owner, op, Body::Write { records, hint_for: None });
        }
        self.tasks.insert(op, Task::Get(get));
    }

    /// Read repair: sent, not waited for.
    fn repair_read(&mut self, cx: &mut Cx<'_>, get: &Get, merged: Option<&Stored>) {
        let Some(merged) = merged else { return };
        for owner in get.tally.stale(0, Some(merged)) {
            let records = vec![(get.key.clone(), merged.clone())];
            self.send(cx, owner, 0, Body::Write { records, hint_for: None });
        }
    }

    fn reply_get(&mut self, cx: &mut Cx<'_>, get: Box<Get>, verdict: Verdict) {
        let (stored, clashes) = get.tally.merged(0, &get.key);
        self.report(cx, &get.key, &clashes);
        let answers = get.tally.said(0);
        let reply = GetReply { verdict, stored, answers, r: get.r, clashes };
        self.conclude(cx, get.asker, Outcome::Reply(Reply::Get(reply)));
    }

    pub(super) fn on_get(&mut self, cx: &mut Cx<'_>, op: u64, mut get: Box<Get>, wake: Wake) {
        match wake {
            Wake::Said(from, Body::Answers(answers) | Body::Copies { answers, .. }) => {
                let answers = answers.into_iter().map(|a| a.proven(&get.key)).collect();
                get.tally.answer(from, answers);
                get.awaiting.remove(&from);
            }
            Wake::Said(from, Body::Stored { .. }) => {
                if let Some(term) = get.writing_back {
                    get.tally.wrote_back(from, term);
                }
                get.awaiting.remove(&from);
            }
            Wake::Said(node, _) | Wake::Lost { node, .. } => drop(get.awaiting.remove(&node)),
            _ => {}
        }
        self.get_step(cx, op, get);
    }

    /// Reads a page of a partition from every live owner.
    pub(super) fn scan(
        &mut self,
        cx: &mut Cx<'_>,
        asker: Asker,
        p: Partition,
        after: Option<Key>,
        limit: u32,
        options: Options,
    ) {
        let r = options.r(&self.doc);
        let owners = self.doc.owners_in(self.doc.read_layout(), p);
        let op = self.new_op();
        let mut scan = Scan {
            asker,
            r,
            awaiting: BTreeSet::new(),
            pages: BTreeMap::new(),
            deadline_ms: cx.now.mono_ms + options.timeout_ms,
            owners,
        };
        // Before its witnesses are heard its own copy may be less than what it has acknowledged.
        let mute = self.identity.is_waiting().then_some(self.id);
        let asked = scan.owners.iter().filter(|o| self.is_up(**o) && Some(**o) != mute);
        for owner in asked.copied().collect::<Vec<_>>() {
            if owner == self.id {
                if let Body::Paged { records, end, full } = self.page(cx, p, after.as_ref(), limit)
                {
                    scan.pages.insert(owner, Page { records, end, full });
                }
            } else {
                scan.awaiting.insert(owner);
                let body = Body::Page { partition: p, after: after.clone(), limit };
                self.send(cx, owner, op, body);
            }
        }
        self.scan_step(cx, op, scan);
    }

    pub(super) fn on_scan(&mut self, cx: &mut Cx<'_>, op: u64, mut scan: Scan, wake: Wake) {
        match wake {
            Wake::Said(from, body) => {
                scan.awaiting.remove(&from);
                if let Body::Paged { records, end, full } = body {
                    scan.pages.insert(from, Page { records, end, full });
                }
            }
            Wake::Lost { node, .. } => drop(scan.awaiting.remove(&node)),
            _ => {}
        }
        self.scan_step(cx, op, scan);
    }

    fn scan_step(&mut self, cx: &mut Cx<'_>, op: u64, scan: Scan) {
        if !scan.awaiting.is_empty() && cx.now.mono_ms < scan.deadline_ms {
            self.tasks.insert(op, Task::Scan(scan));
            return;
        }
        let outcome = merge_pages(&scan);
        self.conclude(cx, scan.asker, Outcome::Reply(Reply::Scan(outcome)));
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
