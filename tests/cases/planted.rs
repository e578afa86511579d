//! Deliberate bugs that scripts find, where the simulator seldom or never does.
//!
//! Each script runs once more in a process of its own, with the bug planted in all it does, and must
//! fail there. By hand: `KVS_PLANT=SpreadFrees cargo test --all-features --test cases` shows which do.

use std::process::{Command, Stdio};

use crate::support::found_by::FOUND_BY;

#[test]
fn scripts_find_what_is_planted() {
    let this = std::env::current_exe().unwrap();
    for (bug, script) in FOUND_BY {
        let name = format!("{bug:?}");
        let mut command = Command::new(&this);
        command.args(["--exact", script]).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{script} is red by itself, or is no test");
        let status = command.env("KVS_PLANT", &name).status().unwrap();
        assert!(!status.success(), "{script} does not find {name}");
    }
}
