//! The program of an edit, which ends when kvs is asked to end.
//!
//! ```text
//! kill -TERM kvs    COMMAND, or the shell of the editor, gets the TERM too; then kvs ends by it
//! ```
//!
//! Caveat: what that program has started itself is its own affair. SIGKILL reaches kvs alone.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kvs::error::Error;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::low_level::emulate_default_handler;

use crate::common::on_stop_signal;

/// The program that runs now.
static RUNNING: Mutex<Option<Pid>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on what asks kvs to finish asks the program that runs, too.
pub(super) fn end_together() -> Result<(), Error> {
    on_stop_signal(|signal| {
        let running = running();
        if let (Some(id), Some(signal)) = (*running, Signal::from_named_raw(signal)) {
            // It may have ended: the better.
            let _ = kill_process(id, signal);
        }
        // Ends this process; should that fail, the program has ended, and with it the edit.
        drop(emulate_default_handler(signal));
    })
}

/// Starts a program; [`finish`] is to follow.
pub(super) fn start(command: &mut Command) -> io::Result<Child> {
    let mut running = running();
    let child = command.spawn()?;
    *running = Some(Pid::from_child(&child));
    Ok(child)
}

/// Waits for its end.
pub(super) fn finish(mut child: Child) -> io::Result<ExitStatus> {
    // Its number is its own until it is reaped; from then on nothing is sent to it.
    let id = WaitId::Pid(Pid::from_child(&child));
    let _ = waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    *running() = None;
    child.wait()
}
