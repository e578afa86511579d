//! Sorting more lines than memory holds: runs spilled to temporary files, then merged.
//!
//! ```text
//! push push push … 4 MiB -> sort by (partition, key, arrival) -> a run on disk
//! finish: the runs and the rest, merged; of equal keys the last to arrive
//! ```
//!
//! A run is a file without a name: it vanishes with the process, however that ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::thread::JoinHandle;

use super::line::Line;
use crate::error::{Error, Result};
use crate::key::{Key, Partition, Q};

/// Bytes gathered before a run is spilled.
const RUN_BYTES: usize = 4 << 20;
/// Bytes of a line beyond its key and values, roughly.
const LINE_OVERHEAD: usize = 120;

/// What lines are sorted by.
type Place = (Partition, Key, u64);

/// Gathers lines. See the module.
pub(super) struct Sorter {
    q: Q,
    lines: Vec<(Place, Line)>,
    bytes: usize,
    arrived: u64,
    runs: Vec<File>,
    writing: Option<JoinHandle<Result<File>>>,
}

impl Sorter {
    pub(super) fn new(q: Q) -> Self {
        Self { q, lines: Vec::new(), bytes: 0, arrived: 0, runs: Vec::new(), writing: None }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: Line) -> Result<()> {
        self.arrived += 1;
        let values: usize = line.values.iter().map(|v| v.0.len() + 40).sum();
        self.bytes += 2 * line.key.as_bytes().len() + values + LINE_OVERHEAD;
        let place = (self.q.partition(&line.key), line.key.clone(), self.arrived);
        self.lines.push((place, line));
        if self.bytes >= RUN_BYTES {
            self.spill()?;
        }
        Ok(())
    }

    /// Hands what is gathered to a thread that sorts and writes it, while the next run is gathered.
    fn spill(&mut self) -> Result<()> {
        self.collect()?;
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let thread = std::thread::Builder::new().name("kvs-sort".into());
        let path = Path::new("a temporary file");
        let writing =
            thread.spawn(move || write_run(lines)).map_err(Error::io("sort into", path))?;
        self.writing = Some(writing);
        Ok(())
    }

    /// Waits for the run that is being written.
    fn collect(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            let panicked = |_| Err(Error::Corrupt("Sorting ended in a panic.".into()));
            self.runs.push(writing.join().unwrap_or_else(panicked)?);
        }
        Ok(())
    }

    /// The lines in order, of equal keys the last.
    pub(super) fn finish(mut self) -> Result<Merged> {
        self.collect()?;
        self.lines.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut sources: Vec<Source> = Vec::new();
        for mut file in self.runs {
            file.rewind().map_err(Error::io("read", Path::new("a temporary file")))?;
            sources.push(Source::Run(BufReader::with_capacity(64 << 10, file), self.q));
        }
        sources.push(Source::Rest(self.lines.into_iter()));
        let mut merged =
            Merged { heads: BinaryHeap::new(), lines: Vec::new(), sources, failed: None };
        for i in 0..merged.sources.len() {
            merged.lines.push(None);
            merged.pull(i);
        }
        Ok(merged)
    }
}

/// Sorts lines and writes them as a run.
fn write_run(mut lines: Vec<(Place, Line)>) -> Result<File> {
    let at = Path::new("a temporary file");
    lines.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let file = tempfile::tempfile().map_err(Error::io("make", at))?;
    let mut out = BufWriter::with_capacity(64 << 10, &file);
    for (place, line) in lines {
        let bytes = postcard::to_stdvec(&(place.2, line)).expect("a line can be encoded");
        let length = (bytes.len() as u32).to_le_bytes();
        let written = out.write_all(&length).and_then(|()| out.write_all(&bytes));
        written.map_err(Error::io("write", at))?;
    }
    out.flush().map_err(Error::io("write", at))?;
    drop(out);
    Ok(file)
}

enum Source {
    Run(BufReader<File>, Q),
    Rest(std::vec::IntoIter<(Place, Line)>),
}

impl Source {
    fn next(&mut self) -> Result<Option<(Place, Line)>> {
        match self {
            Self::Rest(lines) => Ok(lines.next()),
            Self::Run(file, q) => {
                let error = || Error::io("read", Path::new("a temporary file"));
                let mut length = [0; 4];
                match file.read_exact(&mut length) {
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                    other => other.map_err(error())?,
                }
                let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
                file.read_exact(&mut bytes).map_err(error())?;
                let (arrived, line): (u64, Line) = postcard::from_bytes(&bytes)
                    .map_err(|e| Error::Corrupt(format!("A temporary file is damaged: {e}.")))?;
                let place = (q.partition(&line.key), line.key.clone(), arrived);
                Ok(Some((place, line)))
            }
        }
    }
}

/// The merged lines.
pub(super) struct Merged {
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    lines: Vec<Option<Line>>,
    sources: Vec<Source>,
    failed: Option<Error>,
}

impl Merged {
    fn pull(&mut self, i: usize) {
        match self.sources[i].next() {
            Ok(None) => {}
            Err(error) => self.failed = Some(error),
            Ok(Some((place, line))) => {
                self.lines[i] = Some(line);
                self.heads.push(Reverse((place, i)));
            }
        }
    }

    fn take(&mut self) -> Option<(Place, Line)> {
        let Reverse((place, i)) = self.heads.pop()?;
        let line = self.lines[i].take();
        self.pull(i);
        line.map(|line| (place, line))
    }
}

impl Iterator for Merged {
    type Item = Result<(Partition, Line)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.heads.clear();
            return Some(Err(error));
        }
        let (mut place, mut line) = self.take()?;
        // Of equal keys only the last to arrive counts.
        while self
            .heads
            .peek()
            .is_some_and(|Reverse((next, _))| (next.0, &next.1) == (place.0, &place.1))
        {
            (place, line) = self.take()?;
        }
        Some(Ok((place.0, line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spilled_comes_back_in_order_and_the_last_of_equals_wins() {
        let q = Q::new(64).unwrap();
        let mut sorter = Sorter::new(q);
        for i in 0..40_000_u32 {
            let key = Key::new(format!("key{}", i % 30_000)).unwrap();
            sorter
                .push(Line {
                    key,
                    values: vec![(vec![0; 500 + (i / 30_000) as usize].into(), None)],
                })
                .unwrap();
        }
        sorter.collect().unwrap();
        assert!(sorter.runs.len() > 1, "the test is to spill");
        let lines: Vec<_> = sorter.finish().unwrap().map(Result::unwrap).collect();
        assert_eq!(lines.len(), 30_000);
        assert!(lines.windows(2).all(|w| (w[0].0, &w[0].1.key) < (w[1].0, &w[1].1.key)));
        let newer = lines.iter().filter(|l| l.1.values[0].0.len() == 501).count();
        assert_eq!(newer, 10_000);
    }
}
