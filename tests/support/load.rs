//! Clients: threads that each keep asking a ring, and write down every answer.
//!
//! ```text
//! 40 % reads, every second one strict       25 % a read, then a write with its context
//! 15 % overwrites  5 % blind                15 % deletes, some with a context
//! ```
//!
//! Half of the keys are `causal-…`: they are only written with a context or blindly, so that every
//! value that goes has a clock in the log that says why. Caveat: a client asks for one thing at a
//! time and never repeats what is unknown.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kvs::clock::VersionVector;
use kvs::cluster::{Access, Cluster, Opening};
use kvs::error::{Error, Result};
use kvs::key::Key;
use kvs::os::wall_ms;
use kvs::quorum::{Item, ItemReply, Options, Precondition};
use kvs::record::Record;
use serde::{Deserialize, Serialize};

use super::log::{End, Op, What};
use super::rng::Rng;
use super::task::Stop;

/// What the clients of one process do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The name of the process.
    pub(crate) name: String,
    /// The nodes' addresses, or their directories.
    pub(crate) specs: Vec<String>,
    /// The ring's key, where nodes are addresses.
    pub(crate) key_file: Option<PathBuf>,
    /// Where to write the log.
    pub(crate) log: PathBuf,
    pub(crate) threads: usize,
    /// Keys there are.
    pub(crate) keys: u64,
    /// Operations of each thread in a second.
    pub(crate) pace: u32,
    /// Writes and reads that are strict, in a thousand.
    pub(crate) strict: u64,
    pub(crate) seed: u64,
}

/// A client gives up after so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// No load goes on for longer, whatever becomes of its test.
const LONGEST: Duration = Duration::from_secs(3_600);

/// One thread.
struct Client<'a> {
    plan: &'a Plan,
    who: String,
    rng: Rng,
    /// Its addresses, beginning with one of its own.
    specs: Vec<String>,
    target: Option<Cluster>,
    /// What it last saw of each key.
    seen: BTreeMap<String, VersionVector>,
    count: u64,
    log: &'a Mutex<BufWriter<File>>,
    /// When the process began, by both clocks.
    began: (u64, Instant),
}

impl Plan {
    /// Asks until standard input ends.
    pub(crate) fn run(&self) {
        let stop = Stop::default();
        self.with_clients(self.threads, |client| client.run(&stop), || stop.when_input_ends());
    }

    /// Asks until it is time to stop.
    pub(crate) fn run_until(&self, stop: &Stop) {
        self.with_clients(self.threads, |client| client.run(stop), || ());
    }

    /// Reads every key once.
    pub(crate) fn read_all(&self) {
        let keys: Vec<String> = (0..self.keys).map(key).collect();
        self.with_clients(1, |client| keys.iter().for_each(|key| client.last(key)), || ());
    }

    fn with_clients(&self, count: usize, work: impl Fn(&mut Client) + Sync, beside: impl FnOnce()) {
        let file = File::options().append(true).create(true).open(&self.log).expect("a log");
        let log = Mutex::new(BufWriter::new(file));
        let began = (wall_ms(), Instant::now());
        std::thread::scope(|scope| {
            for i in 0..count {
                let mut client = Client::new(self, i, &log, began);
                let work = &work;
                scope.spawn(move || work(&mut client));
            }
            beside();
        });
        log.into_inner().expect("nobody panicked").flush().expect("a log that can be written");
    }
}

/// The keys: one half for writes that say what they supersede, one for all.
fn key(number: u64) -> String {
    if number.is_multiple_of(2) { format!("causal-{number}") } else { format!("free-{number}") }
}

impl<'a> Client<'a> {
    fn new(
        plan: &'a Plan,
        number: usize,
        log: &'a Mutex<BufWriter<File>>,
        began: (u64, Instant),
    ) -> Self {
        let who = format!("{}.{number}", plan.name);
        let mut specs = plan.specs.clone();
        let rng = Rng(plan.seed.wrapping_mul(1_000).wrapping_add(number as u64));
        let first = rng.clone().below(specs.len() as u64) as usize;
        specs.rotate_left((first + number) % plan.specs.len());
        let (target, seen, count) = (None, BTreeMap::new(), 0);
        Self { plan, who, rng, specs, target, seen, count, log, began }
    }

    fn run(&mut self, stop: &Stop) {
        let began = Instant::now();
        let turn = Duration::from_secs(1) / self.plan.pace;
        let mut next = began;
        while !stop.within(next.saturating_duration_since(Instant::now()))
            && began.elapsed() < LONGEST
        {
            self.turn();
            // What was missed while the ring was slow is not made up for.
            next = Instant::now().max(next + turn);
        }
    }

    /// Asks for one thing, or reads and writes what follows from it.
    fn turn(&mut self) {
        let key = key(self.rng.below(self.plan.keys));
        let causal = key.starts_with("causal");
        let strict = self.rng.chance(self.plan.strict);
        match self.rng.below(100) {
            0..40 => drop(self.get(&key, strict)),
            40..65 => self.modify(&key, strict, false),
            65..80 if !causal => self.put(&key, strict, What::Overwrite, false),
            80..85 => self.put(&key, strict, What::Blind, false),
            85..95 if !causal => self.put(&key, strict, What::Overwrite, true),
            65..95 => self.modify(&key, strict, true),
            // One that saw it some time ago.
            _ => {
                let clock = self.seen.get(&key).cloned().unwrap_or_default();
                self.put(&key, strict, What::Context(clock), false);
            }
        }
    }

    /// Reads and writes with what it saw; every third of the deletes is one.
    fn modify(&mut self, key: &str, strict: bool, may_delete: bool) {
        if let Some(clock) = self.get(key, strict) {
            let deletes = may_delete && !clock.is_empty() && self.rng.chance(333);
            self.put(key, strict, What::Context(clock), deletes);
        }
    }

    fn last(&mut self, key: &str) {
        for _ in 0..3 {
            if self.get(key, true).is_some() {
                return;
            }
        }
    }

    fn get(&mut self, key: &str, strict: bool) -> Option<VersionVector> {
        let begin_ms = self.now();
        let name = Key::new(key).expect("a key");
        let read = self.ask(|target| {
            let reply = target.get(&name, &options(strict))?;
            Ok(reply.stored.map(|s| s.record(&name)).transpose()?.unwrap_or_default())
        });
        let clock = read.as_ref().ok().map(|r| r.clock.clone());
        self.note(begin_ms, key, strict, What::Get, None, read.map_or_else(|e| failed(&e), shown));
        if let Some(clock) = &clock {
            self.seen.insert(key.to_owned(), clock.clone());
        }
        clock
    }

    fn put(&mut self, key: &str, strict: bool, what: What, deletes: bool) {
        let begin_ms = self.now();
        self.count += 1;
        let value = (!deletes).then(|| format!("{}.{}", self.who, self.count));
        let basis = match &what {
            What::Get => unreachable!("a read is no write"),
            What::Context(clock) => Precondition::Context(clock.clone()),
            What::Overwrite => Precondition::Overwrite { force: self.rng.chance(500) },
            What::Blind => Precondition::Blind,
        };
        let bytes = value.clone().map(|v| (v.into_bytes(), None));
        let item = Item { key: Key::new(key).expect("a key"), value: bytes, basis };
        let written = self.ask(|target| target.put(item, &options(strict)));
        let end = match written.as_ref().map(|reply| (reply.items.first(), reply.hinted)) {
            Ok((Some(ItemReply::Written { dot, context, .. }), hinted)) => {
                End::Acked { dot: *dot, context: context.clone(), hinted }
            }
            Ok((Some(ItemReply::TooLarge(why)), _)) => End::Refused(why.clone()),
            Ok((Some(ItemReply::Conflict { .. } | ItemReply::Absent), _)) => End::Declined,
            Ok((other, _)) => End::Broken(format!("A write was answered {other:?}")),
            Err(error) => failed(error),
        };
        self.note(begin_ms, key, strict, what, value, end);
    }

    /// Asks the ring. Directories are opened for this only: others want them too.
    fn ask<T>(&mut self, question: impl FnOnce(&mut Cluster) -> Result<T>) -> Result<T> {
        let mut target = match self.target.take() {
            Some(target) => target,
            None => open(self.plan, &self.specs)?,
        };
        let answer = question(&mut target);
        let gone = matches!(answer.as_ref().map_err(Error::root), Err(Error::Unreachable(_)));
        self.target = (self.plan.key_file.is_some() && !gone).then_some(target);
        answer
    }

    fn now(&self) -> u64 {
        self.began.0 + self.began.1.elapsed().as_millis() as u64
    }

    fn note(
        &mut self,
        begin_ms: u64,
        key: &str,
        strict: bool,
        what: What,
        value: Option<String>,
        end: End,
    ) {
        let (who, end_ms) = (self.who.clone(), self.now());
        let op = Op { who, begin_ms, end_ms, key: key.into(), strict, what, value, end };
        let line = serde_json::to_string(&op).expect("an operation is plain data");
        let mut log = self.log.lock().expect("nobody panics with it");
        writeln!(log, "{line}").expect("a log that can be written");
    }
}

fn open(plan: &Plan, specs: &[String]) -> Result<Cluster> {
    Cluster::open(&Opening {
        specs: specs.to_vec(),
        access: Access::Write,
        timeout: PATIENCE,
        down: Vec::new(),
        lost: None,
        key_file: plan.key_file.clone(),
        mixed: false,
        zone: None,
        purpose: format!("test-{}", plan.name),
    })
}

fn options(strict: bool) -> Options {
    Options { strict, write_back: true, ..Options::default() }
}

fn shown(record: Record) -> End {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let siblings = record.siblings.iter().map(|(dot, value)| (*dot, text(&value.bytes))).collect();
    End::Read { clock: record.clock, siblings }
}

/// What the contract says of each error.
fn failed(error: &Error) -> End {
    let text = error.to_string();
    match error.root() {
        Error::Unknown(_) => End::Unknown(text),
        Error::Refused(_) | Error::Unreachable(_) | Error::Conflict(_) | Error::Busy(_) => {
            End::Refused(text)
        }
        _ => End::Broken(text),
    }
}
