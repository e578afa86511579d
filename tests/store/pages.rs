//! An LMDB file as bytes: where the rows of each table lie. It shares no code with what it tests.
//!
//! ```text
//! meta page -> main tree -> the tree of each table -> its pages, and the rows of its leaves
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
const HEAD: usize = 16;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const BIG: u16 = 0x01;

/// Where a row's bytes lie.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: Range<usize>,
    /// Empty when the value lies on pages of its own.
    pub(crate) value: Range<usize>,
}

/// One table: its pages, and its rows in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) pages: Vec<usize>,
    /// How high it is: none when it is empty.
    pub(crate) levels: usize,
    pub(crate) rows: Vec<Row>,
    /// Where its branch pages hold their nodes.
    pub(crate) branches: Vec<Range<usize>>,
    /// Values that lie on pages of their own, with the heads of those pages.
    pub(crate) overflow: Vec<Range<usize>>,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(word)
}

/// The tables of a whole file; `main`, which names them; and `free`, the pages that are free.
pub(crate) fn tables(bytes: &[u8]) -> BTreeMap<String, Tree> {
    let newest = [0, PAGE].into_iter().max_by_key(|meta| number::<8>(bytes, meta + HEAD + 128));
    let trees = newest.expect("two meta pages") + HEAD + 24;
    let [free, main] = [trees + 40, trees + 48 + 40].map(|at| {
        let mut tree = Tree::default();
        let root = number::<8>(bytes, at);
        if root != u64::MAX {
            walk(bytes, root as usize, 1, &mut tree);
        }
        tree
    });
    let tables = main.rows.iter().map(|row| {
        let name = String::from_utf8_lossy(&bytes[row.key.clone()]).into_owned();
        let mut tree = Tree::default();
        let root = number::<8>(bytes, row.value.start + 40);
        if root != u64::MAX {
            walk(bytes, root as usize, 1, &mut tree);
        }
        (name, tree)
    });
    let mut tables: BTreeMap<_, _> = tables.collect();
    tables.insert("main".into(), Tree { rows: Vec::new(), ..main });
    tables.insert("free".into(), free);
    tables
}

fn walk(bytes: &[u8], page: usize, depth: usize, tree: &mut Tree) {
    tree.levels = depth.max(tree.levels);
    tree.pages.push(page);
    let start = page * PAGE;
    let flags = number::<2>(bytes, start + 10) as u16;
    let nodes = (number::<2>(bytes, start + 12) as usize - HEAD) / 2;
    if flags & BRANCH != 0 {
        let upper = number::<2>(bytes, start + 14) as usize;
        tree.branches.push(start + upper..start + PAGE);
    }
    for i in 0..nodes {
        let node = start + number::<2>(bytes, start + HEAD + 2 * i) as usize;
        let (size, of) = (number::<4>(bytes, node) as usize, number::<2>(bytes, node + 4));
        let key = node + 8..node + 8 + number::<2>(bytes, node + 6) as usize;
        if flags & BRANCH != 0 {
            walk(bytes, size | (of as usize) << 32, depth + 1, tree);
        } else if flags & LEAF != 0 {
            let value = match of as u16 & BIG {
                0 => key.end..key.end + size,
                _ => {
                    let page = number::<8>(bytes, key.end) as usize * PAGE;
                    tree.overflow.push(page..page + HEAD + size);
                    key.end..key.end
                }
            };
            tree.rows.push(Row { key, value });
        }
    }
}
