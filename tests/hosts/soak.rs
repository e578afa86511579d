//! Everything that happens to a ring in a bad month, in a minute; or in ten, when there is time.
//!
//! ```text
//! n1 killed  n2 paused  n2 killed  links cut  n3 killed  n3 lost, replaced  keys: another first
//! n6 joins   n4 killed  n4 elsewhere  n5 paused  n5 stands still, is replaced, goes on
//! n5 killed  n1 leaves                                              … evenly, under load
//! -> load ends, all is healed -> equal, no hints, nobody repairs -> the old key goes -> the same
//! -> oracle -> stopped, read offline
//! ```
//!
//! `KVS_SOAK_SECONDS` says how long the load lasts; 60 unless set.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ring::{Ring, alone};
use crate::small::LINKS;
use crate::support::log::Op;
use crate::support::oracle::{self, Figures};
use crate::support::shell::{ended, send};
use crate::support::wait::{always, must_last, wait_for_within};

/// How long the load lasts unless said otherwise.
const SECONDS: u64 = 60;
/// A pause is at most so long.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A change of the ring is done by then, also when it had to be gone on with.
const CHANGED: Duration = Duration::from_secs(120);
/// Findings that are printed; more are counted.
const FINDINGS_MAX: usize = 30;

/// Reasons of failed requests that are printed, the most frequent ones.
const REASONS_MAX: usize = 8;

/// What happens, in turn.
#[derive(Clone, Copy, Debug)]
enum Event {
    Kill(&'static str),
    Pause(&'static str),
    Cut,
    /// Started again at another address.
    Move(&'static str),
    Replace(&'static str),
    /// Replaced while it stands still; then it goes on.
    ReplaceFrozen(&'static str),
    /// The ring's key: another one first, the old one second.
    Rekey,
    Join(&'static str),
    Leave(&'static str),
}

const EVENTS: [Event; 14] = [
    Event::Kill("n1"),
    Event::Pause("n2"),
    Event::Kill("n2"),
    Event::Cut,
    Event::Kill("n3"),
    Event::Replace("n3"),
    Event::Rekey,
    Event::Join("n6"),
    Event::Kill("n4"),
    Event::Move("n4"),
    Event::Pause("n5"),
    Event::ReplaceFrozen("n5"),
    Event::Kill("n5"),
    Event::Leave("n1"),
];

/// How long to soak, when somebody said so.
pub(crate) fn soak_seconds() -> Option<u64> {
    let text = std::env::var_os("KVS_SOAK_SECONDS")?;
    Some(text.to_str().and_then(|t| t.parse().ok()).expect("KVS_SOAK_SECONDS is a number"))
}

#[test]
fn soak() {
    let _alone = alone();
    let Some(mut ring) = Ring::new(5, &[]) else { return };
    let time = Duration::from_secs(soak_seconds().unwrap_or(SECONDS));
    ring.start_all();
    println!(
        "\nsoak: {} s, {} nodes, 6 clients in 2 processes",
        time.as_secs(),
        ring.names().len()
    );
    let loads = [ring.load(|_| ()), ring.load(|_| ())];
    for load in &loads {
        wait_for_within("answers", CHANGED, || load.has_begun());
    }
    let began = Instant::now();
    let slot = time / (EVENTS.len() as u32 + 1);
    for (i, event) in (1..).zip(EVENTS) {
        // One that took longer than its time delays the next, never drops it.
        must_last("the load", (slot * i).saturating_sub(began.elapsed()), always);
        let at = began.elapsed();
        happen(&mut ring, event, time);
        let (at, took) = (at.as_secs_f64(), began.elapsed() - at);
        println!("  {at:>6.1} s  {event:?}, over after {:.1} s", took.as_secs_f64());
    }
    must_last("the load", time.saturating_sub(began.elapsed()), always);
    let ops: Vec<Op> = loads.into_iter().flat_map(crate::support::clients::Load::stop).collect();
    println!("  {:>6.1} s  the load ends", began.elapsed().as_secs_f64());
    ring.net.heal();
    let took = ring.settles();
    println!("equal, without repair, after {:.1} s", took.as_secs_f64());
    ring.rekey("--drop");
    ring.settles();
    let all = verdict(&ops, &ring.last());
    assert!(all.writes > 0 && all.reads > 0, "nothing was asked");
    stands_offline(&mut ring);
}

fn happen(ring: &mut Ring, event: Event, time: Duration) {
    match event {
        Event::Kill(name) => {
            ring.kill(name);
            must_last("the node is down", time / 40, always);
            ring.start(name);
        }
        Event::Pause(name) => {
            ring.signal(name, "STOP");
            must_last("the node stands still", PAUSE_MAX.min(time / 10), always);
            ring.signal(name, "CONT");
        }
        Event::Cut => {
            LINKS.iter().for_each(|(a, b)| ring.net.cut(*a, *b));
            must_last("the cut", PAUSE_MAX.min(time / 10), always);
            ring.net.heal();
        }
        Event::Move(name) => {
            ring.kill(name);
            ring.relocate(name);
            ring.start(name);
        }
        Event::Replace(name) => replace(ring, name),
        Event::ReplaceFrozen(name) => replace_frozen(ring, name),
        Event::Rekey => ["--add", "--rotate"].iter().for_each(|step| ring.rekey(step)),
        Event::Join(name) => join(ring, name),
        Event::Leave(name) => {
            change(ring, &format!("leave {name} --yes"), None, |ring| member(ring, name).is_none());
            assert_eq!(ring.ends(name), 0, "{name} has left and ends well");
            ring.forget(name);
        }
    }
}

/// A node's process and directory are gone; another takes its place in the same host.
fn replace(ring: &mut Ring, name: &str) {
    ring.kill(name);
    let dir = ring.dir(name).to_path_buf();
    std::fs::remove_dir_all(&dir).expect("a directory to lose");
    rebuild(ring, name, &format!("replace {name} --dir {} --yes", dir.display()));
}

/// A node's process stands still, and another takes its place beside it. When it goes on it is none of
/// the ring any more, and ends.
fn replace_frozen(ring: &mut Ring, name: &str) {
    ring.signal(name, "STOP");
    // Until it is missed it runs, and is not lost.
    ring.kvs(&format!("wait --node-down {name} --timeout 60s")).ends(0);
    let frozen = ring.part_with(name);
    let (host, dir) = (ring.host(name), ring.dir(name).with_extension("anew"));
    ring.adopt(name, host, &dir);
    let listen = ring.address(name);
    rebuild(ring, name, &format!("replace {name} --dir {} --listen {listen} --yes", dir.display()));
    send("CONT", &frozen.id().to_string());
    let told = ended(format!("{name}, which was replaced"), frozen, CHANGED);
    println!("           {name}, which was replaced, ends with {}", told.code);
}

fn rebuild(ring: &mut Ring, name: &str, line: &str) {
    let old = member(ring, name).expect("a member")["id"].clone();
    change(ring, line, Some(name), |ring| {
        member(ring, name).is_some_and(|m| m["id"] != old && m["state"] == "normal")
    });
}

fn join(ring: &mut Ring, name: &str) {
    let dir = ring.place.path("r").join(name);
    let host = ring.spare();
    ring.adopt(name, host, &dir);
    let line = format!("join {} --listen {} --yes", dir.display(), ring.address(name));
    let is_in = |ring: &Ring| member(ring, name).is_some_and(|m| m["state"] == "normal");
    change(ring, &line, Some(name), is_in);
}

/// A member as the ring shows it.
fn member(ring: &Ring, name: &str) -> Option<Value> {
    let mut found = None;
    wait_for_within("the ring document", CHANGED, || {
        let ring = ring.json("ring show")?;
        let members = ring["members"].as_array().ok_or("no members")?;
        found = members.iter().find(|m| m["name"] == name).cloned();
        Ok(())
    });
    found
}

/// Has a command change the ring, and goes on with what was cut short until all is done. A node that
/// takes part is started as soon as its directory is there.
fn change(ring: &mut Ring, line: &str, newcomer: Option<&str>, is_done: impl Fn(&Ring) -> bool) {
    let mut child = ring.begin(line);
    if let Some(name) = newcomer {
        let file = ring.dir(name).join("node.yaml");
        wait_for_within(&format!("the directory of {name}"), CHANGED, || {
            let ended = child.try_wait().expect("a child").is_some();
            let why = if ended { "the command has ended" } else { "not yet" };
            if file.exists() { Ok(()) } else { Err(why.into()) }
        });
        ring.start(name);
    }
    let mut told = ended(line.to_owned(), child, CHANGED);
    wait_for_within(line, CHANGED, || {
        let step = ring.json("ring show")?["step"].clone();
        if is_done(ring) && step == "settled" {
            return Ok(());
        }
        let why = told.err.lines().last().unwrap_or_default();
        println!("           at step {step}, gone on with: {} said {} {why}", told.what, told.code);
        told = ring.kvs("ring apply --yes");
        Err(format!("{} {}", told.code, told.err))
    });
}

/// The same files with no node running: every record proves good, and copies are as equal as before.
fn stands_offline(ring: &mut Ring) {
    for name in ring.names() {
        ring.signal(&name, "TERM");
        assert_eq!(ring.ends(&name), 0, "{name} was told to end");
    }
    let dirs: Vec<_> =
        ring.names().iter().map(|name| ring.dir(name).display().to_string()).collect();
    ring.place.kvs(&format!("verify -q --ring {}", dirs.join(","))).ends(0);
    ring.place.kvs(&format!("repair --dry-run --ring {}", dirs.join(","))).ends(0);
    println!("stopped in good order; the files are sound");
}

/// Prints the figures and has the oracle judge; the figures of all clients together.
pub(crate) fn verdict(ops: &[Op], last: &[Op]) -> Figures {
    let all = print_figures(ops);
    let wrong = oracle::judge(ops, last);
    wrong.iter().take(FINDINGS_MAX).for_each(|finding| println!("  WRONG: {finding}"));
    assert!(wrong.is_empty(), "the oracle found {} wrong, the first: {}", wrong.len(), wrong[0]);
    println!("the oracle found nothing wrong: {} operations, {} keys", ops.len(), last.len());
    all
}

/// One row for each client; gives that of all.
pub(crate) fn print_figures(ops: &[Op]) -> Figures {
    let head =
        "client  writes  hinted   reads  unknown  refused  declined  longest without a write";
    println!("{head}  slowest");
    let figures = oracle::figures(ops);
    for (who, f) in &figures {
        println!(
            "{who:<6} {:>7} {:>7} {:>7} {:>8} {:>8} {:>9} {:>22.1} s {:>6.1} s",
            f.writes,
            f.hinted,
            f.reads,
            f.unknown,
            f.refused,
            f.declined,
            f.gap_ms as f64 / 1e3,
            f.slowest_ms as f64 / 1e3,
        );
    }
    for (why, count) in oracle::reasons(ops).into_iter().take(REASONS_MAX) {
        println!("  {count:>5} x {why}");
    }
    figures["all"].clone()
}
