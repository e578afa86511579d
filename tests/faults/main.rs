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

#[path = "../support/mod.rs"]
mod support;

mod codes;
mod crowd;
mod disk;
mod files;
mod fit;
mod hints;
mod input;
mod names;
mod paths;
mod running;
mod signals;
