//! What `scale` remembers from one run to the next: when it changed something, and what was too slow.
//!
//! ```text
//! changed_ms: 1758000000000
//! too_slow:
//! - {members: 3, rate: 21000.0, at_ms: …}    three were too slow at so many requests/s
//! failed:
//! - {name: n4, at_ms: …}                     a spare that could not join: others come first
//! ```
//!
//! A spare that failed is passed over for an hour.
//! What was too slow is forgotten after a day: it may have been the disk, or the day. It is a help, not
//! a truth: lost, nothing is known; damaged or from the future, the last change is taken to be now, so
//! that nothing happens in haste. The file is replaced as a whole.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Decision;
use crate::config;
use crate::error::{Error, Result};
use crate::os::{self, read_small};

/// For how long it is remembered what was too slow, in ms.
const KEPT_MS: u64 = 24 * 3_600 * 1_000;

/// For how long a spare that could not join is passed over, in ms.
const FAILED_MS: u64 = 3_600 * 1_000;
/// More is not what was written here.
const BYTES_MAX: u64 = 1 << 20;

/// A rate at which so many members were too slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TooSlow {
    /// How many.
    pub members: usize,
    /// Requests a second of all of them together.
    pub rate: f64,
}

/// The same, and when that was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    members: usize,
    rate: f64,
    at_ms: u64,
}

/// A spare that could not join, and when that was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    name: String,
    at_ms: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleMemory {
    /// When a change was last begun or ended, ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed_ms: Option<u64>,
    /// At most one for each number of members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    too_slow: Vec<Kept>,
    /// At most one for each spare.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
}

impl ScaleMemory {
    /// Reads it; with a warning when it is not what it should be.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is no regular file or too long, [`Error::Io`] when it cannot be read.
    pub fn read(path: &Path, now_ms: u64) -> Result<(Self, Option<String>)> {
        let bytes = match read_small(path, BYTES_MAX) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok((Self::default(), None));
            }
            read => read?,
        };
        let shown = path.display();
        // A file without text is what a crash of the whole machine may leave of one.
        let text = String::from_utf8(bytes).ok().filter(|text| !text.trim().is_empty());
        let known = text.and_then(|text| config::parse::<Self>(&text, "memory").ok());
        let rest = "the last change is taken to be just now";
        Ok(match known {
            None => {
                let now = Self { changed_ms: Some(now_ms), ..Self::default() };
                (now, Some(format!("{shown} is damaged: {rest}")))
            }
            Some(known) if known.changed_ms.is_some_and(|at| at > now_ms) => {
                let now = Self { changed_ms: Some(now_ms), ..known };
                (now, Some(format!("{shown} is from the future: {rest}")))
            }
            Some(known) => (known, None),
        })
    }

    /// Replaces it, or makes it with its directories.
    ///
    /// # Errors
    /// [`Error::Io`]; what was there is as it was.
    pub fn write(&self, path: &Path) -> Result<()> {
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(Error::io("make", dir))?;
        os::replace_file(path, config::text(self)?.as_bytes(), os::EntryKind::Own(0o600))
    }

    /// For how long the last change is over.
    #[must_use]
    pub fn age(&self, now_ms: u64) -> Option<Duration> {
        self.changed_ms.map(|at| Duration::from_millis(now_ms.saturating_sub(at)))
    }

    /// What was too slow, as long as that is remembered.
    #[must_use]
    pub fn too_slow(&self, now_ms: u64) -> Vec<TooSlow> {
        let is_fresh = |kept: &&Kept| now_ms.saturating_sub(kept.at_ms) < KEPT_MS;
        let fresh = self.too_slow.iter().filter(is_fresh);
        fresh.map(|kept| TooSlow { members: kept.members, rate: kept.rate }).collect()
    }

    /// Spares that could not join, as long as that is remembered.
    #[must_use]
    pub fn failed(&self, now_ms: u64) -> Vec<String> {
        let is_fresh = |failed: &&Failed| now_ms.saturating_sub(failed.at_ms) < FAILED_MS;
        self.failed.iter().filter(is_fresh).map(|failed| failed.name.clone()).collect()
    }

    /// A spare could not join.
    pub fn has_failed(&mut self, name: &str, now_ms: u64) {
        self.failed.retain(|failed| failed.name != name);
        self.failed.push(Failed { name: name.into(), at_ms: now_ms });
    }

    /// A decision is carried out: said when that begins, and again when it has ended.
    pub fn changed(&mut self, decision: &Decision, now_ms: u64) {
        self.changed_ms = Some(now_ms);
        if let Some(slow) = decision.too_slow {
            self.too_slow.retain(|known| known.members != slow.members);
            let TooSlow { members, rate } = slow;
            self.too_slow.push(Kept { members, rate, at_ms: now_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ScaleVerb;
    use std::fs;

    use super::*;

    const NOW: u64 = 1_758_000_000_000;

    fn slow(members: usize, rate: f64) -> TooSlow {
        TooSlow { members, rate }
    }

    fn grown(too_slow: Option<TooSlow>) -> Decision {
        let (verb, reason) = (ScaleVerb::Grow("n4".into()), String::new());
        Decision { verb, reason, figures: Vec::new(), too_slow }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kvs/prod/scale.yaml");
        assert_eq!(ScaleMemory::read(&path, NOW).unwrap(), (ScaleMemory::default(), None));
        let mut memory = ScaleMemory::default();
        memory.changed(&grown(Some(slow(3, 21_000.0))), NOW);
        memory.changed(&grown(Some(slow(4, 30_000.5))), NOW + 1);
        memory.changed(&grown(Some(slow(3, 22_000.0))), NOW + 2);
        memory.changed(&grown(None), NOW + 3);
        memory.has_failed("n4", NOW);
        memory.has_failed("n5", NOW);
        memory.has_failed("n4", NOW + 3);
        memory.write(&path).unwrap();
        memory.write(&path).unwrap();
        let (read, warning) = ScaleMemory::read(&path, NOW + 5_003).unwrap();
        assert_eq!((&read, warning), (&memory, None));
        assert_eq!(read.too_slow(NOW + 5_003), [slow(4, 30_000.5), slow(3, 22_000.0)]);
        assert_eq!(read.too_slow(NOW + 1 + KEPT_MS), [slow(3, 22_000.0)]);
        assert_eq!(read.failed(NOW + 5_003), ["n5", "n4"]);
        assert_eq!(read.failed(NOW + FAILED_MS), ["n4"]);
        assert_eq!(read.age(NOW + 5_003), Some(Duration::from_secs(5)));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_memory_lets_nothing_happen_in_haste() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("scale.yaml");
        let later =
            format!("changed_ms: {}\ntoo_slow:\n- members: 3\n  rate: 1.5\n  at_ms: 0\n", NOW + 1);
        for (bytes, words, kept) in [
            (&b"changed_ms: soon"[..], "damaged", 0),
            (b"changed_ms: 1\nmore: 2", "damaged", 0),
            (b"", "damaged", 0),
            (b"\xff\xfe", "damaged", 0),
            (later.as_bytes(), "future", 1),
        ] {
            fs::write(&path, bytes).unwrap();
            let (memory, warning) = ScaleMemory::read(&path, NOW).unwrap();
            assert!(warning.is_some_and(|w| w.contains(words)), "{words}");
            assert_eq!((memory.age(NOW), memory.too_slow.len()), (Some(Duration::ZERO), kept));
        }
        assert!(matches!(ScaleMemory::read(place.path(), NOW), Err(Error::Usage(_))));
    }
}
