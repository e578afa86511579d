//! Bad arguments, bad lines, bytes of every kind, and pipes that close.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::shell::{Dice, Place, lines};

const VALUE_BYTES_MAX: usize = 4 << 20;

#[test]
fn keys_and_values_at_their_limits() {
    let place = Place::ring("--partitions 8");
    place.args(&["put", "", "v"]).ends(2).says("1 to 500");
    place.args(&["put", &"k".repeat(501), "v"]).ends(2).says("1 to 500");
    place.args(&["put", &"k".repeat(500), "v"]).ends(0);
    place.args(&["get", &"k".repeat(500)]).ends(0).prints("v");
    place.write("most", vec![b'"'; VALUE_BYTES_MAX]);
    place.write("more", vec![b'"'; VALUE_BYTES_MAX + 1]);
    place.kvs("put k @more").ends(2).says("4 MiB").says("nothing was written");
    place.sh("kvs put k - < more").ends(2).says("4 MiB");
    place.kvs("get k").ends(1);
    place.sh("kvs put k - < most").ends(0);
    place.sh("kvs get k | cmp - most").ends(0);
    place.kvs("put k @nowhere").ends(2).says("nowhere");
    place.kvs("put k @.").ends(2);
    place.args(&["put", "empty", ""]).ends(0);
    place.kvs("get empty").ends(0).prints("");
}

#[test]
fn contexts_that_are_not_for_this() {
    let place = Place::ring("--partitions 8");
    let token = place.kvs("put k v -q --show-context").ends(0).text().trim().to_owned();
    let other = place.kvs("put other v -q --show-context").ends(0).text().trim().to_owned();
    let mut flipped = token.clone().into_bytes();
    flipped[token.len() / 2] ^= 1;
    let flipped = String::from_utf8_lossy(&flipped).into_owned();
    for bad in ["", "x", &token[..10], &format!("{token}x"), &flipped, &other] {
        place.args(&["put", "k", "w", "--context", bad]).ends(2).says("nothing was written");
    }
    place.kvs("get k").ends(0).prints("v");
    place.args(&["put", "-q", "k", "w", "--context", &token]).ends(0);
    place.kvs("get k").ends(0).prints("w");
}

#[test]
fn quorums_and_rings_that_cannot_be() {
    let place = Place::ring("--partitions 8");
    for line in ["put k v -w 4", "put k v -n 4", "get k -r 4", "put k v -w 0", "put k v -n 1 -w 2"]
    {
        place.kvs(line).ends(2);
    }
    place.kvs("get k").ends(1);
    place.kvs("init r5 --nodes 3 --replicas 5").ends(2).says("nothing was made");
    place.kvs("init r5 --partitions 100").ends(2);
    place.kvs("init r").ends(10).says("nothing was made");
    place.kvs("leave n1 --yes").ends_in(&[2, 10]).says("Nothing was changed");
    place.kvs("get k --ring nowhere").ends(2).says("kvs init");
    place.kvs("get k --ring .").ends(2);
    place.kvs("get k --down n9").ends(2).says("n1, n2, n3");
    place.kvs("get k --down n1,n2,n3").ends(6);
    place.kvs("get k --down n1,n2").ends(4).says("R=2");
    place.kvs("put k v --down n1,n2 --strict").ends_in(&[4, 5]);
    place.kvs("digest --partition 8").ends(2).says("0 to 7");
    place.kvs("diff n1 n9").ends(2);
    place.kvs("replace n9 --yes").ends(2);
    place.kvs("load nowhere").ends(2).says("nowhere");
    place.kvs("load .").ends(2).says("directory");
}

#[test]
fn a_line_that_breaks_a_load_is_named() {
    let place = Place::ring("--partitions 8");
    let good = lines(2_000, "v", 10);
    let mut bad = good.clone();
    bad[999] = r#"{"key":"k","value":"#.into();
    place.write("bad", bad.join("\n"));
    place
        .kvs("load bad")
        .ends(7)
        .says("Line 1000 ")
        .says("Lines before it: 999; keys written: 999;")
        .says("safe to repeat");
    assert_eq!(place.dump(), good[..999]);
    place.write("good", good.join("\n"));
    place.kvs("load good").ends(0);
    assert_eq!(place.dump(), good);
    for line in [
        "[]",
        "{}",
        "nonsense",
        r#"{"key":"k"}"#,
        r#"{"key_b64":"!","value":"v"}"#,
        "\u{0}",
        r#"["k2",null,"v2",null,null,null,null]"#,
        r#"{"key":"k2","siblings":[["v2",null,null]]}"#,
    ] {
        place.write("one", line);
        place.kvs("load one").ends(7).says("Line 1 ").says("keys written: 0;");
    }
    place.write("one", b"{\"key\":\"\xff\",\"value\":\"v\"}");
    place.kvs("load one").ends(7).says("Line 1 ");
    place.write("huge", format!(r#"{{"key":"k","value":"{}"}}"#, "x".repeat(9 << 20)));
    place.kvs("load huge").ends(7).says("Line 1 is longer than 8 MiB");
    let over = "x".repeat(VALUE_BYTES_MAX + 1);
    place.write("over", format!("{}\n{{\"key\":\"over\",\"value\":\"{over}\"}}\n", good[0]));
    place.kvs("load over").ends(7).says("Line 2 ").says("4 MiB");
    assert_eq!(place.dump(), good);
}

/// Keys and values of all bytes, of NUL and newlines, and values whose text would be escaped to
/// several times its length, come back from a dump as they went in.
#[test]
fn bytes_of_every_kind_come_back() {
    let place = Place::ring("--partitions 8");
    let mut dice = Dice(11);
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = (0..=255).map(|b| (vec![b], vec![b; 3])).collect();
    for size in [2, 17, 499, 500] {
        let bytes = |dice: &mut Dice| (0..size).map(|_| dice.below(256) as u8).collect();
        records.push((bytes(&mut dice), bytes(&mut dice)));
    }
    for (key, byte) in [("quotes", b'"'), ("controls", 0), ("binary", 0xff)] {
        records.push((key.into(), vec![byte; VALUE_BYTES_MAX - 100]));
    }
    let line = |(k, v): &(Vec<u8>, Vec<u8>)| {
        format!(
            "{{\"key_b64\":\"{}\",\"value_b64\":\"{}\"}}",
            STANDARD.encode(k),
            STANDARD.encode(v)
        )
    };
    place.write("load", records.iter().map(line).collect::<Vec<_>>().join("\n"));
    place.kvs("load -q load").ends(0);
    place.kvs("init copy -q --partitions 16").ends(0);
    place.sh("kvs dump > dumped && kvs --ring copy load -q dumped").ends(0);
    place.sh("kvs dump | sort > a; kvs --ring copy dump | sort | cmp - a").ends(0);
    place.sh("kvs --ring copy get controls > got; test $(wc -c < got) = 4194204").ends(0);
    let mut keys: Vec<_> = records.iter().map(|r| r.0.clone()).collect();
    keys.sort();
    let told = place.kvs("--ring copy scan --keys -0 --sort -q").ends(0).out;
    let end = |mut key: Vec<u8>| {
        key.push(0);
        key
    };
    assert_eq!(told, keys.into_iter().flat_map(end).collect::<Vec<_>>());
    place.sh("kvs get '\n' | od -An -tx1 | tr -d ' '").ends(0).prints("0a0a0a\n");
}

#[test]
fn a_pipe_that_closes_is_success() {
    let place = Place::ring("--partitions 8");
    place.write("load", lines(5_000, "v", 200).join("\n"));
    place.kvs("load -q load").ends(0);
    for (command, reader) in
        [("dump", "head -1"), ("scan", "true"), ("dump", "true"), ("digest --depth 2", "true")]
    {
        let script = format!("(kvs {command} -q 2>told; echo $? >code) | {reader} >/dev/null");
        place.sh(&script).ends(0);
        place.sh("cat code told").ends(0).prints("0\n");
    }
    place.sh("kvs get k1 > /dev/full").ends_in(&[4]).says("cannot write the output");
}

/// What a command or a file gives is read up to what is wanted and no further.
#[test]
fn what_has_no_end_is_not_read_to_it() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    place.sh("kvs edit k -- cat /dev/zero").ends(2).says("larger than 4 MiB");
    place.sh("kvs edit k -- sh -c 'yes; true'").ends(2).says("larger than 4 MiB");
    place.sh("kvs edit k -- head -c 4194305 /dev/zero").ends(2).says("larger than 4 MiB");
    place.sh("kvs edit k -- sh -c 'echo half; exit 3'").ends(10);
    place.sh("EDITOR='rm $1; mkfifo' kvs edit k").sane();
    for edit in ["kvs edit k -- tr v w", "EDITOR=true kvs edit k"] {
        let told = place.sh(&format!("TMPDIR=$PWD/nowhere {edit}")).ends(10);
        told.says("nothing was written").says("set TMPDIR");
    }
    place.kvs("get -q k").ends(0).prints("v");
    place.sh("kvs edit k -- tr v w && kvs get k").ends(0).prints("w");
    place.kvs("put k @/dev/zero").ends(2);
    place.sh("kvs put k - </dev/zero").ends(2);
    place.kvs("load /dev/zero").ends(7);
    place.kvs("digest --check /dev/zero").ends(2).says("Line 1 of /dev/zero is not a row");
    place.sh("yes | kvs digest --check /dev/stdin").ends(2).says("is not a row");
    place.sh("kvs digest --format plain > saved; kvs digest --check saved").ends(0);
    place.sh("kvs digest --format plain | kvs digest --check /dev/stdin").ends(0);
    place.kvs("get -q k").ends(0).prints("w");
}

/// A small file of ours is a regular one: nobody waits for the other end of a FIFO, and what it is is
/// said.
#[test]
fn what_is_no_file_is_said_to_be_that() {
    let place = Place::ring("--partitions 8");
    place.sh("mkfifo fifo; ln -s gone loose; mkdir dir").ends(0);
    let every = ["ring apply", "config show", "push status", "config keygen --add"];
    for (path, what) in [("fifo", "a FIFO"), ("/dev/zero", "a device"), ("dir", "a directory")] {
        for line in every.iter().filter(|line| !(path == "dir" && **line == "config show")) {
            place.kvs(&format!("{line} {path}")).ends(2).says(&format!("{path} is {what}"));
        }
        place.kvs(&format!("get k --ring 127.0.0.1:9 --key-file {path}")).ends(2).says(what);
    }
    for (ring, what) in [
        ("/dev/zero", "/dev/zero is a device, not a directory"),
        ("fifo", "fifo is a FIFO, not a directory"),
        ("loose", "loose is a symbolic link that leads nowhere"),
        ("r/n1/data.mdb", "r/n1/data.mdb is a file, not a directory"),
        ("gone", "gone does not exist"),
    ] {
        place.kvs(&format!("get k --ring {ring}")).ends(2).says(what);
    }
}

/// Where there is no place for temporary files, a demo says where to name one.
#[test]
fn a_demo_without_a_place_says_how_to_get_one() {
    let place = Place::new();
    place.write("file", "");
    for at in ["nowhere", "file"] {
        let told = place.sh(&format!("TMPDIR=$PWD/{at} kvs demo")).ends(2).says(at);
        told.says("kvs demo --keep DIR");
        assert!(!place.path("nowhere").exists());
    }
    place.sh("TMPDIR=$PWD/nowhere kvs demo --keep kept").ends(0);
}

/// Times beyond all use are refused where they are read.
#[test]
fn a_time_beyond_its_bound_is_wrong_usage() {
    let place = Place::ring("--partitions 8");
    place.kvs("put -q k v").ends(0);
    for ttl in ["584554530y", "18446744073709551615s", "300000y"] {
        place.kvs(&format!("put k w --ttl {ttl}")).ends(2);
    }
    for time in ["31d", "584554530y", "18446744073709551615s"] {
        place.kvs(&format!("get k --timeout {time}")).ends(2).says("30 days");
        place.kvs(&format!("wait --settled --timeout {time}")).ends(2).says("30 days");
    }
    place.kvs("wait --settled --timeout 30d").ends(0);
    place.write("late", r#"{"key":"k","value":"v","expires":"18446744073709551615"}"#);
    place.kvs("load late").ends(7).says("Line 1").says("too late");
    place.kvs("put k w --ttl 1000y").ends(0);
}

/// The time to expire at stays with an edited value: when it is over there is nothing to write.
#[test]
fn an_edit_of_what_expires_meanwhile_is_refused() {
    let place = Place::ring("--partitions 8");
    let wait = "n=0; while kvs -q get t >/dev/null && [ $n -lt 20000 ]; do n=$((n+1)); done";
    place.write("edit", format!("cat > seen; {wait}; echo new"));
    place.write("editor", format!("cp \"$1\" seen; {wait}; echo new > \"$1\""));
    for (edit, hint) in [
        ("kvs edit t -- sh ./edit", "kvs put t VALUE"),
        ("TMPDIR=$PWD EDITOR='sh ./editor' kvs edit t", "kvs put t @"),
    ] {
        // It has to be read while it is there: where that was too slow, with more time once more.
        let told = (1..=8).find_map(|n| {
            place.kvs(&format!("put -q --overwrite t old --ttl {}ms", 200 << n)).ends(0);
            let told = place.sh(edit);
            (place.read("seen") == "old").then_some(told)
        });
        let told = told.expect("an edit that has read the value").ends(3);
        let told = told.says("t expired in the meantime").says("nothing was written").says(hint);
        place.kvs("get t").ends(1).says("t has expired");
        if let Some((_, put)) = told.err.split_once("write it: ") {
            place.sh(put).ends(0);
            place.kvs("get t").ends(0).prints("new");
        }
    }
}
