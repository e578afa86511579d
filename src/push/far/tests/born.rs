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
        let mut far = locked(&machine, &host);
        let data = root(&machine).join("data");
        let one = release(&machine, &node("1", SERVES));
        let make = |far: &mut Far<'_>| {
            far.stage(&one, &Deaf).expect("a release");
            far.identity(&one.id).expect("a key");
            far.make(&one.id, "the birth's text").expect("a directory");
        };
        make(&mut far);
        let before = far.facts().expect("facts");
        assert!(before.unborn && !before.proving);
        far.make(&one.id, "the birth's text").expect("it is there already");
        far.unmake().expect("nothing is in it");
        assert!(!data.exists() && !far.facts().expect("facts").unborn);

        // Somebody has started it by hand, and written to it.
        make(&mut far);
        written_later(&data.join("data.mdb"), Duration::from_secs(10));
        assert!(!far.facts().expect("facts").unborn);
        let error = far.unmake().expect_err("records may be in it");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
        fs::remove_file(data.join("data.mdb")).expect("a file");
        assert!(far.facts().expect("facts").unborn);

        install(&mut far, &one).expect("a node");
        far.stop(PATIENCE).expect("an end");
        assert!(!far.facts().expect("facts").unborn);
        far.unmake().expect_err("a node has run in it");
        far.destroy(false).expect("an end");
        // Its service is gone, and what it holds is as safe as before.
        let mut far = locked(&machine, &host);
        far.unmake().expect_err("a node has run in it");
        assert!(data.exists());
    }
}

#[test]
fn a_node_that_was_started_is_to_be_proven() {
    for machine in machines() {
        let host = host();
        let mut far = locked(&machine, &host);
        install(&mut far, &release(&machine, &node("1", SERVES))).expect("a node");
        assert!(far.facts().expect("facts").proving);
        far.proven().expect("a note");
        assert!(!far.facts().expect("facts").proving);
        far.start(PATIENCE).expect("it runs already");
        assert!(!far.facts().expect("facts").proving, "it is the same that was proven");
        far.stop(PATIENCE).expect("an end");
        far.start(PATIENCE).expect("a node");
        assert!(far.facts().expect("facts").proving);
        far.stop(PATIENCE).expect("an end");
    }
}
