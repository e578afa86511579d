//! Figures as people say them: `7,200 requests/s and node`, `p99 12 ms`, `3.2 GiB`, `81 %`.
//!
//! It rounds for the eye and decides nothing.

use std::time::Duration;

use super::{Figure, Kind};

impl Figure {
    /// What it is called in rows and JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Requests => "requests",
            Kind::Latency => "latency_p99",
            Kind::Bytes => "bytes",
            Kind::Disk => "disk",
        }
    }

    /// A value of its kind, with its unit.
    #[must_use]
    pub fn shown(&self, value: f64) -> String {
        match self.kind {
            Kind::Requests => format!("{} requests/s and node", number(value)),
            Kind::Latency => format!("p99 {}", latency(value)),
            Kind::Bytes => format!("{} in the largest node", bytes(value)),
            Kind::Disk => format!("{} of the fullest disk", percent(value)),
        }
    }

    /// Only the number and its unit.
    #[must_use]
    pub fn bare(&self, value: f64) -> String {
        match self.kind {
            Kind::Requests => number(value),
            Kind::Latency => latency(value),
            Kind::Bytes => bytes(value),
            Kind::Disk => percent(value),
        }
    }

    pub(super) fn against(&self) -> String {
        let value = self.value.unwrap_or_default();
        format!("{}, target {}", self.shown(value), self.bare(self.target))
    }

    /// What it would be, held against the share of its target that it may reach.
    pub(super) fn would_be(&self, share: f64, factor: f64) -> String {
        let (share, target) = (percent(share), self.bare(self.target));
        match self.scaled(factor) {
            Some(value) => format!("it would be {value}, not below {share} of {target}"),
            None => format!("{} cannot be told", self.name()),
        }
    }

    pub(super) fn scaled(&self, factor: f64) -> Option<String> {
        self.value.map(|value| self.shown(value * factor))
    }
}

/// Names with the verb that fits their number.
pub(super) fn all_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// A time without its fractions.
pub(super) fn seconds(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

/// With commas from a thousand on, with one decimal below ten.
#[must_use]
pub fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}").trim_end_matches(".0").to_owned();
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share as a percentage.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A time in the unit that suits it.
#[must_use]
pub fn latency(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{} µs", number((s * 1e6).round())),
        s if s < 1.0 => format!("{} ms", number(s * 1e3)),
        s => format!("{} s", number(s)),
    }
}

/// Bytes in the unit that suits them.
#[must_use]
pub fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (value, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    format!("{} {}", number(value), units[unit])
}
