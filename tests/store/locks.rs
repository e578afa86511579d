//! Locks: who holds a directory, and what is said to those who come after.

use super::*;

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

/// A lock that was let go is free by then.
const FREE: Duration = Duration::from_secs(20);

#[test]
fn readers_share_and_a_killed_writer_is_not_blamed() {
    let dir = directory(0);
    fs::write(dir.path().join("kvs.lock"), "put 999999 -\n").unwrap();
    let first = Lock::wait(dir.path(), &Want::Shared, Duration::ZERO).unwrap();
    let second = Lock::wait(dir.path(), &Want::Shared, Duration::ZERO).unwrap();
    let attempt = Lock::attempt(dir.path(), &exclusive("put", None)).unwrap();
    assert!(matches!(attempt, Attempt::Readers), "{attempt:?}");
    drop((first, second));
    assert!(Lock::wait(dir.path(), &exclusive("put", None), FREE).is_ok(), "no reader is left");
}

#[test]
fn a_lock_changes_hands_without_being_free() {
    let dir = directory(0);
    let held = Lock::wait(dir.path(), &exclusive("up", None), Duration::ZERO).unwrap();
    let Some(file) = held.into_file() else { panic!("no file") };
    let busy = || Lock::attempt(dir.path(), &Want::Shared).unwrap();
    assert!(matches!(busy(), Attempt::Writer(Some(h)) if h.kind == "up"), "the text stays");

    let mut node = Holder { kind: "node".into(), pid: 12, address: None };
    let adopted = Lock::adopt(dir.path(), file, &node).unwrap();
    assert_eq!(Lock::holder(dir.path()).unwrap(), Some(node.clone()));
    node.address = Some("127.0.0.1:7001".into());
    adopted.rename_holder(dir.path(), &node).unwrap();
    assert_eq!(Lock::holder(dir.path()).unwrap(), Some(node));
    drop(adopted);
    // A process that another test starts this moment has the file until it is another program.
    assert!(Lock::wait(dir.path(), &Want::Shared, FREE).is_ok(), "it is free at the end");
}

#[test]
fn only_the_lock_of_the_directory_is_adopted() {
    let (dir, other) = (directory(0), directory(0));
    let node = Holder { kind: "node".into(), pid: 12, address: None };
    let strange = Lock::wait(other.path(), &exclusive("up", None), Duration::ZERO).unwrap();
    let error = Lock::adopt(dir.path(), strange.into_file().unwrap(), &node).unwrap_err();
    assert!(matches!(error.root(), Error::Denied(_)), "{error}");
    // The right file, opened anew, holds nothing while somebody else does.
    let _held = Lock::wait(dir.path(), &exclusive("put", None), Duration::ZERO).unwrap();
    let file = fs::File::open(dir.path().join("kvs.lock")).unwrap();
    let error = Lock::adopt(dir.path(), file, &node).unwrap_err();
    assert!(matches!(error.root(), Error::Busy(_)), "{error}");
    assert_eq!(Lock::holder(dir.path()).unwrap().map(|h| h.kind), Some("put".into()));
}
