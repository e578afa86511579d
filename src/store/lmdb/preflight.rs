//! Looks at an LMDB file with plain reads before it is mapped.
//!
//! LMDB trusts its file: a page behind the end is SIGBUS, a torn meta page a strange error. What can
//! be known from both meta pages and the length is checked here and said in plain words.
//!
//! ```text
//! page 0   meta: magic, version, page size, roots, last page, transaction 42
//! page 1   meta: the same at transaction 41          the newer one counts
//! page 2…  data …                       | end of file | last page
//!                                        ^ legal only when every page from here on is free
//! ```
//!
//! The length may rightly fall short of the last page: pages that were taken and given back within
//! one transaction are never written. So the free list is read too, and only then. The layout is
//! that of 64-bit little-endian LMDB, data version 1. Caveat: the trees are not walked ([`super::structure`]
//! does that); a damaged page in the middle is met when it is read.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::config::name_of;
use crate::error::{Error, Result, operand};
use crate::os::parent;
use crate::store::tables::REPLACE;

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
/// The page header, before a meta's fields and before the offsets of a tree page's nodes.
pub(super) const HEADER: usize = 16;
const META_BYTES: usize = 152;
const PAGE_SIZE_AT: u64 = 40;
const NO_PAGE: u64 = u64::MAX;
/// Deeper than any tree LMDB can walk.
const DEPTH_MAX: usize = 32;
const FLAG_BRANCH: u16 = 0x01;
const FLAG_LEAF: u16 = 0x02;
const FLAG_OVERFLOW: u16 = 0x04;
const FLAG_META: u16 = 0x08;
/// A node whose data lies on pages of its own.
const NODE_BIG: u16 = 0x01;

/// What is used of a meta page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    version: u32,
    pub(super) page_size: u32,
    pub(super) free_root: u64,
    pub(super) free_depth: u16,
    pub(super) main_root: u64,
    pub(super) main_depth: u16,
    pub(super) last_page: u64,
    pub(super) txn: u64,
}

/// Checks a file.
///
/// # Errors
/// [`Error::Corrupt`] for a damaged or cut file, [`Error::Usage`] for a newer one,
/// [`Error::Denied`] for one of another kind of machine, [`Error::Io`].
pub(super) fn check(file: &File, path: &Path) -> Result<()> {
    let length = file.metadata().map_err(Error::io("inspect", path))?.len();
    if length == 0 {
        return Err(corrupt(path, "is empty"));
    }
    let [first, second] = metas(file, path)?;
    // Damage strikes one head; a newer LMDB writes both.
    if first.version != second.version
        || first.page_size != second.page_size
        || first.txn.abs_diff(second.txn) > 1
    {
        return Err(corrupt(path, "has two heads that contradict each other"));
    }
    if first.version != VERSION {
        return Err(Error::Usage(format!(
            "The file {} has LMDB's data version {}; this build reads {VERSION}. \
             Nothing was changed.",
            path.display(),
            first.version
        )));
    }
    let newest = if first.txn >= second.txn { first } else { second };
    let page_size = u64::from(newest.page_size);
    let pages = length / page_size;
    if pages <= newest.last_page {
        let free = FreeList { file, path, page_size, pages, first_missing: pages };
        let missing = newest.last_page + 1 - pages;
        if free.missing(newest.free_root)?.len() as u64 != missing {
            let need = (newest.last_page + 1).saturating_mul(page_size);
            return Err(corrupt(path, &format!("is cut short: it has {length} bytes of {need}")));
        }
    }
    Ok(())
}

/// Both heads of a file.
pub(super) fn metas(file: &File, path: &Path) -> Result<[Meta; 2]> {
    let first = meta(file, path, 0, 0)?;
    Ok([first, meta(file, path, 1, u64::from(first.page_size))?])
}

/// The head that names a state, if one still does. The other is not judged: a writer may be at it, and
/// what is read then may be half old and half new.
pub(super) fn head(file: &File, path: &Path, txn: u64) -> Result<Option<Meta>> {
    let mut page_size = [0; 4];
    file.read_exact_at(&mut page_size, PAGE_SIZE_AT).map_err(|error| read_error(path, error))?;
    let number = txn % 2;
    let head = meta(file, path, number, number * u64::from(u32::from_le_bytes(page_size)))?;
    Ok((head.txn == txn).then_some(head))
}

fn meta(file: &File, path: &Path, number: u64, at: u64) -> Result<Meta> {
    let mut bytes = [0; META_BYTES];
    file.read_exact_at(&mut bytes, at).map_err(|error| read_error(path, error))?;
    match u32_at(&bytes, HEADER) {
        MAGIC => {}
        magic if magic == MAGIC.swap_bytes() => {
            return Err(Error::Denied(format!(
                "The file {} was made on another kind of machine. Nothing was changed.",
                path.display()
            ))
            .hint("carry the data over as text: kvs dump there, kvs load here"));
        }
        _ if number == 0 => {
            return Err(corrupt(path, "is not an LMDB file, or its head is damaged"));
        }
        _ => return Err(corrupt(path, "has a damaged head")),
    }
    let meta = Meta {
        version: u32_at(&bytes, HEADER + 4),
        page_size: u32_at(&bytes, PAGE_SIZE_AT as usize),
        free_depth: u16_at(&bytes, 46),
        free_root: u64_at(&bytes, 80),
        main_depth: u16_at(&bytes, 94),
        main_root: u64_at(&bytes, 128),
        last_page: u64_at(&bytes, 136),
        txn: u64_at(&bytes, 144),
    };
    let is_page = |p: u64| p == NO_PAGE || (2..=meta.last_page).contains(&p);
    let sane = meta.page_size.is_power_of_two()
        && (512..=65_536).contains(&meta.page_size)
        && u16_at(&bytes, 10) & FLAG_META != 0
        && u64_at(&bytes, 0) == number
        && (meta.txn == 0 || meta.txn % 2 == number)
        && (1..1 << 47).contains(&meta.last_page)
        && is_page(meta.free_root)
        && is_page(meta.main_root);
    if sane { Ok(meta) } else { Err(corrupt(path, "has a damaged head")) }
}

/// The free list, as far as it speaks of pages behind the end of the file.
struct FreeList<'f> {
    file: &'f File,
    path: &'f Path,
    page_size: u64,
    pages: u64,
    first_missing: u64,
}

impl FreeList<'_> {
    fn missing(&self, root: u64) -> Result<BTreeSet<u64>> {
        let mut found = BTreeSet::new();
        if root != NO_PAGE {
            self.tree(root, DEPTH_MAX, &mut found)?;
        }
        Ok(found)
    }

    fn tree(&self, number: u64, depth: usize, found: &mut BTreeSet<u64>) -> Result<()> {
        let page = self.read(number, 1)?;
        let flags = u16_at(&page, 10);
        let nodes = usize::from(u16_at(&page, 12)).saturating_sub(HEADER) / 2;
        if depth == 0 || HEADER + nodes * 2 > page.len() {
            return Err(self.damaged());
        }
        for i in 0..nodes {
            let at = usize::from(u16_at(&page, HEADER + i * 2));
            let node = page.get(at..).filter(|n| n.len() >= 8).ok_or_else(|| self.damaged())?;
            let low = u64::from(u32_at(node, 0));
            if flags & FLAG_BRANCH != 0 {
                self.tree(low | u64::from(u16_at(node, 4)) << 32, depth - 1, found)?;
            } else if flags & FLAG_LEAF != 0 {
                self.list(node, low as usize, found)?;
            }
        }
        Ok(())
    }

    /// One row: a count and as many page numbers, in the node or on pages of their own.
    fn list(&self, node: &[u8], size: usize, found: &mut BTreeSet<u64>) -> Result<()> {
        let at = 8 + usize::from(u16_at(node, 6));
        let data = node.get(at..).ok_or_else(|| self.damaged())?;
        let big;
        let data = if u16_at(node, 4) & NODE_BIG != 0 {
            let first = data.first_chunk().ok_or_else(|| self.damaged())?;
            let first = u64::from_le_bytes(*first);
            let count = (size as u64 + HEADER as u64).div_ceil(self.page_size);
            big = self.read(first, count)?;
            if u16_at(&big, 10) & FLAG_OVERFLOW == 0 {
                return Err(self.damaged());
            }
            &big[HEADER..]
        } else {
            data
        };
        let numbers = data.get(..size).ok_or_else(|| self.damaged())?.chunks_exact(8);
        let numbers = numbers.skip(1).map(|n| u64_at(n, 0));
        found.extend(numbers.filter(|page| *page >= self.first_missing));
        Ok(())
    }

    fn read(&self, number: u64, count: u64) -> Result<Vec<u8>> {
        if number < 2 || number.saturating_add(count) > self.pages {
            return Err(self.damaged());
        }
        let mut bytes = vec![0; (count * self.page_size) as usize];
        let read = self.file.read_exact_at(&mut bytes, number * self.page_size);
        read.map_err(|error| read_error(self.path, error))?;
        Ok(bytes)
    }

    fn damaged(&self) -> Error {
        corrupt(self.path, "is cut short")
    }
}

pub(super) fn corrupt(path: &Path, how: &str) -> Error {
    Error::Corrupt(format!("The file {} {how}. Nothing was changed.", path.display()))
        .hint(replace(path))
}

/// The way out of a file that is damaged as a whole.
pub(super) fn replace(path: &Path) -> String {
    format!("{REPLACE}: kvs replace {}", operand(name_of(parent(path))))
}

/// An error about a file, its way out with the name of the file's node.
pub(super) fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Hinted { error, hint } if hint == REPLACE => error.hint(replace(path)),
        other => other,
    }
}

fn read_error(path: &Path, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return corrupt(path, "is cut short");
    }
    Error::io("read", path)(error)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the length"))
}
