//! The embedded driver: all nodes of a ring in this process, over their directories.
//!
//! It opens node directories, hands messages from node to node in memory, commits each node's batch
//! to its file, several files at once, and answers requests. The network is instant and loses
//! nothing; a member whose directory is not open is down. The code that decides is the same
//! [`Node`](crate::node::Node) that a running node uses.
//!
//! ```text
//! request -> node n1 -> [messages] -> n2, n3        until nothing moves
//!            commits of n1 | n2 | n3 in parallel    until nothing waits
//!            still no reply: time passes, in steps
//! ```
//!
//! What it does not do: it knows no commands, no formats, and never prints; what a person should
//! know comes back as [`Embed::warnings`]. Caveat: its time only moves when nothing else does, so
//! timeouts of nodes that are down cost nothing.

mod open;
mod pump;
mod recover;
mod state;
mod stream;

pub use self::open::RingOpening;
pub use self::state::Embed;
pub use self::stream::{RequestFeed, Sink};
