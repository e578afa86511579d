//! Media that are full, limited or read-only, and system calls that fail underneath.
//!
//! A small file system is made in a file and mounted: that needs root, `mkfs.ext4` and loop
//! devices. Failing calls are made by `strace`. What is missing is said aloud.

use std::fs;
use std::path::PathBuf;

use crate::support::shell::{Place, is_root, lines, skip};

/// A place with an ext4 file system of some MiB mounted at `m`.
struct Medium {
    place: Place,
}

impl Medium {
    fn new(mib: u32) -> Option<Self> {
        if !is_root() {
            skip("a small file system: it takes root to mount one");
            return None;
        }
        let place = Place::new();
        let script = format!(
            "truncate -s {mib}M image && mkfs.ext4 -q image && mkdir m && mount -o loop image m"
        );
        let told = place.sh(&script);
        if told.code != 0 {
            skip(&format!("a small file system cannot be made: {}", told.err.trim()));
            return None;
        }
        place.sh("ln -s m/r r && kvs init -q m/r --partitions 16").ends(0);
        Some(Self { place })
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // A mount that stays behind is worth a word, not a second panic.
        let told = self.place.sh("umount m || umount -l m");
        if told.code != 0 {
            skip(&format!("a mount stayed behind: {}", told.err));
        }
    }
}

/// Loads until no more goes in; what was acknowledged stays, and room makes writing work again.
fn filled(place: &Place, make_room: impl Fn()) {
    place.args(&["put", "-q", "acked", "for good"]).ends(0);
    let all = lines(4_000, "v", 4_000);
    place.write("load", all.join("\n"));
    place.kvs("load load").ends_in(&[4, 7]);
    place.kvs("get -q acked").ends(0).prints("for good");
    place.kvs("verify -q").ends(0);
    let before: Vec<String> = place.dump();
    assert!(before.len() > 20, "{} keys", before.len());
    place.write("some", vec![b'x'; 3 << 20]);
    place.kvs("put more @some -w 3").ends_in(&[4, 5]);
    place.kvs("repair -q").ends_in(&[0, 4, 7]);
    let held = |dump: &[String]| before.iter().all(|l| dump.binary_search(l).is_ok());
    assert!(held(&place.dump()), "a key that could be read is gone");
    make_room();
    place.kvs("put -q again v -w 3").ends(0);
    place.kvs("load -q load").ends(0);
    place.kvs("repair -q").ends(0);
    place.kvs("get -q acked").ends(0).prints("for good");
    place.is_sound_and_equal();
    assert_eq!(place.dump().iter().filter(|l| l.contains(r#""key":"k"#)).count(), all.len());
}

/// A ring that takes no writes is not healthy, whether its nodes run or not.
#[test]
fn a_full_disk_is_told_before_anybody_writes() {
    let Some(medium) = Medium::new(30) else { return };
    let place = &medium.place;
    place.kvs("status --check -q").ends(0);
    place.sh("head -c 100000000 /dev/zero > m/ballast; true").ends(0);
    place.kvs("status --check").ends(1).says("n2 accepts no writes: the disk of").says("is full");
    place.sh("rm m/ballast").ends(0);
    place.kvs("status --check -q").ends(0);
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let Some(medium) = Medium::new(100) else { return };
    let place = &medium.place;
    place.sh("head -c 60000000 /dev/zero > m/ballast").ends(0);
    filled(place, || drop(place.sh("rm m/ballast").ends(0)));
}

#[test]
fn a_quota_refuses_and_loses_nothing() {
    let place = Place::ring("--partitions 16");
    let set = "for n in r/n?; do echo 'quota_bytes: 3000000' >> $n/node.yaml; done";
    place.sh(set).ends(0);
    filled(&place, || drop(place.sh("sed -i /quota/d r/n?/node.yaml").ends(0)));
}

#[test]
fn a_read_only_medium_can_be_read() {
    let Some(medium) = Medium::new(30) else { return };
    let place = &medium.place;
    place.kvs("put -q k v").ends(0);
    place.sh("mount -o remount,ro m").ends(0);
    let reading = [
        "get k",
        "scan",
        "dump",
        "clock k",
        "explain k",
        "digest",
        "status",
        "verify -q",
        "diff n1 n2",
    ];
    for line in reading {
        place.kvs(line).ends(0);
    }
    for line in ["put k w", "delete k", "repair", "replace n2 --yes", "join r/n4 --yes", "init m/x"]
    {
        place.kvs(line).ends(10);
    }
    place.kvs("put k w").ends(10).says("nothing was changed");
    place.sh("mount -o remount,rw m").ends(0);
    place.kvs("get -q k").ends(0).prints("v");
    place.kvs("put -q k w").ends(0);
    place.is_sound_and_equal();
}

/// Another user may read what its modes let it read, and writes nothing.
#[test]
fn directories_of_somebody_else() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    place.sh("chmod 755 . r r/n?; chmod 644 r/n?/data.mdb r/n?/kvs.* r/n?/*.yaml").ends(0);
    if !is_root() || place.sh(&format!("{nobody} kvs --version")).code != 0 {
        return skip("directories of somebody else: another user cannot run the binary");
    }
    place.sh(&format!("{nobody} kvs get k")).ends(0).prints("v");
    place.sh(&format!("{nobody} kvs put k w")).ends(10).says("nothing was changed");
    place.sh(&format!("{nobody} kvs repair")).ends(10);
    place.sh("chmod 600 r/n2/data.mdb").ends(0);
    place.sh(&format!("{nobody} kvs get k")).ends(0).says("r/n2/data.mdb").prints("v");
    place.sh(&format!("{nobody} kvs get k --down n2")).ends(0).prints("v");
    place.sh("chmod 700 r/n2").ends(0);
    place.sh(&format!("{nobody} kvs get k")).sane();
    place.kvs("get -q k").ends(0).prints("v");
}

/// Too little address space or too few files are limits of the caller, not damage.
#[test]
fn limits_of_the_process() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    for line in ["get k", "put k w", "verify"] {
        let limited = place.sh(&format!("ulimit -v 4000000 && kvs {line}")).ends(10);
        limited.says("a limit on virtual memory").says("ulimit -v unlimited");
        place.sh(&format!("ulimit -n 6 && kvs {line}")).ends(10).says("Too many open files");
    }
    place.kvs("get -q k").ends(0).prints("v");
}

/// One system call fails in some of the files: no acknowledgement without W files that hold it.
fn failing(error: &str, said: &[i32]) {
    let place = Place::ring("--partitions 8");
    if place.sh("strace -o /dev/null true").code != 0 {
        return skip("failing system calls: there is no strace that may trace");
    }
    place.args(&["put", "-q", "k", "first"]).ends(0);
    let file = |n: &str| fs::canonicalize(place.path(&format!("r/{n}/data.mdb"))).expect("a file");
    let mut known = "first".to_owned();
    for broken in [&["n1"][..], &["n2"], &["n3"], &["n1", "n2"], &["n2", "n3"], &["n1", "n2", "n3"]]
    {
        let paths: Vec<PathBuf> = broken.iter().map(|n| file(n)).collect();
        let paths: String = paths.iter().map(|p| format!(" -P {}", p.display())).collect();
        let value = broken.join("-");
        let script = format!("strace -f -o /dev/null{paths} -e inject={error} kvs put k {value}");
        let told = place.sh(&script).ends_in(said);
        assert!(told.code != 0 || broken.len() == 1, "acknowledged with {broken:?} broken");
        let now = place.kvs("get -q k").ends(0).text();
        let may_be: &[&str] = match told.code {
            0 => &[&value],
            4 | 6 => &[&known],
            _ => &[&known, &value],
        };
        assert!(may_be.contains(&now.as_str()), "{broken:?} {}: {now}, not {may_be:?}", told.code);
        place.kvs("verify -q").ends(0);
        place.kvs("repair -q").ends(0);
        place.is_sound_and_equal();
        known = place.kvs("get -q k").ends(0).text();
    }
}

#[test]
fn a_sync_that_fails_is_not_acknowledged() {
    // A commit that fails at the opening takes its node away: then nothing was written.
    failing("fdatasync:error=EIO", &[0, 4, 5, 6]);
}

#[test]
fn a_write_without_room_is_not_acknowledged() {
    failing("pwrite64,pwritev,writev:error=ENOSPC", &[0, 4, 5]);
}

/// The sidecar follows a commit that stands: when it cannot, the put is still good.
#[test]
fn a_sidecar_that_cannot_be_written() {
    let place = Place::ring("--partitions 8");
    if place.sh("strace -o /dev/null true").code != 0 {
        return skip("failing system calls: there is no strace that may trace");
    }
    place.kvs("put -q k v").ends(0);
    let id = fs::canonicalize(place.path("r/n1/kvs.id")).expect("a file");
    let id = id.display();
    let inject = "-e inject=pwrite64:error=ENOSPC";
    place.sh(&format!("strace -f -o /dev/null -P {id} {inject} kvs put k w")).ends_in(&[0, 5]);
    place.kvs("put -q k x").ends(0);
    place.kvs("get -q k").ends(0).prints("x");
    place.kvs("repair -q").ends(0);
    place.is_sound_and_equal();
}
