//! Host keys: known, new, changed, hashed, revoked, pinned.

use std::fs;
use std::path::Path;

use kvs::push::{Become, HostKeys};

use super::{Ear, connect, connect_by, denied, has};
use crate::support::sshd::{KINDS, Sshd, keygen, write_key};

#[test]
fn an_unknown_host_is_refused_or_written_down() {
    let Some(sshd) = Sshd::local() else { return };
    let mut rules = sshd.rules();
    let text = denied(connect(&sshd, &rules));
    let print = fingerprint(&sshd, "ed25519");
    let pin = format!("host_key of this host to {print}");
    has(&text, &["not known", "ssh-ed25519 SHA256:", "ssh-keyscan -p", "accept-new", &pin]);
    // The hint is a field that helps.
    rules.host_keys = HostKeys::Pin(print);
    drop(connect(&sshd, &rules).expect("the pinned key"));
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
    let (_, public) = crate::support::sshd::key("ed25519", "other");
    sshd.know(&format!("# ours\n\n{} {public}", sshd.name()));
    let mut rules = sshd.rules();
    let (theirs, known) = (fingerprint(&sshd, "ed25519"), print_of(&other));
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
    let (_, rsa) = crate::support::sshd::key("rsa", "127.0.0.1");
    sshd.know(&format!("{} {rsa}", sshd.name()));
    let mut rules = sshd.rules();
    let text = denied(connect(&sshd, &rules));
    has(&text, &["not known", "keys of other kinds only: ssh-rsa by", "known_hosts:1"]);
    rules.host_keys = HostKeys::AcceptNew;
    // No new host: one that has the known key would have shown it.
    let text = denied(connect(&sshd, &rules));
    has(&text, &["not known", "keys of other kinds only", "ssh-keyscan -p"]);
    has(&text, &[&format!("host_key of this host to {}", fingerprint(&sshd, "ed25519"))]);
    assert!(!text.contains("accept-new"), "{text}");
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
    // A key of any kind can be pinned, whatever is known.
    for known in KINDS {
        sshd.know(&format!("{} {}\n", sshd.name(), sshd.host_key(known)));
        for kind in KINDS {
            rules.host_keys = HostKeys::Pin(fingerprint(&sshd, kind));
            let told = connect(&sshd, &rules);
            drop(told.unwrap_or_else(|e| panic!("{known} is known, {kind} pinned: {e}")));
        }
    }
    rules.host_keys = HostKeys::Pin("SHA256:AAAA".into());
    let text = denied(connect(&sshd, &rules));
    has(&text, &["shows the host keys ssh-ed25519", "pins SHA256:AAAA", "host_key of this host"]);
    KINDS.iter().for_each(|kind| has(&text, &[&fingerprint(&sshd, kind)]));
    // One that is revoked will not do, pinned or not.
    sshd.know(&format!("@revoked * {}\n", sshd.host_key("rsa")));
    rules.host_keys = HostKeys::Pin(fingerprint(&sshd, "rsa"));
    has(&denied(connect(&sshd, &rules)), &["known_hosts:1 revokes"]);
    // A host that has no more kinds is not asked for them for ever.
    let Some(sshd) = Sshd::local_with("", &["ecdsa"]) else { return };
    let mut rules = sshd.rules();
    rules.host_keys = HostKeys::Pin("SHA256:AAAA".into());
    let text = denied(connect(&sshd, &rules));
    has(&text, &["shows the host key ecdsa-sha2-nistp256 SHA256:", "pins SHA256:AAAA"]);
}

/// What `ssh-keygen` calls a host key of it.
fn fingerprint(sshd: &Sshd, kind: &str) -> String {
    print_of(&sshd.dir.join(format!("etc/ssh_host_{kind}_key")))
}

fn print_of(file: &Path) -> String {
    let told = keygen(&["-l", "-f", file.to_str().expect("text")]);
    told.split(' ').nth(1).expect("a fingerprint").to_owned()
}
