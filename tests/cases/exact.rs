//! Cases of exact writes: of a value made from what was read, by a writer who must be the only one.
//!
//! ```text
//! X reads 5, writes 6, exact      reads again after its acks: alone          Written
//! Y reads 5, writes 6, exact      finds 6 of X beside its own                Unknown, both stay
//! ```
//!
//! Law: an exact write is refused, with nothing written, when the coordinator or the owners it reads
//! hold anything that its context does not cover. What is answered "written" is gone on from by
//! whatever follows; what is answered "conflict" is nowhere in the end; of two that meet at most one is
//! told "written", and nothing that was there before them is lost. Equal values of two writers are two
//! events.

use std::collections::BTreeSet;

use kvs::key::Key;
use kvs::node::{Reply, Request};
#[cfg(feature = "planted")]
use kvs::planted::Bug;
use kvs::quorum::{Item, ItemReply, Options, Precondition, PutReply, PutRequest, Verdict};
use kvs::record::Record;

use crate::help::*;
use crate::support::world::*;

/// What a strict read shows: the record.
fn read(w: &mut World, via: usize) -> Record {
    let reply = w.get(via, "k", strict());
    assert_eq!(reply.verdict, Verdict::Done);
    let key = Key::new("k").unwrap();
    reply.stored.map(|s| s.record(&key).unwrap()).unwrap_or_default()
}

/// What is there that the context of a writer does not cover.
#[derive(Clone, Copy, Debug)]
enum There {
    Value,
    Delete,
    Sibling,
    /// A value that the coordinator missed.
    Elsewhere,
}

/// An exact write from before that; how it ended, how many writes were minted by it, and whether all
/// disks are as they were.
fn exact_over(there: There) -> (PutReply, usize, bool) {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    acked(&mut w, a, "k", "v0");
    let seen = read(&mut w, a).clock;
    match there {
        There::Value => {
            drop(w.write(a, "k", Some("v1"), Precondition::Context(seen.clone()), strict()))
        }
        There::Delete => drop(w.delete(a, "k")),
        There::Sibling => drop(w.blind(b, "k", "beside")),
        There::Elsewhere => {
            w.isolate(a);
            let reply =
                w.write(b, "k", Some("v1"), Precondition::Context(seen.clone()), strictly(2, 2));
            assert!(is_done(&reply));
            w.heal();
            assert_eq!(
                (w.values(a, "k"), w.values(c, "k")),
                (vec!["v0".into()], vec!["v1".into()])
            );
        }
    }
    assert!(w.settle());
    let disks = |w: &World| [a, b, c].map(|i| w.record(i, "k"));
    let (before, minted) = (disks(&w), w.mints.len());
    let reply = w.write(a, "k", Some("exact"), Precondition::Exact(seen), options());
    assert!(w.settle());
    (reply, w.mints.len() - minted, disks(&w) == before)
}

#[test]
fn an_exact_write_over_what_it_has_not_seen_writes_nothing() {
    for there in [There::Value, There::Delete, There::Sibling, There::Elsewhere] {
        let (reply, minted, same) = exact_over(there);
        let refused = matches!(reply.items.as_slice(), [ItemReply::Conflict { .. }]);
        assert!(refused && reply.verdict == Verdict::Done, "{there:?}: {reply:?}");
        assert!(minted == 0 && same, "{there:?}: something was written");
        #[cfg(feature = "planted")]
        assert!(goes_wrong(Bug::ExactIsBlind, || exact_over(there).1 > 0), "{there:?}");
    }
}

/// How a write ended for its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Written,
    Lost,
    Unknown,
}

fn ended(reply: &PutReply) -> Ended {
    match &reply.verdict {
        Verdict::Done if is_done(reply) => Ended::Written,
        Verdict::Done | Verdict::Refused(_) | Verdict::Unreachable(_) => Ended::Lost,
        Verdict::Unknown(_) => Ended::Unknown,
    }
}

/// Who takes whom for dead.
#[derive(Clone, Copy, Debug)]
enum Doubts {
    /// The second coordinator takes the first for dead.
    One,
    /// Each takes the other for dead.
    Both,
}

/// What two writers did: the tags of their writes and how each ended, and every value that is left.
struct Race {
    ended: Vec<(String, Ended)>,
    left: Vec<String>,
}

/// Two coordinators that both believe to be the first. Six times each reads what is there and writes a
/// value made from that, the second so many ms after the first. `make` makes the value: of what was
/// read, and the writer's tag.
fn race(doubts: Doubts, apart_ms: u64, make: fn(&[String], &str) -> String) -> Race {
    let mut w = ring(3);
    let [a, b, _] = owners(&w, "k");
    acked(&mut w, a, "k", &make(&[], "0"));
    lie(&mut w);
    doubt(&mut w, b, &[a]);
    if let Doubts::Both = doubts {
        doubt(&mut w, a, &[b]);
    }
    let mut all = vec![("0".to_string(), Ended::Written)];
    for round in 1..=6 {
        w.net.delay_ms = if round % 2 == 0 { (1, 7) } else { (2, 2) };
        let mut under_way = Vec::new();
        let seen = [a, b].map(|via| read(&mut w, via));
        for (via, record) in [a, b].into_iter().zip(seen) {
            let tag = format!("{via}.{round}");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let values: Vec<_> = record.siblings.iter().map(|s| text(&s.1.bytes)).collect();
            let value = make(&values, &tag);
            let ticket =
                start(&mut w, via, "k", &value, Precondition::Exact(record.clock), strictly(2, 2));
            under_way.push((tag, ticket));
            w.run_for(if via == a { apart_ms } else { 0 });
        }
        w.run_for(6_000);
        for (tag, ticket) in under_way {
            let reply = taken(&mut w, ticket).expect("an answer");
            all.push((tag, ended(&reply)));
        }
    }
    converge(&mut w);
    assert!(w.wrong.is_empty(), "{:?}", w.wrong);
    Race { ended: all, left: w.values(a, "k") }
}

/// A list of tags: all that were read, and the own one.
fn listed(read: &[String], tag: &str) -> String {
    let tags: BTreeSet<&str> =
        read.iter().flat_map(|v| v.split(' ')).chain([tag]).filter(|t| !t.is_empty()).collect();
    tags.into_iter().collect::<Vec<_>>().join(" ")
}

/// The tags of a race that were told to have ended so, and are there though lost, or missing though
/// written.
fn broken_words(race: &Race, told: Ended) -> Vec<String> {
    let there: BTreeSet<&str> = race.left.iter().flat_map(|v| v.split(' ')).collect();
    let broken = |(tag, ended): &&(String, Ended)| {
        *ended == told && there.contains(tag.as_str()) == (told == Ended::Lost)
    };
    race.ended.iter().filter(broken).map(|(tag, _)| tag.clone()).collect()
}

/// Whatever two coordinators believe, and however close they are: what was told to be lost is nowhere.
#[test]
fn what_an_exact_writer_is_told_to_have_lost_is_nowhere() {
    let mut lost = 0;
    for doubts in [Doubts::One, Doubts::Both] {
        for apart in 0..40 {
            let race = race(doubts, apart, listed);
            let none: Vec<String> = Vec::new();
            let broken = broken_words(&race, Ended::Lost);
            assert_eq!(broken, none, "{doubts:?}, {apart} ms: {:?}", race.left);
            lost += race.ended.iter().filter(|e| e.1 == Ended::Lost).count();
        }
    }
    assert!(lost > 200, "some lose: {lost}");
}

/// And what was told to be written is gone on from.
#[test]
fn what_an_exact_writer_is_told_to_have_written_is_gone_on_from() {
    let mut written = 0;
    for doubts in [Doubts::One, Doubts::Both] {
        for apart in 0..40 {
            let race = race(doubts, apart, listed);
            let none: Vec<String> = Vec::new();
            let broken = broken_words(&race, Ended::Written);
            assert_eq!(broken, none, "{doubts:?}, {apart} ms: {:?}", race.left);
            written += race.ended.iter().filter(|e| e.1 == Ended::Written).count();
        }
    }
    assert!(written > 200, "some win: {written}");
}

/// How often both of two writers that had read the same were told to have written.
fn both_won(race: &Race) -> usize {
    let won = |pair: &&[(String, Ended)]| pair.iter().all(|e| e.1 == Ended::Written);
    race.ended[1..].chunks_exact(2).filter(won).count()
}

#[test]
fn of_two_exact_writers_that_meet_at_most_one_is_told_to_have_written() {
    for doubts in [Doubts::One, Doubts::Both] {
        for apart in 0..40 {
            assert_eq!(both_won(&race(doubts, apart, listed)), 0, "{doubts:?}, {apart} ms");
        }
    }
    #[cfg(feature = "planted")]
    for bug in [Bug::ExactIsBlind, Bug::AbsentReadsOnce] {
        let both = |apart| both_won(&race(Doubts::Both, apart, listed)) > 0;
        assert!((0..40).any(|apart| goes_wrong(bug, || both(apart))), "{bug:?}");
    }
}

/// Two writers count with the same numbers: an equal value of another is no proof of one's own. The
/// count is that of the writes that were told to be written; those of unknown outcome may count.
#[test]
fn equal_values_of_exact_writers_count_once_each() {
    /// One more than what was read.
    fn counted(read: &[String], _: &str) -> String {
        let most = read.iter().filter_map(|v| v.parse::<u32>().ok()).max();
        most.map_or(0, |n| n + 1).to_string()
    }
    for doubts in [Doubts::One, Doubts::Both] {
        for apart in 0..40 {
            let race = race(doubts, apart, counted);
            let of = |which| race.ended.iter().skip(1).filter(|e| e.1 == which).count() as u32;
            let most = race.left.iter().filter_map(|v| v.parse::<u32>().ok()).max();
            let allowed = of(Ended::Written)..=of(Ended::Written) + of(Ended::Unknown);
            let at = format!("{doubts:?}, {apart} ms");
            assert!(most.is_some_and(|n| allowed.contains(&n)), "{at}: {most:?} of {allowed:?}");
        }
    }
}

/// A value that lives for another hour by two clocks of three. The coordinator's clock is two hours
/// ahead. What c holds after a write that replaces what has expired.
fn replaced_by_one_wrong_clock(basis: &Precondition) -> Vec<String> {
    let mut w = ring(3);
    let [a, b, c] = owners(&w, "k");
    let (partition, key) = w.place("k");
    if *basis != Precondition::Absent {
        acked(&mut w, a, "k", "plain");
    }
    let hour = WALL_MS + w.now_ms + 3_600_000;
    let item = Item { key, value: Some((b"ttl".to_vec(), Some(hour))), basis: Precondition::Blind };
    let put = PutRequest { partition, items: vec![item], options: strict() };
    let Some(Reply::Put(reply)) = w.ask(b, Request::Put(put)) else { panic!("no answer") };
    assert!(is_done(&reply));
    assert!(w.settle());
    w.hosts[a].skew_ms = 2 * 3_600_000;
    w.write(a, "k", Some("new"), basis.clone(), strict());
    assert!(w.settle());
    w.values(c, "k")
}

/// No value is superseded because one clock says that it has expired.
#[test]
fn one_wrong_clock_replaces_no_living_value() {
    for basis in [Precondition::Absent, Precondition::Overwrite { force: false }] {
        let held = replaced_by_one_wrong_clock(&basis);
        assert!(held.contains(&"ttl".into()), "{basis:?}: {held:?}");
        #[cfg(feature = "planted")]
        assert!(goes_wrong(Bug::OneClock, || {
            !replaced_by_one_wrong_clock(&basis).contains(&"ttl".into())
        }));
    }
}

/// Two writers on the two sides of a cut make the same value from the same one. They are two events and
/// shown as two, unlike equal values that were written blindly.
#[test]
fn derived_equal_values_stay_two() {
    for (derived, shown) in [(true, 2), (false, 1)] {
        let mut w = ring(3);
        let [a, b, _] = owners(&w, "k");
        acked(&mut w, a, "k", "5");
        let seen = read(&mut w, a).clock;
        w.isolate(a);
        let one = Options { w: Some(1), ..options() };
        for via in [a, b] {
            let basis =
                if derived { Precondition::Context(seen.clone()) } else { Precondition::Blind };
            assert!(is_done(&w.write(via, "k", Some("6"), basis, one.clone())));
        }
        converge(&mut w);
        let record = read(&mut w, a);
        let sixes = record.visible(WALL_MS).into_iter().filter(|s| s.1.bytes == b"6").count();
        assert_eq!(sixes, shown, "derived: {derived}");
    }
}
