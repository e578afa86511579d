//! What a list takes, what it tells, whom it suspects; and the laws of its merge.

use proptest::prelude::*;

use super::*;

const ME: NodeId = NodeId(1);
const YOU: NodeId = NodeId(2);
/// Tells what others have said.
const SOMEBODY: NodeId = NodeId(77);

fn row(id: u64, generation: u64, beat: u64) -> GossipRow {
    let (address, health) = (format!("h{id}:{generation}"), NodeHealth::Well);
    GossipRow { id: NodeId(id), generation, beat, address, actor: Actor(id), version: beat, health }
}

fn list() -> Gossip {
    Gossip::new(row(1, 10, 0), 3, 0)
}

/// A list that heard `YOU` beat once a second until this second, and ticked on time.
fn listening(seconds: u64) -> Gossip {
    let mut list = list();
    for second in 1..=seconds {
        list.tick(second * 1000, &[]);
        list.merge(SOMEBODY, vec![row(2, 5, second)], second * 1000);
    }
    list
}

/// Lets time pass without a word from anyone.
fn silence(list: &mut Gossip, from_ms: u64, to_ms: u64) {
    (from_ms..=to_ms).step_by(100).for_each(|ms| drop(list.tick(ms, &[])));
}

fn told_within_a_second(list: &mut Gossip, from_ms: u64, linked: &[NodeId]) -> Vec<NodeId> {
    (0..10).flat_map(|tenth| list.tick(from_ms + tenth * 100, linked)).collect()
}

fn sorted(list: &Gossip) -> Vec<GossipRow> {
    let mut rows = list.rows();
    rows.sort_by_key(|row| row.id);
    rows
}

#[test]
fn the_newer_row_wins_by_generation_then_by_beat() {
    let mut list = list();
    for (generation, beat, kept) in
        [(5, 7, (5, 7)), (5, 6, (5, 7)), (5, 8, (5, 8)), (4, 99, (5, 8)), (6, 0, (6, 0))]
    {
        list.merge(SOMEBODY, vec![row(2, generation, beat)], 0);
        assert_eq!(list.row(YOU).map(GossipRow::age), Some(kept));
    }
}

#[test]
fn an_answer_holds_what_the_sender_knows_less_well() {
    let mut list = list();
    list.merge(SOMEBODY, vec![row(2, 5, 5), row(3, 5, 5), row(4, 5, 5)], 0);
    let answer =
        list.merge(SOMEBODY, vec![row(2, 5, 4), row(3, 5, 5), row(4, 5, 6), row(5, 1, 1)], 0);
    assert_eq!(answer, [row(1, 10, 0), row(2, 5, 5)]);
    assert_eq!(list.merge(SOMEBODY, list.rows(), 0), []);
}

#[test]
fn an_address_of_a_file_is_told_only_to_who_has_none() {
    let mut list = list();
    list.hint(YOU, "file:1".into());
    list.hint(ME, "elsewhere:1".into());
    assert_eq!(list.own().address, "h1:10");
    let hinted = list.row(YOU).expect("hinted").clone();
    assert_eq!((hinted.generation, hinted.address.as_str()), (0, "file:1"));
    assert!(list.merge(SOMEBODY, vec![], 0).contains(&hinted));
    let empty = GossipRow { address: String::new(), ..row(2, 0, 0) };
    assert!(list.merge(SOMEBODY, vec![empty], 0).contains(&hinted));
    assert!(!list.merge(SOMEBODY, vec![row(2, 0, 0)], 0).contains(&hinted));
    assert_eq!(list.row(YOU), Some(&hinted), "the own file is believed before another's");
    assert!(!list.is_up(YOU, 0));

    list.merge(SOMEBODY, vec![row(2, 1, 0)], 0);
    list.hint(YOU, "file:2".into());
    assert_eq!(list.row(YOU), Some(&row(2, 1, 0)));
    assert!(list.is_up(YOU, 0));
}

#[test]
fn a_node_outbids_its_former_self() {
    let mut list = list();
    list.merge(SOMEBODY, vec![row(1, 9, 50), row(1, 10, 0)], 0);
    assert_eq!((list.echoes(), list.own().generation), (0, 10));
    let answer = list.merge(SOMEBODY, vec![row(1, 12, 3)], 0);
    assert_eq!((list.echoes(), list.own().generation), (1, 13));
    assert_eq!(answer, [list.own().clone()]);
    assert_eq!(list.own().address, "h1:10", "what it says of itself stays its own");
}

#[test]
fn two_processes_of_one_identity_echo_for_ever() {
    let (mut one, mut other) = (list(), Gossip::new(row(1, 11, 0), 4, 0));
    for second in 0..10 {
        other.merge(SOMEBODY, one.rows(), second * 1000);
        one.merge(SOMEBODY, other.rows(), second * 1000);
    }
    assert!(one.echoes() >= 9 && other.echoes() >= 9, "{} {}", one.echoes(), other.echoes());
}

#[test]
fn who_is_stopping_is_down_at_once_and_who_restarts_is_up_at_once() {
    let mut list = listening(20);
    assert!(list.is_up(YOU, 20_000));
    let stopping = GossipRow { health: NodeHealth::Stopping, ..row(2, 5, 21) };
    list.merge(SOMEBODY, vec![stopping], 20_100);
    assert_eq!(list.phi(YOU, 20_100), f64::INFINITY);
    list.merge(SOMEBODY, vec![row(2, 6, 0)], 20_200);
    assert!(list.is_up(YOU, 20_200));

    silence(&mut list, 20_300, 60_000);
    assert!(!list.is_up(YOU, 60_000));
    list.merge(SOMEBODY, vec![row(2, 7, 0)], 60_000);
    assert!(list.is_up(YOU, 60_000));
}

#[test]
fn a_restart_is_no_interval() {
    let mut list = listening(5);
    let before = list.phi(YOU, 5_000 + 3_000);
    silence(&mut list, 5_100, 25_000);
    list.merge(SOMEBODY, vec![row(2, 6, 0)], 25_000);
    assert_eq!(list.phi(YOU, 25_000 + 3_000), before);
}

#[test]
fn silence_is_suspect_after_a_while() {
    let mut list = listening(100);
    silence(&mut list, 100_100, 105_000);
    assert!(list.is_up(YOU, 102_000));
    assert!(!list.is_up(YOU, 105_000));
    assert_eq!(list.silent_ms(YOU, 105_000), 5_000);
    assert_eq!(list.phi(NodeId(9), 105_000), f64::INFINITY, "never heard");
    assert_eq!(list.silent_ms(NodeId(9), 105_000), 105_000);
    assert_eq!((list.phi(ME, 105_000), list.silent_ms(ME, 105_000)), (0.0, 0));
}

#[test]
fn nobody_is_suspected_for_a_pause_of_this_process() {
    let mut list = listening(100);
    let before = list.phi(YOU, 100_000 + 3_000);
    list.tick(100_500, &[]);
    list.tick(160_500, &[]);
    assert_eq!(list.silent_ms(YOU, 160_500), 500);
    assert!(list.is_up(YOU, 160_500));
    silence(&mut list, 160_600, 165_500);
    assert!(!list.is_up(YOU, 165_500), "its own silence counts on");

    // What piled up during a pause is read before the first tick after it, and is no long interval.
    let mut list = listening(100);
    list.merge(SOMEBODY, vec![row(2, 5, 101)], 120_000);
    list.tick(120_000, &[]);
    assert!((list.phi(YOU, 120_000 + 3_000) - before).abs() < 0.1);
}

#[test]
fn the_own_beat_rises_once_a_second_whenever_ticks_come() {
    let mut list = list();
    let mut beats = 0;
    for ms in (0..=60_100).step_by(130) {
        beats += list.tick(ms, &[YOU]).len();
    }
    assert_eq!((list.own().beat, beats), (60, 60));
    list.tick(600_000, &[]);
    list.tick(600_100, &[]);
    assert_eq!(list.own().beat, 61, "missed beats are not made up for");
}

#[test]
fn a_change_is_told_at_once_and_cannot_rename() {
    let mut list = list();
    assert_eq!(list.tick(100, &[YOU]), []);
    list.set(|row| row.version = 7);
    assert_eq!((list.own().version, list.own().beat), (7, 1));
    assert_eq!(list.tick(200, &[YOU]), [YOU]);
    list.set(|row| row.version = 7);
    list.set(|row| (row.id, row.generation, row.beat) = (YOU, 0, 0));
    assert_eq!(list.own().age(), (10, 2));
    assert_eq!(list.own().id, ME);
    assert_eq!(list.tick(300, &[YOU]), [], "nothing changed");
}

#[test]
fn whom_to_tell_is_drawn_evenly_without_repetition() {
    let linked: Vec<NodeId> = (2..12).map(NodeId).collect();
    let mut list = list();
    let mut drawn = BTreeMap::new();
    for second in 1..=3000 {
        let mut three = told_within_a_second(&mut list, second * 1000, &linked);
        three.sort_unstable();
        three.dedup();
        assert_eq!(three.len(), 3);
        three.iter().for_each(|id| *drawn.entry(*id).or_insert(0) += 1);
    }
    assert!(drawn.len() == 10 && drawn.values().all(|n| (800..1000).contains(n)), "{drawn:?}");
    assert_eq!(told_within_a_second(&mut list, 4_000_000, &linked[..2]).len(), 2);
    assert_eq!(told_within_a_second(&mut list, 5_000_000, &[ME]), []);

    assert_eq!(list.tick(6_000_000, &linked).len(), 1);
    assert_eq!(list.tick(6_000_500, &[]), [], "whose link is gone is not named");
}

#[test]
fn garbage_is_bounded() {
    let mut list = list();
    let long = |len| GossipRow { address: "a".repeat(len), ..row(2, 5, 5) };
    list.merge(SOMEBODY, vec![long(ADDRESS_MAX + 1)], 0);
    assert_eq!(list.row(YOU), None);
    list.merge(SOMEBODY, vec![long(ADDRESS_MAX)], 0);
    assert!(list.row(YOU).is_some());
    list.hint(NodeId(3), "a".repeat(ADDRESS_MAX + 1));
    assert_eq!(list.row(NodeId(3)), None);

    list.merge(SOMEBODY, (3..5000).map(|id| row(id, 1, 1)).collect(), 0);
    list.hint(NodeId(6000), "h:1".into());
    assert_eq!(list.rows().len(), ROWS_MAX);
    list.merge(SOMEBODY, vec![row(2, 5, 6)], 0);
    assert_eq!(list.row(YOU).map(GossipRow::age), Some((5, 6)), "who is known is still heard");
    list.retain(|id| id == YOU);
    assert_eq!(list.rows().len(), 2);

    let most = u64::MAX;
    list.merge(SOMEBODY, vec![row(1, most, most), row(2, most, most), row(3, 0, most)], 0);
    list.tick(1000, &[YOU]);
    assert!(list.is_up(YOU, 1000));
}

#[test]
fn what_a_member_says_itself_is_believed_before_what_is_said_of_it() {
    let mut list = list();
    list.merge(SOMEBODY, vec![row(2, AGE_MAX, AGE_MAX)], 0);
    assert_eq!(list.row(YOU).map(GossipRow::age), Some((AGE_MAX, AGE_MAX)));
    list.merge(YOU, vec![row(2, 5, 7)], 0);
    assert_eq!(list.row(YOU).map(GossipRow::age), Some((5, 7)), "a lie ends with its first word");
    for (generation, beat) in [(6, 0), (5, 7 + BEATS_AHEAD + 1), (AGE_MAX, 1)] {
        list.merge(SOMEBODY, vec![row(2, generation, beat)], 0);
        assert_eq!(list.row(YOU).map(GossipRow::age), Some((5, 7)), "({generation}, {beat})");
    }
    list.merge(SOMEBODY, vec![row(2, 5, 9)], 1000);
    assert_eq!(list.row(YOU).map(GossipRow::age), Some((5, 9)), "news of the same run is news");
    list.tick(1100, &[]);
    list.merge(SOMEBODY, vec![row(2, 6, 0)], 1200);
    assert_eq!(
        list.row(YOU).map(GossipRow::age),
        Some((6, 0)),
        "without a link hearsay is all there is"
    );
}

#[test]
fn no_row_of_others_stops_a_node() {
    let mut list = list();
    list.merge(SOMEBODY, vec![row(1, u64::MAX, u64::MAX)], 0);
    assert_eq!((list.echoes(), list.own().generation), (0, 10));
    for i in 0..100 {
        list.merge(SOMEBODY, vec![row(1, AGE_MAX - 200 + 2 * i, 0)], 0);
    }
    assert_eq!((list.echoes(), list.own().generation), (1, AGE_MAX - 1), "one echo in a second");
    list.merge(SOMEBODY, vec![row(1, AGE_MAX, AGE_MAX)], 5000);
    assert_eq!((list.echoes(), list.own().generation), (1, AGE_MAX - 1), "and a last generation");
}

#[test]
fn an_address_is_one_word() {
    let mut list = list();
    for address in ["h:1\nn9 up", "h\u{1b}[2J:1", "h 1"] {
        list.merge(SOMEBODY, vec![GossipRow { address: address.into(), ..row(2, 5, 5) }], 0);
        assert_eq!(list.row(YOU), None, "{address:?}");
    }
}

#[test]
fn a_list_of_no_generation_takes_one() {
    assert_eq!(Gossip::new(row(1, 0, 0), 0, 0).own().generation, 1);
}

/// A row that some node could have said; of two equal ages it said one thing. Hints are of one file.
fn said() -> impl Strategy<Value = GossipRow> {
    (2..8_u64, 0..4_u64, 0..4_u64).prop_map(|(id, generation, beat)| {
        row(id, generation, if generation == 0 { 0 } else { beat })
    })
}

fn pushes() -> impl Strategy<Value = Vec<Vec<GossipRow>>> {
    prop::collection::vec(prop::collection::vec(said(), 0..8), 0..6)
}

proptest! {
    #[test]
    fn the_order_of_merges_does_not_matter(
        (pushes, shuffled) in pushes().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle()))
    ) {
        let (mut one, mut other) = (list(), list());
        pushes.into_iter().for_each(|rows| drop(one.merge(SOMEBODY, rows, 5)));
        shuffled.into_iter().rev().for_each(|rows| drop(other.merge(SOMEBODY, rows, 5)));
        prop_assert_eq!(one.rows(), other.rows());
    }

    #[test]
    fn merge_is_idempotent(pushes in pushes(), again in prop::collection::vec(said(), 0..8)) {
        let mut list = list();
        pushes.into_iter().for_each(|rows| drop(list.merge(SOMEBODY, rows, 5)));
        let answer = list.merge(SOMEBODY, again.clone(), 5);
        let (rows, silence) = (list.rows(), list.silent_ms(YOU, 950));
        prop_assert_eq!(list.merge(SOMEBODY, again, 900), answer);
        prop_assert_eq!(list.rows(), rows);
        prop_assert_eq!(list.silent_ms(YOU, 950), silence);
    }

    #[test]
    fn after_an_exchange_both_know_the_same(a in pushes(), b in pushes()) {
        let (mut one, mut other) = (list(), Gossip::new(row(9, 10, 0), 3, 0));
        a.into_iter().for_each(|rows| drop(one.merge(SOMEBODY, rows, 5)));
        b.into_iter().for_each(|rows| drop(other.merge(SOMEBODY, rows, 5)));
        let answer = other.merge(SOMEBODY, one.rows(), 6);
        let told = answer.len();
        prop_assert_eq!(one.merge(SOMEBODY, answer, 7).len(), one.rows().len() - told);
        prop_assert_eq!(sorted(&one), sorted(&other));
        prop_assert_eq!(other.merge(SOMEBODY, one.rows(), 8), vec![]);
    }
}
