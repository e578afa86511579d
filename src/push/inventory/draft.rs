//! An inventory to begin with.
//!
//! ```text
//! deploy@10.0.0.11 deploy@n2.example:2222     ->  defaults: {ssh: {user: deploy}}
//!                                                 hosts: n1, n2 with ssh: {port: 2222}
//! ```
//!
//! What all hosts have in common goes to the defaults. Nodes that share an address get a port and
//! directories of their own: whether its sshds share a disk is not known here. It looks no name up: a
//! draft may be made before the hosts are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::fill::NODE_PORT;
use super::form::Wrong;
use super::{check, names};
use crate::error::{Error, Result};

/// Where sshd is when nothing else is said.
const SSH_PORT: u16 = 22;
/// Where further nodes of an address go, for root and for others; their numbers follow.
const ROOTS: [&str; 2] = ["/opt/kvs-n", "~/kvs-n"];

/// A host of the command line.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Given {
    /// Its address, however it was written.
    fn address(&self) -> String {
        let name = || self.host.trim_end_matches('.').to_lowercase();
        self.host.parse::<IpAddr>().map_or_else(|_| name(), |ip| ip.to_string())
    }

    /// Where it is reached.
    fn sshd(&self) -> (String, u16) {
        (self.address(), self.port.unwrap_or(SSH_PORT))
    }
}

/// The text of an inventory for these hosts, `[user@]host[:port]` each.
///
/// # Errors
/// [`Error::Usage`] for a host or a ring's name that cannot be read.
pub fn draft(ring: &str, hosts: &[String]) -> Result<String> {
    text(ring, hosts).map_err(|what| Error::Usage(format!("{what}; nothing was printed.")))
}

fn text(ring: &str, hosts: &[String]) -> std::result::Result<String, Wrong> {
    check::ring(ring)?;
    if hosts.is_empty() {
        return Err("no host is named".into());
    }
    let given = hosts.iter().map(|host| read(host)).collect::<std::result::Result<Vec<_>, _>>()?;
    for (i, host) in given.iter().enumerate() {
        if given[..i].iter().any(|other| other.sshd() == host.sshd()) {
            return Err(format!("{} is named twice", hosts[i]));
        }
    }
    let user = common(given.iter().map(|host| &host.user));
    let port = common(given.iter().map(|host| &host.port));
    let replicas = given.len().min(3);
    let ssh = ssh_of(user.as_ref(), port);
    let ssh = if ssh.is_empty() { "# ssh: {user: deploy, port: 22}".into() } else { ssh };
    let mut out = format!(
        "\
# The fleet of the ring {ring}; man kvs-fleet explains every field. No password or key belongs here.
# next: kvs push check FILE, kvs push plan FILE, kvs push apply FILE
ring: {ring}
replicas: {replicas}                     # copies of each record
partitions: 1024                # for good; some hundred times the nodes there may ever be
defaults:
  {ssh}
  # become: sudo                # by sudo -n; none unless said
  # service: auto               # systemd or background: where nobody restarts it
  # root: /opt/kvs              # releases; ~/kvs for a user who is not root
  # data: /var/lib/kvs          # the node's files; ROOT/data unless said
  port: {NODE_PORT}                    # of the nodes; open it between all hosts, and to here
hosts:
"
    );
    let mut seen: BTreeMap<String, u16> = BTreeMap::new();
    for (number, host) in (1..).zip(&given) {
        let own_user = host.user.as_ref().filter(|_| user.is_none());
        let own_ssh = ssh_of(own_user, host.port.filter(|_| port.is_none()));
        let nth = seen.entry(host.address()).or_default();
        out.push_str(&line(number, host, own_ssh, *nth));
        *nth += 1;
    }
    let max = given.len() + 1;
    out.push_str(&format!(
        "\
# spares:                       # hosts that kvs scale may add
#   - {{name: s1, address: 10.0.0.21}}
# scale: {{min: {replicas}, max: {max}, requests: 5000, disk: 80%}}
"
    ));
    Ok(out)
}

/// One host; the second node of an address, and those after it, get what is theirs.
fn line(number: usize, host: &Given, ssh: String, nth: u16) -> String {
    let mut fields = vec![format!("name: n{number}, address: {}", scalar(&host.host))];
    fields.extend(Some(ssh).filter(|ssh| !ssh.is_empty()));
    if nth > 0 {
        let is_root = host.user.as_deref() == Some("root");
        let root = format!("{}{number}", ROOTS[usize::from(!is_root)]);
        let port = NODE_PORT.saturating_add(nth);
        fields.push(format!("port: {port}, root: {root}, data: {root}/data"));
    }
    format!("  - {{{}}}\n", fields.join(", "))
}

fn ssh_of(user: Option<&String>, port: Option<u16>) -> String {
    let user = user.map(|user| format!("user: {}", scalar(user)));
    let port = port.map(|port| format!("port: {port}"));
    let fields: Vec<_> = user.into_iter().chain(port).collect();
    if fields.is_empty() { String::new() } else { format!("ssh: {{{}}}", fields.join(", ")) }
}

/// What all have, when they all have the same.
fn common<'a, T: Clone + PartialEq + 'a>(
    mut all: impl Iterator<Item = &'a Option<T>>,
) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then(|| first.clone()).flatten()
}

/// A text that YAML takes for that text: quoted unless it cannot be anything else.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain);
    let taken = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    if names::is_ipv4(text) || word && !taken.contains(&text.to_lowercase().as_str()) {
        return text.to_owned();
    }
    // A string of JSON is one of YAML.
    serde_json::Value::from(text).to_string()
}

/// Reads `[user@]host[:port]`. A user may have an @ of its own.
fn read(text: &str) -> std::result::Result<Given, Wrong> {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let odd =
        |user: &str| user.is_empty() || user.starts_with('-') || user.contains(char::is_whitespace);
    if user.is_some_and(|user| odd(user) || user.contains(char::is_control)) {
        return Err(format!("{text:?} names no user before the @"));
    }
    let (host, port) = names::endpoint(rest).map_err(|_| {
        format!("{text:?} is not [USER@]HOST[:PORT]; say n1, root@n1:2222, [::1]:22")
    })?;
    Ok(Given { user: user.map(str::to_owned), host, port })
}
