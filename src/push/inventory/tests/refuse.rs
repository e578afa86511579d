//! Inventories that are refused, and in which words.

use super::*;

#[test]
fn what_is_no_inventory_is_refused_with_its_place() {
    let head = "fleet.yaml is invalid: ";
    for (text, want) in [
        (one("", ", prot: 1"), "hosts[0]: unknown field `prot`, expected one of"),
        (
            one("defaults: {ssh: {usr: x}}", ""),
            "defaults.ssh: unknown field `usr`, expected one of",
        ),
        (
            one("rollout: {pause: soon}", ""),
            "rollout.pause: expected number at 0; use 5s, 90s, 1m or 1h 30m at line 2 column 18",
        ),
        (
            one("", ", quota: 50G"),
            "hosts[0].quota: \"50G\" is not a size; use 512MiB, 50GiB, 1.5TB, or bytes at line 4 \
             column 41",
        ),
        (
            one("scale: {disk: 0.8}", ""),
            "scale.disk: \"0.8\" is not a share; use a percentage, more than 0% and at most 100% \
             at line 2 column 15",
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
        one(&format!("key: '{hex}'"), ""),
        one(&format!("key: {hex}{hex}"), ""),
        one("", &format!(", metrics: {hex}")),
        one("", &format!(", ssh: {{keys: [\"{hex}\\n\"]}}")),
    ] {
        let said = refused(&text);
        assert!(said.starts_with("fleet.yaml: a key is written in it, where none "), "{said}");
        assert!(!said.contains("c0ffee00"), "{said}");
    }
    fleet(&one(&format!("key: {}", &hex[1..]), ""));
    // Checksums in paths are none.
    for path in ["/cas/HEX/kvs", "./kvs-HEX", "/cas/HEX", "'~/HEX.d/kvs'"] {
        fleet(&one("", &format!(", binary: {}", path.replace("HEX", &hex))));
    }
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
        (names("a", "ring.key"), "\"ring.key\" is no name of a host; files of kvs are called so"),
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
