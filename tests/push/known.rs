//! Host keys: known, new, changed, hashed, revoked, pinned.

use std::fs;
use std::path::Path;

use kvs::push::{Become, HostKeys};

use super::{Ear, connect, connect_by, denied, has};
use crate::sshd::{Sshd, keygen, write_key};

#[test]
fn an_unknown_host_is_refused_or_written_down() {
    let Some(sshd) = Sshd::local() else { return };
    let mut rules = sshd.rules();
    let text = denied(connect(&sshd, &rules));
    has(&text, &["not known", "ssh-ed25519 SHA256:", "ssh-keyscan -p", "accept-new"]);
    assert!(!rules.known_hosts[0].exists());

    rules.host_keys = HostKeys::AcceptNew;
    let ear = Ear::default();
    drop(connect_by(&sshd, &rules, Become::None, &ear).expect("a connection"));
    assert_eq!(ear.warnings().len(), 1, "{:?}", ear.warnings());
    let line = fs::read_to_string(&rules.known_hosts[0]).expect("a file");
    assert_eq!(line, format!("{} {}\n", sshd.name(), sshd.host_key("ed25519")));

    let ear = Ear::default();
    drop(connect_by(&sshd, &rules, Become::None, &ear).expect("a connection"));
    assert_eq!(ear.warnings(), [""; 0]);
    assert_eq!(fs::read_to_string(&rules.known_hosts[0]).expect("a file"), line);
    rules.host_keys = HostKeys::Strict;
    drop(connect(&sshd, &rules).expect("a connection"));
}

#[test]
fn a_changed_key_is_refused_under_every_rule() {
    let Some(sshd) = Sshd::local() else { return };
    let other = sshd.ssh_dir().join("other");
    write_key("ed25519", "other", &other);
    let (_, public) = crate::sshd::key("ed25519", "other");
    sshd.know(&format!("# ours\n\n{} {public}", sshd.name()));
    let mut rules = sshd.rules();
    let print = |file: &Path| {
        let told = keygen(&["-l", "-f", file.to_str().expect("text")]);
        told.split(' ').nth(1).expect("a fingerprint").to_owned()
    };
    let (theirs, known) = (print(&sshd.dir.join("etc/ssh_host_ed25519_key")), print(&other));
    let place = format!("{}:3", rules.known_hosts[0].display());
    for host_keys in [HostKeys::Strict, HostKeys::AcceptNew] {
        rules.host_keys = host_keys;
        let text = denied(connect(&sshd, &rules));
        has(&text, &["has changed", &place, &theirs, &known, "nothing was done"]);
        has(&text, &[&format!("ssh-keygen -R '{}' -f ", sshd.name())]);
    }
    // The hint is a command that helps.
    let file = rules.known_hosts[0].to_str().expect("text").to_owned();
    keygen(&["-R", &sshd.name(), "-f", &file]);
    drop(connect(&sshd, &rules).expect("a connection"));
}

#[test]
fn other_kinds_known_are_asked_for_or_said() {
    let Some(sshd) = Sshd::local() else { return };
    // Known by RSA alone: the server has it, so it is asked for.
    for kind in ["rsa", "ecdsa"] {
        sshd.know(&format!("{} {}\n", sshd.name(), sshd.host_key(kind)));
        drop(connect(&sshd, &sshd.rules()).expect(kind));
    }
    let Some(sshd) = Sshd::local_with("", &["ed25519"]) else { return };
    let (_, rsa) = crate::sshd::key("rsa", "127.0.0.1");
    sshd.know(&format!("{} {rsa}", sshd.name()));
    let mut rules = sshd.rules();
    let text = denied(connect(&sshd, &rules));
    has(&text, &["not known", "keys of other kinds only: ssh-rsa by", "known_hosts:1"]);
    rules.host_keys = HostKeys::AcceptNew;
    // No new host: one that has the known key would have shown it.
    has(&denied(connect(&sshd, &rules)), &["not known", "keys of other kinds only"]);
}

#[test]
fn hashed_patterns_revoked() {
    let Some(sshd) = Sshd::local() else { return };
    let rules = sshd.rules();
    sshd.be_known();
    let file = rules.known_hosts[0].to_str().expect("text").to_owned();
    keygen(&["-H", "-f", &file]);
    assert!(fs::read_to_string(&file).expect("a file").starts_with("|1|"));
    drop(connect(&sshd, &rules).expect("a hashed name"));

    let key = sshd.host_key("ed25519");
    sshd.know(&format!("*,!nobody {key}\n"));
    drop(connect(&sshd, &rules).expect("a pattern"));
    sshd.know(&format!("127.0.0.? {key}\n"));
    drop(connect(&sshd, &rules).expect("the host at any port"));
    sshd.know(&format!("*,!*127.* {key}\n"));
    drop(denied(connect(&sshd, &rules)));

    sshd.know(&format!("{} {key}\n@revoked * {key}\n", sshd.name()));
    let mut rules = rules;
    for host_keys in [HostKeys::Strict, HostKeys::AcceptNew] {
        rules.host_keys = host_keys;
        has(&denied(connect(&sshd, &rules)), &["known_hosts:2 revokes"]);
    }
    sshd.know(&format!("broken\n@cert-authority * {key}\n"));
    let ear = Ear::default();
    drop(denied(connect_by(&sshd, &sshd.rules(), Become::None, &ear)));
    has(&ear.warnings().join("; "), &["known_hosts:1 cannot be read", ":2: certificates"]);
}

#[test]
fn a_pin_is_all_that_counts() {
    let Some(sshd) = Sshd::local() else { return };
    let mut rules = sshd.rules();
    let file = sshd.dir.join("etc/ssh_host_ed25519_key");
    let print = keygen(&["-l", "-f", file.to_str().expect("text")]);
    let print = print.split(' ').nth(1).expect("a fingerprint").to_owned();
    rules.host_keys = HostKeys::Pin(print.clone());
    drop(connect(&sshd, &rules).expect("the pinned key"));
    rules.host_keys = HostKeys::Pin("SHA256:AAAA".into());
    sshd.be_known();
    has(&denied(connect(&sshd, &rules)), &["pins SHA256:AAAA", &print]);
}
