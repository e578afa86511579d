//! Links that break in the wrong moment: members that were frozen while the ring went on without them.

use crate::guests::address;
use crate::served::{Served, ring};
use crate::shell::wait_for;

/// It thaws into dials that were begun when it was a member still. It must learn that it is none, from
/// whoever it meets first, and end: what it acknowledges alone nobody else will ever hold.
#[test]
fn a_member_that_was_replaced_while_it_was_frozen_ends_when_it_thaws() {
    let place = ring();
    let (n1, n3) = (Served::node(&place, "n1"), Served::node(&place, "n3"));
    let old = Served::node(&place, "n2");
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.kvs("put -q k v -w 3").ends(0);
    let zombie = address(&place, "n2");
    let ring = ["n1", "n3"].map(|name| address(&place, name)).join(",");
    let live = format!("--ring {ring} --key-file r/ring.key");
    old.signal("STOP");
    place.kvs(&format!("wait --node-down n2 {live} --timeout 60s")).ends(0);
    let line = format!("replace n2 --yes --dir s/n2 --timeout 60s {live}");
    let replace = Served::start(&place, "replace", &line);
    wait_for("a new directory", || place.path("s/n2/data.mdb").exists() || replace.has_ended());
    let new = Served::start(&place, "new", "node run s/n2 --listen 127.0.0.1:0");
    assert_eq!(replace.end(), 0, "{}", replace.err());
    old.signal("CONT");
    assert_eq!(old.end(), 0, "{}", old.err());
    old.says("no member of the ring any more");
    let late = format!("put -q late v -w 1 --ring {zombie} --key-file r/ring.key --timeout 3s");
    place.kvs(&late).ends(6);
    place.kvs(&format!("wait --settled --in-sync --node-up n2 {live} --timeout 60s")).ends(0);
    [n1, n3, new].into_iter().for_each(|node| node.stops(0));
}
