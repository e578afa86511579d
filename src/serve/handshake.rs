//! What the handshakes of both directions share: the keys, the packets, the time they may take.
//!
//! ```text
//! length u16 BE | at most 1,024 bytes       a longer one is no handshake of ours
//! ```
//!
//! The ring's keys are read from their file for each handshake, so that a rotation needs no restart.
//! What it does not do: it opens no connection; `listener` and `dialer` do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::channel::{HANDSHAKE_BYTES_MAX, Hello, RingKeys, Session, Static};
use crate::config;
use crate::error::{Error, Result};

/// How long a handshake may take.
pub(super) const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);

/// What a handshake needs of this side.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) key_file: PathBuf,
    pub(super) own: Static,
    pub(super) hello: Hello,
}

impl Credentials {
    /// The keys of the ring, as they are at this moment.
    pub(super) fn keys(&self) -> Result<RingKeys> {
        config::read_keys(&self.key_file).map(RingKeys::new)
    }
}

/// A connection whose handshake is done, and when this side said its last word of it.
pub(super) type Shaken = (TcpStream, Session, Instant);

/// Answers leave at once, not when more has gathered.
pub(super) fn ready(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true).map_err(|e| Error::Unreachable(e.to_string()))
}

pub(super) async fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    stream.write_all(bytes).await.map_err(|e| Error::Unreachable(e.to_string()))
}

/// A packet of the handshake: short, or none of ours.
pub(super) async fn packet(stream: &mut TcpStream) -> Result<Vec<u8>> {
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
