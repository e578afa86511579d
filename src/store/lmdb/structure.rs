//! Walks the trees of an LMDB file with plain reads, and says whether they are whole.
//!
//! LMDB trusts its pages. One that carries another's number, or a free list that names a page in use,
//! reads well and destroys other pages when it is written; one of no known kind ends the process. So
//! pages are proven before LMDB meets them:
//!
//! ```text
//! meta -> free tree -> numbers of free pages  --+  each is in the file, named once, and not in use
//!      -> main tree -> six trees, their pages --+  each in its place, of its kind, used once
//!
//! Frame      at every opening   all but the leaves of records and digests, which are most of a file
//! Partition  before a scan      the pages of both where a partition's rows are
//! Row        found to be none   the page of records where one would be, the way to it, and what the
//!                               pages beside it begin and end with
//! Whole      before mending     all of it
//! ```
//!
//! The leaves that are not read are still known by number, from the branches. Where rows
//! have pages of their own only leaves say which, so there `Frame` reads them too; they are few. The
//! keys that lead from page to page rise, and all that is below them lies between them: a search that
//! is led astray finds nothing, and puts a new row where none can be. What it does not do: it compares
//! no rows. Caveat: of a file that is being written, only a state that one of the two heads still names.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::preflight::{self, HEADER, Meta, corrupt, u16_at, u32_at, u64_at};
use crate::error::{Error, Result};
use crate::key::Partition;
use crate::store::tables::{LEAF_TAG, Name, SUM_TAG};

const NO_PAGE: u64 = u64::MAX;
/// LMDB's cursors go no deeper.
const LEVELS_MAX: u16 = 32;
/// Ample for a writer to go on with the head that it is writing.
const HEAD_WRITTEN: Duration = Duration::from_millis(20);
/// What a page is: exactly one of these. Other flags are of pages in memory; a writer that meets one on
/// the disk writes where nobody may.
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
/// A node whose data lies on pages of its own, and one that is a tree.
const NODE_BIG: u16 = 0x01;
const NODE_TREE: u16 = 0x02;
/// Where a tree's record has its height, its count of overflow pages and its root, and its length.
const LEVELS_AT: usize = 6;
const OVERFLOWS_AT: usize = 24;
const ROOT_AT: usize = 40;
const TREE_BYTES: usize = 48;

/// How much is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent<'k> {
    Whole,
    Frame,
    Partition(Partition),
    /// The row of a record.
    Row(&'k [u8]),
}

impl Extent<'_> {
    /// Whether only rows of records and digests are of interest.
    fn is_part(self) -> bool {
        matches!(self, Self::Partition(_) | Self::Row(_))
    }
}

/// Checks a file as of a transaction, or as it is now.
///
/// # Errors
/// [`Error::Corrupt`] when a page is not where or what it should be; [`Error::Io`].
pub(super) fn check(file: &File, path: &Path, txn: Option<u64>, extent: Extent<'_>) -> Result<()> {
    let Some(meta) = head(file, path, txn, extent)? else { return Ok(()) };
    let Meta { page_size, last_page, .. } = meta;
    let pages = last_page.saturating_add(1);
    // On the way to one row no page can be met twice: each is one level lower.
    let is_row = matches!(extent, Extent::Row(_));
    let used = if is_row { 0 } else { usize::try_from(pages).unwrap_or(0) };
    let (used, page_size) = (vec![false; used], u64::from(page_size));
    let mut walk = Walk { file, path, page_size, extent, pages, used, free: Vec::new() };
    if !extent.is_part() {
        walk.tree(&Tree { kind: PageKind::Free, has_big: true }, meta.free_root, meta.free_depth)?;
    }
    walk.tree(&Tree { kind: PageKind::Main, has_big: false }, meta.main_root, meta.main_depth)?;
    for page in std::mem::take(&mut walk.free) {
        let wrong = |_| corrupt(path, &format!("lists page {page} as free, which it cannot be"));
        walk.take(page, 1).map_err(wrong)?;
    }
    Ok(())
}

/// The head of a state, if one still names it. Whoever asks for the whole is told of the other, too.
fn head(file: &File, path: &Path, txn: Option<u64>, extent: Extent<'_>) -> Result<Option<Meta>> {
    if let (Some(txn), true) = (txn, extent.is_part()) {
        return preflight::head(file, path, txn);
    }
    let heads = preflight::metas(file, path).or_else(|_| {
        // What is damaged still is when a writer that was at it must have gone on.
        thread::sleep(HEAD_WRITTEN);
        preflight::metas(file, path)
    });
    let [first, second] = heads?;
    let wanted = txn.unwrap_or_else(|| first.txn.max(second.txn));
    Ok([first, second].into_iter().find(|meta| meta.txn == wanted))
}

/// What the rows of a tree are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageKind {
    /// Numbers of free pages.
    Free,
    /// The other trees.
    Main,
    Records,
    Digests,
    Others,
}

impl PageKind {
    /// Whether a key stands before another: the free pages of a transaction by its number.
    fn is_before(self, a: &[u8], b: &[u8]) -> bool {
        let number = |key: &[u8]| key.first_chunk().map(|n| u64::from_le_bytes(*n));
        match self {
            Self::Free => number(a) < number(b),
            _ => a < b,
        }
    }
}

struct Tree {
    kind: PageKind,
    /// Whether rows may have pages of their own.
    has_big: bool,
}

/// The keys that may stand below a node: from one up to another.
#[derive(Clone, Copy)]
struct Within<'k> {
    from: &'k [u8],
    to: Option<&'k [u8]>,
}

impl Within<'_> {
    fn has(&self, kind: PageKind, key: &[u8]) -> bool {
        !kind.is_before(key, self.from) && self.to.is_none_or(|to| kind.is_before(key, to))
    }
}

struct Walk<'f> {
    file: &'f File,
    path: &'f Path,
    page_size: u64,
    extent: Extent<'f>,
    pages: u64,
    /// Which of them were met; of none when the way is to one row.
    used: Vec<bool>,
    free: Vec<u64>,
}

impl Walk<'_> {
    fn damaged(&self, page: u64) -> Error {
        corrupt(self.path, &format!("has a damaged page, number {page}"))
    }

    /// Takes pages as used, once each.
    fn take(&mut self, first: u64, count: u64) -> Result<()> {
        let end = first.checked_add(count).filter(|end| first >= 2 && *end <= self.pages);
        let end = end.ok_or_else(|| self.damaged(first))?;
        if matches!(self.extent, Extent::Row(_)) {
            return Ok(());
        }
        for page in first..end {
            let at = usize::try_from(page).unwrap_or(usize::MAX);
            match self.used.get_mut(at) {
                Some(used) if !*used => *used = true,
                _ => return Err(self.damaged(page)),
            }
        }
        Ok(())
    }

    fn read(&self, page: u64, count: u64) -> Result<Vec<u8>> {
        if page.checked_add(count).is_none_or(|end| end > self.pages) {
            return Err(self.damaged(page));
        }
        let mut bytes = vec![0; (count * self.page_size) as usize];
        let read = self.file.read_exact_at(&mut bytes, page * self.page_size);
        read.map_err(|_| self.damaged(page))?;
        if u64_at(&bytes, 0) != page {
            return Err(self.damaged(page));
        }
        Ok(bytes)
    }

    /// A tree and all below it.
    fn tree(&mut self, tree: &Tree, root: u64, levels: u16) -> Result<()> {
        match (root, levels) {
            (NO_PAGE, 0) => Ok(()),
            (NO_PAGE, _) => Err(corrupt(self.path, "has a tree without a root")),
            (_, 1..=LEVELS_MAX) => self.page(tree, root, levels, Within { from: &[], to: None }),
            _ => Err(self.damaged(root)),
        }
    }

    /// A page of a tree, so many levels above the ground, and all below it.
    fn page(&mut self, tree: &Tree, number: u64, level: u16, within: Within<'_>) -> Result<()> {
        self.take(number, 1)?;
        let page = self.read(number, 1)?;
        let nodes = self.nodes(number, &page, level)?;
        // The first of a branch leads to all that is below the second.
        let keys = &nodes[usize::from(level > 1).min(nodes.len())..];
        let placed = keys.iter().all(|node| within.has(tree.kind, key(node)));
        // A row that is looked for alone is met by halving, so what is out of order hides it, as does a
        // head that says too little. Whoever scans rows tells which are out of place, and mends them.
        let strict =
            level > 1 || tree.kind == PageKind::Free || matches!(self.extent, Extent::Row(_));
        let rises = keys.is_sorted_by(|a, b| tree.kind.is_before(key(a), key(b)));
        if strict && !(placed && rises && fill(&nodes, &page)) {
            return Err(self.damaged(number));
        }
        if level > 1 {
            return self.branch(tree, number, level, &nodes, within);
        }
        nodes.iter().try_for_each(|node| self.leaf(tree, number, node))
    }

    /// The nodes of a page that is what it should be at its level.
    fn nodes<'p>(&self, number: u64, page: &'p [u8], level: u16) -> Result<Vec<&'p [u8]>> {
        let expected = if level == 1 { LEAF } else { BRANCH };
        let nodes = nodes(page).filter(|_| u16_at(page, 10) == expected);
        nodes.ok_or_else(|| self.damaged(number))
    }

    fn branch(
        &mut self,
        tree: &Tree,
        number: u64,
        level: u16,
        nodes: &[&[u8]],
        within: Within<'_>,
    ) -> Result<()> {
        if nodes.is_empty() {
            return Err(self.damaged(number));
        }
        let below = |i: usize| Within {
            from: if i == 0 { within.from } else { key(nodes[i]) },
            to: nodes.get(i + 1).map(|next| key(next)).or(within.to),
        };
        let wanted: Vec<_> = (0..nodes.len()).map(|i| self.is_wanted(tree, below(i))).collect();
        for (i, node) in nodes.iter().enumerate() {
            let (child, level) = (child(node), level - 1);
            // Whoever scans rows meets the one behind them too.
            let behind = i > 0 && wanted[i - 1];
            match self.extent {
                Extent::Row(_) if !wanted[i] => {
                    let ahead = wanted.get(i + 1).is_some_and(|wanted| *wanted);
                    if behind || ahead {
                        self.beside(child, level, below(i), ahead)?;
                    }
                }
                Extent::Partition(_) if !(wanted[i] || behind) => {}
                // Whether a leaf is one, and not a branch, the first of them says.
                Extent::Frame if !wanted[i] && !tree.has_big && level == 1 && i > 0 => {
                    self.take(child, 1)?;
                }
                _ => self.page(tree, child, level, below(i))?,
            }
        }
        Ok(())
    }

    /// A page beside the one where a row would be, and what is at its near end, down to the ground:
    /// one that does not belong there was led astray, and so may the row have been.
    fn beside(&self, number: u64, level: u16, within: Within<'_>, last: bool) -> Result<()> {
        let page = self.read(number, 1)?;
        let nodes = self.nodes(number, &page, level)?;
        let near = if last { nodes.last() } else { nodes.first() };
        let near = near.ok_or_else(|| self.damaged(number))?;
        if level > 1 {
            return self.beside(child(near), level - 1, within, last);
        }
        within.has(PageKind::Records, key(near)).then_some(()).ok_or_else(|| self.damaged(number))
    }

    /// Whether rows are looked for from one key up to another.
    fn is_wanted(&self, tree: &Tree, Within { from, to }: Within<'_>) -> bool {
        let (row, leaf);
        let prefix = match (self.extent, tree.kind) {
            (Extent::Frame, PageKind::Records) => return false,
            (Extent::Frame, PageKind::Digests) => &[SUM_TAG][..],
            (Extent::Partition(p), PageKind::Records) => {
                row = p.0.to_be_bytes();
                &row[..]
            }
            // Of keys that begin with the row's none is wanted, however many there are.
            (Extent::Row(row), PageKind::Records) => {
                return from <= row && to.is_none_or(|to| to > row);
            }
            (Extent::Partition(p), PageKind::Digests) => {
                let [hi, lo] = p.0.to_be_bytes();
                leaf = [LEAF_TAG, hi, lo];
                &leaf[..]
            }
            _ => return true,
        };
        &from[..from.len().min(prefix.len())] <= prefix && to.is_none_or(|to| to > prefix)
    }

    fn leaf(&mut self, tree: &Tree, page: u64, node: &[u8]) -> Result<()> {
        let (size, flags) = (u32_at(node, 0) as usize, u16_at(node, 4));
        let data = &node[8 + key(node).len()..];
        let expected = if tree.kind == PageKind::Main { NODE_TREE } else { flags & NODE_BIG };
        if flags != expected {
            return Err(self.damaged(page));
        }
        let big;
        let data = if flags & NODE_BIG != 0 {
            let first = data.first_chunk().ok_or_else(|| self.damaged(page))?;
            let first = u64::from_le_bytes(*first);
            let needed = (size as u64 + HEADER as u64).div_ceil(self.page_size);
            let head = self.read(first, 1)?;
            // A value that one batch made smaller keeps the pages that it had.
            let count = u64::from(u32_at(&head, 12));
            if u16_at(&head, 10) != OVERFLOW || count < needed {
                return Err(self.damaged(first));
            }
            self.take(first, count)?;
            // Only the free list is looked into; of a value the head will do.
            big = if tree.kind == PageKind::Free { self.read(first, needed)? } else { head };
            &big[HEADER..]
        } else {
            data.get(..size).ok_or_else(|| self.damaged(page))?
        };
        match tree.kind {
            PageKind::Free => {
                let numbers = data.get(..size).and_then(listed);
                self.free.extend(numbers.ok_or_else(|| self.damaged(page))?);
                Ok(())
            }
            PageKind::Main => self.named(page, key(node), data),
            PageKind::Records | PageKind::Digests | PageKind::Others => Ok(()),
        }
    }

    /// A tree that the main tree names.
    fn named(&mut self, page: u64, name: &[u8], record: &[u8]) -> Result<()> {
        let record = record.get(..TREE_BYTES).ok_or_else(|| self.damaged(page))?;
        let kind = match std::str::from_utf8(name) {
            Ok(name) if name == Name::Records.as_str() => PageKind::Records,
            Ok(name) if name == Name::Digests.as_str() => PageKind::Digests,
            _ => PageKind::Others,
        };
        let is_row = matches!(self.extent, Extent::Row(_));
        if kind == PageKind::Others && self.extent.is_part() || kind == PageKind::Digests && is_row
        {
            return Ok(());
        }
        let tree = Tree { kind, has_big: u64_at(record, OVERFLOWS_AT) > 0 };
        self.tree(&tree, u64_at(record, ROOT_AT), u16_at(record, LEVELS_AT))
    }
}

/// The nodes of a page, each with its key; `None` when one is not within the page.
fn nodes(page: &[u8]) -> Option<Vec<&[u8]>> {
    let (lower, upper) = (usize::from(u16_at(page, 12)), usize::from(u16_at(page, 14)));
    if lower < HEADER || lower > upper || upper > page.len() {
        return None;
    }
    let node = |i| {
        let at = usize::from(u16_at(page, HEADER + 2 * i));
        let node = page.get(at..).filter(|node| at >= upper && node.len() >= 8)?;
        (node.len() >= 8 + usize::from(u16_at(node, 6))).then_some(node)
    };
    (0..(lower - HEADER) / 2).map(node).collect()
}

/// Whether nodes fill what their page says is filled: LMDB leaves no gap, and a head that hides a node
/// or a length that is wrong would make it move other bytes.
fn fill(nodes: &[&[u8]], page: &[u8]) -> bool {
    let is_leaf = u16_at(page, 10) == LEAF;
    let filled: usize = nodes.iter().map(|node| length(node, is_leaf)).sum();
    filled == page.len() - usize::from(u16_at(page, 14))
}

/// The bytes that a node takes, its data included.
fn length(node: &[u8], is_leaf: bool) -> usize {
    let data = match is_leaf {
        false => 0,
        true if u16_at(node, 4) & NODE_BIG != 0 => 8,
        true => u32_at(node, 0) as usize,
    };
    (8 + key(node).len() + data).next_multiple_of(2)
}

/// The numbers in a row of the free list: how many, and then each, falling. A row may be longer.
fn listed(row: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = row.chunks_exact(8).map(|n| u64_at(n, 0));
    let count = usize::try_from(numbers.next()?).ok()?;
    let numbers: Vec<_> = numbers.take(count).collect();
    (numbers.len() == count && numbers.is_sorted_by(|a, b| a > b)).then_some(numbers)
}

/// The page that a node of a branch leads to.
fn child(node: &[u8]) -> u64 {
    u64::from(u32_at(node, 0)) | u64::from(u16_at(node, 4)) << 32
}

/// The key of a node that [`nodes`] has given.
fn key(node: &[u8]) -> &[u8] {
    &node[8..8 + usize::from(u16_at(node, 6))]
}
