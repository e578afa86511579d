//! What is heard of hosts while they are worked on: lines on stderr, a moving line a host on a
//! terminal, and a file per run.
//!
//! ```text
//! n1: uploaded kvs 0.1.0                   done
//! n2: uploading 3.7 MiB of 9.4 MiB         on a terminal only
//! n3: failed: …
//! ```

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kvs::bounded::{plain, plain_lines};
use kvs::push::{Audit, PushEvent, Watch, size};

use crate::ui::Ui;

/// Hears, and tells. See the module.
pub(crate) struct Talk {
    audit: Option<Audit>,
    bars: MultiProgress,
    of: Mutex<BTreeMap<String, ProgressBar>>,
    quiet: bool,
    moves: bool,
    stop: Arc<AtomicBool>,
}

impl Talk {
    pub(crate) fn new(audit: Option<Audit>, quiet: bool) -> Self {
        let moves = std::io::stderr().is_terminal() && !quiet;
        let target =
            if moves { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let (of, stop) = (Mutex::new(BTreeMap::new()), Arc::default());
        Self { audit, bars, of, quiet, moves, stop }
    }

    /// Raised, it stops the run between two steps.
    pub(crate) fn stop(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    /// Ends the moving lines.
    pub(crate) fn ends(&self) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // Lines that cannot be cleared are no reason to fail.
        drop(self.bars.clear());
    }

    /// How the run ended, for the file; where that is.
    pub(crate) fn outcome(&self, ui: &mut Ui, words: &str) -> Option<String> {
        let audit = self.audit.as_ref()?;
        audit.end(words);
        if let Some(error) = audit.trouble() {
            ui.warn(&error.to_string());
        }
        Some(audit.path().display().to_string())
    }

    fn line(&self, text: &str) {
        let text = plain_lines(text);
        if self.moves {
            // Nobody can be told when the terminal is gone.
            drop(self.bars.println(text));
        } else {
            drop(std::io::stderr().write_all(format!("{text}\n").as_bytes()));
        }
    }

    fn at(&self, host: &str, text: String) {
        if !self.moves {
            return;
        }
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = of.entry(host.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{prefix} {spinner} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(host.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.set_message(plain(&text).into_owned());
    }
}

impl Watch for Talk {
    fn note(&self, host: &str, event: &PushEvent) {
        if let Some(audit) = &self.audit {
            audit.note(host, event);
        }
        match event {
            PushEvent::Begins(what) => self.at(host, what.clone()),
            PushEvent::Bytes(done, all) => {
                self.at(host, format!("uploading {} of {}", size(*done), size(*all)));
            }
            PushEvent::Done(_) if self.quiet => {}
            PushEvent::Done(what) => self.line(&format!("{host}: {what}")),
            PushEvent::Warning(what) => self.line(&format!("kvs: warning: {host}: {what}")),
            PushEvent::Failed(why) => self.line(&format!("{host}: failed: {why}")),
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
