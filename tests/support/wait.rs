//! The two verbs of waiting: for something to come, and that something lasts. No test sleeps.
//!
//! ```text
//! wait_for("the end of n1", || has_ended())              it comes, or the test fails
//! wait_for_within("equal copies", at_most, || equal())   the same with a limit of its own: how long it took
//! wait_beside(&mut child, "the lock", || is_held())      the same for as long as a child works on it
//! must_last("n3 stands still", time, || !answers())      it is so at every look until the time is over
//! must_last("the cut", time, always)                     time alone has to pass: a fault that lasts
//! ```
//!
//! A condition says yes or no, or `Err` with why not, which a failure then shows. A look may be a command
//! that costs as much as what it waits for: the rest after it is as long as it took.

use std::process::Child;
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes this long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(120);
/// The rest between two looks.
const REST: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(200));

/// What a look has found.
pub(crate) trait Look {
    /// Whether it is so; if not, why.
    fn found(self) -> Result<(), String>;
}

impl Look for bool {
    fn found(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("it is not so".into()) }
    }
}

impl Look for Result<(), String> {
    fn found(self) -> Result<(), String> {
        self
    }
}

/// Waits until it is so; how long that took.
#[track_caller]
pub(crate) fn wait_for<L: Look>(what: &str, is_so: impl FnMut() -> L) -> Duration {
    wait_for_within(what, PATIENCE, is_so)
}

/// Waits until it is so, and no longer than that; how long it took.
#[track_caller]
pub(crate) fn wait_for_within<L: Look>(
    what: &str,
    at_most: Duration,
    mut is_so: impl FnMut() -> L,
) -> Duration {
    let began = Instant::now();
    loop {
        let looked = Instant::now();
        let Err(why) = is_so().found() else { return began.elapsed() };
        assert!(began.elapsed() < at_most, "waited in vain for {what}: {why}");
        rest_after(looked.elapsed());
    }
}

/// Waits until it is so, for as long as a child is at work on it: its own limits are the deadline.
#[track_caller]
pub(crate) fn wait_beside<L: Look>(child: &mut Child, what: &str, mut is_so: impl FnMut() -> L) {
    loop {
        let looked = Instant::now();
        let ended = child.try_wait().expect("a child");
        // Looked at after its end once more: it may have come to that and ended since.
        let Err(why) = is_so().found() else { return };
        assert!(ended.is_none(), "it ended with {ended:?}, and never came to {what}: {why}");
        rest_after(looked.elapsed());
    }
}

/// Holds that it is so at every look, from now until the time is over.
#[track_caller]
pub(crate) fn must_last<L: Look>(what: &str, time: Duration, mut is_so: impl FnMut() -> L) {
    let began = Instant::now();
    loop {
        let looked = Instant::now();
        if let Err(why) = is_so().found() {
            panic!("{what} did not last for {time:?}, but {:?}: {why}", began.elapsed());
        }
        let left = time.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left.min(looked.elapsed().clamp(REST.0, REST.1)));
    }
}

/// For time that has to pass with nothing to look at.
pub(crate) fn always() -> bool {
    true
}

fn rest_after(look: Duration) {
    std::thread::park_timeout(look.clamp(REST.0, REST.1));
}
