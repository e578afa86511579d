//! Requests of clients, from the frame to the response.
//!
//! ```text
//! Request(7, Node(Get k)) -> ticket 41 -> the node ... -> Reply(41) -> Response(7, Reply)
//!                             every second meanwhile:       Response(7, Busy)
//! Request(8, File(Sums))  -> read from the file at once
//! ```
//!
//! A node that has not heard its witnesses keeps requests for data until it has, or their time is over.
//! One that drains or stops sends clients elsewhere before anything of their request is done. Caveat:
//! the client may be gone when the reply comes; its request is carried out all the same.

use super::Core;
use crate::channel::{ClientRequest, ClientResponse, Info, Load};
use crate::error::{Error, Result};
use crate::node::{Event, Reply, Request};
use crate::os::wall_ms;
use crate::serve::id::{Requester, Ticket};
use crate::serve::limits::RequestPermit;
use crate::serve::links::ClientService;
use crate::serve::requests::is_operators;
use crate::serve::{status, store_query};
use crate::store::Store;

impl Core {
    /// Answers a client's request, or has it answered.
    pub(super) fn request(
        &mut self,
        asker: Requester,
        request: ClientRequest,
        permit: Option<RequestPermit>,
    ) {
        let service = self.links.conn(asker.link).map_or(ClientService::Full, |c| c.service);
        if service == ClientService::OperatorsOnly && !is_operators(&request) {
            let text = "This node has reached its limit of clients; nothing was tried.";
            let error = Error::Busy(text.into()).hint("ask another node of the ring");
            return self.respond_fault(asker, &error);
        }
        if let Err(error) = request.check(self.node.doc()) {
            tracing::warn!("a question was refused: {error}");
            return self.respond_fault(asker, &error);
        }
        let response = match request {
            ClientRequest::Node(request) => return self.node_request(asker, request, permit),
            ClientRequest::Drain(true) => return self.drain(asker),
            ClientRequest::Drain(false) => {
                self.requests.stop_draining();
                self.node.rest(false);
                Ok(ClientResponse::Done)
            }
            ClientRequest::Stop => {
                self.stop();
                Ok(ClientResponse::Done)
            }
            ClientRequest::File(query) => {
                store_query::answer(self.pipeline.file(), &query).map(ClientResponse::File)
            }
            ClientRequest::Ring => Ok(ClientResponse::Ring(Box::new((**self.node.doc()).clone()))),
            ClientRequest::Info => self.info().map(|info| ClientResponse::Info(Box::new(info))),
            ClientRequest::Members => {
                let members = self.liveness.members(self.node.doc(), self.now_ms());
                Ok(ClientResponse::Members(members))
            }
            ClientRequest::Transfers => {
                Ok(ClientResponse::Transfers(self.node.transfers(self.time())))
            }
            ClientRequest::Load => {
                let (run, uptime_ms) = (self.setup.credentials.hello.run, self.now_ms());
                let counted = Load { run, uptime_ms, ..self.requests.load().clone() };
                let load = status::load(self.pipeline.file(), counted);
                load.map(|load| ClientResponse::Load(Box::new(load)))
            }
        };
        match response {
            Ok(response) => self.respond(asker, response),
            Err(error) => self.respond_fault(asker, &error),
        }
    }

    /// Hands a request to the node. One that drains or stops sends clients elsewhere before anything is
    /// done; one that has just started keeps the request until it may act.
    fn node_request(&mut self, asker: Requester, request: Request, permit: Option<RequestPermit>) {
        let closed = self.requests.is_draining() || !self.shutdown.is_running();
        if closed && request.is_data() {
            let text = "This node accepts no more requests; nothing was tried.".to_owned();
            let error = Error::Busy(text).hint("ask another node of the ring");
            return self.respond_fault(asker, &error);
        }
        if !self.node.is_ready() && request.is_data() {
            return self.requests.defer(asker, request, permit, self.now_ms());
        }
        let ticket = self.requests.open(asker, &request, permit, self.now());
        self.events.push(Event::Request(ticket, request));
    }

    /// Passes a reply of the node on to the client or the job that asked for it.
    pub(super) fn replied(&mut self, ticket: Ticket, reply: Reply) {
        match self.requests.finish(ticket, &reply, self.now()) {
            Some(asker) => self.respond(asker, ClientResponse::Reply(reply)),
            None => self.maintenance.finished(ticket, &reply, self.now_ms()),
        }
    }

    /// Lets those who wait know, and lets go of those who waited too long for a start.
    pub(super) fn requests_tick(&mut self, now_ms: u64) {
        for asker in self.requests.take_overdue(now_ms) {
            self.respond(asker, ClientResponse::Busy);
        }
        if self.node.is_ready() {
            for deferred in self.requests.take_deferred(now_ms) {
                self.node_request(deferred.asker, deferred.request, deferred.permit);
            }
        }
        for asker in self.requests.expire_deferred(now_ms) {
            self.respond_fault(asker, &status::has_not_heard_witnesses());
        }
        self.drain_tick();
    }

    fn drain(&mut self, asker: Requester) {
        tracing::info!("draining");
        self.requests.start_draining(asker);
        self.node.rest(true);
        self.maintenance.wake();
    }

    /// A node is drained when no client waits for it and every hint that can be delivered is.
    fn drain_tick(&mut self) {
        if !self.requests.may_be_drained() {
            return;
        }
        let left = self.pipeline.file().hint_stats().map_or(0, |s| s.count);
        if left > 0 && !self.maintenance.is_stuck() {
            return;
        }
        let response = status::drained(left);
        for asker in self.requests.take_drain_waiters() {
            self.respond(asker, response.clone());
        }
    }

    fn info(&self) -> Result<Info> {
        let file = self.pipeline.file();
        Ok(Info {
            build: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            dir: file.dir().display().to_string(),
            address: self.liveness.own().address.clone(),
            metrics: self.setup.metrics.clone(),
            uptime_s: self.now_ms() / 1_000,
            bytes: file.used_bytes()?,
            full: !self.node.has_room(),
            draining: self.requests.is_draining() || !self.shutdown.is_running(),
            waiting: !self.node.is_ready(),
            requests: self.requests.count(),
            links: self.links.linked().len() as u64,
            clients: self.links.clients() as u64,
            rounds: self.maintenance.rounds(),
            wall_ms: wall_ms(),
        })
    }
}
