//! Which signals ask this process to finish.
//!
//! It names them and catches none; the command that runs a loop does.

use std::fs;

/// The signals that ask a process to finish: INT, TERM and HUP, but for those that were ignored when
/// it began. To be asked before any is caught. Caveat: where there is no /proc none counts as ignored.
#[must_use]
pub fn stop_signals() -> Vec<i32> {
    const HUP: i32 = 1;
    const INT: i32 = 2;
    const TERM: i32 = 15;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    [INT, TERM, HUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
}
