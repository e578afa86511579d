//! Golden files: those of today open for ever, and what their pages may not hide.

use super::*;

/// Of the newest format. Records are the same in all.
const NEWEST: &str = "v2";

pub(crate) fn golden(format: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/format").join(format).join(name)
}

/// A directory with the golden file of a format in it.
pub(crate) fn golden_directory(format: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    for name in ["data.mdb", "kvs.id"] {
        fs::copy(golden(format, name), dir.path().join(name)).unwrap();
    }
    dir
}

/// Records of every shape: one value, siblings with and without expiry, a tombstone, odd bytes.
fn golden_records() -> Vec<(Key, Record)> {
    let (a, b) = (Actor(0x0123_4567_89ab_cdef), Actor(u64::MAX));
    let write = |to: &Record, actor, counter, bytes: Option<&[u8]>, expires_ms| {
        let value = bytes.map(|b| Value {
            bytes: b.to_vec(),
            written_ms: 1_700_000_000_000,
            expires_ms,
            derived: false,
        });
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
        text += &format!("\nkey {}\nterm {:032x}\n", hex(key.as_bytes()), stored.hash().0);
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
    if !golden("v1", "records.txt").exists() {
        fs::write(golden("v1", "records.txt"), golden_text()).unwrap();
    }
    if !golden(NEWEST, "data.mdb").exists() {
        fs::create_dir_all(golden(NEWEST, "")).unwrap();
        let dir = TempDir::new().unwrap();
        let batch = Batch { ops: [genesis().ops, golden_batch().ops].concat() };
        Lmdb::create(dir.path(), &batch).unwrap();
        for name in ["data.mdb", "kvs.id"] {
            fs::copy(dir.path().join(name), golden(NEWEST, name)).unwrap();
        }
    }
}

#[test]
fn golden_records_have_the_same_bytes_for_ever() {
    make_golden();
    let text = fs::read_to_string(golden("v1", "records.txt")).unwrap();
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
fn golden_files_open_for_ever() {
    make_golden();
    for format in ["v1", NEWEST] {
        let dir = golden_directory(format);
        let mut model = Model::default();
        model.apply(&Batch { ops: [genesis().ops, golden_batch().ops].concat() });
        let opened = open(dir.path(), Access::Read).unwrap();
        assert_eq!(opened.trust, Trust::Proven, "{format}");
        assert_eq!(opened.store.identity().node, NodeId(7), "{format}");
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
}

/// LMDB keeps states of its memory in a page's flags: a writer that finds one on the disk writes where
/// nobody may, or ends the process.
#[test]
fn a_page_of_no_known_kind_is_met_by_no_writer() {
    let dir = directory(300);
    let file = dir.path().join("data.mdb");
    let good = fs::read(&file).unwrap();
    let trees = pages::tables(&good);
    let used: Vec<usize> = trees.values().flat_map(|tree| tree.pages.clone()).collect();
    assert!(used.len() > 20, "{used:?}");
    for page in used {
        for bit in [2_u8, 4, 5, 6, 14, 15] {
            let mut bytes = good.clone();
            bytes[page * pages::PAGE + 10 + usize::from(bit / 8)] ^= 1 << (bit % 8);
            fs::write(&file, bytes).unwrap();
            let refused = match open(dir.path(), Access::Write) {
                Err(error) => matches!(error.root(), Error::Corrupt(_)),
                Ok(opened) => {
                    let store = opened.store;
                    let none = &mut |_: &[u8], _: &[u8]| std::ops::ControlFlow::Continue(());
                    let read = q().all().all(|p| store.visit(p, None, none).is_ok());
                    !read && store.structure().is_err()
                }
            };
            assert!(refused, "bit {bit} of the flags of page {page}");
        }
    }
}

/// A key in a branch that changes by a bit leads a search to the page beside the right one, and one in a
/// leaf may still be in order: nothing else is wrong there, and the key that is looked for is not.
#[test]
fn a_key_that_damage_hides_is_not_absent() {
    let dir = directory(2000);
    let file = dir.path().join("data.mdb");
    let good = fs::read(&file).unwrap();
    let records = &pages::tables(&good)["records"];
    let branches: Vec<_> = records.branches.iter().cloned().flatten().collect();
    let leaves: Vec<_> = records.rows.iter().step_by(7).flat_map(|row| row.key.clone()).collect();
    let keys: Vec<_> = (0..2000).map(key).collect();
    for places in [branches, leaves] {
        let mut hidden = 0;
        for at in places {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            fs::write(&file, bytes).unwrap();
            // What does not rise is found when the file is opened.
            let Ok(opened) = open(dir.path(), Access::Read) else { continue };
            let store = opened.store;
            let is_lost = |key: &&Key| matches!(store.get(q().partition(key), key), Ok(None));
            for key in keys.iter().filter(is_lost) {
                let proven = store.prove_absent(q().partition(key), key);
                assert!(proven.is_err(), "{key:?} is there, and byte {at} hides it");
                hidden += 1;
            }
        }
        assert!(hidden > 100, "only {hidden} were hidden");
    }
    fs::write(&file, good).unwrap();
    let store = open(dir.path(), Access::Read).unwrap().store;
    store.structure().unwrap();
    for absent in (2000..2100).map(key) {
        store.prove_absent(q().partition(&absent), &absent).unwrap();
    }
}

/// A page whose head says less than it holds: what it still shows is in order, and rows are gone.
#[test]
fn a_row_that_the_head_of_its_page_hides_is_not_absent() {
    let dir = directory(2000);
    let file = dir.path().join("data.mdb");
    let good = fs::read(&file).unwrap();
    let records = &pages::tables(&good)["records"];
    let mut hidden = 0;
    for page in records.pages.iter().map(|page| page * pages::PAGE).step_by(60) {
        let of = |at: usize| usize::from(u16::from_le_bytes([good[at], good[at + 1]]));
        let (lower, upper) = (page + of(page + 12), page + of(page + 14));
        if good[page + 10] != 2 || lower == page + 16 {
            continue;
        }
        let on_it = |row: &&pages::Row| (upper..page + pages::PAGE).contains(&row.key.start);
        let keys = records.rows.iter().filter(on_it).map(|row| &good[row.key.clone()][2..]);
        let keys: Vec<_> = keys.map(|bytes| Key::new(bytes).unwrap()).collect();
        for (at, bit) in (page + 12..lower).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&file, bytes).unwrap();
            let Ok(opened) = open(dir.path(), Access::Read) else { continue };
            let store = opened.store;
            for key in &keys {
                let p = q().partition(key);
                if store.prove_absent(p, key).is_ok() {
                    let found = store.get(p, key);
                    assert!(!matches!(found, Ok(None)), "{key:?} is hidden by bit {bit} of {at}");
                } else {
                    hidden += 1;
                }
            }
        }
    }
    assert!(hidden > 100, "only {hidden} were hidden");
}

/// The head that a writer is at may be read half old and half new: whoever reads rows meanwhile reads
/// the state that the other names.
#[test]
fn a_head_that_is_half_written_is_no_damage_to_who_reads_the_other_state() {
    use std::os::unix::fs::FileExt;
    let dir = directory(50);
    let mut store = writer(dir.path());
    for round in 0..2 {
        store.apply(&puts(0..50, round, 10)).unwrap();
        let twin = store.reader_handle().unwrap();
        let data = dir.path().join("data.mdb");
        let file = fs::OpenOptions::new().read(true).write(true).open(data).unwrap();
        let txn = |head: u64| {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, head * pages::PAGE as u64 + 144).unwrap();
            u64::from_le_bytes(bytes)
        };
        let older = if txn(0) < txn(1) { 0 } else { pages::PAGE as u64 };
        // Its new trees lie beyond the last page that it still names.
        file.write_all_at(&(1_u64 << 40).to_le_bytes(), older + 128).unwrap();
        twin.prove_absent(place(999), &key(999)).unwrap();
        let all = &mut |_: &[u8], _: &[u8]| ControlFlow::Continue(());
        q().all().for_each(|p| twin.visit(p, None, all).unwrap());
        assert!(store.structure().is_err(), "it is damage when it stays");
        drop(twin);
        store.apply(&puts(0..1, round, 20)).unwrap();
        store.structure().unwrap();
    }
}

/// A free list that names a page twice, one of the heads or one beyond the end is met by no writer.
#[test]
fn a_free_list_that_cannot_be_is_met_by_no_writer() {
    let dir = directory(300);
    let mut writer_of_some = writer(dir.path());
    for round in 0..8 {
        writer_of_some.apply(&puts(0..100, round, 10)).unwrap();
    }
    drop(writer_of_some);
    let file = dir.path().join("data.mdb");
    let good = fs::read(&file).unwrap();
    let rows = &pages::tables(&good)["free"].rows;
    let read = |at: usize| u64::from_le_bytes(good[at..at + 8].try_into().unwrap());
    let listed = |row: &pages::Row| {
        let count = read(row.value.start) as usize;
        row.value.clone().step_by(8).skip(1).take(count)
    };
    let numbers: Vec<usize> = rows.iter().flat_map(listed).collect();
    assert!(numbers.len() > 10, "{numbers:?}");
    let last = (good.len() / pages::PAGE) as u64;
    for at in &numbers {
        let other = numbers.iter().find(|other| *other != at).unwrap();
        for wrong in [0, 1, last, u64::MAX, read(*other)] {
            let mut bytes = good.clone();
            bytes[*at..at + 8].copy_from_slice(&wrong.to_le_bytes());
            fs::write(&file, bytes).unwrap();
            let opened = open(dir.path(), Access::Write);
            let refused = opened.is_err_and(|e| matches!(e.root(), Error::Corrupt(_)));
            assert!(refused, "{wrong} for the free page {} at {at}", read(*at));
        }
    }
    fs::write(&file, good).unwrap();
    writer(dir.path()).apply(&puts(0..100, 9, 10)).unwrap();
}

/// How many bytes the rows of the sealed tables have.
fn row_lengths(dir: &Path) -> [Vec<usize>; 3] {
    let bytes = fs::read(dir.join("data.mdb")).unwrap();
    let tables = super::pages::tables(&bytes);
    ["meta", "ring", "hints"].map(|name| tables[name].rows.iter().map(|r| r.value.len()).collect())
}

/// A file of format 1 has no seals; whoever writes next puts them on. One of format 2 has them and
/// keeps them as they are.
#[test]
fn a_file_without_seals_is_sealed_by_the_next_writer_and_one_with_seals_keeps_them() {
    for (format, seal) in [("v1", 16), ("v2", 0)] {
        let dir = golden_directory(format);
        let before = row_lengths(dir.path());
        super::writer(dir.path()).apply(&super::puts(0..1, 0, 10)).unwrap();
        let after = row_lengths(dir.path());
        for table in [1, 2] {
            let sealed: Vec<_> = before[table].iter().map(|n| n + seal).collect();
            assert_eq!(after[table], sealed, "{format}");
        }
        assert!(after[0].iter().all(|n| *n >= 20), "{format}: {:?}", after[0]);
        assert!(super::writer(dir.path()).bad_hints().unwrap().is_empty(), "{format}");
    }
}
