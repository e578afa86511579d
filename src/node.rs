//! One node as a pure state machine: events and the present time in, actions out.
//!
//! A [`Node`] opens no file or socket, reads no clock, draws no randomness and spawns nothing. A
//! driver feeds it [`Event`]s, hands it its [`Store`] to read, and carries out its [`Action`]s:
//! sends messages, commits batches one at a time, passes replies on. The embedded driver does that
//! over directories, the simulator in virtual time. It owes the node one order: before the first word
//! of another process of a peer it says that the link was cut, and passes on no word of the former
//! one after it.
//!
//! ```text
//! client put k -> [coordinator]                                       stage, Commit(batch 7)
//!                 Committed(7)  -> Send n2 Write, Send n3 Write        own commit first, then send
//! n2: Write       -> merge, stage, Commit(batch 3)
//!     Committed(3) -> Send n1 Stored                                  an ack speaks of durable state
//! n1: Stored      -> W reached: Reply
//! ```
//!
//! Work that waits for somebody is a `Task`; it is woken by a peer's reply, by its own commit, by
//! a task it started, or by the clock, and knows who asked (`Asker`).
//!
//! Caveats: a peer's word is believed (its key let it in); a failed commit of any cause other than a
//! full disk stops the node; the node is silent until it has heard its witnesses (`identity`).

mod answer;
mod audit;
mod change;
mod confirm;
mod door;
mod event;
mod forward;
mod get;
mod hints;
mod identity;
mod mint;
mod paxos;
mod put;
mod repair;
mod room;
mod scrub;
mod stage;
mod standing;
mod sums;
mod sync;
mod view;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use self::event::{
    Action, Effect, Event, Note, RepairRequest, Reply, Request, Status, Time, Transfer,
    TransferKind,
};
pub use self::identity::{Boot, genesis};
pub use self::repair::RepairReport;
use self::room::Room;
pub use self::scrub::scrubbed_ms;
use self::stage::{Stage, Then};
use crate::error::{Error, Result};
use crate::planted::{self, Bug};
use crate::protocol::{Body, BodyKind, Message};
use crate::ring::{NodeId, RingDoc, State};
use crate::store::{Failure, Store};

/// Why a node that has not heard its witnesses does nothing for others.
const STARTING: &str = "it has just started";

/// Who is told how a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Client(u64),
    Peer(NodeId, u64),
    Task(u64),
}

/// How a task ended.
#[derive(Debug)]
enum Outcome {
    Reply(Reply),
    NotMine(String),
    Pass(sync::PassReport),
}

/// Why a task runs again.
#[derive(Debug)]
enum Wake {
    Said(NodeId, Body),
    Committed(bool),
    Child(Outcome),
    /// This node will not answer: it is down, or (`sent` is false) was never asked.
    Lost {
        node: NodeId,
        sent: bool,
    },
    Tick,
}

/// Work that waits for somebody.
enum Task {
    Forward(forward::Forward),
    Put(Box<put::Put>),
    Get(Box<get::Get>),
    Scan(get::Scan),
    Pass(Box<sync::Pass>),
    Repair(repair::Repair),
    Deliver(hints::Deliver),
    Propose(paxos::Propose),
    Unmute(paxos::Unmute),
    Advance(change::Advance),
}

/// What a handler works with besides the node.
struct Cx<'a> {
    store: &'a dyn Store,
    now: Time,
    out: &'a mut Vec<Action>,
}

/// One member of a ring. See the module.
pub struct Node {
    id: NodeId,
    doc: Arc<RingDoc>,
    read_only: bool,
    identity: identity::Identity,
    alive: BTreeSet<NodeId>,
    stage: Stage,
    tasks: BTreeMap<u64, Task>,
    op_next: u64,
    loopback: VecDeque<Message>,
    acceptor: paxos::Acceptor,
    audits: audit::Audits,
    scrub: scrub::Scrub,
    room: Room,
    /// It coordinates nothing and keeps nothing for others: it is about to stop, or drained.
    resting: bool,
    stopped: bool,
}

impl Node {
    /// Opens a node over its store.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when identity or ring document are missing or damaged; nothing is changed.
    pub fn open(store: &dyn Store, boot: Boot) -> Result<Self> {
        let row = |name| store.row(crate::store::Table::Ring, name);
        let doc = row("doc")?.ok_or_else(|| {
            Error::Corrupt("The node's file holds no ring document; it was not changed.".into())
        })?;
        let doc = Arc::new(RingDoc::decode(&doc)?);
        let acceptor = paxos::Acceptor::load(store)?;
        let audits = audit::Audits::load(store, boot.audit_slice)?;
        let identity = identity::Identity::load(store, &doc, &boot)?;
        let id = identity.id;
        let mut node = Self {
            id,
            doc,
            read_only: boot.read_only,
            op_next: identity.first_op(),
            identity,
            alive: BTreeSet::new(),
            stage: Stage::default(),
            tasks: BTreeMap::new(),
            loopback: VecDeque::new(),
            acceptor: acceptor.clone().unwrap_or_default(),
            audits,
            scrub: scrub::Scrub::load(store),
            room: Room::default(),
            resting: false,
            stopped: false,
        };
        if acceptor.is_none() {
            node.abstain();
        }
        if boot.suspect.is_some() && !planted::is(Bug::RollbackUnseen) {
            node.lose_all(0);
        }
        Ok(node)
    }

    /// Who it is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The ring document it acts under.
    #[must_use]
    pub fn doc(&self) -> &Arc<RingDoc> {
        &self.doc
    }

    /// Whether nothing is under way: no task, no commit, nothing staged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.stage.is_empty() && self.loopback.is_empty()
    }

    /// Handles one event. Call it again at the latest when a tick is due.
    #[must_use]
    pub fn handle(&mut self, store: &dyn Store, now: Time, event: Event) -> Vec<Action> {
        self.handle_all(store, now, vec![event])
    }

    /// Handles events that came together: what they write is committed together.
    #[must_use]
    pub fn handle_all(&mut self, store: &dyn Store, now: Time, events: Vec<Event>) -> Vec<Action> {
        let mut out = Vec::new();
        let cx = &mut Cx { store, now, out: &mut out };
        for event in events {
            if self.stopped {
                break;
            }
            self.step(cx, event);
            while let Some(message) = self.loopback.pop_front() {
                self.message(cx, self.id, message);
            }
        }
        if !self.stopped {
            self.flush(cx);
        }
        out
    }

    fn step(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Request(ticket, request) => self.request(cx, Asker::Client(ticket), request),
            // What it says to itself goes another way, and is not checked again.
            Event::Message(from, message) if from != self.id => self.message(cx, from, message),
            Event::Message(..) => {}
            Event::Committed(seq) => self.committed(cx, seq),
            Event::Failed(seq, failure) => self.failed(cx, seq, failure),
            Event::Alive(alive) => self.see_alive(cx, alive),
            Event::Cut(peer) => self.cut(cx, peer),
            Event::Unsent(node, op) => self.resume(cx, op, Wake::Lost { node, sent: false }),
            Event::Tick => self.tick(cx),
        }
    }

    fn request(&mut self, cx: &mut Cx<'_>, asker: Asker, request: Request) {
        if let Err(error) = request.check(&self.doc) {
            let reply = request.refusal(&self.doc, error.to_string());
            return self.conclude(cx, asker, Outcome::Reply(reply));
        }
        match request {
            Request::Put(request) => self.forward(cx, asker, request),
            Request::Get(key, options) => self.get(cx, asker, key, options),
            Request::Scan(p, after, limit, options) => {
                self.scan(cx, asker, p, after, limit, options);
            }
            Request::Repair(request) => self.repair(cx, asker, request),
            Request::Verify(p) => self.verify(cx, asker, p),
            Request::GiveUp(key) => self.give_up(cx, asker, key),
            Request::DropBadHints(key) => self.drop_bad_hints(cx, asker, key),
            Request::Scrub(bytes) => self.scrub(cx, asker, bytes),
            Request::AcceptLoss(only) => self.accept_loss(cx, asker, only),
            Request::Deliver => self.deliver(cx, asker, false),
            Request::Spread => self.deliver(cx, asker, true),
            Request::Propose(doc) => self.propose(cx, asker, *doc),
            Request::Advance => self.advance(cx, asker),
            Request::Cleanup => self.cleanup(cx, asker),
            Request::Unsettled => self.unsettled_now(cx, asker),
            Request::Status => {
                let status = self.status(cx.store);
                self.conclude(cx, asker, Outcome::Reply(Reply::Status(status)));
            }
        }
    }

    fn message(&mut self, cx: &mut Cx<'_>, from: NodeId, message: Message) {
        if message.ring != self.doc.id {
            return;
        }
        // The number of an operation is its asker's: what is told to an answer must not carry ours, or
        // that it could not be sent would be taken for what we asked.
        let theirs = if message.body.kind() == BodyKind::Request { message.op } else { 0 };
        let removed = self.doc.member(from).is_some_and(|m| m.state == State::Removed);
        if removed {
            // It is told so, and nothing else: whatever it says, and however it got in.
            if !matches!(message.body, Body::Chosen(_)) {
                self.send_ring(cx, from, theirs);
            }
            return;
        }
        if from != self.id
            && let Err(error) = message.check(&self.doc)
        {
            return self.turn_away(cx, from, &message, &error);
        }
        let Message { version, op, body, .. } = message;
        if version > self.doc.version && from != self.id {
            self.send(cx, from, 0, Body::WantRing);
        }
        let behind = version.saturating_add(1) < self.doc.version;
        let behind = behind && !planted::is(Bug::StaleVersionTaken);
        if behind && !matches!(body, Body::Chosen(_)) {
            // Two steps behind: its idea of the owners is no longer safe to act on. Who has met whom
            // does not depend on it.
            self.send_ring(cx, from, theirs);
            if !body.is_meeting() {
                return;
            }
        }
        self.dispatch(cx, from, version, op, body);
    }

    fn dispatch(&mut self, cx: &mut Cx<'_>, from: NodeId, version: u64, op: u64, body: Body) {
        if !body.is_meeting() {
            self.greet_speaker(cx, from);
        }
        if let Body::Stored { commit, .. } | Body::Replicate { commit, .. } = &body {
            self.remember(cx, from, *commit);
        }
        match body {
            Body::Hello { actor, .. } => {
                let (counter, commit) = (self.identity.seen_of(actor), 0);
                self.send(cx, from, op, Body::Seen { actor, counter, commit });
            }
            Body::Seen { actor, counter, commit } => {
                self.on_seen(cx, from, (actor, counter, commit));
            }
            Body::Greet { .. } => self.on_greet(cx, from, op, &body),
            Body::Met { life, met, actor, counter } => {
                self.on_met(cx, from, (life, met), (actor, counter));
            }
            Body::WantRing => self.send_ring(cx, from, 0),
            Body::Chosen(doc) => {
                self.adopt(&doc);
                self.resume(cx, op, Wake::Said(from, Body::Chosen(doc)));
            }
            body if self.identity.is_waiting() => {
                // Until its witnesses are heard a node answers nothing else; replies may pass.
                match body {
                    Body::Put(_) => self.send(cx, from, op, Body::NotMine(STARTING.into())),
                    Body::Write { .. } | Body::Replicate { .. } => {
                        self.send(cx, from, op, Body::NotStored(STARTING.into()))
                    }
                    body if body.kind() == BodyKind::Request => {}
                    body => self.resume(cx, op, Wake::Said(from, body)),
                }
            }
            body if body.kind() == BodyKind::Request => self.answer(cx, from, version, op, body),
            body => self.resume(cx, op, Wake::Said(from, body)),
        }
    }

    fn committed(&mut self, cx: &mut Cx<'_>, seq: u64) {
        self.room.found();
        for then in self.stage.committed(seq) {
            match then {
                Then::Send(to, op, mut body, _) => {
                    if let Body::Stored { commit, .. } = &mut *body {
                        *commit = cx.store.commit_number();
                    }
                    self.send(cx, to, op, *body);
                }
                Then::Wake(op) => self.resume(cx, op, Wake::Committed(true)),
                Then::Full(partitions) => self.filled(&partitions),
                Then::Healed(p, key) => self.healed(p, key),
                Then::Struck(p, key) => self.struck(cx, p, key),
                Then::Unsettled(asker) => self.tell_unsettled(cx, asker),
            }
        }
    }

    fn failed(&mut self, cx: &mut Cx<'_>, seq: u64, failure: Failure) {
        if let Failure::Fatal(error) = &failure {
            self.stopped = true;
            cx.out.push(Action::Stop(error.to_string()));
            return;
        }
        self.room.refused(cx.now.mono_ms);
        self.identity.restage();
        for then in self.stage.failed(seq) {
            match then {
                Then::Send(to, op, _, refusal) => self.send(cx, to, op, *refusal),
                Then::Wake(op) => self.resume(cx, op, Wake::Committed(false)),
                Then::Struck(p, key) => self.unstruck(p, key),
                Then::Unsettled(asker) => self.tell_unsettled(cx, asker),
                Then::Full(_) | Then::Healed(..) => {}
            }
        }
        if let Failure::Damaged(error) = failure {
            self.beyond_mending(cx, &error);
        }
    }

    /// A link has ended. Whoever comes up in the peer's place greets anew, and is alive when the failure
    /// detector says so once more.
    fn cut(&mut self, cx: &mut Cx<'_>, peer: NodeId) {
        self.identity.witness.forget_greeting(peer);
        if self.alive.contains(&peer) {
            let others = self.alive.iter().copied().filter(|id| *id != peer).collect();
            self.see_alive(cx, others);
        }
    }

    /// Takes the failure detector's word; who waits for a node that is gone is told at once.
    fn see_alive(&mut self, cx: &mut Cx<'_>, alive: BTreeSet<NodeId>) {
        let before = std::mem::replace(&mut self.alive, alive);
        let lost: Vec<_> = before.difference(&self.alive).copied().collect();
        let came = self.alive.difference(&before).copied().collect();
        lost.iter().for_each(|node| self.identity.witness.forget_greeting(*node));
        self.greet_new(cx, came);
        for node in lost {
            for op in self.tasks.keys().copied().collect::<Vec<_>>() {
                self.resume(cx, op, Wake::Lost { node, sent: true });
            }
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        self.boot_tick(cx);
        self.room.tick(cx.now.mono_ms);
        self.audit_tick(cx);
        self.strike_again(cx);
        self.flush_identity(cx.now.mono_ms);
        for op in self.tasks.keys().copied().collect::<Vec<_>>() {
            self.resume(cx, op, Wake::Tick);
        }
    }

    /// Wakes a task; one that is not finished puts itself back.
    fn resume(&mut self, cx: &mut Cx<'_>, op: u64, wake: Wake) {
        match self.tasks.remove(&op) {
            None => {}
            Some(Task::Forward(task)) => self.on_forward(cx, op, task, wake),
            Some(Task::Put(task)) => self.on_put(cx, op, task, wake),
            Some(Task::Get(task)) => self.on_get(cx, op, task, wake),
            Some(Task::Scan(task)) => self.on_scan(cx, op, task, wake),
            Some(Task::Pass(task)) => self.on_pass(cx, op, task, wake),
            Some(Task::Repair(task)) => self.on_repair(cx, op, task, wake),
            Some(Task::Deliver(task)) => self.on_deliver(cx, op, task, wake),
            Some(Task::Propose(task)) => self.on_propose(cx, op, task, wake),
            Some(Task::Unmute(task)) => self.on_unmute(cx, op, task, wake),
            Some(Task::Advance(task)) => self.on_advance(cx, op, task, wake),
        }
    }

    /// Tells whoever asked how it ended.
    fn conclude(&mut self, cx: &mut Cx<'_>, asker: Asker, outcome: Outcome) {
        match (asker, outcome) {
            (Asker::Client(ticket), Outcome::Reply(reply)) => {
                cx.out.push(Action::Reply(ticket, reply));
            }
            (Asker::Task(op), outcome) => self.resume(cx, op, Wake::Child(outcome)),
            (Asker::Peer(node, op), Outcome::NotMine(why)) => {
                self.send(cx, node, op, Body::NotMine(why));
            }
            (Asker::Peer(node, op), Outcome::Reply(reply)) => {
                let body = match reply {
                    Reply::Put(reply) => Body::PutDone(reply),
                    Reply::Repair(report) => Body::Filling(report.filling),
                    Reply::Deliver(_, hints) => Body::Cleared { clear: hints == 0, hints },
                    _ => return,
                };
                self.send(cx, node, op, body);
            }
            _ => {}
        }
    }

    fn send(&mut self, cx: &mut Cx<'_>, to: NodeId, op: u64, body: Body) {
        let message = Message { ring: self.doc.id, version: self.doc.version, op, body };
        if to == self.id {
            self.loopback.push_back(message);
        } else {
            cx.out.push(Action::Send(to, message));
        }
    }

    /// Sends the document this node acts under.
    fn send_ring(&mut self, cx: &mut Cx<'_>, to: NodeId, op: u64) {
        let doc = Box::new((*self.doc).clone());
        self.send(cx, to, op, Body::Chosen(doc));
    }

    fn new_op(&mut self) -> u64 {
        self.op_next = self.op_next.wrapping_add(1).max(1);
        self.op_next
    }

    fn is_up(&self, id: NodeId) -> bool {
        id == self.id || self.alive.contains(&id)
    }

    /// Whether a member is on its way out: it keeps nothing for others.
    fn is_going(&self, id: NodeId) -> bool {
        let state = self.doc.member(id).map(|m| m.state);
        matches!(state, None | Some(State::Leaving | State::Removed))
    }
}
