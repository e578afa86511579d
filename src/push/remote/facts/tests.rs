//! What is said, read; what is missing or makes no sense.

use super::*;
use crate::push::remote::tests::host;

const SAID: &str = "Welcome to Debian!
kvs-fact now=1000
kvs-fact os=Linux
kvs-fact machine=x86_64
kvs-fact user=deploy
kvs-fact uid=1000
kvs-fact root=/opt/k v=s
kvs-fact data=/opt/k v=s/data
kvs-fact root_free=5
kvs-fact data_free=6
kvs-fact lacks=setsid
kvs-fact lacks=mv -T
kvs-fact a_newer_key=1
kvs-fact release=0123456789abcdef kvs 0.1.0 (abc)
kvs-fact release=nonsense
kvs-fact node=1
kvs-fact node_yaml=name: n1
kvs-fact node_yaml=
kvs-fact node_yaml=# kvs-fact end=2
kvs-fact mark=background /opt/k v=s/data
kvs-fact end=1
";

fn read(said: &str) -> Option<Facts> {
    parse(said, &host(), "prod", (999_000, 1_001_000))
}

#[test]
fn what_is_said_is_read() {
    let facts = read(SAID).expect("facts");
    assert_eq!((facts.root.as_str(), facts.skew_ms), ("/opt/k v=s", 500));
    assert_eq!((facts.root_free, facts.data_free), (5, 6));
    assert_eq!(facts.lacks, ["setsid", "mv -T"]);
    assert_eq!(facts.releases, [("0123456789abcdef".into(), "kvs 0.1.0 (abc)".into())]);
    assert_eq!(facts.node_yaml.as_deref(), Some("name: n1\n\n# kvs-fact end=2\n"));
    assert_eq!((facts.service, facts.service_as_wanted), (Service::Stopped, true));
    assert_eq!((facts.owner.as_str(), facts.is_root), ("deploy", false));
    let theirs = read(&SAID.replace("now=1000", "now=87400")).expect("facts");
    assert_eq!(theirs.skew_ms, 86_400_500, "a day ahead");
}

#[test]
fn what_is_cut_off_is_not_believed() {
    let lines: Vec<_> = SAID.lines().collect();
    for end in 0..lines.len() {
        assert_eq!(read(&lines[..end].join("\n")), None);
    }
    for key in ["now", "os", "machine", "user", "uid", "root", "data", "root_free", "data_free"] {
        let line = format!("kvs-fact {key}=");
        let without = SAID.lines().filter(|said| !said.starts_with(&line));
        assert_eq!(read(&without.collect::<Vec<_>>().join("\n")), None, "{key}");
    }
    assert_eq!(read(&SAID.replace("root_free=5", "root_free=-")), None);
}

#[test]
fn what_keeps_it_is_what_its_mark_says() {
    let unit = unit::text("prod", "n1", &read(SAID).expect("facts"));
    let lines: String = unit.lines().map(|line| format!("kvs-fact unit={line}\n")).collect();
    let with = |more: &str| format!("kvs-fact systemd=1\n{more}{SAID}");
    let mut host = host();
    let mut see = |service, said: &str| {
        host.service = service;
        let facts = parse(said, &host, "prod", (0, 0)).expect("facts");
        (facts.kind.expect("a kind"), facts.service, facts.service_as_wanted)
    };
    use ServiceKind::{Auto, Background, Systemd};
    assert_eq!(see(Auto, SAID), (Background, Service::Stopped, true));
    assert_eq!(see(Auto, &with("")), (Background, Service::Stopped, true), "not root");
    let root = with("").replace("uid=1000", "uid=0");
    assert_eq!(see(Auto, &root), (Background, Service::Stopped, false));
    let none = root.replace("kvs-fact mark=", "kvs-fact no_mark=");
    assert_eq!(see(Auto, &none), (Systemd, Service::None, false));
    let marked = with(&lines).replace("mark=background /opt/k v=s/data", "mark=systemd");
    assert_eq!(see(Systemd, &marked), (Systemd, Service::Stopped, false), "not enabled");
    let marked = format!("kvs-fact enabled=1\nkvs-fact unit_runs=7\n{marked}");
    assert_eq!(see(Systemd, &marked), (Systemd, Service::Running(7), true));
    let other = marked.replace("LimitNOFILE=65536", "LimitNOFILE=1024");
    assert_eq!(see(Systemd, &other), (Systemd, Service::Running(7), false));
    assert_eq!(see(Background, &marked), (Systemd, Service::Running(7), false));
    let restarting = marked.replace("unit_runs=7", "unit_runs=0");
    assert_eq!(see(Systemd, &restarting), (Systemd, Service::Stopped, true));
}

#[test]
fn listeners_are_looked_for_as_the_kernel_shows_them() {
    let told = |listen: &str| in_the_way(listen.parse().expect("an address"));
    let (port, at) = told("127.0.0.1:7101");
    assert_eq!(port, "1BBD");
    assert!(at.starts_with("0100007F 00000000 "), "{at}");
    assert!(at.ends_with(" 0000000000000000FFFF00000100007F"), "{at}");
    assert_eq!(told("0.0.0.0:80"), ("0050".into(), "*".into()));
    assert_eq!(told("[::]:80").1, "*");
    assert!(told("[::1]:80").1.starts_with("00000000000000000000000001000000 "));
}
