//! The oracle can fail: each rule is shown a log it must accept and one it must not.

use kvs::clock::{Actor, Dot, VersionVector};

use crate::support::log::{End, Op, What};
use crate::support::oracle::*;

/// Logs in small: `w` a write, `r` a read; dots are `(actor, counter)`.
struct Log {
    ops: Vec<Op>,
    last: Vec<Op>,
    now: u64,
}

fn dot((actor, counter): (u64, u64)) -> Dot {
    Dot { actor: Actor(actor), counter }
}

fn clock(dots: &[(u64, u64)]) -> VersionVector {
    dots.iter().map(|d| dot(*d)).collect()
}

fn acked(at: (u64, u64)) -> End {
    End::Acked { dot: dot(at), context: None, hinted: 0 }
}

impl Log {
    fn new() -> Self {
        Self { ops: Vec::new(), last: Vec::new(), now: 0 }
    }

    fn op(&mut self, what: What, value: Option<&str>, strict: bool, end: End) -> Op {
        self.now += 10;
        let (who, key) = ("c.0".to_owned(), "k".to_owned());
        let value = value.map(str::to_owned);
        Op { who, begin_ms: self.now, end_ms: self.now + 5, key, strict, what, value, end }
    }

    fn w(mut self, what: What, value: &str, end: End) -> Self {
        let op = self.op(what, Some(value), true, end);
        self.ops.push(op);
        self
    }

    fn delete(mut self, what: What, end: End) -> Self {
        let op = self.op(what, None, true, end);
        self.ops.push(op);
        self
    }

    fn read(&mut self, strict: bool, seen: &[(u64, u64)], siblings: &[((u64, u64), &str)]) -> Op {
        let siblings = siblings.iter().map(|(d, v)| (dot(*d), (*v).to_owned())).collect();
        let end = End::Read { clock: clock(seen), siblings };
        self.op(What::Get, None, strict, end)
    }

    fn r(mut self, seen: &[(u64, u64)], siblings: &[((u64, u64), &str)]) -> Self {
        let op = self.read(true, seen, siblings);
        self.ops.push(op);
        self
    }

    fn sloppy(mut self, seen: &[(u64, u64)], siblings: &[((u64, u64), &str)]) -> Self {
        let op = self.read(false, seen, siblings);
        self.ops.push(op);
        self
    }

    fn last(mut self, seen: &[(u64, u64)], siblings: &[((u64, u64), &str)]) -> Self {
        let op = self.read(true, seen, siblings);
        self.last.push(op);
        self
    }

    #[track_caller]
    fn passes(self) {
        let found = judge(&self.ops, &self.last);
        assert!(found.is_empty(), "{found:?}");
    }

    #[track_caller]
    fn finds(self, words: &str) {
        let found = judge(&self.ops, &self.last);
        assert!(found.iter().any(|f| f.contains(words)), "no {words:?} in {found:?}");
    }
}

fn after(dots: &[(u64, u64)]) -> What {
    What::Context(clock(dots))
}

#[test]
fn a_write_that_is_gone_is_lost_unless_it_was_superseded() {
    let one = || Log::new().w(What::Blind, "a", acked((1, 1)));
    one().last(&[(1, 1)], &[((1, 1), "a")]).passes();
    one().last(&[], &[]).finds("not known any more");
    one().last(&[(1, 1)], &[]).finds("nothing superseded");
    let seen = |what| one().w(what, "b", acked((2, 1))).last(&[(1, 1), (2, 1)], &[((2, 1), "b")]);
    seen(after(&[(1, 1)])).passes();
    seen(What::Overwrite).passes();
    seen(after(&[])).finds("nothing superseded");
    seen(What::Blind).finds("nothing superseded");
}

#[test]
fn only_what_may_have_been_applied_explains_a_loss() {
    let with = |what, end| {
        let log = Log::new().w(What::Blind, "a", acked((1, 1))).w(what, "b", end);
        log.last(&[(1, 1), (2, 1)], &[])
    };
    with(after(&[(1, 1)]), End::Unknown("late".into())).passes();
    with(What::Overwrite, End::Unknown("late".into())).passes();
    with(after(&[(1, 1)]), End::Refused("no".into())).finds("nothing superseded");
    with(What::Overwrite, End::Declined).finds("nothing superseded");
    // An overwrite that had ended before, and one whose clock does not know it.
    let early = Log::new().w(What::Overwrite, "b", acked((2, 1))).w(after(&[]), "a", acked((1, 1)));
    early.last(&[(1, 1), (2, 1)], &[((2, 1), "b")]).finds("nothing superseded");
    let told = End::Acked { dot: dot((2, 1)), context: Some(clock(&[(2, 1)])), hinted: 0 };
    let log = Log::new().w(What::Blind, "a", acked((1, 1))).w(What::Overwrite, "b", told);
    log.last(&[(1, 1), (2, 1)], &[((2, 1), "b")]).finds("nothing superseded");
}

#[test]
fn a_delete_counts_as_a_write() {
    let log = || Log::new().w(What::Blind, "a", acked((1, 1)));
    log().delete(after(&[(1, 1)]), acked((2, 1))).last(&[(1, 1), (2, 1)], &[]).passes();
    let back = log().delete(after(&[(1, 1)]), acked((2, 1)));
    back.last(&[(1, 1), (2, 1)], &[((1, 1), "a")]).finds("is there in the end");
    let lost = log().delete(after(&[(1, 1)]), acked((2, 1)));
    lost.last(&[(1, 1)], &[]).finds("not known any more");
}

#[test]
fn what_a_strict_read_has_shown_is_as_good_as_acknowledged() {
    let log = || Log::new().w(What::Blind, "a", End::Unknown("late".into()));
    log().last(&[], &[]).passes();
    log().sloppy(&[(1, 1)], &[((1, 1), "a")]).last(&[], &[]).passes();
    log().r(&[(1, 1)], &[((1, 1), "a")]).last(&[(1, 1)], &[]).finds("nothing superseded");
}

#[test]
fn what_was_superseded_does_not_come_back() {
    let log = || {
        let log = Log::new().w(What::Blind, "a", acked((1, 1)));
        log.w(after(&[(1, 1)]), "b", acked((2, 1)))
    };
    let end: [((u64, u64), &str); 1] = [((2, 1), "b")];
    let all = [(1, 1), (2, 1)];
    log().r(&all, &end).last(&all, &end).passes();
    let both = [((1, 1), "a"), ((2, 1), "b")];
    log().last(&all, &both).finds("is there in the end");
    log().r(&all, &both).last(&all, &end).finds("was shown to c.0 afterwards");
    log().sloppy(&[(1, 1)], &[((1, 1), "a")]).last(&all, &end).passes();
}

#[test]
fn every_value_has_one_writer_and_one_dot() {
    let log = || Log::new().w(What::Blind, "a", acked((1, 1)));
    let a = [((1, 1), "a")];
    log().sloppy(&[(9, 9)], &[((9, 9), "x")]).last(&[(1, 1)], &a).finds("which nobody wrote");
    log().sloppy(&[(1, 7)], &[((1, 7), "a")]).last(&[(1, 1)], &a).finds("was told Some");
    let refused = log().w(What::Blind, "b", End::Refused("no".into()));
    let b = [((1, 1), "a"), ((1, 2), "b")];
    refused.sloppy(&[(1, 2)], &b).last(&[(1, 2)], &a).finds("the write of which was refused");
    let unknown = || log().w(What::Blind, "b", End::Unknown("late".into()));
    unknown().last(&[(1, 2)], &b).passes();
    let twice = unknown().sloppy(&[(1, 2)], &b).sloppy(&[(1, 1), (2, 1)], &[((2, 1), "b")]);
    twice.last(&[(1, 2), (2, 1)], &a).finds("and also under");
    let mut elsewhere = log();
    elsewhere.ops[0].key = "other".into();
    elsewhere.ops[0].end = End::Unknown("late".into());
    let mut other = elsewhere.read(true, &[], &[]);
    other.key = "other".into();
    elsewhere.last.push(other);
    elsewhere.last(&[(1, 1)], &a).finds("which was written to other");
    let same = log().w(What::Blind, "b", acked((1, 1)));
    assert!(!judge(&same.last(&[(1, 1)], &[((1, 1), "b")]).ops, &[]).is_empty());
}

#[test]
fn strict_reads_never_go_back() {
    let log = || {
        let log = Log::new().w(What::Blind, "a", acked((1, 1)));
        log.w(What::Blind, "b", acked((2, 1)))
    };
    let (one, all) = ([((1, 1), "a")], [(1, 1), (2, 1)]);
    let both = [((1, 1), "a"), ((2, 1), "b")];
    log().sloppy(&[(1, 1)], &one).last(&all, &both).passes();
    log().r(&all, &both).last(&all, &both).passes();
    log().r(&[(1, 1)], &one).last(&all, &both).finds("WENT BACK");
    let seen = Log::new().w(What::Blind, "a", End::Unknown("late".into()));
    seen.r(&[(1, 1)], &one).r(&[], &[]).last(&[(1, 1)], &one).finds("WENT BACK");
    // Two reads at the same time may end in any order.
    let mut beside = Log::new().w(What::Blind, "a", End::Unknown("late".into()));
    beside = beside.r(&[(1, 1)], &one).r(&[], &[]);
    beside.ops[2].begin_ms = beside.ops[1].end_ms;
    beside.last(&[(1, 1)], &one).passes();
}

#[test]
fn an_answer_that_cannot_be_is_told() {
    let broken = Log::new().w(What::Blind, "a", End::Broken("damaged".into()));
    broken.last(&[], &[]).finds("was answered: damaged");
    let mut silent = Log::new().w(What::Blind, "a", acked((1, 1)));
    let refused = silent.op(What::Get, None, true, End::Refused("no".into()));
    silent.last.push(refused);
    silent.finds("was refused");
}

#[test]
fn figures_count_and_find_the_longest_silence() {
    let mut log = Log::new().w(What::Blind, "a", acked((1, 1)));
    log.now = 1_000;
    let log = log.delete(What::Overwrite, End::Declined).w(What::Blind, "b", acked((1, 2)));
    let log = log.r(&[], &[]).w(What::Blind, "c", End::Unknown("late".into()));
    let all = &figures(&log.ops)["all"];
    let counts = (all.writes, all.declined, all.reads, all.unknown);
    assert_eq!((counts, all.gap_ms), ((2, 1, 1, 1), 1_010));
}
