//! Damage that a child suffers.

use super::*;

/// This binary again, doing one thing to one directory.
fn child(task: &str, dir: &Path, shell: &str) -> Output {
    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!(
                "{shell} exec \"$0\" damage::process_beside_a_test --ignored --exact --nocapture"
            ),
        ])
        .arg(exe);
    command.env("KVS_STORE_TASK", task).env("KVS_STORE_DIR", dir);
    command.output().unwrap()
}

/// One thing done to one directory.
#[test]
#[ignore = "no test: a process beside one"]
fn process_beside_a_test() {
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
    if task == "write" {
        let mut store = Lmdb::open(dir, Access::Write, Map::default())?.store;
        cut(dir);
        store.apply(&puts(0..500, 1, 100)).unwrap();
        return Ok(());
    }
    let opened = Lmdb::open(dir, Access::Read, Map::default())?;
    if task == "cut" {
        cut(dir);
    }
    let mut bad = 0;
    for p in q().all() {
        bad += verify::verify(&opened.store, p)?.bad.len();
    }
    opened.store.hints(None, 1000)?;
    opened.store.rows(Table::Meta, "")?;
    if bad > 0 { Err(Error::Corrupt(format!("{bad} bad"))) } else { Ok(()) }
}

fn cut(dir: &Path) {
    fs::File::options().write(true).open(dir.join("data.mdb")).unwrap().set_len(8192).unwrap();
}

/// A write that ends in the middle may have been applied: elsewhere, or even there.
#[test]
fn a_file_cut_while_it_is_written_to_ends_in_exit_5() {
    let dir = directory(500);
    let output = child("write", dir.path(), "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("may have been applied, or not\n"), "{said}");
}

#[test]
fn a_file_cut_while_it_is_mapped_ends_in_exit_8_that_names_it() {
    let dir = directory(500);
    fs::write(dir.path().join("node.yaml"), "name: n7\n").unwrap();
    let output = child("cut", dir.path(), "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{said}");
    let path = dir.path().canonicalize().unwrap().join("data.mdb");
    assert!(said.contains(path.to_str().unwrap()) && said.contains("kvs replace n7\n"), "{said}");
}

/// Advice about a file that no row of it can mend names its node: as its configuration says, or else
/// its directory.
#[test]
fn advice_about_a_damaged_file_names_its_node() {
    let dir = directory(20);
    let path = dir.path().join("data.mdb");
    let mut bytes = fs::read(&path).unwrap();
    for row in &crate::pages::tables(&bytes)["meta"].rows {
        if bytes[row.key.clone()] == *b"actor" {
            bytes[row.value.start] ^= 1;
            break;
        }
    }
    fs::write(&path, bytes).unwrap();
    let hint = || match open(dir.path(), Access::Read).map(drop) {
        Err(Error::Hinted { hint, .. }) => hint,
        other => panic!("{other:?}"),
    };
    let own = dir.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(hint(), format!("rebuild the node from the others: kvs replace {own}"));
    fs::write(dir.path().join("node.yaml"), "name: n7\n").unwrap();
    assert_eq!(hint(), "rebuild the node from the others: kvs replace n7");
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
