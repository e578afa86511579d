//! Cases of what one node drives among others: changes of the ring, deliveries, the spreading of hints.
//!
//! ```text
//! driver 1: Barrier(2) … all clear -> (3)        driver 2: Barrier(2) … Cleared, Cleared, ring is at (3)
//!                                                          what it heard is of a step that is over
//! ```
//!
//! Law: a driver acts on the version it asked about, never on "the document now"; a member answers for
//! the version it was asked about. Whoever leaves has handed its hints on before. A hint is forgotten
//! when its own target has it, or W full owners of each layout where the target is no owner any more.

use kvs::node::{Reply, Request};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::protocol::Body;
use kvs::quorum::Options;
use kvs::ring::{Change, ChangeStep, MemberState};
use kvs::store::{Batch, Hint, Op, Store};

use crate::help::*;
use crate::support::world::*;

/// A ring of six in which f is on its way out, and keeps an acknowledged hint of which only one owner
/// holds a copy, or none if `lost`. Two drivers take the change on, the second so many ms later. Gives
/// the world, whose disks are slow from the last barrier on, and f.
fn leaves_under_two_drivers(missed: usize, apart_ms: u64) -> (World, usize) {
    let mut w = ring(6);
    w.watch.on = true;
    let [a, b, c] = owners(&w, "k");
    let away = [b, c];
    if missed == 2 {
        away.iter().for_each(|o| w.crash(*o, false));
        acked(&mut w, a, "k", "v");
    } else {
        w.crash(b, false);
        lie(&mut w);
        doubt(&mut w, a, &[b]);
        w.cut(a, c);
        let reply = w.blind(a, "k", "v");
        assert!(is_done(&reply) && (reply.acks, reply.hinted) == (1, 1), "{reply:?}");
        w.run_for(6_000);
        w.cuts.clear();
        w.lying = false;
    }
    let keeps = |w: &World, o: &usize| hints(w, *o).acknowledged > 0;
    let f = others(&w, &[a, b, c]).into_iter().find(|o| keeps(&w, o)).expect("a fallback");
    away.iter().for_each(|o| w.restart(*o));
    w.run_for(4_000);
    assert!(w.lose(a, "k"));
    w.change(a, &[Change::Leave(w.hosts[f].name.clone())]).expect("a majority agrees");
    w.run_for(50);
    let second = others(&w, &[a, b, c, f])[0];
    w.request(a, Request::Advance);
    w.run_for(apart_ms);
    w.request(second, Request::Advance);
    for _ in 0..2_000 {
        if w.doc().version >= 3 {
            break;
        }
        w.run_for(1);
    }
    away.iter().take(missed).for_each(|o| w.hosts[*o].commit_ms = (400, 400));
    w.run_for(30_000);
    if w.doc().step != ChangeStep::Settled {
        w.advance(a).ok();
    }
    (w, f)
}

/// Whether f has left.
fn has_left(w: &World, f: usize) -> bool {
    w.doc().member(w.hosts[f].id).map(|m| m.state) == Some(MemberState::Removed)
}

/// Whether f left with acknowledged hints, or a document was chosen before its barrier held.
fn leaves_too_early(apart_ms: u64) -> bool {
    let (w, f) = leaves_under_two_drivers(2, apart_ms);
    has_left(&w, f) && hints(&w, f).acknowledged > 0 || !w.wrong.is_empty()
}

/// Two drivers of one change skip neither the barrier nor the handing over, however far apart they
/// begin.
#[test]
fn two_drivers_skip_no_step() {
    let mut left = 0;
    for apart in (0..200).step_by(4) {
        let (w, f) = leaves_under_two_drivers(2, apart);
        assert_eq!(w.wrong, Vec::<String>::new(), "{apart} ms apart");
        if has_left(&w, f) {
            left += 1;
            assert_eq!(hints(&w, f).acknowledged, 0, "{apart} ms apart");
        }
    }
    assert!(left > 25, "the change goes through in most runs: {left}");
    #[cfg(feature = "planted")]
    assert!(
        (0..200).step_by(4).any(|apart| goes_wrong(Bug::MixedDriver, || leaves_too_early(apart)))
    );
    assert!(!leaves_too_early(16));
}

/// The same to its end: acknowledged by an owner and a fallback, the owner loses its copy, the fallback
/// leaves in good order, its machine is thrown away. The value is there.
#[test]
fn a_value_outlives_who_leaves_under_two_drivers() {
    for apart in (0..60).step_by(2) {
        let (mut w, f) = leaves_under_two_drivers(1, apart);
        if !has_left(&w, f) {
            continue;
        }
        w.crash(f, false);
        w.hosts[f].gone = true;
        converge(&mut w);
        let b = owners(&w, "k")[1];
        w.got(b, "k", quorum(2, 3)).ok();
        converge(&mut w);
        assert_eq!(lost(&w, "k", &["v"]), Vec::<&str>::new(), "{apart} ms apart");
    }
}

/// f keeps an acknowledged hint and gives it to the other owners for safety; its target comes back
/// while their acks are under way. Then the one owner that had it is lost for good. What the target
/// holds in the end.
fn spread_while_the_target_comes_back() -> Vec<String> {
    let mut w = ring(4);
    let [a, b, c] = owners(&w, "k");
    w.crash(b, false);
    w.crash(c, false);
    acked(&mut w, a, "k", "v");
    let f = others(&w, &[a, b, c])[0];
    let (p, key) = w.place("k");
    let kept = w.hosts[f].store.hints_of(p, &key).unwrap();
    let target = w.hosts.iter().position(|h| h.id == kept[0].target).unwrap();
    w.request(f, Request::Spread);
    w.run_for(1);
    w.restart(target);
    w.run_for(10_000);
    w.crash(a, false);
    w.hosts[a].gone = true;
    w.restart(b);
    w.restart(c);
    w.run_for(5_000);
    w.deliver_all();
    w.repair_all();
    w.values(target, "k")
}

/// The acks of other owners are not taken for the target's: two acknowledged the value, one is lost.
#[test]
fn a_hint_that_is_spread_stays_until_its_target_has_it() {
    assert_eq!(spread_while_the_target_comes_back(), ["v"]);
    #[cfg(feature = "planted")]
    assert!(goes_wrong(Bug::SpreadFrees, || spread_while_the_target_comes_back() != ["v"]));
}

/// A fill or a delivery is for the document that whoever asks acts under. Asked under an older one, a
/// node sends its own and does nothing; under a newer one it asks for that.
#[test]
fn a_member_answers_for_the_version_it_was_asked_about() {
    let mut w = ring(4);
    let (_, [x, y, ..], member) = moving(&mut w);
    let old = version(&w, x);
    w.change(y, &[Change::Join(member)]).expect("a change");
    w.run_for(50);
    assert_eq!(version(&w, x), old + 1);
    for body in [Body::Fill, Body::Deliver] {
        let said = told(&mut w, x, y, old, body.clone());
        let [Body::Chosen(doc)] = said.as_slice() else { panic!("{body:?}: {said:?}") };
        assert_eq!(doc.version, old + 1);
        assert!(w.hosts[x].node.as_ref().unwrap().is_idle(), "nothing was begun");
        let said = told(&mut w, x, y, old + 2, body);
        assert!(matches!(said.as_slice(), [Body::WantRing]), "{said:?}");
        assert!(w.hosts[x].node.as_ref().unwrap().is_idle(), "nothing was begun");
    }
    let barrier = told(&mut w, x, y, old + 2, Body::Barrier);
    let unclear = |b: &Body| matches!(b, Body::Cleared { clear: false, .. });
    assert!(barrier.iter().any(unclear), "of a version that is not its own: {barrier:?}");
}

/// A ring of five that three more join, written to both layouts; a key of whose new owners only one
/// was an owner before, and a member that is an owner in neither.
fn most_owners_are_new() -> (World, String, usize) {
    let mut w = ring(5);
    let mut joins = Vec::new();
    for (name, zone) in [("j1", "x"), ("j2", "y"), ("j3", "z")] {
        let (host, member) = w.new_host(name, zone, 2);
        w.hosts[host].commit_ms = (3, 3);
        joins.push(Change::Join(member));
    }
    w.run_for(3_000);
    let next = w.doc().change(&joins).unwrap();
    let old = next.old.clone().unwrap();
    let few_stay = |k: &String| {
        let p = w.place(k).0;
        let before = next.owners_in(&old, p);
        next.owners_in(&next.layout, p).iter().filter(|o| before.contains(o)).count() < 2
    };
    let key = (0..500).map(|i| format!("k{i}")).find(few_stay).expect("a key");
    let p = w.place(&key).0;
    let writers = next.writers(p);
    let target = (0..5).find(|i| !writers.contains(&w.hosts[*i].id)).expect("no owner");
    let via = w.owners(&key)[0];
    acked(&mut w, via, &key, "v");
    w.change(via, &joins).expect("a change");
    w.run_for(50);
    (w, key, target)
}

/// What was kept for a member that is no owner any more goes to the owners. While the ring changes, W
/// full owners of *each* layout must have it: those of the older one alone may be gone tomorrow.
#[test]
fn rerouted_hints_need_the_w_of_each_layout() {
    let (mut w, key, target) = most_owners_are_new();
    let (p, name) = w.place(&key);
    let holder = w.owners(&key)[0];
    let keeper = others(&w, &[target, holder])[0];
    let stored = w.hosts[holder].store.get(p, &name).unwrap();
    let hint = Hint { target: w.hosts[target].id, partition: p, key: name, stored };
    w.hosts[keeper].store.apply(&Batch { ops: vec![Op::Hint(hint)] }).unwrap();
    let deliver = |w: &mut World| match w.ask(keeper, Request::Deliver) {
        Some(Reply::Deliver(delivered, left)) => (delivered, left),
        other => panic!("{other:?}"),
    };
    assert_eq!(deliver(&mut w), (0, 1), "new owners that fill are no W");
    w.advance(holder).expect("it goes through");
    assert_eq!(deliver(&mut w), (1, 0));
    let reading = Options { write_back: false, ..strict() };
    assert_eq!(w.got(holder, &key, reading), Ok(vec!["v".into()]));
}
