//! A ring of nodes that run, each a process of its own, and what can be asked of them.
//!
//! ```text
//! Ring::make(dir, 3, ["--sync-every", "off"])   kvs init
//! ring.load(n) before ring.up()                 offline
//! ring.up()                                     kvs node run, once per node, until all are linked
//! ring.are_equal(), ring.hints(), ring.sent()   as clients and dashboards see them
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use kvs::channel::{ClientRequest, ClientResponse, RingKeys, StoreQuery, StoreResult};
use kvs::client::{Client, ConnectOptions};
use kvs::config::read_keys;
use kvs::digest::Sum;
use kvs::key::{Key, Partition};
use kvs::node::{Reply, Request};
use kvs::quorum::{Item, Options, Precondition, PutRequest, Verdict};
use kvs::ring::NodeId;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Dice, Process, key, wait_for};

/// How long anything may take that is no figure.
const LONG: Duration = Duration::from_secs(60);
/// How long a question may take.
const ANSWER: Duration = Duration::from_secs(5);

pub(crate) fn kvs() -> &'static str {
    env!("CARGO_BIN_EXE_kvs")
}

/// A node that runs.
pub(crate) struct Node {
    process: Process,
    pub(crate) address: String,
    metrics: String,
    /// Kept open: a node that cannot print would be another node.
    _out: BufReader<ChildStdout>,
}

/// See the module.
pub(crate) struct Ring {
    pub(crate) dir: PathBuf,
    flags: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) nodes: BTreeMap<String, Node>,
}

impl Ring {
    pub(crate) fn make(dir: &Path, nodes: usize, flags: &[&str]) -> Self {
        let ring = Self {
            dir: dir.join("r"),
            flags: flags.iter().map(ToString::to_string).collect(),
            names: (1..=nodes).map(|i| format!("n{i}")).collect(),
            nodes: BTreeMap::new(),
        };
        let dir = ring.dir.display().to_string();
        done(Command::new(kvs()).args(["init", &dir, "--nodes", &nodes.to_string()]));
        ring
    }

    /// Fills the files of a ring that does not run.
    pub(crate) fn load(&self, keys: u64, bytes: usize) {
        let path = self.dir.with_extension("jsonl");
        let mut out = BufWriter::new(File::create(&path).expect("a file"));
        let mut dice = Dice(7);
        for i in 0..keys {
            let value = String::from_utf8(dice.value(bytes)).expect("letters");
            writeln!(out, "{{\"key\":\"{}\",\"value\":\"{value}\"}}", key(i)).expect("a line");
        }
        out.flush().expect("the lines");
        done(self.command().arg("load").arg(&path));
        std::fs::remove_file(path).expect("our own file");
    }

    /// `kvs` on this ring's directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(kvs());
        command.arg("--ring").arg(&self.dir);
        command
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.join("ring.key")
    }

    /// Starts every node and waits until all know that all are up.
    pub(crate) fn up(&mut self) {
        for name in self.names.clone() {
            self.start(&name);
        }
        self.wait_linked();
    }

    /// Starts a node and waits for its ready line.
    pub(crate) fn start(&mut self, name: &str) {
        let log = OpenOptions::new().create(true).append(true).open(self.log(name));
        let mut command = Command::new(kvs());
        command.args(["node", "run", "--format", "json"]).arg(self.dir.join(name));
        command.args(&self.flags).env_remove("KVS_RING").env_remove("KVS_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.expect("a log"));
        let mut process = Process::start(&mut command);
        let mut out = BufReader::new(process.0.stdout.take().expect("its stdout"));
        let mut line = String::new();
        out.read_line(&mut line).expect("its ready line");
        let ready: serde_json::Value = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("{name} is not ready ({e}): {}", self.said(name)));
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        let (address, metrics) = (text("address"), text("metrics"));
        self.nodes.insert(name.to_owned(), Node { process, address, metrics, _out: out });
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.with_extension(format!("{name}.log"))
    }

    /// All that a node has logged.
    pub(crate) fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.log(name)).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        let id = self.nodes[name].process.0.id();
        let pid = Pid::from_raw(id as i32).expect("a process");
        kill_process(pid, signal).expect("a signal to our child");
    }

    /// Stops a node in good order.
    pub(crate) fn stop(&mut self, name: &str) {
        done(self.command().args(["node", "stop", name, "--timeout", "30s"]));
        drop(self.nodes.remove(name));
    }

    /// Lets go of a node's process: it is killed.
    pub(crate) fn kill(&mut self, name: &str) {
        drop(self.nodes.remove(name));
    }

    /// Ends the run, with the last words of a node that has ended.
    pub(crate) fn must_run(&mut self) {
        for name in self.names.clone() {
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            let ended = node.process.0.try_wait().expect("our child");
            let said = self.said(&name);
            let last = said.lines().rev().take(5).collect::<Vec<_>>();
            assert!(ended.is_none(), "{name} has ended ({ended:?}): {last:#?}");
        }
    }

    /// A client whose entry is this node, the others behind it.
    pub(crate) fn client(&self, name: &str) -> Client {
        let own = self.nodes[name].address.clone();
        let others = self.nodes.iter().filter(|(other, _)| *other != name);
        let addresses = [own].into_iter().chain(others.map(|(_, node)| node.address.clone()));
        let keys = RingKeys::new(read_keys(&self.key_file()).expect("the ring's key"));
        let addresses = addresses.collect();
        let (timeout, insist, strangers) = (ANSWER, false, false);
        Client::open(ConnectOptions { addresses, keys, timeout, insist, strangers })
            .expect("a client")
    }

    /// A client of each node that runs.
    pub(crate) fn clients(&self) -> BTreeMap<String, Client> {
        self.nodes.keys().map(|name| (name.clone(), self.client(name))).collect()
    }

    fn wait_linked(&self) {
        let clients = self.clients();
        let all: BTreeSet<NodeId> = clients.values().map(Client::entry).collect();
        let linked = |client: &Client| all.iter().all(|id| is_up(client, *id));
        wait_for("all linked", LONG, || clients.values().all(linked));
    }

    /// Whether a node is taken to be up by all others that run.
    pub(crate) fn wait_up_everywhere(&self, name: &str) {
        let id = self.client(name).entry();
        let clients = self.clients();
        wait_for(&format!("{name} up"), LONG, || clients.values().all(|c| is_up(c, id)));
    }

    /// Hints that nodes keep, all together.
    pub(crate) fn hints(clients: &BTreeMap<String, Client>) -> u64 {
        let count = |client: &Client| match look(client, StoreQuery::HintStats) {
            StoreResult::HintStats(stats) => stats.count,
            _ => panic!("another answer"),
        };
        clients.values().map(count).sum()
    }

    /// Bytes sent to peers by all nodes, by kind.
    pub(crate) fn sent(&self) -> BTreeMap<String, u64> {
        let mut sent = BTreeMap::new();
        for node in self.nodes.values() {
            for line in figures(&node.metrics).lines() {
                let Some(rest) = line.strip_prefix("kvs_sent_bytes{kind=\"") else { continue };
                let (kind, bytes) = rest.split_once("\"} ").expect("a kind and a number");
                let bytes: f64 = bytes.trim().parse().expect("a number");
                *sent.entry(kind.to_owned()).or_default() += bytes as u64;
            }
        }
        sent
    }
}

/// Whether all owners of each partition hold the same.
pub(crate) fn are_equal(clients: &BTreeMap<String, Client>) -> bool {
    let mut sums: BTreeMap<NodeId, BTreeMap<Partition, Sum>> = BTreeMap::new();
    for client in clients.values() {
        let StoreResult::Sums(told) = look(client, StoreQuery::Sums) else {
            panic!("another answer")
        };
        sums.insert(client.entry(), told.into_iter().collect());
    }
    let doc = clients.values().next().expect("a node").doc();
    doc.q.all().all(|p| {
        let owners = doc.writers(p).into_iter();
        let held: BTreeSet<_> = owners
            .map(|id| {
                let sum = sums.get(&id).and_then(|s| s.get(&p)).copied().unwrap_or_default();
                (sum.terms, sum.count)
            })
            .collect();
        held.len() == 1
    })
}

/// Whether this node takes another to be up.
pub(crate) fn is_up(client: &Client, id: NodeId) -> bool {
    match client.ask_only(client.entry(), ClientRequest::Members) {
        Ok(ClientResponse::Members(news)) => news.iter().any(|n| n.row.id == id && n.up),
        other => panic!("who is up: {other:?}"),
    }
}

/// Bytes of a record in a node's file, its key included.
pub(crate) fn size(client: &Client, key: &str) -> usize {
    let key = Key::new(key).expect("a key");
    let p = client.doc().q.partition(&key);
    match look(client, StoreQuery::Get(p, key.clone())) {
        StoreResult::Record(Some(stored)) => key.as_bytes().len() + stored.bytes().len(),
        other => panic!("a record: {other:?}"),
    }
}

fn look(client: &Client, look: StoreQuery) -> StoreResult {
    match client.ask_only(client.entry(), ClientRequest::File(look)) {
        Ok(ClientResponse::File(seen)) => seen,
        other => panic!("a look at a file: {other:?}"),
    }
}

/// One durable write at W=2, over whatever values there are, as `kvs put --overwrite -w 2` does it.
pub(crate) fn put(client: &Client, key: &str, value: &[u8]) -> Result<(), String> {
    let key = Key::new(key).map_err(|e| e.to_string())?;
    let partition = client.doc().q.partition(&key);
    let basis = Precondition::Overwrite { force: true };
    let item = Item { key, value: Some((value.to_vec(), None)), basis };
    let timeout_ms = ANSWER.as_millis() as u64;
    let options = Options { w: Some(2), timeout_ms, ..Options::default() };
    let request = Request::Put(PutRequest { partition, items: vec![item], options });
    match client.request(client.entry(), request) {
        Ok(Reply::Put(reply)) if reply.verdict == Verdict::Done => Ok(()),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs a command that must succeed.
pub(crate) fn done(command: &mut Command) -> Output {
    let out = command.env_remove("KVS_RING").output().expect("kvs runs");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

/// What a node shows to dashboards.
fn figures(at: &str) -> String {
    let mut stream = TcpStream::connect(at).expect("the endpoint of the figures");
    stream.set_read_timeout(Some(ANSWER)).expect("a limit");
    let ask = format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the figures");
    text
}
