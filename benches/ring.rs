//! The ring on files against raw heed code doing the least that could do the job, in one run.
//!
//! ```text
//! cargo bench --bench ring                 one million keys of 100-byte values, some minutes
//! KVS_BENCH_KEYS=100000 cargo bench --bench ring
//! ```
//!
//! Every figure is a ratio of whole processes, run in turn, medians compared: `kvs` on one side, this
//! program with a `raw-…` argument on the other. Private memory is the peak of RssAnon. Caveat: the
//! machine is shared; quote the ratios.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its environment")]

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};

const VALUE_BYTES: usize = 100;
/// What a record of such a value takes in a node's file: the yardstick writes the same bytes.
const STORED_BYTES: usize = 150;
const PAIRS: usize = 21;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("raw-load") => raw_load(Path::new(&args[2]), args[3].parse().expect("a number")),
        Some("raw-get") => raw_get(Path::new(&args[2])),
        Some("raw-commit") => raw_commit(Path::new(&args[2]), &args[3]),
        Some("raw-scan") => raw_scan(Path::new(&args[2])),
        _ => run(),
    }
}

fn run() {
    let keys: u64 =
        std::env::var("KVS_BENCH_KEYS").map_or(1_000_000, |k| k.parse().expect("a number"));
    let dir = std::env::temp_dir().join(format!("kvs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory to work in");
    let bench = Bench { dir: dir.clone(), keys };
    bench.all();
    std::fs::remove_dir_all(dir).expect("our own directory");
}

struct Bench {
    dir: PathBuf,
    keys: u64,
}

impl Bench {
    fn all(&self) {
        println!(
            "{} keys of {VALUE_BYTES}-byte values; ratios of medians, kvs : raw heed",
            self.keys
        );
        let small = self.dir.join("small");
        self.init(&small);
        self.lines(&self.dir.join("small.jsonl"), 10_000);
        self.kvs(&small, &["load", self.path("small.jsonl").as_str()]);
        let big = self.dir.join("big");
        self.init(&big);
        self.lines(&self.dir.join("big.jsonl"), self.keys);
        self.load(&big);
        self.get(&big);
        self.put(&big);
        self.digest(&small, &big);
        self.verify_diff_repair(&big);
    }

    fn load(&self, ring: &Path) {
        let (ours, rss) = self.measured(ring, &["load", self.path("big.jsonl").as_str()]);
        let keys = self.keys.to_string();
        let raw = time(&mut self.me(&["raw-load", self.path("raw").as_str(), keys.as_str()]));
        ratio("load, N=3, against three raw sorted loads", ours, raw, "<= 2");
        memory("load", rss);
    }

    fn get(&self, ring: &Path) {
        let (ours, raw) = self.pairs(
            || self.command(ring, &["get", &key(4_711)]),
            || self.me(&["raw-get", self.path("raw/0").as_str()]),
        );
        ratio("cold get, against a cold raw get", ours, raw, "<= 2");
    }

    fn put(&self, ring: &Path) {
        let mut n = 0;
        let mut m = 0;
        let (ours, raw) = self.pairs(
            || {
                n += 1;
                self.command(ring, &["put", &format!("new{n}"), "value", "-w", "2"])
            },
            || {
                m += 1;
                self.me(&["raw-commit", self.path("raw").as_str(), &format!("new{m}")])
            },
        );
        ratio("durable put, W=2, against three raw commits at once", ours, raw, "<= 2");
    }

    fn digest(&self, small: &Path, big: &Path) {
        let raw = || self.me(&["raw-get", self.path("raw/0").as_str()]);
        for (ring, name) in [(small, "10^4 keys"), (big, "all keys")] {
            let node = ring.join("n1").display().to_string();
            let (ours, raw) = self.pairs(|| self.command(ring, &["digest", &node]), raw);
            ratio(&format!("digest of a node, {name}, against a cold raw get"), ours, raw, "<= 2");
        }
    }

    fn verify_diff_repair(&self, ring: &Path) {
        let (n1, n2) =
            (ring.join("n1").display().to_string(), ring.join("n2").display().to_string());
        let scan = (0..5).map(|_| time(&mut self.me(&["raw-scan", self.path("raw/0").as_str()])));
        let raw = median(scan.collect());
        let ours =
            median((0..5).map(|_| time(&mut self.command(ring, &["verify", &n1]))).collect());
        println!("verify, throughput of a raw scan with BLAKE3: {:.2} (bar >= 0.6)", raw / ours);
        memory("verify", self.measured(ring, &["verify", &n1]).1);
        for i in 0..10 {
            self.kvs(ring, &["put", &key(i * 1_000), "changed", "--down", "n2"]);
        }
        let diffs = (0..5).map(|_| time(&mut self.command(ring, &["diff", &n1, &n2]))).collect();
        let diff = median(diffs);
        println!("diff of ten keys, share of verify: {:.3} (bar < 0.1)", diff / ours);
        memory("diff", self.measured(ring, &["diff", &n1, &n2]).1);
        std::fs::remove_dir_all(ring.join("n3")).expect("a node directory");
        let replace = ["replace", "n3", "--yes", "--accept-loss"];
        memory("replace, a whole node rebuilt", self.measured(ring, &replace).1);
        memory("repair --verify", self.measured(ring, &["repair", "--verify"]).1);
    }

    fn init(&self, ring: &Path) {
        let ok = Command::new(kvs()).arg("init").arg(ring).arg("-q").status().expect("kvs runs");
        assert!(ok.success(), "kvs init");
    }

    fn lines(&self, path: &Path, keys: u64) {
        let mut out = BufWriter::new(std::fs::File::create(path).expect("a file"));
        for i in shuffled(keys) {
            writeln!(out, "{{\"key\":\"{}\",\"value\":\"{}\"}}", key(i), value(i, VALUE_BYTES))
                .expect("a line");
        }
        out.flush().expect("the lines");
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn command(&self, ring: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(kvs());
        command.arg("--ring").arg(ring).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn kvs(&self, ring: &Path, args: &[&str]) {
        let out = self.command(ring, args).stderr(Stdio::piped()).output().expect("kvs runs");
        let code = out.status.code();
        assert!(
            matches!(code, Some(0 | 1 | 7)),
            "{args:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    fn me(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(args);
        command
    }

    /// Wall time and peak of private memory, in KiB.
    fn measured(&self, ring: &Path, args: &[&str]) -> (f64, u64) {
        let start = Instant::now();
        let mut child = self.command(ring, args).spawn().expect("kvs runs");
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().expect("our child").is_none() {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|l| l.strip_prefix("RssAnon:"));
            let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
            peak = peak.max(kib.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(2));
        }
        (start.elapsed().as_secs_f64(), peak)
    }

    /// Medians of two commands run in turn, after one uncounted run of each.
    fn pairs(&self, mut a: impl FnMut() -> Command, mut b: impl FnMut() -> Command) -> (f64, f64) {
        time(&mut a());
        time(&mut b());
        let runs: Vec<(f64, f64)> = (0..PAIRS).map(|_| (time(&mut a()), time(&mut b()))).collect();
        (median(runs.iter().map(|r| r.0).collect()), median(runs.iter().map(|r| r.1).collect()))
    }
}

fn kvs() -> &'static str {
    env!("CARGO_BIN_EXE_kvs")
}

fn time(command: &mut Command) -> f64 {
    let start = Instant::now();
    let status = command.status().expect("the program runs");
    assert!(matches!(status.code(), Some(0 | 1)), "{command:?}: {status}");
    start.elapsed().as_secs_f64()
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn ratio(what: &str, ours: f64, raw: f64, bar: &str) {
    let (a, b) = (ours * 1e3, raw * 1e3);
    println!("{what}: {:.2} (bar {bar}; {a:.2} ms : {b:.2} ms)", ours / raw);
}

fn memory(what: &str, kib: u64) {
    println!("private memory of {what}: {:.1} MiB (bar < 64)", kib as f64 / 1024.0);
}

fn key(i: u64) -> String {
    format!("key:{i:012}")
}

fn value(i: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        write!(text, "{:016x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ text.len() as u64)
            .expect("text");
    }
    text.truncate(bytes);
    text
}

/// All numbers below `n` once, in an order that is not theirs.
fn shuffled(n: u64) -> impl Iterator<Item = u64> {
    let step = (n / 2 + 1..).find(|s| gcd(*s, n) == 1).unwrap_or(1);
    (0..n).map(move |i| (i * step + 17) % n)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A raw file, leaked: every yardstick is one short process.
type Raw = (&'static Env<WithoutTls>, Database<'static, Bytes, Bytes>);

#[expect(unsafe_code, reason = "the yardstick opens its own file")]
fn map(dir: &Path, flags: EnvFlags) -> &'static Env<WithoutTls> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    let options = options.map_size(1 << 40).max_dbs(1);
    // SAFETY: nobody else opens the files of this run.
    let env = unsafe { options.flags(flags).open(dir) }.expect("a file");
    Box::leak(Box::new(env))
}

/// Opens a raw file whose table is there: no commit is spent on opening.
fn raw(dir: &Path, flags: EnvFlags) -> Raw {
    let env = map(dir, flags);
    let txn = env.read_txn().expect("a reader");
    let opened = env.open_databases_and_commit(txn, |opener, txn| {
        let db = opener.open_database::<Bytes, Bytes>(txn, Some("records"))?.expect("the table");
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(db))
    });
    match opened.expect("the tables") {
        CommitOrAbort::Commit(db) => (env, db),
        CommitOrAbort::Abort(()) => unreachable!("the table was opened"),
    }
}

/// Makes a raw file and its table.
fn raw_made(dir: &Path) -> Raw {
    let env = map(dir, EnvFlags::empty());
    let txn = env.write_txn().expect("a writer");
    let made = env.create_databases_and_commit(txn, |opener, txn| {
        let db = opener.create_database::<Bytes, Bytes>(txn, Some("records"))?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(db))
    });
    match made.expect("the tables") {
        CommitOrAbort::Commit(db) => (env, db),
        CommitOrAbort::Abort(()) => unreachable!("the table was made"),
    }
}

fn raw_load(dir: &Path, keys: u64) {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> =
        (0..keys).map(|i| (key(i).into_bytes(), value(i, STORED_BYTES).into_bytes())).collect();
    records.sort();
    for file in 0..3 {
        let dir = dir.join(file.to_string());
        std::fs::create_dir_all(&dir).expect("a directory");
        let (env, db) = raw_made(&dir);
        for chunk in records.chunks(100_000) {
            let mut txn = env.write_txn().expect("a writer");
            for (key, value) in chunk {
                db.put(&mut txn, key, value).expect("a put");
            }
            txn.commit().expect("a commit");
        }
    }
}

fn raw_get(dir: &Path) {
    let (env, db) = raw(dir, EnvFlags::READ_ONLY | EnvFlags::NO_LOCK);
    let txn = env.read_txn().expect("a reader");
    let value = db.get(&txn, key(4_711).as_bytes()).expect("a get").expect("the key");
    assert_eq!(value.len(), STORED_BYTES);
}

fn raw_commit(dir: &Path, key: &str) {
    let files: Vec<_> = (0..3).map(|i| raw(&dir.join(i.to_string()), EnvFlags::empty())).collect();
    std::thread::scope(|scope| {
        for (env, db) in &files {
            scope.spawn(move || {
                let mut txn = env.write_txn().expect("a writer");
                db.put(&mut txn, key.as_bytes(), b"value").expect("a put");
                txn.commit().expect("a commit");
            });
        }
    });
}

fn raw_scan(dir: &Path) {
    let (env, db) = raw(dir, EnvFlags::READ_ONLY | EnvFlags::NO_LOCK);
    let txn = env.read_txn().expect("a reader");
    let mut all = 0_u64;
    for row in db.iter(&txn).expect("a scan") {
        let (key, value) = row.expect("a row");
        let mut hasher = blake3::Hasher::new();
        hasher.update(key).update(value);
        all ^= u64::from(hasher.finalize().as_bytes()[0]);
    }
    assert!(all < 256);
}
