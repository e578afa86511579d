//! The store: one conformance suite for memory and file, then what only a file can suffer.
//!
//! The suite compares a store with a model that shares no code with it: maps, and digests added up
//! anew. Damage that ends in a signal is suffered by a child: this binary again, told by the
//! environment what to do to which directory.
//!
//! Golden files in `testdata/format` are the promise that today's files open for ever; `UPDATE=1`
//! makes those that are missing and changes none.

#![expect(clippy::unwrap_used, reason = "in a test a failure to prepare is a failure")]

mod churn;
mod damage;
mod files;
mod golden;
mod locks;
mod mutate;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kvs::clock::{Actor, Dot};
use kvs::digest::{Leaves, Sum};
use kvs::error::Error;
use kvs::key::{Key, LEAVES, Partition, Q};
use kvs::record::{Record, RecordHash, Stored, Value, Write};
use kvs::ring::NodeId;
use kvs::store::lmdb::{Access, Lmdb, Map, Opened};
use kvs::store::lock::{Attempt, Holder, Lock, Want};
use kvs::store::memory::Memory;
use kvs::store::sidecar::{self, Reason, Trust};
use kvs::store::{Batch, Failure, Hint, HintStats, Op, Store, Table, hint_page, verify};
use proptest::prelude::*;
use tempfile::TempDir;

// ------------------------------------------------------------------------------------- material

fn q() -> Q {
    Q::new(8).unwrap()
}

fn key(i: usize) -> Key {
    Key::new(format!("key-{i}")).unwrap()
}

fn place(i: usize) -> Partition {
    q().partition(&key(i))
}

fn stored(key: &Key, counter: u64, size: usize) -> Stored {
    let value = Value {
        bytes: vec![b'v'; size],
        written_ms: 1_700_000_000_000,
        expires_ms: None,
        derived: false,
    };
    let dot = Dot { actor: Actor(5), counter: counter + 1 };
    Stored::new(key, &Record::default().write(dot, Write { context: None, value: Some(value) }))
}

fn put(i: usize, counter: u64, size: usize) -> Op {
    Op::Record { partition: place(i), key: key(i), stored: stored(&key(i), counter, size) }
}

fn puts(keys: std::ops::Range<usize>, counter: u64, size: usize) -> Batch {
    Batch { ops: keys.map(|i| put(i, counter, size)).collect() }
}

fn meta(name: &str, value: &[u8]) -> Op {
    Op::Meta(name.into(), Some(value.to_vec()))
}

fn genesis() -> Batch {
    let ops = vec![
        meta("q", &8_u32.to_le_bytes()),
        meta("node", &7_u64.to_le_bytes()),
        meta("actor", &5_u64.to_le_bytes()),
    ];
    Batch { ops }
}

fn memory() -> Memory {
    let mut store = Memory::default();
    store.apply(&genesis()).unwrap();
    store
}

/// A node directory with `n` records.
fn directory(n: usize) -> TempDir {
    let dir = TempDir::new().unwrap();
    Lmdb::create(dir.path(), &genesis()).unwrap();
    if n > 0 {
        writer(dir.path()).apply(&puts(0..n, 0, 100)).unwrap();
    }
    dir
}

fn open(dir: &Path, access: Access) -> Result<Opened, Error> {
    Lmdb::open(dir, access, Map { bytes: 1 << 30 })
}

fn writer(dir: &Path) -> Lmdb {
    open(dir, Access::Write).unwrap().store
}

fn trust(dir: &Path) -> Trust {
    open(dir, Access::Read).unwrap().trust
}

// ---------------------------------------------------------------------------------------- model

/// What a store should hold.
#[derive(Default)]
struct Model {
    records: BTreeMap<(Partition, Key), Stored>,
    hints: BTreeMap<(NodeId, Partition, Key), Option<Stored>>,
    /// What was struck there last, if anything was.
    bad: BTreeMap<(Partition, Vec<u8>), Option<RecordHash>>,
    /// References to what was struck and healed by something else.
    owed: u64,
    rows: BTreeMap<(bool, String), Vec<u8>>,
    commits: u64,
}

impl Model {
    fn apply(&mut self, batch: &Batch) {
        self.commits += 1;
        for op in batch.ops.iter().cloned() {
            match op {
                Op::Record { partition, key, stored } => {
                    self.records.insert((partition, key), stored);
                }
                Op::Bad { partition, key } => {
                    let place = (partition, Key::new(key.clone()).unwrap());
                    let struck = self.records.remove(&place).map(|stored| stored.hash());
                    let listed = self.bad.entry((partition, key)).or_default();
                    *listed = struck.or(*listed);
                }
                Op::Healed { partition, key } => self.heal(partition, key),
                Op::DropBadHints(None) => self.owed = 0,
                Op::Rebuild(_) | Op::DropBadHints(Some(_)) => {}
                Op::Drop(p) => {
                    self.records.retain(|(at, _), _| *at != p);
                    self.bad.retain(|(at, _), _| *at != p);
                }
                Op::Hint(h) => {
                    self.hints.insert((h.target, h.partition, h.key), h.stored);
                }
                Op::Unhint { target, partition, key } => {
                    self.hints.remove(&(target, partition, key));
                }
                Op::Meta(name, value) => self.row(false, name, value),
                Op::Ring(name, value) => self.row(true, name, value),
            }
        }
    }

    /// Who was owed what was struck is, unless that is what stands there again.
    fn heal(&mut self, p: Partition, key: Vec<u8>) {
        let was = self.bad.remove(&(p, key.clone())).flatten();
        let key = Key::new(key).unwrap();
        let now = self.records.get(&(p, key.clone())).map(Stored::hash);
        if was.is_some() && was != now {
            let before = self.hints.len();
            self.hints.retain(|(_, at, k), stored| *at != p || *k != key || stored.is_some());
            self.owed += (before - self.hints.len()) as u64;
        }
    }

    fn row(&mut self, ring: bool, name: String, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.rows.insert((ring, name), value),
            None => self.rows.remove(&(ring, name)),
        };
    }

    fn leaves(&self, p: Partition) -> Box<Leaves> {
        let mut leaves = Box::new([Sum::default(); LEAVES]);
        for ((_, key), stored) in self.records.iter().filter(|((at, _), _)| *at == p) {
            leaves[usize::from(key.position().leaf(q()))].insert(stored.hash());
        }
        leaves
    }

    /// Asserts that a store gives every answer the model gives.
    fn check(&self, store: &dyn Store, keys: usize) {
        for i in 0..keys {
            let mine = self.records.get(&(place(i), key(i)));
            assert_eq!(store.get(place(i), &key(i)).unwrap().as_ref(), mine);
            let hints = self.hint_list(|(_, _, k)| *k == key(i));
            assert_eq!(store.hints_of(place(i), &key(i)).unwrap(), hints);
        }
        q().all().for_each(|p| self.check_partition(store, p));
        let total: Vec<(Partition, Sum)> =
            q().all().map(|p| (p, self.leaves(p).iter().copied().sum())).collect();
        let mut sums = store.sums().unwrap();
        sums.retain(|(_, sum)| *sum != Sum::default());
        assert_eq!(sums, total.into_iter().filter(|t| t.1.count > 0).collect::<Vec<_>>());
        self.check_hints(store);
        assert_eq!(store.bad().unwrap(), self.bad.keys().cloned().collect::<Vec<_>>());
        for (ring, table) in [(false, Table::Meta), (true, Table::Ring)] {
            let mine = self.rows.iter().filter(|((at, name), _)| *at == ring && name != "commit");
            let mine: Vec<_> = mine.map(|((_, n), v)| (n.clone(), v.clone())).collect();
            let mut rows = store.rows(table, "").unwrap();
            rows.retain(|(name, _)| !["commit", "format", "kept"].contains(&name.as_str()));
            assert_eq!(rows, mine);
            let with_a = mine.iter().filter(|(name, _)| name.starts_with('a')).cloned();
            assert_eq!(store.rows(table, "a").unwrap(), with_a.collect::<Vec<_>>());
            let one = mine.iter().find(|(name, _)| name == "ab").map(|(_, value)| value.clone());
            assert_eq!(store.row(table, "ab").unwrap(), one);
        }
        assert_eq!(store.commit_number(), self.commits);
        let row = store.row(Table::Meta, "commit").unwrap().unwrap();
        assert_eq!(row, self.commits.to_le_bytes());
    }

    fn check_partition(&self, store: &dyn Store, p: Partition) {
        let records: Vec<_> = self.records.iter().filter(|((at, _), _)| *at == p).collect();
        let mine: Vec<_> =
            records.iter().map(|((_, k), s)| (k.as_bytes().to_vec(), s.bytes().to_vec())).collect();
        assert_eq!(visited(store, p, None, usize::MAX), mine);
        assert_eq!(visited(store, p, None, 1), mine.iter().take(1).cloned().collect::<Vec<_>>());
        for (i, (key, _)) in mine.iter().enumerate() {
            assert_eq!(visited(store, p, Some(key), usize::MAX), mine[i + 1..]);
        }
        assert_eq!(store.leaves(p).unwrap(), self.leaves(p));
        assert_eq!(store.sum(p).unwrap(), self.leaves(p).iter().copied().sum());
        let verdict = verify::verify(store, p).unwrap();
        assert!(verdict.is_good() && verify::audit(store, p).unwrap() == verdict, "{verdict:?}");
        assert_eq!(verdict.records, mine.len() as u64);
    }

    fn check_hints(&self, store: &dyn Store) {
        let all = self.hint_list(|_| true);
        let mut after = None;
        for hints in all.chunks(2) {
            assert_eq!(store.hints(after.as_ref(), 2).unwrap(), hints);
            after = hints.last().map(|h| (h.target, h.partition, h.key.clone()));
        }
        assert_eq!(store.hints(after.as_ref(), 2).unwrap(), []);
        assert_eq!(store.hints(None, 0).unwrap(), []);
        self.check_hint_pages(store, &all);
        let bytes = all.iter().filter_map(|h| h.stored.as_ref()).map(|s| s.bytes().len() as u64);
        let (acknowledged, bytes) = (bytes.clone().count() as u64, bytes.sum());
        let stats = HintStats { count: all.len() as u64, acknowledged, bytes };
        assert_eq!(store.hint_stats().unwrap(), stats);
        let bad = store.bad_hints().unwrap();
        assert!(bad.bad.is_empty() && bad.lost == self.owed, "{bad:?}, not {}", self.owed);
    }

    /// Places tell what the hints do, and pages are bounded by what they weigh.
    fn check_hint_pages(&self, store: &dyn Store, all: &[Hint]) {
        let weight = |h: &Hint| h.stored.as_ref().map_or(0, |s| s.bytes().len());
        let places: Vec<_> = all.iter().map(|h| (h.place(), weight(h))).collect();
        assert_eq!(store.hint_places(None, usize::MAX).unwrap(), places);
        assert_eq!(store.hint_places(None, 0).unwrap(), []);
        for bytes in [0, 100, usize::MAX] {
            let (mut after, mut paged) = (None, Vec::new());
            loop {
                let page = hint_page(store, after.as_ref(), 3, bytes).unwrap();
                let Some(last) = page.last() else { break };
                after = Some(last.place());
                let heavy = page.iter().map(weight).sum::<usize>();
                assert!(page.len() <= 3 && (heavy <= bytes || page.len() == 1));
                paged.extend(page);
            }
            assert_eq!(paged, all);
        }
    }

    fn hint_list(&self, wanted: impl Fn(&(NodeId, Partition, Key)) -> bool) -> Vec<Hint> {
        let hints = self.hints.iter().filter(|(at, _)| wanted(at)).map(|(at, stored)| {
            let (target, partition, key) = at.clone();
            Hint { target, partition, key, stored: stored.clone() }
        });
        hints.collect()
    }
}

fn visited(
    store: &dyn Store,
    p: Partition,
    after: Option<&[u8]>,
    limit: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    store
        .visit(p, after, &mut |key, bytes| {
            found.push((key.to_vec(), bytes.to_vec()));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    found
}

// ---------------------------------------------------------------------------------- conformance

const KEYS: usize = 16;

fn any_op() -> impl Strategy<Value = Op> {
    let i = || 0..KEYS;
    let p = || (0..8_u16).prop_map(Partition);
    let target = || prop_oneof![Just(NodeId(0)), Just(NodeId(9)), Just(NodeId(u64::MAX))];
    let name = || prop_oneof![Just("a"), Just("ab"), Just("b")].prop_map(String::from);
    let value = || prop::option::of(prop::collection::vec(any::<u8>(), 0..5));
    let size = prop_oneof![0..200_usize, Just(5000)];
    prop_oneof![
        8 => (i(), 0..50_u64, size).prop_map(|(i, counter, size)| put(i, counter, size)),
        1 => i().prop_map(|i| Op::Bad { partition: place(i), key: key(i).into() }),
        1 => i().prop_map(|i| Op::Healed { partition: place(i), key: key(i).into() }),
        1 => p().prop_map(Op::Rebuild),
        1 => p().prop_map(Op::Drop),
        3 => (target(), i(), prop::option::of(0..9_u64)).prop_map(|(target, i, counter)| {
            let stored = counter.map(|c| stored(&key(i), c, 30));
            Op::Hint(Hint { target, partition: place(i), key: key(i), stored })
        }),
        2 => (target(), i())
            .prop_map(|(target, i)| Op::Unhint { target, partition: place(i), key: key(i) }),
        1 => (name(), value()).prop_map(|(name, value)| Op::Meta(name, value)),
        1 => (name(), value()).prop_map(|(name, value)| Op::Ring(name, value)),
    ]
}

fn any_batches() -> impl Strategy<Value = Vec<Batch>> {
    let batch = prop::collection::vec(any_op(), 0..24).prop_map(|ops| Batch { ops });
    prop::collection::vec(batch, 1..6)
}

/// One run of the suite: every batch, and between them one that fails at its last op.
fn suite(store: &mut dyn Store, batches: &[Batch]) {
    let mut model = Model::default();
    model.apply(&genesis());
    model.check(store, KEYS);
    for batch in batches {
        store.apply(batch).unwrap();
        model.apply(batch);
        let astray = Partition((place(0).0 + 1) % 8);
        let misplaced =
            Op::Record { partition: astray, key: key(0), stored: stored(&key(0), 0, 1) };
        let failing = Batch { ops: batch.ops.iter().cloned().chain([misplaced]).collect() };
        assert!(matches!(store.apply(&failing), Err(Failure::Fatal(_))));
        model.check(store, KEYS);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn memory_conforms(batches in any_batches()) {
        suite(&mut memory(), &batches);
    }

    #[test]
    fn a_file_conforms_and_reopens_as_it_was(batches in any_batches()) {
        let dir = directory(0);
        suite(&mut writer(dir.path()), &batches);
        let mut model = Model::default();
        model.apply(&genesis());
        batches.iter().for_each(|batch| model.apply(batch));
        model.check(&open(dir.path(), Access::Read).unwrap().store, KEYS);
    }
}

#[test]
fn only_synced_batches_are_durable_in_memory() {
    let mut store = memory();
    store.stage(&puts(0..1, 0, 1));
    assert!(store.is_staged() && store.get(place(0), &key(0)).unwrap().is_none());
    store.crash(false);
    assert!(store.get(place(0), &key(0)).unwrap().is_none() && store.commit_number() == 1);
    store.stage(&puts(0..1, 0, 1));
    store.crash(true);
    assert!(store.get(place(0), &key(0)).unwrap().is_some() && store.commit_number() == 2);
    store.set_full(true);
    assert!(matches!(store.apply(&puts(1..2, 0, 1)), Err(Failure::Full(_))));
    store.set_full(false);
    store.apply(&puts(1..2, 0, 1)).unwrap();
    assert_eq!(store.commit_number(), 3);
}

#[test]
fn rot_is_found_by_verify_and_healed_through_the_table_bad() {
    let mut store = memory();
    store.apply(&puts(0..KEYS, 0, 50)).unwrap();
    let before = store.leaves(place(3)).unwrap();
    assert!(store.rot(place(3), &key(3)) && !store.rot(place(3), &key(99)));
    // The digest was told before the rot and does not see it.
    assert!(verify::audit(&store, place(3)).unwrap().is_good());
    assert_eq!(store.leaves(place(3)).unwrap(), before);
    assert!(matches!(store.get(place(3), &key(3)), Err(Error::Corrupt(_))));
    let verdict = verify::verify(&store, place(3)).unwrap();
    assert_eq!(verdict.bad.len(), 1);
    assert_eq!(verdict.bad[0].key, key(3).as_bytes());

    let bad = Op::Bad { partition: place(3), key: key(3).into() };
    store.apply(&Batch { ops: vec![bad] }).unwrap();
    assert_ne!(store.leaves(place(3)).unwrap(), before, "peers must see the difference");
    assert!(verify::verify(&store, place(3)).unwrap().is_good());
    let healed = Op::Healed { partition: place(3), key: key(3).into() };
    store.apply(&Batch { ops: vec![put(3, 0, 50), healed] }).unwrap();
    assert_eq!(store.leaves(place(3)).unwrap(), before);
    assert!(store.bad().unwrap().is_empty());
}

#[test]
fn a_lost_record_is_found_by_audit_and_mended_by_rebuild() {
    let mut store = memory();
    store.apply(&puts(0..KEYS, 0, 50)).unwrap();
    assert!(store.lose(place(3), &key(3)));
    let verdict = verify::audit(&store, place(3)).unwrap();
    assert_eq!((verdict.wrong_leaves, verdict.wrong_sum), (1, false));
    store.apply(&Batch { ops: vec![Op::Rebuild(place(3))] }).unwrap();
    assert!(verify::audit(&store, place(3)).unwrap().is_good());
}
