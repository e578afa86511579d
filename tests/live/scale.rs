//! `kvs scale` as far as it only looks: at nodes that run here, by an inventory that names them.

use std::fmt::Write;

use crate::support::served::{Served, pid, ring};
use crate::support::shell::Place;
use crate::support::wait::wait_for;

/// An inventory of the nodes that run, with a spare that is nowhere.
fn fleet(place: &Place, scale: &str) {
    let mut text =
        "ring: prod\nkey: r/ring.key\ndefaults: {ssh: {user: nobody}}\nhosts:\n".to_owned();
    for name in ["n1", "n2", "n3"] {
        let told = place.kvs(&format!("node info {name}")).ends(0).text();
        let address = told.lines().find_map(|row| row.strip_prefix("address\t")).expect("a row");
        let row = format!(
            "- {{name: {name}, address: 127.0.0.1, root: /srv/{name}, listen: '{address}'}}\n"
        );
        text.write_str(&row).expect("text");
    }
    let spare = "spares:\n- {name: n4, address: 127.0.0.1, root: /srv/n4, listen: '127.0.0.1:9'}\n";
    place.write("fleet.yaml", format!("{text}{spare}{scale}"));
}

fn scale(place: &Place, flags: &str) -> crate::support::shell::Told {
    let home = place.path("home").display().to_string();
    place.sh(&format!("HOME={home} kvs scale fleet.yaml --window 200ms {flags}"))
}

#[test]
fn a_decision_is_printed_with_its_reason_and_nothing_is_changed() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    place.kvs("put -q k v").ends(0);
    fleet(&place, "scale: {min: 3, max: 4, bytes: 1}\n");
    let told = scale(&place, "--dry-run").ends(1).says("nothing was changed").text();
    let rows: Vec<_> = told.lines().collect();
    assert_eq!(rows.len(), 4, "{told}");
    assert!(rows[0].starts_with("n1\twell\t") && rows[3].starts_with("grow: "), "{told}");
    assert!(rows[3].ends_with("target 1 B: n4 joins"), "{told}");
    let json = scale(&place, "--dry-run --format json").ends(1).text();
    assert!(json.contains(r#""decision":"grow""#) && json.contains(r#""host":"n4""#), "{json}");
    assert!(!place.path("home").exists(), "looking leaves nothing behind");

    fleet(&place, "scale: {min: 3, max: 4, bytes: 1TB}\n");
    let told = scale(&place, "").ends(0).text();
    assert!(told.contains("stay: every figure is within its target"), "{told}");
    place.sh("mkdir -p home/.local/state/kvs/prod").ends(0);
    place.write("home/.local/state/kvs/prod/scale.yaml", "what?");
    fleet(&place, "scale: {min: 3, max: 4, bytes: 1}\n");
    let told = scale(&place, "").ends(0).says("is damaged").text();
    assert!(told.contains("stay: the last change is 0s ago"), "{told}");

    place.kvs("node stop n2").ends(0);
    wait_for("the end of n2", || pid(&place, "n2").is_none());
    place.kvs("wait --node-down n2 --timeout 60s").ends(0);
    let told = scale(&place, "--dry-run").ends(0).text();
    assert!(told.contains("n2\tdown\t-\t") && told.contains("stay: n2 is down"), "{told}");
    up.stops(0);
}

#[test]
fn what_cannot_be_looked_at_or_remembered_is_said() {
    let place = ring();
    let up = Served::up(&place);
    place.kvs("wait --node-up n1,n2,n3 --timeout 20s").ends(0);
    fleet(&place, "");
    scale(&place, "").ends(2).says("has no section scale");
    fleet(&place, "scale: {min: 3, max: 4, bytes: 1}\n");
    place.sh("kvs scale fleet.yaml --window 1ms").ends(10).says("cannot be remembered");
    place
        .sh("kvs scale fleet.yaml --window 1ms --dry-run")
        .ends(1)
        .says("earlier changes are unknown");
    up.stops(0);
    scale(&place, "").ends(6);
}
