//! Nodes whose directories were made apart, as on hosts of their own: run as one ring, joined by
//! addresses alone.
//!
//! ```text
//! kvs node make r/n1 --identity   x3 -> a first document of the ring names the three
//! kvs node make r/n1 < birth      x3 -> kvs node run r/n1 …
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use kvs::cluster::{Access, Cluster, Opening};
use kvs::config::{NodeConfig, create_key};
use kvs::key::Q;
use kvs::node_dir::Provision;
use kvs::ring::{Change, ChangeStep, Member, MemberState, NodeId, RingDoc, RingId};

use crate::support::served::{Served, ports};
use crate::support::shell::Place;

const KEY: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(20);

/// A place with the key of a ring and nothing else of it.
fn place() -> Place {
    let place = Place::new();
    place.sh("mkdir r").ends(0);
    create_key(&place.path("r/ring.key"), &[KEY]).expect("a key");
    place
}

/// The member that a directory will be, with its key made there.
fn member(place: &Place, name: &str, state: MemberState) -> Member {
    let line = format!("node make r/{name} --identity");
    let told = place.kvs(&line).ends(0).text();
    let again = place.kvs(&line).ends(0).text();
    assert_eq!(told, again);
    let hash = told.trim_end().parse::<blake3::Hash>().expect("64 digits");
    let public_key = *hash.as_bytes();
    let (id, name) = (NodeId::of_key(&public_key), name.to_owned());
    Member { id, name, zone: "a".into(), weight: 1, state, public_key }
}

struct Ring {
    doc: RingDoc,
    addresses: BTreeMap<NodeId, String>,
}

impl Ring {
    fn found(place: &Place) -> Self {
        let members: Vec<_> =
            ["n1", "n2", "n3"].map(|name| member(place, name, MemberState::Normal)).into();
        let base = ports();
        let at = |(i, m): (u16, &Member)| (m.id, format!("127.0.0.1:{}", base + i));
        let addresses = (0..).zip(&members).map(at).collect();
        let q = Q::new(16).expect("a power of two");
        let doc = RingDoc::first(RingId(77), q, 3, members).expect("a ring");
        Self { doc, addresses }
    }

    /// Has a directory made, as the birth goes to a host: by standard input.
    fn make(&self, place: &Place, member: &Member, address: &str, founder: bool) {
        let node = NodeConfig {
            name: member.name.clone(),
            listen: Some(address.to_owned()),
            advertise: None,
            metrics: Some("off".into()),
            quota_bytes: None,
        };
        let birth = Provision::new(node, &[KEY], &self.doc, &self.addresses, founder);
        let name = &member.name;
        place.write("birth", birth.text().expect("a text"));
        let line = format!("kvs node make r/{name} < birth");
        place.sh(&line).ends(0).says(&format!("kvs node run r/{name}")).prints("");
        place.sh(&line).ends(0).says("already");
    }

    fn open(&self, place: &Place) -> Cluster {
        let opening = Opening {
            specs: self.addresses.values().cloned().collect(),
            access: Access::Write,
            timeout: PATIENCE,
            down: Vec::new(),
            lost: None,
            key_file: Some(place.path("r/ring.key")),
            mixed: false,
            zone: None,
            purpose: "kvs-test".into(),
        };
        Cluster::open(&opening).expect("a ring that runs")
    }
}

#[test]
fn directories_made_apart_are_one_ring_and_take_in_another() {
    let place = place();
    let ring = Ring::found(&place);
    for member in &ring.doc.members {
        ring.make(&place, member, &ring.addresses[&member.id], true);
    }
    let _nodes = ["n1", "n2", "n3"].map(|name| Served::node(&place, name));
    place.kvs("put -q -w 3 k v").ends(0);
    place.kvs("get --strict k").ends(0).prints("v");
    place.sh("kvs node make r/n1 < birth").ends(10).says("is the node n1"); // the birth of n3

    let n4 = member(&place, "n4", MemberState::Joining);
    let address = format!("127.0.0.1:{}", ports());
    ring.make(&place, &n4, &address, false);
    let mut target = ring.open(&place);
    let node = Served::node(&place, "n4");
    target.await_node(&address, n4.id, PATIENCE).expect("a node that runs");
    target.propose(&target.doc().plan_of(vec![Change::Join(n4.clone())])).expect("a change");
    target.advance().expect("its end");
    let doc = target.doc();
    assert_eq!(
        (doc.step, doc.member(n4.id).map(|m| m.state)),
        (ChangeStep::Settled, Some(MemberState::Normal))
    );
    assert!(!doc.owned(n4.id).is_empty());
    place.kvs("get --strict k").ends(0).prints("v");
    place.kvs("wait --in-sync --timeout 60s").ends(0);
    place.sh("kvs node make r/n4 < birth").ends(0).says("already");
    node.stops(0);
}

#[test]
fn a_node_that_does_not_come_is_waited_for_no_longer_than_said() {
    let place = place();
    let ring = Ring::found(&place);
    for member in &ring.doc.members {
        ring.make(&place, member, &ring.addresses[&member.id], true);
    }
    let _nodes = ["n1", "n2", "n3"].map(|name| Served::node(&place, name));
    let target = ring.open(&place);
    let address = format!("127.0.0.1:{}", ports());
    let soon = Duration::from_millis(200);
    let error = target.await_node(&address, NodeId(9), soon).expect_err("nobody is there");
    assert!(error.to_string().contains(&address), "{error}");
    let other = ring.addresses.values().next().expect("an address");
    let error = target.await_node(other, NodeId(9), soon).expect_err("another is there");
    assert!(error.to_string().contains("another node"), "{error}");
}

#[test]
fn a_birth_that_is_none_is_refused_and_nothing_is_made() {
    let place = place();
    place.kvs("node make r/n1 --identity").ends(0);
    for text in ["", "no: birth", "ring_keys: [zz]"] {
        place.write("birth", text);
        place.sh("kvs node make r/n1 < birth").ends(2).says("description");
    }
    place.sh("head -c 17000000 /dev/zero | tr '\\0' x | kvs node make r/n1").ends(2).says("16 MiB");
    place.sh("ls -A r | tr '\\n' ' '").ends(0).prints("n1.key ring.key ");
}
