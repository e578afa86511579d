//! Files across: a script over there that reads its own standard input.
//!
//! ```text
//! in   the script, as a whole                    out  kvs-begin
//! in   bytes, as many as the file has, and eof   out  kvs-end 0       it counted as many
//! ```
//!
//! It counts for itself: when the link is cut it finds too few and removes them, with nobody there to
//! tell it. Neither scp nor sftp is needed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::link::Broken;
use super::talk::Talk;
use super::{Ssh, words};
use crate::error::{Error, Result};
use crate::os::now;
use crate::push::shell::{Output, Script};
use crate::push::watch::{PushEvent, Watch};

/// `$1` is the file, `$2` its length.
const TAKE: &str = r#"umask 077
rm -f -- "$1" && cat > "$1" && [ $(wc -c < "$1") -eq "$2" ] && exit
rm -f -- "$1"
exit 1"#;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Between two notes.
const NOTES: Duration = Duration::from_millis(200);
/// How long the end of a file that was given up may take.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// One file on its way.
struct Way<'a> {
    ssh: &'a mut Ssh,
    talk: Talk,
    file: &'a Path,
    total: u64,
    done: u64,
    watch: &'a dyn Watch,
    moved: Instant,
    noted: Option<Instant>,
    /// Why it is given up.
    stopped: Option<String>,
}

/// Whether the link still moves.
type Moved<T> = std::result::Result<T, Broken>;

pub(super) fn send(ssh: &mut Ssh, file: &Path, to: &str, watch: &dyn Watch) -> Result<()> {
    let open = File::open(file).map_err(Error::io("read", file))?;
    let total = open.metadata().map_err(Error::io("read", file))?.len();
    let script = Script { body: TAKE.into(), args: vec![to.into(), total.to_string()] };
    let text = script.held()?;
    let talk = ssh.open(now() + ssh.patience)?;
    let (done, moved, noted, stopped) = (0, now(), None, None);
    let mut way = Way { ssh, talk, file, total, done, watch, moved, noted, stopped };
    let end = way.words(text.as_bytes()).and_then(|()| way.bytes(open)).and_then(|()| way.end());
    if let Err(broken) = end {
        // Who stands still there is to find the end of its input as soon as it goes on.
        way.ssh.link.cut();
        return Err(way.broken(&broken));
    }
    let Way { ssh, talk, stopped, .. } = way;
    let (out, err) = talk.end(&ssh.link);
    let host = &ssh.host;
    let file = file.display();
    let left = "what had arrived was removed there";
    Err(match (Output::parse(&out, &err), stopped) {
        (Some(output), None) if output.status == 0 => return Ok(()),
        (None, _) if Output::begun(&out).is_none() => ssh.no_shell(&out, &err),
        (_, Some(why)) => {
            Error::Partial(format!("{file} was not brought to {host}: {why}; {left}"))
        }
        (Some(output), None) => {
            let why = match words(output.err.as_bytes()) {
                none if none.is_empty() => "it counts other bytes than were sent".into(),
                why => why,
            };
            Error::Partial(format!("{host} could not take {file}: {why}; {left}"))
        }
        (None, None) => Error::Partial(format!(
            "{host} ended what was to take {file} before its end; some of it may be left there"
        )),
    })
}

impl Way<'_> {
    /// Brings the script, and waits until it reads by itself.
    fn words(&mut self, text: &[u8]) -> Moved<()> {
        let mut sent = 0;
        while !self.talk.is_over() && self.talk.begun().is_none() {
            sent += self.turn(&text[sent..])?;
        }
        Ok(())
    }

    /// Brings the file.
    fn bytes(&mut self, file: File) -> Moved<()> {
        let mut file = file.take(self.total);
        let mut chunk = vec![0; CHUNK];
        while !self.talk.is_over() && !self.is_stopped() {
            let length = match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(e) => {
                    self.stopped = Some(format!("it cannot be read here ({e})"));
                    break;
                }
            };
            let mut sent = 0;
            // What has begun to leave must leave whole, or nothing else can.
            while sent < length
                && !self.talk.is_over()
                && (!self.is_stopped() || self.ssh.link.sends())
            {
                let some = self.turn(&chunk[sent..length])?;
                sent += some;
                self.done += some as u64;
                self.note();
            }
        }
        Ok(())
    }

    /// Says that this was all, and waits for the count.
    fn end(&mut self) -> Moved<()> {
        let until = now() + GIVEN_UP;
        while !self.talk.is_over() {
            self.talk.close_input(&self.ssh.link)?;
            self.turn(&[])?;
            if self.stopped.is_some() && now() >= until {
                return Err(Broken::Late);
            }
        }
        Ok(())
    }

    /// One turn. Waits when nothing moves, and gives up when nothing has for too long.
    fn turn(&mut self, bytes: &[u8]) -> Moved<usize> {
        let (sent, moved) = self.talk.turn(&self.ssh.link, bytes)?;
        let at = now();
        if moved {
            self.moved = at;
        } else if at.duration_since(self.moved) >= self.ssh.patience {
            return Err(Broken::Late);
        }
        self.ssh.beat_if_due();
        if sent == 0 && !self.talk.is_over() {
            self.ssh.link.wait(self.moved + self.ssh.patience)?;
        }
        Ok(sent)
    }

    fn is_stopped(&mut self) -> bool {
        if self.stopped.is_none() && self.watch.stops() {
            self.stopped = Some(format!("it was stopped at {} of {} bytes", self.done, self.total));
        }
        self.stopped.is_some()
    }

    fn note(&mut self) {
        let at = now();
        let is_due = self.noted.is_none_or(|before| at.duration_since(before) >= NOTES);
        if is_due || self.done == self.total {
            self.watch.note(&self.ssh.host, &PushEvent::Bytes(self.done, self.total));
            self.noted = Some(at);
        }
    }

    fn broken(&self, broken: &Broken) -> Error {
        let (host, file) = (&self.ssh.host, self.file.display());
        let left = "what had arrived is removed there as soon as the cut is noticed";
        let part = format!("{} of {} bytes had left", self.done, self.total);
        let what = match (broken, &self.stopped) {
            (_, Some(why)) => format!("{file} was not brought to {host}: {why}; {left}"),
            (Broken::Late, None) => {
                let time = self.ssh.patience.as_secs();
                format!("no byte of {file} moved to {host} for {time} s ({part}); {left}")
            }
            (why, None) => {
                format!("the link to {host} was cut while {file} was sent ({why}; {part}); {left}")
            }
        };
        Error::Partial(what).hint("run the command again when the host answers")
    }
}
