//! The door: who comes in, whom we go to, and the handshakes of both.
//!
//! ```text
//! accept -> strangers (5 s) --first frame opens with a ring key--> keyed (5 s) -> Arrived
//! dial   -> connect (2 s) -> handshake (5 s)                                   -> Arrived | Undialled
//! ```
//!
//! Two crowds (`crowd`), each with a room of its own: who has not shown the ring's key never takes the
//! place of one who has. Until then a connection costs a descriptor, a task and at most 1 KiB; after
//! that a handshake. The ring's keys are read from their file for each handshake, so that a rotation
//! needs no restart.
//! It decides nothing about who may stay: the core does. Caveat: a first frame that somebody recorded
//! shows the key again; such a handshake never ends and is one of the keyed for 5 s.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::crowd::{Crowd, Place, Source};
use super::event::{Arrival, In};
use super::quiet::Quiet;
use crate::channel::{HANDSHAKE_BYTES_MAX, Handshake, Hello, Opened, RingKeys, Static, other_key};
use crate::config;
use crate::error::{Error, Result};
use crate::ring::NodeId;

/// How long a stranger may take to show the ring's key.
const STRANGER_WAIT: Duration = Duration::from_secs(5);
/// How long a handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// After an error of accept itself (no more file descriptors) the door rests so long.
pub(super) const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What a handshake needs of this side.
#[derive(Clone)]
pub(super) struct Papers {
    pub(super) key_file: PathBuf,
    pub(super) own: Static,
    pub(super) hello: Hello,
}

impl Papers {
    fn keys(&self) -> Result<RingKeys> {
        keys(&self.key_file)
    }
}

/// The keys of a ring.
pub(super) fn keys(file: &Path) -> Result<RingKeys> {
    config::read_keys(file).map(RingKeys::new)
}

/// Listens; a failure is told in a sentence.
pub(super) async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => {
            Error::Busy(format!("{address} is in use by another process; nothing is served."))
                .hint("end that process, or change `listen` in node.yaml")
        }
        std::io::ErrorKind::PermissionDenied => {
            Error::Denied(format!("This user may not listen at {address}; nothing is served."))
                .hint("take a port above 1023 in node.yaml")
        }
        _ => Error::Usage(format!("It is not possible to listen at {address}: {e}."))
            .hint("put an address of this machine as `listen` in node.yaml"),
    })
}

/// Accepts until it is aborted.
pub(super) fn open(listener: TcpListener, porter: Porter) -> AbortHandle {
    let run = async move {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let place = porter.strangers.enter(Source::of(from.ip()));
                    drop(tokio::spawn(porter.clone().greet(stream, from, place)));
                }
                Err(error) => {
                    if let Some(unsaid) = porter.quiet.may_say() {
                        tracing::warn!(unsaid, "a connection was not accepted: {error}");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    };
    tokio::spawn(run).abort_handle()
}

/// A connection whose handshake is done, and when this side said its last word of it.
type Shaken = (TcpStream, Opened, Instant);

#[expect(clippy::disallowed_methods, reason = "a driver measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// What it takes to answer the door.
#[derive(Clone)]
pub(super) struct Porter {
    pub(super) papers: Papers,
    pub(super) strangers: Crowd,
    pub(super) keyed: Crowd,
    pub(super) quiet: Quiet,
    pub(super) tell: Sender<In>,
}

impl Porter {
    /// A handshake that another began, to its end.
    async fn greet(self, stream: TcpStream, from: SocketAddr, place: Place) {
        match self.answer(stream, from, place).await {
            Ok(((stream, opened, since), place)) => {
                let from = from.to_string();
                let arrival = Arrival { stream, opened, since, dialled: None, from };
                drop(self.tell.send(In::Arrived(Box::new(arrival))).await);
                drop(place);
            }
            Err(error) => {
                if let Some(unsaid) = self.quiet.may_say() {
                    tracing::info!(%from, unsaid, "a handshake failed: {error}");
                }
            }
        }
    }

    async fn answer(
        &self,
        mut stream: TcpStream,
        from: SocketAddr,
        mut place: Place,
    ) -> Result<(Shaken, Place)> {
        let crowded = || Error::Unreachable("it took too long, or there were too many".into());
        ready(&stream)?;
        let first = place.during(STRANGER_WAIT, small_frame(&mut stream)).await;
        let first = first.ok_or_else(crowded)??;
        let Papers { own, hello, .. } = &self.papers;
        let (shake, reply) = Handshake::answer(&self.papers.keys()?, own, hello, &first)?;
        let mut place = self.keyed.enter(Source::of(from.ip()));
        let since = now();
        let last = async {
            write(&mut stream, &reply).await?;
            small_frame(&mut stream).await
        };
        let last = place.during(HANDSHAKE_WAIT, last).await.ok_or_else(crowded)??;
        Ok(((stream, shake.answered(&last)?, since), place))
    }
}

/// Dials a peer and tells the core how it went.
pub(super) fn dial(id: NodeId, address: String, papers: Papers, tell: Sender<In>) {
    let run = async move {
        let dialled = match timeout(HANDSHAKE_WAIT, reach(&address, &papers)).await {
            Ok(dialled) => dialled,
            Err(_) => Err(Error::Unreachable("no answer in time".into())),
        };
        let told = match dialled {
            Ok((stream, opened, since)) => {
                let dialled = Some(id);
                In::Arrived(Box::new(Arrival { stream, opened, since, dialled, from: address }))
            }
            Err(error) => In::Undialled(id, error),
        };
        drop(tell.send(told).await);
    };
    drop(tokio::spawn(run));
}

async fn reach(address: &str, papers: &Papers) -> Result<Shaken> {
    let unreachable = |e: std::io::Error| Error::Unreachable(format!("{address}: {e}"));
    let connected = timeout(CONNECT_WAIT, TcpStream::connect(address)).await;
    let mut stream = connected
        .map_err(|_| Error::Unreachable(format!("{address}: no answer in time")))?
        .map_err(unreachable)?;
    ready(&stream)?;
    let (shake, first) = Handshake::dial(&papers.keys()?, &papers.own, &papers.hello)?;
    write(&mut stream, &first).await?;
    // Whoever has another key breaks off without a word.
    let reply = small_frame(&mut stream).await.map_err(|_| other_key())?;
    let (opened, last) = shake.dialled(&reply)?;
    let since = now();
    write(&mut stream, &last).await?;
    Ok((stream, opened, since))
}

/// Answers leave at once, not when more has gathered.
fn ready(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true).map_err(|e| Error::Unreachable(e.to_string()))
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    stream.write_all(bytes).await.map_err(|e| Error::Unreachable(e.to_string()))
}

/// A frame of the handshake: short, or none of ours.
async fn small_frame(stream: &mut TcpStream) -> Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let mut length = [0; 2];
    let gone = |e: std::io::Error| Error::Unreachable(format!("it hung up in the handshake: {e}"));
    stream.read_exact(&mut length).await.map_err(gone)?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > HANDSHAKE_BYTES_MAX {
        return Err(Error::Corrupt("what it sent is not a handshake".into()));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(gone)?;
    Ok(body)
}
