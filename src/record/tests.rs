//! The laws of merge over reachable records, and the bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Value {
    Value { bytes: text.as_bytes().to_vec(), written_ms: 5, expires_ms: None, derived: false }
}

/// A history: three replicas, each step writes at one (with what it saw, or blind) or merges two.
#[derive(Clone, Debug)]
enum Step {
    Write { at: usize, seen_at: Option<usize>, delete: bool },
    Merge { from: usize, to: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..3_usize, prop::option::of(0..3_usize), any::<bool>());
    prop_oneof![
        write.prop_map(|(at, seen_at, delete)| Step::Write { at, seen_at, delete }),
        (0..3_usize, 0..3_usize).prop_map(|(from, to)| Step::Merge { from, to }),
    ]
}

/// Runs a history; returns the three copies and every dot's fate: the contexts of all later writes.
fn run(steps: &[Step]) -> (Vec<Record>, BTreeMap<Dot, bool>) {
    let mut copies = vec![Record::default(); 3];
    let mut written: BTreeMap<Dot, bool> = BTreeMap::new(); // dot -> has a value
    let mut contexts: Vec<VersionVector> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        match *step {
            Step::Write { at, seen_at, delete } => {
                let dot = Dot { actor: Actor(at as u64 + 1), counter: i as u64 + 1 };
                let context = seen_at.map(|s| copies[s].clock.clone());
                let value = (!delete).then(|| value(&i.to_string()));
                copies[at] = copies[at].write(dot, Write { context: context.as_ref(), value });
                contexts.extend(context);
                written.insert(dot, !delete);
            }
            Step::Merge { from, to } => copies[to] = copies[to].merge(&copies[from]).0,
        }
    }
    let alive = |dot: &Dot| !contexts.iter().any(|c| c.covers(*dot));
    let fate = written.iter().map(|(dot, has)| (*dot, *has && alive(dot))).collect();
    (copies, fate)
}

proptest! {
    #[test]
    fn merge_is_commutative_associative_idempotent(steps in prop::collection::vec(step(), 0..40)) {
        let (c, _) = run(&steps);
        let m = |a: &Record, b: &Record| a.merge(b).0;
        prop_assert_eq!(m(&c[0], &c[1]), m(&c[1], &c[0]));
        prop_assert_eq!(m(&m(&c[0], &c[1]), &c[2]), m(&c[0], &m(&c[1], &c[2])));
        prop_assert_eq!(&m(&c[0], &c[0]), &c[0]);
        let all = m(&m(&c[0], &c[1]), &c[2]);
        prop_assert_eq!(&m(&all, &c[1]), &all);
    }

    #[test]
    fn what_no_context_covers_survives_and_nothing_else(steps in prop::collection::vec(step(), 0..40)) {
        let (c, fate) = run(&steps);
        let all = c[0].merge(&c[1]).0.merge(&c[2]).0;
        let alive: Vec<Dot> = all.siblings.iter().map(|s| s.0).collect();
        let expected: Vec<Dot> = fate.iter().filter(|f| *f.1).map(|f| *f.0).collect();
        prop_assert_eq!(alive, expected);
    }

    #[test]
    fn bytes_come_back_and_flips_are_seen(
        steps in prop::collection::vec(step(), 0..20),
        at in any::<usize>(),
        bit in 0..8,
    ) {
        let (c, _) = run(&steps);
        let key = Key::new("k").unwrap();
        let mut stored = c[0].encode(&key);
        prop_assert_eq!(&Record::decode(b"k", &stored).unwrap(), &c[0]);
        prop_assert_eq!(stored_hash(&stored), Some(c[0].hash(&key)));
        prop_assert!(Record::decode(b"l", &stored).is_err());
        let at = at % stored.len();
        stored[at] ^= 1_u8 << bit;
        prop_assert!(Record::decode(b"k", &stored).is_err());
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut stored = vec![0; HEAD_BYTES];
        stored[16] = FORMAT;
        stored.extend(&bytes);
        let term = hash_of(b"k", &bytes);
        stored[..16].copy_from_slice(&term.0.to_le_bytes());
        if let Ok(record) = Record::decode(b"k", &stored) {
            prop_assert_eq!(record.encode(&Key::new("k").unwrap()), stored, "one meaning, one form");
        }
    }
}

#[test]
fn one_dot_with_two_values_is_reported_and_commutes() {
    let dot = Dot { actor: Actor(1), counter: 1 };
    let a = Record::default().write(dot, Write { context: None, value: Some(value("x")) });
    let b = Record::default().write(dot, Write { context: None, value: Some(value("y")) });
    let (ab, clashes) = a.merge(&b);
    assert_eq!(clashes, [dot]);
    assert_eq!(ab, b.merge(&a).0);
}

#[test]
fn equal_siblings_are_one_value_and_expired_ones_are_hidden() {
    let mut r = Record::default();
    for (i, (text, expires_ms)) in
        [("x", None), ("x", None), ("x", Some(9)), ("y", Some(7))].iter().enumerate()
    {
        let dot = Dot { actor: Actor(i as u64 + 1), counter: 1 };
        let value = Value { expires_ms: *expires_ms, ..value(text) };
        r = r.write(dot, Write { context: None, value: Some(value) });
    }
    assert_eq!(r.visible(6).len(), 3);
    assert_eq!(r.visible(8).len(), 2);
    assert_eq!(r.visible(9).len(), 1);
}
