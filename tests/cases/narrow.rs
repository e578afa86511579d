//! Cases of narrow windows: two events that are harmless apart and meet within a few milliseconds.
//!
//! ```text
//! hint -> its target   . . . a second write joins the hint . . .   Stored: of the first one only
//! pass with n2         . . . n1 finds that a record is lost . . .  the pass ends: it proves nothing
//! ```
//!
//! Random runs seldom hit them, so each script places the second event by the clock. Every planted bug
//! that a script here must find stands in `planted.rs`.

use kvs::node::{RepairRequest, Reply, Request};
use kvs::quorum::{ItemReply, Options, Precondition};
use kvs::store::{Hint, Store};

use crate::help::*;
use crate::support::world::*;

/// A node's disk is lost for good.
fn lose_machine(w: &mut World, i: usize) {
    w.crash(i, false);
    w.hosts[i].gone = true;
}

/// Restarts all nodes that are left; each hears the truth and delivers its hints.
fn deliver(w: &mut World) {
    w.lying = false;
    w.heal();
    (0..w.hosts.len()).for_each(|i| w.restart(i));
    w.run_for(4_000);
    w.deliver_all();
    assert!(w.settle());
}

/// Whether some node keeps the key's record for this owner, as data and not as a reference.
fn is_kept_for(w: &World, owner: usize, key: &str) -> bool {
    let (p, key) = w.place(key);
    let data = |h: &Hint| h.target == w.hosts[owner].id && h.stored.is_some();
    w.hosts.iter().any(|h| h.store.hints_of(p, &key).is_ok_and(|hints| hints.iter().any(data)))
}

/// f delivers its hint to b, which takes 50 ms to commit; within these, f acknowledges a second write
/// for b, and the two become one hint. b's answer is for the first write only, so the hint stays. Then
/// the only other copy is lost.
#[test]
fn a_hint_that_changes_while_it_is_delivered_stays() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    let f = others(&w, &[a, b, c])[0];
    lie(&mut w);
    w.crash(b, false);
    w.crash(c, false);
    doubt(&mut w, a, &[b, c]);
    acked(&mut w, a, "k", "v1");
    assert!(is_kept_for(&w, b, "k"));
    w.restart(b);
    doubt(&mut w, b, &[]);
    w.run_for(4_000);
    doubt(&mut w, a, &[b, c]);
    doubt(&mut w, f, &[c]);
    w.hosts[b].commit_ms = (50, 50);
    w.request(f, Request::Deliver);
    w.run_for(5);
    let reply = w.blind(a, "k", "v2");
    assert!(is_done(&reply) && reply.hinted == 1, "{reply:?}");
    assert!(w.values(b, "k").is_empty(), "b has not committed yet");
    w.run_for(1_000);
    lose_machine(&mut w, a);
    deliver(&mut w);
    assert_eq!(w.got(b, "k", strict()), Ok(vec!["v1".into(), "v2".into()]));
}

/// a and b do not hear each other and each coordinates a write, with f keeping it for c, which is down.
/// Neither write covers the other, so f keeps both. Then a's disk is lost: v1 is nowhere else.
#[test]
fn a_fallback_keeps_both_of_two_writes_for_one_owner() {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    lie(&mut w);
    w.crash(c, false);
    part(&mut w, a, b);
    doubt(&mut w, a, &[c]);
    let reply = w.blind(a, "k", "v1");
    assert!(is_done(&reply) && (reply.acks, reply.hinted) == (1, 1), "{reply:?}");
    // b coordinates because it takes a for dead; by the time it replicates it does so no longer.
    doubt(&mut w, b, &[a, c]);
    let ticket = start(&mut w, b, "k", "v2", Precondition::Blind, options());
    doubt(&mut w, b, &[c]);
    w.run_for(20);
    let reply = taken(&mut w, ticket).expect("an answer");
    assert!(is_done(&reply) && (reply.acks, reply.hinted) == (1, 1), "{reply:?}");
    assert!(is_kept_for(&w, c, "k"));
    lose_machine(&mut w, a);
    deliver(&mut w);
    assert_eq!(w.got(b, "k", strict()), Ok(vec!["v1".into(), "v2".into()]));
}

/// W=3. One owner commits so slowly that the fallback stands in for it, and acknowledges after all; the
/// other answers nothing. The slow one is one owner, not two: an acknowledged write is with every
/// owner, or kept for it.
#[test]
fn a_hint_does_not_count_beside_its_target() {
    let mut done = 0;
    for slow_first in [true, false] {
        let mut w = ring(4);
        let [a, b, c] = owners(&w, "k");
        // Which of the two the only fallback stands in for depends on their ids.
        let (slow, silent) = if slow_first { (b, c) } else { (c, b) };
        lie(&mut w);
        part(&mut w, a, silent);
        w.hosts[slow].commit_ms = (3_000, 3_000);
        let reply = w.write(a, "k", Some("v"), Precondition::Blind, quorum(3, 1));
        assert_eq!(w.values(slow, "k"), ["v"], "it acknowledges in the end");
        let lacks = |o: &&usize| w.values(**o, "k").is_empty() && !is_kept_for(&w, **o, "k");
        let lacking = [a, b, c].iter().filter(lacks).count();
        assert!(lacking == 0 || !is_done(&reply), "{lacking} owners lack it: {reply:?}");
        done += usize::from(is_done(&reply));
    }
    assert_eq!(done, 1, "where the fallback stands in for the silent one, three owners have it");
}

/// n1 and n2 hold a value that n3 missed, and n1 loses it. n1's pass with n2 has compared equal sums
/// when n1 finds the loss; then n2 is gone. That pass and one with n3 do not make n1's copy full.
#[test]
fn a_pass_that_began_before_a_loss_proves_nothing() {
    let mut w = ring(3);
    let key = of_first(&w);
    w.crash(2, false);
    let reply = w.write(0, &key, Some("v"), Precondition::Blind, strictly(2, 2));
    assert!(is_done(&reply), "{reply:?}");
    w.restart(2);
    w.run_for(4_000);
    assert!(w.settle());
    assert!(w.lose(0, &key));
    let ticket = w.request(0, Request::Repair(RepairRequest::default()));
    w.run_for(5);
    let p = w.place(&key).0;
    w.request(0, Request::Verify(p));
    w.run_for(8);
    w.crash(1, false);
    w.run_for(15_000);
    let Some(Reply::Repair(report)) = w.replies.remove(&ticket) else { panic!("no report") };
    let got = w.got(0, &key, strictly(2, 2));
    assert_ne!(got, Ok(vec![]), "acknowledged by n1 and n2: {report:?}");
    w.restart(1);
    converge(&mut w);
    everywhere(&w, &key, &["v"]);
}

/// One batch strikes a damaged record, which rebuilds the partition's digest, and stores another record
/// there. The new record counts once: the digest matches, and no loss is reported.
#[test]
fn a_write_beside_a_strike_counts_once() {
    let mut w = ring(3);
    let key = of_first(&w);
    let p = w.place(&key).0;
    let names: Vec<_> = (0..5_000).map(|i| format!("x{i}")).filter(|k| w.place(k).0 == p).collect();
    acked(&mut w, 0, &key, "v");
    assert!(w.rot(0, &key));
    w.hosts[0].commit_ms = (50, 50);
    start(&mut w, 0, &names[0], "x", Precondition::Blind, options());
    w.run_for(10);
    // While that is committed the next batch gathers: a write, and the strike that a read leads to.
    start(&mut w, 0, &names[1], "x", Precondition::Blind, options());
    w.got(0, &key, Options { n: Some(1), ..quorum(1, 1) }).expect_err("it is damaged");
    w.run_for(1_000);
    let Some(Reply::Verify(verdict)) = w.ask(0, Request::Verify(p)) else { panic!("no verdict") };
    assert!(verdict.digest_matches() && verdict.lost.is_none(), "{verdict:?}");
    converge(&mut w);
    everywhere(&w, &key, &["v"]);
    everywhere(&w, &names[1], &["x"]);
}

/// X reads v4; Y adds v5 through the same coordinator a; a loses the record unnoticed. Then X replaces
/// v4 through a. The context names a write of a's own that a lacks, so a mints nothing: its next dot
/// would cover v5, which X never saw.
#[test]
fn a_context_ahead_of_the_own_copy_ends_minting() {
    let mut w = ring(3);
    let [a, ..] = owners(&w, "k");
    let first = w.blind(a, "k", "v4");
    let [ItemReply::Written { context: Some(seen), .. }] = &first.items[..] else {
        panic!("the only value gives a context: {first:?}");
    };
    acked(&mut w, a, "k", "v5");
    assert!(w.lose(a, "k"));
    let reply = w.write(a, "k", Some("v6"), Precondition::Context(seen.clone()), options());
    assert!(is_done(&reply), "{reply:?}");
    converge(&mut w);
    everywhere(&w, "k", &["v5", "v6"]);
}
