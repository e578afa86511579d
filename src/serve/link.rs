//! One open connection: packets in, packets out, each side bounded.
//!
//! ```text
//! socket --packets--> opener --frame--> core          waits while the core is busy
//! core --bytes--> send queue --> sealer --packets--> socket    refused when the queue is full
//! ```
//!
//! Between peers each side sends something every second and takes silence for death. What it does not do: it
//! does not know what a frame means. Caveat: a frame waits behind those before it; the packets of a long one
//! count as signs of life.

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

use super::event::{Received, ServerEvent};
use super::id::LinkId;
use super::limits::{
    ClientBudget, REQUEST_BYTES_MAX, ReceivePermit, RequestPermit, ResponseSize, SendQueue,
};
use super::requests::is_operators;
use crate::channel::{Arrival, ClientRequest, Frame, Opener, OtherClock, Sealer};
use crate::error::{Error, Result};
use crate::node::Request;
use crate::os::now;

/// Bytes that may wait to be sent over one link.
const OUTBOX_BYTES_MAX: usize = 64 << 20;
/// A link on which nothing could be written for this time is given up.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// What is queued when a node stops gets this long.
const FINISH_WAIT: Duration = Duration::from_secs(1);
/// A peer that has sent nothing for this time is gone.
const PEER_SILENCE: Duration = Duration::from_secs(4);
/// A client may be silent for this time.
const CLIENT_SILENCE: Duration = Duration::from_secs(300);
/// A peer is sent something at least this often.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Requests of one client that may be open; then it is read no further.
const REQUESTS_MAX: usize = 1_024;
/// The bytes of one request have to come within this time; what it waits for its share of the budget
/// does not count.
const RECEIVE_WAIT: Duration = Duration::from_secs(60);
/// Packets are gathered up to this many bytes before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// The clocks of both ends of a link: how old what comes over it is.
#[derive(Clone)]
pub(super) struct LinkClocks {
    /// This side's clock is counted from here.
    pub(super) began: Instant,
    /// When this side said its last word of the handshake.
    pub(super) since: Instant,
    /// Whether the other side knows stamps.
    pub(super) stamped: bool,
    pub(super) other: OtherClock,
}

impl LinkClocks {
    /// Those of a link without stamps.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        let other = OtherClock::default();
        Self { began: now(), since: now(), stamped: false, other }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// The bytes of a frame as they are sent now.
    fn stamp(&self, frame: Vec<u8>) -> Vec<u8> {
        if self.stamped { self.other.stamp(&frame, self.now_ms()) } else { frame }
    }

    /// The bytes of a frame that has come, and when it was sent, on this side's clock.
    fn take<'b>(&self, bytes: &'b [u8]) -> Result<(&'b [u8], Option<u64>)> {
        let since = self.since.saturating_duration_since(self.began).as_millis() as u64;
        self.other.take(bytes, Arrival { handshake_ms: since, now_ms: self.now_ms() })
    }
}

/// The core's end of a link.
pub(super) struct LinkHandle {
    clocks: LinkClocks,
    outbox: UnboundedSender<Vec<u8>>,
    queue: Arc<SendQueue>,
    reading: AbortHandle,
    writing: JoinHandle<()>,
}

impl LinkHandle {
    /// Starts the tasks of a connection whose handshake is done.
    pub(super) fn start(
        id: LinkId,
        stream: TcpStream,
        sealer: Sealer,
        mut opener: Opener,
        budget: Option<&ClientBudget>,
        clocks: LinkClocks,
        sender: Sender<ServerEvent>,
    ) -> Self {
        let peer = budget.is_none();
        if !peer {
            opener.at_most(REQUEST_BYTES_MAX);
        }
        let (read, write) = stream.into_split();
        let (outbox, inbox) = unbounded_channel();
        let queue = Arc::new(budget.map_or_else(SendQueue::default, ClientBudget::send_queue));
        let (reader_sender, budget) = (sender.clone(), budget.cloned().unwrap_or_default());
        let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
        let reader_queue = queue.clone();
        let of_reader = clocks.clone();
        let reader = LinkReader {
            id,
            read,
            opener,
            peer,
            sender: reader_sender,
            requests,
            budget,
            queue: reader_queue,
            clocks: of_reader,
        };
        let of_writer = clocks.clone();
        let writer =
            LinkWriter { write, sealer, inbox, queue: queue.clone(), peer, clocks: of_writer };
        let ended = sender.clone();
        let reading = tokio::spawn(async move {
            let _defect = Defect(id, sender.clone());
            let why = reader.run().await.err();
            drop(sender.send(ServerEvent::LinkClosed(id, why)).await);
        });
        let writing = tokio::spawn(async move {
            if let Err(error) = writer.run().await {
                drop(ended.send(ServerEvent::LinkClosed(id, Some(error))).await);
            }
        });
        Self { clocks, outbox, queue, reading: reading.abort_handle(), writing }
    }

    /// Queues the bytes of a frame; `false` when too much waits already, or the link has ended.
    pub(super) fn send(&self, frame: Vec<u8>) -> bool {
        if self.queue.bytes() > OUTBOX_BYTES_MAX || self.queue.is_over_share() {
            return false;
        }
        let frame = self.clocks.stamp(frame);
        self.queue.put(frame.len());
        self.outbox.send(frame).is_ok()
    }

    /// What it was in the middle of has come to the core.
    pub(super) fn frame_taken(&self) {
        self.queue.receiving.store(false, Ordering::Relaxed);
    }

    /// Whether it is in the middle of a question, or of an answer.
    pub(super) fn is_busy(&self) -> bool {
        self.queue.bytes() > 0 || self.queue.receiving.load(Ordering::Relaxed)
    }

    /// Closes the link once what is queued has been written.
    pub(super) fn close(self) {
        // The writer ends with its inbox; the reader has no loop to report to any more.
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
struct Defect(LinkId, Sender<ServerEvent>);

impl Drop for Defect {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = Error::Corrupt("its message met a bug in kvs".into());
            drop(self.1.try_send(ServerEvent::LinkClosed(self.0, Some(why))));
        }
    }
}

struct LinkReader {
    id: LinkId,
    read: OwnedReadHalf,
    opener: Opener,
    peer: bool,
    sender: Sender<ServerEvent>,
    requests: Arc<Semaphore>,
    budget: ClientBudget,
    queue: Arc<SendQueue>,
    clocks: LinkClocks,
}

impl LinkReader {
    async fn run(mut self) -> Result<()> {
        loop {
            let mut received_permit = ReceivePermit::default();
            let Some(bytes) = self.bytes(&mut received_permit).await? else { return Ok(()) };
            let (frame, sent_ms) = self.clocks.take(&bytes)?;
            let frame = Frame::decode(frame)?;
            let permit = match &frame {
                Frame::Beat => {
                    self.queue.receiving.store(false, Ordering::Relaxed);
                    continue;
                }
                Frame::Request(_, request) => {
                    let length = bytes.len();
                    drop(bytes);
                    Some(self.permit(length, request).await?)
                }
                _ => None,
            };
            drop(received_permit);
            let received = Received { link: self.id, frame, permit, sent_ms };
            if self.sender.send(ServerEvent::Frame(received)).await.is_err() {
                return Ok(());
            }
        }
    }

    /// The bytes of the next frame; none at the end of the stream. Of a client no more is read than
    /// there is room for.
    async fn bytes(&mut self, received: &mut ReceivePermit) -> Result<Option<Vec<u8>>> {
        let (mut body, mut left) = (Vec::new(), RECEIVE_WAIT);
        let mut silence = if self.peer { PEER_SILENCE } else { CLIENT_SILENCE };
        loop {
            let began = now();
            let Some(length) = heard(timeout(silence, length(&mut self.read)).await)? else {
                return Ok(None);
            };
            if !self.peer {
                if self.queue.receiving.swap(true, Ordering::Relaxed) {
                    left = left.saturating_sub(began.elapsed());
                }
                let closed = || lost("it is closed");
                self.budget.receive(received, length).await.ok_or_else(closed)?;
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

    /// Waits for a share of the budget for a request of this many bytes.
    async fn permit(&self, bytes: usize, request: &ClientRequest) -> Result<RequestPermit> {
        let closed = || lost("it is closed");
        let of_link = self.requests.clone().acquire_owned().await.map_err(|_| closed())?;
        let of_all = match is_operators(request) {
            true => None,
            false => {
                let response = match request {
                    ClientRequest::Node(Request::Put(_)) => ResponseSize::Small,
                    _ => ResponseSize::Estimated,
                };
                Some(self.budget.admit(bytes, response).await.ok_or_else(closed)?)
            }
        };
        Ok(RequestPermit { _of_link: of_link, _of_all: of_all })
    }
}

/// What was read in time.
fn heard<T>(read: std::result::Result<std::io::Result<T>, Elapsed>) -> Result<T> {
    let read = read.map_err(|_| lost("it was silent for too long"))?;
    read.map_err(|e| lost(&e.to_string()))
}

/// Reads how long the next packet is; none at the end of the stream.
async fn length(read: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Option<usize>> {
    let mut length = [0; 2];
    if read.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    read.read_exact(&mut length[1..]).await?;
    Ok(Some(usize::from(u16::from_be_bytes(length))))
}

struct LinkWriter {
    write: OwnedWriteHalf,
    sealer: Sealer,
    inbox: UnboundedReceiver<Vec<u8>>,
    queue: Arc<SendQueue>,
    peer: bool,
    clocks: LinkClocks,
}

impl LinkWriter {
    async fn run(mut self) -> Result<()> {
        let mut packets = Vec::new();
        loop {
            match timeout(BEAT_EVERY, self.inbox.recv()).await {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => self.seal(&frame, &mut packets)?,
                Err(_) if self.peer => {
                    let beat = self.clocks.stamp(Frame::Beat.encode());
                    self.sealer.seal(&beat, &mut packets)?;
                }
                Err(_) => continue,
            }
            while packets.len() < WRITE_BYTES {
                let Ok(frame) = self.inbox.try_recv() else { break };
                self.seal(&frame, &mut packets)?;
            }
            self.write(&packets).await?;
            packets.clear();
            packets.shrink_to(WRITE_BYTES);
        }
    }

    fn seal(&mut self, frame: &[u8], packets: &mut Vec<u8>) -> Result<()> {
        self.queue.take(frame.len());
        self.sealer.seal(frame, packets)
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
