//! The lobby: who comes in over a finished handshake, and what each kind of guest may say.
//!
//! ```text
//! static key of a member     -> Welcome { peer }, its messages go to the node
//! no node named, or unknown  -> Welcome, a client: its questions go to the desk
//! a client too many          -> the longest idle goes; all busy: it may ask what an operator asks
//! another ring, another's name -> Refused, and closed
//! a removed member           -> the document that removed it, Refused, and closed
//! ```
//!
//! The last one holds for whoever dialled, and for links that are open when the document changes.
//! A peer speaks for itself alone: the sender of a message is the one whose key opened the link. What
//! it does not do: it opens no sockets. Caveat: a member that this node does not know yet is let in as
//! a client, and comes again as a peer once the ring's document names it.

use super::core::{Core, twin};
use super::crowd::Source;
use super::event::Arrival;
use super::guests::Seat;
use super::link::{Clocks, Link};
use super::peers::{Conn, Who};
use crate::channel::{Ask, Fault, Hello, OtherClock, Parcel, STAMPS_SINCE};
use crate::error::{Error, Result, operand};
use crate::node::Event;
use crate::protocol::{Body, Message, WIRE_LOWEST};
use crate::ring::{NodeId, State};

/// Another process that is this node has shown life for so long, in ms: it is not our former self.
const TWIN_MS: u64 = 6_000;

impl Core {
    /// Lets a newcomer in, or tells it why not.
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        let Arrival { stream, opened, since, dialled, from } = arrival;
        let (number, now_ms) = (self.peers.number(), self.now_ms());
        let admitted = match dialled {
            Some(id) => self.check_dialled(id, &opened.remote, &opened.hello),
            None => self.admit(&opened.remote, &opened.hello),
        };
        let mut operator = false;
        let admitted = admitted.and_then(|who| {
            operator = who == Who::Client && self.is_over_full()?;
            Ok(who)
        });
        let source = stream.peer_addr().ok().map(|at| Source::of(at.ip()));
        let peer = !matches!(admitted, Ok(Who::Client) | Err(_));
        let (sealer, opener) = (opened.sealer, opened.opener);
        let guests = if peer { None } else { Some(&self.desk.guests) };
        let own = Hello::new(None, None);
        let stamped = own.version_with(&opened.hello).is_some_and(|v| v >= STAMPS_SINCE);
        let clocks = Clocks { began: self.began, since, stamped, other: OtherClock::default() };
        let link = Link::start(number, stream, sealer, opener, guests, clocks, self.tell.clone());
        let who = *admitted.as_ref().unwrap_or(&Who::Client);
        let wire = self.papers.hello.version_with(&opened.hello).unwrap_or(WIRE_LOWEST);
        let conn = Conn {
            link,
            who,
            dialled: dialled.is_some(),
            run: opened.hello.run,
            from,
            source,
            operator,
            since_ms: now_ms,
            last_ms: now_ms,
            wire,
        };
        self.peers.insert(number, conn);
        match admitted {
            Err(error) => {
                if let Some(unsaid) = self.quiet.may_say() {
                    tracing::warn!(from = self.from(number), unsaid, "refused: {error}");
                }
                self.refuse(number, opened.hello.node, &error);
                dialled.into_iter().for_each(|id| self.undialled(id));
            }
            Ok(Who::Pending(_)) => {}
            Ok(who) => {
                let welcome = Parcel::Welcome { peer: matches!(who, Who::Peer(_)) };
                self.peers.tell(number, welcome.encode());
                if let Who::Peer(id) = who {
                    self.raise(number, id);
                }
            }
        }
    }

    fn from(&self, number: u64) -> String {
        self.peers.conn(number).map_or_else(String::new, |c| c.from.clone())
    }

    /// Who somebody is that has come to us.
    fn admit(&self, key: &[u8; 32], hello: &Hello) -> Result<Who> {
        let doc = self.node.doc();
        self.check_wire(hello)?;
        if let Some(ring) = hello.ring
            && ring != doc.id
        {
            let text = format!("This node is of the ring {}, not of {ring}.", doc.id);
            return Err(Error::Denied(text).hint("check the addresses in peers.yaml"));
        }
        let Some(id) = hello.node else { return Ok(Who::Client) };
        if id == self.node.id() {
            let text = "This node is already running here.";
            return Err(Error::Denied(text.into()).hint(format!(
                "a copy of a node needs an identity of its own: kvs replace {}",
                operand(doc.name(id))
            )));
        }
        let Some(member) = doc.member(id) else { return Ok(Who::Client) };
        if member.public_key != *key {
            return Err(Error::Denied(format!(
                "The key is not that of the member {}.",
                member.name
            )));
        }
        match member.state {
            State::Removed => Err(removed(&member.name)),
            _ => self.check_run(id, hello).map(|()| Who::Peer(id)),
        }
    }

    /// Whether both have a wire version in common.
    fn check_wire(&self, hello: &Hello) -> Result<()> {
        let own = &self.papers.hello;
        if own.version_with(hello).is_some() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "This node speaks the wire versions {} to {}, the other {} to {}.",
            own.lowest, own.highest, hello.lowest, hello.highest
        ))
        .hint("upgrade the older one: a build speaks its own version and the one before"))
    }

    /// Whether another client is one too many, so that it may ask an operator's questions alone.
    fn is_over_full(&mut self) -> Result<bool> {
        let (clients, room) = (self.peers.clients(), self.bounds.clients);
        if clients < room {
            return Ok(false);
        }
        let asking = self.desk.links();
        if let Some(idle) = self.peers.idlest(|number| asking.contains(&number)) {
            if let Some(unsaid) = self.quiet.may_say() {
                let from = self.from(idle);
                tracing::warn!(
                    from,
                    unsaid,
                    "an idle client was closed to admit another: there are {clients}"
                );
            }
            self.peers.cut(idle);
            return Ok(false);
        }
        if clients < room + self.bounds.operators {
            return Ok(true);
        }
        Err(Error::Busy(format!("This node already has {clients} clients, and all are busy."))
            .hint("ask another node of the ring"))
    }

    /// Whether the one we have dialled is the one we meant.
    fn check_dialled(&self, id: NodeId, key: &[u8; 32], hello: &Hello) -> Result<Who> {
        let doc = self.node.doc();
        if hello.ring.is_some_and(|ring| ring != doc.id) {
            return Err(Error::Denied("A node of another ring answers there.".into()));
        }
        self.check_wire(hello)?;
        let known = doc.member(id).filter(|m| m.public_key == *key && hello.node == Some(id));
        if let Some(member) = known {
            // It may have been removed while it was being dialled.
            if member.state == State::Removed {
                return Err(removed(&member.name));
            }
            self.check_run(id, hello)?;
            return Ok(Who::Pending(id));
        }
        Err(Error::Denied(format!("It is not {} that answers there.", doc.name(id))))
    }

    /// One process of a node at a time: the first stays for as long as it shows life.
    fn check_run(&self, id: NodeId, hello: &Hello) -> Result<()> {
        let other = self.peers.has_other_run(id, hello.run);
        let name = self.node.doc().name(id);
        let text = || format!("Another process is {name}, and it is linked.");
        if other { Err(Error::Busy(text())) } else { Ok(()) }
    }

    /// A peer knows another process that is this node: a copy of its directory, or its own former
    /// self, which is taken for alive until its silence is noticed.
    fn hear_of_twin(&mut self) {
        let now = self.now_ms();
        if now >= *self.twin_ms.get_or_insert(now) + TWIN_MS {
            self.failed = Some(twin(&self.node.doc().name(self.node.id())));
        }
    }

    /// Tells the other end of a link why it may not stay; one that was removed hears it from the
    /// document.
    fn refuse(&mut self, number: u64, node: Option<NodeId>, error: &Error) {
        let doc = self.node.doc();
        let member = node.and_then(|id| doc.member(id));
        if member.is_some_and(|m| m.state == State::Removed) {
            let body = Body::Chosen(Box::new((**doc).clone()));
            let message = Message { ring: doc.id, version: doc.version, op: 0, body };
            let wire = self.peers.conn(number).map_or(WIRE_LOWEST, |c| c.wire);
            let parcel = Parcel::Message(Box::new(message)).encode_for(wire);
            parcel.into_iter().for_each(|bytes| self.peers.tell(number, bytes));
        }
        self.peers.tell(number, Parcel::Refused(Fault::from(error)).encode());
        self.peers.close(number);
    }

    /// Holds every link against the document, when that has changed.
    pub(super) fn check_links(&mut self) {
        let doc = self.node.doc().clone();
        if std::mem::replace(&mut self.checked, doc.version) == doc.version {
            return;
        }
        for (number, id) in self.peers.members() {
            if let Some(member) = doc.member(id).filter(|m| m.state == State::Removed) {
                tracing::info!(peer = member.name, "sent away: it was removed");
                self.refuse(number, Some(id), &removed(&member.name));
            }
        }
        self.see_alive();
    }

    /// A link is that of a peer from now on.
    fn raise(&mut self, number: u64, id: NodeId) {
        if !self.peers.raise(number, id) {
            return;
        }
        tracing::info!(peer = self.node.doc().name(id), "linked");
        self.twin_ms = None;
        self.see_alive();
        self.gossip_to(id, self.gossip.rows(), false);
    }

    fn undialled(&mut self, id: NodeId) {
        self.peers.undialled(id, self.now_ms());
    }

    pub(super) fn link_ended(&mut self, number: u64, why: Option<Error>) {
        let pending = match self.peers.conn(number).map(|c| c.who) {
            Some(Who::Pending(id)) => Some(id),
            _ => None,
        };
        if let Some(id) = self.peers.cut(number) {
            let why = why.map_or_else(|| "it hung up".into(), |e| e.to_string());
            tracing::info!(peer = self.node.doc().name(id), "link lost: {why}");
            self.see_alive();
        }
        pending.into_iter().for_each(|id| self.undialled(id));
    }

    pub(super) fn parcel(&mut self, number: u64, parcel: Parcel, seat: Option<Seat>, age_ms: u64) {
        let Some(who) = self.peers.conn(number).map(|c| c.who) else { return };
        self.peers.heard(number, self.now_ms());
        match (who, parcel) {
            (Who::Peer(id), Parcel::Message(mut message)) => {
                message.body.age(age_ms);
                self.message(id, *message);
            }
            (Who::Client, Parcel::Ask(ticket, mut ask)) => {
                if let Ask::Node(request) = &mut *ask {
                    request.age(age_ms);
                }
                self.asked(number, ticket, *ask, seat);
            }
            (Who::Pending(id), Parcel::Welcome { peer: true }) => self.raise(number, id),
            (Who::Pending(id), Parcel::Welcome { peer: false }) => {
                tracing::debug!(peer = self.node.doc().name(id), "it does not know us yet");
                self.peers.cut(number);
                self.peers.unknown(id, self.now_ms());
            }
            (Who::Pending(id), Parcel::Refused(fault)) => {
                let why = Error::from(fault);
                if let Some(unsaid) = self.quiet.may_say() {
                    tracing::warn!(peer = self.node.doc().name(id), unsaid, "it refuses us: {why}");
                }
                if matches!(why.root(), Error::Busy(_)) {
                    self.hear_of_twin();
                }
                self.peers.cut(number);
                self.undialled(id);
            }
            // Only a chosen document may come from one that refuses us: that we were removed.
            (Who::Pending(id), Parcel::Message(message))
                if matches!(message.body, Body::Chosen(_)) =>
            {
                self.events.push(Event::Message(id, *message));
            }
            // It is early with its first words, or speaks as what it is not.
            (Who::Pending(_), Parcel::Message(_)) => {}
            _ => self.link_ended(number, Some(Error::Denied("it speaks out of turn".into()))),
        }
    }
}

fn removed(name: &str) -> Error {
    Error::Denied(format!("{name} was removed from the ring."))
}
