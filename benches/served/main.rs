//! Rings of running nodes: how fast, how soon, at what price, beside well-known stores in one run.
//!
//! ```text
//! cargo bench --bench served                            every section, about half an hour
//! cargo bench --bench served -- cold-get detect         these alone
//! KVS_BENCH_SECONDS=1 KVS_BENCH_KEYS=100000 cargo bench --bench served -- throughput sync-bytes
//! ```
//!
//! It needs the `kvs` of this build and, for comparison, `etcd`, `redis-server` and `redis-cli`; a
//! tool that is missing is named and its rows are left out. Everything is on the loopback address
//! and below the temporary directory, which must be on a real disk (TMPDIR says where): durable
//! writes in memory measure nothing. Children are killed when it ends, however it ends. Caveat: all
//! processes and the clients share this machine; quote ratios.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and its environment")]

mod back;
mod busy;
mod cold;
mod detect;
mod etcd;
mod load;
mod redis;
mod ring;
mod sync;
mod throughput;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A section works in a directory of its own.
type Section = fn(&Path);

const SECTIONS: [(&str, Section); 6] = [
    ("cold-get", cold::run),
    ("sync-bytes", sync::run),
    ("throughput", throughput::run),
    ("detect", detect::run),
    ("busy", busy::run),
    ("stop-and-return", back::run),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if args.first().is_some_and(|a| a == busy::SPIN) {
        return busy::spin();
    }
    if let Some(unknown) = args.iter().find(|a| !SECTIONS.iter().any(|s| s.0 == **a)) {
        let names: Vec<_> = SECTIONS.iter().map(|s| s.0).collect();
        println!("no section {unknown}; there are: {}", names.join(" "));
        std::process::exit(2);
    }
    let place = Place::new();
    for (name, section) in SECTIONS {
        if args.is_empty() || args.iter().any(|a| a == name) {
            let dir = place.0.join(name);
            std::fs::create_dir(&dir).expect("a directory to work in");
            println!("\n{name}");
            section(&dir);
            std::fs::remove_dir_all(dir).expect("our own directory");
        }
    }
}

/// A directory that goes when the run ends, by a panic too.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("kvs-served-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory to work in");
        Self(dir)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A child that is killed when it is let go of.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Whether a tool is there; says so when it is not.
fn has(tool: &str) -> bool {
    let mut command = Command::new(tool);
    let runs = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if runs.is_err() {
        println!("{tool} is not installed: its rows are left out");
    }
    runs.is_ok()
}

/// Ports nobody uses now.
fn ports(count: u16) -> u16 {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = seed.expect("a time after 1970").as_nanos() as u64;
    kvs::client::free_ports(count, seed).expect("free ports")
}

/// A number of the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Waits until something is so, and tells how long that took; too long is the end of the run.
fn wait_for(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    began.elapsed()
}

/// A figure as a share of its bar: up to 1.00 is as good as was asked for.
fn bar(what: &str, figure: f64, bar: f64, unit: &str) {
    println!("{what}: {:.2} of the bar ({figure:.2} : {bar:.2} {unit})", figure / bar);
}

/// A figure whose bar is zero.
fn none(what: &str, count: usize) {
    println!("{what}: {count} (bar 0)");
}

/// The value below which a share of the sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Numbers that spread well; their order is the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// Printable bytes.
    fn value(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|_| b'a' + self.below(26) as u8).collect()
    }
}

fn key(i: u64) -> String {
    format!("key:{i:012}")
}
