//! Hosts in namespaces, as a fleet has them.

use crate::support::shell::ended;
use crate::support::sshd::Hosts;
use crate::support::wait::wait_for;

/// Each is reached from the operator's desk and from nowhere else; one can be cut off, ended, begun.
#[test]
fn hosts_can_be_reached_from_the_desk() {
    let Some(fleet) = Hosts::new(2) else { return };
    let ssh = |host: usize, script: &str| {
        let mut command = fleet.command("ssh");
        command.arg("-i").arg(fleet.key_file()).arg("-p").arg(fleet.ssh_port(host).to_string());
        let known = fleet.known_hosts();
        command.arg("-F/dev/null").arg(format!("-oUserKnownHostsFile={}", known.display()));
        command.args(["-oStrictHostKeyChecking=yes", "-oBatchMode=yes", "-oConnectTimeout=2"]);
        command.arg(format!("{}@{}", crate::support::sshd::me(), fleet.address(host))).arg(script);
        ended(script.into(), command.spawn().expect("ssh"), std::time::Duration::from_secs(20))
    };
    for host in [1, 2] {
        let told = ssh(host, "ip -o -4 addr show eth0");
        assert!(told.text().contains(&fleet.address(host)), "{host}: {}{}", told.text(), told.err);
    }
    assert!(!fleet.dir(1, "opt").exists() && fleet.key_file().exists());
    fleet.net.cut(fleet.operator(), 1);
    assert_eq!(ssh(1, "true").code, 255);
    fleet.net.heal();
    fleet.host(2).kill();
    assert_eq!(ssh(2, "true").code, 255);
    fleet.host(2).start();
    wait_for("both", || ssh(1, "true").code == 0 && ssh(2, "true").code == 0);
    let version = fleet.kvs("--version").output().expect("kvs");
    assert!(version.status.success());
}
