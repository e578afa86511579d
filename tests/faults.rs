//! Faults from outside: bad input, full and read-only disks, damaged files, signals, crowds.
//!
//! Each story drives the binary on real directories and holds three things: the exit code of the
//! contract with a sentence beside it, no hang and no panic, and nothing acknowledged that is lost.
//!
//! ```text
//! input     arguments, lines, bytes and pipes
//! codes     every exit code with its causes
//! paths     files that are named or replaced: devices, links, modes, names that last, pasted hints
//! names     names and weights that a new member cannot have
//! running   the same of running nodes: keys, signals, changes that go on, addresses
//! disk      full, limited, read-only, failing underneath (needs root and tools: else skipped aloud)
//! files     every file of a node directory gone, emptied, overwritten
//! fit       members with good data that cannot run, or that this user may not use
//! hints     hints that rot while nodes run
//! signals   SIGKILL at any moment, SIGINT between two commits
//! crowd     many commands at once, and a lock that somebody holds
//! ```
//!
//! Caveat: moments of SIGKILL are seeded, but what the machine has done by then is not.

#[path = "faults/codes.rs"]
mod codes;
#[path = "faults/crowd.rs"]
mod crowd;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/files.rs"]
mod files;
#[path = "faults/fit.rs"]
mod fit;
#[path = "faults/hints.rs"]
mod hints;
#[path = "faults/input.rs"]
mod input;
#[path = "faults/names.rs"]
mod names;
#[path = "faults/paths.rs"]
mod paths;
#[path = "faults/running.rs"]
mod running;
#[allow(dead_code, reason = "the tests of running nodes use more of it")]
#[path = "live/served.rs"]
mod served;
#[path = "faults/shell.rs"]
mod shell;
#[path = "faults/signals.rs"]
mod signals;
