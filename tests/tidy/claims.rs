//! A claim in a head is a promise: what can be checked is checked.
//!
//! ```text
//! "nothing here is async", "this room alone is async"      against `async` and `.await`
//! "never prints", "the one thing that prints"              against the macros and streams
//! "reads no clock", "opens no file", "alone is unsafe" …   against the words of the code
//! exit 8, Usage 2                                          against the table of `cmd/exit.rs`
//! `tests/tidy/main.rs`, cmd/exit.rs                            the file is there
//! ```
//!
//! A head speaks of its file and of the folder named after it; the head of `src/lib.rs` of `src/`.
//!
//! Caveat: a claim in words that no row of the table has is not noticed.

use std::fs;

use super::known::{Debt, settle};
use super::text::*;
use super::{Source, shipped};

/// Who may have the words that a claim is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Nothing that the head speaks of.
    NotHere,
    /// What the head speaks of, and nothing else of the same top folder.
    HereAlone,
}

const PRINTS: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "stdout()", "stderr()"];
const ASYNC: &[&str] = &["async", "await"];
const CLOCKS: &[&str] = &["Instant", "SystemTime"];
const FILES: &[&str] = &["std::fs", "std::net", "File"];

/// A claim in lower case, whom it allows the words, and the words.
const CLAIMS: &[(&str, Who, &[&str])] = &[
    ("nothing here is async", Who::NotHere, ASYNC),
    ("no async", Who::NotHere, ASYNC),
    ("this room alone is async", Who::HereAlone, ASYNC),
    ("never prints", Who::NotHere, PRINTS),
    ("does not print", Who::NotHere, PRINTS),
    ("none prints", Who::NotHere, PRINTS),
    ("prints nothing", Who::NotHere, PRINTS),
    ("the one thing that prints", Who::HereAlone, PRINTS),
    ("reads no clock", Who::NotHere, CLOCKS),
    ("opens no file", Who::NotHere, FILES),
    ("this room alone is unsafe", Who::HereAlone, &["unsafe"]),
    ("this room alone names the yaml crate", Who::HereAlone, &["serde_yaml"]),
];

/// The head as one line of words.
fn head(file: &Source) -> String {
    let lines = file.raw.lines().take_while(|line| line.starts_with("//!"));
    let words = lines.flat_map(|line| line[3..].split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

/// Whether the head of the one file speaks of the other.
fn speaks_of(file: &Source, other: &Source) -> bool {
    let folder = match file.path.as_str() {
        "src/lib.rs" => "src",
        "cmd/main.rs" => "cmd",
        path => path.trim_end_matches(".rs").trim_end_matches("/mod"),
    };
    file.path == other.path || other.is_in(folder)
}

fn debt(file: &Source, claim: &str, what: &str) -> Debt {
    let entry = format!("{}: {claim}", file.path);
    Debt { entry, finding: format!("{}:1: the head says `{claim}`, but {what}", file.path) }
}

fn claims_of_absence(files: &[Source]) -> Vec<Debt> {
    let mut found = Vec::new();
    for file in shipped(files) {
        let head = head(file).to_lowercase();
        for (claim, who, words) in CLAIMS.iter().filter(|(claim, ..)| head.contains(claim)) {
            let top = if file.is_in("cmd") { "cmd" } else { "src" };
            let has = |other: &&Source| !other.uses(words, "").is_empty();
            let here = shipped(files).filter(|other| speaks_of(file, other)).find(has);
            let mut elsewhere = shipped(files).filter(|f| f.is_in(top) && !speaks_of(file, f));
            let against = match who {
                Who::NotHere => here.map(|f| format!("{} has it", f.path)),
                Who::HereAlone if here.is_none() => Some("it has nothing of the kind".to_owned()),
                Who::HereAlone => elsewhere.find(has).map(|f| format!("{} has it too", f.path)),
            };
            found.extend(against.map(|what| debt(file, claim, &what)));
        }
    }
    found
}

/// The numbers and names of the table of exit codes.
fn exit_codes(files: &[Source]) -> Vec<(String, String)> {
    let table = files.iter().find(|f| f.path == "cmd/exit.rs");
    let block = table.and_then(|f| f.code.split_once("enum Code {")).map_or("", |(_, rest)| rest);
    let block = block.split('}').next().unwrap_or_default();
    let rows = block.split(',').filter_map(|row| row.split_once(" = "));
    rows.map(|(name, number)| (name.trim().to_owned(), number.trim().to_owned())).collect()
}

fn claims_of_exit_codes(files: &[Source]) -> Vec<Debt> {
    let codes = exit_codes(files);
    let mut found = Vec::new();
    for file in shipped(files) {
        let head = head(file);
        let words: Vec<_> = head.split([' ', '(', ')', ',', ';', '.', ':']).collect();
        for two in words.windows(2) {
            let (word, number) = (two[0], two[1]);
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let claim = format!("{word} {number}");
            let is_exit = ["exit", "exits", "_exit"].contains(&word);
            if is_exit && !codes.iter().any(|(_, known)| known == number) {
                found.push(debt(file, &claim, "cmd/exit.rs has no such number"));
            }
            let named = codes.iter().find(|(name, _)| name == word);
            if let Some((_, known)) = named.filter(|(_, known)| known != number) {
                found.push(debt(file, &claim, &format!("cmd/exit.rs says {known}")));
            }
        }
    }
    found
}

/// Files that a head names and that are not there.
fn claims_of_files(files: &[Source], is_there: &dyn Fn(&str) -> bool) -> Vec<Debt> {
    let mut found = Vec::new();
    for file in files {
        let head = head(file);
        for word in head.split(|c: char| c.is_whitespace() || "`()[],;\"".contains(c)) {
            let path = word.trim_end_matches(['.', ':', '/']);
            let folder = path.split('/').next().unwrap_or_default();
            let is_ours = ["src", "cmd", "tests", "testdata", "benches"].contains(&folder);
            let is_plain = path.bytes().all(|b| is_word(b) || b"/.-".contains(&b));
            if is_ours && folder != path && is_plain && !is_there(path) {
                found.push(debt(file, path, "there is no such file"));
            }
        }
    }
    found
}

/// The exit codes at which systemd leaves a node down, as each text says them.
fn unit_codes(texts: &[(String, String)]) -> Vec<(String, String)> {
    let mark = "RestartPreventExitStatus=";
    let mut found = Vec::new();
    for (path, text) in texts {
        for line in text.lines().filter_map(|line| line.trim().strip_prefix(mark)) {
            found.push((path.clone(), line.trim().to_owned()));
        }
    }
    found
}

/// Every page that shows a unit shows the same codes, each of them in the table.
fn claims_of_units(texts: &[(String, String)], codes: &[(String, String)]) -> Vec<String> {
    let units = unit_codes(texts);
    let known = |number: &str| codes.iter().any(|(_, code)| code == number);
    let mut found = Vec::new();
    for (path, numbers) in &units {
        if *numbers != units[0].1 {
            found.push(format!(
                "{path}:1: a unit with {numbers}, {} has {}",
                units[0].0, units[0].1
            ));
        }
        for number in numbers.split(' ').filter(|number| !known(number)) {
            found.push(format!("{path}:1: a unit with exit code {number}, not in cmd/exit.rs"));
        }
    }
    found
}

#[test]
fn heads_claim_no_absence_that_is_not_so() {
    settle!(CLAIMS_OF_ABSENCE, claims_of_absence(&tree()));
}

#[test]
fn heads_name_exit_codes_as_the_table_does() {
    let files = tree();
    assert!(exit_codes(&files).len() > 10, "the table of cmd/exit.rs was not found");
    settle!(CLAIMS_OF_EXIT_CODES, claims_of_exit_codes(&files));
}

#[test]
fn heads_name_files_that_are_there() {
    settle!(CLAIMS_OF_FILES, claims_of_files(&tree(), &|path| root(path).exists()));
}

#[test]
fn pages_show_units_of_one_kind() {
    let pages = names("man").into_iter().map(|name| format!("man/{name}"));
    let all = pages.chain(["README.md".to_owned()]);
    let text = |path: String| {
        let text = fs::read_to_string(root(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        (path, text)
    };
    super::none(&claims_of_units(&all.map(text).collect::<Vec<_>>(), &exit_codes(&tree())));
}

#[cfg(test)]
mod can_fail {
    use super::*;

    fn sources(texts: &[(&str, &str)]) -> Vec<Source> {
        texts.iter().map(|(path, text)| Source::new(path, text)).collect()
    }

    #[test]
    fn self_claims_of_absence() {
        let bad: &[&[(&str, &str)]] = &[
            &[("src/lib.rs", "//! Nothing here is\n//! async."), ("src/a.rs", "async fn f() {}")],
            &[("src/a.rs", "//! Never prints.\nfn f() { println!() }")],
            &[("cmd/ui.rs", "//! The one thing that prints."), ("cmd/a.rs", "//! A.")],
            &[
                ("cmd/ui.rs", "//! The one thing that prints.\nfn f() { println!() }"),
                ("cmd/a.rs", "fn f() { io::stdout() }"),
            ],
            &[("src/a.rs", "//! It reads no clock."), ("src/a/b.rs", "use std::time::Instant;")],
        ];
        for texts in bad {
            assert_eq!(claims_of_absence(&sources(texts)).len(), 1, "{texts:?}");
        }
        let good: &[&[(&str, &str)]] = &[
            &[("src/a.rs", "//! Nothing here is async."), ("src/b.rs", "async fn f() {}")],
            &[("src/a.rs", "//! It never prints.\n// println!()\nfn f() { g(\"println!\") }")],
            &[("cmd/ui.rs", "//! The one thing that prints.\nfn f() { println!() }")],
            &[("src/a.rs", "//! It reads clocks.\nuse std::time::Instant;")],
        ];
        for texts in good {
            assert!(claims_of_absence(&sources(texts)).is_empty(), "{texts:?}");
        }
    }

    #[test]
    fn self_claims_of_exit_codes() {
        let table = "enum Code {\n    Done = 0,\n    Usage = 2,\n}";
        let found = |head: &str| {
            let files = sources(&[("cmd/exit.rs", table), ("src/a.rs", head)]);
            claims_of_exit_codes(&files).len()
        };
        for bad in ["//! It ends with exit 8.", "//! _exit(8)", "//! Usage 3: wrong words"] {
            assert_eq!(found(bad), 1, "{bad}");
        }
        for good in
            ["//! It ends with exit 2.", "//! _exit(0)", "//! Usage 2, 8 bytes", "fn exit() {}"]
        {
            assert_eq!(found(good), 0, "{good}");
        }
    }

    #[test]
    fn self_claims_of_files_and_units() {
        let files = sources(&[("src/a.rs", "//! See `tests/lost.rs`, cmd/exit.rs. Not src/*.rs.")]);
        let found = claims_of_files(&files, &|path| path == "cmd/exit.rs");
        assert!(found.len() == 1 && found[0].entry == "src/a.rs: tests/lost.rs");

        let codes = [("Usage".to_owned(), "2".to_owned()), ("Corrupt".to_owned(), "8".to_owned())];
        let unit = |path: &str, numbers: &str| {
            (path.to_owned(), format!("[Service]\nRestartPreventExitStatus={numbers}\n"))
        };
        assert_eq!(claims_of_units(&[unit("a", "2 8"), unit("b", "2")], &codes).len(), 1);
        assert_eq!(claims_of_units(&[unit("a", "2 8 9")], &codes).len(), 1);
        super::super::none(&claims_of_units(&[unit("a", "2 8"), unit("b", "2 8")], &codes));
    }
}
