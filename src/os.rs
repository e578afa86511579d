//! What the system gives a process: files, clocks, random bits, signals.
//!
//! ```text
//! files     a file is replaced whole, under its own name only when it is on the disk
//! small     a small regular file is read; a FIFO, a directory, a device is refused
//! output    where a command writes: a file that appears whole, or a device
//! clock     the two clocks                     random    random bytes
//! signals   which signals ask to finish
//! ```
//!
//! Everything that replaces or moves a file comes through here: `tests/tidy` finds a rename
//! elsewhere, and a small file that is read elsewhere. So do both clocks and all random bits. It knows
//! nothing of what is in a file.

mod clock;
mod files;
mod output;
mod random;
mod signals;
mod small;

pub use self::clock::{WallTime, now, wall_ms};
pub use self::files::{EntryKind, NewFile, give_tree, parent, rename, replace_file, sync_dir};
pub use self::output::OutputFile;
pub use self::random::{random, random_bytes};
pub use self::signals::stop_signals;
pub use self::small::{irregular, open_small, read_small};

#[cfg(test)]
mod tests;
