//! The shape of what `src/` offers: signatures that cannot be called wrongly, names with one meaning.
//!
//! ```text
//! fn commit(batch: u64, at: u64)    refused: who calls it can swap them      commit(batch: BatchSeq, at: Time)
//! fn open(path: &Path, shared: bool) refused: open(p, true) says nothing     open(path, Access::Shared)
//! struct Link in two files          refused: a reader has to ask which       PeerLink, SshLink
//! ```
//!
//! Caveats: closures and tuples are not read; a type inside a function or another module of the same
//! file is no definition here.

use std::collections::{BTreeMap, BTreeSet};

use super::inside::angles_end;
use super::known::{Debt, settle};
use super::text::*;
use super::{Source, shipped};

const INTEGERS: &[&str] =
    &["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize"];

/// A function: where it stands, its name, name and type of each parameter.
struct Signature<'a> {
    at: usize,
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

fn signatures(code: &str) -> Vec<Signature<'_>> {
    let mut found = Vec::new();
    for at in hits(code, "fn ") {
        let name = &code[at + 3..];
        let length = name.bytes().take_while(|&b| is_word(b)).count();
        let mut open = at + 3 + length;
        if code[open..].starts_with('<') {
            open = angles_end(code, open);
        }
        if length > 0 && code[open..].starts_with('(') {
            let (name, parameters) = (&name[..length], parameters(code, open));
            found.push(Signature { at, name, parameters });
        }
    }
    found
}

fn parameters(code: &str, open: usize) -> Vec<(&str, &str)> {
    let (mut depth, mut start, mut found) = (0, open + 1, Vec::new());
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b'>' if code.as_bytes()[at - 1] == b'-' => {}
            b')' | b']' | b'}' | b'>' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && byte == b',' {
            found.extend(code[start..at].split_once(": ").map(|(a, b)| (a.trim(), b.trim())));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

fn of_src(files: &[Source]) -> impl Iterator<Item = &Source> {
    shipped(files).filter(|f| f.is_in("src"))
}

fn bool_parameters(files: &[Source]) -> Vec<Debt> {
    let mut found = Vec::new();
    for file in of_src(files) {
        for Signature { at, name, parameters } in signatures(&file.live) {
            for (parameter, _) in parameters.iter().filter(|(_, of)| *of == "bool") {
                let entry = format!("{}: {name}({parameter})", file.path);
                let what =
                    format!("`{name}` takes bool `{parameter}`; make it an enum of two words");
                found.push(Debt { entry, finding: file.finding(at, &what) });
            }
        }
    }
    found
}

fn integers_side_by_side(files: &[Source]) -> Vec<Debt> {
    let mut found = Vec::new();
    for file in of_src(files) {
        for Signature { at, name, parameters } in signatures(&file.live) {
            for two in parameters.windows(2) {
                let (a, b) = (two[0].0, two[1].0);
                if two.iter().all(|(_, of)| INTEGERS.contains(of)) {
                    let entry = format!("{}: {name}({a}, {b})", file.path);
                    let what = format!("`{name}` takes integers `{a}`, `{b}`; give one a type");
                    found.push(Debt { entry, finding: file.finding(at, &what) });
                }
            }
        }
    }
    found
}

fn several_meanings(files: &[Source]) -> Vec<Debt> {
    let mut defined: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in of_src(files) {
        for line in file.live.lines().filter(|line| !line.starts_with(' ')) {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let is_kind = |word: &&str| ["struct", "enum", "trait", "type", "union"].contains(word);
            let is_item =
                words.by_ref().find(|word| is_kind(word) || *word == "fn" || *word == "use");
            if let (Some(kind), Some(name)) = (is_item, words.next())
                && is_kind(&kind)
            {
                defined.entry(name.to_owned()).or_default().insert(file.path.clone());
            }
        }
    }
    let mut found = Vec::new();
    for (name, places) in defined.iter().filter(|(_, places)| places.len() > 1) {
        let list = places.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        for place in places {
            let entry = format!("{name}: {place}");
            let finding = format!("{place}:1: `{name}` is a type in {list}; one name, one meaning");
            found.push(Debt { entry, finding });
        }
    }
    found
}

#[test]
fn no_bool_parameter() {
    settle!(BOOL_PARAMETERS, bool_parameters(&tree()));
}

#[test]
fn no_bare_integers_side_by_side() {
    settle!(INTEGERS_SIDE_BY_SIDE, integers_side_by_side(&tree()));
}

#[test]
fn one_meaning_per_type_name() {
    settle!(SEVERAL_MEANINGS, several_meanings(&tree()));
}

#[cfg(test)]
mod can_fail {
    use super::*;

    fn entries(rule: fn(&[Source]) -> Vec<Debt>, text: &str) -> Vec<String> {
        rule(&[Source::new("src/a.rs", text)]).into_iter().map(|debt| debt.entry).collect()
    }

    #[test]
    fn self_bool_parameters() {
        let bad = "fn f<T: Fn(u8) -> u8>(&self, a: &str, is_new: bool) -> bool { true }";
        assert_eq!(entries(bool_parameters, bad), ["src/a.rs: f(is_new)"]);
        for good in [
            "fn f(a: &dyn Fn(bool) -> bool, b: Option<bool>) -> bool { g(true) }",
            "struct A { a: bool, b: bool }",
            "#[cfg(test)] mod tests { fn f(a: bool) {} }",
            "// fn f(a: bool)",
        ] {
            assert!(entries(bool_parameters, good).is_empty(), "{good}");
        }
    }

    #[test]
    fn self_integers_side_by_side() {
        for bad in
            ["fn f(\n    a: u64,\n    b: usize,\n) {}", "trait T { fn f(&self, a: u8, b: u8); }"]
        {
            assert_eq!(entries(integers_side_by_side, bad), ["src/a.rs: f(a, b)"], "{bad}");
        }
        for good in
            ["fn f(a: u64, b: &str, c: u64) {}", "fn f(a: Seq, b: u64) {}", "fn f(a: [u8; 2]) {}"]
        {
            assert!(entries(integers_side_by_side, good).is_empty(), "{good}");
        }
    }

    #[test]
    fn self_several_meanings() {
        let files = |a: &str, b: &str| [Source::new("src/a.rs", a), Source::new("src/b.rs", b)];
        let bad = several_meanings(&files("pub(crate) struct Link {\n}", "enum Link<T> {}"));
        let entries: Vec<_> = bad.iter().map(|debt| debt.entry.as_str()).collect();
        assert_eq!(entries, ["Link: src/a.rs", "Link: src/b.rs"]);
        for (a, b) in [
            ("struct Link;", "use crate::a::Link;\npub use crate::a::{\n    Link,\n};"),
            (
                "struct Link;",
                "impl T for Link {\n    type Item = u8;\n}\nfn type_of(type_: Link) {}",
            ),
            ("struct Link;", "#[cfg(test)]\nstruct Link;"),
        ] {
            assert!(several_meanings(&files(a, b)).is_empty(), "{b}");
        }
    }
}
