//! Jobs over a cluster that prove replicas equal or make them so: digest, diff, verify, repair.
//!
//! ```text
//! digest   sums as the files keep them             what the files were told to hold
//! verify   every record read and proven            what they really hold
//! diff     two nodes, key by key, with the causal verdict of each
//! repair   hints delivered, every node synced with every other, what filled declared full, and at the
//!          end all owners' sums compared: complete is what is equal, with nothing lost, bad or waiting
//! sync     whether copies are equal: as their totals say, or by a pass that proves it under load
//! ```
//!
//! Each returns a report; none prints. Caveat: digest, diff and verify look at single files, never
//! through a quorum.

mod check;
mod diff;
mod digest;
mod reach;
mod run;
mod sync;
mod verify;

pub use self::check::{
    Doubt, apart_still, bad_hints, describe, doubts, losses, unread_hints, unsound,
};
pub use self::diff::{Difference, OnDifference, Relation, Side, count, diff, shared};
pub use self::digest::{DigestRow, digest};
pub use self::run::{OnNode, RepairOptions, Report, deliver, repair, unsettled};
pub use self::sync::{SyncPeers, apart, sync_pass};
pub use self::verify::{Findings, verify_node};
