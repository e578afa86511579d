//! One fault at a time, each under load, each judged by the oracle.
//!
//! ```text
//! load begins -> fault -> it is mended -> load ends -> copies equal by themselves -> oracle
//! ```
//!
//! A ring of five has ten links; a third of them is three.

use std::time::Duration;

use crate::ring::{Ring, alone};
use crate::soak::{print_figures, soak_seconds, verdict};
use crate::support::clients::Load;
use crate::support::oracle::Figures;
use crate::support::shell::skip;
use crate::support::wait::{always, must_last, wait_for_within};

/// A load has begun by then, a node is suspected, or taken to be well again.
const SEEN: Duration = Duration::from_secs(30);

/// A client whose node stands still loses the time of the question it had there, and that of finding
/// another node; then it goes on.
const GAP_MS_MAX: u64 = 8_000;

/// Three links of five nodes.
pub(crate) const LINKS: [(usize, usize); 3] = [(1, 2), (3, 4), (5, 1)];

fn begun(ring: &mut Ring, strict: u64) -> Load {
    let load = ring.load(|plan| plan.strict = strict);
    wait_for_within("the first answers", SEEN, || load.has_begun());
    load
}

/// Everybody's copies become equal, and nothing is lost.
fn is_whole(ring: &Ring, story: &str, load: Load) -> Figures {
    let ops = load.stop();
    let took = ring.settles();
    println!("\n{story}: equal {:.1} s after the load", took.as_secs_f64());
    verdict(&ops, &ring.last())
}

#[test]
fn a_third_of_the_links_is_cut_while_writing() {
    let _alone = alone();
    let Some(mut ring) = Ring::new(5, &[]) else { return };
    ring.start_all();
    let load = begun(&mut ring, 500);
    LINKS.iter().for_each(|(a, b)| ring.net.cut(*a, *b));
    // A direction by itself: n2 hears n5, which does not hear n2.
    ring.net.cut_one_way(2, 5);
    must_last("the cut", Duration::from_secs(10), always);
    ring.net.heal();
    must_last("the load after it", Duration::from_secs(2), always);
    is_whole(&ring, "a third of the links cut for 10 s", load);
}

#[test]
fn a_node_that_stands_still_is_suspected_and_comes_back_equal() {
    let _alone = alone();
    let Some(mut ring) = Ring::new(5, &[]) else { return };
    ring.start_all();
    let load = begun(&mut ring, 500);
    let still = Duration::from_secs(if soak_seconds().is_some() { 60 } else { 10 });
    let others: Vec<_> = ring.names().into_iter().filter(|n| n != "n3").collect();
    ring.signal("n3", "STOP");
    let since = std::time::Instant::now();
    let suspected = |ring: &Ring, wanted: bool| {
        let members = ring.at(&others[0], "status --format json --timeout 1s");
        let text = members.text();
        let status: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let n3 = nodes.into_iter().find(|n| n["name"] == "n3").ok_or("no n3")?;
        if n3["up"] == !wanted { Ok(()) } else { Err(n3.to_string()) }
    };
    let took = wait_for_within("n3 to be suspected", SEEN, || suspected(&ring, true));
    println!("\nn3 stands still: suspected after {:.1} s", took.as_secs_f64());
    must_last("n3 stands still", still.saturating_sub(since.elapsed()), always);
    ring.signal("n3", "CONT");
    let took = wait_for_within("n3 to be well again", SEEN, || suspected(&ring, false));
    println!("n3 goes on: well again after {:.1} s", took.as_secs_f64());
    let all = is_whole(&ring, "a node that stood still", load);
    assert!(all.gap_ms < GAP_MS_MAX, "a client was held up for {} ms", all.gap_ms);
}

/// With W=2 of 3 and hints, nobody notices that a node is stopped in good order; and without
/// anti-entropy its hints alone make it equal.
#[test]
fn a_stopped_node_costs_no_request_and_comes_back_by_hints_alone() {
    let _alone = alone();
    let Some(mut ring) = Ring::new(3, &["--sync-every", "off"]) else { return };
    ring.start_all();
    let load = begun(&mut ring, 0);
    must_last("the load before it", Duration::from_secs(2), always);
    ring.kvs("node stop n2").ends(0);
    assert_eq!(ring.ends("n2"), 0, "a node that was told to stop ends well");
    must_last("n2 is stopped", Duration::from_secs(5), always);
    ring.start("n2");
    let back = std::time::Instant::now();
    must_last("the load after it", Duration::from_secs(1), always);
    let ops = load.stop();
    wait_for_within("equal copies", SEEN, || ring.is_equal());
    let took = back.elapsed();
    println!("\na node stopped for 5 s: equal {:.1} s after its return", took.as_secs_f64());
    let all = verdict(&ops, &ring.last());
    assert_eq!((all.unknown, all.refused), (0, 0), "requests that failed");
    assert!(took < Duration::from_secs(10), "equal only after {took:?}");
}

/// Wall clocks order nothing: a day between two of them changes no outcome.
#[test]
fn clocks_may_be_a_day_apart() {
    let _alone = alone();
    if !cfg!(feature = "planted") {
        return skip("hosts whose clocks are a day apart: it takes the feature planted");
    }
    let Some(mut ring) = Ring::new(3, &[]) else { return };
    ring.set("n2", "KVS_PLANTED_CLOCK_MS", "86400000");
    ring.start_all();
    wait_for_within("the clock is told", SEEN, || {
        let told = ring.kvs("status --check").err;
        if told.contains("the wall clock of n2 is 86") { Ok(()) } else { Err(told) }
    });
    ring.at("n2", "put -q --strict day tomorrow").ends(0);
    ring.at("n1", "put -q --strict day today").ends(0);
    ring.at("n3", "get -q --strict day").ends(0).prints("today");
    let load = begun(&mut ring, 500);
    must_last("the load", Duration::from_secs(5), always);
    is_whole(&ring, "clocks a day apart", load);
}

/// The clients themselves, on directories: what the oracle says of a ring without faults.
#[test]
fn clients_on_directories_lose_nothing() {
    let _alone = alone();
    let place = crate::support::shell::Place::ring("--partitions 16");
    let plan = crate::support::load::Plan {
        name: "c0".into(),
        specs: vec![place.path("r").display().to_string()],
        key_file: None,
        log: place.path("log"),
        threads: 1,
        keys: 10,
        pace: 1_000,
        strict: 500,
        seed: 1,
    };
    let stop = crate::support::task::Stop::default();
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| plan.run_until(&stop));
        must_last("the load", Duration::from_secs(3), always);
        stop.now();
        clients.join().expect("clients");
    });
    let last = crate::support::load::Plan { log: place.path("last"), ..plan.clone() };
    last.read_all();
    let ops = crate::support::log::read(&plan.log);
    print_figures(&ops);
    let all = verdict(&ops, &crate::support::log::read(&last.log));
    assert!(all.writes > 20 && all.reads > 20, "{all:?}");
}
