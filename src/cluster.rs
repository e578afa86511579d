//! What a TARGET names, as one thing to ask: running nodes, or the directories of stopped ones.
//!
//! ```text
//! host:port,…  a running ring, by any of its nodes
//! r            a ring directory: every directory in it with a node.yaml
//! r/n1         one node
//! r/n1,r/n2    some nodes; members found in none of them are down
//! ```
//!
//! A directory whose node runs is reached through that node, and a ring directory with any running
//! node *is* that running ring: never half files, half sockets, except for jobs that look at single
//! nodes. Commands and jobs ask a [`Cluster`] and never see a driver.
//!
//! ```text
//! find opening -> live -> nodes (files, running, both) -> handle      a file uses those left of it
//! handle -> open; ask; views; running; data change explain; joining fit
//! ```
//!
//! It decides nothing about exit codes. Caveat: a node may start or end meanwhile; what was found at
//! the opening holds.

mod ask;
mod change;
mod data;
mod explain;
mod failures;
mod find;
mod fit;
mod handle;
mod joining;
mod live;
mod nodes;
mod open;
mod opening;
mod running;
mod view;
mod views;

pub use self::change::{GIVE_UP, Moves, is_applied};
pub use self::data::OnRecord;
pub use self::explain::{Actors, ExplainedCopy, Inspection, KeptHint, Standing, State, Superseded};
pub(crate) use self::failures::defect;
pub use self::find::{is_address, nodes_in, resolve};
pub use self::handle::Cluster;
pub use self::opening::Opening;
pub use self::view::View;
pub use crate::store::lmdb::Access;
