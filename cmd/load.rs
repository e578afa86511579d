//! `kvs load`: writes the lines of a dump.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use kvs::cluster::Access;
use kvs::error::Error;
use kvs::quorum::Precondition;
use kvs::transfer::{Loaded, Loading, load};
use serde_json::json;

use crate::common::{Common, Quorum, stdin, stop_on_ctrl_c};
use crate::exit::{Done, Outcome};
use crate::ui::{Ui, counted};

/// Write the lines of a dump
///
/// Reads JSON Lines as kvs dump writes them. Lines are sorted by their place on the ring and
/// written one partition at a time; of several lines with one key the last wins. It is safe to
/// repeat: a load that was stopped (ctrl-C ends it between two commits) or met a line it cannot
/// read reports it (exit 7), and what came before stays written. Keys that have siblings are
/// skipped and counted (exit 7) unless --overwrite is given. Expired values are written like the
/// others, but no read returns them; they are counted.
///
/// Example: kvs --ring old dump | kvs --ring new load --if-absent
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The file; - or no FILE reads stdin
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// Write only keys that have no value (strict)
    #[arg(long, conflicts_with_all = ["blind", "overwrite"])]
    if_absent: bool,
    /// Add each value as a sibling of those already there: fast, for an empty ring; loading twice
    /// makes siblings
    #[arg(long, conflicts_with = "overwrite")]
    blind: bool,
    /// Replace the current values, even if there are siblings
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    quorum: Quorum,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut input = args.input()?;
    let mut cluster = common.open(ui, Access::Write, "load")?;
    let basis = match args {
        Args { if_absent: true, .. } => Precondition::Absent,
        Args { blind: true, .. } => Precondition::Blind,
        Args { overwrite: force, .. } => Precondition::Overwrite { force: *force },
    };
    let stop = stop_on_ctrl_c()?;
    let bar = ui.progress("load", Some(0));
    let loading = Loading { basis, options: args.quorum.options() };
    let loaded = load(&mut cluster, &mut *input, &loading, &mut |loaded| {
        bar.set_length(loaded.lines);
        bar.set_position(loaded.written + loaded.conflicts);
        !stop.load(std::sync::atomic::Ordering::Relaxed)
    });
    bar.finish_and_clear();
    ui.warn_all(cluster.warnings());
    args.tell(ui, &loaded?)
}

impl Args {
    fn input(&self) -> Result<Box<dyn BufRead + Send>, Error> {
        if self.file.as_os_str() == "-" {
            return Ok(Box::new(BufReader::new(stdin()?)));
        }
        let file = File::open(&self.file).map_err(Error::io("open", &self.file))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            let shown = self.file.display();
            return Err(Error::Usage(format!("{shown} is a directory; nothing was loaded."))
                .hint("name the file that kvs dump wrote"));
        }
        Ok(Box::new(BufReader::new(file)))
    }

    fn tell(&self, ui: &mut Ui, loaded: &Loaded) -> Outcome {
        let Loaded { lines, written, conflicts, expired } = loaded;
        if *written > 0 {
            ui.has_applied(format!("Wrote {}.", counted(*written, "value")));
        }
        if ui.is_json() {
            ui.json(&json!({
                "schema": "kvs.load/1", "lines": lines.to_string(),
                "written": written.to_string(), "conflicts": conflicts.to_string(),
                "expired": expired.to_string(),
            }))?;
        }
        ui.note(&format!("read {}, wrote {}", counted(*lines, "line"), counted(*written, "value")));
        if *expired > 0 {
            ui.note(&format!("already expired: {}", counted(*expired, "value")));
        }
        if *conflicts == 0 {
            return Ok(Done::Yes);
        }
        if self.if_absent {
            ui.note(&format!("skipped {} that already had a value", counted(*conflicts, "key")));
            return Ok(Done::Yes);
        }
        ui.warn(&format!(
            "skipped {} with siblings; --overwrite replaces them",
            counted(*conflicts, "key")
        ));
        Ok(Done::Partly)
    }
}
