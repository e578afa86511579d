//! What is to be done, situation by situation.
//!
//! ```text
//! here       one host: its line, and why it is refused
//! look       facts of a fleet as text
//! scripts    testdata/push-plan: the phases of a whole fleet
//! resume     the same situations: a push that is killed is resumed by planning again
//! ```

mod look;
mod resume;
#[cfg(test)] // it reads UPDATE from the environment, which only tests may
mod scripts;

use std::net::SocketAddr;
use std::time::Duration;

use super::judge::host_plan;
use super::*;
use crate::config;
use crate::push::inventory::{Become, HostKeys, ServiceKind, SshRules};
use crate::push::remote::{Facts, Init, Service};
use crate::ring::{Member, MemberState};

const NEW: &str = "aaaaaaaaaaaaaaaa";
const OLD: &str = "bbbbbbbbbbbbbbbb";

fn host() -> Host {
    let at: SocketAddr = "10.0.0.11:22".parse().unwrap();
    Host {
        name: "n1".into(),
        address: "10.0.0.11".into(),
        ssh: SshRules {
            at: vec![at],
            port: 22,
            user: "deploy".into(),
            keys: Vec::new(),
            agent: false,
            known_hosts: Vec::new(),
            host_keys: HostKeys::Strict,
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_secs(1),
        },
        zone: "a".into(),
        weight: 1,
        listen: "10.0.0.11:7400".parse().unwrap(),
        advertise: None,
        metrics: None,
        quota_bytes: None,
        root: "/opt/kvs".into(),
        data: "/opt/kvs/data".into(),
        binary: None,
        become_root: Become::None,
        service: ServiceKind::Auto,
    }
}

fn release() -> Release {
    Release {
        id: NEW.into(),
        sha256: "aa".repeat(32),
        file: "kvs".into(),
        bytes: 10 << 20,
        machine: "x86_64".into(),
        dynamic: false,
    }
}

/// A host with nothing on it.
fn bare() -> Facts {
    Facts {
        os: "Linux".into(),
        machine: "x86_64".into(),
        user: "deploy".into(),
        init: Init::Other,
        root: "/opt/kvs".into(),
        data: "/opt/kvs/data".into(),
        root_free: 1 << 40,
        data_free: 1 << 40,
        kind: Some(ServiceKind::Background),
        ..Facts::default()
    }
}

/// A host whose node runs as it should.
fn well() -> Facts {
    Facts {
        current: Some(NEW.into()),
        releases: vec![(NEW.into(), "kvs 0.1.0".into())],
        service: Service::Running(7),
        service_as_wanted: true,
        node_yaml: Some(config::text(&wanted(&host())).unwrap()),
        ring_keys: vec!["key".into()],
        ..bare()
    }
}

fn member(weight: u32) -> Membership {
    Membership::Member(Member {
        id: crate::ring::NodeId(1),
        name: "n1".into(),
        zone: "a".into(),
        weight,
        state: MemberState::Normal,
        public_key: [0; 32],
    })
}

fn words(facts: &Facts, membership: &Membership) -> String {
    words_of(facts, membership, true)
}

/// Of one whose member answers, or does not.
fn words_of(facts: &Facts, membership: &Membership, up: bool) -> String {
    plan_of(facts, &release(), &["key".into()], membership, up).words()
}

fn plan_of(
    facts: &Facts,
    release: &Release,
    keys: &[String],
    membership: &Membership,
    up: bool,
) -> HostPlan {
    host_plan(&HostFacts { host: &host(), facts, membership, up }, release, keys)
}

#[test]
fn what_is_missing_is_done_and_nothing_else() {
    let old = |service| Facts {
        current: Some(OLD.into()),
        releases: vec![(OLD.into(), "kvs 0.0.9".into())],
        service,
        ..well()
    };
    let brought = Facts {
        releases: vec![(NEW.into(), "kvs 0.1.0".into()), (OLD.into(), String::new())],
        ..old(Service::Running(7))
    };
    let yaml = |from: &str, to: &str| Facts {
        node_yaml: well().node_yaml.map(|text| text.replace(from, to)),
        ..well()
    };
    let upload = "upload aaaaaaaa (10.0 MiB)";
    for (facts, membership, would) in [
        (well(), member(1), "nothing".to_owned()),
        (
            bare(),
            Membership::NoRing,
            format!("{upload}, found the ring, set up a background process, use aaaaaaaa, start"),
        ),
        (
            bare(),
            Membership::Outside,
            format!("{upload}, join the ring, set up a background process, use aaaaaaaa, start"),
        ),
        (
            old(Service::Running(7)),
            member(1),
            format!("{upload}, switch bbbbbbbb -> aaaaaaaa, restart"),
        ),
        (old(Service::Stopped), member(1), format!("{upload}, switch bbbbbbbb -> aaaaaaaa, start")),
        (brought, member(1), "switch bbbbbbbb -> aaaaaaaa, restart".into()),
        (Facts { service: Service::Stopped, ..well() }, member(1), "start".into()),
        (yaml("7400", "7401"), member(1), "configure listen, restart".into()),
        (well(), member(3), "weight 3 -> 1".into()),
        (
            Facts { service_as_wanted: false, ..well() },
            member(1),
            "set up a background process, restart".into(),
        ),
    ] {
        assert_eq!(words(&facts, &membership), would);
    }
}

#[test]
fn a_host_that_is_not_fit_is_refused_with_a_reason() {
    let told = |change: fn(&mut Facts)| {
        let mut facts = well();
        change(&mut facts);
        words(&facts, &member(1))
    };
    for (change, why) in [
        (told(|f| f.os = "Darwin".into()), "it runs Darwin, not Linux"),
        (told(|f| f.machine = "aarch64".into()), "it is aarch64 and the binary is for x86_64"),
        (told(|f| f.lacks = vec!["sha256sum".into()]), "it has no sha256sum"),
        (told(|f| f.skew_ms = -86_400_000), "its clock is 24 hours off"),
        (told(|f| f.read_only = Some("/opt".into())), "deploy may not write to /opt"),
        (told(|f| f.noexec = true), "/opt/kvs is on a file system mounted noexec"),
        (
            told(|f| {
                f.releases.clear();
                f.root_free = 1 << 20;
            }),
            "/opt/kvs has 1.0 MiB free, 84.0 MiB are needed",
        ),
        (told(|f| f.port_taken = true), "something else listens at 10.0.0.11:7400"),
        (told(|f| f.data_foreign = true), "/opt/kvs/data is not empty and no node's directory"),
        (
            told(|f| f.ring_keys = vec!["another".into()]),
            "/opt/kvs/data belongs to another ring: its key is not ours",
        ),
        (
            told(|f| f.node_yaml = f.node_yaml.as_ref().map(|t| t.replace("n1", "n9"))),
            "/opt/kvs/data is the node n9",
        ),
    ] {
        assert!(change.starts_with(&format!("refused: {why}")), "{change}\n{why}");
    }
    let keyless = plan_of(&well(), &release(), &[], &member(1), true);
    assert!(keyless.words().contains("the ring's key file is not here"), "{}", keyless.words());
}

/// A name in the ring whose directory is gone cannot be made anew under the same name by accident.
#[test]
fn a_member_whose_directory_is_gone_is_refused() {
    let facts = Facts { node_yaml: None, service: Service::Stopped, ..well() };
    let would = words_of(&facts, &member(1), false);
    assert!(would.contains("kvs push apply --replace n1"), "{would}");
    // It runs somewhere else: whoever replaced it would stop it.
    let would = words(&facts, &member(1));
    assert_eq!(
        would,
        "refused: n1 runs, and /opt/kvs/data is not its directory: root: or data: is not as it was"
    );
}

/// A node that runs is not yet one that is well.
#[test]
fn what_was_not_seen_to_be_well_is_looked_at() {
    let proves = "see it up, in sync and equal";
    assert_eq!(words_of(&well(), &member(1), false), proves);
    let proving = Facts { proving: true, ..well() };
    assert_eq!(words(&proving, &member(1)), proves);
    // A turn proves it by itself.
    let old = Facts { current: Some(OLD.into()), ..proving };
    assert_eq!(words(&old, &member(1)), "switch bbbbbbbb -> aaaaaaaa, restart");
}

#[test]
fn what_a_person_should_know_is_a_warning() {
    let facts = Facts { skew_ms: 90_000, ..well() };
    let dynamic = Release { dynamic: true, ..release() };
    let plan = plan_of(&facts, &dynamic, &["key".into()], &member(1), true);
    assert!(plan.is_empty());
    assert_eq!(
        plan.verdict.warnings,
        [
            "its clock is 90 s ahead of ours: set it",
            "aaaaaaaa needs the C library of the host: push a static binary"
        ]
    );
}

#[test]
fn bytes_are_read_by_people() {
    for (bytes, text) in
        [(5, "5 B"), (2_048, "2.0 KiB"), (9_856_012, "9.4 MiB"), (3 << 40, "3.0 TiB")]
    {
        assert_eq!(size(bytes), text);
    }
}

#[test]
fn a_lost_member_gives_its_place_to_a_new_node() {
    let Membership::Member(lost) = member(1) else { unreachable!() };
    let lost = Membership::Lost(lost);
    // Also when the new one was made already, before somebody pulled the plug.
    for facts in [bare(), Facts { service: Service::Stopped, ..well() }] {
        let would = words_of(&facts, &lost, false);
        assert!(would.contains("take the lost member's place"), "{would}");
    }
    assert_eq!(words(&bare(), &lost), "refused: n1 is not lost: it answers");
}
