//! `cold-get`: one key read by a whole process, beside `redis-cli get` of the same key.
//!
//! ```text
//! kvs --ring 127.0.0.1:7101 get k   redis-cli -p 6379 get k   kvs --ring r get k     in turn, 30 times
//! ```

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::ring::{Ring, done, kvs};
use crate::{bar, has, quantile, redis, sorted};

const RUNS: usize = 30;

pub(crate) fn run(dir: &Path) {
    let mut ring = Ring::make(dir, 3, &[]);
    ring.up();
    done(ring.command().args(["put", "k", "value"]));
    let address = ring.nodes["n1"].address.clone();
    let mut kinds: Vec<(&str, Command)> = Vec::new();
    let mut by_address = Command::new(kvs());
    by_address.args(["--ring", &address, "get", "k"]).env("KVS_KEY_FILE", ring.key_file());
    kinds.push(("kvs, by address", by_address));
    let mut by_dir = ring.command();
    by_dir.args(["get", "k"]).env_remove("KVS_KEY_FILE");
    kinds.push(("kvs, by directory", by_dir));
    let server = (has("redis-server") && has("redis-cli")).then(|| redis::Server::alone(dir));
    if let Some(server) = &server {
        kinds.push(("redis-cli", server.cli(&["get", "k"])));
        assert!(server.cli(&["set", "k", "value"]).output().expect("redis-cli").status.success());
    }
    let mut times = vec![Vec::new(); kinds.len()];
    // The first run of each only warms up.
    for turn in 0..=RUNS {
        for ((_, command), times) in kinds.iter_mut().zip(&mut times) {
            let ms = time(command);
            if turn > 0 {
                times.push(ms);
            }
        }
    }
    let times: Vec<_> = times.into_iter().map(sorted).collect();
    for ((name, _), times) in kinds.iter().zip(&times) {
        let (low, high) = (times[0], times[RUNS - 1]);
        println!("{name}: median {:.2} ms ({low:.2} to {high:.2})", quantile(times, 0.5));
    }
    if let [address, dir, redis] = &times[..] {
        bar("get by address", quantile(address, 0.5), quantile(redis, 0.5), "ms of redis-cli");
        bar("get by directory", quantile(dir, 0.5), quantile(redis, 0.5), "ms of redis-cli");
    }
}

fn time(command: &mut Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let out = command.output().expect("the program runs");
    let ms = began.elapsed().as_secs_f64() * 1e3;
    assert!(out.status.success() && out.stdout.starts_with(b"value"), "{command:?}: {out:?}");
    ms
}
