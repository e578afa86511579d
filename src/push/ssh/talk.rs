//! One command over there: its three streams, moved side by side so that none can wait for another.
//!
//! ```text
//! turn   write what goes in, until it gives way ─ read out, read err ─ at the end of both: over
//!        nothing moved: wait for the socket
//! ```
//!
//! Streams are kept to a length and the rest is dropped. The exit status that SSH tells is not looked
//! at: it is 0 where it is missing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::{Duration, Instant};

use ssh2::{Channel, EXTENDED_DATA_STDERR};

use super::link::{Broken, Link};
use crate::os::now;
use crate::push::shell::{KeptOutput, Output};

/// Bytes that are written before the other streams are looked at.
const BURST: usize = 256 << 10;
/// How long a command may keep its streams after it has said its end: something it started has them.
const GRACE: Duration = Duration::from_secs(1);

/// A command that runs.
pub(super) struct Talk {
    channel: Channel,
    out: KeptOutput,
    err: KeptOutput,
    buffer: Vec<u8>,
    is_over: bool,
    eof_sent: bool,
    window: u32,
    ended: Option<Instant>,
}

impl Talk {
    /// Starts a command, on a channel that is there or on a new one.
    pub(super) fn open(
        link: &Link,
        spare: Option<Channel>,
        command: &str,
        until: Instant,
    ) -> Result<Self, Broken> {
        let open = || link.until(until, || link.session.channel_session());
        let mut channel = spare.map_or_else(open, Ok)?;
        link.until(until, || channel.exec(command))?;
        Ok(Self {
            channel,
            out: KeptOutput::default(),
            err: KeptOutput::default(),
            buffer: vec![0; 32 << 10],
            is_over: false,
            eof_sent: false,
            window: 0,
            ended: None,
        })
    }

    /// Moves what can be moved: how much of the input, and whether anything.
    pub(super) fn turn(&mut self, link: &Link, input: &[u8]) -> Result<(usize, bool), Broken> {
        let (mut sent, mut blocked) = (0, false);
        while sent < input.len().min(BURST) && !self.is_over && !blocked {
            // What gave way is repeated with the same bytes: the caller has not moved on.
            match self.channel.write(&input[sent..]) {
                Ok(0) => blocked = true,
                Ok(some) => sent += some,
                Err(e) if e.kind() == ErrorKind::WouldBlock => blocked = true,
                Err(e) => return Err(link.broken(Broken::Cut(e.to_string()))),
            }
        }
        let heard = self.listen(link)?;
        let window = self.channel.write_window().remaining;
        let moved = sent > 0 || heard || window > self.window;
        self.window = window;
        Ok((sent, moved))
    }

    /// Reads what is there; whether there was something.
    fn listen(&mut self, link: &Link) -> Result<bool, Broken> {
        let mut heard = false;
        for (id, kept) in [(0, &mut self.out), (EXTENDED_DATA_STDERR, &mut self.err)] {
            for _ in 0..BURST / self.buffer.len() {
                match self.channel.stream(id).read(&mut self.buffer) {
                    Ok(0) => break,
                    Ok(some) => {
                        kept.push(&self.buffer[..some]);
                        heard = true;
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) => return Err(link.broken(Broken::Cut(e.to_string()))),
                }
            }
        }
        self.is_over = self.channel.eof();
        if self.ended.is_none() && heard && self.out.has_ended() {
            self.ended = Some(now());
        }
        Ok(heard)
    }

    /// Says that no more will come, as soon as that can be said in one piece.
    pub(super) fn close_input(&mut self, link: &Link) -> Result<(), Broken> {
        if self.eof_sent || self.is_over || !link.is_free() {
            return Ok(());
        }
        link.until(now(), || self.channel.send_eof())?;
        self.eof_sent = true;
        Ok(())
    }

    /// Whether nothing more is to be heard of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over || self.ended.is_some_and(|at| now().duration_since(at) >= GRACE)
    }

    /// Lets the channel go, and gives the streams.
    pub(super) fn end(mut self, link: &Link) -> (Vec<u8>, Vec<u8>) {
        let until = now() + GRACE;
        if !link.is_cut() && link.is_free() {
            // That it was not closed in good order is nothing to the next one.
            drop(link.until(until, || self.channel.close()));
        }
        (self.out.bytes(), self.err.bytes())
    }

    /// What the script itself has said so far.
    pub(super) fn begun(&self) -> Option<Vec<u8>> {
        Output::begun(&self.out.bytes()).map(<[u8]>::to_vec)
    }

    /// A line of input, now or not at all.
    pub(super) fn say(&mut self, link: &Link, line: &[u8]) -> Result<(), Broken> {
        if self.channel.write_window().remaining as usize > line.len() && link.is_free() {
            self.turn(link, line)?;
        } else {
            self.listen(link)?;
        }
        Ok(())
    }
}
