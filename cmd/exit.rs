//! How a command ended, as an exit code: the one place that knows the numbers.
//!
//! They are a contract with scripts: documented in README and `kvs(1)`, tested, never changed.

use std::any::Any;
use std::io;
use std::process::ExitCode;

use kvs::error::Error;

use crate::ui::Ui;

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
pub(crate) fn code(ui: &mut Ui, ran: Result<Outcome, Box<dyn Any + Send>>) -> ExitCode {
    let flushed = ui.flush();
    let number = match ran {
        Err(_) => 70,
        Ok(Err(Fail::Output(error))) => output(ui, &error),
        Ok(Err(Fail::Kvs(error))) => {
            ui.error(&error);
            number(&error)
        }
        Ok(Ok(done)) => match flushed {
            Err(error) => output(ui, &error),
            Ok(()) => match done {
                Done::Yes => 0,
                Done::No => 1,
                Done::Usage => 2,
                Done::Conflict => 3,
                Done::Partly => 7,
                Done::Corrupt => 8,
            },
        },
    };
    ExitCode::from(number)
}

/// The code of an error.
pub(crate) fn number(error: &Error) -> u8 {
    match error.root() {
        Error::Usage(_) => 2,
        Error::Conflict(_) => 3,
        Error::Refused(_) => 4,
        Error::Unknown(_) => 5,
        Error::Unreachable(_) => 6,
        Error::Partial(_) => 7,
        Error::Corrupt(_) => 8,
        Error::Busy(_) => 9,
        Error::Denied(_) => 10,
        Error::Io { source, .. } => io_number(source),
        Error::Hinted { .. } => 70,
    }
}

/// `ENFILE` and `EMFILE`: a limit, not damage.
const TOO_MANY_FILES: [i32; 2] = [23, 24];

fn io_number(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => 2,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => 4,
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::OutOfMemory => 10,
        _ if error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code)) => 10,
        _ => 8,
    }
}

fn output(ui: &mut Ui, error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return 0;
    }
    ui.say(&format!("kvs: cannot write the output: {error}"));
    io_number(error)
}
