//! The house rules, held by reading the sources as text.
//!
//! What the compiler and clippy can hold, they hold (`Cargo.toml`, `clippy.toml`); what is left is
//! here: which room may use which, what the pure rooms must not touch, heads, lengths, leftovers,
//! forgotten files. Each rule is one test, and a finding reads `file:line: what; the mend`. The
//! rules themselves are tested on bad snippets in the last section.
//!
//! Comments, literals and `#[cfg(test)]` items do not count, unless a rule is about them.
//!
//! Caveats: this is no parser. A macro that writes a path, a renamed import (`use std as s`) or a
//! re-export can go round a rule; nobody does that by accident.

use std::fs;
use std::path::Path;

mod support {
    pub(crate) mod golden;
}

/// The rooms of `src/` from the ground up, and what each may use. `x..` is `x` and all it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("planted", &[]), // a feature of test builds: every room may use it
    ("config", &["error"]),
    ("key", &["error"]),
    ("clock", &["key.."]),
    ("record", &["clock.."]),
    ("digest", &["record.."]),
    ("ring", &["clock.."]),
    ("quorum", &["digest..", "ring.."]),
    ("gossip", &["ring.."]),
    ("wire", &["quorum..", "gossip.."]),
    ("store", &["digest..", "ring..", "config"]),
    ("node", &["wire..", "store.."]),
    ("embed", &["node.."]),
    ("serve", &["node.."]),
    ("client", &["node.."]),
    ("target", &["embed..", "client.."]),
    ("repair", &["target.."]),
    ("backup", &["target.."]),
    ("transfer", &["target.."]),
    ("push", &["error", "config", "ring", "target"]),
];

/// Rooms that compute and nothing else: the same input gives the same output, on every machine.
const PURE: &[&str] =
    &["key", "clock", "record", "digest", "ring", "quorum", "gossip", "wire", "node"];

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
const NOT_COMMANDS: &[&str] = &["main", "cli", "common", "exit", "ui"];

/// What may lie at the top of the repository, besides dot files.
const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
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
            let what = format!("no room `{room}`; add it to ROOMS in tests/tidy.rs");
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
            found.extend(hits(view, mark).into_iter().map(|at| file.finding(at, &what)));
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

// ------------------------------------------------------------------------------ reading the text

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where a pattern stands as whole words.
fn hits(text: &str, pattern: &str) -> Vec<usize> {
    let glued = |left: Option<u8>, right: Option<u8>| {
        left.is_some_and(is_word) && right.is_some_and(is_word)
    };
    let whole = |at: &usize| {
        let (before, after) = (&text[..*at], &text[at + pattern.len()..]);
        !glued(before.bytes().last(), pattern.bytes().next())
            && !glued(pattern.bytes().last(), after.bytes().next())
    };
    text.match_indices(pattern).map(|(at, _)| at).filter(whole).collect()
}

fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// All paths that begin with `root::`, braces spread out: `std::{fs, io::Read}` is two.
fn paths(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in hits(code, root) {
        let inner = code[..at].ends_with("::") && !code[..at - 2].ends_with([' ', '(', '<', '\n']);
        if !inner && code[at + root.len()..].starts_with("::") {
            spread(code, at + root.len() + 2, root, &mut found);
        }
    }
    found
}

/// Reads what follows `prefix::`, adds each path in it, returns where it ends.
fn spread(code: &str, from: usize, prefix: &str, found: &mut Vec<(usize, String)>) -> usize {
    let skip = |at: usize| at + code[at..].len() - code[at..].trim_start().len();
    let at = skip(from);
    if !code[at..].starts_with(['{', '*']) {
        let length = code[at..].bytes().take_while(|&b| is_word(b)).count();
        let path = format!("{prefix}::{}", &code[at..at + length]);
        let after = &code[at + length..];
        if length > 0 && after.starts_with("::") && !after.starts_with("::<") {
            return spread(code, at + length + 2, &path, found);
        }
        let bang = if after.starts_with('!') && !after.starts_with("!=") { "!" } else { "" };
        if length > 0 {
            found.push((at, path + bang));
        }
        return at + length;
    }
    if code[at..].starts_with('*') {
        found.push((at, format!("{prefix}::*")));
        return at + 1;
    }
    let mut at = at + 1;
    loop {
        at = spread(code, at, prefix, found);
        match code[at..].find([',', '{', '}']) {
            Some(next) if code.as_bytes()[at + next] == b',' => at += next + 1,
            Some(next) => return at + next + 1,
            None => return code.len(),
        }
    }
}

/// Splits a text into code (comments and literals blanked) and comments (all else blanked).
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (text.as_bytes().to_vec(), text.as_bytes().to_vec());
    let mut at = 0;
    while at < text.len() {
        match blank_end(text, at) {
            Some(end) => {
                blank(&mut code[at..end]);
                if !text[at..].starts_with('/') {
                    blank(&mut comments[at..end]);
                }
                at = end;
            }
            None => {
                blank(&mut comments[at..=at]);
                at += 1;
            }
        }
    }
    let text = |bytes| String::from_utf8(bytes).expect("whole characters are blanked");
    (text(code), text(comments))
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
}

/// The end of the comment or literal that begins here, if one does.
fn blank_end(text: &str, at: usize) -> Option<usize> {
    let bytes = &text.as_bytes()[at..];
    let find = |from: usize, what: &str| {
        let rest = bytes.get(from..).unwrap_or_default();
        let place = rest.windows(what.len()).position(|w| w == what.as_bytes());
        place.map_or(text.len(), |place| at + from + place + what.len())
    };
    match bytes {
        [b'/', b'/', ..] => Some(text[at..].find('\n').map_or(text.len(), |length| at + length)),
        [b'/', b'*', ..] => Some(comment_end(text, at)),
        [b'r', b'"' | b'#', ..] if at == 0 || raw_prefix(&text.as_bytes()[..at]) => {
            let hashes = bytes[1..].iter().take_while(|&&b| b == b'#').count();
            let close = format!("\"{}", "#".repeat(hashes));
            (bytes.get(1 + hashes) == Some(&b'"')).then(|| find(2 + hashes, &close))
        }
        [b'"', ..] => {
            let mut end = 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += 1 + usize::from(bytes[end] == b'\\');
            }
            Some(text.len().min(at + end + 1))
        }
        [b'\'', b'\\', ..] => Some(find(3, "'")),
        [b'\'', ..] => {
            let length = text[at + 1..].chars().next()?.len_utf8();
            (bytes.get(1 + length) == Some(&b'\'')).then_some(at + length + 2)
        }
        _ => None,
    }
}

/// Whether an `r` after this begins a raw string: it is no end of a name, but may follow b or c.
fn raw_prefix(before: &[u8]) -> bool {
    match before {
        [.., b, b'b' | b'c'] if !is_word(*b) => true,
        [.., b] => !is_word(*b),
        [] => true,
    }
}

/// The end of a block comment; they nest.
fn comment_end(text: &str, at: usize) -> usize {
    let (mut depth, mut end) = (0, at);
    while end < text.len() {
        match &text.as_bytes()[end..] {
            [b'/', b'*', ..] => (depth, end) = (depth + 1, end + 2),
            [b'*', b'/', ..] => (depth, end) = (depth - 1, end + 2),
            _ => end += 1,
        }
        if depth == 0 {
            return end;
        }
    }
    text.len()
}

/// Blanks each `#[cfg(test)]` item and counts its lines.
fn without_tests(code: &str) -> (String, usize) {
    let mark = "#[cfg(test)]";
    let (mut live, mut lines, mut done) = (code.as_bytes().to_vec(), 0, 0);
    for (at, _) in code.match_indices(mark) {
        if at >= done {
            done = item_end(code, at + mark.len());
            blank(&mut live[at..done]);
            lines += code[at..done].matches('\n').count() + 1;
        }
    }
    (String::from_utf8(live).expect("items are whole characters"), lines)
}

/// Where the item ends: after its block or its semicolon, or with the block around it.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return at;
        }
        if depth == 0 && matches!(byte, b'}' | b';') {
            return at + 1;
        }
    }
    code.len()
}

/// The repository's Rust files.
fn tree() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["src", "cmd", "tests", "benches"] {
        walk(folder, &mut files);
    }
    assert!(!files.is_empty(), "no sources: is this the root of the repository?");
    mark_tests(&mut files);
    files
}

fn mark_tests(files: &mut [Source]) {
    for i in 0..files.len() {
        let file = &files[i];
        files[i].test_only = !declares(files, file, |parent| &parent.live)
            && declares(files, file, |parent| &parent.code);
    }
}

fn walk(folder: &str, files: &mut Vec<Source>) {
    for name in names(folder) {
        let path = format!("{folder}/{name}");
        if root(&path).is_dir() {
            walk(&path, files);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(root(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            files.push(Source::new(&path, &text));
        }
    }
}

/// The names in a folder, sorted; none when it is not there.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root(folder)).into_iter().flatten();
    let name = |e: std::io::Result<fs::DirEntry>| e.expect("a readable folder").file_name();
    let mut all: Vec<_> = entries.map(|e| name(e).to_string_lossy().into_owned()).collect();
    all.sort();
    all
}

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
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
    pure_rooms_are_pure => pure_rooms_touch_no_world,
    yaml_is_in_config => only_config_names_the_yaml_crate,
    unsafe_is_in_lmdb => only_lmdb_is_unsafe,
    library_is_silent => the_library_never_prints,
    async_is_in_serve => only_serve_is_async,
    terminal_is_in_cmd => only_cmd_knows_the_terminal,
    environment_is_in_cmd => only_cmd_reads_the_environment,
    every_file_has_a_head => every_file_says_what_it_is,
    files_are_short => no_file_is_too_long,
    nothing_is_left_over => no_leftovers,
    tests_do_not_sleep => no_test_sleeps,
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

// ------------------------------------------------------------------------- the rules can fail

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
    assert!(!rooms("wire").contains(&"config") && !rooms("target").contains(&"serve"));
    assert!(rooms("node").contains(&"config") && rooms("repair").contains(&"key"));
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
        src/push.rs      | use crate::{config, error::Result, ring::Ring, target::Target};
        src/node/sync.rs | use crate::store::Store; use crate::wire::Message;
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
        src/wire.rs:1: `Instant`      | use std::time::{Duration, Instant};
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
