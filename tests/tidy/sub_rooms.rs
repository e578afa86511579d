//! Rooms inside a room: the same rule as for the rooms of `src/`, one storey down.
//!
//! ```text
//! src/push/plan/step.rs   may use   push::remote, push::inventory      below it in the table
//!                         not       push::rollout                      above it
//!                         not       push::Facts                        a re-export: it hides the arrow
//! ```
//!
//! The parent's own file (`src/push.rs`) is its table of contents and may name all of them.

use super::Source;
use super::text::{is_under, paths};

/// Parent, room, and which of its neighbours it may use; neighbours only from above in this table.
const SUB_ROOMS: &[(&str, &str, &[&str])] = &[
    ("push", "watch", &[]),
    ("push", "inventory", &[]),
    ("push", "audit", &["watch", "inventory"]),
    ("push", "shell", &["watch"]),
    ("push", "ssh", &["watch", "shell", "inventory"]),
    ("push", "remote", &["watch", "shell", "inventory"]),
    ("push", "plan", &["watch", "inventory", "remote"]),
    ("push", "rollout", &["watch", "inventory", "remote", "plan"]),
    ("push", "scale", &["inventory", "rollout"]),
];

/// The parent and the room inside it that a file belongs to.
fn place(file: &Source) -> Option<(&str, &str)> {
    let (parent, rest) = file.path.strip_prefix("src/")?.split_once('/')?;
    let is_parent = SUB_ROOMS.iter().any(|(name, ..)| *name == parent);
    is_parent.then(|| (parent, rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs")))
}

/// Paths that name something of the parent: `crate::parent::…`, and as many `super::` as lead there.
fn paths_in(file: &Source, parent: &str) -> Vec<(usize, String)> {
    let root = format!("crate::{parent}");
    let mut all = paths(&file.live, "crate");
    all.retain(|(_, path)| path.len() > root.len() && is_under(path, &root));
    let chain = vec!["super"; file.path.matches('/').count() - 1].join("::");
    let up = paths(&file.live, &chain).into_iter();
    let up = up.map(|(at, path)| (at, path.replacen(&chain, &root, 1)));
    all.extend(up.filter(|(_, path)| path.split("::").nth(2) != Some("super")));
    all
}

/// Uses of a neighbour that is not below, or of something that is no neighbour.
pub(crate) fn sub_arrows_point_down(files: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for file in super::shipped(files) {
        let Some((parent, room)) = place(file) else { continue };
        let row = SUB_ROOMS.iter().find(|(of, name, _)| (*of, *name) == (parent, room));
        let Some((.., allowed)) = row else {
            let what = format!("no room `{room}` in `{parent}`; add it to SUB_ROOMS");
            found.push(file.finding(0, &what));
            continue;
        };
        for (at, path) in paths_in(file, parent) {
            let used = path.split("::").nth(2).unwrap_or_default();
            if used == room || allowed.contains(&used) {
                continue;
            }
            let what = if SUB_ROOMS.iter().any(|(of, name, _)| (*of, *name) == (parent, used)) {
                format!("`{room}` must not use `{used}`; move the code up, or pass the value in")
            } else {
                format!("`{path}` names no room of `{parent}`; write the path through its room")
            };
            found.push(file.finding(at, &what));
        }
    }
    found
}

#[test]
fn self_the_table_of_sub_rooms_points_down() {
    for (at, (parent, room, allowed)) in SUB_ROOMS.iter().enumerate() {
        for used in *allowed {
            let is_above = |(of, name, _): &(&str, &str, &[&str])| of == parent && name == used;
            let above = SUB_ROOMS[..at].iter().any(is_above);
            assert!(above, "`{room}` may use `{used}`, which is not above it");
        }
    }
}

#[test]
fn self_sub_rooms() {
    let finds = |path: &str, text: &str| sub_arrows_point_down(&[Source::new(path, text)]);
    for (path, text, words) in [
        ("src/push/plan/step.rs", "use crate::push::rollout::Session;", "must not use `rollout`"),
        ("src/push/plan.rs", "use super::scale;", "must not use `scale`"),
        ("src/push/plan/tests/a.rs", "use super::super::super::audit::Audit;", "`audit`"),
        ("src/push/remote.rs", "use crate::push::Host;", "names no room of `push`"),
        ("src/push/remote.rs", "fn f(a: &super::Host) {}", "names no room of `push`"),
        ("src/push/new.rs", "fn f() {}", "no room `new` in `push`"),
    ] {
        let found = finds(path, text);
        assert!(found.len() == 1 && found[0].contains(words), "{path}: {text}: {found:?}");
    }
    for (path, text) in [
        ("src/push.rs", "pub use self::rollout::apply; use crate::push::rollout;"),
        ("src/push/plan/step.rs", "use crate::push::remote::Facts; use super::judge::wanted;"),
        ("src/push/plan/step.rs", "use crate::error::Error; pub(in crate::push) fn f() {}"),
        ("src/push/rollout.rs", "use super::plan; use self::apply::apply;"),
        ("src/ring/plan.rs", "use crate::push::rollout;"),
    ] {
        assert_eq!(finds(path, text), [""; 0], "{path}: {text}");
    }
}
