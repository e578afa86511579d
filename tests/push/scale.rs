//! Spares that join when the load asks for it, and leave when it does not.
//!
//! ```text
//! load, target 2/s           3 -> 4 -> 5 members, one a run; then no spare is left
//! load, target 100,000/s     5 -> 4 -> 3; their directories are gone
//! ```

use crate::faults::has;
use crate::fleet_fixture::Fleet;
use crate::shell::{Told, wait_for};

/// Each run looks for so long.
const WINDOW: &str = "2s";

fn rules(requests: u32) -> String {
    format!("scale: {{requests: {requests}, window: {WINDOW}, cool_down: 0s}}\n")
}

fn scale(fleet: &Fleet, more: &str) -> Told {
    fleet.kvs(&format!("scale fleet.yaml {more}"))
}

fn members(fleet: &Fleet) -> usize {
    fleet.kvs("status --format plain").ends(0).text().lines().count()
}

/// Has the next run know nothing of earlier ones.
fn forget(fleet: &Fleet) {
    let file = fleet.desk(".local/state/kvs/yard/scale.yaml");
    std::fs::remove_file(file).expect("a memory");
}

fn rate(told: &Told) -> String {
    told.text().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_ring_grows_and_shrinks_under_load_and_loses_nothing() {
    let Some(mut fleet) = Fleet::new(3, 2, &rules(2)) else { return };
    fleet.push("apply").ends(0);
    let load = fleet.load();
    let told = scale(&fleet, "--dry-run").ends(1).says("nothing was changed");
    has(&rate(&told), &["grow:", "requests", "n4 joins"]);
    assert!(members(&fleet) == 3 && !fleet.root(4).exists(), "a dry run has changed something");
    // A spare that cannot join keeps no other out for long.
    fleet.hosts.host(4).kill();
    let told = scale(&fleet, "").ends(6);
    has(&told.err, &["n4 cannot be reached"]);
    has(&scale(&fleet, "").ends(0).text(), &["n5 joins", "n5\tchanged"]);
    has(&rate(&scale(&fleet, "").ends(0)), &["stay:", "no spare is left", "lately failed: n4"]);
    fleet.hosts.host(4).start();
    forget(&fleet);
    let told = scale(&fleet, "--format json").ends(0).text();
    has(&told, &["\"schema\":\"kvs.scale/1\"", "n4 joins", "\"push\":{", "kvs.push/1"]);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(members(&fleet), 5);
    let told = scale(&fleet, "").ends(0);
    has(&rate(&told), &["stay:", "5 members"]);
    // Spares that are members are hosts like others.
    fleet.push("apply").ends(0).says("nothing to do: 5 hosts");

    fleet.write(&rules(100_000));
    let told = scale(&fleet, "--dry-run").ends(1);
    has(&rate(&told), &["shrink:", "n5 leaves"]);
    assert_eq!(members(&fleet), 5);
    has(&scale(&fleet, "").ends(0).text(), &["n5 leaves", "n5\tchanged"]);
    has(&scale(&fleet, "").ends(0).text(), &["n4 leaves", "n4\tchanged"]);
    has(&rate(&scale(&fleet, "").ends(0)), &["stay:", "3 members are the fewest allowed"]);
    for host in [4, 5] {
        assert!(!fleet.root(host).join("data").exists(), "n{host} has its directory");
        wait_for("the end of its node", || fleet.pid(host).is_none());
    }
    fleet.write(&rules(2));
    has(&scale(&fleet, "").ends(0).text(), &["n4 joins", "n4\tchanged"]);
    assert_eq!(members(&fleet), 4);
    fleet.kvs("wait --hints-drained --timeout 60s").ends(0);
    fleet.kvs("status --check").ends(0);
    assert!(fleet.judge(load) > 0);
    quiet(&fleet);
}

/// Nobody asks for anything: the spare goes by itself, but not while a node is down.
fn quiet(fleet: &Fleet) {
    fleet.crash(2);
    let told = scale(fleet, "").ends(0);
    has(&rate(&told), &["stay:", "n2", "down"]);
    fleet.push("start").ends(0);
    has(&scale(fleet, "").ends(0).text(), &["n4 leaves", "n4\tchanged"]);
    assert_eq!(members(fleet), 3);
    assert!(!fleet.root(4).join("data").exists());
}
