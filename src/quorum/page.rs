//! A scan of one partition: the pages that its owners gave, merged into one.
//!
//! ```text
//! n1  a b c |  goes on            the merged page ends at the least last key of those that go on:
//! n2  a   c d e |  goes on        n1 may hold more between c and e
//! ```
//!
//! What it does not do: a page lists what an owner holds, so nothing is written back from here.
//!
//! Caveat: one key that too few owners can read refuses the whole page.

use std::collections::BTreeMap;

use super::{Options, Progress};
use crate::key::Key;
use crate::planted::{self, Bug};
use crate::record::Stored;
use crate::ring::{NodeId, RingDoc};

/// What one owner holds of a partition after some key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order of their keys; `None` for a key whose record cannot be read.
    pub records: Vec<(Key, Option<Stored>)>,
    /// Nothing comes after it.
    pub end: bool,
    /// Its owner's copy is full: it is a vote.
    pub full: bool,
}

/// The merge of the pages of several owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedPage {
    /// In order of their keys.
    pub records: Vec<(Key, Stored)>,
    /// Nothing comes after it.
    pub end: bool,
}

/// What a scan does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanNext {
    /// More pages may come.
    Wait,
    /// Answer with this page.
    Answer(MergedPage),
    /// Too few owners, or too few readable copies of a key; why.
    Refuse(String),
}

/// The state of a scan of one partition: the pages that came.
#[derive(Clone, Debug)]
pub struct PageTally {
    r: usize,
    pages: BTreeMap<NodeId, Page>,
}

impl PageTally {
    /// A scan that wants the votes its options ask for.
    #[must_use]
    pub fn asked(doc: &RingDoc, options: &Options) -> Self {
        Self { r: options.r(doc), pages: BTreeMap::new() }
    }

    /// Takes an owner's page.
    pub fn page(&mut self, node: NodeId, page: Page) {
        debug_assert!(
            page.records.is_sorted_by(|a, b| a.0 < b.0),
            "a page is in order of its keys"
        );
        self.pages.insert(node, page);
    }

    /// What to do next: a scan waits for every owner that was asked, until its time is over.
    #[must_use]
    pub fn next(&self, progress: Progress) -> ScanNext {
        if !progress.is_over() {
            return ScanNext::Wait;
        }
        self.merged().map_or_else(ScanNext::Refuse, ScanNext::Answer)
    }

    /// Merges the pages up to the least last key of those that go on.
    fn merged(&self) -> Result<MergedPage, String> {
        let voters = self.pages.values().filter(|p| p.full).count();
        if voters < self.r {
            return Err(format!("{voters} of R={} full owners could be read", self.r));
        }
        let open = self.pages.values().filter(|p| !p.end);
        let bound: Option<&Key> = open.filter_map(|p| p.records.last().map(|r| &r.0)).min();
        let mut records = Vec::new();
        for (key, copies) in self.copies(bound) {
            let bad = planted::is(Bug::ScanCountsBad);
            let unreadable = if bad { 0 } else { copies.unreadable };
            // A full owner whose record is damaged is no vote that the others are right.
            if voters - unreadable < self.r {
                return Err(format!("too few readable copies of the key {key}"));
            }
            records.extend(merge_all(key, &copies.found).map(|stored| (key.clone(), stored)));
        }
        Ok(MergedPage { records, end: bound.is_none() })
    }

    /// The copies of each key up to the bound.
    fn copies(&self, bound: Option<&Key>) -> BTreeMap<&Key, Copies<'_>> {
        let mut copies: BTreeMap<&Key, Copies<'_>> = BTreeMap::new();
        for page in self.pages.values() {
            let within = |key: &Key| bound.is_none_or(|b| key <= b);
            for (key, stored) in page.records.iter().filter(|r| within(&r.0)) {
                let entry = copies.entry(key).or_default();
                match stored {
                    Some(stored) => entry.found.push(stored),
                    None if page.full => entry.unreadable += 1,
                    None => {}
                }
            }
        }
        copies
    }
}

/// What the owners hold of one key.
#[derive(Default)]
struct Copies<'a> {
    /// Full owners that cannot read theirs.
    unreadable: usize,
    found: Vec<&'a Stored>,
}

fn merge_all(key: &Key, found: &[&Stored]) -> Option<Stored> {
    let first = found.first()?;
    if found.iter().all(|s| s.hash() == first.hash()) {
        return Some((*first).clone());
    }
    let records = found.iter().filter_map(|s| s.record(key).ok());
    let merged = records.reduce(|merged, copy| merged.merge(&copy).0)?;
    Some(Stored::new(key, &merged))
}
