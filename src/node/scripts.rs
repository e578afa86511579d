//! The node as scripts: `testdata/node`, one situation each, over a store in memory.
//!
//! ```text
//! n1 holds color=red              before it is up; `keeps color=red for n3`, `is filling`
//! n1 is up                        it has met the others: nothing of that is shown
//! n1 starts [wanting 1]           the same with everything shown, and nobody has answered
//!
//! client puts color=red W=3 ...   what clients ask      see [`words`]
//! n2 says: stored                 it answers what n1 asked it last; `says late:` the one before
//! n2 asks: to store color=red     it asks n1; `n2 is a version ahead and asks: ...`
//!
//! committed                       the batch under way is durable; `the disk is full` it is not
//! n3 is lost; n3 is back          the failure detector's word
//! the link to n3 is cut; n3 never got it
//! n1's copy of color rots; n1's copy of color vanishes
//! 1000 ms pass
//! ```
//!
//! After each line stands what n1 wants done, in order. `UPDATE=1` rewrites that part. Lines joined by
//! ` / ` come together. The lines that describe ring and values are those of [`world`].

use std::collections::{BTreeMap, BTreeSet};

use self::shown::Before;
use self::world::World;
use super::*;
use crate::clock::Actor;
use crate::key::Key;
use crate::protocol::FilePoint;
use crate::store::memory::Memory;
use crate::store::{Batch, Hint, Op as Row, Table};

mod shown;
mod words;
mod world;

/// What a script says, or why that cannot be.
type Said<T> = std::result::Result<T, &'static str>;

const NO_BATCH: &str = "no batch is under way";
/// The number of what a peer asks.
const THEIRS: u64 = 7;

#[test]
fn every_situation_goes_as_its_script_says() {
    crate::golden::run("node", || {
        let mut script = Script::new();
        move |line: &str| script.line(line)
    });
}

/// What the scripts are known to see; the others need longer stories (`tests/sim.rs`).
#[cfg(feature = "planted")]
const SEEN: [Bug; 51] = [
    Bug::ReuseDot,
    Bug::SendBeforeCommit,
    Bug::ReadPastStaged,
    Bug::DropSibling,
    Bug::CountFallback,
    Bug::SkipOlderLayout,
    Bug::CoverTooMuch,
    Bug::UnreadableIsAbsent,
    Bug::FillingVotes,
    Bug::DropHint,
    Bug::PromiseEarly,
    Bug::AckEarly,
    Bug::HintForgotten,
    Bug::ChangedHintForgotten,
    Bug::HintReplaced,
    Bug::HintBesideAck,
    Bug::MergeDropsExpired,
    Bug::LastWriteWins,
    Bug::TombstoneIgnored,
    Bug::NoRestage,
    Bug::OldPassesCount,
    Bug::FillingProves,
    Bug::OnePassIsEnough,
    Bug::FullThoughLost,
    Bug::JoinerIsFull,
    Bug::AbsentReadsOnce,
    Bug::CleanupAfterOne,
    Bug::UnmuteForgets,
    Bug::AnyBallot,
    Bug::OwnValueFirst,
    Bug::ClimbInRound,
    Bug::LeaveWithHints,
    Bug::BarrierIsOpen,
    Bug::StaleVersionTaken,
    Bug::KeepActorAfterDrop,
    Bug::KeepActorAfterRot,
    Bug::KeepActorAfterContext,
    Bug::SkipAudit,
    Bug::RollbackUnseen,
    Bug::WitnessIgnored,
    Bug::ForwardTwice,
    Bug::StrictIsLoose,
    Bug::LateMint,
    Bug::SpreadFrees,
    Bug::ExactIsBlind,
    Bug::MixedDriver,
    Bug::LateWitness,
    Bug::OneClock,
    Bug::LossForgotten,
    Bug::ScanCountsBad,
    Bug::BarrierSkipsReads,
];

/// Each of these naive designs changes what some script says: one that cannot fail shows nothing.
#[cfg(feature = "planted")]
#[test]
fn a_planted_bug_is_seen() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/node");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|x| x == "txt"));
    let texts = files.map(|file| std::fs::read_to_string(file).unwrap());
    let scripts: Vec<_> = texts.map(|text| commands(&text)).collect();
    let sound: Vec<_> = scripts.iter().map(|lines| told(lines)).collect();
    let is_seen = |bug: &Bug| {
        planted::plant(Some(*bug));
        // One that does not go on at all is seen too.
        let as_before = |lines: &[String], sound: &Vec<String>| {
            std::panic::catch_unwind(|| told(lines)).is_ok_and(|told| told == *sound)
        };
        let seen = scripts.iter().zip(&sound).any(|(lines, sound)| !as_before(lines, sound));
        planted::plant(None);
        seen
    };
    let unseen: Vec<_> = SEEN.iter().filter(|bug| !is_seen(bug)).collect();
    assert!(unseen.is_empty(), "no script shows {unseen:?}");
}

/// The lines of a script that say what happens.
#[cfg(feature = "planted")]
fn commands(text: &str) -> Vec<String> {
    let mut answers = false;
    let line = |line: &&str| {
        answers = *line == "----" || answers && !line.is_empty();
        !answers && !line.is_empty() && !line.starts_with('#')
    };
    text.lines().filter(line).map(str::to_owned).collect()
}

/// What n1 wants done after each of these lines.
#[cfg(feature = "planted")]
fn told(lines: &[String]) -> Vec<String> {
    let mut script = Script::new();
    lines.iter().map(|line| script.line(line)).collect()
}

/// One script under way.
struct Script {
    world: World,
    store: Memory,
    /// What n1 holds when it is opened.
    rows: Vec<Row>,
    born_full: bool,
    suspect: Option<String>,
    node: Option<Node>,
    now: Time,
    lost: BTreeSet<NodeId>,
    tickets: u64,
    /// The batch under way.
    committing: Option<BatchSeq>,
    /// What n1 asked of each, the last one last.
    asked: BTreeMap<NodeId, Vec<Message>>,
    /// How it greeted each last.
    greeted: BTreeMap<NodeId, Body>,
    before: Before,
}

impl Script {
    fn new() -> Self {
        Self {
            world: World::default(),
            store: Memory::default(),
            rows: Vec::new(),
            born_full: true,
            suspect: None,
            node: None,
            now: Time { wall_ms: 1_000_000, mono_ms: 10_000 },
            lost: BTreeSet::new(),
            tickets: 0,
            committing: None,
            asked: BTreeMap::new(),
            greeted: BTreeMap::new(),
            before: Before::default(),
        }
    }

    /// Takes one line; what n1 wants done after it.
    fn line(&mut self, line: &str) -> String {
        let words: Vec<_> =
            line.split_whitespace().map(|w| w.trim_end_matches([',', ':'])).collect();
        let unseen = self.node.is_none() && self.prepare(&words);
        if unseen || self.world.take(&words) || self.rot(&words) {
            return String::new();
        }
        let events = words.split(|w| *w == "/").map(|words| self.event(words));
        let actions = match events.collect::<Said<Vec<_>>>() {
            Ok(events) => self.handle(events),
            Err(why) => panic!("{line}: this cannot happen: {why}"),
        };
        self.show(&actions)
    }

    /// What is so before n1 is opened; whether the line says that.
    fn prepare(&mut self, words: &[&str]) -> bool {
        match words {
            ["n1", "holds", items @ ..] => {
                for (key, stored) in self.world.items(items) {
                    let partition = self.world.partition(&key);
                    self.rows.push(Row::Record { partition, key, stored });
                }
            }
            ["n1", "keeps", item, "for", target] => {
                let (key, stored) = match item.contains('=') {
                    true => self.world.item(item),
                    false => (Key::new(item).unwrap(), None),
                };
                let (target, partition) = (self.world.node(target), self.world.partition(&key));
                self.rows.push(Row::Hint(Hint { target, partition, key, stored }));
            }
            ["n1", "is", "filling"] => self.born_full = false,
            ["n1's", "file", "is", "suspect"] => self.suspect = Some("it is older".into()),
            ["n1", "may", "have", "forgotten", "promises"] => {
                self.rows.push(Row::Meta("muted".into(), Some(Vec::new())));
            }
            [name, "is", "lost"] => drop(self.lost.insert(self.world.node(name))),
            ["n1", "starts"] | ["n1", "starts", "wanting", _] => {
                let wanted = words.get(3).map_or(0, |number| number.parse().unwrap());
                self.open(wanted);
                return false;
            }
            ["n1", "is", "up"] => {
                self.open(0);
                self.meet();
            }
            _ => return false,
        }
        true
    }

    /// Damages a copy; n1 sees it when it reads it. Whether the line says that.
    fn rot(&mut self, words: &[&str]) -> bool {
        let ["n1's", "copy", "of", name, how @ ("rots" | "vanishes")] = words else { return false };
        let key = Key::new(name).unwrap();
        let partition = self.world.partition(&key);
        let done = match *how {
            "rots" => self.store.rot(partition, &key),
            _ => self.store.lose(partition, &key),
        };
        assert!(done, "there is a copy of {name}");
        true
    }

    fn open(&mut self, witnesses: usize) {
        let doc = self.world.doc();
        let mut batch = genesis(self.world.node("n1"), world::N1, &doc, self.born_full);
        batch.ops.append(&mut self.rows);
        self.store.apply(&batch).unwrap();
        let row = |name| self.store.row(Table::Meta, name).unwrap();
        self.before.actor = row("actor").unwrap_or_default();
        self.before.filling = row("filling").unwrap_or_default();
        self.before.abstains = row("muted").is_some();
        let suspect = self.suspect.take();
        let boot = Boot { seed: 1 << 64, suspect, witnesses, ..Boot::default() };
        self.node = Some(Node::open(&self.store, boot).unwrap());
    }

    /// It greets and is greeted, and writes down what it has met: nothing of that is shown.
    fn meet(&mut self) {
        let actions = self.handle(vec![self.alive(), Event::Tick]);
        self.show(&actions);
        for peer in self.peers() {
            let met = self.met(peer, FilePoint::default()).unwrap();
            for body in [self.greeting(peer), met] {
                let actions = self.handle(vec![self.message(peer, 0, body)]);
                self.show(&actions);
            }
        }
        for _ in 0..3 {
            self.pass(1_000);
            let actions = self.handle(vec![Event::Tick]);
            self.show(&actions);
            if let Some(event) = self.sync() {
                let actions = self.handle(vec![event]);
                self.show(&actions);
            }
        }
        assert!(self.node.as_ref().is_some_and(Node::is_ready), "its witnesses were heard");
        assert!(self.committing.is_none(), "what it has met is durable");
    }

    /// The others that are up.
    fn peers(&self) -> Vec<NodeId> {
        let own = self.world.node("n1");
        self.world.all().filter(|id| *id != own && !self.lost.contains(id)).collect()
    }

    fn alive(&self) -> Event {
        Event::Alive(self.world.all().filter(|id| !self.lost.contains(id)).collect())
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
    }

    fn handle(&mut self, events: Vec<Event>) -> Vec<Action> {
        let node = self.node.as_mut().expect("n1 is up");
        let actions = node.handle_all(&self.store, self.now, events);
        for action in &actions {
            match action {
                Action::Send(to, message) => self.note_sent(*to, message),
                Action::Commit(seq, batch) => {
                    assert!(self.committing.is_none(), "one batch at a time");
                    self.learn(batch);
                    self.store.stage(batch);
                    self.committing = Some(*seq);
                }
                _ => {}
            }
        }
        actions
    }

    fn note_sent(&mut self, to: NodeId, message: &Message) {
        if matches!(message.body, Body::Greet { .. }) {
            self.greeted.insert(to, message.body.clone());
        } else if message.op != 0 && message.body.kind() == BodyKind::Request {
            self.asked.entry(to).or_default().push(message.clone());
        }
    }

    fn learn(&mut self, batch: &Batch) {
        for op in &batch.ops {
            if let Row::Record { key, stored, .. } = op {
                self.world.learn(&stored.record(key).unwrap());
            }
        }
    }

    fn show(&mut self, actions: &[Action]) -> String {
        let lines = actions.iter().map(|a| shown::action(&self.world, &mut self.before, a));
        let lines: Vec<_> = lines.collect();
        if lines.is_empty() { "nothing".into() } else { lines.join("\n") }
    }

    /// What a line says that happens.
    fn event(&mut self, words: &[&str]) -> Said<Event> {
        Ok(match words {
            ["n1", "starts", ..] => self.alive(),
            ["time", "passes"] => Event::Tick,
            ["committed"] => self.sync().ok_or(NO_BATCH)?,
            ["the", "disk", "is", "full"] => {
                self.store.set_full(true);
                let event = self.sync().ok_or(NO_BATCH)?;
                self.store.set_full(false);
                event
            }
            ["the", "disk", "fails"] => {
                let seq = self.committing.take().ok_or(NO_BATCH)?;
                self.store.crash(false);
                let error = crate::error::Error::Corrupt("The disk failed.".into());
                Event::Failed(seq, Failure::Fatal(error))
            }
            [ms, "ms", "pass"] => {
                self.pass(ms.parse().unwrap());
                Event::Tick
            }
            [name, "is", "lost"] => {
                self.lost.insert(self.world.node(name));
                self.alive()
            }
            [one, "and", other, "are", "lost"] => {
                self.lost.extend([one, other].map(|name| self.world.node(name)));
                self.alive()
            }
            [name, "is", "back"] => {
                self.lost.remove(&self.world.node(name));
                self.alive()
            }
            ["the", "link", "to", name, "is", "cut"] => Event::Cut(self.world.node(name)),
            [name, "never", "got", "it"] => {
                let node = self.world.node(name);
                Event::Unsent(node, self.last_asked(node, 0)?.op)
            }
            [client, words @ ..] if client.starts_with("client") => self.client(words),
            [name, "says", "late", words @ ..] => self.says(name, 1, words)?,
            [name, "says", words @ ..] => self.says(name, 0, words)?,
            [name, "asks", words @ ..] => self.asks(name, words, self.version()),
            [name, "is", "a", "version", "ahead", "and", "asks", words @ ..] => {
                self.asks(name, words, self.version() + 1)
            }
            [name, "is", "a", "version", "behind", "and", "asks", words @ ..] => {
                self.asks(name, words, self.version() - 1)
            }
            [name, "is", "two", "versions", "behind", "and", "asks", words @ ..] => {
                self.asks(name, words, self.version() - 2)
            }
            other => panic!("{other:?}: not understood"),
        })
    }

    /// Has the disk take what is under way, if it can.
    fn sync(&mut self) -> Option<Event> {
        let seq = self.committing.take()?;
        Some(match self.store.sync() {
            Ok(()) => Event::Committed(seq),
            Err(failure) => Event::Failed(seq, failure),
        })
    }

    fn client(&mut self, words: &[&str]) -> Event {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let request = self.request_of(words);
        if let Request::Get(key, _) = &request {
            self.before.asked.insert(ticket, key.clone());
        }
        Event::Request(ticket, request)
    }

    /// What a node was asked, `back` questions before the last one.
    fn last_asked(&self, node: NodeId, back: usize) -> Said<&Message> {
        let asked = self.asked.get(&node).map_or(&[][..], Vec::as_slice);
        asked.iter().rev().nth(back).ok_or("n1 has not asked it")
    }

    fn says(&mut self, name: &str, back: usize, words: &[&str]) -> Said<Event> {
        let node = self.world.node(name);
        let body = self.answer(node, words)?;
        let op = if body.kind() == BodyKind::Reply { self.last_asked(node, back)?.op } else { 0 };
        Ok(self.message(node, op, body))
    }

    /// The version of n1's ring document.
    fn version(&self) -> u64 {
        self.node.as_ref().expect("n1 is up").doc().version
    }

    /// A node asks n1 something, acting under a ring document of this version.
    fn asks(&mut self, name: &str, words: &[&str], version: u64) -> Event {
        let (node, body) = (self.world.node(name), self.question(words));
        let mut event = self.message(node, THEIRS, body);
        if let Event::Message(_, message) = &mut event {
            message.version = version;
        }
        event
    }

    fn message(&self, from: NodeId, op: u64, body: Body) -> Event {
        let doc = self.node.as_ref().expect("n1 is up").doc();
        Event::Message(from, Message { ring: doc.id, version: doc.version, op, body })
    }
}
