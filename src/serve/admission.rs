//! Admission: who comes in over a finished handshake, and as what.
//!
//! ```text
//! static key of a member         -> a peer: its messages go to the node
//! no node named, or unknown      -> a client: its requests are answered
//! a client too many              -> the longest idle goes; all busy: it may ask what an operator asks
//! another ring, another's name   -> Refused, and closed
//! a removed member               -> the document that removed it, Refused, and closed
//! ```
//!
//! The last one holds for both ends, whoever dialled, and for links that are open when the document
//! changes. It decides only: `core` carries the decisions out. Caveat: a member that this node does not
//! know yet is let in as a client, and comes again as a peer once the ring's document names it.

use std::collections::BTreeSet;

use super::id::LinkId;
use super::links::{ClientService, LinkTable, RemoteEnd};
use crate::channel::Hello;
use crate::error::{Error, Result, operand};
use crate::ring::{MemberState, NodeId, RingDoc};

/// A process that is taken for this node and has shown life for this time, in ms, is not our former self.
const DUPLICATE_MS: u64 = 6_000;

/// What the decision whom to let in is based on.
pub(super) struct Admission<'a> {
    pub(super) doc: &'a RingDoc,
    pub(super) own: NodeId,
    /// What this node says of itself in a handshake.
    pub(super) hello: &'a Hello,
    pub(super) links: &'a LinkTable,
}

impl Admission<'_> {
    /// Who it is that has dialled this node.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Busy`] or [`Error::Usage`] with the reason that the other end hears.
    pub(super) fn accept(&self, key: &[u8; 32], hello: &Hello) -> Result<RemoteEnd> {
        let doc = self.doc;
        self.check_wire(hello)?;
        if let Some(ring) = hello.ring
            && ring != doc.id
        {
            let text = format!("This node is of the ring {}, not of {ring}.", doc.id);
            return Err(Error::Denied(text).hint("check the addresses in peers.yaml"));
        }
        let Some(id) = hello.node else { return Ok(RemoteEnd::Client) };
        if id == self.own {
            let text = "This node is already running here.";
            return Err(Error::Denied(text.into()).hint(format!(
                "a copy of a node needs an identity of its own: kvs replace {}",
                operand(doc.name(id))
            )));
        }
        let Some(member) = doc.member(id) else { return Ok(RemoteEnd::Client) };
        if member.public_key != *key {
            return Err(Error::Denied(format!(
                "The key is not that of the member {}.",
                member.name
            )));
        }
        match member.state {
            MemberState::Removed => Err(removed(&member.name)),
            _ => self.check_run(id, hello).map(|()| RemoteEnd::Peer(id)),
        }
    }

    /// Whether the node that this one has dialled is the one it meant.
    ///
    /// # Errors
    /// As [`Admission::accept`].
    pub(super) fn check_dialled(
        &self,
        id: NodeId,
        key: &[u8; 32],
        hello: &Hello,
    ) -> Result<RemoteEnd> {
        let doc = self.doc;
        if hello.ring.is_some_and(|ring| ring != doc.id) {
            return Err(Error::Denied("A node of another ring answers there.".into()));
        }
        self.check_wire(hello)?;
        let known = doc.member(id).filter(|m| m.public_key == *key && hello.node == Some(id));
        if let Some(member) = known {
            // It may have been removed while it was being dialled.
            if member.state == MemberState::Removed {
                return Err(removed(&member.name));
            }
            self.check_run(id, hello)?;
            return Ok(RemoteEnd::Pending(id));
        }
        Err(Error::Denied(format!("It is not {} that answers there.", doc.name(id))))
    }

    /// Whether both have a wire version in common.
    fn check_wire(&self, hello: &Hello) -> Result<()> {
        let own = self.hello;
        if own.version_with(hello).is_some() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "This node speaks the wire versions {} to {}, the other {} to {}.",
            own.lowest, own.highest, hello.lowest, hello.highest
        ))
        .hint("upgrade the older one: a build speaks its own version and the one before"))
    }

    /// One process of a node at a time: the first stays for as long as it shows life.
    fn check_run(&self, id: NodeId, hello: &Hello) -> Result<()> {
        match self.links.has_other_run(id, hello.run) {
            true => {
                let name = self.doc.name(id);
                Err(Error::Busy(format!("Another process is {name}, and it is linked.")))
            }
            false => Ok(()),
        }
    }
}

/// Where a new client finds room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClientPlace {
    /// There is some.
    For(ClientService),
    /// This idle client has to go for it.
    InPlaceOf(LinkId),
}

/// Finds room for one more client beside those that wait for responses (`waiting`).
///
/// # Errors
/// [`Error::Busy`] when all clients are busy, and the places for operators are taken too.
pub(super) fn room_for_client(
    links: &LinkTable,
    waiting: &BTreeSet<LinkId>,
    limits: &super::connection_limits::ConnectionLimits,
) -> Result<ClientPlace> {
    let clients = links.clients();
    if clients < limits.clients {
        return Ok(ClientPlace::For(ClientService::Full));
    }
    if let Some(idle) = links.idlest(|link| waiting.contains(&link)) {
        return Ok(ClientPlace::InPlaceOf(idle));
    }
    if clients < limits.clients + limits.operators {
        return Ok(ClientPlace::For(ClientService::OperatorsOnly));
    }
    Err(Error::Busy(format!("This node already has {clients} clients, and all are busy."))
        .hint("ask another node of the ring"))
}

/// Since when peers say that another process is this node: a copy of its directory, or its own former
/// self, which is taken for alive until its silence is noticed.
#[derive(Default)]
pub(super) struct DuplicateWatch(Option<u64>);

impl DuplicateWatch {
    /// A peer says so; whether it cannot be the former self any more.
    pub(super) fn is_certain(&mut self, now_ms: u64) -> bool {
        now_ms >= *self.0.get_or_insert(now_ms) + DUPLICATE_MS
    }

    /// A peer took this process for the node.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

/// The end of a node that is not the only one of its identity.
pub(super) fn duplicate_process(name: &str) -> Error {
    let text = "Another process runs with this node's identity, so this one stopped.";
    let name = operand(name);
    let hint = format!("end one of them; a copy needs an identity of its own: kvs replace {name}");
    Error::Denied(text.into()).hint(hint)
}

/// Why a member that was removed may not stay.
pub(super) fn removed(name: &str) -> Error {
    Error::Denied(format!("{name} was removed from the ring."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_self_is_gone_after_six_seconds() {
        let mut watch = DuplicateWatch::default();
        assert!(!watch.is_certain(100) && !watch.is_certain(6_099) && watch.is_certain(6_100));
        watch.clear();
        assert!(!watch.is_certain(9_000));
    }
}
