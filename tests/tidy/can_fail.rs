//! The rules can fail: each is shown snippets it must find and snippets it must accept.

use super::text::*;
use super::*;

fn source(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

/// Reads lines `place | snippet`; a snippet's own line breaks are written `\n`.
fn cases(table: &str) -> impl Iterator<Item = (&str, String)> {
    let rows = table.lines().map(str::trim).filter(|row| !row.is_empty());
    rows.map(|row| {
        let (place, snippet) = row.split_once(" | ").expect("place | snippet");
        (place.trim(), snippet.replace("\\n", "\n"))
    })
}

/// Each snippet has exactly one finding. A place is `path:line: ` and words of the finding.
fn finds(rule: Rule, table: &str) {
    for (place, snippet) in cases(table) {
        let (at, words) = place.split_once(": ").expect("path:line: words");
        let (path, _) = at.split_once(':').expect("path:line");
        let found = rule(&source(path, &snippet));
        let starts = found.iter().filter(|f| f.starts_with(&format!("{at}: ")));
        let right = starts.filter(|f| f.contains(words)).count();
        assert!(right == 1 && found.len() == 1, "{place} in {snippet:?}: found {found:?}");
    }
}

/// None of the snippets has a finding.
fn accepts(rule: Rule, table: &str) {
    for (path, snippet) in cases(table) {
        let found = rule(&source(path, &snippet));
        assert!(found.is_empty(), "{path} in {snippet:?}: {found:?}");
    }
}

#[test]
fn self_the_table_points_down() {
    for (place, (room, listed)) in ROOMS.iter().enumerate() {
        for entry in *listed {
            let used = entry.trim_end_matches("..");
            let above = ROOMS[..place].iter().any(|(name, _)| *name == used);
            assert!(above, "`{room}` may use `{used}`, which is not above it");
        }
    }
    assert!(PURE.iter().all(|room| allowed(room).is_some()));
    let rooms = |room| allowed(room).expect("a room");
    assert!(!rooms("protocol").contains(&"config") && !rooms("cluster").contains(&"serve"));
    assert!(rooms("node").contains(&"config") && rooms("repair").contains(&"key"));
}

#[test]
fn self_small_files() {
    finds(
        small_files_are_read_in_os,
        r#"
        src/config.rs:1: only src/os | std::fs::read(a)
        cmd/ring.rs:2: only src/os   | \n    fs::read_to_string(a)
        src/embed.rs:1: only src/os  | let a = File::open(b);
        "#,
    );
    accepts(
        small_files_are_read_in_os,
        r#"
        src/os.rs     | fs::read(a)
        cmd/load.rs   | File::open(a)
        cmd/ring.rs   | read_small(a, b)
        "#,
    );
}

#[test]
fn self_clocks() {
    finds(
        clocks_and_random_bits_are_in_os,
        r#"
        src/client.rs:1: only src/os | fn f() { Instant::now() }
        cmd/up.rs:2: only src/os     | \n    let a = std::time::SystemTime::now();
        src/push.rs:1: only src/os   | getrandom::fill(&mut a)
        "#,
    );
    accepts(
        clocks_and_random_bits_are_in_os,
        r#"
        src/os/clock.rs  | fn now() -> Instant { Instant::now() }
        src/os/random.rs | getrandom::fill(&mut a)
        src/client.rs    | use std::time::Instant; fn f(a: Instant) { now() }
        tests/live.rs    | Instant::now()
        "#,
    );
}

#[test]
fn self_renames() {
    finds(
        renames_are_in_os,
        r#"
        src/node_dir/aside.rs:1: only src/os | std::fs::rename(a, b)
        cmd/dump.rs:2: only src/os       | \n    fs::rename(a, b)
        cmd/dump.rs:1: only src/os       | file.persist(path)
        "#,
    );
    accepts(
        renames_are_in_os,
        r#"
        src/os.rs      | fs::rename(a, b)
        cmd/dump.rs    | os::rename(a, b)
        tests/live.rs  | fs::rename(a, b)
        "#,
    );
}

#[test]
fn self_arrows() {
    finds(
        arrows_point_down,
        r#"
        src/clock.rs:2: `clock` must not use `record` | \nuse crate::record::Record;
        src/clock.rs:2: `ring`       | use crate::{key::Key,\n    ring};
        src/clock.rs:1: `ring`       | use crate::{key::{Key, Q}, ring::Ring as R, error};
        src/key.rs:1: `clock`        | fn f(c: &crate::clock::Dot) {}
        src/key.rs:1: `clock`        | use super::clock::Dot;
        src/key.rs:1: `clock`        | pub use crate::clock as time;
        src/ring/plan.rs:1: `node`   | use super::super::node;
        src/ring/mod.rs:1: `node`    | use super::{clock, node::Node};
        src/quorum.rs:1: `config`    | use crate::config::Config;
        src/repair/scan.rs:1: `serve` | use crate::serve;
        src/repair.rs:1: `backup`    | use crate::backup::Backup;
        src/key.rs:1: names no room  | use crate::Error;
        src/key.rs:1: names no room  | use crate::*;
        src/util.rs:1: no room `util` | fn f() {}
        src/util/text.rs:1: no room `util` | fn f() {}
        "#,
    );
    accepts(
        arrows_point_down,
        r#"
        src/lib.rs       | pub mod node; pub use crate::node::Node;
        src/error.rs     | use crate::planted::{self, Bug};
        src/clock.rs     | use crate::{error::{Error, Result}, key};\nuse crate::clock::Dot;
        src/clock.rs     | // use crate::ring;\n/* crate::ring */ const A: &str = "crate::ring::X";
        src/clock.rs     | fn f() { crate::ensure!(a); my_crate::ring(); }
        src/clock.rs     | #[cfg(test)]\nmod tests { use crate::ring::Ring; fn f() {} }
        src/ring/plan.rs | use super::node;
        src/push.rs      | use crate::{config, error::Result, ring::Ring, cluster::Cluster};
        src/node/sync.rs | use crate::store::Store; use crate::protocol::Message;
        tests/sim.rs     | use crate::anything;
        "#,
    );
    let two = arrows_point_down(&source("src/clock.rs", "use crate::{ring::{A, B as C}, key};"));
    assert_eq!(two.len(), 2, "one for each name: {two:?}");
}

#[test]
fn self_purity() {
    finds(
        pure_rooms_are_pure,
        r#"
        src/key.rs:1: `std::fs`       | use std::fs;
        src/ring/plan.rs:4: `std::io` | \nuse std::{\n    fmt,\n    io::{self},\n};
        src/node.rs:1: `std::thread`  | fn f() { ::std::thread::yield_now() }
        src/protocol.rs:1: `Instant`      | use std::time::{Duration, Instant};
        src/gossip.rs:1: `SystemTime` | fn f() { time::SystemTime::now(); }
        src/record.rs:1: `HashMap`    | type A = std::collections::HashMap<u8, u8>;
        src/digest.rs:1: `getrandom`  | fn f() { getrandom::fill(&mut x); }
        src/quorum.rs:1: `std::net`   | use std::net::SocketAddr;
        src/clock.rs:1: `std::env`    | fn f() { std::env::args(); }
        src/node/mod.rs:1: `heed`     | use heed::Env;
        src/node/mod.rs:1: `libc`     | use libc::c_int;
        src/node/mod.rs:3: `HashSet`  | #[cfg(test)]\nmod tests {}\nuse std::collections::HashSet;
        "#,
    );
    accepts(
        pure_rooms_are_pure,
        r#"
        src/store.rs | use std::fs;
        src/key.rs   | //! std::fs\nuse std::{fmt, time::Duration, collections::BTreeMap};
        src/key.rs   | #[cfg(test)]\nuse std::fs;\nfn f<'a>(c: &'a str) -> bool { c == "HashMap" }
        src/key.rs   | struct InstantMap; use my::std::fs;
        "#,
    );
}

#[test]
fn self_yaml_unsafe_async() {
    finds(yaml_is_in_config, "src/push.rs:1: serde_yaml | use serde_yaml::Value;");
    accepts(yaml_is_in_config, "src/config/file.rs | use serde_yaml::Value;");
    finds(
        unsafe_is_in_lmdb,
        r#"
        src/store/memory.rs:1: unsafe | fn f() { unsafe { g() } }
        cmd/main.rs:2: unsafe         | \nunsafe fn f() {}
        "#,
    );
    accepts(
        unsafe_is_in_lmdb,
        r#"
        src/store/lmdb.rs      | #[expect(unsafe_code)] fn f() { unsafe { g() } }
        src/store/lmdb/open.rs | unsafe fn f() {}
        src/lib.rs             | #![deny(unsafe_code)]
        "#,
    );
    finds(
        async_is_in_serve,
        r#"
        src/client.rs:1: `async` | async fn f() {}
        cmd/get.rs:2: `await`    | fn f() { g()\n.await }
        "#,
    );
    accepts(async_is_in_serve, "src/serve/peer.rs | async fn f() { g().await }");
}

#[test]
fn self_terminal_and_environment() {
    finds(
        library_is_silent,
        r#"
        src/node.rs:1: `println!`  | fn f() { println!("a") }
        src/node.rs:1: `eprint!`   | fn f() { eprint!("a") }
        src/embed.rs:1: `stdout()` | fn f() { io::stdout().flush() }
        src/embed.rs:1: stdout     | use std::io::{self, stdout};
        "#,
    );
    accepts(
        library_is_silent,
        r#"
        cmd/ui.rs   | fn f() { println!("a") }
        src/push.rs | fn f() { c.stdout(Stdio::piped()); let e = c.stderr; write!(w, "print!") }
        src/node.rs | /// println!("a")\nfn f() {}
        "#,
    );
    finds(
        terminal_is_in_cmd,
        r#"
        src/repair.rs:1: indicatif | use indicatif::ProgressBar;
        src/ring.rs:1: comfy_table | fn f() { comfy_table::Table::new() }
        "#,
    );
    accepts(terminal_is_in_cmd, "cmd/ui.rs | use indicatif::ProgressBar;");
    finds(
        environment_is_in_cmd,
        r#"
        src/push.rs:1: std::env   | use std::{env, fs};
        src/config.rs:1: std::env | fn f() { std::env::temp_dir() }
        "#,
    );
    accepts(
        environment_is_in_cmd,
        r#"
        cmd/main.rs | use std::env;
        src/lib.rs  | const V: &str = env!("CARGO_PKG_VERSION");
        "#,
    );
}

#[test]
fn self_shape() {
    finds(
        every_file_has_a_head,
        r#"
        src/key.rs:1: no head | use a;\n
        cmd/get.rs:1: no head | // not a head\n//! too late\n
        "#,
    );
    accepts(every_file_has_a_head, "src/key.rs | //! Keys.\n");
    accepts(every_file_has_a_head, "tests/a.rs | fn f() {}");

    let (full, over) = ("\n".repeat(FILE_LINES_MAX), "\n".repeat(FILE_LINES_MAX + 1));
    let found = files_are_short(&source("src/key.rs", &over));
    assert!(found.len() == 1 && found[0].starts_with("src/key.rs:1: 501 lines"), "{found:?}");
    none(&files_are_short(&source("src/key.rs", &full)));
    let tail = format!("#[cfg(test)]\nmod tests {{{over}}}\n");
    none(&files_are_short(&source("src/key.rs", &(full + &tail))));
    none(&files_are_short(&source("tests/sim.rs", &over)));

    let long = "é".repeat(LINE_CHARS_MAX);
    none(&lines_are_clean(&source("src/key.rs", &format!("{long}\n\n  b\n"))));
    for (text, place) in [
        (format!("\n{long}é"), "a.rs:2: over 120"),
        ("a\n\tb \n".to_owned(), "a.rs:2: space"),
        ("a\r\n".to_owned(), "a.rs:1: space"),
    ] {
        let found = lines_are_clean(&source("a.rs", &text));
        assert!(found.len() == 1 && found[0].starts_with(place), "{text:?}: {found:?}");
    }
}

#[test]
fn self_advice() {
    finds(
        advice_can_be_pasted,
        r#"
        src/key.rs:1: NAME | const A: &str = "rebuild it: kvs replace NAME";
        cmd/get.rs:2: NAME | \nfn f() { say("kvs repair --down NAME --accept-missing NAME") }
        "#,
    );
    accepts(
        advice_can_be_pasted,
        r#"
        cmd/get.rs | /// Example: kvs replace NAME\n#[arg(value_name = "NAME")] struct A;
        src/key.rs | const A: &str = "kvs join"; use crate::ring::NAME_BYTES_MAX;
        "#,
    );
}

#[test]
fn self_leftovers() {
    finds(
        nothing_is_left_over,
        r#"
        src/key.rs:1: todo!          | fn f() { todo!() }
        cmd/get.rs:2: unimplemented! | \nfn f() { unimplemented!("later") }
        src/key.rs:1: FIXME          | fn f() {} // slow FIXME
        src/key.rs:2: XXX            | /* one\n XXX\n*/
        tests/cli.rs:2: #[ignore     | #[test]\n#[ignore]\nfn f() {}
        src/key.rs:3: #[ignore       | #[cfg(test)]\nmod tests {\n#[ignore = "slow"] fn f() {} }
        "#,
    );
    accepts(
        nothing_is_left_over,
        r#"
        src/key.rs | const A: &str = "todo!()"; // XXpsk0, kvs-XXXXXX
        src/key.rs | fn my_todo() {}\nmacro_rules! mytodo { () => {} }
        "#,
    );
    finds(
        tests_do_not_sleep,
        r#"
        tests/cli.rs:1: sleep | fn f() { std::thread::sleep(d) }
        tests/cli.rs:2: sleep | use std::{fs, thread};\nfn f() { thread::sleep(d) }
        tests/cli.rs:1: sleep | use std::thread::{sleep, spawn};
        "#,
    );
    accepts(
        tests_do_not_sleep,
        r#"
        tests/support/child.rs | fn f() { std::thread::sleep(d) }
        tests/cli.rs           | // thread::sleep\nfn f() { sleepy() }
        "#,
    );
    finds(
        programs_are_made_by_another,
        r##"
        tests/push/a.rs:1: busy | fs::copy(binary(), to)
        src/push/a.rs:1: busy | fs::write(&file, "#!/bin/sh\\n")
        "##,
    );
    accepts(
        programs_are_made_by_another,
        r##"
        tests/push/a.rs | executable(&file, "#!/bin/sh\\n"); fs::write(&file, "text")
        "##,
    );
}

#[test]
fn self_forgotten_files() {
    let texts = [
        ("src/lib.rs", "pub mod ring;\n// mod lost;\n"),
        ("src/ring.rs", "mod plan;\n#[cfg(test)]\nmod tests;\n"),
        ("src/ring/plan.rs", ""),
        ("src/ring/tests.rs", "fn f() { println!() } use crate::node::Node;"),
        ("src/lost.rs", ""),
        ("cmd/main.rs", "mod get; mod ui;"),
        ("cmd/get.rs", ""),
        ("cmd/ui.rs", ""),
        ("tests/cli.rs", ""),
        ("tests/support/golden.rs", ""),
    ];
    let mut files = texts.map(|(path, text)| Source::new(path, text));
    mark_tests(&mut files);
    let lost = no_module_is_forgotten(&files);
    assert!(lost.len() == 1 && lost[0].starts_with("src/lost.rs:1: "), "{lost:?}");
    assert_eq!(files.iter().filter(|f| f.test_only).count(), 1);
    none(&library_is_silent(&files));
    assert_eq!(arrows_point_down(&files).len(), 1, "the lost room alone");

    assert_eq!(forgotten_targets("path = \"tests/other.rs\"", &files).len(), 1);
    none(&forgotten_targets("[[test]]\nname = \"cli\"\npath = \"tests/cli.rs\"", &files));

    let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let missing = missing_pages(&files, &list(&["kvs.1", "kvs-put.1"]));
    assert!(missing.len() == 1 && missing[0].contains("man/kvs-get.1"), "{missing:?}");
    none(&missing_pages(&files, &list(&["kvs-get.1"])));

    assert_eq!(strangers_at_the_top(&list(&["notes.txt"])).len(), 1);
    none(&strangers_at_the_top(&list(&[".gitignore", "src", "Cargo.lock"])));
}

#[test]
fn self_text_is_read_as_rust_reads_it() {
    let code = |text| split(text).0;
    assert_eq!(code("a // b\nc // d"), "a     \nc     ");
    assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
    assert_eq!(code(r#"f("a\"b", 'c', b'\'', '"')"#), "f(      ,    , b    ,    )");
    assert_eq!(code("r#\"a\"b\"# br\"c\\\" r#type"), "         b      r#type");
    assert_eq!(code("fn f<'a>(x: &'a str, y: 'é')"), "fn f<'a>(x: &'a str, y:     )");
    assert_eq!(split("a // b\n\"// c\" /* d */").1, "  // b\n       /* d */");
    let live = |text| without_tests(text).0.replace(' ', "");
    assert_eq!(live("a; #[cfg(test)] fn f(x: [u8; 2]) { { } } b"), "a;b");
    assert_eq!(live("#[cfg(test)] #[path = x] mod t; fn g() {}"), "fng(){}");
    assert_eq!(live("struct A { #[cfg(test)] b: u8 } c"), "structA{}c");
    let expected = ["std::a", "std::b::c", "std::b::d", "std::e::*"].map(str::to_owned);
    let spread = paths("use std::{a, b::{c as x, d}, e::*,};", "std");
    assert_eq!(spread.into_iter().map(|(_, path)| path).collect::<Vec<_>>(), expected);
}
