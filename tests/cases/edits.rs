//! Four people edit one key at once while links between the nodes are cut and mended.
//!
//! ```text
//! read strictly -> all that is shown, and a tag of one's own -> exact write -> written | lost | unknown
//! ```
//!
//! Law: what an editor is told to have written is in what is shown in the end; what one is told to have
//! lost is not.

use std::collections::BTreeSet;

use kvs::key::Key;
use kvs::node::{Reply, Request};
use kvs::quorum::{Precondition, PutReply, Verdict};

use crate::help::{converge, is_done, part};
use crate::support::world::{World, options, strict};

const EDITORS: usize = 4;
const EDITS: usize = 25;
/// Nobody needs so many tries, links or not.
const TRIES_MAX: usize = 2_000;

enum Doing {
    Nothing,
    Reading(u64),
    Writing(u64, String),
}

struct Editor {
    via: usize,
    name: String,
    written: usize,
    tries: usize,
    doing: Doing,
}

/// What all were told, by tag.
#[derive(Default)]
struct Told {
    written: BTreeSet<String>,
    lost: BTreeSet<String>,
    unknown: usize,
}

impl Editor {
    /// Goes on as far as it can without waiting.
    fn step(&mut self, w: &mut World, told: &mut Told) {
        let doing = std::mem::replace(&mut self.doing, Doing::Nothing);
        self.doing = match doing {
            Doing::Nothing if self.written == EDITS => Doing::Nothing,
            Doing::Nothing => Doing::Reading(w.request(self.via, Request::Get(key("k"), strict()))),
            Doing::Reading(ticket) => match w.replies.remove(&ticket) {
                None => Doing::Reading(ticket),
                Some(Reply::Get(read)) if read.verdict == Verdict::Done => {
                    let record = read.stored.map(|s| s.record(&key("k")).expect("a record"));
                    let record = record.unwrap_or_default();
                    let shown = record.siblings.iter().flat_map(|s| words(&s.1.bytes));
                    self.tries += 1;
                    let tag = format!("{}.{}", self.name, self.tries);
                    let all: BTreeSet<_> = shown.chain([tag.clone()]).collect();
                    let value = all.into_iter().collect::<Vec<_>>().join(" ");
                    let basis = Precondition::Exact(record.clock);
                    let request = w.write_request("k", Some(&value), basis, options());
                    Doing::Writing(w.request(self.via, request), tag)
                }
                Some(_) => Doing::Nothing,
            },
            Doing::Writing(ticket, tag) => match w.replies.remove(&ticket) {
                None => Doing::Writing(ticket, tag),
                Some(Reply::Put(reply)) => self.hear(&reply, tag, told),
                Some(other) => panic!("{other:?}"),
            },
        };
    }

    fn hear(&mut self, reply: &PutReply, tag: String, told: &mut Told) -> Doing {
        match &reply.verdict {
            Verdict::Unknown(_) => told.unknown += 1,
            _ if is_done(reply) => {
                self.written += 1;
                told.written.insert(tag);
            }
            _ => drop(told.lost.insert(tag)),
        }
        Doing::Nothing
    }
}

fn key(name: &str) -> Key {
    Key::new(name).expect("a key")
}

fn words(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).split(' ').map(str::to_owned).collect()
}

/// All edits of one seed, what was told, and all that is shown in the end.
fn edited(seed: u64) -> (Told, BTreeSet<String>) {
    let mut w = World::new(seed, &[("n1", "a"), ("n2", "b"), ("n3", "c"), ("n4", "d")], 3, 8);
    let mut random = seed;
    let mut below = move |n: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let editor = |i: usize| Editor {
        via: i % 4,
        name: format!("e{i}"),
        written: 0,
        tries: 0,
        doing: Doing::Nothing,
    };
    let mut editors: Vec<_> = (0..EDITORS).map(editor).collect();
    let mut told = Told::default();
    while editors.iter().any(|e| e.written < EDITS) {
        editors.iter_mut().for_each(|e| e.step(&mut w, &mut told));
        assert!(editors.iter().all(|e| e.tries < TRIES_MAX), "seed {seed}: nobody gets on");
        match below(60) {
            0 => part(&mut w, below(4) as usize, below(4) as usize),
            1 => w.isolate(below(4) as usize),
            2..5 => w.heal(),
            _ => {}
        }
        w.run_for(1 + below(30));
    }
    converge(&mut w);
    let shown = w.got(0, "k", strict()).expect("all is well again");
    (told, shown.iter().flat_map(|value| words(value.as_bytes())).collect())
}

#[test]
fn every_acknowledged_edit_is_in_what_is_shown() {
    let (mut lost, mut unknown) = (0, 0);
    for seed in 1..=6 {
        let (told, shown) = edited(seed);
        assert_eq!(told.written.len(), EDITORS * EDITS);
        let missing: Vec<_> = told.written.difference(&shown).collect();
        assert!(missing.is_empty(), "seed {seed}: acknowledged and gone: {missing:?}");
        let there: Vec<_> = told.lost.intersection(&shown).collect();
        assert!(there.is_empty(), "seed {seed}: told to be lost, and shown: {there:?}");
        lost += told.lost.len();
        unknown += told.unknown;
    }
    assert!(lost > 50 && unknown > 5, "{lost} lost and {unknown} unknown: too quiet");
    println!("6 times {} edits: {lost} lost, {unknown} unknown", EDITORS * EDITS);
}
