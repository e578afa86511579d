//! Dump and load: a ring's records as JSON Lines, and back.
//!
//! ```text
//! {"key":"cart:42","value":"3 apples"}                       text
//! {"key_b64":"/w==","value_b64":"AAE="}                      bytes that are not UTF-8
//! {"key":"k","siblings":[{"value":"left"},{"value":"right"}]}  a conflict
//! ```
//!
//! Loading in the order of arrival costs a random page per record, so lines are gathered in runs,
//! sorted by partition and key, spilled when memory is full, merged, and written a partition at a
//! time. A line that cannot be read ends the load: what came before it is applied. When the lines
//! cannot be sorted, for want of space for temporary files, nothing is: no claim is made for lines
//! that are nowhere.
//!
//! Caveat: of several lines with one key the last wins, whatever stood between them.

mod line;
mod sort;

use std::cell::{Cell, RefCell};
use std::io::BufRead;
use std::iter::Peekable;
use std::sync::mpsc::{SyncSender, sync_channel};

pub use self::line::{Line, encode, parse};
use self::sort::{Merged, Sorter};
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::key::Partition;
use crate::os::wall_ms;
use crate::quorum::{Item, ItemReply, Options, Precondition, PutReply, PutRequest};

/// The longest line read, in bytes: a record at its limits, in base64, with room.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// Bytes of one partition in one request.
const REQUEST_BYTES: usize = 128 << 10;
/// Bytes of lines parsed together, and how many such chunks wait to be sorted.
const CHUNK_BYTES: usize = 128 << 10;
const CHUNKS_AHEAD: usize = 4;
/// Records of one partition in one request.
const ITEMS_MAX: usize = 1_024;

/// What a load did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Lines read.
    pub lines: u64,
    /// Keys written.
    pub written: u64,
    /// Keys left alone because they have several values or were not absent.
    pub conflicts: u64,
    /// Values handed on to be written whose time was over before: nobody will read them.
    pub expired: u64,
}

/// How to load.
#[derive(Clone, Debug)]
pub struct Loading {
    /// What each write assumes.
    pub basis: Precondition,
    /// The quorum of each write.
    pub options: Options,
}

/// Called with the lines read and the keys written so far; `false` ends the load between two requests.
pub type OnProgress<'a> = dyn FnMut(&Loaded) -> bool + 'a;

/// Reads lines and writes them.
///
/// # Errors
/// [`Error::Partial`] naming the line that cannot be read, or saying that it was stopped: what came
/// before is applied, and the load may be repeated. [`Error::Io`] when the lines could not be sorted:
/// nothing is written. Otherwise as a write.
pub fn load(
    cluster: &mut Cluster,
    input: &mut (dyn BufRead + Send),
    loading: &Loading,
    progress: &mut OnProgress<'_>,
) -> Result<Loaded> {
    let mut loaded = Loaded::default();
    let mut sorter = Sorter::new(cluster.doc().q);
    let broken = match read_lines(input, &mut sorter, &mut loaded, progress) {
        Err(error) if !matches!(error.root(), Error::Usage(_)) => {
            return Err(unsorted(error));
        }
        read => read,
    };
    let stopped = write_sorted(cluster, sorter, loading, &mut loaded, progress);
    let Loaded { lines, written, conflicts, .. } = loaded;
    let again = match loading.basis {
        Precondition::Blind => "run the load again without --blind: that is safe to repeat",
        _ => "run the load again: it is safe to repeat",
    };
    match (stopped, broken) {
        (Err(error), _) if written > 0 => {
            Err(Error::Partial(format!("The load ended early (keys written: {written}): {error}"))
                .hint(format!("fix that and {again}")))
        }
        (Err(error), _) => Err(error),
        (Ok(true), _) => {
            let why = format!("The load was stopped; keys written: {written}.");
            Err(Error::Partial(why).hint(again))
        }
        (Ok(false), Err(error)) => Err(Error::Partial(format!(
            "{error} Lines before it: {lines}; keys written: {written}; keys skipped: {conflicts}."
        ))
        .hint(format!("fix the line and {again}"))),
        (Ok(false), Ok(())) => Ok(loaded),
    }
}

/// The lines could not be put in order, and writing had not begun.
fn unsorted(error: Error) -> Error {
    error.hint(
        "nothing was written; sorting needs about the size of the input in TMPDIR: name a \
         directory \
         with that much space",
    )
}

/// Lines parsed together, and how many were read up to their end.
struct Chunk {
    lines: Vec<Line>,
    read: u64,
}

/// Gathers the lines, which another thread reads and parses meanwhile.
fn read_lines(
    input: &mut (dyn BufRead + Send),
    sorter: &mut Sorter,
    loaded: &mut Loaded,
    progress: &mut OnProgress<'_>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        scope.spawn(move || parse_lines(input, &sender));
        for chunk in chunks {
            let Chunk { lines, read } = chunk?;
            for line in lines {
                sorter.push(line)?;
            }
            loaded.lines = read;
            if !progress(loaded) {
                return Ok(());
            }
        }
        Ok(())
    })
}

/// Parses lines and hands them on in chunks, until their end, a bad one, or nobody listens.
fn parse_lines(input: &mut (dyn BufRead + Send), sender: &SyncSender<Result<Chunk>>) {
    let mut text = Vec::new();
    let mut chunk = Chunk { lines: Vec::new(), read: 0 };
    loop {
        let mut bytes = 0;
        let ended = loop {
            match parse_line(input, &mut text, chunk.read + 1) {
                Ok(Some(line)) => chunk.lines.extend(line),
                Ok(None) => break Some(Ok(())),
                Err(error) => break Some(Err(error)),
            }
            chunk.read += 1;
            bytes += text.len();
            if bytes > CHUNK_BYTES {
                break None;
            }
        };
        let read = chunk.read;
        let full = std::mem::replace(&mut chunk, Chunk { lines: Vec::new(), read });
        if sender.send(Ok(full)).is_err() {
            return;
        }
        match ended {
            None => {}
            Some(Ok(())) => return,
            // Nobody is left to be told when this fails.
            Some(Err(error)) => return drop(sender.send(Err(error))),
        }
    }
}

/// Reads and parses the line `at`: `None` at the end, `Some(None)` for an empty one.
fn parse_line(
    input: &mut (dyn BufRead + Send),
    text: &mut Vec<u8>,
    at: u64,
) -> Result<Option<Option<Line>>> {
    text.clear();
    let read = std::io::Read::take(&mut *input, LINE_BYTES_MAX).read_until(b'\n', text);
    let read = read.map_err(|e| Error::Usage(format!("Line {at} cannot be read: {e}.")))?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 == LINE_BYTES_MAX {
        return Err(Error::Usage(format!("Line {at} is longer than 8 MiB.")));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Some(None));
    }
    let wrong = |e: String| {
        Error::Usage(format!("Line {at} is not a record: {}.", e.trim_end_matches('.')))
    };
    line::parse(text).map(|line| Some(Some(line))).map_err(wrong)
}

/// Writes the sorted lines. Whether it was stopped.
fn write_sorted(
    cluster: &mut Cluster,
    sorter: Sorter,
    loading: &Loading,
    loaded: &mut Loaded,
    progress: &mut OnProgress<'_>,
) -> Result<bool> {
    let mut lines = sorter.finish().map_err(unsorted)?.peekable();
    let (stopped, expired) = (Cell::new(false), Cell::new(0));
    let failed = RefCell::new(None);
    let mut source = || {
        if stopped.get() {
            return None;
        }
        let request = next_request(&mut lines, &loading.basis).unwrap_or_else(|error| {
            *failed.borrow_mut() = Some(error);
            None
        });
        expired.set(expired.get() + request.iter().map(expired_in).sum::<u64>());
        request
    };
    let mut done = |reply: PutReply| {
        count(loaded, reply)?;
        loaded.expired = expired.get();
        if !progress(loaded) {
            stopped.set(true);
        }
        Ok(())
    };
    cluster.put_stream(&loading.options, &mut source, &mut done)?;
    failed.into_inner().map_or(Ok(stopped.get()), Err)
}

/// The next lines of one partition, as many as make a request.
fn next_request(lines: &mut Peekable<Merged>, basis: &Precondition) -> Result<Option<PutRequest>> {
    let Some(first) = lines.next() else { return Ok(None) };
    let (partition, line) = first?;
    let mut items: Vec<Item> = line.items(basis).collect();
    let size = |i: &Item| i.key.as_bytes().len() + i.value.as_ref().map_or(0, |v| v.0.len());
    let mut bytes: usize = items.iter().map(size).sum();
    let same = |l: &Result<(Partition, Line)>| l.as_ref().is_ok_and(|(p, _)| *p == partition);
    while items.len() < ITEMS_MAX && bytes < REQUEST_BYTES {
        let Some(next) = lines.next_if(same) else { break };
        let more = items.len();
        items.extend(next?.1.items(basis));
        bytes += items[more..].iter().map(size).sum::<usize>();
    }
    Ok(Some(PutRequest { partition, items, options: Options::default() }))
}

/// How many of its values have expired already.
fn expired_in(request: &PutRequest) -> u64 {
    let now_ms = wall_ms();
    let is_over = |item: &&Item| {
        let until = item.value.as_ref().and_then(|(_, until)| *until);
        until.is_some_and(|until| until <= now_ms)
    };
    request.items.iter().filter(is_over).count() as u64
}

fn count(loaded: &mut Loaded, reply: PutReply) -> Result<()> {
    for item in reply.items {
        match item {
            ItemReply::Written { .. } => loaded.written += 1,
            ItemReply::Conflict { .. } | ItemReply::LostRace => loaded.conflicts += 1,
            ItemReply::Absent => {}
            ItemReply::TooLarge(why) => {
                return Err(Error::Denied(format!("A record was refused: {why}.")));
            }
        }
    }
    Ok(())
}
