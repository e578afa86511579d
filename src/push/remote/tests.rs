//! Every script in every shell there is, with a release that is a few lines of `sh`.

mod born;
mod cut;
mod lock;
mod service;
mod stage;
mod systemd;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use super::executable::executable;
use super::local::{Machine, machines};
use super::*;
use crate::push::inventory::{Become, HostKeys, SshRules};
use crate::push::watch::PushEvent;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// What a fake node's directory is made of.
pub(super) const YAML: &str = "name: n1\nlisten: 127.0.0.1:7101\n";

/// Hears nothing.
pub(super) struct Deaf;

impl Watch for Deaf {
    fn note(&self, _host: &str, _event: &PushEvent) {}
}

/// What should be on the machine: ROOT in the home, whose name has a space and a quote in it.
pub(super) fn host() -> Host {
    Host {
        name: "n1".into(),
        address: "localhost".into(),
        ssh: SshRules {
            at: Vec::new(),
            port: 22,
            user: whoami(),
            keys: Vec::new(),
            agent: false,
            known_hosts: Vec::new(),
            host_keys: HostKeys::Strict,
            connect_timeout: PATIENCE,
            command_timeout: PATIENCE,
        },
        zone: "a".into(),
        weight: 1,
        listen: "127.0.0.1:1".parse().expect("an address"),
        advertise: None,
        metrics: None,
        quota_bytes: None,
        root: "~/kvs root".into(),
        data: "~/kvs root/data".into(),
        binary: None,
        become_root: Become::None,
        service: ServiceKind::Background,
    }
}

pub(super) fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8(output.stdout).expect("text").trim().into()
}

pub(super) fn remote<'a>(machine: &'a Machine, host: &'a Host) -> RemoteHost<'a> {
    RemoteHost::new(Box::new(machine.connect()), host, "prod")
}

pub(super) fn locked<'a>(machine: &'a Machine, host: &'a Host) -> RemoteHost<'a> {
    let mut remote = remote(machine, host);
    remote.lock("sara@desk, process 7").expect("a lock");
    remote
}

pub(super) fn root(machine: &Machine) -> PathBuf {
    machine.at("home/kvs root")
}

/// A node of a few lines. `run` is what it does; none outlives its directory.
pub(super) fn node(version: &str, run: &str) -> String {
    format!(
        r#"#!/bin/sh
# {version}
case "$1 $2" in
'--version ') echo 'kvs {version}'; echo 'second line' ;;
'node make')
    if [ "${{4-}}" = --identity ]; then
        [ -d "$3" ] || [ -f "$3.key" ] || echo secret >"$3.key"
        printf '%064d\n' 7
        exit
    fi
    birth=$(/bin/cat)
    if [ -d "$3" ]; then
        [ "$birth" = "$(/bin/cat "$3/birth")" ] || {{ echo 'this is of another ring.' >&2; exit 10; }}
        exit 0
    fi
    /bin/mkdir "$3.new" && echo "$birth" >"$3.new/birth"
    printf 'name: n1\nlisten: 127.0.0.1:7101\n' >"$3.new/node.yaml"
    printf 'aa\nbb' >"$3.new/ring.key"
    /bin/mv "$3.new" "$3" && /bin/rm "$3.key"
    ;;
'node run')
    echo "begins $3" >&2
    {run}
    ;;
*) exit 2 ;;
esac
"#
    )
}

pub(super) const SERVES: &str = r#"trap 'echo ends >&2; exit 0' TERM
    echo "ready n1 127.0.0.1:7101"
    while [ -d "$3" ]; do /bin/sleep 0.02; done"#;

/// Programs are made and run while other threads fork all the time.
#[test]
fn a_program_that_was_just_made_can_be_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let group = fs::metadata(dir.path()).expect("a directory").gid();
    let text = format!("#!/bin/sh\nexit 0\n#{}", "#".repeat(1 << 20));
    let over = AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    // With a group it is a fork, which shares what is open for longer than a spawn.
                    Command::new("true").gid(group).status().expect("true");
                }
            });
        }
        let programs = (0..100).map(|i| dir.path().join(format!("program{i}")));
        let busy = programs.filter(|program| {
            executable(program, &text);
            Command::new(program).status().is_err()
        });
        let busy = busy.count();
        over.store(true, Ordering::SeqCst);
        busy
    });
    assert_eq!(busy, 0, "programs that were busy");
}

/// A release of that text, in a file here.
pub(super) fn release(machine: &Machine, text: &str) -> Release {
    let file = machine.at("kvs-to-bring");
    fs::write(&file, text).expect("a file");
    let sum = Command::new("sha256sum").arg(&file).output().expect("a sum").stdout;
    let sha256 = String::from_utf8(sum).expect("text");
    // A name with what it must quote in it is printed behind a backslash.
    let sha256 = sha256.trim_start_matches('\\')[..64].to_owned();
    let uname = Command::new("uname").arg("-m").output().expect("uname").stdout;
    Release {
        id: sha256[..16].into(),
        sha256,
        file,
        bytes: text.len() as u64,
        machine: String::from_utf8(uname).expect("text").trim().into(),
        dynamic: false,
    }
}

/// Brings a node to the machine and starts it, as a push does.
pub(super) fn install(remote: &mut RemoteHost<'_>, release: &Release) -> Result<()> {
    let facts = remote.facts()?;
    remote.stage(release, &Deaf)?;
    remote.identity(&release.id)?;
    remote.make(&release.id, "the birth's text")?;
    remote.configure(&facts, YAML)?;
    remote.stop(PATIENCE)?;
    remote.switch(&release.id)?;
    remote.start(PATIENCE)
}

/// Every file below a directory, with what is in it; links with where they lead.
pub(super) fn tree(dir: &Path) -> Vec<(String, String)> {
    fn walk(dir: &Path, top: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(top).expect("below").display().to_string();
            if let Ok(to) = fs::read_link(&path) {
                found.push((name, format!("-> {}", to.display())));
            } else if path.is_dir() {
                walk(&path, top, found);
                found.push((name + "/", String::new()));
            } else {
                let text = fs::read(&path).expect("a file");
                found.push((name, String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

#[test]
fn an_empty_host_is_looked_at_and_stays_empty() {
    for machine in machines() {
        let host = host();
        let before = tree(machine.dir.path());
        let facts = remote(&machine, &host).facts().expect("facts");
        assert_eq!(tree(machine.dir.path()), before);
        assert_eq!((facts.os.as_str(), facts.user), ("Linux", whoami()));
        assert_eq!(facts.machine, release(&machine, "").machine);
        assert_eq!(facts.root, root(&machine).display().to_string());
        assert_eq!(facts.data, format!("{}/data", facts.root));
        assert!(facts.skew_ms.abs() <= 2_000, "{}", facts.skew_ms);
        assert!(facts.root_free > 1 << 20 && facts.root_free < 1 << 50, "{}", facts.root_free);
        assert_eq!((facts.noexec, facts.read_only, facts.port_taken), (false, None, false));
        assert_eq!((&facts.lacks, &facts.releases), (&vec![], &vec![]));
        assert_eq!((facts.service, facts.kind), (Service::None, Some(ServiceKind::Background)));
        assert_eq!((facts.current, facts.node_yaml, facts.locked), (None, None, None));
        assert!(!facts.data_foreign && !facts.service_as_wanted && facts.ring_keys.is_empty());
    }
}

#[test]
fn what_is_in_the_way_is_seen() {
    for machine in machines() {
        let mut host = host();
        let data = root(&machine).join("data");
        fs::create_dir_all(&data).expect("a directory");
        assert!(!remote(&machine, &host).facts().expect("facts").data_foreign);
        fs::write(data.join("thesis.tex"), "").expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        host.listen = listener.local_addr().expect("an address");
        let facts = remote(&machine, &host).facts().expect("facts");
        assert!(facts.data_foreign && facts.port_taken);
        host.listen.set_ip("127.0.0.2".parse().expect("an address"));
        assert!(!remote(&machine, &host).facts().expect("facts").port_taken);
        host.listen.set_ip("0.0.0.0".parse().expect("an address"));
        assert!(remote(&machine, &host).facts().expect("facts").port_taken);
        host.data = machine.at("boot_id/data").display().to_string();
        let facts = remote(&machine, &host).facts().expect("facts");
        assert!(facts.read_only.is_some() && !facts.noexec, "a file is no place for a directory");
        host.root = "no/root".into();
        let error = remote(&machine, &host).facts().expect_err("a relative path");
        assert!(matches!(error.root(), Error::Denied(_)), "{error}");
    }
}

#[test]
fn mounts_that_will_not_do_are_seen() {
    for machine in machines() {
        let host = host();
        let real = fs::read_to_string("/proc/mounts").expect("mounts");
        let home = machine.at("home").display().to_string().replace(' ', "\\040");
        let see = |place: &str, options: &str| {
            let line = format!("tmpfs {place} tmpfs {options} 0 0\n");
            fs::write(machine.at("mounts"), format!("{real}{line}")).expect("mounts");
            let facts = remote(&machine, &host).facts().expect("facts");
            (facts.noexec, facts.read_only)
        };
        assert_eq!(see(&home, "rw,nosuid,noexec"), (true, None));
        assert_eq!(see(&home, "rw,exec"), (false, None));
        assert_eq!(see(&home[..home.len() - 1], "ro,noexec"), (false, None), "another place");
        let shown = machine.at("home").display().to_string();
        assert_eq!(see(&home, "ro,relatime"), (false, Some(shown)));
    }
}

#[test]
fn a_port_that_the_service_listens_at_is_not_taken() {
    for machine in machines() {
        let mut host = host();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        host.listen = listener.local_addr().expect("an address");
        fs::create_dir_all(root(&machine).join("run")).expect("a directory");
        let shown = root(&machine).join("releases/0/kvs");
        let mut child = Command::new("sh")
            .arg0(&shown)
            .args(["-c", "kill -STOP $$"])
            .stdin(std::os::fd::OwnedFd::from(listener))
            .spawn()
            .expect("a process");
        let pid = child.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its figures");
        let since = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19));
        let boot = fs::read_to_string(machine.at("boot_id")).expect("a boot id");
        let line = format!("{pid} {} {} 0\n", boot.trim(), since.expect("a time"));
        assert!(remote(&machine, &host).facts().expect("facts").port_taken);
        fs::write(root(&machine).join("run/n1.pid"), line).expect("a file");
        let facts = remote(&machine, &host).facts().expect("facts");
        assert_eq!((facts.port_taken, facts.service), (false, Service::Running(pid)));
        child.kill().expect("an end");
        child.wait().expect("an end");
    }
}
