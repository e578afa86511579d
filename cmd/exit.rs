//! How a command ended, as an exit code: the one table of the numbers.
//!
//! They are a contract with scripts and never change. The last lines of `--help` and EXIT STATUS of
//! `kvs(1)` are made from [`Code`]; README, the systemd units and the handler of memory faults are
//! tested against it, and `tests/faults/codes.rs` walks every code with its causes.
//!
//! ```text
//! an error of the library   by what its caller can do: Usage 2 … Denied 10
//! an error of the system    by its cause: no such file 2, no space 4, in use 9, a limit 10;
//!                           8 only where the medium itself gave wrong bytes or none
//! output that was lost      after a write that took effect 7, for the write stands; else as its
//!                           cause; a reader that closed the pipe is success
//! ```

use std::any::Any;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use kvs::error::Error;

use crate::ui::Ui;

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Done = 0,
    No = 1,
    Usage = 2,
    Conflict = 3,
    Refused = 4,
    Unknown = 5,
    Unreachable = 6,
    Partly = 7,
    Corrupt = 8,
    Busy = 9,
    Denied = 10,
    Defect = 70,
}

impl Code {
    /// Every code, in order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Done,
        Self::No,
        Self::Usage,
        Self::Conflict,
        Self::Refused,
        Self::Unknown,
        Self::Unreachable,
        Self::Partly,
        Self::Corrupt,
        Self::Busy,
        Self::Denied,
        Self::Defect,
    ];

    /// The number a script sees.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// The few words of `--help`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Done => "done, found, equal",
            Self::No => "a valid no",
            Self::Usage => "usage",
            Self::Conflict => "conflict",
            Self::Refused => "refused, nothing applied",
            Self::Unknown => "unknown, repeat",
            Self::Unreachable => "no node reachable",
            Self::Partly => "partly done",
            Self::Corrupt => "corrupt",
            Self::Busy => "busy",
            Self::Denied => "denied",
            Self::Defect => "a bug in kvs",
        }
    }

    /// The sentence of `kvs(1)` and README.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "Done, found, equal; also a scan or dump that finds nothing.",
            Self::No => {
                "A valid no: not found, differs, a plan or --dry-run has changes, --check unhealthy, \
                 a wait that timed out."
            }
            Self::Usage => {
                "Wrong usage, an invalid configuration, a value over the limit, a newer format."
            }
            Self::Conflict => {
                "Conflict: siblings where one value was asked for, or a condition that does not \
                 hold."
            }
            Self::Refused => "No quorum, or no space; nothing was applied.",
            Self::Unknown => {
                "A write may or may not have taken effect: repeat it while it ends with 5."
            }
            Self::Unreachable => "No node could be reached.",
            Self::Partly => {
                "Partly done: what is done stays done, and the message says how to continue. Also \
                 a \
                 write that was applied but whose output was lost."
            }
            Self::Corrupt => "Damaged bytes or lost records were found.",
            Self::Busy => {
                "Busy: a lock or port is in use, a ring change or a push is under way, or a \
                 running \
                 node does not answer or stop in time."
            }
            Self::Denied => {
                "Denied, or refused as unsafe: a wrong key, a missing permission, a limit, nodes \
                 of \
                 different rings."
            }
            Self::Defect => "A bug in kvs.",
        }
    }

    /// Whether a node that ended with it will end so again: a supervisor need not start it anew.
    #[cfg(test)]
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Usage | Self::Corrupt | Self::Denied)
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

/// The last lines of `--help`.
pub(crate) fn summary() -> String {
    let codes = Code::ALL.map(|code| format!("{} {}", code.number(), code.name()));
    format!("Exit codes: {}. See kvs(1) and kvs-concepts(7).", codes.join("; "))
}

/// A valid end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Done, found, equal: 0.
    Yes,
    /// A valid no: not found, differs, the plan has changes: 1.
    No,
    /// Siblings where one value was asked for, or a refused condition: 3.
    Conflict,
    /// Part of the work is left: 7.
    Partly,
    /// Damage was found: 8.
    Corrupt,
    /// The question makes no sense for these arguments: 2.
    Usage,
}

impl From<Done> for Code {
    fn from(done: Done) -> Self {
        match done {
            Done::Yes => Self::Done,
            Done::No => Self::No,
            Done::Usage => Self::Usage,
            Done::Conflict => Self::Conflict,
            Done::Partly => Self::Partly,
            Done::Corrupt => Self::Corrupt,
        }
    }
}

/// Why a command could not end.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The library says why.
    Kvs(Error),
    /// Output could not be written; a closed pipe is success.
    Output(io::Error),
}

/// What a command's `run` returns.
pub(crate) type Outcome = Result<Done, Fail>;

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Kvs(error)
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Prints what is left to say and gives the code.
pub(crate) fn code(ui: &mut Ui, ran: Result<Outcome, Box<dyn Any + Send>>) -> Code {
    let flushed = ui.flush();
    match (ran, flushed) {
        (Err(_), _) => Code::Defect,
        (Ok(Err(Fail::Kvs(error))), _) => {
            ui.error(&error);
            of(&error)
        }
        (Ok(Err(Fail::Output(error))), _) | (Ok(Ok(_)), Err(error)) => lost_output(ui, &error),
        (Ok(Ok(done)), Ok(())) => done.into(),
    }
}

/// The code of an error.
pub(crate) fn of(error: &Error) -> Code {
    match error.root() {
        Error::Usage(_) => Code::Usage,
        Error::Conflict(_) => Code::Conflict,
        Error::Refused(_) => Code::Refused,
        Error::Unknown(_) => Code::Unknown,
        Error::Unreachable(_) => Code::Unreachable,
        Error::Partial(_) => Code::Partly,
        Error::Corrupt(_) => Code::Corrupt,
        Error::Busy(_) => Code::Busy,
        Error::Denied(_) => Code::Denied,
        Error::Io { source, .. } => of_io(source),
        Error::Hinted { .. } => Code::Defect,
    }
}

/// Causes without a kind of their own in the standard library, by their numbers, which all Unix
/// systems share: ENXIO and ENODEV (a FIFO, socket or device with nobody behind it), EBADF (closed).
const NOTHING_THERE: [i32; 3] = [6, 19, 9];
/// EIO: the medium gave no bytes, or wrong ones.
const BAD_MEDIUM: i32 = 5;
/// ELOOP, on Linux and elsewhere.
const LOOPS: [i32; 2] = [40, 62];

/// The code of an error of the system, by its cause.
fn of_io(error: &io::Error) -> Code {
    let number = error.raw_os_error().unwrap_or(0);
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput
        | ErrorKind::NotSeekable
        | ErrorKind::Unsupported => Code::Usage,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::Refused,
        ErrorKind::ResourceBusy
        | ErrorKind::ExecutableFileBusy
        | ErrorKind::AddrInUse
        | ErrorKind::Deadlock
        | ErrorKind::Interrupted
        | ErrorKind::TimedOut
        | ErrorKind::WouldBlock => Code::Busy,
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => Code::Unreachable,
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => Code::Corrupt,
        _ if number == BAD_MEDIUM => Code::Corrupt,
        _ if NOTHING_THERE.contains(&number) || LOOPS.contains(&number) => Code::Usage,
        // A limit or a permission of the caller (EMFILE, EFBIG, EPERM …) is not damage.
        _ => Code::Denied,
    }
}

/// Output that could not be written, unless nobody wanted it.
pub(crate) fn lost_output(ui: &mut Ui, error: &io::Error) -> Code {
    if error.kind() == ErrorKind::BrokenPipe {
        return Code::Done;
    }
    let Some(applied) = ui.applied() else {
        ui.say(&format!("kvs: cannot write the output: {error}"));
        return match of_io(error) {
            Code::Corrupt => Code::Denied,
            code => code,
        };
    };
    ui.say(&format!("kvs: cannot write the output: {error}. {applied}"));
    Code::Partly
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(number: i32) -> Code {
        of_io(&io::Error::from_raw_os_error(number))
    }

    #[test]
    fn every_cause_of_the_system_has_the_code_of_what_can_be_done() {
        let usage = [2, 20, 21, 36, 22, 29, 40, 6, 19, 9, 95];
        let busy = [16, 26, 11, 4, 98, 110];
        let denied = [1, 13, 17, 12, 23, 24, 27, 30, 7, 31, 18, 39];
        assert!(usage.iter().all(|n| io(*n) == Code::Usage));
        assert!(busy.iter().all(|n| io(*n) == Code::Busy));
        assert!(denied.iter().all(|n| io(*n) == Code::Denied));
        assert_eq!([io(28), io(122)], [Code::Refused; 2]);
        assert_eq!([io(111), io(104), io(113)], [Code::Unreachable; 3]);
        // Of all numbers only one is damage.
        assert_eq!((1..200).filter(|n| io(*n) == Code::Corrupt).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn readme_has_the_table() {
        let table =
            Code::ALL.map(|code| format!("| {} | {} |\n", code.number(), code.meaning())).concat();
        let readme = include_str!("../README.md");
        assert!(readme.contains(&format!("| code | meaning |\n|---|---|\n{table}\n")), "{table}");
    }

    #[test]
    fn the_manual_has_the_table() {
        let row = |code: Code| {
            let meaning = code.meaning().replace('-', "\\-");
            format!(".TP\n\\fB{}\\fR\n{meaning}\n", code.number())
        };
        let table = format!(".SH \"EXIT STATUS\"\n{}", Code::ALL.map(row).concat());
        let page = include_str!("../man/kvs.1").replace("\\&.", ".");
        assert!(page.contains(&table), "{table}");
    }

    #[test]
    fn the_units_start_no_node_again_that_will_end_so_again() {
        let last = Code::ALL.iter().filter(|code| code.is_final()).map(|code| code.number());
        let last: Vec<u8> = last.collect();
        assert_eq!(last, kvs::push::FINAL_CODES);
        let words = last.iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
        let page = include_str!("../man/kvs-concepts.7");
        assert!(page.contains(&format!("\nRestartPreventExitStatus={words}\n")), "{words}");
    }

    #[test]
    fn the_handler_of_memory_faults_ends_with_codes_of_the_table() {
        assert_eq!(kvs::store::lmdb::FAULT_CODE, i32::from(Code::Corrupt.number()));
        assert_eq!(kvs::store::lmdb::UNKNOWN_CODE, i32::from(Code::Unknown.number()));
    }

    #[test]
    fn help_names_every_code_once() {
        let summary = summary();
        for code in Code::ALL {
            let words = format!("{} {}", code.number(), code.name());
            assert_eq!(summary.matches(&words).count(), 1, "{words}: {summary}");
        }
    }
}
