//! What a host said of itself, as a value.
//!
//! ```text
//! Welcome to Debian!              whatever a login shell says is passed over
//! kvs-fact os=Linux               one value
//! kvs-fact node_yaml=name: n1     one line of a text
//! kvs-fact end=1                  without it some of it is missing, and none of it is believed
//! ```
//!
//! It asks nothing itself. Keys that are not known are those of a newer script, and passed over.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{Facts, Init, Service, scripts, unit};
use crate::push::inventory::{Host, ServiceKind};

/// What a line begins with.
const MARK: &str = "kvs-fact ";

/// The values that were said, by key.
struct Said<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Said<'a> {
    fn new(out: &'a str) -> Self {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        let facts = out.lines().filter_map(|line| line.strip_prefix(MARK)?.split_once('='));
        facts.for_each(|(key, value)| all.entry(key).or_default().push(value));
        Self(all)
    }

    fn all(&self, key: &str) -> &[&'a str] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn one(&self, key: &str) -> Option<&'a str> {
        self.all(key).first().copied().filter(|value| !value.is_empty())
    }

    fn text(&self, key: &str) -> Option<String> {
        let lines = self.0.get(key)?;
        Some(lines.iter().map(|line| format!("{line}\n")).collect())
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.one(key)?.parse().ok()
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn owned(&self, key: &str) -> Option<String> {
        self.one(key).map(str::to_owned)
    }
}

/// What a host said, between these two moments of ours (ms); `None` when something is missing.
pub(super) fn parse(out: &str, host: &Host, ring: &str, asked: (i64, i64)) -> Option<Facts> {
    let said = Said::new(out);
    if !said.has("end") {
        return None;
    }
    let init = if said.has("systemd") { Init::Systemd } else { Init::Other };
    let is_root = said.number::<u32>("uid")? == 0;
    let wanted = unit::wanted_kind(host, init, is_root);
    let user = said.owned("user")?;
    let owner = said.owned("owner").unwrap_or_else(|| {
        // What root makes for a unit is given to who logged in.
        if is_root && wanted == ServiceKind::Systemd { host.ssh.user.clone() } else { user.clone() }
    });
    let needed = |name: &&&str| **name != "setsid" || wanted != ServiceKind::Systemd;
    // A second is all that `date` knows: half of one is the best guess.
    let theirs = said.number::<i64>("now")?.checked_mul(1000)?.checked_add(500)?;
    let mut read_only = said.owned("read_only");
    if wanted == ServiceKind::Systemd {
        read_only = read_only.or(said.owned("units_read_only"));
    }
    let mut facts = Facts {
        os: said.owned("os")?,
        machine: said.owned("machine")?,
        user,
        is_root,
        skew_ms: theirs - i64::midpoint(asked.0, asked.1),
        init,
        root: said.owned("root")?,
        data: said.owned("data")?,
        root_free: said.number("root_free")?,
        data_free: said.number("data_free")?,
        noexec: said.has("root_noexec"),
        read_only,
        lacks: said.all("lacks").iter().filter(needed).map(|&name| name.to_owned()).collect(),
        port_taken: said.has("port_taken"),
        current: said.owned("current"),
        previous: said.owned("previous"),
        releases: said.all("release").iter().filter_map(|line| pair(line)).collect(),
        node_yaml: said.has("node").then(|| said.text("node_yaml").unwrap_or_default()),
        ring_keys: said.all("ring_key").iter().map(|&sum| sum.to_owned()).collect(),
        seeded: said.has("seeded"),
        unborn: said.has("unborn"),
        proving: said.has("proving"),
        data_foreign: said.has("data_foreign"),
        locked: said.owned("locked"),
        owner,
        unit: said.text("unit"),
        mark: said.text("mark"),
        ..Facts::default()
    };
    let unit = unit::text(ring, &host.name, &facts);
    set_service(&mut facts, &said, wanted, unit);
    Some(facts)
}

/// How the service is, and whether it is as it should be.
fn set_service(facts: &mut Facts, said: &Said<'_>, wanted: ServiceKind, unit: String) {
    let unit_pid = said.number::<u32>("unit_runs");
    let process = said.number::<u32>("process_runs");
    facts.service = match unit_pid.filter(|pid| *pid > 0).or(process) {
        Some(pid) => Service::Running(pid),
        None if facts.unit.is_some() || facts.mark.is_some() || unit_pid.is_some() => {
            Service::Stopped
        }
        None => Service::None,
    };
    let found = facts.mark.as_deref().and_then(unit::kind_of);
    let by_unit = (facts.unit.is_some() || unit_pid.is_some()).then_some(ServiceKind::Systemd);
    let by_process = process.map(|_| ServiceKind::Background);
    facts.kind = Some(found.or(by_unit).or(by_process).unwrap_or(wanted));
    let marked = facts.mark.as_deref() == Some(&unit::mark(wanted, &facts.data));
    facts.service_as_wanted = marked
        && match wanted {
            ServiceKind::Systemd => said.has("enabled") && facts.unit == Some(unit),
            _ => facts.unit.is_none(),
        };
}

fn pair(line: &str) -> Option<(String, String)> {
    let (id, version) = line.split_once(' ')?;
    Some((id.to_owned(), scripts::plain(version)))
}

/// The port, and the addresses whose listeners are in the way, as `/proc/net/tcp{,6}` shows them.
pub(super) fn in_the_way(listen: SocketAddr) -> (String, String) {
    let port = format!("{:04X}", listen.port());
    let any_v6 = "0".repeat(32);
    let addresses = match listen.ip() {
        ip if ip.is_unspecified() => "*".into(),
        IpAddr::V4(v4) => {
            let own = words(&v4.octets());
            format!("{own} 00000000 {any_v6} 0000000000000000FFFF0000{own}")
        }
        IpAddr::V6(v6) => format!("{} {any_v6}", words(&v6.octets())),
    };
    (port, addresses)
}

/// Bytes of an address as the kernel prints them: words of 32 bits in the machine's order, which is
/// little endian on all that we bring programs for.
fn words(bytes: &[u8]) -> String {
    let word =
        |word: &[u8]| word.iter().rev().map(|byte| format!("{byte:02X}")).collect::<String>();
    bytes.chunks(4).map(word).collect()
}

#[cfg(test)]
mod tests;
