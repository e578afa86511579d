//! The house rules, held by reading the sources as text.
//!
//! What the compiler and clippy can hold, they hold (`Cargo.toml`, `clippy.toml`); what is left is
//! here: which room may use which, what the pure rooms must not touch, heads, lengths, leftovers,
//! forgotten files. Each rule is one test, and a finding reads `file:line: what; the mend`. The
//! rules themselves are tested on bad snippets in `can_fail`.
//!
//! What needs more than a few lines has a file: inside rooms (`inside`), signatures and names
//! (`shape`), words (`words`), heads (`claims`), all tests (`every_test`). What still breaks one of
//! those rules is listed in `known`, and the lists only shrink. `measure.py` measures a tree.
//!
//! Comments, literals and `#[cfg(test)]` items do not count, unless a rule is about them.
//!
//! Caveats: this is no parser. A macro that writes a path, a renamed import (`use std as s`) or a
//! re-export can go round a rule; nobody does that by accident.

mod can_fail;
mod claims;
mod every_test;
mod inside;
mod known;
mod shape;
mod sub_rooms;
mod text;
mod words;

use std::fs;

use self::sub_rooms::sub_arrows_point_down;
use self::text::*;

/// The rooms of `src/` from the ground up, and what each may use. `x..` is `x` and all it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("planted", &[]), // a feature of test builds: every room may use it
    ("os", &["error"]),
    ("bounded", &[]),
    ("config", &["os.."]),
    ("key", &["error", "bounded"]),
    ("clock", &["key.."]),
    ("record", &["clock.."]),
    ("digest", &["record.."]),
    ("ring", &["clock.."]),
    ("quorum", &["digest..", "ring.."]),
    ("gossip", &["ring.."]),
    ("protocol", &["quorum..", "gossip.."]),
    ("store", &["digest..", "ring..", "config.."]),
    ("node", &["protocol..", "store.."]),
    ("node_dir", &["node.."]),
    ("embed", &["node_dir.."]),
    ("channel", &["node.."]),
    ("serve", &["channel..", "node_dir"]),
    ("client", &["channel.."]),
    ("cluster", &["embed..", "client.."]),
    ("repair", &["cluster.."]),
    ("backup", &["cluster.."]),
    ("transfer", &["cluster.."]),
    ("push", &["repair.."]),
];

/// Rooms that compute and nothing else: the same input gives the same output, on every machine.
const PURE: &[&str] = &[
    "bounded", "key", "clock", "record", "digest", "ring", "quorum", "gossip", "protocol", "node",
];

/// What a pure room must not name: the world, and maps whose order differs from run to run.
const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::io",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "hash_map",
    "hash_set",
    "RandomState",
    "getrandom",
    "heed",
    "libc",
];

/// Files of `cmd/` that are no subcommand and have no man page.
const NOT_COMMANDS: &[&str] = &["main", "cli", "common", "exit", "render", "ui"];

/// What may lie at the top of the repository, besides dot files.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "clippy.toml",
    "rustfmt.toml",
    "deny.toml",
    "src",
    "cmd",
    "tests",
    "testdata",
    "benches",
    "fuzz",
    "man",
    "completions",
    "target",
];

/// A file without its tests has at most so many lines: what one can hold in mind.
const FILE_LINES_MAX: usize = 500;

/// rustfmt keeps code below 100; this is for the strings and comments it leaves alone.
const LINE_CHARS_MAX: usize = 120;

// ---------------------------------------------------------------------------------------- rules

/// One file, in the views the rules need. All have the same lines at the same places.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    raw: String,
    /// Comments and literals blanked.
    code: String,
    /// `code` with its `#[cfg(test)]` items blanked.
    live: String,
    /// Everything but comments blanked.
    comments: String,
    /// How many lines the `#[cfg(test)]` items have.
    test_lines: usize,
    /// Whether the whole file is a test: its `mod` line is one of those items.
    test_only: bool,
}

impl Source {
    fn new(path: &str, raw: &str) -> Self {
        let (code, comments) = split(raw);
        let (live, test_lines) = without_tests(&code);
        let (path, raw) = (path.to_owned(), raw.to_owned());
        Self { path, raw, code, live, comments, test_lines, test_only: false }
    }

    fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The room of `src/` it belongs to; `None` for the table of contents and outside `src/`.
    fn room(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/").filter(|rest| *rest != "lib.rs")?;
        Some(rest.split('/').next()?.trim_end_matches(".rs"))
    }

    /// The finding, at a place in one of its views.
    fn finding(&self, at: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.path, self.raw[..at].matches('\n').count() + 1)
    }

    /// Finds uses in live code, one per line. A pattern that begins with `std::` is a path, also
    /// when it is spread over braces; any other is the words themselves.
    fn uses(&self, patterns: &[&str], what: &str) -> Vec<String> {
        let std = paths(&self.live, "std");
        let mut places = Vec::new();
        for pattern in patterns {
            if pattern.starts_with("std::") {
                let under = std.iter().filter(|(_, path)| is_under(path, pattern));
                places.extend(under.map(|(at, _)| (*at, pattern)));
            } else {
                places.extend(hits(&self.live, pattern).into_iter().map(|at| (at, pattern)));
            }
        }
        places.sort_unstable();
        places.dedup_by_key(|(at, _)| self.raw[..*at].matches('\n').count());
        places.iter().map(|(at, used)| self.finding(*at, &format!("`{used}`: {what}"))).collect()
    }
}

type Rule = fn(&[Source]) -> Vec<String>;

/// The shipped part: `src/` and `cmd/` without files that are only tests.
fn shipped(files: &[Source]) -> impl Iterator<Item = &Source> {
    files.iter().filter(|f| (f.is_in("src") || f.is_in("cmd")) && !f.test_only)
}

/// What a room may use; `None` when the table does not know it.
fn allowed(room: &str) -> Option<Vec<&'static str>> {
    let (_, listed) = ROOMS.iter().find(|(name, _)| *name == room)?;
    let mut all = vec!["planted"];
    for entry in *listed {
        let name = entry.trim_end_matches("..");
        all.push(name);
        if name != *entry {
            all.extend(allowed(name)?);
        }
    }
    Some(all)
}

fn arrows_point_down(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in shipped(files) {
        let Some(room) = file.room() else { continue };
        let Some(allowed) = allowed(room) else {
            let what = format!("no room `{room}`; add it to ROOMS in tests/tidy");
            found.push(file.finding(0, &what));
            continue;
        };
        for (at, path) in room_paths(file) {
            let used = path.split("::").nth(1).unwrap_or_default();
            if used == room || allowed.contains(&used) || used.ends_with('!') {
                continue;
            }
            let what = if ROOMS.iter().any(|(name, _)| *name == used) {
                format!("`{room}` must not use `{used}`; move the code up, or pass the value in")
            } else {
                format!("`{path}` names no room; write the path through its room")
            };
            found.push(file.finding(at, &what));
        }
    }
    found
}

/// Paths that name a room: `crate::…`, and as many `super::` as lead to the top.
fn room_paths(file: &Source) -> Vec<(usize, String)> {
    let depth = file.path.matches('/').count() - usize::from(file.path.ends_with("/mod.rs"));
    let chain = vec!["super"; depth].join("::");
    let mut all = paths(&file.live, "crate");
    let up = paths(&file.live, &chain).into_iter();
    let up = up.map(|(at, path)| (at, path.replacen(&chain, "crate", 1)));
    all.extend(up.filter(|(_, path)| {
        ROOMS.iter().any(|(name, _)| is_under(path, &format!("crate::{name}")))
    }));
    all
}

/// Uses of the patterns in shipped files of these places.
fn forbid(
    files: &[Source],
    place: fn(&Source) -> bool,
    patterns: &[&str],
    what: &str,
) -> Vec<String> {
    shipped(files).filter(|f| place(f)).flat_map(|f| f.uses(patterns, what)).collect()
}

fn pure_rooms_are_pure(files: &[Source]) -> Vec<String> {
    let pure = |f: &Source| f.room().is_some_and(|room| PURE.contains(&room));
    forbid(files, pure, WORLD, "a pure room; take the value as an argument, order by BTreeMap")
}

fn yaml_is_in_config(files: &[Source]) -> Vec<String> {
    let elsewhere = |f: &Source| f.room() != Some("config");
    forbid(files, elsewhere, &["serde_yaml"], "only src/config; add a plain type there")
}

fn unsafe_is_in_lmdb(files: &[Source]) -> Vec<String> {
    let elsewhere = |f: &Source| !f.path.starts_with("src/store/lmdb");
    forbid(files, elsewhere, &["unsafe"], "only src/store/lmdb; find the safe way")
}

fn library_is_silent(files: &[Source]) -> Vec<String> {
    let macros = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
    let streams = ["stdout()", "stderr()", "std::io::stdout", "std::io::stderr"];
    let what = "the library never prints; return it, cmd/ui prints";
    forbid(files, |f| f.is_in("src"), &[&macros[..], &streams[..]].concat(), what)
}

fn async_is_in_serve(files: &[Source]) -> Vec<String> {
    let elsewhere = |f: &Source| f.room() != Some("serve");
    forbid(files, elsewhere, &["async", "await"], "only src/serve; write it blocking")
}

fn renames_are_in_os(files: &[Source]) -> Vec<String> {
    let elsewhere = |f: &Source| f.room() != Some("os") && !f.path.contains("/tests/");
    let calls = ["std::fs::rename", "fs::rename(", ".persist(", ".persist_noclobber("];
    let what = "only src/os; os::rename and os::replace_file sync the directory too";
    forbid(files, elsewhere, &calls, what)
}

fn clocks_and_random_bits_are_in_os(files: &[Source]) -> Vec<String> {
    let elsewhere = |f: &Source| f.room() != Some("os");
    let words = ["Instant::now", "SystemTime::now", "getrandom"];
    forbid(files, elsewhere, &words, "only src/os; os::now, os::WallTime, os::random")
}

fn small_files_are_read_in_os(files: &[Source]) -> Vec<String> {
    // Data of any size and kind is read elsewhere too, and what the system itself gives.
    let others = [
        "src/store/lmdb",
        "src/push/ssh",
        "src/push/remote",
        "cmd/put.rs",
        "cmd/load.rs",
        "cmd/digest.rs",
    ];
    let system = "cmd/push/here.rs";
    let elsewhere = move |f: &Source| {
        let other = others.iter().any(|place| f.path.starts_with(place)) || f.path == system;
        f.room() != Some("os") && !f.path.contains("tests") && !other
    };
    let calls = ["fs::read(", "fs::read_to_string(", "File::open("];
    let what = "only src/os; os::read_small waits for no FIFO and ends";
    shipped(files).filter(|f| elsewhere(f)).flat_map(|f| f.uses(&calls, what)).collect()
}

fn terminal_is_in_cmd(files: &[Source]) -> Vec<String> {
    let what = "only cmd/; return the rows, take a callback";
    forbid(files, |f| f.is_in("src"), &["comfy_table", "indicatif"], what)
}

fn environment_is_in_cmd(files: &[Source]) -> Vec<String> {
    let what = "only cmd/; take the value as an argument";
    forbid(files, |f| f.is_in("src"), &["std::env"], what)
}

fn every_file_has_a_head(files: &[Source]) -> Vec<String> {
    let code = files.iter().filter(|f| f.is_in("src") || f.is_in("cmd"));
    code.filter(|f| !f.raw.starts_with("//! "))
        .map(|f| f.finding(0, "no head; begin with `//!`: what it does, what it does not"))
        .collect()
}

fn files_are_short(files: &[Source]) -> Vec<String> {
    let lines = |f: &Source| f.raw.lines().count() - f.test_lines;
    let what =
        |n| format!("{n} lines without tests, at most {FILE_LINES_MAX}; split it by subject");
    shipped(files)
        .filter(|f| lines(f) > FILE_LINES_MAX)
        .map(|f| f.finding(0, &what(lines(f))))
        .collect()
}

fn nothing_is_left_over(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let marks = ["todo!", "unimplemented!", "dbg!", "#[ignore"].map(|m| (m, true));
    for (mark, in_code) in marks.into_iter().chain([("FIXME", false), ("XXX", false)]) {
        for file in files {
            let view = if in_code { &file.code } else { &file.comments };
            let what = format!("`{mark}` left over; do it, or say in an issue what is missing");
            // What a test starts as a process beside it is a test by its form only.
            let beside = "#[ignore = \"no test: a process beside one\"]";
            let left = |at: &usize| !file.raw[*at..].starts_with(beside);
            let left = hits(view, mark).into_iter().filter(left);
            found.extend(left.map(|at| file.finding(at, &what)));
        }
    }
    found
}

/// Whoever advises a command about a member knows its name, or knows who does.
fn advice_can_be_pasted(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in shipped(files) {
        for (number, line) in (1..).zip(file.raw.split('\n')) {
            let command = line.split_once("kvs ").filter(|_| !line.trim_start().starts_with("//"));
            if command.is_some_and(|(_, words)| !hits(words, "NAME").is_empty()) {
                found.push(format!("{}:{number}: `NAME` in advice; put the name there", file.path));
            }
        }
    }
    found
}

fn tests_do_not_sleep(files: &[Source]) -> Vec<String> {
    let tests = files.iter().filter(|f| f.is_in("tests") && f.path.matches('/').count() == 1);
    let words = ["std::thread::sleep", "thread::sleep"];
    let what = "a test that sleeps is slow and fails at random; wait for the event";
    tests.flat_map(|f| f.uses(&words, what)).collect()
}

fn programs_are_made_by_another(files: &[Source]) -> Vec<String> {
    let made = |line: &str| {
        line.contains("fs::copy(binary()") || line.contains("fs::write(") && line.contains("\"#!/")
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|f| !f.path.starts_with("tests/tidy")) {
        for (number, _) in (1..).zip(file.raw.lines()).filter(|(_, line)| made(line)) {
            let what =
                "a program that this process writes may be busy when it is run; executable()";
            found.push(format!("{}:{number}: {what}", file.path));
        }
    }
    found
}

fn lines_are_clean(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.raw.split('\n')) {
            let place = format!("{}:{number}", file.path);
            if line.chars().count() > LINE_CHARS_MAX {
                found.push(format!("{place}: over {LINE_CHARS_MAX} chars; break it"));
            }
            if line.ends_with(char::is_whitespace) {
                found.push(format!("{place}: space at the end; remove it"));
            }
        }
    }
    found
}

/// Files no `mod` line names are never compiled.
fn no_module_is_forgotten(files: &[Source]) -> Vec<String> {
    shipped(files)
        .filter(|f| !matches!(f.path.as_str(), "src/lib.rs" | "cmd/main.rs"))
        .filter(|f| !declares(files, f, |parent| &parent.code))
        .map(|f| f.finding(0, "never compiled; add its `mod` line, or delete it"))
        .collect()
}

/// Whether a neighbour of the file, or the file its folder is named after, has a `mod` line for it.
fn declares(files: &[Source], module: &Source, view: fn(&Source) -> &str) -> bool {
    let place = module.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
    let Some((folder, name)) = place.rsplit_once('/') else { return false };
    let line = format!("mod {name};");
    files.iter().any(|f| {
        let near = f.path.rsplit_once('/').is_some_and(|(dir, _)| dir == folder);
        (near || f.path == format!("{folder}.rs")) && !hits(view(f), &line).is_empty()
    })
}

/// With `autotests` off, a test file that is no target is never run.
fn forgotten_targets(manifest: &str, files: &[Source]) -> Vec<String> {
    let single = files.iter().filter(|f| f.path.matches('/').count() == 1);
    single
        .filter(|f| f.is_in("tests") || f.is_in("benches"))
        .filter(|f| !manifest.contains(&format!("path = \"{}\"", f.path)))
        .map(|f| f.finding(0, "never run; add it to Cargo.toml as a target with its path"))
        .collect()
}

fn missing_pages(files: &[Source], pages: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.is_in("cmd") && !f.test_only) {
        let name = file.path["cmd/".len()..].split('/').next().unwrap_or_default();
        let name = name.trim_end_matches(".rs");
        let page = format!("kvs-{}.1", name.replace('_', "-"));
        if !NOT_COMMANDS.contains(&name) && !pages.contains(&page) {
            found.push(file.finding(0, &format!("no man/{page}; generate it, or list the file")));
        }
    }
    found
}

fn strangers_at_the_top(names: &[String]) -> Vec<String> {
    let strange = names.iter().filter(|n| !n.starts_with('.') && !TOP.contains(&n.as_str()));
    strange.map(|n| format!("{n}:1: not at the top; move it into a folder of TOP")).collect()
}

// ---------------------------------------------------------------------------------- on this tree

fn none(found: &[String]) {
    assert!(found.is_empty(), "{} finding(s)\n{}\n", found.len(), found.join("\n"));
}

macro_rules! hold {
    ($($rule:ident => $test:ident),+ $(,)?) => {
        $(#[test] fn $test() { none(&$rule(&tree())); })+
    };
}

hold! {
    arrows_point_down => rooms_use_only_rooms_above_them,
    sub_arrows_point_down => sub_rooms_use_only_sub_rooms_above_them,
    pure_rooms_are_pure => pure_rooms_touch_no_world,
    yaml_is_in_config => only_config_names_the_yaml_crate,
    unsafe_is_in_lmdb => only_lmdb_is_unsafe,
    library_is_silent => the_library_never_prints,
    async_is_in_serve => only_serve_is_async,
    renames_are_in_os => only_os_renames,
    clocks_and_random_bits_are_in_os => only_os_reads_clocks_and_draws_random_bits,
    small_files_are_read_in_os => only_os_reads_small_files,
    terminal_is_in_cmd => only_cmd_knows_the_terminal,
    environment_is_in_cmd => only_cmd_reads_the_environment,
    every_file_has_a_head => every_file_says_what_it_is,
    files_are_short => no_file_is_too_long,
    nothing_is_left_over => no_leftovers,
    advice_can_be_pasted => no_advice_names_a_placeholder,
    tests_do_not_sleep => no_test_sleeps,
    programs_are_made_by_another => no_test_runs_what_it_has_open,
    lines_are_clean => no_line_is_too_long_or_ends_with_space,
    no_module_is_forgotten => every_module_is_compiled,
}

#[test]
fn every_test_file_is_a_target() {
    let manifest = fs::read_to_string(root("Cargo.toml")).expect("the manifest");
    none(&forgotten_targets(&manifest, &tree()));
}

#[test]
fn every_command_has_a_man_page() {
    let pages = names("man");
    if !pages.is_empty() {
        none(&missing_pages(&tree(), &pages));
    }
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    none(&strangers_at_the_top(&names("")));
}
