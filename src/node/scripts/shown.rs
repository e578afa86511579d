//! What n1 wants done, as short lines.
//!
//! Left out is what looks random or says nothing to a reader: operation numbers, clocks, digests, and
//! of the rows about itself those that go along with every commit.

use std::collections::BTreeMap;

use super::world::{World, shown};
use crate::key::Key;
use crate::node::event::{Action, Note, RepairReport, Reply, Ticket};
use crate::protocol::{Body, Scope};
use crate::quorum::{Answer, GetReply, ItemReply, PutReply, Verdict};
use crate::record::Stored;
use crate::ring::{ChangeStep, MemberState, NodeId, RingDoc};
use crate::store::{Batch, Op};

/// What was there before: an answer names no key, and of its own rows only what changed is shbefore.
#[derive(Default)]
pub(super) struct Before {
    /// The key that a client asked for.
    pub(super) asked: BTreeMap<Ticket, Key>,
    /// The keys that a peer asked for.
    pub(super) read: Vec<Key>,
    pub(super) actor: Vec<u8>,
    pub(super) filling: Vec<u8>,
    pub(super) abstains: bool,
}

/// One line of each action.
pub(super) fn action(world: &World, before: &mut Before, action: &Action) -> String {
    match action {
        Action::Send(to, message) => {
            format!("send {} {}", world.name(*to), body(world, before, &message.body))
        }
        Action::Commit(_, batch) => format!("commit: {}", commit(world, before, batch)),
        Action::Reply(ticket, answer) => {
            format!("reply: {}", reply(world, before.asked.get(ticket), answer))
        }
        Action::Note(Note::Unreadable(_, key)) => {
            format!("note: the copy of {} is damaged", String::from_utf8_lossy(key))
        }
        Action::Note(Note::Clash(key)) => format!("note: two values of one version of {key}"),
        Action::Note(Note::Lost(why)) => format!("note: records may be lost: {why}"),
        Action::Note(Note::Refused(from, why)) => format!("note: {}: {why}", world.name(*from)),
        Action::Stop(why) => format!("stop: {why}"),
    }
}

fn body(world: &World, before: &Before, body: &Body) -> String {
    match body {
        Body::Put(request) => format!("Put {}", list(request.items.iter().map(|i| &i.key))),
        Body::PutDone(reply) => format!("PutDone: {}", put(reply)),
        Body::NotMine(why) => format!("NotMine ({why})"),
        Body::Read(keys) => format!("Read {}", list(keys)),
        Body::Copies { answers, .. } => {
            format!("Copies: {}", list(before.read.iter().zip(answers).map(copy)))
        }
        Body::Write { records, hint_for } => {
            format!("Write {}", records_for(world, records, hint_for))
        }
        Body::Replicate { records, hint_for, .. } => {
            format!("Replicate {}", records_for(world, records, hint_for))
        }
        Body::Stored { full, .. } => format!("Stored{}", if *full { "" } else { " (not full)" }),
        Body::NotStored(why) => format!("NotStored ({why})"),
        Body::Page { after, limit, .. } => match after {
            Some(key) => format!("Page after {key}, at most {limit}"),
            None => format!("Page, at most {limit}"),
        },
        Body::Paged { records, end, full } => {
            let one = |(key, stored): &(_, Option<_>)| match stored {
                Some(stored) => format!("{key}={}", shown(key, Some(stored))),
                None => format!("{key}=?"),
            };
            let records = list(records.iter().map(one));
            let more = if *end { "no more" } else { "more" };
            format!("Paged {records} and {more}{}", if *full { "" } else { " (not full)" })
        }
        Body::Filling(partitions) => format!("Filling {}", partitions_of(partitions.len())),
        Body::Sums { scope, arcs } => {
            let scope = if *scope == Scope::Shared { "" } else { ", of some partitions" };
            match arcs.as_slice() {
                [(arc, _)] if arc.bits == 0 => format!("Sums of everything{scope}"),
                arcs => format!("Sums of {} ranges{scope}", arcs.len()),
            }
        }
        Body::Fullness(Scope::Shared) => "Fullness".into(),
        Body::Fullness(_) => "Fullness of some partitions".into(),
        Body::Differ(arcs) => format!("Differ: {} ranges", arcs.len()),
        Body::List(leaves) => {
            format!("List {} leaf", leaves.iter().map(|l| l.1.len()).sum::<usize>())
        }
        Body::Listing(keys) => format!("Listing {}", list(keys.iter().map(|k| &k.0))),
        Body::Prepare(ballot) => format!("Prepare {}", world.ballot_name(*ballot)),
        Body::Promise(None) => "Promise".into(),
        Body::Promise(Some((ballot, next))) => {
            format!("Promise, {} accepted under {}", doc(next), world.ballot_name(*ballot))
        }
        Body::Accept(ballot, next) => {
            format!("Accept {}: {}", world.ballot_name(*ballot), doc(next))
        }
        Body::Rejected(ballot) => format!("Rejected, promised {}", world.ballot_name(*ballot)),
        Body::Muted => "Muted (an abstention)".into(),
        Body::Chosen(next) => format!("Chosen {}", doc(next)),
        Body::Cleared { clear, hints } => {
            format!("Cleared: {}, {hints} hints", if *clear { "clear" } else { "not yet" })
        }
        Body::Greet { renewed, .. } => {
            format!("Greet{}", if *renewed { " (it may have lost something)" } else { "" })
        }
        Body::Met { life: 0, .. } => "Met (a wish to be greeted)".into(),
        Body::Met { .. } => "Met".into(),
        other => format!("{other:?}"),
    }
}

fn records_for(world: &World, records: &[(Key, Stored)], hint_for: &Option<NodeId>) -> String {
    let one = |(key, stored): &(Key, Stored)| format!("{key}={}", shown(key, Some(stored)));
    let records = list(records.iter().map(one));
    match hint_for {
        Some(target) => format!("{records} for {}", world.name(*target)),
        None => records,
    }
}

fn copy((key, answer): (&Key, &Answer)) -> String {
    match answer {
        Answer::Vote(stored) => format!("{key}={}", shown(key, stored.as_ref())),
        Answer::Extra(stored) => format!("{key}={} (no vote)", shown(key, stored.as_ref())),
        Answer::Unreadable => format!("{key}=?"),
    }
}

fn commit(world: &World, before: &mut Before, batch: &Batch) -> String {
    let lines: Vec<_> = batch.ops.iter().filter_map(|op| operation(world, before, op)).collect();
    if lines.is_empty() { "rows about itself and its witnesses".into() } else { lines.join(", ") }
}

fn operation(world: &World, before: &mut Before, op: &Op) -> Option<String> {
    Some(match op {
        Op::Record { key, stored, .. } => format!("record {key}={}", shown(key, Some(stored))),
        Op::Bad { key, .. } => format!("{} is damaged", String::from_utf8_lossy(key)),
        Op::Healed { key, .. } => format!("{} is healed", String::from_utf8_lossy(key)),
        Op::Rebuild(_) => "a digest is built anew".into(),
        Op::Drop(_) => "a partition is dropped".into(),
        Op::Hint(hint) => {
            let (key, target) = (&hint.key, world.name(hint.target));
            match &hint.stored {
                Some(stored) => format!("hint for {target} {key}={}", shown(key, Some(stored))),
                None => format!("hint for {target} {key} (a reference)"),
            }
        }
        Op::Unhint { target, key, .. } => format!("no hint for {} {key}", world.name(*target)),
        Op::DropBadHints(_) => "damaged hints are dropped".into(),
        Op::Ring(name, _) if name == "doc" => "the ring document".into(),
        Op::Ring(..) => "its promise".into(),
        Op::Meta(name, Some(row)) => match name.as_str() {
            "actor" if before.actor != *row => {
                before.actor.clone_from(row);
                "a new actor".into()
            }
            "filling" if before.filling != *row => {
                before.filling.clone_from(row);
                match row.iter().map(|byte| byte.count_ones() as usize).sum() {
                    0 => "every partition is full".into(),
                    filling => format!("{} filling", partitions_of(filling)),
                }
            }
            "muted" if !before.abstains => {
                before.abstains = true;
                "it abstains".into()
            }
            "life" => "a new life".into(),
            name if name.starts_with("lost") => "a loss".into(),
            _ => return None,
        },
        Op::Meta(name, None) if name == "muted" && before.abstains => {
            before.abstains = false;
            "it votes again".into()
        }
        Op::Meta(..) => return None,
    })
}

fn reply(world: &World, key: Option<&Key>, reply: &Reply) -> String {
    match reply {
        Reply::Put(reply) => put(reply),
        Reply::Get(reply) => get(world, key, reply),
        Reply::Scan(Ok((records, end))) => {
            let one = |(key, stored): &(_, _)| format!("{key}={}", shown(key, Some(stored)));
            let more = if *end { "no more" } else { "more" };
            format!("{} and {more}", list(records.iter().map(one)))
        }
        Reply::Scan(Err(why)) | Reply::Refused(why) => format!("refused: {why}"),
        Reply::Repair(report) => repair(world, report),
        Reply::Deliver(delivered, left) => format!("{delivered} delivered, {left} left"),
        Reply::Ring(now, why) => match why {
            Some(why) => format!("{}: {why}", doc(now)),
            None => doc(now),
        },
        Reply::Verify(verdict) => format!("{} damaged", verdict.bad.len()),
        Reply::Status(status) => format!(
            "{} keys, {} hints, {} filling, {} damaged{}{}",
            status.keys,
            status.hints,
            partitions_of(status.filling),
            status.bad,
            if status.waiting { ", waiting" } else { "" },
            if status.full { ", the disk is full" } else { "" },
        ),
        Reply::Scrub { .. } => "scrubbed".into(),
    }
}

fn put(reply: &PutReply) -> String {
    let mut words = vec![match &reply.verdict {
        Verdict::Done if reply.items.is_empty() => "done".into(),
        Verdict::Done => list(reply.items.iter().map(item)),
        other => verdict(other),
    }];
    if reply.acks > 0 {
        words.push(count(reply.acks, "owner"));
    }
    if reply.hinted > 0 {
        words.push(count(reply.hinted, "fallback"));
    }
    if reply.guessed {
        words.push("what it replaces is a guess".into());
    }
    words.join(", ")
}

fn item(item: &ItemReply) -> String {
    match item {
        ItemReply::Written { values: 0 | 1, .. } => "written".into(),
        ItemReply::Written { values, .. } => format!("written, {values} values are there"),
        ItemReply::Conflict { values } => format!("not written: {}", count(*values, "value")),
        ItemReply::LostRace => "written, but not alone".into(),
        ItemReply::Absent => "not written: nothing is there".into(),
        ItemReply::TooLarge(why) => format!("not written: {why}"),
    }
}

fn get(world: &World, key: Option<&Key>, reply: &GetReply) -> String {
    let mut line = match (&reply.verdict, key) {
        (Verdict::Done, Some(key)) => format!("{key}={}", shown(key, reply.stored.as_ref())),
        (other, _) => verdict(other),
    };
    let damaged = reply.answers.iter().filter(|a| a.1 == Answer::Unreadable).map(|a| &a.0);
    let damaged = world.names(damaged);
    if !damaged.is_empty() {
        line += &format!(" (damaged at {damaged})");
    }
    line
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Done => "done".into(),
        Verdict::Refused(why) => format!("refused: {why}"),
        Verdict::Unknown(why) => format!("unknown: {why}"),
        Verdict::Unreachable(why) => format!("unreachable: {why}"),
    }
}

fn repair(world: &World, report: &RepairReport) -> String {
    let mut line = format!(
        "{} pulled, {} pushed, {} filling",
        report.pulled,
        report.pushed,
        partitions_of(report.filling.len())
    );
    if !report.missed.is_empty() {
        line += &format!(", missed {}", world.names(&report.missed));
    }
    line
}

/// A ring document.
fn doc(doc: &RingDoc) -> String {
    let step = match doc.step {
        ChangeStep::Settled => "settled",
        ChangeStep::WriteBoth => "step 1",
        ChangeStep::ReadNew => "step 2",
    };
    let leaving = doc.members.iter().filter(|m| m.state == MemberState::Leaving);
    let leaving: String = leaving.map(|m| format!(", {} leaving", m.name)).collect();
    format!("version {} ({step}{leaving})", doc.version)
}

fn partitions_of(count: usize) -> String {
    self::count(count, "partition")
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "nothing".into() } else { items.join(" ") }
}
