//! Words that this project does not use, with what to write instead.
//!
//! Read are the texts that a user or a newcomer meets: help, messages (literals of `src/` and
//! `cmd/`), heads, man pages, README and CHANGELOG. A phrase is found over line breaks and in any
//! case; a list entry is a file, a phrase, and how often it stands there.
//!
//! Caveat: words are compared, not sentences; a banned word that is a name of somebody else's (of a
//! protocol, of a tool) has to be written another way or quoted in code.

use std::fs;

use super::known::{Debt, settle};
use super::text::*;
use super::{Source, shipped};

/// What is not written, and what is.
const BANNED: &[(&str, &str)] = &[
    // Names that only this project had.
    ("be born", "be created, `provision`"),
    ("birth", "`provision`, creation"),
    ("chores", "maintenance"),
    ("crew", "host pool"),
    ("desk", "request table"),
    ("fate", "effect"),
    ("guest", "client"),
    ("guests", "clients, limits"),
    ("hearsay", "gossip"),
    ("lobby", "admission"),
    ("mood", "health"),
    ("muster", "connect to all hosts"),
    ("muted", "abstaining"),
    ("newcomers", "new members, bootstrap"),
    ("parcel", "frame"),
    ("shepherd", "ring change driver"),
    ("twin", "reader handle; duplicate process"),
    ("unborn", "never started"),
    ("wish", "options, request"),
    ("yard", "fleet fixture"),
    // English that a reader at three in the morning has to read twice.
    (". of a", "begin with the subject"),
    (". of an", "begin with the subject"),
    (". of the", "begin with the subject"),
    ("and else", "if it is missing, …"),
    ("as it should be", "healthy; say what failed"),
    ("cannot be meant", "is inconsistent"),
    ("is no node", "is not a node"),
    ("nobody", "no process, no node, no client: name the subject"),
    ("shall", "will, must; `Proceed?`"),
    ("so long", "until, while"),
    ("so many", "a number"),
    ("so often", "a number of times"),
    ("so-manieth", "the number of consecutive …"),
    ("somebody", "a process, a node, a client: name the subject"),
    ("tells", "reports, shows"),
    ("told", "reported, given, set"),
    ("whoever", "the process, the node, the client that …"),
];

/// Words, each break between them one space, and the line each byte stands on.
struct Prose {
    path: String,
    text: String,
    lines: Vec<usize>,
}

impl Prose {
    fn new(path: &str, raw: &str) -> Self {
        let raw = raw.replace("\\\n", " \n").replace("\\n", "  ").replace("\\-", "-");
        let raw =
            ["\\fB", "\\fI", "\\fR", "\\&"].iter().fold(raw, |raw, mark| raw.replace(mark, ""));
        let (mut text, mut lines, mut line) = (String::new(), Vec::new(), 1);
        for c in raw.to_lowercase().chars() {
            line += usize::from(c == '\n');
            let c = if c.is_whitespace() { ' ' } else { c };
            if c != ' ' || !text.ends_with(' ') {
                text.push(c);
                lines.resize(text.len(), line);
            }
        }
        Self { path: path.to_owned(), text, lines }
    }

    /// Heads, literals, and in `cmd/` documentation, for it is the help.
    fn of_source(file: &Source) -> Self {
        let (raw, code) = (file.raw.as_bytes(), file.code.as_bytes());
        let comments = file.comments.as_bytes();
        let literal = |at: usize| code[at] == b' ' && comments[at] == b' ';
        let mut kept: Vec<u8> = (0..raw.len())
            .map(|at| if raw[at] == b'\n' || literal(at) { raw[at] } else { b' ' })
            .collect();
        let mut at = 0;
        for line in file.raw.split_inclusive('\n') {
            let text = line.trim_start();
            let begin = at + line.len() - text.len() + 3;
            let help = file.is_in("cmd") && text.starts_with("///");
            at += line.len();
            if (text.starts_with("//!") || help) && comments[begin - 1] != b' ' {
                kept[begin..at].copy_from_slice(&raw[begin..at]);
            }
        }
        let mut done = 0;
        for (mark, word) in file.code.match_indices("#[cfg(test)]") {
            if mark >= done {
                done = item_end(&file.code, mark + word.len());
                blank(&mut kept[mark..done]);
            }
        }
        Self::new(&file.path, &String::from_utf8_lossy(&kept))
    }
}

fn banned_words(texts: &[Prose]) -> Vec<Debt> {
    let mut found = Vec::new();
    for prose in texts {
        for (phrase, instead) in BANNED {
            let places = hits(&prose.text, phrase);
            let Some(first) = places.first() else { continue };
            let (path, count) = (&prose.path, places.len());
            let others: Vec<_> = places.iter().map(|at| prose.lines[*at].to_string()).collect();
            let finding = format!(
                "{path}:{}: `{phrase}`, lines {}; write: {instead}",
                prose.lines[*first],
                others.join(", ")
            );
            found.push(Debt { entry: format!("{path}: {phrase}: {count}"), finding });
        }
    }
    found
}

#[test]
fn no_banned_words() {
    let files = tree();
    let mut texts: Vec<_> = shipped(&files).map(Prose::of_source).collect();
    let pages = names("man").into_iter().map(|name| format!("man/{name}"));
    for path in pages.chain(["README.md".to_owned(), "CHANGELOG.md".to_owned()]) {
        let text = fs::read_to_string(root(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        texts.push(Prose::new(&path, &text));
    }
    settle!(BANNED_WORDS, banned_words(&texts));
}

#[cfg(test)]
mod can_fail {
    use super::*;

    #[test]
    fn self_the_table_is_read_in_lower_case() {
        for (phrase, instead) in BANNED {
            assert!(*phrase == phrase.to_lowercase() && !instead.is_empty(), "{phrase}");
        }
    }

    #[test]
    fn self_words_of_sources() {
        for (path, text, entry) in [
            ("src/a.rs", "//! What it is\n//! Told.", "src/a.rs: told: 1"),
            (
                "src/a.rs",
                "fn f() { g(\"so \\\n      many\", \"so\\nmany\") }",
                "src/a.rs: so many: 2",
            ),
            ("cmd/a.rs", "/// Whoever asks.\nstruct A;", "cmd/a.rs: whoever: 1"),
        ] {
            let found = banned_words(&[Prose::of_source(&Source::new(path, text))]);
            assert!(found.len() == 1 && found[0].entry == entry, "{text}: {:?}", found.len());
        }
        for (path, text) in [
            ("src/a.rs", "//! What it is.\nfn told(nobody: u8) {} // told"),
            ("src/a.rs", "/// Whoever asks.\nstruct A;"),
            ("src/a.rs", "#[cfg(test)]\nmod tests { const A: &str = \"told\"; }"),
            ("cmd/a.rs", "const A: &str = \"retold, told_by\";"),
        ] {
            let found = banned_words(&[Prose::of_source(&Source::new(path, text))]);
            assert!(found.is_empty(), "{text}: {}", found[0].finding);
        }
    }

    #[test]
    fn self_words_of_pages() {
        let found = banned_words(&[Prose::new("man/a.1", "One.\nOf\na \\fBso\\-manieth\\fR time")]);
        let entries: Vec<_> = found.iter().map(|debt| debt.entry.as_str()).collect();
        assert_eq!(entries, ["man/a.1: . of a: 1", "man/a.1: so-manieth: 1"]);
        assert!(found[0].finding.starts_with("man/a.1:1: "), "{}", found[0].finding);
        assert!(banned_words(&[Prose::new("README.md", "One of a few was set.")]).is_empty());
    }
}
