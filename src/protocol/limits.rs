//! The bounds of what is taken from others: counts, sizes, numbers.
//!
//! Each is what an honest node of this build sends at most, or some times that. A message beyond one
//! is refused as a whole, before any of it is acted on.

use crate::quorum::ITEMS_MAX;

/// Keys of one read, records of one write, answers.
pub const KEYS_MAX: usize = 4 * ITEMS_MAX;
/// Records of one page.
pub const PAGE_MAX: usize = 65_536;
/// Partitions of one list: all there can be.
pub const PARTITIONS_LISTED_MAX: usize = 65_536;
/// Sums of one comparison.
pub const ARCS_MAX: usize = 4_096;
/// Partitions of which leaves are listed at once.
pub const LEAVES_MAX: usize = 8_192;
/// Bytes of all values of one write.
pub const PUT_BYTES_MAX: usize = 16 << 20;
/// Time a request may be allowed, in ms: 30 days.
pub const TIMEOUT_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// The last point in time that a value may expire at, in ms since 1970: about the year 287,000.
pub const EXPIRY_MS_MAX: u64 = 1 << 53;
/// The highest number of a ballot.
pub const BALLOT_MAX: u64 = 1 << 62;
/// An acceptor's promise rises by so much at once: no single ballot is beyond all others.
pub const BALLOT_JUMP: u64 = 1 << 40;
