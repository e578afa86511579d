//! What keeps a node running: the text of its unit, and the mark that says which kind it is.
//!
//! ```text
//! /etc/systemd/system/kvs-RING_NAME.service    the unit
//! ROOT/run/NAME.service                        "systemd", or "background DATA"
//! ```
//!
//! The unit takes from the process what a node does not need: it may write to DATA and nowhere else.
//! Pure text: it writes no file. Caveat: homes are hidden from the node unless it lives in one.

use super::{Facts, Init};
use crate::push::inventory::{Host, ServiceKind};

/// Exit codes after which a restart would end as before: wrong configuration, a damaged file, refused.
pub const FINAL_CODES: [u8; 3] = [2, 8, 10];

/// What the unit is called. No ring has a `_` in its name, so that no two nodes have one unit.
pub(super) fn name(ring: &str, node: &str) -> String {
    format!("kvs-{ring}_{node}.service")
}

/// What is to keep the node running on such a host: never `Auto`.
pub(super) fn wanted_kind(host: &Host, init: Init, is_root: bool) -> ServiceKind {
    match host.service {
        ServiceKind::Auto if init == Init::Systemd && is_root => ServiceKind::Systemd,
        ServiceKind::Auto => ServiceKind::Background,
        told => told,
    }
}

/// The mark of a kind.
pub(super) fn mark(kind: ServiceKind, data: &str) -> String {
    match kind {
        ServiceKind::Systemd => "systemd\n".into(),
        _ => format!("background {data}\n"),
    }
}

/// The kind that a mark says.
pub(super) fn kind_of(mark: &str) -> Option<ServiceKind> {
    match mark.split_whitespace().next() {
        Some("systemd") => Some(ServiceKind::Systemd),
        Some("background") => Some(ServiceKind::Background),
        _ => None,
    }
}

/// The unit of a node.
pub(super) fn text(ring: &str, node: &str, facts: &Facts) -> String {
    let kvs = words(&format!("{}/current/kvs", facts.root));
    let Facts { data, owner, .. } = facts;
    let lives_in = |places: &[&str]| {
        let below = |dir: &str, place: &str| format!("{dir}/").starts_with(&format!("{place}/"));
        places.iter().any(|place| below(data, place) || below(&facts.root, place))
    };
    let hides = |places: &[&str]| if lives_in(places) { "no" } else { "yes" };
    let homes = hides(&["/home", "/root", "/run/user"]);
    let tmp = hides(&["/tmp", "/var/tmp"]);
    let (data_word, data_path) = (words(data), specifiers(data));
    format!(
        "\
# Written by kvs push; what is changed here is lost with the next one.
[Unit]
Description=kvs node {node} of the ring {ring}
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart={kvs} node run {data_word}
User={owner}
WorkingDirectory={data_path}
Restart=on-failure
RestartSec=2s
# Wrong configuration, damaged file, refused: a restart would not help.
RestartPreventExitStatus={last}
TimeoutStartSec=15min
TimeoutStopSec=5min
LimitNOFILE=65536
UMask=0077
ReadWritePaths={paths}
ProtectSystem=strict
ProtectHome={homes}
PrivateTmp={tmp}
PrivateDevices=yes
NoNewPrivileges=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallFilter=@chown
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
",
        paths = quoted(&data_path),
        last = FINAL_CODES.map(|code| code.to_string()).join(" "),
    )
}

/// `%` begins a specifier wherever a path is read.
fn specifiers(path: &str) -> String {
    path.replace('%', "%%")
}

/// A word of a command line, where `$` begins a variable too.
fn words(path: &str) -> String {
    quoted(&specifiers(path).replace('$', "$$"))
}

/// A word that may hold anything.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-%$+:@".contains(c);
    if word.chars().all(plain) {
        return word.into();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
