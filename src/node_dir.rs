//! A node's directory: what lies in it, how it is made, opened and set aside.
//!
//! ```text
//! node.yaml    its configuration                  node.key   its own key
//! peers.yaml   where the others listen            ring.key   the key, or keys, of the ring
//! data.mdb     records, hints, ring document      kvs.id     who it is, and how far it has counted
//! kvs.lock     who has it open                    lock.mdb   LMDB's readers
//!
//! create       a directory appears whole or not at all; a new ring, a member that joins
//! provision    the same on the host where the node will live, whose secret never leaves it
//! open         files checked, lock taken, data and node opened
//! keys access  could its node run; may this user write it
//! aside joining peers   moved aside and put back; who would join from it; who else is near
//! ```
//!
//! Every driver of nodes and every command that makes or moves a directory comes through here. It
//! drives no node and knows of no ring as a whole: the embedded driver and `cluster` do. Caveat: other
//! processes may look into a directory at any time; only its lock keeps two from writing.

mod access;
mod aside;
mod create;
mod files;
mod joining;
mod keys;
mod open;
mod peers;
mod provision;

pub use self::access::{barred, is_closed, is_full, refuse_unwritable};
pub use self::aside::{put_back, set_aside};
pub use self::create::{MemberSpec, RingSpec, create_member, create_ring};
pub use self::files::{NODE_KEY, OLD_NODE_FILE, RING_KEY};
pub use self::joining::{found_member, would_join};
pub use self::keys::{Keys, fit_to_run, fit_to_run_again, keys};
pub use self::open::{
    Mode, OpenDir, configured, is_damage, is_odd, open_dir, open_node, refuse_irregular,
};
pub use self::peers::{addresses, neighbours, peers};
pub use self::provision::{Made, Provision, create_node_dir, identity};
