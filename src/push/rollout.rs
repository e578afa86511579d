//! A fleet is made what its plan says, or is operated: all that connects, changes hosts, and waits for
//! the ring.
//!
//! ```text
//! PushSession         connections, ring, facts, plan                                    session
//! apply           walks the phases of a plan                                        apply
//!   bootstrap     documents, births and changes of the ring                         bootstrap
//!   turns         batches, and going back                                           rolling_restart
//! operate         start, stop, restart, rollback, destroy, shrink                   ops
//! ```
//!
//! What is to be done is decided in [`super::plan`]; what a host has to do for it is a script of
//! [`super::remote`].

mod apply;
mod bootstrap;
mod fleet_lock;
mod health_checks;
mod host_pool;
mod ops;
mod report;
mod ring_client;
mod rolling_restart;
mod session;

pub use self::apply::apply;
pub use self::host_pool::{Connect, HostPool};
pub use self::ops::{Verb, destroy, logs, operate, shrink};
pub use self::report::{ReportRow, RolloutReport};
pub use self::ring_client::{RingClient, address};
pub use self::session::PushSession;
