//! Connects to peers, and begins the handshakes.
//!
//! ```text
//! dial -> connect (2 s) -> handshake (5 s with it) -> Connected | DialFailed
//! ```
//!
//! It dials when it is told to; `links` knows when that is, `admission` whether the node that answers is the one that
//! was meant.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::event::{NewConnection, ServerEvent};
use super::handshake::{Credentials, HANDSHAKE_WAIT, Shaken, packet, ready, write};
use crate::channel::{Handshake, other_key};
use crate::error::{Error, Result};
use crate::os::now;
use crate::ring::NodeId;

/// How long a connection may take.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// Dials a peer and tells the core how it went.
pub(super) fn dial(
    id: NodeId,
    address: String,
    credentials: Credentials,
    sender: Sender<ServerEvent>,
) {
    let run = async move {
        let dialled = match timeout(HANDSHAKE_WAIT, reach(&address, &credentials)).await {
            Ok(dialled) => dialled,
            Err(_) => Err(Error::Unreachable("no answer in time".into())),
        };
        let event = match dialled {
            Ok((stream, session, since)) => {
                let dialled = Some(id);
                ServerEvent::Connected(Box::new(NewConnection {
                    stream,
                    session,
                    since,
                    dialled,
                    from: address,
                }))
            }
            Err(error) => ServerEvent::DialFailed(id, error),
        };
        drop(sender.send(event).await);
    };
    drop(tokio::spawn(run));
}

async fn reach(address: &str, credentials: &Credentials) -> Result<Shaken> {
    let unreachable = |e: std::io::Error| Error::Unreachable(format!("{address}: {e}"));
    let connected = timeout(CONNECT_WAIT, TcpStream::connect(address)).await;
    let mut stream = connected
        .map_err(|_| Error::Unreachable(format!("{address}: no answer in time")))?
        .map_err(unreachable)?;
    ready(&stream)?;
    let (shake, first) =
        Handshake::dial(&credentials.keys()?, &credentials.own, &credentials.hello)?;
    write(&mut stream, &first).await?;
    // A node with another key breaks off without a word.
    let reply = packet(&mut stream).await.map_err(|_| other_key())?;
    let (session, last) = shake.dialled(&reply)?;
    let since = now();
    write(&mut stream, &last).await?;
    Ok((stream, session, since))
}
