//! Every exit code with its causes, of files at rest; `running` has those of running nodes.

use std::fs;
use std::time::Duration;

use kvs::store::lock::{Holder, Lock, Want};

use crate::support::shell::{Place, is_root, skip};

/// Lines of a shell, each with the code it ends with and words of stderr.
fn walk(place: &Place, table: &[(i32, &str, &str)]) {
    for (code, line, words) in table {
        place.sh(line).ends(*code).says(words);
    }
}

#[test]
fn codes_of_what_was_asked() {
    let place = Place::ring("--partitions 8");
    place.sh("head -c 4194305 /dev/zero > over; ln -s loop loop; mkfifo fifo").ends(0);
    place
        .sh("echo '{\"key\":\"bad\"}' > bad; echo '{\"key\":\"k\",\"value\":\"v\"}' > good")
        .ends(0);
    place.sh("kvs put -q two a --down n3 && kvs put -q two b -w 1 --down n1,n2 --blind").ends(0);
    walk(
        &place,
        &[
            (0, "kvs put k v", "3/3"),
            (0, "KVS_KEY_FILE= kvs get k", ""),
            (0, "kvs --help", ""),
            (1, "kvs get nothing", "is absent"),
            (1, "kvs delete nothing", "nothing was written"),
            (1, "kvs diff n1 n3", "share"),
            (1, "kvs repair --dry-run", ""),
            (1, "kvs ring plan --weight n1=2", "moves"),
            (1, "kvs join r/n4 --dry-run", "nothing was changed"),
            (1, "kvs replace n1 --dry-run", "nothing was changed"),
            (1, "kvs --down n3 status --check", "n3 is down"),
            (2, "kvs put", "Usage"),
            (2, "kvs get k --ring nowhere", "does not exist"),
            (2, "kvs put k @over", "4 MiB"),
            (2, "kvs put k @loop", "symbolic links"),
            (2, "kvs load loop", "symbolic links"),
            (2, "kvs dump -o r", "r"),
            (2, "kvs put k - <&-", "Stdin is closed"),
            (2, "kvs load <&-", "Stdin is closed"),
            (2, "kvs init x --listen :80", "HOST:PORT"),
            (2, "kvs init x --listen 127.0.0.1:0", "nothing was made"),
            (3, "kvs get two -r 3", "two has 2 siblings"),
            (3, "kvs put k w --if-absent", "nothing was written"),
            (4, "kvs get k --down n1,n2", "Nothing was changed"),
            (6, "kvs get k --down n1,n2,n3", "nothing was tried"),
            (7, "kvs load bad", "Line 1 "),
            (7, "kvs repair --down n3", "n3 was missing"),
            (10, "kvs init r", "nothing was made"),
            (10, "kvs leave n1 --yes", "Nothing was changed"),
            (10, "printf '' | kvs leave n9 --yes; kvs join r/n4 </dev/null", "--yes"),
        ],
    );
    place.kvs("get -q k").ends(0).prints("v");
    place.kvs("ring plan").ends(0);
    // A level by name asks for what it says and nothing that another zone keeps.
    place.kvs("get k --down n1,n2 -r 1").ends(0).prints("v");
}

/// A busy directory, a damaged one, one that belongs to somebody else.
#[test]
fn codes_of_files() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    let holder = Holder { kind: "kvs-test".into(), pid: std::process::id(), address: None };
    let wanted = Want::Exclusive(holder);
    let lock = Lock::wait(&place.path("r/n1"), &wanted, Duration::ZERO).expect("the lock");
    place.kvs("put k w --timeout 50ms").ends(9).says("kvs-test");
    drop(lock);
    let whole = fs::read(place.path("r/n2/data.mdb")).expect("a file");
    fs::write(place.path("r/n2/data.mdb"), &whole[..8_192]).expect("a file to cut");
    place.kvs("verify").ends(8).says("kvs replace n2");
    place.kvs("get k --down n1,n3").ends(8);
    place.kvs("diff n1 n2").ends(8);
    let told = place.kvs("explain k").ends(8).text();
    assert!(told.contains("n2 (zone default, vote): unreadable"), "{told}");
    assert!(told.contains("next\tkvs replace n2\n"), "{told}");
    place.kvs("explain k --down n1,n3").ends(8);
    place.kvs("explain k --down n2").ends(0);
}

/// An answer without a member's part is partly done, also when that member is only taken as down.
#[test]
fn what_looks_at_every_member_says_when_one_was_not_read() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v -w 3").ends(0);
    place.sh("kvs digest --format plain >saved && kvs digest --check saved").ends(0);
    let lines = [
        "digest",
        "digest --depth 1",
        "digest --check saved",
        "digest r",
        "verify",
        "verify r",
        "hints list",
        "hints deliver",
        "clock k",
    ];
    let unread = "n3 is down; it was not read";
    for line in lines {
        place.kvs(line).ends(0);
        place.kvs(&format!("{line} --down n3")).ends(7).says(unread);
    }
    for line in ["digest r/n1 r/n3", "verify r/n1 r/n3"] {
        place.kvs(&format!("{line} --down n3")).ends(7).says(unread);
        place.kvs(&format!("{line} --down n2")).ends(0);
    }
    place.sh("mv r/n3 aside").ends(0);
    for line in lines {
        place.kvs(line).ends(7).says(unread);
        place.kvs(&format!("{line} --down n3")).ends(7).says(unread);
    }
    place.kvs("digest r/n1").ends(0);
    // Rows that stand twice are not those of one digest.
    place.sh("cat saved saved > twice").ends(0);
    place
        .kvs("digest r/n1 --check twice")
        .ends(2)
        .says("Line 4 of twice is a second row for the place of line 1");
    // What was read and differs is a valid no, whoever is down.
    place.kvs("put -q k w").ends(0);
    place.kvs("digest --check saved").ends(1);
    place.kvs("put -q k x -w 1 --down n2").ends(0);
    place.kvs("clock k").ends(1).says(unread);
}

/// Hints that a member keeps which nobody asked are not delivered, whatever the others keep.
#[test]
fn hints_are_delivered_when_everybody_was_asked() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v --down n3").ends(0);
    let held = place.kvs("hints list --format plain").ends(0).text();
    let holder = held.split('\t').next().expect("a row");
    place.sh(&format!("mv r/{holder} aside")).ends(0);
    let unread = format!("{holder} is down; it was not read");
    place.kvs("hints deliver").ends(7).says(&unread);
    place.sh(&format!("mv aside r/{holder}")).ends(0);
    place.kvs(&format!("hints deliver --down {holder}")).ends(7).says(&unread);
    place.kvs("hints deliver").ends(0).prints("1\t0\n");
    place.kvs("clock k").ends(0);
}

/// A process that may open too few files is told so; it never takes that for damage or loss.
#[test]
fn too_few_descriptors_are_no_damage() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    let mut refused = 0;
    for limit in 12..32 {
        for line in ["put -q k v", "get -q k", "repair -q", "verify -q", "status --check -q"] {
            let told = place.sh(&format!("ulimit -n {limit}; kvs {line}")).ends_in(&[0, 10]);
            let told = told.never_says("fill").never_says("lost");
            if told.code == 10 {
                told.says("Too many open files").says("raise the limit: ulimit -n 1024");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "every limit was enough: the test proves nothing");
    place.kvs("status --check").ends(0);
    place.is_sound_and_equal();
}

/// A commit that fails underneath: unknown when it may stand, with the sentence that says so.
#[test]
fn a_write_that_may_stand_is_unknown() {
    let place = Place::ring("--partitions 8");
    if place.sh("strace -o /dev/null true").code != 0 {
        return skip("failing system calls: there is no strace that may trace");
    }
    place.kvs("put -q k v").ends(0);
    let file = |n: &str| fs::canonicalize(place.path(&format!("r/{n}/data.mdb"))).expect("a file");
    let paths: Vec<_> = ["n1", "n2", "n3"].map(|n| format!("-P {}", file(n).display())).to_vec();
    let paths = paths.join(" ");
    // Commits at the opening come first; one of those after them is the write's own.
    let codes = (1..=8).map(|first| {
        let inject = format!("-e inject=fdatasync:error=EIO:when={first}+");
        let told = place.sh(&format!("strace -f -o /dev/null {paths} {inject} kvs put k w"));
        let told = told.ends_in(&[0, 4, 5, 6]);
        match told.code {
            5 => told.says(" may ").says(" taken effect").says("repeat ").code,
            code => code,
        }
    });
    let codes: Vec<_> = codes.collect();
    assert!(codes.contains(&5), "{codes:?}");
}

/// Output that is lost: of a write that it stands (7), of a read what the system says, of a reader
/// that has enough nothing at all.
#[test]
fn codes_of_output_that_cannot_be_written() {
    let place = Place::ring("--partitions 8");
    place.sh("echo '{\"key\":\"l\",\"value\":\"v\"}' > good").ends(0);
    let lost = "cannot write the output";
    walk(
        &place,
        &[
            (7, "kvs put k v --show-context >/dev/full", "The write was applied."),
            (7, "kvs put k w --format json >/dev/full", "The write was applied."),
            (7, "kvs edit k --format json -- tr w x >/dev/full", "The write was applied."),
            (7, "kvs delete k --show-context >/dev/full", "The write was applied."),
            (7, "kvs load good --format json >/dev/full", "Wrote 1 value."),
            (7, "kvs repair --format json >/dev/full", "The repair was done"),
            (7, "kvs init x --format json >/dev/full", "The ring in x was made."),
            (7, "kvs hints deliver >/dev/full", "Delivered 0 hints."),
            (7, "kvs join r/n4 --yes --format json >/dev/full", "n4 has joined"),
            (7, "kvs replace n4 --yes --format json >/dev/full", "n4 was rebuilt"),
            (7, "kvs leave n4 --yes --format json >/dev/full", "n4 has left"),
            (7, "kvs config keygen key --format json >/dev/full", "key was written"),
            // A parent that throws the output away may open the null device for reading too.
            (0, "kvs get l 1<>/dev/null", ""),
            (4, "kvs get l >/dev/full", lost),
            (4, "kvs scan >/dev/full", lost),
            (4, "kvs dump >/dev/full", lost),
            (4, "kvs status >/dev/full", lost),
            (4, "kvs --help >/dev/full", lost),
            (4, "kvs --version >/dev/full", lost),
            (4, "kvs put --help >/dev/full", lost),
        ],
    );
    place.kvs("get k").ends(1);
    place.kvs("get -q l").ends(0).prints("v");
    place.kvs("--ring x get k").ends(1);
    place.sh("(kvs dump; echo $? >code) | true; cat code").ends(0).prints("0\n");
}

/// What a directory of somebody else is: unreadable, which is no reason to rebuild anything.
#[test]
fn a_directory_of_another_user_is_said_to_be_one() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    if !is_root() || place.sh(&format!("{nobody} kvs --version")).code != 0 {
        return skip("a directory of another user: another user cannot run the binary");
    }
    place.sh("chmod 755 . && chown -R 65534:65534 r").ends(0);
    // What root makes in the ring of another user is that user's.
    place.kvs("join r/n4 --yes -q").ends(0);
    place.sh("find r -not -uid 65534").ends(0).prints("");
    place.sh(&format!("{nobody} kvs put -q k w")).ends(0);
    place.sh(&format!("{nobody} kvs status --check")).ends(0);
    place.sh("chown -R 0:0 r/n2 && chmod 700 r/n2").ends(0);
    for (line, code) in [("get k", 0), ("put k w", 0), ("status", 0), ("repair", 7)] {
        let told = place.sh(&format!("{nobody} kvs {line}")).ends(code);
        let told = told.says("r/n2").says("another user");
        assert!(!told.err.contains("kvs replace"), "{}", told.err);
    }
    place.sh(&format!("{nobody} kvs get -q k --down n2")).ends(0).prints("w");
}

/// Where a majority is lost nothing can be chosen: what is advised before a change is what goes on.
#[test]
fn advice_fits_a_majority_that_is_lost() {
    for (nodes, lost) in [(3, "n2 n3"), (5, "n3 n4 n5"), (7, "n4 n5 n6 n7")] {
        let place = Place::ring(&format!("--partitions 8 --nodes {nodes}"));
        place.kvs("put -q k v -w 3").ends(0);
        place
            .sh(&format!("mkdir gone && for n in {lost}; do mv r/$n gone || exit 1; done"))
            .ends(0);
        for line in
            ["join r/n9 --dry-run", "ring plan --weight n1=2", "replace n3 --accept-loss --dry-run"]
        {
            let told = place.kvs(line).sane();
            let Some((_, first)) = told.err.split_once("stop every node and run first: ") else {
                panic!("{line}: {}", told.err)
            };
            assert!(first.starts_with("kvs ring recover"), "{first}");
        }
        let told = place.kvs("join r/n9 --dry-run").ends(1);
        let (_, first) = told.err.split_once("run first: ").expect("a command");
        let line = first.lines().next().expect("a line");
        place.sh(&format!("{line} --yes")).ends_in(&[0, 7]);
        place.kvs("join r/n9 --yes").ends_in(&[0, 7]).never_says("no majority");
        place.kvs("get -q k -r 1").ends_in(&[0, 1]);
    }
}
