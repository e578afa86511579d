//! The encrypted channel between two ends of a ring, and the frames that travel over it.
//!
//! Noise `XXpsk0_25519_ChaChaPoly_BLAKE2s`: the ring's key lets a connection in, the static key of each node
//! proves which node it is. No clear text, no certificates, no wall clocks. It is *sans-io*: bytes in, bytes
//! out, so that the event loop of a node and the blocking client use the same code.
//!
//! ```text
//! packet   length u16 BE | Noise message of at most 65,535 bytes    no length can claim more
//! frame    one or more pieces: more-follows u8 | bytes              at most 64 MiB together
//! ```
//!
//! What it does not do: sockets, time limits, or what a frame means.
//! Caveat: the ring's key is known to every node and client; it proves belonging, not identity.

mod frame;
mod load;
mod noise;
mod stamp;

pub use self::frame::{
    ClientRequest, ClientResponse, Fault, Frame, Hello, Info, MemberView, RequestId, StoreQuery,
    StoreResult,
};
pub use self::load::{BUCKETS, End, Load, p99};
pub use self::noise::*;
pub use self::stamp::{Arrival, OtherClock, STAMPS_SINCE};
