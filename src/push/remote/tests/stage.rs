//! What is brought: whole, tried, in its place; or nothing of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Counts what begins.
#[derive(Default)]
struct Count(AtomicUsize);

impl Watch for Count {
    fn note(&self, _host: &str, _event: &PushEvent) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Names in `releases`, hidden ones too.
fn releases(machine: &Machine) -> Vec<String> {
    let dir = root(machine).join("releases");
    let names = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<_> =
        names.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn a_release_is_brought_once() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let (one, count) = (release(&machine, &node("1", SERVES)), Count::default());
        assert_eq!(remote.stage(&one, &count).expect("a release"), "kvs 1");
        assert_eq!(remote.stage(&one, &count).expect("the same"), "kvs 1");
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "sent once");
        let there = root(&machine).join("releases").join(&one.id);
        let mode = fs::metadata(there.join("kvs")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        // One that was damaged is brought again.
        fs::write(there.join("kvs"), "damaged\n").expect("a file");
        assert_eq!(remote.stage(&one, &count).expect("a release"), "kvs 1");
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert_eq!(releases(&machine), [one.id.as_str()]);
        let facts = remote.facts().expect("facts");
        assert_eq!(facts.releases, [(one.id, "kvs 1".into())]);
    }
}

#[test]
fn what_the_host_cannot_run_is_a_sentence_and_leaves_nothing() {
    let programs = [
        ("#!/bin/sh\necho oh no >&2; exit 3\n", "it ended with status 3: oh no"),
        ("#!/bin/sh\nexit 0\n", "it says no version"),
        ("#!/no/such/loader\n", "the program it is loaded by"),
        ("#!/bin/sh\nexit 126\n", "programs cannot be run in "),
        ("#!/bin/sh\nkill -ILL $$\n", "instructions that the host does not have"),
        ("#!/bin/sh\nkill -SEGV $$\n", "it was ended by signal 11"),
    ];
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        for (program, sentence) in programs {
            let error = remote.stage(&release(&machine, program), &Deaf).expect_err("a bad one");
            assert!(matches!(error.root(), Error::Denied(_)), "{error}");
            let told = error.to_string();
            assert!(told.starts_with("n1 could not take the release: "), "{told}");
            assert!(told.contains(sentence), "{told}");
            assert!(told.ends_with("nothing that runs was touched."), "{told}");
            assert_eq!(releases(&machine), [""; 0]);
        }
        let mut wrong = release(&machine, &node("1", SERVES));
        fs::write(&wrong.file, "cut off").expect("a file");
        let error = remote.stage(&wrong, &Deaf).expect_err("another checksum");
        assert!(error.to_string().contains("its checksum is "), "{error}");
        wrong.machine = "s390x".into();
        let error = remote.stage(&wrong, &Deaf).expect_err("another machine");
        assert!(error.to_string().contains("is made for s390x; nothing was sent"), "{error}");
        let mut huge = release(&machine, &node("2", SERVES));
        huge.bytes = 1 << 60;
        let error = remote.stage(&huge, &Deaf).expect_err("a full disk");
        assert!(error.to_string().contains(" MiB are needed; nothing was sent"), "{error}");
        assert_eq!(releases(&machine), [""; 0]);
    }
}

#[test]
fn what_dead_pushes_left_goes_after_an_hour() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let dir = root(&machine).join("releases");
        for (name, minutes) in [(".0.old.tmp", 61), (".0.young.tmp", 50)] {
            let file = fs::File::create(dir.join(name)).expect("a file");
            let then = fs::metadata(machine.at("boot_id")).expect("a file").modified();
            let then = then.expect("a time") - Duration::from_secs(60 * minutes);
            file.set_modified(then).expect("a time");
        }
        let one = release(&machine, &node("1", SERVES));
        remote.stage(&one, &Deaf).expect("a release");
        assert_eq!(releases(&machine), [".0.young.tmp", one.id.as_str()]);
    }
}

#[test]
fn old_releases_go_and_those_in_use_stay() {
    for machine in machines() {
        let host = host();
        let mut remote = locked(&machine, &host);
        let bring = |remote: &mut RemoteHost<'_>, version: u32| {
            let one = release(&machine, &node(&version.to_string(), SERVES));
            remote.stage(&one, &Deaf).expect("a release");
            let dir = fs::File::open(root(&machine).join("releases").join(&one.id)).expect("it");
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000 * u64::from(version));
            dir.set_modified(time).expect("a time");
            one.id
        };
        let ids: Vec<_> = (1..=6).map(|version| bring(&mut remote, version)).collect();
        remote.switch(&ids[1]).expect("a switch");
        remote.switch(&ids[0]).expect("a switch");
        remote.prune(2).expect("fewer");
        let facts = remote.facts().expect("facts");
        let left: Vec<_> = facts.releases.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(left, [&ids[5], &ids[4], &ids[1], &ids[0]].map(Clone::clone), "newest first");
        assert_eq!(facts.current.as_ref(), Some(&ids[0]));
        assert_eq!(facts.previous.as_ref(), Some(&ids[1]));
        let error = remote.switch(&ids[2]).expect_err("it is gone");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
        assert_eq!(remote.facts().expect("facts").current.as_ref(), Some(&ids[0]));
    }
}
