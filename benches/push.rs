//! How fast a binary comes to a host, beside `scp` of the same file to the same sshd.
//!
//! ```text
//! cargo bench --bench push                KVS_BENCH_PAIRS=10 unless set
//! pair 1    kvs: connect, log in, send, checked   scp: the same       in turns, each first in half
//! …
//! ratio     median of scp's time over ours: 1 is as fast, 0.5 the bar
//! ```
//!
//! The host is an sshd of our own on loopback; both end when the last byte is written there. Caveat:
//! on loopback ciphers set the pace, not a network.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a bench measures and reports"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kvs::push::{Become, PushEvent, Shell, Ssh, SshAccess, Watch};

use crate::support::shell;
use crate::support::sshd::{self, Sshd};

/// Hears nothing.
struct Deaf;

impl Watch for Deaf {
    fn note(&self, _host: &str, _event: &PushEvent) {}
}

fn main() {
    let pairs = std::env::var("KVS_BENCH_PAIRS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let Some(sshd) = Sshd::local() else { return };
    sshd.be_known();
    let file = shell::binary();
    let bytes = fs::metadata(file).unwrap().len();
    let there = sshd.dir.join("there");
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        let ours_first = pair % 2 == 0;
        let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
        for turn in [ours_first, !ours_first] {
            drop(fs::remove_file(&there));
            let took = if turn { send(&sshd, file, &there) } else { scp(&sshd, file, &there) };
            *(if turn { &mut ours } else { &mut theirs }) = took;
            assert_eq!(fs::read(&there).unwrap(), fs::read(file).unwrap(), "what arrived");
        }
        let rate = |took: Duration| bytes as f64 / took.as_secs_f64() / f64::from(1 << 20);
        ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
        println!(
            "pair {:>2}  kvs {:>6.1} MiB/s  scp {:>6.1} MiB/s",
            pair + 1,
            rate(ours),
            rate(theirs)
        );
    }
    ratios.sort_by(f64::total_cmp);
    let middle = (ratios[(ratios.len() - 1) / 2] + ratios[ratios.len() / 2]) / 2.0;
    println!("{bytes} bytes; throughput of kvs over scp's: median {middle:.2} of {pairs} pairs");
}

fn send(sshd: &Sshd, file: &Path, there: &Path) -> Duration {
    let began = Instant::now();
    let (address, rules) = (sshd.at.ip().to_string(), sshd.rules());
    let access =
        SshAccess { host: "h1", address: &address, rules: &rules, become_root: Become::None };
    let mut ssh = Ssh::connect(&access, &Deaf).unwrap();
    ssh.send(file, there.to_str().unwrap(), &Deaf).unwrap();
    began.elapsed()
}

fn scp(sshd: &Sshd, file: &Path, there: &Path) -> Duration {
    let began = Instant::now();
    let known = format!("UserKnownHostsFile={}", sshd.ssh_dir().join("known_hosts").display());
    let mut scp = Command::new("scp");
    scp.args(["-q", "-B", "-o", &known, "-o", "HostKeyAlgorithms=ssh-ed25519"]);
    scp.args(["-P", &sshd.at.port().to_string(), "-i"]).arg(sshd.ssh_dir().join("id_ed25519"));
    scp.arg(file).arg(format!("{}@127.0.0.1:{}", sshd::me(), there.display()));
    assert!(scp.status().unwrap().success(), "scp failed");
    began.elapsed()
}
