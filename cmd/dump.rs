//! `kvs dump`: writes keys and values as JSON Lines.

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use kvs::cluster::{Access, Cluster};
use kvs::error::Error;
use kvs::os::OutputFile;
use kvs::os::wall_ms;
use kvs::quorum::Options;
use kvs::transfer::encode;

use crate::common::Common;
use crate::exit::{Done, Fail, Outcome};
use crate::scan::each;
use crate::ui::{Ui, counted};

/// Write keys and values as JSON Lines
///
/// One line per key that has a value: {"key": …, "value": …}; key_b64 and value_b64 when the bytes
/// are not UTF-8; siblings instead of value for a conflict. kvs load reads it back, into this or
/// another ring. A dump has no history: it omits deleted keys and, without --expires, expiry times.
/// To copy a ring's files with their history, stop all writes and copy the directory.
///
/// With -o FILE the file appears whole or not at all, with the mode and owner of the one it
/// replaces. Links are followed; a device or a FIFO is written to.
///
/// Example: kvs dump --prefix cart: -o carts.jsonl
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Only keys that begin with this prefix
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: OsString,
    /// Add each key's clock, for reading; kvs load ignores it
    #[arg(long)]
    clock: bool,
    /// Add expiry times, in ms since 1970
    #[arg(long)]
    expires: bool,
    /// Write to this file instead of stdout; - is stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Owners of each partition that must answer; by default a majority
    #[arg(short, value_name = "R", help_heading = "Quorum")]
    r: Option<u8>,
}

pub(crate) fn run(ui: &mut Ui, common: &Common, args: &Args) -> Outcome {
    let mut cluster = common.open(ui, Access::Read, "dump")?;
    let bar = ui.progress("dump", None);
    let mut lost = 0;
    let file = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let written = match file {
        None => write(&mut cluster, args, &mut lost, &mut |line| {
            bar.inc(1);
            Ok(ui.bytes(line)?)
        }),
        Some(path) => {
            let mut out = BufWriter::new(OutputFile::open(path)?);
            let written = write(&mut cluster, args, &mut lost, &mut |line| {
                bar.inc(1);
                out.write_all(line).map_err(|e| unwritten(path, e))
            });
            written.and_then(|lines| {
                let out = out.into_inner().map_err(|e| unwritten(path, e.into_error()))?;
                out.finish()?;
                Ok(lines)
            })
        }
    };
    bar.finish_and_clear();
    ui.warn_all(cluster.warnings());
    let lines = written?;
    if lost > 0 {
        let (times, were) = (counted(lost, "expiry time"), if lost == 1 { "was" } else { "were" });
        ui.note(&format!("{times} {were} left out; keep them with --expires"));
    }
    if let Some(path) = file {
        ui.note(&format!("{} written to {}", counted(lines, "key"), path.display()));
    }
    Ok(Done::Yes)
}

/// What a write into the file of -o came to. A FIFO that was named there is to get all of it: that its
/// reader has enough is success for stdout alone.
fn unwritten(path: &Path, error: io::Error) -> Fail {
    if error.kind() != ErrorKind::BrokenPipe {
        return Error::io("write", path)(error).into();
    }
    let path = path.display();
    Error::Refused(format!(
        "The dump is incomplete: the reader of {path} closed it before the end."
    ))
    .hint("keep the reader open to the end, and dump again")
    .into()
}

/// Writes all lines; how many, and in `lost` how many values lost their time of expiry.
fn write(
    cluster: &mut Cluster,
    args: &Args,
    lost: &mut usize,
    out: &mut dyn FnMut(&[u8]) -> Result<(), Fail>,
) -> Result<u64, Fail> {
    let (now_ms, mut lines) = (wall_ms(), 0);
    let options = Options { r: args.r, ..Options::default() };
    each(cluster, args.prefix.as_bytes(), &options, &mut |key, record| {
        let Some(mut line) = encode(key, record, now_ms, args.clock, args.expires) else {
            return Ok(true);
        };
        line.push('\n');
        out(line.as_bytes())?;
        lines += 1;
        let visible = record.visible(now_ms);
        if !args.expires {
            *lost += visible.iter().filter(|s| s.1.expires_ms.is_some()).count();
        }
        Ok(true)
    })?;
    Ok(lines)
}
