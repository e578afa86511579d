//! A private network: hosts that are network namespaces on one bridge.
//!
//! ```text
//!   kvs-4711-0-hub          bridge br0
//!      | v1     | v2     | v3           veth pairs
//!     eth0     eth0     eth0
//!   kvs-4711-0-h1     -h2      -h3      10.77.0.1, 10.77.0.2, 10.77.0.3, each with its loopback
//! ```
//!
//! A cut is a rule in the namespace of the one that is to hear no more: a table with one set of
//! addresses whose packets are dropped, so each direction is cut by itself and a connection that is
//! open goes silent, as with a real cable.
//!
//! The bridge lies in a namespace too: nothing is seen from the machine's own network, and runs
//! beside each other may use the same addresses. Names carry the process of the test; what a run
//! that was killed left behind goes when the next one begins. Caveat: it takes root.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::shell::{is_root, skip};

/// Where system tools are.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Networks made by this process so far.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Hosts 1 to so many. See the module.
pub(crate) struct Net {
    pub(crate) prefix: String,
    hosts: usize,
}

impl Net {
    /// Makes the network; `None`, said aloud, where that cannot be.
    pub(crate) fn new(hosts: usize) -> Option<Self> {
        if let Some(why) = missing() {
            skip(&format!("a network of {hosts} hosts: {why}"));
            return None;
        }
        sweep();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let net = Self { prefix: format!("kvs-{}-{number}", std::process::id()), hosts };
        if let Err(why) = sh(&net.script()) {
            skip(&format!("a network of {hosts} hosts cannot be made: {}", why.trim()));
            return None;
        }
        Some(net)
    }

    fn script(&self) -> String {
        let hub = format!("{}-hub", self.prefix);
        let mut script = format!(
            "ip netns add {hub}\nip -n {hub} link add br0 type bridge\nip -n {hub} link set br0 up\n"
        );
        for host in 1..=self.hosts {
            let (ns, address) = (self.namespace(host), self.address(host));
            script += &format!(
                "ip netns add {ns}
                ip -n {hub} link add v{host} type veth peer name eth0 netns {ns}
                ip -n {hub} link set v{host} master br0 up
                ip -n {ns} addr add {address}/24 dev eth0
                ip -n {ns} link set lo up
                ip -n {ns} link set eth0 up
                ip netns exec {ns} nft 'table ip kvs {{
                    set cut {{ type ipv4_addr; }}
                    chain in {{ type filter hook input priority 0; ip saddr @cut drop; }}
                }}'\n"
            );
        }
        script
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}-h{host}", self.prefix)
    }

    /// Where a host can be reached.
    pub(crate) fn address(&self, host: usize) -> String {
        format!("10.77.0.{host}")
    }

    /// A program to run in a host, in a group of its own, with nothing of our environment.
    pub(crate) fn command(&self, host: usize, program: impl AsRef<OsStr>) -> Command {
        super::shell::children_hear();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command.env_clear().env("PATH", PATH).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// From now on `to` hears nothing of `from`.
    pub(crate) fn cut_one_way(&self, from: usize, to: usize) {
        self.nft(to, &format!("add element ip kvs cut {{ {} }}", self.address(from)));
    }

    /// From now on neither hears the other.
    pub(crate) fn cut(&self, a: usize, b: usize) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Everybody hears everybody.
    pub(crate) fn heal(&self) {
        (1..=self.hosts).for_each(|host| self.nft(host, "flush set ip kvs cut"));
    }

    fn nft(&self, host: usize, rule: &str) {
        let ns = self.namespace(host);
        sh(&format!("ip netns exec {ns} nft '{rule}'")).unwrap_or_else(|e| panic!("{rule}: {e}"));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        remove(&format!("{}-", self.prefix));
    }
}

/// Why there can be no network here.
fn missing() -> Option<String> {
    if !is_root() {
        return Some("it takes root".into());
    }
    let tool = |name: &&&str| !PATH.split(':').any(|dir| Path::new(dir).join(name).exists());
    ["ip", "nft"].iter().find(tool).map(|name| format!("there is no {name} here"))
}

/// Removes what processes that are no more have left behind.
fn sweep() {
    for name in namespaces() {
        let pid = name.strip_prefix("kvs-").and_then(|rest| rest.split('-').next());
        let pid = pid.filter(|pid| pid.parse::<u32>().is_ok());
        if let Some(pid) = pid.filter(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&format!("kvs-{pid}-"));
        }
    }
}

/// Removes the namespaces whose names begin so, and ends what still runs in them.
fn remove(prefix: &str) {
    for name in namespaces().iter().filter(|name| name.starts_with(prefix)) {
        let script = format!(
            "pids=$(ip netns pids {name}) && [ -n \"$pids\" ] && kill -9 $pids; ip netns del {name}"
        );
        if let Err(why) = sh(&script) {
            // Another run may be sweeping too; whatever stays is swept by the next.
            eprintln!("{name} stays behind: {why}");
        }
    }
}

pub(crate) fn namespaces() -> Vec<String> {
    let list = sh("ip netns list").unwrap_or_default();
    list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Runs a script to its end; what it printed, or what it complained of.
pub(crate) fn sh(script: &str) -> Result<String, String> {
    let output = Command::new("/bin/sh").args(["-ec", script]).env("PATH", PATH).output();
    let output = output.map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
