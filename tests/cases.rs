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

#[path = "support/world.rs"]
mod world;
#[path = "cases/help.rs"]
mod help;
#[path = "cases/dots.rs"]
mod dots;
#[path = "cases/links.rs"]
mod links;
#[cfg(feature = "planted")]
#[path = "support/found_by.rs"]
mod found_by;
#[cfg(feature = "planted")]
#[path = "cases/planted.rs"]
mod planted;
#[path = "cases/quorums.rs"]
mod quorums;
#[path = "cases/files.rs"]
mod files;
#[path = "cases/rings.rs"]
mod rings;
#[path = "cases/small.rs"]
mod small;
#[path = "cases/rot.rs"]
mod rot;
#[path = "cases/reads.rs"]
mod reads;
#[path = "cases/drivers.rs"]
mod drivers;
#[path = "cases/witness.rs"]
mod witness;
#[path = "cases/ends.rs"]
mod ends;
#[path = "cases/exact.rs"]
mod exact;
#[path = "cases/narrow.rs"]
mod narrow;
#[path = "cases/edits.rs"]
mod edits;
#[path = "cases/fills.rs"]
mod fills;
