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
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use super::event::In;
use super::guests::{Guests, Outbox, QUESTION_BYTES_MAX, Seat};
use crate::channel::{Ask, Opener, Parcel, Sealer};
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
/// Frames are gathered up to so many bytes before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// The core's end of a link.
pub(super) struct Link {
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
        let reader = Reader { id, read, opener, peer, tell: tell_too, asks, guests };
        let writer = Writer { write, sealer, inbox, waiting: waiting.clone(), peer };
        let ended = tell.clone();
        let reading = tokio::spawn(async move {
            let why = reader.run().await.err();
            drop(tell.send(In::Ended(id, why)).await);
        });
        let writing = tokio::spawn(async move {
            if let Err(error) = writer.run().await {
                drop(ended.send(In::Ended(id, Some(error))).await);
            }
        });
        Self { outbox, waiting, reading: reading.abort_handle(), writing }
    }

    /// Queues the bytes of a parcel; `false` when too much waits already, or the link has ended.
    pub(super) fn send(&self, parcel: Vec<u8>) -> bool {
        if self.waiting.waiting() > OUTBOX_BYTES_MAX || self.waiting.hoards() {
            return false;
        }
        self.waiting.put(parcel.len());
        self.outbox.send(parcel).is_ok()
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

struct Reader {
    id: u64,
    read: OwnedReadHalf,
    opener: Opener,
    peer: bool,
    tell: Sender<In>,
    asks: Arc<Semaphore>,
    guests: Guests,
}

impl Reader {
    async fn run(mut self) -> Result<()> {
        let mut body = Vec::new();
        loop {
            let silence = if self.peer { PEER_SILENCE } else { CLIENT_SILENCE };
            match timeout(silence, frame(&mut self.read, &mut body)).await {
                Err(_) => return Err(lost("it has said nothing for too long")),
                Ok(Err(error)) => return Err(lost(&error.to_string())),
                Ok(Ok(false)) => return Ok(()),
                Ok(Ok(true)) => {}
            }
            let Some(bytes) = self.opener.open(&body)? else { continue };
            let parcel = Parcel::decode(&bytes)?;
            let seat = match &parcel {
                Parcel::Beat => continue,
                Parcel::Ask(_, ask) => {
                    let reads = !matches!(**ask, Ask::Node(Request::Put(_)));
                    let length = bytes.len();
                    drop(bytes);
                    Some(self.seat(length, reads).await?)
                }
                _ => None,
            };
            if self.tell.send(In::Parcel(self.id, parcel, seat)).await.is_err() {
                return Ok(());
            }
        }
    }
}

impl Reader {
    /// Waits for a place for a question of so many bytes.
    async fn seat(&self, bytes: usize, reads: bool) -> Result<Seat> {
        let closed = || lost("it is closed");
        let of_link = self.asks.clone().acquire_owned().await.map_err(|_| closed())?;
        let of_all = self.guests.admit(bytes, reads).await.ok_or_else(closed)?;
        Ok(Seat { _of_link: of_link, _of_all: of_all })
    }
}

/// Reads the body of one frame; `false` at the end of the stream.
pub(super) async fn frame(
    read: &mut (impl AsyncReadExt + Unpin),
    body: &mut Vec<u8>,
) -> std::io::Result<bool> {
    let mut length = [0; 2];
    if read.read(&mut length[..1]).await? == 0 {
        return Ok(false);
    }
    read.read_exact(&mut length[1..]).await?;
    body.resize(usize::from(u16::from_be_bytes(length)), 0);
    read.read_exact(body).await?;
    Ok(true)
}

struct Writer {
    write: OwnedWriteHalf,
    sealer: Sealer,
    inbox: UnboundedReceiver<Vec<u8>>,
    waiting: Arc<Outbox>,
    peer: bool,
}

impl Writer {
    async fn run(mut self) -> Result<()> {
        let mut frames = Vec::new();
        loop {
            match timeout(BEAT_EVERY, self.inbox.recv()).await {
                Ok(None) => return Ok(()),
                Ok(Some(parcel)) => self.seal(&parcel, &mut frames)?,
                Err(_) if self.peer => self.sealer.seal(&Parcel::Beat.encode(), &mut frames)?,
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

fn lost(why: &str) -> Error {
    Error::Unreachable(why.to_owned())
}
