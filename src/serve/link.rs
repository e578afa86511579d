//! One open connection: frames in, frames out, each side bounded.
//!
//! ```text
//! socket --frames--> opener --parcel--> core          waits while the core is busy
//! core --bytes--> outbox --> sealer --frames--> socket    refused when the outbox is full
//! ```
//!
//! Between peers each side says something every second and takes silence for death. What it does
//! not do: it does not know what a parcel means. Caveat: a parcel waits behind those before it; the
//! pieces of a long one count as signs of life.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::desk::is_operators;
use super::event::In;
use super::guests::{Gathered, Guests, Outbox, QUESTION_BYTES_MAX, Seat};
use crate::channel::{Ask, Opener, OtherClock, Parcel, Sealer};
use crate::error::{Error, Result};
use crate::node::Request;

/// Bytes that may wait to be sent over one link.
const OUTBOX_BYTES_MAX: usize = 64 << 20;
/// A link on which nothing could be written for so long is given up.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// What is queued when a node stops gets this long.
const FINISH_WAIT: Duration = Duration::from_secs(1);
/// A peer that has said nothing for so long is gone.
const PEER_SILENCE: Duration = Duration::from_secs(4);
/// A client may think for so long.
const CLIENT_SILENCE: Duration = Duration::from_secs(300);
/// Peers say something at least so often.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Questions of one client that may be open; then it is read no further.
const ASKS_MAX: usize = 1_024;
/// The bytes of one question have to come within this, what it waits for a place not counted.
const GATHER_WAIT: Duration = Duration::from_secs(60);
/// Frames are gathered up to so many bytes before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// The clocks of both ends of a link: how old what comes over it is.
#[derive(Clone)]
pub(super) struct Clocks {
    /// This side's clock is counted from here.
    pub(super) began: Instant,
    /// When this side said its last word of the handshake.
    pub(super) since: Instant,
    /// Whether the other side knows stamps.
    pub(super) stamped: bool,
    pub(super) other: OtherClock,
}

impl Clocks {
    /// Those of a link without stamps.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        let other = OtherClock::default();
        Self { began: now(), since: now(), stamped: false, other }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// The bytes of a parcel as they are sent now.
    fn stamp(&self, parcel: Vec<u8>) -> Vec<u8> {
        if self.stamped { self.other.stamp(&parcel, self.now_ms()) } else { parcel }
    }

    /// The bytes of a parcel that has come, and when it was sent, on this side's clock.
    fn take<'b>(&self, bytes: &'b [u8]) -> Result<(&'b [u8], Option<u64>)> {
        let since = self.since.saturating_duration_since(self.began).as_millis() as u64;
        self.other.take(bytes, since, self.now_ms())
    }
}

/// The core's end of a link.
pub(super) struct Link {
    clocks: Clocks,
    outbox: UnboundedSender<Vec<u8>>,
    waiting: Arc<Outbox>,
    reading: AbortHandle,
    writing: JoinHandle<()>,
}

impl Link {
    /// Starts the tasks of a connection whose handshake is done.
    pub(super) fn start(
        id: u64,
        stream: TcpStream,
        sealer: Sealer,
        mut opener: Opener,
        guests: Option<&Guests>,
        clocks: Clocks,
        tell: Sender<In>,
    ) -> Self {
        let peer = guests.is_none();
        if !peer {
            opener.at_most(QUESTION_BYTES_MAX);
        }
        let (read, write) = stream.into_split();
        let (outbox, inbox) = unbounded_channel();
        let waiting = Arc::new(guests.map_or_else(Outbox::default, Guests::outbox));
        let (tell_too, guests) = (tell.clone(), guests.cloned().unwrap_or_default());
        let asks = Arc::new(Semaphore::new(ASKS_MAX));
        let listening = waiting.clone();
        let of_reader = clocks.clone();
        let reader = Reader {
            id,
            read,
            opener,
            peer,
            tell: tell_too,
            asks,
            guests,
            listening,
            clocks: of_reader,
        };
        let of_writer = clocks.clone();
        let writer =
            Writer { write, sealer, inbox, waiting: waiting.clone(), peer, clocks: of_writer };
        let ended = tell.clone();
        let reading = tokio::spawn(async move {
            let _defect = Defect(id, tell.clone());
            let why = reader.run().await.err();
            drop(tell.send(In::Ended(id, why)).await);
        });
        let writing = tokio::spawn(async move {
            if let Err(error) = writer.run().await {
                drop(ended.send(In::Ended(id, Some(error))).await);
            }
        });
        Self { clocks, outbox, waiting, reading: reading.abort_handle(), writing }
    }

    /// Queues the bytes of a parcel; `false` when too much waits already, or the link has ended.
    pub(super) fn send(&self, parcel: Vec<u8>) -> bool {
        if self.waiting.waiting() > OUTBOX_BYTES_MAX || self.waiting.hoards() {
            return false;
        }
        let parcel = self.clocks.stamp(parcel);
        self.waiting.put(parcel.len());
        self.outbox.send(parcel).is_ok()
    }

    /// What it was in the middle of has come to the core.
    pub(super) fn came(&self) {
        self.waiting.listening.store(false, Ordering::Relaxed);
    }

    /// Whether it is in the middle of a question, or of an answer.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.waiting() > 0 || self.waiting.listening.load(Ordering::Relaxed)
    }

    /// Closes the link once what is queued has been written.
    pub(super) fn close(self) {
        // The writer ends with its inbox; the reader has nobody to tell any more.
        self.reading.abort();
    }

    /// Closes the link at once.
    pub(super) fn cut(self) {
        self.reading.abort();
        self.writing.abort();
    }

    /// Closes the link and waits a moment for what is queued to be written.
    pub(super) async fn finish(self) {
        self.reading.abort();
        drop(self.outbox);
        drop(timeout(FINISH_WAIT, self.writing).await);
    }
}

/// A reader that panics over what it has read takes its link along, and nothing else.
struct Defect(u64, Sender<In>);

impl Drop for Defect {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = Error::Corrupt("its message met a bug in kvs".into());
            drop(self.1.try_send(In::Ended(self.0, Some(why))));
        }
    }
}

struct Reader {
    id: u64,
    read: OwnedReadHalf,
    opener: Opener,
    peer: bool,
    tell: Sender<In>,
    asks: Arc<Semaphore>,
    guests: Guests,
    listening: Arc<Outbox>,
    clocks: Clocks,
}

impl Reader {
    async fn run(mut self) -> Result<()> {
        loop {
            let mut gathered = Gathered::default();
            let Some(bytes) = self.bytes(&mut gathered).await? else { return Ok(()) };
            let (parcel, sent_ms) = self.clocks.take(&bytes)?;
            let parcel = Parcel::decode(parcel)?;
            let seat = match &parcel {
                Parcel::Beat => {
                    self.listening.listening.store(false, Ordering::Relaxed);
                    continue;
                }
                Parcel::Ask(_, ask) => {
                    let length = bytes.len();
                    drop(bytes);
                    Some(self.seat(length, ask).await?)
                }
                _ => None,
            };
            drop(gathered);
            if self.tell.send(In::Parcel(self.id, parcel, seat, sent_ms)).await.is_err() {
                return Ok(());
            }
        }
    }
}

impl Reader {
    /// The bytes of the next parcel; none at the end of the stream. Of a client no more is read than
    /// there is room for.
    async fn bytes(&mut self, gathered: &mut Gathered) -> Result<Option<Vec<u8>>> {
        let (mut body, mut left) = (Vec::new(), GATHER_WAIT);
        let mut silence = if self.peer { PEER_SILENCE } else { CLIENT_SILENCE };
        loop {
            let began = now();
            let Some(length) = heard(timeout(silence, length(&mut self.read)).await)? else {
                return Ok(None);
            };
            if !self.peer {
                if self.listening.listening.swap(true, Ordering::Relaxed) {
                    left = left.saturating_sub(began.elapsed());
                }
                let closed = || lost("it is closed");
                self.guests.gather(gathered, length).await.ok_or_else(closed)?;
                silence = left;
            }
            let began = now();
            body.resize(length, 0);
            heard(timeout(silence, self.read.read_exact(&mut body)).await)?;
            if let Some(bytes) = self.opener.open(&body)? {
                return Ok(Some(bytes));
            }
            if !self.peer {
                left = left.saturating_sub(began.elapsed());
                silence = left;
            }
        }
    }

    /// Waits for a place for a question of so many bytes.
    async fn seat(&self, bytes: usize, ask: &Ask) -> Result<Seat> {
        let closed = || lost("it is closed");
        let of_link = self.asks.clone().acquire_owned().await.map_err(|_| closed())?;
        let of_all = match is_operators(ask) {
            true => None,
            false => {
                let reads = !matches!(ask, Ask::Node(Request::Put(_)));
                Some(self.guests.admit(bytes, reads).await.ok_or_else(closed)?)
            }
        };
        Ok(Seat { _of_link: of_link, _of_all: of_all })
    }
}

/// What was read in time.
fn heard<T>(read: std::result::Result<std::io::Result<T>, Elapsed>) -> Result<T> {
    let read = read.map_err(|_| lost("it was silent for too long"))?;
    read.map_err(|e| lost(&e.to_string()))
}

/// Reads how long the next frame is; none at the end of the stream.
async fn length(read: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Option<usize>> {
    let mut length = [0; 2];
    if read.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    read.read_exact(&mut length[1..]).await?;
    Ok(Some(usize::from(u16::from_be_bytes(length))))
}

struct Writer {
    write: OwnedWriteHalf,
    sealer: Sealer,
    inbox: UnboundedReceiver<Vec<u8>>,
    waiting: Arc<Outbox>,
    peer: bool,
    clocks: Clocks,
}

impl Writer {
    async fn run(mut self) -> Result<()> {
        let mut frames = Vec::new();
        loop {
            match timeout(BEAT_EVERY, self.inbox.recv()).await {
                Ok(None) => return Ok(()),
                Ok(Some(parcel)) => self.seal(&parcel, &mut frames)?,
                Err(_) if self.peer => {
                    let beat = self.clocks.stamp(Parcel::Beat.encode());
                    self.sealer.seal(&beat, &mut frames)?;
                }
                Err(_) => continue,
            }
            while frames.len() < WRITE_BYTES {
                let Ok(parcel) = self.inbox.try_recv() else { break };
                self.seal(&parcel, &mut frames)?;
            }
            self.write(&frames).await?;
            frames.clear();
            frames.shrink_to(WRITE_BYTES);
        }
    }

    fn seal(&mut self, parcel: &[u8], frames: &mut Vec<u8>) -> Result<()> {
        self.waiting.take(parcel.len());
        self.sealer.seal(parcel, frames)
    }

    /// Writes all, as long as some of it can be written in time.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match timeout(WRITE_WAIT, self.write.write(bytes)).await {
                Err(_) => return Err(lost("it reads nothing")),
                Ok(Ok(0)) => return Err(lost("it takes nothing")),
                Ok(Err(error)) => return Err(lost(&error.to_string())),
                Ok(Ok(n)) => bytes = &bytes[n..],
            }
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn lost(why: &str) -> Error {
    Error::Unreachable(why.to_owned())
}
