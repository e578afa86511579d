//! A ring of two builds: one node speaks only the wire version before this one's.
//!
//! It is the same program, told to speak no higher: it takes no message of a later version, and none
//! that says what the earlier one has no word for.

use crate::support::served::{Served, ring};
use crate::support::shell::skip;

#[test]
fn nodes_of_two_builds_make_one_ring() {
    let place = ring();
    if !cfg!(feature = "planted") {
        return skip("a ring of two builds: it takes the feature planted");
    }
    let others = ["n1", "n3"].map(|name| Served::node(&place, name));
    let old = Served::node_under(&place, "n2", "env KVS_PLANTED_WIRE=1");
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    for i in 0..20 {
        place.kvs(&format!("put -q --strict -w 3 k{i} v{i}")).ends(0);
        place.kvs(&format!("get -q --strict -r 3 k{i}")).ends(0).prints(&format!("v{i}"));
    }
    old.stops(0);
    place.kvs("put -q while-it-is-down v").ends(0);
    place.kvs("delete -q k1").ends(0);
    let old = Served::node_under(&place, "n2", "env KVS_PLANTED_WIRE=1");
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.kvs("repair -q").ends(0);
    place.kvs("wait --in-sync --timeout 20s").ends(0);
    place.kvs("get -q --strict -r 3 while-it-is-down").ends(0).prints("v");
    for node in others.iter().chain([&old]) {
        assert!(!node.err().contains("wire version"), "{}", node.err());
    }
    old.stops(0);
    others.into_iter().for_each(|node| node.stops(0));
    place.is_sound_and_equal();
}

/// A client of the version before is served by a node of this one, and the other way round.
#[test]
fn clients_of_two_builds_are_served() {
    let place = ring();
    if !cfg!(feature = "planted") {
        return skip("clients of two builds: it takes the feature planted");
    }
    let nodes = ["n1", "n2", "n3"].map(|name| {
        Served::node_under(
            &place,
            name,
            match name {
                "n3" => "env KVS_PLANTED_WIRE=1",
                _ => "",
            },
        )
    });
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.sh("KVS_PLANTED_WIRE=1 kvs put -q a 1").ends(0);
    place.kvs("get -q a").ends(0).prints("1");
    place.sh("KVS_PLANTED_WIRE=1 kvs status --check").ends(0);
    nodes.into_iter().for_each(|node| node.stops(0));
}
