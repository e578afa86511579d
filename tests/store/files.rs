//! Directories and files of the LMDB store: reading writes nothing, full, suspect, owned.

use super::*;

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
        let refused = Lmdb::create(dir.path(), &batch).unwrap_err();
        assert!(matches!(refused.root(), Error::Corrupt(_)), "{row}");
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

#[test]
fn a_reader_sees_what_was_durable_until_it_is_told_to_go_on() {
    let dir = directory(1);
    let mut store = open(dir.path(), Access::Write).unwrap().store;
    let mut reader = store.reader_handle().unwrap();
    let (p, new) = (place(700), key(700));
    assert!(reader.get(p, &new).unwrap().is_none());
    let before = reader.commit_number();
    std::thread::scope(|scope| {
        scope.spawn(|| store.apply(&puts(700..701, 1, 1)).unwrap());
    });
    assert!(reader.get(p, &new).unwrap().is_none(), "it has gone on by itself");
    assert_eq!(reader.commit_number(), before);
    reader.advance(store.head());
    assert!(reader.get(p, &new).unwrap().is_some());
    assert_eq!(reader.commit_number(), before + 1);
    let hint = Hint { target: NodeId(9), partition: p, key: new.clone(), stored: None };
    store.apply(&Batch { ops: vec![Op::Hint(hint)] }).unwrap();
    reader.advance(store.head());
    assert_eq!(reader.hint_stats().unwrap().count, 1);
    assert!(matches!(reader.apply(&puts(0..1, 1, 1)), Err(Failure::Fatal(Error::Denied(_)))));
}
