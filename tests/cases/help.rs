//! What the scripts share: a ring with exact delays, and questions to all disks at once.
//!
//! Every message takes 2 ms and every commit 3 ms, so a script can act between two of them. Owners
//! are named by their place in the preference list: `let [a, b, c] = owners(&w, "k")`.
//! Caveat: [`World::heal`] brings back delays that vary a little, from the fixed seed.

use kvs::clock::{Actor, Dot};
use kvs::node::{Action, Event, Reply, Request, Status, genesis};
use kvs::protocol::{Body, Message};
use kvs::quorum::{ItemReply, Options, Precondition, PutReply, Verdict};
use kvs::ring::{Change, Member, RingDoc};
use kvs::store::memory::Memory;
use kvs::store::{HintStats, Store};

use crate::support::world::{World, options, strict};

const NODES: [(&str, &str); 7] =
    [("n1", "a"), ("n2", "b"), ("n3", "c"), ("n4", "d"), ("n5", "e"), ("n6", "f"), ("n7", "g")];

/// So many nodes, three copies of everything.
pub(crate) fn ring(nodes: usize) -> World {
    ring_of(nodes, 3)
}

/// So many nodes, `n` copies of everything.
pub(crate) fn ring_of(nodes: usize, n: u8) -> World {
    let mut w = World::new(11, &NODES[..nodes], n, 8);
    w.net.delay_ms = (2, 2);
    w.hosts.iter_mut().for_each(|h| h.commit_ms = (3, 3));
    w
}

/// The three owners of a key, coordinator first.
pub(crate) fn owners(w: &World, key: &str) -> [usize; 3] {
    w.owners(key).try_into().expect("three owners")
}

/// A key whose first owner is host 0.
pub(crate) fn of_first(w: &World) -> String {
    (0..500).map(|i| format!("k{i}")).find(|k| w.owners(k)[0] == 0).expect("a key")
}

/// Everybody else.
pub(crate) fn others(w: &World, these: &[usize]) -> Vec<usize> {
    (0..w.hosts.len()).filter(|i| !these.contains(i)).collect()
}

/// The ordinary quorum with another W and R.
pub(crate) fn quorum(w: u8, r: u8) -> Options {
    Options { w: Some(w), r: Some(r), ..options() }
}

/// The same, owners only.
pub(crate) fn strictly(w: u8, r: u8) -> Options {
    Options { w: Some(w), r: Some(r), ..strict() }
}

/// Whether all of it was written and enough acknowledged.
pub(crate) fn is_done(reply: &PutReply) -> bool {
    let written = |i: &ItemReply| matches!(i, ItemReply::Written { .. });
    reply.verdict == Verdict::Done && !reply.items.is_empty() && reply.items.iter().all(written)
}

/// A blind put that must be acknowledged; its dot, once everybody who can has it.
#[track_caller]
pub(crate) fn acked(w: &mut World, via: usize, key: &str, value: &str) -> Dot {
    let reply = w.blind(via, key, value);
    assert!(is_done(&reply), "put of {value:.20}: {reply:?}");
    assert!(w.settle());
    dot(&reply)
}

/// The dot of a write of one key.
pub(crate) fn dot(reply: &PutReply) -> Dot {
    match reply.items.as_slice() {
        [ItemReply::Written { dot, .. }] => *dot,
        other => panic!("not written: {other:?}"),
    }
}

/// Takes the reply to a write out of the world, if it is there.
pub(crate) fn taken(w: &mut World, ticket: u64) -> Option<PutReply> {
    match w.replies.remove(&ticket) {
        Some(Reply::Put(reply)) => Some(reply),
        _ => None,
    }
}

/// Starts a write; its reply comes under the ticket.
pub(crate) fn start(
    w: &mut World,
    via: usize,
    key: &str,
    value: &str,
    basis: Precondition,
    o: Options,
) -> u64 {
    let request = w.write_request(key, Some(value), basis, o);
    w.request(via, request)
}

/// How a node says it is.
pub(crate) fn status(w: &mut World, i: usize) -> Status {
    match w.ask(i, Request::Status) {
        Some(Reply::Status(status)) => status,
        other => panic!("no status: {other:?}"),
    }
}

/// The hints on a node's disk.
pub(crate) fn hints(w: &World, i: usize) -> HintStats {
    w.hosts[i].store.hint_stats().expect("memory can be read")
}

/// From now on failure detectors say what the script tells them; at first that all are alive.
pub(crate) fn lie(w: &mut World) {
    w.lying = true;
    for i in 0..w.hosts.len() {
        doubt(w, i, &[]);
    }
}

/// A node takes these for dead, and nobody else.
pub(crate) fn doubt(w: &mut World, i: usize, dead: &[usize]) {
    let running = (0..w.hosts.len()).filter(|o| w.is_up(*o) && !dead.contains(o));
    let alive: Vec<usize> = running.collect();
    w.say_alive(i, &alive);
}

/// Cuts two nodes off from each other, both ways.
pub(crate) fn part(w: &mut World, a: usize, b: usize) {
    w.cut(a, b);
    w.cut(b, a);
}

/// Ends all trouble: everyone runs and hears everyone, hints are delivered, all is repaired.
pub(crate) fn converge(w: &mut World) {
    w.lying = false;
    w.heal();
    (0..w.hosts.len()).for_each(|i| w.restart(i));
    w.run_for(6_000);
    w.deliver_all();
    for _ in 0..4 {
        w.repair_all();
    }
    assert!(w.settle());
}

/// Of these values, those that some owner's disk lacks.
pub(crate) fn lost(w: &World, key: &str, values: &[&'static str]) -> Vec<&'static str> {
    let owners = w.owners(key);
    let held = |v: &&&str| owners.iter().all(|o| w.values(*o, key).iter().any(|h| h == **v));
    values.iter().filter(|v| !held(v)).copied().collect()
}

/// Every owner's disk holds these values, the same record, and nothing impossible was seen.
#[track_caller]
pub(crate) fn everywhere(w: &World, key: &str, values: &[&str]) {
    let owners = w.owners(key);
    for owner in &owners {
        assert_eq!(w.values(*owner, key), values, "on {}", w.hosts[*owner].name);
        assert_eq!(w.record(*owner, key), w.record(owners[0], key), "replicas are equal");
    }
    assert_eq!(w.wrong, Vec::<String>::new());
}

/// A node's directory is deleted and made again, under this actor; the caller restarts it.
pub(crate) fn wipe(w: &mut World, i: usize, actor: Actor, born_full: bool) {
    if w.is_up(i) {
        w.crash(i, false);
    }
    let doc = w.doc();
    let host = &mut w.hosts[i];
    host.store = Memory::default();
    host.store.apply(&genesis(host.id, actor, &doc, born_full)).expect("an empty store takes it");
    host.sidecar = Some(host.identity());
}

/// A machine that is to join, and a key whose copy moves to it: the first owner stays the first,
/// `[x, y, z]` become `[x, y, d]`. Gives the key, `[x, y, z, d]` and the new member.
pub(crate) fn moving(w: &mut World) -> (String, [usize; 4], Member) {
    let (d, member) = w.new_host("new", "z", 1);
    w.hosts[d].commit_ms = (3, 3);
    w.run_for(3_000);
    let next = w.doc().change(&[Change::Join(member.clone())]).expect("a change");
    let old = next.old.clone().expect("a change under way");
    let host = |id| w.hosts.iter().position(|h| h.id == id).expect("a host");
    for i in 0..500 {
        let key = format!("k{i}");
        let p = w.place(&key).0;
        let before: Vec<usize> = next.owners_in(&old, p).into_iter().map(host).collect();
        let after: Vec<usize> = next.owners_in(&next.layout, p).into_iter().map(host).collect();
        let stay: Vec<usize> = before.iter().copied().filter(|o| after.contains(o)).collect();
        let gone: Vec<usize> = before.iter().copied().filter(|o| !after.contains(o)).collect();
        if let ([x, y], [z]) = (stay.as_slice(), gone.as_slice())
            && before[0] == *x
            && after[0] == *x
        {
            return (key, [*x, *y, *z, d], member);
        }
    }
    panic!("no key moves so");
}

/// Has the next document chosen without asking whether anybody is ready for it.
pub(crate) fn force(w: &mut World, via: usize, doc: &RingDoc) -> Result<(), String> {
    match w.ask(via, Request::Propose(Box::new(doc.clone()))) {
        Some(Reply::Ring(_, None)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The version of the document a node acts under.
pub(crate) fn version(w: &World, i: usize) -> u64 {
    w.hosts[i].node.as_ref().expect("it is running").doc().version
}

/// Tells a node something as another that acts under this version; what it answers at once.
pub(crate) fn told(w: &mut World, node: usize, by: usize, version: u64, body: Body) -> Vec<Body> {
    let message = Message { ring: w.doc().id, version, op: 77, body };
    let (now, from) = (w.time(node), w.hosts[by].id);
    let host = &mut w.hosts[node];
    let running = host.node.as_mut().expect("it is running");
    let actions = running.handle(&host.store, now, Event::Message(from, message));
    let said = |action| match action {
        Action::Send(to, message) if to == from => Some(message.body),
        _ => None,
    };
    actions.into_iter().filter_map(said).collect()
}

/// Runs a script with a bug planted.
#[cfg(feature = "planted")]
pub(crate) fn planted<T>(bug: kvs::planted::Bug, script: impl FnOnce() -> T) -> T {
    kvs::planted::plant(Some(bug));
    let outcome = script();
    kvs::planted::plant(None);
    outcome
}

/// Whether a script goes wrong, or a node breaks down on the way, with a bug planted.
#[cfg(feature = "planted")]
pub(crate) fn goes_wrong(bug: kvs::planted::Bug, script: impl FnOnce() -> bool) -> bool {
    let run = std::panic::AssertUnwindSafe(|| planted(bug, script));
    let outcome = std::panic::catch_unwind(run);
    kvs::planted::plant(None);
    outcome.unwrap_or(true)
}

/// A key of which this host is the owner in this place.
pub(crate) fn owned_at(w: &World, host: usize, place: usize) -> String {
    (0..500).map(|i| format!("y{i}")).find(|k| w.owners(k)[place] == host).expect("a key")
}

/// A strict write that the third owner misses.
pub(crate) fn written_by_two(w: &mut World, key: &str, value: &str, missing: usize) {
    w.crash(missing, false);
    let via = w.owners(key).into_iter().find(|o| *o != missing).expect("an owner");
    let reply = w.write(via, key, Some(value), Precondition::Blind, strictly(2, 2));
    assert!(is_done(&reply), "{reply:?}");
    assert!(w.settle());
    w.restart(missing);
    w.run_for(4_000);
}
