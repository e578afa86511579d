//! Inside a room: which of its files needs which. No circle by imports, none by method calls.
//!
//! ```text
//! a.rs       use self::b::B;                       a.rs -> a/b.rs
//! a/b.rs     use super::A;                         a/b.rs -> a.rs         a circle
//! a/c.rs     use super::B;                         a/c.rs -> a/b.rs       (a.rs passes it on)
//!
//! a.rs       impl A { fn f(&self) { self.g() } }   a.rs -> a/b.rs
//! a/b.rs     impl A { fn g(&self) { self.f() } }   a/b.rs -> a.rs         a circle
//! ```
//!
//! A `mod` line is no import. A name that a file passes on (`use self::x::Y`) leads to the file that
//! defines it. A call counts when its receiver is `self` in an impl of the type, `Self`, the type's
//! name, or a name that this file declares with that type (`node: &mut Node`).
//!
//! Caveats: a renamed import ends at the file that renames it; a receiver whose type is inferred is
//! not followed; only inherent impls define methods here, for a trait is asked for by its own name.

use std::collections::{BTreeMap, BTreeSet};

use super::known::{Debt, settle};
use super::text::*;
use super::{Source, shipped};

/// From each file to the files it needs, each with one reason.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, String>>;

/// The impl of a type: where its block lies in the text.
struct Impl {
    of: String,
    is_inherent: bool,
    block: std::ops::Range<usize>,
}

/// The code without who may see what: `pub(in crate::a)` is no import.
fn without_visibility(code: &str) -> String {
    let mut parts = code.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |seen, part| seen + part.split_once(')').map_or("", |(_, rest)| rest))
}

/// The end of balanced angle brackets that begin here.
pub(crate) fn angles_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'<' => depth += 1,
            b'>' if code.as_bytes()[at - 1] != b'-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The last name of a type's path: `&'a mut a::B<C>` is `B`.
fn type_name(text: &str) -> &str {
    let path = text.split(['<', '{', '(']).next().unwrap_or_default().trim();
    let path = path.rsplit([' ', '&']).next().unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default()
}

fn impls(code: &str) -> Vec<Impl> {
    let mut found = Vec::new();
    for at in hits(code, "impl") {
        let before = code[..at].trim_end().trim_end_matches("unsafe").trim_end();
        if !(before.is_empty() || before.ends_with(['}', ';', '{', ']'])) {
            continue;
        }
        let mut head = at + "impl".len();
        if code[head..].starts_with('<') {
            head = angles_end(code, head);
        }
        let Some(open) = code[head..].find('{').map(|length| head + length) else { continue };
        let text = &code[head..open];
        let text = hits(text, "where").first().map_or(text, |place| &text[..*place]);
        let of_trait = hits(text, "for").into_iter().find(|p| !text[p + 3..].starts_with('<'));
        let of = type_name(&text[of_trait.map_or(0, |place| place + 3)..]).to_owned();
        found.push(Impl { of, is_inherent: of_trait.is_none(), block: open..item_end(code, open) });
    }
    found
}

/// The names of the functions right inside a block.
fn functions<'a>(code: &'a str, block: &std::ops::Range<usize>) -> Vec<&'a str> {
    let text = &code[block.clone()];
    let mut depth = 0;
    let mut last = 0;
    let mut found = Vec::new();
    for at in hits(text, "fn") {
        for byte in text[last..at].bytes() {
            depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        }
        last = at;
        let name = text[at + 2..].trim_start();
        let length = name.bytes().take_while(|&b| is_word(b)).count();
        if depth == 1 && length > 0 {
            found.push(&name[..length]);
        }
    }
    found
}

/// Every `receiver.name(`, `Type::name(`: where, receiver, name.
fn calls(code: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for (paren, _) in code.match_indices('(') {
        let word = |text: &'_ str| text.bytes().rev().take_while(|&b| is_word(b)).count();
        let head = &code[..paren];
        let name = &head[paren - word(head)..];
        let head = &head[..paren - name.len()];
        let Some(head) = head.strip_suffix('.').or_else(|| head.strip_suffix("::")) else {
            continue;
        };
        let head = head.trim_end();
        let receiver = &head[head.len() - word(head)..];
        if !name.is_empty() && !receiver.is_empty() {
            found.push((paren - name.len(), receiver, name));
        }
    }
    found
}

/// The names this file declares with each type: `node: &mut Node`.
fn declared(code: &str) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(": ") {
        let length = code[..at].bytes().rev().take_while(|&b| is_word(b)).count();
        let mut text = code[at + 2..].trim_start_matches('&').trim_start();
        if text.starts_with('\'') {
            text = text.split_once(' ').map_or("", |(_, rest)| rest);
        }
        let text = text.strip_prefix("mut ").unwrap_or(text);
        let path = text.bytes().take_while(|&b| is_word(b) || b == b':').count();
        found.insert((&code[at - length..at], type_name(&text[..path])));
    }
    found
}

/// Who calls methods of one type in which other file, for every type with methods in two files.
fn method_graphs<'a>(files: &[&'a Source]) -> BTreeMap<String, Graph<'a>> {
    let blocks: Vec<Vec<Impl>> = files.iter().map(|f| impls(&f.live)).collect();
    let mut defined: BTreeMap<&str, BTreeMap<&str, BTreeSet<&'a str>>> = BTreeMap::new();
    for (file, blocks) in files.iter().copied().zip(&blocks) {
        for block in blocks.iter().filter(|block| block.is_inherent) {
            for name in functions(&file.live, &block.block) {
                let methods = defined.entry(&block.of).or_default();
                methods.entry(name).or_default().insert(&file.path);
            }
        }
    }
    let mut graphs: BTreeMap<String, Graph<'a>> = BTreeMap::new();
    for (file, blocks) in files.iter().copied().zip(&blocks) {
        let names = declared(&file.live);
        for (at, receiver, name) in calls(&file.live) {
            let own = blocks.iter().find(|block| block.block.contains(&at)).map(|b| b.of.as_str());
            for (of, methods) in &defined {
                let is_of = match receiver {
                    "self" | "Self" => own == Some(*of) && is_bare(&file.live[..at]),
                    _ => receiver == *of || names.contains(&(receiver, *of)),
                };
                let places = methods.get(name).filter(|_| is_of);
                // Defined here too: one of two types of the same name, or of two cfgs.
                let Some(places) = places.filter(|p| !p.contains(file.path.as_str())) else {
                    continue;
                };
                for place in places {
                    let edges = graphs.entry((*of).to_owned()).or_default();
                    let reasons = edges.entry(&file.path).or_default();
                    reasons.entry(*place).or_insert_with(|| format!("{receiver}.{name}()"));
                }
            }
        }
    }
    graphs
}

/// Whether the `self` before a call is the value itself, and no field of another.
fn is_bare(before: &str) -> bool {
    let before = before.trim_end_matches(['.', ':']).trim_end();
    let before = before.strip_suffix("self").or_else(|| before.strip_suffix("Self"));
    before.is_some_and(|before| !before.ends_with(['.', ':']))
}

/// The path of a file's module: `src/node/op.rs` is `node`, `op`.
fn module(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').collect()
}

/// The modules of the rooms, and the names each passes on.
struct Modules<'a> {
    files: BTreeMap<Vec<&'a str>, &'a Source>,
    uses: BTreeMap<&'a str, Vec<Vec<String>>>,
}

impl<'a> Modules<'a> {
    fn new(files: &[&'a Source]) -> Self {
        let modules: BTreeMap<_, _> = files.iter().map(|f| (module(&f.path), *f)).collect();
        let uses = files.iter().map(|f| (f.path.as_str(), Self::paths(&modules, f))).collect();
        Self { files: modules, uses }
    }

    /// Every path of a file that may lead to another one of the crate.
    fn paths(modules: &BTreeMap<Vec<&'a str>, &Source>, file: &Source) -> Vec<Vec<String>> {
        let own = module(&file.path);
        let children = modules.keys().filter(|m| m.len() == own.len() + 1 && m.starts_with(&own));
        let roots = ["crate", "self", "super"].into_iter().chain(children.map(|m| m[own.len()]));
        let live = without_visibility(&file.live);
        let all = roots.flat_map(|root| paths(&live, root));
        all.map(|(_, path)| path.split("::").map(str::to_owned).collect()).collect()
    }

    /// The file that defines what a path of this file names.
    fn resolve(&self, from: &'a Source, path: &[String], depth: usize) -> Option<&'a Source> {
        let mut at = module(&from.path);
        for (place, name) in path.iter().enumerate() {
            match name.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                name => {
                    let inner = self.files.keys().find(|m| {
                        m.len() == at.len() + 1 && m.starts_with(&at) && m[at.len()] == name
                    });
                    match inner {
                        Some(inner) => at.clone_from(inner),
                        None => return self.pass_on(&at, &path[place..], depth),
                    }
                }
            }
        }
        self.files.get(&at).copied()
    }

    /// Follows a name that the module at this place only passes on.
    fn pass_on(&self, at: &[&'a str], rest: &[String], depth: usize) -> Option<&'a Source> {
        let here = *self.files.get(at)?;
        let passed = self.uses[here.path.as_str()].iter().find(|path| path.last() == rest.first());
        match passed.filter(|_| depth < 8) {
            Some(path) => self.resolve(here, path, depth + 1).or(Some(here)),
            None => Some(here),
        }
    }
}

/// Which file of a room imports from which other one of it.
fn import_graph<'a>(files: &[&'a Source]) -> Graph<'a> {
    let modules = Modules::new(files);
    let mut graph = Graph::new();
    for &file in files {
        for path in &modules.uses[file.path.as_str()] {
            let Some(to) = modules.resolve(file, path, 0) else { continue };
            if to.path != file.path && to.room() == file.room() {
                let edges = graph.entry(&file.path).or_default();
                edges.entry(&to.path).or_insert_with(|| path.join("::"));
            }
        }
    }
    graph
}

/// Whether a way leads from one file to the other.
fn leads(graph: &Graph, from: &str, to: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(at) = next.pop() {
        for way in graph.get(at).into_iter().flat_map(BTreeMap::keys) {
            if *way == to {
                return true;
            }
            if seen.insert(*way) {
                next.push(way);
            }
        }
    }
    false
}

/// Every file that lies on a circle, with its edges along circles.
fn circles(graph: &Graph, kind: &str) -> Vec<Debt> {
    let mut found = Vec::new();
    for (file, edges) in graph {
        let round = edges.iter().filter(|(to, _)| leads(graph, to, file));
        let ways: Vec<_> = round.map(|(to, why)| format!("{to} ({why})")).collect();
        if !ways.is_empty() {
            let entry = format!("{kind}{file}");
            let mend = "move what both need into a file below them";
            let finding =
                format!("{file}:1: {kind}on a circle through {}; {mend}", ways.join(", "));
            found.push(Debt { entry, finding });
        }
    }
    found
}

fn sources(files: &[Source]) -> Vec<&Source> {
    shipped(files).filter(|f| f.room().is_some()).collect()
}

/// Files of one room that need each other by their imports.
fn import_circles(files: &[Source]) -> Vec<Debt> {
    circles(&import_graph(&sources(files)), "")
}

/// Files that call each other's methods of one type.
fn method_circles(files: &[Source]) -> Vec<Debt> {
    let all = sources(files);
    let rooms: BTreeSet<_> = all.iter().filter_map(|f| f.room()).collect();
    let mut found = Vec::new();
    for room in rooms {
        let room: Vec<_> = all.iter().copied().filter(|f| f.room() == Some(room)).collect();
        for (of, graph) in method_graphs(&room) {
            found.extend(circles(&graph, &format!("{of}: ")));
        }
    }
    found
}

#[test]
fn no_circle_of_imports_inside_a_room() {
    settle!(IMPORT_CIRCLES, import_circles(&super::text::tree()));
}

#[test]
fn no_circle_of_method_calls_inside_a_room() {
    settle!(METHOD_CIRCLES, method_circles(&super::text::tree()));
}

#[cfg(test)]
mod can_fail {
    use super::*;

    fn entries(rule: fn(&[Source]) -> Vec<Debt>, texts: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = texts.iter().map(|(path, text)| Source::new(path, text)).collect();
        rule(&files).into_iter().map(|debt| debt.entry).collect()
    }

    #[test]
    fn self_import_circles() {
        let circle = ["src/a.rs", "src/a/b.rs"];
        for (root, child) in [
            ("mod b; use self::b::B; struct A;", "use super::A; struct B;"),
            ("mod b; use b::B; struct A;", "use crate::a::{A};"),
            ("mod b; fn f() { self::b::f() }", "fn f() { super::g() }"),
            ("mod b; pub use self::b::B;", "use super::*; struct B;"),
        ] {
            assert_eq!(
                entries(import_circles, &[("src/a.rs", root), ("src/a/b.rs", child)]),
                circle
            );
        }
        let three = [
            ("src/a/b.rs", "use super::c::C;"),
            ("src/a/c.rs", "use super::d::D;"),
            ("src/a/d.rs", "use crate::a::b::B;"),
            ("src/a.rs", "mod b; mod c; mod d;"),
        ];
        assert_eq!(entries(import_circles, &three), ["src/a/b.rs", "src/a/c.rs", "src/a/d.rs"]);
        let passed_on = [
            ("src/a.rs", "pub use self::b::B; mod b; mod c; use self::c::C;"),
            ("src/a/b.rs", "use super::C; struct B; // super::X"),
            ("src/a/c.rs", "#[cfg(test)] mod tests { use super::super::b::B; } struct C;"),
            ("src/e.rs", "use crate::a::B;"),
            ("src/f.rs", "mod g; use self::g::G;"),
            ("src/f/g.rs", "pub(in crate::f) struct G;"),
        ];
        assert!(entries(import_circles, &passed_on).is_empty(), "names lead to their files");
    }

    #[test]
    fn self_method_circles() {
        let circle = ["N: src/a.rs", "N: src/a/b.rs"];
        for (root, child) in [
            ("impl N { fn f(&self) { self.g() } }", "impl N { fn g(&self) { self.f() } }"),
            ("impl<T> N<T> { fn f() { Self::g() } }", "impl N { fn g() { N::f() } }"),
            (
                "impl N { fn f(&self) { self\n.g() } }",
                "fn x(n: &mut N) { n.f() } impl N { fn g() {} }",
            ),
        ] {
            let files = [("src/a.rs", root), ("src/a/b.rs", child)];
            assert_eq!(entries(method_circles, &files), circle, "{root} {child}");
        }
        for (root, child) in [
            ("impl N { fn f(&self) { self.g() } }", "impl N { fn g(&self) { self.h() } }"),
            ("impl N { fn f(&self) { self.g() } }", "impl N { fn g(&self) { self.m.f() } }"),
            ("impl N { fn f(&self) { self.g() } }", "impl M { fn g(&self) { self.f() } }"),
            ("impl N { fn f(&self) {} }", "impl N { fn g(&self) { self.f(); /* self.g() */ } }"),
        ] {
            let found = entries(method_circles, &[("src/a.rs", root), ("src/a/b.rs", child)]);
            assert!(found.is_empty(), "{root} {child}: {found:?}");
        }
    }
}
