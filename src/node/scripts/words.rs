//! What clients and peers say, in the words of a script.
//!
//! ```text
//! client puts color=red [blind | if absent | after blue | exactly after blue] [options]
//! client deletes color; gets color; scans beside apple, 2 a page; repairs; cleans up
//! client delivers hints; spreads hints; asks for the status; proposes that n3 leaves; advances the change
//! options        W=3 R=2 strict patient read-only ms=1000
//!
//! n2 says: stored; holds color=red; holds color=?; holds color=red without a vote; not mine, WHY
//!          sends a=red b=? and more; is filling nothing; differs nowhere; differs where color is
//!          lists color=red; promises; accepts; abstains; clear, 0 hints; not yet clear
//!          chosen: n3 leaves; chosen: the next step; has met n1 further on; it greets
//! n2 asks: to store color=red; to keep color=red for n3; for color; to coordinate color=red blind
//!          to promise 5.n2; to accept 5.n2: n3 leaves; whether older work is done
//!          to fill; to deliver; what it is filling; for a page beside apple
//! ```

use super::*;
use crate::clock::VersionVector;
use crate::digest::{HashRange, Sum};
use crate::protocol::Scope;
use crate::quorum::{
    Answer, Item, ItemReply, Options, Precondition, PutReply, PutRequest, Verdict,
};
use crate::ring::RingDoc;

impl Script {
    pub(super) fn request_of(&mut self, words: &[&str]) -> Request {
        match words {
            ["puts", words @ ..] => Request::Put(self.put(words)),
            ["deletes", key, words @ ..] => {
                let (key, (options, [])) = (Key::new(key).unwrap(), options(words)) else {
                    panic!("{words:?}: not understood")
                };
                let basis = Precondition::Overwrite { force: false };
                let partition = self.world.partition(&key);
                let items = vec![Item { key, value: None, basis }];
                Request::Put(PutRequest { partition, items, options })
            }
            ["gets", key, words @ ..] => Request::Get(Key::new(key).unwrap(), all_options(words)),
            ["scans", "beside", key, limit, "a", "page", words @ ..] => {
                let partition = self.world.partition(&Key::new(key).unwrap());
                Request::Scan(partition, None, limit.parse().unwrap(), all_options(words))
            }
            ["scans", "partition", number] => {
                let partition = crate::key::Partition(number.parse().unwrap());
                Request::Scan(partition, None, 10, all_options(&[]))
            }
            ["repairs"] => Request::Repair(RepairRequest::default()),
            ["cleans", "up"] => Request::Cleanup,
            ["delivers", "hints"] => Request::Deliver,
            ["spreads", "hints"] => Request::Spread,
            ["asks", "for", "the", "status"] => Request::Status,
            ["proposes", "that", name, "leaves"] => Request::Propose(self.leave(name)),
            ["advances", "the", "change"] => Request::Advance,
            ["gives", "up", key] => Request::GiveUp(Key::new(key).unwrap()),
            other => panic!("{other:?}: no client says that"),
        }
    }

    /// `color=red BASIS OPTIONS`.
    fn put(&mut self, words: &[&str]) -> PutRequest {
        let [item, words @ ..] = words else { panic!("puts what?") };
        let (key, value) = item.split_once('=').unwrap();
        let (basis, words) = match words {
            ["blind", words @ ..] => (Precondition::Blind, words),
            ["if", "absent", words @ ..] => (Precondition::Absent, words),
            ["after", seen, words @ ..] => (Precondition::Context(self.clock(seen)), words),
            ["exactly", "after", seen, words @ ..] => {
                (Precondition::Exact(self.clock(seen)), words)
            }
            words => (Precondition::Overwrite { force: false }, words),
        };
        let (key, options) = (Key::new(key).unwrap(), all_options(words));
        let partition = self.world.partition(&key);
        let items = vec![Item { key, value: Some((value.into(), None)), basis }];
        PutRequest { partition, items, options }
    }

    fn clock(&mut self, seen: &str) -> VersionVector {
        self.world.record(seen).clock
    }

    fn leave(&self, name: &str) -> Box<RingDoc> {
        self.world.leave(self.node.as_ref().expect("n1 is up").doc(), name)
    }

    /// What a node answers to what it was asked.
    pub(super) fn answer(&mut self, node: NodeId, words: &[&str]) -> Said<Body> {
        Ok(match words {
            ["stored"] => stored(node, true),
            ["stored", "(filling)"] => stored(node, false),
            ["not", "stored", why @ ..] => Body::NotStored(why.join(" ")),
            ["not", "mine", why @ ..] => Body::NotMine(why.join(" ")),
            ["holds", items @ .., "without", "a", "vote"] => self.copies(items, Answer::Extra),
            ["holds", items @ ..] => self.copies(items, Answer::Vote),
            ["sends", items @ .., "and", "no", "more"] => self.page(items, true),
            ["sends", items @ .., "and", "more"] => self.page(items, false),
            ["is", "filling", "nothing"] => Body::Filling(Vec::new()),
            ["is", "filling", "everything"] => Body::Filling(self.world.doc().q.all().collect()),
            ["differs", "nowhere"] => Body::Differ(Vec::new()),
            ["differs", "where", key, "is"] => self.differ(node, &Key::new(key).unwrap())?,
            ["lists", "nothing"] => Body::Listing(Vec::new()),
            ["lists", items @ ..] => {
                let items = self.world.items(items).into_iter();
                Body::Listing(items.map(|(key, stored)| (key, stored.hash())).collect())
            }
            ["written"] => {
                let dot = crate::clock::Dot { actor: Actor(node.0), counter: 1 };
                let items = vec![ItemReply::Written { dot, context: None, values: 1 }];
                let none = PutReply::none(Verdict::Done);
                Body::PutDone(PutReply { items, acks: 2, n: 3, ..none })
            }
            ["promises"] => Body::Promise(None),
            ["promises", "and", "has", "accepted", ballot, name, "leaves"] => {
                Body::Promise(Some((self.world.ballot(ballot), self.leave(name))))
            }
            ["accepts"] => Body::Accepted,
            ["rejects", "it", "has", "promised", ballot] => {
                Body::Rejected(self.world.ballot(ballot))
            }
            ["abstains"] => Body::Muted,
            ["clear", hints, "hints"] => {
                Body::Cleared { clear: true, hints: hints.parse().unwrap() }
            }
            ["not", "yet", "clear"] => Body::Cleared { clear: false, hints: 0 },
            ["chosen", "the", "next", "step"] => {
                let doc = self.node.as_ref().expect("n1 is up").doc();
                Body::Chosen(Box::new(doc.advance().unwrap()))
            }
            ["chosen", name, "leaves"] => Body::Chosen(self.leave(name)),
            ["it", "greets"] => self.greeting(node),
            ["has", "met", "n1", "no", "further"] => self.met(node, FilePoint::default())?,
            ["has", "met", "n1", "further", "on"] => {
                self.met(node, FilePoint { epoch: 5, life: 77, commit: 500 })?
            }
            other => panic!("{other:?}: no node says that"),
        })
    }

    /// What a node asks n1.
    pub(super) fn question(&mut self, words: &[&str]) -> Body {
        match words {
            ["to", "store", items @ ..] => {
                Body::Replicate { records: self.world.items(items), hint_for: None, commit: 0 }
            }
            ["to", "keep", items @ .., "for", target] => {
                let hint_for = Some(self.world.node(target));
                Body::Replicate { records: self.world.items(items), hint_for, commit: 0 }
            }
            ["to", "coordinate", words @ ..] => Body::Put(self.put(words)),
            ["to", "promise", ballot] => Body::Prepare(self.world.ballot(ballot)),
            ["to", "accept", ballot, name, "leaves"] => {
                Body::Accept(self.world.ballot(ballot), self.leave(name))
            }
            ["whether", "older", "work", "is", "done"] => Body::Barrier,
            ["to", "fill"] => Body::Fill,
            ["to", "deliver"] => Body::Deliver,
            ["what", "it", "is", "filling"] => Body::Fullness(Scope::Shared),
            ["for", "a", "page", "beside", key] => {
                let partition = self.world.partition(&Key::new(key).unwrap());
                Body::Page { partition, after: None, limit: 10 }
            }
            ["for", keys @ ..] => {
                let keys: Vec<_> = keys.iter().map(|key| Key::new(key).unwrap()).collect();
                self.before.read.clone_from(&keys);
                Body::Read(keys)
            }
            other => panic!("{other:?}: no node asks that"),
        }
    }

    /// One answer for each key; `color=?` cannot be read.
    fn copies(
        &mut self,
        items: &[&str],
        voice: fn(Option<crate::record::Stored>) -> Answer,
    ) -> Body {
        let one = |text: &&str| match text.ends_with("=?") {
            true => Answer::Unreadable,
            false => voice(self.world.item(text).1),
        };
        let answers: Vec<_> = items.iter().map(one).collect();
        let asked = answers.len() as u32;
        Body::Copies { answers, asked, wall_ms: self.now.wall_ms }
    }

    fn page(&mut self, items: &[&str], end: bool) -> Body {
        let one = |text: &&str| match text.strip_suffix("=?") {
            Some(key) => (Key::new(key).unwrap(), None),
            None => self.world.item(text),
        };
        Body::Paged { records: items.iter().map(one).collect(), end, full: true }
    }

    /// Of the ranges that it was asked about, those that a key is in.
    fn differ(&self, node: NodeId, key: &Key) -> Said<Body> {
        let Body::Sums { arcs, .. } = &self.last_asked(node, 0)?.body else {
            return Err("n1 has not sent it sums");
        };
        let q = self.world.doc().q;
        let (p, leaf) = (key.position().partition(q), key.position().leaf(q));
        let within = |arc: &HashRange| {
            let span = arc.span(q);
            (span.first..=span.last).contains(&u32::from(p.0))
                && (span.leaf_first..=span.leaf_last).contains(&leaf)
        };
        let other = Sum { terms: 1, count: 1 };
        let arcs = arcs.iter().filter(|(arc, _)| within(arc)).map(|(arc, _)| (*arc, other));
        Ok(Body::Differ(arcs.collect()))
    }

    /// It greets as one that has just been opened.
    pub(super) fn greeting(&self, node: NodeId) -> Body {
        let opened = FilePoint { epoch: 1, life: 100 + node.0, commit: 1 };
        let (actor, counter) = (Actor(2_000 + node.0), 0);
        Body::Greet { opened, actor, counter, epoch: 2, life: 200 + node.0, renewed: false }
    }

    /// It answers n1's greeting: so far it had met n1.
    pub(super) fn met(&self, node: NodeId, met: FilePoint) -> Said<Body> {
        let Some(Body::Greet { life, actor, .. }) = self.greeted.get(&node) else {
            return Err("n1 has not greeted it");
        };
        Ok(Body::Met { life: *life, met, actor: *actor, counter: 0 })
    }
}

fn stored(node: NodeId, full: bool) -> Body {
    Body::Stored { full, actor: Actor(2_000 + node.0), commit: 1 }
}

fn all_options(words: &[&str]) -> Options {
    let (options, rest) = options(words);
    assert!(rest.is_empty(), "{rest:?}: no options");
    options
}

/// The options of an operation, and the rest of the line.
fn options<'a>(mut words: &'a [&'a str]) -> (Options, &'a [&'a str]) {
    let mut options = Options { write_back: true, timeout_ms: 6_000, ..Options::default() };
    while let [word, rest @ ..] = words {
        match word.split_once('=') {
            Some(("R", number)) => options.r = Some(number.parse().unwrap()),
            Some(("W", number)) => options.w = Some(number.parse().unwrap()),
            Some(("ms", number)) => options.timeout_ms = number.parse().unwrap(),
            _ => match *word {
                "strict" => options.strict = true,
                "patient" => options.patient = true,
                "read-only" => options.write_back = false,
                _ => break,
            },
        }
        words = rest;
    }
    (options, words)
}
