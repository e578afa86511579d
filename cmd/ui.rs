//! The one thing that prints: data to stdout, talk to stderr.
//!
//! Tables for a terminal, tab-separated lines for a pipe, JSON when asked for. Keys and values are
//! bytes: they are escaped in tables and written as they are by [`Ui::bytes`]. Every other text passes
//! [`plain`] or [`plain_lines`] here, once: what a node, a host or a file says moves no cursor.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stderr, Stdout, Write};
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kvs::bounded::{plain, plain_lines};
use kvs::error::Error;

use crate::common::Common;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table on a terminal, plain in a pipe
    Auto,
    /// A table with a header
    Table,
    /// Tab-separated, no header; columns are only ever appended
    Plain,
    /// One JSON object with a "schema"
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Prints. See the module.
pub(crate) struct Ui {
    out: BufWriter<Stdout>,
    err: Stderr,
    format: Format,
    color: bool,
    quiet: bool,
    end: u8,
    applied: Option<String>,
}

impl Ui {
    /// For what is said before the arguments are known.
    pub(crate) fn plain() -> Self {
        let out = BufWriter::new(io::stdout());
        let format = Format::Plain;
        Self {
            out,
            err: io::stderr(),
            format,
            color: false,
            quiet: false,
            end: b'\n',
            applied: None,
        }
    }

    pub(crate) fn new(common: &Common) -> Self {
        let terminal = io::stdout().is_terminal();
        let format = match common.format {
            Format::Auto if terminal => Format::Table,
            Format::Auto => Format::Plain,
            format => format,
        };
        let color = match common.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        let end = if common.null { 0 } else { b'\n' };
        let out = BufWriter::new(io::stdout());
        Self { out, err: io::stderr(), format, color, quiet: common.quiet, end, applied: None }
    }

    /// Marks that something was changed, in a sentence: output that is lost from here on takes
    /// nothing back, and whoever reads the exit code has to know.
    pub(crate) fn has_applied(&mut self, sentence: impl Into<String>) {
        self.applied = Some(sentence.into());
    }

    /// What was changed, if anything was.
    pub(crate) fn applied(&self) -> Option<String> {
        self.applied.clone()
    }

    /// Whether JSON is asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether the output is a table for a person.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Whether somebody sees stdout.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether stderr is coloured.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// Writes bytes exactly.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Writes one line of data, ended by a newline, or by NUL with `-0`.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.whole(&plain_lines(text))
    }

    fn whole(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(&[self.end])
    }

    /// Writes one JSON value on a line.
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> io::Result<()> {
        self.whole(&value.to_string())
    }

    /// Writes rows: a table with this header, or tab-separated lines without one.
    pub(crate) fn rows(&mut self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        if !self.is_table() {
            for row in rows {
                let cells: Vec<_> = row.iter().map(|cell| plain(cell)).collect();
                self.whole(&cells.join("\t"))?;
            }
            return Ok(());
        }
        let mut table = Table::new();
        // No rules: rows are short, and a table may be copied into a mail.
        table.load_style(presets::NOTHING);
        // A terminal that does not tell its width (0) must not get columns of one letter.
        let wraps = table.width().is_some_and(|width| width >= 40);
        table.set_content_arrangement(if wraps {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| plain(cell)));
        }
        writeln!(self.out, "{table}")
    }

    /// Says something to the person, unless quiet.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Says something that must be heard.
    pub(crate) fn warn(&mut self, text: &str) {
        let prefix = self.paint("33", "warning:");
        self.put(&format!("kvs: {prefix} {}", plain_lines(text)));
    }

    /// Says each of some warnings.
    pub(crate) fn warn_all(&mut self, warnings: Vec<String>) {
        warnings.iter().for_each(|w| self.warn(w));
    }

    /// Says why a command failed, and the way out.
    pub(crate) fn error(&mut self, error: &Error) {
        let prefix = self.paint("31", "error:");
        self.put(&format!("kvs: {prefix} {}", plain_lines(&error.to_string())));
        let mut inner = error;
        while let Error::Hinted { error, hint } = inner {
            let prefix = self.paint("32", "hint:");
            self.put(&format!("kvs: {prefix} {}", plain_lines(hint)));
            inner = error;
        }
    }

    /// Writes a line to stderr, in one write, so that the lines of several processes do not mix;
    /// nobody can be told when that fails.
    pub(crate) fn say(&mut self, text: &str) {
        self.put(&plain_lines(text));
    }

    fn put(&mut self, text: &str) {
        drop(self.out.flush());
        drop(self.err.write_all(format!("{text}\n").as_bytes()));
    }

    /// A progress bar on stderr, hidden unless that is a terminal.
    pub(crate) fn progress(&self, what: &str, total: Option<u64>) -> ProgressBar {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let shown = io::stderr().is_terminal() && !self.quiet;
        bar.set_draw_target(if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let style = match total {
            Some(_) => "{prefix} {wide_bar} {pos}/{len} {eta}",
            None => "{prefix} {spinner} {human_pos} {per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Asks a yes-or-no question on the terminal; no terminal is no.
    pub(crate) fn confirm(&mut self, question: &str) -> bool {
        if !io::stdin().is_terminal() {
            return false;
        }
        drop(self.out.flush());
        drop(write!(self.err, "{} [y/N] ", plain_lines(question)));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A number and what it counts, which is plural unless the number is one: `1 copy`, `2 copies`.
pub(crate) fn counted(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    match noun.strip_suffix('y') {
        _ if number == "1" => format!("{number} {noun}"),
        // Copies, but keys.
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(0, "hint"), "0 hints");
        assert_eq!(counted(1, "leftover copy"), "1 leftover copy");
        assert_eq!(counted(2, "leftover copy"), "2 leftover copies");
        assert_eq!(counted(21, "key"), "21 keys");
    }
}
