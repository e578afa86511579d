//! Named regressions: event sequences that lose data in naive designs, one test per case.
//!
//! Each is a script on the virtual cluster (`support/world.rs`) with fixed delays and no random
//! faults; it asserts what the design demands of the disks of all replicas and of the replies. Where
//! the naive design is one of `kvs::planted`, the same script must fail with it planted (feature
//! `planted`). Numbers are those of the case list: `c02_…` is its second case.
//!
//! Not here: what needs sockets, directories or a command line, and purge rounds (C16) and zone
//! levels (C18), which are not built.
#![allow(clippy::unwrap_used, reason = "a script that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod dots;
mod drivers;
mod edits;
mod ends;
mod exact;
mod files;
mod fills;
mod futures;
mod help;
mod links;
mod narrow;
#[cfg(feature = "planted")]
mod planted;
mod proposals;
mod quorums;
mod reads;
mod rings;
mod rot;
mod small;
mod witness;
