//! Reading sources as text: words, paths, blanked comments and literals, tests cut off.

use std::fs;
use std::path::Path;

use super::{Source, declares};

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where a pattern stands as whole words.
pub(crate) fn hits(text: &str, pattern: &str) -> Vec<usize> {
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

pub(crate) fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// All paths that begin with `root::`, braces spread out: `std::{fs, io::Read}` is two.
pub(crate) fn paths(code: &str, root: &str) -> Vec<(usize, String)> {
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
pub(crate) fn spread(
    code: &str,
    from: usize,
    prefix: &str,
    found: &mut Vec<(usize, String)>,
) -> usize {
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
pub(crate) fn split(text: &str) -> (String, String) {
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

pub(crate) fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
}

/// The end of the comment or literal that begins here, if one does.
pub(crate) fn blank_end(text: &str, at: usize) -> Option<usize> {
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
pub(crate) fn raw_prefix(before: &[u8]) -> bool {
    match before {
        [.., b, b'b' | b'c'] if !is_word(*b) => true,
        [.., b] => !is_word(*b),
        [] => true,
    }
}

/// The end of a block comment; they nest.
pub(crate) fn comment_end(text: &str, at: usize) -> usize {
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
pub(crate) fn without_tests(code: &str) -> (String, usize) {
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
pub(crate) fn item_end(code: &str, from: usize) -> usize {
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
pub(crate) fn tree() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["src", "cmd", "tests", "benches"] {
        walk(folder, &mut files);
    }
    assert!(!files.is_empty(), "no sources: is this the root of the repository?");
    mark_tests(&mut files);
    files
}

pub(crate) fn mark_tests(files: &mut [Source]) {
    for i in 0..files.len() {
        let file = &files[i];
        files[i].test_only = !declares(files, file, |parent| &parent.live)
            && declares(files, file, |parent| &parent.code);
    }
}

pub(crate) fn walk(folder: &str, files: &mut Vec<Source>) {
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
pub(crate) fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root(folder)).into_iter().flatten();
    let name = |e: std::io::Result<fs::DirEntry>| e.expect("a readable folder").file_name();
    let mut all: Vec<_> = entries.map(|e| name(e).to_string_lossy().into_owned()).collect();
    all.sort();
    all
}

pub(crate) fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
