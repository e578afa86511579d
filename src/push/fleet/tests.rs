//! Inventories that are read, inventories that are refused and in which words, drafts.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn me() -> Me {
    Me { user: Some("ann".into()), home: Some("/nonexistent/ann".into()) }
}

/// Names of these tests: no resolver is asked.
fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    let known = match name {
        "n2.example" => "10.0.0.12 fd00::12",
        "six.example" => "fd00::66",
        "near.example" => "127.0.1.1",
        "empty.example" => "",
        name if name.parse::<IpAddr>().is_ok() => name,
        _ => return Err(io::Error::other("no such name")),
    };
    Ok(known.split_whitespace().map(|ip| ip.parse().unwrap()).collect())
}

fn parse(text: &str) -> Result<Fleet> {
    Fleet::parse(text, "fleet.yaml", Path::new("/inv"), &me(), &lookup)
}

fn fleet(text: &str) -> Fleet {
    parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// What is said of an inventory that is refused.
fn refused(text: &str) -> String {
    match parse(text) {
        Err(error) if matches!(error.root(), Error::Usage(_)) => error.to_string(),
        other => panic!("{other:?} for\n{text}"),
    }
}

#[test]
fn what_is_not_said_has_a_default() {
    let fleet = fleet("ring: prod\nhosts:\n  - {name: n1, address: 10.0.0.11}\n");
    assert_eq!((fleet.ring.as_str(), fleet.replicas, fleet.partitions), ("prod", 1, 1024));
    assert_eq!(fleet.key, PathBuf::from("/inv/prod.key"));
    assert!(fleet.spares.is_empty() && fleet.scale.is_none());
    let secs = Duration::from_secs;
    let rollout = Rollout {
        batch: 1,
        pause: secs(0),
        ready_timeout: secs(60),
        sync_timeout: secs(600),
        uploads: 5,
    };
    assert_eq!(fleet.rollout, rollout);
    let known = ["/nonexistent/ann/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"];
    let host = Host {
        name: "n1".into(),
        address: "10.0.0.11".into(),
        ssh: SshRules {
            at: vec!["10.0.0.11:22".parse().unwrap()],
            port: 22,
            user: "ann".into(),
            keys: vec![],
            agent: true,
            known_hosts: known.map(PathBuf::from).to_vec(),
            host_keys: HostKeys::Strict,
            connect_timeout: secs(10),
            command_timeout: secs(60),
        },
        zone: "default".into(),
        weight: 1,
        listen: "10.0.0.11:7400".parse().unwrap(),
        advertise: None,
        metrics: Some("off".into()),
        quota_bytes: None,
        root: "~/kvs".into(),
        data: "~/kvs/data".into(),
        binary: None,
        become_root: Become::None,
        service: ServiceKind::Auto,
    };
    assert_eq!(fleet.hosts, [host]);
}

const FULL: &str = r#"
ring: prod
key: ~/keys/prod.key
replicas: 2
partitions: 64
defaults:
  ssh:
    user: deploy
    port: 2222
    keys: [~/.ssh/fleet, ./other]
    agent: false
    known_hosts: [known]
    host_keys: accept-new
    connect_timeout: 3
    command_timeout: 2m
  become: sudo
  service: systemd
  root: /srv/kvs/
  data: /data//kvs
  port: 7500
  zone: a
  weight: 2
  metrics: 127.0.0.1:9100
  quota: 50GiB
  binary: ./kvs
hosts:
  - {name: n1, address: 10.0.0.11}
  - name: n2
    address: n2.example
    listen: 0.0.0.0
    ssh: {port: 22, host_key: "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", agent: true}
    become: none
    service: background
    root: ~/kvs
    zone: b
    weight: 3
    metrics: off
    quota: 1024
spares:
  - {name: s1, address: "[fd00::13]", listen: "[::]:7600", advertise: "n2.example:7601"}
rollout: {batch: 2, pause: 5s, ready_timeout: 30, sync_timeout: 1h, uploads: 1}
scale: {min: 2, max: 3, window: 1m, cool_down: 0s, requests: 5000, latency: 50ms, bytes: 1TB,
        disk: 80%, shrink_below: 50%}
"#;

#[test]
fn a_host_comes_before_the_defaults_field_by_field() {
    let fleet = fleet(FULL);
    assert_eq!(fleet.key, PathBuf::from("/nonexistent/ann/keys/prod.key"));
    assert_eq!((fleet.replicas, fleet.partitions), (2, 64));
    let [n1, n2] = &fleet.hosts[..] else { panic!("two hosts") };
    let s1 = &fleet.spares[0];
    assert_eq!(n1.ssh.keys, ["/nonexistent/ann/.ssh/fleet", "/inv/./other"].map(PathBuf::from));
    assert_eq!(n1.ssh.known_hosts, [PathBuf::from("/inv/known")]);
    assert_eq!(n1.ssh.host_keys, HostKeys::AcceptNew);
    assert_eq!(n1.ssh.connect_timeout, Duration::from_secs(3));
    assert_eq!((n1.root.as_str(), n1.data.as_str()), ("/srv/kvs", "/data/kvs"));
    assert_eq!((n1.become_root, n1.service), (Become::Sudo, ServiceKind::Systemd));
    assert_eq!((n1.quota_bytes, n1.metrics.as_deref()), (Some(50 << 30), Some("127.0.0.1:9100")));
    assert_eq!(n1.binary, Some(PathBuf::from("/inv/./kvs")));
    assert_eq!((n1.listen.to_string().as_str(), n1.advertise), ("10.0.0.11:7500", None));

    assert_eq!((n2.ssh.user.as_str(), n2.ssh.port, n2.ssh.agent), ("deploy", 22, true));
    assert!(matches!(&n2.ssh.host_keys, HostKeys::Pin(pin) if pin.starts_with("SHA256:AA")));
    let at: Vec<_> = n2.ssh.at.iter().map(ToString::to_string).collect();
    assert_eq!(at, ["10.0.0.12:22", "[fd00::12]:22"]);
    assert_eq!((n2.become_root, n2.service), (Become::None, ServiceKind::Background));
    assert_eq!((n2.root.as_str(), n2.data.as_str()), ("~/kvs", "/data/kvs"));
    assert_eq!((n2.zone.as_str(), n2.weight, n2.quota_bytes), ("b", 3, Some(1024)));
    assert_eq!(n2.metrics.as_deref(), Some("off"));
    assert_eq!(n2.listen.to_string(), "0.0.0.0:7500");
    assert_eq!(n2.advertise.unwrap().to_string(), "10.0.0.12:7500");

    assert_eq!(s1.address, "fd00::13");
    assert_eq!(s1.listen.to_string(), "[::]:7600");
    assert_eq!(s1.advertise.unwrap().to_string(), "10.0.0.12:7601");
    assert_eq!(fleet.all().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["n1", "n2", "s1"]);
    assert_eq!(fleet.rollout.sync_timeout, Duration::from_secs(3600));
    let rules = fleet.scale.unwrap();
    assert_eq!((rules.min, rules.max, rules.requests), (2, 3, Some(5000.0)));
    assert_eq!(rules.latency, Some(Duration::from_millis(50)));
    assert_eq!((rules.bytes, rules.disk), (Some(1_000_000_000_000), Some(0.8)));
    assert_eq!(rules.shrink_below, 0.5);
}

#[test]
fn an_address_is_found_in_every_way_of_writing_it() {
    for (host, listen, advertise) in [
        ("address: '::1'", "[::1]:7400", None),
        ("address: '[::1]', port: 7401", "[::1]:7401", None),
        ("address: six.example, listen: '[::]'", "[::]:7400", Some("[fd00::66]:7400")),
        ("address: n2.example, listen: '[::]'", "[::]:7400", Some("10.0.0.12:7400")),
        (
            "address: 10.0.0.1, listen: 10.9.9.9:1, advertise: 1.1.1.1",
            "10.9.9.9:1",
            Some("1.1.1.1:1"),
        ),
        ("address: 10.0.0.1, listen: '10.0.0.1:1', advertise: '10.0.0.1:1'", "10.0.0.1:1", None),
        ("address: near.example", "127.0.1.1:7400", None),
    ] {
        let fleet = fleet(&format!("ring: r\nhosts: [{{name: a, {host}}}]"));
        let host = &fleet.hosts[0];
        assert_eq!(host.listen.to_string(), listen);
        assert_eq!(host.advertise.map(|at| at.to_string()).as_deref(), advertise, "{listen}");
    }
}

/// An inventory of one host `a`, with more lines at the top and more fields of the host.
fn one(top: &str, host: &str) -> String {
    format!("ring: r\n{top}\nhosts:\n  - {{name: a, address: 10.0.0.1{host}}}\n")
}

/// An inventory of two hosts of one sshd, with more fields each.
fn two(a: &str, b: &str) -> String {
    let at = "address: 10.0.0.1";
    format!("ring: r\nhosts:\n  - {{name: a, {at}{a}}}\n  - {{name: b, {at}{b}}}\n")
}

fn says(cases: &[(String, &str)]) {
    for (text, want) in cases {
        let said = refused(text);
        let core =
            said.strip_prefix("fleet.yaml: ").and_then(|s| s.strip_suffix("; nothing was done."));
        assert_eq!(core, Some(*want), "{said}\n{text}");
    }
}

#[test]
fn what_is_no_inventory_is_refused_with_its_place() {
    let head = "fleet.yaml is not as it should be: ";
    for (text, want) in [
        (one("", ", prot: 1"), "hosts[0]: unknown field `prot`, expected one of"),
        (
            one("defaults: {ssh: {usr: x}}", ""),
            "defaults.ssh: unknown field `usr`, expected one of",
        ),
        (
            one("rollout: {pause: soon}", ""),
            "rollout.pause: expected number at 0; say 5s, 90s, 1m, 1h 30m at line 2 column 18",
        ),
        (
            one("", ", quota: 50G"),
            "hosts[0].quota: \"50G\" is no size; say 512MiB, 50GiB, 1.5TB, or bytes at line 4 column 41",
        ),
        (
            one("scale: {disk: 0.8}", ""),
            "scale.disk: \"0.8\" is no share; say 80%, more than 0% and at most 100% at line 2 column 15",
        ),
        (
            one("", ", port: 70000"),
            "hosts[0].port: \"70000\" is no port; there are 1 to 65535 at line 4 column 40",
        ),
        (one("", ", port: 0"), "hosts[0].port: \"0\" is no port; there are 1 to 65535"),
        (one("", ", weight: -1"), "hosts[0].weight: \"-1\" is no whole number that fits here"),
        (one("replicas: many", ""), "replicas: \"many\" is no whole number that fits here"),
        (one("replicas: yes", ""), "replicas: \"yes\" is no whole number that fits here"),
        (
            one("replicas: true", ""),
            "replicas: invalid type: boolean `true`, expected a number like 3",
        ),
        (one("scale: {requests: .nan}", ""), "scale.requests: \"NaN\" is no number above 0"),
        (one("scale: {requests: 0}", ""), "scale.requests: \"0\" is no number above 0"),
        (
            one("", ", become: su"),
            "hosts[0].become: unknown variant `su`, expected `none` or `sudo`",
        ),
        (
            one("", ", ssh: {host_keys: off}"),
            "hosts[0].ssh.host_keys: unknown variant `off`, expected `strict` or `accept-new`",
        ),
        (one("", ", name: b"), "hosts[0]: duplicate field `name`"),
        (one("replica: 3", ""), "unknown field `replica`, expected one of"),
        (one("ring: s", ""), "duplicate field `ring`"),
        (
            "ring: r\nhosts:\n  - {name: a}".into(),
            "hosts[0]: missing field `address` at line 3 column 5",
        ),
        ("hosts: []".into(), "missing field `ring`"),
        ("ring: r\nhosts: [".into(), "did not find expected node content"),
        (String::new(), "missing field `ring`"),
    ] {
        let said = refused(&text);
        assert!(said.starts_with(&format!("{head}{want}")), "{said}\nwanted {want}");
        assert!(said.ends_with(". Nothing was changed."), "{said}");
        let top = want.contains(" field `ring`");
        assert!(top || said.contains(" at line "), "{said}");
    }
}

#[test]
fn who_looks_for_a_password_field_is_told_where_secrets_live() {
    let hint = |text: &str| match parse(text) {
        Err(Error::Hinted { hint, .. }) => Some(hint),
        Err(_) => None,
        Ok(fleet) => panic!("{fleet:?}"),
    };
    for field in ["password", "sudo_pass", "Passphrase", "key_data", "api_token", "private_key"] {
        let text = one("", &format!(", ssh: {{{field}: hunter2}}"));
        assert!(
            hint(&text).is_some_and(|h| h.starts_with("no password or key belongs")),
            "{field}"
        );
        assert!(!refused(&text).contains("hunter2"), "{field}");
    }
    assert_eq!(hint(&one("", ", ssh: {prot: 1}")), None);
}

#[test]
fn a_key_that_is_written_down_is_not_repeated() {
    let hex = "c0ffee00".repeat(8);
    for text in [
        one("", ", ssh: {keys: [\"-----BEGIN OPENSSH PRIVATE KEY-----\\nc0ffee00\"]}"),
        one("", ", ssh: {keys: \"-----BEGIN RSA PRIVATE KEY-----\\nc0ffee00\"}"),
        one(&format!("key: {hex}"), ""),
        one(&format!("# {hex}"), ""),
        one(&format!("key: [{hex}]"), ""),
    ] {
        let said = refused(&text);
        assert!(said.starts_with("fleet.yaml: a key is written in it, where none "), "{said}");
        assert!(!said.contains("c0ffee00"), "{said}");
    }
    fleet(&one(&format!("key: {}", &hex[1..]), ""));
}

#[test]
fn what_cannot_be_meant_of_one_host_is_refused() {
    let host = |fields: &str| one("", &format!(", {fields}"));
    says(&[
        (host("weight: 0"), "a: weight 0 is not 1 to 1000"),
        (host("weight: 1001"), "a: weight 1001 is not 1 to 1000"),
        (
            host("listen: 10.0.0.1:0"),
            "a: \"10.0.0.1:0\" is no address and port; say 0.0.0.0:7400, or [::]:7400",
        ),
        (
            host("listen: '::1:7400:x'"),
            "a: \"::1:7400:x\" is no address and port; say 0.0.0.0:7400, or [::]:7400",
        ),
        (host("advertise: 0.0.0.0:1"), "a: advertise 0.0.0.0:1 is no address others can reach"),
        (host("quota: 0"), "a: quota is 0; leave it out for no limit"),
        (
            host("metrics: here:1"),
            "a: metrics \"here:1\" is no address; say 127.0.0.1:9100, or off",
        ),
        (host("zone: 'a b'"), "a: \"a b\" is no name of a zone; say letters and digits"),
        (host("root: opt/kvs"), "a: root \"opt/kvs\" is not absolute; say /… or ~/…"),
        (host("root: ~bob/kvs"), "a: root \"~bob/kvs\" is not absolute; say /… or ~/…"),
        (host("root: /"), "a: root / is the system's; name a directory of its own"),
        (host("root: ~/"), "a: root \"~\" is not absolute; say /… or ~/…"),
        (host("root: //usr/"), "a: root /usr is the system's; name a directory of its own"),
        (host("data: /etc/kvs"), "a: data /etc/kvs is the system's; name a directory of its own"),
        (host("root: /opt/../etc"), "a: root /opt/../etc goes through . or ..; write it straight"),
        (
            host("root: '/opt/k v'"),
            "a: root \"/opt/k v\" has other characters than letters, digits and . _ - + @",
        ),
        (
            host("root: /srv/k, data: /srv/k/releases/x"),
            "a: data /srv/k/releases/x is inside /srv/k/releases, which push clears",
        ),
        (
            host("root: /srv/k, data: /srv"),
            "a: data /srv is the system's; name a directory of its own",
        ),
        (
            host("root: /srv/k/r, data: /srv/k"),
            "a: root /srv/k/r is inside data /srv/k, and would be removed with it",
        ),
        (
            host("root: /srv/k, data: /srv/k"),
            "a: root /srv/k is inside data /srv/k, and would be removed with it",
        ),
        (host("ssh: {user: ''}"), "a: \"\" is no user"),
        (host("ssh: {user: '-oProxyCommand=x'}"), "a: \"-oProxyCommand=x\" is no user"),
        (host("ssh: {connect_timeout: 0}"), "a: ssh.connect_timeout is no time at all"),
        (host("ssh: {command_timeout: 31d}"), "a: ssh.command_timeout is more than 30 days"),
        (
            host("ssh: {host_key: 'MD5:00'}"),
            "a: ssh.host_key \"MD5:00\" is no fingerprint; ssh-keygen -lf prints SHA256:…",
        ),
        (
            host("ssh: {known_hosts: [], host_keys: accept-new}"),
            "a: host_keys: accept-new wants a file of known_hosts to write to",
        ),
        (host("ssh: {keys: ['~bob/k']}"), "a: \"~bob/k\" cannot be told here; write the path out"),
        (
            one("defaults: {ssh: {host_key: x}}", ""),
            "defaults: a host_key is that of one host; say it there",
        ),
    ]);
}

#[test]
fn what_cannot_be_meant_of_a_fleet_is_refused() {
    let top = |top: &str| one(top, "");
    let names = |a: &str, b: &str| {
        format!(
            "ring: r\nhosts: [{{name: {a}, address: 10.0.0.1}}]\nspares: [{{name: {b}, address: 10.0.0.2}}]"
        )
    };
    let ring = |name: &str| one("", "").replace("ring: r", &format!("ring: {name}"));
    let no_ring = "is no name of a ring; one has 1 to 32 of a-z, 0-9, -, and no - first";
    let no_name = "is no name of a host; one has 1 to 63 of letters, digits, . _ -, and begins with a letter or digit";
    says(&[
        (ring("Prod"), &format!("\"Prod\" {no_ring}")),
        (ring("'../x'"), &format!("\"../x\" {no_ring}")),
        (ring(&"a".repeat(33)), &format!("\"{}\" {no_ring}", "a".repeat(33))),
        ("ring: r\nhosts: []".into(), "hosts is empty; a ring has at least one"),
        (
            "ring: r\nspares: [{name: a, address: 10.0.0.1}]".into(),
            "hosts is empty; a ring has at least one",
        ),
        (names("a", "a"), "two hosts are called a"),
        (names("a", "'b,c'"), &format!("\"b,c\" {no_name}")),
        (names("a", ".."), &format!("\"..\" {no_name}")),
        (top("replicas: 0"), "replicas is 0; a record has at least one copy"),
        (top("replicas: 16"), "16 replicas are more than the 15 a ring can have"),
        (top("replicas: 2"), "replicas 2 wants as many hosts, and hosts has 1"),
        (top("partitions: 1000"), "1000 partitions is not a power of two from 8 to 65536"),
        (top("partitions: 131072"), "131072 partitions is not a power of two from 8 to 65536"),
        (top("rollout: {batch: 0}"), "rollout.batch is 0; say how many restart at once"),
        (top("rollout: {uploads: 0}"), "rollout.uploads is 0; say how many at once"),
        (top("rollout: {ready_timeout: 0}"), "rollout.ready_timeout is no time at all"),
        (top("rollout: {pause: 1000d}"), "rollout.pause is more than 30 days"),
        (top("scale: {}"), "scale says no target; say requests, latency, bytes or disk"),
        (top("scale: {min: 0, disk: 80%}"), "scale.min 0 is below replicas, 1"),
        (top("scale: {min: 2, max: 1, disk: 80%}"), "scale.max 1 is below scale.min 2"),
        (
            top("scale: {max: 2, disk: 80%}"),
            "scale.max 2 is more than hosts and spares together, 1",
        ),
        (top("scale: {bytes: 0}"), "scale.bytes is not above 0"),
        (top("scale: {latency: 0}"), "scale.latency is no time at all"),
        (top("scale: {disk: 80%, window: 0}"), "scale.window is no time at all"),
        (
            top("scale: {disk: 80%, shrink_below: 100%}"),
            "scale.shrink_below is not below 100%: it would grow again",
        ),
    ]);
}

#[test]
fn hosts_that_are_in_each_others_way_are_refused() {
    let roots = |a: &str, b: &str| two(&format!(", {a}"), &format!(", port: 7401, {b}"));
    let addresses = |a: &str, b: &str| {
        format!("ring: r\nhosts: [{{name: a, address: {a}}}, {{name: b, address: {b}}}]")
    };
    says(&[
        (
            two("", ""),
            "a and b have one address, 10.0.0.1:7400, for their nodes; give one another port",
        ),
        (
            addresses("10.0.0.12", "n2.example"),
            "a and b have one address, 10.0.0.12:7400, for their nodes; give one another port",
        ),
        (
            two(", listen: 0.0.0.0", ", advertise: 10.0.0.9"),
            "a and b are one host, 10.0.0.1:22, and listen on one port, 7400",
        ),
        (
            roots("root: /k", "root: /k/"),
            "a and b are one host, 10.0.0.1:22, and share /k; give each its own",
        ),
        (
            roots("root: /k, data: /d", "root: /l, data: /d"),
            "a and b are one host, 10.0.0.1:22, and share /d; give each its own",
        ),
        (
            roots("root: /k, data: /d", "root: /d/b"),
            "a and b are one host, 10.0.0.1:22, and what is b's lies in /d",
        ),
        (
            roots("root: /d/a, data: /e", "root: /k, data: /d"),
            "a and b are one host, 10.0.0.1:22, and what is a's lies in /d",
        ),
        (
            addresses("10.0.0.1", "near.example"),
            "b: near.example is loopback here, where no other host reaches it",
        ),
        (
            addresses("six.example, listen: 0.0.0.0", "10.0.0.1"),
            "a: listens on 0.0.0.0:7400, and six.example has no IPv4 address; say advertise",
        ),
        (
            addresses("10.0.0.1", "'n2:2222'"),
            "b: n2:2222 names a port; sshd's is ssh: {port: 2222}, the node's is port",
        ),
        (addresses("10.0.0.1", "bob@n2"), "b: \"bob@n2\" names a user; say ssh: {user: …}"),
        (addresses("10.0.0.1", "10.0.300"), "b: \"10.0.300\" is no name of a host and no address"),
        (
            addresses("10.0.0.1", "'n2;reboot'"),
            "b: \"n2;reboot\" is no name of a host and no address",
        ),
    ]);
    for fine in [
        roots("root: /k", "root: /l"),
        two(", ssh: {port: 1}", ", ssh: {port: 2}, port: 7401"),
        addresses("127.0.0.1", "127.0.0.2"),
    ] {
        fleet(&fine);
    }
}

#[test]
fn all_names_without_an_address_are_named_at_once() {
    let hosts = "[{name: a, address: gone.example}, {name: b, address: 10.0.0.1, listen: lost},
                  {name: c, address: empty.example}, {name: d, address: lost}]";
    says(&[(
        format!("ring: r\nhosts: {hosts}"),
        "no address is known here for empty.example of c (no address); \
         gone.example of a (no such name); lost of b, d (no such name)",
    )]);
}

#[test]
fn nobody_is_guessed_at() {
    let nobody = |text: &str| {
        let fleet = Fleet::parse(text, "f", Path::new(""), &Me::default(), &lookup);
        fleet.map_err(|e| e.to_string())
    };
    let said = nobody(&one("", "")).unwrap_err();
    assert_eq!(
        said,
        "f: a: as whom to log in is not known here; say ssh: {user: …}; nothing was done."
    );
    let said = nobody(&one("", ", ssh: {user: u, keys: [~/k]}")).unwrap_err();
    assert_eq!(said, "f: a: ~/k: HOME is not set here; nothing was done.");
    let fleet = nobody(&one("", ", ssh: {user: root}")).unwrap();
    assert_eq!(fleet.hosts[0].ssh.known_hosts, [PathBuf::from("/etc/ssh/ssh_known_hosts")]);
    assert_eq!(fleet.hosts[0].root, "/opt/kvs");
}

#[test]
fn a_file_is_read_from_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.yaml");
    std::fs::write(&path, one("", "")).unwrap();
    assert_eq!(Fleet::read(&path, &me()).unwrap().key, dir.path().join("r.key"));
    std::fs::write(&path, vec![b'#'; BYTES_MAX as usize + 1]).unwrap();
    let said = Fleet::read(&path, &me()).unwrap_err().to_string();
    assert!(
        said.ends_with("it is longer than 1 MiB, and no inventory; nothing was done."),
        "{said}"
    );
    std::fs::write(&path, b"ring: \xff").unwrap();
    assert!(matches!(Fleet::read(&path, &me()), Err(Error::Io { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Fleet::read(&path, &me()), Err(Error::Io { what: "read", .. })));
}

/// The binary is static: looking names up must not need what only a dynamic one has.
#[test]
fn the_system_is_asked_for_names() {
    let ips = names::system("localhost").unwrap();
    assert!(!ips.is_empty() && ips.iter().all(IpAddr::is_loopback), "{ips:?}");
    assert_eq!(names::system("::1").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
    assert!(names::system("no-such-host.invalid").is_err());
}

fn drafted(hosts: &[&str]) -> Result<String> {
    draft("prod", &hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_draft_says_what_all_have_in_common_once() {
    let lines = |hosts: &[&str]| {
        let text = drafted(hosts).unwrap();
        let lines = text.lines().filter(|l| l.contains("{") && !l.trim_start().starts_with('#'));
        lines.map(|l| l.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&["deploy@10.0.0.1:2222", "deploy@10.0.0.2:2222"]),
        [
            "ssh: {user: deploy, port: 2222}",
            "- {name: n1, address: 10.0.0.1}",
            "- {name: n2, address: 10.0.0.2}"
        ]
    );
    assert_eq!(
        lines(&["bob@n1", "n2.example:22", "root@[::1]:22", "a@b.c@true"]),
        [
            "- {name: n1, address: n1, ssh: {user: bob}}",
            "- {name: n2, address: n2.example, ssh: {port: 22}}",
            "- {name: n3, address: \"::1\", ssh: {user: root, port: 22}}",
            "- {name: n4, address: \"true\", ssh: {user: \"a@b.c\"}}",
        ]
    );
    assert_eq!(
        lines(&["127.0.0.1:2201", "127.0.0.1:2202"]),
        [
            "- {name: n1, address: 127.0.0.1, ssh: {port: 2201}}",
            "- {name: n2, address: 127.0.0.1, ssh: {port: 2202}, port: 7401}"
        ]
    );
}

#[test]
fn a_host_that_cannot_be_read_has_no_draft() {
    for host in ["", "@n1", "n1:", "n1:0", "n1:99999", "::1:x", "a b", "-oX=y@n1", "-n1", "n1,n2"] {
        assert!(matches!(drafted(&[host]), Err(Error::Usage(_))), "{host:?}");
    }
    let said = drafted(&["n1", "n2", "bob@n1"]).unwrap_err().to_string();
    assert_eq!(said, "bob@n1 is named twice; nothing was printed.");
    assert!(matches!(draft("Prod", &["n1".into()]), Err(Error::Usage(_))));
    assert!(matches!(draft("prod", &[]), Err(Error::Usage(_))));
}

#[test]
fn what_a_draft_proposes_can_be_taken() {
    let text = drafted(&["10.0.0.1", "10.0.0.2"]).unwrap();
    let bare = |line: &str| {
        let field = |word: &str| word.ends_with(':') && !word.starts_with("next");
        let inner = line.trim_start().strip_prefix("# ");
        let inner =
            inner.filter(|l| l.starts_with("  - ") || l.split(' ').next().is_some_and(field));
        inner.map_or(line.to_owned(), |inner| match line.starts_with(' ') {
            true => format!("  {inner}"),
            false => inner.to_owned(),
        })
    };
    let all: Vec<_> = text.lines().map(bare).collect();
    let fleet = fleet(&all.join("\n"));
    assert_eq!((fleet.spares.len(), fleet.scale.map(|s| (s.min, s.max))), (1, Some((2, 3))));
    let n1 = &fleet.hosts[0];
    assert_eq!((n1.root.as_str(), n1.data.as_str()), ("/opt/kvs", "/var/lib/kvs"));
    assert_eq!((n1.ssh.user.as_str(), n1.become_root), ("deploy", Become::Sudo));
}

/// The manual page of the inventory.
const PAGE: &str = include_str!("../../../man/kvs-fleet.5");

/// The inventory in the section or example of the page with this title.
fn of_page(title: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("{title}\n.nf\n")).expect(title);
    let (text, _) = rest.split_once("\n.fi").unwrap();
    text.replace("\\-", "-")
}

#[test]
fn the_page_names_every_field_and_no_other() {
    let fields = |text: &str| {
        let said = refused(text);
        let (_, list) = said.split_once("expected one of ").unwrap();
        let (list, _) = list.split_once(" at line").unwrap_or((list, ""));
        let list = list.split(", ").map(|name| name.trim_matches(['`', '.', ' ']).to_owned());
        list.map(|name| name.split('`').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let tops = ["", "defaults: ", "rollout: ", "scale: ", "defaults: {ssh: "];
    let mut all = vec![];
    for top in tops {
        let close = if top.contains('{') { "}" } else { "" };
        let section = if top.is_empty() { "x: 1".into() } else { format!("{top}{{x: 1}}{close}") };
        all.extend(fields(&one(&section, "")));
    }
    all.extend(fields(&one("", ", x: 1")));
    let (_, section) = PAGE.split_once(".SH FIELDS\n").unwrap();
    let (section, _) = section.split_once(".SH SECRETS\n").unwrap();
    let marks = [".TP\n.I ", ".TP\n.IR "];
    let mut named: Vec<_> = marks
        .iter()
        .flat_map(|mark| section.split(mark).skip(1))
        .flat_map(|rest| rest.lines().next().unwrap().split(['"', ',', ' ']))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    // Those that are titles of subsections.
    named.extend(["defaults", "rollout", "scale"].map(str::to_owned));
    for list in [&mut all, &mut named] {
        list.sort();
        list.dedup();
    }
    assert_eq!(all, named);
}

#[test]
fn the_pages_inventories_can_be_read() {
    let any = |name: &str| Ok(vec![name.parse().unwrap_or(IpAddr::from([10, 9, 9, 9]))]);
    let read = |text: &str| {
        let fleet = Fleet::parse(text, "page", Path::new("/inv"), &me(), &any);
        fleet.unwrap_or_else(|e| panic!("{e}\n{text}"))
    };
    assert_eq!(read(&of_page(".SH SYNOPSIS")).spares.len(), 1);
    for title in ["Behind addresses that are translated", "Without root, on one machine"] {
        assert_eq!(read(&format!("ring: r\n{}", of_page(title))).hosts.len(), 2);
    }
    let other = read(&format!("ring: r\nhosts:\n{}", of_page("Hosts of another kind")));
    assert_eq!(other.hosts[0].binary, Some("/inv/build/aarch64/kvs".into()));

    let bare = "ring: prod\nscale: {disk: 80%}\nhosts: [{name: n1, address: 10.0.0.11},
        {name: n2, address: 10.0.0.12}, {name: n3, address: 10.0.0.13}]";
    let [mut said, mut meant] =
        [of_page("All that is so unless said"), bare.into()].map(|t| read(&t));
    for host in said.hosts.iter_mut().chain(&mut meant.hosts) {
        // Only those that are there.
        host.ssh.keys.clear();
    }
    assert_eq!(format!("{said:#?}"), format!("{meant:#?}"));
}

proptest! {
    /// Whatever becomes of an inventory, it is read or refused; no byte of it is obeyed or feared.
    #[test]
    fn a_mutilated_inventory_is_read_or_refused(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, "[ -~\n\té☃]{0,6}"), 1..6)
    ) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, length, fresh) in cuts {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, fresh.chars());
        }
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(fleet) => prop_assert!(!fleet.hosts.is_empty()),
            Err(error) => prop_assert!(matches!(error.root(), Error::Usage(_))),
        }
    }

    #[test]
    fn a_draft_is_an_inventory(
        hosts in prop::collection::vec(
            (
                "([a-zA-Z0-9._\\\\é'\"#:{-]{1,8}(@x)?@)?",
                0..4usize,
                any::<u32>(),
                "[a-z0-9.-]{1,9}",
                any::<Option<u16>>(),
            ),
            1..6,
        )
    ) {
        let hosts: Vec<_> = hosts.into_iter().map(|(user, kind, ip, name, port)| {
            let ip = std::net::Ipv4Addr::from(ip | 1);
            let host = match kind {
                0 | 1 => ip.to_string(),
                2 => format!("[{}]", ip.to_ipv6_mapped()),
                _ => name,
            };
            format!("{user}{host}{}", port.map_or(String::new(), |p| format!(":{p}")))
        }).collect();
        if let Ok(text) = draft("prod", &hosts) {
            let any = |name: &str| Ok(vec![name.parse().unwrap_or_else(|_| {
                // Each name an address of its own.
                let sum = name.bytes().fold(7u32, |sum, b| sum.wrapping_mul(31) + u32::from(b));
                IpAddr::from(std::net::Ipv4Addr::from(0x0b00_0000 | sum & 0xff_ffff))
            })]);
            let fleet = Fleet::parse(&text, "draft", Path::new(""), &me(), &any);
            match fleet {
                Ok(fleet) => prop_assert_eq!(fleet.hosts.len(), hosts.len()),
                // Addresses a draft cannot judge: loopback beside others, 0.0.0.0.
                Err(error) => prop_assert!(
                    [" is loopback ", " is no address others "].iter().any(|w| error.to_string().contains(w)),
                    "{error}\n{text}"
                ),
            }
        }
    }
}
