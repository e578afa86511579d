//! Walks the trees of an LMDB file with plain reads, and says whether they are whole.
//!
//! Reading rows shows what is in the way of reading only. A page that carries another's number, or a
//! free list that names a page in use, reads well and destroys other pages when it is written:
//!
//! ```text
//! meta -> free tree -> numbers of free pages  --+  none of them is in use
//!      -> main tree -> six trees, their pages --+  each in its place, in bounds, used once
//! ```
//!
//! The keys that lead from page to page rise: a search that is led astray puts a new row where none can
//! be. `verify` asks all this of a file, and whoever is about to mend one. What it does not do: it
//! compares no rows. Caveat: of a file that is being written, only a state that one of the two heads still names.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::preflight::{self, HEADER, Meta, corrupt, u16_at, u32_at, u64_at};
use crate::error::{Error, Result};

const NO_PAGE: u64 = u64::MAX;
const DEPTH_MAX: usize = 32;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
/// A node whose data lies on pages of its own, and one that is a tree.
const NODE_BIG: u16 = 0x01;
const NODE_TREE: u16 = 0x02;
/// Where a tree's record has its root, and its length.
const ROOT_AT: usize = 40;
const TREE_BYTES: usize = 48;

/// Checks a file as of a transaction, or as it is now.
///
/// # Errors
/// [`Error::Corrupt`] when a page is not where or what it should be; [`Error::Io`].
pub(super) fn check(path: &Path, txn: Option<u64>) -> Result<()> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let [first, second] = preflight::metas(&file, path)?;
    let newest = if first.txn >= second.txn { first } else { second };
    let wanted = txn.unwrap_or(newest.txn);
    let Some(meta) = [first, second].into_iter().find(|meta| meta.txn == wanted) else {
        return Ok(());
    };
    let Meta { page_size, last_page, free_root, main_root, .. } = meta;
    let used = vec![false; usize::try_from(last_page).unwrap_or(0).saturating_add(1)];
    let page_size = u64::from(page_size);
    let mut walk = Walk { file: &file, path, page_size, used, free: Vec::new() };
    walk.tree(free_root, DEPTH_MAX, true)?;
    walk.tree(main_root, DEPTH_MAX, false)?;
    let taken = |page: &u64| {
        let at = usize::try_from(*page).unwrap_or(usize::MAX);
        walk.used.get(at).copied().unwrap_or(true)
    };
    match walk.free.iter().copied().find(taken) {
        Some(page) => Err(corrupt(path, &format!("takes page {page} for free, which is in use"))),
        None => Ok(()),
    }
}

struct Walk<'f> {
    file: &'f File,
    path: &'f Path,
    page_size: u64,
    used: Vec<bool>,
    free: Vec<u64>,
}

impl Walk<'_> {
    fn damaged(&self, page: u64) -> Error {
        corrupt(self.path, &format!("has a damaged page, number {page}"))
    }

    /// Takes pages as used, once each.
    fn take(&mut self, first: u64, count: u64) -> Result<()> {
        for page in first..first.saturating_add(count) {
            let at = usize::try_from(page).unwrap_or(usize::MAX);
            match self.used.get_mut(at) {
                Some(used) if page >= 2 && !*used => *used = true,
                _ => return Err(self.damaged(page)),
            }
        }
        Ok(())
    }

    fn read(&self, page: u64, count: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (count * self.page_size) as usize];
        let read = self.file.read_exact_at(&mut bytes, page * self.page_size);
        read.map_err(|_| self.damaged(page))?;
        if u64_at(&bytes, 0) != page {
            return Err(self.damaged(page));
        }
        Ok(bytes)
    }

    /// A tree and all below it; of the free list, the pages it names.
    fn tree(&mut self, root: u64, depth: usize, is_free_list: bool) -> Result<()> {
        if root == NO_PAGE {
            return Ok(());
        }
        self.take(root, 1)?;
        let page = self.read(root, 1)?;
        let flags = u16_at(&page, 10) & (BRANCH | LEAF | OVERFLOW);
        let (lower, upper) = (usize::from(u16_at(&page, 12)), usize::from(u16_at(&page, 14)));
        if depth == 0 || lower < HEADER || lower > upper || upper > page.len() {
            return Err(self.damaged(root));
        }
        let mut last: &[u8] = &[];
        for i in 0..(lower - HEADER) / 2 {
            let at = usize::from(u16_at(&page, HEADER + 2 * i));
            let node = page.get(at..).filter(|node| at >= upper && node.len() >= 8);
            let node = node.ok_or_else(|| self.damaged(root))?;
            match flags {
                BRANCH => {
                    let key = node.get(8..8 + usize::from(u16_at(node, 6)));
                    let key = key.ok_or_else(|| self.damaged(root))?;
                    // The first leads to all that is below the second; free pages are by number.
                    if i > 1 && key <= last && !is_free_list {
                        return Err(self.damaged(root));
                    }
                    last = key;
                    let child = u64::from(u32_at(node, 0)) | u64::from(u16_at(node, 4)) << 32;
                    self.tree(child, depth - 1, is_free_list)?;
                }
                LEAF => self.leaf(root, node, is_free_list, depth)?,
                _ => return Err(self.damaged(root)),
            }
        }
        Ok(())
    }

    fn leaf(&mut self, page: u64, node: &[u8], is_free_list: bool, depth: usize) -> Result<()> {
        let (size, flags) = (u32_at(node, 0) as usize, u16_at(node, 4));
        let data = node.get(8 + usize::from(u16_at(node, 6))..);
        let data = data.ok_or_else(|| self.damaged(page))?;
        let big;
        let data = if flags & NODE_BIG != 0 {
            let first = data.first_chunk().ok_or_else(|| self.damaged(page))?;
            let first = u64::from_le_bytes(*first);
            let count = (size as u64 + HEADER as u64).div_ceil(self.page_size);
            self.take(first, count)?;
            // Only the free list is looked into; of a value the head will do.
            big = self.read(first, if is_free_list { count } else { 1 })?;
            if u16_at(&big, 10) & OVERFLOW == 0 || u64::from(u32_at(&big, 12)) != count {
                return Err(self.damaged(first));
            }
            &big[HEADER..]
        } else {
            data.get(..size).ok_or_else(|| self.damaged(page))?
        };
        if is_free_list {
            let numbers = data.get(..size).ok_or_else(|| self.damaged(page))?;
            self.free.extend(numbers.chunks_exact(8).skip(1).map(|n| u64_at(n, 0)));
        } else if flags & NODE_TREE != 0 {
            let record = data.get(..TREE_BYTES).ok_or_else(|| self.damaged(page))?;
            self.tree(u64_at(record, ROOT_AT), depth - 1, false)?;
        }
        Ok(())
    }
}
