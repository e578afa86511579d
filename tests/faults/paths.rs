//! What commands do to files that are named to them, and to those they replace: devices, FIFOs,
//! links, modes, owners, names that last, hints that are pasted.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::support::shell::{Place, is_root, lines, skip};

fn mode(place: &Place, name: &str) -> u32 {
    fs::symlink_metadata(place.path(name)).expect(name).mode() & 0o7777
}

fn loaded() -> (Place, String) {
    let place = Place::ring("--partitions 8");
    let lines = lines(50, "v", 10);
    place.write("load", lines.join("\n"));
    place.kvs("load -q load").ends(0);
    (place, lines.join("\n") + "\n")
}

/// A dump into a file appears whole, keeps its mode, follows a link, and writes into what is no file.
#[test]
fn a_dump_goes_where_it_is_told() {
    let (place, all) = loaded();
    place.sh("umask 027; kvs dump -q -o new").ends(0);
    assert_eq!(mode(&place, "new"), 0o640);
    place.sh("sort new | cmp - load || sort new > sorted").sane();
    place.sh("echo old > there; chmod 604 there; ln -s there link; ln -s nowhere gone").ends(0);
    place.kvs("dump -q -o link").ends(0);
    place.kvs("dump -q -o gone").ends(0);
    assert!(place.path("link").is_symlink() && place.path("gone").is_symlink());
    assert_eq!(mode(&place, "there"), 0o604);
    for name in ["new", "there", "nowhere"] {
        place.sh(&format!("LC_ALL=C sort {name}")).ends(0).prints(&all);
    }
    place.sh("mkfifo fifo; (LC_ALL=C sort < fifo > got; : > done) & kvs dump -q -o fifo").ends(0);
    crate::support::wait::wait_for("the reader of the FIFO", || place.path("done").exists());
    assert!(fs::metadata(place.path("fifo")).expect("a FIFO").file_type().is_fifo());
    assert_eq!(place.read("got"), all);
    // More than a pipe holds: a reader of what was named that has enough has no dump.
    place.sh("head -c 300000 /dev/zero | tr '\\0' x >large; kvs put large @large").ends(0);
    place.sh("(head -c 1 < fifo > one) & kvs dump -q -o fifo").ends(4).says("is incomplete");
    place.kvs("delete large").ends(0);
    place.sh("kvs dump -q -o - | LC_ALL=C sort").ends(0).prints(&all);
    assert!(!place.path("-").exists());
    place
        .sh("echo before > out; kvs dump -q -o /proc/self/fd/1 >> out; head -1 out")
        .ends(0)
        .prints("before\n");
    place.kvs("dump -o .").ends(2);
    place.kvs("dump -o no/file").ends(2);
    place
        .sh("kvs ring plan --weight n1=2 -q -o - | head -1 | cut -d: -f1")
        .ends(0)
        .prints("ring\n");
    // Nothing half made stays behind.
    place.sh("ls -A | grep tmp").ends(1);
}

/// A device stays one: as root a dump into /dev/null would otherwise break the machine.
#[test]
fn a_dump_into_a_device_leaves_the_device() {
    let (place, _) = loaded();
    if !is_root() || place.sh("mknod null c 1 3 && : > null").code != 0 {
        return skip("a dump into a device: no device can be made here");
    }
    place.kvs("dump -q -o null").ends(0);
    place.kvs("ring plan --weight n1=2 -q -o null").ends(1);
    assert!(fs::metadata(place.path("null")).expect("a device").file_type().is_char_device());
    place.sh("echo old > file; chown 12:34 file; chmod 600 file; kvs dump -q -o file").ends(0);
    let about = fs::metadata(place.path("file")).expect("a file");
    assert_eq!((about.uid(), about.gid(), about.mode() & 0o777), (12, 34, 0o600));
}

/// A line that says two things is refused, and what cannot be sorted is not claimed to be loaded.
#[test]
fn a_load_claims_what_it_did() {
    let place = Place::ring("--partitions 8");
    for (line, words) in [
        (r#"{"key":"k","value":"v","siblings":[]}"#, "siblings"),
        (r#"{"key":"k","siblings":[]}"#, "siblings are empty"),
        (r#"{"key":"k","siblings":[{"value":"v"}],"expires":"1"}"#, "expires"),
    ] {
        place.write("one", line);
        place.kvs("load one").ends(7).says("Line 1 ").says(words).says("keys written: 0;");
    }
    place.kvs("get k").ends(1);
    // Of what is written and over already nobody is told that it is there.
    place.write(
        "over",
        "{\"key\":\"k\",\"value\":\"v\",\"expires\":\"1000\"}\n{\"key\":\"l\",\"value\":\"v\"}",
    );
    place.kvs("load over").ends(0).says("wrote 2 values").says("already expired: 1 value");
    let json = place.kvs("load over --format json").ends(0).text();
    assert!(json.contains("\"expired\":\"1\""), "{json}");
    place.kvs("get k").ends(1).says("expired");
    place.kvs("get -q l").ends(0).prints("v");
    place.kvs("delete -q l").ends(0);
    // More than one run of the sort, and no space for the second.
    place.write("big", lines(30_000, "v", 500).join("\n"));
    if !is_root() || place.sh("mkdir t && mount -t tmpfs -o size=6m none t").code != 0 {
        return skip("a full TMPDIR: no small file system can be mounted");
    }
    let told = place.sh("TMPDIR=$PWD/t kvs load big");
    place.sh("umount t").ends(0);
    told.ends(4).says("nothing was written").says("TMPDIR");
    assert_eq!(place.dump(), Vec::<String>::new());
}

/// A record with more values than anybody may add comes back from its own dump.
#[test]
fn a_record_of_many_siblings_is_loaded_from_its_dump() {
    let place = Place::ring("--partitions 8");
    place
        .sh("for i in $(seq 20); do kvs put -q k a$i --blind -w 1 --down n2,n3 || exit 1; done")
        .ends(0);
    place
        .sh("for i in $(seq 20); do kvs put -q k b$i --blind -w 1 --down n1,n3 || exit 1; done")
        .ends(0);
    place.kvs("repair -q").ends(0);
    place.sh("kvs get k --all | wc -l").ends(0).prints("40\n");
    place.kvs("put k more --blind").ends(10).says("25");
    place.sh("kvs dump -q > dumped && kvs init copy -q --partitions 8 && kvs --ring copy load dumped").ends(0);
    place.sh("kvs --ring copy dump -q | cmp - dumped").ends(0);
}

/// Whatever a hint says can be pasted: it names the same key, and runs nothing.
#[test]
fn a_pasted_hint_names_the_same_key() {
    let place = Place::ring("--partitions 8");
    let keys: [&[u8]; 9] = [
        b"$(touch x)",
        b"`touch x`",
        b"it's; touch x",
        b"a b",
        b"-x",
        b"--all",
        b"\xff\n\x1b[2J",
        b"back\\slash\\n",
        b"\xe2\x82\xac & touch x",
    ];
    for (at, key) in keys.iter().enumerate() {
        let mut line = std::ffi::OsString::from("put");
        use std::os::unix::ffi::OsStringExt;
        let key = std::ffi::OsString::from_vec(key.to_vec());
        for (value, down) in [("left", "n2,n3"), ("right", "n1,n3")] {
            let flags = ["-q", "-w", "1", "--blind", "--down", down, "--"];
            let args: Vec<_> = flags.iter().map(std::ffi::OsString::from).collect();
            let args = [vec![line.clone()], args, vec![key.clone(), value.into()]].concat();
            place.args(&args).ends(0);
        }
        line = "get".into();
        let told = place.args(&[line, "-r".into(), "3".into(), "--".into(), key]).ends(3);
        let hint =
            told.err.lines().find_map(|l| l.split_once("hint: read them: ")).expect("a hint").1;
        let (see, rest) = hint.split_once(", or --sibling").expect("a command");
        let edit = rest.rsplit_once("merge them: ").expect("another command").1;
        assert!(!hint.contains('\u{1b}'), "{at}: {hint}");
        place.write("see", format!("{see} -r 3"));
        place.sh("sh ./see | sort | tr '\\n' ' '").ends(0).prints("left right ");
        place.write("edit", format!("{edit} -r 3 -- true"));
        place.sh("sh ./edit; kvs repair -q").sane();
        assert!(!place.path("x").exists(), "{at}: {hint}");
    }
    place.kvs("--escaped get \\q").ends(2);
    place.kvs("put -q k --literal --escaped").ends(0);
    place.kvs("get -q k").ends(0).prints("--escaped");
}

/// Directories whose names a shell would read otherwise.
#[test]
fn a_pasted_path_is_the_same_path() {
    for ring in ["my $(touch x) ring", "-my ring"] {
        let place = Place::new();
        let told = place.args(&["init", "--partitions", "8", "--", ring]).ends(0);
        let next = told.err.lines().find_map(|l| l.split_once("next: ")).expect("a command").1;
        place.write("next", next);
        place.sh("sh ./next").ends(0);
        assert!(!place.path("x").exists());
        place.sh("mkdir ./-empty").ends(0);
        let told = place.args(&["up", "--", "-empty"]).ends(2);
        let (_, init) = told.err.split_once("make a ring: ").expect("a command");
        place.sh(init).ends(0);
        let told =
            place.sh("kvs config keygen -q -- -key; kvs config keygen --rotate -- -key").ends(10);
        let (_, add) = told.err.split_once("hint: ").expect("a command");
        place.sh(add).ends(0);
    }
}

/// After every rename its directory is synced before the command says that it is done.
#[test]
fn every_rename_is_synced() {
    let place = Place::ring("--partitions 8");
    if place.sh("strace -o /dev/null true").code != 0 {
        return skip("renames and syncs: there is no strace that may trace");
    }
    place.kvs("put -q k v").ends(0);
    for line in [
        "kvs init new -q --partitions 8",
        "kvs replace n2 --yes",
        "kvs join r/n4 --yes",
        "kvs dump -q -o out",
        "kvs config keygen -q key",
        "kvs config keygen -q --add key",
        "kvs join r/n5 --plan plan",
        "kvs completions --man pages",
    ] {
        place.sh(&format!("{RENAMES} {line}")).ends(0);
        every_rename_of(&place, line);
    }
}

/// Holds it of the `trace` that a command has left.
pub(crate) fn every_rename_of(place: &Place, what: &str) {
    let (renames, unsynced) = unsynced(place);
    assert!(renames > 0, "{what}: no rename was seen");
    assert_eq!(unsynced, Vec::<String>::new(), "{what}");
}

/// What `strace` is to record for that.
pub(crate) const RENAMES: &str =
    "strace -f -y -o trace -e trace=rename,renameat,renameat2,linkat,fsync";

/// How many renames there are, and those whose directory was not synced after.
fn unsynced(place: &Place) -> (usize, Vec<String>) {
    let real = |dir: &str| fs::canonicalize(place.path(dir)).unwrap_or_else(|_| place.path(dir));
    let (mut count, mut open) = (0, BTreeMap::new());
    let trace = place.read("trace");
    for line in trace.lines().filter(|line| line.trim_end().ends_with("= 0")) {
        if line.contains("fsync(") {
            let synced = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
            open.remove(&real(synced.expect("a path").0));
        } else if let Some(to) = line.rsplit('"').nth(1) {
            count += 1;
            let dir = to.rsplit_once('/').map_or(".", |(dir, _)| dir);
            open.insert(real(dir), line.to_owned());
        }
    }
    (count, open.into_values().collect())
}
