//! The scripts, and what their ends mean.
//!
//! ```text
//! common.sh [service.sh] [tryout.sh] stop.sh      one text: functions, then what is to be done
//! 0                        done
//! 73 74 75 76 + sentence   refused, busy, our lock is gone, not done
//! anything else            it broke: a full disk, a command that failed; its last words are told
//! ```
//!
//! Every sentence that comes out of here names the host and says what is unchanged. What a host says
//! is told in its own words, but for characters that would move the terminal. It runs nothing.

use crate::error::Error;
use crate::push::shell::Output;

const COMMON: &str = include_str!("common.sh");
const SERVICE: &str = include_str!("service.sh");
const TRYOUT: &str = include_str!("tryout.sh");

/// A script, by what it is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemoteScript {
    /// What it needs besides what all have, and itself.
    parts: &'static [&'static str],
    /// What it does, after "could not".
    what: &'static str,
    /// What holds when it was not done.
    unchanged: &'static str,
}

macro_rules! scripts {
    ($($name:ident: $file:literal with $parts:expr, $what:literal, $unchanged:literal;)+) => {
        $(pub(super) const $name: RemoteScript = RemoteScript {
            parts: &[COMMON, $parts, include_str!($file)],
            what: $what,
            unchanged: $unchanged,
        };)+
    };
}

scripts! {
    FACTS: "facts.sh" with SERVICE, "be looked at", "nothing was changed";
    LOCK: "lock.sh" with "", "be locked", "nothing was changed";
    OURS: "ours.sh" with "", "be kept", "nothing that runs was touched";
    UNLOCK: "unlock.sh" with "", "be unlocked", "nothing was changed";
    STAGED: "staged.sh" with "", "be asked for its releases", "nothing that runs was touched";
    STAGE: "stage.sh" with TRYOUT, "take the release", "nothing that runs was touched";
    ASK: "ask.sh" with TRYOUT, "try the release", "nothing that runs was touched";
    IDENTITY: "identity.sh" with "", "say who its node is", "no node was made";
    MAKE: "make.sh" with "", "make the node's directory", "what is in the directory was kept";
    CONFIGURE: "configure.sh" with SERVICE, "be configured", "no process was touched";
    STOP: "stop.sh" with SERVICE, "stop its node", "it was not killed";
    SWITCH: "switch.sh" with "", "switch to the release", "no process was touched";
    START: "start.sh" with SERVICE, "start its node", "its files are as they were";
    PROVEN: "proven.sh" with "", "note that its node is well", "no process was touched";
    RESTORE: "restore.sh" with SERVICE, "go back to what it had", "its data was not touched";
    PRUNE: "prune.sh" with "", "remove old releases", "the releases in use were kept";
    LOGS: "logs.sh" with "", "show its log", "nothing was changed";
    FORGET: "forget.sh" with SERVICE, "remove the node's directory", "nothing else was touched";
    DESTROY: "destroy.sh" with SERVICE, "be cleared", "what is gone is gone, the rest stays";
}

/// Refused: nothing that matters was changed.
const REFUSED: i32 = 73;
/// Somebody is in the way.
const BUSY: i32 = 74;
/// The lock is not ours any more.
const LOST: i32 = 75;
/// Begun and not done.
const UNDONE: i32 = 76;
/// So much of what a script says on stderr is told.
const WORDS_MAX: usize = 600;

impl RemoteScript {
    /// Its text.
    pub(super) fn body(self) -> String {
        self.parts.concat()
    }

    /// What its end means on this host; `None` when it is done.
    pub(super) fn judge(self, host: &str, output: &Output) -> Option<Error> {
        let Self { what, unchanged, .. } = self;
        let said = plain(last_line(&output.err));
        let status = output.status;
        Some(match status {
            0 => return None,
            REFUSED => Error::Denied(format!("{host} could not {what}: {said}; {unchanged}.")),
            BUSY => Error::Busy(format!("{host} could not {what}: {said}; {unchanged}.")),
            LOST => Error::Busy(format!(
                "{host} could not {what}: our lock was taken over or removed; {unchanged}."
            ))
            .hint("somebody else works on this host: see who, then run this again"),
            UNDONE => Error::Partial(format!(
                "{host} could not {what}: {said}; {unchanged}.{}",
                log_lines(&output.out)
            )),
            _ => Error::Partial(format!(
                "{host} could not {what} (status {status}): {}; {unchanged}.",
                words(&output.err)
            )),
        })
    }

    /// The same for what a release was asked to do: that it ends badly is its refusal.
    pub(super) fn judge_release(self, host: &str, output: &Output) -> Option<Error> {
        let Self { what, unchanged, .. } = self;
        let error = self.judge(host, output)?;
        let own = [REFUSED, BUSY, LOST, UNDONE].contains(&output.status);
        Some(if own {
            error
        } else {
            let status = output.status;
            Error::Denied(format!(
                "{host} could not {what}: the release ended with {status}: {}; {unchanged}.",
                words(&output.err)
            ))
        })
    }

    /// A sentence for what came out of it and makes no sense.
    pub(super) fn nonsense(self, host: &str, out: &str) -> Error {
        Error::Denied(format!(
            "{host} could not {}: its shell said {:?}; {}.",
            self.what,
            last_line(out),
            self.unchanged
        ))
    }
}

/// A host's own words, with what is no text written out. A tab does no harm.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' { plain.extend(c.escape_default()) } else { plain.push(c) }
    }
    plain
}

/// The last lines of a log, below a sentence.
fn log_lines(out: &str) -> String {
    let lines: String = out.lines().map(|line| format!("\n  {}", plain(line))).collect();
    if lines.is_empty() { lines } else { format!(" The last lines of its log:{lines}") }
}

fn last_line(text: &str) -> &str {
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.unwrap_or("it said nothing").trim_end_matches('.')
}

/// What was said, on one line and not too much of it.
fn words(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let all = plain(&lines.join("; "));
    match all.len().checked_sub(WORDS_MAX) {
        _ if all.is_empty() => "it said nothing".into(),
        None => all.trim_end_matches('.').into(),
        Some(extra) => {
            let at = (extra..all.len()).find(|at| all.is_char_boundary(*at)).unwrap_or(0);
            format!("…{}", all[at..].trim_end_matches('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever ends badly, and whatever was said meanwhile: no byte of it moves the terminal.
    #[test]
    fn what_a_host_says_does_not_reach_the_terminal_as_it_is() {
        let evil = "\x1b]0;owned\x07 \u{9b}2J\r\x08\x7f it's\tfull";
        let wanted = r"\u{1b}]0;owned\u{7} \u{9b}2J\r\u{8}\u{7f} it's";
        let out = format!("first {evil}\n\nlast {evil}\n");
        for status in [REFUSED, BUSY, UNDONE, LOST, 1, 137] {
            let output = Output { status, out: out.clone(), err: format!("{evil}\n{evil}\n") };
            for error in [START.judge("n1", &output), START.judge_release("n1", &output)] {
                let said = error.expect("a bad end").to_string();
                let others = said.chars().filter(|c| c.is_control() && !"\n\t".contains(*c));
                assert_eq!(others.count(), 0, "{said:?}");
                assert!(status == LOST || said.contains(wanted), "{said}");
                // The lines of a log stay lines.
                let lines = if status == UNDONE { 4 } else { 1 };
                assert_eq!(said.lines().count(), lines, "{said}");
            }
        }
        let said = FACTS.nonsense("n1", &out).to_string();
        assert!(said.contains(wanted) && !said.contains('\x1b'), "{said}");
    }
}
