//! Every verdict with its sentence, and what no sequence of verdicts may do.

use proptest::prelude::*;

use super::*;
use crate::channel::End;

const MIB: u64 = 1 << 20;

fn rules() -> ScaleRules {
    ScaleRules {
        min: 3,
        max: 5,
        window: Duration::from_secs(30),
        cool_down: Duration::from_secs(600),
        requests: Some(5_000.0),
        latency: Some(Duration::from_millis(10)),
        bytes: Some(100 * MIB),
        disk: Some(0.8),
        shrink_below: 0.6,
    }
}

/// What a member told at both ends of 30 s.
#[derive(Clone, Copy, Debug)]
struct Told {
    rate: f64,
    us: u64,
    mib: u64,
    disk: f64,
}

const CALM: Told = Told { rate: 100.0, us: 500, mib: 10, disk: 0.1 };

impl Told {
    fn loads(self) -> (Load, Load) {
        let before = Load { run: 1, uptime_ms: 1_000_000, requests: 77, ..Load::default() };
        let requests = (self.rate * 30.0).round() as u64;
        let mut after = before.clone();
        after.count(End::Done, Some(Duration::from_micros(self.us)));
        after.latency.iter_mut().for_each(|count| *count *= requests);
        (after.uptime_ms, after.requests) = (before.uptime_ms + 30_000, 77 + requests);
        (after.bytes, after.disk_total) = (self.mib * MIB, 1_000_000);
        after.disk_free = ((1.0 - self.disk) * 1_000_000.0).round() as u64;
        (before, after)
    }
}

/// A ring that is looked at.
#[derive(Clone)]
struct Ring {
    members: Vec<Sample>,
    hosts: Vec<String>,
    spares: Vec<String>,
    replicas: usize,
    changing: bool,
    age: Option<Duration>,
    too_slow: Vec<TooSlow>,
    failed: Vec<String>,
}

impl Ring {
    /// Members n1, n2, … of which n1 to n3 are no spares; n4, n5, n6 are.
    fn of(members: usize, told: Told) -> Self {
        let name = |i: usize| format!("n{i}");
        let sample =
            |i| Sample { name: name(i), condition: Condition::Well, loads: Some(told.loads()) };
        Self {
            members: (1..=members).map(sample).collect(),
            hosts: (1..=3).map(name).collect(),
            spares: (4..=6).map(name).collect(),
            replicas: 3,
            changing: false,
            age: None,
            too_slow: Vec::new(),
            failed: Vec::new(),
        }
    }

    fn decide(&self, rules: &ScaleRules) -> Decision {
        let sight = Sight {
            members: &self.members,
            hosts: &self.hosts,
            spares: &self.spares,
            replicas: self.replicas,
            changing: self.changing,
            age: self.age,
            too_slow: &self.too_slow,
            failed: &self.failed,
        };
        decide(rules, &sight)
    }

    #[track_caller]
    fn is(&self, verb: &ScaleVerb, words: &str) {
        let decision = self.decide(&rules());
        assert_eq!((&decision.verb, decision.reason.as_str()), (verb, words));
    }

    #[track_caller]
    fn stays(&self, words: &str) {
        let decision = self.decide(&rules());
        assert_eq!(decision.verb, ScaleVerb::Stay, "{}", decision.reason);
        assert!(decision.reason.contains(words), "{}", decision.reason);
    }
}

fn grow(name: &str) -> ScaleVerb {
    ScaleVerb::Grow(name.into())
}

fn shrink(name: &str) -> ScaleVerb {
    ScaleVerb::Shrink(name.into())
}

#[test]
fn each_figure_above_its_target_asks_for_the_first_spare_that_is_free() {
    let busy = Told { rate: 7_200.0, ..CALM };
    let words = "7,200 requests/s and node, target 5,000: n4 joins";
    Ring::of(3, busy).is(&grow("n4"), words);
    Ring::of(4, busy).is(&grow("n5"), &words.replace("n4", "n5"));
    let slow = Told { us: 24_000, ..CALM };
    let told = Ring::of(3, slow).decide(&rules());
    assert_eq!(told.verb, grow("n4"));
    assert!(told.reason.ends_with(" ms, target 10 ms: n4 joins"), "{}", told.reason);
    assert_eq!(told.too_slow, Some(TooSlow { members: 3, rate: 300.0 }));
    Ring::of(3, Told { mib: 150, ..CALM })
        .is(&grow("n4"), "150 MiB in the largest node, target 100 MiB: n4 joins");
    Ring::of(3, Told { disk: 0.81, ..CALM })
        .is(&grow("n4"), "81 % of the fullest disk, target 80 %: n4 joins");
    let mut one = Ring::of(3, CALM);
    one.members[1].loads = Some(Told { mib: 101, disk: 0.9, ..CALM }.loads());
    let two = "101 MiB in the largest node, target 100 MiB and 90 % of the fullest disk, \
               target 80 %: n4 joins";
    one.is(&grow("n4"), two);
    let at = Told { rate: 5_000.0, disk: 0.8, mib: 100, ..CALM };
    Ring::of(3, at).stays("within its target");
}

#[test]
fn spares_are_taken_in_the_order_of_the_inventory_whoever_is_in() {
    let mut ring = Ring::of(3, Told { rate: 7_200.0, ..CALM });
    ring.members.push(Sample { name: "n5".into(), ..ring.members[0].clone() });
    assert_eq!(ring.decide(&rules()).verb, grow("n4"));
    let mut ring = Ring::of(4, CALM);
    ring.members.push(Sample { name: "n6".into(), ..ring.members[0].clone() });
    assert_eq!(ring.decide(&rules()).verb, shrink("n6"));
}

/// A spare that could not join keeps nobody else out.
#[test]
fn a_spare_that_failed_is_passed_over() {
    let mut ring = Ring::of(3, Told { rate: 7_200.0, ..CALM });
    ring.failed = vec!["n4".into()];
    assert_eq!(ring.decide(&rules()).verb, grow("n5"));
    ring.failed = vec!["n4".into(), "n6".into(), "n5".into()];
    ring.stays("but no spare is left to join; lately failed: n4, n6, n5");
}

#[test]
fn nothing_grows_beyond_the_most_or_without_a_spare() {
    let busy = Told { rate: 7_200.0, ..CALM };
    Ring::of(5, busy).is(
        &ScaleVerb::Stay,
        "7,200 requests/s and node, target 5,000, but there are 5 members of at most 5",
    );
    let mut none = Ring::of(4, busy);
    none.spares = vec!["n4".into()];
    none.stays("but no spare is left to join");
}

#[test]
fn a_spare_goes_when_all_would_stay_well_below_without_it() {
    Ring::of(4, Told { rate: 2_000.0, ..CALM }).is(
        &shrink("n4"),
        "without n4 all stays below 60 % of its target (2,667 requests/s and node, p99 679 µs, \
         13 MiB in the largest node, 13 % of the fullest disk): n4 leaves",
    );
    Ring::of(4, Told { rate: 2_400.0, ..CALM })
        .stays("without n4 it would be 3,200 requests/s and node, not below 60 % of 5,000");
    Ring::of(4, Told { mib: 50, ..CALM }).stays("not below 60 % of 100 MiB");
    Ring::of(4, Told { disk: 0.4, ..CALM }).stays("not below 60 % of 80 %");
    Ring::of(4, Told { us: 6_000, ..CALM }).stays("not below 60 % of 10 ms");
}

#[test]
fn idle_members_are_no_reason_to_wait_for_requests_to_time() {
    let idle = Told { rate: 0.0, ..CALM };
    assert_eq!(Ring::of(5, idle).decide(&rules()).verb, shrink("n5"));
    // A handful of slow ones says nothing of the 99th of a hundred.
    let few = Told { rate: 1.0, us: 5_000_000, ..CALM };
    Ring::of(3, few).stays("fewest allowed");
}

#[test]
fn no_fewer_than_the_least_and_the_replicas_and_only_spares_go() {
    Ring::of(3, CALM).stays("3 members are the fewest allowed");
    let wider = ScaleRules { min: 4, ..rules() };
    let decision = Ring::of(3, CALM).decide(&wider);
    assert_eq!(decision.verb, grow("n4"));
    assert_eq!(decision.reason, "there are 3 members of at least 4: n4 joins");
    let mut none = Ring::of(3, CALM);
    none.spares.clear();
    assert_eq!(none.decide(&wider).verb, ScaleVerb::Stay);
    let mut wide = Ring::of(4, CALM);
    wide.replicas = 4;
    wide.stays("4 members are the fewest allowed");
    let mut own = Ring::of(4, CALM);
    own.hosts.push("n4".into());
    own.spares = vec!["n5".into()];
    own.stays("no spare is a member");
}

#[test]
fn what_is_unsettled_stays_and_says_who() {
    let busy = Ring::of(4, Told { rate: 7_200.0, ..CALM });
    let with = |change: fn(&mut Ring)| {
        let mut ring = busy.clone();
        change(&mut ring);
        ring
    };
    with(|r| r.changing = true).is(&ScaleVerb::Stay, "a change of the ring is under way");
    with(|r| r.members[1].condition = Condition::Down).is(&ScaleVerb::Stay, "n2 is down");
    let two = with(|r| r.members[1..3].iter_mut().for_each(|m| m.condition = Condition::Filling));
    two.is(&ScaleVerb::Stay, "n2, n3 are still filling");
    with(|r| r.members[2].loads = None).is(&ScaleVerb::Stay, "there are no figures of n3");
    with(|r| drop(r.members.remove(0))).is(&ScaleVerb::Stay, "n1 is no member: kvs push apply");
    let young = with(|r| r.age = Some(Duration::from_secs(599)));
    young.is(&ScaleVerb::Stay, "the last change is 9m 59s ago and 10m are to pass");
    let old = with(|r| r.age = Some(Duration::from_secs(600)));
    assert_ne!(old.decide(&rules()).verb, ScaleVerb::Stay);
}

#[test]
fn without_a_target_nothing_is_done() {
    let rules = ScaleRules { requests: None, latency: None, bytes: None, disk: None, ..rules() };
    let decision = Ring::of(5, CALM).decide(&rules);
    assert_eq!((decision.verb, decision.figures.len()), (ScaleVerb::Stay, 0));
    assert!(decision.reason.contains("no figure has a target"), "{}", decision.reason);
}

#[test]
fn a_node_that_was_restarted_counts_from_its_start() {
    let mut ring = Ring::of(3, CALM);
    let fresh = Load { run: 2, uptime_ms: 10_000, requests: 300_000, ..CALM.loads().1 };
    ring.members[0].loads = Some((CALM.loads().0, fresh));
    let words = "10,067 requests/s and node, target 5,000: n4 joins";
    ring.is(&grow("n4"), words);
    let none = Load { run: 2, uptime_ms: 0, ..Load::default() };
    ring.members[0].loads = Some((CALM.loads().0, none));
    ring.stays("there are no figures of n1");
}

#[test]
fn a_disk_that_cannot_be_told_keeps_its_member() {
    let mut ring = Ring::of(4, CALM);
    let (before, mut after) = CALM.loads();
    after.disk_total = 0;
    ring.members[0].loads = Some((before, after));
    ring.stays("disk cannot be told");
}

#[test]
fn so_few_as_were_too_slow_are_not_tried_again_at_that_rate() {
    let mut ring = Ring::of(4, CALM); // 400 requests/s together
    ring.too_slow = vec![TooSlow { members: 3, rate: 600.0 }];
    ring.stays("3 members were too slow at 600 requests/s; there are 400 now");
    ring.too_slow = vec![TooSlow { members: 3, rate: 700.0 }, TooSlow { members: 2, rate: 1.0 }];
    assert_eq!(ring.decide(&rules()).verb, shrink("n4"));
}

/// Often calm: else nothing would ever shrink.
fn any_us() -> impl Strategy<Value = u64> {
    prop_oneof![1..3_000_u64, 1..40_000_u64]
}

prop_compose! {
    fn any_told()(
        rate in prop_oneof![0.0..1_500.0_f64, 0.0..12_000.0_f64],
        us in any_us(),
        mib in prop_oneof![0..20_u64, 0..200_u64],
        disk in prop_oneof![0.0..0.2_f64, 0.0..1.0_f64],
    ) -> Told {
        Told { rate, us, mib, disk }
    }
}

prop_compose! {
    fn any_rules()(
        min in 1..6_usize, more in 0..4_usize, below in prop_oneof![Just(0.95), 0.0..0.95_f64], which in 0..16_u8,
    ) -> ScaleRules {
        let all = rules();
        ScaleRules {
            min,
            max: min + more,
            requests: all.requests.filter(|_| which & 1 > 0),
            latency: all.latency.filter(|_| which & 2 > 0),
            bytes: all.bytes.filter(|_| which & 4 > 0),
            disk: all.disk.filter(|_| which & 8 > 0),
            shrink_below: below,
            ..all
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn never_below_the_least_nor_above_the_most_nor_while_unsettled(
        members in 1..7_usize, told in any_told(), rules in any_rules(), replicas in 1..5_usize,
        condition in prop_oneof![Just(0), 0..3_u8], changing in prop::bool::weighted(0.1),
        age in prop::option::of(0..1_200_u64),
    ) {
        let mut ring = Ring::of(members, told);
        (ring.replicas, ring.changing) = (replicas, changing);
        ring.age = age.map(Duration::from_secs);
        ring.members[members - 1].condition =
            [Condition::Well, Condition::Down, Condition::Filling][usize::from(condition)];
        match ring.decide(&rules).verb {
            ScaleVerb::Stay => {}
            _ if changing || condition > 0 || age.is_some_and(|age| age < 600) => {
                prop_assert!(false, "it is unsettled")
            }
            ScaleVerb::Grow(name) => {
                prop_assert!(members < rules.max);
                prop_assert!(ring.members.iter().all(|m| m.name != name));
                prop_assert!(ring.spares.contains(&name));
            }
            ScaleVerb::Shrink(name) => {
                prop_assert!(members > rules.min && members > replicas);
                prop_assert!(ring.members.iter().any(|m| m.name == name));
                prop_assert!(ring.spares.contains(&name));
            }
        }
    }

    /// Whatever the latency does, as long as the rest spreads over the members there are.
    #[test]
    fn a_change_never_asks_for_its_reverse(
        members in 3..7_usize, told in any_told(), us in any_us(), rules in any_rules(),
    ) {
        let ring = Ring::of(members, told);
        let first = ring.decide(&rules);
        let (count, grown) = match &first.verb {
            ScaleVerb::Stay => return Ok(()),
            ScaleVerb::Grow(_) => (members + 1, true),
            ScaleVerb::Shrink(_) => (members - 1, false),
        };
        let factor = members as f64 / count as f64;
        let after = Told {
            rate: told.rate * factor,
            // Fewer members are at the worst as slow as they were feared to be.
            us: if grown { us } else { (told.us as f64 * factor) as u64 },
            mib: (told.mib as f64 * factor) as u64,
            disk: told.disk * factor,
        };
        let mut next = Ring::of(count, after);
        next.too_slow = first.too_slow.into_iter().collect();
        let second = next.decide(&rules).verb;
        match second {
            ScaleVerb::Shrink(_) => prop_assert!(!grown, "{} and then back", first.reason),
            ScaleVerb::Grow(_) => prop_assert!(grown, "{} and then back", first.reason),
            ScaleVerb::Stay => {}
        }
    }
}
