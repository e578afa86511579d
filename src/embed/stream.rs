//! Many requests at once: every node on a thread of its own, as if it were a process.
//!
//! ```text
//! main     source -> requests, a window of them open -> sink
//! n1 | n2 | n3      take all that has come, act, commit, send; again
//! ```
//!
//! What comes while a node commits is taken together afterwards, so a load makes few and large
//! commits and keeps both cores and all files busy. A shared count of what is under way tells when
//! nothing moves: only then does time pass. Caveat: the order of messages is that of the threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::pump::{STEP_MS, STEPS_MAX, stopped, told};
use super::state::{Embed, OpenNode};
use crate::error::{Error, Result};
use crate::node::{BatchSeq, Driver, Effect, Event, Note, Reply, Request, Ticket, Time};
use crate::os::wall_ms;
use crate::protocol::Message;
use crate::ring::NodeId;
use crate::store::{Batch, Store};

/// Gives the next request and the node to ask, while there is one.
pub type RequestFeed<'a> = dyn FnMut() -> Option<(NodeId, Request)> + 'a;
/// Takes each reply.
pub type Sink<'a> = dyn FnMut(Reply) + 'a;

/// What a node's thread tells the main one.
enum Told {
    Reply(Reply),
    Note(NodeId, Note),
    Warning(NodeId, String),
    /// A node was stopped; it answers nothing any more.
    Stopped(NodeId, String),
    /// Nothing is under way any more.
    Idle,
}

/// What all threads share.
struct Shared {
    /// Events sent and not yet handled.
    open: AtomicUsize,
    mono_ms: AtomicU64,
}

impl Embed {
    /// Asks requests as they come, `window` at once, until the source ends and all are answered.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when a node that is asked is not open, [`Error::Unknown`] when its
    /// file fails for good; replies given before stand.
    pub fn stream(
        &mut self,
        window: usize,
        source: &mut RequestFeed<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let shared = Shared { open: AtomicUsize::new(0), mono_ms: AtomicU64::new(self.mono_ms) };
        let (tell, told) = channel();
        self.before = Some(self.doc());
        let slots = std::mem::take(&mut self.slots);
        let mut doors = BTreeMap::new();
        let mut threads = Vec::new();
        for (id, slot) in slots {
            let (door, inbox) = channel();
            doors.insert(id, door);
            threads.push((id, slot, inbox));
        }
        let shared = &shared;
        let outcome = std::thread::scope(|scope| {
            let mut running = Vec::new();
            for (id, slot, inbox) in threads {
                let (tell, doors) = (tell.clone(), doors.clone());
                let worker = Worker { id, slot, tell, doors, shared, is_running: true };
                running.push(scope.spawn(move || worker.run(&inbox)));
            }
            drop(tell);
            let outcome = self.crowd(window, source, sink, &doors, &told, shared);
            for door in doors.values() {
                // A thread that is gone already needs no word.
                drop(door.send(None));
            }
            for thread in running {
                if let Ok(Some((id, slot))) = thread.join() {
                    self.slots.insert(id, slot);
                }
            }
            outcome
        });
        self.mono_ms = shared.mono_ms.load(Ordering::SeqCst);
        self.tell_alive();
        outcome
    }

    /// The main thread's part: ask while the window is open, pass replies on, let time pass.
    fn crowd(
        &mut self,
        window: usize,
        source: &mut RequestFeed<'_>,
        sink: &mut Sink<'_>,
        doors: &BTreeMap<NodeId, Sender<Option<Event>>>,
        told: &Receiver<Told>,
        shared: &Shared,
    ) -> Result<()> {
        let (mut waiting, mut ended, mut steps) = (0_usize, false, 0);
        let mut asked = BTreeSet::new();
        loop {
            while !ended && waiting < window {
                let Some((at, request)) = source() else {
                    ended = true;
                    break;
                };
                self.ticket.0 += 1;
                waiting += 1;
                asked.insert(at);
                post(doors, at, Event::Request(self.ticket, request), shared)?;
            }
            if ended && waiting == 0 {
                return Ok(());
            }
            match told.recv() {
                Ok(Told::Reply(reply)) => {
                    waiting -= 1;
                    sink(reply);
                }
                Ok(Told::Note(id, note)) => {
                    let text = note.text(&self.doc());
                    self.warn(id, &text);
                }
                Ok(Told::Warning(id, text)) => self.warn(id, &text),
                Ok(Told::Stopped(id, why)) => {
                    self.warn(id, &format!("it was stopped: {why}"));
                    if asked.contains(&id) {
                        return Err(stopped(Effect::Write, &self.doc().name(id)));
                    }
                }
                Ok(Told::Idle) if shared.open.load(Ordering::SeqCst) == 0 => {
                    steps += 1;
                    shared.mono_ms.fetch_add(STEP_MS, Ordering::SeqCst);
                    let ticked =
                        doors.keys().all(|id| post(doors, *id, Event::Tick, shared).is_ok());
                    if steps > STEPS_MAX || !ticked {
                        return Err(stuck());
                    }
                }
                Ok(Told::Idle) => {}
                Err(_) => return Err(stuck()),
            }
        }
    }
}

fn stuck() -> Error {
    Error::Unknown("No node answers any more; the last request may have taken effect.".into())
}

/// Sends an event to a node's thread.
fn post(
    doors: &BTreeMap<NodeId, Sender<Option<Event>>>,
    to: NodeId,
    event: Event,
    shared: &Shared,
) -> Result<()> {
    let gone = || Error::Unreachable(format!("The node {to} is not open."));
    let door = doors.get(&to).ok_or_else(gone)?;
    shared.open.fetch_add(1, Ordering::SeqCst);
    door.send(Some(event)).map_err(|_| {
        shared.open.fetch_sub(1, Ordering::SeqCst);
        gone()
    })
}

/// One node on its thread.
struct Worker<'a> {
    id: NodeId,
    slot: OpenNode,
    tell: Sender<Told>,
    doors: BTreeMap<NodeId, Sender<Option<Event>>>,
    shared: &'a Shared,
    /// Until it is stopped by a failure of its file.
    is_running: bool,
}

impl Worker<'_> {
    /// Handles what comes until it is told to end; gives the node back unless it was stopped.
    fn run(mut self, inbox: &Receiver<Option<Event>>) -> Option<(NodeId, OpenNode)> {
        while let Ok(Some(first)) = inbox.recv() {
            let mut events = vec![first];
            let mut ending = false;
            for event in inbox.try_iter() {
                match event {
                    Some(event) => events.push(event),
                    None => ending = true,
                }
            }
            let handled = events.len();
            if self.is_running {
                self.handle(events);
            }
            if self.shared.open.fetch_sub(handled, Ordering::SeqCst) == handled {
                self.say(Told::Idle);
            }
            if ending {
                break;
            }
        }
        self.is_running.then_some((self.id, self.slot))
    }

    /// Acts on events and commits, until nothing more is wanted or the node is stopped.
    fn handle(&mut self, events: Vec<Event>) {
        let mut events = events;
        loop {
            let mono_ms = self.shared.mono_ms.load(Ordering::SeqCst);
            let now = Time { wall_ms: wall_ms(), mono_ms };
            for action in self.slot.node.handle_all(&self.slot.store, now, events) {
                action.carry_out(self);
                if !self.is_running {
                    return;
                }
            }
            let Some((seq, batch)) = self.slot.commit.take() else { return };
            events = vec![match self.slot.store.apply(&batch) {
                Ok(()) => Event::Committed(seq),
                Err(failure) => {
                    self.say(Told::Warning(self.id, told(&failure)));
                    Event::Failed(seq, failure)
                }
            }];
        }
    }

    /// Tells the main thread; when it is gone, nobody wants to know.
    fn say(&self, told: Told) {
        drop(self.tell.send(told));
    }
}

impl Driver for Worker<'_> {
    fn send(&mut self, to: NodeId, message: Message) {
        // A member that is not open is down: what is sent to it is lost.
        drop(post(&self.doors, to, Event::Message(self.id, message), self.shared));
    }

    fn commit(&mut self, seq: BatchSeq, batch: Batch) {
        debug_assert!(self.slot.commit.is_none(), "one batch at a time");
        self.slot.commit = Some((seq, batch));
    }

    fn reply(&mut self, _ticket: Ticket, reply: Reply) {
        self.say(Told::Reply(reply));
    }

    fn note(&mut self, note: Note) {
        self.say(Told::Note(self.id, note));
    }

    fn stop(&mut self, why: String) {
        self.is_running = false;
        self.say(Told::Stopped(self.id, why));
    }
}
