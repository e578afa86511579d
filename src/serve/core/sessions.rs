//! Links that open, end and change their meaning, and what follows for who is up.
//!
//! ```text
//! Connected -> admitted? -> a client: Welcome       a peer: Welcome, and gossip at once
//!                       \-> Refused with the reason, closed
//! dialled   -> Pending until the other end says Welcome
//! ```
//!
//! Whom to let in is decided in `admission`, which link of two stays in `links`; here it is carried out.
//! A peer speaks for itself alone: the sender of a message is the one whose key opened the link.

use super::{Core, Gossiped};
use crate::channel::{Frame, OtherClock, STAMPS_SINCE};
use crate::error::{Error, Result};
use crate::node::Event;
use crate::protocol::{Body, Message, WIRE_LOWEST};
use crate::ring::{MemberState, NodeId};
use crate::serve::admission::{
    Admission, ClientPlace, duplicate_process, removed, room_for_client,
};
use crate::serve::dialer;
use crate::serve::event::NewConnection;
use crate::serve::id::LinkId;
use crate::serve::link::{LinkClocks, LinkHandle};
use crate::serve::links::{ClientService, Connection, RemoteEnd};
use crate::serve::slots::SourceNetwork;

impl Core {
    /// Lets a newcomer in, or tells it why not.
    pub(super) fn connected(&mut self, connection: NewConnection) {
        let NewConnection { stream, session, since, dialled, from } = connection;
        let (id, now_ms) = (self.links.next_id(), self.now_ms());
        let admission = Admission {
            doc: self.node.doc(),
            own: self.node.id(),
            hello: &self.setup.credentials.hello,
            links: &self.links,
        };
        let admitted = match dialled {
            Some(peer) => admission.check_dialled(peer, &session.remote, &session.hello),
            None => admission.accept(&session.remote, &session.hello),
        };
        let admitted = admitted.and_then(|end| match end {
            RemoteEnd::Client => self.client_service().map(|service| (end, service)),
            RemoteEnd::Peer(_) | RemoteEnd::Pending(_) => Ok((end, ClientService::Full)),
        });
        let (end, service) =
            *admitted.as_ref().unwrap_or(&(RemoteEnd::Client, ClientService::Full));
        let budget = (end == RemoteEnd::Client).then(|| self.requests.budget());
        let wire = self.setup.credentials.hello.version_with(&session.hello);
        let wire = wire.unwrap_or(WIRE_LOWEST);
        let (began, stamped) = (self.setup.began, wire >= STAMPS_SINCE);
        let clocks = LinkClocks { began, since, stamped, other: OtherClock::default() };
        let source = stream.peer_addr().ok().map(|at| SourceNetwork::of(at.ip()));
        let (sealer, opener) = (session.sealer, session.opener);
        let sender = self.setup.sender.clone();
        let handle = LinkHandle::start(id, stream, sealer, opener, budget, clocks, sender);
        let conn = Connection {
            handle,
            remote_end: end,
            dialled: dialled.is_some(),
            run: session.hello.run,
            from,
            source,
            service,
            since_ms: now_ms,
            last_ms: now_ms,
            wire,
        };
        self.links.insert(id, conn);
        match admitted {
            Err(error) => {
                if let Some(suppressed) = self.log_limiter.allow() {
                    tracing::warn!(from = self.links.from(id), suppressed, "refused: {error}");
                }
                self.refuse(id, session.hello.node, &error);
                dialled.into_iter().for_each(|peer| self.dial_failed(peer));
            }
            Ok((RemoteEnd::Pending(_), _)) => {}
            Ok((RemoteEnd::Client, _)) => {
                self.links.queue(id, Frame::Welcome { peer: false }.encode());
            }
            Ok((RemoteEnd::Peer(peer), _)) => {
                self.links.queue(id, Frame::Welcome { peer: true }.encode());
                self.promote(id, peer);
            }
        }
    }

    /// What a new client may ask for; an idle one may have to go for it.
    fn client_service(&mut self) -> Result<ClientService> {
        let waiting = self.requests.waiting_links();
        match room_for_client(&self.links, &waiting, &self.setup.limits)? {
            ClientPlace::For(service) => Ok(service),
            ClientPlace::InPlaceOf(idle) => {
                if let Some(suppressed) = self.log_limiter.allow() {
                    let (from, clients) = (self.links.from(idle), self.links.clients());
                    tracing::warn!(
                        from,
                        suppressed,
                        "an idle client was closed to admit another: there are {clients}"
                    );
                }
                self.links.cut(idle);
                Ok(ClientService::Full)
            }
        }
    }

    /// Holds every link against the document, when that has changed.
    pub(super) fn check_links(&mut self) {
        let doc = self.node.doc().clone();
        if std::mem::replace(&mut self.checked, doc.version) == doc.version {
            return;
        }
        for (link, id) in self.links.members() {
            if let Some(member) = doc.member(id).filter(|m| m.state == MemberState::Removed) {
                tracing::info!(peer = member.name, "sent away: it was removed");
                self.refuse(link, Some(id), &removed(&member.name));
            }
        }
        self.update_liveness();
    }

    /// A link is that of a peer from now on.
    fn promote(&mut self, link: LinkId, id: NodeId) {
        if !self.links.promote(link, id) {
            return;
        }
        tracing::info!(peer = self.node.doc().name(id), "linked");
        self.duplicates.clear();
        self.update_liveness();
        self.send_rows(id, self.liveness.rows(), Gossiped::Push);
    }

    fn dial_failed(&mut self, id: NodeId) {
        self.links.dial_failed(id, self.now_ms());
    }

    pub(super) fn link_closed(&mut self, link: LinkId, why: Option<Error>) {
        let pending = match self.links.conn(link).map(|c| c.remote_end) {
            Some(RemoteEnd::Pending(id)) => Some(id),
            _ => None,
        };
        if let Some(id) = self.links.cut(link) {
            let why = why.map_or_else(|| "it hung up".into(), |e| e.to_string());
            tracing::info!(peer = self.node.doc().name(id), "link lost: {why}");
            self.update_liveness();
        }
        pending.into_iter().for_each(|id| self.dial_failed(id));
    }

    /// What a peer says that this node has dialled and that has not let it in yet.
    pub(super) fn dialled(&mut self, link: LinkId, id: NodeId, frame: Frame) {
        let peer = self.node.doc().name(id);
        match frame {
            Frame::Welcome { peer: true } => self.promote(link, id),
            Frame::Welcome { peer: false } => {
                tracing::debug!(peer, "it does not know us yet");
                self.links.cut(link);
                self.links.unknown(id, self.now_ms());
            }
            Frame::Refused(fault) => {
                let why = Error::from(fault);
                if let Some(suppressed) = self.log_limiter.allow() {
                    tracing::warn!(peer, suppressed, "it refuses us: {why}");
                }
                if matches!(why.root(), Error::Busy(_)) && self.duplicates.is_certain(self.now_ms())
                {
                    self.failed = Some(duplicate_process(&self.own_name()));
                }
                self.links.cut(link);
                self.dial_failed(id);
            }
            // Only a chosen document may come from one that refuses us: that we were removed.
            Frame::Message(message) if matches!(message.body, Body::Chosen(_)) => {
                self.events.push(Event::Message(id, *message));
            }
            // It is early with its first words, or speaks as what it is not.
            Frame::Message(_) => {}
            _ => self.link_closed(link, Some(Error::Denied("it speaks out of turn".into()))),
        }
    }

    pub(super) fn dial_all(&mut self, now_ms: u64) {
        if !self.shutdown.is_running() {
            return;
        }
        let own = self.node.id();
        for id in self.node.doc().present().map(|m| m.id).filter(|id| *id != own) {
            let Some(address) = self.liveness.address(id) else { continue };
            if self.links.is_due(id, now_ms) {
                let (credentials, sender) = (&self.setup.credentials, &self.setup.sender);
                dialer::dial(id, address, credentials.clone(), sender.clone());
            }
        }
    }

    pub(super) fn message(&mut self, from: NodeId, mut message: Message) {
        if let Body::Gossip { rows, answer } = &mut message.body {
            let rows = std::mem::take(rows);
            let news = self.liveness.merge(from, rows, self.node.doc(), self.now_ms());
            if !*answer && !news.is_empty() {
                self.send_rows(from, news, Gossiped::Answer);
            }
            self.update_liveness();
        }
        // Of gossip too the node hears: the version of the ring that its sender acts under.
        self.events.push(Event::Message(from, message));
    }

    /// Tells the node whose links have ended, whether they were taken to be up or not, and who can be
    /// reached.
    pub(super) fn update_liveness(&mut self) {
        let changes = self.liveness.update(self.now_ms(), self.links.linked());
        let lost = self.links.take_lost();
        if lost.is_empty() && changes.is_empty() {
            return;
        }
        for id in &changes.down {
            tracing::warn!(peer = self.node.doc().name(*id), "considered down");
        }
        for id in &changes.up {
            tracing::info!(peer = self.node.doc().name(*id), "up");
        }
        self.maintenance.wake();
        self.events.extend(lost.into_iter().map(Event::Cut));
        self.events.push(Event::Alive(self.liveness.alive().clone()));
    }
}
