//! Files that are run, made by a test.
//!
//! A process that writes a program and then runs it may find it busy: between `fork` and `exec` each child
//! that another of its threads starts holds the file open for writing. So a process of its own writes it,
//! and is gone before the program is run.
#![allow(dead_code, reason = "shared: each uses a part of it")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes a file of these bytes that can be run at once, in place of what is there of that name.
pub(crate) fn executable(file: &Path, bytes: impl AsRef<[u8]>) {
    let dir = tempfile::tempdir().expect("a directory");
    let text = dir.path().join("text");
    fs::write(&text, bytes).expect("a text");
    assert!(install(&text, file, "755"), "{} is not made", file.display());
}

/// Copies a file under an octal mode, in place of what is there of that name; whether that was done.
pub(crate) fn install(file: &Path, to: &Path, mode: &str) -> bool {
    let mut install = Command::new("install");
    install.args(["-m", mode, "--"]).arg(file).arg(to).status().expect("install").success()
}
