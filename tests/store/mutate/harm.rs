//! What is done to a file: one damage of a kind, at a place that its seed says.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{PAGE, Tree, tables};

/// A generator whose numbers are the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What is done to a file.
pub(super) const KINDS: [&str; 15] = [
    "bit in a record",
    "bit in a key",
    "bit in a partition number",
    "bit in a hint",
    "bit in a leaf",
    "bit in ring or meta",
    "bit anywhere",
    "bit in a page head",
    "zeroed sector",
    "random page",
    "two pages swapped",
    "file cut short",
    "bit in a free page's number",
    "bit in an overflow page",
    "bit in a branch page",
];

/// A byte of one of those ranges, of whichever table.
fn any(
    tables: &BTreeMap<String, Tree>,
    of: impl Fn(&Tree) -> &Vec<Range<usize>>,
    random: &mut Random,
) -> Option<usize> {
    let all: Vec<_> = tables.values().flat_map(|t| of(t).iter().cloned()).collect();
    let one = all.get(random.below(all.len()))?;
    Some(one.start + random.below(one.len()))
}

/// The key of the record that a byte belongs to.
pub(super) fn key_at(bytes: &[u8], at: usize) -> Option<String> {
    let row = tables(bytes)["records"].rows.iter().find(|row| row.key.contains(&at)).cloned()?;
    String::from_utf8(bytes[row.key.start + 2..row.key.end].to_vec()).ok()
}

/// Damages a file; a sentence that says where.
pub(super) fn damage(bytes: &mut Vec<u8>, kind: &str, random: &mut Random) -> String {
    let tables = tables(bytes);
    let pages: Vec<usize> = tables.values().flat_map(|t| t.pages.clone()).collect();
    let flip = |bytes: &mut Vec<u8>, at: usize, random: &mut Random| {
        bytes[at] ^= 1 << random.below(8);
        format!("bit at {at}")
    };
    let row = |table: &str, random: &mut Random| {
        let rows = tables.get(table).map(|t| t.rows.clone()).unwrap_or_default();
        (!rows.is_empty()).then(|| rows[random.below(rows.len())].clone())
    };
    let place = match kind {
        "bit in a record" => {
            row("records", random).map(|r| r.value.start + random.below(r.value.len()))
        }
        "bit in a key" => {
            row("records", random).map(|r| r.key.start + 2 + random.below(r.key.len() - 2))
        }
        "bit in a partition number" => {
            row("records", random).map(|r| r.key.start + random.below(2))
        }
        "bit in a hint" => row("hints", random).map(|r| {
            let at = random.below(r.key.len() + r.value.len());
            if at < r.key.len() { r.key.start + at } else { r.value.start + at - r.key.len() }
        }),
        "bit in a leaf" => {
            row("digests", random).map(|r| r.value.start + random.below(r.value.len()))
        }
        "bit in ring or meta" => {
            let table = if random.below(2) == 0 { "meta" } else { "ring" };
            row(table, random).map(|r| r.value.start + random.below(r.value.len().max(1)))
        }
        "bit in a free page's number" => row("free", random).map(|r| {
            // The low bytes of a number behind the count of them: one that is in the file.
            let numbers = r.value.len().saturating_sub(8) / 8;
            r.value.start + 8 + random.below(numbers) * 8 + random.below(2)
        }),
        "bit in an overflow page" => any(&tables, |t| &t.overflow, random),
        "bit in a branch page" => any(&tables, |t| &t.branches, random),
        "bit in a page head" => Some(pages[random.below(pages.len())] * PAGE + random.below(64)),
        "bit anywhere" => Some(random.below(bytes.len())),
        _ => None,
    };
    if let Some(at) = place {
        return flip(bytes, at.min(bytes.len() - 1), random);
    }
    let page = pages[random.below(pages.len())];
    match kind {
        "zeroed sector" => {
            let at = page * PAGE + random.below(8) * 512;
            bytes[at..at + 512].fill(0);
            format!("sector at {at}")
        }
        "random page" => {
            bytes[page * PAGE..(page + 1) * PAGE].fill_with(|| random.next() as u8);
            format!("page {page}")
        }
        "two pages swapped" => {
            let other = pages[random.below(pages.len())];
            for i in 0..PAGE {
                bytes.swap(page * PAGE + i, other * PAGE + i);
            }
            format!("pages {page} and {other}")
        }
        "file cut short" => {
            bytes.truncate(random.below(bytes.len()));
            format!("{} bytes left", bytes.len())
        }
        _ => flip(bytes, page * PAGE + random.below(PAGE), random),
    }
}
