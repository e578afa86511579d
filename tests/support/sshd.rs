//! Hosts with a real sshd each, and nothing else.
//!
//! ```text
//! Sshd::local()      one at 127.0.0.1, a free port         for what asks the library
//! Hosts::new(3)      h1, h2, h3: namespaces on a bridge, sshd at 10.77.0.N port 220N
//!                    operator: one more, where kvs runs    it takes root, ip and nft
//!
//! DIR/hN/{etc,opt,data}     its host keys and configuration; its root; its data
//! DIR/home/.ssh/{id_ed25519,known_hosts}                  whoever runs kvs
//! ```
//!
//! All log in as who runs the tests, by one key. Host keys are made once per process. A host is ended
//! by its process ids. Caveat: the hosts of a fleet share files, users and process ids of this machine;
//! only their networks are their own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kvs::push::{HostKeys, SshRules};

use super::net::{Net, PATH};
use super::shell::{binary, is_root, send, skip};
use super::wait::wait_for;

const SSHD: &str = "/usr/sbin/sshd";
/// Kinds of host key that a server has unless told otherwise.
pub(crate) const KINDS: &[&str] = &["ed25519", "ecdsa", "rsa"];

/// One sshd.
pub(crate) struct Sshd {
    /// What it may call its own.
    pub(crate) dir: PathBuf,
    pub(crate) at: SocketAddr,
    launch: Box<dyn Fn() -> Command + Send + Sync>,
    child: Mutex<Option<Child>>,
    /// Of one that is alone.
    _place: Option<tempfile::TempDir>,
}

impl Sshd {
    /// One of this machine, with all kinds of key.
    pub(crate) fn local() -> Option<Self> {
        Self::local_with("", KINDS)
    }

    /// The same with more lines of configuration and other kinds of key.
    pub(crate) fn local_with(config: &str, kinds: &[&str]) -> Option<Self> {
        if let Some(why) = missing() {
            skip(&format!("a host of our own: {why}"));
            return None;
        }
        let place = tempfile::Builder::new().prefix("kvs-push-").tempdir().expect("a directory");
        let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = probe.local_addr().expect("its address");
        drop(probe);
        write_user(&place.path().join("home"));
        let dir = place.path().join("h1");
        write_host(&dir, at, config, kinds);
        let launch = Box::new(|| {
            let mut command = Command::new(SSHD);
            command.env_clear().env("PATH", PATH);
            command
        });
        let sshd = Self { dir, at, launch, child: Mutex::new(None), _place: Some(place) };
        sshd.start();
        Some(sshd)
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(&self) {
        let log = self.dir.join("etc/log");
        let err = fs::File::create(&log).expect("a log");
        super::shell::children_hear();
        let mut command = (self.launch)();
        command.args(["-D", "-e", "-f"]).arg(self.dir.join("etc/sshd_config"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err);
        let child = command.spawn().expect("an sshd");
        *self.child.lock().expect("nobody panics with it") = Some(child);
        wait_for("sshd listens", || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(!said.contains("fatal:") && !said.contains("Bad configuration"), "{said}");
            said.contains("Server listening on")
        });
    }

    /// Ends it and all that it serves.
    pub(crate) fn kill(&self) {
        let Some(mut child) = self.child.lock().expect("nobody panics with it").take() else {
            return;
        };
        // One that stands still serves nobody else in between.
        send("STOP", &child.id().to_string());
        let served = descendants(child.id());
        drop(child.kill());
        served.iter().for_each(|pid| send("KILL", &pid.to_string()));
        drop(child.wait());
    }

    /// Sends a signal to the processes that serve connections: `STOP`, `CONT`, `KILL`.
    pub(crate) fn signal_sessions(&self, signal: &str) -> usize {
        let pid = self.child.lock().expect("nobody panics with it").as_ref().map(Child::id);
        let sessions: Vec<u32> = descendants(pid.unwrap_or(0))
            .into_iter()
            .filter(|pid| name_of(*pid) == "sshd")
            .collect();
        sessions.iter().for_each(|pid| send(signal, &pid.to_string()));
        sessions.len()
    }

    /// The same for the one that takes new connections.
    pub(crate) fn signal(&self, signal: &str) {
        let child = self.child.lock().expect("nobody panics with it");
        send(signal, &child.as_ref().expect("it runs").id().to_string());
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("etc/log")).unwrap_or_default()
    }

    /// `type base64` of a host key.
    pub(crate) fn host_key(&self, kind: &str) -> String {
        let file = self.dir.join(format!("etc/ssh_host_{kind}_key.pub"));
        let text = fs::read_to_string(file).expect("a public key");
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// What a file of known hosts calls it.
    pub(crate) fn name(&self) -> String {
        format!("[{}]:{}", self.at.ip(), self.at.port())
    }

    fn home(&self) -> PathBuf {
        self.dir.parent().expect("a directory").join("home")
    }

    /// The user's directory for keys and known hosts.
    pub(crate) fn ssh_dir(&self) -> PathBuf {
        self.home().join(".ssh")
    }

    /// Writes the user's known hosts.
    pub(crate) fn know(&self, lines: &str) {
        fs::write(self.ssh_dir().join("known_hosts"), lines).expect("a file");
    }

    /// Makes its ed25519 key known.
    pub(crate) fn be_known(&self) {
        self.know(&format!("{} {}\n", self.name(), self.host_key("ed25519")));
    }

    /// How to reach it: by key file, strictly.
    pub(crate) fn rules(&self) -> SshRules {
        SshRules {
            at: vec![self.at],
            port: self.at.port(),
            user: me(),
            keys: vec![self.ssh_dir().join("id_ed25519")],
            agent: false,
            known_hosts: vec![self.ssh_dir().join("known_hosts")],
            host_keys: HostKeys::Strict,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(20),
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Hosts in namespaces, and one more that has no sshd: the operator's.
pub(crate) struct Hosts {
    hosts: Vec<Sshd>,
    pub(crate) net: Arc<Net>,
    place: tempfile::TempDir,
}

impl Hosts {
    /// Hosts 1 to so many, known to the operator; `None`, said aloud, where that cannot be.
    pub(crate) fn new(hosts: usize) -> Option<Self> {
        Self::with(hosts, |_| (SSHD, Vec::new()))
    }

    /// The same, each sshd started by what a program and its first arguments bring up.
    pub(crate) fn with(
        hosts: usize,
        program: fn(&Path) -> (&'static str, Vec<String>),
    ) -> Option<Self> {
        if let Some(why) = missing() {
            skip(&format!("{hosts} hosts: {why}"));
            return None;
        }
        let net = Arc::new(Net::new(hosts + 1)?);
        let place = tempfile::Builder::new().prefix("kvs-push-").tempdir().expect("a directory");
        let home = place.path().join("home");
        write_user(&home);
        let hosts: Vec<Sshd> =
            (1..=hosts).map(|host| namespaced(&net, place.path(), host, program)).collect();
        let known: String =
            hosts.iter().map(|h| format!("{} {}\n", h.name(), h.host_key("ed25519"))).collect();
        fs::write(home.join(".ssh/known_hosts"), known).expect("a file");
        Some(Self { hosts, net, place })
    }

    /// A host, from 1.
    pub(crate) fn host(&self, host: usize) -> &Sshd {
        &self.hosts[host - 1]
    }

    /// Where it is: also where its node may listen.
    pub(crate) fn address(&self, host: usize) -> String {
        self.net.address(host)
    }

    pub(crate) fn ssh_port(&self, host: usize) -> u16 {
        self.host(host).at.port()
    }

    /// A directory for its root or its data, not yet there.
    pub(crate) fn dir(&self, host: usize, name: &str) -> PathBuf {
        self.host(host).dir.join(name)
    }

    /// The operator's key.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.place.path().join("home/.ssh/id_ed25519")
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.place.path().join("home/.ssh/known_hosts")
    }

    /// Where the operator works: inventories, keys of rings.
    pub(crate) fn desk(&self) -> PathBuf {
        self.place.path().join("home")
    }

    /// The host without sshd.
    pub(crate) fn operator(&self) -> usize {
        self.hosts.len() + 1
    }

    /// A program at the operator's desk.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.net.command(self.operator(), program);
        command.env("HOME", self.desk()).current_dir(self.desk());
        command
    }

    /// `kvs` at the operator's desk, with these words.
    pub(crate) fn kvs(&self, line: &str) -> Command {
        let mut command = self.command(binary());
        command.args(line.split_whitespace());
        command
    }
}

/// One host of a fleet.
fn namespaced(
    net: &Arc<Net>,
    place: &Path,
    host: usize,
    program: fn(&Path) -> (&'static str, Vec<String>),
) -> Sshd {
    let port = 2200 + u16::try_from(host).expect("few hosts");
    let at: SocketAddr = format!("{}:{port}", net.address(host)).parse().expect("an address");
    let dir = place.join(format!("h{host}"));
    write_host(&dir, at, "", KINDS);
    let net = Arc::clone(net);
    let (program, words) = program(&dir);
    let launch = Box::new(move || {
        let mut command = net.command(host, program);
        command.args(&words);
        command
    });
    let sshd = Sshd { dir, at, launch, child: Mutex::new(None), _place: None };
    sshd.start();
    sshd
}

/// Why there can be no sshd here.
fn missing() -> Option<String> {
    let tools = [SSHD, "/usr/bin/ssh-keygen"];
    if let Some(tool) = tools.into_iter().find(|tool| !Path::new(tool).exists()) {
        return Some(format!("there is no {tool} here"));
    }
    // sshd wants it, Debian's service makes it.
    let is_there = !is_root() || fs::create_dir_all("/run/sshd").is_ok();
    (!is_there).then(|| "/run/sshd cannot be made".into())
}

/// The directory of who logs in.
fn write_user(home: &Path) {
    fs::create_dir_all(home.join(".ssh")).expect("a directory");
    write_key("ed25519", "user", &home.join(".ssh/id_ed25519"));
}

/// What an sshd needs: keys of its own, who may come in, how.
fn write_host(dir: &Path, at: SocketAddr, config: &str, kinds: &[&str]) {
    let etc = dir.join("etc");
    fs::create_dir_all(&etc).expect("a directory");
    let mut lines = String::new();
    for kind in kinds {
        let file = etc.join(format!("ssh_host_{kind}_key"));
        write_key(kind, &at.ip().to_string(), &file);
        lines += &format!("HostKey {}\n", file.display());
    }
    fs::write(etc.join("authorized_keys"), key("ed25519", "user").1).expect("a file");
    // Its own home: what this machine's shells read at the start is none of its business. The first
    // line counts.
    let home = dir.join("home");
    fs::create_dir_all(&home).expect("a directory");
    let home = format!("SetEnv HOME={}", home.display());
    let config = match config.contains("SetEnv ") {
        true => config.replacen("SetEnv ", &format!("{home} "), 1),
        false => format!("{config}\n{home}"),
    };
    let text = format!(
        "{config}\nListenAddress {}:{}\n{lines}AuthorizedKeysFile {}\nUsePAM no\nStrictModes no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
         Subsystem sftp internal-sftp\nPidFile none\nLogLevel VERBOSE\nMaxStartups 100\n",
        at.ip(),
        at.port(),
        etc.join("authorized_keys").display()
    );
    fs::write(etc.join("sshd_config"), text).expect("a file");
}

/// Keys made so far: kind and whose, private and public text.
static KEYS: Mutex<BTreeMap<(String, String), (String, String)>> = Mutex::new(BTreeMap::new());

/// A key, made once per process.
pub(crate) fn key(kind: &str, whose: &str) -> (String, String) {
    let mut keys = KEYS.lock().expect("nobody panics with it");
    let made = keys.entry((kind.into(), whose.into())).or_insert_with(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("key");
        keygen(&["-q", "-t", kind, "-N", "", "-C", whose, "-f", file.to_str().expect("text")]);
        let read = |path: PathBuf| fs::read_to_string(path).expect("a key");
        (read(file.clone()), read(file.with_extension("pub")))
    });
    made.clone()
}

/// Writes a key and its public half beside it.
pub(crate) fn write_key(kind: &str, whose: &str, file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let (private, public) = key(kind, whose);
    fs::write(file, private).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::write(format!("{}.pub", file.display()), public).expect("a file");
}

pub(crate) fn keygen(args: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(args).output().expect("ssh-keygen");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Who runs the tests.
pub(crate) fn me() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// All processes under one.
fn descendants(of: u32) -> Vec<u32> {
    let mut parents = BTreeMap::<u32, Vec<u32>>::new();
    for entry in fs::read_dir("/proc").expect("processes").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // `pid (name) state ppid …`; one that has ended meanwhile has no parent.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        parents.entry(parent.unwrap_or(0)).or_default().push(pid);
    }
    let mut all = Vec::new();
    let mut next = vec![of];
    while let Some(pid) = next.pop() {
        let children = parents.get(&pid).cloned().unwrap_or_default();
        all.extend(&children);
        next.extend(children);
    }
    all
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}
