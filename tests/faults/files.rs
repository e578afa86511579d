//! Every file of a node directory in turn removed, emptied, filled with garbage.
//!
//! With three replicas one bad directory must not take the ring away: reads and writes of the other
//! two go on, and whatever looks at the bad one says so.

use std::fs;

use crate::support::shell::{Dice, Place, is_root, skip};

const FILES: &[&str] = &[
    "node.yaml",
    "kvs.id",
    "kvs.lock",
    "data.mdb",
    "node.key",
    "ring.key",
    "peers.yaml",
    "lock.mdb",
];
/// Files whose loss takes the node's data away.
const VITAL: &[&str] = &["node.yaml", "data.mdb"];

#[derive(Clone, Copy, Debug)]
enum Harm {
    Removed,
    Emptied,
    Garbage,
}

fn harm(place: &Place, file: &str, how: Harm) {
    let path = place.path(&format!("r/n2/{file}"));
    let mut dice = Dice(7);
    let garbage: Vec<u8> = (0..20_000).map(|_| dice.below(256) as u8).collect();
    let done = match how {
        Harm::Removed => fs::remove_file(&path),
        Harm::Emptied => fs::write(&path, b""),
        Harm::Garbage => fs::write(&path, garbage),
    };
    done.unwrap_or_else(|e| panic!("{file} {how:?}: {e}"));
}

fn story(file: &str) {
    for how in [Harm::Removed, Harm::Emptied, Harm::Garbage] {
        let place = Place::ring("--partitions 8");
        place.kvs("put -q k v").ends(0);
        place.kvs("put -q other v").ends(0);
        harm(&place, file, how);
        let down = VITAL.contains(&file);
        place.kvs("get -q k").ends(0).prints("v");
        place.kvs("put -q k w").ends(0);
        place.kvs("get -q k").ends(0).prints("w");
        place.kvs("status").ends(0);
        place.kvs("get k --down n1,n3").ends_in(if down { &[6, 8] } else { &[4] });
        // Without its node.yaml a directory is no node's at all: nobody finds it to read it.
        let lost = down && !(file == "node.yaml" && matches!(how, Harm::Removed));
        let unread = if down { 7 } else { 0 };
        place.kvs("digest").ends(unread);
        place.kvs("verify -q").ends(if lost { 8 } else { unread });
        place.kvs("diff n1 n2").ends_in(if down { &[6, 8] } else { &[0] });
        let told = place.kvs("repair").ends(if down { 7 } else { 0 });
        if down {
            told.says("kvs replace n2");
            place.kvs("replace n2 --yes").ends(0);
        }
        place.kvs("repair").ends(0);
        place.kvs("diff n1 n2").ends(0);
        place.kvs("get -q k").ends(0).prints("w");
        place.kvs("get -q other -r 3").ends(0).prints("v");
        place.is_sound_and_equal();
    }
}

#[test]
fn a_lost_configuration() {
    story(FILES[0]);
}

#[test]
fn a_lost_identity() {
    story(FILES[1]);
}

#[test]
fn a_lost_data_file() {
    story(FILES[3]);
}

#[test]
fn a_lost_lock_key_or_address_book() {
    for file in FILES.iter().filter(|f| !VITAL.contains(f) && **f != FILES[1]) {
        story(file);
    }
}

/// Two of three files may be older than they were: no quorum of trusted copies is left, reads say so,
/// and repair names the way out.
#[test]
fn two_lost_identities() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    for node in ["n1", "n2"] {
        fs::remove_file(place.path(&format!("r/{node}/kvs.id"))).expect("an identity to lose");
    }
    place.kvs("get k").ends(4);
    place.kvs("repair").ends(7).says("kvs repair --down n1 --accept-missing n1");
    place.kvs("repair --down n1 --accept-missing n1").ends(7).says("n1 was missing");
    place.kvs("repair").ends(0);
    place.kvs("get -q k").ends(0).prints("v");
    place.kvs("status --check").ends(0);
    place.is_sound_and_equal();
}

/// A configuration that is lost beside good data is said to be that, with the line that writes it anew:
/// nothing says that there is no ring, or that good data should be replaced first.
#[test]
fn a_configuration_lost_beside_good_data_is_written_anew() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    fs::remove_file(place.path("r/n2/node.yaml")).expect("a configuration to lose");
    let told = place.kvs("get k").ends(0).says("no node.yaml").err;
    let cure = told.lines().find_map(|l| l.split_once("member's name: ")).expect("a cure").1;
    place.sh(cure).ends(0);
    let told = place.kvs("status --check").ends(0);
    assert!(!told.err.contains("warning"), "{}", told.err);
    for node in ["n1", "n2", "n3"] {
        fs::remove_file(place.path(&format!("r/{node}/node.yaml"))).expect("a configuration");
    }
    let told = place.kvs("get k").ends(2).says("no node.yaml").says("echo 'name: n1'");
    assert!(!told.err.contains("kvs init"), "{}", told.err);
}

/// Of bare data files all records are read in the way that kvs-concepts(7) shows.
#[test]
fn bare_data_files_are_carried_over_into_a_new_ring() {
    let place = Place::ring("--partitions 8");
    let lines = crate::support::shell::lines(200, "v", 20);
    place.write("load", lines.join("\n"));
    place.kvs("load -q load").ends(0);
    let page = include_str!("../../man/kvs-concepts.7");
    let from = page.find("mkdir \\-p b/n1").expect("the lines of RESTORING");
    let all = &page[from..from + page[from..].find(".fi").expect("their end")];
    let (first, rest) = all.split_once('\n').expect("lines");
    let line = |text: &str| {
        text.replace("\\-", "-").replace("init r && kvs --ring r", "init new && kvs --ring new")
    };
    place.sh(&line(first)).ends(0);
    place.sh("for n in n1 n2 n3; do cp r/$n/data.mdb b/$n; done").ends(0);
    place.kvs("--ring b get k1").ends(2).says("no node.yaml").says("RESTORING");
    for one in rest.lines() {
        place.sh(&line(one)).ends_in(&[0, 7]);
    }
    place.sh("kvs --ring new dump -q | LC_ALL=C sort").ends(0).prints(&(lines.join("\n") + "\n"));
}

/// A word that a person wrote wrong is for that person: the place of it is named.
#[test]
fn a_mistyped_configuration_is_named() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    let good = fs::read_to_string(place.path("r/n1/node.yaml")).expect("a configuration");
    for (line, words) in [("qota_bytes: 1", "qota_bytes"), ("quota_bytes: many", "line 3")] {
        place.write("r/n1/node.yaml", format!("{good}{line}\n"));
        place.kvs("get k").ends(0).says("r/n1 counts as down").says("r/n1/node.yaml").says(words);
        place.kvs("--ring r/n1 get k").ends(2).says("r/n1/node.yaml").says(words);
        place.kvs("--ring r/n1 put k w").ends(2).says("Nothing was changed");
        place.kvs("node run r/n1").ends(2).says(words);
    }
    place.write("r/n1/node.yaml", &good);
    place.kvs("get k").ends(0).prints("v");
}

/// A data file cut short at any page, or with a page overwritten: known, told, and healed.
#[test]
fn a_data_file_cut_short() {
    let place = Place::ring("--partitions 8");
    let lines = crate::support::shell::lines(300, "v", 300);
    place.write("load", lines.join("\n"));
    place.kvs("load -q load").ends(0);
    let path = place.path("r/n2/data.mdb");
    let whole = fs::read(&path).expect("a file");
    for pages in [1, 2, 3, 8, whole.len() / 4_096 / 2, whole.len() / 4_096 - 1] {
        fs::write(&path, &whole[..pages * 4_096]).expect("a file to cut");
        place.kvs("get -q k1").ends(0);
        place.kvs("status").ends_in(&[0, 8]);
        place.kvs("verify -q").ends(8).says("r/n2");
        place.kvs("diff n1 n2 --stat").ends(8);
    }
    place.kvs("replace n2 --yes").ends(0);
    place.kvs("repair").ends(0);
    place.is_sound_and_equal();
    assert_eq!(place.dump(), lines);
}

/// What is read as far as a damaged file goes may be a part: no answer of it is the whole.
#[test]
fn what_is_read_as_far_as_it_goes_is_damaged() {
    let place = Place::ring("--partitions 8");
    place.write("load", crate::support::shell::lines(100, "v", 300).join("\n"));
    place.kvs("load -q load -w 3").ends(0);
    let path = place.path("r/n2/data.mdb");
    let whole = fs::read(&path).expect("a file");
    let mut read = 0;
    for page in 2..whole.len() / 4_096 {
        let mut bytes = whole.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xff);
        fs::write(&path, bytes).expect("a file to damage");
        for line in
            ["digest", "digest --depth 2", "digest r/n2", "hints list", "clock k1", "verify"]
        {
            let told = place.kvs(&format!("--ring r/n2 {line}"));
            if told.err.contains("is read only in part") {
                told.ends(8);
                read += 1;
            }
        }
    }
    assert!(read > 0, "no page was passed over: the test proves nothing");
}

/// Hints that lie on a damaged page are not delivered: what could not be read is not none.
#[test]
fn hints_that_cannot_be_read_are_left() {
    let place = Place::ring("--partitions 8");
    place.write("load", crate::support::shell::lines(100, "v", 300).join("\n"));
    place.kvs("load -q load --down n3").ends(0);
    place.sh("cp -r r whole").ends(0);
    let whole = fs::read(place.path("r/n1/data.mdb")).expect("a file");
    let mut damaged = 0;
    for page in 2..whole.len() / 4_096 {
        let mut bytes = whole.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xff);
        place.sh("rm -r r && cp -r whole r").ends(0);
        fs::write(place.path("r/n1/data.mdb"), bytes).expect("a file to damage");
        let told = place.kvs("hints deliver").ends_in(&[0, 7, 8]);
        match told.code {
            0 => assert_eq!(told.text(), "100\t0\n", "page {page}"),
            7 => drop(told.says("n1")),
            _ => damaged += 1,
        }
    }
    assert!(damaged > 0, "no page of hints was damaged: the test proves nothing");
}

/// Whoever owns the directory may have put a link there: root neither writes through it nor gives away
/// what it leads to. A second name of another file is no better.
#[test]
fn no_link_is_followed_in_a_directory() {
    for file in ["lock.mdb", "kvs.id", "kvs.lock", "data.mdb"] {
        for hard in [false, true] {
            if hard && !is_root() {
                skip("a second name of root's file in another user's directory: not root");
                continue;
            }
            let place = Place::ring("--partitions 8");
            place.kvs("put -q k v").ends(0);
            if is_root() {
                place.sh("chown -R 65534 r").ends(0);
            }
            place.sh(&format!("cp r/n1/{file} victim; rm r/n1/{file}; chmod 640 victim")).ends(0);
            let link = if hard { "ln" } else { "ln -s" };
            place.sh(&format!("{link} \"$PWD/victim\" r/n1/{file}")).ends(0);
            let state = "stat -c '%u %a %s' victim && sha256sum < victim";
            let before = place.sh(state).ends(0).text();
            let told = place.kvs("put -q k w --timeout 1s");
            assert_eq!(place.sh(state).ends(0).text(), before, "{file} hard={hard}");
            told.says(&format!("r/n1/{file}"));
            place.kvs("node run r/n1 --timeout 1s").ends(10).says(&format!("r/n1/{file}"));
            assert_eq!(place.sh(state).ends(0).text(), before, "{file} hard={hard}");
        }
    }
}

/// Neither does it wait for the other end of a pipe.
#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    for file in ["kvs.id", "kvs.lock", "lock.mdb"] {
        let place = Place::ring("--partitions 8");
        place.sh(&format!("rm -f r/n1/{file} && mkfifo r/n1/{file}")).ends(0);
        place.kvs("node run r/n1 --timeout 1s").ends(10).says(&format!("r/n1/{file}"));
    }
}

/// What has the name of a node's file and is none, or says what this kvs does not know, takes down that
/// node and no other: one note says which file and what to do, and every command goes on as with a node
/// down.
#[test]
fn an_odd_file_takes_down_its_node_alone() {
    let harms = [
        ("is a directory", "mv $f away; mkdir $f"),
        ("is a FIFO", "mv $f away; mkfifo $f"),
        ("is a symbolic link", "mv $f away; ln -s nowhere $f"),
        ("is invalid: unknown field `colour`", "cp $f away; echo 'colour: red' >> $f"),
    ];
    for file in ["kvs.id", "kvs.lock", "node.yaml"] {
        for (what, harm) in harms {
            if what.contains("unknown") && file != "node.yaml" {
                continue;
            }
            odd_file(file, what, harm);
        }
    }
}

fn odd_file(file: &str, what: &str, harm: &str) {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    place.sh(&format!("f=r/n2/{file}; {harm}")).ends(0);
    let told = place.kvs("get k").ends(0).prints("v").says(&format!("r/n2/{file} {what}")).err;
    assert_eq!(told.matches("r/n2 ").count() + told.matches("n2 is down").count(), 1, "{told}");
    place.kvs("put k w").ends(0).says(file);
    place.kvs("status").ends(0).says("n2 is down");
    place.kvs("status --check").ends(1);
    place.kvs("scan -q").ends(0);
    place.kvs("dump -q").ends(0);
    place.kvs("digest -q").ends(7);
    place.kvs("diff n1 n3").ends(0);
    place.kvs("diff n1 n2").ends(6);
    place.kvs("verify").ends(7);
    place.kvs("repair").ends(7).says("n2 was missing");
    place.kvs("config show").ends(if file == "node.yaml" { 7 } else { 0 });
    place.kvs("get k --down n2").ends(0).never_says(file);
    place.kvs("get k --down n1,n3").ends_in(&[2, 10]).says(&format!("r/n2/{file} {what}"));
    place.kvs("--ring r/n2 get k").ends_in(&[2, 10]).says(&format!("r/n2/{file} {what}"));
    place.sh(&format!("rm -r r/n2/{file}; mv away r/n2/{file}")).ends(0);
    place.kvs("repair").ends(0);
    place.kvs("status --check").ends(0).never_says(file);
    place.is_sound_and_equal();
}

/// The address book is a help and no more.
#[test]
fn an_odd_address_book_stops_nobody() {
    for harm in ["mkdir $f", "mkfifo $f", "ln -s nowhere $f", "ln -s /dev/zero $f"] {
        let place = Place::ring("--partitions 8");
        place.sh(&format!("f=r/n2/peers.yaml; rm $f; {harm}")).ends(0);
        for line in ["put k v", "get k", "status", "wait --settled", "wait --in-sync", "repair"] {
            place.kvs(line).ends(0);
        }
    }
}

/// What is advised fits: it names the node, and where there is no other copy nothing is healed from
/// one.
#[test]
fn advice_names_the_node_and_fits_a_lone_copy() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    place.sh("truncate -s 8192 r/n2/data.mdb").ends(0);
    for line in ["get k", "verify", "diff r/n1 r/n2", "get k --down n1,n3", "--ring r/n2 get k"] {
        place.kvs(line).ends_in(&[0, 8]).says("kvs replace n2").never_says("NAME");
    }
    let place = Place::ring("--partitions 8 --nodes 1");
    place.kvs("put -q k v").ends(0);
    place.sh("cp r/n1/data.mdb whole; truncate -s 8192 r/n1/data.mdb").ends(0);
    place.kvs("get k").ends(8).says("restore it from a backup").never_says("NAME");
    place.sh("cp whole r/n1/data.mdb; rm r/n1/ring.key; echo junk > r/n1/ring.key").ends(0);
    place.sh("chmod 600 r/n1/ring.key").ends(0);
    place.kvs("node run r/n1").ends(8).says("the same ring.key");
    // A flipped bit in the only copy of a value.
    let value = "a-value-of-its-own";
    place.kvs(&format!("put -q k {value}")).ends(0);
    let file = place.path("r/n1/data.mdb");
    let mut bytes = fs::read(&file).expect("a file");
    let found: Vec<_> =
        bytes.windows(value.len()).enumerate().filter(|w| w.1 == value.as_bytes()).collect();
    let places: Vec<usize> = found.into_iter().map(|(at, _)| at).collect();
    places.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&file, bytes).expect("a file to damage");
    place.kvs("verify").ends(8).says("there are no other copies").never_says("heal from");
    place.kvs("scan").ends(8).says("there is no other copy").never_says("heal from");
    place.kvs("repair --verify").ends(8).says("kvs repair --accept-losses");
    place.kvs("repair --accept-losses").sane();
    place.kvs("verify").ends(0);
}

/// A ring of one: nobody else can say whether what its file lacks ever was.
#[test]
fn an_older_file_without_other_copies_is_accepted_by_a_person_alone() {
    let place = Place::ring("--nodes 1 --partitions 8");
    place.kvs("put -q k old").ends(0);
    place.sh("cp r/n1/data.mdb older").ends(0);
    place.kvs("put -q k new").ends(0);
    place.sh("cp older r/n1/data.mdb").ends(0);
    place.kvs("status --check").ends(1);
    let lost = "possible loss in 8 partitions";
    for _ in 0..2 {
        place.kvs("repair").ends(8).says(lost).says("kvs repair --accept-losses");
        place.kvs("status --check").ends(1);
    }
    place.kvs("repair --accept-losses").ends(0);
    place.kvs("status --check").ends(0);
    place.kvs("get k").ends(0).prints("old");
}

/// A file that lies in another's directory is that directory's fault, and the other's in nothing.
#[test]
fn a_file_of_another_member_takes_down_the_directory_it_lies_in() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    place.sh("cp r/n3/data.mdb r/n2/data.mdb").ends(0);
    let told = "r/n2 is the directory of n2 and holds the file of n3";
    place.kvs("status --check").ends(1).says(told).says("kvs replace n2");
    place.kvs("get k").ends(0).prints("v");
    place.kvs("replace n2 --yes").ends(0);
    place.kvs("repair").ends(0);
    place.is_sound_and_equal();
}

/// Members are known by what their directories hold, not by what they are called: n1 lives in r/n2 and
/// is lost, n2 lives in r/n1. What is advised is done, and nobody's home is moved.
#[test]
fn the_directory_of_another_member_is_not_moved_aside() {
    let place = Place::ring("--partitions 8");
    let at = |name: &str| place.path(&format!("r/{name}"));
    fs::rename(at("n1"), at("t")).unwrap();
    fs::rename(at("n2"), at("n1")).unwrap();
    fs::remove_dir_all(at("t")).unwrap();
    place.kvs("put -q k v").ends(0);
    place.kvs("replace n1 --dir r/n1 --yes").ends(2).says("r/n1 is the directory of n2");
    place.kvs("replace n1 --yes").ends(0).says("the new one is r/n1.2");
    place.kvs("repair").ends(0);
    place.kvs("status --check").ends(0);
    place.kvs("get -q k --down n3").ends(0).prints("v");
    assert!(at("n1").join("data.mdb").exists(), "n2 lives there");
}
