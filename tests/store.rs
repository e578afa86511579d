//! The store: one conformance suite for memory and file, then what only a file can suffer.
//!
//! The suite compares a store with a model that shares no code with it: maps, and digests added up
//! anew. Damage that ends in a signal is suffered by a child: this binary again, told by the
//! environment what to do to which directory.
//!
//! Golden files in `testdata/format/v1` are the promise that today's files open for ever; `UPDATE=1`
//! makes those that are missing and changes none.

#![expect(clippy::unwrap_used, reason = "in a test a failure to prepare is a failure")]

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
use kvs::record::{Record, Stored, Value, Write};
use kvs::ring::NodeId;
use kvs::store::lmdb::{Access, Lmdb, Map, Opened};
use kvs::store::lock::{Attempt, Holder, Lock, Want};
use kvs::store::memory::Memory;
use kvs::store::sidecar::{self, Reason, Trust};
use kvs::store::{Batch, Failure, Hint, HintStats, Op, Store, Table, verify};
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
    let value = Value { bytes: vec![b'v'; size], written_ms: 1_700_000_000_000, expires_ms: None };
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
    bad: BTreeSet<(Partition, Vec<u8>)>,
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
                    self.records.remove(&(partition, Key::new(key.clone()).unwrap()));
                    self.bad.insert((partition, key));
                }
                Op::Healed { partition, key } => {
                    self.bad.remove(&(partition, key));
                }
                Op::Rebuild(_) => {}
                Op::Drop(p) => {
                    self.records.retain(|(at, _), _| *at != p);
                    self.bad.retain(|(at, _)| *at != p);
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

    fn row(&mut self, ring: bool, name: String, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.rows.insert((ring, name), value),
            None => self.rows.remove(&(ring, name)),
        };
    }

    fn leaves(&self, p: Partition) -> Box<Leaves> {
        let mut leaves = Box::new([Sum::default(); LEAVES]);
        for ((_, key), stored) in self.records.iter().filter(|((at, _), _)| *at == p) {
            leaves[usize::from(key.position().leaf(q()))].insert(stored.term());
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
        assert_eq!(store.bad().unwrap(), self.bad.iter().cloned().collect::<Vec<_>>());
        for (ring, table) in [(false, Table::Meta), (true, Table::Ring)] {
            let mine = self.rows.iter().filter(|((at, name), _)| *at == ring && name != "commit");
            let mine: Vec<_> = mine.map(|((_, n), v)| (n.clone(), v.clone())).collect();
            let mut rows = store.rows(table, "").unwrap();
            rows.retain(|(name, _)| name != "commit");
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
        let bytes = all.iter().filter_map(|h| h.stored.as_ref()).map(|s| s.bytes().len() as u64);
        let (acknowledged, bytes) = (bytes.clone().count() as u64, bytes.sum());
        let stats = HintStats { count: all.len() as u64, acknowledged, bytes };
        assert_eq!(store.hint_stats().unwrap(), stats);
        assert_eq!(verify::bad_hints(store).unwrap(), []);
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

// ----------------------------------------------------------------------------------------- files

/// Names, sizes, times and bytes of all files of a directory, and its own time.
fn contents(dir: &Path) -> Vec<(PathBuf, std::time::SystemTime, Vec<u8>)> {
    let mut all = vec![(dir.to_owned(), dir.metadata().unwrap().modified().unwrap(), Vec::new())];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let time = path.metadata().unwrap().modified().unwrap();
        all.push((path.clone(), time, fs::read(path).unwrap()));
    }
    all.sort();
    all
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn reading_writes_nothing_and_works_in_a_read_only_directory() {
    for with_lock in [true, false] {
        let dir = directory(KEYS);
        fs::remove_file(dir.path().join("lock.mdb")).unwrap();
        if !with_lock {
            fs::remove_file(dir.path().join("kvs.lock")).unwrap();
        }
        set_mode(dir.path(), 0o555);
        let before = contents(dir.path());
        let lock = Lock::wait(dir.path(), &Want::Shared, Duration::ZERO).unwrap();
        let mut store = open(dir.path(), Access::Read).unwrap().store;
        assert!(store.get(place(1), &key(1)).unwrap().is_some());
        assert!(q().all().all(|p| verify::verify(&store, p).unwrap().is_good()));
        assert!(matches!(store.apply(&puts(0..1, 1, 1)), Err(Failure::Fatal(Error::Denied(_)))));
        drop((store, lock));
        assert_eq!(contents(dir.path()), before);
        set_mode(dir.path(), 0o755);
    }
}

#[test]
fn a_directory_without_data_is_no_node_and_stays_empty() {
    let dir = TempDir::new().unwrap();
    for access in [Access::Read, Access::Write] {
        assert!(matches!(open(dir.path(), access), Err(Error::Usage(_))));
        assert!(matches!(open(&dir.path().join("nowhere"), access), Err(Error::Usage(_))));
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_new_file_needs_its_identity_and_never_replaces_one() {
    for row in ["q", "node", "actor"] {
        let dir = TempDir::new().unwrap();
        let mut batch = genesis();
        batch.ops.retain(|op| !matches!(op, Op::Meta(name, _) if name == row));
        assert!(matches!(Lmdb::create(dir.path(), &batch), Err(Error::Corrupt(_))), "{row}");
    }
    let dir = directory(1);
    assert!(matches!(Lmdb::create(dir.path(), &genesis()), Err(Error::Denied(_))));
}

#[test]
fn a_file_is_opened_once_per_process() {
    let dir = directory(0);
    let _first = open(dir.path(), Access::Read).unwrap();
    assert!(matches!(open(dir.path(), Access::Read), Err(Error::Busy(_))));
}

#[test]
fn a_cut_file_is_refused_before_it_is_mapped() {
    let dir = directory(500);
    let path = dir.path().join("data.mdb");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 100, 4096, 4200, 8192, whole.len() / 2, whole.len() - 4096] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = open(dir.path(), Access::Read).unwrap_err();
        assert!(matches!(error.root(), Error::Corrupt(_)), "{length}: {error}");
        assert!(error.to_string().contains("data.mdb"));
    }
    fs::write(&path, b"not a database, but long enough to hold a head".repeat(200)).unwrap();
    assert!(matches!(open(dir.path(), Access::Write).unwrap_err().root(), Error::Corrupt(_)));
}

/// Pages that were taken and given back in one transaction are never written: not a cut file.
#[test]
fn a_file_that_ends_in_free_pages_is_whole() {
    let dir = directory(0);
    let path = dir.path().join("data.mdb");
    let mut store = writer(dir.path());
    for counter in 0..6 {
        store.apply(&puts(0..KEYS, counter, 10)).unwrap(); // leaves single free pages behind
    }
    store.apply(&Batch { ops: vec![put(99, 0, 60_000), Op::Drop(place(99))] }).unwrap();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let last_page = number(136).max(number(4096 + 136));
    assert!(bytes.len() as u64 / 4096 <= last_page, "or this test tests nothing");
    // However it is cut, what is opened can be read to the end.
    let mut opened = 0;
    for pages in 0..=bytes.len() / 4096 {
        fs::write(&path, &bytes[..pages * 4096]).unwrap();
        match open(dir.path(), Access::Read) {
            Ok(Opened { store, .. }) => {
                assert!(q().all().all(|p| verify::verify(&store, p).unwrap().is_good()));
                opened += 1;
            }
            Err(error) => assert!(matches!(error.root(), Error::Corrupt(_)), "{error}"),
        }
    }
    assert!(opened >= 1, "the whole file is refused");
    writer(dir.path()).apply(&puts(0..KEYS, 20, 3000)).unwrap();
}

#[test]
fn a_full_quota_refuses_growth_and_takes_it_again_after_a_drop() {
    let dir = directory(KEYS);
    let mut store = writer(dir.path());
    let quota = store.used_bytes().unwrap() + 400_000;
    store.set_quota(Some(quota));
    let mut counter = 0;
    let full = loop {
        counter += 1;
        match store.apply(&puts(counter * 100..counter * 100 + 20, 0, 2000)) {
            Ok(()) => assert!(counter < 100),
            Err(failure) => break failure,
        }
    };
    assert!(matches!(full, Failure::Full(_)) && store.used_bytes().unwrap() <= quota);
    assert!(store.get(place(1), &key(1)).unwrap().is_some());
    store.apply(&Batch { ops: q().all().map(Op::Drop).collect() }).unwrap();
    store.apply(&puts(0..20, 1, 2000)).unwrap();
    assert!(verify::verify(&store, place(1)).unwrap().is_good());
}

#[test]
fn a_full_map_refuses_a_batch_and_the_next_one_works() {
    let dir = directory(0);
    let mut store = Lmdb::open(dir.path(), Access::Write, Map { bytes: 1 << 20 }).unwrap().store;
    assert!(matches!(store.apply(&puts(0..1000, 0, 3000)), Err(Failure::Full(_))));
    store.apply(&puts(0..10, 0, 3000)).unwrap();
    assert_eq!((store.commit_number(), store.get(place(11), &key(11)).unwrap()), (2, None));
}

// --------------------------------------------------------------------------------------- sidecar

#[test]
fn a_file_behind_its_sidecar_is_suspect_and_one_ahead_is_not() {
    let dir = directory(1);
    let (data, id) = (dir.path().join("data.mdb"), dir.path().join("kvs.id"));
    let (old_data, old_id) = (fs::read(&data).unwrap(), fs::read(&id).unwrap());
    assert_eq!(trust(dir.path()), Trust::Proven);
    writer(dir.path()).apply(&puts(0..1, 1, 1)).unwrap();
    let new_id = fs::read(&id).unwrap();
    assert_ne!(new_id, old_id);

    fs::write(&id, &old_id).unwrap();
    assert_eq!(trust(dir.path()), Trust::Proven, "the power went before the sidecar was written");
    fs::write(&id, &new_id).unwrap();
    fs::write(&data, &old_data).unwrap();
    let rolled_back = Trust::Suspect(Reason::RolledBack { file: 2, sidecar: 3 });
    assert_eq!(trust(dir.path()), rolled_back);

    // Whatever is written meanwhile, the suspicion stays until there is a new actor.
    writer(dir.path()).apply(&puts(0..1, 2, 1)).unwrap();
    writer(dir.path()).apply(&puts(0..1, 3, 1)).unwrap();
    assert_eq!(trust(dir.path()), Trust::Suspect(Reason::Missing));
    let mut store = writer(dir.path());
    store.apply(&Batch { ops: vec![meta("actor", &6_u64.to_le_bytes())] }).unwrap();
    assert_eq!((store.trust(), store.identity().actor), (Trust::Proven, Actor(6)));
    drop(store);
    assert_eq!(trust(dir.path()), Trust::Proven);
}

#[test]
fn a_missing_damaged_or_foreign_sidecar_makes_a_file_suspect() {
    let dir = directory(1);
    let id = dir.path().join("kvs.id");
    let good = fs::read(&id).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    for damaged in [&flipped[..], &good[..100], &[]] {
        fs::write(&id, damaged).unwrap();
        assert_eq!(trust(dir.path()), Trust::Suspect(Reason::Damaged));
    }
    let other = directory(0);
    writer(other.path()).apply(&Batch { ops: vec![meta("node", &8_u64.to_le_bytes())] }).unwrap();
    fs::copy(other.path().join("kvs.id"), &id).unwrap();
    assert_eq!(trust(dir.path()), Trust::Suspect(Reason::Foreign));
    fs::remove_file(&id).unwrap();
    assert_eq!(trust(dir.path()), Trust::Suspect(Reason::Missing));
    assert!(!id.exists());
    writer(dir.path()).apply(&Batch { ops: vec![meta("actor", &6_u64.to_le_bytes())] }).unwrap();
    assert_eq!(trust(dir.path()), Trust::Proven);
    assert!(matches!(sidecar::read(dir.path()).unwrap(), sidecar::Found::Valid(_)));
}

#[test]
fn what_root_makes_belongs_to_the_owner_of_the_directory() {
    use std::os::unix::fs::{MetadataExt, chown};
    let dir = TempDir::new().unwrap();
    if chown(dir.path(), Some(65_534), Some(65_534)).is_err() {
        return skip("the owner of files that root makes: not root");
    }
    Lmdb::create(dir.path(), &genesis()).unwrap();
    writer(dir.path()).apply(&puts(0..1, 0, 1)).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), 65_534, "{:?}", entry.file_name());
    }
}

/// Tells `tests/run` that this machine cannot show something.
fn skip(what: &str) {
    use std::io::Write as _;
    let Some(path) = std::env::var_os("KVS_TEST_SKIPS") else { return };
    let mut file = fs::File::options().append(true).create(true).open(path).unwrap();
    writeln!(file, "{what}").unwrap();
}

// ------------------------------------------------------------------------------------------ lock

fn exclusive(kind: &str, address: Option<&str>) -> Want {
    let address = address.map(str::to_owned);
    Want::Exclusive(Holder { kind: kind.into(), pid: 4711, address })
}

#[test]
fn a_lock_that_is_taken_names_its_holder() {
    let dir = directory(0);
    let node = exclusive("node", Some("127.0.0.1:7001"));
    let held = Lock::wait(dir.path(), &node, Duration::ZERO).unwrap();
    for want in [Want::Shared, exclusive("put", None)] {
        let error = Lock::wait(dir.path(), &want, Duration::from_millis(30)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error.root(), Error::Busy(_)));
        assert!(text.contains("node (process 4711) at 127.0.0.1:7001"), "{text}");
        assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
    }
    let Some(holder) = Lock::holder(dir.path()).unwrap() else { panic!("no holder") };
    assert_eq!(holder.address.as_deref(), Some("127.0.0.1:7001"));
    drop(held);
    assert_eq!(Lock::holder(dir.path()).unwrap(), None);
    assert_eq!(fs::read(dir.path().join("kvs.lock")).unwrap(), b"");
}

#[test]
fn readers_share_and_a_killed_writer_is_not_blamed() {
    let dir = directory(0);
    fs::write(dir.path().join("kvs.lock"), "put 999999 -\n").unwrap();
    let first = Lock::wait(dir.path(), &Want::Shared, Duration::ZERO).unwrap();
    let second = Lock::wait(dir.path(), &Want::Shared, Duration::ZERO).unwrap();
    let attempt = Lock::attempt(dir.path(), &exclusive("put", None)).unwrap();
    assert!(matches!(attempt, Attempt::Readers), "{attempt:?}");
    drop((first, second));
    let attempt = Lock::attempt(dir.path(), &exclusive("put", None)).unwrap();
    assert!(matches!(attempt, Attempt::Held(_)), "{attempt:?}");
}

// ---------------------------------------------------------------------------------------- damage

/// This binary again, doing one thing to one directory.
fn child(task: &str, dir: &Path, shell: &str) -> Output {
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$0\" the_child --exact --nocapture")]).arg(exe);
    command.env("KVS_STORE_TASK", task).env("KVS_STORE_DIR", dir);
    command.output().unwrap()
}

/// Does nothing unless it is the child.
#[test]
fn the_child() {
    let (Some(task), Some(dir)) =
        (std::env::var_os("KVS_STORE_TASK"), std::env::var_os("KVS_STORE_DIR"))
    else {
        return;
    };
    let (dir, task) = (PathBuf::from(dir), task.into_string().unwrap());
    std::process::exit(match perform(&task, &dir) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            match error.root() {
                Error::Corrupt(_) => 8,
                Error::Denied(_) => 10,
                _ => 2,
            }
        }
    });
}

fn perform(task: &str, dir: &Path) -> Result<(), Error> {
    let opened = Lmdb::open(dir, Access::Read, Map::default())?;
    if task == "cut" {
        let file = fs::File::options().write(true).open(dir.join("data.mdb")).unwrap();
        file.set_len(8192).unwrap();
    }
    let mut bad = 0;
    for p in q().all() {
        bad += verify::verify(&opened.store, p)?.bad.len();
    }
    opened.store.hints(None, 1000)?;
    opened.store.rows(Table::Meta, "")?;
    if bad > 0 { Err(Error::Corrupt(format!("{bad} bad"))) } else { Ok(()) }
}

#[test]
fn a_file_cut_while_it_is_mapped_ends_in_exit_8_that_names_it() {
    let dir = directory(500);
    let output = child("cut", dir.path(), "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{said}");
    let path = dir.path().canonicalize().unwrap().join("data.mdb");
    assert!(said.contains(path.to_str().unwrap()) && said.contains("kvs replace"), "{said}");
}

#[test]
fn too_little_address_space_is_said_and_changes_nothing() {
    let dir = directory(1);
    let output = child("read", dir.path(), "ulimit -v 8000000;");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.contains("address space"), "{said}");
}

/// Random flips, most of them in heads of pages: a clean answer or exit 8, never a signal.
#[test]
fn flipped_bytes_never_end_in_a_signal() {
    let dir = directory(300);
    let path = dir.path().join("data.mdb");
    let whole = fs::read(&path).unwrap();
    assert_eq!(child("read", dir.path(), "").status.code(), Some(0));
    let mut random = 0x5eed_u64;
    let mut below = |n: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % n
    };
    let mut noticed = 0;
    for round in 0..60 {
        let mut bytes = whole.clone();
        let page = if round % 3 == 0 { below(2) } else { below(whole.len() / 4096) };
        for _ in 0..4 {
            bytes[page * 4096 + below(if round % 3 == 0 { 152 } else { 64 })] ^= 1 << below(8);
        }
        fs::write(&path, bytes).unwrap();
        let output = child("read", dir.path(), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        assert!(
            [Some(0), Some(2), Some(8), Some(10)].contains(&code),
            "{round}: {output:?} {said}"
        );
        noticed += usize::from(code != Some(0));
    }
    assert!(noticed > 20, "only {noticed} noticed");
}

/// Every single bit that rots in a record is noticed.
#[test]
fn any_flipped_bit_of_a_value_in_the_file_is_noticed() {
    let dir = directory(20);
    let path = dir.path().join("data.mdb");
    let whole = fs::read(&path).unwrap();
    let bytes = stored(&key(7), 0, 100).bytes().to_vec();
    let places: Vec<usize> =
        (0..whole.len() - bytes.len()).filter(|at| whole[*at..].starts_with(&bytes)).collect();
    assert!(!places.is_empty());
    for bit in (0..bytes.len() * 8).step_by(37) {
        let mut rotten = whole.clone();
        places.iter().for_each(|at| rotten[at + bit / 8] ^= 1 << (bit % 8));
        fs::write(&path, rotten).unwrap();
        let store = open(dir.path(), Access::Read).unwrap().store;
        assert!(store.get(place(7), &key(7)).is_err(), "bit {bit}");
        assert_eq!(verify::verify(&store, place(7)).unwrap().bad.len(), 1, "bit {bit}");
    }
}

// ---------------------------------------------------------------------------------------- golden

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/format/v1").join(name)
}

/// Records of every shape: one value, siblings with and without expiry, a tombstone, odd bytes.
fn golden_records() -> Vec<(Key, Record)> {
    let (a, b) = (Actor(0x0123_4567_89ab_cdef), Actor(u64::MAX));
    let write = |to: &Record, actor, counter, bytes: Option<&[u8]>, expires_ms| {
        let value =
            bytes.map(|b| Value { bytes: b.to_vec(), written_ms: 1_700_000_000_000, expires_ms });
        to.write(Dot { actor, counter }, Write { context: Some(&to.clock), value })
    };
    let one = write(&Record::default(), a, 1, Some(b"hello"), None);
    let left = write(&one, a, 300, Some(b""), Some(1_700_000_060_000));
    let right = write(&one, b, 7, Some("\u{e9}\n\0".as_bytes()), None);
    let dead = write(&left, b, u64::MAX, None, None);
    let key = |bytes: &[u8]| Key::new(bytes).unwrap();
    vec![
        (key(b"one"), one),
        (key(b"siblings"), left.merge(&right).0),
        (key(b"tombstone"), dead),
        (key(b"\x00\xff odd"), right),
        (key(&[b'k'; 500]), left),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One paragraph per record, every field by its name.
fn golden_text() -> String {
    let mut text = String::from(
        "# Records in format 1: key, term and stored bytes in hex; clock and siblings for people.\n",
    );
    for (key, record) in golden_records() {
        let stored = Stored::new(&key, &record);
        text += &format!("\nkey {}\nterm {:032x}\n", hex(key.as_bytes()), stored.term().0);
        for (actor, counter) in record.clock.entries() {
            text += &format!("clock {actor} {counter}\n");
        }
        for (dot, value) in &record.siblings {
            let expires = value.expires_ms.map_or("-".into(), |at| at.to_string());
            let (written, bytes) = (value.written_ms, hex(&value.bytes));
            text += &format!("sibling {dot} written {written} expires {expires} bytes {bytes}\n");
        }
        text += &format!("stored {}\n", hex(stored.bytes()));
    }
    text
}

fn golden_batch() -> Batch {
    let records = golden_records().into_iter();
    let mut ops: Vec<Op> = records
        .map(|(key, record)| {
            let stored = Stored::new(&key, &record);
            Op::Record { partition: q().partition(&key), key, stored }
        })
        .collect();
    let (bad, hinted) = (key(0), key(1));
    ops.push(Op::Record { partition: place(0), key: key(0), stored: stored(&bad, 0, 3) });
    ops.push(Op::Bad { partition: place(0), key: bad.into() });
    for (target, stored) in [(NodeId(1), None), (NodeId(2), Some(stored(&hinted, 0, 3)))] {
        ops.push(Op::Hint(Hint { target, partition: place(1), key: key(1), stored }));
    }
    ops.push(Op::Ring("doc".into(), Some(b"a ring document".to_vec())));
    Batch { ops }
}

/// Makes the golden files that are missing; none is ever changed.
fn make_golden() {
    if std::env::var_os("UPDATE").is_none_or(|v| v != "1") {
        return;
    }
    if !golden("records.txt").exists() {
        fs::write(golden("records.txt"), golden_text()).unwrap();
    }
    if !golden("data.mdb").exists() {
        let dir = TempDir::new().unwrap();
        let batch = Batch { ops: [genesis().ops, golden_batch().ops].concat() };
        Lmdb::create(dir.path(), &batch).unwrap();
        for name in ["data.mdb", "kvs.id"] {
            fs::copy(dir.path().join(name), golden(name)).unwrap();
        }
    }
}

#[test]
fn golden_records_have_the_same_bytes_for_ever() {
    make_golden();
    let text = fs::read_to_string(golden("records.txt")).unwrap();
    assert_eq!(golden_text(), text);
    let unhex = |line: &str| -> Vec<u8> {
        let pairs = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    let field = |name: &'static str| text.lines().filter_map(move |l| l.strip_prefix(name));
    let read = field("key ").zip(field("stored ")).map(|(key, bytes)| {
        let key = Key::new(unhex(key)).unwrap();
        let record = Record::decode(key.as_bytes(), &unhex(bytes)).unwrap();
        (key, record)
    });
    assert_eq!(read.collect::<Vec<_>>(), golden_records());
}

#[test]
fn a_golden_file_opens_for_ever() {
    make_golden();
    let dir = TempDir::new().unwrap();
    for name in ["data.mdb", "kvs.id"] {
        fs::copy(golden(name), dir.path().join(name)).unwrap();
    }
    let mut model = Model::default();
    model.apply(&Batch { ops: [genesis().ops, golden_batch().ops].concat() });
    let opened = open(dir.path(), Access::Read).unwrap();
    assert_eq!(opened.trust, Trust::Proven);
    assert_eq!(opened.store.identity().node, NodeId(7));
    model.check(&opened.store, KEYS);
    for (key, record) in golden_records() {
        let stored = opened.store.get(q().partition(&key), &key).unwrap().unwrap();
        assert_eq!(stored.record(&key).unwrap(), record);
    }
    drop(opened);
    writer(dir.path()).apply(&puts(0..KEYS, 0, 10)).unwrap();
    model.apply(&puts(0..KEYS, 0, 10));
    model.check(&open(dir.path(), Access::Read).unwrap().store, KEYS);
}
