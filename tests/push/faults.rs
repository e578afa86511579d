//! Hosts that cannot be used, in one fleet with three that can.
//!
//! ```text
//! n1 n2 n3    good: one by an agent of ten keys, one without sftp
//! n4 …        each wrong in its own way: its sentence, its code, nothing changed there
//! ```
//!
//! What a host is refused for must never keep the others from being a ring.

use std::fs;
use std::path::Path;

use crate::fleet_fixture::Fleet;
use crate::net::sh;
use crate::shell::{Told, skip, wait_for};
use crate::ssh::login::Agent;
use crate::sshd::{key, keygen, write_key};
use crate::whole::results;

/// What the report says of a host.
pub(crate) fn row(told: &Told, host: &str) -> String {
    let text = told.text();
    let is_of = |line: &&str| line.split('\t').next() == Some(host);
    let row = text.lines().find(is_of);
    row.unwrap_or_else(|| panic!("no row of {host} in\n{text}\n{}", told.err)).to_owned()
}

#[track_caller]
pub(crate) fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

/// A file system in memory where a host has its root.
pub(crate) struct Mount(pub(crate) std::path::PathBuf);

impl Mount {
    /// `None`, said aloud, where nothing can be mounted.
    pub(crate) fn new(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a directory");
        let at = at.to_owned();
        match sh(&format!("mount -t tmpfs -o {options} tmpfs {}", at.display())) {
            Ok(_) => Some(Self(at)),
            Err(why) => {
                skip(&format!("a file system at {}: {}", at.display(), why.trim()));
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Nodes and shells may still be in it.
        drop(sh(&format!("umount -l {}", self.0.display())));
    }
}

/// Restarts a host's sshd with more lines of configuration, before all others.
fn configured(fleet: &Fleet, host: usize, change: impl Fn(String) -> String) {
    let sshd = fleet.hosts.host(host);
    let file = sshd.dir.join("etc/sshd_config");
    let text = fs::read_to_string(&file).expect("its configuration");
    fs::write(&file, change(text)).expect("its configuration");
    sshd.kill();
    sshd.start();
}

/// The same program for another machine.
fn foreign(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[18..20].copy_from_slice(&183_u16.to_le_bytes());
    bytes
}

/// Good hosts with their peculiarities; the agent has to stay.
fn good_ones(fleet: &mut Fleet) -> Agent {
    let agent = Agent::new(&fleet.desk("."));
    for number in 0..9 {
        let file = fleet.desk(&format!("key{number}"));
        write_key("ed25519", &format!("agent{number}"), &file);
        agent.add(&file);
    }
    agent.add(&fleet.hosts.key_file());
    // Only its public half lies there: it says which of the ten it is.
    fs::write(fleet.desk("own.pub"), key("ed25519", "user").1).expect("a key");
    fleet.say(1, "", "agent: true, keys: [own]");
    fleet.agent = Some(agent.socket.clone());
    configured(fleet, 2, |text| text.replace("Subsystem sftp internal-sftp\n", ""));
    agent
}

/// What known hosts say of n4, n5 and n6: nothing, another key, a key of another kind.
fn host_keys(fleet: &Fleet) -> usize {
    let name = |host: usize| fleet.hosts.host(host).name();
    let text = fs::read_to_string(fleet.hosts.known_hosts()).expect("known hosts");
    let mut known: Vec<String> = text.lines().map(str::to_owned).collect();
    known.retain(|line| ![4, 5, 6].iter().any(|host| line.starts_with(&name(*host))));
    let other = key("ed25519", "somebody else").1;
    known.push(format!("{} {other}", name(5)).trim().to_owned());
    let place = known.len();
    configured(fleet, 6, |text| {
        text.lines()
            .filter(|line| !line.ends_with("_rsa_key"))
            .map(|l| l.to_owned() + "\n")
            .collect()
    });
    let rsa = key("rsa", "no host of ours").1;
    known.push(format!("{} {rsa}", name(6)).trim().to_owned());
    fs::write(fleet.hosts.known_hosts(), known.join("\n") + "\n").expect("known hosts");
    place
}

/// Who is not let in, and who is down.
fn logins(fleet: &Fleet) {
    fleet.say(7, "", "user: no-such-user");
    let locked = fleet.desk("locked");
    write_key("ed25519", "user", &locked);
    keygen(&["-q", "-p", "-P", "", "-N", "secret", "-f", locked.to_str().expect("text")]);
    fleet.say(8, "", "keys: [locked]");
    fleet.hosts.host(9).kill();
    fleet.hosts.net.cut(fleet.hosts.operator(), 10);
}

/// What is wrong on hosts that let us in.
fn places(fleet: &Fleet) -> Vec<Mount> {
    fleet.build("kvs-arm", foreign);
    fleet.say(11, "binary: kvs-arm", "");
    fleet.say(12, &format!("port: {}", fleet.hosts.ssh_port(12)), "");
    fs::create_dir_all(fleet.root(13).join("data")).expect("a directory");
    fs::write(fleet.root(13).join("data/letters"), "of somebody").expect("a file");
    let nobody = "ForceCommand setpriv --reuid=65534 --regid=65534 --clear-groups sh -s\n";
    configured(fleet, 14, |text| nobody.to_owned() + &text);
    let small = Mount::new(&fleet.root(15), "size=40m");
    let noexec = Mount::new(&fleet.root(16), "size=900m,noexec");
    // A namespace sees what was mounted when it was entered.
    [15, 16].iter().for_each(|host| configured(fleet, *host, |text| text));
    small.into_iter().chain(noexec).collect()
}

/// What is said of each, and with which code when it is asked for alone.
fn sayings(place: usize) -> Vec<(usize, i32, Vec<String>)> {
    let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let line = format!("known_hosts:{place} has");
    vec![
        (4, 10, all(&["n4", "is not known", "nothing was done there"])),
        (5, 10, all(&["n5", "has changed", &line, "nothing was done there"])),
        (6, 10, all(&["n6", "is not known", "ssh-rsa", "nothing was done there"])),
        (7, 10, all(&["n7", "does not let no-such-user in"])),
        (8, 10, all(&["n8", "takes a passphrase"])),
        (9, 6, all(&["n9", "refused"])),
        (10, 6, all(&["n10", "timed out", "nothing was done there"])),
        (
            11,
            10,
            all(&["n11", "it is x86_64 and the binary is for aarch64", "Nothing was changed"]),
        ),
        (12, 10, all(&["n12", "something else listens at 10.77.0.12:2212", "Nothing was changed"])),
        (13, 10, all(&["n13", "is not empty and no node's directory", "Nothing was changed"])),
        (14, 10, all(&["n14", "may not write to", "Nothing was changed"])),
        (15, 10, all(&["n15", "free", "are needed", "Nothing was changed"])),
        (16, 10, all(&["n16", "noexec", "Nothing was changed"])),
    ]
}

#[test]
fn hosts_that_cannot_be_used_are_named_and_the_others_become_a_ring() {
    let Some(mut fleet) = Fleet::new(16, 0, "") else { return };
    let agent = good_ones(&mut fleet);
    let place = host_keys(&fleet);
    logins(&fleet);
    let mounts = places(&fleet);
    if mounts.len() < 2 {
        return;
    }
    let told = fleet.push("apply").ends(7);
    has(&told.err, &["13 of 16 hosts failed, 3 were changed", "kvs push apply fleet.yaml"]);
    assert_eq!(told.err.matches("n12: failed").count(), 1, "{}", told.err);
    has(&told.err, &[&format!("ssh-keygen -R '{}'", fleet.hosts.host(5).name())]);
    assert_eq!(results(&told)[..3], ["n1 changed", "n2 changed", "n3 changed"]);
    let sayings = sayings(place);
    for (host, _, words) in &sayings {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        has(&row(&told, &format!("n{host}")), &words);
    }
    fleet.kvs("put a 1").ends(0);
    fleet.kvs("status --check").ends(0);
    for (host, code, words) in &sayings {
        let began = std::time::Instant::now();
        let told = fleet.push(&format!("apply --only n{host}")).ends(*code);
        // Twice the time that a connection may take.
        assert!(began.elapsed().as_secs() < 10, "n{host}: {:?}", began.elapsed());
        words.iter().for_each(|word| has(&told.err, &[word]));
        assert!(!fleet.root(*host).join("releases").exists(), "n{host} was changed");
    }
    mended(&fleet, agent);
}

/// What is said to be done helps.
fn mended(fleet: &Fleet, agent: Agent) {
    let name = fleet.hosts.host(5).name();
    let known = fleet.hosts.known_hosts().display().to_string();
    keygen(&["-R", &name, "-f", &known]);
    fleet.say(4, "", "host_keys: accept-new");
    fleet.say(5, "", "host_keys: accept-new");
    agent.add(&fleet.hosts.key_file());
    fleet.hosts.net.heal();
    fleet.hosts.host(9).start();
    fs::remove_file(fleet.root(13).join("data/letters")).expect("a file");
    let told = fleet.push("apply --only n4,n5,n9,n10,n13").ends(0);
    assert!(results(&told).iter().all(|r| r.ends_with("changed")), "{}", told.text());
    wait_for("eight", || fleet.kvs("status --check --format plain").text().lines().count() == 8);
    assert_eq!(fleet.kvs("get a").ends(0).text(), "1");
}

/// What is wrong with the inventory or the build is wrong for all: nobody is connected to.
#[test]
fn a_build_that_is_none_reaches_nobody() {
    let Some(fleet) = Fleet::new(2, 0, "") else { return };
    fs::write(fleet.desk("notes"), "no program").expect("a file");
    fleet.say(2, "binary: notes", "");
    fleet.push("apply").ends(2).says("notes is no program of Linux").says("nothing was brought");
    fleet.write("");
    fs::rename(fleet.hosts.known_hosts(), fleet.desk("away")).expect("a file");
    // All fail alike, and nothing was changed: one code says it.
    fleet.push("apply").ends(10).says("is not known");
    fleet.hosts.host(1).kill();
    fleet.push("apply").ends(7);
    fleet.hosts.host(2).kill();
    fleet.push("apply").ends(6).says("refused");
    assert!(!fleet.root(1).exists() && !fleet.desk("yard.key").exists());
}
