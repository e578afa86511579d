//! The Noise handshake and the session after it, sans-io. (Written next.)

use super::Hello;
use crate::error::Result;

/// Bytes of the longest parcel.
pub const PARCEL_BYTES_MAX: usize = 64 << 20;

/// A ring's keys: the first is used to dial, each is accepted from a dialler.
#[derive(Clone)]
pub struct RingKeys(Vec<[u8; 32]>);

/// A static key pair: a node's own, or a client's of the moment.
#[derive(Clone)]
pub struct Static {}

/// One side of a handshake that is not finished.
pub struct Handshake {}

/// What a finished handshake gives.
pub struct Opened {
    /// Makes frames of the parcels that are sent.
    pub sealer: Sealer,
    /// Makes parcels of the frames that come.
    pub opener: Opener,
    /// The other side's static public key, proven.
    pub remote: [u8; 32],
    /// What the other side said of itself.
    pub hello: Hello,
}

/// The sending direction.
pub struct Sealer {}

/// The receiving direction.
pub struct Opener {}

impl RingKeys {
    /// The keys of a ring; the first is used to dial.
    #[must_use]
    pub fn new(keys: Vec<[u8; 32]>) -> Self {
        Self(keys)
    }
}

impl Static {
    /// The pair of this secret.
    #[must_use]
    pub fn of(_secret: [u8; 32]) -> Self {
        unimplemented!()
    }

    /// A pair of fresh random bits, for a client of the moment.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn fresh() -> Result<Self> {
        unimplemented!()
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        unimplemented!()
    }
}

impl Handshake {
    /// Begins as the one who dials: the first frame, length included, to be sent.
    ///
    /// # Errors
    /// [`crate::error::Error::Corrupt`] for a defect of ours only.
    pub fn dial(_keys: &RingKeys, _own: &Static, _hello: &Hello) -> Result<(Self, Vec<u8>)> {
        unimplemented!()
    }

    /// Goes on with the answer (a frame's body): the last frame, to be sent, and the session.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] when the other side has not the ring's key.
    pub fn dialled(self, _body: &[u8]) -> Result<(Opened, Vec<u8>)> {
        unimplemented!()
    }

    /// Begins as the one who was dialled, with the body of the first frame, trying each key: the
    /// frame to be sent.
    ///
    /// # Errors
    /// As [`Handshake::dialled`].
    pub fn answer(
        _keys: &RingKeys,
        _own: &Static,
        _hello: &Hello,
        _body: &[u8],
    ) -> Result<(Self, Vec<u8>)> {
        unimplemented!()
    }

    /// Ends with the body of the dialler's last frame.
    ///
    /// # Errors
    /// As [`Handshake::dialled`].
    pub fn answered(self, _body: &[u8]) -> Result<Opened> {
        unimplemented!()
    }
}

impl Sealer {
    /// Appends the frames of a parcel, lengths included, to `out`.
    ///
    /// # Errors
    /// [`crate::error::Error::Denied`] for a parcel longer than [`PARCEL_BYTES_MAX`]; nothing is
    /// appended.
    pub fn seal(&mut self, _parcel: &[u8], _out: &mut Vec<u8>) -> Result<()> {
        unimplemented!()
    }
}

impl Opener {
    /// Takes the body of one frame; a parcel when this was its last piece.
    ///
    /// # Errors
    /// [`crate::error::Error::Corrupt`] for a frame that was not sealed by the other side, and for a
    /// parcel that grows beyond [`PARCEL_BYTES_MAX`]: the channel is of no use any more.
    pub fn open(&mut self, _body: &[u8]) -> Result<Option<Vec<u8>>> {
        unimplemented!()
    }
}
