//! Which members are up, and what this node says of itself: gossip, held against the links there are.
//!
//! ```text
//! up = linked and phi below 8          linked, phi 9: taken to be down, requests go elsewhere
//! ```
//!
//! It sends nothing: `core` carries its rows to others. Caveat: a member without a link is never up,
//! however recently others have heard of it.

use std::collections::BTreeSet;

use crate::channel::MemberView;
use crate::clock::Actor;
use crate::gossip::{Gossip, GossipRow, NodeHealth};
use crate::ring::{MemberState, NodeId, RingDoc};

/// Another process has this node's identity when its own row came back newer this often.
const ECHOES_MAX: u32 = 5;

/// See the module.
pub(super) struct Liveness {
    gossip: Gossip,
    alive: BTreeSet<NodeId>,
}

/// Who is up, or not, since the last look.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) down: Vec<NodeId>,
    pub(super) up: Vec<NodeId>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.down.is_empty() && self.up.is_empty()
    }
}

/// What a change of the own row calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publish {
    /// The next rounds of gossip carry it, if there is anything to carry.
    Later,
    /// Every peer has to know at once: waiting for a round would cost requests.
    Now,
}

impl Liveness {
    pub(super) fn new(gossip: Gossip) -> Self {
        Self { gossip, alive: BTreeSet::new() }
    }

    /// The peers that are up.
    pub(super) fn alive(&self) -> &BTreeSet<NodeId> {
        &self.alive
    }

    /// Where a member can be reached, as far as is known.
    pub(super) fn address(&self, id: NodeId) -> Option<String> {
        self.gossip.row(id).map(|row| row.address.clone()).filter(|address| !address.is_empty())
    }

    /// What this node says of itself.
    pub(super) fn own(&self) -> &GossipRow {
        self.gossip.own()
    }

    /// Every row, to be pushed.
    pub(super) fn rows(&self) -> Vec<GossipRow> {
        self.gossip.rows()
    }

    /// Time has passed; the linked peers to exchange rows with now.
    pub(super) fn tick(&mut self, now_ms: u64, linked: &[NodeId]) -> Vec<NodeId> {
        self.gossip.tick(now_ms, linked)
    }

    /// Takes rows from a peer; those that it knows less well. Rows of nodes that are no members are
    /// passed over: gossip must not bring back who was removed.
    pub(super) fn merge(
        &mut self,
        from: NodeId,
        mut rows: Vec<GossipRow>,
        doc: &RingDoc,
        now_ms: u64,
    ) -> Vec<GossipRow> {
        let present = |id| doc.member(id).is_some_and(|m| m.state != MemberState::Removed);
        rows.retain(|row| present(row.id));
        let news = self.gossip.merge(from, rows, now_ms);
        self.gossip.retain(present);
        news
    }

    /// Keeps the own row true.
    pub(super) fn publish(&mut self, actor: Actor, version: u64, health: NodeHealth) -> Publish {
        let own = self.gossip.own();
        if (own.actor, own.version, own.health) == (actor, version, health) {
            return Publish::Later;
        }
        let publish = if own.health == health { Publish::Later } else { Publish::Now };
        self.gossip.set(|row| (row.actor, row.version, row.health) = (actor, version, health));
        publish
    }

    /// Whether another process says of itself that it is this node.
    pub(super) fn has_duplicate(&self) -> bool {
        self.gossip.echoes() > ECHOES_MAX
    }

    /// Looks again who is up.
    pub(super) fn update(&mut self, now_ms: u64, linked: Vec<NodeId>) -> Changes {
        let up = linked.into_iter().filter(|id| self.gossip.is_up(*id, now_ms)).collect();
        let before = std::mem::replace(&mut self.alive, up);
        Changes {
            down: before.difference(&self.alive).copied().collect(),
            up: self.alive.difference(&before).copied().collect(),
        }
    }

    /// What is known of each member of the ring that was heard of.
    pub(super) fn members(&self, doc: &RingDoc, now_ms: u64) -> Vec<MemberView> {
        let own = self.gossip.own().id;
        let view = |id| {
            let row = self.gossip.row(id)?.clone();
            let up = id == own || self.alive.contains(&id);
            let (phi, silent_ms) = match id == own {
                true => (0.0, 0),
                false => (self.gossip.phi(id, now_ms), self.gossip.silent_ms(id, now_ms)),
            };
            Some(MemberView { row, up, phi, silent_ms })
        };
        doc.present().filter_map(|member| view(member.id)).collect()
    }
}
