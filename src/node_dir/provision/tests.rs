//! Every way a directory comes to be, comes to be again, or must not.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::key::Q;
use crate::ring::Member;

const KEY: Secret = [7; 32];

fn member(name: &str, public: [u8; 32], state: MemberState) -> Member {
    let (id, name) = (NodeId::of_key(&public), name.to_owned());
    Member { id, name, zone: "a".into(), weight: 1, state, public_key: public }
}

fn doc(ring: u128, members: Vec<Member>) -> RingDoc {
    RingDoc::first(RingId(ring), Q::new(8).unwrap(), 1, members).unwrap()
}

fn provision(name: &str, doc: &RingDoc, founder: bool) -> Provision {
    let node = NodeConfig {
        name: name.into(),
        listen: Some("10.0.0.1:7101".into()),
        advertise: Some("192.0.2.1:7101".into()),
        metrics: Some("off".into()),
        quota_bytes: Some(1 << 40),
    };
    let addresses = doc.members.iter().map(|m| (m.id, format!("{}:1", m.name))).collect();
    Provision::new(node, &[KEY], doc, &addresses, founder)
}

/// A founder `n1` and its provision, not yet made.
fn founder() -> (TempDir, PathBuf, Provision) {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("deep/n1");
    let public = identity(&dir).unwrap();
    let doc = doc(1, vec![member("n1", public, MemberState::Normal)]);
    (place, dir, provision("n1", &doc, true))
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
fn denied(result: Result<Made>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error.root(), Error::Denied(_)), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn an_identity_is_made_once_and_its_secret_is_for_its_owner() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("a/b/n1");
    let public = identity(&dir).unwrap();
    assert_eq!(identity(&dir).unwrap(), public);
    let key = place.path().join("a/b/n1.key");
    assert_eq!((mode(&key), mode(&place.path().join("a"))), (0o600, 0o700));
    assert!(!dir.exists());
    assert_ne!(identity(&place.path().join("a/b/n2")).unwrap(), public);
    assert_ne!(NodeId::of_key(&public), NodeId::of_key(&[0; 32]));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(identity(&dir).unwrap_err().root(), Error::Denied(_)));
    assert!(matches!(identity(Path::new("/")), Err(Error::Denied(_) | Error::Hinted { .. })));
}

#[test]
fn identities_do_not_change_from_build_to_build() {
    assert_eq!(NodeId::of_key(&[0; 32]).to_string(), "0affe14b425f5ad5");
}

/// Who a directory is, and which of its partitions are filling.
fn filling(dir: &Path) -> (NodeId, Vec<u8>) {
    let store = Lmdb::open(dir, Access::Read, Map::default()).unwrap().store;
    (store.identity().node, store.row(Table::Meta, "filling").unwrap().unwrap())
}

#[test]
fn a_founder_is_born_full_and_a_joiner_empty() {
    let (place, dir, provision) = founder();
    assert_eq!(create_node_dir(&dir, &provision).unwrap(), Made::New);
    assert_eq!(names(dir.parent().unwrap()), ["n1"], "the key is in the directory now");
    assert_eq!(config::read::<NodeConfig>(&dir.join(NODE_FILE)).unwrap(), provision.node);
    assert_eq!(read_keys(&dir.join(RING_KEY)).unwrap(), [KEY]);
    assert_eq!((mode(&dir), mode(&dir.join(NODE_KEY))), (0o700, 0o600));
    let public = identity(&dir).unwrap();
    assert_eq!(filling(&dir), (NodeId::of_key(&public), vec![0]));

    let joiner = place.path().join("n2");
    identity(&joiner).unwrap();
    let doc = provision.doc().unwrap();
    let odd = create_node_dir(&joiner, &self::provision("-x", &doc, false)).unwrap_err();
    assert!(matches!(odd.root(), Error::Usage(_)) && !joiner.exists(), "{odd}");
    assert_eq!(create_node_dir(&joiner, &self::provision("n2", &doc, false)).unwrap(), Made::New);
    assert_eq!(filling(&joiner).1, vec![0xff]);
    let peers: Peers = config::read(&joiner.join("peers.yaml")).unwrap();
    assert_eq!(peers.peers[0].address.as_deref(), Some("n1:1"));
}

#[test]
fn a_birth_may_be_repeated_from_wherever_it_was_cut() {
    let (_place, dir, provision) = founder();
    let (parent, key) = (dir.parent().unwrap(), dir.with_file_name("n1.key"));
    let secret = fs::read(&key).unwrap();
    // Killed while it was half made; other people's files beside it are none of our business.
    let half = parent.join(".n1.0123abcd.tmp");
    fs::create_dir(&half).unwrap();
    fs::write(half.join(NODE_KEY), &secret).unwrap();
    fs::create_dir(parent.join(".n1.0123abcd")).unwrap();
    fs::create_dir(parent.join(".n10.0123abcd.tmp")).unwrap();
    assert_eq!(create_node_dir(&dir, &provision).unwrap(), Made::New);
    assert_eq!(names(parent), [".n1.0123abcd", ".n10.0123abcd.tmp", "n1"]);
    // Killed after the rename.
    fs::write(&key, &secret).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(create_node_dir(&dir, &provision).unwrap(), Made::Already);
    assert!(!key.exists());
    // Another key beside it is not ours to remove.
    create_key(&key, &[[9; 32]]).unwrap();
    assert_eq!(create_node_dir(&dir, &provision).unwrap(), Made::Already);
    assert!(key.exists());
}

#[test]
fn one_process_makes_a_directory_at_a_time() {
    let (_place, dir, provision) = founder();
    let other = File::open(dir.with_file_name("n1.key")).unwrap();
    other.lock().unwrap();
    assert!(matches!(create_node_dir(&dir, &provision), Err(Error::Busy(_))));
    assert!(!dir.exists());
    drop(other);
    assert_eq!(create_node_dir(&dir, &provision).unwrap(), Made::New);
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    let (place, dir, born) = founder();
    create_node_dir(&dir, &born).unwrap();
    let public = identity(&dir).unwrap();
    let n1 = || member("n1", public, MemberState::Normal);
    denied(create_node_dir(&dir, &provision("n1", &doc(2, vec![n1()]), true)), "another ring");
    denied(create_node_dir(&dir, &provision("n2", &doc(1, vec![n1()]), true)), "is the node n1");
    let others = vec![member("n2", [2; 32], MemberState::Normal)];
    denied(create_node_dir(&dir, &provision("n1", &doc(1, others), true)), "not a founding member");
    let mut left = doc(1, vec![n1(), member("n2", [2; 32], MemberState::Normal)]);
    left.members[0].state = MemberState::Removed;
    denied(create_node_dir(&dir, &provision("n1", &left, false)), "removed");

    let full = place.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter"), "dear").unwrap();
    denied(create_node_dir(&full, &born), "not empty");
    assert!(matches!(identity(&full).unwrap_err().root(), Error::Denied(_)));
    assert_eq!(names(&full), ["letter"]);
    assert!(!place.path().join("full.key").exists());
}

#[test]
fn an_empty_directory_that_waits_is_taken() {
    let (_place, dir, provision) = founder();
    fs::create_dir(&dir).unwrap();
    assert_eq!(create_node_dir(&dir, &provision).unwrap(), Made::New);
}

/// A member whose directory was never made comes when the ring may have been written to.
#[test]
fn a_founder_that_is_late_is_born_empty() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("n1");
    let own = doc(1, vec![member("n1", identity(&dir).unwrap(), MemberState::Normal)]);
    assert_eq!(create_node_dir(&dir, &provision("n1", &own, false)).unwrap(), Made::New);
    assert_eq!(filling(&dir).1, vec![0xff]);
}

#[test]
fn ring_and_birth_must_fit() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("n1");
    let others = doc(1, vec![member("n2", [2; 32], MemberState::Normal)]);
    denied(create_node_dir(&dir, &provision("n1", &others, false)), "no key yet");
    let public = identity(&dir).unwrap();
    denied(
        create_node_dir(&dir, &provision("n1", &others, true)),
        "not a founding member of the ring",
    );
    let own = doc(1, vec![member("n1", public, MemberState::Normal)]);
    denied(create_node_dir(&dir, &provision("n2", &own, true)), "as another");
    denied(create_node_dir(&dir, &provision("n2", &own, false)), "as another");
    let mut stranger = own.clone();
    stranger.members[0].public_key = [3; 32];
    denied(create_node_dir(&dir, &provision("n1", &stranger, true)), "as another");
    let mut joining = own.clone();
    joining.members[0].state = MemberState::Joining;
    denied(create_node_dir(&dir, &provision("n1", &joining, true)), "as another");
    let mut gone = own;
    gone.members[0].state = MemberState::Removed;
    denied(create_node_dir(&dir, &provision("n1", &gone, false)), "for good");
    assert_eq!(names(place.path()), ["n1.key"]);
}

#[test]
fn the_text_comes_back_and_never_shows_a_key_when_it_is_wrong() {
    let (_place, dir, provision) = founder();
    let text = provision.text().unwrap();
    assert_eq!(Provision::parse(&text).unwrap(), provision);
    let hex = "07".repeat(32);
    assert!(text.contains(&hex) && !format!("{provision:?}").contains(&hex));
    for (from, to) in [
        (format!("- '{hex}'"), hex.clone()),
        (format!("ring_keys:\n- '{hex}'"), format!("ring_keys: {hex}")),
        ("founder: true".into(), format!("founder: {hex}")),
        ("founder: true".into(), "founder: true\nmore: 1".into()),
        ("founder: true\n".into(), String::new()),
    ] {
        let wrong = text.replace(&from, &to);
        assert_ne!(wrong, text, "{from}");
        let error = Provision::parse(&wrong).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && !error.to_string().contains("0707"), "{error}");
    }
    for keys in [vec![], vec!["07".into()], vec![hex.clone(); 3]] {
        let error =
            create_node_dir(&dir, &Provision { ring_keys: keys, ..provision.clone() }).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && !error.to_string().contains("07"), "{error}");
    }
    for doc in ["", "%%", "AAAA"] {
        assert!(
            create_node_dir(&dir, &Provision { doc: doc.into(), ..provision.clone() }).is_err(),
            "{doc}"
        );
    }
    assert!(!dir.exists());
}
