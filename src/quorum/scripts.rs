//! The decisions of this room as scripts: `testdata/quorum`, one situation each.
//!
//! ```text
//! read [options] asking n1 n2        a read of one key is sent to these nodes
//! write v2 as KIND [options] reaching n1 n2 f1
//!                                    KIND: blind context overwrite absent exact; of the nodes that
//!                                    are up those that own nothing stand in
//! scan [options] asking n1 n2
//! options                            R=2 W=2 strict patient read-only each-quorum local-quorum=ZONE
//!
//! n1 has v1                          a full owner's vote; `nothing`, `v1+v2`, `v1!`, `v1 damaged`
//! n1 (filling) has v1                no vote; so are those of a (fallback)
//! n1 cannot read it                  its copy fails the checksum
//! n1 stored it / refuses it / is lost
//! f1 keeps it for n3
//! n1 sends a=v1 b=? and more         a page of a scan; `and no more`
//! patience is over                   what has not answered is done without
//! the time is over                   the deadline
//! the old layout is forgotten        the last step of a change is taken
//! ```
//!
//! After each line stands what is decided. `UPDATE=1` rewrites that part. The lines that describe ring
//! and values are those of [`world`].

use std::collections::{BTreeSet, VecDeque};

use self::world::{WALL_MS, World, damaged, item, options, shown};
use super::*;
use crate::ring::RingDoc;

mod world;

#[test]
fn every_situation_is_decided_as_its_script_says() {
    crate::golden::run("quorum", || {
        let mut script = Script::new();
        move |line: &str| script.line(line)
    });
}

/// One script under way.
struct Script {
    world: World,
    key: Key,
    op: Op,
    /// Who was asked and has neither answered nor been lost.
    awaiting: BTreeSet<NodeId>,
    time: TimeLeft,
}

enum Op {
    None,
    Read(Box<ReadTally>, Options),
    Write(Box<WriteOp>),
    Scan(PageTally),
}

struct WriteOp {
    doc: RingDoc,
    request: PutRequest,
    minted: [Minted; 1],
    prior: Prior,
    owners: Vec<NodeId>,
    /// Those that have not been asked to stand in.
    fallbacks: VecDeque<NodeId>,
    tally: WriteTally,
    phase: Phase,
}

enum Phase {
    Prior(ReadTally),
    Replicating,
    Confirming(ReadTally),
}

impl Script {
    fn new() -> Self {
        let key = Key::new("k").unwrap();
        let (op, awaiting, time) = (Op::None, BTreeSet::new(), TimeLeft::Plenty);
        Self { world: World::default(), key, op, awaiting, time }
    }

    /// Takes one line; what is decided after it.
    fn line(&mut self, line: &str) -> String {
        let words: Vec<_> =
            line.split_whitespace().map(|w| w.trim_end_matches([',', ':'])).collect();
        if self.world.take(&words) {
            return String::new();
        }
        match words.as_slice() {
            ["read", rest @ ..] => self.start_read(rest),
            ["write", value, "as", basis, rest @ ..] => {
                if let Err(verdict) = self.start_write(value, basis, rest) {
                    return said(&verdict);
                }
            }
            ["scan", rest @ ..] => self.start_scan(rest),
            ["patience", "is", "over"] => self.time = TimeLeft::PatienceOver,
            ["the", "time", "is", "over"] => self.time = TimeLeft::Over,
            ["the", "old", "layout", "is", "forgotten"] => {
                let Op::Write(write) = &mut self.op else { panic!("{line}: no write") };
                write.tally.forget_old(&write.doc, &write.request.options);
            }
            [name, "(filling)" | "(fallback)", what @ ..] => {
                let node = self.world.node(name);
                self.hear(node, what, Answer::Extra);
            }
            [name, what @ ..] => {
                let node = self.world.node(name);
                self.hear(node, what, Answer::Vote);
            }
            [] => {}
        }
        self.decide()
    }

    fn start_read(&mut self, words: &[&str]) {
        let (options, rest) = options(words);
        let ["asking", names @ ..] = rest else { panic!("{rest:?}: asking whom?") };
        self.awaiting = self.world.nodes(names).into_iter().collect();
        let doc = self.world.doc();
        let tally = ReadTally::asked(&doc, doc.q.partition(&self.key), &options);
        self.op = Op::Read(Box::new(tally), options);
    }

    fn start_scan(&mut self, words: &[&str]) {
        let (options, rest) = options(words);
        let ["asking", names @ ..] = rest else { panic!("{rest:?}: asking whom?") };
        self.awaiting = self.world.nodes(names).into_iter().collect();
        self.op = Op::Scan(PageTally::asked(&self.world.doc(), &options));
    }

    fn start_write(&mut self, value: &str, basis: &str, words: &[&str]) -> Result<(), Verdict> {
        let (options, rest) = options(words);
        let ["reaching", names @ ..] = rest else { panic!("{rest:?}: reaching whom?") };
        let up = self.world.nodes(names);
        let doc = self.world.doc();
        let partition = doc.q.partition(&self.key);
        let items = vec![item(&mut self.world, &self.key, value, basis)];
        let request = PutRequest { partition, items, options };
        let writers = doc.writers(partition);
        let (owners, mut fallbacks): (Vec<_>, Vec<_>) =
            up.into_iter().partition(|node| writers.contains(node));
        if request.is_strict() {
            fallbacks.clear();
        }
        let reach = Reach { owners, fallbacks };
        let tally = WriteTally::begin(&doc, &request, &reach)?;
        let Reach { owners, fallbacks } = reach;
        if request.reads_before() {
            let voters = doc.owners_in(doc.read_layout(), partition);
            self.awaiting = owners.iter().filter(|o| voters.contains(o)).copied().collect();
        }
        let (dot, expected) = (self.world.dot(value), self.world.record(value).clock);
        self.op = Op::Write(Box::new(WriteOp {
            phase: Phase::Prior(ReadTally::prior(&doc, partition)),
            doc,
            request,
            minted: [Minted { dot: Some(dot), expected }],
            prior: Prior::Known,
            owners,
            fallbacks: fallbacks.into(),
            tally,
        }));
        Ok(())
    }

    /// A node answers. `voice` makes what it holds a vote or none.
    fn hear(&mut self, node: NodeId, what: &[&str], voice: fn(Option<Stored>) -> Answer) {
        self.awaiting.remove(&node);
        match what {
            ["has", value] => {
                let stored = self.world.stored(&self.key, value);
                self.hear_copy(node, voice(stored));
            }
            ["has", value, "damaged"] => {
                let stored = self.world.stored(&self.key, value);
                self.hear_copy(node, damaged(&self.key, voice(stored)));
            }
            ["cannot", "read", "it"] => self.hear_copy(node, Answer::Unreadable),
            ["sends", records @ .., "and", "no", "more"] => {
                self.hear_page(node, records, (true, voice));
            }
            ["sends", records @ .., "and", "more"] => self.hear_page(node, records, (false, voice)),
            ["is", "lost"] | ["refuses", "it"] => self.lose(),
            ["stored", "it"] => match &mut self.op {
                Op::Read(tally, _) => tally.stored(node),
                Op::Write(write) => write.tally.ack(node),
                Op::None => {} // it is over
                Op::Scan(_) => panic!("nothing to store"),
            },
            ["keeps", "it", "for", owner] => {
                let owner = self.world.node(owner);
                let Op::Write(write) = &mut self.op else { panic!("nothing to keep") };
                write.tally.hint(node, owner);
            }
            other => panic!("{other:?}: not understood"),
        }
    }

    fn hear_copy(&mut self, node: NodeId, answer: Answer) {
        match &mut self.op {
            Op::Read(tally, _) => tally.answer(node, vec![answer]),
            Op::Write(write) => match &mut write.phase {
                Phase::Prior(tally) | Phase::Confirming(tally) => tally.answer(node, vec![answer]),
                Phase::Replicating => {} // late for what it was asked
            },
            Op::None => {} // it is over
            Op::Scan(_) => panic!("not a word about copies was asked"),
        }
    }

    fn hear_page(
        &mut self,
        node: NodeId,
        records: &[&str],
        (end, voice): (bool, fn(Option<Stored>) -> Answer),
    ) {
        let full = matches!(voice(None), Answer::Vote(_));
        let pairs = records.iter().filter_map(|r| r.split_once('='));
        let records = pairs.map(|(name, value)| {
            let key = Key::new(name).unwrap();
            let stored = if value == "?" { None } else { self.world.stored(&key, value) };
            (key, stored)
        });
        let page = Page { records: records.collect(), end, full };
        let Op::Scan(tally) = &mut self.op else { panic!("no page was asked for") };
        tally.page(node, page);
    }

    /// An owner does not take a write: the next fallback stands in for it.
    fn lose(&mut self) {
        if let Op::Write(write) = &mut self.op
            && matches!(write.phase, Phase::Replicating)
        {
            self.awaiting.extend(write.fallbacks.pop_front());
        }
    }

    fn progress(&self) -> Progress {
        Progress { outstanding: self.awaiting.len(), time: self.time }
    }

    /// Asks for the next step, says it, and does what of it has to be done.
    fn decide(&mut self) -> String {
        let progress = self.progress();
        match std::mem::replace(&mut self.op, Op::None) {
            Op::None => "it is over".into(),
            Op::Scan(tally) => match tally.next(progress) {
                ScanNext::Wait => {
                    self.op = Op::Scan(tally);
                    self.wait()
                }
                ScanNext::Refuse(why) => format!("refuse: {why}"),
                ScanNext::Answer(page) => {
                    let one = |(key, stored): &(Key, Stored)| {
                        format!(" {key}={}", shown(key, Some(stored)))
                    };
                    let records: String = page.records.iter().map(one).collect();
                    let records = if records.is_empty() { " nothing".into() } else { records };
                    format!("answer{records} and {}", if page.end { "no more" } else { "more" })
                }
            },
            Op::Read(mut tally, options) => match tally.next(&self.key, &options, progress) {
                ReadNext::Answer { repair } => self.answer(&tally, &repair),
                ReadNext::Refuse(verdict) => said(&verdict),
                ReadNext::Wait => {
                    self.op = Op::Read(tally, options);
                    self.wait()
                }
                ReadNext::WriteBack { to } => {
                    let merged = shown(&self.key, tally.merged(0, &self.key).0.as_ref());
                    self.op = Op::Read(tally, options);
                    let line = format!("write {merged} back to {}", self.world.names(&to));
                    self.awaiting = to.into_iter().collect();
                    line
                }
            },
            Op::Write(write) => self.decide_write(write),
        }
    }

    fn wait(&self) -> String {
        format!("wait for {}", self.world.names(&self.awaiting))
    }

    fn answer(&self, tally: &ReadTally, repair: &[NodeId]) -> String {
        let reply = tally.reply(&self.key, Verdict::Done);
        let mut line = format!("answer {}", shown(&self.key, reply.stored.as_ref()));
        if !repair.is_empty() {
            line += &format!(", repair {}", self.world.names(repair));
        }
        if !reply.clashes.is_empty() {
            line += ", corrupt: one version has two values";
        }
        line
    }

    fn decide_write(&mut self, mut write: Box<WriteOp>) -> String {
        let progress = self.progress();
        match &write.phase {
            Phase::Prior(tally) => match tally.next_prior(&write.request, progress) {
                PriorNext::Refuse(verdict) => return said(&verdict),
                PriorNext::Wait => {}
                PriorNext::Mint => return self.replicate(write, Prior::Known),
                PriorNext::Guess => return self.replicate(write, Prior::Guessed),
            },
            Phase::Confirming(tally) => {
                let (request, minted, prior) = (&write.request, &write.minted, write.prior);
                let written = Written { request, minted, prior, wall_ms: WALL_MS };
                match tally.next_confirm(&written, progress) {
                    ConfirmNext::End(verdict, outcomes) => {
                        return format!("reply {}, {outcomes:?}, end", said(&verdict));
                    }
                    ConfirmNext::Wait => {}
                }
            }
            Phase::Replicating => match write.tally.next(&write.request, progress) {
                WriteNext::Wait => {}
                WriteNext::Confirm => return self.confirm(write),
                WriteNext::Reply(verdict) => {
                    let line = replied(&write, &verdict);
                    self.op = Op::Write(write);
                    return format!("{line}, {}", self.wait());
                }
                WriteNext::ReplyAndEnd(verdict) => {
                    return format!("{}, end", replied(&write, &verdict));
                }
                WriteNext::End => return "end".into(),
            },
        }
        self.op = Op::Write(write);
        self.wait()
    }

    /// It is minted, and sent to the owners; fallbacks stand in for those that are down.
    fn replicate(&mut self, mut write: Box<WriteOp>, prior: Prior) -> String {
        write.prior = prior;
        write.phase = Phase::Replicating;
        self.time = TimeLeft::Plenty;
        self.awaiting = write.owners.iter().copied().collect();
        for owner in write.doc.writers(write.request.partition) {
            if !write.owners.contains(&owner) {
                self.awaiting.extend(write.fallbacks.pop_front());
            }
        }
        self.op = Op::Write(write);
        let how = if prior == Prior::Guessed { ", guessing" } else { "" };
        format!("mint{how}, send to {}", self.world.names(&self.awaiting))
    }

    fn confirm(&mut self, mut write: Box<WriteOp>) -> String {
        let (doc, partition) = (&write.doc, write.request.partition);
        let voters = doc.owners_in(doc.read_layout(), partition);
        self.awaiting = write.owners.iter().filter(|o| voters.contains(o)).copied().collect();
        write.phase = Phase::Confirming(ReadTally::asked(doc, partition, &write.request.options));
        self.op = Op::Write(write);
        format!("read again from {}", self.world.names(&self.awaiting))
    }
}

/// A verdict as a script has it.
fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Done => "done".into(),
        Verdict::Refused(why) => format!("refuse: {why}"),
        Verdict::Unknown(why) => format!("unknown: {why}"),
        Verdict::Unreachable(why) => format!("unreachable: {why}"),
    }
}

fn replied(write: &WriteOp, verdict: &Verdict) -> String {
    match write.tally.counts() {
        (acks, 0) => format!("reply {} (acks {acks})", said(verdict)),
        (acks, hints) => format!("reply {} (acks {acks}, hints {hints})", said(verdict)),
    }
}
