//! Names of hosts: how they are written, and what they stand for here.
//!
//! ```text
//! n2.example    10.0.0.11    ::1    [::1]           a host
//! 0.0.0.0   0.0.0.0:7400   [::]:7400   n2.example:7400    an endpoint
//! ```
//!
//! Names are looked up once, all at the same time, before anything is done. It does not remember
//! them: hosts and nodes get the numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::thread;

use super::form::{Form, Wrong};

/// Names that are looked up at once.
const AT_ONCE: usize = 32;

/// Looks a name up.
pub(super) type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Sync;

/// What names stand for.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Vec<IpAddr>>);

impl Names {
    /// Looks up every name of an inventory, and names all that cannot be found.
    pub(super) fn find(form: &Form, lookup: &Lookup) -> Result<Self, Wrong> {
        let mut wanted: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let common = form.defaults.as_ref().and_then(|d| d.listen.as_ref());
        for host in form.all() {
            let of_host = |e: Wrong| format!("{}: {e}", host.name);
            let address = host_name(&host.address).map_err(of_host)?;
            let listen = host.listen.as_ref().or(common);
            let others = listen.into_iter().chain(&host.advertise);
            let others = others.map(|text| endpoint(text).map(|(name, _)| name));
            for name in others.chain([Ok(address)]) {
                wanted.entry(name.map_err(of_host)?).or_default().insert(&host.name);
            }
        }
        let mut found = Self::default();
        let mut lost = Vec::new();
        for (name, answer) in all_at_once(wanted.keys(), lookup) {
            match answer {
                Ok(ips) if !ips.is_empty() => drop(found.0.insert(name, ips)),
                Ok(_) => lost.push((name, "no address".into())),
                Err(error) => lost.push((name, error.to_string())),
            }
        }
        if lost.is_empty() {
            return Ok(found);
        }
        let hosts = |name| wanted[name].iter().copied().collect::<Vec<_>>().join(", ");
        let list = lost.iter().map(|(name, why)| format!("{name} of {} ({why})", hosts(name)));
        Err(format!("no address is known here for {}", list.collect::<Vec<_>>().join("; ")))
    }

    /// The addresses of a name; none of one that was not looked up.
    pub(super) fn of(&self, name: &str) -> &[IpAddr] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn all_at_once<'a>(
    names: impl Iterator<Item = &'a String>,
    lookup: &Lookup,
) -> Vec<(String, io::Result<Vec<IpAddr>>)> {
    let names: Vec<_> = names.collect();
    let mut answers = Vec::new();
    for some in names.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let ask = |name: &&'a String| {
                let name = *name;
                (name, scope.spawn(move || lookup(name)))
            };
            let asked: Vec<_> = some.iter().map(ask).collect();
            for (name, answer) in asked {
                let broken = |_| Err(io::Error::other("the lookup broke off"));
                answers.push((name.clone(), answer.join().unwrap_or_else(broken)));
            }
        });
    }
    answers
}

/// Asks the system; each address once, in its order.
pub(super) fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut ips: Vec<IpAddr> = Vec::new();
    for at in (name, 0).to_socket_addrs()? {
        if !ips.contains(&at.ip()) {
            ips.push(at.ip());
        }
    }
    Ok(ips)
}

/// A host without the brackets that set an IPv6 address apart.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// A host alone, without a port.
pub(super) fn host_name(text: &str) -> Result<String, Wrong> {
    let name = bare(text);
    if name.contains('@') {
        return Err(format!("{text:?} names a user; say ssh: {{user: …}}"));
    }
    if name.parse::<IpAddr>().is_ok() {
        return Ok(name.to_owned());
    }
    match name.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !bare(host).is_empty() => {
            Err(format!("{text} names a port; sshd's is ssh: {{port: {port}}}, the node's is port"))
        }
        None if is_name(name) => Ok(name.to_owned()),
        _ => Err(format!("{text:?} is no name of a host and no address")),
    }
}

/// A host, and a port if one is named.
pub(super) fn endpoint(text: &str) -> Result<(String, Option<u16>), Wrong> {
    let wrong = || format!("{text:?} is no address and port; say 0.0.0.0:7400, or [::]:7400");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if text.parse::<Ipv6Addr>().is_err() && !text.ends_with(']') => {
            let port = port.parse::<u16>().ok().filter(|port| *port > 0);
            (host, Some(port.ok_or_else(wrong)?))
        }
        _ => (text, None),
    };
    // Without brackets the last part of an IPv6 address would be a port.
    let bracketed = host.starts_with('[') || port.is_none() || !host.contains(':');
    let name = bare(host);
    let good = name.parse::<IpAddr>().is_ok() || is_name(name);
    if good && bracketed { Ok((name.to_owned(), port)) } else { Err(wrong()) }
}

/// A name as DNS or a hosts file has it. A last label of digits would be a mistyped IPv4 address,
/// which some systems take for another one.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= 63 && label.chars().all(good) && !label.starts_with('-')
    };
    let whole = name.strip_suffix('.').unwrap_or(name);
    let last = whole.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    name.len() <= 253 && whole.split('.').all(label) && !number
}

/// Whether an address is of IPv4, whichever way it is written.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}
