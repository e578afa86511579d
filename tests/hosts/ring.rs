//! A ring whose nodes run in hosts of their own, and commands that ask it.
//!
//! ```text
//! host 1    kvs node run r/n1 --listen 10.77.0.1:7400        stderr: log/n1
//! host 2    kvs node run r/n2 --listen 10.77.0.2:7400
//! …
//! spare     where a node that joins will run
//! outside   commands and clients: kvs --ring 10.77.0.1:7400,…
//! ```
//!
//! Every wait has a deadline and says what it waited for. When a test fails, the nodes' last words
//! are printed; `KVS_LOG` says how much they tell (warn unless set). What it does not do: it judges
//! nothing but what a command owes its caller.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kvs::config::{self, NODE_FILE, NodeConfig, PEERS_FILE, Peers};
use serde_json::Value;

use crate::support::clients::{Load, last};
use crate::support::load::Plan;
use crate::support::log::Op;
use crate::support::net::Net;
use crate::support::shell::{Place, Told, binary, ended, send};
use crate::support::wait::wait_for_within;

/// The port every node listens on at first, at its own address.
const PORT: u16 = 7_400;
/// A node is ready by then.
const READY: Duration = Duration::from_secs(30);
/// Copies are equal by then, without anybody's help.
const SETTLES: Duration = Duration::from_secs(120);
/// Lines of each node that are printed when a test fails.
const LAST_WORDS: usize = 60;
/// Copies of each record.
const REPLICAS: usize = 3;

/// One ring at a time: tests that measure must not disturb each other.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node and its process, while it has one.
struct Node {
    host: usize,
    port: u16,
    dir: PathBuf,
    child: Option<Child>,
    env: Vec<(String, String)>,
}

/// See the module.
pub(crate) struct Ring {
    pub(crate) net: Net,
    pub(crate) place: Place,
    nodes: BTreeMap<String, Node>,
    /// Added to each `kvs node run`.
    run: Vec<String>,
    hosts: usize,
    loads: usize,
}

impl Ring {
    /// Makes a ring of nodes that do not run yet; `None`, said aloud, where that cannot be.
    pub(crate) fn new(nodes: usize, run: &[&str]) -> Option<Self> {
        let net = Net::new(nodes + 2)?;
        let place = Place::new();
        let listen = format!("{}:{PORT}", net.address(1));
        let init = format!("init r -q --nodes {nodes} --partitions 64 --listen {listen}");
        place.kvs(&init).ends(0);
        fs::create_dir(place.path("log")).expect("a directory");
        let run = run.iter().map(|arg| (*arg).to_owned()).collect();
        let mut ring = Self { net, place, nodes: BTreeMap::new(), run, hosts: nodes, loads: 0 };
        for host in 1..=nodes {
            let name = format!("n{host}");
            let dir = ring.place.path("r").join(&name);
            ring.nodes.insert(name, Node { host, port: PORT, dir, child: None, env: Vec::new() });
        }
        ring.write_addresses();
        Some(ring)
    }

    /// Has every file say where each node listens.
    fn write_addresses(&self) {
        for (name, node) in &self.nodes {
            let file = node.dir.join(NODE_FILE);
            let mut own: NodeConfig = config::read(&file).expect("node.yaml");
            own.listen = Some(self.address(name));
            fs::write(&file, config::text(&own).expect("YAML")).expect("node.yaml");
            let file = node.dir.join(PEERS_FILE);
            let mut peers: Peers = config::read(&file).expect("peers.yaml");
            for peer in &mut peers.peers {
                peer.address = Some(self.address(&peer.name));
            }
            fs::write(&file, config::text(&peers).expect("YAML")).expect("peers.yaml");
        }
    }

    /// The host of nobody, for one that joins.
    pub(crate) fn spare(&self) -> usize {
        self.hosts + 1
    }

    /// The host of commands and clients.
    pub(crate) fn outside(&self) -> usize {
        self.hosts + 2
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// The address of a node.
    pub(crate) fn address(&self, name: &str) -> String {
        let node = &self.nodes[name];
        format!("{}:{}", self.net.address(node.host), node.port)
    }

    fn addresses(&self) -> Vec<String> {
        self.nodes.keys().map(|name| self.address(name)).collect()
    }

    fn key_file(&self) -> PathBuf {
        self.place.path("r/ring.key")
    }

    // ---- processes --------------------------------------------------------------------------

    pub(crate) fn start_all(&mut self) {
        // All are spawned before any is waited for: a node may want to hear another first.
        let names = self.names();
        let ready: Vec<_> = names.iter().map(|name| self.spawn(name)).collect();
        names.iter().zip(ready).for_each(|(name, told)| wait_ready(name, &told));
    }

    pub(crate) fn start(&mut self, name: &str) {
        let told = self.spawn(name);
        wait_ready(name, &told);
    }

    fn spawn(&mut self, name: &str) -> Receiver<String> {
        let listen = self.address(name);
        let log = File::options().append(true).create(true).open(self.log(name)).expect("a log");
        let node = self.nodes.get_mut(name).expect("a node");
        assert!(node.child.is_none(), "{name} runs already");
        let mut command = self.net.command(node.host, binary());
        command.args(["node", "run"]).arg(&node.dir).args(["--listen", &listen]);
        command.arg("--log").arg(std::env::var_os("KVS_LOG").unwrap_or_else(|| "warn".into()));
        command.args(&self.run).envs(node.env.clone()).stderr(log);
        let mut child = command.spawn().expect("a node");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        node.child = Some(child);
        let (tell, told) = channel();
        // It reads on, so that the node never waits for somebody to read what it says.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // Nobody listens once it is ready.
                drop(tell.send(line));
            }
        });
        told
    }

    fn log(&self, name: &str) -> PathBuf {
        self.place.path("log").join(name)
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        self.nodes[name].child.as_ref().map(Child::id).expect("a node that runs")
    }

    /// Sends a signal: STOP, CONT, TERM.
    pub(crate) fn signal(&self, name: &str, signal: &str) {
        send(signal, &self.pid(name).to_string());
    }

    pub(crate) fn kill(&mut self, name: &str) {
        let mut child = self.nodes.get_mut(name).and_then(|n| n.child.take()).expect("a node");
        child.kill().expect("a process to kill");
        child.wait().expect("its end");
    }

    /// Waits until the process has ended by itself; its exit code.
    pub(crate) fn ends(&mut self, name: &str) -> i32 {
        let mut child = self.nodes.get_mut(name).and_then(|n| n.child.take()).expect("a node");
        let mut status = None;
        wait_for_within(&format!("the end of {name}"), READY, || {
            status = child.try_wait().expect("a child");
            status.map(drop).ok_or_else(|| "it runs".into())
        });
        status.and_then(|s| s.code()).unwrap_or(-1)
    }

    /// Sets a variable for the next start of a node.
    pub(crate) fn set(&mut self, name: &str, variable: &str, value: &str) {
        let node = self.nodes.get_mut(name).expect("a node");
        node.env.push((variable.into(), value.into()));
    }

    /// Takes in a node that is to be at a directory in a host.
    pub(crate) fn adopt(&mut self, name: &str, host: usize, dir: &Path) {
        let port = self.nodes.get(name).map_or(PORT, |before| before.port + 1);
        let node = Node { host, port, dir: dir.into(), child: None, env: Vec::new() };
        let before = self.nodes.insert(name.into(), node);
        assert!(before.is_none_or(|node| node.child.is_none()), "{name} still runs");
    }

    /// The next start of a node is at another port; nobody is told.
    pub(crate) fn relocate(&mut self, name: &str) {
        self.nodes.get_mut(name).expect("a node").port += 1;
    }

    /// Lets go of a process that runs on, or stands still.
    pub(crate) fn part_with(&mut self, name: &str) -> Child {
        self.nodes.get_mut(name).and_then(|n| n.child.take()).expect("a node that runs")
    }

    pub(crate) fn host(&self, name: &str) -> usize {
        self.nodes[name].host
    }

    /// Has every node and client use the key file of the first, after a step of its replacement.
    pub(crate) fn rekey(&self, step: &str) {
        let file = |dir: &Path| dir.join("ring.key");
        let dirs: Vec<_> = self.nodes.values().map(|node| file(&node.dir)).collect();
        self.place.kvs(&format!("config keygen {step} {}", dirs[0].display())).ends(0);
        for other in dirs[1..].iter().chain([&self.key_file()]) {
            fs::copy(&dirs[0], other).expect("a key file");
        }
    }

    /// Forgets a node that is no member any more.
    pub(crate) fn forget(&mut self, name: &str) {
        let node = self.nodes.remove(name).expect("a node");
        assert!(node.child.is_none(), "{name} still runs");
    }

    pub(crate) fn dir(&self, name: &str) -> &Path {
        &self.nodes[name].dir
    }

    // ---- commands ---------------------------------------------------------------------------

    fn command(&self, ring: &str, line: &str) -> Command {
        let mut command = self.net.command(self.outside(), binary());
        command.args(line.split_whitespace()).current_dir(self.place.path(""));
        command.env("KVS_RING", ring).env("KVS_KEY_FILE", self.key_file());
        command
    }

    /// Starts a command that asks the ring.
    pub(crate) fn begin(&self, line: &str) -> Child {
        self.command(&self.addresses().join(","), line).spawn().expect("the binary")
    }

    /// Runs a command that asks the ring.
    pub(crate) fn kvs(&self, line: &str) -> Told {
        ended(line.to_owned(), self.begin(line), SETTLES)
    }

    /// Runs a command that asks one node.
    pub(crate) fn at(&self, name: &str, line: &str) -> Told {
        let child = self.command(&self.address(name), line).spawn().expect("the binary");
        ended(format!("{line} at {name}"), child, SETTLES)
    }

    /// What a command says in JSON; why not, when it ends otherwise.
    pub(crate) fn json(&self, line: &str) -> Result<Value, String> {
        let told = self.kvs(&format!("{line} --format json"));
        if told.code != 0 {
            return Err(format!("{line}: {} {}", told.code, told.err));
        }
        serde_json::from_slice(&told.out).map_err(|e| format!("{line}: {e}"))
    }

    /// Whether all are up, nothing waits, and the owners of each partition have equal digests.
    fn is_settled(&self) -> Result<(), String> {
        let status = self.json("status")?;
        for node in status["nodes"].as_array().ok_or("no nodes")? {
            let is_zero = |name: &str| node[name] == 0 || node[name] == "0";
            if node["up"] != true || !["hints", "filling", "bad"].iter().all(|n| is_zero(n)) {
                return Err(node.to_string());
            }
        }
        self.is_equal()
    }

    /// Whether the owners of each partition have equal digests.
    pub(crate) fn is_equal(&self) -> Result<(), String> {
        let told = self.kvs("digest --depth 1 --format plain");
        if told.code != 0 {
            return Err(format!("digest: {}", told.code));
        }
        let mut sums: BTreeMap<String, Vec<[String; 2]>> = BTreeMap::new();
        for row in told.text().lines() {
            let cells: Vec<&str> = row.split('\t').collect();
            let [node, partition, _, sum, count] = cells[..] else { return Err(row.into()) };
            let sum = [format!("{sum} {count}"), node.into()];
            sums.entry(partition.into()).or_default().push(sum);
        }
        let differs = |sums: &Vec<[String; 2]>| {
            sums.len() != REPLICAS || sums.iter().any(|s| s[0] != sums[0][0])
        };
        match sums.iter().find(|s| differs(s.1)) {
            None if sums.len() == 64 => Ok(()),
            None => Err(format!("{} partitions", sums.len())),
            Some((p, sums)) => Err(format!("partition {p}: {sums:?}")),
        }
    }

    /// Waits until everybody has everything; nobody repairs. How long it took.
    pub(crate) fn settles(&self) -> Duration {
        wait_for_within("equal copies and no hints", SETTLES, || self.is_settled())
    }

    // ---- clients ----------------------------------------------------------------------------

    /// What clients of the ring might do.
    pub(crate) fn plan(&self, name: &str) -> Plan {
        Plan {
            name: name.into(),
            specs: self.addresses(),
            key_file: Some(self.key_file()),
            log: self.place.path(&format!("log/{name}.jsonl")),
            threads: 3,
            keys: 120,
            pace: 30,
            strict: 500,
            seed: 1,
        }
    }

    /// Clients that go on until they are stopped.
    pub(crate) fn load(&mut self, change: impl FnOnce(&mut Plan)) -> Load {
        self.loads += 1;
        let mut plan = self.plan(&format!("c{}", self.loads));
        plan.seed = self.loads as u64;
        change(&mut plan);
        Load::start(&self.net, self.outside(), plan)
    }

    /// What every key shows now, to a strict read.
    pub(crate) fn last(&self) -> Vec<Op> {
        last(&self.net, self.outside(), &self.plan("last"))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(mut child) = node.child.take() {
                drop(child.kill());
                drop(child.wait());
            }
        }
        if std::thread::panicking() {
            for name in self.nodes.keys() {
                let text = fs::read_to_string(self.log(name)).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                println!("---- {name}, its last of {} lines:", lines.len());
                let from = lines.len().saturating_sub(LAST_WORDS);
                lines[from..].iter().for_each(|line| println!("{line}"));
            }
        }
    }
}

fn wait_ready(name: &str, told: &Receiver<String>) {
    let until = Instant::now() + READY;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let line = told.recv_timeout(left).unwrap_or_else(|e| panic!("{name} is not ready: {e}"));
        if line.starts_with(&format!("ready {name} ")) {
            return;
        }
    }
}

/// Memory of a process that no file is behind, in KiB.
pub(crate) fn anonymous_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
