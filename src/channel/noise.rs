//! The Noise handshake, and the session after it: frames to packets and back.
//!
//! ```text
//! dialler                                     answerer
//! 1  psk, e         + Hello            ->     tries each ring key it accepts
//!                                      <-  2  e, ee, s, es + Hello
//! 3  s, se                             ->     knows the dialler's static key, proven
//!
//! packet   00 16 | 22 bytes             sealed(0 | "hello")           one frame, one piece
//! packet   ff ff | 65,535 bytes         sealed(1 | 65,518 bytes)      more of this frame follows
//! ```
//!
//! Packets are numbered by their order alone: one that is lost, repeated, swapped or altered does not
//! open, and nothing after it does. A frame's buffer grows with what has come, never with what was
//! announced. What it does not do: sockets, time limits, and whether a hello or a static key is a
//! member's; its caller asks that before it trusts either.
//!
//! Caveats: the first hello has no forward secrecy and may be replayed by anyone who recorded it; such a
//! handshake never ends. A packet's length can be seen by all.

use std::fmt;
use std::sync::Arc;

use snow::{Builder, HandshakeState, StatelessTransportState};
use x25519_dalek::{PublicKey, StaticSecret};

use super::Hello;
use crate::config::{Secret, fresh_key};
use crate::error::{Error, Result};

/// Bytes of the longest frame.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes of the longest packet of a handshake, without its length: a longer one is a stranger's.
pub const HANDSHAKE_BYTES_MAX: usize = 1_024;

const PATTERN: &str = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s";
/// Both sides must mean the same by what follows: a later form of packets gets another.
const PROLOGUE: &[u8] = b"kvs 1";

const LENGTH_BYTES: usize = 2;
const TAG_BYTES: usize = 16;
/// What fits in a packet of 65,535 bytes beside the tag and a piece's first byte.
const PIECE_BYTES_MAX: usize = u16::MAX as usize - TAG_BYTES - 1;

/// The first byte of a piece: the frame ends with it, or more follows.
const LAST: u8 = 0;
const MORE: u8 = 1;

/// A ring's keys: the first is used to dial, each is accepted from a dialler.
#[derive(Clone)]
pub struct RingKeys(Vec<Secret>);

/// A static key pair: a node's own, or a client's of the moment.
#[derive(Clone)]
pub struct Static {
    secret: Secret,
    public: [u8; 32],
}

/// One side of a handshake that is not finished.
#[derive(Debug)]
pub struct Handshake {
    noise: HandshakeState,
    /// The other side's, once it has come.
    hello: Option<Hello>,
}

/// What a finished handshake gives.
#[derive(Debug)]
pub struct Session {
    /// Makes packets of the frames that are sent.
    pub sealer: Sealer,
    /// Makes frames of the packets that come.
    pub opener: Opener,
    /// The other side's static public key, proven.
    pub remote: [u8; 32],
    /// What the other side said of itself.
    pub hello: Hello,
}

/// The sending direction.
#[derive(Debug)]
pub struct Sealer {
    session: Arc<StatelessTransportState>,
    sent: u64,
}

/// The receiving direction.
pub struct Opener {
    session: Arc<StatelessTransportState>,
    taken: u64,
    /// The pieces so far.
    frame: Vec<u8>,
    /// No frame may be longer.
    bytes_max: usize,
    /// A packet did not open: what comes after it has no meaning.
    broken: bool,
}

impl RingKeys {
    /// The keys of a ring; the first is used to dial.
    #[must_use]
    pub fn new(keys: Vec<Secret>) -> Self {
        Self(keys)
    }
}

impl Static {
    /// The pair of this secret.
    #[must_use]
    pub fn of(secret: Secret) -> Self {
        let public = PublicKey::from(&StaticSecret::from(secret)).to_bytes();
        Self { secret, public }
    }

    /// A pair of fresh random bits, for a client of the moment.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn fresh() -> Result<Self> {
        fresh_key().map(Self::of)
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.public
    }
}

impl Handshake {
    /// Begins as the one who dials: the first packet, length included, to be sent.
    ///
    /// # Errors
    /// [`Error::Denied`] without a ring key, [`Error::Corrupt`] for a defect of ours.
    pub fn dial(keys: &RingKeys, own: &Static, hello: &Hello) -> Result<(Self, Vec<u8>)> {
        let none = || Error::Denied("There is no ring key to dial with; nothing was sent.".into());
        let key = keys.0.first().ok_or_else(none)?;
        let mut noise = builder(key, own)?.build_initiator().map_err(|e| defect(&e))?;
        let packet = write(&mut noise, &greeting(hello)?)?;
        Ok((Self { noise, hello: None }, packet))
    }

    /// Goes on with the answer (a packet's body): the last packet, to be sent, and the session.
    ///
    /// # Errors
    /// [`Error::Denied`] when the other side has not the ring's key, [`Error::Corrupt`] for a hello
    /// that is none.
    pub fn dialled(mut self, body: &[u8]) -> Result<(Session, Vec<u8>)> {
        self.hello = Some(heard(&read(&mut self.noise, body)?)?);
        let packet = write(&mut self.noise, &[])?;
        Ok((self.open()?, packet))
    }

    /// Begins as the one who was dialled, with the body of the first packet, trying each key: the
    /// packet to be sent.
    ///
    /// # Errors
    /// As [`Handshake::dialled`].
    pub fn answer(
        keys: &RingKeys,
        own: &Static,
        hello: &Hello,
        body: &[u8],
    ) -> Result<(Self, Vec<u8>)> {
        for key in &keys.0 {
            // A state that met a wrong key is of no use: each key has its own.
            let mut noise = builder(key, own)?.build_responder().map_err(|e| defect(&e))?;
            if let Ok(said) = read(&mut noise, body) {
                let theirs = heard(&said)?;
                let packet = write(&mut noise, &greeting(hello)?)?;
                return Ok((Self { noise, hello: Some(theirs) }, packet));
            }
        }
        Err(other_key())
    }

    /// Ends with the body of the dialler's last packet.
    ///
    /// # Errors
    /// As [`Handshake::dialled`].
    pub fn answered(mut self, body: &[u8]) -> Result<Session> {
        read(&mut self.noise, body)?;
        self.open()
    }

    fn open(self) -> Result<Session> {
        let session = self.noise.into_stateless_transport_mode().map_err(|e| defect(&e))?;
        let remote = session.get_remote_static().and_then(|key| key.try_into().ok());
        let (Some(remote), Some(hello)) = (remote, self.hello) else { return Err(other_key()) };
        let session = Arc::new(session);
        let sealer = Sealer { session: session.clone(), sent: 0 };
        let opener = Opener {
            session,
            taken: 0,
            frame: Vec::new(),
            bytes_max: FRAME_BYTES_MAX,
            broken: false,
        };
        Ok(Session { sealer, opener, remote, hello })
    }
}

impl Sealer {
    /// Appends the packets of a frame, lengths included, to `out`.
    ///
    /// # Errors
    /// [`Error::Denied`] for a frame longer than [`FRAME_BYTES_MAX`]; nothing is appended.
    pub fn seal(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(Error::Denied(format!(
                "A frame of {} bytes is longer than {FRAME_BYTES_MAX}; it was not sent.",
                frame.len()
            )));
        }
        let mut rest = frame;
        loop {
            let (piece, after) = rest.split_at(rest.len().min(PIECE_BYTES_MAX));
            self.packet(if after.is_empty() { LAST } else { MORE }, piece, out)?;
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    fn packet(&mut self, mark: u8, piece: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let plain = [&[mark], piece].concat();
        let length = plain.len() + TAG_BYTES;
        debug_assert!(length <= usize::from(u16::MAX), "the length of a packet fits its two bytes");
        out.extend((length as u16).to_be_bytes());
        let at = out.len();
        out.resize(at + length, 0);
        self.session.write_message(self.sent, &plain, &mut out[at..]).map_err(|e| defect(&e))?;
        self.sent += 1;
        Ok(())
    }
}

impl Opener {
    /// Takes no frame longer than this many bytes, instead of [`FRAME_BYTES_MAX`].
    pub fn at_most(&mut self, bytes: usize) {
        self.bytes_max = bytes;
    }

    /// Takes the body of one packet; a frame when this was its last piece.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a packet that was not sealed by the other side, and for a frame that
    /// grows beyond what is taken: the channel is of no use any more, and every later packet is
    /// refused.
    pub fn open(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>> {
        let opened = if self.broken { Err(stranger()) } else { self.take(body) };
        if opened.is_err() {
            self.broken = true;
            self.frame = Vec::new();
        }
        opened
    }

    fn take(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>> {
        let length = body.len().checked_sub(TAG_BYTES).ok_or_else(stranger)?;
        let at = self.frame.len();
        self.frame.resize(at + length, 0);
        let plain = &mut self.frame[at..];
        let opened = self.session.read_message(self.taken, body, plain);
        let opened = opened.map_err(|_| stranger())?;
        debug_assert_eq!(opened, length, "a packet opens into what was sealed");
        self.taken += 1;
        let mark = plain.first().copied();
        self.frame.drain(at..at + usize::from(mark.is_some()));
        if self.frame.len() > self.bytes_max {
            return Err(Error::Corrupt(format!(
                "A frame grew beyond {} bytes; the connection is given up.",
                self.bytes_max
            )));
        }
        match mark {
            Some(LAST) => Ok(Some(std::mem::take(&mut self.frame))),
            Some(MORE) => Ok(None),
            _ => Err(stranger()),
        }
    }
}

/// The error of a handshake that fails, and of one the other side breaks off without a word: it does
/// so when the ring keys differ.
#[must_use]
pub fn other_key() -> Error {
    Error::Denied(
        "The other side has a different ring key, or is not a kvs node. Nothing was exchanged."
            .into(),
    )
    .hint(
        "compare the fingerprints of both sides' keys: kvs config show DIR, or kvs config show FILE \
         for the file that KVS_KEY_FILE names",
    )
}

fn builder<'a>(key: &'a Secret, own: &'a Static) -> Result<Builder<'a>> {
    let params = PATTERN.parse().map_err(|e| defect(&e))?;
    let named = Builder::new(params).prologue(PROLOGUE).and_then(|b| b.psk(0, key));
    named.and_then(|b| b.local_private_key(&own.secret)).map_err(|e| defect(&e))
}

/// A handshake's next packet, length included.
fn write(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>> {
    let mut packet = vec![0; LENGTH_BYTES + HANDSHAKE_BYTES_MAX];
    let length =
        noise.write_message(payload, &mut packet[LENGTH_BYTES..]).map_err(|e| defect(&e))?;
    packet.truncate(LENGTH_BYTES + length);
    packet[..LENGTH_BYTES].copy_from_slice(&(length as u16).to_be_bytes());
    Ok(packet)
}

/// What a handshake's next packet holds.
fn read(noise: &mut HandshakeState, body: &[u8]) -> Result<Vec<u8>> {
    if body.len() > HANDSHAKE_BYTES_MAX {
        return Err(other_key());
    }
    let mut payload = vec![0; body.len()];
    let length = noise.read_message(body, &mut payload).map_err(|_| other_key())?;
    payload.truncate(length);
    Ok(payload)
}

fn greeting(hello: &Hello) -> Result<Vec<u8>> {
    postcard::to_stdvec(hello)
        .map_err(|e| Error::Corrupt(format!("The hello cannot be encoded: {e}.")))
}

/// Bytes after those of a hello are a later build's: they are left alone.
fn heard(bytes: &[u8]) -> Result<Hello> {
    postcard::from_bytes(bytes)
        .map_err(|e| Error::Corrupt(format!("The other side's hello cannot be read: {e}.")))
}

fn stranger() -> Error {
    Error::Corrupt(
        "A packet was altered on its way, or is out of turn; the connection is given up.".into(),
    )
}

fn defect(error: &snow::Error) -> Error {
    Error::Corrupt(format!("The channel failed: {error}."))
}

impl fmt::Debug for RingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingKeys({} secret)", self.0.len())
    }
}

impl fmt::Debug for Static {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Static").field("public", &self.public).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.frame.len();
        f.debug_struct("Opener").field("taken", &self.taken).field("held", &held).finish()
    }
}

#[cfg(test)]
mod tests;
