//! What is known of a node that was made, and of one that was started.

use super::*;

/// A file over there, written so much later than now.
fn written_later(file: &Path, later: Duration) {
    fs::write(file, "records").expect("a file");
    let open = fs::File::options().write(true).open(file).expect("a file");
    let now = open.metadata().and_then(|m| m.modified()).expect("a time");
    open.set_modified(now + later).expect("a time");
}

#[test]
fn only_a_directory_in_which_nothing_ever_ran_is_unmade() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let data = root(&machine).join("data");
        let one = release(&machine, &node("1", SERVES));
        let make = |remote: &mut RemoteHost<'_>| {
            remote.stage(&one, &Deaf).expect("a release");
            remote.identity(&one.id).expect("a key");
            remote.make(&one.id, "the birth's text").expect("a directory");
        };
        make(&mut remote);
        let before = remote.facts().expect("facts");
        assert!(before.unborn && !before.proving);
        remote.make(&one.id, "the birth's text").expect("it is there already");
        remote.unmake().expect("nothing is in it");
        assert!(!data.exists() && !remote.facts().expect("facts").unborn);

        // Somebody has started it by hand, and written to it.
        make(&mut remote);
        written_later(&data.join("data.mdb"), Duration::from_secs(10));
        assert!(!remote.facts().expect("facts").unborn);
        let error = remote.unmake().expect_err("records may be in it");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
        fs::remove_file(data.join("data.mdb")).expect("a file");
        assert!(remote.facts().expect("facts").unborn);

        install(&mut remote, &one).expect("a node");
        remote.stop(PATIENCE).expect("an end");
        assert!(!remote.facts().expect("facts").unborn);
        remote.unmake().expect_err("a node has run in it");
        remote.destroy(false).expect("an end");
        // Its service is gone, and what it holds is as safe as before.
        let mut remote = locked(&machine, &host);
        remote.unmake().expect_err("a node has run in it");
        assert!(data.exists());
    }
}

#[test]
fn a_node_that_was_started_is_to_be_proven() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        install(&mut remote, &release(&machine, &node("1", SERVES))).expect("a node");
        assert!(remote.facts().expect("facts").proving);
        remote.proven().expect("a note");
        assert!(!remote.facts().expect("facts").proving);
        remote.start(PATIENCE).expect("it runs already");
        assert!(!remote.facts().expect("facts").proving, "it is the same that was proven");
        remote.stop(PATIENCE).expect("an end");
        remote.start(PATIENCE).expect("a node");
        assert!(remote.facts().expect("facts").proving);
        remote.stop(PATIENCE).expect("an end");
    }
}
