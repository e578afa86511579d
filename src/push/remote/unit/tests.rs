//! The unit as it is written, and as systemd reads it.

use std::process::Command;

use super::*;
use crate::push::remote::tests::host;

fn facts(root: &str) -> Facts {
    let (root, data) = (root.to_owned(), format!("{root}/data"));
    Facts { root, data, owner: "deploy".into(), ..Facts::default() }
}

fn value<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_lets_a_node_do_what_it_needs() {
    let text = text("prod", "n1", &facts("/opt/kvs"));
    assert_eq!(value(&text, "ExecStart"), ["/opt/kvs/current/kvs node run /opt/kvs/data"]);
    assert_eq!(value(&text, "ReadWritePaths"), ["/opt/kvs/data"]);
    assert_eq!(value(&text, "User"), ["deploy"]);
    assert_eq!(value(&text, "Type"), ["notify"]);
    assert_eq!(value(&text, "RestartPreventExitStatus"), ["2 8 10"]);
    assert_eq!(
        (value(&text, "ProtectHome"), value(&text, "PrivateTmp")),
        (vec!["yes"], vec!["yes"])
    );
    assert_eq!(value(&text, "WantedBy"), ["multi-user.target"]);
    assert_eq!(name("prod", "n1"), "kvs-prod_n1.service");
}

#[test]
fn places_are_written_as_systemd_reads_them() {
    let text = text("prod", "n1", &facts("/home/a b/100%/$x\"\\"));
    let exec = r#""/home/a b/100%%/$$x\"\\/current/kvs" node run "/home/a b/100%%/$$x\"\\/data""#;
    assert_eq!(value(&text, "ExecStart"), [exec]);
    assert_eq!(value(&text, "ReadWritePaths"), [r#""/home/a b/100%%/$x\"\\/data""#]);
    assert_eq!(value(&text, "ProtectHome"), ["no"]);
    assert_eq!(value(&super::text("prod", "n1", &facts("/homes")), "ProtectHome"), ["yes"]);
    assert_eq!(value(&super::text("prod", "n1", &facts("/tmp/k")), "PrivateTmp"), ["no"]);
}

/// Where systemd is installed, it finds nothing to complain about.
#[test]
fn systemd_takes_it() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("a b").display().to_string();
    let bin = dir.path().join("a b/current");
    std::fs::create_dir_all(&bin).expect("a directory");
    std::fs::copy("/bin/true", bin.join("kvs")).expect("a program");
    let mut facts = facts(&root);
    facts.owner = "root".into();
    let file = dir.path().join("kvs-prod_n1.service");
    std::fs::write(&file, text("prod", "n1", &facts)).expect("a unit");
    let verify = || Command::new("systemd-analyze").arg("verify").arg(&file).output();
    let told = verify().expect("an answer");
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!said.contains("kvs-prod_n1"), "{said}");
    std::fs::write(&file, "[Service]\nExecStart=/no/such/kvs\nTypo=yes\n").expect("a unit");
    let said = verify().expect("an answer").stderr;
    assert!(String::from_utf8_lossy(&said).contains("Typo"), "it cannot say no");
}

#[test]
fn auto_takes_systemd_when_it_can() {
    let mut host = host();
    let mut kind = |told, init, root| {
        host.service = told;
        wanted_kind(&host, init, root)
    };
    use ServiceKind::{Auto, Background, Systemd};
    assert_eq!(kind(Auto, Init::Systemd, true), Systemd);
    assert_eq!(kind(Auto, Init::Systemd, false), Background);
    assert_eq!(kind(Auto, Init::Other, true), Background);
    assert_eq!(kind(Systemd, Init::Other, false), Systemd);
    for kind in [Systemd, Background] {
        assert_eq!(kind_of(&mark(kind, "/d")), Some(kind));
    }
    assert_eq!(kind_of(""), None);
}
