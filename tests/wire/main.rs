//! What travels between builds and from strangers: bytes that stay, and bytes that are refused.
//!
//! Golden bytes in `testdata/wire` are the promise that a ring of two builds works; `UPDATE=1` makes
//! those that are missing and changes none. Fuzz targets run here by a seeded mutator, for a second
//! or two; `KVS_FUZZ_SECONDS=60` runs each for so long, with a seed that it prints.

#![expect(clippy::unwrap_used, reason = "in a test a failure to prepare is a failure")]
#![allow(unreachable_pub, reason = "modules of a test")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test waits in real time and may be asked for more"
)]
#![allow(clippy::print_stderr, reason = "a fuzz run says what it did")]

#[path = "../support/mod.rs"]
mod support;

mod files;
mod fuzz;
mod golden;
mod memory;
mod refused;
mod samples;
#[path = "../../fuzz/targets/mod.rs"]
mod targets;
