//! Inventories that are read: defaults, addresses, files.

use proptest::prelude::*;

use super::*;

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
}
