//! The commands as a shell sees them, mostly as transcripts below `testdata`.
//!
//! ```text
//! cli       every command on files                                     (testdata/cli)
//! ops       what goes wrong with files, nodes and members, and the mend (testdata/ops)
//! stories   a ring that runs                                           (testdata/stories)
//! golden    that a transcript can fail
//! assets    man pages and completions are what the binary says of itself
//! real      the package database of a Debian machine, half of it lost and brought back
//! ```
#![allow(clippy::unwrap_used, reason = "in a test a failure to prepare is a failure")]

#[path = "../support/mod.rs"]
mod support;

mod assets;
mod cli;
mod golden;
mod ops;
mod real;
mod stories;
