//! What holds for every file under `tests/`, however deep it lies.
//!
//! Caveat: a `#[path]` is compared by its end, so it is not noticed when it names a file of the same
//! name in another folder.

use std::fs;

use super::known::{Debt, settle};
use super::text::*;
use super::{Source, declares, none};

fn tests(files: &[Source]) -> impl Iterator<Item = &Source> {
    files.iter().filter(|f| f.is_in("tests"))
}

/// Waiting for a length of time, in any file of the tests.
fn sleeps(files: &[Source]) -> Vec<Debt> {
    let words = ["std::thread::sleep", "thread::sleep", "time::sleep"];
    let what = "a test that sleeps is slow and fails at random; wait for the event";
    let mut found = Vec::new();
    for file in tests(files) {
        let places = file.uses(&words, what);
        let entry = format!("{}: {}", file.path, places.len());
        let debt = |finding| Debt { entry: entry.clone(), finding };
        found.extend(places.into_iter().map(debt));
    }
    found
}

fn without_head(files: &[Source]) -> Vec<String> {
    let bare = tests(files).filter(|f| !f.raw.starts_with("//! "));
    bare.map(|f| f.finding(0, "no head; begin with `//!`: what is tested here")).collect()
}

/// Files below `tests/` that no target, no `mod` line and no `#[path]` names.
fn forgotten(manifest: &str, files: &[Source]) -> Vec<Debt> {
    // Cargo takes tests/NAME/main.rs for a target without being told.
    let is_target = |f: &Source| {
        let parts: Vec<_> = f.path.split('/').collect();
        matches!(parts[..], ["tests", _, "main.rs"])
            || manifest.contains(&format!("path = \"{}\"", f.path))
    };
    let mut named = Vec::new();
    for file in files {
        for part in file.raw.split("#[path = \"").skip(1) {
            let path = part.split('"').next().unwrap_or_default();
            named.push(format!("/{}", path.trim_start_matches("../")));
        }
    }
    let is_named = |f: &Source| named.iter().any(|name| f.path.ends_with(name.as_str()));
    let what = "never compiled; add its `mod` line or its target, or delete it";
    tests(files)
        .filter(|f| !is_target(f) && !is_named(f) && !declares(files, f, |parent| &parent.code))
        .map(|f| Debt { entry: f.path.clone(), finding: f.finding(0, what) })
        .collect()
}

#[test]
fn no_test_sleeps_anywhere() {
    settle!(SLEEPS, sleeps(&tree()));
}

#[test]
fn every_test_file_says_what_it_is() {
    none(&without_head(&tree()));
}

#[test]
fn every_test_file_is_compiled() {
    let manifest = fs::read_to_string(root("Cargo.toml")).expect("the manifest");
    settle!(FORGOTTEN_TESTS, forgotten(&manifest, &tree()));
}

#[cfg(test)]
mod can_fail {
    use super::*;

    #[test]
    fn self_sleeps_are_found_at_any_depth() {
        for bad in
            ["fn f() { std::thread::sleep(d) }", "async fn f() { tokio::time::sleep(d).await }"]
        {
            let found = sleeps(&[Source::new("tests/a/b/c.rs", bad)]);
            assert!(found.len() == 1 && found[0].entry == "tests/a/b/c.rs: 1", "{bad}");
        }
        for (path, good) in [
            ("tests/a.rs", "// thread::sleep\nfn f() { sleepy(\"thread::sleep\") }"),
            ("src/a.rs", "fn f() { std::thread::sleep(d) }"),
        ] {
            assert!(sleeps(&[Source::new(path, good)]).is_empty(), "{good}");
        }
    }

    #[test]
    fn self_heads_and_forgotten_files() {
        assert_eq!(without_head(&[Source::new("tests/a/b.rs", "use a;\n")]).len(), 1);
        none(&without_head(&[Source::new("tests/a/b.rs", "//! What a does.\n")]));
        let texts = [
            ("tests/a.rs", "mod b;\n#[path = \"support/c.rs\"]\nmod c;"),
            ("tests/b.rs", ""),
            ("tests/support/c.rs", ""),
            ("tests/d/main.rs", "mod e;"),
            ("tests/d/e.rs", ""),
            ("tests/d/lost.rs", ""),
        ];
        let files = texts.map(|(path, text)| Source::new(path, text));
        let manifest = "path = \"tests/a.rs\"";
        let lost = forgotten(manifest, &files);
        assert!(lost.len() == 1 && lost[0].entry == "tests/d/lost.rs", "{}", lost.len());
    }
}
