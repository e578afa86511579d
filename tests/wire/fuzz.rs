//! The targets of `fuzz/`, run by a seeded mutator over samples and over kept seeds.
//!
//! It knows nothing of coverage; `cargo fuzz` does. What it finds it writes to a file, whose place
//! it says: move it into `fuzz/seeds/NAME`, where it is tried first from then on.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kvs::channel::{Frame, RequestId};
use kvs::protocol::WIRE;

use super::memory::peak_of;
use super::{samples, targets};

/// Runs of a target when nobody asks for more.
const RUNS: usize = 3_000;
/// An input grows to no more bytes.
const INPUT_BYTES_MAX: usize = 4_096;
/// What a decoder may hold: so much anyway, and so much for each byte of its input.
const HELD_BYTES: usize = 1 << 20;
const HELD_PER_BYTE: usize = 128;
/// What a ring of three nodes may hold.
const RING_BYTES: usize = 64 << 20;

/// A sequence of well mixed numbers (splitmix64).
pub(crate) struct Mixer(pub(crate) u64);

impl Mixer {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Alters an input a little: bits, bytes, edges of numbers, pieces moved and doubled.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        const EDGES: [&[u8]; 7] = [
            &[0],
            &[0xff],
            &[0x7f],
            &[0x80, 0x80, 0x04],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x80; 10],
        ];
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.next() as u8,
                2 => bytes.insert(at, self.next() as u8),
                3 if at < bytes.len() => drop(bytes.remove(at)),
                4 => {
                    let end = (at + self.below(4)).min(bytes.len());
                    let edge = EDGES[self.below(EDGES.len())];
                    bytes.splice(at..end, edge.iter().copied());
                }
                5 => bytes.truncate(at),
                6 => {
                    let from = self.below(other.len() + 1);
                    let piece = &other[from..(from + self.below(64)).min(other.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
                _ => {
                    let piece = bytes[at..(at + self.below(32)).min(bytes.len())].to_vec();
                    let times = 1 + self.below(3);
                    bytes.splice(at..at, piece.repeat(times));
                }
            }
        }
    }
}

/// What a target begins with, beside what is kept in `fuzz/seeds`.
fn beginnings(name: &str) -> Vec<Vec<u8>> {
    let text = |texts: &[&str]| texts.iter().map(|t| t.as_bytes().to_vec()).collect();
    match name {
        "message" => samples::bodies()
            .into_iter()
            .filter_map(|(_, body)| samples::message(body).encode(WIRE))
            .collect(),
        "parcel" => {
            let asks =
                samples::asks().into_iter().map(|(_, a)| Frame::Request(RequestId(7), Box::new(a)));
            let tolds = samples::tolds()
                .into_iter()
                .map(|(_, t)| Frame::Response(RequestId(7), Box::new(t)));
            let plain = samples::frames().into_iter().map(|(_, p)| p);
            asks.chain(tolds).chain(plain).map(|p| p.encode()).collect()
        }
        "ring_doc" => samples::docs().iter().map(kvs::ring::RingDoc::encode).collect(),
        "record" => {
            let body = samples::stored().bytes()[18..].to_vec();
            let pair = [&[body.len() as u8 + 1], &body[..], &body[..]].concat();
            vec![pair, vec![1, 0, 0], body]
        }
        "token" => {
            let entry =
                |actor: u8, counter: u8| [&[actor][..], &[0; 7], &[counter], &[0; 7]].concat();
            vec![[&[1][..], &entry(1, 4), &entry(2, 9)].concat()]
        }
        "gossip" => {
            let rows = vec![
                samples::row(),
                kvs::gossip::GossipRow { id: kvs::ring::NodeId(2), ..samples::row() },
            ];
            vec![postcard::to_stdvec(&rows).unwrap()]
        }
        "config" => text(&[
            "name: n1\nlisten: 127.0.0.1:4801\nquota_bytes: 7\n",
            "peers:\n- id: '01'\n  name: n1\n  address: h:1\n",
            "ring: '5'\nversion: 1\nhash: ab\nchanges:\n- leave: n1\n- weight: [n2, 3]\n",
            "12h30m",
            "3.5GiB",
            "85%",
        ]),
        "keys" => text(&[&"ab".repeat(32), &format!("{}\n{}\n", "ab".repeat(32), "cd".repeat(32))]),
        "line" => text(&[
            r#"{"key":"k","value":"v","expires":"1700000000000"}"#,
            r#"{"key_b64":"aw==","siblings":[{"value":"v"},{"value_b64":"dg=="}],"clock":{}}"#,
        ]),
        "sidecar" => vec![vec![0; 512], b"kvs".to_vec()],
        "node" => {
            (0..16).map(|i| (0..600).map(|j| (i * 37 + j * j * 11) as u8).collect()).collect()
        }
        _ => panic!("no beginning for {name}"),
    }
}

/// The inputs that once found something.
fn kept(name: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Tries one input; one that fails is written down, and said.
fn try_one(name: &str, target: targets::Target, input: &[u8]) {
    let limit = if name == "node" { RING_BYTES } else { HELD_BYTES + HELD_PER_BYTE * input.len() };
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let peak = peak_of(|| target(input));
        assert!(peak <= limit, "{peak} bytes were held for {} bytes of input", input.len());
    }));
    if let Err(cause) = tried {
        let file = std::env::temp_dir().join(format!("kvs-fuzz-{name}-{}", std::process::id()));
        fs::write(&file, input).unwrap();
        eprintln!("{name} failed; keep its input in fuzz/seeds/{name}: {}", file.display());
        resume_unwind(cause);
    }
}

fn fuzz(name: &str) {
    let (_, target) = targets::ALL.iter().find(|(n, _)| *n == name).unwrap();
    let mut inputs = kept(name);
    inputs.extend(beginnings(name));
    inputs.iter().for_each(|input| try_one(name, *target, input));
    let asked = std::env::var("KVS_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let until = asked.map(|s| Instant::now() + Duration::from_secs(s));
    let seed = if asked.is_some() { u64::from(std::process::id()) } else { 1 };
    let mut mixer = Mixer(seed);
    let mut runs = 0_usize;
    let more = |runs| until.map_or(runs < RUNS, |until| Instant::now() < until);
    while more(runs) {
        let mut input = inputs[mixer.below(inputs.len())].clone();
        let other = inputs[mixer.below(inputs.len())].clone();
        mixer.mutate(&mut input, &other);
        input.truncate(INPUT_BYTES_MAX);
        try_one(name, *target, &input);
        // A script is as good as any other: a walk gets further than many first steps.
        if name == "node" && runs.is_multiple_of(16) {
            let at = mixer.below(inputs.len());
            inputs[at] = input;
        }
        runs += 1;
    }
    if asked.is_some() {
        eprintln!("{name}: {runs} runs from seed {seed}");
    }
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        $(#[test] fn $name() { fuzz(stringify!($name)); })+

        #[test]
        fn every_target_is_run() {
            let names: Vec<_> = targets::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),+]);
        }
    };
}

targets! { message, parcel, ring_doc, record, token, gossip, config, keys, line, sidecar, node }

/// Each has a program for `cargo fuzz` too.
#[test]
fn every_target_is_a_fuzzer() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (name, _) in targets::ALL {
        assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
