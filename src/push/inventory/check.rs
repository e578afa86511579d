//! Whether a fleet can be meant: by itself, host by host, and each host beside the others.
//!
//! ```text
//! n1 root: /opt/kvs   n2 root: /opt/kvs      on one sshd: refused, one would switch the other's
//! n1 10.0.0.11:7400   n2 10.0.0.11:7400      refused: one node to an address
//! ```
//!
//! The first thing that is wrong is a sentence without its file. It asks no host anything: what is
//! there is seen when they are.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::form::{Form, Wrong};
use super::{Fleet, Host, HostKeys, ScaleRules, SshRules};
use crate::key::Q;
use crate::ring::{WEIGHT_MAX, check_new_name};

/// No time is longer: what waits must have an end that somebody sees.
const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Directories that are everybody's: something of ours may lie below, never be them.
const COMMON: [&str; 18] = [
    "/home",
    "/lib32",
    "/lost+found",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/local",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/opt",
    "/var/tmp",
];
/// Directories that are the system's, with all that is below.
const SYSTEM: [&str; 14] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/sbin",
    "/var/run",
];
/// What push makes in ROOT.
const OURS: [&str; 5] = ["releases", "current", "previous", "run", "log"];

type Checked = Result<(), Wrong>;

/// Judges what must hold before anything is filled in: names and numbers of hosts.
pub(super) fn form(form: &Form) -> Checked {
    ring(&form.ring)?;
    let hosts = form.hosts.as_ref().map_or(0, Vec::len);
    refuse(hosts == 0, || "hosts is empty; a ring has at least one".into())?;
    let n = form.replicas.map_or(1, |count| count.0);
    refuse(n == 0, || "replicas is 0; a record has at least one copy".into())?;
    refuse(n > 15, || format!("{n} replicas are more than the 15 a ring can have"))?;
    refuse(hosts > 1000, || format!("{hosts} hosts are more than the 1000 of a ring"))?;
    let mut names: Vec<_> = form.all().map(|host| host.name.as_str()).collect();
    for name in &names {
        let what = "has 1 to 63 of letters, digits, . _ -, and begins with a letter or digit";
        refuse(!is_name(name), || format!("{name:?} is no name of a host; one {what}"))?;
        let taken = check_new_name(name).is_err();
        refuse(taken, || format!("{name:?} is no name of a host; files of kvs are called so"))?;
    }
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    refuse(twice.is_some(), || format!("two hosts are called {}", twice.map_or("", |two| two[0])))
}

/// Judges what is filled in.
pub(super) fn fleet(fleet: &Fleet) -> Checked {
    let (n, hosts) = (usize::from(fleet.replicas), fleet.hosts.len());
    refuse(n > hosts, || format!("replicas {n} wants as many hosts, and hosts has {hosts}"))?;
    let q = fleet.partitions;
    refuse(Q::new(q).is_err(), || format!("{q} partitions is not a power of two from 8 to 65536"))?;
    let rules = &fleet.rollout;
    refuse(rules.batch == 0, || "rollout.batch is 0; say how many restart at once".into())?;
    refuse(rules.uploads == 0, || "rollout.uploads is 0; say how many at once".into())?;
    at_most("rollout.pause", rules.pause)?;
    some_time("rollout.ready_timeout", rules.ready_timeout)?;
    some_time("rollout.sync_timeout", rules.sync_timeout)?;
    fleet.scale.iter().try_for_each(|rules| scale(rules, fleet))?;
    for one in fleet.all() {
        host(one).map_err(|e| format!("{}: {e}", one.name))?;
    }
    let all: Vec<_> = fleet.all().collect();
    for (i, one) in all.iter().enumerate() {
        all[..i].iter().try_for_each(|other| pair(other, one))?;
    }
    loopback(&all)
}

/// Whether a text can be the name of a ring: of files and of units.
pub(in crate::push) fn ring(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=32).contains(&name.len()) && name.chars().all(good) && !name.starts_with('-');
    refuse(!fits, || {
        format!("{name:?} is no name of a ring; one has 1 to 32 of a-z, 0-9, -, and no - first")
    })
}

fn host(host: &Host) -> Checked {
    ssh(&host.ssh)?;
    let advertised = host.advertise.unwrap_or(host.listen);
    refuse(advertised.ip().is_unspecified(), || {
        format!("advertise {advertised} is no address others can reach")
    })?;
    let zone = &host.zone;
    refuse(!is_name(zone), || format!("{zone:?} is no name of a zone; say letters and digits"))?;
    let weight = host.weight;
    let wrong = !(1..=WEIGHT_MAX).contains(&weight);
    refuse(wrong, || format!("weight {weight} is not 1 to {WEIGHT_MAX}"))?;
    refuse(host.quota_bytes == Some(0), || "quota is 0; leave it out for no limit".into())?;
    if let Some(at) = host.metrics.as_ref().filter(|at| *at != "off") {
        let good = at.parse::<std::net::SocketAddr>().is_ok_and(|at| at.port() > 0);
        refuse(!good, || format!("metrics {at:?} is no address; say 127.0.0.1:9100, or off"))?;
    }
    place("root", &host.root)?;
    place("data", &host.data)?;
    let (root, data) = (&host.root, &host.data);
    let ours = OURS.map(|name| format!("{root}/{name}"));
    let inside = ours.iter().find(|dir| is_within(data, dir));
    refuse(inside.is_some(), || {
        format!("data {data} is inside {}, which push clears", inside.map_or("", |dir| dir))
    })?;
    refuse(is_within(root, data), || {
        format!("root {root} is inside data {data}, and would be removed with it")
    })
}

fn ssh(ssh: &SshRules) -> Checked {
    let user = &ssh.user;
    let odd = user.is_empty() || user.starts_with('-') || user.contains(char::is_whitespace);
    refuse(odd || user.contains(char::is_control), || format!("{user:?} is no user"))?;
    some_time("ssh.connect_timeout", ssh.connect_timeout)?;
    some_time("ssh.command_timeout", ssh.command_timeout)?;
    match &ssh.host_keys {
        HostKeys::Pin(pin) => {
            let hash = pin.strip_prefix("SHA256:").and_then(|h| STANDARD_NO_PAD.decode(h).ok());
            refuse(hash.is_none_or(|hash| hash.len() != 32), || {
                format!("ssh.host_key {pin:?} is no fingerprint; ssh-keygen -lf prints SHA256:…")
            })
        }
        HostKeys::AcceptNew => refuse(ssh.known_hosts.is_empty(), || {
            "host_keys: accept-new wants a file of known_hosts to write to".into()
        }),
        HostKeys::Strict => Ok(()),
    }
}

/// Judges a directory over there.
fn place(what: &str, path: &str) -> Checked {
    let inner = path.strip_prefix("~/").or_else(|| path.strip_prefix('/'));
    refuse(inner.is_none(), || format!("{what} {path:?} is not absolute; say /… or ~/…"))?;
    let inner = inner.unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
    refuse(!path[1..].chars().all(good), || {
        format!("{what} {path:?} has other characters than letters, digits and . _ - + @")
    })?;
    let turns = inner.split('/').any(|part| part == "." || part == "..");
    refuse(turns, || format!("{what} {path} goes through . or ..; write it straight"))?;
    let common = inner.is_empty() || COMMON.contains(&path);
    let taken = common || SYSTEM.iter().any(|dir| is_within(path, dir));
    refuse(taken, || format!("{what} {path} is the system's; name a directory of its own"))
}

fn pair(one: &Host, other: &Host) -> Checked {
    let both = format!("{} and {}", one.name, other.name);
    let reached = |host: &Host| host.advertise.unwrap_or(host.listen);
    refuse(reached(one) == reached(other), || {
        format!("{both} have one address, {}, for their nodes; give one another port", reached(one))
    })?;
    let Some(at) = one.ssh.at.iter().find(|at| other.ssh.at.contains(at)) else { return Ok(()) };
    refuse(one.listen.port() == other.listen.port() && overlap(one, other), || {
        format!("{both} are one host, {at}, and listen on one port, {}", one.listen.port())
    })?;
    for (a, b) in [(&one.root, &other.root), (&one.data, &other.data)] {
        refuse(a == b, || format!("{both} are one host, {at}, and share {a}; give each its own"))?;
    }
    for (data, host) in [(&one.data, other), (&other.data, one)] {
        refuse(is_within(&host.root, data) || is_within(&host.data, data), || {
            format!("{both} are one host, {at}, and what is {}'s lies in {data}", host.name)
        })?;
    }
    Ok(())
}

/// Whether two nodes of one host could not both listen.
fn overlap(one: &Host, other: &Host) -> bool {
    let (a, b) = (one.listen.ip(), other.listen.ip());
    a == b || a.is_unspecified() || b.is_unspecified()
}

/// A name that means loopback here (127.0.1.1 in many a hosts file) means something else elsewhere.
fn loopback(all: &[&Host]) -> Checked {
    let near = |host: &&&Host| host.advertise.unwrap_or(host.listen).ip().is_loopback();
    let lone = all.iter().find(near).filter(|_| !all.iter().all(|host| near(&host)));
    refuse(lone.is_some(), || {
        let host = lone.map_or(("", ""), |host| (host.name.as_str(), host.address.as_str()));
        format!("{}: {} is loopback here, where no other host reaches it", host.0, host.1)
    })
}

fn scale(rules: &ScaleRules, fleet: &Fleet) -> Checked {
    let (min, max) = (rules.min, rules.max);
    let (n, hosts) = (usize::from(fleet.replicas), fleet.hosts.len());
    let there = hosts + fleet.spares.len();
    refuse(min < n, || format!("scale.min {min} is below replicas, {n}"))?;
    refuse(max < min, || format!("scale.max {max} is below scale.min {min}"))?;
    refuse(max > there, || {
        format!("scale.max {max} is more than hosts and spares together, {there}")
    })?;
    refuse(max < hosts, || format!("scale.max {max} is below the number of hosts, {hosts}"))?;
    some_time("scale.window", rules.window)?;
    at_most("scale.cool_down", rules.cool_down)?;
    let ScaleRules { requests, latency, bytes, disk, .. } = rules;
    let aim = requests.is_some() || latency.is_some() || bytes.is_some() || disk.is_some();
    refuse(!aim, || "scale says no target; say requests, latency, bytes or disk".into())?;
    latency.iter().try_for_each(|time| some_time("scale.latency", *time))?;
    refuse(*bytes == Some(0), || "scale.bytes is not above 0".into())?;
    let share = rules.shrink_below;
    refuse(share >= 1.0, || "scale.shrink_below is not below 100%: it would grow again".into())
}

fn some_time(what: &str, time: Duration) -> Checked {
    refuse(time.is_zero(), || format!("{what} is no time at all"))?;
    at_most(what, time)
}

fn at_most(what: &str, time: Duration) -> Checked {
    refuse(time > TIME_MAX, || format!("{what} is more than 30 days"))
}

/// Whether a path is a directory or lies in it; both without needless slashes.
fn is_within(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Names of members and zones are parts of paths, units and lists.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    name.len() <= 63 && begins && name.chars().all(good)
}

fn refuse(wrong: bool, what: impl FnOnce() -> Wrong) -> Checked {
    if wrong { Err(what()) } else { Ok(()) }
}
