//! Inventories to begin with.

use proptest::prelude::*;

use super::*;

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
            "- {name: n2, address: 127.0.0.1, ssh: {port: 2202}, port: 7401, \
             root: ~/kvs-n2, data: ~/kvs-n2/data}"
        ]
    );
    assert_eq!(
        lines(&["root@n1", "root@N1.:2202", "root@n1:2203"])[2..],
        [
            "- {name: n2, address: N1., ssh: {port: 2202}, port: 7401, \
             root: /opt/kvs-n2, data: /opt/kvs-n2/data}",
            "- {name: n3, address: n1, ssh: {port: 2203}, port: 7402, \
             root: /opt/kvs-n3, data: /opt/kvs-n3/data}"
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
    // One sshd, however it is written.
    for (one, other) in [
        ("127.0.0.1", "127.0.0.1:22"),
        ("127.0.0.1:22", "bob@127.0.0.1"),
        ("[::1]:22", "[0:0::1]"),
        ("n2.example", "N2.example.:22"),
    ] {
        let said = drafted(&[one, other]).unwrap_err().to_string();
        assert_eq!(said, format!("{other} is named twice; nothing was printed."));
    }
    assert!(matches!(draft("Prod", &["n1".into()]), Err(Error::Usage(_))));
    assert!(matches!(draft("prod", &[]), Err(Error::Usage(_))));
}

/// Whether two sshds of one address share a disk is not known: nothing of their nodes is one.
#[test]
fn a_draft_of_hosts_that_share_an_address_can_be_taken() {
    for hosts in [
        &["127.0.0.1", "127.0.0.1:2202"][..],
        &["127.0.0.1:22", "root@127.0.0.1:2202", "ann@127.0.0.1:2203"],
        &["root@10.0.0.1", "root@10.0.0.1:23", "root@10.0.0.1:24"],
        &["n2.example:1", "N2.example:2", "n2.example.:3"],
        &["[::1]:1", "bob@[0::1]:2"],
    ] {
        let text = drafted(hosts).unwrap();
        let any = |name: &str| lookup(&name.trim_end_matches('.').to_lowercase());
        // Also with what it proposes for all.
        let places = text.replace("# root:", "root:").replace("# data:", "data:");
        for text in [text, places] {
            let fleet = Fleet::parse(&text, "draft", Path::new(""), &me(), &any);
            let fleet = fleet.unwrap_or_else(|e| panic!("{e}\n{text}"));
            let own = |what: fn(&Host) -> String| {
                let all: std::collections::BTreeSet<_> = fleet.hosts.iter().map(what).collect();
                assert_eq!(all.len(), hosts.len(), "{all:?}\n{text}");
            };
            own(|host| host.listen.to_string());
            own(|host| host.root.clone());
            own(|host| host.data.clone());
        }
    }
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

proptest! {
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
