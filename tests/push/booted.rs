//! Hosts whose first process is a real systemd, and what a push does to it.
//!
//! ```text
//! ip netns exec … unshare     processes, mounts, a name and a network of its own
//! DIR/hN/sys/root             this machine's files, written to above; DIR/hN is the same in both
//! systemd ── sshd             the units of this machine that a host needs, and no others
//! ```
//!
//! It takes root, Debian's systemd, overlays and a hierarchy of control groups that can be mounted.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::faults::{has, row};
use crate::fleet_fixture::Fleet;
use crate::shell::{is_root, send, skip, wait_for};
use crate::whole::{broken, results, second};

/// `$1` is the host's directory; what follows is given to sshd.
const BOOT: &str = r#"set -e
dir=$1 root=$1/sys/root
shift
mount --make-rprivate /
mkdir -p "$dir/sys"
mount -t tmpfs tmpfs "$dir/sys"
mkdir "$dir/sys/up" "$dir/sys/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/sys/up,workdir=$dir/sys/work" "$root"
for at in root run tmp; do mount -t tmpfs tmpfs "$root/$at"; done
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
mount --bind /dev "$root/dev"
mkdir -p "$root$dir" "$root/run/sshd"
mount --bind "$dir" "$root$dir"
units=$root/etc/systemd/system
rm -rf "$units"
mkdir -p "$units/basic.target.wants"
for unit in systemd-udevd systemd-journal-flush systemd-resolved systemd-timesyncd networking; do
    ln -s /dev/null "$units/$unit.service"
done
cat >"$units/host.service" <<END
[Service]
RuntimeDirectory=sshd
ExecStart=/usr/sbin/sshd $*
StandardError=append:$dir/etc/log
END
ln -s ../host.service "$units/basic.target.wants/host.service"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" /lib/systemd/systemd --unit=basic.target >/dev/null 2>&1
"#;

/// The program and its first arguments that boot a host in its directory.
pub(crate) fn boot(dir: &Path) -> (&'static str, Vec<String>) {
    let words = ["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sh", "-c", BOOT];
    let all = words.into_iter().map(str::to_owned);
    ("unshare", all.chain(["boot".into(), dir.display().to_string()]).collect())
}

/// Why nothing can be booted here.
fn missing() -> Option<&'static str> {
    if !is_root() {
        return Some("not root");
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return Some("no systemd");
    }
    let mount = "mount -t cgroup -o none,name=systemd cgroup /mnt && mount -t tmpfs tmpfs /mnt && \
                 mkdir /mnt/u /mnt/w /mnt/r && \
                 mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r";
    let tried = Command::new("unshare").args(["--mount", "sh", "-c", mount]).output();
    let is_there = tried.is_ok_and(|tried| tried.status.success());
    (!is_there).then_some("no overlays or control groups")
}

/// The process of a host's node, as this machine sees it.
fn pid(fleet: &Fleet, host: usize) -> Option<u32> {
    let program = fleet.root(host).join("current/kvs").display().to_string();
    let is_node = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(program.as_bytes())
    };
    let all = fs::read_dir("/proc").expect("processes").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_node)
}

/// A hardened unit runs a node, its readiness is systemd's, and it comes back by itself.
#[test]
fn units_are_kept_by_a_real_systemd() {
    if let Some(why) = missing() {
        return skip(&format!("units kept by a real systemd: {why}"));
    }
    let Some(fleet) = Fleet::booted(3) else { return };
    let told = fleet.push("plan").ends(1).text();
    assert_eq!(told.matches("set up a systemd unit").count(), 3, "{told}");
    let told = fleet.push("apply").ends(0);
    assert_eq!(results(&told), ["n1 changed", "n2 changed", "n3 changed"]);
    fleet.kvs("put a 1").ends(0);
    let told = fleet.push("status --check").ends(0);
    assert_eq!(told.text().matches("systemd: runs").count(), 3, "{}", told.text());
    fleet.push("apply").ends(0).says("nothing to do");

    fleet.build("kvs2", second);
    let told = fleet.with("kvs2", "push apply fleet.yaml").ends(0);
    assert_eq!(told.text().matches("in sync, equal").count(), 3, "{}", told.text());
    let known = fleet.current(1);
    fleet.build("kvs3", broken);
    let binary = format!("defaults:\n  binary: {}\n", fleet.desk("kvs3").display());
    fleet.edit("defaults:\n", &binary);
    let told = fleet.push("apply").ends(7);
    assert_eq!(results(&told), ["n1 failed", "n2 ok", "n3 ok"]);
    has(&row(&told, "n1"), &["ended before it was ready", "not a node directory"]);
    assert_eq!([1, 2, 3].map(|host| fleet.current(host) == known), [true; 3]);
    fleet.push("status").ends(0);
    fleet.edit(&binary, "defaults:\n");
    fleet.with("kvs2", "push status fleet.yaml --check").ends(0);

    // systemd starts it again; nobody else does anything.
    let before = pid(&fleet, 2).expect("a process");
    send("KILL", &before.to_string());
    wait_for("another process", || pid(&fleet, 2).is_some_and(|now| now != before));
    fleet.kvs("wait --node-up n2 --timeout 30s").ends(0);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    fleet.push("stop").ends(0);
    assert!((1..=3).all(|host| pid(&fleet, host).is_none()));
    fleet.push("start").ends(0);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
    assert!(fleet.kvs("push logs fleet.yaml n1").ends(0).text().contains("INFO"));
    fleet.push("destroy --data --confirm yard").ends(0);
    assert!(!fleet.root(1).join("data").exists());
    has(&fleet.push("plan").ends(1).text(), &["systemd: none", "found the ring"]);
}
