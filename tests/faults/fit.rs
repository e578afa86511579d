//! Members whose data are good, and that are not fit: without their keys, or not for this user.

use crate::support::shell::{Place, is_root, skip};

const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

/// A ring that another user owns and can use; `None` where there is none.
fn of_nobody() -> Option<Place> {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    if !is_root() || place.sh(&format!("{NOBODY} kvs --version")).code != 0 {
        skip("directories that may not be used: another user cannot run the binary");
        return None;
    }
    place.sh("chmod 755 . && chown -R 65534:65534 r").ends(0);
    place.sh(&format!("{NOBODY} kvs status --check")).ends(0).never_says("cannot be run");
    Some(place)
}

/// The cure that a line of stderr ends with.
fn cure<'a>(err: &'a str, from: &str) -> &'a str {
    let line = err.lines().find(|line| line.contains(from)).expect("a line that says it");
    line[line.find(from).expect("a cure")..].trim()
}

/// A node that cannot run is not healthy, whatever its data are: the keys are read by the function that
/// `node run` reads them with, and what is said mends it.
#[test]
fn a_ring_whose_nodes_cannot_run_is_not_healthy() {
    let harms = [": > $f", "rm $f", "echo junk > $f", "rm $f; mkdir $f", "rm $f; ln -s nowhere $f"];
    let mode = "chmod 644 $f";
    for file in ["node.key", "ring.key"] {
        for harm in harms.into_iter().chain([mode]) {
            let place = Place::ring("--partitions 8");
            place.kvs("put -q k v").ends(0);
            place.kvs("status --check").ends(0).never_says("cannot be run");
            place.sh(&format!("f=r/n2/{file}; {harm}")).ends(0);
            let told = place.kvs("status --check").ends(1).says("n2 cannot be run").says(file);
            place.kvs("status").ends(0).says("n2 cannot be run");
            let json = place.kvs("status --check --format json").ends(1).text();
            assert!(json.contains("\"healthy\":false"), "{json}");
            place.kvs("verify").ends(0).says("n2 cannot be run");
            place.kvs("repair").ends(0).says("n2 cannot be run");
            place.kvs("put -q k w -w 3").ends(0);
            place.kvs("get -q k -r 3").ends(0).prints("w");
            place.kvs("node run r/n2").ends_in(&[2, 4, 8, 10]).says(file);
            for from in ["mv r/n2", "chmod 600", "cp -p r/ring.key", "kvs replace n2"] {
                if !told.err.contains(from) {
                    continue;
                }
                let line = cure(&told.err, from).split("; ").next().expect("a line");
                place
                    .sh(&format!("{line}{}", if from.contains("kvs") { " --yes" } else { "" }))
                    .ends(0);
            }
            place.kvs("repair").ends(0);
            place.kvs("status --check").ends(0).never_says("n2");
            place.is_sound_and_equal();
        }
    }
}

/// Keys that are well formed and not those of this member, or not those of this ring.
#[test]
fn keys_of_others_are_no_keys() {
    let place = Place::ring("--partitions 8");
    place.sh("cp r/n2/node.key own; cat r/n1/node.key > r/n2/node.key").ends(0);
    place.kvs("status --check").ends(1).says("r/n2/node.key is not the key of this member");
    place.sh("cat own > r/n2/node.key; cat own > r/n3/ring.key").ends(0);
    place.kvs("status --check").ends(1).says("n1 and n3 have different ring.key files");
    // While a ring's key is replaced, some files are a step ahead: they hear each other.
    place.sh("cat own >> r/n1/ring.key; cat r/n1/ring.key > r/n3/ring.key").ends(0);
    place.kvs("status --check").ends(0);
    place
        .sh("(tail -n 1 r/n1/ring.key; head -n 1 r/n1/ring.key) > new; cat new > r/n3/ring.key")
        .ends(0);
    place.kvs("status --check").ends(1).says("n2 and n3 have different ring.key files");
    place.sh("cat r/n1/ring.key > r/n2/ring.key").ends(0);
    place.kvs("status --check").ends(0);
}

/// A member that this user may not read, or not write, is down for the command that would, and for no
/// other member; what is said mends it, and nobody is told to replace good data.
#[test]
fn a_directory_that_may_not_be_used_is_down_alone() {
    // What is done, whether it can still be read, and what is named.
    let harms = [
        ("chmod 400 r/n2/data.mdb", true, "r/n2/data.mdb"),
        ("chmod 000 r/n2/data.mdb", false, "r/n2/data.mdb"),
        ("chmod 400 r/n2/kvs.id", true, "r/n2/kvs.id"),
        ("chmod 000 r/n2/kvs.id", false, "r/n2/kvs.id"),
        ("chmod 400 r/n2/kvs.lock", true, "r/n2/kvs.lock"),
        ("rm r/n2/kvs.lock; chmod 500 r/n2", true, "r/n2"),
        ("chmod 000 r/n2/node.yaml", false, "r/n2/node.yaml"),
        ("chmod 000 r/n2", false, "r/n2"),
        ("chown -R 0:0 r/n2", false, "r/n2"),
    ];
    for (harm, readable, named) in harms {
        let Some(place) = of_nobody() else { return };
        let kvs = |line: &str| place.sh(&format!("{NOBODY} kvs {line}"));
        place.sh(harm).ends(0);
        let told = kvs("put k w").ends(0).says("r/n2 counts as down").says(named);
        told.says("Permission denied").never_says("kvs replace");
        kvs("get -q k").ends(0).prints("w");
        kvs("--ring r/n1,r/n2,r/n3 put k w").ends(0).says("r/n2 counts as down").says(named);
        let told = kvs("status --check").ends(1).says(named).never_says("kvs replace");
        let told = told.says(if readable { "n2 cannot be run" } else { "n2 is down" });
        kvs("repair").ends(7).says("r/n2 counts as down").never_says("kvs replace");
        kvs("put k x --down n2").ends(0).never_says("Permission denied");
        kvs("put k x -w 3").ends(4).says("r/n2 counts as down");
        // Nobody is left: then it is the command that is denied.
        kvs("put k x --down n1,n3").ends(10).says(named).says("nothing was changed");
        kvs("--ring r/n2 put k x").ends(10).says(named).says("nothing was changed");
        kvs("get k --down n1,n3").ends_in(if readable { &[0, 1, 4] } else { &[10] });
        match harm.starts_with("chown") {
            true => place.sh("chown -R 65534:65534 r/n2").ends(0),
            false => {
                let line = cure(&told.err, "chmod -R").to_owned();
                place.sh(&format!("{NOBODY} {line}")).ends(0)
            }
        };
        kvs("repair").ends(0);
        kvs("status --check").ends(0).never_says("n2");
    }
}

/// What is to be moved aside and may not be touched stays, and is said how to open; then it goes.
#[test]
fn a_directory_that_may_not_be_moved_aside_is_told_how() {
    for mode in ["000", "500"] {
        let Some(place) = of_nobody() else { return };
        let kvs = |line: &str| place.sh(&format!("{NOBODY} kvs {line}"));
        place.sh(&format!("chmod {mode} r/n2")).ends(0);
        let told = kvs("replace n2 --yes").ends(10).says("r/n2").says("Permission denied");
        let line = cure(&told.err, "chmod -R");
        place.sh(&format!("{NOBODY} {line}")).ends(0);
        kvs("status --check").ends(0);
        kvs("replace n2 --yes").ends(0);
        kvs("status --check").ends(0);
    }
}

/// A limit of this process is none of a member: nothing goes on with those that happened to open.
#[test]
fn too_few_files_are_no_member_that_is_down() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    for files in 6..40 {
        let told = place.sh(&format!("ulimit -n {files} && kvs put k w")).sane();
        told.never_says("counts as down");
    }
}

/// A replacement that ended between its renames has left the data beside: the way back is named.
#[test]
fn what_a_replacement_moved_aside_is_put_back() {
    for moved in ["", " && mv r/n2 r/n2.old-17"] {
        let place = Place::ring("--partitions 8");
        place.kvs("put -q k v").ends(0);
        place.sh(&format!("mv r/n2/node.yaml r/n2/node.yaml.old{moved}")).ends(0);
        place.kvs("status --check").ends(1).says("put it back: mv ");
        let told = place.kvs("repair").ends(7).says("put it back");
        let (_, back) = told.err.split_once("again: ").expect("a command");
        place.sh(back.lines().next().expect("a command")).ends(0);
        place.kvs("repair").ends(0);
        place.kvs("status --check").ends(0);
        place.kvs("replace n2 --yes").ends(0);
        place.sh("mv r/n2 away").ends(0);
        // The one that lies beside now is a former member's.
        place.kvs("status --check").ends(1).says("kvs replace n2").never_says("mv ");
    }
}
