//! What the real changes make follows; what a stranger would make of it does not.

use super::*;
use crate::key::Q;
use crate::ring::{Change, NodeId, RingId};
use crate::ring::{Layout, MEMBERS_MAX};

fn member(i: u64) -> Member {
    Member {
        id: NodeId(i),
        name: format!("n{i}"),
        zone: format!("z{}", i % 3),
        weight: 1 + i as u32 % 2,
        state: MemberState::Normal,
        public_key: [i as u8; 32],
    }
}

fn ring(members: u64) -> RingDoc {
    let q = Q::new(8).expect("a power of two");
    RingDoc::first(RingId(5), q, 3, (1..=members).map(member).collect()).expect("enough members")
}

/// Every document of some long lives, each with the one before it.
fn lives() -> Vec<(RingDoc, RingDoc)> {
    let replacement = Member { id: NodeId(90), name: "n2".into(), ..member(90) };
    let replaced_twice = Member { id: NodeId(91), name: "n2".into(), ..member(91) };
    let changes = [
        vec![Change::Join(member(6))],
        vec![Change::Leave("n1".into())],
        vec![Change::Replace(replacement)],
        vec![Change::Weight("n3".into(), 9), Change::Join(member(7)), Change::Join(member(8))],
        vec![Change::Remove("n4".into())],
        vec![Change::Join(member(10)), Change::Leave("n10".into())],
        vec![Change::Replace(replaced_twice), Change::Leave("n5".into())],
    ];
    let mut pairs = Vec::new();
    for dies_at in 0..4 {
        let mut doc = ring(5);
        for (i, change) in changes.iter().enumerate() {
            let mut next = doc.change(change).expect("a change that can be made");
            pairs.push((doc, next.clone()));
            for step in 0.. {
                if step == dies_at && i == 3 {
                    let dead = next.mark_removed("n6").expect("a member");
                    pairs.push((next, dead.clone()));
                    next = dead;
                }
                let Some(then) = next.advance() else { break };
                pairs.push((next, then.clone()));
                next = then;
            }
            doc = next;
        }
    }
    pairs
}

#[test]
fn what_the_real_changes_make_follows() {
    let lives = lives();
    assert!(lives.len() > 80, "{}", lives.len());
    for (before, after) in &lives {
        after.follows(before).unwrap_or_else(|e| panic!("{before:?}\n{after:?}\n{e}"));
    }
    let first = &lives[0].0;
    for (_, later) in lives.iter().take(21) {
        later.succeeds(first).unwrap_or_else(|e| panic!("{later:?}\n{e}"));
    }
}

fn twice(layout: &Layout) -> Layout {
    Layout::new(3, layout.iter().chain(layout.iter()).flatten().copied().collect())
}

type Forgery = (&'static str, fn(&mut RingDoc));

/// What never is one, whatever it comes after.
const NEVER: &[Forgery] = &[
    ("another ring", |d| d.id = RingId(6)),
    ("more partitions", |d| {
        d.q = Q::new(16).expect("a power of two");
        d.layout = twice(&d.layout);
        d.old = d.old.as_ref().map(twice);
    }),
    ("a Q of its own", |d| d.q = Q::new(16).expect("a power of two")),
    ("no replicas", |d| d.replicas = 0),
    ("fewer replicas", |d| d.replicas = 2),
    ("another's key", |d| d.members[0].public_key = [99; 32]),
    ("another's identity", |d| d.members[0].id = NodeId(99)),
    ("another name", |d| d.members[1].name = "n99".into()),
    ("another zone", |d| d.members[1].zone = "z99".into()),
    ("no weight", |d| d.members[1].weight = 0),
    ("a member less", |d| drop(d.members.remove(0))),
    ("members in another order", |d| d.members.swap(0, 1)),
    ("one member twice", |d| d.members.push(d.members[0].clone())),
    ("too many members", |d| {
        d.members
            .extend((1_000..101_000).map(|i| Member { state: MemberState::Joining, ..member(i) }));
    }),
    ("a very long name", |d| d.members.push(Member { name: "n".repeat(300), ..member(70) })),
    ("an owner that is nobody", |d| {
        let mut owners: Vec<u16> = d.layout.iter().flatten().copied().collect();
        owners[5] = 999;
        d.layout = Layout::new(3, owners);
    }),
    ("an owner twice", |d| {
        let mut owners: Vec<u16> = d.layout.iter().flatten().copied().collect();
        owners[1] = owners[0];
        d.layout = Layout::new(3, owners);
    }),
    ("fewer owners", |d| d.layout = Layout::new(1, vec![1; 8])),
    ("fewer partitions", |d| d.layout = Layout::new(3, vec![1, 2, 3])),
    ("the same version", |d| d.version -= 1),
    ("no version", |d| d.version = 0),
    ("the last version", |d| d.version = u64::MAX),
    ("a layout too many", |d| d.old = d.old.is_none().then(|| d.layout.clone())),
];

/// What may stand later, but is no next one.
const NOT_NEXT: &[Forgery] = &[
    ("two versions ahead", |d| d.version += 1),
    ("other owners", |d| {
        // A change may ask for any layout that is whole; no later step may.
        let mut others: Vec<&[u16]> = d.layout.iter().collect();
        others.rotate_left(usize::from(d.step != ChangeStep::WriteBoth));
        d.layout = Layout::new(3, others.concat());
    }),
    ("two removed at once", |d| {
        let present = d.members.iter_mut().filter(|m| m.state != MemberState::Removed);
        present.take(2).for_each(|m| m.state = MemberState::Removed);
    }),
    ("a newcomer in full service", |d| d.members.push(member(70))),
    ("a name with a line of its own", |d| {
        d.members.push(Member {
            name: "n\nn1 up".into(),
            state: MemberState::Joining,
            ..member(70)
        });
    }),
];

#[test]
fn what_a_stranger_makes_of_it_does_not_follow() {
    for (before, after) in lives() {
        for (what, forge) in NEVER.iter().chain(NOT_NEXT) {
            let mut forged = after.clone();
            forge(&mut forged);
            assert!(forged == after || forged.follows(&before).is_err(), "{what}: {forged:?}");
        }
        for (what, forge) in NEVER {
            let mut forged = after.clone();
            forge(&mut forged);
            assert!(forged == after || forged.succeeds(&before).is_err(), "{what}: {forged:?}");
        }
    }
}

#[test]
fn a_step_is_not_left_out() {
    let before = ring(4);
    let one = before.change(&[Change::Join(member(9))]).expect("a change");
    let (two, three) = (one.advance().expect("a step"), |d: &RingDoc| d.advance().expect("a step"));
    let mut early = three(&two);
    early.version = one.version + 1;
    assert!(early.follows(&one).is_err());
    let mut at_once = two.clone();
    at_once.version = before.version + 1;
    assert!(at_once.follows(&before).is_err());
    let mut back = before.clone();
    back.version = one.version + 1;
    assert!(back.follows(&one).is_err());
}

#[test]
fn a_ring_is_not_planned_beyond_its_bounds() {
    let many = (1..=MEMBERS_MAX as u64 + 1).map(member).collect();
    let q = Q::new(8).expect("a power of two");
    assert!(matches!(RingDoc::first(RingId(5), q, 3, many), Err(Error::Denied(_))));
    let joins: Vec<_> = (10..1_010).map(|i| Change::Join(member(i))).collect();
    assert!(matches!(ring(3).change(&joins), Err(Error::Denied(_))));
}
