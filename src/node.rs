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
//! Work that waits for others is an operation (`op`); it is woken by a peer's reply, by its own commit,
//! by an operation it started, or by the clock. What a node is and holds is its `replica`.
//!
//! ```text
//! event -> request  -> an operation begins | an answer at once          (this file, `local`)
//!       -> message  -> checked (`check`) -> an answer (`replica::answer`) | an operation is woken
//!       -> commit   -> what waited for it: an ack is sent, an operation is woken
//!       -> tick     -> greetings, audits, every operation
//! ```
//!
//! Caveats: a peer's word is believed (its key let it in); a failed commit of any cause other than a
//! full disk stops the node; the node is silent until it has heard its witnesses (`witness`).

mod acceptor;
mod audits;
mod boot;
mod check;
mod commit_queue;
mod disk_space;
mod driver;
mod event;
mod flow;
mod identity;
mod local;
mod op;
mod replica;
#[cfg(test)]
mod scripts;
mod scrub;
mod view;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

pub use self::boot::{Boot, genesis};
use self::commit_queue::OnCommit;
pub use self::driver::Driver;
pub use self::event::{
    Action, BatchSeq, Effect, Event, Note, RepairReport, RepairRequest, Reply, Request, Status,
    Ticket, Time, Transfer, TransferKind,
};
use self::flow::{Caller, Ctx, Flow, OlderWork, OpId, Origin, Outcome, Start, Wake};
use self::op::Operation;
use self::replica::Replica;
pub use self::scrub::scrubbed_ms;
use crate::error::Result;
use crate::planted::{self, Bug};
use crate::protocol::{Body, BodyKind, Message};
use crate::ring::{MemberState, NodeId};
use crate::store::{Failure, Store};

/// Why a node that has not heard its witnesses does nothing for others.
const STARTING: &str = "it has just started";

/// One member of a ring. See the module.
pub struct Node {
    replica: Replica,
    ops: BTreeMap<OpId, (Origin, Operation)>,
    stopped: bool,
}

impl Node {
    /// Opens a node over its store.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::error::Error::Corrupt) when identity or ring document are missing or
    /// damaged; nothing is changed.
    pub fn open(store: &dyn Store, boot: Boot) -> Result<Self> {
        let replica = Replica::open(store, &boot)?;
        Ok(Self { replica, ops: BTreeMap::new(), stopped: false })
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
        let cx = &mut Ctx::new(store, now, &mut out);
        for event in events {
            if self.stopped {
                break;
            }
            self.event(cx, event);
            self.settle(cx);
        }
        if !self.stopped {
            self.regain(cx);
            self.replica.flush(cx);
        }
        out
    }

    fn event(&mut self, cx: &mut Ctx<'_>, event: Event) {
        match event {
            Event::Request(ticket, request) => self.request(cx, Origin::Client(ticket), request),
            // What it says to itself goes another way, and is not checked again.
            Event::Message(from, message) if from != self.replica.id => {
                self.message(cx, from, message);
            }
            Event::Message(..) => {}
            Event::Committed(seq) => self.committed(cx, seq),
            Event::Failed(_, failure) => self.failed(cx, failure),
            Event::Alive(alive) => self.see_alive(cx, alive),
            Event::Cut(peer) => self.cut(cx, peer),
            Event::Unsent(node, op) => self.wake(cx, OpId(op), Wake::Unsent(node)),
            Event::Tick => self.tick(cx),
        }
    }

    /// Carries on until nothing is left that this node can do without an answer from elsewhere.
    fn settle(&mut self, cx: &mut Ctx<'_>) {
        loop {
            if let Some((origin, start)) = cx.starts.pop_front() {
                self.begin(cx, origin, start);
            } else if let Some((origin, outcome)) = cx.ends.pop_front() {
                self.conclude(cx, origin, outcome);
            } else if let Some(message) = self.replica.next_to_self() {
                self.message(cx, self.replica.id, message);
            } else {
                return;
            }
        }
    }

    fn begin(&mut self, cx: &mut Ctx<'_>, origin: Origin, start: Start) {
        (cx.op, cx.origin) = (self.replica.new_op(), origin);
        let flow = Operation::begin(start, &mut self.replica, cx);
        self.keep(cx, flow);
    }

    /// Wakes an operation; one that is over is not there any more.
    fn wake(&mut self, cx: &mut Ctx<'_>, op: OpId, wake: Wake) {
        let Some((origin, task)) = self.ops.remove(&op) else { return };
        (cx.op, cx.origin) = (op, origin);
        let flow = task.step(&mut self.replica, cx, wake);
        self.keep(cx, flow);
    }

    fn wake_all(&mut self, cx: &mut Ctx<'_>, wake: impl Fn() -> Wake) {
        for op in self.ops.keys().copied().collect::<Vec<_>>() {
            self.wake(cx, op, wake());
        }
    }

    fn keep(&mut self, cx: &mut Ctx<'_>, flow: Flow<Operation>) {
        match flow {
            Flow::Wait(op) => {
                let before = self.ops.insert(cx.op, (cx.origin, op));
                debug_assert!(before.is_none(), "a number belongs to one operation");
            }
            Flow::Done(outcome) => cx.tell(cx.origin, outcome),
            Flow::Over => {}
        }
    }

    /// Tells whoever asked how it ended.
    fn conclude(&mut self, cx: &mut Ctx<'_>, origin: Origin, outcome: Outcome) {
        match (origin, outcome) {
            (Origin::Client(ticket), Outcome::Reply(reply)) => {
                cx.out.push(Action::Reply(ticket, reply));
            }
            (Origin::Op(op), outcome) => self.wake(cx, op, Wake::Child(outcome)),
            (Origin::Peer(node, op), Outcome::NotMine(why)) => {
                self.replica.send(cx, node, op, Body::NotMine(why));
            }
            (Origin::Peer(node, op), Outcome::Reply(reply)) => {
                let body = match reply {
                    Reply::Put(reply) => Body::PutDone(reply),
                    Reply::Repair(report) => Body::Filling(report.filling),
                    Reply::Deliver(_, hints) => Body::Cleared { clear: hints == 0, hints },
                    _ => return,
                };
                self.replica.send(cx, node, op, body);
            }
            _ => {}
        }
    }

    fn request(&mut self, cx: &mut Ctx<'_>, origin: Origin, request: Request) {
        if let Err(error) = request.check(&self.replica.doc) {
            let reply = request.refusal(&self.replica.doc, error.to_string());
            return cx.tell(origin, Outcome::Reply(reply));
        }
        match local::start(request) {
            Ok(start) => cx.start(origin, start),
            Err(question) => self.replica.answer_local(cx, origin, question),
        }
    }

    fn message(&mut self, cx: &mut Ctx<'_>, from: NodeId, message: Message) {
        let replica = &mut self.replica;
        if message.ring != replica.doc.id {
            return;
        }
        // The number of an operation is its asker's: what is told to an answer must not carry ours, or
        // that it could not be sent would be taken for what we asked.
        let asks = message.body.kind() == BodyKind::Request;
        let theirs = if asks { OpId(message.op) } else { OpId::NONE };
        let removed = replica.doc.member(from).is_some_and(|m| m.state == MemberState::Removed);
        if removed {
            // It is told so, and nothing else: whatever it says, and however it got in.
            if !matches!(message.body, Body::Chosen(_)) {
                replica.send_ring(cx, from, theirs);
            }
            return;
        }
        if from != replica.id
            && let Err(error) = message.check(&replica.doc)
        {
            return replica.turn_away(cx, from, &message, &error);
        }
        let Message { version, op, body, .. } = message;
        if version > replica.doc.version && from != replica.id {
            replica.send(cx, from, OpId::NONE, Body::WantRing);
        }
        let behind = version.saturating_add(1) < replica.doc.version;
        let behind = behind && !planted::is(Bug::StaleVersionTaken);
        if behind && !matches!(body, Body::Chosen(_)) {
            // Two steps behind: its idea of the owners is no longer safe to act on. Who has met whom
            // does not depend on it.
            replica.send_ring(cx, from, theirs);
            if !body.is_meeting() {
                return;
            }
        }
        self.dispatch(cx, Caller { node: from, version, op: OpId(op) }, body);
    }

    fn dispatch(&mut self, cx: &mut Ctx<'_>, caller: Caller, body: Body) {
        let (replica, from, op) = (&mut self.replica, caller.node, caller.op);
        if !body.is_meeting() {
            replica.greet_speaker(cx, from);
        }
        if let Body::Stored { commit, .. } | Body::Replicate { commit, .. } = &body {
            replica.remember(cx, from, *commit);
        }
        match body {
            Body::Hello { actor, .. } => {
                let (counter, commit) = (replica.identity.seen_of(actor), 0);
                replica.send(cx, from, op, Body::Seen { actor, counter, commit });
            }
            Body::Seen { actor, counter, commit } => {
                replica.on_seen(cx, from, (actor, counter, commit));
            }
            Body::Greet { .. } => replica.on_greet(cx, from, op, &body),
            Body::Met { life, met, actor, counter } => {
                replica.on_met(cx, from, (life, met), (actor, counter));
            }
            Body::WantRing => replica.send_ring(cx, from, OpId::NONE),
            Body::Chosen(doc) => {
                replica.adopt(&doc);
                self.wake(cx, op, Wake::Said(from, Body::Chosen(doc)));
            }
            body if body.kind() != BodyKind::Request => self.wake(cx, op, Wake::Said(from, body)),
            // Until its witnesses are heard a node answers nothing else.
            body if replica.identity.is_waiting() => match body {
                Body::Put(_) => replica.send(cx, from, op, Body::NotMine(STARTING.into())),
                Body::Write { .. } | Body::Replicate { .. } => {
                    replica.send(cx, from, op, Body::NotStored(STARTING.into()));
                }
                _ => {}
            },
            Body::Barrier => {
                let older = self.older_work(caller.version);
                self.replica.on_barrier(cx, caller, older);
            }
            body => replica.answer(cx, caller, body),
        }
    }

    /// Whether a write, or a strict read, that began under a document older than this version goes on.
    fn older_work(&self, version: u64) -> OlderWork {
        let older =
            |entry: &&(Origin, Operation)| entry.1.older_work(version) == OlderWork::UnderWay;
        match self.ops.values().find(older) {
            Some(_) => OlderWork::UnderWay,
            None => OlderWork::None,
        }
    }

    fn committed(&mut self, cx: &mut Ctx<'_>, seq: BatchSeq) {
        self.replica.disk.found();
        for then in self.replica.queue.committed(seq) {
            match then {
                OnCommit::Send(to, op, mut body, _) => {
                    if let Body::Stored { commit, .. } = &mut *body {
                        *commit = cx.store.commit_number();
                    }
                    self.replica.send(cx, to, op, *body);
                }
                OnCommit::Wake(op) => self.wake(cx, op, Wake::Committed),
                OnCommit::Full(partitions) => self.replica.filled(&partitions),
                OnCommit::Healed(p, key) => self.replica.healed(p, key),
                OnCommit::Struck(p, key) => self.replica.struck(cx, p, key),
                OnCommit::Unsettled(origin) => self.replica.tell_unsettled(cx, origin),
            }
        }
    }

    fn failed(&mut self, cx: &mut Ctx<'_>, failure: Failure) {
        if let Failure::Fatal(error) = &failure {
            self.stopped = true;
            cx.out.push(Action::Stop(error.to_string()));
            return;
        }
        self.replica.disk.refused(cx.now.mono_ms);
        self.replica.identity.restage();
        for then in self.replica.queue.failed() {
            match then {
                OnCommit::Send(to, op, _, refusal) => self.replica.send(cx, to, op, *refusal),
                OnCommit::Wake(op) => self.wake(cx, op, Wake::CommitFailed),
                OnCommit::Struck(p, key) => self.replica.unstruck(p, key),
                OnCommit::Unsettled(origin) => self.replica.tell_unsettled(cx, origin),
                OnCommit::Full(_) | OnCommit::Healed(..) => {}
            }
        }
        if let Failure::Damaged(error) = failure {
            self.replica.beyond_mending(cx, &error);
        }
    }

    /// A link has ended. Whoever comes up in the peer's place greets anew, and is alive when the failure
    /// detector says so once more.
    fn cut(&mut self, cx: &mut Ctx<'_>, peer: NodeId) {
        self.replica.identity.witness.forget_greeting(peer);
        if self.replica.alive.contains(&peer) {
            let others = self.replica.alive.iter().copied().filter(|id| *id != peer).collect();
            self.see_alive(cx, others);
        }
    }

    /// Takes the failure detector's word; what waits for a node that is gone hears it at once.
    fn see_alive(&mut self, cx: &mut Ctx<'_>, alive: BTreeSet<NodeId>) {
        let before = std::mem::replace(&mut self.replica.alive, alive);
        let lost: Vec<_> = before.difference(&self.replica.alive).copied().collect();
        let came = self.replica.alive.difference(&before).copied().collect();
        for node in &lost {
            self.replica.identity.witness.forget_greeting(*node);
        }
        self.replica.greet_new(cx, came);
        for node in lost {
            self.wake_all(cx, || Wake::Lost(node));
        }
    }

    fn tick(&mut self, cx: &mut Ctx<'_>) {
        self.replica.greet_due(cx);
        self.replica.disk.tick(cx.now.mono_ms);
        self.replica.audit_tick(cx);
        self.replica.strike_again(cx);
        self.replica.flush_identity(cx.now.mono_ms);
        self.wake_all(cx, || Wake::Tick);
    }

    /// An acceptor that may have forgotten promises asks for its vote back as soon as its witnesses are
    /// heard.
    fn regain(&mut self, cx: &mut Ctx<'_>) {
        let Replica { identity, read_only, .. } = &self.replica;
        if !identity.abstaining || *read_only || identity.is_waiting() {
            return;
        }
        if !self.ops.values().any(|(_, op)| matches!(op, Operation::Regain(_))) {
            cx.start(Origin::Own, Start::Regain);
            self.settle(cx);
        }
    }
}
