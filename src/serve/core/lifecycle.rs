//! What a node says of itself, and how it comes to its end.
//!
//! ```text
//! stop -> no new work -> what is under way is finished -> peers.yaml, goodbye -> over
//! ```
//!
//! The end waits for the commits under way: what was acknowledged to a client is durable.

use super::{Core, Gossiped};
use crate::gossip::NodeHealth;
use crate::ring::{Member, MemberState};
use crate::serve::StopReason;
use crate::serve::liveness::Publish;

impl Core {
    /// Keeps what this node says of itself true.
    pub(super) fn publish(&mut self) {
        let health = match self.shutdown.health() {
            Some(health) => health,
            None if !self.node.is_ready() => NodeHealth::Starting,
            None if !self.node.has_room() => NodeHealth::Full,
            None if self.requests.is_draining() => NodeHealth::Draining,
            None => NodeHealth::Well,
        };
        let (actor, version) = (self.node.actor(), self.node.doc().version);
        if self.liveness.publish(actor, version, health) == Publish::Now {
            let row = self.liveness.own().clone();
            for peer in self.links.linked() {
                self.send_rows(peer, vec![row.clone()], Gossiped::Answer);
            }
        }
    }

    pub(super) fn write_addresses(&mut self) {
        let address = |member: &Member| self.liveness.address(member.id);
        self.address_book.write(self.node.doc(), self.node.id(), &address);
    }

    /// Begins to stop: no new work; what is under way is finished.
    pub(super) fn stop(&mut self) {
        if self.shutdown.is_running() {
            tracing::info!("stopping");
            drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
            self.setup.accepting.abort();
            self.node.rest(true);
            self.shutdown.begin(self.now_ms());
        }
    }

    pub(super) fn stop_tick(&mut self, now_ms: u64) {
        let idle = self.requests.is_idle() && self.node.is_coordinating_nothing();
        if !self.shutdown.is_finishing() || !idle && !self.shutdown.is_late(now_ms) {
            return;
        }
        self.write_addresses();
        self.shutdown.say_goodbye(now_ms);
        self.publish();
    }

    pub(super) fn stop_reason(&self) -> Option<StopReason> {
        if self.node.is_committing() {
            return None;
        }
        let own = self.node.doc().member(self.node.id());
        if own.is_some_and(|m| m.state == MemberState::Removed) {
            tracing::info!("this node is no longer a member of the ring");
            return Some(StopReason::Removed);
        }
        self.shutdown.is_over(self.now_ms()).then_some(StopReason::Stopped)
    }
}
