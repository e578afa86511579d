//! Accepts connections, and answers the handshakes that others begin.
//!
//! ```text
//! accept -> strangers (5 s) --first packet opens with a ring key--> keyed (5 s) -> Connected
//! ```
//!
//! Two pools (`slots`), each with slots of its own: a connection that has not shown the ring's key never
//! takes the slot of one that has. Until then a connection costs a descriptor, a task and at most 1 KiB;
//! after that a handshake. It decides nothing about who may stay: `core` does. Caveat: a first packet
//! that somebody recorded shows the key again; such a handshake never ends and is one of the keyed for
//! 5 s.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use super::event::{NewConnection, ServerEvent};
use super::handshake::{Credentials, HANDSHAKE_WAIT, Shaken, packet, ready, write};
use super::log_limiter::LogLimiter;
use super::slots::{ConnectionSlot, SlotPool, SourceNetwork};
use crate::channel::Handshake;
use crate::error::{Error, Result};
use crate::os::now;

/// How long a stranger may take to show the ring's key.
const STRANGER_WAIT: Duration = Duration::from_secs(5);
/// After an error of accept itself (no more file descriptors) nothing is accepted for this time.
pub(super) const ACCEPT_REST: Duration = Duration::from_millis(100);

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
pub(super) fn open(socket: TcpListener, listener: Listener) -> AbortHandle {
    let run = async move {
        loop {
            match socket.accept().await {
                Ok((stream, from)) => {
                    let slot = listener.strangers.enter(SourceNetwork::of(from.ip()));
                    drop(tokio::spawn(listener.clone().greet(stream, from, slot)));
                }
                Err(error) => {
                    if let Some(suppressed) = listener.log_limiter.allow() {
                        tracing::warn!(suppressed, "a connection was not accepted: {error}");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    };
    tokio::spawn(run).abort_handle()
}

/// What it takes to answer a handshake. See the module.
#[derive(Clone)]
pub(super) struct Listener {
    pub(super) credentials: Credentials,
    pub(super) strangers: SlotPool,
    pub(super) keyed: SlotPool,
    pub(super) log_limiter: LogLimiter,
    pub(super) sender: Sender<ServerEvent>,
}

impl Listener {
    /// A handshake that another began, to its end.
    async fn greet(self, stream: TcpStream, from: SocketAddr, slot: ConnectionSlot) {
        match self.answer(stream, from, slot).await {
            Ok(((stream, session, since), slot)) => {
                let from = from.to_string();
                let arrival = NewConnection { stream, session, since, dialled: None, from };
                drop(self.sender.send(ServerEvent::Connected(Box::new(arrival))).await);
                drop(slot);
            }
            Err(error) => {
                if let Some(suppressed) = self.log_limiter.allow() {
                    tracing::info!(%from, suppressed, "a handshake failed: {error}");
                }
            }
        }
    }

    async fn answer(
        &self,
        mut stream: TcpStream,
        from: SocketAddr,
        mut slot: ConnectionSlot,
    ) -> Result<(Shaken, ConnectionSlot)> {
        let crowded = || Error::Unreachable("it took too long, or there were too many".into());
        ready(&stream)?;
        let first = slot.during(STRANGER_WAIT, packet(&mut stream)).await;
        let first = first.ok_or_else(crowded)??;
        let Credentials { own, hello, .. } = &self.credentials;
        let (shake, reply) = Handshake::answer(&self.credentials.keys()?, own, hello, &first)?;
        let mut slot = self.keyed.enter(SourceNetwork::of(from.ip()));
        let since = now();
        let last = async {
            write(&mut stream, &reply).await?;
            packet(&mut stream).await
        };
        let last = slot.during(HANDSHAKE_WAIT, last).await.ok_or_else(crowded)??;
        Ok(((stream, shake.answered(&last)?, since), slot))
    }
}
