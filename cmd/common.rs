//! The flags commands share, and opening what they name.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use kvs::cluster::{Access, Cluster, Opening};
use kvs::config::address;
pub(crate) use kvs::config::duration;
use kvs::error::{Error, operand};
use kvs::key::{Key, Partition, unescape};
use kvs::os::stop_signals;
use kvs::protocol::TIMEOUT_MS_MAX;
use kvs::quorum::{Level, Options};
use kvs::record::RECORD_BYTES_MAX;
use kvs::ring::NodeId;
use rustix::fs::{OFlags, fcntl_getfl};
use signal_hook::iterator::Signals;

use crate::cli::Cli;
use crate::exit::{Code, Done};
use crate::ui::{Color, Format, Ui};

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// The ring: its directory, or a comma-separated list of node directories or addresses
    #[arg(long, env = "KVS_RING", global = true, value_name = "TARGET")]
    pub(crate) ring: Option<String>,
    /// How long to wait for a lock or an answer
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = patience)]
    pub(crate) timeout: Duration,
    /// Treat these nodes as down, to rehearse an outage (comma-separated)
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) down: Vec<String>,
    /// The ring's key file, for nodes given by address
    #[arg(long, env = "KVS_KEY_FILE", global = true, value_name = "FILE", value_parser = path())]
    pub(crate) key_file: Option<PathBuf>,
    /// The zone that requests come from, for --level local-quorum
    #[arg(long, global = true, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// The output format
    #[arg(long, global = true, value_name = "FORM", default_value = "auto")]
    pub(crate) format: Format,
    /// KEY is escaped the way kvs prints keys: \n, \xNN, \\ for a backslash
    #[arg(long, global = true)]
    pub(crate) escaped: bool,
    /// End output lines with NUL instead of a newline
    #[arg(short = '0', long = "null", global = true)]
    pub(crate) null: bool,
    /// Print less on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// The member that is to be replaced: what is left of it is not asked.
    #[arg(skip)]
    pub(crate) lost: Option<String>,
}

/// What a job looks at.
#[derive(Clone, Debug, Args)]
pub(crate) struct Scope {
    /// Node or ring directories, or addresses; by default the ring of --ring
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Only this partition
    #[arg(long, value_name = "P")]
    partition: Option<u16>,
}

impl Scope {
    /// The one partition asked for, if one was.
    pub(crate) fn only(&self, cluster: &Cluster) -> Result<Option<Partition>, Error> {
        self.partition.map(|p| partition(cluster, p)).transpose()
    }
}

/// How many replicas take part.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Quorum")]
pub(crate) struct Quorum {
    /// Ask only the first N live owners; guarantees still count all owners
    #[arg(short, value_name = "N")]
    n: Option<u8>,
    /// Owners that must acknowledge the write; by default a majority
    #[arg(short, value_name = "W")]
    w: Option<u8>,
    /// Owners that must answer a read; by default a majority
    #[arg(short, value_name = "R")]
    r: Option<u8>,
    /// The quorum by name, instead of -w and -r; local-quorum is that of --zone
    #[arg(long, value_name = "LEVEL", conflicts_with_all = ["w", "r"])]
    level: Option<LevelName>,
    /// Count owners only, no fallbacks; a read returns only what enough owners hold
    #[arg(long)]
    strict: bool,
}

/// A quorum by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LevelName {
    /// One owner
    One,
    /// A majority of the owners
    Quorum,
    /// Every owner
    All,
    /// A majority of the owners in the zone
    LocalQuorum,
    /// A majority of the owners in each zone
    EachQuorum,
}

impl LevelName {
    pub(crate) fn level(self) -> Level {
        match self {
            Self::One => Level::One,
            Self::Quorum => Level::Quorum,
            Self::All => Level::All,
            Self::LocalQuorum => Level::LocalQuorum,
            Self::EachQuorum => Level::EachQuorum,
        }
    }
}

impl Quorum {
    pub(crate) fn options(&self) -> Options {
        let Self { n, w, r, strict, level } = *self;
        let level = level.map(LevelName::level);
        Options { n, w, r, strict, level, ..Options::default() }
    }
}

impl Common {
    /// Opens the ring that the flags name.
    pub(crate) fn open(
        &self,
        ui: &mut Ui,
        access: Access,
        purpose: &str,
    ) -> Result<Cluster, Error> {
        self.open_these(ui, access, purpose, &[])
    }

    /// Opens the targets given as arguments, or else the ring that the flags name.
    pub(crate) fn open_these(
        &self,
        ui: &mut Ui,
        access: Access,
        purpose: &str,
        targets: &[String],
    ) -> Result<Cluster, Error> {
        let mut cluster = Cluster::open(&self.opening(access, purpose, targets))?;
        ui.warn_all(cluster.warnings());
        Ok(cluster)
    }

    /// What is to be opened: the targets given as arguments, or else the ring that the flags name.
    pub(crate) fn opening(&self, access: Access, purpose: &str, targets: &[String]) -> Opening {
        let specs = match targets {
            [] => self.ring.iter().cloned().collect(),
            targets => targets.to_vec(),
        };
        Opening {
            specs,
            access,
            timeout: self.timeout,
            down: self.down.clone(),
            lost: self.lost.clone(),
            // A variable that is empty is as good as none.
            key_file: self.key_file.clone().filter(|file| !file.as_os_str().is_empty()),
            mixed: false,
            zone: self.zone.clone(),
            purpose: format!("kvs-{purpose}"),
        }
    }

    /// Opens, to look at single nodes, the targets given as arguments or the ring that the flags
    /// name: files of stopped nodes beside nodes that run.
    pub(crate) fn open_mixed(
        &self,
        ui: &mut Ui,
        purpose: &str,
        targets: &[String],
    ) -> Result<Cluster, Error> {
        let opening = self.opening(Access::Read, purpose, targets);
        let mut cluster = Cluster::open(&Opening { mixed: true, ..opening })?;
        ui.warn_all(cluster.warnings());
        Ok(cluster)
    }

    /// Opens, to read them, the targets given as arguments or every node of the ring; of those that
    /// are down, or are taken to be, nothing will be read, and that is said.
    pub(crate) fn open_all(
        &self,
        ui: &mut Ui,
        purpose: &str,
        targets: &[String],
    ) -> Result<Cluster, Error> {
        let cluster = self.open_mixed(ui, purpose, targets)?;
        warn_of_unread(ui, &cluster, &wanted(&cluster, targets));
        Ok(cluster)
    }

    /// Whether some member that was to be read was not: of the ring that the flags name, or of the
    /// targets, any that is down, of `asked` nodes any that no longer answers.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when none of those asked was read to its end.
    pub(crate) fn is_partly_read(
        &self,
        cluster: &Cluster,
        targets: &[String],
        asked: &[NodeId],
    ) -> Result<bool, Error> {
        let (open, doc) = (cluster.nodes(), cluster.doc());
        let mut unread = wanted(cluster, targets);
        unread.extend(asked.iter().filter(|id| !open.contains(id)).map(|id| doc.name(*id)));
        unread.sort();
        unread.dedup();
        if !unread.is_empty() && !asked.iter().any(|id| open.contains(id)) {
            let text = format!("Not answering: {}; nothing was read.", unread.join(", "));
            return Err(Error::Unreachable(text).hint("kvs status shows who is up"));
        }
        Ok(!unread.is_empty())
    }
}

/// How a command ends that read what it could: the whole, a part, or what damage leaves of it.
pub(crate) fn read_of(cluster: &Cluster, partly: bool) -> Done {
    match cluster.salvaged() {
        [] if partly => Done::Partly,
        [] => Done::Yes,
        _ => Done::Corrupt,
    }
}

/// The members that cannot be asked though they are meant: by the targets given as arguments, or else
/// as members of the ring.
fn wanted(cluster: &Cluster, targets: &[String]) -> Vec<String> {
    if targets.is_empty() { cluster.missing() } else { cluster.named_missing() }
}

/// Says of members that nothing of them was read, unless it was said why.
pub(crate) fn warn_of_unread(ui: &mut Ui, cluster: &Cluster, names: &[String]) {
    let known = |name| is_odd(cluster, name) || cluster.damaged().iter().any(|d| d.ends_with(name));
    for name in names.iter().filter(|name| !known(name)) {
        ui.warn(&is_down(name));
    }
}

/// The commands that rebuild a member; one that runs is not replaced before it has stopped.
pub(crate) fn rebuild(cluster: &Cluster, name: &str) -> String {
    let open = cluster.doc().named(name).is_ok_and(|m| cluster.nodes().contains(&m.id));
    let name = operand(name);
    match open && cluster.is_live() {
        true => format!("kvs node stop {name}; kvs replace {name}"),
        false => format!("kvs replace {name}"),
    }
}

/// Whether a member is down for a file that is none or that this user may not use: its data may be good.
pub(crate) fn is_odd(cluster: &Cluster, name: &str) -> bool {
    cluster.odd().iter().any(|dir| dir.ends_with(name))
}

/// What is said of a member that could not be read.
fn is_down(name: &str) -> String {
    format!("{name} is down; it was not read")
}

/// What was read of a node; `None` when it no longer answers, which is said.
pub(crate) fn heard<T>(
    ui: &mut Ui,
    cluster: &mut Cluster,
    id: NodeId,
    read: Result<T, Error>,
) -> Result<Option<T>, Error> {
    let heard = cluster.heard(id, read)?;
    if heard.is_none() {
        ui.warn_all(cluster.warnings());
        ui.warn(&is_down(&cluster.doc().name(id)));
    }
    Ok(heard)
}

/// A partition of this ring.
fn partition(cluster: &Cluster, p: u16) -> Result<Partition, Error> {
    let q = cluster.doc().q.count();
    if u32::from(p) < q {
        return Ok(Partition(p));
    }
    let last = q - 1;
    Err(Error::Usage(format!("There is no partition {p}; there are 0 to {last}.")))
}

/// A flag that the first ctrl-C raises. The second ends the process: what is committed stays.
pub(crate) fn stop_on_ctrl_c() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    raise_on_ctrl_c(&stop)?;
    Ok(stop)
}

/// The same for a flag that is there. Until then ctrl-C simply ends the process.
pub(crate) fn raise_on_ctrl_c(stop: &Arc<AtomicBool>) -> Result<(), Error> {
    let raised = stop.clone();
    on_stop_signal(move |_| {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Code::Partly.number()));
        }
    })
}

/// Calls back with each signal that asks the process to finish: ctrl-C, TERM, a hangup. One that was
/// ignored when the process began (nohup, a shell's background) stays ignored.
pub(crate) fn on_stop_signal(mut call: impl FnMut(i32) + Send + 'static) -> Result<(), Error> {
    let failed = |e: std::io::Error| {
        let text = format!("Signals cannot be caught: {e}; nothing was tried.");
        Error::Denied(text).limited(e.raw_os_error())
    };
    let mut signals = Signals::new(stop_signals()).map_err(failed)?;
    let thread = thread::Builder::new().name("kvs-signals".into());
    let listening = thread.spawn(move || signals.forever().for_each(&mut call));
    listening.map(drop).map_err(failed)
}

/// Reads an argument as how long something is waited for.
pub(crate) fn patience(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    match time > Duration::from_millis(TIMEOUT_MS_MAX) {
        true => Err("more than 30 days".into()),
        false => Ok(time),
    }
}

/// Reads an argument as an address to listen at.
pub(crate) fn listening(text: &str) -> Result<String, String> {
    address(text).map(|_| text.to_owned())
}

/// Reads an argument as a path, which may be empty.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Stdin as data. One that was closed when the process began, or is open for writing only, would
/// read as empty without a word.
///
/// # Errors
/// [`Error::Usage`] for such a one: nothing was read.
pub(crate) fn stdin() -> Result<File, Error> {
    let named = || Error::io("read", Path::new("stdin"));
    let file = File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(named())?);
    let mode = fcntl_getfl(&file).map_err(|e| named()(e.into()))? & OFlags::RWMODE;
    let about = file.metadata().map_err(named())?;
    // What stands in for a descriptor that was closed is opened for reading and writing.
    let null = std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == about.rdev());
    if mode == OFlags::WRONLY || null && mode == OFlags::RDWR {
        let text = "Stdin is closed, so there is nothing to read; nothing was tried.";
        return Err(Error::Usage(text.into())
            .hint("redirect it from a file or a pipe; an empty value is ''"));
    }
    Ok(file)
}

/// Whether keys are given escaped. Arguments are read one by one, before all flags are known: when
/// --escaped is among them, they are read once more with this raised.
static ESCAPED: AtomicBool = AtomicBool::new(false);

/// Reads the arguments.
pub(crate) fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let parsed = Cli::try_parse_from(args);
    let may_be = match &parsed {
        Ok(cli) => cli.common.escaped,
        Err(_) => args.iter().any(|arg| arg == "--escaped"),
    };
    if !may_be {
        return parsed;
    }
    ESCAPED.store(true, Ordering::Relaxed);
    match Cli::try_parse_from(args) {
        // It was the value of another flag.
        Ok(cli) if !cli.common.escaped => parsed,
        again => again,
    }
}

/// Reads an argument as a key: any bytes.
pub(crate) fn key_parser() -> impl TypedValueParser<Value = Key> {
    OsStringValueParser::new().try_map(|text| {
        let bytes = text.into_vec();
        Key::new(if ESCAPED.load(Ordering::Relaxed) { unescape(&bytes)? } else { bytes })
    })
}

/// Reads to the end, or to the limit of a value.
pub(crate) fn read_all(input: impl Read) -> std::io::Result<Result<Vec<u8>, Error>> {
    let mut bytes = Vec::new();
    input.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > RECORD_BYTES_MAX {
        return Ok(Err(Error::Usage(format!(
            "The value is larger than 4 MiB ({RECORD_BYTES_MAX} bytes); nothing was written."
        ))
        .hint("split it across several keys")));
    }
    Ok(Ok(bytes))
}
