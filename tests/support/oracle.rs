//! What must be true of a log, and of what every key shows once everything is healed.
//!
//! ```text
//! lost      an acknowledged write is known to the end, and there, or superseded by a write whose
//!           context covered it (of an overwrite that was told no clock: that may have)
//! back      what such a write superseded is not there in the end, nor in a strict read after it
//! phantom   a value that is shown was written by one operation, to this key, under one dot
//! order     a strict read knows all that strict operations that ended before it were told
//! ```
//!
//! It knows only what clients knew, on every host; the simulator's oracle sees the disks. Caveat:
//! an unknown overwrite may have superseded anything of its key; causal keys have none of those.

use std::collections::{BTreeMap, BTreeSet};

use kvs::clock::{Dot, VersionVector};

use super::log::{End, Op, What};

/// All that was logged about one key.
struct Story<'a> {
    key: &'a str,
    /// In the order of their ends.
    writes: Vec<&'a Op>,
    reads: Vec<&'a Op>,
    /// What it shows in the end.
    last: Option<&'a Op>,
    /// The write behind each dot, as far as anybody was told.
    dots: BTreeMap<Dot, &'a Op>,
    /// The dot of each write, by the value that it alone has written.
    applied: BTreeMap<&'a str, Dot>,
    /// The strict reads that showed a dot.
    shown: BTreeMap<Dot, Vec<&'a Op>>,
    wrong: BTreeSet<String>,
}

/// Whether a write has superseded a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    No,
    Maybe,
    Yes,
}

/// Judges a log and the last strict read of each key; each finding is a sentence.
pub(crate) fn judge(ops: &[Op], last: &[Op]) -> Vec<String> {
    let values: BTreeMap<&str, &Op> =
        ops.iter().filter_map(|op| Some((op.value.as_deref()?, op))).collect();
    let mut stories: BTreeMap<&str, Story> = BTreeMap::new();
    for op in ops {
        let story = stories.entry(&op.key).or_insert_with(|| Story::new(&op.key));
        if op.is_write() { story.writes.push(op) } else { story.reads.push(op) }
    }
    for op in last {
        stories.entry(&op.key).or_insert_with(|| Story::new(&op.key)).last = Some(op);
    }
    let mut wrong = Vec::new();
    for op in ops {
        if let End::Broken(why) = &op.end {
            wrong.push(format!("{} was answered: {why}", op.who));
        }
    }
    for mut story in stories.into_values() {
        story.dots(&values);
        story.lost();
        story.back();
        story.order();
        wrong.extend(story.wrong);
    }
    wrong
}

/// What a read showed; `None` when it was refused.
fn shown(op: &Op) -> Option<(&VersionVector, &[(Dot, String)])> {
    match &op.end {
        End::Read { clock, siblings } => Some((clock, siblings)),
        _ => None,
    }
}

impl<'a> Story<'a> {
    fn new(key: &'a str) -> Self {
        let (writes, reads, wrong) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (dots, applied, shown) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { key, writes, reads, last: None, dots, applied, shown, wrong }
    }

    fn say(&mut self, what: String) {
        self.wrong.insert(format!("{}: {what}", self.key));
    }

    /// Finds the write behind each dot; whoever shows a value that has none is wrong.
    fn dots(&mut self, values: &BTreeMap<&str, &'a Op>) {
        self.writes.sort_by_key(|op| op.end_ms);
        for op in &self.writes {
            if let (Some(dot), Some(value)) = (op.dot(), &op.value) {
                self.applied.insert(value, dot);
            }
            if let Some(other) = op.dot().and_then(|dot| self.dots.insert(dot, op)) {
                let (a, b) = (&op.value, &other.value);
                self.wrong.insert(format!("{}: one dot for {a:?} and {b:?}", self.key));
            }
        }
        for read in self.reads.iter().filter(|op| op.strict) {
            for (dot, _) in shown(read).map_or(&[][..], |s| s.1) {
                self.shown.entry(*dot).or_default().push(read);
            }
        }
        for read in self.reads.iter().copied().chain(self.last).collect::<Vec<_>>() {
            for (dot, value) in shown(read).map_or(&[][..], |s| s.1) {
                if let Err(why) = self.bind(*dot, value, values) {
                    self.say(format!("PHANTOM: {} was shown {value} {dot:?}, {why}", read.who));
                }
            }
        }
    }

    fn bind(
        &mut self,
        dot: Dot,
        value: &str,
        values: &BTreeMap<&str, &'a Op>,
    ) -> Result<(), String> {
        let writer = *values.get(value).ok_or("which nobody wrote")?;
        if writer.key != self.key {
            return Err(format!("which was written to {}", writer.key));
        }
        if matches!(writer.end, End::Declined | End::Refused(_)) {
            return Err("the write of which was refused".into());
        }
        if writer.dot().is_some_and(|told| told != dot) {
            return Err(format!("whose writer was told {:?}", writer.dot()));
        }
        if let Some(other) = self.dots.insert(dot, writer)
            && !std::ptr::eq(other, writer)
        {
            return Err(format!("and that dot is also that of {:?}", other.value));
        }
        let value = writer.value.as_deref().expect("it was found by its value");
        match self.applied.insert(value, dot).filter(|other| *other != dot) {
            Some(other) => Err(format!("and also under {other:?}")),
            None => Ok(()),
        }
    }

    fn is_applied(&self, op: &Op) -> bool {
        op.dot().is_some() || op.value.as_deref().is_some_and(|v| self.applied.contains_key(v))
    }

    /// Whether one write has superseded another's dot.
    fn over(&self, op: &Op, dot: Dot, writer: &Op) -> Over {
        let known = |clock: &VersionVector| if clock.covers(dot) { Over::Yes } else { Over::No };
        if std::ptr::eq(op, writer) {
            return Over::No;
        }
        match (&op.what, &op.end) {
            (_, End::Declined | End::Refused(_)) | (What::Get | What::Blind, _) => Over::No,
            (What::Context(clock), _) if self.is_applied(op) => known(clock),
            (What::Context(clock), _) if clock.covers(dot) => Over::Maybe,
            (What::Context(_), _) => Over::No,
            (What::Overwrite, End::Acked { context: Some(clock), .. }) => known(clock),
            (What::Overwrite, End::Acked { .. }) if op.end_ms < writer.begin_ms => Over::No,
            (What::Overwrite, _) => Over::Maybe,
        }
    }

    /// Rule *lost*. What a strict read has shown is as good as acknowledged.
    fn lost(&mut self) {
        let Some((clock, siblings)) = self.last.and_then(shown) else {
            return self.say("the last read of it was refused".into());
        };
        let strict = self.reads.iter().filter(|op| op.strict).filter_map(|op| shown(op));
        let sure: BTreeSet<Dot> = strict.flat_map(|s| s.1.iter().map(|s| s.0)).collect();
        let mut wrong = Vec::new();
        for (dot, op) in self.dots.iter().filter(|(d, op)| op.dot().is_some() || sure.contains(d)) {
            let is_there = || siblings.iter().any(|s| s.0 == *dot);
            let explains = |w: &&Op| self.over(w, *dot, op) != Over::No;
            // What superseded it ended after it, and most often soon.
            let (before, after) = self.writes.split_at(self.ended_before(op.begin_ms));
            let explained = || after.iter().chain(before).any(explains);
            let (who, value) = (&op.who, &op.value);
            if !clock.covers(*dot) {
                wrong.push(format!("LOST: {value:?} {dot:?} of {who} is not known any more"));
            } else if value.is_some() && !is_there() && !explained() {
                wrong.push(format!("LOST: nothing superseded {value:?} {dot:?} of {who}"));
            }
        }
        wrong.into_iter().for_each(|w| self.say(w));
    }

    /// How many writes ended before a time.
    fn ended_before(&self, ms: u64) -> usize {
        self.writes.partition_point(|w| w.end_ms < ms)
    }

    /// Rule *back*.
    fn back(&mut self) {
        let mut wrong = Vec::new();
        let in_the_end = self.last.and_then(shown).map_or(&[][..], |s| s.1);
        for (dot, writer) in &self.dots {
            let superseded = |w: &&&Op| self.over(w, *dot, writer) == Over::Yes;
            let told = |by: &Op| {
                format!("BACK: {:?} {dot:?}, which {:?} superseded", writer.value, by.value)
            };
            if in_the_end.iter().any(|s| s.0 == *dot)
                && let Some(by) = self.writes.iter().find(superseded)
            {
                wrong.push(format!("{}, is there in the end", told(by)));
            }
            let reads = self.shown.get(dot).into_iter().flatten();
            let Some(read) = reads.max_by_key(|read| read.begin_ms) else { continue };
            // Whoever superseded it knew it: it ended after the write began.
            let from = self.ended_before(writer.begin_ms);
            let until = self.ended_before(read.begin_ms).max(from);
            let held = |w: &&&Op| w.strict && w.dot().is_some();
            if let Some(by) = self.writes[from..until].iter().filter(held).find(superseded) {
                wrong.push(format!("{}, was shown to {} afterwards", told(by), read.who));
            }
        }
        wrong.into_iter().for_each(|w| self.say(w));
    }

    /// Rule *order*.
    fn order(&mut self) {
        let mut told: Vec<(u64, VersionVector)> = Vec::new();
        for op in self.reads.iter().chain(&self.writes).filter(|op| op.strict) {
            let dots = op.dot().map(|dot| [dot].into_iter().collect());
            told.extend(shown(op).map(|s| s.0.clone()).or(dots).map(|clock| (op.end_ms, clock)));
        }
        told.sort_by_key(|t| t.0);
        let mut reads: Vec<&Op> = self.reads.iter().copied().filter(|op| op.strict).collect();
        reads.extend(self.last);
        reads.sort_by_key(|op| op.begin_ms);
        let (mut floor, mut at) = (VersionVector::new(), 0);
        for read in reads {
            while let Some((_, clock)) = told.get(at).filter(|t| t.0 < read.begin_ms) {
                floor.join(clock);
                at += 1;
            }
            if let Some((clock, _)) = shown(read).filter(|s| !s.0.descends(&floor)) {
                self.say(format!("WENT BACK: {} read {clock:?} after {floor:?}", read.who));
            }
        }
    }
}

/// What a client met, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) writes: usize,
    pub(crate) hinted: usize,
    pub(crate) reads: usize,
    pub(crate) unknown: usize,
    pub(crate) refused: usize,
    pub(crate) declined: usize,
    /// The longest time without a write that succeeded.
    pub(crate) gap_ms: u64,
    /// The longest any operation took.
    pub(crate) slowest_ms: u64,
}

/// The figures of each client, and of all as `all`.
pub(crate) fn figures(ops: &[Op]) -> BTreeMap<String, Figures> {
    let mut by: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    ops.iter().for_each(|op| by.entry(&op.who).or_default().push(op));
    let mut all = Figures::default();
    let mut each: BTreeMap<String, Figures> = BTreeMap::new();
    for (who, ops) in by {
        let figures = of(&ops);
        all.writes += figures.writes;
        all.hinted += figures.hinted;
        all.reads += figures.reads;
        all.unknown += figures.unknown;
        all.refused += figures.refused;
        all.declined += figures.declined;
        all.gap_ms = all.gap_ms.max(figures.gap_ms);
        all.slowest_ms = all.slowest_ms.max(figures.slowest_ms);
        each.insert(who.to_owned(), figures);
    }
    each.insert("all".to_owned(), all);
    each
}

fn of(ops: &[&Op]) -> Figures {
    let mut figures = Figures::default();
    let mut since = ops.first().map_or(0, |op| op.begin_ms);
    for op in ops {
        match &op.end {
            End::Read { .. } => figures.reads += 1,
            End::Acked { hinted, .. } => {
                figures.writes += 1;
                figures.hinted += usize::from(*hinted > 0);
            }
            End::Declined => figures.declined += 1,
            End::Refused(_) => figures.refused += 1,
            End::Unknown(_) | End::Broken(_) => figures.unknown += 1,
        }
        figures.gap_ms = figures.gap_ms.max(op.end_ms.saturating_sub(since));
        figures.slowest_ms = figures.slowest_ms.max(op.end_ms - op.begin_ms);
        if op.dot().is_some() {
            since = op.end_ms;
        }
    }
    figures
}

/// Why requests failed, without their keys, the most frequent first.
pub(crate) fn reasons(ops: &[Op]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for op in ops {
        if let End::Refused(why) | End::Unknown(why) | End::Broken(why) = &op.end {
            *counts.entry(why.replace(&op.key, "KEY")).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
