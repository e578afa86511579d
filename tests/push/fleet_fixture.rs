//! A fleet of hosts, its inventory, and the operator who pushes to it.
//!
//! ```text
//! DESK/fleet.yaml   hosts n1 … nN, spares after them      root: DIR/hN/opt
//! DESK/kvs          the build that is pushed; others beside it
//! ```
//!
//! Clients of the ring run at the operator's desk, and every answer they get is judged (see the
//! oracle of the tests across hosts).

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use crate::booted::boot;
use crate::clients::{Load, last};
use crate::executable::executable;
use crate::load::Plan;
use crate::oracle::judge;
use crate::shell::{Told, binary, ended};
use crate::sshd::{Hosts, me};

/// Any command ends by then.
pub(crate) const ENDS: Duration = Duration::from_secs(180);

/// See the module.
pub(crate) struct Fleet {
    pub(crate) hosts: Hosts,
    /// The socket of the operator's agent.
    pub(crate) agent: Option<PathBuf>,
    members: usize,
    loads: usize,
}

impl Fleet {
    /// Hosts and spares, with lines for the inventory.
    pub(crate) fn new(hosts: usize, spares: usize, more: &str) -> Option<Self> {
        let (hosts, members) = (Hosts::new(hosts + spares)?, hosts);
        let fleet = Self { hosts, agent: None, members, loads: 0 };
        fleet.build("kvs", |bytes| bytes);
        fleet.write(more);
        Some(fleet)
    }

    /// Hosts that a real systemd runs on.
    pub(crate) fn booted(hosts: usize) -> Option<Self> {
        let machines = Hosts::with(hosts, boot)?;
        let fleet = Self { hosts: machines, agent: None, members: hosts, loads: 0 };
        fleet.build("kvs", |bytes| bytes);
        fleet.write("");
        fleet.edit("service: background", "service: systemd");
        Some(fleet)
    }

    /// Writes the inventory, with more lines.
    pub(crate) fn write(&self, more: &str) {
        let row = |host: usize| {
            let (at, port) = (self.hosts.address(host), self.hosts.ssh_port(host));
            let root = self.root(host).display().to_string();
            format!("  - {{name: n{host}, address: {at}, root: {root}, ssh: {{port: {port}}}}}\n")
        };
        let all = self.members + self.spares();
        let hosts: String = (1..=self.members).map(row).collect();
        let spares: String = (self.members + 1..=all).map(row).collect();
        let spares = if spares.is_empty() { spares } else { format!("spares:\n{spares}") };
        let (user, key) = (me(), self.hosts.key_file().display().to_string());
        let text = format!(
            "ring: yard\npartitions: 64\ndefaults:\n  service: background\n  ssh: {{user: {user}, \
             keys: [{key}], agent: false, connect_timeout: 5s, command_timeout: 10s}}\nhosts:\n\
             {hosts}{spares}{more}"
        );
        fs::write(self.desk("fleet.yaml"), text).expect("an inventory");
    }

    /// Changes words of the inventory.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.desk("fleet.yaml")).expect("an inventory");
        assert!(text.contains(from), "no {from:?} in\n{text}");
        fs::write(self.desk("fleet.yaml"), text.replace(from, to)).expect("an inventory");
    }

    /// Has a host's line say more: of itself, and of its ssh.
    #[track_caller]
    pub(crate) fn say(&self, host: usize, of_host: &str, of_ssh: &str) {
        let port = self.hosts.ssh_port(host);
        let more =
            |words: &str| if words.is_empty() { String::new() } else { format!(", {words}") };
        let (of_host, of_ssh) = (more(of_host), more(of_ssh));
        let to = format!("ssh: {{port: {port}{of_ssh}}}{of_host}");
        self.edit(&format!("ssh: {{port: {port}}}"), &to);
    }

    /// The process of a host's node, as its pid file has it.
    pub(crate) fn pid(&self, host: usize) -> Option<u32> {
        let file = self.root(host).join(format!("run/n{host}.pid"));
        fs::read_to_string(file).ok()?.split(' ').next()?.parse().ok()
    }

    /// Ends a host's node as a crash would.
    pub(crate) fn crash(&self, host: usize) {
        let pid = self.pid(host).expect("a pid file");
        crate::shell::send("KILL", &pid.to_string());
        let is_gone = || !std::path::Path::new(&format!("/proc/{pid}/exe")).exists();
        crate::shell::wait_for("the end of a node", is_gone);
    }

    fn spares(&self) -> usize {
        self.hosts.operator() - 1 - self.members
    }

    pub(crate) fn root(&self, host: usize) -> PathBuf {
        self.hosts.dir(host, "opt")
    }

    /// A file of the operator's.
    pub(crate) fn desk(&self, name: &str) -> PathBuf {
        self.hosts.desk().join(name)
    }

    /// Another build: the same program with other bytes.
    pub(crate) fn build(&self, name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        executable(&self.desk(name), change(fs::read(binary()).expect("the binary")));
    }

    /// Starts a build of `kvs` at the desk.
    pub(crate) fn start_with(&self, build: &str, line: &str) -> Child {
        let mut command = self.hosts.command(self.desk(build));
        command.args(line.split_whitespace()).env("USER", me());
        command.env("KVS_RING", self.addresses().join(","));
        command.env("KVS_KEY_FILE", self.desk("yard.key"));
        command.envs(self.agent.iter().map(|socket| ("SSH_AUTH_SOCK", socket)));
        command.spawn().expect("the binary")
    }

    /// Runs a build of `kvs` at the desk.
    pub(crate) fn with(&self, build: &str, line: &str) -> Told {
        ended(format!("{build} {line}"), self.start_with(build, line), ENDS)
    }

    /// Runs `kvs` at the desk.
    pub(crate) fn kvs(&self, line: &str) -> Told {
        self.with("kvs", line)
    }

    /// Runs `kvs push VERB fleet.yaml …`.
    pub(crate) fn push(&self, line: &str) -> Told {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.kvs(&format!("push {verb} fleet.yaml {rest}"))
    }

    /// The release a host runs, as its link has it.
    pub(crate) fn current(&self, host: usize) -> Option<String> {
        let link = fs::read_link(self.root(host).join("current")).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// Where nodes listen, spares too.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let all = self.members + self.spares();
        (1..=all).map(|host| format!("{}:7400", self.hosts.address(host))).collect()
    }

    fn plan(&self, name: &str) -> Plan {
        Plan {
            name: name.into(),
            specs: self.addresses(),
            key_file: Some(self.desk("yard.key")),
            log: self.desk(&format!("{name}.jsonl")),
            threads: 3,
            keys: 120,
            pace: 30,
            strict: 500,
            seed: 7,
        }
    }

    /// Clients that go on until they are stopped; they have begun.
    pub(crate) fn load(&mut self) -> Load {
        self.loads += 1;
        let plan = self.plan(&format!("c{}", self.loads));
        let load = Load::start(&self.hosts.net, self.hosts.operator(), plan);
        crate::shell::wait_for("answers", || load.has_begun().is_ok());
        load
    }

    /// Nothing that was acknowledged is lost, and no request failed; how many there were.
    pub(crate) fn judge(&self, load: Load) -> usize {
        let ops = load.stop();
        let last = last(&self.hosts.net, self.hosts.operator(), &self.plan("last"));
        let wrong = judge(&ops, &last);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let failed = crate::oracle::reasons(&ops);
        println!("{} operations; failed: {failed:?}", ops.len());
        assert!(failed.is_empty(), "{failed:?}");
        ops.len()
    }
}
