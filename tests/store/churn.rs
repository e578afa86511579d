//! What LMDB writes is never called damaged: a file that is written at random, and asked after each
//! commit whether it is whole.
//!
//! ```text
//! one batch: puts of 0 to 20 KiB, overwrites in other sizes, hints of long keys put and struck by the
//!            thousand, rows struck one by one, partitions dropped, rows of meta and ring
//! then:      base, structure, keys that are there, keys that are not
//! ```
//!
//! A reader that is held lets the free list grow by rows; then it lets go. `KVS_CHURN` is for how many
//! seconds (sixty commits unless set), `KVS_CHURN_SEED` the first seed.

#![allow(clippy::disallowed_methods, reason = "a test has threads, a clock and an environment")]

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Instant;

use super::pages::{PAGE, tables};
use super::*;

const COMMITS: usize = 60;
/// Bytes of records above which partitions are dropped.
const FULL: usize = 12 << 20;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn size(&mut self) -> usize {
        match self.below(8) {
            0 => self.below(20 << 10),
            1 => 1_900 + self.below(300),
            2 => self.below(5_000),
            _ => self.below(200),
        }
    }

    /// Keys with everything in common but their ends, keys that begin others, and any bytes.
    fn key(&mut self) -> Key {
        let long = |n: usize, end: usize| format!("{}{end:05}", "p".repeat(n)).into_bytes();
        Key::new(match self.below(7) {
            0 => long(495, self.below(4_000)),
            1 => long(200, self.below(4_000)),
            2 => vec![b'a'; 1 + self.below(500)],
            3 => {
                let n = 1 + self.below(500);
                (0..n).map(|_| self.next() as u8).collect()
            }
            4 => vec![self.below(256) as u8; 1 + self.below(3)],
            _ => format!("k{}", self.below(30_000)).into_bytes(),
        })
        .unwrap()
    }
}

/// The most that was met of what is seldom.
#[derive(Debug, Default)]
struct Seen {
    commits: usize,
    pages: usize,
    free_rows: usize,
    /// Rows of the free list on pages of their own, and on more than one.
    free_big: usize,
    free_long: usize,
    free_levels: usize,
    /// Levels of the deepest tree, and its rows.
    levels: usize,
    rows: usize,
    emptied: usize,
}

struct Churn {
    dir: TempDir,
    store: Lmdb,
    random: Random,
    records: BTreeMap<(Partition, Key), (u64, usize)>,
    hints: BTreeSet<(NodeId, Partition, Key)>,
    bad: BTreeSet<(Partition, Key)>,
    names: BTreeSet<(bool, String)>,
    seen: Seen,
}

fn of(key: &Key) -> Partition {
    q().partition(key)
}

impl Churn {
    fn new(seed: u64) -> Self {
        let dir = directory(0);
        let (store, random) = (writer(dir.path()), Random(seed));
        let (records, hints, bad) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let (names, seen) = (BTreeSet::new(), Seen::default());
        Self { dir, store, random, records, hints, bad, names, seen }
    }

    fn put(&mut self, key: Key, size: usize, ops: &mut Vec<Op>) {
        let counter = self.random.next() >> 20;
        ops.push(Op::Record {
            partition: of(&key),
            stored: stored(&key, counter, size),
            key: key.clone(),
        });
        self.records.insert((of(&key), key), (counter, size));
    }

    fn drop_one(&mut self, p: Partition, ops: &mut Vec<Op>) {
        ops.push(Op::Drop(p));
        self.records.retain(|(at, _), _| *at != p);
        self.bad.retain(|(at, _)| *at != p);
    }

    /// So many of a set, from anywhere or one after the other.
    fn some<T: Clone>(&mut self, all: Vec<T>, n: usize) -> Vec<T> {
        if all.is_empty() {
            return all;
        }
        let start = self.random.below(all.len());
        if self.random.below(2) == 0 {
            return all.into_iter().skip(start).take(n).collect();
        }
        (0..n).map(|_| all[self.random.below(all.len())].clone()).collect()
    }

    fn batch(&mut self) -> Batch {
        let mut ops = Vec::new();
        let bytes: usize = self.records.values().map(|(_, size)| size + 300).sum();
        if bytes > FULL {
            let spare = Partition(self.random.below(8) as u16);
            q().all().filter(|p| *p != spare).for_each(|p| self.drop_one(p, &mut ops));
        }
        for _ in 0..=self.random.below(3) {
            self.change(&mut ops);
        }
        Batch { ops }
    }

    fn change(&mut self, ops: &mut Vec<Op>) {
        match self.random.below(16) {
            0..=2 => {
                for _ in 0..self.random.below(40) {
                    let (key, size) = (self.random.key(), self.random.size());
                    self.put(key, size, ops);
                }
            }
            3 => {
                for _ in 0..self.random.below(1_500) {
                    let (key, size) = (self.random.key(), self.random.below(100));
                    self.put(key, size, ops);
                }
            }
            4..=5 => self.overwrite(ops),
            6 => {
                let p = Partition(self.random.below(8) as u16);
                self.drop_one(p, ops);
            }
            7..=8 => self.strike(ops),
            9..=10 => {
                for _ in 0..self.random.below(1_000) {
                    let (key, target) = (self.random.key(), NodeId(self.random.below(3) as u64));
                    let size = self.random.below(3_000);
                    let stored = (self.random.below(3) == 0).then(|| stored(&key, 0, size));
                    self.hints.insert((target, of(&key), key.clone()));
                    ops.push(Op::Hint(Hint { target, partition: of(&key), key, stored }));
                }
            }
            11..=13 => {
                let n = [1, 30, self.hints.len() / 2, self.hints.len()][self.random.below(4)];
                for hint in self.some(self.hints.iter().cloned().collect(), n) {
                    self.hints.remove(&hint);
                    let (target, partition, key) = hint;
                    ops.push(Op::Unhint { target, partition, key });
                }
            }
            _ => self.name(ops),
        }
    }

    /// Other sizes, and of some several within one batch.
    fn overwrite(&mut self, ops: &mut Vec<Op>) {
        let n = self.random.below(60);
        for (_, key) in self.some(self.records.keys().cloned().collect(), n) {
            for _ in 0..=self.random.below(3) {
                let size = self.random.size();
                self.put(key.clone(), size, ops);
            }
        }
    }

    /// Records to the table of bad ones, and from there to nowhere.
    fn strike(&mut self, ops: &mut Vec<Op>) {
        let n = [3, 100, 2_000][self.random.below(3)];
        let p = Partition(self.random.below(8) as u16);
        let of_one = self.records.keys().filter(|(at, _)| *at == p).cloned().collect();
        for (partition, key) in self.some(of_one, n) {
            self.records.remove(&(partition, key.clone()));
            self.bad.insert((partition, key.clone()));
            ops.push(Op::Bad { partition, key: key.into() });
        }
        if self.random.below(2) == 0 {
            for (partition, key) in std::mem::take(&mut self.bad) {
                ops.push(Op::Healed { partition, key: key.into() });
            }
        }
    }

    fn name(&mut self, ops: &mut Vec<Op>) {
        for _ in 0..self.random.below(30) {
            let (ring, n) = (self.random.below(2) == 0, self.random.below(80));
            let name = format!("x{}{n}", "n".repeat(n));
            let value = (self.random.below(2) == 0).then(|| vec![7; self.random.size()]);
            self.names.insert((ring, name.clone()));
            ops.push(if ring { Op::Ring(name, value) } else { Op::Meta(name, value) });
        }
    }

    /// A key that is not there, most of them beside one that is.
    fn absent(&mut self) -> Key {
        loop {
            let mut bytes = Vec::from(self.random.key());
            if !self.records.is_empty() && self.random.below(4) > 0 {
                let key = self.records.keys().nth(self.random.below(self.records.len()));
                bytes = Vec::from(key.unwrap().1.clone());
                match self.random.below(4) {
                    0 => bytes.truncate(1 + self.random.below(bytes.len())),
                    1 => bytes.push(self.random.below(256) as u8),
                    _ => {
                        let at = self.random.below(bytes.len());
                        bytes[at] = bytes[at].wrapping_add(1);
                    }
                }
            }
            if let Ok(key) = Key::new(bytes)
                && !self.records.contains_key(&(of(&key), key.clone()))
            {
                return key;
            }
        }
    }

    fn check(&mut self, probes: usize) {
        let at = self.seen.commits;
        self.store.base().unwrap_or_else(|e| panic!("commit {at}, base: {e}"));
        self.store.structure().unwrap_or_else(|e| panic!("commit {at}, structure: {e}"));
        for _ in 0..probes {
            let key = self.absent();
            assert_eq!(self.store.get(of(&key), &key).unwrap(), None);
            let proof = self.store.prove_absent(of(&key), &key);
            proof.unwrap_or_else(|e| panic!("commit {at}, key {key}: {e}"));
        }
        for _ in 0..probes.min(self.records.len()) {
            let one = self.records.iter().nth(self.random.below(self.records.len())).unwrap();
            let ((p, key), (counter, size)) = one;
            let found = self.store.get(*p, key).unwrap();
            assert!(found == Some(stored(key, *counter, *size)), "commit {at}, key {key}");
        }
    }

    fn look(&mut self) {
        let tables = tables(&fs::read(self.dir.path().join("data.mdb")).unwrap());
        let (free, seen) = (&tables["free"], &mut self.seen);
        let of = |at_least: usize| free.overflow.iter().filter(|o| o.len() > at_least).count();
        let most = |seen: &mut usize, now: usize| *seen = now.max(*seen);
        most(&mut seen.pages, tables.values().map(|t| t.pages.len() + t.overflow.len()).sum());
        most(&mut seen.free_rows, free.rows.len());
        most(&mut seen.free_big, of(0));
        most(&mut seen.free_long, of(PAGE));
        most(&mut seen.free_levels, free.levels);
        most(&mut seen.levels, tables.values().map(|t| t.levels).max().unwrap());
        most(&mut seen.rows, tables.values().map(|t| t.rows.len()).max().unwrap());
        seen.emptied += usize::from(tables["hints"].levels == 0);
    }

    /// Commits, and now and then a reader that is held, or a file that is opened again.
    fn run(mut self, is_over: impl Fn(usize) -> bool) -> Seen {
        let mut held: Vec<Lmdb> = Vec::new();
        while !is_over(self.seen.commits) {
            let batch = self.batch();
            self.store.apply(&batch).unwrap();
            self.seen.commits += 1;
            match self.random.below(12) {
                0 | 1 if held.len() < 3 => {
                    let reader = self.store.reader_handle().unwrap();
                    reader.base().unwrap();
                    held.push(reader);
                }
                2 => held.clear(),
                3 if held.is_empty() => {
                    drop(self.store);
                    self.store = writer(self.dir.path());
                }
                _ => {}
            }
            // One that is held still reads what it read.
            held.iter().for_each(|reader| reader.structure().unwrap());
            self.check(20);
            if self.seen.commits.is_multiple_of(10) {
                self.look();
            }
        }
        drop(held);
        drop(self.store);
        self.store = writer(self.dir.path());
        self.check(20);
        self.seen
    }
}

#[test]
fn what_is_written_at_random_is_never_called_damaged() {
    let number = |name| std::env::var(name).ok().and_then(|n: String| n.parse::<u64>().ok());
    let seed = number("KVS_CHURN_SEED").unwrap_or(1);
    let Some(seconds) = number("KVS_CHURN") else {
        Churn::new(seed).run(|commits| commits == COMMITS);
        return;
    };
    let begun = Instant::now();
    let left = || begun.elapsed().as_secs() < seconds;
    for seed in (seed..).take_while(|_| left()) {
        let seen = Churn::new(seed).run(|commits| commits >= 400 || !left());
        println!("seed {seed}: {seen:?}");
        let is_rich = seen.free_rows > 3 && seen.free_long > 0 && seen.levels > 2;
        assert!(seen.commits < 400 || is_rich, "what is seldom was not met: {seen:?}");
    }
}

/// A head that is just being written may be read half old and half new.
#[test]
fn a_reader_proves_while_the_file_is_written() {
    let commits = std::env::var("KVS_CHURN").map_or(150, |_| 20_000);
    let dir = directory(50);
    let mut store = writer(dir.path());
    let mut reader = store.reader_handle().unwrap();
    let (heads, news) = mpsc::channel();
    let work = std::thread::spawn(move || {
        for i in 0..commits {
            store.apply(&Batch { ops: vec![put(i % 200, i as u64, 9_000)] }).unwrap();
            heads.send(store.head()).unwrap();
        }
    });
    let mut asked = 0_u64;
    loop {
        match news.try_recv() {
            Ok(head) => reader.advance(head),
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => break,
        }
        reader.prove_absent(place(999), &key(999)).unwrap_or_else(|e| panic!("after {asked}: {e}"));
        asked += 1;
    }
    work.join().unwrap();
    println!("asked {asked} times during {commits} commits");
}
